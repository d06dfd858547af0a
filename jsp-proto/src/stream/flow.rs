//! Credit: what this side grants, and how its windows grow (specification section 4.9, corrected by 13.13).
//!
//! Every byte of stream is released exactly once: when the application consumed it or when it is dead, that is when it
//! can never be delivered. A limit is window plus released bytes. Bytes released above an unfilled gap still take up
//! address space in the stream's ring; as long as they are more than one window, no further credit is given for them,
//! which bounds the ring to two windows.
//!
//! A message, or a block of a stream of blocks, is begun only when credit covers all of it. So a window that carries
//! them must never leave a sender whose data was all consumed with less than the largest: it is made twice that size,
//! and if its cap forbids that, it grants earlier than by half.

use alloc::boxed::Box;
use core::time::Duration;

use super::Limits;
use super::rate::ByteRate;
use crate::time::{Instant, nanos};

/// One receive window, of a stream or of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    size: u64,
    max: u64,
    granted: u64,
    /// The largest message or block that must always fit; 0 for plain bytes.
    whole: u64,
    updated: Option<Instant>,
}

/// What a decision about credit depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Climate {
    pub(super) now: Instant,
    /// Smoothed round-trip time, nanoseconds; 0 while unknown.
    pub(super) srtt: u64,
    pub(super) pressure: Pressure,
}

/// How short of memory the endpoint is (specification section 7, row 23).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pressure {
    /// Windows may grow.
    #[default]
    None,
    /// Windows stay as they are.
    NoTuning,
    /// No new credit is granted.
    NoCredit,
}

impl Window {
    pub(super) fn new(size: u64, max: u64) -> Self {
        Self { size, max: max.max(size), granted: size, whole: 0, updated: None }
    }

    /// The limit that the peer must keep to.
    pub(super) fn granted(&self) -> u64 {
        self.granted
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Data arrived: the time it takes to consume a window is counted from the first of it.
    pub(super) fn touch(&mut self, now: Instant) {
        self.updated.get_or_insert(now);
    }

    /// Grants more if at least half of the window was released since the last grant; true if the peer is to be told.
    pub(super) fn update(&mut self, released: u64, overhang: u64, climate: Climate) -> bool {
        self.update_up_to(released, overhang, climate, (u64::MAX, 0))
    }

    /// As [`update`](Self::update), but no further than a cap. If that is in the way, by at least a step.
    pub(super) fn update_up_to(
        &mut self,
        released: u64,
        overhang: u64,
        climate: Climate,
        (cap, step): (u64, u64),
    ) -> bool {
        if !self.is_due(released, overhang, climate) {
            return false;
        }
        if cap < self.limit(released, overhang) && cap.saturating_sub(self.granted) < step {
            return false;
        }
        let fast = self.updated.is_some_and(|updated| climate.now.nanos_since(updated) < 2 * climate.srtt);
        if fast && climate.pressure == Pressure::None {
            self.size = self.size.saturating_mul(2).min(self.max);
        }
        self.updated = Some(climate.now);
        self.granted = self.limit(released, overhang).min(cap).max(self.granted);
        true
    }

    /// Whether enough was released for a grant.
    pub(super) fn is_due(&self, released: u64, overhang: u64, climate: Climate) -> bool {
        let threshold = (self.size / 2).min(self.size.saturating_sub(self.whole)).max(1);
        let more = self.limit(released, overhang).saturating_sub(self.granted);
        climate.pressure != Pressure::NoCredit && more >= threshold
    }

    /// The window carries messages or blocks of up to `size` bytes.
    pub(super) fn carry(&mut self, size: u64) {
        self.whole = self.whole.max(size);
        self.raise(size.saturating_mul(2));
    }

    /// Makes the window at least `size`, within its cap.
    pub(super) fn raise(&mut self, size: u64) {
        self.size = self.size.max(size.min(self.max));
    }

    pub(super) fn limit(&self, released: u64, overhang: u64) -> u64 {
        let withheld = overhang.saturating_sub(self.size);
        self.size.saturating_add(released).saturating_sub(withheld)
    }
}

/// The receiving account of the connection.
pub(super) struct RecvPool {
    pub(super) window: Window,
    /// Sum of the highest offsets of all streams.
    pub(super) received: u64,
    /// Sum of consumed and dead bytes.
    pub(super) released: u64,
    /// The part of `released` that lies above gaps.
    pub(super) overhang: u64,
    /// Partial messages open over all streams.
    pub(super) partial: u64,
    /// Bytes of ring held.
    pub(super) held: u64,
    /// Largest message accepted.
    pub(super) max_message: u64,
    pub(super) climate: Climate,
    /// MAX_DATA is to be sent.
    pub(super) update_due: bool,
    /// How fast credit may be given.
    pub(super) rate: Option<Box<ByteRate>>,
}

impl RecvPool {
    pub(super) fn new(limits: &Limits) -> Self {
        let rate = limits.rates.bytes.map(|rate| Box::new(ByteRate::new(rate, limits.max_data)));
        let max = rate.as_ref().map_or(u64::MAX, |rate| rate.max_window());
        Self {
            window: Window::new(limits.max_data, limits.max_window.min(max)),
            rate,
            received: 0,
            released: 0,
            overhang: 0,
            partial: 0,
            held: 0,
            max_message: limits.max_message_size,
            climate: Climate { now: Instant::ZERO, srtt: 0, pressure: Pressure::None },
            update_due: false,
        }
    }

    /// Grants connection credit if it is time to.
    pub(super) fn update(&mut self) {
        if let Some(mut rate) = self.rate.take() {
            self.update_within_rate(&mut rate);
            self.rate = Some(rate);
            return;
        }
        self.update_due |= self.window.update(self.released, self.overhang, self.climate);
    }

    /// The window of a stream grew: the connection's must not become the bottleneck of a single stream.
    pub(super) fn keep_ahead_of(&mut self, stream_window: u64) {
        self.window.raise(stream_window.saturating_add(stream_window / 2));
    }

    pub(super) fn set_srtt(&mut self, srtt: Duration) {
        self.climate.srtt = nanos(srtt).min(nanos(Duration::from_secs(60)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn climate(millis: u64) -> Climate {
        Climate { now: Instant::from_nanos(millis * 1_000_000), srtt: 50_000_000, pressure: Pressure::None }
    }

    #[test]
    fn half_a_window_makes_an_update_and_speed_makes_it_larger() {
        let mut window = Window::new(1000, 3000);
        window.touch(climate(0).now);
        assert!(!window.update(499, 0, climate(1)));
        assert!(window.update(500, 0, climate(50)));
        assert_eq!((window.size(), window.granted()), (2000, 2500));
        assert!(window.update(1500, 0, climate(500)));
        assert_eq!((window.size(), window.granted()), (2000, 3500));
        assert!(window.update(3000, 0, climate(501)));
        assert_eq!((window.size(), window.granted()), (3000, 6000));
    }

    #[test]
    fn pressure_stops_growth_and_then_credit() {
        let mut window = Window::new(1000, 9000);
        window.touch(climate(0).now);
        let tight = |pressure| Climate { pressure, ..climate(1) };
        assert!(window.update(1000, 0, tight(Pressure::NoTuning)));
        assert_eq!(window.granted(), 2000);
        assert!(!window.update(2000, 0, tight(Pressure::NoCredit)));
        assert_eq!(window.granted(), 2000);
    }

    #[test]
    fn a_window_always_leaves_room_for_the_largest_message() {
        for max in [1000, 1500, 9000] {
            let mut window = Window::new(1000, max);
            window.carry(1000);
            let (mut sent, mut time) = (0, 1000);
            for length in [1, 999, 3, 500, 1000, 1, 1, 700] {
                sent += length;
                time += 1000;
                window.update(sent, 0, climate(time));
                assert!(window.granted() - sent >= 1000, "{window:?}");
            }
        }
    }

    #[test]
    fn bytes_released_above_a_gap_earn_at_most_one_window() {
        let mut window = Window::new(1000, 1000);
        assert!(window.update(1000, 1000, climate(900)));
        assert_eq!(window.granted(), 2000);
        assert!(!window.update(5000, 5000, climate(901)));
        assert!(window.update(5000, 1000, climate(902)));
        assert_eq!(window.granted(), 6000);
    }
}

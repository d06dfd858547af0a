//! How fast a peer may send: bytes by the credit it gets, messages by when they can be read.

use super::flow::{RecvPool, Window};
use super::queue::Queues;
use super::{Streams, TIMER_STEP};
use crate::config::Rate;
use crate::slab::Key;
use crate::time::Instant;

const SECOND: u128 = 1_000_000_000;
/// Credit is given this many times per second, as long as the rate is what holds it back.
const STEPS_PER_SECOND: u64 = 50;
/// The least credit that is worth a frame, bytes.
const MIN_STEP: u64 = 2400;

/// So many units per second on average, and so many at once. More may be taken than there is: the debt is waited for.
#[derive(Clone, Copy, Debug)]
struct Meter {
    per_second: u64,
    burst: u64,
    /// Nanoseconds in which a whole burst comes.
    reach: u64,
    /// When everything that was taken has come again.
    full_at: Instant,
}

impl Meter {
    fn new(per_second: u64, burst: u64) -> Self {
        let mut meter = Self { per_second: per_second.max(1), burst, reach: 0, full_at: Instant::ZERO };
        meter.reach = meter.time_for(burst);
        meter
    }

    /// Nanoseconds in which so many units come.
    fn time_for(&self, units: u64) -> u64 {
        u64::try_from((u128::from(units) * SECOND).div_ceil(u128::from(self.per_second))).unwrap_or(u64::MAX)
    }

    /// How many units may be taken without debt.
    fn level(&self, now: Instant) -> u64 {
        let time = now.plus_nanos(self.reach).nanos_since(self.full_at);
        let units = u128::from(time) * u128::from(self.per_second) / SECOND;
        u64::try_from(units).unwrap_or(u64::MAX).min(self.burst)
    }

    /// When [`level`](Self::level) reaches `units`, at most the burst, if nothing is taken before.
    fn ready_at(&self, units: u64) -> Instant {
        let lead = self.reach.saturating_sub(self.time_for(units));
        Instant::from_nanos(self.full_at.as_nanos().saturating_sub(lead))
    }

    fn take(&mut self, now: Instant, units: u64) {
        self.full_at = self.full_at.max(now).plus_nanos(self.time_for(units));
    }
}

/// Bounds the connection's credit: never more than what has arrived and what the meter would let arrive now. Between any
/// two moments so no more arrives than a burst and the rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByteRate {
    meter: Meter,
    step: u64,
    /// When there is credit to give again that the rate holds back.
    due: Option<Instant>,
    /// How often it began to hold credit back.
    delays: u64,
}

impl ByteRate {
    /// For a connection that begins with a credit of `window` bytes.
    pub(super) fn new(rate: Rate, window: u64) -> Self {
        let step = (rate.per_second / STEPS_PER_SECOND).max(MIN_STEP);
        // A step more than the largest window: then what is waited for always fits, whatever credit is left.
        let burst = rate.burst.max(window).saturating_add(step);
        Self { meter: Meter::new(rate.per_second, burst), step, due: None, delays: 0 }
    }

    /// The largest window that makes sense.
    pub(super) fn max_window(&self) -> u64 {
        self.meter.burst.saturating_sub(self.step)
    }

    /// New bytes arrived.
    pub(super) fn on_bytes(&mut self, now: Instant, bytes: u64) {
        self.meter.take(now, bytes);
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn delays(&self) -> u64 {
        self.delays
    }

    /// The limit up to which credit may be given after `received` bytes.
    fn cap(&self, now: Instant, received: u64) -> u64 {
        received.saturating_add(self.meter.level(now))
    }
}

impl RecvPool {
    /// Grants connection credit within the rate, and notes when there will be more.
    pub(super) fn update_within_rate(&mut self, rate: &mut ByteRate) {
        let now = self.climate.now;
        let cap = rate.cap(now, self.received);
        self.update_due |= self.window.update_up_to(self.released, self.overhang, self.climate, (cap, rate.step));
        let waits = self.window.is_due(self.released, self.overhang, self.climate);
        if waits && rate.due.is_none() {
            rate.delays += 1;
        }
        rate.due = waits.then(|| {
            let short = self.window.shortfall(self.released, self.overhang).min(rate.step);
            rate.meter.ready_at((self.window.granted() + short).saturating_sub(self.received))
        });
    }
}

/// Lets messages be read no faster than the rate.
pub(super) struct MessageRate {
    meter: Meter,
    /// Streams with a message that somebody wanted to read too early.
    held: Queues<1>,
    due: Option<Instant>,
    /// How often a reader was told to wait.
    delays: u64,
    /// The connection is over: nothing is held any more.
    over: bool,
}

impl MessageRate {
    pub(super) fn new(rate: Rate) -> Self {
        // Timers are late by a few milliseconds; what comes meanwhile is not to be lost.
        let burst = rate.burst.max(rate.per_second / 100).max(1);
        Self { meter: Meter::new(rate.per_second, burst), held: Queues::new(), due: None, delays: 0, over: false }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn delays(&self) -> u64 {
        self.delays
    }

    pub(super) fn holds(&self, key: Key) -> bool {
        self.held.queue_of(key).is_some()
    }

    pub(super) fn forget(&mut self, key: Key) {
        self.held.remove(key);
    }

    /// Everything may be read from now on.
    pub(super) fn end(&mut self) {
        self.over = true;
        self.due = None;
        while self.held.pop_front(0).is_some() {}
    }

    /// When the next reader is told, after `pause` at the earliest.
    fn set_due(&mut self, now: Instant, pause: u64) {
        let waits = !self.held.is_empty(0);
        self.due = waits.then(|| self.meter.ready_at(1).max(now.plus_nanos(pause.max(TIMER_STEP))));
    }
}

impl Streams {
    /// Whether the message that is there has to wait. The stream is readable again when it need not.
    pub(super) fn hold_message(&mut self, key: Key) -> bool {
        let Some(rate) = &mut self.message_rate else { return false };
        if rate.over {
            return false;
        }
        if rate.meter.level(self.now) > 0 {
            rate.held.remove(key);
            return false;
        }
        if !rate.holds(key) {
            rate.delays += 1;
            rate.held.push_back(0, key);
            if rate.due.is_none() {
                rate.set_due(self.now, 0);
            }
        }
        self.rearm(key);
        true
    }

    /// A message was read.
    pub(super) fn count_message(&mut self) {
        if let Some(rate) = &mut self.message_rate {
            rate.meter.take(self.now, 1);
        }
    }

    /// Gives credit that has become due, and tells readers of as many streams as there are messages to be had.
    pub(super) fn follow_rates(&mut self) {
        let now = self.now;
        if self.recv.rate.as_ref().and_then(|rate| rate.due()).is_some_and(|due| due <= now) {
            self.recv.update();
        }
        let Some(rate) = self.message_rate.as_mut().filter(|rate| rate.due.is_some_and(|due| due <= now)) else {
            return;
        };
        // Somebody may have taken what was waited for; whoever waits longest looks all the same.
        for _ in 0..rate.meter.level(now).max(1) {
            let Some(key) = self.message_rate.as_mut().and_then(|rate| rate.held.pop_front(0)) else { break };
            self.settle(key);
        }
        if let Some(rate) = &mut self.message_rate {
            // Those that were told have not taken theirs yet.
            rate.set_due(now, rate.meter.time_for(1));
        }
    }
}

impl Window {
    /// What is missing to the limit that the window and what was released allow.
    fn shortfall(&self, released: u64, overhang: u64) -> u64 {
        self.limit(released, overhang).saturating_sub(self.granted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_meter_gives_its_burst_and_then_its_rate() {
        let mut meter = Meter::new(1000, 50);
        assert_eq!(meter.level(at(7)), 50);
        meter.take(at(7), 50);
        assert_eq!((meter.level(at(7)), meter.level(at(17)), meter.level(at(500))), (0, 10, 50));
        assert_eq!(meter.ready_at(10), at(17));
        // Debt.
        meter.take(at(7), 10);
        assert_eq!((meter.level(at(17)), meter.level(at(18))), (0, 1));
        // Time that goes back gives nothing.
        assert_eq!(meter.level(at(0)), 0);
        meter.take(at(0), 1);
        assert_eq!((meter.level(at(18)), meter.level(at(19))), (0, 1));
    }

    proptest! {
        #[test]
        fn what_is_ready_is_there_and_was_not_before(
            per_second in prop_oneof![1u64..5000, 1000u64..1 << 40],
            burst in 1u64..1 << 30,
            taken in 0u64..1 << 31,
            now in 0u64..1 << 50,
            share in 0.0f64..=1.0,
        ) {
            let mut meter = Meter::new(per_second, burst);
            let now = Instant::from_nanos(now);
            meter.take(now, taken);
            let units = ((burst as f64 * share) as u64).clamp(1, burst);
            let ready = meter.ready_at(units);
            prop_assert!(meter.level(ready) >= units);
            if ready > now && ready.as_nanos() > 0 {
                let before = Instant::from_nanos(ready.as_nanos() - 1 - (SECOND as u64).div_ceil(per_second));
                prop_assert!(meter.level(before) < units);
            }
        }
    }
}

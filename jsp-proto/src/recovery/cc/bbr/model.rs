//! What the path can carry: its bandwidth, and its round-trip time without a queue (draft-ietf-ccwg-bbr section 5.5).

use super::super::super::rate::RateSample;
use crate::time::Instant;

/// How long the floor of the round-trip time is kept without being seen again, at least half of it.
const FLOOR_WINDOW: u64 = 10_000_000_000;
/// A sample within this fraction of the floor, or within this many nanoseconds, has seen it.
const NEAR: u64 = 64;
const NEAR_TIME: u64 = 1_000_000;

/// Bandwidth of the bottleneck: the highest delivery rate of this cycle and of the one before, in bytes per second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bandwidth {
    current: u64,
    previous: u64,
}

impl Bandwidth {
    /// Takes a sample. One that shows the application's rate counts only if it is higher than the path's.
    pub(super) fn on_sample(&mut self, sample: &RateSample) {
        if !sample.app_limited || sample.rate >= self.get() {
            self.current = sample.rate.max(self.current);
        }
    }

    /// A new cycle begins: what is older than the last one is forgotten, unless this one has nothing to tell.
    pub(super) fn next_cycle(&mut self) {
        if self.current > 0 {
            *self = Self { current: 0, previous: self.current };
        }
    }

    /// Forgets all but this.
    pub(super) fn reset(&mut self, rate: u64) {
        *self = Self { current: rate, previous: 0 };
    }

    /// Bytes per second; 0 before the first sample.
    pub(super) fn get(&self) -> u64 {
        self.current.max(self.previous)
    }
}

/// The round-trip time without a queue, in nanoseconds: the smallest of this half of the window and the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Floor {
    current: u64,
    previous: u64,
    half_began: Instant,
    /// What the path was last seen to have when it was empty: being near it again and again must not move it.
    anchor: u64,
    seen_at: Instant,
}

impl Floor {
    pub(super) const fn new() -> Self {
        Self {
            current: u64::MAX,
            previous: u64::MAX,
            half_began: Instant::ZERO,
            anchor: u64::MAX,
            seen_at: Instant::ZERO,
        }
    }

    /// Takes a sample; whether it has seen the floor.
    pub(super) fn on_sample(&mut self, now: Instant, rtt: u64) -> bool {
        if now.nanos_since(self.half_began) > FLOOR_WINDOW / 2 {
            *self = Self { current: u64::MAX, previous: self.current, half_began: now, ..*self };
        }
        self.current = self.current.min(rtt);
        self.anchor = self.anchor.min(rtt);
        let seen = rtt <= self.anchor.saturating_add(NEAR_TIME.max(self.anchor / NEAR));
        if seen {
            self.seen_at = now;
        }
        seen
    }

    /// The path has been emptied, and this is what was seen.
    pub(super) fn replace(&mut self, now: Instant, rtt: u64) {
        *self = Self { current: rtt, previous: u64::MAX, half_began: now, anchor: rtt, seen_at: now };
    }

    /// Nanoseconds since it was last seen.
    pub(super) fn unseen_for(&self, now: Instant) -> u64 {
        if self.get().is_some() { now.nanos_since(self.seen_at) } else { 0 }
    }

    pub(super) fn get(&self) -> Option<u64> {
        let floor = self.current.min(self.previous);
        (floor != u64::MAX).then_some(floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn sample(rate: u64, app_limited: bool) -> RateSample {
        let (delivered, interval) = (rate, SECOND);
        RateSample { rate, delivered, interval, prior_delivered: 0, delivered_total: 0, app_limited }
    }

    #[test]
    fn bandwidth_is_the_highest_of_two_cycles() {
        let mut bandwidth = Bandwidth::default();
        bandwidth.on_sample(&sample(100, false));
        bandwidth.on_sample(&sample(80, true));
        assert_eq!(bandwidth.get(), 100);
        bandwidth.next_cycle();
        bandwidth.next_cycle();
        assert_eq!(bandwidth.get(), 100, "a cycle without a sample");
        bandwidth.on_sample(&sample(60, false));
        assert_eq!(bandwidth.get(), 100);
        bandwidth.next_cycle();
        assert_eq!(bandwidth.get(), 60);
        bandwidth.on_sample(&sample(70, true));
        assert_eq!(bandwidth.get(), 70, "the application shows that the path carries more");
        bandwidth.reset(5);
        assert_eq!(bandwidth.get(), 5);
    }

    #[test]
    fn the_floor_is_kept_for_half_a_window_to_a_whole_one() {
        let at = |ms| Instant::from_nanos(ms * SECOND / 1000);
        let mut floor = Floor::new();
        assert_eq!((floor.get(), floor.unseen_for(at(9_000))), (None, 0));
        let us = |us: u64| us * 1000;
        assert!(floor.on_sample(at(0), us(640_000)));
        assert!(floor.on_sample(at(10), us(650_000)) && !floor.on_sample(at(20), us(650_001)));
        assert_eq!(floor.unseen_for(at(30)), 20_000_000);
        floor.on_sample(at(5_001), us(649_000));
        floor.on_sample(at(10_001), us(649_000));
        assert_eq!(floor.get(), Some(us(640_000)));
        floor.on_sample(at(10_002), us(649_000));
        assert_eq!(floor.get(), Some(us(649_000)));
        assert!(!floor.on_sample(at(10_002), us(655_000)), "near the floor of the window, but not of the path");
        floor.replace(at(10_003), us(700_000));
        assert_eq!((floor.get(), floor.unseen_for(at(10_003))), (Some(us(700_000)), 0));
        assert!(floor.on_sample(at(10_004), us(50)) && floor.on_sample(at(10_005), us(1050)));
        assert!(!floor.on_sample(at(10_006), us(1051)));
        assert_eq!(floor.get(), Some(us(50)));
    }
}

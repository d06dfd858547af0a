//! Round-trip time estimation (RFC 9002 section 5, specification section 6.2).

use crate::time::Instant;

/// Timer granularity in nanoseconds (RFC 9002 section 6.1.2).
pub(super) const GRANULARITY: u64 = 1_000_000;
/// Half of the 10 minutes over which the minimum is taken.
const HALF_WINDOW: u64 = 300_000_000_000;

/// The estimator of one path; everything in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rtt {
    latest: u64,
    smoothed: u64,
    variation: u64,
    /// Minimum of the running half window and of the one before.
    minimum: [u64; 2],
    half_began: Instant,
    first_sample: Option<Instant>,
}

impl Rtt {
    /// Before the first sample the estimate is `initial` with half of it as variation (RFC 9002 section 5.3).
    pub(super) fn new(initial: u64) -> Self {
        Self {
            latest: initial,
            smoothed: initial,
            variation: initial / 2,
            minimum: [u64::MAX; 2],
            half_began: Instant::ZERO,
            first_sample: None,
        }
    }

    /// Takes the time between a packet and its acknowledgement, and how long the peer says it waited.
    pub(super) fn update(&mut self, now: Instant, sample: u64, ack_delay: u64) {
        self.latest = sample;
        self.update_minimum(now, sample);
        if self.first_sample.is_none() {
            self.first_sample = Some(now);
            self.smoothed = sample;
            self.variation = sample / 2;
            return;
        }
        // The peer's word counts only as far as it does not push the sample below the minimum.
        let adjusted = match sample.checked_sub(ack_delay) {
            Some(adjusted) if adjusted >= self.minimum() => adjusted,
            _ => sample,
        };
        let deviation = self.smoothed.abs_diff(adjusted);
        self.variation = weighted(self.variation, 3, deviation, 4);
        self.smoothed = weighted(self.smoothed, 7, adjusted, 8);
    }

    fn update_minimum(&mut self, now: Instant, sample: u64) {
        if self.first_sample.is_none() {
            self.half_began = now;
        }
        let age = now.nanos_since(self.half_began);
        if age >= HALF_WINDOW {
            let [current, _] = self.minimum;
            self.minimum = [u64::MAX, if age < 2 * HALF_WINDOW { current } else { u64::MAX }];
            self.half_began = now;
        }
        let [current, _] = &mut self.minimum;
        *current = sample.min(*current);
    }

    /// Persistent congestion makes the old minimum doubtful (RFC 9002 section 5.2).
    pub(super) fn forget_minimum(&mut self, now: Instant) {
        self.minimum = [self.latest, u64::MAX];
        self.half_began = now;
    }

    pub(super) fn latest(&self) -> u64 {
        self.latest
    }

    pub(super) fn smoothed(&self) -> u64 {
        self.smoothed
    }

    pub(super) fn variation(&self) -> u64 {
        self.variation
    }

    /// The smallest sample of the last 5 to 10 minutes; the smoothed value before the first sample.
    pub(super) fn minimum(&self) -> u64 {
        let [current, previous] = self.minimum;
        let minimum = current.min(previous);
        if minimum == u64::MAX { self.smoothed } else { minimum }
    }

    pub(super) fn first_sample(&self) -> Option<Instant> {
        self.first_sample
    }

    /// The probe timeout without backoff (RFC 9002 section 6.2.1).
    pub(super) fn pto(&self, max_ack_delay: u64) -> u64 {
        self.smoothed.saturating_add(self.variation.saturating_mul(4).max(GRANULARITY)).saturating_add(max_ack_delay)
    }

    /// What the time threshold for loss multiplies (RFC 9002 section 6.1.2).
    pub(super) fn conservative(&self) -> u64 {
        self.smoothed.max(self.latest)
    }
}

/// `(old * weight + new) / sum` without overflow.
fn weighted(old: u64, weight: u64, new: u64, sum: u64) -> u64 {
    ((u128::from(old) * u128::from(weight) + u128::from(new)) / u128::from(sum)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * MS)
    }

    #[test]
    fn first_sample_replaces_the_initial_guess() {
        let mut rtt = Rtt::new(333 * MS);
        assert_eq!((rtt.smoothed(), rtt.variation(), rtt.first_sample()), (333 * MS, 333 * MS / 2, None));
        assert_eq!(rtt.pto(0), 999 * MS);
        rtt.update(at(1), 40 * MS, 10 * MS);
        assert_eq!((rtt.smoothed(), rtt.variation(), rtt.minimum()), (40 * MS, 20 * MS, 40 * MS));
        assert_eq!(rtt.pto(25 * MS), 145 * MS);
    }

    #[test]
    fn smoothing_of_section_5_3() {
        let mut rtt = Rtt::new(333 * MS);
        rtt.update(at(1), 40 * MS, 0);
        // 64 ms with 8 ms of delay counts as 56: variation 3/4 * 20 + 1/4 * 16, smoothed 7/8 * 40 + 1/8 * 56.
        rtt.update(at(2), 64 * MS, 8 * MS);
        assert_eq!((rtt.latest(), rtt.variation(), rtt.smoothed()), (64 * MS, 19 * MS, 42 * MS));
    }

    #[test]
    fn a_lying_delay_cannot_go_below_the_minimum() {
        let mut rtt = Rtt::new(333 * MS);
        rtt.update(at(1), 40 * MS, 0);
        for delay in [20 * MS, 60 * MS, u64::MAX] {
            let before = rtt;
            rtt.update(at(2), 48 * MS, delay);
            assert_eq!(rtt.smoothed(), weighted(before.smoothed(), 7, 48 * MS, 8));
            assert!(rtt.smoothed() >= rtt.minimum());
        }
    }

    #[test]
    fn the_minimum_ages_out() {
        let mut rtt = Rtt::new(333 * MS);
        rtt.update(at(0), 10 * MS, 0);
        rtt.update(at(299_000), 30 * MS, 0);
        rtt.update(at(301_000), 30 * MS, 0);
        assert_eq!(rtt.minimum(), 10 * MS);
        rtt.update(at(602_000), 30 * MS, 0);
        assert_eq!(rtt.minimum(), 30 * MS);
        rtt.update(at(3_000_000), 50 * MS, 0);
        assert_eq!(rtt.minimum(), 50 * MS);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut rtt = Rtt::new(u64::MAX);
        rtt.update(at(1), u64::MAX, u64::MAX);
        rtt.update(Instant::MAX, 0, u64::MAX);
        assert!(rtt.pto(u64::MAX) >= rtt.smoothed());
    }
}

//! Token buckets: how work for others is bounded (specification section 7).

use crate::time::Instant;

/// Allows `rate` events per second on average and `burst` at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Nanoseconds' worth of credit; one event costs `cost`.
    credit: u64,
    cost: u64,
    burst: u64,
    filled: Instant,
}

impl Bucket {
    pub(crate) fn new(now: Instant, rate: u32, burst: u32) -> Self {
        let cost = 1_000_000_000 / u64::from(rate.max(1));
        let burst = cost.saturating_mul(u64::from(burst));
        Self { credit: burst, cost, burst, filled: now }
    }

    fn fill(&mut self, now: Instant) {
        self.credit = self.credit.saturating_add(now.nanos_since(self.filled)).min(self.burst);
        self.filled = self.filled.max(now);
    }

    /// When [`take`](Self::take) will succeed if nothing is taken before; `now` if it would at once.
    pub(crate) fn ready_at(&mut self, now: Instant) -> Instant {
        self.fill(now);
        now.plus_nanos(self.cost.saturating_sub(self.credit))
    }

    /// Whether less than half of the burst was left when it was last asked for.
    pub(crate) fn is_low(&self) -> bool {
        self.credit < self.burst / 2
    }

    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        match self.credit.checked_sub(self.cost) {
            Some(rest) => {
                self.credit = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::from_nanos(7);
        let mut bucket = Bucket::new(start, 10, 3);
        assert_eq!((0..5).filter(|_| bucket.take(start)).count(), 3);
        assert!(!bucket.take(start.plus_nanos(99_999_999)));
        assert_eq!(bucket.ready_at(start.plus_nanos(99_999_999)), start.plus_nanos(100_000_000));
        assert_eq!(bucket.ready_at(start.plus_nanos(100_000_000)), start.plus_nanos(100_000_000));
        assert!(bucket.is_low());
        assert!(bucket.take(start.plus_nanos(100_000_000)));
        assert!(!bucket.take(start));
        assert!(bucket.ready_at(start.plus_nanos(300_000_000)) > Instant::ZERO && !bucket.is_low());
        let late = start.plus_nanos(1_000_000_000_000);
        assert_eq!((0..5).filter(|_| bucket.take(late)).count(), 3);
    }
}

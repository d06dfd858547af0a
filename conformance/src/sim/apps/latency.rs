//! Latency figures.

use std::fmt;
use std::time::Duration;

/// Collects durations and tells their percentiles.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn add(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    /// Adds all of another collection, for example of another seed.
    pub fn merge(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// All of them, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = Duration> + '_ {
        self.0.iter().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The smallest one that is not below `percent` percent of all: 50 is the median, 100 the maximum. Zero if empty.
    pub fn percentile(&self, percent: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        nearest_rank(&sorted, percent)
    }
}

/// The first of these values, in ascending order, that is not below `percent` percent of them; the default if there is
/// none.
pub(crate) fn nearest_rank<T: Copy + Default>(sorted: &[T], percent: f64) -> T {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or_default()
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p90, p99, max] = [50.0, 90.0, 99.0, 100.0].map(|percent| self.percentile(percent));
        write!(f, "{} values, p50 {p50:.1?}, p90 {p90:.1?}, p99 {p99:.1?}, max {max:.1?}", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_by_nearest_rank() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.percentile(99.0), Duration::ZERO);
        (1..=200).rev().for_each(|ms| latencies.add(Duration::from_millis(ms)));
        let ms = |percent| latencies.percentile(percent).as_millis();
        assert_eq!([ms(0.0), ms(50.0), ms(99.0), ms(99.1), ms(100.0)], [1, 100, 198, 199, 200]);
        assert_eq!(latencies.to_string(), "200 values, p50 100.0ms, p90 180.0ms, p99 198.0ms, max 200.0ms");
    }
}

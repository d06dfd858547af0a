//! Percentiles.

use std::time::Duration;

use crate::term::duration;

/// Times that were measured.
#[derive(Debug, Default)]
pub(crate) struct Times {
    times: Vec<Duration>,
}

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.times.push(time);
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    pub(crate) fn sum(&self) -> Option<Summary> {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let seconds = |time: &Duration| time.as_secs_f64();
        let mean = sorted.iter().map(seconds).sum::<f64>() / sorted.len() as f64;
        let variance = sorted.iter().map(|time| (seconds(time) - mean).powi(2)).sum::<f64>() / sorted.len() as f64;
        // The nearest rank: the smallest time that at least this share of all does not exceed.
        let rank = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100) - 1];
        let (mean, deviation) = (Duration::from_secs_f64(mean), Duration::from_secs_f64(variance.sqrt()));
        Some(Summary { min, p50: rank(50), p99: rank(99), max, mean, deviation })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) min: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
    pub(crate) mean: Duration,
    pub(crate) deviation: Duration,
}

impl Summary {
    /// p50, p99 and max as text.
    pub(crate) fn high(&self) -> [String; 3] {
        [self.p50, self.p99, self.max].map(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank() {
        let mut times = Times::default();
        assert!(times.sum().is_none());
        (1..=100).rev().for_each(|ms| times.add(Duration::from_millis(ms)));
        let sum = times.sum().expect("not empty");
        assert_eq!([sum.min, sum.p50, sum.p99, sum.max].map(|time| time.as_millis()), [1, 50, 99, 100]);
        assert_eq!(sum.mean.as_micros(), 50_500);
    }
}

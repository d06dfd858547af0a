//! The clock of an endpoint on std: nanoseconds since the driver was made.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Config, Instant};

/// Reads the monotonic clock as the core's [`Instant`]s, counted from the moment it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    /// A clock whose origin is now.
    #[allow(clippy::new_without_default, reason = "reading a clock is not a default value")]
    #[allow(clippy::disallowed_methods, reason = "the driver is where time enters; the core never reads a clock")]
    pub fn new() -> Self {
        Self { origin: std::time::Instant::now() }
    }

    /// The present.
    pub fn now(&self) -> Instant {
        Instant::from_nanos(crate::time::nanos(self.origin.elapsed()))
    }

    /// A moment of the system's clock; zero if it was before the origin.
    pub fn at(&self, moment: std::time::Instant) -> Instant {
        Instant::from_nanos(crate::time::nanos(moment.saturating_duration_since(self.origin)))
    }

    /// `at` as the system's own instant, for a runtime's timer.
    pub fn to_std(&self, at: Instant) -> std::time::Instant {
        self.origin + at.saturating_since(Instant::ZERO)
    }

    /// Sets [`unix_time_at_origin`](crate::ConfigBuilder::unix_time_at_origin) from the system's clock if it is 0.
    pub fn complete(&self, mut config: Config) -> Config {
        if config.unix_time_at_origin == 0 {
            config.unix_time_at_origin = self.unix_time_at_origin();
        }
        config
    }

    /// Unix time in seconds at the origin. Zero if the system's clock stands before 1970.
    #[allow(clippy::disallowed_methods, reason = "the driver is where time enters; the core never reads a clock")]
    fn unix_time_at_origin(&self) -> u64 {
        let since_origin = self.origin.elapsed();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        wall.saturating_sub(since_origin).as_secs()
    }
}

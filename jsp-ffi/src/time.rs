//! Durations as C sees them.

use std::time::Duration;

/// Whole nanoseconds; what does not fit is the most that does.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

//! The bounds of this layer, and the two rates that guard against churn (specification section 7, rows 23 to 32, 49
//! to 51).

use core::time::Duration;

use crate::config::{Policy, Rates, bounds};
use crate::time::{Instant, nanos};
use crate::wire::{StreamKind, StreamType};

/// What this side grants to the peer and allows itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Window of the whole connection at the start, bytes.
    pub(crate) max_data: u64,
    /// Window of each stream at the start, bytes.
    pub(crate) max_stream_data: u64,
    /// How many streams of each type the peer may have open. None of blocks if they could not be expanded.
    pub(crate) max_streams: u64,
    /// Largest message accepted, bytes.
    pub(crate) max_message_size: u64,
    /// Compressed messages are accepted.
    pub(crate) unpacks: bool,
    /// How far auto-tuning may raise the window of a stream, bytes.
    pub(crate) max_stream_window: u64,
    /// How far auto-tuning may raise the window of the connection, bytes.
    pub(crate) max_window: u64,
    /// Bytes accepted for sending over all streams.
    pub(crate) send_buffer: u64,
    /// Bytes accepted for sending per stream.
    pub(crate) stream_send_buffer: u64,
    /// How long a best-effort message may wait for its first byte to be sent.
    pub(crate) max_queue_age: Duration,
    /// How many best-effort messages of one stream may wait.
    pub(crate) best_effort_queue: usize,
    /// How many tracked messages may await their outcome or its delivery.
    pub(crate) event_bound: usize,
    /// What streams do that have no setting of their own.
    pub(crate) policy: Policy,
    /// How fast the peer may send.
    pub(crate) rates: Rates,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_data: 64 << 10,
            max_stream_data: 64 << 10,
            max_streams: bounds::STREAMS_PER_TYPE,
            max_message_size: 64 << 10,
            unpacks: false,
            max_stream_window: bounds::MAX_STREAM_RECEIVE_WINDOW,
            max_window: bounds::MAX_RECEIVE_WINDOW,
            send_buffer: bounds::SEND_BUFFER,
            stream_send_buffer: bounds::STREAM_SEND_BUFFER,
            max_queue_age: bounds::BEST_EFFORT_QUEUE_AGE,
            best_effort_queue: 1024,
            event_bound: 1024,
            policy: Policy::default(),
            rates: Rates::default(),
        }
    }
}

/// Of the [`Limits`], those that streams still meet when the connection has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lasting {
    pub(super) max_stream_data: u64,
    pub(super) max_stream_window: u64,
    pub(super) max_message_size: u64,
    pub(super) stream_send_buffer: u64,
    max_streams: u64,
    pub(super) unpacks: bool,
}

impl Lasting {
    pub(super) const fn of(limits: &Limits) -> Self {
        Self {
            max_stream_data: limits.max_stream_data,
            max_stream_window: limits.max_stream_window,
            max_message_size: limits.max_message_size,
            stream_send_buffer: limits.stream_send_buffer,
            max_streams: limits.max_streams,
            unpacks: limits.unpacks,
        }
    }

    /// How many streams of a type the peer may have open.
    pub(super) fn max_streams(&self, ty: StreamType) -> u64 {
        // Only a receiver that expands blocks takes streams of them.
        if ty.kind() == StreamKind::Blocks && !self.unpacks { 0 } else { self.max_streams }
    }
}

/// Each accepted message is charged this much on top of its bytes, so that tiny messages cannot grow the queue
/// without bound.
pub(super) const MESSAGE_OVERHEAD: u64 = 32;
/// Gaps a stream may have whatever its window.
pub(super) const MAX_GAPS: u64 = 256;
/// Bytes of window that pay for one gap or one partial message.
pub(super) const BYTES_PER_GAP: u64 = 1200;
/// Partial messages a connection may always have.
pub(super) const MIN_PARTIAL: u64 = 64;
/// Message marks a stream may always have, and the bytes of window that pay for one more.
pub(super) const MIN_MARKS: u64 = 1024;
pub(super) const BYTES_PER_MARK: u64 = 8;
/// Unacknowledged gaps after which a sender of unreliable messages says SKIP.
pub(super) const SKIP_GAPS: u32 = 32;
/// Packets refused within a second before the connection ends.
const MAX_REFUSED: u32 = 1024;

/// A token bucket that may go into debt, so that being far over the rate can be told from being a little over it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    level: i64,
    burst: i64,
    nanos_per_token: u64,
    updated: Instant,
}

impl Bucket {
    pub(super) const fn new(per_second: u64, burst: i64) -> Self {
        Self { level: burst, burst, nanos_per_token: 1_000_000_000 / per_second, updated: Instant::ZERO }
    }

    fn refill(&mut self, now: Instant) {
        let tokens = now.nanos_since(self.updated) / self.nanos_per_token;
        if tokens > 0 {
            self.level = self.level.saturating_add_unsigned(tokens).min(self.burst);
            self.updated = self.updated.plus_nanos(tokens.saturating_mul(self.nanos_per_token));
        }
    }

    /// Takes a token; false if that made or deepened a debt.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.level = self.level.saturating_sub(1);
        self.level >= 0
    }

    /// Takes a token only if there is one.
    pub(super) fn try_take(&mut self, now: Instant) -> bool {
        self.refill(now);
        if self.level <= 0 {
            return false;
        }
        self.level -= 1;
        true
    }

    /// Ten bursts in debt.
    pub(super) fn far_over(&self) -> bool {
        self.level < -10 * self.burst
    }

    /// When the next token arrives after an empty bucket.
    pub(super) fn next(&self) -> Instant {
        self.updated.plus_nanos(self.nanos_per_token.saturating_mul(1 + self.level.min(0).unsigned_abs()))
    }
}

/// Counts refused packets per second (rows 25 to 27).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Refusals {
    since: Instant,
    count: u32,
}

impl Refusals {
    /// Counts one; true if that is one too many.
    pub(super) fn add(&mut self, now: Instant) -> bool {
        if now.nanos_since(self.since) >= nanos(Duration::from_secs(1)) {
            *self = Self { since: now, count: 0 };
        }
        self.count += 1;
        self.count > MAX_REFUSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_refills_and_remembers_debt() {
        let mut bucket = Bucket::new(100, 2);
        let start = Instant::from_nanos(1_000_000_000);
        assert!(bucket.take(start) && bucket.take(start) && !bucket.take(start));
        assert!(!bucket.try_take(start));
        let later = start + Duration::from_millis(20);
        assert!(bucket.try_take(later));
        for _ in 0..20 {
            assert!(!bucket.take(later));
        }
        assert!(!bucket.far_over());
        bucket.take(later);
        assert!(bucket.far_over());
        assert!(bucket.next() > later);
    }

    #[test]
    fn refusals_are_counted_per_second() {
        let mut refusals = Refusals::default();
        let start = Instant::from_nanos(5);
        for _ in 0..MAX_REFUSED {
            assert!(!refusals.add(start));
        }
        assert!(refusals.add(start));
        assert!(!refusals.add(start + Duration::from_secs(1)));
    }
}

//! How much a peer may send on one connection.

use core::ops::RangeInclusive;

use super::{ConfigBuilder, ConfigError, check};

/// So much per second on average, and so much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) per_second: u64,
    pub(crate) burst: u64,
}

/// What every peer is held to, on each of its connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    pub(crate) bytes: Option<Rate>,
    pub(crate) messages: Option<Rate>,
}

const BYTES: RangeInclusive<u64> = 1000..=1 << 40;
const MESSAGES: RangeInclusive<u64> = 1..=1_000_000;

impl Rates {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let within = |rate: Option<Rate>, bounds: RangeInclusive<u64>| {
            rate.is_none_or(|rate| bounds.contains(&rate.per_second) && rate.burst <= *bounds.end())
        };
        check(within(self.bytes, BYTES), "rate_limit_bytes is 1000 to 2^40 bytes per second, burst at most 2^40")?;
        check(within(self.messages, MESSAGES), "rate_limit_messages is 1 to 1,000,000 per second, as is its burst")
    }
}

impl ConfigBuilder {
    /// Holds each peer to `bytes_per_second` of stream data on a connection, 1000 to 2^40, on average, and `burst` at
    /// once, at most 2^40. Default: no limit.
    ///
    /// The limit is credit: [`receive_window`](Self::receive_window) is what a peer may send at first, and it gets more
    /// no faster than this. It waits; nothing is lost of what is reliable. A sender of best-effort messages finds itself
    /// without credit, and what it cannot send within its [`max_queue_age`](Self::max_queue_age) expires there. A peer
    /// that does not keep to its credit is closed with FLOW_CONTROL.
    ///
    /// A burst below the connection's `receive_window` counts as that. The receive window does not grow beyond the burst,
    /// so that a connection reaches its rate only if the burst is at least what it carries in a round trip. Bytes count
    /// as they arrive, compressed ones before they are expanded; repetitions and headers do not count.
    pub fn rate_limit_bytes(mut self, bytes_per_second: u64, burst: u64) -> Self {
        self.config.transport.rates.bytes = Some(Rate { per_second: bytes_per_second, burst });
        self
    }

    /// Gives the program of each connection at most `messages_per_second` received messages, 1 to 1,000,000, on average,
    /// and `burst` at once, at most 1,000,000; over all its streams of messages, in turn. Default: no limit.
    ///
    /// Messages beyond wait unread: reading says that there is nothing yet, and
    /// [`Event::StreamReadable`](crate::Event::StreamReadable) follows when the next may be read. As long as they wait
    /// the peer gets no credit for them, so that the [`receive_window`](Self::receive_window) bounds how many there are,
    /// and a sender of best-effort messages finds itself without credit: what it cannot send within its
    /// [`max_queue_age`](Self::max_queue_age) expires there. When a connection is over, what it still holds is given
    /// without a limit.
    ///
    /// A burst that the rate would fill in less than 10 ms counts as 10 ms of it.
    pub fn rate_limit_messages(mut self, messages_per_second: u32, burst: u32) -> Self {
        let rate = Rate { per_second: messages_per_second.into(), burst: burst.into() };
        self.config.transport.rates.messages = Some(rate);
        self
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn rates_have_bounds() {
        assert!(Config::builder().rate_limit_bytes(1000, 0).rate_limit_messages(1, 0).build().is_ok());
        for (rate, burst) in [(999, 0), ((1 << 40) + 1, 0), (1000, (1 << 40) + 1)] {
            let error = Config::builder().rate_limit_bytes(rate, burst).build().expect_err("out of bounds");
            assert!(alloc::format!("{error}").contains("rate_limit_bytes"));
        }
        for (rate, burst) in [(0, 1), (1_000_001, 0), (1, 1_000_001)] {
            let error = Config::builder().rate_limit_messages(rate, burst).build().expect_err("out of bounds");
            assert!(alloc::format!("{error}").contains("rate_limit_messages"));
        }
    }
}

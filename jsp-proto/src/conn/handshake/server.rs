//! A server connection until it is confirmed: the answer it repeats when the client asks again
//! (specification section 2.10).

use alloc::vec::Vec;

use crate::config::bounds;
use crate::time::Instant;

/// Answers are repeated at most once in this many nanoseconds.
const REPEAT_NS: u64 = 50_000_000;

/// The cached answer of a half-open connection.
#[derive(Debug)]
pub(crate) struct ServerHandshake {
    datagrams: Vec<Vec<u8>>,
    next: usize,
    last_repeat: Instant,
    pub(crate) deadline: Instant,
}

impl ServerHandshake {
    pub(crate) fn new(now: Instant, datagrams: Vec<Vec<u8>>) -> Self {
        Self { datagrams, next: 0, last_repeat: now, deadline: now + bounds::HALF_OPEN_LIFETIME }
    }

    /// The client repeated itself or a probe timeout passed: the answer may have been lost.
    pub(crate) fn repeat(&mut self, now: Instant) {
        if self.next >= self.datagrams.len() && now.nanos_since(self.last_repeat) >= REPEAT_NS {
            self.next = 0;
            self.last_repeat = now;
        }
    }

    pub(crate) fn next(&self) -> Option<&[u8]> {
        self.datagrams.get(self.next).map(Vec::as_slice)
    }

    pub(crate) fn sent(&mut self) {
        self.next += 1;
    }
}

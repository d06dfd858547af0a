//! What the sending halves of a connection share: buffer, credit, and the outcomes of tracked messages.

use alloc::collections::VecDeque;

use crate::stream::api::{MessageId, Outcome};
use crate::wire::StreamId;

/// The sending account of the connection.
pub(in crate::stream) struct SendPool {
    /// Bytes accepted and not yet given back, with the overhead of messages.
    pub(in crate::stream) buffered: u64,
    /// Bound of `buffered`.
    pub(in crate::stream) bound: u64,
    /// Bytes sent for the first time, or reserved for messages begun.
    pub(in crate::stream) credit_used: u64,
    /// The peer's MAX_DATA.
    pub(in crate::stream) credit_limit: u64,
    /// The window the peer started with: a measure of when dead bytes are worth a SKIP.
    pub(in crate::stream) stream_window: u64,
    /// Largest message the peer accepts.
    pub(in crate::stream) max_message: u64,
    /// The peer accepts compressed messages.
    pub(in crate::stream) peer_unpacks: bool,
    /// How long a best-effort message may wait, nanoseconds.
    pub(in crate::stream) max_queue_age: u64,
    /// How many best-effort messages may wait in one stream.
    pub(in crate::stream) best_effort_queue: usize,
    pub(in crate::stream) outcomes: Outcomes,
}

impl SendPool {
    pub(in crate::stream) fn credit(&self) -> u64 {
        self.credit_limit.saturating_sub(self.credit_used)
    }

    /// Half of the buffer is free, and tracked messages may be sent.
    pub(in crate::stream) fn is_relaxed(&self) -> bool {
        self.buffered.saturating_mul(2) <= self.bound && !self.outcomes.is_full()
    }

    pub(in crate::stream) fn room(&self) -> u64 {
        self.bound.saturating_sub(self.buffered)
    }
}

/// Tracked messages: how many are out, and the outcomes that wait to be told.
pub(in crate::stream) struct Outcomes {
    queue: VecDeque<(StreamId, MessageId, Outcome)>,
    /// Tracked messages without an outcome, plus `queue`.
    open: usize,
    bound: usize,
}

impl Outcomes {
    pub(in crate::stream) fn new(bound: usize) -> Self {
        Self { queue: VecDeque::new(), open: 0, bound }
    }

    pub(in crate::stream) fn is_full(&self) -> bool {
        self.open >= self.bound
    }

    pub(in crate::stream) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// A tracked message was accepted.
    pub(in crate::stream) fn expect(&mut self) {
        self.open += 1;
    }

    pub(in crate::stream) fn push(&mut self, sid: StreamId, id: MessageId, outcome: Outcome) {
        self.queue.push_back((sid, id, outcome));
    }

    pub(in crate::stream) fn pop(&mut self) -> Option<(StreamId, MessageId, Outcome)> {
        let next = self.queue.pop_front()?;
        self.open = self.open.saturating_sub(1);
        Some(next)
    }
}

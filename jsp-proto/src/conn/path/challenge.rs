//! Asking whether the peer receives over a path (specification sections 6.5 and 13.24).

use core::time::Duration;

use crate::config::bounds;
use crate::time::Instant;

/// A question under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Challenge {
    data: [u8; 8],
    /// Times it was sent.
    tries: u8,
    /// To be sent now.
    pending: bool,
    /// When the next try is due, or the last one has failed.
    next_at: Option<Instant>,
    /// Whether a datagram that every path has to carry was sent.
    padded: bool,
}

impl Challenge {
    /// A question with unpredictable `data`.
    pub(super) fn new(data: [u8; 8]) -> Self {
        Self { data, tries: 0, pending: true, next_at: None, padded: false }
    }

    /// What to send now.
    pub(super) fn pending(&self) -> Option<[u8; 8]> {
        self.pending.then_some(self.data)
    }

    pub(super) fn on_sent(&mut self, now: Instant, patience: Duration, padded: bool) {
        self.pending = false;
        self.tries += 1;
        self.padded |= padded;
        self.next_at = Some(now + patience);
    }

    pub(super) fn is_answered_by(&self, data: [u8; 8]) -> bool {
        self.tries > 0 && self.data == data
    }

    /// Whether an answer proves that the path carries datagrams of the least size.
    pub(super) fn is_padded(&self) -> bool {
        self.padded
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next_at
    }

    /// Asks again if it is time; whether the path has failed instead.
    pub(super) fn on_timeout(&mut self, now: Instant) -> bool {
        if self.next_at.is_none_or(|at| now < at) {
            return false;
        }
        self.next_at = None;
        self.pending = self.tries < bounds::PATH_CHALLENGES;
        !self.pending
    }
}

//! The end of a connection that the peer has lost (specification section 3.8).

use super::Connection;
use crate::event::ConnectionError;
use crate::time::Instant;
use crate::wire::reset::{MIN_RESET, TOKEN_LEN};

impl Connection {
    /// The token with which the peer can end the connection, that of its id in use; `None` while it has given none, and
    /// once it is over.
    pub(crate) fn reset_token(&self) -> Option<&[u8; TOKEN_LEN]> {
        let id = self.paths.in_use().cid.filter(|_| self.life.is_live())?;
        self.cids.remote.reset_token(&id)
    }

    /// Bytes of the shortest datagram that asks for an answer: a shorter one would get no reset for an answer.
    pub(super) fn least_eliciting(&self) -> usize {
        if self.reset_token().is_some() { MIN_RESET + 1 } else { 0 }
    }

    /// The peer has shown that token. Nothing is sent: nobody is there who could read it.
    pub(crate) fn on_reset(&mut self, now: Instant) {
        self.end(now, ConnectionError::Reset);
    }
}

//! Address tokens for later connections: the one that a server hands out and sends until it has arrived, and those that
//! a client keeps for its program (specification section 2.9). What is in them only the endpoint knows.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use super::Connection;
use crate::config::bounds;
use crate::event::Event;
use crate::wire::Side;
use crate::wire::cursor::Writer;
use crate::wire::frame::Frame;

/// The tokens of one connection.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// Server: the endpoint should make one.
    wanted: bool,
    /// Server: the token that the client is to have; empty once it has it.
    issued: Box<[u8]>,
    /// Which one that is: a later one takes the place of an earlier.
    number: u32,
    pending: bool,
    /// Client: what the program has not taken, the oldest first.
    stored: VecDeque<Box<[u8]>>,
    /// Client: what it took last. A copy that was sent in vain is no second token.
    taken: Box<[u8]>,
}

impl Tokens {
    fn issue(&mut self, token: &[u8]) {
        self.wanted = false;
        self.issued = Box::from(token);
        self.number = self.number.wrapping_add(1);
        self.pending = true;
    }

    pub(super) fn wants_to_send(&self) -> bool {
        self.pending
    }

    /// Writes what is pending and fits, and gives its number.
    pub(super) fn write(&mut self, w: &mut Writer<'_>) -> Option<u32> {
        if !self.pending || Frame::NewToken(&self.issued).encode(w).is_err() {
            return None;
        }
        self.pending = false;
        Some(self.number)
    }

    pub(super) fn on_acked(&mut self, number: u32) {
        if number == self.number {
            self.pending = false;
            self.issued = Box::default();
        }
    }

    pub(super) fn on_lost(&mut self, number: u32) {
        if number == self.number && !self.issued.is_empty() {
            self.pending = true;
        }
    }

    /// Client: keeps a token. Whether there was none before.
    fn store(&mut self, token: &[u8]) -> bool {
        if *self.taken == *token || self.stored.iter().any(|stored| **stored == *token) {
            return false;
        }
        if self.stored.len() >= bounds::TOKENS_KEPT {
            self.stored.pop_front();
        }
        self.stored.push_back(Box::from(token));
        self.stored.len() == 1
    }

    fn take(&mut self) -> Option<Box<[u8]>> {
        let token = self.stored.pop_back()?;
        self.taken = token.clone();
        Some(token)
    }
}

impl Connection {
    /// Server: the client should get a token for its present address, the first one or a fresh one.
    pub(super) fn request_token(&mut self) {
        self.control.tokens.wanted = self.side == Side::Server && self.config.tokens.hand_out;
    }

    /// Whether the endpoint should make a token for the client's address and [issue](Self::issue_token) it.
    pub(crate) fn wants_token(&self) -> bool {
        self.control.tokens.wanted && self.life.is_live()
    }

    /// Sends the client this token, of 1 to 64 bytes, in place of one that has not arrived yet.
    pub(crate) fn issue_token(&mut self, token: &[u8]) {
        self.control.tokens.issue(token);
    }

    /// Client: the server has sent a token.
    pub(super) fn on_token(&mut self, token: &[u8]) {
        if self.control.tokens.store(token) {
            self.tell_tokens();
        }
    }

    /// Client: tells the program of tokens, but not before [`Event::Connected`].
    pub(super) fn tell_tokens(&mut self) {
        if !self.control.tokens.stored.is_empty() && self.params_due.is_none() {
            self.tell_once(Event::NewToken);
        }
    }

    /// Client: the newest token that was not taken yet.
    pub(crate) fn take_token(&mut self) -> Option<Box<[u8]>> {
        self.control.tokens.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(tokens: &mut Tokens) -> Option<u32> {
        tokens.write(&mut Writer::new(&mut [0; 100]))
    }

    #[test]
    fn a_token_is_sent_until_it_has_arrived_or_a_later_one_replaces_it() {
        let mut tokens = Tokens::default();
        assert_eq!((tokens.wants_to_send(), write(&mut tokens)), (false, None));
        tokens.issue(b"first");
        assert_eq!(tokens.write(&mut Writer::new(&mut [0; 5])), None, "no room");
        let first = write(&mut tokens).expect("pending");
        assert!(!tokens.wants_to_send());
        tokens.on_lost(first);
        assert_eq!(write(&mut tokens), Some(first));
        tokens.issue(b"second");
        let second = write(&mut tokens).expect("pending");
        tokens.on_lost(first);
        tokens.on_acked(first);
        assert!(!tokens.wants_to_send(), "nobody cares about the first any more");
        tokens.on_lost(second);
        assert_eq!(write(&mut tokens), Some(second));
        tokens.on_acked(second);
        tokens.on_lost(second);
        assert!(!tokens.wants_to_send() && tokens.issued.is_empty());
    }

    #[test]
    fn a_client_keeps_the_newest_four_and_no_copies() {
        let mut tokens = Tokens::default();
        let news = |tokens: &mut Tokens, numbers: core::ops::Range<u8>| {
            numbers.filter(|number| tokens.store(&[*number; 9])).collect::<alloc::vec::Vec<_>>()
        };
        assert_eq!(news(&mut tokens, 0..100), [0], "one event for all that nobody takes");
        assert!(news(&mut tokens, 96..100).is_empty());
        assert_eq!(tokens.stored.len(), 4);
        assert_eq!(tokens.take().as_deref(), Some(&[99; 9][..]));
        assert!(!tokens.store(&[99; 9]), "a copy of what was taken");
        assert_eq!(
            core::iter::from_fn(|| tokens.take().map(|token| token[0])).collect::<alloc::vec::Vec<_>>(),
            [98, 97, 96]
        );
        assert_eq!(news(&mut tokens, 100..101), [100]);
    }
}

//! The way to the peer: addresses, what may be sent before the address is proven, and the answer to path challenges
//! (specification sections 2.11 and 6.5). Owns no timers and no congestion state.

use core::net::SocketAddr;

use crate::config::bounds;
use crate::wire::cursor::Writer;
use crate::wire::frame::Frame;

/// The two addresses between which datagrams travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// This side's address, where the program knows it; it is handed back with every datagram to send.
    pub local: Option<SocketAddr>,
    /// The peer's address.
    pub remote: SocketAddr,
}

impl Path {
    /// A path to `remote` from wherever the socket is bound.
    pub const fn to(remote: SocketAddr) -> Self {
        Self { local: None, remote }
    }
}

/// How much proof there is that the peer receives at its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Validation {
    /// None: three times the received bytes may be sent.
    None,
    /// A token: a fixed number of datagrams may be sent until the handshake is confirmed.
    Token { datagrams_left: u64 },
    /// A packet that only the peer at this address could have made.
    Full,
}

/// The state of the one path a connection uses.
pub(crate) struct PathState {
    pub(crate) path: Path,
    validation: Validation,
    received: u64,
    sent: u64,
    response: Option<[u8; 8]>,
}

impl PathState {
    /// A client's path: the client chose the address, so nothing limits it.
    pub(crate) fn chosen(path: Path) -> Self {
        Self { path, validation: Validation::Full, received: 0, sent: 0, response: None }
    }

    /// A server's path to a client whose first message had `received` bytes in `datagrams` datagrams.
    pub(crate) fn unproven(path: Path, received: u64, datagrams: u64, token: bool) -> Self {
        let validation = if token {
            Validation::Token { datagrams_left: bounds::UNCONFIRMED_DATAGRAMS + datagrams }
        } else {
            Validation::None
        };
        Self { path, validation, received, sent: 0, response: None }
    }

    /// An authentic datagram came in over this path.
    pub(crate) fn on_received(&mut self, bytes: u64) {
        self.received += bytes;
        if let Validation::Token { datagrams_left } = &mut self.validation {
            *datagrams_left += 1;
        }
    }

    pub(crate) fn on_sent(&mut self, bytes: u64) {
        self.sent += bytes;
        if let Validation::Token { datagrams_left } = &mut self.validation {
            *datagrams_left = datagrams_left.saturating_sub(1);
        }
    }

    pub(crate) fn validate(&mut self) {
        self.validation = Validation::Full;
    }

    /// Whether a datagram of `bytes` may be sent now.
    pub(crate) fn allows(&self, bytes: u64) -> bool {
        match self.validation {
            Validation::Full => true,
            Validation::Token { datagrams_left } => datagrams_left > 0,
            Validation::None => self.sent + bytes <= bounds::AMPLIFICATION * self.received,
        }
    }

    /// Whether only one datagram at a time may be built, because each counts against a limit.
    pub(crate) fn is_limited(&self) -> bool {
        self.validation != Validation::Full
    }

    pub(crate) fn on_challenge(&mut self, data: [u8; 8]) {
        // One slot: a peer that sends many challenges gets an answer to the latest.
        self.response = Some(data);
    }

    pub(crate) fn wants_to_send(&self) -> bool {
        self.response.is_some()
    }

    /// Writes the pending PATH_RESPONSE; whether it did.
    pub(crate) fn write(&mut self, w: &mut Writer<'_>) -> bool {
        let Some(data) = self.response else { return false };
        let fits = Frame::PathResponse(data).encode(w).is_ok();
        if fits {
            self.response = None;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> Path {
        Path::to(SocketAddr::from(([192, 0, 2, 1], 9)))
    }

    #[test]
    fn an_unproven_address_gets_three_times_what_it_sent() {
        let mut state = PathState::unproven(path(), 1000, 1, false);
        assert!(state.allows(3000));
        assert!(!state.allows(3001));
        state.on_sent(2500);
        assert!(!state.allows(501));
        state.on_received(10);
        assert!(state.allows(530));
        state.validate();
        assert!(state.allows(u64::MAX));
    }

    #[test]
    fn a_token_allows_a_fixed_number_of_datagrams() {
        let mut state = PathState::unproven(path(), 1000, 0, true);
        for _ in 0..10 {
            assert!(state.allows(65_000));
            state.on_sent(65_000);
        }
        assert!(!state.allows(1));
        state.on_received(1);
        assert!(state.allows(1200));
    }
}

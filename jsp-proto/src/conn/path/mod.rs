//! The ways to the peer: addresses, what may be sent before an address is proven, and how it is proven (specification
//! sections 2.11 and 6.5). Knows no congestion control beyond what a path keeps for later.

mod challenge;
mod set;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use core::net::SocketAddr;

use challenge::Challenge;
pub(super) use set::{Paths, Place, Proof};

use super::cids::RemoteCid;
use crate::config::bounds;
use crate::recovery::PathModel;

/// Bytes of a datagram that every path has to carry: questions and answers about a path are as long, where the allowance
/// permits.
pub(super) const FULL: usize = 1200;

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

    /// Whether both may be one path: an unknown address of this side is like any.
    fn matches(&self, other: &Self) -> bool {
        self.remote == other.remote && (self.local == other.local || self.local.is_none() || other.local.is_none())
    }
}

/// How much may be sent to the peer's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allowance {
    /// Three times the received bytes: nothing proves that the peer receives there.
    Received,
    /// A token does: so many datagrams until the handshake is confirmed.
    Token { datagrams_left: u64 },
    /// This side chose the address, or only the peer at this address can have made a packet that came.
    Any,
}

/// One way to the peer.
pub(super) struct PathState {
    pub(super) path: Path,
    /// The id under which the peer is addressed; `None` while nothing but answers goes over this path.
    pub(super) cid: Option<RemoteCid>,
    allowance: Allowance,
    received: u64,
    sent: u64,
    /// The peer has answered a challenge over this path, or the handshake went over it.
    proven: bool,
    challenge: Option<Challenge>,
    /// The answer that is owed to the peer's challenge.
    response: Option<[u8; 8]>,
    /// What is known of a path that is not in use. `None`: what is known of the one in use.
    pub(super) model: Option<Box<PathModel>>,
}

impl PathState {
    fn new(path: Path, allowance: Allowance, received: u64, proven: bool) -> Self {
        Self { path, cid: None, allowance, received, sent: 0, proven, challenge: None, response: None, model: None }
    }

    /// A client's path: the client chose the address, so nothing limits it.
    pub(super) fn chosen(path: Path) -> Self {
        Self::new(path, Allowance::Any, 0, true)
    }

    /// A path that a client goes over from now on.
    pub(super) fn tried(path: Path, challenge: [u8; 8]) -> Self {
        let challenge = Some(Challenge::new(challenge));
        Self { proven: false, challenge, ..Self::chosen(path) }
    }

    /// A server's path to a client whose first message had `received` bytes in `datagrams` datagrams.
    pub(super) fn unproven(path: Path, received: u64, datagrams: u64, token: bool) -> Self {
        let allowance = if token {
            Allowance::Token { datagrams_left: bounds::UNCONFIRMED_DATAGRAMS + datagrams }
        } else {
            Allowance::Received
        };
        Self::new(path, allowance, received, false)
    }

    /// An authentic datagram came in over this path.
    pub(super) fn on_received(&mut self, bytes: u64) {
        self.received += bytes;
        if let Allowance::Token { datagrams_left } = &mut self.allowance {
            *datagrams_left += 1;
        }
    }

    pub(super) fn on_sent(&mut self, bytes: u64) {
        self.sent += bytes;
        if let Allowance::Token { datagrams_left } = &mut self.allowance {
            *datagrams_left = datagrams_left.saturating_sub(1);
        }
    }

    /// The peer receives there.
    pub(super) fn prove(&mut self) {
        self.allowance = Allowance::Any;
        self.proven = true;
    }

    pub(super) fn is_proven(&self) -> bool {
        self.proven
    }

    /// Whether a datagram of `bytes` may be sent now.
    pub(super) fn allows(&self, bytes: u64) -> bool {
        match self.allowance {
            Allowance::Any => true,
            Allowance::Token { datagrams_left } => datagrams_left > 0,
            Allowance::Received => self.sent + bytes <= bounds::AMPLIFICATION * self.received,
        }
    }

    /// Whether only one datagram at a time may be built, because each counts against a limit.
    pub(super) fn is_limited(&self) -> bool {
        self.allowance != Allowance::Any
    }
}

//! The program's decision about a client (specification section 2.8 and 13, item 5).

use alloc::vec::Vec;
use core::net::SocketAddr;

use zeroize::Zeroizing;

use super::attempt::AttemptKey;
use crate::crypto::{KeyId, PublicKey};
use crate::time::Instant;
use crate::wire::params::{Extras, ParamsContext, decode_params};

/// Names a client that waits for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncomingId(pub(super) u64);

impl IncomingId {
    /// The id as a number, for programs in other languages.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The id that [`as_u64`](Self::as_u64) gave. Any other number is an id of nobody.
    pub const fn from_u64(id: u64) -> Self {
        Self(id)
    }
}

/// A client that waits for a decision.
///
/// What it says is encrypted to the server's key but proves nothing yet: a recorded first message can be replayed.
/// Decide without side effects, and act when [`Event::Connected`](crate::Event) or
/// [`Event::PeerAuthenticated`](crate::Event) says that the client is really there.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    pub(super) remote: SocketAddr,
    pub(super) validated: bool,
    pub(super) extras: Extras<'a>,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(remote: SocketAddr, validated: bool, p1: &'a [u8]) -> Option<Self> {
        let (_, extras) = decode_params(p1, ParamsContext::P1).ok()?;
        Some(Self { remote, validated, extras })
    }

    /// The client's address.
    pub fn remote_address(&self) -> SocketAddr {
        self.remote
    }

    /// Whether the client has proven that it receives at its address.
    pub fn is_address_validated(&self) -> bool {
        self.validated
    }

    /// The id of the identity key that the client offers to prove.
    pub fn client_key_id(&self) -> Option<KeyId> {
        match self.extras.client_key_id {
            Some(id) => Some(KeyId::new(*id)),
            None => self.client_key().map(|key| key.key_id()),
        }
    }

    /// The identity key itself, if the client sent it. To accept the client, give it to [`Accept::client_key`].
    pub fn client_key(&self) -> Option<PublicKey> {
        self.extras.client_key.and_then(|key| PublicKey::from_bytes(key).ok())
    }

    /// The id of the pre-shared key that the client offers to prove.
    pub fn psk_id(&self) -> Option<&'a [u8]> {
        self.extras.psk_id
    }

    /// What the client's application wants the server's to see; empty if nothing.
    pub fn app_token(&self) -> &'a [u8] {
        self.extras.app_token.unwrap_or_default()
    }

    /// The application protocols the client speaks, best first.
    pub fn protocols(&self) -> impl Iterator<Item = &'a [u8]> {
        self.extras.app_protocols.into_iter().flat_map(|names| names.iter())
    }
}

/// How to accept a client.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Accept {
    pub(super) client_key: Option<PublicKey>,
    pub(super) psk: Option<Zeroizing<[u8; 32]>>,
    pub(super) protocol: Option<Vec<u8>>,
}

impl Accept {
    /// As the configuration says. A client that offers an identity or a pre-shared key needs more.
    pub fn new() -> Self {
        Self::default()
    }

    /// The client's identity key, which it then has to prove.
    pub fn client_key(mut self, key: PublicKey) -> Self {
        self.client_key = Some(key);
        self
    }

    /// The pre-shared key that the client's id stands for.
    pub fn psk(mut self, key: [u8; 32]) -> Self {
        self.psk = Some(Zeroizing::new(key));
        self
    }

    /// The application protocol, one of those the client offers. Default: the first configured one that the client
    /// offers.
    pub fn protocol(mut self, name: &[u8]) -> Self {
        self.protocol = Some(name.to_vec());
        self
    }
}

/// The client has given up or the five seconds are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncomingGone;

impl core::fmt::Display for IncomingGone {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the client is not waiting any more")
    }
}

impl core::error::Error for IncomingGone {}

/// A decision that is outstanding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) id: IncomingId,
    pub(super) attempt: AttemptKey,
    pub(super) stamp: u64,
    pub(super) until: Instant,
}

//! What one outgoing connection needs to know.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use zeroize::Zeroizing;

use crate::crypto::token::MAX_TOKEN;
use crate::crypto::{KeyId, PublicKey, SecretKey};

/// Whom a client believes to be the right server (specification section 1.3).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Trust {
    /// Nobody was named: only servers on the loopback address may be reached.
    #[default]
    LoopbackOnly,
    /// The server with exactly this key: one round trip.
    Pinned(PublicKey),
    /// A server whose key has one of these ids: one more round trip to fetch the key.
    Fingerprint(Vec<KeyId>),
    /// Whatever key the server shows is put to the program: [`Event::ServerKeyOffered`](crate::Event). For trust on
    /// first use and for keys vouched for by other means.
    Ask,
    /// Any key at all. Whoever is on the path can read and change everything.
    DangerAcceptAny,
}

/// The id and the bytes of a pre-shared key.
pub(crate) type Psk = (Box<[u8]>, Zeroizing<[u8; 32]>);

/// The settings of one outgoing connection.
#[derive(Clone, Default)]
#[must_use]
pub struct ClientConfig {
    pub(crate) trust: Trust,
    pub(crate) identity: Option<Arc<SecretKey>>,
    pub(crate) identity_inline: bool,
    pub(crate) psk: Option<Psk>,
    pub(crate) app_token: Box<[u8]>,
    pub(crate) token: Box<[u8]>,
    pub(crate) protocols: Vec<Box<[u8]>>,
    pub(crate) handshake_timeout: Option<Duration>,
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig")
            .field("trust", &self.trust)
            .field("identity", &self.identity.is_some())
            .field("psk", &self.psk.is_some())
            .finish_non_exhaustive()
    }
}

impl ClientConfig {
    /// Names no server key: good for the loopback address only.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts exactly this key. The handshake takes one round trip.
    pub fn pinned(key: PublicKey) -> Self {
        Self { trust: Trust::Pinned(key), ..Self::default() }
    }

    /// Trusts the keys with these ids. The key itself is fetched first.
    pub fn fingerprints(ids: impl IntoIterator<Item = KeyId>) -> Self {
        Self { trust: Trust::Fingerprint(ids.into_iter().collect()), ..Self::default() }
    }

    /// Puts the server's key to the program when it is known.
    pub fn ask() -> Self {
        Self { trust: Trust::Ask, ..Self::default() }
    }

    /// Trusts anybody. Encrypts, but whoever is on the path can be the server.
    pub fn danger_accept_any() -> Self {
        Self { trust: Trust::DangerAcceptAny, ..Self::default() }
    }

    /// Proves this identity to the server. The server must know the key or take it inline.
    pub fn identity(mut self, key: impl Into<Arc<SecretKey>>) -> Self {
        self.identity = Some(key.into());
        self
    }

    /// Sends the whole identity key instead of its id, for servers that decide about unknown keys. Costs a datagram.
    pub fn identity_inline(mut self, inline: bool) -> Self {
        self.identity_inline = inline;
        self
    }

    /// Mixes in a pre-shared key: exactly 32 uniformly random bytes, never a password. `id`, at most 64 bytes, tells
    /// the server which.
    pub fn psk(mut self, id: &[u8], key: [u8; 32]) -> Self {
        self.psk = Some((Box::from(id), Zeroizing::new(key)));
        self
    }

    /// Up to 512 bytes for the server application's decision. They travel encrypted to the server's key, but can be
    /// replayed by who recorded them: bind logins to [`export_key`](crate::Conn::export_key) instead.
    pub fn app_token(mut self, token: &[u8]) -> Self {
        self.app_token = Box::from(token);
        self
    }

    /// An address token of an earlier connection to the server, at most 64 bytes:
    /// [`Conn::take_token`](crate::Conn::take_token). With it a busy server lets the client in after one round trip, if
    /// the client's IP address is the same. It is good for one connection: whoever sees a token twice knows that both
    /// come from one client, and the server takes it for none. Only with a [pinned](Self::pinned) key; to fetch a key
    /// proves the address as well. The handles of `driver` keep and use tokens by themselves.
    pub fn token(mut self, token: &[u8]) -> Self {
        self.token = Box::from(token);
        self
    }

    /// The application protocols this client speaks, best first. Default: `jsp`.
    pub fn protocols(mut self, protocols: &[&[u8]]) -> Self {
        self.protocols = protocols.iter().map(|name| Box::from(*name)).collect();
        self
    }

    /// Overrides [`ConfigBuilder::handshake_timeout`](super::ConfigBuilder::handshake_timeout).
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = Some(timeout);
        self
    }

    /// Whom this client trusts.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Checks what does not depend on the endpoint.
    pub(crate) fn check(&self) -> Result<(), ClientConfigError> {
        if matches!(&self.trust, Trust::Fingerprint(ids) if !(1..=4).contains(&ids.len())) {
            return Err(ClientConfigError { rule: "between 1 and 4 fingerprints can be trusted at once" });
        }
        if self.psk.as_ref().is_some_and(|(id, _)| id.len() > 64) {
            return Err(ClientConfigError { rule: "a pre-shared key's id has at most 64 bytes" });
        }
        if self.app_token.len() > 512 {
            return Err(ClientConfigError { rule: "an application token has at most 512 bytes" });
        }
        if self.token.len() > MAX_TOKEN {
            return Err(ClientConfigError { rule: "an address token has at most 64 bytes" });
        }
        if super::check_protocols(&self.protocols).is_err() {
            return Err(ClientConfigError { rule: "protocol names have 1 to 255 bytes, 512 together" });
        }
        Ok(())
    }
}

/// A client setting is out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientConfigError {
    rule: &'static str,
}

impl fmt::Display for ClientConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid client configuration: {}", self.rule)
    }
}

impl core::error::Error for ClientConfigError {}

//! The handle of an endpoint: connecting, accepting, shutting down.

use std::boxed::Box;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::vec::Vec;

use super::connection::{ConnRef, Connection};
use super::error::{ConnectError, no_address};
use super::logging::with_tracing;
use super::shards::HandoverCounter;
use super::state::Shared;
use crate::{
    Accept, AppCode, ClientConfig, ConnectionError, EndpointStats, IncomingGone, IncomingId, KeyId, Observer, Path,
    PublicKey,
};

/// One UDP socket with all its connections, as client, server or both. Cheap to clone; all clones are the same
/// endpoint.
///
/// When the last clone is dropped the endpoint takes no more connections; those that have handles live on. When their
/// handles are gone too, everything that was accepted for sending is delivered and the driver ends.
#[derive(Clone, Debug)]
pub struct Endpoint {
    inner: Arc<EndpointRef>,
}

#[derive(Debug)]
struct EndpointRef {
    shared: Arc<Shared>,
    handovers: Option<HandoverCounter>,
}

impl Drop for EndpointRef {
    fn drop(&mut self) {
        self.shared.act(|state, now| state.stop_accepting(now));
    }
}

impl Endpoint {
    pub(super) fn new(shared: Arc<Shared>, handovers: Option<HandoverCounter>) -> Self {
        Self { inner: Arc::new(EndpointRef { shared, handovers }) }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// The address the socket is bound to.
    pub fn local_address(&self) -> SocketAddr {
        self.shared().lock().local
    }

    /// Begins to connect. The attempt runs from now on; drop the result to give it up.
    ///
    /// Address tokens that servers send are kept by the endpoint, four for each of 64 servers, and used for the next
    /// connection to the same pinned key and address.
    ///
    /// # Errors
    /// [`ConnectError::Start`] when it cannot begin, for example without trust in a server that is not on the
    /// loopback address.
    pub fn connect(&self, remote: SocketAddr, client: &ClientConfig) -> Result<Connecting, ConnectError> {
        self.shared().act(|state, now| {
            if let Some(reason) = &state.ended {
                return Err(ConnectionError::EndpointGone { reason: reason.clone() }.into());
            }
            let path = Path { local: None, remote };
            let equipped = state.tokens.equip(remote, client);
            let client = equipped.as_ref().unwrap_or(client);
            let id = state.endpoint.connect(now, path, client).map_err(ConnectError::Start)?;
            state.hold(id);
            Ok(Connecting { conn: Arc::new(ConnRef::new(self.shared().clone(), id)) })
        })
    }

    /// Connects to the first of `remotes` that answers; those that this socket cannot reach are left out. `trust`
    /// decides as in [`Connecting::established`].
    ///
    /// Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// Those of the last attempt; [`ConnectError::Io`] when there is no address.
    pub async fn connect_any(
        &self,
        remotes: impl IntoIterator<Item = SocketAddr>,
        client: &ClientConfig,
        mut trust: impl FnMut(&PublicKey) -> bool,
    ) -> Result<Connection, ConnectError> {
        let mut failure = None;
        for remote in remotes.into_iter().filter(|remote| self.reaches(remote)) {
            match self.connect(remote, client)?.established(&mut trust).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| no_address().into()))
    }

    fn reaches(&self, remote: &SocketAddr) -> bool {
        match self.local_address().ip() {
            IpAddr::V4(_) => remote.is_ipv4(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => true,
            IpAddr::V6(_) => remote.is_ipv6(),
        }
    }

    /// The next connection from a client. `None` when the endpoint was shut down or its socket failed.
    ///
    /// Cancel safe: a connection is given to exactly one call that completes. Connections that nobody accepts are
    /// closed when the endpoint goes.
    pub async fn accept(&self) -> Option<Connection> {
        let accepted = self.shared().wait(
            |state| Some(&mut state.acceptors),
            |state, now| {
                while let Some(id) = state.arrived.pop_front() {
                    if state.endpoint.conn(now, id).is_some() {
                        state.hold(id);
                        return Some(Some(id));
                    }
                    state.hold(id);
                    state.release(now, id);
                }
                (!state.open).then_some(None)
            },
        );
        let id = accepted.await?;
        Some(Connection::new(Arc::new(ConnRef::new(self.shared().clone(), id))))
    }

    /// The next client that asks to be let in, with [`AcceptPolicy::Ask`](crate::AcceptPolicy). The answer must come
    /// within five seconds. `None` when the endpoint was shut down or its socket failed.
    ///
    /// Cancel safe: a client is given to exactly one call that completes.
    pub async fn accept_incoming(&self) -> Option<Incoming> {
        let asked = self.shared().wait(
            |state| Some(&mut state.askers),
            |state, _| {
                while let Some(id) = state.asking.pop_front() {
                    if let Some(incoming) = state.endpoint.incoming(id) {
                        return Some(Some((id, Asks::copy(&incoming))));
                    }
                }
                (!state.open).then_some(None)
            },
        );
        let (id, asks) = asked.await?;
        Some(Incoming { shared: self.shared().clone(), id, asks, answered: false })
    }

    /// Takes no more connections, closes all with code 0 after delivering what was accepted for sending, and waits
    /// until that is done and the driver has ended. Waits at most the
    /// [linger time](crate::ConfigBuilder::linger) per connection.
    ///
    /// The shutdown begins with the call. Dropping the future does not stop it; calling again waits again.
    pub fn shutdown(&self) -> impl Future<Output = ()> + Send + use<> {
        let shared = self.shared().clone();
        shared
            .act(|state, now| {
                state.stop_accepting(now);
                if !state.ending {
                    state.end(now, AppCode::ZERO);
                }
                let mut woken = Vec::new();
                state.acceptors.wake(&mut woken);
                state.askers.wake(&mut woken);
                woken
            })
            .into_iter()
            .for_each(std::task::Waker::wake);
        async move {
            shared.wait(|state| Some(&mut state.enders), |state, _| state.ended.is_some().then_some(())).await;
        }
    }

    /// Shows what happens on connections that begin from now on to `observer`; `None` ends that.
    ///
    /// What goes to `tracing`, with that feature, goes there beside it.
    ///
    /// The observer is called while the endpoint is locked: what it does delays every connection, and it must not use a
    /// handle of this endpoint.
    pub fn set_observer(&self, observer: Option<Box<dyn Observer>>) {
        let observer = with_tracing(observer);
        // Dropped outside of the lock: it may flush a file.
        let _before = self.shared().lock().endpoint.replace_observer(observer);
    }

    /// Replaces the keys of address tokens; see [`Endpoint::set_token_keys`](crate::Endpoint::set_token_keys). Each shard
    /// has its own.
    pub fn set_token_keys(&self, current: [u8; 32], previous: Option<[u8; 32]>) {
        self.shared().lock().endpoint.set_token_keys(current, previous);
    }

    /// The endpoint's counters, dropped datagrams by reason among them.
    pub fn stats(&self) -> EndpointStats {
        *self.shared().lock().endpoint.stats()
    }

    /// Datagrams that other shards had for this one and could not leave because 1024 or 2 MiB were waiting already, or
    /// because the driver has ended. 0 for an endpoint that has its address for itself.
    pub fn handovers_dropped(&self) -> u64 {
        self.inner.handovers.as_ref().map_or(0, HandoverCounter::dropped)
    }

    /// Connections that are not over yet, on their way in or out included.
    pub fn connections(&self) -> usize {
        self.shared().lock().endpoint.connections()
    }
}

/// A connection on its way. Dropping it gives the attempt up.
#[derive(Debug)]
pub struct Connecting {
    conn: Arc<ConnRef>,
}

impl Connecting {
    /// Waits for the handshake. `trust` answers for the key that the server shows if the
    /// [`ClientConfig`] leaves that to the program ([`ClientConfig::ask`]); it is called outside all locks.
    ///
    /// Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// [`ConnectError::Connection`] says why the attempt failed.
    pub async fn established(self, mut trust: impl FnMut(&PublicKey) -> bool) -> Result<Connection, ConnectError> {
        enum Stage {
            Asks(PublicKey),
            Done(Result<(), ConnectionError>),
        }
        let ConnRef { shared, id } = &*self.conn;
        loop {
            let stage = shared.wait(
                |state| state.slots.get_mut(id).map(|slot| &mut slot.changed),
                |state, _| {
                    let slot = state.slots.get_mut(id)?;
                    let key = slot.offered.take();
                    let done = slot.connected.then_some(Ok(())).or_else(|| slot.closed.clone().map(Err));
                    done.map(Stage::Done).or_else(|| key.map(Stage::Asks))
                },
            );
            match stage.await {
                Stage::Done(Ok(())) => return Ok(Connection::new(self.conn)),
                Stage::Done(Err(error)) => return Err(error.into()),
                Stage::Asks(key) => {
                    let trusted = trust(&key);
                    shared.act(|state, now| {
                        let Some(mut conn) = state.endpoint.conn(now, *id) else { return };
                        if trusted { conn.trust_key() } else { conn.reject_key() }
                    });
                }
            }
        }
    }
}

/// What a client that asks to be let in has told.
#[derive(Debug)]
struct Asks {
    remote: SocketAddr,
    validated: bool,
    client_key_id: Option<KeyId>,
    client_key: Option<PublicKey>,
    psk_id: Option<Vec<u8>>,
    app_token: Vec<u8>,
    protocols: Vec<Vec<u8>>,
}

impl Asks {
    fn copy(incoming: &crate::Incoming<'_>) -> Self {
        Self {
            remote: incoming.remote_address(),
            validated: incoming.is_address_validated(),
            client_key_id: incoming.client_key_id(),
            client_key: incoming.client_key(),
            psk_id: incoming.psk_id().map(<[u8]>::to_vec),
            app_token: incoming.app_token().to_vec(),
            protocols: incoming.protocols().map(<[u8]>::to_vec).collect(),
        }
    }
}

/// A client that asks to be let in. The server has opened its first message and has sent nothing. Dropping this
/// without an answer ignores the client, which then runs into its timeout.
#[derive(Debug)]
pub struct Incoming {
    shared: Arc<Shared>,
    id: IncomingId,
    asks: Asks,
    answered: bool,
}

impl Incoming {
    /// Where the client is, or claims to be.
    pub fn remote_address(&self) -> SocketAddr {
        self.asks.remote
    }

    /// Whether the client has proven that it receives at its address.
    pub fn is_address_validated(&self) -> bool {
        self.asks.validated
    }

    /// The id of the identity key that the client claims; proven when the connection is accepted and established.
    pub fn client_key_id(&self) -> Option<KeyId> {
        self.asks.client_key_id
    }

    /// The claimed identity key itself, if the client sent it.
    pub fn client_key(&self) -> Option<&PublicKey> {
        self.asks.client_key.as_ref()
    }

    /// Which pre-shared key the client wants to use.
    pub fn psk_id(&self) -> Option<&[u8]> {
        self.asks.psk_id.as_deref()
    }

    /// What the client's application sent for this decision; empty if nothing. Can be a replay.
    pub fn app_token(&self) -> &[u8] {
        &self.asks.app_token
    }

    /// The application protocols the client speaks, best first.
    pub fn protocols(&self) -> impl Iterator<Item = &[u8]> {
        self.asks.protocols.iter().map(Vec::as_slice)
    }

    /// Lets the client in; [`Endpoint::accept`] gives the connection once it is established.
    ///
    /// # Errors
    /// [`IncomingGone`] when the answer comes too late.
    pub fn accept(mut self, accept: Accept) -> Result<(), IncomingGone> {
        self.answered = true;
        self.shared.act(|state, now| state.endpoint.accept(now, self.id, accept))
    }

    /// Tells the client that it is not wanted, with a code of the application.
    ///
    /// # Errors
    /// [`IncomingGone`] when the answer comes too late.
    pub fn refuse(mut self, code: AppCode) -> Result<(), IncomingGone> {
        self.answered = true;
        self.shared.act(|state, now| state.endpoint.refuse(now, self.id, code))
    }

    /// Stays silent.
    pub fn ignore(self) {}
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.answered {
            self.shared.act(|state, _| state.endpoint.ignore(self.id));
        }
    }
}

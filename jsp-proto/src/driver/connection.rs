//! The handle of a connection: streams, the end, and what is known about the peer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::vec::Vec;

use super::bytes::{RecvStream, SendStream};
use super::error::OpenError;
use super::message::{MessageReceiver, MessageSender, MessageStream};
use super::state::Shared;
use super::stream::Half;
use crate::{
    AppCode, AppState, Congestion, ConnId, ConnStats, ConnectionError, KeyId, Network, Side, StreamId, StreamOptions,
};

/// One connection, kept alive by its handles and those of its streams.
#[derive(Debug)]
pub(super) struct ConnRef {
    pub(super) shared: Arc<Shared>,
    pub(super) id: ConnId,
}

impl ConnRef {
    pub(super) fn new(shared: Arc<Shared>, id: ConnId) -> Self {
        Self { shared, id }
    }
}

impl Drop for ConnRef {
    fn drop(&mut self) {
        self.shared.act(|state, now| state.release(now, self.id));
    }
}

/// A connection to a peer. Cheap to clone; all clones are the same connection.
///
/// When the last clone and the last stream handle are dropped, everything that was accepted for sending is still
/// delivered, as far as the driver is left to run, and then the connection is closed with code 0. Call
/// [`close`](Self::close) to know that it was delivered.
#[derive(Clone, Debug)]
pub struct Connection {
    conn: Arc<ConnRef>,
}

/// A stream that the peer opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stream {
    /// Bytes in both directions.
    Bytes(SendStream, RecvStream),
    /// Bytes from the peer.
    BytesUni(RecvStream),
    /// Messages in both directions.
    Messages(MessageStream),
    /// Messages from the peer.
    MessagesUni(MessageReceiver),
}

impl Connection {
    pub(super) fn new(conn: Arc<ConnRef>) -> Self {
        Self { conn }
    }

    /// Opens a stream of bytes in both directions. The peer sees it at once, before anything is written.
    ///
    /// Waits while the peer's limit of streams is reached. Cancel safe.
    ///
    /// # Errors
    /// [`OpenError::Connection`] when the connection is over.
    pub async fn open_bi(&self) -> Result<(SendStream, RecvStream), OpenError> {
        self.open_bi_with(StreamOptions::bytes()).await
    }

    /// As [`open_bi`](Self::open_bi), with a priority of its own.
    ///
    /// # Errors
    /// As for `open_bi`; [`OpenError::WrongKind`] unless the options are for bytes in both directions.
    pub async fn open_bi_with(&self, options: StreamOptions) -> Result<(SendStream, RecvStream), OpenError> {
        let stream = self.open(options, false, false).await?;
        Ok((SendStream::new(self.half(stream)), RecvStream::new(self.half(stream))))
    }

    /// Opens a stream of bytes to the peer. The peer sees it at once, before anything is written.
    ///
    /// Waits while the peer's limit of streams is reached. Cancel safe.
    ///
    /// # Errors
    /// [`OpenError::Connection`] when the connection is over.
    pub async fn open_uni(&self) -> Result<SendStream, OpenError> {
        self.open_uni_with(StreamOptions::bytes().uni()).await
    }

    /// As [`open_uni`](Self::open_uni), with a priority of its own.
    ///
    /// # Errors
    /// As for `open_uni`; [`OpenError::WrongKind`] unless the options are for bytes in one direction.
    pub async fn open_uni_with(&self, options: StreamOptions) -> Result<SendStream, OpenError> {
        let stream = self.open(options, false, true).await?;
        Ok(SendStream::new(self.half(stream)))
    }

    /// Opens a stream of reliable, ordered messages in both directions. The peer sees it at once.
    ///
    /// Waits while the peer's limit of streams is reached. Cancel safe.
    ///
    /// # Errors
    /// [`OpenError::Connection`] when the connection is over.
    pub async fn open_messages(&self) -> Result<MessageStream, OpenError> {
        self.open_messages_with(StreamOptions::ordered_messages()).await
    }

    /// As [`open_messages`](Self::open_messages), with an order, a delivery and a priority of its own.
    ///
    /// # Errors
    /// As for `open_messages`; [`OpenError::WrongKind`] unless the options are for messages in both directions.
    pub async fn open_messages_with(&self, options: StreamOptions) -> Result<MessageStream, OpenError> {
        let stream = self.open(options, true, false).await?;
        Ok(self.messages(stream))
    }

    /// Opens a stream of messages to the peer, for example
    /// `StreamOptions::unordered_messages().uni().delivery(Delivery::BestEffort)`. The peer sees it at once.
    ///
    /// Waits while the peer's limit of streams is reached. Cancel safe.
    ///
    /// # Errors
    /// [`OpenError::Connection`] when the connection is over; [`OpenError::WrongKind`] unless the options are for
    /// messages in one direction.
    pub async fn open_messages_uni(&self, options: StreamOptions) -> Result<MessageSender, OpenError> {
        let stream = self.open(options, true, true).await?;
        Ok(MessageSender::new(self.half(stream)))
    }

    async fn open(&self, options: StreamOptions, messages: bool, uni: bool) -> Result<StreamId, OpenError> {
        let is_messages = options.kind.has_messages();
        if is_messages != messages || options.uni != uni {
            return Err(OpenError::WrongKind);
        }
        let id = self.conn.id;
        let opened = self.conn.shared.wait(
            |state| state.slots.get_mut(&id).map(|slot| &mut slot.openers),
            |state, now| {
                let (conn, slot) = state.connection(now, id);
                let slot = slot?;
                if let Some(reason) = &slot.closed {
                    return Some(Err(reason.clone().into()));
                }
                let Some(mut conn) = conn else { return Some(Err(slot.end().into())) };
                match conn.open(options) {
                    Ok(stream) => {
                        slot.streams.entry(stream).or_default().halves += if uni { 1 } else { 2 };
                        Some(Ok(stream))
                    }
                    Err(crate::OpenError::Limit) => None,
                    Err(crate::OpenError::ModeNeedsMessages) => Some(Err(OpenError::ModeNeedsMessages)),
                    Err(crate::OpenError::Fec) => Some(Err(OpenError::Fec)),
                    Err(_) => Some(Err(slot.end().into())),
                }
            },
        );
        opened.await
    }

    /// The next stream that the peer opened. `Ok(None)` when the peer has closed the connection and all its streams
    /// were accepted.
    ///
    /// Cancel safe: a stream is given to exactly one call that completes.
    ///
    /// # Errors
    /// Why the connection ended, unless the peer or this side closed it in the ordinary way.
    pub async fn accept_stream(&self) -> Result<Option<Stream>, ConnectionError> {
        let id = self.conn.id;
        let accepted = self.conn.shared.wait(
            |state| state.slots.get_mut(&id).map(|slot| &mut slot.stream_acceptors),
            |state, _| {
                let slot = state.slots.get_mut(&id)?;
                if let Some(stream) = slot.opened.pop_front() {
                    slot.streams.entry(stream).or_default().halves += if stream.is_uni() { 1 } else { 2 };
                    return Some(Ok(Some(stream)));
                }
                slot.closed.clone().map(|reason| match reason {
                    ConnectionError::PeerClosed { .. } | ConnectionError::LocallyClosed { .. } => Ok(None),
                    other => Err(other),
                })
            },
        );
        Ok(accepted.await?.map(|stream| self.typed(stream)))
    }

    fn typed(&self, stream: StreamId) -> Stream {
        let messages = stream.kind().has_messages();
        match (messages, stream.is_uni()) {
            (false, false) => Stream::Bytes(SendStream::new(self.half(stream)), RecvStream::new(self.half(stream))),
            (false, true) => Stream::BytesUni(RecvStream::new(self.half(stream))),
            (true, false) => Stream::Messages(self.messages(stream)),
            (true, true) => Stream::MessagesUni(MessageReceiver::new(self.half(stream))),
        }
    }

    fn messages(&self, stream: StreamId) -> MessageStream {
        MessageStream::new(MessageSender::new(self.half(stream)), MessageReceiver::new(self.half(stream)))
    }

    fn half(&self, stream: StreamId) -> Half {
        Half::new(self.conn.clone(), stream)
    }

    /// Closes the connection gracefully: what was accepted for sending is delivered, open streams of bytes included,
    /// then the peer is told `code` and `reason` (at most 128 bytes). Returns when the peer's transport has
    /// everything; then the process may exit.
    ///
    /// The close begins with the call: nothing can be sent afterwards. Dropping the future does not stop it.
    ///
    /// # Errors
    /// Why the connection ended before all was delivered: the peer closed it first or fell silent, or
    /// [`Undelivered`](ConnectionError::Undelivered) if it took nothing more for the
    /// [linger time](crate::ConfigBuilder::linger).
    pub fn close(
        &self,
        code: AppCode,
        reason: &[u8],
    ) -> impl Future<Output = Result<(), ConnectionError>> + Send + use<> {
        let conn = self.conn.clone();
        conn.shared.act(|state, now| {
            let (conn, slot) = state.connection(now, conn.id);
            let (Some(mut conn), Some(slot)) = (conn, slot) else { return };
            slot.closing = code;
            conn.close(code, reason);
        });
        async move {
            match Self::new(conn).closed().await {
                ConnectionError::LocallyClosed { .. } => Ok(()),
                other => Err(other),
            }
        }
    }

    /// Ends the connection at once. What was not delivered is lost; the peer is told `code` and `reason`, once.
    pub fn abort(&self, code: AppCode, reason: &[u8]) {
        self.conn.shared.act(|state, now| {
            let (conn, slot) = state.connection(now, self.conn.id);
            let (Some(mut conn), Some(slot)) = (conn, slot) else { return };
            slot.closing = code;
            conn.abort(code, reason);
        });
    }

    /// Waits until the connection is over and says why. Cancel safe.
    pub async fn closed(&self) -> ConnectionError {
        let id = self.conn.id;
        let closed = self.conn.shared.wait(
            |state| state.slots.get_mut(&id).map(|slot| &mut slot.changed),
            |state, _| state.slots.get(&id)?.closed.clone(),
        );
        closed.await
    }

    /// Why the connection is over, if it is.
    pub fn close_reason(&self) -> Option<ConnectionError> {
        self.conn.shared.lock().slots.get(&self.conn.id)?.closed.clone()
    }

    /// Names the connection within its endpoint.
    pub fn id(&self) -> ConnId {
        self.conn.id
    }

    /// Whether this side is the client or the server.
    pub fn side(&self) -> Side {
        self.with(|conn| conn.side()).unwrap_or(Side::Client)
    }

    /// Where the peer is; `None` when the connection is over and forgotten. May change when the peer moves.
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.with(|conn| conn.path()).flatten().map(|path| path.remote)
    }

    /// The key that the peer has proven to hold. A client always knows its server's; a server knows its client's if
    /// the client authenticated by one.
    pub fn peer_key_id(&self) -> Option<KeyId> {
        self.with(|conn| conn.peer_key_id()).flatten()
    }

    /// The application protocol that both sides agreed on.
    pub fn protocol(&self) -> Vec<u8> {
        self.with(|conn| conn.protocol().to_vec()).unwrap_or_default()
    }

    /// The connection's counters; the last ones when it is over.
    pub fn stats(&self) -> ConnStats {
        let now = self.conn.shared.clock.now();
        let mut state = self.conn.shared.lock();
        let (conn, slot) = state.connection(now, self.conn.id);
        conn.map(|conn| conn.stats()).or(slot.map(|slot| slot.stats)).unwrap_or_default()
    }

    /// Goes on with this congestion controller, which starts from nothing. Default:
    /// [`ConfigBuilder::congestion`](crate::ConfigBuilder::congestion).
    pub fn set_congestion(&self, controller: Congestion) {
        self.conn.shared.act(|state, now| {
            if let Some(mut conn) = state.connection(now, self.conn.id).0 {
                conn.set_congestion(controller);
            }
        });
    }

    /// Tells what network the device is on: streams without settings of their own do from now on what suits it; see
    /// [`Conn::set_network`](crate::Conn::set_network).
    pub fn set_network(&self, network: Network) {
        self.conn.shared.act(|state, now| {
            if let Some(mut conn) = state.connection(now, self.conn.id).0 {
                conn.set_network(network);
            }
        });
    }

    /// Tells what the device does; see [`Conn::set_app_state`](crate::Conn::set_app_state).
    pub fn set_app_state(&self, state: AppState) {
        self.conn.shared.act(|shared, now| {
            if let Some(mut conn) = shared.connection(now, self.conn.id).0 {
                conn.set_app_state(state);
            }
        });
    }

    /// The address at which the peer sees this side; see [`Conn::observed_address`](crate::Conn::observed_address).
    pub fn observed_address(&self) -> Option<SocketAddr> {
        let now = self.conn.shared.clock.now();
        self.conn.shared.lock().connection(now, self.conn.id).0.and_then(|conn| conn.observed_address())
    }

    /// Fills `out`, at most 8160 bytes, with key material that both sides of this connection and nobody else can
    /// compute, for `label` and `context`. Binds a login or another protocol to this connection.
    ///
    /// # Errors
    /// When there are no keys: the connection is not established or is over.
    pub fn export_key(&self, label: &[u8], context: &[u8], out: &mut [u8]) -> Result<(), ConnectionError> {
        let now = self.conn.shared.clock.now();
        let mut state = self.conn.shared.lock();
        let (conn, slot) = state.connection(now, self.conn.id);
        let exported = conn.is_some_and(|conn| conn.export_key(label, context, out).is_ok());
        if exported {
            Ok(())
        } else {
            Err(slot.map_or(ConnectionError::LocallyClosed { code: AppCode::ZERO }, |slot| slot.end()))
        }
    }

    fn with<R>(&self, look: impl FnOnce(crate::Conn<'_>) -> R) -> Option<R> {
        let now = self.conn.shared.clock.now();
        self.conn.shared.lock().endpoint.conn(now, self.conn.id).map(look)
    }
}

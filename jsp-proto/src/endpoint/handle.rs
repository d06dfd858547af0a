//! A connection as the program sees it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{ConnId, Endpoint};
use crate::config::{AppState, Compression, Congestion, Fec, Network, Policy};
use crate::conn::{Connection, KeyUpdateError, MigrateError, Path};
use crate::crypto::{KeyId, PublicKey};
use crate::error::AppCode;
use crate::event::ConnectionError;
use crate::stats::ConnStats;
use crate::stream::{
    MessageId, MessageOptions, OpenError, Recv, RecvError, RecvMessage, SendError, Slices, StreamOptions,
};
use crate::time::Instant;
use crate::wire::frame::types;
use crate::wire::{Side, StreamId};

/// One connection of an [`Endpoint`], borrowed to work with it.
///
/// Every call is legal at any time; none blocks and none sends by itself: [`Endpoint::poll`] does. Times that count
/// from a call, as the `ttl` of a message, count from the `now` given to [`Endpoint::conn`].
#[derive(Debug)]
pub struct Conn<'e> {
    endpoint: &'e mut Endpoint,
    id: ConnId,
}

/// The connection has no keys yet, or the label or length is out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportError;

impl core::fmt::Display for ExportError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no key can be exported: not connected, or label or length out of bounds")
    }
}

impl core::error::Error for ExportError {}

impl<'e> Conn<'e> {
    pub(super) fn new(endpoint: &'e mut Endpoint, id: ConnId) -> Self {
        Self { endpoint, id }
    }

    fn connection(&self) -> Option<&Connection> {
        self.endpoint.connections.get(self.id.0).map(|entry| &entry.connection)
    }

    fn connection_mut(&mut self) -> Option<&mut Connection> {
        self.endpoint.connections.get_mut(self.id.0).map(|entry| &mut entry.connection)
    }

    /// Changes the connection and queues it to be polled.
    fn change<T>(&mut self, missing: T, change: impl FnOnce(&mut Connection, Instant) -> T) -> T {
        let now = self.endpoint.now;
        let result = self.connection_mut().map_or(missing, |connection| change(connection, now));
        self.endpoint.touch(self.id.0);
        result
    }

    /// Its id.
    pub fn id(&self) -> ConnId {
        self.id
    }

    /// Whether this endpoint is the client or the server of the connection.
    pub fn side(&self) -> Side {
        self.connection().map_or(Side::Client, Connection::side)
    }

    /// The addresses it uses now.
    pub fn path(&self) -> Option<Path> {
        self.connection().map(Connection::path)
    }

    /// Whether data flows: from [`Event::Connected`](crate::Event) until the end.
    pub fn is_connected(&self) -> bool {
        self.connection().is_some_and(Connection::is_connected)
    }

    /// Whether the connection is over or ending; received data may still be unread.
    pub fn is_closed(&self) -> bool {
        self.connection().is_none_or(Connection::is_closed)
    }

    /// Why it ended; `None` while it has not.
    pub fn close_reason(&self) -> Option<&ConnectionError> {
        self.connection()?.close_reason()
    }

    /// Its numbers.
    pub fn stats(&self) -> ConnStats {
        self.connection().map_or_else(ConnStats::default, Connection::stats)
    }

    /// The id of the peer's key: for a client the server's, for a server the client's once it is proven.
    pub fn peer_key_id(&self) -> Option<KeyId> {
        self.connection()?.peer_key_id()
    }

    /// The application protocol; empty until it is known.
    pub fn protocol(&self) -> &[u8] {
        self.connection().map_or(&[], Connection::protocol)
    }

    /// Fills `out` with a secret that only both ends of this connection can derive, for binding logins to it
    /// (specification section 13, item 12). `label` has at most 200 bytes, `out` at most 8160.
    ///
    /// # Errors
    /// [`ExportError`] before the handshake is done, or if label or length are out of bounds.
    pub fn export_key(&self, label: &[u8], context: &[u8], out: &mut [u8]) -> Result<(), ExportError> {
        let connection = self.connection().ok_or(ExportError)?;
        connection.export_key(label, context, out).ok_or(ExportError)
    }

    // ---- trust

    /// The key the server showed, after [`Event::ServerKeyOffered`](crate::Event) and until it is decided about.
    pub fn offered_key(&self) -> Option<&PublicKey> {
        self.connection()?.offered_key()
    }

    /// Trusts the offered key; the handshake goes on with it. Does nothing without one.
    pub fn trust_key(&mut self) {
        self.change((), Connection::trust_key);
    }

    /// Ends the attempt with [`ConnectionError::KeyRejected`]. Does nothing without an offered key.
    pub fn reject_key(&mut self) {
        self.change((), Connection::reject_key);
    }

    // ---- tokens

    /// Client: takes the newest address token of the server, for [`ClientConfig::token`](crate::ClientConfig::token) of
    /// a later connection to the same key and address. `None` if there is none (any more). The newest four are kept, as
    /// long as the connection is.
    pub fn take_token(&mut self) -> Option<Box<[u8]>> {
        self.connection_mut()?.take_token()
    }

    // ---- streams

    /// Opens a stream. The peer learns of it without a write.
    ///
    /// # Errors
    /// [`OpenError::Limit`] if the peer allows no more of this type now.
    pub fn open(&mut self, options: StreamOptions) -> Result<StreamId, OpenError> {
        self.endpoint.expect_correction(options.fec.unwrap_or_default());
        self.change(Err(OpenError::Closed), |connection, now| connection.streams_mut().open(now, options))
    }

    /// How many more streams of the kind and direction of `options` the peer allows now; 0 once the connection is
    /// closed.
    pub fn openable(&self, options: StreamOptions) -> u64 {
        self.connection().map_or(0, |connection| connection.streams().openable(options))
    }

    /// How many bytes the stream's send buffer would take now; 0 if the stream takes none. A message counts 32 bytes
    /// more than it has.
    pub fn send_capacity(&self, stream: StreamId) -> u64 {
        self.connection().map_or(0, |connection| connection.streams().send_capacity(stream))
    }

    /// The largest message that the peer accepts, in bytes. Before [`Event::Connected`](crate::Event) what is assumed.
    pub fn max_message_size(&self) -> u64 {
        self.connection().map_or(0, |connection| connection.streams().max_message())
    }

    /// Writes to a stream of bytes. Returns how many were taken, at least one.
    ///
    /// # Errors
    /// [`SendError::Blocked`] if the buffer is full; [`Event::StreamWritable`](crate::Event) follows.
    pub fn send(&mut self, stream: StreamId, data: &[u8]) -> Result<usize, SendError> {
        self.change(Err(SendError::Closed), |connection, now| connection.streams_mut().send(now, stream, data))
    }

    /// Sends a message on a stream of messages: all of it or nothing.
    ///
    /// # Errors
    /// [`SendError::Blocked`] if the buffer is full; [`Event::StreamWritable`](crate::Event) follows.
    pub fn send_message(
        &mut self,
        stream: StreamId,
        data: &[u8],
        options: MessageOptions,
    ) -> Result<MessageId, SendError> {
        self.change(Err(SendError::Closed), |connection, now| {
            connection.streams_mut().send_message(now, stream, data, options)
        })
    }

    /// Nothing more will be sent on the stream. [`Event::StreamFinished`](crate::Event) follows when all is delivered.
    ///
    /// # Errors
    /// If the stream cannot be finished by this side.
    pub fn finish(&mut self, stream: StreamId) -> Result<(), SendError> {
        self.change(Err(SendError::Closed), |connection, _| connection.streams_mut().finish(stream))
    }

    /// Gives up sending: what is not delivered is dropped, and the peer learns `code`. On a stream of messages of which
    /// nothing was sent yet code 0 is the same as an empty stream that ended.
    ///
    /// # Errors
    /// If there is nothing to reset.
    pub fn reset(&mut self, stream: StreamId, code: AppCode) -> Result<(), SendError> {
        self.change(Err(SendError::Closed), |connection, _| connection.streams_mut().reset(stream, code))
    }

    /// Asks the peer to stop sending on the stream; what arrives is dropped.
    ///
    /// # Errors
    /// If there is nothing to stop.
    pub fn stop(&mut self, stream: StreamId, code: AppCode) -> Result<(), RecvError> {
        self.change(Err(RecvError::UnknownStream), |connection, _| connection.streams_mut().stop(stream, code))
    }

    /// Changes the priority of what this side sends on the stream.
    ///
    /// # Errors
    /// If this side does not send on it.
    pub fn set_priority(&mut self, stream: StreamId, priority: u8) -> Result<(), SendError> {
        self.change(Err(SendError::Closed), |connection, _| connection.streams_mut().set_priority(stream, priority))
    }

    /// Whether what this side sends on the stream from now on is compressed; mind the warning at [`Compression`]. For
    /// streams that the peer opened, too.
    ///
    /// # Errors
    /// If this side does not send on it, and [`SendError::WrongKind`] on a stream of bytes that was opened without
    /// compression.
    pub fn set_compression(&mut self, stream: StreamId, compression: Compression) -> Result<(), SendError> {
        self.change(Err(SendError::Closed), |connection, _| {
            connection.streams_mut().set_compression(stream, compression)
        })
    }

    /// Error correction of what this side sends on the stream from now on. For streams that the peer opened, too.
    ///
    /// # Errors
    /// If this side does not send on it, and [`SendError::Fec`] if [`Fec::On`] is out of its bounds.
    pub fn set_fec(&mut self, stream: StreamId, fec: Fec) -> Result<(), SendError> {
        self.endpoint.expect_correction(fec);
        self.change(Err(SendError::Closed), |connection, _| connection.streams_mut().set_fec(stream, fec))
    }

    /// The priority that this side gives to what it sends on the stream; `None` if there is no such stream or it is
    /// over.
    pub fn priority(&self, stream: StreamId) -> Option<u8> {
        self.connection()?.streams().priority(stream)
    }

    /// Reads from a stream of bytes into `out`.
    ///
    /// # Errors
    /// If this side cannot read bytes from the stream, or these.
    pub fn recv(&mut self, stream: StreamId, out: &mut [u8]) -> Result<Recv, RecvError> {
        let result =
            self.change(Err(RecvError::UnknownStream), |connection, now| connection.streams_at(now).recv(stream, out));
        self.close_if_corrupt(stream, result)
    }

    /// The bytes of a stream of bytes that can be read now, as two parts; both empty if there are none. Of a compressed
    /// stream these are the bytes of one block, expanded for this; more may be there after them.
    ///
    /// # Errors
    /// If this side cannot read bytes from the stream, or these.
    pub fn peek(&mut self, stream: StreamId) -> Result<Slices<'_>, RecvError> {
        let connection = self.connection_mut().ok_or(RecvError::UnknownStream)?;
        let unpacked = connection.streams_mut().unpack_block(stream);
        self.close_if_corrupt(stream, unpacked)?;
        let connection = self.connection_mut().ok_or(RecvError::UnknownStream)?;
        connection.streams_mut().peek(stream)
    }

    /// Takes `bytes` of what [`peek`](Self::peek) showed, at most all of it.
    ///
    /// # Errors
    /// If this side cannot read bytes from the stream, or these.
    pub fn consume(&mut self, stream: StreamId, bytes: usize) -> Result<(), RecvError> {
        let result = self
            .change(Err(RecvError::UnknownStream), |connection, now| connection.streams_at(now).consume(stream, bytes));
        self.close_if_corrupt(stream, result)
    }

    fn close_if_corrupt<T>(&mut self, stream: StreamId, result: Result<T, RecvError>) -> Result<T, RecvError> {
        if matches!(result, Err(RecvError::Corrupt)) {
            let frame = if stream.kind().has_messages() { types::MSG } else { types::STREAM };
            self.change((), |connection, now| connection.fail_to_unpack(now, frame));
        }
        result
    }

    /// Reads the next message; it replaces what `out` held.
    ///
    /// # Errors
    /// If this side cannot read messages from the stream, or this one.
    pub fn recv_message(&mut self, stream: StreamId, out: &mut Vec<u8>) -> Result<RecvMessage, RecvError> {
        let result = self.change(Err(RecvError::UnknownStream), |connection, now| {
            connection.streams_at(now).recv_message(stream, out)
        });
        self.close_if_corrupt(stream, result)
    }

    /// The next message as two parts, without taking it. One that came compressed is expanded for this, once, unless
    /// another one is looked at in between.
    ///
    /// # Errors
    /// If this side cannot read messages from the stream, or this one.
    pub fn peek_message(&mut self, stream: StreamId) -> Result<Option<Slices<'_>>, RecvError> {
        let unpacked = self
            .change(Err(RecvError::UnknownStream), |connection, now| connection.streams_at(now).unpack_message(stream));
        self.close_if_corrupt(stream, unpacked)?;
        let connection = self.connection_mut().ok_or(RecvError::UnknownStream)?;
        connection.streams_mut().peek_message(stream)
    }

    /// Takes the message that [`peek_message`](Self::peek_message) showed.
    ///
    /// # Errors
    /// If this side cannot read messages from the stream.
    pub fn consume_message(&mut self, stream: StreamId) -> Result<(), RecvError> {
        self.change(Err(RecvError::UnknownStream), |connection, now| connection.streams_at(now).consume_message(stream))
    }

    // ---- sending

    /// Goes on with this congestion controller, which starts from nothing. Default:
    /// [`ConfigBuilder::congestion`](crate::ConfigBuilder::congestion).
    pub fn set_congestion(&mut self, controller: Congestion) {
        self.change((), |connection, _| connection.set_congestion(controller));
    }

    /// Tells what network the device is on. Streams that have no [`fec`](StreamOptions::fec) or
    /// [`compression`](StreamOptions::compression) of their own do from now on what suits it; streams of bytes that were
    /// opened without compression stay without it:
    ///
    /// | network | correction | compression |
    /// | --- | --- | --- |
    /// | [`Unknown`](Network::Unknown) | as configured | as configured |
    /// | [`Ethernet`](Network::Ethernet) | [`Fec::Off`] | [`Compression::Off`] |
    /// | [`Wifi`](Network::Wifi) | [`Fec::Auto`] | [`Compression::Off`] |
    /// | [`Cellular`](Network::Cellular) | [`Fec::Auto`] | [`Compression::Adaptive`] |
    pub fn set_network(&mut self, network: Network) {
        self.endpoint.expect_correction(Policy::for_network(network, Policy::default()).fec);
        self.change((), |connection, _| connection.set_network(network));
    }

    /// Tells what the device does; see [`AppState`]. When it wakes up from [`Sleep`](AppState::Sleep) a PING goes out at
    /// once, to learn whether the path is still there.
    pub fn set_app_state(&mut self, state: AppState) {
        self.change((), |connection, now| connection.set_app_state(now, state));
    }

    /// The address at which the peer sees this side, if it was asked to say so ([`KeepAlive::Adaptive`](crate::KeepAlive))
    /// and has. A server's word; nobody else vouches for it.
    pub fn observed_address(&self) -> Option<SocketAddr> {
        self.connection()?.observed_address()
    }

    // ---- paths

    /// Client: moves the connection to another address of this host, `local`. The server follows;
    /// [`Event::PathChanged`](crate::Event) says that the new path works. If it does not, the connection goes back to the
    /// old one after three probe timeouts. If the socket itself is replaced, use [`Endpoint::rebind`].
    ///
    /// # Errors
    /// [`MigrateError`] says why the connection stays where it is.
    pub fn migrate(&mut self, local: SocketAddr) -> Result<(), MigrateError> {
        self.change(Err(MigrateError::NotConnected), |connection, now| connection.migrate(now, Some(local), false))
    }

    // ---- keys

    /// Changes the keys of both directions, beside the updates that happen by themselves
    /// ([`ConfigBuilder::key_update_packets`](crate::ConfigBuilder::key_update_packets)). It begins with the next packet,
    /// which is sent at once; [`ConnStats::key_updates`] counts it when the peer has followed.
    ///
    /// # Errors
    /// [`KeyUpdateError`] while it is too early for one; nothing has changed then.
    pub fn update_keys(&mut self) -> Result<(), KeyUpdateError> {
        self.change(Err(KeyUpdateError::Closed), Connection::update_keys)
    }

    // ---- the end

    /// Closes the connection in good order: everything accepted for sending is delivered first, then the peer is told
    /// `code` and up to 128 bytes of `reason`. Gives up when the peer takes nothing more for
    /// [`ConfigBuilder::linger`](crate::ConfigBuilder::linger). [`Event::Closed`](crate::Event) follows, and
    /// [`close_reason`](Self::close_reason) tells which it was: `LocallyClosed` if everything was delivered,
    /// `Undelivered` if not.
    pub fn close(&mut self, code: AppCode, reason: &[u8]) {
        self.change((), |connection, now| connection.close(now, code, reason));
    }

    /// Closes the connection at once: what is not delivered is lost, and tracked messages say so.
    pub fn abort(&mut self, code: AppCode, reason: &[u8]) {
        self.change((), |connection, now| connection.abort(now, code, reason));
    }

    /// Forgets the connection, unread data included; its id finds nothing from now on. A connection that is still
    /// open is aborted.
    pub fn discard(mut self) {
        self.change((), Connection::discard);
    }
}

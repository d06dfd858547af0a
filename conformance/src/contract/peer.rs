//! What the scenarios see of an adapter: its operations, blocking, and nothing of how it waits.

use std::net::SocketAddr;
use std::task::Poll;

use jsp_proto::driver::{OpenError, ReadError, SendError, WriteError};
use jsp_proto::{
    AppCode, ClientConfig, Config, ConnStats, ConnectionError, EndpointStats, KeyId, MessageOptions, StreamId,
    StreamOptions,
};

/// Names a connection of one [`Peer`], which chose the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnKey(pub usize);

/// Names a stream of one [`Peer`], both halves of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey {
    /// The connection it belongs to.
    pub conn: ConnKey,
    /// Its id there.
    pub id: StreamId,
}

/// What a server says to a client that asks to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Come in.
    Accept,
    /// Not you, and this is why.
    Refuse(AppCode),
    /// Nothing.
    Ignore,
}

/// One endpoint of an adapter on the loopback address, used by one thread.
///
/// Every call returns when it is done. An endpoint may move its datagrams only inside these calls, as a blocking loop
/// does, or all the time, as a task on a runtime does; a scenario must not rely on either. Calls named `poll_*` look
/// once: they start the operation, and if it cannot complete at once they drop it again, as `select!` would.
///
/// Handles live inside the peer. What a program does by dropping one has a method; an adapter without handles does
/// there what their drop stands for.
pub trait Peer: Sized {
    /// The adapter's name, for messages.
    const NAME: &'static str;

    /// Binds an endpoint to a free port of 127.0.0.1.
    fn bind(config: Config) -> Self;

    /// The address it is bound to.
    fn local_address(&self) -> SocketAddr;

    /// Connects and waits for the handshake.
    ///
    /// # Errors
    /// Why the attempt failed.
    fn connect(&mut self, remote: SocketAddr, client: &ClientConfig) -> Result<ConnKey, ConnectionError>;

    /// The next client's connection; `None` when the endpoint was shut down.
    fn accept(&mut self) -> Option<ConnKey>;

    /// Waits for a client that asks to be let in, and answers it after a look at its token. `false` when the endpoint
    /// was shut down.
    fn answer(&mut self, decide: impl FnOnce(&[u8]) -> Answer) -> bool;

    /// Serves the socket until `done`, which is asked again and again.
    fn serve_until(&mut self, done: impl FnMut(&mut Self) -> bool);

    /// Opens a stream, and waits while the peer allows no more.
    ///
    /// # Errors
    /// Why there will be none.
    fn open(&mut self, conn: ConnKey, options: StreamOptions) -> Result<StreamKey, OpenError>;

    /// The next stream that the peer opened; `None` when there will be no more, in the ordinary way.
    ///
    /// # Errors
    /// Why the connection ended otherwise.
    fn accept_stream(&mut self, conn: ConnKey) -> Result<Option<StreamKey>, ConnectionError>;

    /// [`accept_stream`](Self::accept_stream), dropped if there is none yet.
    fn poll_accept_stream(&mut self, conn: ConnKey) -> Poll<Result<Option<StreamKey>, ConnectionError>>;

    /// Writes some bytes, at least one, and waits while there is no room.
    ///
    /// # Errors
    /// Why the stream takes no more.
    fn write(&mut self, stream: StreamKey, bytes: &[u8]) -> Result<usize, WriteError>;

    /// [`write`](Self::write), dropped if there is no room.
    fn poll_write(&mut self, stream: StreamKey, bytes: &[u8]) -> Poll<Result<usize, WriteError>>;

    /// Reads some bytes; 0 at the end.
    ///
    /// # Errors
    /// Why there is no regular end.
    fn read(&mut self, stream: StreamKey, buffer: &mut [u8]) -> Result<usize, ReadError>;

    /// [`read`](Self::read), dropped if there is nothing yet.
    fn poll_read(&mut self, stream: StreamKey, buffer: &mut [u8]) -> Poll<Result<usize, ReadError>>;

    /// Sends a message as the stream delivers, and waits while there is no room.
    ///
    /// # Errors
    /// Why it cannot be sent.
    fn send_message(&mut self, stream: StreamKey, message: &[u8]) -> Result<(), SendError>;

    /// Sends a message in its own way if there is room, and says whether there was.
    ///
    /// # Errors
    /// Why it cannot be sent.
    fn try_send_message(
        &mut self,
        stream: StreamKey,
        message: &[u8],
        options: MessageOptions,
    ) -> Result<bool, SendError>;

    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// Why there is no regular end.
    fn recv_message(&mut self, stream: StreamKey) -> Result<Option<Vec<u8>>, ReadError>;

    /// [`recv_message`](Self::recv_message), dropped if there is nothing yet.
    fn poll_recv_message(&mut self, stream: StreamKey) -> Poll<Result<Option<Vec<u8>>, ReadError>>;

    /// Says that this side sends no more on the stream.
    ///
    /// # Errors
    /// Why that came too late.
    fn finish(&mut self, stream: StreamKey) -> Result<(), WriteError>;

    /// After [`finish`](Self::finish): waits until the other side has everything.
    ///
    /// # Errors
    /// Why that will not happen.
    fn delivered(&mut self, stream: StreamKey) -> Result<(), WriteError>;

    /// Gives up sending on the stream.
    fn reset(&mut self, stream: StreamKey, code: AppCode);

    /// Tells the other side to send no more on the stream.
    fn stop(&mut self, stream: StreamKey, code: AppCode);

    /// Drops the sending half: finishes it.
    fn drop_sender(&mut self, stream: StreamKey);

    /// Drops the receiving half: stops it with code 0.
    fn drop_receiver(&mut self, stream: StreamKey);

    /// Drops the connection and all its streams: closes it with code 0, and does not wait.
    fn drop_connection(&mut self, conn: ConnKey);

    /// Closes the connection and waits until everything is delivered.
    ///
    /// # Errors
    /// Why that did not happen.
    fn close(&mut self, conn: ConnKey, code: AppCode, reason: &[u8]) -> Result<(), ConnectionError>;

    /// Ends the connection at once.
    fn abort(&mut self, conn: ConnKey, code: AppCode, reason: &[u8]);

    /// Waits until the connection is over and says why. What arrived before stays readable.
    fn closed(&mut self, conn: ConnKey) -> ConnectionError;

    /// The connection's counters; the last ones when it is over.
    fn stats(&mut self, conn: ConnKey) -> ConnStats;

    /// The endpoint's counters.
    fn endpoint_stats(&mut self) -> EndpointStats;

    /// The key that the other side has proven to hold.
    fn peer_key_id(&mut self, conn: ConnKey) -> Option<KeyId>;

    /// Fills `out` with a secret of both sides.
    fn export_key(&mut self, conn: ConnKey, label: &[u8], context: &[u8], out: &mut [u8]);

    /// Closes all connections with code 0 and waits until everything is delivered. Calling again changes nothing.
    fn shutdown(&mut self);
}

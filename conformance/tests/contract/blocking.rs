//! The contract on an endpoint that tells everything by events, in a blocking loop. This file is compiled once for each
//! such interface.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use jsp_conformance::contract::{Answer, ConnKey, Peer, StreamKey};
use jsp_proto::driver::{OpenError, ReadError, SendError, WriteError};
use jsp_proto::{
    AppCode, ClientConfig, Config, ConnId, ConnStats, ConnectError, ConnectionError, EndpointStats, Event as On,
    IncomingId, KeyId, MessageOptions, Recv, RecvMessage, Side, StreamId, StreamOptions,
};

use super::{Conn, NAME, Node, Told};

/// How long a condition that no event announces may go unnoticed.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// No endpoint waits for longer in all its life. The stage reports a hang before; this ends the thread left behind.
const PATIENCE: Duration = Duration::from_secs(90);

/// An endpoint and what its events have told.
pub(crate) struct Blocking {
    node: Node,
    born: Instant,
    connections: Vec<Connection>,
    keys: HashMap<ConnId, ConnKey>,
    /// Clients' connections that nobody has accepted yet, and clients that ask to be let in.
    arrived: VecDeque<ConnKey>,
    asking: VecDeque<IncomingId>,
    /// Whether it was not shut down.
    open: bool,
}

/// What the program keeps of a connection.
struct Connection {
    id: ConnId,
    connected: bool,
    closed: Option<ConnectionError>,
    /// The code of a close that was begun here.
    closing: AppCode,
    /// The last counters, for after the end.
    stats: ConnStats,
    /// Streams that the peer opened and nobody has accepted yet.
    opened: VecDeque<StreamId>,
    streams: HashMap<StreamId, Stream>,
    /// What is in vain until an event says otherwise.
    blocked: HashSet<Attempt>,
    dropped: bool,
}

/// What the program keeps of a stream.
#[derive(Default)]
struct Stream {
    /// After finishing: the peer has everything.
    delivered: bool,
    stopped: Option<AppCode>,
    reset: Option<AppCode>,
    /// The end as it was read; nothing more will come.
    end: Option<Result<(), ReadError>>,
}

/// What may have to wait.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Attempt {
    Open,
    Send(StreamId),
    Receive(StreamId),
}

impl Connection {
    fn new(id: ConnId) -> Self {
        Self {
            id,
            connected: false,
            closed: None,
            closing: AppCode::ZERO,
            stats: ConnStats::default(),
            opened: VecDeque::new(),
            streams: HashMap::new(),
            blocked: HashSet::new(),
            dropped: false,
        }
    }

    fn stream(&mut self, id: StreamId) -> &mut Stream {
        self.streams.entry(id).or_default()
    }

    /// Why the connection is of no use, for an operation that found out.
    fn end(&self) -> ConnectionError {
        self.closed.clone().unwrap_or(ConnectionError::LocallyClosed { code: self.closing })
    }

    /// Why nothing can be sent on a stream.
    fn write_error(&self, error: jsp_proto::SendError, stream: StreamId) -> WriteError {
        let stopped = self.streams.get(&stream).and_then(|stream| stream.stopped);
        match (error, stopped) {
            (jsp_proto::SendError::Stopped(code), _) => WriteError::Stopped(code),
            (jsp_proto::SendError::Closed, _) => WriteError::Connection(self.end()),
            (jsp_proto::SendError::UnknownStream, Some(code)) => WriteError::Stopped(code),
            (jsp_proto::SendError::UnknownStream | jsp_proto::SendError::Finished | jsp_proto::SendError::Reset, _) => {
                WriteError::Finished
            }
            (error, _) => panic!("{error}"),
        }
    }

    /// Keeps what an event tells.
    fn on_event(&mut self, event: On) {
        match event {
            On::Connected => self.connected = true,
            On::StreamOpened(stream) => self.opened.push_back(stream),
            On::StreamsAvailable(_) => {
                self.blocked.remove(&Attempt::Open);
            }
            On::StreamReadable(stream) => {
                self.blocked.remove(&Attempt::Receive(stream));
            }
            On::StreamReset(stream, code) => {
                self.stream(stream).reset = Some(code);
                self.blocked.remove(&Attempt::Receive(stream));
            }
            On::StreamWritable(stream) => {
                self.blocked.remove(&Attempt::Send(stream));
            }
            On::StreamStopped(stream, code) => {
                self.stream(stream).stopped = Some(code);
                self.blocked.remove(&Attempt::Send(stream));
            }
            On::StreamFinished(stream) => self.stream(stream).delivered = true,
            _ => {}
        }
    }

    fn on_closed(&mut self, conn: Conn<'_>) {
        self.stats = conn.stats();
        self.closed = Some(conn.close_reason().expect("a reason"));
        self.blocked.clear();
        if self.dropped {
            conn.discard();
        }
    }
}

impl Stream {
    /// The end of a stream that the state machine has forgotten, or that was stopped.
    fn gone(&self) -> ReadError {
        self.reset.map_or(ReadError::Stopped, ReadError::Reset)
    }
}

impl Blocking {
    /// Goes through the loop until `attempt` comes to something: tries again after each event.
    fn wait<T>(&mut self, mut attempt: impl FnMut(&mut Self) -> Poll<T>) -> T {
        loop {
            loop {
                if let Poll::Ready(value) = attempt(self) {
                    return value;
                }
                let Some(event) = self.node.next() else { break };
                self.on_event(event);
            }
            self.sleep(PATIENCE);
        }
    }

    /// Does all there is to do now.
    fn turn(&mut self) {
        while let Some(event) = self.node.next() {
            self.on_event(event);
        }
    }

    /// Waits for the socket or the endpoint's deadline, not longer than `limit`.
    fn sleep(&mut self, limit: Duration) {
        let left = PATIENCE.saturating_sub(self.born.elapsed());
        assert!(!left.is_zero(), "nothing came of it");
        self.node.sleep(left.min(limit));
    }

    /// One round of the loop that does not wait.
    fn look(&mut self) {
        self.sleep(Duration::ZERO);
        self.turn();
    }

    fn on_event(&mut self, told: Told) {
        let (id, event) = match told {
            Told::Event(id, event) => (id, event),
            Told::Incoming(id) => return self.asking.push_back(id),
        };
        let Some(conn) = self.node.conn(id) else { return };
        let side = conn.side();
        let key = *self.keys.entry(id).or_insert_with(|| {
            self.connections.push(Connection::new(id));
            ConnKey(self.connections.len() - 1)
        });
        let connection = &mut self.connections[key.0];
        match event {
            On::Closed => connection.on_closed(conn),
            event => connection.on_event(event),
        }
        if event == On::Connected && side == Side::Server {
            self.arrived.push_back(key);
        }
    }

    fn known(&mut self, stream: StreamKey) -> &mut Stream {
        self.connections[stream.conn.0].stream(stream.id)
    }

    /// The connection in the state machine and what is known about it.
    fn connection(&mut self, conn: ConnKey) -> (Option<Conn<'_>>, &mut Connection) {
        let connection = &mut self.connections[conn.0];
        (self.node.conn(connection.id), connection)
    }

    /// Tries something unless it is known to be in vain. If the connection is over that is an error.
    fn attempt<T>(
        &mut self,
        conn: ConnKey,
        what: Attempt,
        act: impl FnOnce(&mut Conn<'_>, &mut Connection) -> Poll<T>,
    ) -> Poll<Result<T, ConnectionError>> {
        let (conn, connection) = self.connection(conn);
        if !connection.blocked.contains(&what) {
            if let Some(mut conn) = conn
                && let Poll::Ready(value) = act(&mut conn, connection)
            {
                return Poll::Ready(Ok(value));
            }
            connection.blocked.insert(what);
        }
        connection.closed.clone().map_or(Poll::Pending, |reason| Poll::Ready(Err(reason)))
    }

    fn try_open(&mut self, conn: ConnKey, options: StreamOptions) -> Poll<Result<StreamKey, OpenError>> {
        let opened = self.attempt(conn, Attempt::Open, |peer, connection| match peer.open(options) {
            Ok(id) => Poll::Ready(Ok(StreamKey { conn, id })),
            Err(jsp_proto::OpenError::Limit) => Poll::Pending,
            Err(jsp_proto::OpenError::ModeNeedsMessages) => Poll::Ready(Err(OpenError::ModeNeedsMessages)),
            Err(_) => Poll::Ready(Err(connection.end().into())),
        });
        opened.map(|opened| opened?)
    }

    fn try_accept_stream(&mut self, conn: ConnKey) -> Poll<Result<Option<StreamKey>, ConnectionError>> {
        let connection = &mut self.connections[conn.0];
        match (connection.opened.pop_front(), &connection.closed) {
            (Some(id), _) => Poll::Ready(Ok(Some(StreamKey { conn, id }))),
            (None, None) => Poll::Pending,
            (None, Some(ConnectionError::PeerClosed { .. } | ConnectionError::LocallyClosed { .. })) => {
                Poll::Ready(Ok(None))
            }
            (None, Some(other)) => Poll::Ready(Err(other.clone())),
        }
    }

    fn try_write(&mut self, stream: StreamKey, bytes: &[u8]) -> Poll<Result<usize, WriteError>> {
        let StreamKey { conn, id } = stream;
        let written = self.attempt(conn, Attempt::Send(id), |peer, connection| match peer.send(id, bytes) {
            Err(jsp_proto::SendError::Blocked) => Poll::Pending,
            written => Poll::Ready(written.map_err(|error| connection.write_error(error, id))),
        });
        written.map(|written| written?)
    }

    fn try_send(&mut self, stream: StreamKey, message: &[u8], options: MessageOptions) -> Poll<Result<(), SendError>> {
        let StreamKey { conn, id } = stream;
        let sent = self.attempt(conn, Attempt::Send(id), |peer, connection| {
            Poll::Ready(match peer.send_message(id, message, options) {
                Ok(_) => Ok(()),
                Err(jsp_proto::SendError::Blocked) => return Poll::Pending,
                Err(jsp_proto::SendError::Empty) => Err(SendError::Empty),
                Err(jsp_proto::SendError::TooLarge { max }) => Err(SendError::TooLarge { max }),
                Err(error) => Err(connection.write_error(error, id).into()),
            })
        });
        sent.map(|sent| sent?)
    }

    /// Receives by `receive`; `None` is the end, which stays.
    fn try_receive<T>(
        &mut self,
        stream: StreamKey,
        receive: impl FnOnce(&mut Conn<'_>, &Stream) -> Poll<Result<Option<T>, ReadError>>,
    ) -> Poll<Result<Option<T>, ReadError>> {
        let StreamKey { conn, id } = stream;
        if let Some(end) = &self.known(stream).end {
            return Poll::Ready(end.clone().map(|()| None));
        }
        let received = ready!(
            self.attempt(conn, Attempt::Receive(id), |peer, connection| { receive(peer, connection.stream(id)) })
        );
        let received = received.unwrap_or_else(|error| Err(error.into()));
        self.known(stream).end = match &received {
            Ok(Some(_)) => None,
            Ok(None) => Some(Ok(())),
            Err(error) => Some(Err(error.clone())),
        };
        Poll::Ready(received)
    }

    fn try_read(&mut self, stream: StreamKey, buffer: &mut [u8]) -> Poll<Result<usize, ReadError>> {
        let read = self.try_receive(stream, |peer, known| {
            Poll::Ready(match peer.recv(stream.id, buffer) {
                Ok(Recv::Data(read)) => Ok(Some(read)),
                Ok(Recv::Blocked) => return Poll::Pending,
                Ok(Recv::Finished) => Ok(None),
                Ok(Recv::Reset(code)) => Err(ReadError::Reset(code)),
                Err(_) => Err(known.gone()),
            })
        });
        read.map_ok(|read| read.unwrap_or(0))
    }

    fn try_recv(&mut self, stream: StreamKey) -> Poll<Result<Option<Vec<u8>>, ReadError>> {
        self.try_receive(stream, |peer, known| {
            let mut message = Vec::new();
            Poll::Ready(match peer.recv_message(stream.id, &mut message) {
                Ok(RecvMessage::Message(_)) => Ok(Some(message)),
                Ok(RecvMessage::Blocked) => return Poll::Pending,
                Ok(RecvMessage::Finished) => Ok(None),
                Ok(RecvMessage::Reset(code)) => Err(ReadError::Reset(code)),
                Err(_) => Err(known.gone()),
            })
        })
    }
}

impl Peer for Blocking {
    const NAME: &'static str = NAME;

    fn bind(config: Config) -> Self {
        Self {
            node: Node::bind(config),
            born: Instant::now(),
            connections: Vec::new(),
            keys: HashMap::new(),
            arrived: VecDeque::new(),
            asking: VecDeque::new(),
            open: true,
        }
    }

    fn local_address(&self) -> SocketAddr {
        self.node.local_address()
    }

    fn connect(&mut self, remote: SocketAddr, client: &ClientConfig) -> Result<ConnKey, ConnectionError> {
        let id = match self.node.connect(remote, client) {
            Ok(id) => id,
            Err(error @ ConnectError::ShuttingDown) => {
                return Err(ConnectionError::EndpointGone { reason: error.to_string().into() });
            }
            Err(error) => panic!("the attempt did not start: {error}"),
        };
        let key = ConnKey(self.connections.len());
        self.connections.push(Connection::new(id));
        self.keys.insert(id, key);
        self.wait(|this| match &this.connections[key.0] {
            Connection { connected: true, .. } => Poll::Ready(Ok(key)),
            Connection { closed: Some(reason), .. } => Poll::Ready(Err(reason.clone())),
            _ => Poll::Pending,
        })
    }

    fn accept(&mut self) -> Option<ConnKey> {
        self.wait(|this| match this.arrived.pop_front() {
            None if this.open => Poll::Pending,
            arrived => Poll::Ready(arrived),
        })
    }

    fn answer(&mut self, decide: impl FnOnce(&[u8]) -> Answer) -> bool {
        let asks = self.wait(|this| match this.asking.pop_front() {
            None if this.open => Poll::Pending,
            asks => Poll::Ready(asks),
        });
        let Some(id) = asks else { return false };
        let answer = decide(&self.node.app_token(id));
        self.node.answer(id, answer);
        true
    }

    fn serve_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        while !done(self) {
            self.sleep(LOOK_AGAIN);
            self.turn();
        }
    }

    fn open(&mut self, conn: ConnKey, options: StreamOptions) -> Result<StreamKey, OpenError> {
        self.wait(|this| this.try_open(conn, options))
    }

    fn accept_stream(&mut self, conn: ConnKey) -> Result<Option<StreamKey>, ConnectionError> {
        self.wait(|this| this.try_accept_stream(conn))
    }

    fn poll_accept_stream(&mut self, conn: ConnKey) -> Poll<Result<Option<StreamKey>, ConnectionError>> {
        self.look();
        self.try_accept_stream(conn)
    }

    fn write(&mut self, stream: StreamKey, bytes: &[u8]) -> Result<usize, WriteError> {
        self.wait(|this| this.try_write(stream, bytes))
    }

    fn poll_write(&mut self, stream: StreamKey, bytes: &[u8]) -> Poll<Result<usize, WriteError>> {
        self.look();
        self.try_write(stream, bytes)
    }

    fn read(&mut self, stream: StreamKey, buffer: &mut [u8]) -> Result<usize, ReadError> {
        self.wait(|this| this.try_read(stream, buffer))
    }

    fn poll_read(&mut self, stream: StreamKey, buffer: &mut [u8]) -> Poll<Result<usize, ReadError>> {
        self.look();
        self.try_read(stream, buffer)
    }

    fn send_message(&mut self, stream: StreamKey, message: &[u8]) -> Result<(), SendError> {
        self.wait(|this| this.try_send(stream, message, MessageOptions::new()))
    }

    fn try_send_message(
        &mut self,
        stream: StreamKey,
        message: &[u8],
        options: MessageOptions,
    ) -> Result<bool, SendError> {
        match self.try_send(stream, message, options) {
            Poll::Ready(sent) => sent.map(|()| true),
            Poll::Pending => Ok(false),
        }
    }

    fn recv_message(&mut self, stream: StreamKey) -> Result<Option<Vec<u8>>, ReadError> {
        self.wait(|this| this.try_recv(stream))
    }

    fn poll_recv_message(&mut self, stream: StreamKey) -> Poll<Result<Option<Vec<u8>>, ReadError>> {
        self.look();
        self.try_recv(stream)
    }

    fn finish(&mut self, stream: StreamKey) -> Result<(), WriteError> {
        let (conn, connection) = self.connection(stream.conn);
        let Some(mut conn) = conn else { return Err(WriteError::Connection(connection.end())) };
        match conn.finish(stream.id) {
            Ok(()) | Err(jsp_proto::SendError::Finished) => Ok(()),
            Err(error) => Err(connection.write_error(error, stream.id)),
        }
    }

    fn delivered(&mut self, stream: StreamKey) -> Result<(), WriteError> {
        self.wait(|this| {
            let connection = &mut this.connections[stream.conn.0];
            match (connection.closed.clone(), connection.stream(stream.id)) {
                (_, Stream { delivered: true, .. }) => Poll::Ready(Ok(())),
                (_, Stream { stopped: Some(code), .. }) => Poll::Ready(Err(WriteError::Stopped(*code))),
                (Some(reason), _) => Poll::Ready(Err(WriteError::Connection(reason))),
                (None, _) => Poll::Pending,
            }
        })
    }

    fn reset(&mut self, stream: StreamKey, code: AppCode) {
        if let Some(mut conn) = self.connection(stream.conn).0 {
            // A stream that is over stays as it is.
            let _ = conn.reset(stream.id, code);
        }
    }

    fn stop(&mut self, stream: StreamKey, code: AppCode) {
        self.known(stream).end.get_or_insert(Err(ReadError::Stopped));
        if let Some(mut conn) = self.connection(stream.conn).0 {
            // A stream that is over stays as it is.
            let _ = conn.stop(stream.id, code);
        }
    }

    fn drop_sender(&mut self, stream: StreamKey) {
        // A stream that is over stays as it is.
        let _ = self.finish(stream);
    }

    fn drop_receiver(&mut self, stream: StreamKey) {
        if self.known(stream).end.is_none() {
            self.stop(stream, AppCode::ZERO);
        }
    }

    fn drop_connection(&mut self, conn: ConnKey) {
        let (conn, connection) = self.connection(conn);
        connection.dropped = true;
        match conn {
            Some(mut conn) if connection.closed.is_none() => conn.close(AppCode::ZERO, b""),
            Some(conn) => conn.discard(),
            None => {}
        }
    }

    fn close(&mut self, conn: ConnKey, code: AppCode, reason: &[u8]) -> Result<(), ConnectionError> {
        let (peer, connection) = self.connection(conn);
        if let Some(mut peer) = peer {
            connection.closing = code;
            peer.close(code, reason);
        }
        match self.closed(conn) {
            ConnectionError::LocallyClosed { .. } => Ok(()),
            other => Err(other),
        }
    }

    fn abort(&mut self, conn: ConnKey, code: AppCode, reason: &[u8]) {
        let (peer, connection) = self.connection(conn);
        if let Some(mut peer) = peer {
            connection.closing = code;
            peer.abort(code, reason);
        }
    }

    fn closed(&mut self, conn: ConnKey) -> ConnectionError {
        self.wait(|this| this.connections[conn.0].closed.clone().map_or(Poll::Pending, Poll::Ready))
    }

    fn stats(&mut self, conn: ConnKey) -> ConnStats {
        let (conn, connection) = self.connection(conn);
        conn.map_or(connection.stats, |conn| conn.stats())
    }

    fn endpoint_stats(&mut self) -> EndpointStats {
        self.node.stats()
    }

    fn peer_key_id(&mut self, conn: ConnKey) -> Option<KeyId> {
        self.connection(conn).0?.peer_key_id()
    }

    fn export_key(&mut self, conn: ConnKey, label: &[u8], context: &[u8], out: &mut [u8]) {
        self.connection(conn).0.expect("connected").export_key(label, context, out).expect("connected");
    }

    fn shutdown(&mut self) {
        self.open = false;
        self.arrived.clear();
        self.asking.clear();
        self.node.shutdown();
        self.turn();
        while !self.node.is_idle() {
            self.sleep(PATIENCE);
            self.turn();
        }
    }
}

//! The contract on an asynchronous adapter. This file is compiled once for each of them, which shows that they offer
//! the same.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use jsp_conformance::contract::{Answer, ConnKey, Peer, StreamKey};

use super::adapter::{
    Accept, AppCode, ClientConfig, Config, ConnStats, ConnectError, Connection, ConnectionError, Endpoint,
    EndpointStats, KeyId, MessageOptions, MessageReceiver, MessageSender, OpenError, ReadError, RecvStream, SendError,
    SendStream, Stream, StreamOptions, WriteError,
};
use super::{Executor, NAME, poll_close, poll_read, poll_write};

/// An endpoint with all its handles.
pub(crate) struct Asynchronous {
    // Before the executor: their drop gives the endpoint's task its last work.
    senders: HashMap<StreamKey, Sender>,
    receivers: HashMap<StreamKey, Receiver>,
    connections: Vec<Option<Connection>>,
    endpoint: Endpoint,
    executor: Executor,
}

enum Sender {
    Bytes(SendStream),
    Messages(MessageSender),
}

enum Receiver {
    Bytes(RecvStream),
    Messages(MessageReceiver),
}

/// How long a condition that no event announces may go unnoticed.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Polls once and drops.
async fn once<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// What the traits of a runtime give, with the error that they wrap.
fn typed<T: Debug, E: Error + Send + Sync + 'static>(result: io::Result<T>) -> Result<T, E> {
    result.map_err(|error| error.downcast().expect("an error of the stream"))
}

impl Asynchronous {
    fn add_connection(&mut self, connection: Connection) -> ConnKey {
        self.connections.push(Some(connection));
        ConnKey(self.connections.len() - 1)
    }

    fn connection(&self, conn: ConnKey) -> Connection {
        self.connections[conn.0].clone().expect("not dropped")
    }

    fn add_stream(&mut self, conn: ConnKey, sender: Option<Sender>, receiver: Option<Receiver>) -> StreamKey {
        let id = match (&sender, &receiver) {
            (Some(Sender::Bytes(sender)), _) => sender.id(),
            (Some(Sender::Messages(sender)), _) => sender.id(),
            (None, Some(Receiver::Bytes(receiver))) => receiver.id(),
            (None, Some(Receiver::Messages(receiver))) => receiver.id(),
            (None, None) => unreachable!("a stream has a half"),
        };
        let stream = StreamKey { conn, id };
        self.senders.extend(sender.map(|sender| (stream, sender)));
        self.receivers.extend(receiver.map(|receiver| (stream, receiver)));
        stream
    }

    fn add_accepted(&mut self, conn: ConnKey, stream: Stream) -> StreamKey {
        match stream {
            Stream::Bytes(sender, receiver) => {
                self.add_stream(conn, Some(Sender::Bytes(sender)), Some(Receiver::Bytes(receiver)))
            }
            Stream::BytesUni(receiver) => self.add_stream(conn, None, Some(Receiver::Bytes(receiver))),
            Stream::Messages(stream) => {
                let (sender, receiver) = stream.split();
                self.add_stream(conn, Some(Sender::Messages(sender)), Some(Receiver::Messages(receiver)))
            }
            Stream::MessagesUni(receiver) => self.add_stream(conn, None, Some(Receiver::Messages(receiver))),
            other => panic!("a stream of a new kind: {other:?}"),
        }
    }

    fn byte_sender(&mut self, stream: StreamKey) -> (&Executor, &mut SendStream) {
        match self.senders.get_mut(&stream) {
            Some(Sender::Bytes(sender)) => (&self.executor, sender),
            _ => panic!("{stream:?} sends no bytes"),
        }
    }

    fn byte_receiver(&mut self, stream: StreamKey) -> (&Executor, &mut RecvStream) {
        match self.receivers.get_mut(&stream) {
            Some(Receiver::Bytes(receiver)) => (&self.executor, receiver),
            _ => panic!("{stream:?} receives no bytes"),
        }
    }

    fn message_sender(&mut self, stream: StreamKey) -> (&Executor, &mut MessageSender) {
        match self.senders.get_mut(&stream) {
            Some(Sender::Messages(sender)) => (&self.executor, sender),
            _ => panic!("{stream:?} sends no messages"),
        }
    }

    fn message_receiver(&mut self, stream: StreamKey) -> (&Executor, &mut MessageReceiver) {
        match self.receivers.get_mut(&stream) {
            Some(Receiver::Messages(receiver)) => (&self.executor, receiver),
            _ => panic!("{stream:?} receives no messages"),
        }
    }
}

/// Bytes are written, read and finished through the traits of the runtime where that waits, and through the methods of
/// the handles where it is dropped.
impl Peer for Asynchronous {
    const NAME: &'static str = NAME;

    fn bind(config: Config) -> Self {
        let executor = Executor::new();
        let endpoint = executor.run(Endpoint::bind("127.0.0.1:0", config)).expect("a free port");
        Self { senders: HashMap::new(), receivers: HashMap::new(), connections: Vec::new(), endpoint, executor }
    }

    fn local_address(&self) -> SocketAddr {
        self.endpoint.local_address()
    }

    fn connect(&mut self, remote: SocketAddr, client: &ClientConfig) -> Result<ConnKey, ConnectionError> {
        match self.executor.run(self.endpoint.connect(remote, client)) {
            Ok(connection) => Ok(self.add_connection(connection)),
            Err(ConnectError::Connection(error)) => Err(error),
            Err(error) => panic!("the attempt did not start: {error}"),
        }
    }

    fn accept(&mut self) -> Option<ConnKey> {
        let connection = self.executor.run(self.endpoint.accept())?;
        Some(self.add_connection(connection))
    }

    fn answer(&mut self, decide: impl FnOnce(&[u8]) -> Answer) -> bool {
        let Some(incoming) = self.executor.run(self.endpoint.accept_incoming()) else { return false };
        match decide(incoming.app_token()) {
            Answer::Accept => incoming.accept(Accept::new()).expect("in time"),
            Answer::Refuse(code) => incoming.refuse(code).expect("in time"),
            Answer::Ignore => incoming.ignore(),
        }
        true
    }

    fn serve_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        while !done(self) {
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn open(&mut self, conn: ConnKey, options: StreamOptions) -> Result<StreamKey, OpenError> {
        let connection = self.connection(conn);
        // Each method takes one kind of options and refuses the others.
        let opened = self.executor.run(async {
            match connection.open_bi_with(options).await {
                Err(OpenError::WrongKind) => {}
                opened => return opened.map(|(send, recv)| (Sender::Bytes(send), Some(Receiver::Bytes(recv)))),
            }
            match connection.open_uni_with(options).await {
                Err(OpenError::WrongKind) => {}
                opened => return opened.map(|send| (Sender::Bytes(send), None)),
            }
            match connection.open_messages_with(options).await {
                Err(OpenError::WrongKind) => {}
                opened => {
                    let (send, recv) = opened?.split();
                    return Ok((Sender::Messages(send), Some(Receiver::Messages(recv))));
                }
            }
            connection.open_messages_uni(options).await.map(|send| (Sender::Messages(send), None))
        });
        let (sender, receiver) = opened?;
        Ok(self.add_stream(conn, Some(sender), receiver))
    }

    fn accept_stream(&mut self, conn: ConnKey) -> Result<Option<StreamKey>, ConnectionError> {
        let stream = self.executor.run(self.connection(conn).accept_stream())?;
        Ok(stream.map(|stream| self.add_accepted(conn, stream)))
    }

    fn poll_accept_stream(&mut self, conn: ConnKey) -> Poll<Result<Option<StreamKey>, ConnectionError>> {
        let stream = self.executor.run(once(self.connection(conn).accept_stream()));
        stream.map_ok(|stream| stream.map(|stream| self.add_accepted(conn, stream)))
    }

    fn write(&mut self, stream: StreamKey, bytes: &[u8]) -> Result<usize, WriteError> {
        let (executor, sender) = self.byte_sender(stream);
        typed(executor.run(poll_fn(|cx| poll_write(sender, cx, bytes))))
    }

    fn poll_write(&mut self, stream: StreamKey, bytes: &[u8]) -> Poll<Result<usize, WriteError>> {
        let (executor, sender) = self.byte_sender(stream);
        executor.run(once(sender.write(bytes)))
    }

    fn read(&mut self, stream: StreamKey, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let (executor, receiver) = self.byte_receiver(stream);
        typed(executor.run(poll_fn(|cx| poll_read(receiver, cx, buffer))))
    }

    fn poll_read(&mut self, stream: StreamKey, buffer: &mut [u8]) -> Poll<Result<usize, ReadError>> {
        let (executor, receiver) = self.byte_receiver(stream);
        executor.run(once(receiver.read(buffer)))
    }

    fn send_message(&mut self, stream: StreamKey, message: &[u8]) -> Result<(), SendError> {
        let (executor, sender) = self.message_sender(stream);
        executor.run(sender.send(message))
    }

    fn try_send_message(
        &mut self,
        stream: StreamKey,
        message: &[u8],
        options: MessageOptions,
    ) -> Result<bool, SendError> {
        self.message_sender(stream).1.try_send(message, options)
    }

    fn recv_message(&mut self, stream: StreamKey) -> Result<Option<Vec<u8>>, ReadError> {
        let (executor, receiver) = self.message_receiver(stream);
        executor.run(receiver.recv())
    }

    fn poll_recv_message(&mut self, stream: StreamKey) -> Poll<Result<Option<Vec<u8>>, ReadError>> {
        let (executor, receiver) = self.message_receiver(stream);
        executor.run(once(receiver.recv()))
    }

    fn finish(&mut self, stream: StreamKey) -> Result<(), WriteError> {
        match self.senders.get_mut(&stream).expect("not dropped") {
            Sender::Bytes(sender) => typed(self.executor.run(poll_fn(|cx| poll_close(sender, cx)))),
            Sender::Messages(sender) => sender.finish(),
        }
    }

    fn delivered(&mut self, stream: StreamKey) -> Result<(), WriteError> {
        match self.senders.get_mut(&stream).expect("not dropped") {
            Sender::Bytes(sender) => self.executor.run(sender.delivered()),
            Sender::Messages(sender) => self.executor.run(sender.delivered()),
        }
    }

    fn reset(&mut self, stream: StreamKey, code: AppCode) {
        match self.senders.get_mut(&stream).expect("not dropped") {
            Sender::Bytes(sender) => sender.reset(code),
            Sender::Messages(sender) => sender.reset(code),
        }
    }

    fn stop(&mut self, stream: StreamKey, code: AppCode) {
        match self.receivers.get_mut(&stream).expect("not dropped") {
            Receiver::Bytes(receiver) => receiver.stop(code),
            Receiver::Messages(receiver) => receiver.stop(code),
        }
    }

    fn drop_sender(&mut self, stream: StreamKey) {
        self.senders.remove(&stream).expect("not dropped");
    }

    fn drop_receiver(&mut self, stream: StreamKey) {
        self.receivers.remove(&stream).expect("not dropped");
    }

    fn drop_connection(&mut self, conn: ConnKey) {
        self.senders.retain(|stream, _| stream.conn != conn);
        self.receivers.retain(|stream, _| stream.conn != conn);
        self.connections[conn.0] = None;
    }

    fn close(&mut self, conn: ConnKey, code: AppCode, reason: &[u8]) -> Result<(), ConnectionError> {
        self.executor.run(self.connection(conn).close(code, reason))
    }

    fn abort(&mut self, conn: ConnKey, code: AppCode, reason: &[u8]) {
        self.connection(conn).abort(code, reason);
    }

    fn closed(&mut self, conn: ConnKey) -> ConnectionError {
        self.executor.run(self.connection(conn).closed())
    }

    fn stats(&mut self, conn: ConnKey) -> ConnStats {
        self.connection(conn).stats()
    }

    fn endpoint_stats(&mut self) -> EndpointStats {
        self.endpoint.stats()
    }

    fn peer_key_id(&mut self, conn: ConnKey) -> Option<KeyId> {
        self.connection(conn).peer_key_id()
    }

    fn export_key(&mut self, conn: ConnKey, label: &[u8], context: &[u8], out: &mut [u8]) {
        self.connection(conn).export_key(label, context, out).expect("connected");
    }

    fn shutdown(&mut self) {
        self.executor.run(self.endpoint.shutdown());
    }
}

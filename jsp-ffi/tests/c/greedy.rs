//! A client that sends far more than it reads, so that whoever echoes has to hold back.

use std::net::SocketAddr;
use std::ops::ControlFlow;

use jsp_mio::proto::{Event as On, Recv, RecvMessage, SendError};
use jsp_mio::{ClientConfig, Config, Conn, Endpoint, Event, MessageOptions, StreamId, StreamOptions, run};

/// Bytes that this client accepts for sending and has not delivered.
const OWN_BUFFER: usize = 64 << 10;
/// Sent before the first byte is read. A server that has read all of it cannot have sent it on: its send buffer takes
/// 4 MiB and this client's window 256 KiB. What does not fit is in its hands or still unread there, where half of its
/// window of 256 KiB has room for certain.
const UNREAD: usize = (4 << 20) + (256 << 10) + OWN_BUFFER + (16 << 10);
const TOTAL: usize = UNREAD + (1 << 20);
/// The length of a message, and of what is read and written of a stream of bytes at a time.
const PIECE: usize = 10_000;

fn byte_at(position: usize) -> u8 {
    (position * 7 % 251) as u8
}

struct Greedy {
    stream: StreamId,
    sent: usize,
    received: usize,
    is_over: bool,
}

impl Greedy {
    fn is_messages(&self) -> bool {
        self.stream.kind().has_messages()
    }

    fn write(&mut self, connection: &mut Conn<'_>) {
        while self.sent < TOTAL {
            let piece: Vec<u8> = (self.sent..TOTAL.min(self.sent + PIECE)).map(byte_at).collect();
            let sent = if self.is_messages() {
                connection.send_message(self.stream, &piece, MessageOptions::new()).map(|_| piece.len())
            } else {
                connection.send(self.stream, &piece)
            };
            match sent {
                Ok(sent) => self.sent += sent,
                Err(SendError::Blocked) => return,
                Err(error) => panic!("{error}"),
            }
        }
        connection.finish(self.stream).expect("an open stream");
    }

    /// One piece, if there is one; sees the end too.
    fn read_piece(&mut self, connection: &mut Conn<'_>) -> Option<Vec<u8>> {
        let mut piece = vec![0; PIECE];
        if self.is_messages() {
            match connection.recv_message(self.stream, &mut piece).expect("an open stream") {
                RecvMessage::Message(_) => return Some(piece),
                RecvMessage::Blocked => {}
                RecvMessage::Finished => self.is_over = true,
                RecvMessage::Reset(code) => panic!("reset with {code:?}"),
            }
        } else {
            match connection.recv(self.stream, &mut piece).expect("an open stream") {
                Recv::Data(len) => {
                    piece.truncate(len);
                    return Some(piece);
                }
                Recv::Blocked => {}
                Recv::Finished => self.is_over = true,
                Recv::Reset(code) => panic!("reset with {code:?}"),
            }
        }
        None
    }

    fn read(&mut self, connection: &mut Conn<'_>) {
        while let Some(piece) = self.read_piece(connection) {
            let expected = self.received..self.received + piece.len();
            assert!(piece.iter().copied().eq(expected.clone().map(byte_at)), "other bytes came back at {expected:?}");
            self.received = expected.end;
        }
    }
}

/// Checks that everything comes back however late it is read.
pub(crate) fn outlast(server: SocketAddr, options: StreamOptions) {
    let config =
        Config::builder().send_buffer(4 * OWN_BUFFER as u64, OWN_BUFFER as u64).build().expect("good settings");
    let mut client = Endpoint::bind((server.ip(), 0).into(), config).expect("a socket");
    let id = client.connect(server, &ClientConfig::new()).expect("an attempt");
    let connected = run(&mut client, |_, event| match event {
        Event::Connection(_, On::Connected) => ControlFlow::Break(true),
        Event::Connection(_, On::Closed) => ControlFlow::Break(false),
        _ => ControlFlow::Continue(()),
    });
    assert!(connected.expect("a socket that works"), "the server does not answer");
    let mut connection = client.conn(id).expect("a connection");
    let stream = connection.open(options).expect("a stream");
    let mut greedy = Greedy { stream, sent: 0, received: 0, is_over: false };
    greedy.write(&mut connection);
    let lasted = run(&mut client, |client, event| {
        let Some(mut connection) = client.conn(id) else { return ControlFlow::Break(()) };
        match event {
            Event::Connection(_, On::StreamWritable(_)) => greedy.write(&mut connection),
            Event::Connection(_, On::Closed) => return ControlFlow::Break(()),
            _ => {}
        }
        if greedy.sent >= UNREAD {
            greedy.read(&mut connection);
        }
        if greedy.is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    lasted.expect("a socket that works");
    assert_eq!((greedy.received, greedy.is_over), (TOTAL, true), "of {} bytes", greedy.sent);
}

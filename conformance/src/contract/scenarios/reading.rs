//! Reads that are given up, and streams in large numbers.

use std::task::Poll;

use jsp_proto::StreamOptions;

use crate::contract::content::{bytes, check_bytes, message, number};
use crate::contract::peer::{ConnKey, Peer, StreamKey};
use crate::contract::stage::{Side, Stage};

/// Reads that are dropped between two requests, and requests.
const CANCELLED: u64 = 32;
const REQUESTS: u64 = 100;

/// Counts reads that were dropped, and asks the sender for more every so often: so reads are dropped at every stage of
/// an arrival.
struct Requests {
    stream: StreamKey,
    cancelled: u64,
}

impl Requests {
    fn cancelled<P: Peer>(&mut self, side: &mut Side<P>) {
        self.cancelled += 1;
        if self.cancelled.is_multiple_of(CANCELLED) && self.cancelled <= REQUESTS * CANCELLED {
            side.send(self.stream, b"more");
        }
        if self.cancelled == REQUESTS * CANCELLED {
            side.finish(self.stream);
        }
    }
}

/// Accepts a stream by attempts that are dropped if there is none.
fn accept_patiently<P: Peer>(side: &mut Side<P>, conn: ConnKey) -> StreamKey {
    loop {
        if let Poll::Ready(stream) = side.at("a stream").poll_accept_stream(conn) {
            return stream.expect("open").expect("a stream");
        }
    }
}

/// Thousands of dropped reads lose no message, repeat none, and keep their order.
pub fn cancelled_reads_of_messages<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    stage.play(
        |client, server| {
            let conn = client.connect(server);
            let stream = client.open(conn, StreamOptions::ordered_messages());
            for sent in 0.. {
                if client.recv(stream).is_none() {
                    assert_eq!(sent, REQUESTS);
                    break;
                }
                client.send(stream, &message(sent, 20_000));
            }
            client.finish(stream);
            client.close(conn);
        },
        |server| {
            let conn = server.accept();
            let stream = accept_patiently(server, conn);
            let mut requests = Requests { stream, cancelled: 0 };
            let mut received = 0;
            loop {
                match server.at("a message").poll_recv_message(stream) {
                    Poll::Pending => requests.cancelled(server),
                    Poll::Ready(found) => match found.expect("open") {
                        Some(message) => {
                            assert_eq!((number(&message), message.len()), (received, 20_000));
                            received += 1;
                        }
                        None => break,
                    },
                }
            }
            assert_eq!(received, REQUESTS);
            assert!(requests.cancelled >= REQUESTS * CANCELLED);
            server.closed(conn);
        },
    );
}

/// Thousands of dropped reads lose no byte and repeat none.
pub fn cancelled_reads_of_bytes<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    const PIECE: usize = 7000;
    stage.play(
        |client, server| {
            let conn = client.connect(server);
            let requests = client.open(conn, StreamOptions::ordered_messages());
            let stream = client.open(conn, StreamOptions::bytes().uni());
            for piece in bytes(4, PIECE * REQUESTS as usize).chunks(PIECE) {
                client.recv(requests).expect("a request");
                client.write_all(stream, piece);
            }
            client.finish(stream);
            client.close(conn);
        },
        |server| {
            let conn = server.accept();
            let mut requests = Requests { stream: accept_patiently(server, conn), cancelled: 0 };
            let stream = accept_patiently(server, conn);
            let mut received = Vec::new();
            let mut buffer = [0; 700];
            loop {
                match server.at("bytes").poll_read(stream, &mut buffer) {
                    Poll::Pending => requests.cancelled(server),
                    Poll::Ready(read) => match read.expect("open") {
                        0 => break,
                        read => received.extend_from_slice(&buffer[..read]),
                    },
                }
            }
            assert_eq!(received.len(), PIECE * REQUESTS as usize);
            check_bytes(4, &received);
            assert!(requests.cancelled >= REQUESTS * CANCELLED);
            server.closed(conn);
        },
    );
}

/// Ten thousand streams, all open at once, and then each with a message there and back and both ends.
pub fn ten_thousand_streams<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    const STREAMS: usize = 10_000;
    stage.both(|config| config.max_streams(STREAMS as u64)).play(
        |client, server| {
            let conn = client.connect(server);
            let options = StreamOptions::ordered_messages();
            let streams = Vec::from_iter((0..STREAMS).map(|_| client.open(conn, options)));
            for (&stream, number) in streams.iter().zip(0..) {
                client.send(stream, &message(number, 20));
                client.finish(stream);
            }
            for (&stream, expected) in streams.iter().zip(0..) {
                assert_eq!(client.recv(stream).as_deref().map(number), Some(expected));
                assert_eq!(client.recv(stream), None);
            }
            client.close(conn);
        },
        |server| {
            let conn = server.accept();
            let streams = Vec::from_iter((0..STREAMS).map(|_| server.accept_stream(conn)));
            for (&stream, expected) in streams.iter().zip(0..) {
                let message = server.recv(stream).expect("a message");
                assert_eq!(number(&message), expected, "streams of one type are seen in their order");
                assert_eq!(server.recv(stream), None);
                server.send(stream, &message);
                server.finish(stream);
            }
            server.closed(conn);
        },
    );
}

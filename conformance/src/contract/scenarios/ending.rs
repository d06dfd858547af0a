//! The end of connections and endpoints: what is delivered, and what each side is told.

use jsp_proto::driver::{OpenError, ReadError};
use jsp_proto::{AppCode, ConnectionError, StreamOptions};

use crate::contract::content::{bytes, check_bytes, message, number};
use crate::contract::peer::{ConnKey, Peer};
use crate::contract::stage::{Side, Stage, trust};

const BYTES: usize = 2 << 20;
const MESSAGES: u64 = 300;

/// Gives much to a connection, on three streams that nobody waits for.
fn send_much<P: Peer>(side: &mut Side<P>, conn: ConnKey) {
    let stream = side.open(conn, StreamOptions::bytes().uni());
    side.write_all(stream, &bytes(9, BYTES));
    side.finish(stream);
    for options in [StreamOptions::ordered_messages(), StreamOptions::unordered_messages()] {
        let stream = side.open(conn, options.uni());
        for number in 0..MESSAGES {
            side.send(stream, &message(number, 1000));
        }
        side.finish(stream);
    }
}

/// Receives what [`send_much`] sent.
fn receive_much<P: Peer>(side: &mut Side<P>, conn: ConnKey) {
    // Each type of stream has one; which is seen first is not said.
    let mut streams = [(); 3].map(|()| side.accept_stream(conn));
    streams.sort_by_key(|stream| stream.id.kind() as u8);
    let [stream, ordered, unordered] = streams;
    let received = side.read_to_end(stream);
    assert_eq!(received.len(), BYTES);
    check_bytes(9, &received);
    for (stream, is_ordered) in [(ordered, true), (unordered, false)] {
        let mut received = Vec::new();
        while let Some(message) = side.recv(stream) {
            received.push(number(&message));
        }
        if !is_ordered {
            received.sort_unstable();
        }
        assert_eq!(received, Vec::from_iter(0..MESSAGES));
    }
}

/// A close right after the last write delivers everything, whatever lies in buffers.
pub fn closing_at_once_loses_nothing<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    let code = AppCode::new(5);
    stage.play(
        move |client, server| {
            let conn = client.connect(server);
            send_much(client, conn);
            assert_eq!(client.at("closing").close(conn, code, b"all sent"), Ok(()));
        },
        move |server| {
            let conn = server.accept();
            receive_much(server, conn);
            server.closed_with(conn, code, b"all sent");
        },
    );
}

/// What arrived before the end of the connection is there after it.
pub fn what_arrived_is_read_after_the_close<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    stage.play(
        |client, server| {
            let conn = client.connect(server);
            let stream = client.open(conn, StreamOptions::bytes().uni());
            client.write_all(stream, &bytes(10, 100_000));
            client.finish(stream);
            let stream = client.open(conn, StreamOptions::ordered_messages().uni());
            for number in 0..50 {
                client.send(stream, &message(number, 1000));
            }
            client.finish(stream);
            client.close(conn);
        },
        |server| {
            let conn = server.accept();
            server.closed(conn);
            let mut streams = [(); 2].map(|()| server.accept_stream(conn));
            streams.sort_by_key(|stream| stream.id.kind() as u8);
            let [stream, messages] = streams;
            assert_eq!(server.at("no more streams").accept_stream(conn), Ok(None));
            let received = server.read_to_end(stream);
            assert_eq!(received.len(), 100_000);
            check_bytes(10, &received);
            for expected in 0..50 {
                assert_eq!(server.recv(messages).as_deref().map(number), Some(expected));
            }
            assert_eq!(server.recv(messages), None);
            let closed =
                Err(OpenError::Connection(ConnectionError::PeerClosed { code: AppCode::ZERO, reason: Box::default() }));
            assert_eq!(server.at("opening too late").open(conn, StreamOptions::bytes()), closed);
        },
    );
}

/// A program that drops everything and goes on serving has closed the connection in good order.
pub fn dropping_the_connection_loses_nothing<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    stage.play(
        |client, server| {
            let conn = client.connect(server);
            send_much(client, conn);
            client.at("dropping the connection").drop_connection(conn);
        },
        |server| {
            let conn = server.accept();
            receive_much(server, conn);
            server.closed(conn);
        },
    );
}

/// An abort tells both sides at once, with its code and reason.
pub fn aborting_gives_the_code<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    let code = AppCode::new(13);
    stage.play(
        move |client, server| {
            let conn = client.connect(server);
            let stream = client.open(conn, StreamOptions::ordered_messages());
            client.send(stream, b"begin");
            assert_eq!(client.recv(stream).as_deref(), Some(&b"begun"[..]));
            client.at("aborting").abort(conn, code, b"enough");
            assert_eq!(client.at("the own end").closed(conn), ConnectionError::LocallyClosed { code });
        },
        move |server| {
            let conn = server.accept();
            let stream = server.accept_stream(conn);
            assert_eq!(server.recv(stream).as_deref(), Some(&b"begin"[..]));
            server.send(stream, b"begun");
            let aborted = ConnectionError::PeerClosed { code, reason: b"enough"[..].into() };
            let end = server.at("a message that never comes").recv_message(stream);
            assert_eq!(end, Err(ReadError::Connection(aborted.clone())));
            assert_eq!(server.at("the end").closed(conn), aborted);
        },
    );
}

/// A shutdown delivers what was accepted on every connection, closes all of them, and lets nobody in any more.
pub fn shutdown_delivers_and_closes_everything<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    const CONNECTIONS: u64 = 3;
    stage.play(
        |client, server| {
            let conns = [(); CONNECTIONS as usize].map(|()| client.connect(server));
            let mut streams = Vec::new();
            for (&conn, number) in conns.iter().zip(0..) {
                // The server tells connections apart by what comes in.
                let stream = client.open(conn, StreamOptions::ordered_messages());
                client.send(stream, &message(number, 100));
                streams.push(stream);
            }
            for ((conn, stream), from) in conns.into_iter().zip(streams).zip(0..) {
                for expected in 0..MESSAGES {
                    assert_eq!(client.recv(stream).as_deref().map(number), Some(from * MESSAGES + expected));
                }
                let end = client.at("the end of the messages").recv_message(stream);
                let closed = ConnectionError::PeerClosed { code: AppCode::ZERO, reason: Box::default() };
                assert_eq!(end, Err(ReadError::Connection(closed)));
                client.closed(conn);
            }
        },
        |server| {
            for _ in 0..CONNECTIONS {
                let conn = server.accept();
                let stream = server.accept_stream(conn);
                let from = number(&server.recv(stream).expect("a message"));
                for next in 0..MESSAGES {
                    server.send(stream, &message(from * MESSAGES + next, 1000));
                }
            }
            server.at("shutting down").shutdown();
            assert_eq!(server.at("accepting after the end").accept(), None);
            let own = server.at("the own address").local_address();
            let late = server.at("connecting after the end").connect(own, &trust());
            assert!(late.is_err(), "{late:?}");
            server.at("shutting down again").shutdown();
        },
    );
}

//! Senders that are held back, and senders and receivers that go away.

use std::task::Poll;

use jsp_proto::driver::{ReadError, SendError, WriteError};
use jsp_proto::{AppCode, MessageOptions, StreamOptions};

use crate::contract::content::{bytes, check_bytes, message, number};
use crate::contract::peer::{ConnKey, Peer, StreamKey};
use crate::contract::stage::{Side, Stage};

/// Writes until there is no room, beginning at `from` of `content`, and says where that is.
fn fill<P: Peer>(peer: &mut P, stream: StreamKey, content: &[u8], mut from: usize) -> usize {
    while let Poll::Ready(written) = peer.poll_write(stream, &content[from..]) {
        from += written.expect("open");
        assert!(from < content.len(), "nothing holds the sender back");
    }
    from
}

/// A sender whose peer does not read is stopped by the window and its own buffer, and goes on when the peer reads.
pub fn a_slow_reader_holds_the_sender_back<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    const WINDOW: usize = 256 << 10;
    const BUFFER: usize = 512 << 10;
    const TOTAL: usize = 2 << 20;
    let limits = |window: u64, buffer: u64| {
        move |config: jsp_proto::ConfigBuilder| {
            config.receive_window(window, window).max_receive_window(window, window).send_buffer(buffer, buffer)
        }
    };
    stage.both(limits(WINDOW as u64, BUFFER as u64)).play(
        |client, server| {
            let conn = client.connect(server);
            let stream = client.open(conn, StreamOptions::bytes().uni());
            let content = bytes(5, TOTAL);
            let mut accepted = 0;
            client.at("standing still").serve_until(|peer| {
                // Looked at before the last attempt: what is acknowledged later makes no more room.
                let stats = peer.stats(conn);
                accepted = fill(peer, stream, &content, accepted);
                stats.send_credit == 0 && stats.bytes_in_flight == 0
            });
            assert!((WINDOW..=WINDOW + BUFFER).contains(&accepted), "{accepted}");
            // Opening a stream takes no credit: this tells the server to begin.
            client.open(conn, StreamOptions::ordered_messages().uni());
            client.write_all(stream, &content[accepted..]);
            client.finish(stream);
            assert_eq!(client.at("delivery").delivered(stream), Ok(()));
            client.close(conn);
        },
        |server| {
            let conn = server.accept();
            let stream = server.accept_stream(conn);
            let _begin = server.accept_stream(conn);
            let held = server.at("the memory held").stats(conn).receive_memory;
            assert!((WINDOW as u64..=2 * WINDOW as u64).contains(&held), "{held}");
            let received = server.read_to_end(stream);
            assert_eq!(received.len(), TOTAL);
            check_bytes(5, &received);
            server.closed(conn);
        },
    );
}

/// The peer of a sender that goes away in the middle reads exactly what was accepted, then the end.
pub fn dropping_the_sender_keeps_what_was_accepted<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    const ENOUGH: usize = 1 << 20;
    let ((bytes_sent, messages_sent), (bytes_received, messages_received)) =
        stage.client(|config| config.send_buffer(1 << 20, 128 << 10)).play(
            |client, server| {
                let conn = client.connect(server);
                let stream = client.open(conn, StreamOptions::bytes().uni());
                let content = bytes(6, 16 << 20);
                client.write_all(stream, &content[..ENOUGH]);
                let accepted = fill(client.at("filling the buffer"), stream, &content, ENOUGH);
                client.at("dropping the sender").drop_sender(stream);

                let stream = client.open(conn, StreamOptions::ordered_messages().uni());
                let mut sent = 0;
                loop {
                    let message = message(sent, 3000);
                    let options = MessageOptions::new();
                    if !client.at("filling the buffer").try_send_message(stream, &message, options).expect("open") {
                        break;
                    }
                    sent += 1;
                    assert!(sent < 1_000_000, "nothing holds the sender back");
                }
                client.at("dropping the sender").drop_sender(stream);
                client.close(conn);
                (accepted, sent)
            },
            |server| {
                let conn = server.accept();
                let stream = server.accept_stream(conn);
                let bytes = server.read_to_end(stream);
                check_bytes(6, &bytes);
                let stream = server.accept_stream(conn);
                let mut received = 0;
                while let Some(message) = server.recv(stream) {
                    assert_eq!((number(&message), message.len()), (received, 3000));
                    received += 1;
                }
                server.closed(conn);
                (bytes.len(), received)
            },
        );
    assert_eq!(bytes_sent, bytes_received);
    assert_eq!(messages_sent, messages_received);
    assert!(messages_sent > 10, "{messages_sent}");
}

/// A sender whose peer drops the receiver learns that; the connection goes on.
pub fn dropping_the_receiver_stops_the_sender<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    stopped(stage, AppCode::ZERO, |server, stream| server.at("dropping the receiver").drop_receiver(stream));
}

/// A sender that is told to stop learns the code; the connection goes on.
pub fn stopping_gives_the_code<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    let code = AppCode::new(1_000_000_007);
    stopped(stage, code, move |server, stream| server.at("stopping").stop(stream, code));
}

/// The server ends its interest in a stream of bytes and one of messages by `stop` while the client sends.
fn stopped<C: Peer + 'static, S: Peer + 'static>(
    stage: Stage<C, S>,
    code: AppCode,
    stop: impl Fn(&mut Side<S>, StreamKey) + Send + 'static,
) {
    stage.play(
        move |client, server| {
            let conn = client.connect(server);
            let content = bytes(7, 10_000);
            let stream = client.open(conn, StreamOptions::bytes());
            let error = loop {
                if let Err(error) = client.at("writing until stopped").write(stream, &content) {
                    break error;
                }
            };
            assert_eq!(error, WriteError::Stopped(code));
            assert_eq!(client.at("finishing").finish(stream), Err(WriteError::Stopped(code)));

            let messages = client.open(conn, StreamOptions::ordered_messages());
            let error = loop {
                if let Err(error) = client.at("sending until stopped").send_message(messages, &content) {
                    break error;
                }
            };
            assert_eq!(error, SendError::Stopped(code));
            // The other direction of either stream is as it was.
            assert_eq!(client.read_to_end(stream), b"still here");
            assert_eq!(client.recv(messages).as_deref(), Some(&b"still here"[..]));
            client.close(conn);
        },
        move |server| {
            let conn = server.accept();
            let stream = server.accept_stream(conn);
            let mut some = [0; 100];
            let read = server.at("reading").read(stream, &mut some).expect("open");
            check_bytes(7, &some[..read]);
            stop(server, stream);

            let messages = server.accept_stream(conn);
            let message = server.recv(messages).expect("a message");
            assert_eq!(message.len(), 10_000);
            check_bytes(7, &message);
            stop(server, messages);

            server.write_all(stream, b"still here");
            server.finish(stream);
            server.send(messages, b"still here");
            server.closed(conn);
        },
    );
}

/// A receiver learns the code of a reset, and a stream that was reset takes no more.
pub fn resetting_gives_the_code<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    let code = AppCode::new(99);
    /// Reads what there is until the reset.
    fn read_reset<P: Peer>(server: &mut Side<P>, conn: ConnKey, code: AppCode) {
        let stream = server.accept_stream(conn);
        let mut received = Vec::new();
        assert_eq!(server.read_until(stream, &mut received), Err(ReadError::Reset(code)));
        check_bytes(8, &received);
        let again = server.at("reading on").read(stream, &mut [0; 8]);
        assert_eq!(again, Err(ReadError::Reset(code)), "the end stays");
    }
    /// Receives the last message, if it overtook the reset, and the reset.
    fn receive_reset<P: Peer>(server: &mut Side<P>, stream: StreamKey, code: AppCode) {
        let end = loop {
            match server.at("a message or the reset").recv_message(stream) {
                Ok(Some(message)) => assert_eq!(number(&message), 1),
                end => break end,
            }
        };
        assert_eq!(end, Err(ReadError::Reset(code)));
    }
    stage.play(
        move |client, server| {
            let conn = client.connect(server);
            let content = bytes(8, 50_000);
            let stream = client.open(conn, StreamOptions::bytes().uni());
            client.write_all(stream, &content);
            client.at("resetting").reset(stream, code);
            assert_eq!(client.at("writing").write(stream, b"late"), Err(WriteError::Finished));

            let messages = client.open(conn, StreamOptions::ordered_messages());
            client.send(messages, &message(0, 10));
            assert_eq!(client.recv(messages).as_deref().map(number), Some(0));
            client.send(messages, &message(1, 10));
            client.at("resetting").reset(messages, code);
            assert_eq!(client.at("sending").send_message(messages, b"late"), Err(SendError::Finished));

            // Nothing of this one may have been on its way yet.
            let messages = client.open(conn, StreamOptions::ordered_messages().uni());
            client.send(messages, &message(1, 10));
            client.at("resetting").reset(messages, code);
            client.close(conn);
        },
        move |server| {
            let conn = server.accept();
            read_reset(server, conn, code);
            let messages = server.accept_stream(conn);
            let begun = server.recv(messages).expect("a message");
            server.send(messages, &begun);
            receive_reset(server, messages, code);
            let messages = server.accept_stream(conn);
            receive_reset(server, messages, code);
            server.closed(conn);
        },
    );
}

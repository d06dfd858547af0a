//! Everything that is sent comes back, in every delivery mode.

use std::collections::BTreeSet;
use std::time::Duration;

use jsp_proto::{Delivery, StreamId, StreamKind, StreamOptions};

use crate::contract::content::{bytes, check_bytes, message, number};
use crate::contract::peer::{ConnKey, Peer};
use crate::contract::stage::{Side, Stage};

/// The sizes of messages: around the bounds of packets, and one that needs many.
const SIZES: [usize; 8] = [8, 9, 1000, 1199, 1200, 1201, 5000, 60_000];

/// Streams of both directions and either side are seen by the other before anything is written, and what was opened
/// is what is accepted.
pub fn an_opened_stream_is_seen_without_a_write<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    fn kinds() -> [StreamOptions; 3] {
        [StreamOptions::bytes(), StreamOptions::ordered_messages(), StreamOptions::unordered_messages()]
    }
    fn open<P: Peer>(side: &mut Side<P>, conn: ConnKey) -> Vec<StreamId> {
        let both = kinds().into_iter().flat_map(|options| [options, options.uni()]);
        both.map(|options| side.open(conn, options).id).collect()
    }
    /// Streams of different types may be seen in any order.
    fn see<P: Peer>(side: &mut Side<P>, conn: ConnKey) -> Vec<StreamId> {
        (0..6).map(|_| side.accept_stream(conn).id).collect()
    }
    let (client, server) = stage.play(
        |client, server| {
            let conn = client.connect(server);
            let opened = open(client, conn);
            let seen = see(client, conn);
            client.close(conn);
            (opened, seen)
        },
        |server| {
            let conn = server.accept();
            let seen = see(server, conn);
            let opened = open(server, conn);
            server.closed(conn);
            (opened, seen)
        },
    );
    for (opened, mut seen) in [(client.0, server.1), (server.0, client.1)] {
        seen.sort_by_key(|id| opened.iter().position(|opened| opened == id));
        assert_eq!(opened, seen);
        let kinds: Vec<_> = opened.iter().map(|id| (id.kind(), id.is_uni())).collect();
        let expected = [StreamKind::Bytes, StreamKind::Ordered, StreamKind::Unordered];
        assert_eq!(kinds, expected.map(|kind| [(kind, false), (kind, true)]).concat());
    }
}

/// Two megabytes there and back.
pub fn echo_of_bytes<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    const BYTES: usize = 2 << 20;
    stage.play(
        |client, server| {
            let conn = client.connect(server);
            let stream = client.open(conn, StreamOptions::bytes());
            client.write_all(stream, &bytes(3, BYTES));
            client.finish(stream);
            let echo = client.read_to_end(stream);
            assert_eq!(echo.len(), BYTES);
            check_bytes(3, &echo);
            assert_eq!(client.at("delivery").delivered(stream), Ok(()));
            client.close(conn);
        },
        |server| {
            let conn = server.accept();
            let stream = server.accept_stream(conn);
            let mut buffer = vec![0; 10_000];
            loop {
                let read = server.at("reading").read(stream, &mut buffer).expect("open");
                if read == 0 {
                    break;
                }
                server.write_all(stream, &buffer[..read]);
            }
            server.finish(stream);
            server.closed(conn);
        },
    );
}

/// Reliable messages in order.
pub fn echo_of_ordered_messages<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    let received = echo_messages(stage, StreamOptions::ordered_messages());
    assert_eq!(received, Vec::from_iter(0..ROUNDS * SIZES.len() as u64));
}

/// Reliable messages in any order.
pub fn echo_of_unordered_messages<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    let mut received = echo_messages(stage, StreamOptions::unordered_messages());
    received.sort_unstable();
    assert_eq!(received, Vec::from_iter(0..ROUNDS * SIZES.len() as u64));
}

/// Best-effort messages may be lost; those that arrive are whole and come once. Of each size one comes back at least.
pub fn echo_of_best_effort_messages<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    // A busy machine may let a message wait for longer than is usually worth while.
    let stage = stage.both(|config| config.max_queue_age(Duration::from_secs(30)));
    let received = echo_messages(stage, StreamOptions::unordered_messages().delivery(Delivery::BestEffort));
    let unique: BTreeSet<_> = received.iter().collect();
    assert_eq!(unique.len(), received.len(), "{received:?}");
    let sizes: BTreeSet<_> = received.iter().map(|number| number % SIZES.len() as u64).collect();
    assert_eq!(sizes.len(), SIZES.len(), "{received:?}");
}

/// Messages with more time than they can need arrive as if they were reliable.
pub fn echo_of_partially_reliable_messages<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    let delivery = Delivery::PartiallyReliable { ttl: Duration::from_secs(60) };
    let mut received = echo_messages(stage, StreamOptions::unordered_messages().delivery(delivery));
    received.sort_unstable();
    assert_eq!(received, Vec::from_iter(0..ROUNDS * SIZES.len() as u64));
}

/// How often a message of each size is sent.
const ROUNDS: u64 = 4;

/// Sends messages of all sizes at once and gives the numbers of those that came back.
fn echo_messages<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>, options: StreamOptions) -> Vec<u64> {
    let sizes = || (0..ROUNDS).flat_map(|_| SIZES).zip(0..);
    let (received, ()) = stage.play(
        move |client, server| {
            let conn = client.connect(server);
            let stream = client.open(conn, options);
            for (size, number) in sizes() {
                client.send(stream, &message(number, size));
            }
            client.finish(stream);
            let mut received = Vec::new();
            while let Some(message) = client.recv(stream) {
                let number = number(&message);
                assert_eq!(Some((message.len(), number)), sizes().nth(number as usize), "each keeps its size");
                received.push(number);
            }
            client.close(conn);
            received
        },
        |server| {
            let conn = server.accept();
            let stream = server.accept_stream(conn);
            while let Some(message) = server.recv(stream) {
                server.send(stream, &message);
            }
            server.finish(stream);
            server.closed(conn);
        },
    );
    received
}

//! The end of a connection says whether everything was delivered.

mod support;

use std::time::Duration;

use jsp_conformance::sim::Link;
use jsp_proto::{
    AppCode, Config, ConfigBuilder, ConnId, ConnectionError, Event, Instant, MessageOptions, Outcome, Recv, StreamId,
    StreamOptions,
};
use support::{MS, Pair, SECOND, pinned, server_config};

const LINGER: Duration = Duration::from_secs(2);
const WINDOW: u64 = 64 << 10;
const CODE: AppCode = AppCode::new(7);

fn link() -> Link {
    Link::with_delay(MS * 20).rate(20_000_000)
}

/// Both sides grant little.
fn pair() -> (Pair, ConnId, ConnId) {
    let set = |config: ConfigBuilder| {
        let small = config.max_message_size(16 << 10).receive_window(2 * WINDOW, WINDOW);
        small.max_receive_window(2 * WINDOW, WINDOW).linger(LINGER)
    };
    let mut pair = Pair::with(1, link(), set(server_config()), set(Config::builder()));
    let (client, server) = pair.establish(&pinned());
    (pair, client, server)
}

/// Gives more to the client's connection than the server takes unread.
fn send_much(pair: &mut Pair, conn: ConnId) -> StreamId {
    let mut conn = pair.sim.conn(pair.client, conn).expect("open");
    let stream = conn.open(StreamOptions::bytes()).expect("the first stream");
    assert_eq!(conn.send(stream, &[7; 4 * WINDOW as usize]), Ok(4 * WINDOW as usize));
    stream
}

fn close(pair: &mut Pair, conn: ConnId) -> Instant {
    let now = pair.sim.now();
    pair.sim.conn(pair.client, conn).expect("open").close(CODE, b"bye");
    now
}

/// Runs until the client's connection is over. How it ended, and when.
fn end(pair: &mut Pair, conn: ConnId) -> (ConnectionError, Instant) {
    let client = pair.client;
    let closed =
        pair.sim.run_until(SECOND * 60, |_, happening| happening.event_of(client, conn) == Some(Event::Closed));
    assert!(closed.is_some(), "it ends");
    let now = pair.sim.now();
    let conn = pair.sim.conn(client, conn).expect("kept until its end is read");
    (conn.close_reason().expect("over").clone(), now)
}

#[test]
fn a_network_that_dies_while_the_rest_is_delivered() {
    let (mut pair, conn, _) = pair();
    send_much(&mut pair, conn);
    let closed = close(&mut pair, conn);
    pair.sim.link(pair.client, pair.server, Link::new().loss(1.0));
    let (reason, at) = end(&mut pair, conn);
    assert_eq!(reason, ConnectionError::Undelivered { code: CODE, after: LINGER });
    assert!(at >= closed + LINGER && at < closed + LINGER + MS * 100, "{:?}", at - closed);
    let text = reason.to_string();
    assert_eq!(
        text,
        "closed by this side with code 7, but not everything was delivered: the peer took nothing more for 2s"
    );
}

/// It does not read, and keeps the line busy: what it acknowledges meanwhile is no progress.
#[test]
fn a_peer_that_takes_nothing_more_however_much_it_says() {
    let (mut pair, conn, theirs) = pair();
    send_much(&mut pair, conn);
    let (client, server) = (pair.client, pair.server);
    let push = pair.sim.conn(server, theirs).expect("open").open(StreamOptions::bytes().uni()).expect("the first");
    close(&mut pair, conn);
    let begun = pair.sim.now();
    let mut read = 0;
    let mut buffer = vec![0; 100_000];
    let over = loop {
        // Writes as much as is taken; the client reads it and gives new credit, which the server acknowledges.
        let _ = pair.sim.conn(server, theirs).expect("open").send(push, &buffer);
        let end = pair.sim.now() + MS * 50;
        let over = pair
            .sim
            .run_until(end - pair.sim.now(), |_, happening| happening.event_of(client, conn) == Some(Event::Closed));
        let mut conn = pair.sim.conn(client, conn).expect("kept");
        while let Ok(Recv::Data(len)) = conn.recv(push, &mut buffer) {
            read += len as u64;
        }
        if over.is_some() {
            break pair.sim.now();
        }
        assert!(pair.sim.now() < begun + LINGER * 5, "a chatty peer holds the close for ever");
    };
    assert!(read > 10 * WINDOW, "{read} bytes read");
    assert!(over < begun + LINGER + SECOND, "{:?}", over - begun);
    let reason = pair.sim.conn(client, conn).and_then(|conn| conn.close_reason().cloned());
    assert_eq!(reason, Some(ConnectionError::Undelivered { code: CODE, after: LINGER }));
    // The peer is told all the same.
    pair.sim.run_for(SECOND);
    let told = pair.sim.conn(server, theirs).and_then(|conn| conn.close_reason().cloned());
    assert_eq!(told, Some(ConnectionError::PeerClosed { code: CODE, reason: b"bye"[..].into() }));
}

#[test]
fn a_slow_reader_is_waited_for_as_long_as_it_reads() {
    let (mut pair, conn, theirs) = pair();
    let stream = send_much(&mut pair, conn);
    let closed = close(&mut pair, conn);
    let mut buffer = vec![0; WINDOW as usize / 2];
    for _ in 0..6 {
        pair.sim.run_for(LINGER * 3 / 4);
        assert_eq!(pair.sim.conn(pair.client, conn).expect("known").close_reason(), None);
        let read = pair.sim.conn(pair.server, theirs).expect("open").recv(stream, &mut buffer);
        assert_eq!(read, Ok(Recv::Data(buffer.len())));
    }
    let (reason, at) = end(&mut pair, conn);
    assert_eq!(reason, ConnectionError::LocallyClosed { code: CODE });
    assert!(at > closed + LINGER * 4);
}

#[test]
fn an_abort_of_a_close_that_still_delivers_says_that_it_did_not() {
    let (mut pair, conn, _) = pair();
    let mut handle = pair.sim.conn(pair.client, conn).expect("open");
    let stream = handle.open(StreamOptions::ordered_messages()).expect("the first stream");
    let tracked = handle.send_message(stream, &[1; 1000], MessageOptions::new().tracked()).expect("room");
    handle.close(CODE, b"");
    pair.sim.run_for(MS * 5);
    pair.sim.conn(pair.client, conn).expect("open").abort(AppCode::new(9), b"");
    let mut outcome = None;
    let client = pair.client;
    pair.sim.run_until(SECOND, |_, happening| {
        if let Some(Event::MessageOutcome { id, outcome: told, .. }) = happening.event_of(client, conn) {
            assert_eq!(id, tracked);
            outcome = Some(told);
        }
        happening.event_of(client, conn) == Some(Event::Closed)
    });
    assert_eq!(outcome, Some(Outcome::Lost));
    let reason = pair.sim.conn(client, conn).and_then(|conn| conn.close_reason().cloned());
    assert_eq!(reason, Some(ConnectionError::Undelivered { code: CODE, after: MS * 5 }));
}

#[test]
fn an_abort_alone_and_a_close_of_an_empty_connection_are_the_own_end() {
    let (mut pair, conn, _) = pair();
    send_much(&mut pair, conn);
    pair.sim.conn(pair.client, conn).expect("open").abort(CODE, b"");
    assert_eq!(end(&mut pair, conn).0, ConnectionError::LocallyClosed { code: CODE });
    let (mut pair, conn, _) = self::pair();
    // A round trip for what the handshake still has to say.
    pair.sim.run_for(MS * 100);
    pair.sim.link(pair.client, pair.server, Link::new().loss(1.0));
    close(&mut pair, conn);
    assert_eq!(end(&mut pair, conn).0, ConnectionError::LocallyClosed { code: CODE });
}

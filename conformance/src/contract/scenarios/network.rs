//! A network that falls silent, and strangers that send what they like.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use jsp_proto::{AppCode, ConnectionError, DropReason, EndpointStats, StreamOptions};

use crate::contract::content::{bytes, message, number};
use crate::contract::peer::{ConnKey, Peer};
use crate::contract::relay::Relay;
use crate::contract::stage::{Side, Stage};
use crate::sim::Rng;

const IDLE: Duration = Duration::from_millis(300);

/// One message there and back.
fn ask<P: Peer>(client: &mut Side<P>, conn: ConnKey) {
    let stream = client.open(conn, StreamOptions::ordered_messages());
    client.send(stream, &message(1, 2000));
    assert_eq!(client.recv(stream).as_deref().map(number), Some(1));
    client.finish(stream);
}

fn answer<P: Peer>(server: &mut Side<P>, conn: ConnKey) {
    let stream = server.accept_stream(conn);
    let message = server.recv(stream).expect("a message");
    server.send(stream, &message);
    server.finish(stream);
}

/// Both sides notice when the network falls silent, after the negotiated time.
pub fn a_silent_peer_is_an_idle_timeout<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    lose_the_network(stage, |mut relay| {
        relay.cut();
        Some(relay)
    });
}

/// The system's word that nobody is there is no more than silence, and the endpoint serves others as before.
pub fn a_vanished_peer_leaves_the_endpoint_alive<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    lose_the_network(stage, |relay| {
        relay.vanish();
        None
    });
}

/// Connects through a relay, loses it while both sides have much to send, and connects again without it.
fn lose_the_network<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>, lose: fn(Relay) -> Option<Relay>) {
    let silence = ConnectionError::IdleTimeout { after: IDLE };
    let heard = silence.clone();
    stage.both(|config| config.idle_timeout(IDLE)).play(
        move |client, server| {
            let relay = Relay::to(server);
            let conn = client.connect(relay.address());
            ask(client, conn);
            let relay = lose(relay);
            let stream = client.open(conn, StreamOptions::bytes().uni());
            client.write_all(stream, &bytes(11, 100_000));
            assert_eq!(client.at("noticing the silence").closed(conn), silence);
            drop(relay);
            let conn = client.connect(server);
            ask(client, conn);
            client.close(conn);
        },
        move |server| {
            let conn = server.accept();
            answer(server, conn);
            let stream = server.open(conn, StreamOptions::bytes().uni());
            server.write_all(stream, &bytes(11, 100_000));
            // What the client sends into the silence is not heard.
            assert_eq!(server.at("hearing nothing").accept_stream(conn), Err(heard.clone()));
            assert_eq!(server.at("noticing the silence").closed(conn), heard);
            let conn = server.accept();
            answer(server, conn);
            server.closed(conn);
        },
    );
}

/// A close into a network that has fallen silent is an error, in its own time.
pub fn a_close_that_delivers_nothing_more_says_so<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    const LINGER: Duration = Duration::from_millis(100);
    /// So long that it is not over first.
    const IDLE: Duration = Duration::from_secs(1);
    let code = AppCode::new(21);
    let undelivered = ConnectionError::Undelivered { code, after: LINGER };
    stage.both(|config| config.idle_timeout(IDLE)).client(|config| config.linger(LINGER)).play(
        move |client, server| {
            let mut relay = Relay::to(server);
            let conn = client.connect(relay.address());
            ask(client, conn);
            relay.cut();
            let stream = client.open(conn, StreamOptions::bytes().uni());
            client.write_all(stream, &bytes(13, 100_000));
            assert_eq!(client.at("closing into the silence").close(conn, code, b"late"), Err(undelivered.clone()));
            assert_eq!(client.at("the own end").closed(conn), undelivered);
        },
        move |server| {
            let conn = server.accept();
            answer(server, conn);
            assert_eq!(server.at("noticing the silence").closed(conn), ConnectionError::IdleTimeout { after: IDLE });
        },
    );
}

/// Datagrams of strangers, as large as UDP allows, empty, or random, are counted and harm no transfer.
pub fn garbage_is_counted_and_changes_nothing<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    const ROUNDS: u64 = 100;
    fn throw(stranger: &UdpSocket, random: &mut Rng, target: SocketAddr) {
        let noise = random.array::<1200>();
        let len = 1 + random.below(noise.len() as u64 - 1) as usize;
        for datagram in [&bytes(random.u64(), 65_507)[..], b"", &noise[..len]] {
            stranger.send_to(datagram, target).expect("the loopback interface");
        }
    }
    let check = |stats: EndpointStats| {
        let empty = stats.dropped(DropReason::Empty);
        let others = stats.dropped_total() - empty - stats.dropped(DropReason::Closed);
        // The system may drop some of them itself, but not most.
        assert!((ROUNDS / 2..=ROUNDS).contains(&empty), "{stats:?}");
        assert!((ROUNDS..=2 * ROUNDS).contains(&others), "{stats:?}");
        assert!(stats.dropped(DropReason::Malformed) > 0, "{stats:?}");
    };
    stage.play(
        move |client, server| {
            let stranger = UdpSocket::bind("127.0.0.1:0").expect("a free port");
            let mut random = Rng::new(12);
            let own = client.at("the own address").local_address();
            let conn = client.connect(server);
            let stream = client.open(conn, StreamOptions::ordered_messages());
            for round in 0..ROUNDS {
                throw(&stranger, &mut random, own);
                throw(&stranger, &mut random, server);
                client.send(stream, &message(round, 20_000));
                let echo = client.recv(stream).expect("an echo");
                assert_eq!((number(&echo), echo.len()), (round, 20_000));
            }
            client.finish(stream);
            client.close(conn);
            check(client.at("the counters").endpoint_stats());
        },
        move |server| {
            let conn = server.accept();
            let stream = server.accept_stream(conn);
            while let Some(message) = server.recv(stream) {
                server.send(stream, &message);
            }
            server.closed(conn);
            check(server.at("the counters").endpoint_stats());
        },
    );
}

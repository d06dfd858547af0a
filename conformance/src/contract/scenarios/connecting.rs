//! Connecting: trust, admission, and what both sides know about each other.

use std::net::UdpSocket;
use std::time::Duration;

use jsp_proto::{
    AcceptPolicy, AppCode, ClientConfig, ConnStats, ConnectionError, DropReason, EndpointStats, KeyFetch, StreamOptions,
};

use crate::contract::content::{bytes, check_bytes};
use crate::contract::peer::{Answer, ConnKey, Peer};
use crate::contract::stage::{Side, Stage, key, trust};

/// A client knows its server's key, a server nothing of an anonymous client, and the close carries code and reason.
pub fn both_sides_know_each_other<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    stage.play(
        |client, server| {
            let conn = client.connect(server);
            assert_eq!(client.at("the server's key").peer_key_id(conn), Some(key(1).public().key_id()));
            let closed = client.at("closing").close(conn, AppCode::new(77), b"that was all");
            assert_eq!(closed, Ok(()));
            let reason = client.at("the own close").closed(conn);
            assert_eq!(reason, ConnectionError::LocallyClosed { code: AppCode::new(77) });
        },
        |server| {
            let conn = server.accept();
            assert_eq!(server.at("the client's key").peer_key_id(conn), None);
            server.closed_with(conn, AppCode::new(77), b"that was all");
            assert_eq!(server.at("streams after the close").accept_stream(conn), Ok(None));
        },
    );
}

/// Both sides export the same secret for the same label and context, and another for another.
pub fn exported_keys_are_equal<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    fn export<P: Peer>(peer: &mut P, conn: ConnKey) -> [[u8; 48]; 3] {
        [(&b"label"[..], &b"context"[..]), (b"label", b"another"), (b"another", b"context")].map(|(label, context)| {
            let mut secret = [0; 48];
            peer.export_key(conn, label, context, &mut secret);
            secret
        })
    }
    let (ours, theirs) = stage.play(
        |client, server| {
            let conn = client.connect(server);
            let secrets = export(client.at("exporting"), conn);
            client.close(conn);
            secrets
        },
        |server| {
            let conn = server.accept();
            let secrets = export(server.at("exporting"), conn);
            server.closed(conn);
            secrets
        },
    );
    assert_eq!(ours, theirs);
    assert!(ours[0] != ours[1] && ours[0] != ours[2] && ours[1] != ours[2], "labels and contexts count");
    assert_ne!(ours[0], [0; 48]);
}

/// The counters of both sides tell the same story.
pub fn counters_agree<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    const BYTES: usize = 300_000;
    /// The last numbers of a connection that is over and of its endpoint.
    fn tally<P: Peer>(side: &mut Side<P>, conn: ConnKey) -> (ConnStats, EndpointStats) {
        let stats = side.at("the connection's counters").stats(conn);
        side.at("dropping the connection").drop_connection(conn);
        side.at("ending").shutdown();
        let endpoint = side.at("the endpoint's counters").endpoint_stats();
        // A close is sent more than once, also after the connection was told to be over.
        assert_eq!(endpoint.dropped_total(), endpoint.dropped(DropReason::Closed), "{endpoint:?}");
        assert!((1..=endpoint.datagrams_sent).contains(&stats.datagrams_sent), "{stats:?} {endpoint:?}");
        assert!((1..=endpoint.bytes_sent).contains(&stats.bytes_sent), "{stats:?} {endpoint:?}");
        assert_eq!((endpoint.connections_confirmed, endpoint.connections_closed), (1, 1), "{endpoint:?}");
        assert!(stats.rtt > Duration::ZERO && stats.handshake_time.is_some(), "{stats:?}");
        (stats, endpoint)
    }
    let (client, server) = stage.play(
        |client, server| {
            let conn = client.connect(server);
            let stream = client.open(conn, StreamOptions::bytes().uni());
            client.write_all(stream, &bytes(1, BYTES));
            client.finish(stream);
            client.close(conn);
            tally(client, conn)
        },
        move |server| {
            let conn = server.accept();
            let stream = server.accept_stream(conn);
            let received = server.read_to_end(stream);
            assert_eq!(received.len(), BYTES);
            check_bytes(1, &received);
            server.closed(conn);
            tally(server, conn)
        },
    );
    // What an endpoint that has ended does not receive any more, or a full buffer loses, makes the number smaller.
    for ((_, from), (conn, to)) in [(client, server), (server, client)] {
        assert!((1..=from.datagrams_sent).contains(&to.datagrams_received), "{from:?} {to:?}");
        assert!((1..=from.bytes_sent).contains(&to.bytes_received), "{from:?} {to:?}");
        assert!((1..=to.datagrams_received).contains(&conn.datagrams_received), "{conn:?} {to:?}");
        assert!((1..=to.bytes_received).contains(&conn.bytes_received), "{conn:?} {to:?}");
    }
    assert!(server.0.bytes_received > BYTES as u64, "{server:?}");
}

/// With [`AcceptPolicy::Ask`] the server's program sees the client's token and lets it in.
pub fn the_program_lets_a_client_in<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    stage.server(|config| config.accept(AcceptPolicy::Ask)).play(
        |client, server| {
            let connected = client.at("connecting").connect(server, &trust().app_token(b"let me in"));
            let conn = connected.expect("let in");
            client.close(conn);
        },
        |server| {
            let mut token = Vec::new();
            let asked = server.at("a client that asks").answer(|shown| {
                token.extend_from_slice(shown);
                Answer::Accept
            });
            assert!(asked);
            assert_eq!(token, b"let me in");
            let conn = server.accept();
            server.closed(conn);
        },
    );
}

/// A refused client sees the code that the server's program gave, and may come back.
pub fn the_program_refuses_with_a_code<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    const CODES: [u64; 3] = [0, 403, (1 << 62) - 1];
    stage.server(|config| config.accept(AcceptPolicy::Ask)).play(
        |client, server| {
            for code in CODES.map(AppCode::new) {
                let refused = client.at("being refused").connect(server, &trust());
                assert_eq!(refused, Err(ConnectionError::Refused { code }));
            }
            let conn = client.connect(server);
            client.close(conn);
        },
        |server| {
            for code in CODES.map(AppCode::new) {
                assert!(server.at("refusing").answer(|_| Answer::Refuse(code)));
            }
            assert!(server.at("letting in").answer(|_| Answer::Accept));
            let conn = server.accept();
            server.closed(conn);
            assert_eq!(server.at("the endpoint's counters").endpoint_stats().handshakes_refused, 3);
        },
    );
}

/// A client that the server's program ignores runs into its own timeout.
pub fn an_ignored_client_gets_no_answer<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    const TIMEOUT: Duration = Duration::from_millis(300);
    stage.server(|config| config.accept(AcceptPolicy::Ask)).play(
        |client, server| {
            let patience = trust().app_token(b"go away").handshake_timeout(TIMEOUT);
            let ignored = client.at("being ignored").connect(server, &patience);
            assert_eq!(ignored, Err(ConnectionError::NoAnswer { after: TIMEOUT }));
            let conn = client.connect(server);
            client.close(conn);
        },
        |server| {
            // An ignored client asks again until it gives up.
            let mut ignored = 0;
            let mut welcome = false;
            while !welcome {
                let asked = server.at("a client that asks").answer(|token| {
                    welcome = token.is_empty();
                    if welcome { Answer::Accept } else { Answer::Ignore }
                });
                assert!(asked);
                ignored += u32::from(!welcome);
            }
            assert!(ignored > 0);
            let conn = server.accept();
            server.closed(conn);
        },
    );
}

/// A server with another key than the pinned one is an error that names both keys, and no timeout.
pub fn a_wrong_pinned_key_is_a_mismatch<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    // A mismatch is believed after three probe timeouts; these follow the assumed round-trip time.
    let stage = stage.server(|config| config.key_fetch(KeyFetch::Open));
    stage.client(|config| config.initial_rtt(Duration::from_millis(20))).play(
        |client, server| {
            let wrong = ClientConfig::pinned(key(2).public().clone());
            let mismatch = client.at("meeting another server").connect(server, &wrong);
            let [expected, got] = [2, 1].map(|seed| key(seed).public().key_id());
            assert_eq!(mismatch, Err(ConnectionError::PeerKeyMismatch { expected, got }));
            let conn = client.connect(server);
            client.close(conn);
        },
        |server| {
            // Nobody but the client with the right key comes through.
            let conn = server.accept();
            server.closed(conn);
        },
    );
}

/// A port where nobody listens, which the system reports to whoever sends there, costs the endpoint nothing.
pub fn nobody_there_and_then_somebody<C: Peer + 'static, S: Peer + 'static>(stage: Stage<C, S>) {
    const TIMEOUT: Duration = Duration::from_millis(400);
    stage.play(
        |client, server| {
            let nobody = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
            let attempt = client.at("connecting to nobody").connect(nobody, &trust().handshake_timeout(TIMEOUT));
            assert_eq!(attempt, Err(ConnectionError::NoAnswer { after: TIMEOUT }));
            let conn = client.connect(server);
            let stream = client.open(conn, StreamOptions::ordered_messages());
            client.send(stream, b"somebody?");
            assert_eq!(client.recv(stream).as_deref(), Some(&b"somebody!"[..]));
            client.close(conn);
        },
        |server| {
            let conn = server.accept();
            let stream = server.accept_stream(conn);
            assert_eq!(server.recv(stream).as_deref(), Some(&b"somebody?"[..]));
            server.send(stream, b"somebody!");
            server.closed(conn);
        },
    );
}

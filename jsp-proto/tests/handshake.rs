//! Connections come up, on good and on bad networks, with the right peer and with no other.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jsp_conformance::sim::apps::{BulkReceiver, BulkSender};
use jsp_conformance::sim::{Happening, Host, Link, Sim, Tapped, seeds};
use jsp_proto::{
    Accept, AcceptPolicy, AppCode, ClientAuth, ClientConfig, Config, ConnId, ConnectError, ConnectionError, DropReason,
    Event, Instant, KemJobs, KeyFetch, RetryPolicy, SecretKey,
};
use support::{MS, Pair, SECOND, other_key, pinned, server_config, server_key};

const ONE_WAY: Duration = Duration::from_millis(20);
const ROUND_TRIP: Duration = Duration::from_millis(40);

fn link() -> Link {
    Link::with_delay(ONE_WAY)
}

/// A little data passes from the client to the server.
fn assert_usable(pair: &mut Pair, conn: ConnId) {
    let mut sender = BulkSender::new(pair.client, conn, 1, 3_000);
    let mut receiver = BulkReceiver::new(pair.server, 1, 3_000);
    assert!(pair.sim.run(SECOND * 60, &mut [&mut sender, &mut receiver]), "no data gets through");
}

/// Connects and tells when each side reported it.
fn connect_times(pair: &mut Pair, trust: &ClientConfig) -> (ConnId, Instant, Instant) {
    let conn = pair.sim.connect(pair.client, pair.server, trust).expect("a connection attempt");
    let (mut client, mut server) = (None, None);
    pair.sim.run_until(SECOND * 30, |sim, happening| {
        match happening {
            Happening::Event { node, event: Event::Connected, .. } if *node == pair.client => client = Some(sim.now()),
            Happening::Event { node, event: Event::Connected, .. } if *node == pair.server => server = Some(sim.now()),
            Happening::Event { node, conn, event: Event::ServerKeyOffered } => {
                sim.conn(*node, *conn).expect("just reported").trust_key();
            }
            _ => {}
        }
        client.is_some() && server.is_some()
    });
    (conn, client.expect("the client is connected"), server.expect("the server is connected"))
}

#[test]
fn a_pinned_key_takes_one_round_trip() {
    let mut pair = Pair::new(1, link());
    let (conn, client, server) = connect_times(&mut pair, &pinned());
    assert_eq!(client, Instant::ZERO + ROUND_TRIP);
    assert_eq!(server, Instant::ZERO + ROUND_TRIP + ONE_WAY);
    let id = server_key().public().key_id();
    assert_eq!(pair.sim.conn(pair.client, conn).expect("open").peer_key_id(), Some(id));
    assert_usable(&mut pair, conn);
}

#[test]
fn retry_and_key_fetch_take_two() {
    let always = || Pair::with(1, link(), server_config().retry(RetryPolicy::Always), Config::builder());
    let open = || Pair::with(1, link(), server_config().key_fetch(KeyFetch::Open), Config::builder());
    let id = server_key().public().key_id();
    let fingerprint = ClientConfig::fingerprints([id]);
    for (name, mut pair, trust) in [
        ("retry", always(), pinned()),
        ("fingerprint", Pair::new(1, link()), fingerprint.clone()),
        ("fingerprint with retry", always(), fingerprint),
        ("ask", open(), ClientConfig::ask()),
        ("any", open(), ClientConfig::danger_accept_any()),
    ] {
        let (conn, client, _) = connect_times(&mut pair, &trust);
        assert_eq!(client, Instant::ZERO + ROUND_TRIP * 2, "{name}");
        assert_eq!(pair.sim.conn(pair.client, conn).expect("open").peer_key_id(), Some(id), "{name}");
        assert_usable(&mut pair, conn);
    }
}

#[test]
fn key_exchanges_may_be_handed_out() {
    let server = server_config().kem_jobs(KemJobs::HandedOut);
    let mut pair = Pair::with(1, link(), server, Config::builder());
    let (conn, client, _) = connect_times(&mut pair, &pinned());
    assert!(client > Instant::ZERO + ROUND_TRIP && client < Instant::ZERO + ROUND_TRIP + MS * 2, "{client:?}");
    assert_usable(&mut pair, conn);
}

/// Each subset of the client's first five datagrams (three of the hello, two more) with each subset of the server's
/// first four is lost.
#[test]
fn comes_up_whatever_is_lost_first() {
    seeds("comes_up_whatever_is_lost_first", 0..512, |seed| {
        let mut pair = Pair::new(seed, link());
        pair.sim.link_one_way(pair.client, pair.server, link().drop_mask(seed & 31));
        pair.sim.link_one_way(pair.server, pair.client, link().drop_mask(seed >> 5 & 15));
        let (conn, client, _) = connect_times(&mut pair, &pinned());
        assert!(client < Instant::ZERO + SECOND * 8, "connected at {client:?}");
        assert_usable(&mut pair, conn);
    });
}

/// With nearly half of all datagrams lost a patient client gets through: its repetitions come close enough together
/// for the server to put the pieces of different ones together.
#[test]
fn a_patient_client_gets_through() {
    seeds("a_patient_client_gets_through", 0..200, |seed| {
        let client = Config::builder().handshake_timeout(SECOND * 120);
        let mut pair = Pair::with(seed, link().loss(0.4), server_config(), client);
        let conn = pair.sim.connect(pair.client, pair.server, &pinned()).expect("a connection attempt");
        let mut event = None;
        pair.sim.run_until(SECOND * 130, |_, happening| {
            event = happening.event_of(pair.client, conn);
            matches!(event, Some(Event::Connected | Event::Closed))
        });
        assert_eq!(event, Some(Event::Connected));
    });
}

/// An attacker sends every copy with one flipped bit ahead of each of the first datagrams of both sides.
#[test]
fn no_flipped_bit_gets_through_or_in_the_way() {
    let policies = [RetryPolicy::Never, RetryPolicy::Always];
    seeds("no_flipped_bit_gets_through_or_in_the_way", 0..2, |seed| {
        let server = server_config().retry(policies[seed as usize % 2]);
        let mut pair = Pair::with(seed, link(), server, Config::builder());
        pair.sim.tap(|passing, bytes| {
            if passing.number >= 6 {
                return Tapped::Pass;
            }
            let flipped = (0..bytes.len() * 8).map(|bit| {
                let mut copy = bytes.clone();
                copy[bit / 8] ^= 1 << (bit % 8);
                copy
            });
            Tapped::Replace(flipped.chain([bytes.clone()]).collect())
        });
        let (conn, client, _) = connect_times(&mut pair, &pinned());
        assert!(client < Instant::ZERO + SECOND * 5, "connected at {client:?}");
        pair.sim.untap();
        assert_usable(&mut pair, conn);
        let server = pair.sim.endpoint(pair.server);
        assert_eq!(server.connections(), 1);
        let dropped: u64 = DropReason::ALL.iter().map(|reason| server.stats().dropped(*reason)).sum();
        assert!(dropped > 20_000, "only {dropped} of the copies were dropped");
        let id = server_key().public().key_id();
        assert_eq!(pair.sim.conn(pair.client, conn).expect("open").peer_key_id(), Some(id));
    });
}

#[test]
fn a_wrong_pinned_key_is_named() {
    let server = server_config().key_fetch(KeyFetch::Open);
    let mut pair = Pair::with(1, link(), server, Config::builder());
    let trust = ClientConfig::pinned(other_key());
    let conn = pair.sim.connect(pair.client, pair.server, &trust).expect("a connection attempt");
    let mut suspect = None;
    let end = pair.sim.run_until(SECOND * 30, |sim, happening| {
        let event = happening.event_of(pair.client, conn);
        if event == Some(Event::PeerKeySuspect) {
            suspect.get_or_insert(sim.now());
        }
        assert_ne!(event, Some(Event::Connected));
        event == Some(Event::Closed)
    });
    assert!(end.is_some(), "the attempt ends");
    assert!(suspect.expect("a suspicion") <= Instant::ZERO + ROUND_TRIP * 2);
    // The initial probe timeout is 600 ms and doubles twice.
    assert!(pair.sim.now() <= Instant::ZERO + MS * (600 + 1200 + 2400) + ROUND_TRIP, "{:?}", pair.sim.now());
    let reason = pair.sim.conn(pair.client, conn).and_then(|conn| conn.close_reason().cloned());
    let (expected, got) = (other_key().key_id(), server_key().public().key_id());
    assert_eq!(reason, Some(ConnectionError::PeerKeyMismatch { expected, got }));
    assert_eq!(pair.sim.endpoint(pair.server).connections(), 0);
}

#[test]
fn a_silent_server_gives_no_answer() {
    let mut pair = Pair::new(1, link());
    let trust = ClientConfig::pinned(other_key());
    let conn = pair.sim.connect(pair.client, pair.server, &trust).expect("a connection attempt");
    let end = pair.sim.run_until(SECOND * 30, |_, happening| {
        happening.event_of(pair.client, conn).inspect(|event| assert_eq!(*event, Event::Closed)).is_some()
    });
    assert!(end.is_some());
    let reason = pair.sim.conn(pair.client, conn).and_then(|conn| conn.close_reason().cloned());
    assert!(matches!(reason, Some(ConnectionError::NoAnswer { .. })), "{reason:?}");
    assert_eq!(pair.sim.link_stats(pair.server, pair.client).sent, 0, "the server stays silent");
}

/// Its answer came through, its parameters did not: the attempt ends when its time is up, not by the idle timeout.
#[test]
fn a_server_that_vanishes_after_its_answer_gives_no_answer() {
    let mut pair = Pair::new(1, link());
    pair.sim.link_one_way(pair.client, pair.server, link().drop_numbers(3..1000));
    pair.sim.link_one_way(pair.server, pair.client, link().drop_numbers(1..1000));
    let conn = pair.sim.connect(pair.client, pair.server, &pinned()).expect("a connection attempt");
    let end = pair.sim.run_until(SECOND * 60, |_, happening| {
        happening.event_of(pair.client, conn).inspect(|event| assert_eq!(*event, Event::Closed)).is_some()
    });
    assert!(end.is_some());
    assert_eq!(pair.sim.now(), Instant::ZERO + SECOND * 10);
    let reason = pair.sim.conn(pair.client, conn).and_then(|conn| conn.close_reason().cloned());
    assert_eq!(reason, Some(ConnectionError::NoAnswer { after: SECOND * 10 }));
}

#[test]
fn without_trust_only_loopback_is_reached() {
    let mut pair = Pair::new(1, link());
    let remote = pair.sim.address(pair.server);
    match pair.sim.connect(pair.client, pair.server, &ClientConfig::new()) {
        Err(ConnectError::TrustRequired { remote: named }) => assert_eq!(named, remote),
        other => panic!("{other:?}"),
    }
    let text = pair.sim.connect(pair.client, pair.server, &ClientConfig::new()).expect_err("again").to_string();
    assert!(text.contains("pin"), "the error says how to go on: {text}");
    assert_eq!(pair.sim.endpoint(pair.client).connections(), 0);

    let mut sim = Sim::new(1);
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let config = server_config().key_fetch(KeyFetch::Open).build().expect("valid");
    let server = sim.add_host(Host::new(config).address(address(4433)));
    let client = sim.add_host(Host::new(Config::default()).address(address(5000)));
    let ends = sim.establish(client, server, &ClientConfig::new(), SECOND * 5).expect("loopback needs no trust");
    assert!(ends.is_some());
}

#[test]
fn the_offered_key_may_be_rejected() {
    let server = server_config().key_fetch(KeyFetch::Open);
    let mut pair = Pair::with(1, link(), server, Config::builder());
    let conn = pair.sim.connect(pair.client, pair.server, &ClientConfig::ask()).expect("a connection attempt");
    let end = pair.sim.run_until(SECOND * 30, |sim, happening| {
        let event = happening.event_of(pair.client, conn);
        if event == Some(Event::ServerKeyOffered) {
            let mut conn = sim.conn(pair.client, conn).expect("just reported");
            assert_eq!(conn.offered_key().map(|key| key.key_id()), Some(server_key().public().key_id()));
            conn.reject_key();
        }
        event == Some(Event::Closed)
    });
    assert!(end.is_some());
    let reason = pair.sim.conn(pair.client, conn).and_then(|conn| conn.close_reason().cloned());
    assert_eq!(reason, Some(ConnectionError::KeyRejected));
}

/// The server asks its program, which knows one client key and one pre-shared key.
fn asking_server(seed: u64, identity: &Arc<SecretKey>) -> (Pair, ClientConfig) {
    let server = server_config().accept(AcceptPolicy::Ask).client_auth(ClientAuth::Required);
    let pair = Pair::with(seed, link(), server, Config::builder());
    (pair, pinned().identity(identity.clone()).psk(b"device 7", [9; 32]))
}

#[test]
fn a_client_proves_its_key_and_the_shared_secret() {
    let identity = Arc::new(SecretKey::from_seed([3; 32]));
    let (mut pair, config) = asking_server(1, &identity);
    let conn = pair.sim.connect(pair.client, pair.server, &config).expect("a connection attempt");
    let mut proven = None;
    pair.sim.run_until(SECOND * 5, |sim, happening| {
        if let Happening::Incoming { node, id } = happening {
            let now = sim.now();
            let incoming = sim.endpoint(*node).incoming(*id).expect("just reported");
            assert_eq!(incoming.client_key_id(), Some(identity.public().key_id()));
            assert_eq!(incoming.psk_id(), Some(&b"device 7"[..]));
            let accept = Accept::new().client_key(identity.public().clone()).psk([9; 32]);
            sim.endpoint(*node).accept(now, *id, accept).expect("still there");
        }
        if let Some((conn, Event::PeerAuthenticated)) = happening.event_at(pair.server) {
            proven = Some(conn);
        }
        proven.is_some()
    });
    let proven = proven.expect("the client has proven itself");
    let peer = pair.sim.conn(pair.server, proven).expect("open").peer_key_id();
    assert_eq!(peer, Some(identity.public().key_id()));
    assert_usable(&mut pair, conn);
}

#[test]
fn a_refusal_carries_its_code() {
    let identity = Arc::new(SecretKey::from_seed([3; 32]));
    let (mut pair, config) = asking_server(1, &identity);
    let conn = pair.sim.connect(pair.client, pair.server, &config).expect("a connection attempt");
    let end = pair.sim.run_until(SECOND * 5, |sim, happening| {
        if let Happening::Incoming { node, id } = happening {
            let now = sim.now();
            sim.endpoint(*node).refuse(now, *id, AppCode::new(42)).expect("still there");
        }
        happening.event_of(pair.client, conn) == Some(Event::Closed)
    });
    assert!(end.is_some());
    assert_eq!(pair.sim.now(), Instant::ZERO + ROUND_TRIP);
    let reason = pair.sim.conn(pair.client, conn).and_then(|conn| conn.close_reason().cloned());
    assert_eq!(reason, Some(ConnectionError::Refused { code: AppCode::new(42) }));
    assert_eq!(pair.sim.endpoint(pair.server).connections(), 0);
}

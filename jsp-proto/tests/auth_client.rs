//! How a client makes sure of its server: fetched keys, fingerprints, trust on first use, and servers that stay silent.

mod support;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use jsp_conformance::sim::{Happening, Host, Link, Sim, Tapped};
use jsp_proto::{
    ClientConfig, Config, ConnId, ConnectError, ConnectionError, Event, Instant, KeyFetch, Output, Path, RecvMeta,
    RetryPolicy, SecretKey,
};
use support::{MS, Pair, SECOND, other_key, pinned, server_config, server_key};

const ROUND_TRIP: Duration = Duration::from_millis(40);

fn link() -> Link {
    Link::with_delay(ROUND_TRIP / 2)
}

fn fetching(policy: KeyFetch) -> Pair {
    Pair::with(1, link(), server_config().key_fetch(policy), Config::builder())
}

/// What the client was told until its connection was up, in order, and when that was.
fn events_until_connected(pair: &mut Pair, conn: ConnId) -> (Vec<Event>, Instant) {
    let mut events = Vec::new();
    let client = pair.client;
    let end = pair.sim.run_until(SECOND * 60, |_, happening| {
        events.extend(happening.event_of(client, conn));
        events.last() == Some(&Event::Connected)
    });
    assert!(end.is_some(), "no connection, but {events:?}");
    (events, pair.sim.now())
}

#[test]
fn one_of_several_fingerprints_is_enough() {
    let right = server_key().public().key_id();
    let wrong = other_key().key_id();
    for policy in [KeyFetch::KnownFingerprint, KeyFetch::Open] {
        for ids in [vec![right], vec![right, wrong], vec![wrong, right], vec![wrong, wrong, wrong, right]] {
            let mut pair = fetching(policy);
            let conn = pair.connect(&ClientConfig::fingerprints(ids.clone()));
            let (events, at) = events_until_connected(&mut pair, conn);
            // Not a word of suspicion: the server holds one of the trusted keys.
            assert_eq!(events, [Event::Connected], "{policy:?} {ids:?}");
            assert_eq!(at, Instant::ZERO + ROUND_TRIP * 2);
            assert_eq!(pair.sim.conn(pair.client, conn).expect("open").peer_key_id(), Some(right));
            pair.assert_usable(conn);
        }
    }
}

#[test]
fn a_server_with_none_of_the_fingerprints_is_suspected_and_named() {
    let mut pair = fetching(KeyFetch::Open);
    let third = SecretKey::from_seed([3; 32]).public().key_id();
    let conn = pair.connect(&ClientConfig::fingerprints([other_key().key_id(), third]));
    let (client, mut suspicions, mut offered) = (pair.client, 0, false);
    let reason = pair.fails_with(conn, |sim, happening| {
        suspicions += u32::from(happening.event_of(client, conn) == Some(Event::PeerKeySuspect));
        // What anybody may have sent must not reach a decision about trust.
        offered |= sim.conn(client, conn).is_some_and(|conn| conn.offered_key().is_some());
    });
    assert_eq!((suspicions, offered), (1, false));
    let (expected, got) = (other_key().key_id(), server_key().public().key_id());
    assert_eq!(reason, ConnectionError::PeerKeyMismatch { expected, got });
    assert!(reason.to_string().contains(&expected.to_string()) && reason.to_string().contains(&got.to_string()));
    assert_eq!(pair.sim.endpoint(pair.server).stats().handshakes_started, 0);
}

#[test]
fn silent_servers_send_nothing_to_strangers() {
    let wrong = other_key();
    for policy in [KeyFetch::Off, KeyFetch::KnownFingerprint] {
        for retry in [RetryPolicy::Never, RetryPolicy::Always] {
            let right = ClientConfig::fingerprints([server_key().public().key_id()]);
            let mut strangers = vec![
                ClientConfig::pinned(wrong.clone()),
                ClientConfig::fingerprints([wrong.key_id()]),
                ClientConfig::ask(),
                ClientConfig::danger_accept_any(),
            ];
            if policy == KeyFetch::Off {
                strangers.push(right);
            }
            for stranger in strangers {
                let server = server_config().key_fetch(policy).retry(retry);
                let mut pair = Pair::with(1, link(), server, Config::builder());
                let conn = pair.connect(&stranger);
                let reason = pair.fails(conn);
                assert_eq!(reason, ConnectionError::NoAnswer { after: SECOND * 10 }, "{policy:?} {stranger:?}");
                let text = reason.to_string();
                assert!(text.contains("nothing listens") && text.contains("another key"), "{text}");
                let stats = pair.sim.link_stats(pair.server, pair.client);
                assert_eq!(stats.sent, 0, "{policy:?} {stranger:?}");
                assert!(pair.sim.link_stats(pair.client, pair.server).sent > 3);
            }
        }
    }
}

#[test]
fn known_fingerprints_are_served_and_off_serves_pinned_keys_only() {
    let mut pair = fetching(KeyFetch::Off);
    let (conn, _) = pair.establish(&pinned());
    pair.assert_usable(conn);
    let mut pair = fetching(KeyFetch::KnownFingerprint);
    let (conn, _) = pair.establish(&ClientConfig::fingerprints([server_key().public().key_id()]));
    pair.assert_usable(conn);
}

/// Shows the key and gives it to the program for `pause` before it is trusted.
fn trust_after(pause: Duration, loss: u64) -> (Pair, ConnId) {
    let mut pair = fetching(KeyFetch::Open);
    pair.sim.link_one_way(pair.client, pair.server, link().drop_mask(loss & 3));
    pair.sim.link_one_way(pair.server, pair.client, link().drop_mask(loss >> 2));
    let conn = pair.connect(&ClientConfig::ask());
    let (client, mut timer, mut offers, mut trusted) = (pair.client, None, 0, Instant::ZERO);
    let up = pair.sim.run_until(pause + SECOND * 30, |sim, happening| {
        match happening {
            Happening::Timer(id) if timer == Some(*id) => {
                trusted = sim.now();
                sim.conn(client, conn).expect("nothing runs out meanwhile").trust_key();
            }
            happening if happening.event_of(client, conn) == Some(Event::ServerKeyOffered) => {
                offers += 1;
                let at = sim.now() + pause;
                let offering = sim.conn(client, conn).expect("just reported");
                assert_eq!(offering.offered_key(), Some(server_key().public()));
                assert_eq!(offering.peer_key_id(), None, "not proven yet");
                timer = Some(sim.timer(at));
            }
            _ => {}
        }
        happening.event_of(client, conn) == Some(Event::Connected)
    });
    assert!(up.is_some() && offers == 1, "loss {loss:b}, {offers} offers");
    assert!(pair.sim.now() < trusted + SECOND * 9, "loss {loss:b}");
    (pair, conn)
}

#[test]
fn an_offered_key_is_trusted_at_once_or_after_a_long_thought() {
    let (mut pair, conn) = trust_after(Duration::ZERO, 0);
    assert_eq!(pair.sim.endpoint(pair.server).stats().retries_sent, 0);
    pair.assert_usable(conn);
    // The token that came with the key is ten seconds old by then: the server asks for a new one, and gets it.
    for (pause, retries) in [(SECOND * 9, 0), (SECOND * 13, 1), (SECOND * 100, 1)] {
        let (mut pair, conn) = trust_after(pause, 0);
        assert_eq!(pair.sim.endpoint(pair.server).stats().retries_sent, retries, "after {pause:?}");
        pair.assert_usable(conn);
    }
}

#[test]
fn a_long_thought_and_losses() {
    for loss in 0..64 {
        let (mut pair, conn) = trust_after(SECOND * 30, loss);
        pair.assert_usable(conn);
    }
}

#[test]
fn a_rejected_key_ends_the_attempt_without_another_word() {
    let mut pair = fetching(KeyFetch::Open);
    let conn = pair.connect(&ClientConfig::ask());
    let client = pair.client;
    let reason = pair.fails_with(conn, |sim, happening| {
        if happening.event_of(client, conn) == Some(Event::ServerKeyOffered) {
            sim.conn(client, conn).expect("just reported").reject_key();
        }
    });
    assert_eq!(reason, ConnectionError::KeyRejected);
    assert_eq!(pair.sim.now(), Instant::ZERO + ROUND_TRIP);
    pair.sim.run_for(SECOND * 20);
    assert_eq!(pair.sim.link_stats(pair.client, pair.server).sent, 1, "the key request and nothing else");
    // Too late, and no harm.
    if let Some(mut conn) = pair.sim.conn(pair.client, conn) {
        conn.trust_key();
    }
    pair.sim.run_for(SECOND);
    assert_eq!(pair.sim.link_stats(pair.client, pair.server).sent, 1);
}

#[test]
fn trust_calls_without_an_offer_do_nothing() {
    let mut pair = fetching(KeyFetch::Open);
    let (conn, _) = pair.establish(&pinned());
    let mut open = pair.sim.conn(pair.client, conn).expect("open");
    assert_eq!(open.offered_key(), None);
    open.trust_key();
    open.reject_key();
    pair.assert_usable(conn);
}

#[test]
fn accepting_any_key_takes_the_one_that_is_shown() {
    let mut pair = fetching(KeyFetch::Open);
    let conn = pair.connect(&ClientConfig::danger_accept_any());
    let (events, at) = events_until_connected(&mut pair, conn);
    assert_eq!((events, at), (vec![Event::Connected], Instant::ZERO + ROUND_TRIP * 2));
    let id = pair.sim.conn(pair.client, conn).expect("open").peer_key_id();
    assert_eq!(id, Some(server_key().public().key_id()));
    pair.assert_usable(conn);
}

#[test]
fn no_trust_is_enough_for_loopback_and_for_nothing_else() {
    for (host, works) in [
        ("127.0.0.1", true),
        ("127.8.9.1", true),
        ("::1", true),
        ("::ffff:127.0.0.1", true),
        ("10.1.2.3", false),
        ("::", false),
        ("fe80::1", false),
    ] {
        let mut sim = Sim::new(1);
        let address = |port| SocketAddr::new(host.parse().expect("an address"), port);
        let config = server_config().key_fetch(KeyFetch::Open).build().expect("valid");
        let server = sim.add_host(Host::new(config).address(address(4433)));
        let client = sim.add_host(Host::new(Config::default()).address(address(5000)));
        match sim.establish(client, server, &ClientConfig::new(), SECOND * 5) {
            Ok(ends) => assert!(works && ends.is_some(), "{host}"),
            Err(error) => {
                assert_eq!(error, ConnectError::TrustRequired { remote: address(4433) });
                assert!(!works && error.to_string().contains("jsp1-"), "{host}: {error}");
            }
        }
    }
}

/// Somebody on the path answers the client's hello with an offer of another key, ahead of the server.
#[test]
fn a_forged_offer_of_another_key_is_a_suspicion_and_no_more() {
    for trust in [pinned(), ClientConfig::fingerprints([server_key().public().key_id()])] {
        let mut pair = fetching(KeyFetch::KnownFingerprint);
        let fake = Config::builder().server_key(SecretKey::from_seed([2; 32])).key_fetch(KeyFetch::Open);
        let impostor = pair.sim.add(fake.build().expect("valid"));
        let seen = Rc::new(RefCell::new(Vec::new()));
        let copies = seen.clone();
        let client = pair.client;
        pair.sim.tap(move |passing, bytes| {
            if passing.from == client {
                copies.borrow_mut().push(bytes.clone());
            }
            Tapped::Pass
        });
        let conn = pair.connect(&trust);
        pair.sim.run_for(MS);
        let (now, from) = (pair.sim.now(), pair.sim.address(pair.server));
        let meta = RecvMeta::single(Path::to(pair.sim.address(client)));
        for mut copy in seen.take() {
            pair.sim.endpoint(impostor).handle_datagram(now, meta, &mut copy);
        }
        let mut buffer = vec![0; 1500];
        let mut forged = Vec::new();
        while let Output::Transmit(transmit) = pair.sim.endpoint(impostor).poll(now, &mut buffer) {
            forged.push(transmit.payload.to_vec());
        }
        assert_eq!(forged.len(), 2, "the impostor offers its key");
        forged.into_iter().for_each(|datagram| pair.sim.inject(from, client, MS, datagram));
        let (events, _) = events_until_connected(&mut pair, conn);
        assert_eq!(events, [Event::PeerKeySuspect, Event::Connected]);
        let id = pair.sim.conn(client, conn).expect("open").peer_key_id();
        assert_eq!(id, Some(server_key().public().key_id()));
        pair.assert_usable(conn);
    }
}

//! How a server makes sure of its clients and decides about them.

mod support;

use std::sync::Arc;
use std::time::Duration;

use jsp_conformance::sim::{Happening, Link, Sim};
use jsp_proto::{
    Accept, AcceptPolicy, AppCode, ClientAuth, ClientConfig, Config, ConnId, ConnectionError, Event, IncomingGone,
    IncomingId, Instant, Recv, SecretKey, StreamOptions, TransportError,
};
use support::{MS, Pair, SECOND, pinned, server_config};

const ROUND_TRIP: Duration = Duration::from_millis(40);
const PSK: [u8; 32] = [9; 32];

fn link() -> Link {
    Link::with_delay(ROUND_TRIP / 2)
}

fn asking() -> Pair {
    Pair::with(1, link(), server_config().accept(AcceptPolicy::Ask), Config::builder())
}

fn identity(seed: u8) -> Arc<SecretKey> {
    Arc::new(SecretKey::from_seed([seed; 32]))
}

fn refused(error: TransportError) -> ConnectionError {
    ConnectionError::Refused { code: AppCode::new(error.code()) }
}

/// Both ends of a connection whose client was accepted with `accept`, and what the server was told of it.
fn accept_with(pair: &mut Pair, trust: &ClientConfig, accept: &Accept) -> (ConnId, ConnId, Vec<Event>) {
    let conn = pair.connect(trust);
    let (mut ends, mut events) = (None, Vec::new());
    let server = pair.server;
    pair.sim.run_until(SECOND * 30, |sim, happening| {
        decide(sim, happening, &mut |sim, id| {
            let now = sim.now();
            sim.endpoint(server).accept(now, id, accept.clone()).expect("just reported");
        });
        if let Some((at, event)) = happening.event_at(server) {
            ends = Some(at);
            events.push(event);
        }
        events.contains(&Event::HandshakeConfirmed)
    });
    (conn, ends.expect("a connection at the server"), events)
}

fn decide(sim: &mut Sim, happening: &Happening, decide: &mut dyn FnMut(&mut Sim, IncomingId)) {
    if let Happening::Incoming { id, .. } = happening {
        decide(sim, *id);
    }
}

/// Why a client that the server decides about like this gets no connection.
fn turned_away(pair: &mut Pair, trust: &ClientConfig, mut judge: impl FnMut(&mut Sim, IncomingId)) -> ConnectionError {
    let conn = pair.connect(trust);
    let server = pair.server;
    let reason = pair.fails_with(conn, |sim, happening| {
        assert_eq!(happening.event_at(server), None, "the server must not hear of a connection");
        decide(sim, happening, &mut judge);
    });
    assert_eq!(pair.sim.endpoint(server).stats().connections_confirmed, 0);
    reason
}

#[test]
fn identities_and_pre_shared_keys_in_all_combinations() {
    let key = identity(3);
    for (with_key, inline, with_psk) in
        [(true, false, false), (true, true, false), (false, false, true), (true, false, true), (true, true, true)]
    {
        let (mut trust, mut accept) = (pinned(), Accept::new());
        if with_key {
            trust = trust.identity(key.clone()).identity_inline(inline);
            accept = accept.client_key(key.public().clone());
        }
        if with_psk {
            trust = trust.psk(b"device 7", PSK);
            accept = accept.psk(PSK);
        }
        let mut pair = asking();
        let conn = pair.connect(&trust);
        let (server, client) = (pair.server, pair.client);
        let mut events = Vec::new();
        pair.sim.run_until(SECOND * 5, |sim, happening| {
            decide(sim, happening, &mut |sim, id| {
                let now = sim.now();
                let incoming = sim.endpoint(server).incoming(id).expect("just reported");
                assert_eq!(incoming.client_key_id(), with_key.then(|| key.public().key_id()));
                assert_eq!(incoming.client_key(), (with_key && inline).then(|| key.public().clone()));
                assert_eq!(incoming.psk_id(), with_psk.then_some(&b"device 7"[..]));
                assert!(!incoming.is_address_validated());
                sim.endpoint(server).accept(now, id, accept.clone()).expect("just reported");
            });
            events.extend(happening.event_at(server).map(|(_, event)| event));
            happening.event_of(client, conn) == Some(Event::HandshakeConfirmed)
        });
        // Nothing but these, and the proof only with the first packet that the client alone can have made.
        assert_eq!(events, [Event::Connected, Event::PeerAuthenticated, Event::HandshakeConfirmed]);
        pair.assert_usable(conn);
    }
}

#[test]
fn the_client_is_authenticated_by_its_first_packet_and_not_before() {
    let key = identity(3);
    let mut pair = asking();
    let trust = pinned().identity(key.clone());
    let conn = pair.connect(&trust);
    let server = pair.server;
    let mut accepted = None;
    let proven = pair.sim.run_until(SECOND * 5, |sim, happening| {
        decide(sim, happening, &mut |sim, id| {
            let now = sim.now();
            let accept = Accept::new().client_key(key.public().clone());
            sim.endpoint(server).accept(now, id, accept).expect("just reported");
            accepted = Some(now);
        });
        matches!(happening.event_at(server), Some((_, Event::PeerAuthenticated)))
    });
    assert_eq!(accepted, Some(Instant::ZERO + ROUND_TRIP / 2));
    assert_eq!(pair.sim.now(), Instant::ZERO + ROUND_TRIP * 3 / 2);
    let (end, _) = proven.and_then(|happening| happening.event_at(server)).expect("proven");
    let id = pair.sim.conn(server, end).expect("open").peer_key_id();
    assert_eq!(id, Some(key.public().key_id()));
    pair.assert_usable(conn);
}

#[test]
fn a_client_that_offers_more_than_it_is_accepted_with_is_refused() {
    let key = identity(3);
    let both = pinned().identity(key.clone()).psk(b"x", PSK);
    let public = key.public().clone();
    let other = identity(4).public().clone();
    for (trust, accept) in [
        (pinned().identity(key.clone()), Accept::new()),
        (pinned().identity(key.clone()).identity_inline(true), Accept::new()),
        (pinned().identity(key.clone()), Accept::new().psk(PSK)),
        (pinned().identity(key.clone()), Accept::new().client_key(other.clone())),
        (pinned().identity(key.clone()).identity_inline(true), Accept::new().client_key(other)),
        (pinned().psk(b"x", PSK), Accept::new()),
        (both.clone(), Accept::new().psk(PSK)),
        (both, Accept::new().client_key(public)),
    ] {
        let mut pair = asking();
        let server = pair.server;
        let reason = turned_away(&mut pair, &trust, |sim, id| {
            let now = sim.now();
            sim.endpoint(server).accept(now, id, accept.clone()).expect("just reported");
        });
        assert_eq!(reason, refused(TransportError::ACCESS_DENIED), "{accept:?}");
        assert_eq!(pair.sim.now(), Instant::ZERO + ROUND_TRIP, "the client learns it at once");
        assert_eq!(pair.sim.endpoint(server).connections(), 0);
    }
}

#[test]
fn without_questions_a_client_with_a_key_is_refused_and_an_anonymous_one_is_not() {
    let mut pair = Pair::new(1, link());
    let reason = turned_away(&mut pair, &pinned().identity(identity(3)), |_, _| panic!("not asked"));
    assert_eq!(reason, refused(TransportError::ACCESS_DENIED));
    let reason = turned_away(&mut pair, &pinned().psk(b"x", PSK), |_, _| panic!("not asked"));
    assert_eq!(reason, refused(TransportError::ACCESS_DENIED));
    let (conn, _) = pair.establish(&pinned());
    pair.assert_usable(conn);
}

/// Only who holds the pre-shared key opens the answer, and only who holds it can make one.
#[test]
fn a_wrong_pre_shared_key_never_makes_a_connection() {
    let mut pair = asking();
    let server = pair.server;
    let reason = turned_away(&mut pair, &pinned().psk(b"x", PSK), |sim, id| {
        let now = sim.now();
        sim.endpoint(server).accept(now, id, Accept::new().psk([8; 32])).expect("just reported");
    });
    assert_eq!(reason, ConnectionError::NoAnswer { after: SECOND * 10 });
    pair.sim.run_for(SECOND * 20);
    assert_eq!(pair.sim.endpoint(server).connections(), 0, "nothing of it is left");
}

#[test]
fn an_unknown_pre_shared_key_is_refused_by_the_program() {
    let mut pair = asking();
    let server = pair.server;
    let reason = turned_away(&mut pair, &pinned().psk(b"nobody", PSK), |sim, id| {
        let now = sim.now();
        let known = sim.endpoint(server).incoming(id).expect("just reported").psk_id() == Some(b"somebody");
        assert!(!known);
        sim.endpoint(server).refuse(now, id, AppCode::new(77)).expect("just reported");
    });
    assert_eq!(reason, ConnectionError::Refused { code: AppCode::new(77) });
}

#[test]
fn required_authentication_refuses_the_anonymous_unasked() {
    let server = server_config().accept(AcceptPolicy::Ask).client_auth(ClientAuth::Required);
    let mut pair = Pair::with(1, link(), server, Config::builder());
    let reason = turned_away(&mut pair, &pinned(), |_, _| panic!("not asked"));
    assert_eq!(reason, refused(TransportError::ACCESS_DENIED));
    let accept = Accept::new().psk(PSK);
    let (conn, _, events) = accept_with(&mut pair, &pinned().psk(b"x", PSK), &accept);
    assert_eq!(events, [Event::Connected, Event::PeerAuthenticated, Event::HandshakeConfirmed]);
    pair.assert_usable(conn);
}

#[test]
fn the_program_sees_token_and_protocols_before_it_decides() {
    let config = server_config().accept(AcceptPolicy::Ask).protocols(&[b"c", b"b"]);
    for (choice, chosen) in [(None, &b"b"[..]), (Some(&b"a"[..]), b"a"), (Some(b"b"), b"b")] {
        let mut pair = Pair::with(1, link(), config.clone(), Config::builder());
        let trust = pinned().app_token(b"let me in").protocols(&[b"a", b"b"]);
        let conn = pair.connect(&trust);
        let (client, server) = (pair.client, pair.server);
        let mut end = None;
        pair.sim.run_until(SECOND * 5, |sim, happening| {
            decide(sim, happening, &mut |sim, id| {
                let (now, address) = (sim.now(), sim.address(client));
                let incoming = sim.endpoint(server).incoming(id).expect("just reported");
                assert_eq!(incoming.app_token(), b"let me in");
                assert_eq!(incoming.protocols().collect::<Vec<_>>(), [b"a", b"b"]);
                assert_eq!(incoming.remote_address(), address);
                let accept = choice.map_or(Accept::new(), |name| Accept::new().protocol(name));
                sim.endpoint(server).accept(now, id, accept).expect("just reported");
            });
            if let Some((conn, Event::EarlyWritable)) = happening.event_at(server) {
                end = Some(conn);
            }
            happening.event_of(client, conn) == Some(Event::Connected)
        });
        assert_eq!(pair.sim.conn(client, conn).expect("open").protocol(), chosen);
        assert_eq!(pair.sim.conn(server, end.expect("known")).expect("open").protocol(), chosen);
    }
}

#[test]
fn no_common_protocol_is_refused() {
    let ours = server_config().protocols(&[b"c"]);
    for (server, protocols) in [(ours.clone(), &[&b"a"[..], b"b"][..]), (ours, &[]), (server_config(), &[b"a"])] {
        let mut pair = Pair::with(1, link(), server, Config::builder());
        let reason = turned_away(&mut pair, &pinned().protocols(protocols), |_, _| panic!("not asked"));
        assert_eq!(reason, refused(TransportError::APP_PROTOCOL), "{protocols:?}");
    }
    // Nor may the program choose one that the client does not speak.
    let mut pair = asking();
    let server = pair.server;
    let reason = turned_away(&mut pair, &pinned(), |sim, id| {
        let now = sim.now();
        sim.endpoint(server).accept(now, id, Accept::new().protocol(b"z")).expect("just reported");
    });
    assert_eq!(reason, refused(TransportError::APP_PROTOCOL));
}

#[test]
fn a_lost_refusal_is_repeated_when_the_client_asks_again() {
    for lost in 0..3 {
        let mut pair = asking();
        pair.sim.link_one_way(pair.server, pair.client, link().drop_numbers(0..lost));
        let server = pair.server;
        let mut asked = 0;
        let reason = turned_away(&mut pair, &pinned(), |sim, id| {
            asked += 1;
            let now = sim.now();
            sim.endpoint(server).refuse(now, id, AppCode::new(5)).expect("just reported");
        });
        assert_eq!(reason, ConnectionError::Refused { code: AppCode::new(5) });
        assert_eq!(asked, 1, "the program is asked once");
        // Once at first and once for each flight of the client, not for each of its datagrams.
        assert_eq!(pair.sim.link_stats(server, pair.client).sent, lost + 1);
        assert_eq!(pair.sim.endpoint(server).stats().handshakes_started, 1);
    }
}

#[test]
fn an_ignored_client_hears_nothing() {
    let mut pair = asking();
    let server = pair.server;
    let mut asked = Vec::new();
    let reason = turned_away(&mut pair, &pinned(), |sim, id| {
        asked.push(sim.now());
        sim.endpoint(server).ignore(id);
        let now = sim.now();
        assert_eq!(sim.endpoint(server).accept(now, id, Accept::new()), Err(IncomingGone), "decided");
        assert!(sim.endpoint(server).incoming(id).is_none());
    });
    assert_eq!(reason, ConnectionError::NoAnswer { after: SECOND * 10 });
    assert_eq!(pair.sim.link_stats(server, pair.client).sent, 0);
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] > SECOND * 5), "remembered for five seconds: {asked:?}");
}

#[test]
fn a_client_that_nobody_decides_about_is_gone_after_five_seconds() {
    for (wait, gone) in [(MS * 4900, false), (MS * 5000, true), (MS * 5100, true)] {
        let mut pair = asking();
        let conn = pair.connect(&pinned());
        let server = pair.server;
        let happening = pair.sim.run_until(SECOND, |_, happening| matches!(happening, Happening::Incoming { .. }));
        let Some(Happening::Incoming { id, .. }) = happening else { panic!("asked") };
        pair.sim.run_for(wait);
        let now = pair.sim.now();
        assert_eq!(pair.sim.endpoint(server).incoming(id).is_none(), gone, "{wait:?}");
        let outcome = pair.sim.endpoint(server).accept(now, id, Accept::new());
        assert_eq!(outcome.is_err(), gone, "{wait:?}");
        assert_eq!(pair.sim.endpoint(server).refuse(now, id, AppCode::ZERO), Err(IncomingGone));
        pair.sim.endpoint(server).ignore(id);
        if !gone {
            pair.assert_usable(conn);
        }
    }
}

#[test]
fn a_slow_decision_costs_the_client_nothing_but_time() {
    let mut pair = asking();
    let conn = pair.connect(&pinned());
    let server = pair.server;
    let (mut waiting, mut timer) = (Vec::new(), None);
    let client = pair.client;
    let up = pair.sim.run_until(SECOND * 8, |sim, happening| {
        match happening {
            Happening::Incoming { id, .. } => {
                waiting.push(*id);
                let at = sim.now() + SECOND * 3;
                timer = Some(sim.timer(at));
            }
            Happening::Timer(_) => {
                let now = sim.now();
                sim.endpoint(server).accept(now, waiting[0], Accept::new()).expect("still there");
            }
            _ => {}
        }
        happening.event_of(client, conn) == Some(Event::Connected)
    });
    assert!(up.is_some() && waiting.len() == 1, "asked {} times", waiting.len());
    assert_eq!(pair.sim.now(), Instant::ZERO + SECOND * 3 + ROUND_TRIP);
    pair.assert_usable(conn);
}

#[test]
fn nobody_is_accepted_by_an_endpoint_that_shuts_down() {
    let mut pair = asking();
    let server = pair.server;
    pair.connect(&pinned());
    let happening = pair.sim.run_until(SECOND, |_, happening| matches!(happening, Happening::Incoming { .. }));
    let Some(Happening::Incoming { id, .. }) = happening else { panic!("asked") };
    let now = pair.sim.now();
    pair.sim.endpoint(server).shutdown(now, AppCode::ZERO);
    assert_eq!(pair.sim.endpoint(server).accept(now, id, Accept::new()), Err(IncomingGone));
    pair.sim.run_for(SECOND * 3);
    assert_eq!(pair.sim.endpoint(server).connections(), 0);
    assert!(pair.sim.endpoint(server).is_idle());
}

/// When the first byte of `early` from the server's first stream reached the client, and what the server knew then.
fn early_data(trust: &ClientConfig, accept: &Accept) -> (Option<Event>, Instant) {
    let mut pair = asking();
    let conn = pair.connect(trust);
    let (client, server) = (pair.client, pair.server);
    let mut first = None;
    let mut arrived = None;
    pair.sim.run_until(SECOND * 5, |sim, happening| {
        decide(sim, happening, &mut |sim, id| {
            let now = sim.now();
            sim.endpoint(server).accept(now, id, accept.clone()).expect("just reported");
        });
        if let Some((end, event)) = happening.event_at(server)
            && first.is_none()
        {
            first = Some(event);
            let mut end = sim.conn(server, end).expect("just reported");
            let stream = end.open(StreamOptions::bytes().uni()).expect("the first stream");
            end.send(stream, b"early").expect("room");
        }
        if let Some(Event::StreamReadable(stream)) = happening.event_of(client, conn) {
            let mut out = [0; 10];
            let read = sim.conn(client, conn).expect("open").recv(stream, &mut out);
            assert!(matches!(read, Ok(Recv::Data(5))), "{read:?}");
            arrived = Some(sim.now());
        }
        arrived.is_some()
    });
    (first, arrived.expect("the data arrives"))
}

#[test]
fn early_data_goes_to_the_anonymous_and_waits_for_the_others_proof() {
    let key = identity(3);
    let anonymous = early_data(&pinned(), &Accept::new());
    assert_eq!(anonymous, (Some(Event::EarlyWritable), Instant::ZERO + ROUND_TRIP));
    let late = (Some(Event::Connected), Instant::ZERO + ROUND_TRIP * 2);
    let accept = Accept::new().client_key(key.public().clone());
    assert_eq!(early_data(&pinned().identity(key), &accept), late);
    assert_eq!(early_data(&pinned().psk(b"x", PSK), &Accept::new().psk(PSK)), late);
}

/// A program that guesses the handle of a connection it was not told of may write, and its data waits all the same.
#[test]
fn what_is_written_too_early_waits_for_the_proof() {
    let mut pair = asking();
    let conn = pair.connect(&pinned().psk(b"x", PSK));
    let (client, server) = (pair.client, pair.server);
    let arrived = pair.sim.run_until(SECOND * 5, |sim, happening| {
        decide(sim, happening, &mut |sim, id| {
            let now = sim.now();
            sim.endpoint(server).accept(now, id, Accept::new().psk(PSK)).expect("just reported");
            let first = ConnId::from_u64(1 << 32);
            let mut unproven = sim.conn(server, first).expect("the first connection of an endpoint");
            assert!(!unproven.is_connected() && unproven.peer_key_id().is_none());
            let stream = unproven.open(StreamOptions::bytes().uni()).expect("the first stream");
            unproven.send(stream, b"early").expect("room");
        });
        matches!(happening.event_of(client, conn), Some(Event::StreamReadable(_)))
    });
    assert!(arrived.is_some());
    assert_eq!(pair.sim.now(), Instant::ZERO + ROUND_TRIP * 2);
}

#[test]
fn exported_keys_agree_and_differ_by_label_and_context() {
    let mut pair = Pair::new(1, link());
    let (client, server) = (pair.client, pair.server);
    let conn = pair.connect(&pinned());
    let mut out = [0; 32];
    let untold = pair.sim.conn(client, conn).expect("open").export_key(b"login", b"", &mut out);
    assert!(untold.is_err(), "no keys yet");
    let mut end = None;
    pair.sim.run_until(SECOND, |_, happening| {
        end = happening.event_at(server).filter(|(_, event)| *event == Event::Connected).map(|(conn, _)| conn);
        end.is_some()
    });
    let end = end.expect("connected");
    let (second, second_end) = pair.establish(&pinned());
    let mut seen = std::collections::BTreeSet::new();
    for (conn, end) in [(conn, end), (second, second_end)] {
        for (label, context) in [(&b"login"[..], &b""[..]), (b"login", b"x"), (b"loginx", b""), (b"", b"")] {
            let (mut ours, mut theirs) = ([0; 48], [0; 48]);
            pair.sim.conn(client, conn).expect("open").export_key(label, context, &mut ours).expect("keys");
            pair.sim.conn(server, end).expect("open").export_key(label, context, &mut theirs).expect("keys");
            assert_eq!(ours, theirs);
            assert!(seen.insert(ours), "one key for two purposes");
        }
    }
    let mut exporting = pair.sim.conn(client, second).expect("open");
    assert!(exporting.export_key(&[b'x'; 1000], b"", &mut [0; 32]).is_err(), "the label is too long");
    assert!(exporting.export_key(b"x", b"", &mut [0; 9000]).is_err(), "the key is too long");
    exporting.close(AppCode::ZERO, b"");
}

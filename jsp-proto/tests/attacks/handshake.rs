//! Attacks on the handshake by somebody who knows the server's key and sees the client's datagrams: everything that is
//! sealed for all to open can be made up (specification sections 2.4 to 2.10, and 13 items 2 and 3).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use jsp_conformance::sim::{Link, Tapped};
use jsp_proto::internals::crypto::InitialKeys;
use jsp_proto::internals::crypto::initial::build_retry;
use jsp_proto::internals::crypto::kem::{CIPHERTEXT_LEN, PUBLIC_KEY_LEN};
use jsp_proto::internals::crypto::transcript::{Ids, h0, h1, k1, prk1, seal_params};
use jsp_proto::internals::wire::header::{Cid, Fragment, LongHeader, LongType, decode_long};
use jsp_proto::internals::wire::params::{Extras, Params, ParamsContext};
use jsp_proto::{Config, ConnId, DropReason, Event, Instant, RetryPolicy, Side};

use crate::support::bare::{Bare, address, retried};
use crate::support::scene::{ONE_WAY, Scene};
use crate::support::{MS, Pair, SECOND, pinned, server_config, server_key};
use jsp_conformance::peer::{Hello, params};

/// An address in a network of its own.
fn stranger(number: u8) -> SocketAddr {
    SocketAddr::from(([198, 18, number, 1], 9))
}

fn link() -> Link {
    Link::with_delay(ONE_WAY)
}

/// Runs until the client is connected, and gives when. An attempt that fails fails the test.
fn connected(pair: &mut Pair, conn: ConnId, context: &str) -> Instant {
    let client = pair.client;
    let up = pair.sim.run_until(SECOND * 30, |_, happening| {
        let event = happening.event_of(client, conn);
        assert_ne!(event, Some(Event::Closed), "{context}");
        event == Some(Event::Connected)
    });
    assert!(up.is_some(), "{context}: no connection");
    let id = pair.sim.conn(client, conn).expect("open").peer_key_id();
    assert_eq!(id, Some(server_key().public().key_id()), "{context}");
    pair.sim.now()
}

/// A flight whose ephemeral key, and ciphertext for the server, are `spoil`ed and all else is as it should be.
fn spoiled(number: u64, spoil: impl FnOnce(&mut [u8; PUBLIC_KEY_LEN], &mut [u8; CIPHERTEXT_LEN])) -> Vec<Vec<u8>> {
    let (hello, key) = (Hello::new(server_key().public(), number), server_key());
    let message = hello.message();
    let (e_pk, rest) = message.split_first_chunk().expect("a key");
    let (ct_s, _) = rest.split_first_chunk().expect("a ciphertext");
    let ss_s = key.decapsulate(ct_s).expect("a sound one");
    let (mut e_pk, mut ct_s) = (*e_pk, *ct_s);
    spoil(&mut e_pk, &mut ct_s);
    let (dcid, scid) = (hello.dcid, hello.scid);
    let h0 = h0(key.public().as_bytes());
    let h1 = h1(&h0, Ids { odcid: dcid.as_slice(), dcid: dcid.as_slice(), scid: scid.as_slice() }, &e_pk, &ct_s);
    let p1 = params(&Params::default(), &Extras::default(), ParamsContext::P1);
    let sealed = seal_params(&k1(&prk1(&h0, &ss_s), &h1), &h1, &p1);
    hello.flight_of(key.public().key_id(), &[&e_pk[..], &ct_s[..], &sealed].concat())
}

/// Keys that no honest client makes: coefficients that are not reduced, and points that make the shared secret known to
/// all, in either place of the message. Each costs what a handshake costs, and gets no answer.
#[test]
fn impossible_ephemeral_keys() {
    type Spoil = fn(&mut [u8; PUBLIC_KEY_LEN], &mut [u8; CIPHERTEXT_LEN]);
    const X25519: usize = 32;
    let flights: [(&str, Spoil, bool); 6] = [
        ("a sound key", |_, _| {}, true),
        ("first coefficient 4095", |e_pk, _| e_pk[..3].fill(0xff), false),
        ("last coefficient 3329", |e_pk, _| (e_pk[1150], e_pk[1151]) = (e_pk[1150] & 0x0f | 0x10, 0xd0), false),
        ("a point of zeros", |e_pk, _| e_pk[PUBLIC_KEY_LEN - X25519..].fill(0), false),
        ("a ciphertext with a point of zeros", |_, ct_s| ct_s[CIPHERTEXT_LEN - X25519..].fill(0), false),
        ("nothing but zeros", |e_pk, ct_s| (e_pk.fill(0), ct_s.fill(0)).0, false),
    ];
    let mut scene = Scene::new();
    for (number, (what, spoil, sound)) in (0..).zip(flights) {
        let before = *scene.sim.endpoint(scene.server).stats();
        let unroutable = scene.sim.unroutable();
        for datagram in spoiled(number, spoil) {
            scene.sim.inject(stranger(number as u8), scene.server, MS, datagram);
        }
        scene.run(MS * 10);
        let after = *scene.sim.endpoint(scene.server).stats();
        assert_eq!(after.handshakes_started - before.handshakes_started, 1, "{what}");
        assert_eq!(scene.sim.unroutable() > unroutable, sound, "{what}");
        assert_eq!(after.dropped(DropReason::InnerSeal) > before.dropped(DropReason::InnerSeal), !sound, "{what}");
        assert_eq!(scene.sim.endpoint(scene.server).connections(), 3, "{what}: the sound one waits for its proof");
    }
    scene.run(SECOND * 8);
    assert_eq!(scene.sim.endpoint(scene.server).connections(), 2);
    scene.assert_alive();
}

/// Pieces of somebody else's message under the client's ids and from its address, each ahead of the client's own. They
/// may cost the attempt one flight, or five seconds if they say that the message has another length.
#[test]
fn fragment_mixing() {
    for (mask, longer) in (1..8u8).flat_map(|mask| [(mask, 0), (mask, 7)]) {
        let context = format!("pieces {mask:03b}, {longer} bytes longer");
        let mut pair = Pair::new(1, link());
        let client = pair.client;
        pair.sim.tap(move |passing, bytes| {
            if passing.from != client || passing.number > 2 || mask >> passing.number & 1 == 0 {
                return Tapped::Pass;
            }
            let id = server_key().public().key_id();
            let mut open = bytes.clone();
            let header = decode_long(&open, Side::Client).expect("a hello");
            let (index, at) = (header.index, header.payload_at);
            let mut other = Hello::new(server_key().public(), 9);
            (other.dcid, other.scid) = (header.dcid, header.scid);
            let seal = InitialKeys::new(&id, other.dcid.as_slice()).client(LongType::ClientInit);
            let plain = seal.open_datagram(index, &mut open, at).expect("anybody who knows the key can");
            let total = Fragment::decode(plain).expect("a fragment").total + longer;
            let forged = other.flight_of(id, &vec![0x55; total.into()]);
            Tapped::Replace(vec![forged[usize::from(index)].clone(), bytes.clone()])
        });
        let conn = pair.connect(&pinned());
        let at = connected(&mut pair, conn, &context);
        assert!(at <= Instant::ZERO + SECOND * 10, "{context}: {at:?}");
        assert!(longer > 0 || at < Instant::ZERO + SECOND, "{context}: {at:?}");
        pair.sim.untap();
        let stats = *pair.sim.endpoint(pair.server).stats();
        assert!(stats.handshakes_started <= 2, "{context}: {}", stats.handshakes_started);
        assert_eq!(pair.sim.endpoint(pair.server).connections(), 1, "{context}");
        pair.assert_usable(conn);
    }
}

/// A RETRY to a client's hello, as anybody who has seen the hello can make it.
fn retry_for(hello: &[u8], number: u8, token: &[u8]) -> Vec<u8> {
    let asked = decode_long(hello, Side::Client).expect("a hello");
    let scid = Cid::new(&[number; 8]).expect("eight bytes");
    let (id, ty) = (server_key().public().key_id(), LongType::Retry);
    let seal = InitialKeys::new(&id, asked.dcid.as_slice()).server(ty, scid.as_slice());
    let header =
        LongHeader { from: Side::Server, ty, count: 1, index: 0, dcid: asked.scid, scid, token: &[], payload_at: 0 };
    build_retry(&header, &seal, token).expect("it fits")
}

/// Forged RETRYs ahead of everything that the server says, and in its place until the client's first probe. A client
/// that follows one is told better by the server itself.
#[test]
fn forged_retry() {
    let tokens: [&[u8]; 5] = [&[], &[1; 30], &[2; 49], &[7; 30], &[1; 128]];
    for policy in [RetryPolicy::Never, RetryPolicy::Adaptive, RetryPolicy::Always] {
        for (token, lost) in tokens.into_iter().flat_map(|token| [(token, false), (token, true)]) {
            let context = format!("{policy:?}, a token of {} bytes, lost: {lost}", token.len());
            let mut pair = Pair::with(1, link(), server_config().retry(policy), Config::builder());
            let (client, server) = (pair.client, pair.server);
            let (mut hellos, mut forged) = (Vec::new(), 0);
            pair.sim.tap(move |passing, bytes| {
                if passing.from == client && bytes[0] & 0x80 != 0 {
                    hellos.push(bytes.clone());
                }
                if passing.from != server || forged == 10 {
                    return Tapped::Pass;
                }
                let mut datagrams = Vec::new();
                for hello in hellos.drain(..).take(10 - forged) {
                    forged += 1;
                    datagrams.push(retry_for(&hello, forged as u8, token));
                }
                if !lost || passing.now > Instant::ZERO + MS * 500 {
                    datagrams.push(bytes.clone());
                }
                Tapped::Replace(datagrams)
            });
            let conn = pair.connect(&pinned());
            let at = connected(&mut pair, conn, &context);
            assert!(at <= Instant::ZERO + SECOND * if lost { 5 } else { 2 }, "{context}: {at:?}");
            pair.sim.untap();
            pair.assert_usable(conn);
            pair.sim.run_for(SECOND * 6);
            assert_eq!(pair.sim.endpoint(server).connections(), 1, "{context}");
        }
    }
}

/// Somebody else's whole hello under the client's ids and ahead of its own (the race of CVE-2023-49786), from another
/// address and from the client's. Who sees the client's datagrams and is faster can take the place of its attempt: it
/// costs the client one probe timeout, after which it tries under another id.
#[test]
fn hello_race() {
    for spoofed in [false, true] {
        let mut pair = Pair::with(1, link(), server_config(), Config::builder());
        let (client, server) = (pair.client, pair.server);
        let rival = Rc::new(RefCell::new(Vec::new()));
        let copies = rival.clone();
        pair.sim.tap(move |passing, bytes| {
            if passing.from != client || passing.number > 0 {
                return Tapped::Pass;
            }
            let header = decode_long(bytes, Side::Client).expect("a hello");
            let mut hello = Hello::new(server_key().public(), 9);
            hello.scid = header.scid;
            let flight = hello.again(header.dcid, header.dcid, &[]).datagrams;
            copies.borrow_mut().clone_from(&flight);
            if spoofed { Tapped::Replace([flight, vec![bytes.clone()]].concat()) } else { Tapped::Pass }
        });
        let conn = pair.connect(&pinned());
        if !spoofed {
            pair.sim.run_for(MS);
            for datagram in rival.borrow().iter() {
                pair.sim.inject(stranger(1), server, Duration::ZERO, datagram.clone());
            }
        }
        let at = connected(&mut pair, conn, &format!("spoofed: {spoofed}"));
        // From elsewhere it is another attempt. From here the server takes it for the client's, which asks again under
        // another id.
        let latest = Instant::ZERO + if spoofed { SECOND } else { MS * 100 };
        assert!(at <= latest, "spoofed: {spoofed}: {at:?}");
        pair.sim.run_for(SECOND * 8);
        assert_eq!(pair.sim.endpoint(server).connections(), 1);
        assert_eq!(pair.sim.endpoint(server).stats().connections_confirmed, 1);
        pair.assert_usable(conn);
    }
}

/// Everything that a client of a server with proofs of address has sent, once more when its token is too old: from its
/// address and from elsewhere it gets one RETRY per round, and no key exchange.
#[test]
fn a_hello_replayed_after_its_token_expired() {
    let mut pair = Pair::with(1, link(), server_config().retry(RetryPolicy::Always), Config::builder());
    let (client, server) = (pair.client, pair.server);
    let log = Rc::new(RefCell::new(Vec::new()));
    let copies = log.clone();
    pair.sim.tap(move |passing, bytes| {
        if passing.from == client && bytes[0] & 0x80 != 0 {
            copies.borrow_mut().push(bytes.clone());
        }
        Tapped::Pass
    });
    let (up, _) = pair.establish(&pinned());
    pair.sim.untap();
    let (recorded, own) = (log.take(), pair.sim.address(client));
    assert_eq!(recorded.len(), 6, "a hello without a token and one with it");
    pair.sim.run_for(SECOND * 12);
    let before = *pair.sim.endpoint(server).stats();
    for source in [own, stranger(1)] {
        for datagram in &recorded {
            pair.sim.inject(source, server, MS, datagram.clone());
        }
    }
    pair.sim.run_for(MS * 50);
    let after = *pair.sim.endpoint(server).stats();
    assert_eq!(after.handshakes_started, before.handshakes_started);
    assert_eq!(after.retries_sent - before.retries_sent, 4, "one for each first fragment");
    assert_eq!(pair.sim.endpoint(server).connections(), 1);
    assert_eq!(pair.sim.endpoint(server).pending_clients(), 0);
    pair.assert_usable(up);
}

/// A token in the hands of another attempt, and one of which any byte is changed.
#[test]
fn a_token_of_another_attempt() {
    let mut server = Bare::new(server_config().retry(RetryPolicy::Always));
    let new = |number| Hello::new(server_key().public(), number);
    let retry = server.hear(address(1, 9), &new(1).datagrams[..1]).remove(0);
    let other = server.hear(address(1, 9), &new(2).datagrams[..1]).remove(0);
    let opened = |hello: Hello, retry: &[u8]| {
        let mut retry = retry.to_vec();
        let (ty, scid, token) = hello.open(&mut retry).expect("for this client");
        assert_eq!(ty, LongType::Retry);
        (scid, token.to_vec())
    };
    let (scid, token) = opened(new(1), &retry);
    let (other_scid, other_token) = opened(new(2), &other);
    let mut forgeries = vec![(other_scid, token.clone()), (scid, other_token), (new(1).dcid, token.clone())];
    for at in 0..token.len() {
        let mut changed = token.clone();
        changed[at] ^= 1;
        forgeries.push((scid, changed));
    }
    for (dcid, token) in forgeries {
        let flight = new(1).again(new(1).dcid, dcid, &token).datagrams;
        assert!(server.hear(address(1, 9), &flight).len() <= 1, "a RETRY at most");
        assert_eq!((server.started(), server.endpoint.pending_clients()), (0, 0));
    }
    let flight = new(1).again(new(1).dcid, scid, &token).datagrams;
    assert_eq!((server.hear(address(1, 9), &flight).len(), server.started()), (2, 1), "it is a good one");
}

/// ngtcp2 #1585: hellos of several datagrams, of which copies arrive over the whole first second, so that the server
/// asks twice. The client follows the first, and the second does not lead it astray.
#[test]
fn a_retry_for_each_datagram() {
    for late in (0..1100).step_by(50) {
        let mut pair = Pair::with(1, link(), server_config().retry(RetryPolicy::Always), Config::builder());
        // The server's clock of tokens steps on each full second.
        pair.sim.run_for(MS * 500);
        let (client, server) = (pair.client, pair.server);
        let began = pair.sim.now();
        let (first, tokens) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(BTreeSet::new())));
        let (copies, seen) = (first.clone(), tokens.clone());
        pair.sim.tap(move |passing, bytes| {
            if passing.from == client
                && let Ok(header) = decode_long(bytes, Side::Client)
            {
                seen.borrow_mut().insert((header.dcid.as_slice().to_vec(), header.token.to_vec()));
                if passing.number < 3 {
                    copies.borrow_mut().push(bytes.clone());
                    // Only a copy of it arrives.
                    return if late == 0 || passing.number > 0 { Tapped::Pass } else { Tapped::Drop };
                }
            }
            Tapped::Pass
        });
        let conn = pair.connect(&pinned());
        pair.sim.run_for(MS);
        let source = pair.sim.address(client);
        for delay in [late, late + 5, late + 300, late + 600] {
            for datagram in first.borrow().iter() {
                pair.sim.inject(source, server, MS * delay, datagram.clone());
            }
        }
        let at = connected(&mut pair, conn, &format!("{late} ms"));
        assert!(at <= began + SECOND * 2, "{late} ms: {at:?}");
        pair.sim.untap();
        let stats = *pair.sim.endpoint(server).stats();
        assert_eq!(stats.handshakes_started, 1, "{late} ms");
        assert!(tokens.borrow().len() <= 3, "{late} ms: {} hellos", tokens.borrow().len());
        pair.assert_usable(conn);
    }
}

/// msquic #4905: the client's id changes from one hello to the next, and within one.
#[test]
fn another_client_id_after_a_retry() {
    let mut server = Bare::new(server_config().retry(RetryPolicy::Always));
    let cid = |byte| Cid::new(&[byte; 8]).expect("eight bytes");
    let from = address(1, 9);
    let retry = server.hear(from, &Hello::new(server_key().public(), 1).datagrams[..1]).remove(0);
    let second = |scid: Option<Cid>| {
        let mut hello = Hello::new(server_key().public(), 1);
        let old = hello.scid;
        hello.scid = scid.unwrap_or(old);
        retried(hello, &retry)
    };
    // What belongs to two ids is not put together.
    let mixed = [&second(Some(cid(1))).datagrams[..1], &second(Some(cid(2))).datagrams[1..]].concat();
    assert!(server.hear(from, &mixed).is_empty());
    assert_eq!((server.started(), server.endpoint.stats().dropped(DropReason::Fragment)), (0, 2));
    // The rest of the first completes it: the token speaks for the address, whatever the id.
    let mut hello = second(Some(cid(1)));
    let answer = server.hear(from, &hello.datagrams[1..]);
    assert_eq!((answer.len(), server.started(), server.endpoint.connections()), (2, 1, 1));
    let (ty, _, _) = hello.open(&mut answer[0].clone()).expect("for this client");
    assert_eq!((ty, decode_long(&answer[0], Side::Server).expect("long").dcid), (LongType::ServerInit, cid(1)));
    // A third id under the same token is no new attempt.
    hello = second(None);
    server.now += MS * 100;
    let repeated = server.hear(from, &hello.datagrams);
    assert_eq!((server.started(), server.endpoint.connections()), (1, 1));
    assert!(repeated.iter().all(|datagram| answer.contains(datagram)), "at most the first answer again");
}

/// Strangers who send the pieces of a hello as late as they can, and never the last: they take places that are theirs to
/// take, and somebody who hurries gets in.
#[test]
fn slow_strangers() {
    let mut scene = Scene::new();
    let bounds = jsp_proto::config::bounds::Bounds::default();
    let flights: Vec<_> = (0..16).map(|number| Hello::new(server_key().public(), number).datagrams).collect();
    let mut most = 0;
    for round in 0..200u32 {
        for number in 0..10u32 {
            let source = SocketAddr::from(([203, number as u8, round as u8, 1], 9));
            let flight = &flights[(round + number) as usize % flights.len()];
            scene.sim.inject(source, scene.server, MS, flight[0].clone());
            scene.sim.inject(source, scene.server, MS * 4_900, flight[1].clone());
        }
        if round % 50 == 49 {
            let (client, server) = (scene.client, scene.server);
            let ends = scene.sim.establish(client, server, &pinned(), SECOND).expect("an attempt");
            scene.sim.conn(client, ends.expect("in time").0).expect("open").discard();
            scene.assert_alive();
        }
        scene.run(MS * 100);
        most = most.max(scene.sim.endpoint(scene.server).pending_clients());
    }
    assert!((200..=bounds.tokenless_handshakes + 1).contains(&most), "{most} under way");
    assert_eq!(scene.sim.endpoint(scene.server).stats().handshakes_started, 2 + 4);
    scene.run(SECOND * 11);
    assert_eq!(scene.sim.endpoint(scene.server).pending_clients(), 0);
    scene.assert_alive();
}

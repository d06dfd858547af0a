//! Attacks by way of paths and connection ids (specification sections 3.7 and 6.5).

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use jsp_conformance::sim::apps::{BulkReceiver, BulkSender};
use jsp_conformance::sim::{Link, NodeId, Sim, Tapped};
use jsp_proto::config::bounds as table;
use jsp_proto::internals::wire::Frame;
use jsp_proto::internals::wire::frame::NewCid;
use jsp_proto::internals::wire::header::Cid;
use jsp_proto::{ConnId, DropReason, Event, TransportError};

use crate::support::scene::{ONE_WAY, Scene};
use crate::support::{MS, Pair, SECOND, bounds, pinned, server_config};

fn victim(number: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, number], 9000))
}

/// Counts what a host sends to one address.
fn watch(sim: &mut Sim, from: NodeId, to: NodeId) -> Rc<RefCell<(u64, u64)>> {
    let seen = Rc::new(RefCell::new((0, 0)));
    let log = seen.clone();
    sim.tap(move |passing, bytes| {
        if passing.from == from && passing.to == to {
            let mut log = log.borrow_mut();
            *log = (log.0 + 1, log.1 + bytes.len() as u64);
        }
        Tapped::Pass
    });
    seen
}

fn new_cid(seq: u64, retire_prior_to: u64) -> Frame<'static> {
    let cid = Cid::new(&[seq as u8 | 0x80; 8]).expect("eight bytes");
    Frame::NewCid(NewCid { seq, retire_prior_to, cid, reset_token: [seq as u8; 16] })
}

/// A peer pretends to have moved to somebody else's address, so that the server floods him: he gets three times what
/// came from there, and no more however long it goes on.
#[test]
fn migration_amplification() {
    let mut scene = Scene::new();
    let third = scene.sim.add_host(jsp_conformance::sim::Host::raw().address(victim(1)));
    // The server has much to send on this connection.
    let stream = scene.sim.conn(scene.server, scene.victim).expect("alive").open(jsp_proto::StreamOptions::bytes());
    let stream = stream.expect("a stream");
    scene.sim.conn(scene.server, scene.victim).expect("alive").send(stream, &[7; 200_000]).expect("room");
    let seen = watch(&mut scene.sim, scene.server, third);
    let mut spoofed = 0;
    for _ in 0..20 {
        let packet = scene.peer.seal(&[1; 30]);
        spoofed += packet.len() as u64;
        scene.sim.inject(victim(1), scene.server, ONE_WAY, packet);
        scene.sim.run_for(MS * 500);
    }
    let (datagrams, bytes) = *seen.borrow();
    assert!(datagrams > 0, "the server did follow");
    assert!(bytes <= 3 * spoofed, "{bytes} bytes for {spoofed}");
    scene.sim.untap();
    scene.assert_honest_unharmed();
}

/// Somebody who sees the packets and is faster than the network forwards them from his own address. The server asks the
/// old path as well, the client answers, and the connection stays with it.
#[test]
fn off_path_migration_race() {
    let mut pair = Pair::new(1, Link::with_delay(ONE_WAY * 2).rate(20_000_000).queue(100_000));
    let (up, down) = pair.establish(&pinned());
    let (client, server) = (pair.client, pair.server);
    let _attacker = pair.sim.add_host(jsp_conformance::sim::Host::raw().address(victim(1)));
    let copies = Rc::new(RefCell::new(Vec::new()));
    let log = copies.clone();
    pair.sim.tap(move |passing, bytes| {
        if passing.from == client {
            log.borrow_mut().push(bytes.clone());
        }
        Tapped::Pass
    });
    let mut sender = BulkSender::new(server, down, 5, 4 << 20);
    let mut receiver = BulkReceiver::new(client, 5, 4 << 20);
    let began = pair.sim.now();
    pair.sim.run(Duration::ZERO, &mut [&mut sender, &mut receiver]);
    let mut forwarded = 0;
    while !pair.sim.resume(MS, &mut [&mut sender, &mut receiver]) {
        for copy in copies.take() {
            forwarded += 1;
            pair.sim.inject(victim(1), server, Duration::ZERO, copy);
        }
        assert!(pair.sim.now().saturating_since(began) < SECOND * 60, "the transfer starves");
    }
    pair.sim.untap();
    let stats = pair.sim.conn(server, down).expect("alive").stats();
    assert!(forwarded > 100 && stats.path_changes > 2, "{forwarded} forwarded, {} changes", stats.path_changes);
    assert!(stats.path_switches_refused > 0, "the changes are bounded");
    let took = pair.sim.now().saturating_since(began);
    let most = u64::from(table::PATH_SWITCH_BURST) + 1 + took.as_secs() * u64::from(table::PATH_SWITCHES_PER_SECOND);
    assert!(stats.path_changes <= 2 * most, "{} changes in {took:?}", stats.path_changes);
    pair.sim.run_for(SECOND);
    pair.assert_usable(up);
    let address = pair.sim.address(client);
    assert_eq!(pair.sim.conn(server, down).expect("alive").path().expect("a path").remote, address);
}

/// Addresses at which nobody should be made to receive anything (request forgery by migration).
#[test]
fn request_forgery_targets() {
    let mut scene = Scene::new();
    let targets = ["224.0.0.1:5", "255.255.255.255:9", "10.9.9.9:0", "0.0.0.0:9", "10.9.9.9:53", "10.9.9.9:11211"];
    for (number, target) in (1..).zip(targets) {
        let packet = scene.peer.seal(&[1; 30]);
        scene.sim.inject(target.parse().expect("an address"), scene.server, ONE_WAY, packet);
        scene.sim.run_for(MS * 50);
        assert_eq!(scene.dropped(DropReason::Address), number, "{target}");
    }
    assert_eq!(scene.sim.unroutable(), 0, "nothing was sent there");
    scene.assert_alive();
}

/// A peer that asks again and again whether a path works (CVE-2023-49295).
#[test]
fn path_challenge_flood() {
    let mut scene = Scene::new();
    for round in 0..1000u64 {
        let frames: Vec<_> = (0..20).map(|n| Frame::PathChallenge((round * 20 + n).to_be_bytes())).collect();
        scene.send(&frames);
    }
    scene.run(SECOND);
    let answers = scene.peer.frames().iter().filter(|frame| matches!(frame, Frame::PathResponse(_))).count();
    let most = 2 * table::PATH_RESPONSES_PER_SECOND as usize;
    assert!((1..=most).contains(&answers), "{answers} answers");
    scene.assert_alive();
}

/// A path that carries short datagrams and no full ones: the server goes back when its long question has no answer.
#[test]
fn a_path_for_short_datagrams_only() {
    let mut scene = Scene::new();
    let there = victim(1);
    let third = scene.sim.add_host(jsp_conformance::sim::Host::raw().address(there));
    let questions = Rc::new(RefCell::new(Vec::new()));
    let log = questions.clone();
    let server = scene.server;
    scene.sim.tap(move |passing, bytes| {
        if passing.from == server && passing.to == third {
            log.borrow_mut().push(bytes.to_vec());
        }
        Tapped::Pass
    });
    let packet = scene.peer.seal(&[1; 30]);
    scene.sim.inject(there, server, ONE_WAY, packet);
    scene.sim.run_for(MS * 50);
    let path = |scene: &mut Scene| scene.sim.conn(server, scene.victim).expect("alive").path().expect("a path").remote;
    assert_eq!(path(&mut scene), there);
    // The first question is short, because little came from there; it is answered from there. The next is not.
    let first = questions.borrow().first().cloned().expect("a question");
    assert!(first.len() < 400, "{} bytes", first.len());
    scene.peer.on_datagram(first);
    let asked = scene.peer.frames().iter().rev().find_map(|frame| match frame {
        Frame::PathChallenge(data) => Some(*data),
        _ => None,
    });
    let answer = scene.peer.seal(&jsp_conformance::peer::encode(&[Frame::PathResponse(asked.expect("a question"))]));
    scene.sim.inject(there, server, ONE_WAY, answer);
    scene.sim.run_for(SECOND * 5);
    assert!(questions.borrow().iter().any(|bytes| bytes.len() == 1200));
    assert_ne!(path(&mut scene), there, "it stays where nothing of full size arrives");
    scene.assert_alive();
}

/// Questions from ever other addresses.
#[test]
fn path_challenges_from_everywhere() {
    let mut scene = Scene::new();
    for number in 0..200 {
        let packet = scene.peer.seal(&jsp_conformance::peer::encode(&[Frame::PathChallenge([number; 8])]));
        scene.sim.inject(victim(number), scene.server, ONE_WAY, packet);
    }
    scene.run(SECOND);
    assert!(scene.sim.unroutable() <= 16, "{} answers", scene.sim.unroutable());
    assert_eq!(scene.sim.conn(scene.server, scene.victim).expect("alive").stats().path_changes, 0);
    scene.assert_alive();
}

/// A peer moves on and on; the server follows as often as its bounds allow, for itself and for the endpoint.
#[test]
fn restless_peer() {
    let config = server_config().bounds(bounds(|bounds| bounds.path_switches_per_second = 5));
    for (mut scene, most) in [(Scene::new(), 8 + 2), (Scene::with(config), 5 + 5)] {
        for number in 0..100 {
            let packet = scene.peer.seal(&[1; 30]);
            scene.sim.inject(victim(number), scene.server, ONE_WAY, packet);
            scene.sim.run_for(MS * 10);
        }
        let stats = scene.sim.conn(scene.server, scene.victim).expect("alive").stats();
        assert!((2..=most).contains(&stats.path_changes), "{} changes", stats.path_changes);
        assert!(stats.path_switches_refused >= 80, "{} refused", stats.path_switches_refused);
        assert_eq!(stats.datagrams_dropped, 0, "its packets count all the same");
        scene.assert_honest_unharmed();
    }
}

/// NEW_CID frames that make the victim give up ids, from a peer that acknowledges none of it (CVE-2024-22189).
#[test]
fn connection_id_flood() {
    let mut scene = Scene::new();
    for seq in 1..200 {
        scene.send(&[new_cid(seq, seq)]);
    }
    scene.run(MS * 100);
    scene.assert_closed(TransportError::CID_LIMIT);
}

#[test]
fn more_connection_ids_than_are_kept() {
    let mut scene = Scene::new();
    let ids: Vec<_> = (1..=table::ACTIVE_CIDS as u64).map(|seq| new_cid(seq, 0)).collect();
    scene.send(&ids);
    scene.run(MS * 100);
    scene.assert_closed(TransportError::CID_LIMIT);
}

/// A peer that gives up every id at once gets others at the bounded rate, and never the last one away.
#[test]
fn connection_id_exhaustion() {
    let mut scene = Scene::new();
    let issued = |scene: &Scene| {
        let frames = scene.peer.frames();
        frames.iter().filter_map(|frame| if let Frame::NewCid(new) = frame { Some(new.seq) } else { None }).max()
    };
    for _ in 0..400 {
        let highest = issued(&scene).expect("the server gives spare ids");
        let frames: Vec<_> = (1..=highest).map(|seq| Frame::RetireCid { seq }).collect();
        scene.send(&frames);
        scene.run(MS * 25);
    }
    let given = issued(&scene).expect("some");
    let most = u64::from(table::NEW_CID_BURST) + 1 + 11 * u64::from(table::NEW_CIDS_PER_SECOND);
    assert!((u64::from(table::NEW_CID_BURST)..=most).contains(&given), "{given} ids in ten seconds");
    scene.assert_alive();
    // The id in use cannot be given up by a packet that is addressed to it.
    scene.send(&[Frame::RetireCid { seq: 0 }]);
    scene.run(MS * 100);
    scene.assert_closed(TransportError::PROTOCOL_VIOLATION);
}

#[test]
fn an_id_that_was_never_given_is_retired() {
    let mut scene = Scene::new();
    scene.send(&[Frame::RetireCid { seq: 1000 }]);
    scene.run(MS * 100);
    scene.assert_closed(TransportError::PROTOCOL_VIOLATION);
}

/// A client takes packets from nobody but its server's address.
#[test]
fn a_server_that_seems_to_move() {
    let mut pair = Pair::new(1, Link::with_delay(ONE_WAY));
    let (up, down): (ConnId, ConnId) = pair.establish(&pinned());
    pair.sim.run_for(SECOND);
    let (client, server) = (pair.client, pair.server);
    let old = pair.sim.address(server);
    pair.sim.rebind(server, victim(3));
    pair.sim.conn(server, down).expect("alive").open(jsp_proto::StreamOptions::bytes()).expect("a stream");
    let heard = pair
        .sim
        .run_until(SECOND, |_, happening| matches!(happening.event_of(client, up), Some(Event::StreamOpened(_))));
    assert!(heard.is_none());
    assert!(pair.sim.endpoint(client).stats().dropped(DropReason::Address) > 0);
    pair.sim.rebind(server, old);
    pair.assert_usable(up);
}

/// Packets that come late and by a detour do not lead back to where the peer was before.
#[test]
fn old_packets_do_not_lead_back() {
    let mut scene = Scene::new();
    let old = scene.peer.seal(&[1; 30]);
    let new = scene.peer.seal(&[1; 30]);
    scene.sim.inject(victim(1), scene.server, ONE_WAY, new);
    scene.sim.inject(victim(2), scene.server, ONE_WAY * 2, old);
    scene.sim.run_for(ONE_WAY * 3);
    let conn = scene.sim.conn(scene.server, scene.victim).expect("alive");
    assert_eq!((conn.stats().path_changes, conn.path().map(|path| path.remote)), (1, Some(victim(1))));
}

//! The bounds of error correction that a peer can press against: rows 38 and 39 of the table in specification section 7,
//! and row 23 as far as it concerns them. Row 39 is in `repair.rs`, the bounds on one connection's blocks and symbols in
//! `fec::recv`.

mod support;

use jsp_conformance::peer::{Hello, encode};
use jsp_conformance::sim::{Host, Link};
use jsp_proto::internals::wire::Frame;
use jsp_proto::internals::wire::frame::Parity;
use jsp_proto::{ConnId, Event, FecStats};
use support::coded::Block;
use support::hostile::Hostile;
use support::scene::{ONE_WAY, Scene};
use support::{MS, SECOND, bounds, server_config, server_key};

fn padding(len: usize) -> Vec<u8> {
    encode(&[Frame::Ping, Frame::Padding { len }])
}

fn fec(scene: &mut Scene, conn: ConnId) -> FecStats {
    scene.sim.conn(scene.server, conn).expect("open").stats().fec
}

fn memory(scene: &mut Scene) -> u64 {
    scene.sim.conn(scene.server, scene.victim).expect("open").stats().receive_memory
}

/// Another hostile peer of the server.
fn another(scene: &mut Scene, number: u64) -> (Hostile, ConnId) {
    let raw = scene.sim.add_host(Host::raw());
    scene.sim.link(raw, scene.server, Link::with_delay(ONE_WAY));
    let hello = Hello::new(server_key().public(), number);
    let mut peer = Hostile::connect_with(&mut scene.sim, raw, scene.server, &hello);
    peer.send(&mut scene.sim, &[Frame::Ping]);
    let server = scene.server;
    let event =
        scene.sim.run_until(SECOND, |_, happening| matches!(happening.event_at(server), Some((_, Event::Connected))));
    let (conn, _) = event.and_then(|happening| happening.event_at(server)).expect("connected");
    (peer, conn)
}

/// A block of one packet that is lost, and a parity of class 2: a repair that takes a decode.
fn ask_for_a_decode(scene: &mut Scene, peer: &mut Hostile) {
    let block = Block::seal(peer, vec![padding(100)]);
    block.send_parity(peer, &mut scene.sim, 2, [0]);
}

fn decodes(scene: &mut Scene, count: usize) {
    for _ in 0..count {
        let block = Block::seal(&mut scene.peer, vec![padding(100)]);
        block.send_parity(&mut scene.peer, &mut scene.sim, 2, [0]);
        scene.run(MS / 10);
    }
}

#[test]
fn row_38_decodes_of_a_connection_are_bounded() {
    let mut scene = Scene::new();
    let victim = scene.victim;
    decodes(&mut scene, 100);
    scene.run(MS * 11);
    let stats = fec(&mut scene, victim);
    // 20 at once, and one each 5 ms of the 10 in which they came.
    assert!((20..=23).contains(&stats.repaired), "{stats:?}");
    assert_eq!(stats.repaired + stats.repairs_refused, 100);
    assert_eq!(stats.parity_unused, stats.repairs_refused);
    scene.run(SECOND);
    decodes(&mut scene, 20);
    scene.run(MS * 15);
    assert_eq!(fec(&mut scene, victim).repaired, stats.repaired + 20);
    scene.assert_alive();
}

#[test]
fn row_38_decodes_of_all_connections_are_bounded_and_dealt_in_turn() {
    let limits = bounds(|bounds| (bounds.decodes_per_second, bounds.decode_burst) = (10, 4));
    let mut scene = Scene::with(server_config().bounds(limits));
    let (mut other, second) = another(&mut scene, 77);
    let first = scene.victim;
    // One asks for eight, then the other for two.
    for _ in 0..8 {
        let block = Block::seal(&mut scene.peer, vec![padding(100)]);
        block.send_parity(&mut scene.peer, &mut scene.sim, 2, [0]);
    }
    scene.run(MS * 11);
    assert_eq!(fec(&mut scene, first).repaired, 4, "what is allowed at once");
    ask_for_a_decode(&mut scene, &mut other);
    ask_for_a_decode(&mut scene, &mut other);
    scene.run(MS * 11);
    assert_eq!((fec(&mut scene, first).repaired, fec(&mut scene, second).repaired), (4, 0));
    // From now on one in 100 ms, without any packet that would wake the endpoint.
    scene.run(MS * 190);
    assert_eq!((fec(&mut scene, first).repaired, fec(&mut scene, second).repaired), (5, 1));
    scene.run(MS * 200);
    assert_eq!((fec(&mut scene, first).repaired, fec(&mut scene, second).repaired), (6, 2));
    scene.run(MS * 200);
    assert_eq!(fec(&mut scene, first).repaired, 8);
    assert_eq!(fec(&mut scene, first).repairs_refused, 0);
    // What waits for more than a second is left to the peer.
    scene.run(SECOND);
    for _ in 0..8 {
        let block = Block::seal(&mut scene.peer, vec![padding(100)]);
        block.send_parity(&mut scene.peer, &mut scene.sim, 2, [0]);
    }
    for _ in 0..8 {
        ask_for_a_decode(&mut scene, &mut other);
    }
    scene.run(SECOND * 2);
    let (first, second) = (fec(&mut scene, first), fec(&mut scene, second));
    assert_eq!(first.repaired + first.repairs_refused + second.repaired + second.repairs_refused, 8 + 2 + 16);
    // The first one's other four and the second one's eight take turns at ten.
    assert_eq!(first.repairs_refused, 0);
    assert!((2..=3).contains(&second.repairs_refused), "{second:?}");
    scene.assert_alive();
}

#[test]
fn row_38_half_blocks_cost_bounded_memory_that_is_given_back() {
    const SYMBOLS: usize = 128;
    const LEN: usize = 1200;
    let mut scene = Scene::new();
    let victim = scene.victim;
    let symbol = vec![0x55; LEN];
    let mut worst = 0;
    for round in 0..2000u64 {
        // Packets that never come, and now and then one that does.
        scene.peer.next_pn += 3;
        let pn = scene.peer.next_pn;
        let index = (round % 32) as u8;
        let parity = Parity { back: 3, span: 3, mask: 7, index, class: 32, planned: 32, symbol: &symbol };
        assert!(parity.first(pn).is_some());
        scene.send(&[Frame::Parity(parity)]);
        let packet = scene.peer.seal_protected(&padding(LEN - 10));
        scene.peer.send_raw(&mut scene.sim, &[packet]);
        scene.run(MS / 10);
        worst = worst.max(memory(&mut scene));
    }
    let most = (2 * SYMBOLS * (LEN + 64) + 16 * 1024) as u64;
    assert!(worst > 100_000 && worst <= most, "{worst} of {most}");
    let stats = fec(&mut scene, victim);
    assert!(stats.parity_received >= 1900 && stats.parity_unused + 8 >= stats.parity_received, "{stats:?}");
    assert_eq!((stats.repaired, stats.malformed, stats.repairs_refused), (0, 0, 0));
    scene.run(MS * 2200);
    assert_eq!(memory(&mut scene), 0);
    assert_eq!(fec(&mut scene, victim).parity_unused, fec(&mut scene, victim).parity_received);
    scene.assert_alive();
}

#[test]
fn row_23_nothing_is_kept_for_repairs_when_memory_is_short() {
    const MEMORY: u64 = 60_000;
    let limits = bounds(|bounds| bounds.receive_memory = MEMORY);
    let mut scene = Scene::with(server_config().bounds(limits));
    let mut worst = 0;
    for _ in 0..200 {
        let packet = scene.peer.seal_protected(&padding(1150));
        scene.peer.send_raw(&mut scene.sim, &[packet]);
        scene.run(MS / 10);
        worst = worst.max(memory(&mut scene));
    }
    scene.run(MS * 20);
    assert!((MEMORY * 7 / 10..MEMORY * 9 / 10).contains(&worst), "{worst}");
    scene.assert_alive();
    scene.run(SECOND * 3);
    assert_eq!(memory(&mut scene), 0);
    // And then again.
    let victim = scene.victim;
    let block = Block::seal(&mut scene.peer, vec![padding(100), padding(90)]);
    block.send_without(&scene.peer, &mut scene.sim, &[0]);
    block.send_parity(&mut scene.peer, &mut scene.sim, 1, [0]);
    scene.run(MS * 30);
    assert_eq!(fec(&mut scene, victim).repaired, 1);
    scene.assert_alive();
}

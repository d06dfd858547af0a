//! Keys change while data flows, and what a peer or somebody on the path can make of that (specification sections 3.6,
//! 5.1 and 13.23; row 37 of section 7).

mod support;

use jsp_conformance::peer::encode;
use jsp_conformance::sim::apps::{BulkReceiver, BulkSender};
use jsp_conformance::sim::{App, Link, NodeId, Sim, Tapped, seeds};
use jsp_proto::internals::wire::frame::Msg;
use jsp_proto::internals::wire::{Ack, AckRanges, Frame, StreamId, StreamKind};
use jsp_proto::{
    Config, ConnId, ConnStats, DropReason, Fec, KeyUpdateError, RecvMessage, Side, StreamOptions, TransportError,
};
use support::coded::Block;
use support::scene::Scene;
use support::{MS, Pair, SECOND, pinned, server_config};

const MIB: u64 = 1 << 20;

/// Both sides want new keys every 64 packets, and get them about every three seconds.
fn eager(seed: u64, link: Link) -> Pair {
    let client = Config::builder().key_update_packets(64);
    Pair::with(seed, link, server_config().key_update_packets(64), client)
}

fn stats(sim: &mut Sim, node: NodeId, conn: ConnId) -> ConnStats {
    sim.conn(node, conn).expect("the connection").stats()
}

/// Packets that failed to open at either end.
fn unopened(pair: &mut Pair) -> u64 {
    [pair.client, pair.server]
        .map(|node| {
            let stats = pair.sim.endpoint(node).stats();
            stats.dropped(DropReason::KeyPhase) + stats.dropped(DropReason::Aead)
        })
        .iter()
        .sum()
}

#[test]
fn data_flows_both_ways_through_updates_of_both_sides() {
    seeds("data_flows_both_ways_through_updates_of_both_sides", 0..8, |seed| {
        let link = Link::with_delay(MS * 10).rate(2_000_000).queue(30_000);
        let mut pair = eager(seed, link.loss(0.05).jitter(MS * 5).reorder(0.1, MS * 20).duplicate(0.01));
        let (client, server) = pair.establish(&pinned());
        let began = pair.sim.now();
        let mut apps: [Box<dyn App>; 4] = [
            Box::new(BulkSender::new(pair.client, client, seed, 4 * MIB)),
            Box::new(BulkSender::new(pair.server, server, seed + 100, 4 * MIB)),
            Box::new(BulkReceiver::new(pair.client, seed + 100, 4 * MIB)),
            Box::new(BulkReceiver::new(pair.server, seed, 4 * MIB)),
        ];
        let [a, b, c, d] = &mut apps;
        assert!(pair.sim.run(SECOND * 600, &mut [&mut **a, &mut **b, &mut **c, &mut **d]));
        let took = (pair.sim.now() - began).as_secs();
        for (node, conn) in [(pair.client, client), (pair.server, server)] {
            let updates = stats(&mut pair.sim, node, conn).key_updates;
            // Three seconds, a round trip, and the losses of the packets that matter.
            assert!(updates >= took / 4 && updates <= 1 + took / 3, "{updates} updates in {took} s");
            assert!(updates >= 4);
        }
        assert_eq!(unopened(&mut pair), 0, "keys were there for every packet");
    });
}

#[test]
fn data_flows_one_way_through_updates() {
    seeds("data_flows_one_way_through_updates", 0..8, |seed| {
        let link = Link::with_delay(MS * 30).rate(2_000_000).queue(30_000).loss(0.05).reorder(0.2, MS * 20);
        let mut pair = eager(seed, link);
        let (client, server) = pair.establish(&pinned());
        let mut sender = BulkSender::new(pair.client, client, seed, 3 * MIB);
        let mut receiver = BulkReceiver::new(pair.server, seed, 3 * MIB);
        assert!(pair.sim.run(SECOND * 600, &mut [&mut sender, &mut receiver]));
        let [a, b] = [(pair.client, client), (pair.server, server)].map(|(node, conn)| {
            let stats = stats(&mut pair.sim, node, conn);
            assert!(stats.key_phase - stats.key_updates <= 1, "{stats:?}");
            stats.key_updates
        });
        assert!(a >= 3 && a.abs_diff(b) <= 1, "{a} and {b} updates");
        assert_eq!(unopened(&mut pair), 0);
    });
}

#[test]
fn repairs_go_on_through_updates() {
    seeds("repairs_go_on_through_updates", 0..4, |seed| {
        let mut pair = eager(seed, Link::with_delay(MS * 30).rate(2_000_000).queue(30_000).loss(0.05));
        let (client, server) = pair.establish(&pinned());
        let options = StreamOptions::bytes().fec(Fec::On { sources: 10, parity: 3 });
        let mut sender = BulkSender::new(pair.client, client, seed, 2 * MIB).options(options);
        let mut receiver = BulkReceiver::new(pair.server, seed, 2 * MIB);
        assert!(pair.sim.run(SECOND * 600, &mut [&mut sender, &mut receiver]));
        let stats = stats(&mut pair.sim, pair.server, server);
        assert!(stats.key_updates >= 3 && stats.fec.repaired > 30 && stats.fec.malformed == 0, "{stats:?}");
        assert_eq!(unopened(&mut pair), 0);
    });
}

#[test]
fn a_program_may_ask_for_new_keys() {
    let mut pair = Pair::new(1, Link::with_delay(MS * 10));
    let (client, server) = pair.connect_for_updates();
    let update = |pair: &mut Pair| pair.sim.conn(pair.client, client).expect("open").update_keys();
    assert_eq!(update(&mut pair), Ok(()));
    assert_eq!(update(&mut pair), Err(KeyUpdateError::Pending));
    let phases = |pair: &mut Pair| {
        [(pair.client, client), (pair.server, server)].map(|(node, conn)| {
            let stats = stats(&mut pair.sim, node, conn);
            (stats.key_phase, stats.key_updates)
        })
    };
    pair.sim.run_for(MS * 5);
    assert_eq!(phases(&mut pair), [(1, 0), (0, 0)]);
    pair.sim.run_for(MS * 100);
    assert_eq!(phases(&mut pair), [(1, 1), (1, 1)]);
    assert_eq!(update(&mut pair), Err(KeyUpdateError::Pending));
    pair.sim.run_for(SECOND * 3);
    let conn = pair.sim.conn(pair.server, server);
    assert_eq!(conn.expect("open").update_keys(), Err(KeyUpdateError::Pending), "it has sent nothing since");
    assert_eq!(update(&mut pair), Ok(()));
    pair.sim.run_for(MS * 100);
    assert_eq!(phases(&mut pair), [(2, 2), (2, 2)]);
    pair.assert_usable(client);
    assert_eq!(unopened(&mut pair), 0);
    pair.sim.conn(pair.client, client).expect("open").abort(jsp_proto::AppCode::ZERO, b"");
    assert_eq!(update(&mut pair), Err(KeyUpdateError::Closed));
}

#[test]
fn no_update_before_the_handshake_is_confirmed() {
    let mut pair = Pair::new(1, Link::with_delay(MS * 10));
    let client = pair.connect(&pinned());
    for _ in 0..4 {
        let update = pair.sim.conn(pair.client, client).expect("an attempt").update_keys();
        assert_eq!(update, Err(KeyUpdateError::NotConfirmed));
        pair.sim.run_for(MS * 9);
    }
    pair.sim.run_for(MS * 100);
    assert_eq!(pair.sim.conn(pair.client, client).expect("open").update_keys(), Ok(()));
}

#[test]
fn a_silent_connection_is_not_woken_for_new_keys() {
    let config = || Config::builder().key_update_age(SECOND * 3);
    let server = server_config().key_update_age(SECOND * 3);
    let mut pair = Pair::with(1, Link::with_delay(MS * 10), server, config());
    let (client, _) = pair.connect_for_updates();
    let before = pair.sim.link_stats(pair.client, pair.server);
    pair.sim.run_for(SECOND * 20);
    assert_eq!(pair.sim.link_stats(pair.client, pair.server), before);
    assert_eq!(stats(&mut pair.sim, pair.client, client).key_phase, 0);
    pair.assert_usable(client);
    assert_eq!(stats(&mut pair.sim, pair.client, client).key_updates, 1);
}

#[test]
fn phase_bits_that_change_on_the_path_cost_their_packets_and_nothing_else() {
    let mut pair = Pair::new(1, Link::with_delay(MS * 10).rate(20_000_000).queue(100_000));
    let (client, _) = pair.connect_for_updates();
    pair.sim.tap(|passing, bytes| {
        // The mask of the header is a sum: what is flipped under it is flipped.
        if passing.number.is_multiple_of(10) && bytes[0] & 0x80 == 0 {
            bytes[0] ^= 0x04;
        }
        Tapped::Pass
    });
    let mut sender = BulkSender::new(pair.client, client, 1, MIB);
    let mut receiver = BulkReceiver::new(pair.server, 1, MIB);
    assert!(pair.sim.run(SECOND * 60, &mut [&mut sender, &mut receiver]));
    let dropped = pair.sim.endpoint(pair.server).stats().dropped(DropReason::KeyPhase);
    assert!(dropped > 50, "{dropped}");
    assert_eq!(stats(&mut pair.sim, pair.client, client).key_phase, 0);
}

impl Pair {
    /// Both sides are connected, and each has heard what it needs for a first update.
    fn connect_for_updates(&mut self) -> (ConnId, ConnId) {
        let ends = self.establish(&pinned());
        self.sim.run_for(SECOND);
        ends
    }
}

/// What the tests ask of the server's end of the hostile connection.
trait Phases {
    fn numbers(&mut self) -> ConnStats;
    fn send_raw(&mut self, packet: Vec<u8>);
    /// Acknowledges the latest packet of the server.
    fn acknowledge(&mut self);
}

impl Phases for Scene {
    fn numbers(&mut self) -> ConnStats {
        stats(&mut self.sim, self.server, self.victim)
    }

    fn send_raw(&mut self, packet: Vec<u8>) {
        self.peer.send_raw(&mut self.sim, &[packet]);
    }

    fn acknowledge(&mut self) {
        let latest = self.peer.packets.iter().map(|(pn, _)| *pn).max().expect("a packet");
        self.send(&[Frame::Ack(Ack { delay: 0, ranges: AckRanges::single(latest..=latest), ecn: None })]);
    }
}

/// The content of a packet that nobody acknowledges.
const SILENT: Frame<'_> = Frame::Padding { len: 20 };

#[test]
fn a_phase_bit_without_a_key_is_dropped() {
    let mut scene = Scene::new();
    let packet = scene.peer.seal_in_the_wrong_phase(&encode(&[Frame::Ping]));
    scene.send_raw(packet);
    scene.run(MS * 100);
    assert_eq!(scene.dropped(DropReason::KeyPhase), 1);
    assert_eq!((scene.numbers().key_phase, scene.peer.heard), (0, 0));
    // A key two phases ahead.
    scene.peer.update_keys();
    scene.peer.update_keys();
    scene.send(&[Frame::Ping]);
    scene.run(MS * 100);
    assert_eq!((scene.dropped(DropReason::KeyPhase), scene.dropped(DropReason::Aead)), (1, 1));
    assert_eq!((scene.numbers().key_phase, scene.reason()), (0, None));
    scene.assert_honest_unharmed();
}

#[test]
fn a_peer_that_is_answered_may_update_at_once() {
    let mut scene = Scene::new();
    for phase in 1..=20 {
        scene.peer.update_keys();
        let pn = scene.peer.next_pn;
        scene.send(&[Frame::Ping]);
        scene.run(MS * 50);
        assert!(scene.peer.is_acked(pn));
        assert_eq!((scene.numbers().key_updates, scene.peer.heard), (phase, phase as usize));
    }
    scene.assert_alive();
}

#[test]
fn two_updates_before_an_answer_close() {
    let mut scene = Scene::new();
    scene.peer.update_keys();
    scene.send(&[SILENT]);
    // Time alone is no answer.
    scene.run(SECOND * 5);
    assert_eq!((scene.numbers().key_updates, scene.reason()), (1, None));
    scene.peer.update_keys();
    scene.send(&[SILENT]);
    scene.run(MS * 20);
    scene.assert_closed(TransportError::KEY_UPDATE);
}

#[test]
fn the_second_of_two_updates_in_a_row_is_not_even_opened() {
    let mut scene = Scene::new();
    for _ in 0..2 {
        scene.peer.update_keys();
        scene.send(&[SILENT]);
    }
    scene.run(MS * 50);
    assert_eq!((scene.numbers().key_phase, scene.dropped(DropReason::KeyPhase)), (1, 1));
    assert_eq!(scene.reason(), None);
    scene.assert_honest_unharmed();
}

#[test]
fn late_packets_of_the_phase_before_are_welcome_for_a_while() {
    let mut scene = Scene::new();
    let [seen, late, too_late] = [0; 3].map(|_| (scene.peer.next_pn, scene.peer.seal(&encode(&[Frame::Ping]))));
    scene.send_raw(seen.1.clone());
    scene.peer.update_keys();
    scene.send(&[Frame::Ping]);
    scene.run(MS * 100);
    assert_eq!(scene.peer.heard, 1);
    scene.send_raw(late.1.clone());
    scene.run(MS * 100);
    assert!(scene.peer.is_acked(late.0) && scene.peer.heard == 1);
    let drops = |scene: &mut Scene| [DropReason::Duplicate, DropReason::KeyPhase].map(|why| scene.dropped(why));
    assert_eq!(drops(&mut scene), [0, 0]);
    scene.send_raw(seen.1.clone());
    scene.send_raw(late.1.clone());
    scene.run(MS * 20);
    assert_eq!(drops(&mut scene), [2, 0]);
    scene.run(SECOND);
    scene.send_raw(too_late.1);
    scene.send_raw(seen.1);
    scene.run(MS * 100);
    assert_eq!(drops(&mut scene), [2, 2]);
    assert!(!scene.peer.is_acked(too_late.0));
    assert_eq!(scene.numbers().key_updates, 1);
    scene.assert_alive();
}

#[test]
fn a_peer_that_does_not_follow_is_not_left_behind() {
    let mut scene = Scene::new();
    let update = |scene: &mut Scene| scene.sim.conn(scene.server, scene.victim).expect("open").update_keys();
    assert_eq!(update(&mut scene), Err(KeyUpdateError::NotConfirmed), "nothing is acknowledged");
    scene.acknowledge();
    scene.run(MS * 50);
    assert_eq!(update(&mut scene), Ok(()));
    scene.run(MS * 50);
    assert_eq!((scene.peer.heard, scene.numbers().key_phase, scene.numbers().key_updates), (1, 1, 0));
    // It acknowledges under its old key, again and again.
    for _ in 0..5 {
        scene.acknowledge();
        scene.send(&[Frame::Ping]);
        scene.run(SECOND);
        assert_eq!(update(&mut scene), Err(KeyUpdateError::Pending));
    }
    assert_eq!((scene.peer.heard, scene.numbers().key_updates), (1, 0));
    scene.assert_alive();
    scene.peer.update_keys();
    scene.acknowledge();
    scene.run(SECOND * 4);
    assert_eq!((scene.numbers().key_updates, update(&mut scene)), (1, Ok(())));
    scene.run(MS * 20);
    assert_eq!(scene.peer.heard, 2);
}

#[test]
fn parity_of_one_phase_repairs_packets_of_another() {
    let mut scene = Scene::new();
    let sid = StreamId::new(0, StreamKind::Unordered, true, Side::Client);
    let message = |number: u8| {
        let (data, offset) = ([number; 100], u64::from(number) * 100);
        encode(&[Frame::Msg(Msg { sid, offset, bom: true, eom: true, compressed: false, data: &data })])
    };
    let mut block = Block::seal(&mut scene.peer, (0..2).map(message).collect());
    scene.peer.update_keys();
    let rest = Block::seal(&mut scene.peer, (2..4).map(message).collect());
    block.pns.extend(rest.pns);
    block.payloads.extend(rest.payloads);
    block.packets.extend(rest.packets);
    block.send_without(&scene.peer, &mut scene.sim, &[1, 3]);
    scene.run(MS * 100);
    scene.peer.update_keys();
    block.send_parity(&mut scene.peer, &mut scene.sim, 2, 0..2);
    scene.run(MS * 100);
    let stats = scene.numbers();
    assert_eq!((stats.key_updates, stats.fec.repaired, stats.fec.malformed), (2, 2, 0));
    let (mut numbers, mut data) = (Vec::new(), Vec::new());
    let mut conn = scene.sim.conn(scene.server, scene.victim).expect("open");
    while let Ok(RecvMessage::Message(_)) = conn.recv_message(sid, &mut data) {
        assert_eq!(data.len(), 100);
        numbers.push(data[0]);
        data.clear();
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3]);
    scene.assert_alive();
}

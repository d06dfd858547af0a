//! Lost packets that a peer's parity repairs, and parity that lies (specification sections 5.5, 5.6, 13.17 to 13.21).

mod support;

use jsp_conformance::peer::encode;
use jsp_proto::internals::wire::frame::{Msg, Parity, Stream};
use jsp_proto::internals::wire::{Ack, AckRanges, Frame, StreamId, StreamKind};
use jsp_proto::{FecStats, RecvMessage, Side, TransportError};
use support::coded::{Block, symbols};
use support::scene::Scene;
use support::{MS, server_config};

const LEN: usize = 100;

fn stream() -> StreamId {
    StreamId::new(0, StreamKind::Unordered, true, Side::Client)
}

fn text(number: u8) -> Vec<u8> {
    vec![number; LEN - usize::from(number % 4)]
}

/// A message and more in the content of a packet.
fn message_and(number: u8, more: &[Frame<'_>]) -> Vec<u8> {
    let data = text(number);
    let offset = u64::from(number) * LEN as u64;
    let message = Frame::Msg(Msg { sid: stream(), offset, bom: true, eom: true, compressed: false, data: &data });
    let mut frames = vec![message];
    frames.extend_from_slice(more);
    encode(&frames)
}

fn message(number: u8) -> Vec<u8> {
    message_and(number, &[])
}

/// What the server counted and read.
trait Coded {
    fn fec(&mut self) -> FecStats;
    fn memory(&mut self) -> u64;
    /// The numbers of the messages that were delivered since the last time, in order.
    fn delivered(&mut self) -> Vec<u8>;
    fn block(&mut self, payloads: impl IntoIterator<Item = Vec<u8>>) -> Block;
    fn send_without(&mut self, block: &Block, lost: &[usize]);
    fn parity(&mut self, block: &Block, class: u8, indices: impl IntoIterator<Item = u8>);
    /// The packets that the peer was told are repaired, each time with the numbers that the same packet acknowledges.
    fn reports(&self) -> Vec<(Vec<u64>, Vec<u64>)>;
}

impl Coded for Scene {
    fn fec(&mut self) -> FecStats {
        self.sim.conn(self.server, self.victim).expect("open").stats().fec
    }

    fn memory(&mut self) -> u64 {
        self.sim.conn(self.server, self.victim).map_or(0, |conn| conn.stats().receive_memory)
    }

    fn delivered(&mut self) -> Vec<u8> {
        let mut numbers = Vec::new();
        let mut data = Vec::new();
        let mut conn = self.sim.conn(self.server, self.victim).expect("open");
        while let Ok(RecvMessage::Message(_)) = conn.recv_message(stream(), &mut data) {
            assert_eq!(data, text(data[0]));
            numbers.push(data[0]);
            data.clear();
        }
        numbers.sort_unstable();
        numbers
    }

    fn block(&mut self, payloads: impl IntoIterator<Item = Vec<u8>>) -> Block {
        Block::seal(&mut self.peer, payloads.into_iter().collect())
    }

    fn send_without(&mut self, block: &Block, lost: &[usize]) {
        block.send_without(&self.peer, &mut self.sim, lost);
    }

    fn parity(&mut self, block: &Block, class: u8, indices: impl IntoIterator<Item = u8>) {
        block.send_parity(&mut self.peer, &mut self.sim, class, indices);
    }

    fn reports(&self) -> Vec<(Vec<u64>, Vec<u64>)> {
        let mut reports = Vec::new();
        for (_, payload) in &self.peer.packets {
            let mut reader = jsp_proto::internals::wire::Reader::new(payload);
            let (mut acked, mut recovered) = (Vec::new(), None);
            while !reader.is_empty() {
                match Frame::decode(&mut reader).expect("sound") {
                    Frame::Ack(ack) => acked = ack.ranges.iter().flatten().collect(),
                    Frame::Recovered(ranges) => recovered = Some(ranges.iter().flatten().collect()),
                    _ => {}
                }
            }
            reports.extend(recovered.map(|recovered| (recovered, acked)));
        }
        reports
    }
}

#[test]
fn a_lost_packet_is_repaired_by_the_sum_of_its_block() {
    let mut scene = Scene::new();
    let block = scene.block((0..4).map(message));
    scene.send_without(&block, &[2]);
    scene.run(MS * 15);
    assert_eq!(scene.delivered(), [0, 1, 3]);
    scene.parity(&block, 1, [0]);
    scene.run(MS * 15);
    assert_eq!(scene.delivered(), [2]);
    let stats = scene.fec();
    assert_eq!((stats.sources_received, stats.parity_received, stats.parity_unused), (3, 1, 0));
    assert_eq!((stats.repaired, stats.repairs_refused, stats.malformed), (1, 0, 0));
    scene.assert_alive();
    assert!(!scene.peer.is_acked(block.pns[2]), "it has not arrived");
}

#[test]
fn several_lost_packets_are_repaired_by_the_code() {
    for class in [2, 4, 8, 16, 32] {
        let mut scene = Scene::new();
        let lost: Vec<usize> = (0..usize::from(class).min(9)).map(|place| place * 2).collect();
        let block = scene.block((0..18).map(message));
        scene.send_without(&block, &lost);
        // Any of the parities will do.
        scene.parity(&block, class, (class - lost.len() as u8..class).rev());
        scene.run(MS * 15);
        assert_eq!(scene.delivered(), Vec::from_iter(0..18), "class {class}");
        let stats = scene.fec();
        assert_eq!((stats.repaired, stats.parity_unused), (lost.len() as u64, 0), "class {class}");
        scene.run(MS * 15);
        let repaired: Vec<u64> = lost.iter().map(|&place| block.pns[place]).collect();
        let mut reported = scene.reports()[0].0.clone();
        reported.sort_unstable();
        assert_eq!(reported, repaired);
        scene.assert_alive();
    }
}

#[test]
fn repairs_are_reported_at_once_and_twice_again() {
    let mut scene = Scene::new();
    let block = scene.block((0..3).map(message));
    scene.send_without(&block, &[1]);
    scene.run(MS * 100);
    scene.peer.packets.clear();
    scene.parity(&block, 1, [0]);
    let parity = scene.peer.next_pn - 1;
    // Far less than the delay of an acknowledgement after a single packet.
    scene.run(MS * 21);
    let reports = scene.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].0, [block.pns[1]]);
    assert!(reports[0].1.contains(&parity) && !reports[0].1.contains(&block.pns[1]));
    for times in [2, 3, 3] {
        scene.send(&[Frame::Ping]);
        scene.send(&[Frame::Ping]);
        scene.run(MS * 30);
        assert_eq!(scene.reports().len(), times);
    }
    assert!(scene.reports().iter().all(|(recovered, _)| *recovered == [block.pns[1]]));
}

#[test]
fn a_late_original_is_acknowledged_and_delivers_nothing_twice() {
    let mut scene = Scene::new();
    let challenge = Frame::PathChallenge([9; 8]);
    let block = scene.block([message(0), message_and(1, &[challenge]), message(2)]);
    scene.send_without(&block, &[1]);
    scene.parity(&block, 1, [0]);
    scene.run(MS * 50);
    assert_eq!(scene.delivered(), [0, 1, 2]);
    let answered = |scene: &Scene| scene.peer.frames().contains(&Frame::PathResponse([9; 8]));
    assert!(!answered(&scene), "the path has not carried the question");
    let late = block.packets[1].clone();
    scene.peer.send_raw(&mut scene.sim, &[late.clone(), late]);
    scene.run(MS * 50);
    assert!(scene.delivered().is_empty());
    assert!(scene.peer.is_acked(block.pns[1]) && answered(&scene));
    assert_eq!((scene.fec().repaired, scene.fec().sources_received), (1, 3), "and the second copy is a duplicate");
    scene.assert_alive();
}

#[test]
fn frames_that_speak_of_their_packet_do_not_act_when_it_is_repaired() {
    let mut scene = Scene::new();
    let unsent = Frame::Ack(Ack { delay: 0, ranges: AckRanges::single(5000..=5000), ecn: None });
    let close = Frame::Close(jsp_proto::internals::wire::frame::Close { error: 1, frame_type: Some(0), reason: &[] });
    let inner = Frame::Parity(Parity { back: 1, span: 1, mask: 1, index: 0, class: 1, planned: 1, symbol: &[0, 0] });
    let rest = [unsent, Frame::Ping, Frame::PathChallenge([9; 8]), Frame::ImmediateAck, inner, close];
    let block = scene.block([message(0), message_and(1, &rest), message(2)]);
    scene.send_without(&block, &[1]);
    scene.parity(&block, 1, [0]);
    scene.run(MS * 50);
    assert_eq!((scene.delivered(), scene.fec().repaired), (vec![0, 1, 2], 1));
    assert_eq!(scene.fec().parity_received, 1);
    scene.assert_alive();
    // The original itself is another matter.
    scene.peer.send_raw(&mut scene.sim, &block.packets[1..2]);
    scene.run(MS * 20);
    scene.assert_closed(TransportError::PROTOCOL_VIOLATION);
}

#[test]
fn a_violation_in_a_repaired_packet_closes() {
    let config = || server_config().receive_window(128 << 10, 64 << 10).max_message_size(1000);
    let sid = StreamId::new(0, StreamKind::Bytes, true, Side::Client);
    let beyond = encode(&[Frame::Stream(Stream { sid, offset: 64 << 10, fin: false, data: b"x" })]);
    for class in [1, 2] {
        let mut scene = Scene::with(config());
        let block = scene.block([message(0), beyond.clone()]);
        scene.send_without(&block, &[1]);
        scene.parity(&block, class, [0]);
        scene.run(MS * 20);
        scene.assert_closed(TransportError::FLOW_CONTROL);
        assert!(scene.memory() < 1000, "the memory of repairs is given back");
    }
}

#[test]
fn parity_that_cannot_be_is_an_encoding_error() {
    let mut scene = Scene::new();
    // The decoder of frames finds all defects but this: a block that begins before the first packet.
    let back = scene.peer.next_pn + 1;
    scene.send(&[Frame::Parity(Parity { back, span: 1, mask: 1, index: 0, class: 1, planned: 1, symbol: &[0; 4] })]);
    scene.run(MS * 20);
    scene.assert_closed(TransportError::FRAME_ENCODING);
}

#[test]
fn after_three_senseless_repairs_nothing_is_repaired() {
    let mut scene = Scene::new();
    for number in 0..4 {
        let block = scene.block([message(number * 2), message(number * 2 + 1)]);
        scene.send_without(&block, &[1]);
        if number < 3 {
            // Two frames of a type that there is not, then no symbol at all.
            let mut symbol = block.symbols(1)[0].clone();
            match number {
                0 | 1 => symbol[2] ^= block.payloads[1][0] ^ 0x3f,
                _ => symbol[0] ^= 0xff,
            }
            let frame = block.parity(scene.peer.next_pn, 1, 0, &symbol);
            scene.send(&[frame]);
        } else {
            scene.parity(&block, 1, [0]);
        }
        scene.run(MS * 30);
        assert_eq!(scene.fec().malformed, u64::from(number + 1).min(3));
    }
    assert_eq!(scene.delivered(), [0, 2, 4, 6]);
    let stats = scene.fec();
    assert_eq!((stats.repaired, stats.sources_received, stats.parity_received, stats.parity_unused), (0, 4, 4, 1));
    assert!(scene.reports().is_empty());
    assert!(scene.memory() <= 4096, "{}", scene.memory());
    scene.assert_alive();
}

#[test]
fn one_lie_spoils_a_whole_block_and_none_of_it_acts() {
    let mut scene = Scene::new();
    let block = scene.block((0..6).map(message));
    scene.send_without(&block, &[1, 4]);
    let symbols = block.symbols(4);
    let good = block.parity(scene.peer.next_pn, 4, 0, &symbols[0]);
    scene.send(&[good]);
    let mut bad = symbols[1].clone();
    bad.iter_mut().for_each(|byte| *byte ^= 0x55);
    let bad = block.parity(scene.peer.next_pn, 4, 1, &bad);
    scene.send(&[bad]);
    scene.run(MS * 30);
    assert_eq!(scene.delivered(), [0, 2, 3, 5]);
    assert_eq!((scene.fec().repaired, scene.fec().malformed), (0, 2));
    scene.assert_alive();
}

#[test]
fn lies_about_a_block_repair_nothing_and_close_nothing() {
    let mut scene = Scene::new();
    let block = scene.block((0..4).map(message));
    scene.send_without(&block, &[1, 2]);
    // A wrong class, then the right one: the first says what the block is. Then another length, and another mask.
    let symbols = block.symbols(4);
    scene.parity(&block, 8, [0]);
    for (index, symbol) in (0..).zip(&symbols) {
        let frame = block.parity(scene.peer.next_pn, 4, index, symbol);
        scene.send(&[frame]);
    }
    let longer = [symbols[0].as_slice(), &[0, 0]].concat();
    let frame = block.parity(scene.peer.next_pn, 8, 1, &longer);
    scene.send(&[frame]);
    let first = block.pns[0];
    let back = scene.peer.next_pn - first;
    let mask = Parity { back, span: 3, mask: 0b111, index: 0, class: 8, planned: 8, symbol: &symbols[0] };
    scene.send(&[Frame::Parity(mask)]);
    scene.run(MS * 30);
    let stats = scene.fec();
    assert_eq!((stats.repaired, stats.malformed, stats.parity_unused), (0, 0, 6));
    // With a second symbol of the class that came first it goes on.
    scene.parity(&block, 8, [5]);
    scene.run(MS * 30);
    assert_eq!(scene.delivered(), [0, 1, 2, 3]);
    // Packets that were received unprotected, and such as were never sent.
    let plain = scene.peer.next_pn;
    scene.send(&[Frame::Ping]);
    let block = scene.block([message(4), message(5)]);
    scene.send_without(&block, &[1]);
    let payloads = vec![vec![1], message(4), message(5)];
    let symbol = symbols_of(&payloads);
    let back = scene.peer.next_pn - plain;
    scene.send(&[Frame::Parity(Parity { back, span: 3, mask: 7, index: 0, class: 1, planned: 1, symbol: &symbol })]);
    scene.run(MS * 30);
    assert_eq!(scene.fec().repaired, 2);
    scene.peer.next_pn += 10;
    scene.send(&[Frame::Parity(Parity {
        back: 5,
        span: 1,
        mask: 1,
        index: 0,
        class: 1,
        planned: 1,
        symbol: &[0, 1, 0, 0],
    })]);
    scene.run(MS * 30);
    // A packet of padding that was never sent: honest, as far as anybody can tell.
    assert_eq!((scene.fec().repaired, scene.fec().malformed), (3, 0));
    scene.assert_alive();
}

fn symbols_of(payloads: &[Vec<u8>]) -> Vec<u8> {
    symbols(payloads, 1).remove(0)
}

#[test]
fn nothing_is_kept_where_error_correction_is_off() {
    let mut scene = Scene::with(server_config().fec_max_symbols(0));
    let block = scene.block((0..3).map(message));
    scene.send_without(&block, &[1]);
    scene.parity(&block, 1, [0]);
    scene.run(MS * 30);
    let stats = scene.fec();
    assert_eq!((stats.repaired, stats.sources_received, stats.parity_unused), (0, 2, 1));
    assert_eq!(scene.delivered(), [0, 2]);
    assert!(scene.memory() < 1000, "{}", scene.memory());
    scene.assert_alive();
}

/// A stream has as many gaps as it may have. A packet that would add one counts as not received, and repaired it is no
/// better.
#[test]
fn a_repaired_packet_that_a_bound_does_not_let_in_is_neither_processed_nor_reported() {
    let mut scene = Scene::with(server_config().receive_window(128 << 10, 64 << 10).max_message_size(1000));
    let sid = StreamId::new(0, StreamKind::Bytes, true, Side::Client);
    let byte = |offset| Frame::Stream(Stream { sid, offset, fin: false, data: b"x" });
    for first in (1..=256).step_by(32) {
        let frames: Vec<_> = (first..first + 32).map(|place| byte(place * 2)).collect();
        scene.send(&frames);
    }
    scene.run(MS * 30);
    let block = scene.block([message(0), encode(&[byte(1000)])]);
    scene.send_without(&block, &[1]);
    scene.parity(&block, 1, [0]);
    scene.run(MS * 50);
    assert_eq!((scene.fec().repaired, scene.fec().parity_unused, scene.reports().len()), (0, 0, 0));
    // When there is room again, the same parity does it.
    let hole: Vec<_> = (0..32).map(|place| byte(place * 2 + 1)).collect();
    scene.send(&hole);
    scene.parity(&block, 1, [0]);
    scene.run(MS * 50);
    assert_eq!((scene.fec().repaired, scene.reports()[0].0.clone()), (1, vec![block.pns[1]]));
    scene.assert_alive();
}

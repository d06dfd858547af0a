//! Greasing: peers ignore what they do not know, and are given the occasion (specification section 3.9).

mod support;

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::rc::Rc;

use jsp_conformance::sim::apps::{BulkReceiver, BulkSender};
use jsp_conformance::sim::{Host, Link, Sim, Tapped, seeds};
use jsp_proto::internals::wire::frame::AckRanges;
use jsp_proto::internals::wire::{Ack, Frame, Reader};
use jsp_proto::{Config, ConfigBuilder, MessageOptions, StreamOptions, TransportError};
use support::hostile::Hostile;
use support::scene::{ONE_WAY, Scene};
use support::{MS, Pair, SECOND, pinned, server_config, server_key};

#[test]
fn extensions_with_odd_types_are_skipped() {
    let mut scene = Scene::new();
    for (ty, len) in [(0x41u64, 0usize), (0x43, 1), (0x3fff, 200), (0xffff_ffff, 3)] {
        let pn = scene.peer.next_pn;
        let body = vec![0xff; len];
        scene.send(&[Frame::Extension { ty, body: &body }, Frame::Ping, Frame::Extension { ty, body: &body }]);
        scene.run(MS * 100);
        assert!(scene.peer.is_acked(pn), "type {ty:#x}");
    }
    scene.assert_alive();
}

#[test]
fn extensions_with_even_types_and_unknown_fixed_types_close() {
    for payload in [&[0x40u8, 0x40, 0][..], &[0x40, 0x42, 1, 7], &[0xbf, 0xff, 0xff, 0xfe, 0], &[0x32], &[0x3f]] {
        let mut scene = Scene::new();
        scene.peer.send_bytes(&mut scene.sim, payload);
        scene.run(MS * 21);
        scene.assert_closed(TransportError::FRAME_ENCODING);
    }
}

/// First bytes of the short headers that the client and the server send in a transfer.
fn first_bytes(seed: u64, server: bool, client: bool) -> [Vec<u8>; 2] {
    let (server, client) = (server_config().grease(server), Config::builder().grease(client));
    let mut pair = Pair::with(seed, Link::with_delay(MS * 5).loss(0.02), server, client);
    let seen = Rc::new(RefCell::new([Vec::new(), Vec::new()]));
    let (tap, node) = (seen.clone(), pair.server);
    pair.sim.tap(move |passing, bytes| {
        if bytes[0] & 0x80 == 0 {
            tap.borrow_mut()[usize::from(passing.from == node)].push(bytes[0]);
        }
        Tapped::Pass
    });
    let conn = pair.connect(&pinned());
    let mut sender = BulkSender::new(pair.client, conn, seed, 300_000);
    let mut receiver = BulkReceiver::new(pair.server, seed, 300_000);
    assert!(pair.sim.run(SECOND * 60, &mut [&mut sender, &mut receiver]));
    seen.take()
}

#[test]
fn the_fixed_bit_varies_where_both_sides_want_it() {
    seeds("the_fixed_bit_varies_where_both_sides_want_it", 0..5, |seed| {
        for (server, client) in [(true, true), (true, false), (false, true), (false, false)] {
            for bytes in first_bytes(seed, server, client) {
                let cleared = bytes.iter().filter(|byte| **byte & 0x40 == 0).count();
                let expected = if server && client { bytes.len() / 2 } else { 0 };
                assert!(cleared.abs_diff(expected) <= bytes.len() / 4, "{cleared} of {}", bytes.len());
                assert!(cleared == 0 || server && client);
            }
        }
    });
}

/// Ids of the parameters that a server sends.
fn server_parameters(config: ConfigBuilder) -> Vec<u64> {
    let mut sim = Sim::new(1);
    let server = sim.add(config.build().expect("valid"));
    let raw = sim.add_host(Host::raw());
    sim.link(raw, server, Link::with_delay(ONE_WAY));
    let mut peer = Hostile::connect(&mut sim, raw, server, server_key().public());
    peer.run(&mut sim, MS * 100);
    let frames = peer.frames();
    let params = frames.iter().find_map(|frame| match frame {
        Frame::Params(bytes) => Some(*bytes),
        _ => None,
    });
    let mut reader = Reader::new(params.expect("its parameters"));
    let mut ids = Vec::new();
    while !reader.is_empty() {
        ids.push(reader.varint().expect("an id"));
        reader.length_prefixed().expect("a value");
    }
    ids
}

#[test]
fn a_server_sends_a_parameter_that_nobody_knows() {
    let ids = server_parameters(server_config());
    let reserved: Vec<u64> = ids.iter().copied().filter(|id| *id >= 58).collect();
    assert!(matches!(reserved[..], [id] if id % 31 == 27), "{ids:x?}");
    let ids = server_parameters(server_config().grease(false));
    assert!(ids.iter().all(|id| *id < 58), "{ids:x?}");
}

/// Numbers without gaps between them.
fn runs(numbers: &[u64]) -> Vec<RangeInclusive<u64>> {
    let mut runs: Vec<RangeInclusive<u64>> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some(run) if *run.end() + 1 == number => *run = *run.start()..=number,
            _ => runs.push(number..=number),
        }
    }
    runs
}

fn ack(range: RangeInclusive<u64>) -> Frame<'static> {
    Frame::Ack(Ack { delay: 0, ranges: AckRanges::single(range), ecn: None })
}

#[test]
fn about_one_of_a_thousand_packets_has_a_frame_that_nobody_knows() {
    for grease in [true, false] {
        let mut scene = Scene::with(server_config().grease(grease));
        let mut conn = scene.sim.conn(scene.server, scene.victim).expect("open");
        let stream = conn.open(StreamOptions::unordered_messages()).expect("room");
        for _ in 0..800 {
            for _ in 0..5 {
                let mut conn = scene.sim.conn(scene.server, scene.victim).expect("open");
                conn.send_message(stream, &[7; 10], MessageOptions::new()).expect("room");
                scene.run(MS);
            }
            scene.run(ONE_WAY);
            let packets: Vec<u64> = scene.peer.packets.iter().map(|(pn, _)| *pn).collect();
            let acks: Vec<Frame<'_>> =
                runs(&packets[packets.len().saturating_sub(20)..]).into_iter().map(ack).collect();
            scene.send(&acks);
        }
        assert!(scene.peer.packets.len() >= 4_000, "each message has its packet");
        let frames = scene.peer.frames();
        let unknown = frames.iter().filter(|frame| matches!(frame, Frame::Extension { .. })).count();
        let expected = if grease { 1..=10 } else { 0..=0 };
        assert!(expected.contains(&unknown), "{unknown} in {} packets", scene.peer.packets.len());
    }
}

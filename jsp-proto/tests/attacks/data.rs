//! Attacks by a peer with keys, on acknowledgements and streams (specification sections 4 and 6, and 13 items 13 and 14).

use std::collections::BTreeSet;

use jsp_proto::internals::wire::frame::{Msg, ResetStream, Stream, types};
use jsp_proto::internals::wire::{Ack, AckRanges, Frame, Reader, StreamKind, StreamType, Writer};
use jsp_proto::{DropReason, OpenError, RecvMessage, Side, StreamId, StreamOptions, TransportError};

use crate::support::scene::{ONE_WAY, Scene};
use crate::support::{MS, SECOND};

fn bytes_stream(index: u64) -> StreamId {
    StreamId::new(index, StreamKind::Bytes, true, Side::Client)
}

fn message_stream(index: u64) -> StreamId {
    StreamId::new(index, StreamKind::Unordered, true, Side::Client)
}

fn data(sid: StreamId, offset: u64, data: &[u8], fin: bool) -> Frame<'_> {
    Frame::Stream(Stream { sid, offset, fin, data })
}

fn message(offset: u64, data: &[u8]) -> Frame<'_> {
    Frame::Msg(Msg { sid: message_stream(0), offset, bom: true, eom: true, compressed: false, data })
}

fn reset(sid: StreamId, final_size: u64) -> Frame<'static> {
    Frame::ResetStream(ResetStream { sid, code: 0, final_size, reliable_size: 0 })
}

/// An ACK of these packets and no others.
fn ack_of(pns: impl DoubleEndedIterator<Item = u64>, delay: u64) -> Vec<u8> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for pn in pns.rev() {
        match ranges.last_mut() {
            Some((low, _)) if *low == pn + 1 => *low = pn,
            _ => ranges.push((pn, pn)),
        }
    }
    let mut payload = vec![0; 1000];
    let mut w = Writer::new(&mut payload);
    let (low, high) = ranges[0];
    for field in [types::ACK, high, delay, ranges.len() as u64 - 1, high - low] {
        w.varint(field).expect("room");
    }
    for pair in ranges.windows(2) {
        w.varint(pair[0].0 - pair[1].1 - 2).expect("room");
        w.varint(pair[1].1 - pair[1].0).expect("room");
    }
    let len = w.position();
    payload.truncate(len);
    payload
}

/// The server has this much to send, and all the credit for it.
fn feed(scene: &mut Scene, len: usize) -> StreamId {
    let (server, victim) = (scene.server, scene.victim);
    let mut conn = scene.sim.conn(server, victim).expect("alive");
    let sid = conn.open(StreamOptions::bytes().uni()).expect("the first stream");
    assert_eq!(conn.send(sid, &vec![7; len]), Ok(len));
    scene.send(&[Frame::MaxData { limit: 1 << 40 }, Frame::MaxStreamData { sid, limit: 1 << 40 }]);
    sid
}

fn received(scene: &Scene) -> BTreeSet<u64> {
    scene.peer.packets.iter().map(|(pn, _)| *pn).collect()
}

/// Of what it gets the peer acknowledges every other packet, in as many ranges as an ACK has, over and over.
#[test]
fn an_acknowledgement_of_sixty_four_single_packets() {
    let mut scene = Scene::new();
    feed(&mut scene, 2 << 20);
    // First it behaves, so that enough packets are under way.
    while received(&scene).len() < 300 {
        let ack = ack_of(received(&scene).into_iter().rev().take(40).rev(), 0);
        scene.peer.send_bytes(&mut scene.sim, &ack);
        scene.run(MS * 5);
    }
    let sent = |scene: &mut Scene| scene.sim.conn(scene.server, scene.victim).expect("alive").stats().packets_sent;
    for round in 0..200 {
        let odd: Vec<_> = received(&scene).into_iter().filter(|pn| pn % 2 == 1).rev().take(64).collect();
        let ack = ack_of(odd.into_iter().rev(), 0);
        let frame = Frame::decode(&mut Reader::new(&ack)).expect("sound");
        let Frame::Ack(parsed) = frame else { panic!("{frame:?}") };
        let ranges = parsed.ranges.iter().count();
        assert!(round < 100 || ranges == 64, "{ranges}");
        for _ in 0..20 {
            scene.peer.send_bytes(&mut scene.sim, &ack);
        }
        scene.run(MS * 5);
    }
    // An ACK draws no answer, however many there are of it: what is still sent are probes and what was lost.
    let before = sent(&mut scene);
    let odd: Vec<_> = received(&scene).into_iter().filter(|pn| pn % 2 == 1).rev().take(64).collect();
    let ack = ack_of(odd.into_iter().rev(), 0);
    for _ in 0..2_000 {
        scene.peer.send_bytes(&mut scene.sim, &ack);
    }
    scene.run(MS * 30);
    let answers = sent(&mut scene) - before;
    assert!(answers < 200, "{answers} packets");
    scene.assert_alive();
}

/// An optimistic acknowledger grows the window no further than to the first number that was left out: about one window.
#[test]
fn optimistic_acknowledgement_growth() {
    let mut scene = Scene::new();
    feed(&mut scene, 4 << 20);
    let mut largest_window = 0;
    for _ in 0..2_000 {
        scene.run(MS);
        let largest = received(&scene).last().copied().unwrap_or(0);
        scene.send(&[Frame::Ack(Ack { delay: 0, ranges: AckRanges::single(0..=largest), ecn: None })]);
        let window = scene.sim.conn(scene.server, scene.victim).map_or(0, |conn| conn.stats().congestion_window);
        largest_window = largest_window.max(window);
        if scene.peer.closed_with().is_some() {
            break;
        }
    }
    scene.assert_closed(TransportError::PROTOCOL_VIOLATION);
    assert!(largest_window < 1 << 20, "{largest_window} bytes");
}

/// The peer's word about its delay neither pushes the round trip below what was measured nor beyond all bounds.
#[test]
fn lies_about_the_delay_of_acknowledgements() {
    for delay in [0, 2_000, 1 << 20, (1 << 62) - 1] {
        let mut scene = Scene::new();
        feed(&mut scene, 200_000);
        for _ in 0..100 {
            scene.run(MS * 7);
            let ack = ack_of(received(&scene).into_iter().rev().take(30).rev(), delay);
            scene.peer.send_bytes(&mut scene.sim, &ack);
        }
        let stats = scene.sim.conn(scene.server, scene.victim).expect("alive").stats();
        let least = ONE_WAY * 2;
        assert_eq!(stats.min_rtt, Some(least), "{delay}");
        // What the peer does wait, up to seven milliseconds and the pace of the packets, is all that it can argue about.
        assert!((least..=least + MS * 12).contains(&stats.rtt), "{delay}: {:?}", stats.rtt);
        assert!(stats.rtt_variation <= MS * 30, "{delay}: {:?}", stats.rtt_variation);
        scene.assert_alive();
    }
}

/// RUSTSEC-2026-0185: one byte of data in each full packet. What is kept is the byte, not the packet.
#[test]
fn one_byte_frames_pin_no_packets() {
    let padding = Frame::Padding { len: 1_100 };
    for messages in [false, true] {
        let mut scene = Scene::new();
        let before = scene.sim.conn(scene.server, scene.victim).expect("alive").stats().receive_memory;
        let count = if messages { 2_000 } else { 250 };
        for n in 1..=count {
            let frame = if messages { message(n - 1, b"x") } else { data(bytes_stream(0), 2 * n, b"x", false) };
            // Data to the end of the packet has no length: the padding comes first.
            scene.send(&[padding, frame]);
            if n % 10 == 0 {
                scene.run(MS);
            }
        }
        scene.run(MS * 50);
        assert_eq!(scene.dropped(DropReason::Refused), 0);
        let held = scene.sim.conn(scene.server, scene.victim).expect("alive").stats().receive_memory - before;
        // A byte of a message costs its mark as well.
        let most = if messages { 64 << 10 } else { 8 << 10 };
        assert!((1..=most).contains(&held), "{held} bytes for {count} packets, messages: {messages}");
        scene.assert_alive();
    }
}

/// CVE-2023-44487, for streams: each is opened and reset at once, as fast as places come back.
#[test]
fn open_and_reset_cycles() {
    let mut scene = Scene::new();
    let ty = bytes_stream(0).ty();
    let (mut opened, mut limit) = (0, 100);
    let began = scene.sim.now();
    while scene.sim.now() < began + SECOND * 10 {
        for _ in 0..20.min(limit - opened) {
            let sid = bytes_stream(opened);
            scene.send(&[data(sid, 0, b"x", false)]);
            scene.send(&[reset(sid, 1)]);
            opened += 1;
        }
        scene.run(MS * 10);
        let given = scene.peer.frames().into_iter().filter_map(|frame| match frame {
            Frame::MaxStreams { ty: given, limit } if given == ty => Some(limit),
            _ => None,
        });
        limit = given.max().unwrap_or(0).max(limit);
        scene.peer.packets.clear();
        let stats = scene.sim.conn(scene.server, scene.victim).expect("alive").stats();
        assert!(stats.streams_open <= 100, "{} open", stats.streams_open);
        assert!(stats.receive_memory < 64 << 10, "{} bytes", stats.receive_memory);
    }
    assert!((400..=100 + 200 + 50 * 11).contains(&opened), "{opened} streams in ten seconds");
    scene.assert_alive();
    // Beyond what it has been given there is nothing to be had.
    scene.send(&[data(bytes_stream(limit + 10_000), 0, b"x", false)]);
    scene.run(MS * 50);
    scene.assert_closed(TransportError::STREAM_LIMIT);
}

/// Limits on streams that go up and down and as far as they can: the highest counts, and none of them costs anything.
#[test]
fn max_streams_games() {
    let mut scene = Scene::new();
    let options = StreamOptions::bytes();
    let ty = StreamType::of(StreamKind::Bytes, false, Side::Server);
    let openable = |scene: &mut Scene| scene.sim.conn(scene.server, scene.victim).expect("alive").openable(options);
    let before = openable(&mut scene);
    assert_eq!(before, 100);
    for limit in (0..=before).rev() {
        scene.send(&[Frame::MaxStreams { ty, limit }]);
    }
    scene.run(MS * 50);
    assert_eq!(openable(&mut scene), before, "a limit is never taken back");
    let memory = scene.sim.conn(scene.server, scene.victim).expect("alive").stats().receive_memory;
    for n in 0..2_000 {
        let limit = [StreamType::MAX_STREAMS, 0, n][n as usize % 3];
        scene.send(&[Frame::MaxStreams { ty, limit }]);
    }
    scene.run(MS * 50);
    assert_eq!(openable(&mut scene), StreamType::MAX_STREAMS);
    let mut conn = scene.sim.conn(scene.server, scene.victim).expect("alive");
    assert_eq!((conn.stats().streams_open, conn.stats().receive_memory), (0, memory));
    conn.open(options).expect("room for as many as one likes");
    // Other types are other matters.
    let other = (0..).map(|_| conn.open(StreamOptions::unordered_messages())).take_while(Result::is_ok).count();
    assert_eq!(other, 100);
    assert_eq!(conn.open(StreamOptions::unordered_messages()), Err(OpenError::Limit));
    scene.assert_alive();
    // A limit for the streams that it opens itself makes no sense, nor one that ids cannot express.
    for (ty, limit, error) in [
        (StreamType::of(StreamKind::Bytes, false, Side::Client), 9, TransportError::PROTOCOL_VIOLATION),
        (ty, StreamType::MAX_STREAMS + 1, TransportError::FRAME_ENCODING),
    ] {
        let mut scene = Scene::new();
        scene.send(&[Frame::MaxStreams { ty, limit }]);
        scene.run(MS * 50);
        scene.assert_closed(error);
    }
}

fn delivered(scene: &mut Scene) -> Vec<Vec<u8>> {
    let mut conn = scene.sim.conn(scene.server, scene.victim).expect("alive");
    let (mut messages, mut body) = (Vec::new(), Vec::new());
    while let Ok(RecvMessage::Message(_)) = conn.recv_message(message_stream(0), &mut body) {
        messages.push(std::mem::take(&mut body));
    }
    messages
}

/// What was given up once is given up, whatever is said or sent later; more than the credit is not there to give up.
#[test]
fn skip_backwards_and_beyond() {
    let mut scene = Scene::new();
    let sid = message_stream(0);
    scene.send(&[Frame::Skip { sid, offset: 100 }]);
    for offset in [50, 0, 99, 100] {
        scene.send(&[Frame::Skip { sid, offset }]);
    }
    scene.send(&[message(90, b"too late")]);
    scene.send(&[message(100, b"in time")]);
    scene.send(&[Frame::Skip { sid, offset: 60_000 }]);
    scene.send(&[message(107, b"too late again")]);
    scene.run(MS * 50);
    assert_eq!(delivered(&mut scene), [b"in time".to_vec()]);
    // A thousand steps forward within the credit cost nothing.
    let before = scene.sim.conn(scene.server, scene.victim).expect("alive").stats().receive_memory;
    for step in 0..1_000 {
        scene.send(&[Frame::Skip { sid, offset: 60_000 + step }]);
    }
    scene.run(MS * 50);
    assert_eq!(scene.sim.conn(scene.server, scene.victim).expect("alive").stats().receive_memory, before);
    scene.assert_alive();
    let far = (1 << 62) - 1;
    for (sid, offset, error) in [
        (message_stream(0), far, TransportError::FLOW_CONTROL),
        (message_stream(1), far, TransportError::FLOW_CONTROL),
        (bytes_stream(0), 0, TransportError::PROTOCOL_VIOLATION),
        (message_stream(100), 0, TransportError::STREAM_LIMIT),
    ] {
        let mut scene = Scene::new();
        scene.send(&[Frame::Skip { sid, offset }]);
        scene.run(MS * 50);
        scene.assert_closed(error);
    }
}

/// A stream that ends in two places ends its connection, in whatever way and order it is said.
#[test]
fn final_sizes_that_change() {
    let sid = StreamId::new(0, StreamKind::Bytes, false, Side::Client);
    let (end, longer, shorter) = (data(sid, 0, b"abc", true), data(sid, 3, b"d", true), data(sid, 0, b"ab", true));
    let attacks: [&[Frame<'_>]; 7] = [
        &[end, longer],
        &[end, shorter],
        &[end, data(sid, 2, b"cd", false)],
        &[end, reset(sid, 4)],
        &[data(sid, 5, b"f", false), end],
        &[reset(sid, 3), reset(sid, 2)],
        &[data(sid, 9, b"j", false), reset(sid, 3)],
    ];
    for (number, frames) in attacks.into_iter().enumerate() {
        for together in [false, true] {
            let mut scene = Scene::new();
            if together {
                scene.send(frames);
            } else {
                frames.iter().for_each(|frame| scene.send(&[*frame]));
            }
            scene.run(MS * 50);
            assert_eq!(scene.peer.closed_with(), Some(TransportError::FINAL_SIZE), "attack {number}");
            scene.assert_closed(TransportError::FINAL_SIZE);
        }
    }
    // Saying it twice is saying it once.
    let mut scene = Scene::new();
    for _ in 0..2 {
        scene.send(&[end]);
        scene.send(&[reset(sid, 3)]);
    }
    scene.run(MS * 50);
    scene.assert_alive();
}

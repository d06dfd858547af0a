//! Each way for a peer to break the rules, and each bound.

use super::*;
use crate::error::TransportError as E;
use crate::wire::frame::{Blocked, Msg, ResetStream, Stream as StreamFrame};
use crate::wire::{StreamKind, StreamType};

const BYTES: StreamId = StreamId::new(0, StreamKind::Bytes, false, Side::Client);
const ORDERED: StreamId = StreamId::new(0, StreamKind::Ordered, false, Side::Client);
const UNORDERED: StreamId = StreamId::new(0, StreamKind::Unordered, false, Side::Client);
const PEER_UNI: StreamId = StreamId::new(0, StreamKind::Bytes, true, Side::Client);
const OWN_UNI: StreamId = StreamId::new(0, StreamKind::Bytes, true, Side::Server);

fn data(sid: StreamId, offset: u64, data: &[u8], fin: bool) -> Frame<'_> {
    Frame::Stream(StreamFrame { sid, offset, fin, data })
}

fn msg(sid: StreamId, offset: u64, bom: bool, eom: bool, data: &[u8]) -> Frame<'_> {
    Frame::Msg(Msg { sid, offset, bom, eom, compressed: false, data })
}

fn reset(final_size: u64, reliable_size: u64) -> Frame<'static> {
    Frame::ResetStream(ResetStream { sid: BYTES, code: 0, final_size, reliable_size })
}

fn breaks(frames: &[Frame<'_>], error: E) {
    let mut pair = Pair::new();
    let now = pair.now;
    pair.server().open(now, StreamOptions::bytes().uni()).unwrap();
    let (last, before) = frames.split_last().unwrap();
    for frame in before {
        pair.inject(frame).unwrap();
    }
    assert_eq!(pair.inject(last).map_err(|violation| violation.error), Err(error), "{last:?}");
}

#[test]
fn each_error_code() {
    let far = StreamId::new(100, StreamKind::Bytes, false, Side::Client);
    let blocks = StreamId::new(0, StreamKind::Blocks, false, Side::Client);
    let unopened = StreamId::new(0, StreamKind::Bytes, false, Side::Server);
    breaks(&[data(BYTES, 65_536, b"x", false)], E::FLOW_CONTROL);
    breaks(&[reset(65_537, 0)], E::FLOW_CONTROL);
    breaks(&[Frame::Skip { sid: ORDERED, offset: 65_537 }], E::FLOW_CONTROL);
    breaks(&[data(BYTES, 60_000, b"x", false), data(PEER_UNI, 6_000, b"x", false)], E::FLOW_CONTROL);
    breaks(&[data(far, 0, b"x", false)], E::STREAM_LIMIT);
    breaks(&[data(blocks, 0, b"x", false)], E::STREAM_LIMIT);
    breaks(&[Frame::StreamPriority { sid: unopened, priority: 0 }], E::STREAM_STATE);
    breaks(&[data(OWN_UNI, 0, b"x", false)], E::STREAM_STATE);
    breaks(&[Frame::Blocked(Blocked::Stream { sid: OWN_UNI, limit: 0 })], E::STREAM_STATE);
    breaks(&[Frame::StopSending { sid: PEER_UNI, code: 0 }], E::STREAM_STATE);
    breaks(&[Frame::MaxStreamData { sid: PEER_UNI, limit: 0 }], E::STREAM_STATE);
    breaks(&[data(BYTES, 0, b"abc", true), data(BYTES, 3, b"d", false)], E::FINAL_SIZE);
    breaks(&[data(BYTES, 0, b"abc", true), data(BYTES, 0, b"ab", true)], E::FINAL_SIZE);
    breaks(&[data(BYTES, 0, b"abc", false), data(BYTES, 0, b"ab", true)], E::FINAL_SIZE);
    breaks(&[data(BYTES, 0, b"abc", false), reset(2, 0)], E::FINAL_SIZE);
    breaks(&[reset(5, 0), reset(6, 0)], E::FINAL_SIZE);
    breaks(&[Frame::Skip { sid: BYTES, offset: 0 }], E::PROTOCOL_VIOLATION);
    breaks(&[data(ORDERED, 0, b"x", false)], E::PROTOCOL_VIOLATION);
    breaks(&[msg(BYTES, 0, true, true, b"x")], E::PROTOCOL_VIOLATION);
    breaks(&[msg(ORDERED, 0, false, true, b"x")], E::PROTOCOL_VIOLATION);
    breaks(&[msg(UNORDERED, 0, true, true, b"x"), msg(UNORDERED, 1, false, true, b"x")], E::PROTOCOL_VIOLATION);
    breaks(&[msg(UNORDERED, 1, false, true, b"x"), msg(UNORDERED, 0, true, true, b"x")], E::PROTOCOL_VIOLATION);
    let compressed = Msg { sid: ORDERED, offset: 0, bom: true, eom: true, compressed: true, data: b"x" };
    breaks(&[Frame::Msg(compressed)], E::PROTOCOL_VIOLATION);
    breaks(
        &[Frame::MaxStreams { ty: StreamType::of(StreamKind::Bytes, true, Side::Client), limit: 9 }],
        E::PROTOCOL_VIOLATION,
    );
}

#[test]
fn messages_above_the_maximum() {
    let limits = Limits { max_message_size: 1000, ..Limits::default() };
    for sid in [ORDERED, UNORDERED] {
        let mut pair = Pair::with(limits);
        pair.inject(&msg(sid, 0, true, false, &[0; 600])).unwrap();
        let error = pair.inject(&msg(sid, 600, false, false, &[0; 401])).unwrap_err().error;
        assert_eq!(error, E::MESSAGE_TOO_LARGE);
    }
}

fn admitted(pair: &mut Pair, frame: &Frame<'_>) -> bool {
    if pair.server().check(frame) == Ok(Admit::Yes) {
        pair.inject(frame).unwrap();
        return true;
    }
    false
}

#[test]
fn gaps_of_a_stream_of_bytes_are_bounded() {
    let mut pair = Pair::new();
    let taken = (1..300u64).filter(|n| admitted(&mut pair, &data(BYTES, n * 10, b"x", false))).count();
    assert_eq!(taken, 256);
    assert!(admitted(&mut pair, &data(BYTES, 0, b"y", false)), "the lowest gap may always be filled");
    assert!(!admitted(&mut pair, &data(BYTES, 5, b"y", false)));
    assert!(admitted(&mut pair, &data(BYTES, 1, &[0; 9], false)));
}

#[test]
fn gaps_of_a_stream_of_messages_are_bounded_and_marks_are_not_gaps() {
    let mut pair = Pair::new();
    let taken = (1..400u64).filter(|n| admitted(&mut pair, &msg(UNORDERED, n * 10, true, true, b"x"))).count();
    assert_eq!(taken, 256);
    assert!(admitted(&mut pair, &msg(UNORDERED, 0, true, true, b"y")));
    let mut pair = Pair::new();
    assert!((0..5000u64).all(|n| admitted(&mut pair, &msg(UNORDERED, n, true, true, b"x"))));
}

#[test]
fn marks_are_bounded_by_the_window() {
    let mut pair = Pair::with(Limits { max_message_size: 1000, ..Limits::default() });
    let taken = (0..9000u64).filter(|n| admitted(&mut pair, &msg(UNORDERED, *n, true, true, b"x"))).count();
    assert_eq!(taken, (64 << 10) / 8);
    pair.server().consume_message(UNORDERED).unwrap();
    assert!(admitted(&mut pair, &msg(UNORDERED, taken as u64, true, true, b"x")));
}

#[test]
fn partial_messages_are_bounded() {
    let mut pair = Pair::with(Limits { max_message_size: 1000, ..Limits::default() });
    let sid = |n| StreamId::new(n, StreamKind::Unordered, true, Side::Client);
    for n in 0..64 {
        pair.inject(&msg(sid(n), 0, true, false, b"x")).unwrap();
    }
    pair.inject(&msg(sid(70), 0, true, true, b"x")).unwrap();
    assert!(!admitted(&mut pair, &msg(sid(70), 1, true, false, b"x")));
    assert!(admitted(&mut pair, &msg(sid(0), 1, false, true, b"x")));
    assert!(admitted(&mut pair, &msg(sid(70), 1, true, false, b"x")));
}

#[test]
fn refusing_goes_on_only_so_long() {
    let mut pair = Pair::new();
    let now = pair.now;
    let refusals = (0..2000).take_while(|_| pair.server().on_refused(now).is_ok()).count();
    assert_eq!(refusals, 1024);
    assert_eq!(pair.server().on_refused(now).unwrap_err().error, E::BUFFER_EXCEEDED);
}

#[test]
fn frames_that_move_nothing_are_bounded() {
    let mut pair = Pair::new();
    pair.inject(&Frame::StreamPriority { sid: BYTES, priority: 5 }).unwrap();
    let frame = |n: u32| Frame::StreamPriority { sid: BYTES, priority: n as u8 };
    let count = (0..10_000).take_while(|&n| pair.inject(&frame(n)).is_ok()).count();
    assert!((4000..5000).contains(&count), "{count}");
    assert_eq!(pair.inject(&frame(0)).unwrap_err().error, E::EXCESSIVE_LOAD);
}

#[test]
fn a_hole_at_the_bottom_cannot_stretch_the_ring() {
    let limits = Limits { max_stream_window: 64 << 10, max_window: 64 << 10, ..Limits::default() };
    let mut pair = Pair::with(limits);
    let mut offset = 10;
    let body = [0; 1000];
    loop {
        match pair.inject(&msg(UNORDERED, offset, true, true, &body)) {
            Ok(()) => pair.server().consume_message(UNORDERED).unwrap(),
            Err(violation) => {
                assert_eq!(violation.error, E::FLOW_CONTROL);
                break;
            }
        }
        offset += 1000;
        assert!(offset < 1 << 20);
    }
    assert!(pair.server().recv_memory() <= 256 << 10);
}

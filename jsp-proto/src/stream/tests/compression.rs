//! Compressed messages; what they share with compressed bytes.

use super::*;
use crate::error::TransportError as E;
use crate::wire::StreamKind;
use crate::wire::frame::Msg;

pub(super) const ADAPTIVE: Compression = Compression::Adaptive;

pub(super) fn limits() -> Limits {
    Limits { unpacks: true, ..Limits::default() }
}

pub(super) fn open(pair: &mut Pair, options: StreamOptions) -> StreamId {
    let now = pair.now;
    let sid = pair.client().open(now, options).unwrap();
    pair.settle();
    sid
}

fn send(pair: &mut Pair, sid: StreamId, data: &[u8]) {
    let now = pair.now;
    pair.client().send_message(now, sid, data, MessageOptions::new()).unwrap();
}

fn received(pair: &mut Pair, sid: StreamId) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    read_messages(pair.server(), sid, &mut messages);
    messages
}

pub(super) fn text(length: usize) -> Vec<u8> {
    b"over and over again the same, ".iter().copied().cycle().take(length).collect()
}

pub(super) fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Drbg::new(&Entropy::new([seed; 32])).fill(&mut bytes);
    bytes
}

pub(super) fn compressed(pair: &mut Pair) -> PackStats {
    pair.client().stats().compression
}

#[test]
fn compressed_or_not_the_same_messages_arrive() {
    for options in [StreamOptions::ordered_messages(), StreamOptions::unordered_messages()] {
        let mut pair = Pair::with(limits());
        let sid = open(&mut pair, options.compression(ADAPTIVE));
        let lengths = [1, 255, 256, 300, 1000, 1200, 5000, 16_384, 60_000, 65_535, 65_536];
        let mut sent = Vec::new();
        for length in lengths {
            for data in [text(length), noise(1, length)] {
                send(&mut pair, sid, &data);
                pair.settle();
                assert_eq!(received(&mut pair, sid), [&data[..]], "{length}");
                sent.push(data);
            }
        }
        for data in &sent[..16] {
            send(&mut pair, sid, data);
        }
        pair.settle();
        assert_eq!(received(&mut pair, sid), sent[..16]);
        let PackStats { packed, before, after, .. } = compressed(&mut pair);
        assert!(packed >= 9 && before > 8 * after, "{packed}, {before} became {after}");
        // Credit counts what is on the wire.
        let recv = &pair.server().recv;
        assert!(recv.received == recv.released && recv.received < sent.iter().map(|data| data.len() as u64).sum());
    }
}

#[test]
fn nothing_is_compressed_unless_both_sides_say_so() {
    let plain = StreamOptions::ordered_messages();
    for (limits, options) in [(limits(), plain), (Limits::default(), plain.compression(ADAPTIVE))] {
        let mut pair = Pair::with(limits);
        let sid = open(&mut pair, options);
        send(&mut pair, sid, &text(5000));
        pair.settle();
        assert_eq!(received(&mut pair, sid), [text(5000)]);
        assert_eq!(compressed(&mut pair), PackStats::default());
        assert_eq!(pair.server().recv.received, 5000);
    }
}

#[test]
fn a_stream_of_the_peer_can_be_compressed_too() {
    let mut pair = Pair::with(limits());
    let now = pair.now;
    let sid = open(&mut pair, StreamOptions::ordered_messages());
    pair.server().set_compression(sid, ADAPTIVE).unwrap();
    for _ in 0..2 {
        pair.server().send_message(now, sid, &text(5000), MessageOptions::new()).unwrap();
        pair.server().set_compression(sid, Compression::Off).unwrap();
    }
    pair.settle();
    let mut messages = Vec::new();
    read_messages(pair.client(), sid, &mut messages);
    assert_eq!(messages, [text(5000), text(5000)]);
    assert_eq!(pair.server().stats().compression.packed, 1);
}

#[test]
fn the_maximum_is_that_of_the_message_itself() {
    let mut pair = Pair::with(Limits { max_message_size: 20_000, ..limits() });
    let sid = open(&mut pair, StreamOptions::ordered_messages().compression(ADAPTIVE));
    let now = pair.now;
    let refused = pair.client().send_message(now, sid, &text(20_001), MessageOptions::new());
    assert_eq!(refused, Err(SendError::TooLarge { max: 20_000 }));
    send(&mut pair, sid, &text(20_000));
    pair.settle();
    assert_eq!(received(&mut pair, sid), [text(20_000)]);
}

#[test]
fn a_message_in_place_is_the_expanded_one() {
    let mut pair = Pair::with(limits());
    let a = open(&mut pair, StreamOptions::ordered_messages().compression(ADAPTIVE));
    let b = open(&mut pair, StreamOptions::unordered_messages().compression(ADAPTIVE));
    let (first, second) = (text(3000), [text(2000), noise(1, 20)].concat());
    for sid in [a, b] {
        send(&mut pair, sid, &first);
        send(&mut pair, sid, b"short");
        send(&mut pair, sid, &second);
    }
    pair.settle();
    let peek = |pair: &mut Pair, sid| {
        let (head, tail) = pair.server().peek_message(sid).unwrap().expect("a message");
        [head, tail].concat()
    };
    for _ in 0..2 {
        assert_eq!(peek(&mut pair, a), first);
        assert_eq!(peek(&mut pair, b), first);
    }
    assert!(pair.server().recv_memory() >= pair.server().recv.held + 3000);
    pair.server().consume_message(a).unwrap();
    assert_eq!(peek(&mut pair, a), b"short");
    assert_eq!(peek(&mut pair, b), first);
    pair.server().consume_message(a).unwrap();
    assert_eq!(peek(&mut pair, a), second);
    let mut out = Vec::new();
    for expected in [&first[..], b"short", &second] {
        assert_eq!(pair.server().recv_message(b, &mut out), Ok(RecvMessage::Message(expected.len())));
        assert_eq!(out, expected);
    }
    assert_eq!(peek(&mut pair, a), second);
    pair.server().drop_unread();
    assert_eq!(pair.server().recv_memory(), 0);
}

#[test]
fn loss_and_skipped_messages_leave_the_others_whole() {
    for ordered in [true, false] {
        let options = if ordered { StreamOptions::ordered_messages() } else { StreamOptions::unordered_messages() };
        let mut pair = Pair::with(limits());
        let sid = open(&mut pair, options.compression(ADAPTIVE));
        let now = pair.now;
        let message = |n: u8| [text(2000), noise(n, 3000), text(3000)].concat();
        let mut rng = Drbg::new(&Entropy::new([9; 32]));
        for n in 0..40 {
            let delivery = if n % 4 == 0 { Delivery::BestEffort } else { Delivery::Reliable };
            let options = MessageOptions::new().delivery(delivery);
            pair.client().send_message(now, sid, &message(n), options).unwrap();
        }
        let mut got = Vec::new();
        for _ in 0..2000 {
            while pair.flying.len() < 8 && pair.transmit(0) {}
            while pair.transmit(1) {}
            for index in 0..pair.flying.len() {
                let mut dice = [0];
                rng.fill(&mut dice);
                if pair.flying[index].from == 0 && dice[0] < 60 {
                    pair.lose(index);
                } else {
                    pair.deliver(index);
                    pair.acknowledge(index);
                }
            }
            pair.flying.clear();
            read_messages(pair.server(), sid, &mut got);
            if pair.client().is_flushed() {
                break;
            }
        }
        assert!(pair.client().is_flushed());
        assert_eq!(compressed(&mut pair).packed, 40);
        let numbers: Vec<_> =
            got.iter().map(|data| (0..40).find(|&n| *data == message(n)).expect("one of them")).collect();
        assert!((30..40).contains(&numbers.len()), "some best-effort ones are lost: {numbers:?}");
        assert!((0..40).filter(|n| n % 4 != 0).all(|n| numbers.contains(&n)), "{numbers:?}");
        assert!(!ordered || numbers.is_sorted());
        let recv = &pair.server().recv;
        assert_eq!(recv.received, recv.released);
    }
}

/// A compressed message with a body made by hand, in fragments of `size`.
fn inject(pair: &mut Pair, sid: StreamId, body: &[u8], size: usize) -> Result<(), Violation> {
    let count = body.chunks(size).count();
    for (n, data) in body.chunks(size).enumerate() {
        let (bom, eom) = (n == 0, n + 1 == count);
        pair.inject(&Frame::Msg(Msg { sid, offset: (n * size) as u64, bom, eom, compressed: bom, data }))?;
    }
    Ok(())
}

#[test]
fn a_body_that_does_not_expand_ends_the_reading() {
    // 5 bytes of 7; the same with a wrong length, cut short, with more behind it, and with a length beyond all bounds.
    let good = [5, 0x10, 7, 1, 0, 0];
    let bad: [&[u8]; 6] =
        [&[4, 0x10, 7, 1, 0, 0], &[6, 0x10, 7, 1, 0, 0], &good[..5], &[5, 0x10, 7, 1, 0, 0, 9], &[0xff; 9], &[0, 0]];
    for kind in [StreamKind::Ordered, StreamKind::Unordered] {
        let sid = StreamId::new(0, kind, false, Side::Client);
        for size in [1, 3, 100] {
            let mut out = vec![1; 3];
            let mut pair = Pair::with(limits());
            inject(&mut pair, sid, &good, size).unwrap();
            assert_eq!(pair.server().recv_message(sid, &mut out), Ok(RecvMessage::Message(5)));
            assert_eq!(out, [7; 5]);
            for body in bad {
                for peek in [false, true] {
                    let mut pair = Pair::with(limits());
                    inject(&mut pair, sid, body, size).unwrap();
                    let error = if peek {
                        pair.server().peek_message(sid).map(|_| ())
                    } else {
                        pair.server().recv_message(sid, &mut out).map(|_| ())
                    };
                    assert_eq!(error, Err(RecvError::Corrupt), "{body:?}");
                    assert_eq!(pair.server().recv_message(sid, &mut out), Err(RecvError::Stopped));
                    assert!(!pair.server().has_unread());
                }
            }
        }
    }
}

#[test]
fn without_an_offer_compressed_messages_break_the_protocol() {
    let sid = StreamId::new(0, StreamKind::Ordered, false, Side::Client);
    let mut pair = Pair::new();
    let error = inject(&mut pair, sid, &[5, 0x10, 7, 1, 0, 0], 100).map_err(|violation| violation.error);
    assert_eq!(error, Err(E::PROTOCOL_VIOLATION));
}

#[test]
fn the_mark_counts_only_where_a_message_begins() {
    let sid = StreamId::new(0, StreamKind::Ordered, false, Side::Client);
    let mut pair = Pair::with(limits());
    for (offset, data) in [(0, b"ab"), (2, b"cd")] {
        let (bom, eom) = (offset == 0, offset != 0);
        pair.inject(&Frame::Msg(Msg { sid, offset, bom, eom, compressed: !bom, data })).unwrap();
    }
    assert_eq!(received(&mut pair, sid), [b"abcd"]);
}

//! Compressed streams of bytes.

use super::compression::{ADAPTIVE, compressed, limits, noise, open, text};
use super::*;
use crate::stream::block::MAX_ENCODED;
use crate::stream::lz4::Packer;
use crate::stream::pace::Pace;
use crate::wire::frame::{ResetStream, Stream as StreamFrame};
use crate::wire::testing::written;
use crate::wire::{StreamKind, varint};
use proptest::prelude::*;

const BLOCKS: StreamOptions = StreamOptions::bytes().compression(ADAPTIVE);
/// The client's first stream of blocks.
const SID: StreamId = StreamId::new(0, StreamKind::Blocks, false, Side::Client);

fn send_all(pair: &mut Pair, sid: StreamId, data: &[u8]) {
    let now = pair.now;
    assert_eq!(pair.client().send(now, sid, data), Ok(data.len()));
}

fn read(pair: &mut Pair, sid: StreamId) -> Vec<u8> {
    let mut got = Vec::new();
    read_all(pair.server(), sid, &mut got, 1000);
    got
}

fn stored(data: &[u8]) -> Vec<u8> {
    [written(|w| w.varint((data.len() as u64) << 1)), data.to_vec()].concat()
}

/// A compressed block that says it stands for `length` bytes.
fn packed(length: u64, lz4: &[u8]) -> Vec<u8> {
    let header = written(|w| w.varint((lz4.len() as u64) << 1 | 1).and_then(|()| w.varint(length)));
    [header, lz4.to_vec()].concat()
}

/// A compressed block of these bytes.
fn packed_of(data: &[u8]) -> Vec<u8> {
    let mut packer = Packer::default();
    let body = packer.pack(&mut Pace::default(), data).expect("it compresses");
    packed(data.len() as u64, &body[varint::len(data.len() as u64)..])
}

/// Hands bytes of the stream to the server.
fn inject(pair: &mut Pair, offset: usize, data: &[u8], fin: bool) -> Result<(), Violation> {
    pair.inject(&Frame::Stream(StreamFrame { sid: SID, offset: offset as u64, fin, data }))
}

#[test]
fn compressed_or_not_the_same_bytes_arrive() {
    let mut pair = Pair::with(limits());
    let sid = open(&mut pair, BLOCKS);
    assert_eq!(sid.kind(), StreamKind::Blocks);
    let mut raw = 0;
    for length in [1, 2, 31, 255, 256, 300, 1000, 8191, 8192, 16_383, 16_384, 16_385, 60_000, 200_000] {
        for data in [text(length), noise(1, length), [text(length), noise(2, length)].concat()] {
            send_all(&mut pair, sid, &data);
            let mut got = Vec::new();
            while pair.exchange() || got.len() < data.len() {
                got.extend(read(&mut pair, sid));
            }
            assert!(got == data, "{length}");
            raw += data.len() as u64;
        }
    }
    let PackStats { packed, before, after, .. } = compressed(&mut pair);
    assert!(packed >= 20 && before > 10 * after, "{packed}, {before} became {after}");
    let now = pair.now;
    assert!(pair.client().is_flushed());
    pair.client().finish(sid).unwrap();
    pair.settle();
    assert!(read_all(pair.server(), sid, &mut Vec::new(), 1));
    assert!(pair.events(0).contains(&StreamEvent::Finished(sid)));
    // Credit counts what is on the wire.
    let recv = &pair.server().recv;
    assert!(recv.received == recv.released && recv.received < raw * 3 / 4, "{} of {raw}", recv.received);
    // And the other direction, which follows the server's own setting.
    assert_eq!(pair.server().set_compression(sid, ADAPTIVE), Ok(()));
    assert_eq!(pair.server().send(now, sid, &text(5000)), Ok(5000));
    pair.settle();
    let mut got = Vec::new();
    read_all(pair.client(), sid, &mut got, 999);
    assert_eq!(got, text(5000));
    assert_eq!(pair.server().stats().compression.packed, 1);
}

#[test]
fn only_a_peer_that_takes_blocks_gets_them() {
    let policy = |compression| Policy { compression, ..Policy::default() };
    let own = |compression| StreamOptions::bytes().compression(compression);
    let cases = [
        (limits(), StreamOptions::bytes(), StreamKind::Bytes),
        (limits(), BLOCKS, StreamKind::Blocks),
        (Limits { policy: policy(ADAPTIVE), ..limits() }, StreamOptions::bytes(), StreamKind::Blocks),
        (Limits { policy: policy(ADAPTIVE), ..limits() }, own(Compression::Off), StreamKind::Bytes),
        (Limits::default(), BLOCKS, StreamKind::Bytes),
        (Limits { policy: policy(ADAPTIVE), ..Limits::default() }, StreamOptions::bytes(), StreamKind::Bytes),
    ];
    for (limits, options, kind) in cases {
        let mut pair = Pair::with(limits);
        assert_eq!(pair.client().openable(options), 100);
        let sid = open(&mut pair, options);
        assert_eq!(sid.kind(), kind);
        send_all(&mut pair, sid, &text(5000));
        pair.settle();
        assert_eq!(read(&mut pair, sid), text(5000));
        assert_eq!(compressed(&mut pair).packed, u64::from(kind == StreamKind::Blocks));
        let plain = kind == StreamKind::Bytes;
        let error = if plain { Err(SendError::WrongKind) } else { Ok(()) };
        assert_eq!(pair.client().set_compression(sid, ADAPTIVE), error);
    }
    // One that expands and has no place for such streams gets plain ones.
    let mut params = params_of(&limits());
    params.initial_max_streams[SID.ty().as_usize()] = 0;
    let mut client = Streams::new(Side::Client, &limits(), hash());
    client.set_peer_params(&params);
    assert_eq!(client.open(Instant::ZERO, BLOCKS).map(StreamId::kind), Ok(StreamKind::Bytes));
    // Their number has its own limit.
    let mut pair = Pair::with(limits());
    let now = pair.now;
    for _ in 0..100 {
        assert_eq!(pair.client().open(now, BLOCKS).map(StreamId::kind), Ok(StreamKind::Blocks));
    }
    assert_eq!(pair.client().openable(BLOCKS), 0);
    assert_eq!(pair.client().open(now, BLOCKS), Err(OpenError::Limit));
    assert_eq!(pair.client().open(now, StreamOptions::bytes()).map(StreamId::kind), Ok(StreamKind::Bytes));
    let timed = BLOCKS.delivery(Delivery::BestEffort);
    assert_eq!(pair.client().open(now, timed), Err(OpenError::ModeNeedsMessages));
}

#[test]
fn nothing_waits_for_a_block_to_fill() {
    let mut pair = Pair::with(limits());
    let sid = open(&mut pair, BLOCKS);
    for piece in [&b"a"[..], b"few", b"bytes"] {
        send_all(&mut pair, sid, piece);
        assert!(pair.exchange());
        assert_eq!(read(&mut pair, sid), piece);
    }
    // What was written in the same moment is one block.
    for _ in 0..300 {
        send_all(&mut pair, sid, &text(20));
    }
    pair.settle();
    assert_eq!(read(&mut pair, sid).len(), 6000);
    assert_eq!(compressed(&mut pair), PackStats { tried: 1, packed: 1, before: 6000, ..compressed(&mut pair) });
}

#[test]
fn padded_blocks_come_in_few_lengths() {
    let mut pair = Pair::with(limits());
    let sid = open(&mut pair, StreamOptions::bytes().compression(Compression::AdaptivePadded));
    let mut received = 0;
    for length in (1000..9000).step_by(170) {
        let data = [text(length), noise(1, 100)].concat();
        send_all(&mut pair, sid, &data);
        pair.settle();
        assert_eq!(read(&mut pair, sid), data);
        let total = pair.server().recv.received;
        // The length of the LZ4 block, and that of what it stands for, are padded; the first number is not.
        assert_eq!((total - received) % 64, 2, "{length}");
        received = total;
    }
    pair.client().set_compression(sid, ADAPTIVE).unwrap();
    send_all(&mut pair, sid, &text(5000));
    pair.settle();
    assert_ne!((pair.server().recv.received - received) % 64, 2);
}

#[test]
fn incompressible_bytes_cost_little() {
    let mut pair = Pair::with(limits());
    let sid = open(&mut pair, BLOCKS);
    let mut got = Vec::new();
    for n in 0..40 {
        send_all(&mut pair, sid, &noise(n, 50_000));
        while got.len() < usize::from(n + 1) * 50_000 {
            pair.exchange();
            got.extend(read(&mut pair, sid));
        }
    }
    assert!(pair.server().recv.received < 2_000_000 + 2_000_000 / 1000);
    assert!(compressed(&mut pair).tried < 14, "{:?}", compressed(&mut pair));
    pair.client().set_compression(sid, Compression::Off).unwrap();
    send_all(&mut pair, sid, &text(5000));
    pair.settle();
    assert_eq!(read(&mut pair, sid), text(5000));
    assert_eq!(compressed(&mut pair).packed, 0);
}

#[test]
fn bytes_in_place_are_the_expanded_ones() {
    let mut pair = Pair::with(limits());
    let sid = open(&mut pair, BLOCKS);
    for data in [text(3000), b"short".to_vec(), noise(1, 40)] {
        send_all(&mut pair, sid, &data);
        pair.settle();
    }
    let peek = |pair: &mut Pair| {
        let (head, tail) = pair.server().peek(sid).unwrap();
        [head, tail].concat()
    };
    assert_eq!(peek(&mut pair), text(3000));
    let held = pair.server().recv.held;
    assert!(held >= 3000 + 256, "{held}");
    let released = pair.server().recv.released;
    pair.server().consume(sid, 2000).unwrap();
    assert_eq!(peek(&mut pair), text(3000)[2000..]);
    assert_eq!(pair.server().recv.released, released, "the block still takes up its place");
    pair.server().consume(sid, 5000).unwrap();
    assert!(pair.server().recv.released > released);
    assert!(pair.server().recv.held < 3000, "the buffer went to the connection");
    assert!(pair.server().recv_memory() >= pair.server().recv.held + 3000);
    assert_eq!(peek(&mut pair), b"short");
    pair.server().consume(sid, 1).unwrap();
    assert_eq!(peek(&mut pair), b"hort");
    let mut out = [0; 100];
    assert_eq!(pair.server().recv(sid, &mut out), Ok(Recv::Data(44)), "reading goes on across blocks");
    assert_eq!(out[..44], [b"hort", &noise(1, 40)[..]].concat());
    assert_eq!(pair.server().peek(sid), Ok((&[][..], &[][..])));
    pair.server().drop_unread();
    assert_eq!(pair.server().recv_memory(), 0);
}

#[test]
fn a_stream_that_is_given_up_gives_everything_back() {
    for stop in [false, true] {
        let mut pair = Pair::with(limits());
        let sid = open(&mut pair, BLOCKS);
        for (n, data) in [text(5000), noise(1, 300_000)].iter().enumerate() {
            send_all(&mut pair, sid, data);
            assert!(pair.transmit(0));
            pair.deliver(n);
        }
        let mut out = [0; 100];
        assert_eq!(pair.server().recv(sid, &mut out), Ok(Recv::Data(100)));
        if stop {
            pair.server().stop(sid, AppCode::new(7)).unwrap();
            pair.settle();
            assert!(pair.events(0).contains(&StreamEvent::Stopped(sid, AppCode::new(7))));
        } else {
            let code = AppCode::new(7);
            pair.client().reset(sid, code).unwrap();
            pair.settle();
            assert!(pair.events(1).contains(&StreamEvent::Reset(sid, code)));
        }
        let [client, server] = &mut pair.ends;
        assert_eq!((client.send.buffered, client.send.credit_used), (0, server.recv.received));
        assert_eq!(server.recv.received, server.recv.released);
        assert_eq!(server.recv.held, 0);
    }
}

#[test]
fn two_half_sent_blocks_never_block_each_other() {
    // Credit of the connection for less than two blocks, and ten streams that want some.
    let mut pair = Pair::with(Limits { max_data: 20_000, max_stream_data: 9000, ..limits() });
    pair.packet_size = 300;
    let sids: Vec<_> = (0..10).map(|_| open(&mut pair, BLOCKS)).collect();
    for (n, &sid) in sids.iter().enumerate() {
        send_all(&mut pair, sid, &[noise(n as u8, 5000), text(50_000)].concat());
    }
    let mut got = [(); 10].map(|()| Vec::new());
    for _ in 0..2000 {
        pair.exchange();
        for (got, &sid) in got.iter_mut().zip(&sids) {
            got.extend(read(&mut pair, sid));
        }
    }
    for (n, got) in got.iter().enumerate() {
        assert!(*got == [noise(n as u8, 5000), text(50_000)].concat(), "{n}: {}", got.len());
    }
}

#[test]
fn the_largest_block_fits_a_small_window() {
    // A peer that begins a block only when credit covers it.
    let block = [packed(65_536, &[0xff; 65_520]), vec![0; 16]].concat();
    assert!(block.len() as u64 <= MAX_ENCODED + 16);
    let mut pair = Pair::with(Limits { max_data: 70_000, max_stream_data: 70_000, ..limits() });
    let first = stored(&noise(1, 60_000));
    inject(&mut pair, 0, &first, false).unwrap();
    assert_eq!(read(&mut pair, SID), noise(1, 60_000));
    assert!(pair.server().recv.window.granted() >= first.len() as u64 + MAX_ENCODED);
    let stream = pair.server().slab.iter().next().unwrap().1;
    assert!(stream.recv.as_ref().unwrap().limit_to_send().unwrap() >= first.len() as u64 + MAX_ENCODED);
}

#[test]
fn blocks_are_read_wherever_they_are_cut() {
    let data = [b"stored".to_vec(), text(2000), text(700), noise(1, 70), b"end".to_vec()];
    let wire = [
        stored(&data[0]),
        vec![0; 3],
        packed_of(&data[1]),
        packed_of(&data[2]),
        vec![0, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0],
        stored(&data[3]),
        stored(&data[4]),
        vec![0; 70],
    ]
    .concat();
    for size in [1, 2, 3, 7, 50, 1000] {
        for (step, fin) in [(1, false), (13, true), (5000, false)] {
            let (mut pair, mut got, mut ended) = (Pair::with(limits()), Vec::new(), false);
            for (n, piece) in wire.chunks(size).enumerate() {
                let last = (n + 1) * size >= wire.len();
                inject(&mut pair, n * size, piece, fin && last).unwrap();
                ended |= read_all(pair.server(), SID, &mut got, step);
            }
            if !fin {
                inject(&mut pair, wire.len(), &[], true).unwrap();
                ended |= read_all(pair.server(), SID, &mut got, step);
            }
            assert!(ended, "{size} {step}");
            assert_eq!(got, data.concat());
            assert_eq!(pair.server().recv.released, wire.len() as u64);
            assert_eq!(pair.server().recv.held, 0);
        }
    }
}

#[test]
fn a_stored_block_is_read_as_it_arrives() {
    let wire = stored(&noise(1, 10_000));
    let mut pair = Pair::with(limits());
    inject(&mut pair, 0, &wire[..500], false).unwrap();
    assert_eq!(read(&mut pair, SID).len(), 496);
    assert!(!pair.server().has_unread());
    inject(&mut pair, 500, &wire[500..], true).unwrap();
    assert!(pair.server().has_unread());
    assert_eq!(read(&mut pair, SID), noise(1, 10_000)[496..]);
}

/// What is wrong with a stream, and whether the mistake shows only at its end.
fn broken() -> Vec<(Vec<u8>, bool)> {
    let good = packed_of(&text(1000));
    let lie = |length: u64| packed(length, &good[4..]);
    let mut cases = vec![
        (lie(999), false),
        (lie(1001), false),
        (lie(0), false),
        (lie(65_537), false),
        // A bomb: more than any LZ4 block gives.
        (packed(65_536, &[0xff; 200]), false),
        (packed(5000, &[]), false),
        (packed(4, &[]), false),
        (packed(5, &[0x10, 7, 2, 0, 0]), false),
        (packed(5, &[0x10, 7, 1, 0, 0, 9]), false),
        // Blocks larger than there may be.
        (written(|w| w.varint(65_537 << 1)), false),
        (written(|w| w.varint(varint::MAX)), false),
        (written(|w| w.varint(65_537 << 1 | 1).and_then(|()| w.varint(65_536))), false),
    ];
    let stored = stored(b"some bytes");
    cases.extend((1..good.len()).step_by(7).map(|cut| (good[..cut].to_vec(), true)));
    cases.extend((1..stored.len()).map(|cut| (stored[..cut].to_vec(), true)));
    cases
}

#[test]
fn a_block_that_does_not_expand_ends_the_reading() {
    for (wire, at_end) in broken() {
        for before in [&[][..], &stored(b"before")] {
            for peek in [false, true] {
                let wire = [before, &wire].concat();
                let mut pair = Pair::with(limits());
                inject(&mut pair, 0, &wire, false).unwrap();
                let mut got = Vec::new();
                let mut buffer = [0; 4];
                let mut result = Ok(Recv::Data(0));
                while let Ok(Recv::Data(_)) = result {
                    result = if peek {
                        let shown = pair.server().peek(SID).map(|(head, tail)| [head, tail].concat());
                        shown.map(|shown| {
                            got.extend_from_slice(&shown);
                            pair.server().consume(SID, shown.len()).unwrap();
                            if shown.is_empty() { Recv::Blocked } else { Recv::Data(shown.len()) }
                        })
                    } else {
                        let result = pair.server().recv(SID, &mut buffer);
                        if let Ok(Recv::Data(length)) = result {
                            got.extend_from_slice(&buffer[..length]);
                        }
                        result
                    };
                }
                if at_end {
                    assert_eq!(result, Ok(Recv::Blocked), "{wire:?}");
                    pair.events(1);
                    inject(&mut pair, wire.len(), &[], true).unwrap();
                    assert_eq!(pair.events(1), [StreamEvent::Readable(SID)]);
                    result = pair.server().recv(SID, &mut buffer);
                }
                assert_eq!(result, Err(RecvError::Corrupt), "{wire:?}");
                assert!(got.starts_with(&before[before.len().min(1)..]), "{got:?}");
                assert_eq!(pair.server().recv(SID, &mut buffer), Err(RecvError::Stopped));
                assert!(!pair.server().has_unread());
                assert_eq!(pair.server().recv.held, 0);
            }
        }
    }
}

#[test]
fn a_reset_inside_a_block_is_a_reset() {
    let mut pair = Pair::with(limits());
    let wire = [stored(b"before"), packed_of(&text(1000))].concat();
    inject(&mut pair, 0, &wire[..20], false).unwrap();
    let mut buffer = [0; 4];
    assert_eq!(pair.server().recv(SID, &mut buffer), Ok(Recv::Data(4)));
    let reset = ResetStream { sid: SID, code: 5, final_size: wire.len() as u64, reliable_size: 0 };
    pair.inject(&Frame::ResetStream(reset)).unwrap();
    assert_eq!(pair.server().recv(SID, &mut buffer), Ok(Recv::Reset(AppCode::new(5))));
    let recv = &pair.server().recv;
    assert_eq!(recv.received, recv.released);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes as blocks of a stream, in any pieces: no panic, and memory within its bounds.
    #[test]
    fn no_stream_of_blocks_is_a_danger(
        pieces in proptest::collection::vec((any::<prop::sample::Index>(), 1usize..200), 1..40),
        noise in proptest::collection::vec(any::<u8>(), 0..60),
        step in 1usize..2000,
    ) {
        let wire = [stored(b"words"), packed_of(&text(3000)), noise.clone(), packed_of(&text(600)), noise].concat();
        let mut pair = Pair::with(limits());
        let mut buffer = vec![0; step];
        for (at, size) in pieces {
            let start = at.index(wire.len());
            let end = (start + size).min(wire.len());
            inject(&mut pair, start, &wire[start..end], false).unwrap();
            while let Ok(Recv::Data(length)) = pair.server().recv(SID, &mut buffer) {
                prop_assert!(length > 0);
            }
            prop_assert!(pair.server().recv_memory() <= 4096 + 4 * 65_536);
        }
    }
}

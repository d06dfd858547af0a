use alloc::vec;
use alloc::vec::Vec;
use core::net::{Ipv6Addr, SocketAddr};

use proptest::prelude::*;

use super::*;
use crate::error::TransportError;
use crate::wire::header::Cid;
use crate::wire::testing::{any_bytes, any_varint, hex, written};

fn sid(number: u64) -> StreamId {
    StreamId::from_wire(number)
}

fn decode_all(bytes: &[u8]) -> Result<Vec<Frame<'_>>, FrameError> {
    let mut r = Reader::new(bytes);
    let mut frames = Vec::new();
    while !r.is_empty() {
        frames.push(Frame::decode(&mut r)?);
    }
    Ok(frames)
}

fn error(digits: &str) -> FrameError {
    let bytes = hex(digits);
    match Frame::decode(&mut Reader::new(&bytes)) {
        Ok(frame) => panic!("{digits} was read as {frame:?}"),
        Err(error) => error,
    }
}

/// The packet numbers of ranges given by their bounds.
fn ranges(bounds: &[(u64, u64)]) -> AckRanges<'static> {
    let bytes = written(|w| write_recovered(w, bounds.iter().copied()).map(|_| ()));
    match Frame::decode(&mut Reader::new(bytes.leak())) {
        Ok(Frame::Recovered(ranges)) => ranges,
        other => panic!("{other:?}"),
    }
}

/// The project's vectors: each is read, compared, written again and compared.
fn check_vector(digits: &str, expected: Frame<'_>) {
    let bytes = hex(digits);
    let mut r = Reader::new(&bytes);
    assert_eq!(Frame::decode(&mut r), Ok(expected), "{digits}");
    assert!(r.is_empty(), "{digits}");
    assert_eq!(written(|w| expected.encode(w)), bytes);
    assert_eq!(expected.type_code(), u64::from(bytes[0]));
    for cut in 1..bytes.len() {
        assert_eq!(Frame::decode(&mut Reader::new(&bytes[..cut])), Err(FrameError::Truncated(bytes[0].into())));
    }
}

#[test]
fn vectors_of_acknowledgements() {
    let two = ranges(&[(990, 1000), (980, 985)]);
    assert_eq!((two.largest(), two.iter().collect::<Vec<_>>()), (1000, [990..=1000, 980..=985].to_vec()));
    check_vector("0243e805010a0305", Frame::Ack(Ack { delay: 5, ranges: two, ecn: None }));
    let ecn = Some(EcnCounts { ect0: 7, ect1: 0, ce: 1 });
    check_vector("0343e805010a0305070001", Frame::Ack(Ack { delay: 5, ranges: two, ecn }));
    check_vector("31080000", Frame::Recovered(AckRanges::single(8..=8)));
    check_vector("310801000100", Frame::Recovered(ranges(&[(8, 8), (5, 5)])));
    check_vector(
        "0a010a800061a803",
        Frame::AckFreq(AckFreq { seq: 1, eliciting_threshold: 10, max_ack_delay_us: 25_000, reorder_threshold: 3 }),
    );
}

#[test]
fn vectors_of_control_frames() {
    check_vector("01", Frame::Ping);
    check_vector("05", Frame::HandshakeDone);
    check_vector("070a2203626164", Frame::Close(Close { error: 10, frame_type: Some(0x22), reason: b"bad" }));
    check_vector("08412c00", Frame::Close(Close { error: 300, frame_type: None, reason: b"" }));
    check_vector("09", Frame::ImmediateAck);
    let addr = "192.0.2.7:50000".parse().unwrap();
    check_vector("0b0204c0000207c350", Frame::ObservedAddr { seq: 2, addr });
    check_vector("0c0102030405060708", Frame::PathChallenge([1, 2, 3, 4, 5, 6, 7, 8]));
    check_vector("0d0102030405060708", Frame::PathResponse([1, 2, 3, 4, 5, 6, 7, 8]));
    check_vector(
        "0e01000811223344556677880102030405060708090a0b0c0d0e0f10",
        Frame::NewCid(NewCid {
            seq: 1,
            retire_prior_to: 0,
            cid: Cid::new(&hex("1122334455667788")).unwrap(),
            reset_token: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
        }),
    );
    check_vector("0f00", Frame::RetireCid { seq: 0 });
}

#[test]
fn vectors_of_stream_frames() {
    check_vector("171043e80378797a", Frame::Stream(Stream { sid: sid(16), offset: 1000, fin: true, data: b"xyz" }));
    check_vector(
        "18000743e840c8",
        Frame::ResetStream(ResetStream { sid: sid(0), code: 7, final_size: 1000, reliable_size: 200 }),
    );
    check_vector("190007", Frame::StopSending { sid: sid(0), code: 7 });
    check_vector("1a085000", Frame::Skip { sid: sid(8), offset: 4096 });
    check_vector("1b80100000", Frame::MaxData { limit: 1 << 20 });
    check_vector("1c0080040000", Frame::MaxStreamData { sid: sid(0), limit: 256 << 10 });
    check_vector("1d084064", Frame::MaxStreams { ty: StreamType::new(8).unwrap(), limit: 100 });
    check_vector("1e010080010000", Frame::Blocked(Blocked::Stream { sid: sid(0), limit: 65_536 }));
    check_vector("1f00c0", Frame::StreamPriority { sid: sid(0), priority: 192 });
    let begin = Msg { sid: sid(4), offset: 0, bom: true, eom: false, compressed: false, data: b"abc" };
    check_vector("23040003616263", Frame::Msg(begin));
    check_vector("250403026465", Frame::Msg(Msg { offset: 3, bom: false, eom: true, data: b"de", ..begin }));
    let body = hex("43e8deadbeef");
    let compressed = Msg { sid: sid(8), offset: 0, bom: true, eom: true, compressed: true, data: &body };
    check_vector("2f08000643e8deadbeef", Frame::Msg(compressed));
}

#[test]
fn vectors_of_packets() {
    let server =
        hex("0431010480007530030480100000040480040000050300406410060568656c6c6f151024aa541fe47179b35d1a0909a4d3f75d");
    let frames = decode_all(&server).unwrap();
    assert!(matches!(frames[..], [Frame::Params(params)] if params.len() == 49));
    let client = hex("020000000013000568656c6c6f");
    let hello = Frame::Stream(Stream { sid: sid(0), offset: 0, fin: true, data: b"hello" });
    let ack = Frame::Ack(Ack { delay: 0, ranges: AckRanges::single(0..=0), ecn: None });
    assert_eq!(decode_all(&client), Ok([ack, hello].to_vec()));
}

#[test]
fn a_run_of_padding_is_one_frame() {
    let frames = decode_all(&[0, 0, 0, 1, 0, 1]).unwrap();
    assert_eq!(frames, [Frame::Padding { len: 3 }, Frame::Ping, Frame::Padding { len: 1 }, Frame::Ping]);
    assert_eq!(written(|w| Frame::Padding { len: 5 }.encode(w)), [0; 5]);
}

#[test]
fn data_without_length_reaches_to_the_end() {
    let bytes = hex("10046162");
    let stream = Stream { sid: sid(4), offset: 0, fin: false, data: b"ab" };
    assert_eq!(decode_all(&bytes), Ok([Frame::Stream(stream)].to_vec()));
    let bytes = hex("15040761");
    let stream = Stream { sid: sid(4), offset: 7, fin: true, data: b"a" };
    assert_eq!(decode_all(&bytes), Ok([Frame::Stream(stream)].to_vec()));
    let bytes = hex("2604076162");
    let msg = Msg { sid: sid(4), offset: 7, bom: true, eom: true, compressed: false, data: b"ab" };
    assert_eq!(decode_all(&bytes), Ok([Frame::Msg(msg)].to_vec()));
}

#[test]
fn frames_without_data_are_violations() {
    for digits in ["1204 00", "10 04", "16 04 07 00", "21 04 00 00", "27 04 00 00", "20 04 00"] {
        let found = error(&digits.replace(' ', ""));
        assert!(matches!(found, FrameError::Empty(_)), "{digits}: {found:?}");
        assert_eq!(found.transport_error(), TransportError::PROTOCOL_VIOLATION);
    }
    assert!(decode_all(&hex("13040017040700")).is_ok(), "FIN alone is allowed");
}

#[test]
fn types_are_known_and_short() {
    for ty in (0x32..0x40).chain([0x4038 & 0x3f]) {
        assert_eq!(error(&std::format!("{ty:02x}00")), FrameError::UnknownType(ty));
    }
    assert_eq!(error("4001"), FrameError::NonMinimalType(1));
    assert_eq!(error("80000041"), FrameError::NonMinimalType(0x41));
    assert_eq!(error("c0000000000000ff00"), FrameError::NonMinimalType(0xff));
    assert_eq!(error(""), FrameError::Truncated(0));
    assert_eq!(error("40"), FrameError::Truncated(0));
    assert_eq!(error("404000"), FrameError::Extension(0x40));
    let bytes = hex("40410261620180004001 00".replace(' ', "").as_str());
    let extension = Frame::Extension { ty: 0x41, body: b"ab" };
    assert_eq!(decode_all(&bytes), Ok([extension, Frame::Ping, Frame::Extension { ty: 0x4001, body: b"" }].to_vec()));
    for random in [0, 1, 0x1fdf, 0x1fe0, u64::MAX] {
        let ty = types::grease(random);
        assert!((0x40..0x4000).contains(&ty) && ty % 2 == 1);
    }
}

#[test]
fn fields_are_bounded() {
    let invalid = |digits: &str| {
        let found = error(digits);
        assert!(matches!(found, FrameError::Invalid(..)), "{digits}: {found:?}");
        assert_eq!(found.transport_error(), TransportError::FRAME_ENCODING);
        assert_eq!(found.frame_type(), u64::from(hex(digits)[0]));
    };
    invalid("0600");
    invalid(&["064041", &"07".repeat(65)].concat());
    invalid("0b0005c0000207c350");
    invalid(&["0e020304aabbccdd", &"00".repeat(16)].concat());
    invalid(&["0e010000", &"00".repeat(16)].concat());
    invalid(&["0e010011", &"00".repeat(33)].concat());
    invalid("16 00 ffffffffffffffff 01 61".replace(' ', "").as_str());
    invalid("21 04 ffffffffffffffff 01 61".replace(' ', "").as_str());
    invalid("18000743e843e9");
    invalid("1d1004");
    invalid("1d00c400000000000001");
    invalid("1e000105");
    invalid("1e021005");
    invalid("1e0200c400000000000001");
    invalid("1e030005");
    assert!(decode_all(&hex("1600fffffffffffffffe0161")).is_ok());
    assert!(decode_all(&hex("1d00c400000000000000")).is_ok());
}

#[test]
fn long_reasons_are_cut() {
    let bytes = hex(&["080741 2c".replace(' ', ""), "61".repeat(300), "01".into()].concat());
    let frames = decode_all(&bytes).unwrap();
    let close = Close { error: 7, frame_type: None, reason: &[b'a'; 128] };
    assert_eq!(frames, [Frame::Close(close), Frame::Ping]);
    let long = Frame::Close(Close { reason: &[b'a'; 300], ..close });
    assert_eq!(written(|w| long.encode(w)), written(|w| Frame::Close(close).encode(w)));
}

#[test]
fn only_the_address_of_an_ipv6_socket_travels() {
    let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let addr = SocketAddr::V6(core::net::SocketAddrV6::new(ip, 443, 7, 9));
    let bytes = written(|w| Frame::ObservedAddr { seq: 0, addr }.encode(w));
    assert_eq!(bytes, hex("0b000620010db800000000000000000000000101bb"));
    let addr = SocketAddr::from((ip, 443));
    assert_eq!(decode_all(&bytes), Ok([Frame::ObservedAddr { seq: 0, addr }].to_vec()));
}

#[test]
fn columns_of_the_table() {
    // Specification section 4: ack-eliciting, honoured when recovered.
    let ack = Frame::Ack(Ack { delay: 0, ranges: AckRanges::single(0..=0), ecn: None });
    let close = Frame::Close(Close { error: 0, frame_type: None, reason: b"" });
    let parity = Parity { back: 1, span: 1, mask: 1, index: 0, class: 1, planned: 1, symbol: &[0; 2] };
    let rows = [
        (Frame::Padding { len: 1 }, false, false),
        (Frame::Ping, true, false),
        (ack, false, false),
        (Frame::Params(b""), true, true),
        (Frame::HandshakeDone, true, true),
        (Frame::NewToken(b"t"), true, true),
        (close, false, false),
        (Frame::ImmediateAck, true, false),
        (Frame::PathChallenge([0; 8]), true, false),
        (Frame::PathResponse([0; 8]), true, false),
        (Frame::RetireCid { seq: 0 }, true, true),
        (Frame::MaxData { limit: 0 }, true, true),
        (Frame::Skip { sid: sid(4), offset: 0 }, true, true),
        (Frame::Blocked(Blocked::Data { limit: 0 }), true, true),
        (Frame::Parity(parity), true, false),
        (Frame::Recovered(AckRanges::single(0..=0)), false, false),
        (Frame::Extension { ty: 0x41, body: b"" }, true, false),
    ];
    for (frame, eliciting, acts) in rows {
        assert_eq!((frame.is_ack_eliciting(), frame.acts_when_recovered()), (eliciting, acts), "{frame:?}");
    }
}

#[test]
fn a_frame_stays_small() {
    // Frames are read twice per packet and handed around by value.
    assert!(size_of::<Frame<'_>>() <= 80, "{}", size_of::<Frame<'_>>());
}

#[test]
fn parity_is_checked() {
    let good = "30 0a 0a 0102 00 02 01 02 aabb".replace(' ', "");
    let expected = Parity { back: 10, span: 10, mask: 0x201, index: 0, class: 2, planned: 1, symbol: &[0xaa, 0xbb] };
    check_vector(&good, Frame::Parity(expected));
    assert_eq!((expected.first(9), expected.first(10), expected.sources()), (None, Some(0), 2));
    let bad = [
        ("span 0", "30 0a 00 00 02 01 02 aabb"),
        ("span 129", &["30 4081 81", &"ff".repeat(17), "00 02 01 02 aabb"].concat()),
        ("first bit", "30 0a 0a 0002 00 02 01 02 aabb"),
        ("last bit", "30 0a 0a 0101 00 02 01 02 aabb"),
        ("spare bit", "30 0a 0a 0106 00 02 01 02 aabb"),
        ("65 sources", &["30 4080 80", &"ff".repeat(8), &"00".repeat(7), "80 00 02 01 02 aabb"].concat()),
        ("back below span", "30 09 0a 0102 00 02 01 02 aabb"),
        ("class 3", "30 0a 0a 0102 00 03 01 02 aabb"),
        ("class 0", "30 0a 0a 0102 00 00 00 02 aabb"),
        ("class 64", "30 0a 0a 0102 00 40 01 02 aabb"),
        ("planned above class", "30 0a 0a 0102 00 02 03 02 aabb"),
        ("index not below planned", "30 0a 0a 0102 01 02 01 02 aabb"),
        ("odd symbol", "30 0a 0a 0102 00 02 01 03 aabbcc"),
        ("empty symbol", "30 0a 0a 0102 00 02 01 00"),
    ];
    for (what, digits) in bad {
        let found = error(&digits.replace(' ', ""));
        assert!(matches!(found, FrameError::Invalid(0x30, _)), "{what}: {found:?}");
    }
    let most = ["30 4080 80", &"ff".repeat(7), "7f", &"00".repeat(7), "80 00 20 20 02 aabb"].concat();
    assert!(decode_all(&hex(&most.replace(' ', ""))).is_ok());
}

fn any_sid() -> impl Strategy<Value = StreamId> {
    any_varint().prop_map(StreamId::from_wire)
}

fn any_type() -> impl Strategy<Value = StreamType> {
    prop::sample::select(&StreamType::ALL[..])
}

fn any_limit() -> impl Strategy<Value = u64> {
    any_varint().prop_map(|limit| limit.min(StreamType::MAX_STREAMS))
}

/// Offsets at which some data still fits below 2^62.
fn any_offset() -> impl Strategy<Value = u64> {
    any_varint().prop_map(|offset| offset.min(varint::MAX - 100))
}

/// Bounds of ranges, largest first, apart from each other.
fn any_bounds(count: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<(u64, u64)>> {
    let step = prop_oneof![0..100u64, 0..1u64 << 40];
    let steps = prop::collection::vec((step.clone(), step), count);
    (0..1u64 << 40, steps).prop_map(|(start, steps)| {
        let mut next = start;
        let mut bounds = Vec::new();
        for (len, gap) in steps {
            bounds.push((next, next + len));
            next += len + gap + 2;
        }
        bounds.reverse();
        bounds
    })
}

fn any_parity() -> impl Strategy<Value = Parity<'static>> {
    let block = (1..=MAX_SPAN, any::<u128>(), any::<u128>(), any_varint());
    let symbol = (1..40usize).prop_flat_map(|half| any_bytes(half * 2));
    (block, 0..6u32, any::<u8>(), any::<u8>(), symbol).prop_map(
        |((span, bits, thin, back), class, planned, index, symbol)| {
            let class = 1u8 << class;
            let planned = planned % class + 1;
            let last = 1u128 << (span - 1);
            let inside = last | (last - 1);
            let mut mask = bits & inside;
            if mask.count_ones() > MAX_SYMBOLS - 2 {
                mask &= thin;
            }
            while mask.count_ones() > MAX_SYMBOLS - 2 {
                mask &= mask - 1;
            }
            let back = back.max(span.into());
            Parity { back, span, mask: mask | last | 1, index: index % planned, class, planned, symbol }
        },
    )
}

fn any_frame() -> impl Strategy<Value = Frame<'static>> {
    let ack = (any_varint(), any_bounds(1..=32), prop::option::of((any_varint(), any_varint(), any_varint())));
    let control = prop_oneof![
        Just(Frame::Ping),
        Just(Frame::HandshakeDone),
        Just(Frame::ImmediateAck),
        (1..2000usize).prop_map(|len| Frame::Padding { len }),
        ack.prop_map(|(delay, bounds, ecn)| {
            let ecn = ecn.map(|(ect0, ect1, ce)| EcnCounts { ect0, ect1, ce });
            Frame::Ack(Ack { delay, ranges: ranges(&bounds), ecn })
        }),
        any_bounds(1..=32).prop_map(|bounds| Frame::Recovered(ranges(&bounds))),
        any_bytes(0..300).prop_map(Frame::Params),
        any_bytes(1..=64).prop_map(Frame::NewToken),
        (any_varint(), prop::option::of(any_varint()), any_bytes(0..=128))
            .prop_map(|(error, frame_type, reason)| Frame::Close(Close { error, frame_type, reason })),
        (any_varint(), any_varint(), any_varint(), any_varint()).prop_map(|(seq, threshold, delay, reorder)| {
            Frame::AckFreq(AckFreq {
                seq,
                eliciting_threshold: threshold,
                max_ack_delay_us: delay,
                reorder_threshold: reorder,
            })
        }),
        (any_varint(), any::<[u8; 4]>(), any::<u16>())
            .prop_map(|(seq, ip, port)| Frame::ObservedAddr { seq, addr: (ip, port).into() }),
        (any_varint(), any::<[u8; 16]>(), any::<u16>())
            .prop_map(|(seq, ip, port)| Frame::ObservedAddr { seq, addr: (ip, port).into() }),
        any::<[u8; 8]>().prop_map(Frame::PathChallenge),
        any::<[u8; 8]>().prop_map(Frame::PathResponse),
        (any_varint(), any_varint(), any_bytes(1..=16), any::<[u8; 16]>()).prop_map(|(a, b, cid, reset_token)| {
            let cid = Cid::new(cid).unwrap();
            Frame::NewCid(NewCid { seq: a.max(b), retire_prior_to: a.min(b), cid, reset_token })
        }),
        any_varint().prop_map(|seq| Frame::RetireCid { seq }),
        (any_varint(), any_bytes(0..50))
            .prop_map(|(ty, body)| Frame::Extension { ty: ty.max(types::EXTENSION) | 1, body }),
        any_parity().prop_map(Frame::Parity),
    ];
    let streams = prop_oneof![
        (any_sid(), any_offset(), any::<bool>(), any_bytes(0..100)).prop_map(|(sid, offset, fin, data)| {
            Frame::Stream(Stream { sid, offset, fin: fin || data.is_empty(), data })
        }),
        (any_sid(), any_offset(), any::<[bool; 3]>(), any_bytes(1..100)).prop_map(
            |(sid, offset, [bom, eom, compressed], data)| Frame::Msg(Msg { sid, offset, bom, eom, compressed, data })
        ),
        (any_sid(), any_varint(), any_varint(), any_varint()).prop_map(|(sid, code, a, b)| {
            Frame::ResetStream(ResetStream { sid, code, final_size: a.max(b), reliable_size: a.min(b) })
        }),
        (any_sid(), any_varint()).prop_map(|(sid, code)| Frame::StopSending { sid, code }),
        (any_sid(), any_varint()).prop_map(|(sid, offset)| Frame::Skip { sid, offset }),
        any_varint().prop_map(|limit| Frame::MaxData { limit }),
        (any_sid(), any_varint()).prop_map(|(sid, limit)| Frame::MaxStreamData { sid, limit }),
        (any_type(), any_limit()).prop_map(|(ty, limit)| Frame::MaxStreams { ty, limit }),
        any_varint().prop_map(|limit| Frame::Blocked(Blocked::Data { limit })),
        (any_sid(), any_varint()).prop_map(|(sid, limit)| Frame::Blocked(Blocked::Stream { sid, limit })),
        (any_type(), any_limit()).prop_map(|(ty, limit)| Frame::Blocked(Blocked::Streams { ty, limit })),
        (any_sid(), any::<u8>()).prop_map(|(sid, priority)| Frame::StreamPriority { sid, priority }),
    ];
    prop_oneof![2 => control, 1 => streams]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn round_trip(frame in any_frame()) {
        let bytes = written(|w| frame.encode(w));
        let mut r = Reader::new(&bytes);
        prop_assert_eq!(Frame::decode(&mut r), Ok(frame));
        prop_assert!(r.is_empty());
        prop_assert_eq!(decode_type(&mut Reader::new(&bytes)), Ok(frame.type_code()));
        // One byte less: nothing is left behind.
        let mut small = std::vec![0; bytes.len() - 1];
        let mut w = Writer::new(&mut small);
        prop_assert_eq!(frame.encode(&mut w), Err(Full));
        prop_assert_eq!(w.position(), 0);
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        ty in prop::option::of(0..0x42u8),
        mut bytes in prop::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..120),
    ) {
        if let (Some(ty), Some(first)) = (ty, bytes.first_mut()) {
            *first = ty;
        }
        let mut r = Reader::new(&bytes);
        while !r.is_empty() {
            let before = r.remaining();
            let Ok(frame) = Frame::decode(&mut r) else { break };
            prop_assert!(r.remaining() < before, "every frame takes at least one byte");
            prop_assert!(r.position() <= bytes.len());
            let again = written(|w| frame.encode(w));
            let mut r = Reader::new(&again);
            prop_assert_eq!(Frame::decode(&mut r), Ok(frame));
            prop_assert!(r.is_empty());
        }
    }

    #[test]
    fn cut_and_changed_frames_are_read_without_panic(frame in any_frame(), at: prop::sample::Index, value: u8) {
        let mut bytes = written(|w| frame.encode(w));
        let at = at.index(bytes.len());
        let _ = decode_all(&bytes[..at]);
        bytes[at] = value;
        let _ = decode_all(&bytes);
    }

    #[test]
    fn header_lengths_are_exact(sid in any_sid(), offset in any_offset(), len in 0..2000usize) {
        let stream = written(|w| write_stream(w, sid, offset, len, true).map(|slot| assert_eq!(slot.len(), len)));
        prop_assert_eq!(stream.len(), stream_header_len(sid, offset, len) + len);
        let msg = written(|w| write_msg(w, sid, offset, len, true, true, false).map(|_| ()));
        prop_assert_eq!(msg.len(), msg_header_len(sid, offset, len) + len);
    }

    #[test]
    fn an_ack_holds_the_ranges_that_fit(
        bounds in any_bounds(1..80),
        room in 0..600usize,
        counts in prop::option::of(any_varint()),
        delay in any_varint(),
    ) {
        let ecn = counts.map(|n| EcnCounts { ect0: n, ect1: 0, ce: n });
        let mut buffer = std::vec![0xee; room];
        let mut w = Writer::new(&mut buffer);
        match write_ack(&mut w, delay, bounds.iter().copied(), ecn) {
            Ok(n) => {
                prop_assert!((1..=bounds.len().min(MAX_RANGES_SENT)).contains(&n));
                let bytes = w.written();
                let mut r = Reader::new(bytes);
                let Ok(Frame::Ack(ack)) = Frame::decode(&mut r) else { panic!("not an ACK") };
                prop_assert!(r.is_empty());
                prop_assert_eq!((ack.delay, ack.ecn, ack.ranges.largest()), (delay, ecn, bounds[0].1));
                let read: Vec<_> = ack.ranges.iter().map(|range| (*range.start(), *range.end())).collect();
                prop_assert_eq!(&read[..], &bounds[..n]);
                // Nothing that would have fitted was left out: a pair takes at most 16 bytes.
                prop_assert!(n == bounds.len().min(MAX_RANGES_SENT) || w.remaining() < 16);
            }
            Err(Full) => {
                prop_assert_eq!(w.position(), 0);
                prop_assert!(room < 1 + 8 + 8 + 1 + 8 + 17);
            }
        }
    }
}

#[test]
fn a_receiver_looks_at_64_ranges() {
    let bytes = written(|w| {
        w.bytes(&hex("024fa0004063"))?;
        w.u8(0)?;
        w.zeros(2 * 99)?;
        w.u8(1)
    });
    let frames = decode_all(&bytes).unwrap();
    let [Frame::Ack(ack), Frame::Ping] = frames[..] else { panic!("{frames:?}") };
    let read: Vec<_> = ack.ranges.iter().collect();
    assert_eq!((read.len(), read[0].clone(), read[63].clone()), (64, 4000..=4000, 3874..=3874));
    // Below zero is an error wherever it is.
    assert!(matches!(error("02050001000400"), FrameError::Invalid(2, _)));
    assert!(matches!(error("0205000006"), FrameError::Invalid(2, _)));
    assert!(matches!(error("02050001010204"), FrameError::Invalid(2, _)));
    assert_eq!(error("0205003fffff"), FrameError::Truncated(2));
    assert_eq!(error("020500ffffffffffffffff00"), FrameError::Truncated(2));
    // No ranges, no frame.
    assert!(written(|w| write_ack(w, 0, [], None).map(|n| assert_eq!(n, 0))).is_empty());
    assert!(written(|w| write_recovered(w, []).map(|n| assert_eq!(n, 0))).is_empty());
}

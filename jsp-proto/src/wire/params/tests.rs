use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::wire::cursor::Writer;
use crate::wire::testing::{any_bytes, any_varint, hex, written};
use ParamsContext::{P1, P2, ServerParams};

fn with_streams(entries: &[(usize, u64)]) -> [u64; 16] {
    let mut limits = [DEFAULT_MAX_STREAMS; 16];
    for (ty, limit) in entries {
        limits[*ty] = *limit;
    }
    limits
}

#[test]
fn client_parameters_of_the_vectors() {
    let nk = "010480007530020245ac03048010000004048004000005030140640801040902404010060568656c6c6f";
    let ik_psk =
        [nk, "2020951e15eb543ca483cee7ecc6bca345bd87e128112d4953aa814896115c85dce0", "220570736b2d31"].concat();
    let bytes = hex(&ik_psk);
    let (params, extras) = decode_params(&bytes, P1).unwrap();
    let expected = Params {
        max_udp_payload: 1452,
        initial_max_data: 1 << 20,
        initial_max_stream_data: 256 << 10,
        fec_max_symbols: 64,
        ..Params::default()
    };
    assert_eq!(params, expected);
    assert_eq!(extras.app_protocols.unwrap().iter().collect::<Vec<_>>(), [b"hello"]);
    assert_eq!(extras.client_key_id.unwrap()[..4], [0x95, 0x1e, 0x15, 0xeb]);
    assert_eq!(extras.psk_id, Some(&b"psk-1"[..]));

    let bytes = hex(nk);
    let (params, extras) = decode_params(&bytes, P1).unwrap();
    assert_eq!(params, expected);
    assert_eq!((extras.client_key_id, extras.psk_id, extras.refuse), (None, None, None));
}

#[test]
fn server_parameters_of_the_vectors() {
    let bytes =
        hex("010480007530030480100000040480040000050300406410060568656c6c6f151024aa541fe47179b35d1a0909a4d3f75d");
    let (params, extras) = decode_params(&bytes, ServerParams).unwrap();
    let token = hex("24aa541fe47179b35d1a0909a4d3f75d").try_into().unwrap();
    let expected = Params {
        initial_max_data: 1 << 20,
        initial_max_stream_data: 256 << 10,
        reset_token: Some(token),
        ..Params::default()
    };
    assert_eq!(params, expected);
    assert_eq!(extras.app_protocols.unwrap().iter().collect::<Vec<_>>(), [b"hello"]);
}

#[test]
fn nothing_means_the_defaults() {
    assert_eq!(decode_params(&[], P1), Ok((Params::default(), Extras::default())));
    assert!(written(|w| encode_params(&Params::default(), &Extras::default(), P1, w)).is_empty());
    assert_eq!(Params::default().out_of_range(crate::wire::Side::Client), None);
}

#[test]
fn refusal() {
    let extras = Extras { refuse: Some(300), ..Extras::default() };
    let bytes = written(|w| encode_params(&Params::default(), &extras, P2, w));
    assert_eq!(bytes, hex("3002412c"));
    assert_eq!(decode_params(&bytes, P2).unwrap().1.refuse, Some(300));
    assert_eq!(decode_params(&bytes, P1), Err(ParamsError::Misplaced(0x30)));
    assert_eq!(decode_params(&bytes, ServerParams), Err(ParamsError::Misplaced(0x30)));
}

#[test]
fn form_is_checked() {
    let p1 = |digits: &str| decode_params(&hex(digits), P1).map(|_| ()).unwrap_err();
    assert_eq!(p1("01"), ParamsError::Truncated);
    assert_eq!(p1("010480"), ParamsError::Truncated);
    assert_eq!(p1("01010101 0102".replace(' ', "").as_str()), ParamsError::Order(1), "repeated");
    assert_eq!(p1("0601050101 05".replace(' ', "").as_str()), ParamsError::Order(1), "descending");
    assert_eq!(p1("401b0040 1b00".replace(' ', "").as_str()), ParamsError::Order(0x1b), "unknown ids count too");
    assert_eq!(p1("01020505"), ParamsError::Malformed(1), "too long");
    assert_eq!(p1("010140"), ParamsError::Malformed(1), "too short");
    assert_eq!(p1("0100"), ParamsError::Malformed(1), "empty");
    assert_eq!(p1("1000"), ParamsError::Malformed(0x10), "no protocol");
    assert_eq!(p1("100100"), ParamsError::Malformed(0x10), "empty name");
    assert_eq!(p1("1003036162"), ParamsError::Malformed(0x10), "name cut off");
    assert_eq!(p1("1100"), ParamsError::Malformed(0x11));
    assert_eq!(p1("11054a53500100"), ParamsError::Malformed(0x11));
    assert_eq!(p1("1203000100"), ParamsError::Malformed(0x12));
    assert_eq!(p1(&["201f", &"00".repeat(31)].concat()), ParamsError::Malformed(0x20));
    assert_eq!(p1(&["2144bf", &"00".repeat(1215)].concat()), ParamsError::Malformed(0x21));
    assert_eq!(p1(&["224041", &"00".repeat(65)].concat()), ParamsError::Malformed(0x22));
    assert_eq!(p1(&["244201", &"00".repeat(513)].concat()), ParamsError::Malformed(0x24));
    let both = ["2020", &"00".repeat(32), "2144c0", &"00".repeat(1216)].concat();
    assert_eq!(p1(&both), ParamsError::TwoClientKeys);
    assert_eq!(decode_params(&hex("1502aabb"), ServerParams), Err(ParamsError::Malformed(0x15)));
    assert_eq!(decode_params(&hex("100401610162"), ServerParams), Err(ParamsError::Malformed(0x10)), "two answers");
}

#[test]
fn places_are_checked() {
    let token = ["1510", &"00".repeat(16)].concat();
    assert_eq!(decode_params(&hex(&token), P1), Err(ParamsError::Misplaced(0x15)));
    for (digits, id) in [(["2020", &"00".repeat(32)].concat(), 0x20), ("220161".into(), 0x22), ("240161".into(), 0x24)]
    {
        assert!(decode_params(&hex(&digits), P1).is_ok());
        assert_eq!(decode_params(&hex(&digits), ServerParams), Err(ParamsError::Misplaced(id)));
    }
    assert_eq!(decode_params(&hex("010105"), P2), Err(ParamsError::Misplaced(1)));
}

#[test]
fn unknown_ids_are_ignored() {
    let bytes = hex("0d01050e0301020323020102401bff".replace("401bff", "4099 00").replace(' ', "").as_str());
    assert_eq!(decode_params(&bytes, P1).unwrap().0.min_ack_delay_us, Some(5));
    for random in [0, 1, 65535, u64::MAX] {
        let id = grease_id(random);
        assert_eq!(id % 31, 27);
        let extras = Extras { app_token: Some(b"t"), grease: Some((id, b"any")), ..Extras::default() };
        let bytes = written(|w| encode_params(&Params::default(), &extras, P1, w));
        let read = decode_params(&bytes, P1).unwrap().1;
        assert_eq!(read, Extras { grease: None, ..extras });
    }
}

#[test]
fn sizes_are_bounded() {
    let many = |n: u64| written(|w| (0x100..0x100 + n).try_for_each(|id| w.varint(id).and_then(|()| w.u8(0))));
    assert!(decode_params(&many(64), P1).is_ok());
    assert_eq!(decode_params(&many(65), P1), Err(ParamsError::TooMany));
    let long = |len: usize| {
        written(|w| {
            w.varint(0x100)?;
            w.length_prefixed(&std::vec![0; len - 4])
        })
    };
    assert!(decode_params(&long(2048), P1).is_ok());
    assert_eq!(decode_params(&long(2049), P1), Err(ParamsError::TooMany));
}

#[test]
fn numbers_are_bounded() {
    let read = |id: u64, value: u64| {
        let bytes = written(|w| {
            w.varint(id)?;
            w.length_prefixed(&written(|w| w.varint(value)))
        });
        match decode_params(&bytes, P1) {
            Ok(_) => true,
            Err(error) => {
                // A credit below the default message size is told as the message size that does not fit.
                assert!(matches!(error, ParamsError::Range(bad) if bad == id || bad == 7), "{error:?}");
                false
            }
        }
    };
    assert!(!read(2, 1199) && read(2, 1200) && read(2, 65527) && !read(2, 65528));
    assert!(read(6, 1000) && !read(6, 1001));
    assert!(read(7, 0) && read(7, 65536) && !read(7, 65537));
    assert!(!read(8, 1) && read(8, 2) && read(8, 8) && !read(8, 9));
    assert!(read(9, 0) && read(9, 256) && !read(9, 257));
    assert!(read(0xd, 25_000) && !read(0xd, 25_001));
    assert!(read(1, 0) && read(0xa, 0xff) && read(0xb, 1) && read(0xc, 7));
    let defaults = Params::default;
    let range = |params: Params| params.out_of_range(crate::wire::Side::Client);
    assert_eq!(range(Params { initial_max_data: 16384, max_message_size: 8192, ..defaults() }), None);
    assert_eq!(range(Params { initial_max_data: 16383, max_message_size: 1, ..defaults() }), Some(3));
    assert_eq!(range(Params { initial_max_stream_data: 8192, max_message_size: 8192, ..defaults() }), None);
    assert_eq!(range(Params { initial_max_stream_data: 8192, max_message_size: 8193, ..defaults() }), Some(7));
    assert_eq!(range(Params { initial_max_stream_data: 8191, max_message_size: 1, ..defaults() }), Some(4));
    let large = Params { initial_max_data: 1 << 30, initial_max_stream_data: 1 << 30, ..defaults() };
    assert_eq!(range(Params { max_message_size: 16 << 20, ..large.clone() }), None);
    assert_eq!(range(Params { max_message_size: (16 << 20) + 1, ..large }), Some(7));
}

#[test]
fn stream_limits_name_types_of_the_receiver() {
    let p1 = |digits: &str| decode_params(&hex(digits), P1).map(|(params, _)| params.initial_max_streams);
    let malformed = Err(ParamsError::Malformed(5));
    assert_eq!(p1("0500"), Ok(with_streams(&[])));
    assert_eq!(p1("050401040b05"), Ok(with_streams(&[(1, 4), (11, 5)])));
    assert_eq!(p1("05020004"), malformed, "a type that the client opens");
    assert_eq!(p1("050401040105"), malformed, "twice");
    assert_eq!(p1("05021104"), malformed, "no such type");
    assert_eq!(p1("050101"), malformed, "cut off");
    assert_eq!(p1("05020103"), Err(ParamsError::Range(5)), "below the floor");
    assert_eq!(p1("05020d00"), Ok(with_streams(&[(13, 0)])), "block-encoded streams have no floor");
    assert_eq!(p1("050901c400000000000000"), Ok(with_streams(&[(1, 1 << 58)])));
    assert_eq!(p1("050901c400000000000001"), Err(ParamsError::Range(5)));
    assert!(decode_params(&hex("05020004"), ServerParams).is_ok());
    assert_eq!(decode_params(&hex("05020104"), ServerParams), Err(ParamsError::Malformed(5)));
}

#[test]
fn protocol_lists() {
    let names: [&[u8]; 3] = [b"h3", b"j", &[0xff; 255]];
    let bytes = written(|w| encode_protocols(names, w));
    let list = Protocols::from_encoded(&bytes).unwrap();
    assert_eq!(list.iter().collect::<Vec<_>>(), names);
    assert_eq!(list.as_encoded(), bytes);
    let mut buffer = [0; 600];
    let mut w = Writer::new(&mut buffer);
    assert!(encode_protocols([&b""[..]], &mut w).is_err());
    assert!(encode_protocols([&[0; 256][..]], &mut w).is_err());
}

fn any_params() -> impl Strategy<Value = Params> {
    let sizes = (1200..=65_527u64, 16_384..1u64 << 40, 8192..1u64 << 40, 0..=16u64 << 20);
    let times = (any_varint(), 0..=1000u64, prop::option::of(0..=1_000_000u64));
    let bits = (any_varint(), any_varint(), any_varint(), 2..=8u64, 0..=256u64);
    (sizes, times, bits, prop::array::uniform16(4..=StreamType::MAX_STREAMS)).prop_map(
        |((udp, data, stream_data, message), (idle, ack_delay, min_ack_delay), bits, streams)| Params {
            max_idle_timeout_ms: idle,
            max_udp_payload: udp,
            initial_max_data: data,
            initial_max_stream_data: stream_data,
            initial_max_streams: streams,
            max_ack_delay_ms: ack_delay,
            max_message_size: message.min(data).min(stream_data),
            active_cid_limit: bits.3,
            fec_max_symbols: bits.4,
            fec_schemes: bits.0,
            compression: bits.1,
            flags: bits.2,
            min_ack_delay_us: min_ack_delay.map(|us| us.min(ack_delay * 1000)),
            reset_token: None,
        },
    )
}

proptest! {
    #[test]
    fn round_trip(
        mut params in any_params(),
        from_server: bool,
        name in any_bytes(1..=255),
        psk_id in prop::option::of(any_bytes(0..=64)),
        app_token in prop::option::of(any_bytes(0..=512)),
        key_id in prop::option::of(any_bytes(32)),
        key in any_bytes(1216),
        suites in prop::option::of(any_bytes(2)),
        reset_token: Option<[u8; 16]>,
    ) {
        let list = &*written(|w| encode_protocols([name], w)).leak();
        let mut extras = Extras { app_protocols: Protocols::from_encoded(list), suites, ..Extras::default() };
        let context = if from_server { ServerParams } else { P1 };
        if from_server {
            params.reset_token = reset_token;
        } else {
            extras.psk_id = psk_id;
            extras.app_token = app_token;
            extras.client_key_id = key_id.map(|id| id.try_into().unwrap());
            extras.client_key = key_id.is_none().then_some(key);
        }
        // What the sender opens itself is not sent.
        for ty in StreamType::ALL.iter().filter(|ty| ty.initiator() == context.sender()) {
            params.initial_max_streams[ty.as_usize()] = DEFAULT_MAX_STREAMS;
        }
        let bytes = written(|w| encode_params(&params, &extras, context, w));
        if bytes.len() <= MAX_ENCODED {
            prop_assert_eq!(decode_params(&bytes, context), Ok((params.clone(), extras)));
        }
        let mut small = std::vec![0; bytes.len() - 1];
        let mut w = Writer::new(&mut small);
        prop_assert!(encode_params(&params, &extras, context, &mut w).is_err());
        prop_assert_eq!(w.position(), 0);
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        entries in prop::collection::vec((0..0x32u64, any_bytes(0..9)), 0..12),
        noise in any_bytes(0..100),
    ) {
        let mut sorted = entries;
        sorted.sort();
        sorted.dedup_by_key(|(id, _)| *id);
        let bytes = written(|w| {
            sorted.iter().try_for_each(|(id, value)| w.varint(*id).and_then(|()| w.length_prefixed(value)))
        });
        for context in [P1, P2, ServerParams] {
            let _ = decode_params(noise, context);
            if let Ok((params, extras)) = decode_params(&bytes, context) {
                let again = written(|w| encode_params(&params, &extras, context, w));
                prop_assert_eq!(decode_params(&again, context), Ok((params, extras)));
            }
        }
    }
}

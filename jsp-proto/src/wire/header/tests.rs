use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::wire::Side;
use crate::wire::cursor::{Reader, Writer};
use crate::wire::testing::{any_bytes, any_varint, hex, written};

fn cid(digits: &str) -> Cid {
    Cid::new(&hex(digits)).unwrap()
}

/// (sender, start of a datagram of the project's vectors, type, count, index, destination, source, token)
type Sample = (Side, &'static str, LongType, u8, u8, &'static str, &'static str, &'static str);

const RETRY_TOKEN: &str = "010000123408b1b2b3b4b5b6b7b8da5da750154367304053222bc68b1299";
const SAMPLES: [Sample; 10] = {
    use LongType::{ClientInit, Key, Retry, ServerInit};
    use Side::{Client, Server};
    const C: &str = "a1a2a3a4a5a6a7a8";
    const D: &str = "c1c2c3c4c5c6c7c8";
    const S: &str = "5152535455565758";
    [
        (Client, "c84a53500108c1c2c3c4c5c6c7c808a1a2a3a4a5a6a7a800", ClientInit, 3, 0, D, C, ""),
        (Client, "c94a53500108c1c2c3c4c5c6c7c808a1a2a3a4a5a6a7a800", ClientInit, 3, 1, D, C, ""),
        (Client, "ca4a53500108c1c2c3c4c5c6c7c808a1a2a3a4a5a6a7a800", ClientInit, 3, 2, D, C, ""),
        (Server, "d04a53500108a1a2a3a4a5a6a7a8085152535455565758", ServerInit, 1, 0, C, S, ""),
        (Server, "d44a53500108a1a2a3a4a5a6a7a8085152535455565758", ServerInit, 2, 0, C, S, ""),
        (Server, "d54a53500108a1a2a3a4a5a6a7a8085152535455565758", ServerInit, 2, 1, C, S, ""),
        (
            Client,
            "ca4a53500108ebe6ef1270cdf04a08a1a2a3a4a5a6a7a81e\
             010000123408b1b2b3b4b5b6b7b8da5da750154367304053222bc68b1299",
            ClientInit,
            3,
            2,
            "ebe6ef1270cdf04a",
            C,
            RETRY_TOKEN,
        ),
        (Server, "e04a53500108a1a2a3a4a5a6a7a808ebe6ef1270cdf04a", Retry, 1, 0, C, "ebe6ef1270cdf04a", ""),
        (Client, "f04a53500108919293949596979808a1a2a3a4a5a6a7a800", Key, 1, 0, "9192939495969798", C, ""),
        (Server, "f54a53500108a1a2a3a4a5a6a7a808ed4e5552f2ee6970", Key, 2, 1, C, "ed4e5552f2ee6970", ""),
    ]
};

#[test]
fn long_headers_of_the_vectors() {
    for (from, digits, ty, count, index, dcid, scid, token) in SAMPLES {
        let header = hex(digits);
        let mut datagram = header.clone();
        datagram.extend([0x17; 20]);
        let token = hex(token);
        let expected = LongHeader {
            from,
            ty,
            count,
            index,
            dcid: cid(dcid),
            scid: cid(scid),
            token: &token,
            payload_at: header.len(),
        };
        assert!(is_long(&datagram));
        assert_eq!(long_type(&datagram), Some(ty));
        assert_eq!(decode_long(&datagram, from), Ok(expected));
        assert_eq!(expected.encoded_len(), header.len());
        assert_eq!(written(|w| expected.encode(w)), header);
        for cut in 0..header.len() {
            assert_eq!(decode_long(&header[..cut], from), Err(HeaderError::Truncated), "{cut}");
        }
    }
}

#[test]
fn long_headers_that_are_refused() {
    let decode = |digits: &str, from| match decode_long(&hex(digits), from) {
        Ok(_) => panic!("{digits} was read"),
        Err(HeaderError::Version { version, dcid, scid }) => {
            assert_eq!((version, dcid.len(), scid.len()), (0x1a2a_3a4a, 17, 2));
            None
        }
        Err(HeaderError::Truncated) => Some(HeaderError::Truncated),
        Err(HeaderError::NotLong) => Some(HeaderError::NotLong),
        Err(HeaderError::FixedBit) => Some(HeaderError::FixedBit),
        Err(HeaderError::Type) => Some(HeaderError::Type),
        Err(HeaderError::CidLength) => Some(HeaderError::CidLength),
        Err(HeaderError::TokenLength) => Some(HeaderError::TokenLength),
        Err(HeaderError::Fragment) => Some(HeaderError::Fragment),
    };
    use Side::{Client, Server};
    assert_eq!(decode("4000", Client), Some(HeaderError::NotLong));
    assert_eq!(decode("804a535001000000", Client), Some(HeaderError::FixedBit));
    assert_eq!(decode("c04a5350010000", Server), Some(HeaderError::Type));
    assert_eq!(decode("d04a535001000000", Client), Some(HeaderError::Type));
    assert_eq!(decode("e04a535001000000", Client), Some(HeaderError::Type));
    assert_eq!(decode("c14a535001000000", Client), Some(HeaderError::Fragment));
    assert_eq!(decode(&["f04a53500111", &"07".repeat(17), "00"].concat(), Server), Some(HeaderError::CidLength));
    assert_eq!(decode(&["f04a5350010011", &"07".repeat(17)].concat(), Server), Some(HeaderError::CidLength));
    let token = "07".repeat(129);
    assert_eq!(decode(&["c04a53500100004081", &token].concat(), Client), Some(HeaderError::TokenLength));
    assert_eq!(decode("c04a5350010000ffffffffffffffff", Client), Some(HeaderError::TokenLength));
    // Another version: neither the fixed bit nor the length limit of ours holds.
    assert_eq!(decode(&["801a2a3a4a11", &"07".repeat(17), "020102"].concat(), Server), None);
    assert_eq!(decode(&["801a2a3a4a11", &"07".repeat(17), "0201"].concat(), Server), Some(HeaderError::Truncated));
    assert_eq!(long_type(&[0x70]), None);
    assert!(!is_long(&[]) && !is_long(&[0x7f]));
}

#[test]
fn version_negotiation() {
    let packet = written(|w| encode_version_negotiation(&[1, 2], &[3; 20], 0x1234_5678, w));
    assert_eq!(packet, hex(&["c000000000020102", "14", &"03".repeat(20), "4a5350011a3a5a7a"].concat()));
    let read = decode_version_negotiation(&packet).unwrap();
    assert_eq!((read.dcid, read.scid), (&[1, 2][..], &[3; 20][..]));
    assert_eq!(read.versions().collect::<Vec<_>>(), [VERSION, 0x1a3a_5a7a]);
    for cut in 0..packet.len() {
        // Whole versions may be missing without anybody noticing, as long as one is left.
        assert_eq!(decode_version_negotiation(&packet[..cut]).is_some(), cut == packet.len() - 4, "{cut}");
    }
    assert!(decode_version_negotiation(&hex("c04a535001000000000001")).is_none());
    let mut small = [0; 36];
    let mut w = Writer::new(&mut small);
    assert!(encode_version_negotiation(&[1, 2], &[3; 20], 0, &mut w).is_err());
    assert_eq!(w.position(), 0);
}

#[test]
fn connection_ids() {
    assert!(Cid::default().is_empty());
    assert_eq!(Cid::new(&[]), Some(Cid::default()));
    assert_eq!(Cid::new(&[9; 16]).unwrap().as_slice(), [9; 16]);
    assert_eq!(Cid::new(&[9; 17]), None);
    assert_ne!(Cid::new(&[0]), Cid::new(&[0, 0]));
    assert_eq!(std::format!("{:?}", cid("00ff1a")), "Cid(00ff1a)");
}

#[test]
fn first_bytes_of_short_headers() {
    // The packets of the vectors, with protection removed: F, then the later key phase.
    let fec = ShortFlags { fec: true, key_phase: false, pn_len: 2 };
    assert_eq!(first_byte(fec, false), 0x49);
    let phase = ShortFlags { fec: false, key_phase: true, pn_len: 4 };
    assert_eq!(first_byte(phase, true), 0x67);
    for byte in 0..=255u8 {
        let flags = ShortFlags::from_first_byte(byte);
        let random = byte & RANDOM_BIT != 0;
        assert_eq!(first_byte(flags, random), byte & !LONG_BIT & !RESERVED_BIT | FIXED_BIT);
    }
    assert_eq!(PROTECTED_BITS, 0x1f);
}

#[test]
fn packet_numbers_of_rfc_9000_appendix_a() {
    assert_eq!(packet_number_len(0xac5c02, Some(0xabe8b3)), 2);
    assert_eq!(packet_number_len(0xace8fe, Some(0xabe8b3)), 3);
    assert_eq!(decode_packet_number(0x9b32, 2, 0xa82f_30ea + 1), 0xa82f_9b32);
    assert_eq!((packet_number_len(0, None), packet_number_len(126, None), packet_number_len(127, None)), (1, 1, 2));
    assert_eq!(packet_number_len(1 << 61, Some(0)), 4);
    // Near the end of the number space nothing above it is guessed.
    let max = crate::wire::varint::MAX;
    assert_eq!(decode_packet_number(0, 1, max), max & !0xff);
    assert_eq!(decode_packet_number(0xff, 1, 0), 0xff);
}

#[test]
fn fragments_that_are_refused() {
    let decode = |digits: &str| Fragment::decode(&hex(digits)).map(|f| f.data.len()).map_err(|_| ());
    assert_eq!(decode("000500020003aabbcc0000"), Ok(3));
    assert_eq!(decode("000500020003aabb"), Err(()), "cut off");
    assert_eq!(decode("0005000200"), Err(()), "cut off");
    assert_eq!(decode("000500030003aabbcc"), Err(()), "past the end of the message");
    assert_eq!(decode("0005ffff0003aabbcc"), Err(()), "offset and length overflow");
    assert_eq!(decode("000500020000"), Err(()), "empty");
    assert_eq!(decode("11f8000000010a"), Ok(1), "4600 bytes are the most");
    assert_eq!(decode("11f9000000010a"), Err(()));
}

proptest! {
    #[test]
    fn a_packet_number_survives_truncation(
        expected in any_varint(),
        behind in 0u64..=1 << 20,
        ahead in 0u64..=1 << 20,
    ) {
        // The receiver has seen everything below `expected`, the sender knows of an older packet only.
        let acked = expected.saturating_sub(behind);
        let pn = (expected + ahead).min(crate::wire::varint::MAX);
        let len = packet_number_len(pn, Some(acked));
        let truncated = pn & ((1 << (len * 8)) - 1);
        prop_assert_eq!(decode_packet_number(truncated, len, expected), pn);
        prop_assert_eq!(decode_packet_number(pn, len, expected), pn);
    }

    #[test]
    fn long_header_round_trip(
        kind in 0..4u8,
        (count, index) in (1..=4u8).prop_flat_map(|count| (Just(count), 0..count)),
        dcid in any_bytes(0..=16),
        scid in any_bytes(0..=16),
        token in any_bytes(0..=128),
    ) {
        let ty = [LongType::ClientInit, LongType::ServerInit, LongType::Retry, LongType::Key][usize::from(kind)];
        let from = if ty.is_sent_by(Side::Client) { Side::Client } else { Side::Server };
        let token = if from == Side::Client { token } else { &[] };
        let (dcid, scid) = (Cid::new(dcid).unwrap(), Cid::new(scid).unwrap());
        let mut header = LongHeader { from, ty, count, index, dcid, scid, token, payload_at: 0 };
        let bytes = written(|w| header.encode(w));
        header.payload_at = bytes.len();
        prop_assert_eq!(header.encoded_len(), bytes.len());
        prop_assert_eq!(decode_long(&bytes, from), Ok(header));
        let mut small = std::vec![0; bytes.len() - 1];
        let mut w = Writer::new(&mut small);
        prop_assert!(header.encode(&mut w).is_err());
        prop_assert_eq!(w.position(), 0);
    }

    #[test]
    fn fragment_round_trip(data in any_bytes(1..100), offset in 0..4400u16, more in 0..100u16, padding in 0..50usize) {
        let fragment = Fragment { total: offset + data.len() as u16 + more, offset, data };
        let mut bytes = written(|w| fragment.encode(w));
        prop_assert_eq!(bytes.len(), Fragment::HEADER_LEN + data.len());
        bytes.resize(bytes.len() + padding, 0);
        prop_assert_eq!(Fragment::decode(&bytes), Ok(fragment));
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..300),
        mark in any::<bool>(),
    ) {
        if mark && bytes.len() > 5 {
            bytes[1..5].copy_from_slice(&VERSION.to_be_bytes());
            bytes[0] |= 0xc0;
        }
        for from in [Side::Client, Side::Server] {
            if let Ok(header) = decode_long(&bytes, from) {
                prop_assert!(header.payload_at <= bytes.len());
                let again = written(|w| header.encode(w));
                let payload_at = again.len();
                prop_assert_eq!(decode_long(&again, from), Ok(LongHeader { payload_at, ..header }));
            }
        }
        if let Some(negotiation) = decode_version_negotiation(&bytes) {
            prop_assert!(negotiation.versions().count() > 0);
        }
        let _ = Fragment::decode(&bytes);
        prop_assert!(Reader::new(&bytes).remaining() == bytes.len());
    }
}

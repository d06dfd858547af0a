//! Cases of the topic `wire`.

use serde_json::json;

use super::super::value::written;
use super::{Case, case, count_hex, hex};

pub(super) fn wire() -> Vec<Case> {
    let mut cases = numbers();
    cases.extend(headers());
    cases.extend(frames().into_iter().map(|(name, bytes)| case("frame", name, json!({ "bytes": bytes }))));
    cases.extend(
        params()
            .into_iter()
            .map(|(name, context, bytes)| case("params", name, json!({ "context": context, "bytes": bytes }))),
    );
    cases
}

fn numbers() -> Vec<Case> {
    let varints = [
        "00",
        "3f",
        "4040",
        "7fff",
        "80004000",
        "bfffffff",
        "c000000040000000",
        "ffffffffffffffff",
        "4000",
        "80000001",
        "c000000000003fff",
    ];
    let mut cases: Vec<_> =
        varints.iter().map(|bytes| case("varint", format!("varint_{bytes}"), json!({ "bytes": bytes }))).collect();
    for id in [0, 1, 2, 3, 4, 6, 9, 15, 0x5b, 1 << 30] {
        cases.push(case("stream_id", format!("stream_id_{id}"), json!({ "id": id })));
    }
    cases.push(case("stream_id", "stream_id_largest", json!({ "id": ((1u64 << 62) - 1).to_string() })));
    let encodings: [(u64, Option<u64>); 10] = [
        (0, None),
        (126, None),
        (127, None),
        (0xac5c02, Some(0xabe8b3)),
        (0xace8fe, Some(0xabe8b3)),
        (1000, Some(999)),
        (1127, Some(1000)),
        (1128, Some(1000)),
        (0x7fff, None),
        (1 << 40, Some((1 << 40) - (1 << 23))),
    ];
    for (pn, acked) in encodings {
        let mut inputs = json!({ "packet_number": pn });
        let name = match acked {
            Some(acked) => format!("packet_number_{pn}_after_{acked}"),
            None => format!("packet_number_{pn}"),
        };
        if let Some(acked) = acked {
            inputs["largest_acknowledged"] = json!(acked);
        }
        cases.push(case("packet_number_encoding", name, inputs));
    }
    let decodings: [(&str, Option<u64>); 9] = [
        ("9b32", Some(0xa82f30ea)),
        ("00", None),
        ("ff", None),
        ("00", Some(255)),
        ("ff", Some(256)),
        ("80", Some(383)),
        ("7f", Some(255)),
        ("ffffffff", Some(1 << 40)),
        ("010000", Some(0xffffff)),
    ];
    for (bytes, largest) in decodings {
        let mut inputs = json!({ "bytes": bytes });
        if let Some(largest) = largest {
            inputs["largest_received"] = json!(largest);
        }
        let name = largest.map_or(format!("bytes_{bytes}"), |largest| format!("bytes_{bytes}_after_{largest}"));
        cases.push(case("packet_number_decoding", name, inputs));
    }
    cases
}

fn headers() -> Vec<Case> {
    let (eight, sixteen) = (count_hex::<8>(0xc1), count_hex::<16>(0x20));
    let long = [
        ("long_ci_alone", "client", format!("c04a53500108{eight}0000ffee")),
        ("long_ci_third_of_three", "client", format!("ca4a53500108{eight}08a1a2a3a4a5a6a7a80003aabbccddee")),
        ("long_ci_fourth_of_four_token", "client", format!("cf4a53500110{sixteen}10{sixteen}03aabbccdd")),
        ("long_ci_longest_token", "client", format!("c04a53500108{eight}004080{}", "5a".repeat(128))),
        ("long_ci_token_length_in_four_bytes", "client", format!("c04a53500108{eight}0080000001aabb")),
        ("long_si_second_of_two", "server", format!("d54a5350010008{eight}99")),
        ("long_retry", "server", format!("e04a53500108{eight}04010203048877")),
        ("long_keyreq", "client", format!("f04a53500108{eight}000000")),
        ("long_keyinfo_second_of_two", "server", format!("f54a53500108{eight}10{sixteen}01")),
    ];
    let mut cases: Vec<_> = long
        .into_iter()
        .map(|(name, from, bytes)| case("long_header", name, json!({ "from": from, "datagram": bytes })))
        .collect();
    for (name, bytes) in [
        ("fragment_whole", "000300000003aabbcc"),
        ("fragment_padded", "000500020003aabbcc00000000"),
        ("fragment_end_of_longest", "11f811f700017700"),
        ("fragment_padding_is_not_looked_at", "000100000001aa0001"),
    ] {
        cases.push(case("fragment", name, json!({ "plaintext": bytes })));
    }
    for (name, dcid, scid) in
        [("short", "0102", ""), ("of_other_versions", &"0a".repeat(20)[..], &"bb".repeat(255)[..])]
    {
        let inputs = json!({ "dcid": dcid, "scid": scid, "reserved_version": "1a3a5a7a" });
        cases.push(case("version_negotiation", format!("version_negotiation_{name}_ids"), inputs));
    }
    for (name, fec, phase, random, len) in [
        ("plain", false, false, false, 1),
        ("fec", true, false, false, 2),
        ("key_phase", false, true, true, 3),
        ("all", true, true, true, 4),
    ] {
        let inputs = json!({ "fec": fec, "key_phase": phase, "random_bit": random, "packet_number_length": len });
        cases.push(case("short_header", format!("short_header_{name}"), inputs));
    }
    cases
}

/// Frames that the independent cases lack, and other encodings of some.
fn frames() -> Vec<(&'static str, String)> {
    let reason = format!("070a004080{}", "78".repeat(128));
    let ranges = format!("02403f001f00{}", "0000".repeat(31));
    let largest_block = format!("3040ff80{}1f20200401020304", every_other());
    let frames: [(&str, &str); 42] = [
        ("padding_1", "00"),
        ("padding_run", "000000000000"),
        ("ack_single_0", "0200000000"),
        ("ack_32_ranges", &ranges),
        ("ack_largest_number", "02ffffffffffffffff00014000bfffffff00"),
        ("ack_ecn_large_counts", "03050000058010000040ff01"),
        ("ack_not_shortest", "024005800000030005"),
        ("params_empty", "0400"),
        ("params_of_server", "040601044000ea60"),
        ("new_token_one_byte", "060142"),
        ("close_longest_reason", &reason),
        ("close_app_reason", "080703627965"),
        ("close_app_largest_code", "08ffffffffffffffff00"),
        ("ack_freq_zeros", "0a00000000"),
        ("observed_addr_ipv6", "0b0706200100000000000000000000000000010fa0"),
        ("new_cid_longest", "0e0502100102030405060708090a0b0c0d0e0f10ffeeddccbbaa99887766554433221100"),
        ("new_cid_shortest", "0e010101aa000102030405060708090a0b0c0d0e0f"),
        ("retire_cid_large", "0f80010000"),
        ("stream_to_end_of_packet", "1000616263"),
        ("stream_fin_alone", "130400"),
        ("stream_offset_to_end", "144041407f7a"),
        ("stream_offset_0_written", "16000001ff"),
        ("stream_last_byte", "1600fffffffffffffffe0142"),
        ("reset_stream_clean_end", "18080040644064"),
        ("stop_sending_large", "1980010003bfffffff"),
        ("skip_0", "1a0400"),
        ("max_data_largest", "1bffffffffffffffff"),
        ("max_streams_largest", "1d0ec400000000000000"),
        ("blocked_data", "1e000080010000"),
        ("blocked_streams", "1e02094064"),
        ("stream_priority_urgent", "1f8001000bff"),
        ("msg_bom_eom_to_end", "2608006869"),
        ("msg_middle", "21044321026d6d"),
        ("msg_compressed_start", "2b08000403e8ff00"),
        ("msg_offset_not_shortest", "27044000026869"),
        ("parity_class_1", "3002020300010104000302ff"),
        ("parity_sparse", "300f0a210203080402abcd"),
        ("parity_largest_block", &largest_block),
        ("recovered_ranges", "314064020103020005"),
        ("extension_odd", "404103616263"),
        ("extension_odd_empty", "7fff00"),
        ("extension_type_of_four_bytes", "8000400101aa"),
    ];
    frames.iter().map(|(name, bytes)| (*name, (*bytes).to_owned())).collect()
}

/// 64 sources in a span of 128: the first and the last, and every other one between.
fn every_other() -> String {
    let mask: u128 = (0..63).fold(1 << 127, |mask, place| mask | 1 << (2 * place));
    hex(&mask.to_le_bytes())
}

/// Parameters: name, place and bytes.
fn params() -> Vec<(&'static str, &'static str, String)> {
    let numbers: String = [
        (0x01, 0),
        (0x02, 65_527),
        (0x03, 1 << 40),
        (0x04, 1 << 30),
        (0x06, 1000),
        (0x07, 16 << 20),
        (0x08, 8),
        (0x09, 256),
        (0x0a, 1),
        (0x0b, 1),
        (0x0c, 7),
        (0x0d, 1_000_000),
    ]
    .map(|(id, value)| number(id, value))
    .concat();
    let floors: String =
        [(0x02, 1200), (0x03, 16_384), (0x04, 8192), (0x06, 0), (0x07, 0), (0x08, 2), (0x09, 0), (0x0a, 0), (0x0d, 0)]
            .map(|(id, value)| number(id, value))
            .concat();
    let protocols = tlv(0x10, "04636861740367616d");
    vec![
        ("params_none", "P1", String::new()),
        ("params_defaults_written", "PARAMS", number(0x01, 30_000) + &number(0x02, 1472) + &number(0x06, 25)),
        ("params_largest", "P1", numbers),
        ("params_smallest", "PARAMS", floors),
        ("params_streams_of_client", "P1", tlv(0x05, "0104034040050507c000000000000100")),
        ("params_streams_of_server", "PARAMS", tlv(0x05, "00040444000c00")),
        ("params_number_not_shortest", "P1", tlv(0x01, "c000000000007531")),
        ("params_protocols", "P1", protocols),
        ("params_lists", "P1", tlv(0x11, "4a5350011a2a3a4a") + &tlv(0x12, "00010002")),
        ("params_reset_token", "PARAMS", tlv(0x10, "036a7370") + &tlv(0x15, &count_hex::<16>(0xf0))),
        ("params_key_id_and_psk", "P1", tlv(0x20, &count_hex::<32>(0x30)) + &tlv(0x22, "70736b2d31")),
        ("params_key_inline", "P1", tlv(0x21, &count_hex::<1216>(1)) + &tlv(0x24, "746f6b656e")),
        ("params_longest_psk_id_and_app_token", "P1", tlv(0x22, &"61".repeat(64)) + &tlv(0x24, &"62".repeat(512))),
        ("params_refusal", "P2", number(0x30, 0x13)),
        ("params_unknown_are_ignored", "P1", number(0x08, 3) + &tlv(0x0e, "ffff") + &tlv(0x1f0b, "677265617365")),
    ]
}

/// A parameter.
pub(super) fn tlv(id: u64, value: &str) -> String {
    varint(id) + &varint(value.len() as u64 / 2) + value
}

/// A parameter that is a number.
pub(super) fn number(id: u64, value: u64) -> String {
    tlv(id, &varint(value))
}

/// The shortest encoding.
pub(super) fn varint(value: u64) -> String {
    written(|w| w.varint(value)).map_or(String::new(), |bytes| hex(&bytes))
}

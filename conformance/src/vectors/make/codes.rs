//! Cases of the topics `fec` and `lz4`.

use serde_json::{Value, json};

use super::super::fec::pattern;
use super::super::value::number;
use super::{Case, case, hex};

const CLASSES: [u8; 6] = [1, 2, 4, 8, 16, 32];

/// Name, class, sources, the places of those that are missing, and the parity that is there.
type Erasure = (&'static str, u8, u8, &'static [u8], &'static [u8]);

pub(super) fn fec() -> Vec<Case> {
    let mut cases = vec![
        case("parity", "parity_of_an_empty_payload", json!({ "class": 2, "payloads": [""] })),
        case("parity", "parity_of_one_byte", json!({ "class": 4, "payloads": ["01"] })),
        case(
            "parity",
            "parity_of_different_lengths",
            json!({ "class": 1, "payloads": ["0102030405", "", "ff", "aabbcc"] }),
        ),
        case("parity", "parity_of_an_odd_length", json!({ "class": 8, "payloads": ["010203", "040506", "07"] })),
    ];
    for class in CLASSES {
        let mut counts = vec![1, class.saturating_sub(1), class, class + 1, 64];
        counts.retain(|count| *count > 0);
        counts.dedup();
        for sources in counts {
            // Symbols of 64, 66 and 1162 bytes; of the latter one block of each class is enough.
            for payload_len in [62, 63, 1160] {
                if payload_len == 1160 && sources != class + 1 {
                    continue;
                }
                let name = format!("class_{class}_of_{sources}_payloads_of_{payload_len}");
                let seed = format!("jsp1 {sources}");
                let inputs = json!({ "class": class, "sources": sources, "payload_len": payload_len, "seed": seed });
                cases.push(case("parity_pattern", name, inputs));
            }
        }
    }
    // Symbols of 2 bytes.
    for class in CLASSES {
        let inputs = json!({ "class": class, "payloads": vec![""; 64] });
        cases.push(case("parity", format!("class_{class}_of_64_empty_payloads"), inputs));
    }
    let erasures: [Erasure; 8] = [
        ("repair_xor", 1, 5, &[3], &[0]),
        ("repair_the_only_one", 2, 1, &[0], &[1]),
        ("repair_first_and_last", 2, 10, &[0, 9], &[0, 1]),
        ("repair_with_later_parity", 4, 10, &[2, 5], &[1, 3]),
        ("repair_all", 4, 3, &[0, 1, 2], &[3, 0, 2]),
        ("repair_a_burst", 8, 12, &[4, 5, 6, 7, 8, 9, 10, 11], &[0, 1, 2, 3, 4, 5, 6, 7]),
        ("repair_of_class_16", 16, 6, &[1, 3, 5], &[15, 7, 11]),
        ("repair_of_class_32", 32, 4, &[0, 3], &[31, 30]),
    ];
    for (name, class, sources, missing, used) in erasures {
        cases.push(case("repair", name, erased(class, sources, missing, used)));
    }
    cases
}

/// A block of short payloads of which some are missing, and the parity that is there.
pub(super) fn erased(class: u8, sources: u8, missing: &[u8], used: &[u8]) -> Value {
    let payloads = pattern("erased", sources, 9);
    let symbols = jsp_proto::internals::fec::parity(&payloads, class).unwrap_or_default();
    let known: Vec<_> = (0..sources)
        .zip(&payloads)
        .filter(|(place, _)| !missing.contains(place))
        .map(|(place, payload)| json!({ "index": place, "payload": hex(payload) }))
        .collect();
    let parity: Vec<_> = used
        .iter()
        .filter_map(|index| Some(json!({ "index": index, "symbol": hex(symbols.get(usize::from(*index))?) })))
        .collect();
    json!({ "class": class, "sources": sources, "known": known, "parity": parity })
}

/// Bodies: the length that is said, then a block.
pub(super) fn lz4() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, raw, block, max) in bodies_of() {
        let body = super::wire::varint(raw) + &block;
        cases.push(case("message", name, json!({ "body": body, "max_message_size": number(max) })));
    }
    cases.push(case("message", "length_not_shortest", json!({ "body": "40055068656c6c6f", "max_message_size": 5 })));
    cases.push(case(
        "message",
        "length_in_eight_bytes",
        json!({ "body": "c0000000000000055068656c6c6f", "max_message_size": 5 }),
    ));
    let packed =
        |block: &str, raw: u64| super::wire::varint(block.len() as u64 | 1) + &super::wire::varint(raw) + block;
    let stored = |bytes: &str| super::wire::varint(bytes.len() as u64) + bytes;
    let run = run_of(b'z', 300);
    let streams = [
        ("stream_empty", String::new()),
        ("stream_stored", stored("68656c6c6f")),
        ("stream_packed", packed(&run, 300)),
        (
            "stream_mixed_with_padding",
            [stored("6162"), "00".into(), packed(&run, 300), "0000".into(), stored("63")].concat(),
        ),
        ("stream_padding_alone", "000000".into()),
        ("stream_header_not_shortest", "4004aabb".into()),
        ("stream_of_two_packed", [packed(&run, 300), packed("506162636465", 5)].concat()),
    ];
    cases.extend(streams.into_iter().map(|(name, stream)| case("blocks", name, json!({ "stream": stream }))));
    cases
}

/// Name, length, block and the receiver's maximum.
fn bodies_of() -> Vec<(&'static str, u64, String, u64)> {
    let end = "506162636465";
    vec![
        ("literals_alone", 5, end.into(), 5),
        ("one_byte", 1, "1041".into(), 1),
        // Fifteen literals or more take further bytes for their number.
        ("fifteen_literals", 15, format!("f000{}", hex(b"0123456789abcde")), 65_536),
        ("many_literals", 400, format!("f0ff82{}", "78".repeat(400)), 400),
        ("a_run", 300, run_of(b'a', 300), 300),
        ("match_of_two_bytes_repeated", 23, format!("2c61620200{end}"), 65_536),
        ("two_matches", 4 + 8 + 3 + 6 + 5, format!("446162636404003278797a0700{end}"), 16 << 20),
        ("match_from_the_start", 5 + 4 + 5, format!("5068656c6c6f0500{end}"), 65_536),
        ("long_run", 65_000, run_of(b'q', 65_000), 65_536),
    ]
}

/// A block of `len` times the same byte, at least 30: one literal, one match, five literals.
pub(super) fn run_of(byte: u8, len: usize) -> String {
    let matched = len - 6 - 4 - 15;
    let mut lengths = vec![255; matched / 255];
    lengths.push((matched % 255) as u8);
    format!("1f{byte:02x}0100{}50{}", hex(&lengths), format!("{byte:02x}").repeat(5))
}

/// What a stream of blocks, a body or a block may not be.
pub(super) fn corrupt() -> Vec<Case> {
    let mut cases = Vec::new();
    let end = "506162636465";
    let bodies: [(&str, String, u64); 14] = [
        ("lz4_empty_body", String::new(), 100),
        ("lz4_length_alone", "05".into(), 100),
        ("lz4_length_cut_off", "80".into(), 100),
        ("lz4_length_0", format!("00{end}"), 100),
        ("lz4_length_too_small", format!("04{end}"), 100),
        ("lz4_length_too_large", format!("06{end}"), 100),
        ("lz4_above_the_maximum", format!("05{end}"), 4),
        // 255 times the block and 64 are the most: here 6 bytes.
        ("lz4_above_the_work_bound", format!("{}{end}", super::wire::varint(255 * 6 + 65)), 1 << 20),
        ("lz4_length_huge", format!("ffffffffffffffff{end}"), 1 << 20),
        ("lz4_offset_0", format!("1319610000{end}"), 100),
        ("lz4_offset_before_the_start", format!("1319610200{end}"), 100),
        ("lz4_literals_cut_off", "0550616263".into(), 100),
        ("lz4_match_cut_off", "14196101".into(), 100),
        ("lz4_more_literals_than_said", format!("03{end}"), 100),
    ];
    for (name, body, max) in bodies {
        cases.push(case("message", name, json!({ "body": body, "max_message_size": max })));
    }
    let streams = [
        ("blocks_header_cut_off", "80".to_owned()),
        ("blocks_stored_cut_off", "0a61626364".into()),
        ("blocks_packed_without_length", "0d".into()),
        ("blocks_packed_cut_off", "0d0550616263".into()),
        ("blocks_packed_length_0", format!("0d00{end}")),
        ("blocks_above_64_ki", "800200020000".into()),
        ("blocks_packed_to_above_64_ki", format!("{}80010001{}", "4203", "00".repeat(257))),
        ("blocks_wrong_length", format!("0d06{end}")),
    ];
    cases.extend(streams.into_iter().map(|(name, stream)| case("blocks", name, json!({ "stream": stream }))));
    let mut unrepairable = erased(2, 5, &[1, 2], &[0]);
    cases.push(case("repair", "fec_too_little_parity", unrepairable.clone()));
    unrepairable["class"] = json!(3);
    cases.push(case("repair", "fec_no_such_class", unrepairable));
    let mut other = erased(1, 5, &[1], &[0]);
    other["parity"][0]["symbol"] = json!("ffff00000000000000000000");
    cases.push(case("repair", "fec_repaired_length_impossible", other));
    let mut garbage = erased(4, 5, &[1], &[2, 3]);
    garbage["parity"][1]["symbol"] = json!("5a".repeat(12));
    cases.push(case("repair", "fec_parity_of_another_block", garbage));
    cases
}

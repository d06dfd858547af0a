//! Cases of the topic `negative`: what must be refused.

use jsp_proto::internals::crypto::initial::{InitialKeys, Layout, build_flight};
use jsp_proto::internals::crypto::kem::{CIPHERTEXT_LEN, PUBLIC_KEY_LEN, SecretKey};
use jsp_proto::internals::crypto::transcript::{Ids, h0, h1, k1, prk1, seal_params};
use jsp_proto::wire::{Cid, LongHeader, LongType, Side};
use serde_json::{Value, json};

use super::super::value::{hex_list, unhex};
use super::crypto::{CLIENT, P1, RETRY_SCID, RETRY_TOKEN, new_token_check, refused_p1};
use super::wire::{number, tlv};
use super::{Case, case, codes, count_hex, counting, hex};

pub(super) fn negative() -> Result<Vec<Case>, String> {
    let mut cases: Vec<_> =
        frames().into_iter().map(|(name, bytes)| case("frame", name, json!({ "bytes": bytes }))).collect();
    cases.extend(
        params()
            .into_iter()
            .map(|(name, context, bytes)| case("params", name, json!({ "context": context, "bytes": bytes }))),
    );
    cases.extend(headers());
    cases.extend(packets()?);
    cases.extend(keys_and_tokens()?);
    cases.extend(codes::corrupt());
    cases.extend(datagrams()?);
    Ok(cases)
}

fn frames() -> Vec<(&'static str, String)> {
    let frames: [(&str, &str); 49] = [
        ("frame_none", ""),
        ("frame_type_cut_off", "41"),
        ("frame_type_not_shortest", "4001"),
        ("frame_type_32_reserved", "32"),
        ("frame_type_38_reserved", "3800"),
        ("frame_type_3f_unknown", "3f"),
        ("extension_even", "404200"),
        ("extension_cut_off", "4041056162"),
        ("ack_cut_off", "0205000201"),
        ("ack_first_range_below_zero", "0205000006"),
        ("ack_range_below_zero", "020a0001020601"),
        ("ack_gap_below_zero", "02050001020500"),
        ("ack_count_without_ranges", "020aff"),
        ("ack_ecn_counts_cut_off", "03050000000102"),
        ("params_cut_off", "040501"),
        ("new_token_empty", "0600"),
        ("close_reason_cut_off", "070000056162"),
        ("close_app_cut_off", "0800"),
        ("ack_freq_cut_off", "0a010203"),
        ("observed_addr_family", "0b0105c0000207c350"),
        ("observed_addr_cut_off", "0b0104c00002"),
        ("path_challenge_cut_off", "0c01020304050607"),
        ("path_response_cut_off", "0d01"),
        ("new_cid_empty", "0e010000000102030405060708090a0b0c0d0e0f"),
        ("new_cid_retires_itself", "0e010201aa000102030405060708090a0b0c0d0e0f"),
        ("new_cid_token_cut_off", "0e010001aa0001020304"),
        ("retire_cid_cut_off", "0f"),
        ("stream_without_data", "120000"),
        ("stream_to_end_without_data", "1000"),
        ("stream_data_cut_off", "12000561"),
        ("stream_offset_above_2_62", "1600ffffffffffffffff0142"),
        ("reset_stream_reliable_above_final", "1800000506"),
        ("stop_sending_cut_off", "1900"),
        ("skip_cut_off", "1a08"),
        ("max_data_cut_off", "1b80"),
        ("max_streams_type_16", "1d1004"),
        ("max_streams_above_2_58", "1d00c400000000000001"),
        ("blocked_kind_3", "1e030000"),
        ("blocked_data_with_id", "1e000105"),
        ("blocked_streams_type_16", "1e021005"),
        ("stream_priority_cut_off", "1f00"),
        ("msg_without_data", "23040000"),
        ("msg_to_end_without_data", "220400"),
        ("msg_offset_above_2_62", "2304ffffffffffffffff0142"),
        ("parity_span_0", "30050000010102aabb"),
        ("parity_span_129", "304081813100"),
        ("recovered_below_zero", "3105000a"),
        ("recovered_cut_off", "3105"),
        ("parity_cut_off", "3005"),
    ];
    let mut frames: Vec<_> = frames.iter().map(|(name, bytes)| (*name, (*bytes).to_owned())).collect();
    // back, span, mask, j, class, r, length of the symbol, symbol
    let parity: [(&str, &str); 13] = [
        ("parity_mask_without_first", "0403 06 00 01 01 02 0102"),
        ("parity_mask_without_last", "0403 03 00 01 01 02 0102"),
        ("parity_mask_beyond_the_span", "0403 0d 00 01 01 02 0102"),
        ("parity_back_below_the_span", "0203 05 00 01 01 02 0102"),
        ("parity_back_0", "0001 01 00 01 01 02 0102"),
        ("parity_class_0", "0403 05 00 00 00 02 0102"),
        ("parity_class_3", "0403 05 00 03 01 02 0102"),
        ("parity_class_64", "0403 05 00 40 01 02 0102"),
        ("parity_r_above_class", "0403 05 00 02 03 02 0102"),
        ("parity_j_is_r", "0403 05 01 02 01 02 0102"),
        ("parity_symbol_empty", "0403 05 00 01 01 00"),
        ("parity_symbol_odd", "0403 05 00 01 01 03 010203"),
        ("parity_symbol_cut_off", "0403 05 00 01 01 04 0102"),
    ];
    frames.extend(parity.iter().map(|(name, bytes)| (*name, format!("30{}", bytes.replace(' ', "")))));
    frames.push(("new_token_65_bytes", format!("064041{}", "61".repeat(65))));
    frames.push(("new_cid_of_17", format!("0e010011{}", "61".repeat(33))));
    frames.push(("parity_of_65_sources", format!("30404041{}{}", "ff".repeat(8), "01000101020102")));
    frames
}

fn params() -> Vec<(&'static str, &'static str, String)> {
    let id = count_hex::<32>(1);
    let mut sets = vec![
        ("params_cut_off_in_id", "P1", "40".into()),
        ("params_cut_off_in_value", "P1", "010480007530020245".into()),
        ("params_twice", "P1", number(8, 4) + &number(8, 4)),
        ("params_descending", "PARAMS", number(8, 4) + &number(6, 25)),
        ("params_number_too_long", "P1", tlv(0x01, "0500")),
        ("params_number_empty", "P1", tlv(0x01, "")),
        ("params_reset_token_of_15", "PARAMS", tlv(0x15, &"00".repeat(15))),
        ("params_reset_token_of_client", "P1", tlv(0x15, &count_hex::<16>(0))),
        ("params_client_key_id_of_31", "P1", tlv(0x20, &id[..62])),
        ("params_client_key_id_of_server", "PARAMS", tlv(0x20, &id)),
        ("params_client_key_short", "P1", tlv(0x21, &count_hex::<1215>(0))),
        ("params_psk_id_of_65", "P1", tlv(0x22, &"61".repeat(65))),
        ("params_psk_id_of_server", "PARAMS", tlv(0x22, "61")),
        ("params_app_token_of_513", "P1", tlv(0x24, &"61".repeat(513))),
        ("params_refusal_of_client", "P1", number(0x30, 1)),
        ("params_refusal_in_params", "PARAMS", number(0x30, 1)),
        ("params_protocols_empty", "P1", tlv(0x10, "")),
        ("params_protocol_without_name", "P1", tlv(0x10, "046162636400")),
        ("params_protocol_cut_off", "P1", tlv(0x10, "05616263")),
        ("params_two_protocols_of_server", "PARAMS", tlv(0x10, "01610162")),
        ("params_version_info_of_3", "P1", tlv(0x11, "4a5350")),
        ("params_suites_of_3", "P1", tlv(0x12, "000100")),
        ("params_streams_type_16", "P1", tlv(0x05, "1004")),
        ("params_streams_type_twice", "P1", tlv(0x05, "01040105")),
        ("params_streams_of_the_sender", "P1", tlv(0x05, "0004")),
        ("params_streams_below_the_floor", "P1", tlv(0x05, "0103")),
        ("params_streams_cut_off", "P1", tlv(0x05, "0140")),
        ("params_above_2048_bytes", "P1", tlv(0x7b, &"00".repeat(2046))),
    ];
    let ranges = [
        ("params_udp_payload_1199", 2, 1199),
        ("params_udp_payload_65528", 2, 65_528),
        ("params_data_below_the_floor", 3, 16_383),
        ("params_stream_data_below_the_floor", 4, 8191),
        ("params_ack_delay_1001", 6, 1001),
        ("params_message_above_credit", 7, 65_537),
        ("params_cid_limit_1", 8, 1),
        ("params_cid_limit_9", 8, 9),
        ("params_fec_symbols_257", 9, 257),
        ("params_min_ack_delay_above_max", 0x0d, 25_001),
    ];
    sets.extend(ranges.map(|(name, id, value)| (name, "P1", number(id, value))));
    let many: String = (0..65u64).map(|n| tlv(0x100 + n, "")).collect();
    sets.push(("params_of_65", "P1", many));
    sets.extend(refused_p1().map(|(name, bytes)| (name, "P1", bytes)));
    sets
}

fn headers() -> Vec<Case> {
    let cid17 = "07".repeat(17);
    let long = [
        ("long_empty", "client", String::new()),
        ("long_is_short", "client", "4000".into()),
        ("long_fixed_bit", "client", "804a535001000000".into()),
        ("long_version", "client", "c01a2a3a4a000000".into()),
        ("long_version_negotiation", "server", "c00000000000004a535001".into()),
        ("long_cut_off", "client", "c04a53500108c1c2c3".into()),
        ("long_without_token_length", "client", "c04a5350010000".into()),
        ("long_token_cut_off", "client", "c04a535001000005aabb".into()),
        ("long_token_of_129", "client", format!("c04a53500100004081{}", "07".repeat(129))),
        ("long_ci_of_server", "server", "c04a5350010000".into()),
        ("long_si_of_client", "client", "d04a535001000000".into()),
        ("long_retry_of_client", "client", "e04a535001000000".into()),
        ("long_index_is_count", "client", "c14a535001000000".into()),
        ("long_dcid_of_17", "server", format!("f04a53500111{cid17}00")),
        ("long_scid_of_17", "server", format!("f04a5350010011{cid17}")),
    ];
    let mut cases: Vec<_> = long
        .into_iter()
        .map(|(name, from, bytes)| case("long_header", name, json!({ "from": from, "datagram": bytes })))
        .collect();
    for (name, bytes) in [
        ("fragment_cut_off", "0005000200"),
        ("fragment_data_cut_off", "000500020003aabb"),
        ("fragment_empty", "000500020000"),
        ("fragment_past_the_end", "000500030003aabbcc"),
        ("fragment_offset_overflows", "0005ffff0003aabbcc"),
        ("fragment_of_4601", "11f9000000010a"),
    ] {
        cases.push(case("fragment", name, json!({ "plaintext": bytes })));
    }
    for bytes in ["", "40", "800000", "c0000000000000"] {
        cases.push(case("varint", format!("varint_cut_off_{bytes}"), json!({ "bytes": bytes })));
    }
    cases
}

/// A 1-RTT packet with one bit flipped in each of its bytes, and cut off.
fn packets() -> Result<Vec<Case>, String> {
    let packet = unhex("5551525354555657586f51094e94696ffa1bac9314e8a6e4f5194fd767e1a235ef5c")?;
    let keys = json!({
        "key": "fc0b6b47745a75aba38a3835064fbf4b30ab099487391afc9f56a3011f532ca9", "iv": "4a035be3a4f100f86df9ffbf",
        "hp": "d0b66f0a7b8184deff71073d0c149f1a97bdeb0f3266f4af42d0123f849c0847", "cid_length": 8,
        "expected_packet_number": 0x1234,
    });
    let with = |packet: &[u8]| {
        let mut inputs = keys.clone();
        inputs["packet"] = json!(hex(packet));
        inputs
    };
    let mut cases: Vec<_> = (0..packet.len())
        .map(|at| {
            let mut altered = packet.clone();
            altered[at] ^= 1 << (at % 5);
            case("opened_packet", format!("packet_flipped_at_{at}"), with(&altered))
        })
        .collect();
    cases.push(case("opened_packet", "packet_too_short", with(&packet[..28])));
    cases.push(case("opened_packet", "packet_cut_off", with(&packet[..33])));
    let mut next = with(&packet);
    next["expected_packet_number"] = json!(0x21234);
    cases.push(case("opened_packet", "packet_number_guessed_wrong", next));
    Ok(cases)
}

fn keys_and_tokens() -> Result<Vec<Case>, String> {
    let key = SecretKey::from_seed(counting(0));
    let good = key.public().as_bytes();
    let mut cases = Vec::new();
    let mut refused = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.to_vec();
        change(&mut bytes);
        cases.push(case("public_key", name, json!({ "public_key": hex(&bytes) })));
    };
    refused("public_key_short", &|key| _ = key.pop());
    refused("public_key_long", &|key| key.push(0));
    refused("public_key_first_coefficient_4095", &|key| key[..3].fill(0xff));
    refused("public_key_first_coefficient_3329", &|key| (key[0], key[1]) = (0x01, key[1] & 0xf0 | 0x0d));
    refused("public_key_last_coefficient_4095", &|key| key[1149..1152].fill(0xff));
    for (name, point) in [
        ("zero", "00".repeat(32)),
        ("one", format!("01{}", "00".repeat(31))),
        ("order_8", "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800".into()),
    ] {
        let ciphertext = count_hex::<1088>(3) + &point;
        cases.push(case(
            "decapsulation",
            format!("decapsulation_point_{name}"),
            json!({ "seed": count_hex::<32>(0), "ciphertext": ciphertext }),
        ));
    }
    let info = |start: &str, end: &str| json!({ "message": format!("{start}{}{end}", hex(good)) });
    for (name, inputs) in [
        ("key_info_empty", json!({ "message": "" })),
        ("key_info_token_of_65", info(&format!("0041{}", "61".repeat(65)), "")),
        ("key_info_flags_2", info("0200", "")),
        ("key_info_trailing_bytes", info("0000", "00")),
        ("key_info_endorsement_cut_off", info("0100", "000361")),
        ("key_info_endorsement_of_1025", info("0100", &format!("0401{}", "61".repeat(1025)))),
        ("key_info_key_cut_off", json!({ "message": format!("0000{}", hex(&good[..1215])) })),
    ] {
        cases.push(case("key_info", name, inputs));
    }
    cases.extend(refused_tokens());
    let text = key.public().key_id().to_string();
    for (name, text) in [
        ("text_empty", String::new()),
        ("text_without_prefix", text[5..].into()),
        ("text_of_another_version", text.replace("jsp1", "jsp2")),
        ("text_short", text[..56].into()),
        ("text_long", text.clone() + "a"),
        ("text_digit_1", text[..56].to_owned() + "1"),
        ("text_digit_8", text.replacen('p', "8", 2).replacen('8', "p", 1)),
        ("text_space", text[..20].to_owned() + " " + &text[21..]),
        ("text_bits_beyond_the_256th", text[..56].to_owned() + "r"),
        ("text_padded", text[..56].to_owned() + "="),
    ] {
        cases.push(case("key_id_text", name, json!({ "text": text })));
    }
    Ok(cases)
}

fn refused_tokens() -> Vec<Case> {
    let good = json!({
        "token_key": count_hex::<32>(0xe0), "token": RETRY_TOKEN, "dcid": RETRY_SCID, "now": "00001234", "client_ip16_port": CLIENT,
    });
    let changes: [(&str, &str, String); 12] = [
        ("retry_token_expired", "now", "0000123f".into()),
        ("retry_token_from_the_future", "now", "00001231".into()),
        ("retry_token_other_port", "client_ip16_port", CLIENT.replace("c350", "c351")),
        ("retry_token_other_address", "client_ip16_port", CLIENT.replace("0207", "0208")),
        ("retry_token_other_dcid", "dcid", RETRY_SCID.replace("4a", "4b")),
        ("retry_token_other_key", "token_key", count_hex::<32>(0xe1)),
        ("retry_token_other_odcid", "token", RETRY_TOKEN.replace("b1b2", "b1b3")),
        ("retry_token_other_second", "token", RETRY_TOKEN.replace("1234", "1235")),
        ("retry_token_mac", "token", RETRY_TOKEN.replace("1299", "1298")),
        ("retry_token_cut_off", "token", RETRY_TOKEN[..58].into()),
        ("retry_token_trailing_byte", "token", format!("{RETRY_TOKEN}00")),
        ("retry_token_of_no_type", "token", RETRY_TOKEN.replacen("01", "03", 1)),
    ];
    let mut cases: Vec<_> = changes
        .into_iter()
        .map(|(name, key, value)| {
            let mut inputs = good.clone();
            inputs[key] = json!(value);
            case("retry_token_check", name, inputs)
        })
        .collect();
    let token = new_token_check("00001234")["token"].as_str().unwrap_or_default().to_owned();
    let changes: [(&str, &str, String); 7] = [
        ("new_token_expired", "now", "00002235".into()),
        ("new_token_from_the_future", "now", "00001231".into()),
        ("new_token_other_address", "client_ip16", CLIENT[..32].replace("0207", "0208")),
        ("new_token_other_key", "token_key", count_hex::<32>(0xe1)),
        ("new_token_nonce", "token", token.replace("1011", "1111")),
        ("new_token_tag", "token", token.replace("98dd", "98dc")),
        ("new_token_cut_off", "token", token[..96].into()),
    ];
    cases.extend(changes.into_iter().map(|(name, key, value)| {
        let mut inputs = new_token_check("00001234");
        inputs[key] = json!(value);
        case("new_token_check", name, inputs)
    }));
    cases
}

const DCID: [u8; 8] = [0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8];
const SCID: [u8; 8] = [0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8];

/// A flight that carries `message`, sealed for whoever knows the key id of `key`.
fn flight(key: &SecretKey, ty: LongType, token: &[u8], message: &[u8], layout: Layout) -> Result<Vec<Vec<u8>>, String> {
    let [dcid, scid] = [DCID, SCID].map(|id| Cid::new(&id).unwrap_or_default());
    let header = LongHeader { from: Side::Client, ty, count: 1, index: 0, dcid, scid, token, payload_at: 0 };
    let seal = InitialKeys::new(&key.public().key_id(), &DCID).client(ty);
    build_flight(&header, &seal, message, layout).map_err(|error| error.to_string())
}

/// Changes an ephemeral key, or a ciphertext for the server.
type Spoil = fn(&mut [u8; PUBLIC_KEY_LEN], &mut [u8; CIPHERTEXT_LEN]);

/// A first message whose parts are `spoil`ed after they were made, and all else is as it should be.
fn message(key: &SecretKey, p1: &[u8], spoil: Spoil) -> Result<Vec<u8>, String> {
    let ephemeral = SecretKey::from_seed(counting(0x20));
    let mut e_pk = *ephemeral.public().as_bytes();
    let (mut ct_s, ss_s) = key.public().encapsulate(&counting(0x40)).map_err(|error| error.to_string())?;
    spoil(&mut e_pk, &mut ct_s);
    let h0 = h0(key.public().as_bytes());
    let h1 = h1(&h0, Ids { odcid: &DCID, dcid: &DCID, scid: &SCID }, &e_pk, &ct_s);
    let sealed = seal_params(&k1(&prk1(&h0, &ss_s), &h1), &h1, p1);
    Ok([&e_pk[..], &ct_s, &sealed].concat())
}

/// Datagrams that a server drops without an answer and without an effect on others.
fn datagrams() -> Result<Vec<Case>, String> {
    let (server, other) = (SecretKey::from_seed(counting(0)), SecretKey::from_seed(counting(1)));
    let p1 = unhex(P1)?;
    let good = message(&server, &p1, |_, _| ())?;
    let hello = flight(&server, LongType::ClientInit, b"", &good, Layout::Hello)?;
    let altered = |at: usize, bit: u8| {
        let mut first = hello[0].clone();
        first[at] ^= bit;
        vec![first]
    };
    let short = |len: usize| vec![[&[0x41][..], &counting::<255>(0x11)[..len - 1]].concat()];
    let mut cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("datagram_empty", vec![Vec::new()]),
        ("datagram_short_header_cut_off", short(8)),
        ("datagram_of_no_connection", short(29)),
        ("datagram_long_header_cut_off", vec![hello[0][..12].to_vec()]),
        ("datagram_fixed_bit", altered(0, 0x40)),
        ("datagram_index_above_count", altered(0, 0x0b)),
        ("datagram_of_a_server", altered(0, 0x10)),
        ("datagram_other_version_small", vec![[&[0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 0, 0][..], &[0; 1192]].concat()]),
        ("datagram_version_negotiation", vec![unhex("c00000000008c1c2c3c4c5c6c7c80800000000000000001a2a3a4a")?]),
        ("datagram_not_full_size", vec![hello[0][..1199].to_vec()]),
        ("datagram_last_below_64", vec![hello[2][..63].to_vec()]),
        ("datagram_seal_of_another_key", flight(&other, LongType::ClientInit, b"", &good, Layout::Hello)?),
        ("datagram_dcid_flipped", altered(6, 1)),
        ("datagram_scid_flipped", altered(15, 1)),
        ("datagram_sealed_byte_flipped", altered(600, 1)),
        ("datagram_tag_flipped", altered(1199, 0x80)),
        ("datagram_fragment_malformed", vec![malformed_fragment(&server)?]),
        ("datagram_fragment_twice", vec![hello[0].clone(), hello[0].clone()]),
        ("datagram_fragment_of_another_length", {
            let longer = [&good[..], &[0; 40]].concat();
            vec![hello[0].clone(), flight(&server, LongType::ClientInit, b"", &longer, Layout::Hello)?[1].clone()]
        }),
        ("datagram_retry_token_made_up", {
            let token = [&[1, 0, 0, 0, 1, 8][..], &[0xb1; 8], &[0; 16]].concat();
            flight(&server, LongType::ClientInit, &token, &good, Layout::Hello)?[1..2].to_vec()
        }),
        ("datagram_key_request_under_the_zero_id", vec![zero_key_request()?]),
        ("datagram_key_request_of_1199", vec![zero_key_request()?[..1199].to_vec()]),
    ];
    for (name, at) in
        [("hello_ephemeral_key_flipped", 0), ("hello_ciphertext_flipped", 1300), ("hello_sealed_params_flipped", 2340)]
    {
        let mut bad = good.clone();
        bad[at] ^= 1;
        cases.push((name, flight(&server, LongType::ClientInit, b"", &bad, Layout::Hello)?));
    }
    let spoiled: [(&str, Spoil); 3] = [
        ("hello_ephemeral_coefficient_4095", |e_pk, _| e_pk[..3].fill(0xff)),
        ("hello_ephemeral_point_of_zeros", |e_pk, _| e_pk[PUBLIC_KEY_LEN - 32..].fill(0)),
        ("hello_ciphertext_point_of_zeros", |_, ct_s| ct_s[CIPHERTEXT_LEN - 32..].fill(0)),
    ];
    for (name, spoil) in spoiled {
        let bad = message(&server, &p1, spoil)?;
        cases.push((name, flight(&server, LongType::ClientInit, b"", &bad, Layout::Hello)?));
    }
    let mut cases: Vec<_> = cases.into_iter().map(|(name, datagrams)| (name.to_owned(), datagrams)).collect();
    for (name, p1) in refused_p1() {
        let bad = message(&server, &unhex(&p1)?, |_, _| ())?;
        cases.push((format!("hello_{name}"), flight(&server, LongType::ClientInit, b"", &bad, Layout::Hello)?));
    }
    let inputs = |datagrams: &[Vec<u8>]| -> Value {
        json!({ "server_static_seed": hex(&counting::<32>(0)), "client_ip16_port": CLIENT, "datagrams": hex_list(datagrams) })
    };
    Ok(cases.iter().map(|(name, datagrams)| case("datagrams", name, inputs(datagrams))).collect())
}

/// A well-sealed fragment that says it is longer than its datagram.
fn malformed_fragment(server: &SecretKey) -> Result<Vec<u8>, String> {
    let seal = InitialKeys::new(&server.public().key_id(), &DCID).client(LongType::ClientInit);
    let mut datagram = unhex("c84a53500108c1c2c3c4c5c6c7c808a1a2a3a4a5a6a7a800")?;
    let payload_at = datagram.len();
    datagram.extend_from_slice(&[0x09, 0x5a, 0x00, 0x00, 0x09, 0x5a]);
    datagram.resize(1200, 0);
    seal.seal_datagram(0, &mut datagram, payload_at).map_err(|error| error.to_string())?;
    Ok(datagram)
}

fn zero_key_request() -> Result<Vec<u8>, String> {
    use jsp_proto::internals::crypto::key_id::KeyId;
    let mut datagram = unhex("f04a53500108c1c2c3c4c5c6c7c808a1a2a3a4a5a6a7a800")?;
    let payload_at = datagram.len();
    datagram.resize(1200, 0);
    let seal = InitialKeys::new(&KeyId::ZERO, &DCID).client(LongType::Key);
    seal.seal_datagram(0, &mut datagram, payload_at).map_err(|error| error.to_string())?;
    Ok(datagram)
}

//! Cases of the topics `keys`, `handshake`, `protection`, `tokens` and `identity`.

use serde_json::{Value, json};

use super::wire::{number, tlv};
use super::{Case, case, count_hex, hex};

/// P1 of the independent handshakes.
pub(super) const P1: &str = "010480007530020245ac03048010000004048004000005030140640801040902404010060568656c6c6f";
/// 192.0.2.7, port 50000.
pub(super) const CLIENT: &str = "00000000000000000000ffffc0000207c350";
const CLIENT_V6: &str = "20010db8000000000000000000000001ffff";

/// What the independent handshakes draw, in a hello that needs no token.
pub(super) fn inputs_of_hello(dcid: &str) -> Value {
    json!({
        "server_static_seed": count_hex::<32>(0), "client_ephemeral_seed": count_hex::<32>(0x20),
        "eseed_s": count_hex::<64>(0x40), "eseed_e": count_hex::<64>(0x80),
        "odcid": dcid, "dcid": dcid, "scid_c": "a1a2a3a4a5a6a7a8", "scid_s": "5152535455565758", "token": "", "p1": P1,
    })
}

fn with(mut inputs: Value, more: &[(&str, Value)]) -> Value {
    more.iter().for_each(|(key, value)| inputs[*key] = value.clone());
    inputs
}

pub(super) fn keys() -> Vec<Case> {
    let key_id = count_hex::<32>(0x90);
    let zero = "00".repeat(32);
    let mut cases = vec![
        case(
            "initial_keys",
            "initial_keys",
            json!({ "key_id": key_id, "dcid": count_hex::<8>(0xc1), "scid_s": count_hex::<8>(0x51) }),
        ),
        case(
            "initial_keys",
            "initial_keys_zero_id_long_cids",
            json!({ "key_id": zero, "dcid": count_hex::<16>(0xc1), "scid_s": count_hex::<16>(0x51) }),
        ),
        case(
            "initial_keys",
            "initial_keys_empty_scid",
            json!({ "key_id": key_id, "dcid": count_hex::<8>(1), "scid_s": "" }),
        ),
        // A ciphertext for nobody: ML-KEM rejects it by an unrelated secret.
        case(
            "decapsulation",
            "implicit_rejection",
            json!({ "seed": count_hex::<32>(0), "ciphertext": count_hex::<1120>(3) }),
        ),
        case("packet_keys", "four_key_phases", json!({ "secret": count_hex::<32>(0x11), "phases": 4 })),
    ];
    let schedule = json!({
        "pk_s": count_hex::<1216>(1), "odcid": count_hex::<8>(0xb1), "dcid": count_hex::<16>(0xc1), "scid_c": "", "scid_s": count_hex::<5>(0x51),
        "e_pk": count_hex::<1216>(2), "ct_s": count_hex::<1120>(3), "ct_e": count_hex::<1120>(4),
        "ss_s": count_hex::<32>(5), "ss_e": count_hex::<32>(6), "flags": "00", "p1": P1, "p2": "",
    });
    let ct_c = ("ct_c", json!(count_hex::<1120>(7)));
    let ss_c = ("ss_c", json!(count_hex::<32>(8)));
    let psk = ("psk", json!(count_hex::<32>(9)));
    let variants = [
        ("schedule_nk", schedule.clone()),
        ("schedule_psk", with(schedule.clone(), &[psk.clone(), ("flags", json!("02"))])),
        ("schedule_ik_psk", with(schedule.clone(), &[ct_c, ss_c, psk, ("flags", json!("03"))])),
        ("schedule_refusal", with(schedule, &[("flags", json!("04")), ("p2", json!("300113"))])),
    ];
    cases.extend(variants.into_iter().map(|(name, inputs)| case("key_schedule", name, inputs)));
    let exporter = count_hex::<32>(0x70);
    for (name, label, context, length) in [
        ("export", "6c6f67696e", "", 32),
        ("export_empty_label", "", "00", 16),
        ("export_long", "6c6f6e67", "636f6e74657874", 300),
    ] {
        let inputs = json!({ "exporter": exporter, "label": label, "context": context, "length": length });
        cases.push(case("export", name, inputs));
    }
    cases
}

pub(super) fn handshakes() -> Vec<Case> {
    let ids: &dyn Fn(u8) -> String = &count_hex::<8>;
    let client = [("client_static_seed", json!(count_hex::<32>(0x60))), ("eseed_c", json!(count_hex::<64>(0xc0)))];
    let psk = ("psk", json!("55".repeat(32)));
    let id = "951e15eb543ca483cee7ecc6bca345bd87e128112d4953aa814896115c85dce0";
    let p1_ik = format!("{P1}{}", tlv(0x20, id));
    let p1_psk = format!("{P1}{}", tlv(0x22, "70736b2d32"));
    let mut cases = vec![
        case(
            "handshake",
            "ik",
            with(inputs_of_hello(&ids(0x31)), &[client[0].clone(), client[1].clone(), ("p1", json!(p1_ik))]),
        ),
        case("handshake", "psk", with(inputs_of_hello(&ids(0x41)), &[psk, ("p1", json!(p1_psk))])),
        case("handshake", "refusal", with(inputs_of_hello(&ids(0x51)), &[("refuse", json!(0x13))])),
        case(
            "handshake",
            "refusal_of_client_key",
            with(
                inputs_of_hello(&ids(0x61)),
                &[client[0].clone(), ("p1", json!(format!("{P1}{}", tlv(0x20, id)))), ("refuse", json!(2))],
            ),
        ),
        case(
            "handshake",
            "new_token_longest_cids_empty_p1",
            with(
                inputs_of_hello(&count_hex::<16>(0x71)),
                &[
                    ("scid_c", json!("")),
                    ("scid_s", json!(count_hex::<16>(0x81))),
                    ("p1", json!("")),
                    (
                        "token",
                        json!(
                            "02101112131415161718191a1bc0ffe374c578d24b85325ca21a55f056732a0d7b8461fd97212685e5c8e99f98ea4b98dd"
                        ),
                    ),
                ],
            ),
        ),
    ];
    let request = json!({
        "server_static_seed": count_hex::<32>(0), "dcid": ids(0x91), "scid_c": "a1a2a3a4a5a6a7a8", "cid_length": 8,
        "token_key": count_hex::<32>(0xe0), "issued": "00001234", "client_ip16_port": CLIENT,
    });
    let known = "7f4aa4125996cb37bc2406f84e6a099e0ae5635e5db7702690b272626328ec2d";
    cases.push(case("key_fetch", "keyfetch_known_id", with(request.clone(), &[("key_id", json!(known))])));
    let endorsed = [
        ("endorsement", json!(count_hex::<100>(0))),
        ("client_ip16_port", json!(CLIENT_V6)),
        ("cid_length", json!(16)),
    ];
    cases.push(case("key_fetch", "keyfetch_endorsed", with(request, &endorsed)));
    cases.push(case("handshake", "retry_for_ipv6", {
        let mut inputs = inputs_of_hello(&ids(0xa1));
        inputs.as_object_mut().map(|map| (map.remove("dcid"), map.remove("token")));
        with(
            inputs,
            &[
                ("token_key", json!(count_hex::<32>(0xe0))),
                ("issued", json!("fedcba98")),
                ("client_ip16_port", json!(CLIENT_V6)),
            ],
        )
    }));
    cases
}

pub(super) fn protection() -> Vec<Case> {
    let (key, iv, hp) = (count_hex::<32>(0x01), count_hex::<12>(0x51), count_hex::<32>(0x81));
    let steps = |pn: Value, len: u8, plaintext: &str| {
        json!({
            "key": key, "iv": iv, "hp": hp, "dcid": count_hex::<8>(0xc1), "packet_number": pn, "packet_number_length": len,
            "fec": false, "key_phase": false, "random_bit": false, "plaintext": plaintext,
        })
    };
    let mut cases = Vec::new();
    for (name, pn, len, plaintext) in [
        ("packet_number_of_1_byte", json!(7), 1, "01000000"),
        ("packet_number_of_2_bytes", json!(0x1234), 2, "01000000"),
        ("packet_number_of_3_bytes", json!(0x123456), 3, "01"),
        ("packet_number_of_4_bytes", json!(0x12345678), 4, "01"),
        ("largest_packet_number", json!(((1u64 << 62) - 1).to_string()), 4, "1b8010000001"),
    ] {
        cases.push(case("packet_steps", name, steps(pn, len, plaintext)));
    }
    let changed = |name: &str, more: &[(&str, Value)]| {
        case("packet_steps", name, with(steps(json!(300), 2, "27080003616263"), more))
    };
    cases.push(changed("every_flag", &[("fec", json!(true)), ("key_phase", json!(true)), ("random_bit", json!(true))]));
    cases.push(changed("no_dcid", &[("dcid", json!(""))]));
    cases.push(changed("longest_dcid", &[("dcid", json!(count_hex::<16>(0xd1)))]));
    cases.push(changed("full_datagram", &[("plaintext", json!(format!("1004{}", count_hex::<1171>(0))))]));
    for phase in 0..4 {
        let inputs = json!({
            "secret": count_hex::<32>(0x21), "phase": phase, "dcid": count_hex::<8>(0xc1), "packet_number": 70_000 + phase,
            "packet_number_length": 3, "fec": phase == 2, "random_bit": false, "plaintext": "0100",
        });
        cases.push(case("sealed_packet", format!("key_phase_{phase}"), inputs));
    }
    // The packet of RFC 9001 A.5, as its receiver opens it.
    cases.push(case(
        "opened_packet",
        "opened_rfc_9001_a5",
        json!({
            "key": "c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8", "iv": "e0459b3474bdd0e44a41c144",
            "hp": "25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4", "cid_length": 0,
            "expected_packet_number": 654_360_564, "packet": "4cfe4189655e5cd55c41f69080575d7999c25a5bfb",
        }),
    ));
    let long = |name: &str, from: &str, header: String, plaintext: &str| {
        case(
            "long_packet",
            name,
            json!({
                "key_id": count_hex::<32>(0x90), "from": from, "header": header, "client_dcid": "c1c2c3c4c5c6c7c8", "plaintext": plaintext,
            }),
        )
    };
    cases.push(long(
        "ci_fragment",
        "client",
        "ca4a53500108c1c2c3c4c5c6c7c804a1a2a3a402beef".into(),
        "000a00080002aabb0000",
    ));
    cases.push(long("si_fragment", "server", "d54a53500104a1a2a3a4085152535455565758".into(), "000a00080002aabb"));
    cases.push(long("retry", "server", "e04a53500104a1a2a3a4085152535455565758".into(), "01000012340102ffff"));
    cases.push(long("keyreq", "client", "f04a53500108c1c2c3c4c5c6c7c80000".into(), "000000000000"));
    cases
}

pub(super) fn tokens() -> Vec<Case> {
    let key = count_hex::<32>(0xe0);
    let mut cases = Vec::new();
    for (name, odcid, client, len) in [
        ("retry_ipv4", count_hex::<8>(0xb1), CLIENT, 8),
        ("retry_ipv6_longest_cids", count_hex::<16>(0xb1), CLIENT_V6, 16),
        ("retry_cid_of_10", count_hex::<9>(0xb1), CLIENT, 10),
    ] {
        cases.push(case(
            "retry_token",
            name,
            json!({
                "token_key": key, "odcid": odcid, "cid_length": len, "issued": "00001234", "client_ip16_port": client,
            }),
        ));
    }
    let check = json!({
        "token_key": key, "token": RETRY_TOKEN, "dcid": RETRY_SCID, "now": "00001234", "client_ip16_port": CLIENT,
    });
    for (name, now) in [
        ("retry_taken_at_once", "00001234"),
        ("retry_taken_in_its_last_second", "0000123e"),
        ("retry_taken_by_a_clock_behind", "00001232"),
    ] {
        cases.push(case("retry_token_check", name, with(check.clone(), &[("now", json!(now))])));
    }
    cases.push(case("new_token", "new_token_ipv6", json!({
        "token_key": count_hex::<32>(1), "nonce": count_hex::<12>(0x33), "plain": "fedcba9820010db8000000000000000000000001",
    })));
    cases.push(case("new_token_check", "new_token_taken_in_its_last_second", new_token_check("00002234")));
    for period in [0u64, 1, 20_000] {
        cases.push(case(
            "token_keys",
            format!("token_keys_of_period_{period}"),
            json!({ "secret": count_hex::<32>(0x41), "period": period }),
        ));
    }
    let reset = json!({ "reset_key": count_hex::<32>(0xf0), "cid": count_hex::<8>(0x51) });
    cases.push(case("reset", "reset_longest_cid", with(reset.clone(), &[("cid", json!(count_hex::<16>(0x51)))])));
    cases.push(case(
        "reset",
        "reset_shortest_packet",
        with(reset.clone(), &[("random", json!(count_hex::<14>(0x40)))]),
    ));
    cases.push(case("reset", "reset_packet", with(reset, &[("random", json!(count_hex::<27>(0x7f)))])));
    cases
}

/// Of the independent handshake after a RETRY.
pub(super) const RETRY_TOKEN: &str = "010000123408b1b2b3b4b5b6b7b8da5da750154367304053222bc68b1299";
pub(super) const RETRY_SCID: &str = "ebe6ef1270cdf04a";

/// The independent NEW_TOKEN, shown at a second.
pub(super) fn new_token_check(now: &str) -> Value {
    json!({
        "token_key": count_hex::<32>(0xe0), "client_ip16": &CLIENT[..32], "now": now, "lifetime": 0x1000,
        "token": "02101112131415161718191a1bc0ffe374c578d24b85325ca21a55f056732a0d7b8461fd97212685e5c8e99f98ea4b98dd",
    })
}

pub(super) fn identity() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, seed) in [
        ("seed_of_zeros", "00".repeat(32)),
        ("seed_of_ones", "ff".repeat(32)),
        ("seed_counting", count_hex::<32>(0x80)),
    ] {
        cases.push(case("static_key", name, json!({ "seed": seed })));
    }
    let zero = format!("jsp1-{}", "a".repeat(52));
    for (name, text) in [
        ("text_of_zeros", zero.as_str()),
        ("text_upper_case", "JSP1-P5FKIESZS3FTPPBEA34E42QJTYFOKY26LW3XAJUQWJZGEYZI5QWQ"),
        ("text_of_ones", "jsp1-777777777777777777777777777777777777777777777777777q"),
    ] {
        cases.push(case("key_id_text", name, json!({ "text": text })));
    }
    let mut key = count_hex::<1216>(0);
    // 3328 is the largest coefficient there is.
    key.replace_range(..4, "000d");
    cases.push(case("public_key", "public_key_largest_coefficient", json!({ "public_key": reduced(&key) })));
    cases
}

/// A public key with coefficients of 0, except the first as given.
fn reduced(start: &str) -> String {
    format!("{}{}{}", &start[..4], "00".repeat(1182), hex(&[9; 32]))
}

/// Parameters of a client that no server takes.
pub(super) fn refused_p1() -> [(&'static str, String); 3] {
    let key_id = tlv(0x20, &count_hex::<32>(1));
    [
        ("p1_two_client_keys", key_id.clone() + &tlv(0x21, &count_hex::<1216>(1))),
        ("p1_out_of_order", key_id + &number(0x08, 4)),
        ("p1_cut_off", "0104800075".into()),
    ]
}

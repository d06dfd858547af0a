use super::*;
use crate::crypto::tests::vectors::{self, Handshake, IK_PSK, NK, NK_RETRY};
use crate::crypto::tests::{hex, hex_array, hex32, sha256, to_hex};
use crate::wire::params::encode_params;
use alloc::vec;

fn server_key() -> SecretKey {
    SecretKey::from_seed(hex32(vectors::SERVER_STATIC_SEED))
}

fn client_key() -> SecretKey {
    SecretKey::from_seed(hex32(vectors::CLIENT_STATIC_SEED))
}

fn client_kem() -> ClientKem {
    let e_seed = hex32(vectors::CLIENT_EPHEMERAL_SEED);
    ClientKem::new(server_key().public(), e_seed, hex_array(vectors::ESEED_S)).unwrap()
}

/// Both sides of one vector, message by message. Returns M1 and M2.
fn run(v: &Handshake, auth: bool) -> (Vec<u8>, Vec<u8>) {
    let (odcid, dcid, scid_c, scid_s) = (hex(v.odcid), hex(v.dcid), hex(v.scid_c), hex(v.scid_s));
    let kem = client_kem();
    let (m1, state) = kem.hello(&odcid, &dcid, &scid_c, &hex(v.p1));
    assert_eq!(sha256(&m1), v.m1_sha256);

    let opened = server_open(&server_key(), &odcid, &dcid, &scid_c, &m1).unwrap();
    assert_eq!(to_hex(&opened.p1), v.p1);
    assert_eq!((opened.wants_client_key(), opened.wants_psk()), (auth, auth));
    let (psk, eseed_c) = (hex32(vectors::PSK), hex_array(vectors::ESEED_C));
    let client = client_key();
    let named = auth.then_some((client.public(), &eseed_c));
    let psk = auth.then_some(&psk);
    let (m2, server) = opened.seal(&scid_s, &hex_array(vectors::ESEED_E), named, psk, None, b"").unwrap();
    assert_eq!(sha256(&m2), v.m2_sha256);

    let offered = Offered { client_key: auth.then_some(&client), psk };
    let established = state.finish(&kem, &scid_s, &m2, offered).unwrap();
    assert_eq!(established.refused, None);
    for secrets in [server, established.secrets] {
        assert_eq!(to_hex(secrets.client.as_bytes()), v.c_ap0);
        assert_eq!(to_hex(secrets.server.as_bytes()), v.s_ap0);
        assert_eq!(to_hex(secrets.exporter.as_bytes()), v.exporter);
    }
    (m1, m2)
}

/// Every intermediate value of one vector, from the small functions alone.
fn intermediates(v: &Handshake, auth: bool) {
    let (server, e) = (server_key(), SecretKey::from_seed(hex32(vectors::CLIENT_EPHEMERAL_SEED)));
    assert_eq!(sha256(e.public().as_bytes()), v.e_pk_sha256);
    let (ct_s, ss_s) = server.public().encapsulate(&hex_array(vectors::ESEED_S)).unwrap();
    assert_eq!((sha256(&ct_s).as_str(), to_hex(ss_s.as_bytes()).as_str()), (v.ct_s_sha256, v.ss_s));
    let (ct_e, ss_e) = e.public().encapsulate(&hex_array(vectors::ESEED_E)).unwrap();
    assert_eq!((sha256(&ct_e).as_str(), to_hex(ss_e.as_bytes()).as_str()), (v.ct_e_sha256, v.ss_e));

    let h0 = h0(server.public().as_bytes());
    assert_eq!(to_hex(&h0), v.h0);
    let (odcid, dcid, scid) = (hex(v.odcid), hex(v.dcid), hex(v.scid_c));
    let h1 = h1(&h0, Ids { odcid: &odcid, dcid: &dcid, scid: &scid }, e.public().as_bytes(), &ct_s);
    assert_eq!(to_hex(&h1), v.h1);
    let prk1 = prk1(&h0, &ss_s);
    assert_eq!(to_hex(prk1.as_bytes()), v.prk1);
    let k1 = k1(&prk1, &h1);
    assert_eq!(to_hex(k1.as_bytes()), v.k1);
    let sealed1 = seal_params(&k1, &h1, &hex(v.p1));
    assert_eq!(to_hex(&sealed1), v.sealed1);
    let h2 = h2(&h1, &sealed1);
    assert_eq!(to_hex(&h2), v.h2);

    let (ct_c, ss_c) = client_key().public().encapsulate(&hex_array(vectors::ESEED_C)).unwrap();
    let ct_c = if auth { &ct_c[..] } else { &[] };
    assert_eq!(sha256(ct_c), v.ct_c_sha256);
    let prk2 = prk2(&prk1, &h2, &ss_e);
    assert_eq!(to_hex(prk2.as_bytes()), v.prk2);
    let prk3 = prk3(&prk2, auth.then_some(&ss_c));
    assert_eq!(to_hex(prk3.as_bytes()), v.prk3);
    let psk = hex32(vectors::PSK);
    let prk4 = prk4(&prk3, auth.then_some(&psk));
    assert_eq!(to_hex(prk4.as_bytes()), v.prk4);
    let h3 = h3(&h2, hex(v.flags)[0], &hex(v.scid_s), &ct_e, ct_c);
    assert_eq!(to_hex(&h3), v.h3);
    let k2 = k2(&prk4, &h3);
    assert_eq!(to_hex(k2.as_bytes()), v.k2);
    let sealed2 = seal_params(&k2, &h3, b"");
    assert_eq!(to_hex(&sealed2), v.sealed2);
    assert_eq!(to_hex(&h4(&h3, &sealed2)), v.h4);
}

#[test]
fn vector_nk() {
    run(&NK, false);
    intermediates(&NK, false);
}

#[test]
fn vector_ik_psk() {
    run(&IK_PSK, true);
    intermediates(&IK_PSK, true);
}

#[test]
fn vector_nk_retry() {
    run(&NK_RETRY, false);
    intermediates(&NK_RETRY, false);
}

// What follows uses short ids and the NK parameters.

const ODCID: &[u8] = b"odcid-01";
const DCID: &[u8] = b"dcid--02";
const SCID_C: &[u8] = b"scid-c";
const SCID_S: &[u8] = b"scid-srv";

fn hello(p1: &[u8]) -> (ClientKem, Vec<u8>, ClientHelloState) {
    let kem = client_kem();
    let (m1, state) = kem.hello(ODCID, DCID, SCID_C, p1);
    (kem, m1, state)
}

fn open(m1: &[u8]) -> Result<ServerOpened, OpenFailure> {
    server_open(&server_key(), ODCID, DCID, SCID_C, m1)
}

/// P1 with one parameter besides a usual one: id 20, 21 or 22.
fn p1_with(ids: &[u8]) -> Vec<u8> {
    let mut p1 = vec![0x01, 0x01, 0x00];
    for id in ids {
        p1.extend_from_slice(&[*id, 1, 0xaa]);
    }
    p1
}

#[test]
fn a_hello_is_bound_to_its_ids_and_to_the_key() {
    let (_, m1, _) = hello(&p1_with(&[]));
    assert!(open(&m1).is_ok());
    let key = server_key();
    for (odcid, dcid, scid) in [
        (DCID, DCID, SCID_C),
        (ODCID, ODCID, SCID_C),
        (ODCID, DCID, SCID_S),
        (b"", &[ODCID, DCID].concat()[..], SCID_C),
    ] {
        assert_eq!(server_open(&key, odcid, dcid, scid, &m1).err(), Some(OpenFailure));
    }
    assert!(server_open(&client_key(), ODCID, DCID, SCID_C, &m1).is_err());
}

#[test]
fn every_changed_byte_of_a_hello_is_rejected() {
    let (_, m1, _) = hello(&p1_with(&[]));
    for at in (0..m1.len()).filter(|at| at % 101 == 0 || *at >= PUBLIC_KEY_LEN + CIPHERTEXT_LEN) {
        let mut bad = m1.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(open(&bad).is_err(), "byte {at}");
    }
    for len in (0..m1.len()).step_by(97).chain([2336, 2351, m1.len() - 1]) {
        assert!(open(&m1[..len]).is_err(), "length {len}");
    }
    assert!(open(&[&m1[..], &[0]].concat()).is_err());
}

#[test]
fn parameters_of_a_hello_have_limits() {
    // id 24, a length in two bytes, and a body: well-formed.
    let body = MAX_P1 - 3 - 3;
    let longest = [&p1_with(&[])[..], &[0x24], &(0x4000 | body as u16).to_be_bytes(), &vec![0; body]].concat();
    assert_eq!(longest.len(), MAX_P1);
    assert_eq!(open(&hello(&longest).1).unwrap().p1, longest);
    let longer = [&p1_with(&[])[..], &[0x24], &(0x4001 + body as u16).to_be_bytes(), &vec![0; body + 1]].concat();
    assert!(open(&hello(&longer).1).is_err());
    for malformed in [&[1][..], &[1, 2, 0], &[2, 0, 1, 0], &[1, 0, 1, 0], &[0xff]] {
        assert!(open(&hello(malformed).1).is_err(), "{malformed:?}");
    }
    assert!(open(&hello(&p1_with(&[0x20, 0x21])).1).is_err());
    assert!(open(&hello(&[]).1).is_ok());
}

type Client<'a> = Option<(&'a PublicKey, &'a [u8; 64])>;

fn seal(
    opened: ServerOpened,
    client: Client<'_>,
    psk: Option<&[u8; 32]>,
    refuse: Option<u64>,
) -> Result<Vec<u8>, SealError> {
    opened.seal(SCID_S, &[5; 64], client, psk, refuse, b"").map(|(m2, _)| m2)
}

#[test]
fn the_server_cannot_answer_in_another_mode() {
    let client = client_key();
    let named = Some((client.public(), &[6; 64]));
    let psk = Some(&[7; 32]);
    for (ids, key, shared) in [
        (&[][..], false, false),
        (&[0x20], true, false),
        (&[0x21], true, false),
        (&[0x22], false, true),
        (&[0x20, 0x22], true, true),
    ] {
        let (_, m1, _) = hello(&p1_with(ids));
        for (client, psk) in [(None, None), (named, None), (None, psk), (named, psk)] {
            let right = (client.is_some(), psk.is_some()) == (key, shared);
            let sealed = seal(open(&m1).unwrap(), client, psk, None);
            assert_eq!(sealed.is_ok(), right, "{ids:?}");
            assert!(right || sealed == Err(SealError::Mode));
            assert!(seal(open(&m1).unwrap(), client, psk, Some(1)).is_ok());
        }
    }
}

#[test]
fn a_refusal_is_authenticated_and_says_its_code() {
    let client = client_key();
    for (ids, code) in [(&[][..], 0u64), (&[0x20, 0x22], 0x14), (&[0x22], varint::MAX)] {
        let (kem, m1, state) = hello(&p1_with(ids));
        let m2 = seal(open(&m1).unwrap(), Some((client.public(), &[6; 64])), None, Some(code)).unwrap();
        assert_eq!((m2[0], m2.len()), (FLAG_REFUSED, 1 + CIPHERTEXT_LEN + 2 + varint::len(code) + TAG_LEN));
        let answer = state.finish(&kem, SCID_S, &m2, Offered::default()).unwrap();
        assert_eq!(answer.refused, Some(code));
    }
}

#[test]
fn extra_parameters_are_no_refusal() {
    let (kem, m1, state) = hello(&p1_with(&[]));
    let extra = [0x11, 2, 9, 9];
    let (m2, _) = open(&m1).unwrap().seal(SCID_S, &[5; 64], None, None, None, &extra).unwrap();
    assert_eq!(state.finish(&kem, SCID_S, &m2, Offered::default()).unwrap().refused, None);
    for bad in [&[0x30, 1, 0][..], &[0x11, 5]] {
        let sealed = open(&m1).unwrap().seal(SCID_S, &[5; 64], None, None, None, bad);
        assert_eq!(sealed.err(), Some(SealError::Params));
    }
}

/// An answer by someone who knows everything the server knows, with flags and P2 of his choice.
fn forge(m1: &[u8], flags: u8, client: Client<'_>, psk: Option<&[u8; 32]>, p2: &[u8]) -> Vec<u8> {
    let opened = open(m1).unwrap();
    let (ct_e, ss_e) = opened.e_pk.encapsulate(&[5; 64]).unwrap();
    let client = client.map(|(key, eseed)| key.encapsulate(eseed).unwrap());
    let ct_c = client.as_ref().map_or(&[][..], |(ct, _)| ct);
    let h3 = h3(&opened.h2, flags, SCID_S, &ct_e, ct_c);
    let prk4 = mix(&opened.prk1, &opened.h2, &ss_e, client.as_ref().map(|(_, ss)| ss), psk);
    let sealed2 = seal_params(&k2(&prk4, &h3), &h3, p2);
    [&[flags], &ct_e[..], ct_c, &sealed2].concat()
}

/// Section 13, item 1: flags other than what P1 asks for fail, even if everything else is right.
#[test]
fn no_mode_downgrade_through_flags() {
    let client = client_key();
    let named = Some((client.public(), &[6; 64]));
    let psk = [7; 32];
    let offered = Offered { client_key: Some(&client), psk: Some(&psk) };
    for (ids, right) in [(&[][..], 0u8), (&[0x20], 1), (&[0x22], 2), (&[0x21, 0x22], 3)] {
        let (kem, m1, state) = hello(&p1_with(ids));
        for flags in 0..=255u8 {
            let client = if flags & 1 != 0 { named } else { None };
            let psk = (flags & 2 != 0).then_some(&psk);
            for p2 in [&[][..], &[0x30, 1, 9]] {
                if !p2.is_empty() && flags > 7 {
                    continue;
                }
                let m2 = forge(&m1, flags, client, psk, p2);
                let good = if p2.is_empty() { flags == right } else { flags == FLAG_REFUSED };
                let got = state.finish(&kem, SCID_S, &m2, offered);
                assert_eq!(got.is_ok(), good, "P1 {ids:x?}, flags {flags:#x}, P2 {p2:x?}");
            }
        }
    }
}

#[test]
fn what_the_client_does_not_hold_fails() {
    let client = client_key();
    let (kem, m1, state) = hello(&p1_with(&[0x20, 0x22]));
    let m2 = seal(open(&m1).unwrap(), Some((client.public(), &[6; 64])), Some(&[7; 32]), None).unwrap();
    let (other, psk, wrong) = (SecretKey::from_seed([1; 32]), [7; 32], [8; 32]);
    for (client_key, psk, ok) in [
        (Some(&client), Some(&psk), true),
        (Some(&client), Some(&wrong), false),
        (Some(&other), Some(&psk), false),
        (Some(&client), None, false),
        (None, Some(&psk), false),
    ] {
        assert_eq!(state.finish(&kem, SCID_S, &m2, Offered { client_key, psk }).is_ok(), ok);
    }
}

#[test]
fn every_changed_byte_of_an_answer_is_rejected() {
    let (kem, m1, state) = hello(&p1_with(&[]));
    let m2 = seal(open(&m1).unwrap(), None, None, None).unwrap();
    let finish = |m2: &[u8]| state.finish(&kem, SCID_S, m2, Offered::default());
    for at in (0..m2.len()).filter(|at| at % 41 == 0 || *at > CIPHERTEXT_LEN) {
        let mut bad = m2.clone();
        bad[at] ^= 1 << (at % 8);
        assert_eq!(finish(&bad).err(), Some(InnerFailure), "byte {at}");
    }
    for len in [0, 1, 1120, 1121, 1136] {
        assert!(finish(&m2[..len]).is_err());
    }
    assert!(finish(&[&m2[..], &[0]].concat()).is_err());
    assert!(state.finish(&kem, SCID_C, &m2, Offered::default()).is_err());
    assert!(finish(&m2).is_ok());
}

#[test]
fn an_ephemeral_key_of_small_order_gets_no_answer() {
    let (_, m1, _) = hello(&p1_with(&[]));
    let mut opened = open(&m1).unwrap();
    let mut e_pk = *opened.e_pk.as_bytes();
    e_pk[1184..].fill(0);
    opened.e_pk = PublicKey::from_bytes(&e_pk).unwrap();
    assert_eq!(seal(opened, None, None, None), Err(SealError::NonContributory));
}

#[test]
fn understands_the_parameters_of_the_wire_layer() {
    let extras = crate::wire::Extras { psk_id: Some(b"me"), client_key_id: Some(&[3; 32]), ..Default::default() };
    let mut buf = [0; 500];
    let mut w = Writer::new(&mut buf);
    encode_params(&Default::default(), &extras, crate::wire::ParamsContext::P1, &mut w).unwrap();
    assert_eq!(Mode::of_p1(w.written()), Some(Mode { client_key: true, psk: true }));
}

#[test]
fn debug_output_holds_no_secret() {
    // Seeds are fixed, so whether a printed hash happens to hold a 201 is settled: it does not.
    let psk = [201; 32];
    let (kem, m1, state) = hello(&[0x24, 2, 201, 201]);
    let offered = Offered { client_key: None, psk: Some(&psk) };
    let text = alloc::format!("{kem:?} {state:?} {:?} {offered:?}", open(&m1).unwrap());
    assert!(text.contains("Prk(..)") && !text.contains("201"), "{text}");
}

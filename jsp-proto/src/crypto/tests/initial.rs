use super::*;
use crate::crypto::kem::SecretKey;
use crate::crypto::schedule::{ClientKem, Offered, server_open};
use crate::crypto::tests::vectors::{self, Handshake, IK_PSK, NK, NK_RETRY};
use crate::crypto::tests::{hex, hex_array, hex32, sha256, to_hex};
use crate::crypto::token::KeyInfo;
use crate::wire::header::decode_long;
use crate::wire::{Cid, Side};
use alloc::string::String;
use proptest::prelude::*;

fn key_id() -> KeyId {
    KeyId::new(hex32(vectors::KEY_ID_S))
}

fn cid(text: &str) -> Cid {
    Cid::new(&hex(text)).unwrap()
}

fn template<'a>(from: Side, ty: LongType, dcid: Cid, scid: Cid, token: &'a [u8]) -> LongHeader<'a> {
    LongHeader { from, ty, count: 1, index: 0, dcid, scid, token, payload_at: 0 }
}

fn digest(flight: &[Vec<u8>]) -> Vec<(usize, String)> {
    flight.iter().map(|datagram| (datagram.len(), sha256(datagram))).collect()
}

fn expected(flight: &[(usize, &str)]) -> Vec<(usize, String)> {
    flight.iter().map(|(len, sum)| (*len, String::from(*sum))).collect()
}

/// Opens every datagram and puts the message together.
fn reassemble(flight: &[Vec<u8>], from: Side, key: &SealKey) -> Vec<u8> {
    let mut message = vec![];
    for (at, datagram) in flight.iter().enumerate() {
        let mut datagram = datagram.clone();
        let header = decode_long(&datagram, from).unwrap();
        let (index, count, payload_at) = (header.index, header.count, header.payload_at);
        assert_eq!((usize::from(index), usize::from(count)), (at, flight.len()));
        let payload = key.open_datagram(index, &mut datagram, payload_at).unwrap();
        let fragment = Fragment::decode(payload).unwrap();
        assert_eq!(usize::from(fragment.offset), message.len());
        message.extend_from_slice(fragment.data);
        if at + 1 == flight.len() {
            assert_eq!(usize::from(fragment.total), message.len());
        }
    }
    message
}

/// All datagrams of a handshake vector, from the seeds.
fn datagrams(v: &Handshake, auth: bool) {
    let sk = SecretKey::from_seed(hex32(vectors::SERVER_STATIC_SEED));
    let client = SecretKey::from_seed(hex32(vectors::CLIENT_STATIC_SEED));
    let kem = ClientKem::new(sk.public(), hex32(vectors::CLIENT_EPHEMERAL_SEED), hex_array(vectors::ESEED_S)).unwrap();
    let (odcid, dcid, scid_c, scid_s) = (hex(v.odcid), hex(v.dcid), hex(v.scid_c), hex(v.scid_s));
    let (m1, state) = kem.hello(&odcid, &dcid, &scid_c, &hex(v.p1));
    let keys = InitialKeys::new(&key_id(), &dcid);
    assert_eq!(to_hex(keys.secret().as_bytes()), v.init_secret);
    assert_eq!(to_hex(&keys.key_iv("ci", LongType::ClientInit, b"")), v.init_c_ci_key_iv);
    assert_eq!(to_hex(&keys.key_iv("si", LongType::ServerInit, &scid_s)), v.init_s_si_key_iv);

    let token = hex(v.token);
    let header = template(Side::Client, LongType::ClientInit, cid(v.dcid), cid(v.scid_c), &token);
    let key = keys.client(LongType::ClientInit);
    let flight = build_flight(&header, &key, &m1, Layout::Hello).unwrap();
    assert_eq!(digest(&flight), expected(v.ci_datagrams));
    let m1 = reassemble(&flight, Side::Client, &key);

    let psk = hex32(vectors::PSK);
    let opened = server_open(&sk, &odcid, &dcid, &scid_c, &m1).unwrap();
    let eseed_c = hex_array(vectors::ESEED_C);
    let named = auth.then_some((client.public(), &eseed_c));
    let psk = auth.then_some(&psk);
    let (m2, _) = opened.seal(&scid_s, &hex_array(vectors::ESEED_E), named, psk, None, b"").unwrap();
    let header = template(Side::Server, LongType::ServerInit, cid(v.scid_c), cid(v.scid_s), b"");
    let key = keys.server(LongType::ServerInit, &scid_s);
    let flight = build_flight(&header, &key, &m2, Layout::Padded).unwrap();
    assert_eq!(digest(&flight), expected(v.si_datagrams));
    let m2 = reassemble(&flight, Side::Server, &key);
    let offered = Offered { client_key: auth.then_some(&client), psk };
    assert!(state.finish(&kem, &scid_s, &m2, offered).is_ok());
}

#[test]
fn salt_is_the_hash_of_its_name() {
    assert_eq!(INITIAL_SALT, crate::crypto::hash(&[b"JetStreamProto v1 initial salt"]));
}

#[test]
fn datagrams_of_the_handshakes() {
    datagrams(&NK, false);
    datagrams(&IK_PSK, true);
    datagrams(&NK_RETRY, false);
}

#[test]
fn retry_datagram() {
    let v = &NK_RETRY;
    let scid = hex(vectors::RETRY_SCID);
    let key = InitialKeys::new(&key_id(), &hex(v.odcid)).server(LongType::Retry, &scid);
    let header = template(Side::Server, LongType::Retry, cid(v.scid_c), cid(vectors::RETRY_SCID), b"");
    let mut datagram = build_retry(&header, &key, &hex(v.token)).unwrap();
    assert_eq!(to_hex(&datagram), vectors::RETRY_DATAGRAM);
    let payload_at = decode_long(&datagram, Side::Server).unwrap().payload_at;
    assert_eq!(key.open_datagram(0, &mut datagram, payload_at).unwrap(), hex(v.token));
}

#[test]
fn key_fetch_datagrams() {
    let dcid = hex(vectors::KEYFETCH_DCID);
    let keys = InitialKeys::new(&KeyId::ZERO, &dcid);
    let header = template(Side::Client, LongType::Key, cid(vectors::KEYFETCH_DCID), cid(NK.scid_c), b"");
    let request = build_flight(&header, &keys.client(LongType::Key), b"", Layout::Padded).unwrap();
    assert_eq!(digest(&request), [(1200, String::from(vectors::KEYREQ_SHA256))]);

    let sk = SecretKey::from_seed(hex32(vectors::SERVER_STATIC_SEED));
    let token_key = crate::crypto::token::TokenKey::new(hex32(vectors::TOKEN_KEY));
    let address = "192.0.2.7:50000".parse().unwrap();
    let scid = hex(vectors::KEYFETCH_RETRY_SCID);
    assert_eq!(token_key.retry_cid(0x1234, &dcid, address)[..8], scid);
    let token = token_key.retry_token(0x1234, &dcid, &scid, address).unwrap();
    let info = KeyInfo { token: token.as_bytes(), key: sk.public().clone(), endorsement: None };
    let message = info.encode().unwrap();
    assert_eq!(sha256(&message), vectors::KEYINFO_SHA256);
    let header = template(Side::Server, LongType::Key, cid(NK.scid_c), cid(vectors::KEYFETCH_RETRY_SCID), b"");
    let key = keys.server(LongType::Key, &scid);
    let flight = build_flight(&header, &key, &message, Layout::Even).unwrap();
    assert_eq!(digest(&flight), expected(vectors::KEYINFO_DATAGRAMS));
    assert_eq!(KeyInfo::decode(&reassemble(&flight, Side::Server, &key)), Ok(info));
}

#[test]
fn every_changed_bit_of_a_datagram_is_rejected_and_leaves_it_alone() {
    let v = &NK_RETRY;
    let key = InitialKeys::new(&key_id(), &hex(v.odcid)).server(LongType::Retry, &hex(vectors::RETRY_SCID));
    let good = hex(vectors::RETRY_DATAGRAM);
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let before = bad.clone();
        assert_eq!(key.open_datagram(0, &mut bad, 23), Err(Rejected));
        assert_eq!(bad, before);
    }
    for len in 0..good.len() {
        assert_eq!(key.open_datagram(0, &mut good[..len].to_vec(), 23), Err(Rejected));
    }
    assert_eq!(key.open_datagram(1, &mut good.clone(), 23), Err(Rejected));
}

#[test]
fn the_longest_hello_fits() {
    let cid = Cid::new(&[1; 16]).unwrap();
    let header = template(Side::Client, LongType::ClientInit, cid, cid, &[2; 64]);
    let key = InitialKeys::new(&KeyId::ZERO, b"").client(LongType::ClientInit);
    let longest = 1216 + 1120 + 16 + crate::crypto::schedule::MAX_P1;
    let flight = build_flight(&header, &key, &vec![3; longest], Layout::Hello).unwrap();
    assert_eq!(flight.iter().map(Vec::len).collect::<Vec<_>>(), [1200; 4]);
    let too_long = build_flight(&header, &key, &vec![3; longest + 1], Layout::Hello);
    assert_eq!(too_long, Err(FlightError::TooLong));
    let header = template(Side::Client, LongType::ClientInit, cid, cid, &[2; 129]);
    assert_eq!(build_flight(&header, &key, b"x", Layout::Hello), Err(FlightError::Token));
}

proptest! {
    #[test]
    fn any_message_survives_the_cutting(
        len in 1usize..4293,
        layout in prop::sample::select(vec![Layout::Hello, Layout::Padded, Layout::Even]),
        cids in (0usize..=16, 0usize..=16),
        token in 0usize..=64,
    ) {
        let (dcid, scid) = (Cid::new(&[7; 16][..cids.0]).unwrap(), Cid::new(&[8; 16][..cids.1]).unwrap());
        let token = vec![9; token];
        let header = template(Side::Client, LongType::ClientInit, dcid, scid, &token);
        let key = InitialKeys::new(&KeyId::ZERO, dcid.as_slice()).client(LongType::ClientInit);
        let message: Vec<u8> = (0..len).map(|i| (i * 7 / 5) as u8).collect();
        let flight = build_flight(&header, &key, &message, layout).unwrap();
        prop_assert_eq!(reassemble(&flight, Side::Client, &key), message);
        let (last, rest) = flight.split_last().unwrap();
        match layout {
            Layout::Hello => prop_assert!((MIN_LAST_DATAGRAM..=1200).contains(&last.len())),
            Layout::Padded => prop_assert_eq!(last.len(), 1200),
            Layout::Even => prop_assert!(rest.iter().all(|d| d.len() - last.len() < 4 && d.len() <= 1200)),
        }
        if layout != Layout::Even {
            prop_assert!(rest.iter().all(|datagram| datagram.len() == 1200));
        }
    }
}

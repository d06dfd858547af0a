use super::*;
use crate::crypto::kem::SecretKey;
use crate::crypto::tests::vectors::{self, NK, NK_RETRY};
use crate::crypto::tests::{hex, hex_array, hex32, to_hex};
use alloc::vec;
use core::net::{IpAddr, SocketAddr};

const ISSUED: u32 = 0x1234;

fn key() -> TokenKey {
    TokenKey::new(hex32(vectors::TOKEN_KEY))
}

fn address() -> SocketAddr {
    "192.0.2.7:50000".parse().unwrap()
}

#[test]
fn addresses_are_mapped() {
    assert_eq!(to_hex(&address18(address())), "00000000000000000000ffffc0000207c350");
    assert_eq!(to_hex(&address18("[2001:db8::1]:1".parse().unwrap())), "20010db80000000000000000000000010001");
    // One client, whatever kind of socket it came in on.
    assert_eq!(address18("[::ffff:192.0.2.7]:50000".parse().unwrap()), address18(address()));
}

#[test]
fn retry_token_of_the_vectors() {
    let odcid = hex(NK_RETRY.odcid);
    let rscid = hex(vectors::RETRY_SCID);
    assert_eq!(key().retry_cid(ISSUED, &odcid, address())[..8], rscid);
    let token = key().retry_token(ISSUED, &odcid, &rscid, address()).unwrap();
    assert_eq!(to_hex(token.as_bytes()), NK_RETRY.token);
    assert_eq!(key().verify_retry(token.as_bytes(), &rscid, address(), ISSUED), Some(&odcid[..]));
}

#[test]
fn retry_token_is_bound_to_everything() {
    let (odcid, rscid) = ([1; 8], [2; 8]);
    let token = key().retry_token(ISSUED, &odcid, &rscid, address()).unwrap();
    let token = token.as_bytes();
    let accepts = |token: &[u8], dcid: &[u8], address: &str, now| {
        key().verify_retry(token, dcid, address.parse().unwrap(), now).is_some()
    };
    assert!(accepts(token, &rscid, "192.0.2.7:50000", ISSUED));
    assert!(accepts(token, &rscid, "[::ffff:192.0.2.7]:50000", ISSUED));
    assert!(!accepts(token, &[3; 8], "192.0.2.7:50000", ISSUED));
    assert!(!accepts(token, &rscid, "192.0.2.8:50000", ISSUED));
    assert!(!accepts(token, &rscid, "192.0.2.7:50001", ISSUED));
    for (now, ok) in [(-3, false), (-2, true), (0, true), (10, true), (11, false)] {
        assert_eq!(accepts(token, &rscid, "192.0.2.7:50000", ISSUED.wrapping_add_signed(now)), ok, "after {now} s");
    }
    for bit in 0..token.len() * 8 {
        let mut bad = token.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(!accepts(&bad, &rscid, "192.0.2.7:50000", ISSUED), "bit {bit}");
    }
    for len in 0..token.len() {
        assert!(!accepts(&token[..len], &rscid, "192.0.2.7:50000", ISSUED));
    }
    assert!(!accepts(&[token, &[0]].concat(), &rscid, "192.0.2.7:50000", ISSUED));
    let other = TokenKey::new([0; 32]);
    assert_eq!(other.verify_retry(token, &rscid, address(), ISSUED), None);
}

#[test]
fn retry_tokens_of_all_lengths() {
    for len in 0..=16 {
        let odcid = vec![7; len];
        let token = key().retry_token(ISSUED, &odcid, &[2; 16], address()).unwrap();
        assert_eq!(token.as_bytes().len(), 22 + len);
        assert!(is_retry_token(token.as_bytes()));
        assert_eq!(key().verify_retry(token.as_bytes(), &[2; 16], address(), ISSUED), Some(&odcid[..]));
    }
    assert!(key().retry_token(ISSUED, &[7; 17], b"", address()).is_none());
    // The clock may be at either end of its range.
    for now in [0, u32::MAX] {
        let token = key().retry_token(now, b"", b"", address()).unwrap();
        assert!(key().verify_retry(token.as_bytes(), b"", address(), now).is_some());
    }
}

#[test]
fn new_token_of_the_vectors() {
    assert_eq!(to_hex(key().new_token_key().as_bytes()), vectors::NEW_TOKEN_KEY);
    let token = key().new_token_key().seal(hex_array(vectors::NEW_TOKEN_NONCE), ISSUED, address().ip());
    assert_eq!(to_hex(&token), vectors::NEW_TOKEN_TOKEN);
}

#[test]
fn new_token_is_bound_to_ip_and_time() {
    let token = key().new_token_key().seal([5; 12], ISSUED, address().ip());
    let accepts = |token: &[u8], ip: &str, now| {
        let ip: IpAddr = ip.parse().unwrap();
        key().new_token_key().open(token, ip, now, 86_400) == Some(NewToken { nonce: [5; 12], issued: ISSUED })
    };
    assert!(accepts(&token, "192.0.2.7", ISSUED + 86_400));
    assert!(!accepts(&token, "192.0.2.7", ISSUED + 86_401));
    assert!(!accepts(&token, "192.0.2.7", ISSUED - 3));
    assert!(!accepts(&token, "192.0.2.8", ISSUED));
    for bit in 0..token.len() * 8 {
        let mut bad = token;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(!accepts(&bad, "192.0.2.7", ISSUED), "bit {bit}");
    }
    assert!(!accepts(&token[..48], "192.0.2.7", ISSUED));
    assert!(!accepts(b"", "192.0.2.7", ISSUED));
    assert!(!is_retry_token(&token) && is_new_token(&token));
}

#[test]
fn reset_token_of_the_vectors() {
    let key = ResetKey::new(hex32(vectors::RESET_KEY));
    assert_eq!(to_hex(&key.reset_token(&hex(NK.scid_s))), vectors::ONE_RTT_RESET_TOKEN_SCID_S);
}

#[test]
fn key_info_round_trip_and_exact_length() {
    let public = SecretKey::from_seed([1; 32]).public().clone();
    let endorsement = [9; MAX_ENDORSEMENT];
    for (token, endorsement) in
        [(&[][..], None), (&[1; 30], None), (&[1; 64], Some(&endorsement[..])), (&[1; 30], Some(&[][..]))]
    {
        let info = KeyInfo { token, key: public.clone(), endorsement };
        let message = info.encode().unwrap();
        assert_eq!(KeyInfo::decode(&message), Ok(info));
        for len in (0..message.len()).step_by(29).chain([message.len() - 1]) {
            assert!(KeyInfo::decode(&message[..len]).is_err(), "length {len}");
        }
        assert!(KeyInfo::decode(&[&message[..], &[0]].concat()).is_err());
        let mut flags = message.clone();
        flags[0] ^= 2;
        assert!(KeyInfo::decode(&flags).is_err());
    }
    assert!(KeyInfo { token: &[1; 65], key: public.clone(), endorsement: None }.encode().is_err());
    assert!(KeyInfo { token: b"", key: public, endorsement: Some(&[0; 1025]) }.encode().is_err());
}

use super::*;
use crate::crypto::tests::{hex, hex32, to_hex};
use alloc::vec;
use alloc::vec::Vec;
use hmac::{Hmac, KeyInit, Mac};

#[test]
fn extract_knows_rfc_5869() {
    let prk = extract(&hex("000102030405060708090a0b0c"), &[0x0b; 22]);
    assert_eq!(to_hex(prk.as_bytes()), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
    let prk = extract(b"", &[0x0b; 22]);
    assert_eq!(to_hex(prk.as_bytes()), "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04");
}

/// The OKM of RFC 5869 appendix A.1, so that the crate below the labels is checked as well.
#[test]
fn expand_of_the_crate_knows_rfc_5869() {
    let prk = hex32("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
    let mut okm = [0; 42];
    Hkdf::<Sha256>::from_prk(&prk).unwrap().expand(&hex("f0f1f2f3f4f5f6f7f8f9"), &mut okm).unwrap();
    assert_eq!(to_hex(&okm), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

/// HKDF-Expand as RFC 5869 writes it, and the info string as the specification writes it.
fn reference(prk: &[u8; 32], label: &[u8], ctx: &[u8], len: usize) -> Vec<u8> {
    let mut info = (len as u16).to_be_bytes().to_vec();
    info.push(5 + label.len() as u8);
    info.extend_from_slice(b"jsp1 ");
    info.extend_from_slice(label);
    info.push(ctx.len() as u8);
    info.extend_from_slice(ctx);
    let (mut out, mut block) = (vec![], vec![]);
    for counter in 1..=255u8 {
        let mut mac = Hmac::<Sha256>::new_from_slice(prk).unwrap();
        mac.update(&block);
        mac.update(&info);
        mac.update(&[counter]);
        block = mac.finalize().into_bytes().to_vec();
        out.extend_from_slice(&block);
    }
    out.truncate(len);
    out
}

#[test]
fn expand_follows_the_specification() {
    let prk = Prk::new([7; 32]);
    for len in [1, 12, 31, 32, 33, 44, 64, 100] {
        let mut out = vec![0; len];
        expand(&prk, "label", b"context", &mut out);
        assert_eq!(out, reference(&[7; 32], b"label", b"context", len));
    }
}

#[test]
fn exporter_prefixes_the_label_and_hashes_the_context() {
    let prk = Prk::new([9; 32]);
    let mut out = vec![0; 80];
    exporter(&prk, b"login", b"any length of context", &mut out).unwrap();
    assert_eq!(out, reference(&[9; 32], b"app login", &hash(&[b"any length of context"]), 80));
}

#[test]
fn exporter_refuses_what_does_not_fit() {
    let prk = Prk::new([9; 32]);
    let longest_label = [b'x'; 255 - 9];
    assert_eq!(exporter(&prk, &longest_label, b"", &mut [0; 32]), Ok(()));
    assert_eq!(exporter(&prk, &[b'x'; 255 - 8], b"", &mut [0; 32]), Err(LengthError));
    assert_eq!(exporter(&prk, b"x", b"", &mut vec![0; 8160]), Ok(()));
    assert_eq!(exporter(&prk, b"x", b"", &mut vec![0; 8161]), Err(LengthError));
    assert_eq!(exporter(&prk, b"x", b"", &mut vec![0; 70_000]), Err(LengthError));
}

#[test]
fn secrets_print_nothing() {
    assert_eq!(alloc::format!("{:?}", Prk::new([0xab; 32])), "Prk(..)");
}

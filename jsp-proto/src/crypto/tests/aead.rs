use super::*;
use crate::crypto::tests::{hex, hex_array, hex32};
use alloc::vec::Vec;

fn key() -> [u8; 32] {
    hex32("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f")
}

const PLAIN: &[u8] = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
    sunscreen would be it.";
const CIPHERTEXT: &str = "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da9272\
    8b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de57\
    6d26586cec64b6116";

/// RFC 8439 section 2.8.2.
fn rfc_8439<A: Aead>() {
    let nonce = hex_array("070000004041424344454647");
    let aad = hex("50515253c0c1c2c3c4c5c6c7");
    let mut buf = PLAIN.to_vec();
    let tag = A::new(&key()).seal(&nonce, &aad, &mut buf);
    assert_eq!(buf, hex(CIPHERTEXT));
    assert_eq!(tag, hex_array("1ae10b594f09e26a7e902ecbd0600691"));
    assert_eq!(A::new(&key()).open(&nonce, &aad, &mut buf, &tag), Ok(()));
    assert_eq!(buf, PLAIN);
}

/// Opens what `S` sealed, and everything that differs from it by one bit, with `O`. Calls `after_failure` with the
/// ciphertext and the buffer of every failed opening.
fn cross<S: Aead, O: Aead>(len: usize, after_failure: impl Fn(&[u8], &[u8])) {
    let (nonce, aad) = ([9; 12], [3; 13]);
    let plain: Vec<u8> = (0..len).map(|i| i as u8).collect();
    let mut sealed = plain.clone();
    let tag = S::new(&key()).seal(&nonce, &aad, &mut sealed);
    let opener = O::new(&key());

    let mut buf = sealed.clone();
    assert_eq!(opener.open(&nonce, &aad, &mut buf, &tag), Ok(()));
    assert_eq!(buf, plain);

    let all = (12 + 13 + len + TAG_LEN) * 8;
    let step = if all > 1000 { 37 } else { 1 };
    for bit in (0..all).step_by(step) {
        let (mut nonce, mut aad, mut tag, mut buf) = (nonce, aad, tag, sealed.clone());
        let flat = nonce.iter_mut().chain(&mut aad).chain(&mut tag).chain(&mut buf);
        *flat.into_iter().nth(bit / 8).unwrap() ^= 1 << (bit % 8);
        let received = buf.clone();
        assert_eq!(opener.open(&nonce, &aad, &mut buf, &tag), Err(Rejected), "bit {bit}");
        after_failure(&received, &buf);
    }
}

#[test]
fn portable_knows_rfc_8439() {
    rfc_8439::<Portable>();
}

#[test]
fn portable_leaves_the_buffer_of_a_failure_alone() {
    for len in [0, 1, 16, 63, 64, 65, 1162] {
        cross::<Portable, Portable>(len, |received, left| assert_eq!(received, left));
    }
}

#[cfg(feature = "ring")]
#[test]
fn ring_knows_rfc_8439() {
    rfc_8439::<Ring>();
}

#[cfg(feature = "ring")]
#[test]
fn backends_agree_on_what_they_accept() {
    for len in [0, 1, 16, 63, 64, 65, 1162] {
        cross::<Ring, Portable>(len, |received, left| assert_eq!(received, left));
        let no_plaintext_left = |_: &[u8], left: &[u8]| {
            let plain: Vec<u8> = (0..len).map(|i| i as u8).collect();
            assert!(len < 16 || left != plain);
        };
        cross::<Portable, Ring>(len, no_plaintext_left);
        cross::<Ring, Ring>(len, no_plaintext_left);
    }
}

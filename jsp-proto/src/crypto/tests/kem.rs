use super::*;
use crate::crypto::tests::{hex_array, hex32, sha256, to_hex, vectors};
use alloc::string::ToString;
use proptest::prelude::*;
use x_wing::Decapsulator as _;

/// seed, eseed, shared secret, SHA-256 of the public key, SHA-256 of the ciphertext.
const DRAFT: [[&str; 5]; 3] = [
    [
        "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26",
        "3cb1eea988004b93103cfb0aeefd2a686e01fa4a58e8a3639ca8a1e3f9ae57e235b8cc873c23dc62b8d260169afa2f75ab916a58d974918835d25e6a435085b2",
        "d2df0522128f09dd8e2c92b1e905c793d8f57a54c3da25861f10bf4ca613e384",
        "2e816deebcd76c5c80d0cd2d174478871658e8e2ff42bc9d4a6e486372e856bb",
        "17cd532d657e44c897ca6583e548a5424fc70bf54f99515a4d2bcf99e3469f33",
    ],
    [
        "badfd6dfaac359a5efbb7bcc4b59d538df9a04302e10c8bc1cbf1a0b3a5120ea",
        "17cda7cfad765f5623474d368ccca8af0007cd9f5e4c849f167a580b14aabdefaee7eef47cb0fca9767be1fda69419dfb927e9df07348b196691abaeb580b32d",
        "f2e86241c64d60f6649fbc6c5b7d17180b780a3f34355e64a85749949c45f150",
        "c42ba5f8430d7d2c83739338203819f090e8303ce9c8b02107c272bfa5376916",
        "1661ea86d608a1924ba30840cb0a65f13ae051e3aec9cf0f064efc0bc92f2154",
    ],
    [
        "ef58538b8d23f87732ea63b02b4fa0f4873360e2841928cd60dd4cee8cc0d4c9",
        "22a96188d032675c8ac850933c7aff1533b94c834adbb69c6115bad4692d8619f90b0cdf8a7b9c264029ac185b70b83f2801f2f4b3f70c593ea3aeeb613a7f1b",
        "953f7f4e8c5b5049bdc771d1dffada0dd961477d1a2ae0988baa7ea6898d893f",
        "6b080d6b84f095342092fa7a22423e58bd681397ad0ef00eac92bd254db4fa95",
        "d3ca5578500344b5896cffc4fd740c9311946b82951df155e6fd86a7966b43c6",
    ],
];

#[test]
fn draft_vectors() {
    for [seed, eseed, ss, pk, ct] in DRAFT {
        let key = SecretKey::from_seed(hex32(seed));
        assert_eq!(sha256(key.public().as_bytes()), pk);
        let (ciphertext, sent) = key.public().encapsulate(&hex_array(eseed)).unwrap();
        assert_eq!(sha256(&ciphertext), ct);
        assert_eq!(to_hex(sent.as_bytes()), ss);
        assert_eq!(to_hex(key.decapsulate(&ciphertext).unwrap().as_bytes()), ss);
        assert_eq!(to_hex(key.seed()), seed);
    }
}

#[test]
fn key_ids_of_the_vectors() {
    let server = SecretKey::from_seed(hex32(vectors::SERVER_STATIC_SEED));
    assert_eq!(sha256(server.public().as_bytes()), vectors::PK_S_SHA256);
    assert_eq!(to_hex(server.public().key_id().as_bytes()), vectors::KEY_ID_S);
    let client = SecretKey::from_seed(hex32(vectors::CLIENT_STATIC_SEED));
    assert_eq!(sha256(client.public().as_bytes()), vectors::PK_C_SHA256);
    assert_eq!(to_hex(client.public().key_id().as_bytes()), vectors::KEY_ID_C);
}

#[test]
fn public_keys_are_checked() {
    let key = SecretKey::from_seed([1; 32]);
    let good = key.public().as_bytes();
    assert_eq!(PublicKey::from_bytes(good).as_ref(), Ok(key.public()));
    assert_eq!(PublicKey::from_bytes(&good[..1215]), Err(InvalidKey));
    assert_eq!(PublicKey::from_bytes(&[good, &[0][..]].concat()), Err(InvalidKey));
    // Twelve bits of ones are 4095, a coefficient above the modulus of 3329: at the start, in the middle, at the end.
    for at in [0, 576, 1149] {
        let mut bad = *good;
        bad[at..at + 3].fill(0xff);
        assert_eq!(PublicKey::from_bytes(&bad), Err(InvalidKey), "at {at}");
    }
    // 3329 itself is rejected and 3328 is not.
    for (value, ok) in [(3329u16, false), (3328, true)] {
        let mut edge = *good;
        edge[0] = value as u8;
        edge[1] = edge[1] & 0xf0 | (value >> 8) as u8;
        assert_eq!(PublicKey::from_bytes(&edge).is_ok(), ok);
    }
}

/// The points of small order, as RFC 7748 encodings.
fn small_order() -> impl Iterator<Item = [u8; 32]> {
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ]
    .into_iter()
    .map(hex32)
}

#[test]
fn small_order_is_rejected_on_both_sides() {
    let key = SecretKey::from_seed([1; 32]);
    let (good, _) = key.public().encapsulate(&[2; 64]).unwrap();
    for point in small_order() {
        let mut ciphertext = good;
        ciphertext[ML_KEM_CIPHERTEXT..].copy_from_slice(&point);
        assert_eq!(key.decapsulate(&ciphertext).err(), Some(NonContributory));
        let mut public = *key.public().as_bytes();
        public[ML_KEM_PUBLIC..].copy_from_slice(&point);
        let public = PublicKey::from_bytes(&public).unwrap();
        assert_eq!(public.encapsulate(&[2; 64]).err(), Some(NonContributory));
    }
}

#[test]
fn a_changed_ciphertext_gives_another_secret() {
    let key = SecretKey::from_seed([1; 32]);
    let (good, sent) = key.public().encapsulate(&[2; 64]).unwrap();
    for at in (0..CIPHERTEXT_LEN).step_by(53) {
        let mut bad = good;
        bad[at] ^= 1;
        let got = key.decapsulate(&bad).unwrap();
        assert_ne!(got.as_bytes(), sent.as_bytes(), "byte {at}");
    }
}

#[test]
fn printing_shows_the_id_only() {
    let key = SecretKey::from_seed([1; 32]);
    let id = key.public().key_id().to_string();
    assert_eq!(alloc::format!("{key:?}"), alloc::format!("SecretKey({id})"));
    assert_eq!(alloc::format!("{:?}", key.public()), alloc::format!("PublicKey({id})"));
    let (_, shared) = key.public().encapsulate(&[2; 64]).unwrap();
    assert_eq!(alloc::format!("{shared:?}"), "SharedSecret(..)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The same bytes as an implementation by others.
    #[test]
    fn agrees_with_the_x_wing_crate(seed: [u8; 32], head: [u8; 32], tail: [u8; 32]) {
        let eseed: [u8; 64] = [head, tail].concat().try_into().unwrap();
        let ours = SecretKey::from_seed(seed);
        let theirs = x_wing::DecapsulationKey::from(seed);
        prop_assert_eq!(&ours.public().as_bytes()[..], &theirs.encapsulation_key().to_bytes()[..]);
        let (ct, ss) = ours.public().encapsulate(&eseed).unwrap();
        let (their_ct, their_ss) = theirs.encapsulation_key().encapsulate_deterministic(&eseed.into());
        prop_assert_eq!(&ct[..], &their_ct[..]);
        prop_assert_eq!(&ss.as_bytes()[..], &their_ss[..]);
        prop_assert_eq!(&theirs.decapsulate(&ct.into())[..], &their_ss[..]);
        let again = ours.decapsulate(&ct).unwrap();
        prop_assert_eq!(again.as_bytes(), ss.as_bytes());
    }
}

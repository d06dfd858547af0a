use super::*;
use crate::crypto::aead::Portable;
use crate::crypto::tests::vectors::*;
use crate::crypto::tests::{hex, hex_array, hex32, to_hex};
use crate::wire::header::decode_packet_number;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

fn rfc_9001() -> PacketKeys {
    PacketKeys::from_parts(
        &hex32("c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8"),
        hex_array("e0459b3474bdd0e44a41c144"),
        &hex32("25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4"),
    )
}

/// RFC 9001 appendix A.5.
#[test]
fn rfc_9001_packet() {
    let keys = rfc_9001();
    assert_eq!(to_hex(&keys.header().mask(&hex_array("5e5cd55c41f69080575d7999c25a5bfb"))), "aefefe7d03");
    let mut packet = hex("4200bff401");
    packet.resize(5 + TAG_LEN, 0);
    keys.seal(&mut packet, 1, 3, 654_360_564);
    assert_eq!(to_hex(&packet), "4cfe4189655e5cd55c41f69080575d7999c25a5bfb");
    let seen = unprotect(keys.header(), &mut packet, 1).unwrap();
    assert_eq!(seen, Unprotected { first: 0x42, pn_len: 3, truncated_pn: 0x00bff4 });
    assert_eq!(keys.open(&mut packet, 4, 654_360_564), Ok(1));
    assert_eq!(packet[4], 1);
}

/// The block counter comes from the packet, so its last value must work like any other.
#[test]
fn every_sample_gives_a_mask() {
    let keys = rfc_9001();
    for counter in [0, 1, 2, u32::MAX - 1, u32::MAX] {
        let mut sample = [0x5a; 16];
        sample[..4].copy_from_slice(&counter.to_le_bytes());
        let mask = keys.header().mask(&sample);
        #[cfg(feature = "ring")]
        {
            use ring::aead::quic::{CHACHA20, HeaderProtectionKey};
            let other = HeaderProtectionKey::new(&CHACHA20, &keys.header().key[..]).unwrap();
            assert_eq!(mask, other.new_mask(&sample).unwrap(), "counter {counter:#x}");
        }
        // The key stream of the AEAD starts at block 1.
        if counter == 1 {
            let mut zeros = [0; 5];
            Portable::new(&keys.header().key).seal(&[0x5a; 12], b"", &mut zeros);
            assert_eq!(mask, zeros);
        }
    }
}

fn keys_of(secret: &str) -> (Secret, PacketKeys) {
    let secret = Secret::new(hex32(secret));
    let keys = PacketKeys::from_secret(&secret);
    (secret, keys)
}

/// Opens a packet of the vectors, compares it, seals it again, compares that.
fn round_trip(keys: &PacketKeys, packet: &str, plain: &str, pn: u64) {
    const PN_AT: usize = 9;
    let original = hex(packet);
    let mut opened = original.clone();
    let seen = unprotect(keys.header(), &mut opened, PN_AT).unwrap();
    assert_eq!(decode_packet_number(seen.truncated_pn, seen.pn_len, pn), pn);
    let payload_at = PN_AT + seen.pn_len;
    let len = keys.open(&mut opened, payload_at, pn).unwrap();
    assert_eq!(to_hex(&opened[payload_at..payload_at + len]), plain);
    assert_eq!(opened[0], seen.first);
    keys.seal(&mut opened, PN_AT, seen.pn_len, pn);
    assert_eq!(opened, original);
}

#[test]
fn packets_of_the_vectors() {
    let (client, client_keys) = keys_of(NK.c_ap0);
    let (server, server_keys) = keys_of(NK.s_ap0);
    for (secret, key, iv, hp) in
        [(&client, ONE_RTT_C_KEY, ONE_RTT_C_IV, ONE_RTT_C_HP), (&server, ONE_RTT_S_KEY, ONE_RTT_S_IV, ONE_RTT_S_HP)]
    {
        assert_eq!(to_hex(secret.key().as_bytes()), key);
        assert_eq!(to_hex(&secret.iv()), iv);
        assert_eq!(to_hex(secret.hp().as_bytes()), hp);
    }
    round_trip(&server_keys, ONE_RTT_S0_PACKET, ONE_RTT_S0_PLAIN, 0);
    round_trip(&client_keys, ONE_RTT_C0_PACKET, ONE_RTT_C0_PLAIN, 0);
    round_trip(&client_keys, ONE_RTT_C1234_PACKET_F1, ONE_RTT_C1234_PLAIN_F1, 0x1234);

    let next = client.next();
    assert_eq!(to_hex(next.as_bytes()), ONE_RTT_C_AP1);
    assert_eq!(to_hex(next.key().as_bytes()), ONE_RTT_C_KEY1);
    assert_eq!(to_hex(&next.iv()), ONE_RTT_C_IV1);
    let updated = client_keys.updated(&next);
    let mut packet = hex(ONE_RTT_C20000_PACKET_PHASE1_PING);
    let seen = unprotect(updated.header(), &mut packet, 9).unwrap();
    assert_eq!(seen.first & 0x1c, 0x04, "key phase 1, neither F nor the reserved bit");
    round_trip(&updated, ONE_RTT_C20000_PACKET_PHASE1_PING, "01000000", 0x20000);
    assert!(client_keys.open(&mut packet, 9 + seen.pn_len, 0x20000).is_err());
}

fn short_packet(keys: &PacketKeys) -> Vec<u8> {
    let mut packet = vec![0x43, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0x01, 0x00];
    packet.resize(packet.len() + TAG_LEN, 0);
    keys.seal(&mut packet, 9, 4, 70_000);
    packet
}

fn open_short(keys: &PacketKeys, packet: &mut [u8]) -> Option<usize> {
    let seen = unprotect(keys.header(), packet, 9).ok()?;
    let pn = decode_packet_number(seen.truncated_pn, seen.pn_len, 70_000);
    keys.open(packet, 9 + seen.pn_len, pn).ok()
}

#[test]
fn every_changed_bit_is_rejected() {
    let keys = rfc_9001();
    let good = short_packet(&keys);
    assert_eq!(open_short(&keys, &mut good.clone()), Some(2));
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let last = bad.last_chunk::<16>().copied();
        assert_eq!(open_short(&keys, &mut bad), None, "bit {bit}");
        assert_eq!(bad.last_chunk::<16>().copied(), last, "a stateless reset must stay recognisable");
    }
    for len in 0..good.len() {
        assert_eq!(open_short(&keys, &mut good[..len].to_vec()), None, "length {len}");
    }
}

#[test]
fn short_packets_are_refused_before_any_change() {
    let keys = rfc_9001();
    for len in 0..9 + 20 {
        let mut packet = vec![0x40; len];
        assert_eq!(unprotect(keys.header(), &mut packet, 9), Err(TooShort));
        assert_eq!(packet, vec![0x40; len]);
    }
    assert!(unprotect(keys.header(), &mut [0x40; 29], 9).is_ok());
    assert_eq!(unprotect(keys.header(), &mut [0x40; 29], usize::MAX), Err(TooShort));
    assert_eq!(keys.open(&mut [0; 29], 14, 0), Err(Rejected));
    assert_eq!(keys.open(&mut [0; 29], usize::MAX, 0), Err(Rejected));
}

proptest! {
    #[test]
    fn what_is_sealed_opens(
        secret: [u8; 32],
        cid_len in 0usize..=16,
        pn_len in 1usize..=4,
        pn in 0u64..1 << 62,
        plain in prop::collection::vec(any::<u8>(), 3..200),
        flags in 0u8..8,
    ) {
        let keys = PacketKeys::from_secret(&Secret::new(secret));
        let pn_at = 1 + cid_len;
        let first = 0x40 | flags << 2 | (pn_len as u8 - 1);
        let mut packet = vec![0; pn_at + pn_len];
        packet[0] = first;
        packet.extend_from_slice(&plain);
        packet.resize(packet.len() + TAG_LEN, 0);
        keys.seal(&mut packet, pn_at, pn_len, pn);
        let seen = unprotect(keys.header(), &mut packet, pn_at).unwrap();
        let truncated_pn = pn & ((1 << (8 * pn_len)) - 1);
        prop_assert_eq!(seen, Unprotected { first, pn_len, truncated_pn });
        prop_assert_eq!(keys.open(&mut packet, pn_at + pn_len, pn), Ok(plain.len()));
        prop_assert_eq!(&packet[pn_at + pn_len..][..plain.len()], &plain[..]);
    }
}

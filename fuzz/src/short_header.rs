//! Short headers: protection on and off, packet numbers, and resets, which look like them.

use jsp_proto::internals::crypto::packet::{Secret, Unprotected, unprotect};
use jsp_proto::internals::crypto::{PacketKeys, TAG_LEN};
use jsp_proto::internals::wire::header::{
    FIXED_BIT, ShortFlags, decode_packet_number, first_byte, is_long, packet_number_len,
};
use jsp_proto::internals::wire::reset::{MIN_RESET, encode_reset, reset_len, token_of};

use crate::input::Input;

/// Seals and opens what the input says, opens the input itself, and checks the arithmetic of packet numbers.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let keys = PacketKeys::from_secret(&Secret::new([7; 32]));
    numbers(&mut input);
    sealed(&keys, &mut input);
    foreign(&keys, input.rest());
}

/// A number is found again by whoever has seen what the sender knows that it has seen.
fn numbers(input: &mut Input<'_>) {
    let (pn, acked) = (input.number(), input.number());
    let acked = (acked < pn).then_some(acked);
    let len = packet_number_len(pn, acked);
    assert!((1..=4).contains(&len));
    // As far as four bytes reach.
    let unacked = acked.map_or(pn + 1, |acked| pn - acked);
    if unacked < 1 << 31 {
        let expected = acked.map_or(0, |acked| acked + 1);
        for expected in [expected, expected + (pn - expected) / 2, pn] {
            assert_eq!(decode_packet_number(pn, len, expected), pn);
        }
    }
    // Whatever is received is the closest number with these low bits.
    let (truncated, len, expected) = (input.number(), input.below(4) + 1, input.number() & ((1 << 61) - 1));
    let window = 1u64 << (8 * len);
    let found = decode_packet_number(truncated, len, expected);
    assert_eq!(found % window, truncated % window);
    assert!(found.abs_diff(expected) <= window / 2 || (found < window && found >= expected), "{found} {expected}");
}

fn sealed(keys: &PacketKeys, input: &mut Input<'_>) {
    let (random, bits, pn) = (input.flag(), input.u8(), input.number());
    let flags = ShortFlags { fec: bits & 1 != 0, key_phase: bits & 2 != 0, pn_len: usize::from(bits >> 2 & 3) + 1 };
    let cid = input.chunk(16);
    let pn_at = 1 + cid.len();
    let mut packet = vec![first_byte(flags, random)];
    packet.extend_from_slice(cid);
    packet.resize(pn_at + flags.pn_len, 0);
    let payload = input.chunk(100);
    packet.extend_from_slice(payload);
    // The least that can be sampled.
    let least = 4usize.saturating_sub(flags.pn_len + payload.len());
    packet.resize(packet.len() + least + TAG_LEN, 0);
    keys.seal(&mut packet, pn_at, flags.pn_len, pn);
    assert!(!is_long(&packet) && packet[0] & FIXED_BIT != 0 && packet[1..pn_at] == *cid);

    let flip = input.below(packet.len() * 8 + 1);
    if let Some(byte) = packet.get_mut(flip / 8) {
        *byte ^= 1 << (flip % 8);
    }
    let untouched = flip / 8 >= packet.len();
    let Unprotected { first, pn_len, truncated_pn } =
        unprotect(keys.header(), &mut packet, pn_at).expect("long enough");
    if untouched {
        assert_eq!((ShortFlags::from_first_byte(first), pn_len), (flags, flags.pn_len));
        assert_eq!(truncated_pn, pn & ((1 << (8 * pn_len)) - 1));
    }
    match keys.open(&mut packet, pn_at + pn_len, pn) {
        Ok(len) => {
            assert!(untouched, "bit {flip} is not authenticated");
            assert_eq!(packet[pn_at + pn_len..][..len][..payload.len()], *payload);
        }
        Err(_) => assert!(!untouched),
    }
}

fn foreign(keys: &PacketKeys, datagram: &[u8]) {
    for pn_at in [1, 9, 17] {
        let mut packet = datagram.to_vec();
        let Ok(found) = unprotect(keys.header(), &mut packet, pn_at) else {
            assert!(datagram.len() < pn_at + 20);
            continue;
        };
        assert!(keys.open(&mut packet, pn_at + found.pn_len, found.truncated_pn).is_err(), "a forgery");
    }
    let token = token_of(datagram);
    assert!(token.is_none_or(|token| datagram.ends_with(token) && !is_long(datagram)));
    let Some(len) = reset_len(datagram.len()) else { return };
    assert!((MIN_RESET..datagram.len()).contains(&len));
    let mut reset = datagram[..len].to_vec();
    encode_reset(&[5; 16], &mut reset);
    assert_eq!(token_of(&reset), Some(&[5; 16]));
}

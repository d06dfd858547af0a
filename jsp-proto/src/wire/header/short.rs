//! The short header of 1-RTT packets and packet numbers (specification sections 3.1 and 3.3).

/// Set in the first byte of a long header (RFC 8999).
pub const LONG_BIT: u8 = 0x80;
/// Set in the first byte of every packet of this version.
pub const FIXED_BIT: u8 = 0x40;
/// Random in short headers, not protected, to be ignored.
pub const RANDOM_BIT: u8 = 0x20;
/// Zero in short headers once protection is removed.
pub const RESERVED_BIT: u8 = 0x10;
/// F: the packet is a source symbol of forward error correction.
pub const FEC_BIT: u8 = 0x08;
/// K: the key phase.
pub const KEY_PHASE_BIT: u8 = 0x04;
/// The length of the packet number, less one.
pub const PACKET_NUMBER_LEN_BITS: u8 = 0x03;
/// The bits of the first byte that header protection covers.
pub const PROTECTED_BITS: u8 = RESERVED_BIT | FEC_BIT | KEY_PHASE_BIT | PACKET_NUMBER_LEN_BITS;

/// What the first byte of a short header says once protection is removed (specification section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortFlags {
    /// F: the packet is a source symbol of forward error correction.
    pub fec: bool,
    /// K: the key phase.
    pub key_phase: bool,
    /// Bytes of the truncated packet number, 1 to 4.
    pub pn_len: usize,
}

impl ShortFlags {
    /// Reads the first byte. The reserved bit is the caller's to check, after the packet was authenticated.
    pub const fn from_first_byte(byte: u8) -> Self {
        Self {
            fec: byte & FEC_BIT != 0,
            key_phase: byte & KEY_PHASE_BIT != 0,
            pn_len: (byte & PACKET_NUMBER_LEN_BITS) as usize + 1,
        }
    }
}

/// The first byte of a short header, without protection.
pub const fn first_byte(flags: ShortFlags, random_bit: bool) -> u8 {
    let mut byte = FIXED_BIT | (flags.pn_len.wrapping_sub(1) as u8 & PACKET_NUMBER_LEN_BITS);
    if random_bit {
        byte |= RANDOM_BIT;
    }
    if flags.fec {
        byte |= FEC_BIT;
    }
    if flags.key_phase {
        byte |= KEY_PHASE_BIT;
    }
    byte
}

/// How many bytes of a packet number have to be sent, 1 to 4, so that a receiver that has seen at least
/// `largest_acked` finds the whole number (specification section 3.1; RFC 9000 section 17.1 and appendix A.2).
pub const fn packet_number_len(pn: u64, largest_acked: Option<u64>) -> usize {
    let unacked = match largest_acked {
        Some(acked) => pn.saturating_sub(acked),
        None => pn.saturating_add(1),
    };
    // The bytes must count more than twice as far as the receiver may be behind.
    match unacked.saturating_mul(2) {
        0..0x100 => 1,
        0x100..0x1_0000 => 2,
        0x1_0000..0x100_0000 => 3,
        _ => 4,
    }
}

/// Finds the whole packet number: the one closest to `expected` (the largest authenticated number plus one) whose low
/// `len` bytes are `truncated` (specification section 3.3; RFC 9000 appendix A.3). `len` is 1 to 4.
pub const fn decode_packet_number(truncated: u64, len: usize, expected: u64) -> u64 {
    let len = if len > 4 { 4 } else { len };
    let window = 1u64 << (len * 8);
    let candidate = (expected & !(window - 1)) | (truncated & (window - 1));
    let half = window / 2;
    if candidate.saturating_add(half) <= expected && candidate < (1 << 62) - window {
        candidate + window
    } else if candidate > expected.saturating_add(half) && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

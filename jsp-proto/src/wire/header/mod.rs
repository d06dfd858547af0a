//! Packet headers: long (specification section 2.4), short (3.1), version negotiation (3.8), and the fragments that
//! travel inside sealed long packets.

mod cid;
mod fragment;
mod long;
mod short;
#[cfg(test)]
mod tests;
mod version;

pub use cid::{Cid, MAX_CID, MIN_CLIENT_CID};
pub use fragment::{Fragment, MAX_FRAGMENTS, MAX_MESSAGE};
pub use long::{HeaderError, LongHeader, LongType, MAX_TOKEN, decode_long, is_long, long_type};
pub use short::{
    FEC_BIT, FIXED_BIT, KEY_PHASE_BIT, LONG_BIT, PACKET_NUMBER_LEN_BITS, PROTECTED_BITS, RANDOM_BIT, RESERVED_BIT,
    ShortFlags, decode_packet_number, first_byte, packet_number_len,
};
pub use version::{
    Invariants, VERSION, VersionNegotiation, decode_invariants, decode_version_negotiation, encode_version_negotiation,
};

//! Forward error correction (specification section 5): lost packets are computed from parity packets instead of being
//! sent again.
//!
//! [`code`] turns the payloads of a block into parity symbols and back. It knows no packets, no time and no bounds but
//! those of the code.

// Both sides come next.
#[allow(dead_code)]
mod code;
mod send;

#[allow(unused_imports)]
pub(crate) use code::{Decoder, Encoder, Shape, Sources, payload_of, symbol_len, warm_up};
pub(crate) use send::{Conditions, Loss, ParityRecord, Sender, SourceRecord};

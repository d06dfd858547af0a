//! Forward error correction (specification section 5): lost packets are computed from parity packets instead of being
//! sent again.
//!
//! [`code`] turns the payloads of a block into parity symbols and back. It knows no packets, no time and no bounds but
//! those of the code. [`recv`] keeps what repairs are made of and says when one can be made; what a repaired packet
//! does is for the connection. [`send`] decides which packets are protected and how much parity follows them, and when
//! a loss is not waited out any longer.

pub(crate) mod code;
mod recv;
mod send;

pub(crate) use code::warm_up;
pub(crate) use recv::{MAX_REPORTED, Receiver, Repaired, Workshop};
pub(crate) use send::{Capability, Conditions, Loss, ParityRecord, Sender, SourceRecord};

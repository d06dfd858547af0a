//! Known attacks on protocols of this kind, each by its name: it is bounded, and an honest connection beside it lives.
//!
//! Attacks that press against one of the bounds are in `bounds_*.rs`, by the row of the table; those on the handshake's
//! address tokens are in `retry.rs`; those on error correction in `bounds_repair.rs` and `repair.rs`.

#[path = "../support/mod.rs"]
mod support;

mod paths;

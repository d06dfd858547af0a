//! Fuzz targets, as ordinary functions that compile and run without a fuzzing engine: each takes any bytes, does with
//! them what a stranger or a peer could do, and panics if anything is found that must not be.
//!
//! What they check is more than that nothing panics: values written and read again, models, and what must hold of every
//! endpoint whatever it was given. `README.md` says how to run them and how to add one.

pub mod app;
pub mod harvest;
pub mod input;
pub mod sealed;

pub mod acks;
pub mod c_api;
pub mod endpoint_datagrams;
pub mod fec;
pub mod frame_sequence;
pub mod frames;
pub mod handshake_fragments;
pub mod key_id;
pub mod long_header;
pub mod lz4;
pub mod make;
pub mod operations;
pub mod packets;
pub mod params;
pub mod reassembly;
pub mod short_header;
pub mod tokens;
pub mod varint;
pub mod version_negotiation;

/// A target: its body takes any bytes.
pub type Target = fn(&[u8]);

/// Every target with its name, which is also that of its program, of its module and of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("long_header", long_header::run),
    ("short_header", short_header::run),
    ("version_negotiation", version_negotiation::run),
    ("varint", varint::run),
    ("frames", frames::run),
    ("params", params::run),
    ("tokens", tokens::run),
    ("key_id", key_id::run),
    ("packets", packets::run),
    ("frame_sequence", frame_sequence::run),
    ("acks", acks::run),
    ("reassembly", reassembly::run),
    ("fec", fec::run),
    ("lz4", lz4::run),
    ("handshake_fragments", handshake_fragments::run),
    ("endpoint_datagrams", endpoint_datagrams::run),
    ("c_api", c_api::run),
    ("operations", operations::run),
];

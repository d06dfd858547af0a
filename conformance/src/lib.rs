//! Checks of JetStreamProto: a deterministic [simulator](sim) of endpoints and networks, measurements of [congestion
//! controllers](cc) and of [error correction](fec) in it, known answers, the contract that every adapter
//! keeps, and who keeps which requirement of the [specification](spec).

pub mod cc;
#[cfg(feature = "contract")]
pub mod contract;
pub mod fec;
#[cfg(feature = "internals")]
pub mod peer;
pub mod sim;
pub mod spec;
#[cfg(feature = "vectors")]
pub mod vectors;
pub mod wasm;

/// The programs of the README, compiled as they stand there.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

//! Checks of JetStreamProto: a deterministic [simulator](sim) of endpoints and networks, and known answers.

pub mod sim;
#[cfg(feature = "vectors")]
pub mod vectors;
pub mod wasm;

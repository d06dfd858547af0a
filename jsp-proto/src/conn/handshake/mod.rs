//! The handshake as each side of one connection sees it (specification section 2). Reassembling clients' first
//! messages, before a connection exists, is the endpoint's work.

pub(crate) mod assembly;
pub(crate) mod client;
mod flight;
pub(crate) mod hello;
pub(crate) mod server;
mod versions;

//! The runtime-free loop that the adapters share (feature `driver`, needs std).
//!
//! This layer owns everything between a runtime and the state machine: buffers and batches ([`Pump`]), the task that
//! moves datagrams ([`Driver`]), the handles that programs hold ([`Endpoint`], [`Connection`], streams) and the way
//! from an event to the task that waits for it. It owns no socket and no runtime: an adapter implements [`Socket`] and
//! [`Reactor`], and spawns the [`Driver`] that [`endpoint`] gives it. Streams of bytes have the traits of `futures-io`;
//! an adapter to a runtime with traits of its own dresses them. A blocking adapter needs no task and uses the [`Pump`]
//! alone. What adapters ask of the system is in `system`, behind a feature of its own.
//!
//! One lock guards one endpoint. It is held for calls into the state machine, never for a system call, and wakers run
//! and are dropped outside of it. An operation on a handle that gives the state machine something to send wakes the
//! driver, which the runtime then runs as soon as the calling task waits: small writes of one task share datagrams.
//!
//! A server that one core cannot serve has several endpoints on sockets of one address: [`shards`] makes them.

mod bytes;
mod clock;
mod connection;
mod endpoint;
mod error;
mod keylog;
mod known_hosts;
mod logging;
mod message;
mod pump;
mod rebind;
mod reconnect;
mod shards;
mod socket;
mod state;
mod stream;
#[cfg(feature = "system")]
pub mod system;
mod task;
#[cfg(test)]
mod tests;
mod tokens;
mod waiters;

pub use bytes::{RecvStream, SendStream};
pub use clock::Clock;
pub use connection::{Connection, Stream};
pub use endpoint::{Connecting, Endpoint, Incoming};
pub use error::{ConnectError, OpenError, ReadError, SendError, WriteError};
pub use keylog::KeyLog;
pub use known_hosts::KnownHosts;
#[cfg(feature = "tracing")]
pub use logging::TracingObserver;
pub use logging::state_machine;
pub use message::{MessageReceiver, MessageSender, MessageStream, Outcome};
pub use pump::{BATCH, Pump, Step};
pub use rebind::Rebinder;
pub use reconnect::Reconnect;
pub use shards::shards;
pub use socket::{Datagrams, Outgoing, Reactor, Socket, Work};
pub use task::{Driver, endpoint};
pub use tokens::TokenStore;

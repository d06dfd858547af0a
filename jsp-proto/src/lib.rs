//! JetStreamProto: a post-quantum, message-first transport as a pure state machine.
//!
//! This crate is the whole protocol and nothing else: no socket, no clock, no thread, no global, no hidden source of
//! randomness. It takes datagrams and the time in, and gives datagrams and events out. Adapters drive it from an async
//! runtime; this page is for programs with a loop of their own.
//!
//! # The contract
//!
//! * **One object, two verbs.** An [`Endpoint`] owns all connections of one socket.
//!   [`handle_datagram`](Endpoint::handle_datagram) puts in, [`poll`](Endpoint::poll) takes out.
//! * **No order.** Every call is legal at any time, any number of times between polls.
//! * **Time is an argument.** An [`Instant`] counts nanoseconds from an origin the program chooses. It may repeat or
//!   go back; then the latest one counts.
//! * **Poll until [`Output::Idle`]** before sleeping; stopping earlier only adds delay. Its `wake_at` is always later
//!   than the `now` of the poll, so the loop cannot spin.
//! * **The program owns the bytes.** Datagrams are decrypted in place in a `&mut [u8]` and written to a `&mut [u8]`.
//!   A buffer that is too small is an output, [`Output::NeedBuffer`], and loses nothing.
//! * **Randomness is an argument.** [`Entropy`] is 32 bytes; the same seed and inputs give the same bytes out.
//! * **Hostile bytes are no error.** They are dropped and counted with a [`DropReason`]. Errors are for what the
//!   program did wrong; "nothing yet" is a value.
//! * **Handles carry a generation.** A [`ConnId`] that outlived its connection finds `None`, never a stranger.
//! * **Idle costs nothing.** A poll with nothing to do touches no connection, however many there are.
//! * **Everything is bounded.** The table of bounds is in [`config::bounds`].
//!
//! # Inside
//!
//! The crate is built in layers, and each uses only those below it: [`wire`] reads and writes headers and frames and keeps
//! no state; `crypto`, `fec`, `recovery` and `stream` each do one thing and do not know each other; `conn` joins them to one
//! connection, in which every part writes its own frames and is told what became of them; `endpoint` finds the
//! connection a datagram belongs to, guards the door and keeps the deadlines. [`Endpoint`] and [`Conn`] are the way in.
//!
//! # The loop
//!
//! A program around one UDP socket. Here both ends run in it, one turn each, to show a message cross; a real program
//! has one of them and turns until it is done.
//!
//! ```
//! use std::net::UdpSocket;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use jsp_proto::{
//!     ClientConfig, Config, ConnId, Endpoint, Entropy, Event, Instant, MessageOptions, Output, Path, RecvMeta,
//!     RecvMessage, SecretKey, StreamOptions,
//! };
//!
//! /// An endpoint, its socket, and what the loop needs beside them.
//! struct Node {
//!     endpoint: Endpoint,
//!     socket: UdpSocket,
//!     origin: std::time::Instant,
//!     buffer: Vec<u8>,
//! }
//!
//! impl Node {
//!     fn new(config: Config, seed: [u8; 32]) -> std::io::Result<Self> {
//!         let socket = UdpSocket::bind("127.0.0.1:0")?;
//!         let endpoint = Endpoint::new(Arc::new(config), Entropy::new(seed));
//!         Ok(Self { endpoint, socket, origin: std::time::Instant::now(), buffer: vec![0; 65_536] })
//!     }
//!
//!     fn now(&self) -> Instant {
//!         Instant::from_nanos(self.origin.elapsed().as_nanos() as u64)
//!     }
//!
//!     /// Does what is due, then waits for one datagram. Hands events to the program.
//!     fn turn(&mut self, mut on_event: impl FnMut(&mut Endpoint, Instant, ConnId, Event)) -> std::io::Result<()> {
//!         let wait = loop {
//!             let now = self.now();
//!             match self.endpoint.poll(now, &mut self.buffer[..1472]) {
//!                 Output::Transmit(transmit) => {
//!                     self.socket.send_to(transmit.payload, transmit.path.remote)?;
//!                 }
//!                 Output::Event(connection, event) => on_event(&mut self.endpoint, now, connection, event),
//!                 Output::Idle { wake_at, .. } => {
//!                     break wake_at.map_or(Duration::from_millis(5), |at| (at - now).min(Duration::from_millis(5)));
//!                 }
//!                 Output::Incoming(_) | Output::NeedBuffer { .. } => unreachable!("not configured, large enough"),
//!             }
//!         };
//!         self.socket.set_read_timeout(Some(wait.max(Duration::from_micros(1))))?;
//!         match self.socket.recv_from(&mut self.buffer) {
//!             Ok((len, remote)) => {
//!                 let meta = RecvMeta::single(Path::to(remote));
//!                 self.endpoint.handle_datagram(self.now(), meta, &mut self.buffer[..len]);
//!                 Ok(())
//!             }
//!             Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => Ok(()),
//!             Err(error) => Err(error),
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Seeds and keys come from the operating system's generator in a real program.
//! let key = SecretKey::from_seed([1; 32]);
//! let pinned = key.public().clone();
//! let mut server = Node::new(Config::builder().server_key(key).build()?, [2; 32])?;
//! let mut client = Node::new(Config::default(), [3; 32])?;
//!
//! let path = Path::to(server.socket.local_addr()?);
//! let now = client.now();
//! client.endpoint.connect(now, path, &ClientConfig::pinned(pinned))?;
//!
//! let mut received = Vec::new();
//! while received.is_empty() {
//!     client.turn(|endpoint, now, id, event| {
//!         if let (Event::Connected, Some(mut connection)) = (event, endpoint.conn(now, id)) {
//!             let stream = connection.open(StreamOptions::ordered_messages()).expect("the first stream");
//!             connection.send_message(stream, b"hello", MessageOptions::new()).expect("an empty buffer");
//!         }
//!     })?;
//!     server.turn(|endpoint, now, id, event| {
//!         if let (Event::StreamReadable(stream), Some(mut connection)) = (event, endpoint.conn(now, id)) {
//!             while let Ok(RecvMessage::Message(_)) = connection.recv_message(stream, &mut received) {}
//!         }
//!     })?;
//! }
//! assert_eq!(received, b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! # See what happens
//!
//! [`Endpoint::stats`] and [`Conn::stats`] count, dropped datagrams by reason included
//! ([`EndpointStats::drops`] gives them to a collector of metrics). What happened when is for an [`Observer`]: packets
//! with their frames, losses, round-trip times, steps of the handshake. With the feature `qlog` there is one that writes
//! a file per connection for viewers such as qvis, with `tracing` one that makes log events of it. An endpoint does the
//! same whether it is observed or not, and one that is not pays a branch per packet. Secrets are shown only if
//! [`danger_export_secrets_to_observer`](ConfigBuilder::danger_export_secrets_to_observer) says so.
//!
//! # Features
//!
//! * `ring`: packet protection by *ring* instead of the portable backend: about four times faster per packet; needs a
//!   C compiler.
//! * `driver`: the runtime-free loop that the adapters share; needs `std`.
//! * `qlog`: what connections do as qlog files; needs `std`.
//! * `tracing`: what the driver's endpoints do as events of the `tracing` crate.
//! * `internals`: the lower layers, for this project's own checks; no stability promise.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "driver", feature = "qlog"))]
extern crate std;

mod breaker;
mod bucket;
mod ecn;
mod entropy;
mod error;
mod log;
mod map;
mod math;
mod ranges;
mod slab;
mod stats;
mod time;

pub mod wire;

#[cfg(not(feature = "internals"))]
mod crypto;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod crypto;
mod fec;
mod recovery;
mod stream;

pub mod config;
mod conn;
#[cfg(feature = "driver")]
pub mod driver;
mod endpoint;
mod event;
pub mod observe;
#[cfg(feature = "qlog")]
pub mod qlog;

pub use breaker::{Breaker, BreakerConfig, Failure, Permit, RetryAt};
pub use config::{
    AcceptPolicy, AddressFilter, AppState, ClientAuth, ClientConfig, ClientConfigError, Compression, Config,
    ConfigBuilder, ConfigError, Congestion, Fec, KeepAlive, KemJobs, KeyFetch, LoadBalancing, Network, RetryPolicy,
    Shard, Trust,
};
pub use conn::{ConnectError, KeyUpdateError, MigrateError, Path, Wake};
pub use crypto::{InvalidKey, KeyId, KeyIdError, PublicKey, SecretKey};
pub use ecn::Ecn;
pub use endpoint::{
    Accept, Conn, ConnId, Endpoint, ExportError, Incoming, IncomingGone, IncomingId, Job, JobDone, Observer, Output,
    Received, RecvMeta, Transmit,
};
pub use entropy::Entropy;
pub use error::{AppCode, TransportError};
pub use event::{ConnectionError, Event};
pub use observe::Observation;
pub use stats::{ConnStats, DropReason, EndpointStats, FecStats};
pub use stream::{
    Delivery, MessageId, MessageOptions, OpenError, Outcome, Recv, RecvError, RecvMessage, SendError, Slices,
    StreamOptions,
};
pub use time::Instant;
pub use wire::{Side, StreamId, StreamKind, StreamType};

#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;

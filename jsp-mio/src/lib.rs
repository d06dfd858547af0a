//! JetStreamProto (JSP) in a blocking loop over [mio]: encrypted connections over UDP with a post-quantum key exchange
//! by default, streams of bytes and of messages, deadlines and priorities, and no certificates: a server has one key,
//! and clients pin it.
//!
//! For programs that own their loop: games, simulations, embedded services, event loops of another kind. One operating
//! system's thread, no locks, no wakers; in steady state nothing is allocated.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::ops::ControlFlow;
//!
//! use jsp_mio::proto::{Event as On, MessageOptions, RecvMessage};
//! use jsp_mio::{AppCode, ClientConfig, Config, Endpoint, Event, SecretKey, StreamOptions};
//!
//! let key = SecretKey::from_seed(jsp_mio::random_seed()?);
//! let pinned = ClientConfig::pinned(key.public().clone());
//! let mut server = Endpoint::bind("127.0.0.1:0".parse()?, Config::builder().server_key(key).build()?)?;
//! let address = server.local_address();
//! let echo = std::thread::spawn(move || {
//!     let mut message = Vec::new();
//!     jsp_mio::run(&mut server, |server, event| {
//!         match event {
//!             Event::Connection(id, On::StreamReadable(stream)) => {
//!                 let Some(mut connection) = server.conn(id) else { return ControlFlow::Continue(()) };
//!                 while let Ok(RecvMessage::Message(_)) = connection.recv_message(stream, &mut message) {
//!                     connection.send_message(stream, &message, MessageOptions::new()).expect("room");
//!                 }
//!             }
//!             Event::Connection(_, On::Closed) => return ControlFlow::Break(()),
//!             _ => {}
//!         }
//!         ControlFlow::Continue(())
//!     })
//! });
//!
//! let mut client = Endpoint::bind("127.0.0.1:0".parse()?, Config::default())?;
//! client.connect(address, &pinned)?;
//! let mut answer = Vec::new();
//! jsp_mio::run(&mut client, |client, event| {
//!     let Event::Connection(id, event) = event else { return ControlFlow::Continue(()) };
//!     let Some(mut connection) = client.conn(id) else { return ControlFlow::Break(()) };
//!     match event {
//!         On::Connected => {
//!             let stream = connection.open(StreamOptions::ordered_messages()).expect("allowed");
//!             connection.send_message(stream, b"hello", MessageOptions::new()).expect("room");
//!         }
//!         On::StreamReadable(stream) => {
//!             connection.recv_message(stream, &mut answer).expect("a message");
//!             connection.close(AppCode::ZERO, b"");
//!         }
//!         On::Closed => return ControlFlow::Break(()), // everything is delivered
//!         _ => {}
//!     }
//!     ControlFlow::Continue(())
//! })?;
//! assert_eq!(answer, b"hello");
//! echo.join().expect("no panic")?;
//! # Ok(()) }
//! ```
//!
//! [`run`] is the loop for programs that have none. Others register an [`Endpoint`] in their own [`mio::Poll`], or ask
//! it once a frame, with a [`Budget`] of time or datagrams per [turn](Endpoint::turn). Connections are worked with as
//! the state machine's own handles: [`proto::Conn`], whose calls never block.
//!
//! To see what happens: with the feature `tracing`, endpoints that are made while there is a `tracing` subscriber speak
//! under the target `jsp`, of connections at `info`, of handshakes, keys and paths at `debug`, of every packet at
//! `trace`. With the feature `qlog` an endpoint writes each connection to a file for viewers such as qvis, by
//! `set_observer` with a `proto::qlog::Qlog`; a [`KeyLog`](proto::driver::KeyLog) writes the secrets with which Wireshark opens
//! recordings, if the configuration [allows that](proto::ConfigBuilder::danger_export_secrets_to_observer).
#![forbid(unsafe_code)]

mod endpoint;
mod run;
mod socket;
mod turn;

pub use endpoint::{Endpoint, Event};
pub use jsp_proto as proto;
pub use jsp_proto::driver::system::random_seed;
pub use jsp_proto::{
    Accept, AcceptPolicy, AppCode, ClientAuth, ClientConfig, Compression, Config, ConfigBuilder, ConfigError,
    Congestion, Conn, ConnId, ConnStats, ConnectError, ConnectionError, Delivery, EndpointStats, Fec, FecStats,
    Incoming, IncomingGone, IncomingId, Job, JobDone, KemJobs, KeyFetch, KeyId, LoadBalancing, MessageId,
    MessageOptions, Network, Outcome, PublicKey, RetryPolicy, SecretKey, Side, StreamId, StreamOptions,
};
pub use mio;
pub use run::run;
pub use socket::Loss;
pub use turn::{Budget, Turn};

//! JetStreamProto (JSP) on tokio: encrypted connections over UDP with a post-quantum key exchange by default, streams
//! of bytes and of messages, deadlines and priorities, and no certificates: a server has one key, and clients pin it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use jsp_tokio::{AppCode, ClientConfig, Config, Endpoint, SecretKey, Stream};
//!
//! let key = SecretKey::from_seed(jsp_tokio::random_seed()?);
//! let pinned = ClientConfig::pinned(key.public().clone());
//! let server = Endpoint::bind("127.0.0.1:0", Config::builder().server_key(key).build()?).await?;
//! let address = server.local_address();
//! let echo = tokio::spawn(async move {
//!     let connection = server.accept().await.expect("open");
//!     while let Ok(Some(Stream::Messages(mut stream))) = connection.accept_stream().await {
//!         while let Ok(Some(message)) = stream.recv().await {
//!             stream.send(&message).await.expect("the client is there");
//!         }
//!     }
//! });
//!
//! let client = Endpoint::bind("127.0.0.1:0", Config::default()).await?;
//! let connection = client.connect(address, &pinned).await?;
//! let mut stream = connection.open_messages().await?;
//! stream.send(b"hello").await?;
//! assert_eq!(stream.recv().await?.as_deref(), Some(&b"hello"[..]));
//! connection.close(AppCode::ZERO, b"").await?;
//! echo.await?;
//! # Ok(()) }
//! ```
//!
//! An [`Endpoint`] is one UDP socket; one task on the runtime serves it. Handles are thin and thread-safe; when the
//! last is dropped everything is closed gracefully and the task ends. No operation needs anything global: no logger, no
//! provider of cryptography, no certificate store.
//!
//! Trust: [`ClientConfig::pinned`] holds the server's whole key, [`ClientConfig::fingerprints`] its id,
//! [`Endpoint::connect_known`] trusts on first use and remembers in a [`KnownHosts`] file,
//! [`Endpoint::connect_with`] leaves the decision to a closure. A client without any may reach the loopback address
//! only, and accepting any key takes [`ClientConfig::danger_accept_any`].
//!
//! A client that is to stay connected asks a [`Reconnector`] for its connection: it makes a new one when the last was lost,
//! and waits longer and longer while that fails.
//!
//! Every asynchronous operation says whether it is cancel safe: whether its future may be dropped, as
//! `tokio::select!` does, without losing anything.
//!
//! To see what happens, give the program a `tracing` subscriber before it makes endpoints. They speak under the target
//! `jsp`: of connections at `info`, of handshakes, keys and paths at `debug`, of every packet at `trace`
//! (`RUST_LOG=jsp=debug`, where the subscriber heeds it). Without a subscriber nothing is recorded;
//! leaving out the feature `tracing` leaves out the crate as well. With the feature `qlog` an endpoint writes each
//! connection to a file for viewers such as qvis: [`set_observer`](proto::driver::Endpoint::set_observer) with a
//! `proto::qlog::Qlog`. A [`KeyLog`](proto::driver::KeyLog) is an observer, too: it writes the secrets with which Wireshark
//! opens recordings, if the configuration
//! [allows that](proto::ConfigBuilder::danger_export_secrets_to_observer).
#![forbid(unsafe_code)]

mod bytes;
mod connection;
mod endpoint;
mod io;
mod reconnect;

pub use bytes::{RecvStream, SendStream};
pub use connection::{Connection, Stream};
pub use endpoint::Endpoint;
pub use jsp_proto as proto;
pub use jsp_proto::driver::system::random_seed;
pub use jsp_proto::driver::{
    ConnectError, Incoming, KnownHosts, MessageReceiver, MessageSender, MessageStream, OpenError, Outcome, ReadError,
    SendError, WriteError,
};
pub use jsp_proto::{
    Accept, AcceptPolicy, AppCode, BreakerConfig, ClientAuth, ClientConfig, Compression, Config, ConfigBuilder,
    ConfigError, Congestion, ConnStats, ConnectionError, Delivery, EndpointStats, Fec, FecStats, IncomingGone, KemJobs,
    KeyFetch, KeyId, LoadBalancing, MessageId, MessageOptions, Network, Outcome as MessageOutcome, PublicKey,
    RetryPolicy, SecretKey, Side, StreamId, StreamOptions,
};
pub use reconnect::Reconnector;

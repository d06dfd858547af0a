//! JetStreamProto (JSP) on smol: encrypted connections over UDP with a post-quantum key exchange by default, streams
//! of bytes and of messages, deadlines and priorities, and no certificates: a server has one key, and clients pin it.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> { smol::block_on(async {
//! use jsp_smol::{AppCode, ClientConfig, Config, Endpoint, SecretKey, Stream};
//!
//! let key = SecretKey::from_seed(jsp_smol::random_seed()?);
//! let pinned = ClientConfig::pinned(key.public().clone());
//! let server = Endpoint::bind("127.0.0.1:0", Config::builder().server_key(key).build()?).await?;
//! let address = server.local_address();
//! let echo = smol::spawn(async move {
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
//! echo.await;
//! # Ok(()) }) }
//! ```
//!
//! An [`Endpoint`] is one UDP socket; one task on smol's global executor serves it, or a future that the program runs
//! on an executor of its own: [`Endpoint::driven`]. Handles are thin and thread-safe; when the last is dropped
//! everything is closed gracefully and the task ends. No operation needs a logger, a provider of cryptography or a
//! certificate store.
//!
//! Streams speak the traits that smol's own do: [`SendStream`] is an [`AsyncWrite`](smol::io::AsyncWrite) whose `close`
//! finishes the stream, [`RecvStream`] an [`AsyncRead`](smol::io::AsyncRead), [`MessageReceiver`] a
//! [`Stream`](smol::stream::Stream) of messages and [`MessageSender`] a `Sink` of `futures`.
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
//! [`smol::future::or`] does, without losing anything.
//!
//! To see what happens: with the feature `tracing`, endpoints that are made while there is a `tracing` subscriber speak
//! under the target `jsp`, of connections at `info`, of handshakes, keys and paths at `debug`, of every packet at
//! `trace`. With the feature `qlog` an endpoint writes each connection to a file for viewers such as qvis, by
//! `set_observer` with a `proto::qlog::Qlog`; a [`KeyLog`](proto::driver::KeyLog) writes the secrets with which Wireshark opens
//! recordings, if the configuration [allows that](proto::ConfigBuilder::danger_export_secrets_to_observer).
#![forbid(unsafe_code)]

mod endpoint;
mod io;
mod reconnect;

pub use endpoint::Endpoint;
pub use jsp_proto as proto;
pub use jsp_proto::driver::system::random_seed;
pub use jsp_proto::driver::{
    ConnectError, Connection, Incoming, KnownHosts, MessageReceiver, MessageSender, MessageStream, OpenError, Outcome,
    ReadError, RecvStream, SendError, SendStream, Stream, WriteError,
};
pub use jsp_proto::{
    Accept, AcceptPolicy, AppCode, BreakerConfig, ClientAuth, ClientConfig, Compression, Config, ConfigBuilder,
    ConfigError, Congestion, ConnStats, ConnectionError, Delivery, EndpointStats, Fec, FecStats, IncomingGone, KemJobs,
    KeyFetch, KeyId, LoadBalancing, MessageId, MessageOptions, Network, Outcome as MessageOutcome, PublicKey,
    RetryPolicy, SecretKey, Side, StreamId, StreamOptions,
};
pub use reconnect::Reconnector;

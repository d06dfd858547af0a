//! The one-object surface that many expect of a message transport, on top of JSP: `listen`, `connect`,
//! `send_on_stream(id, data)`, `recv() -> [(id, data)]`. Run: `cargo run -p jsp-tokio --example one_object`
//!
//! Copy it and change it. What each setting of [`ConnectionConfig`] means here:
//!
//! | setting | what it becomes |
//! | --- | --- |
//! | `heartbeat_interval` | a best-effort message of one byte this often, on a stream of its own; JSP itself sends nothing on an idle connection |
//! | `heartbeat_timeout_count` | `Config::idle_timeout` = interval x count; the smaller value of both sides counts |
//! | `max_streams` | `Config::max_streams`: ids the peer may use at once |
//! | `max_message_size` | `Config::max_message_size`, at most 16 MiB |
//! | `rate_limit_messages`, `rate_limit_bytes` | what this side sends in each second; `send_on_stream` waits. JSP has no such limit: it paces by what the network carries, and a receiver that does not read holds its sender back by credit |
//! | `connect_timeout` | `Config::handshake_timeout` |
//!
//! Not here because JSP has no counterpart:
//!
//! | setting elsewhere | instead |
//! | --- | --- |
//! | header compression | nothing to compress: a full packet carries 33 bytes beside its data, tag included |
//! | FlatBuffers, CBOR or another serialisation of packets | frames of variable-length integers; a message is the program's own bytes, in whatever format it likes |
//! | a choice of ciphers, or none | one suite; nothing can be negotiated down |
#![allow(missing_docs, unreachable_pub, reason = "to be copied into a module of a program")]

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use jsp_tokio::{
    AppCode, ClientConfig, Config, Delivery, Endpoint, KeyFetch, MessageSender, PublicKey, SecretKey, Stream,
    StreamOptions,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// See the table above.
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    pub heartbeat_interval: Duration,
    pub heartbeat_timeout_count: u32,
    pub max_streams: u64,
    pub max_message_size: u64,
    pub rate_limit_messages: u32,
    pub rate_limit_bytes: u64,
    pub connect_timeout: Duration,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(5),
            heartbeat_timeout_count: 3,
            max_streams: 100,
            max_message_size: 64 << 10,
            rate_limit_messages: u32::MAX,
            rate_limit_bytes: u64::MAX,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

impl ConnectionConfig {
    fn build(&self, key: Option<SecretKey>) -> io::Result<Config> {
        let mut config = Config::builder()
            .idle_timeout(self.heartbeat_interval * self.heartbeat_timeout_count)
            // Of each type: the stream of heartbeats is of another type than the numbered ones.
            .max_streams(self.max_streams)
            .max_message_size(self.max_message_size)
            .handshake_timeout(self.connect_timeout);
        if let Some(key) = key {
            config = config.server_key(key).key_fetch(KeyFetch::Open);
        }
        config.build().map_err(io::Error::other)
    }
}

/// One connection with numbered streams of messages in both directions.
pub struct Connection {
    inner: jsp_tokio::Connection,
    streams: HashMap<u64, MessageSender>,
    inbox: mpsc::Receiver<(u64, Vec<u8>)>,
    rate: Rate,
}

impl Connection {
    /// Waits for one client. `key` is what clients pin.
    pub async fn listen(address: SocketAddr, key: SecretKey, config: &ConnectionConfig) -> io::Result<Self> {
        let endpoint = Endpoint::bind(address, config.build(Some(key))?).await?;
        let inner = endpoint.accept().await.ok_or(io::ErrorKind::NotConnected)?;
        Self::start(inner, config).await
    }

    /// Connects to the server that holds `key`.
    pub async fn connect(address: SocketAddr, key: &PublicKey, config: &ConnectionConfig) -> io::Result<Self> {
        let unspecified = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let endpoint = Endpoint::bind(unspecified, config.build(None)?).await?;
        let inner = endpoint.connect(address, &ClientConfig::pinned(key.clone())).await?;
        Self::start(inner, config).await
    }

    async fn start(inner: jsp_tokio::Connection, config: &ConnectionConfig) -> io::Result<Self> {
        let options = StreamOptions::unordered_messages().uni().delivery(Delivery::BestEffort);
        let heart = inner.open_messages_uni(options).await?;
        tokio::spawn(beat(heart, config.heartbeat_interval));
        // Small: a receiver that does not read lets JSP hold its sender back.
        let (deliver, inbox) = mpsc::channel(16);
        tokio::spawn(accept(inner.clone(), deliver));
        let rate = Rate::new(config.rate_limit_messages, config.rate_limit_bytes);
        Ok(Self { inner, streams: HashMap::new(), inbox, rate })
    }

    /// Sends a message on the stream `id`, which need not exist yet. Messages of one stream arrive in order; streams
    /// do not wait for each other.
    pub async fn send_on_stream(&mut self, id: u64, data: &[u8]) -> io::Result<()> {
        self.rate.wait(data.len() as u64).await;
        if !self.streams.contains_key(&id) {
            let mut stream = self.inner.open_messages_uni(StreamOptions::ordered_messages().uni()).await?;
            // The first message of a stream names it.
            stream.send(&id.to_be_bytes()).await?;
            self.streams.insert(id, stream);
        }
        let Some(stream) = self.streams.get_mut(&id) else { return Err(io::ErrorKind::NotFound.into()) };
        Ok(stream.send(data).await?)
    }

    /// Waits for a message and gives all that are there, with the ids of their streams. Empty at the end.
    pub async fn recv(&mut self) -> Vec<(u64, Vec<u8>)> {
        let mut messages = Vec::new();
        self.inbox.recv_many(&mut messages, usize::MAX).await;
        messages
    }

    /// Delivers everything that was sent, then closes.
    pub async fn close(mut self) -> io::Result<()> {
        self.streams.clear();
        Ok(self.inner.close(AppCode::ZERO, b"").await?)
    }
}

impl Drop for Connection {
    /// The tasks below hold the connection too; a close ends them.
    fn drop(&mut self) {
        self.streams.clear();
        drop(self.inner.close(AppCode::ZERO, b""));
    }
}

/// Keeps the connection from looking idle, until it ends.
async fn beat(mut heart: MessageSender, interval: Duration) {
    while heart.send(&[0]).await.is_ok() {
        tokio::time::sleep(interval).await;
    }
}

/// Takes the streams that the peer opens, each in a task of its own.
async fn accept(connection: jsp_tokio::Connection, deliver: mpsc::Sender<(u64, Vec<u8>)>) {
    while let Ok(Some(stream)) = connection.accept_stream().await {
        let Stream::MessagesUni(mut stream) = stream else { continue };
        let deliver = deliver.clone();
        tokio::spawn(async move {
            let Ok(Some(name)) = stream.recv().await else { return };
            // Heartbeats are one byte long and name nothing: reading them is enough.
            let id = <[u8; 8]>::try_from(name).map(u64::from_be_bytes);
            while let Ok(Some(message)) = stream.recv().await {
                let Ok(id) = id else { continue };
                let Ok(()) = deliver.send((id, message)).await else { return };
            }
        });
    }
}

/// What may be sent in the current second.
struct Rate {
    per_second: (u32, u64),
    left: (u32, u64),
    since: Instant,
}

impl Rate {
    fn new(messages: u32, bytes: u64) -> Self {
        let per_second = (messages.max(1), bytes.max(1));
        Self { per_second, left: per_second, since: Instant::now() }
    }

    async fn wait(&mut self, bytes: u64) {
        // A message larger than a second's worth takes a whole second.
        let bytes = bytes.min(self.per_second.1);
        if self.left.0 == 0 || self.left.1 < bytes {
            tokio::time::sleep_until(self.since + Duration::from_secs(1)).await;
        }
        if self.since.elapsed() >= Duration::from_secs(1) {
            (self.left, self.since) = (self.per_second, Instant::now());
        }
        self.left = (self.left.0 - 1, self.left.1 - bytes);
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let key = SecretKey::from_seed(jsp_tokio::random_seed()?);
    let pinned = key.public().clone();
    let address = SocketAddr::from(([127, 0, 0, 1], 4433));
    let config = ConnectionConfig::default();

    let server = tokio::spawn({
        let config = config.clone();
        async move {
            let mut connection = Connection::listen(address, key, &config).await?;
            for (id, data) in connection.recv().await {
                println!("stream {id}: {}", String::from_utf8_lossy(&data));
                connection.send_on_stream(id, b"got it").await?;
            }
            connection.close().await
        }
    });
    let mut connection = Connection::connect(address, &pinned, &config).await?;
    connection.send_on_stream(7, b"hello").await?;
    for (id, data) in connection.recv().await {
        println!("stream {id}: {}", String::from_utf8_lossy(&data));
    }
    drop(connection);
    server.await?
}

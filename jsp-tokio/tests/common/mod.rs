//! What the tests share: a server and a client on the loopback address, and a bound on every wait.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::time::Duration;

use jsp_tokio::{ClientConfig, Config, ConfigBuilder, Connection, Endpoint, PublicKey, SecretKey};

/// Nothing may take longer. Long enough for a busy machine, short enough to notice.
pub(crate) async fn within<T>(what: &str, seconds: u64, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(seconds), future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} took longer than {seconds} s"),
    }
}

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

pub(crate) fn public(seed: u8) -> PublicKey {
    key(seed).public().clone()
}

pub(crate) fn trust() -> ClientConfig {
    ClientConfig::pinned(public(1))
}

pub(crate) async fn server_with(set: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Endpoint {
    let config = set(Config::builder().server_key(key(1))).build().expect("a valid configuration");
    Endpoint::bind("127.0.0.1:0", config).await.expect("a free port")
}

pub(crate) async fn client_with(set: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Endpoint {
    let config = set(Config::builder()).build().expect("a valid configuration");
    Endpoint::bind("127.0.0.1:0", config).await.expect("a free port")
}

/// Both ends of one connection, and their endpoints.
pub(crate) struct Pair {
    pub(crate) client: Connection,
    pub(crate) server: Connection,
    pub(crate) client_endpoint: Endpoint,
    pub(crate) server_endpoint: Endpoint,
}

pub(crate) async fn pair_with(set: impl Fn(ConfigBuilder) -> ConfigBuilder) -> Pair {
    let server_endpoint = server_with(&set).await;
    let client_endpoint = client_with(&set).await;
    let client = within("connecting", 10, client_endpoint.connect(server_endpoint.local_address(), &trust())).await;
    let server = within("accepting", 10, server_endpoint.accept()).await;
    Pair {
        client: client.expect("the server is there"),
        server: server.expect("the endpoint is open"),
        client_endpoint,
        server_endpoint,
    }
}

pub(crate) async fn pair() -> Pair {
    pair_with(|config| config).await
}

/// A small generator: tests must repeat.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Bytes that tell their place in a transfer.
pub(crate) fn pattern(start: u64, len: usize) -> Vec<u8> {
    (start..start + len as u64).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

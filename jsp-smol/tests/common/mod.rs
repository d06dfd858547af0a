//! What the tests share: a server and a client on the loopback address, and a bound on every wait.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::time::Duration;

use jsp_smol::{ClientConfig, Config, ConfigBuilder, Connection, Endpoint, PublicKey, SecretKey};
use smol::Timer;

/// Nothing may take longer. Long enough for a busy machine, short enough to notice.
pub(crate) async fn within<T>(what: &str, seconds: u64, future: impl Future<Output = T>) -> T {
    smol::future::or(future, async {
        Timer::after(Duration::from_secs(seconds)).await;
        panic!("{what} took longer than {seconds} s")
    })
    .await
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

pub(crate) fn config(set: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Config {
    set(Config::builder().server_key(key(1))).build().expect("a valid configuration")
}

pub(crate) async fn server_with(set: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Endpoint {
    Endpoint::bind("127.0.0.1:0", config(set)).await.expect("a free port")
}

pub(crate) async fn client() -> Endpoint {
    Endpoint::bind("127.0.0.1:0", Config::default()).await.expect("a free port")
}

/// Both ends of one connection, and their endpoints.
pub(crate) struct Pair {
    pub(crate) client: Connection,
    pub(crate) server: Connection,
    pub(crate) client_endpoint: Endpoint,
    pub(crate) server_endpoint: Endpoint,
}

pub(crate) async fn pair() -> Pair {
    let (server_endpoint, client_endpoint) = (server_with(|config| config).await, client().await);
    join(client_endpoint, server_endpoint).await
}

/// Connects one endpoint to the other.
pub(crate) async fn join(client_endpoint: Endpoint, server_endpoint: Endpoint) -> Pair {
    let client = within("connecting", 10, client_endpoint.connect(server_endpoint.local_address(), &trust())).await;
    let server = within("accepting", 10, server_endpoint.accept()).await;
    Pair {
        client: client.expect("the server is there"),
        server: server.expect("the endpoint is open"),
        client_endpoint,
        server_endpoint,
    }
}

/// Bytes that tell their place in a transfer.
pub(crate) fn pattern(start: u64, len: usize) -> Vec<u8> {
    (start..start + len as u64).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

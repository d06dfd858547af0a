//! A connection that is made anew when it was lost.

use std::io;
use std::net::SocketAddr;

use jsp_proto::driver::{self, ConnectError, Reconnect, system};
use jsp_proto::{BreakerConfig, ClientConfig, Entropy};
use tokio::sync::Mutex;

use crate::connection::Connection;
use crate::endpoint::Endpoint;

/// The connection to one server, made anew when it was lost.
///
/// A [`Breaker`](crate::proto::Breaker) stands before each attempt: after some failures in a row the next ones wait, for random
/// times that double, so that all clients of a server that was away do not come back at one moment.
///
/// ```
/// # async fn example(server: std::net::SocketAddr, pinned: jsp_tokio::ClientConfig) -> Result<(), Box<dyn std::error::Error>> {
/// use jsp_tokio::{BreakerConfig, Config, Endpoint, Reconnector};
///
/// let endpoint = Endpoint::bind("[::]:0", Config::default()).await?;
/// let reconnector = Reconnector::new(&endpoint, [server], pinned, BreakerConfig::new())?;
/// loop {
///     match reconnector.connection().await {
///         Ok(connection) => drop(connection.open_messages().await?.send(b"report").await),
///         Err(error) => eprintln!("not connected: {error}"),
///     }
///     tokio::time::sleep(std::time::Duration::from_secs(10)).await;
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Reconnector {
    inner: Mutex<Reconnect>,
    waits: bool,
}

impl Reconnector {
    /// Connects from `endpoint` to the first of `remotes` that answers, when it is first asked for the connection.
    ///
    /// # Errors
    /// `InvalidInput` when the settings of the breaker are out of their bounds; when the system has no randomness.
    pub fn new(
        endpoint: &Endpoint,
        remotes: impl IntoIterator<Item = SocketAddr>,
        client: ClientConfig,
        breaker: BreakerConfig,
    ) -> io::Result<Self> {
        let entropy = Entropy::new(system::random_seed()?);
        let endpoint: driver::Endpoint = (**endpoint).clone();
        let inner = Reconnect::new(endpoint, remotes.into_iter().collect(), client, breaker, entropy)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Self { inner: Mutex::new(inner), waits: true })
    }

    /// While the breaker is open, [`connection`](Self::connection) fails at once with
    /// [`BackOff`](ConnectError::BackOff) instead of waiting.
    #[must_use]
    pub fn fail_fast(mut self) -> Self {
        self.waits = false;
        self
    }

    /// The connection. If there is none that is not over, waits as long as the breaker asks for, and makes one attempt;
    /// whoever asks meanwhile waits for the same one. Call again after an error: what is too soon waits here.
    ///
    /// Cancel safe: an attempt whose future is dropped is given up, and what the breaker knows is kept.
    ///
    /// # Errors
    /// Those of [`Endpoint::connect`], and [`BackOff`](ConnectError::BackOff) if it is not to wait.
    pub async fn connection(&self) -> Result<Connection, ConnectError> {
        let mut inner = self.inner.lock().await;
        if let Some(connection) = inner.live() {
            return Ok(Connection::new(connection));
        }
        while let Some(wait) = inner.wait().filter(|_| self.waits) {
            tokio::time::sleep(wait).await;
        }
        inner.connect().await.map(Connection::new)
    }
}

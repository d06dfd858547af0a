//! Endpoints: binding, connecting, accepting.

use std::io;
use std::net::UdpSocket;
use std::num::NonZeroUsize;
use std::ops::Deref;

use jsp_proto::driver::{self, ConnectError, Driver, KnownHosts, Rebinder, system};
use jsp_proto::{ClientConfig, Config, Entropy, PublicKey};
use tokio::net::{ToSocketAddrs, lookup_host};

use crate::connection::Connection;
use crate::io::TokioSocket;

/// One UDP socket with all its connections, as client, server or both. Cheap to clone; all clones are the same
/// endpoint. It derefs to the runtime-free [`driver::Endpoint`], which has the rest of its methods.
///
/// A task on the runtime serves the socket. When the last clone is dropped the endpoint takes no more connections;
/// those that have handles live on. When these are gone too, everything that was accepted for sending is delivered and
/// the task ends.
#[derive(Clone, Debug)]
pub struct Endpoint {
    inner: driver::Endpoint,
    rebinder: Rebinder<TokioSocket>,
}

impl Endpoint {
    /// Binds a UDP socket and serves it on the current runtime, which must have I/O and time enabled. A
    /// [`Config`] with a server key makes a server; every endpoint can connect.
    ///
    /// The unspecified IPv6 address serves IPv4 too. Port 0 lets the system choose:
    /// [`local_address`](driver::Endpoint::local_address) tells. Not begun until awaited; dropping the future leaves
    /// nothing.
    ///
    /// # Errors
    /// When no address of `address` can be bound.
    pub async fn bind(address: impl ToSocketAddrs, config: Config) -> io::Result<Self> {
        let socket = system::bind_first(lookup_host(address).await?)?;
        Self::from_socket(socket, config)
    }

    /// Binds `shards` UDP sockets to one address and serves each as an endpoint of its own, with a state machine, a lock
    /// and a task of its own, on the current runtime, which must have I/O and time enabled. Otherwise as
    /// [`bind`](Self::bind).
    ///
    /// Each connection lives at the endpoint where the system delivered its first datagram: accept at all of them. The
    /// bounds of `config` hold for each. If the system delivers later datagrams to another socket, as it may when one is
    /// closed, they are brought to the right endpoint; so keep all endpoints, and end them together.
    ///
    /// This pays for a server with many connections that keeps one core busy, on a runtime with more than one thread;
    /// one endpoint per core is a good number. One connection gets no faster, and a client has no use for it. Linux
    /// shares the connections out evenly; other systems that can bind the sockets may give everything to one of them.
    ///
    /// ```no_run
    /// # async fn example(config: jsp_tokio::Config) -> std::io::Result<()> {
    /// let cores = std::thread::available_parallelism()?;
    /// for endpoint in jsp_tokio::Endpoint::bind_shards("[::]:443", config, cores).await? {
    ///     tokio::spawn(async move {
    ///         while let Some(connection) = endpoint.accept().await {
    ///             tokio::spawn(async move { /* serve */ drop(connection) });
    ///         }
    ///     });
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When no address of `address` can be bound; `InvalidInput` for more than 256 shards, `Unsupported` for more than
    /// one where the system cannot share an address among sockets.
    pub async fn bind_shards(
        address: impl ToSocketAddrs,
        config: Config,
        shards: NonZeroUsize,
    ) -> io::Result<Vec<Self>> {
        let sockets = system::bind_shards(lookup_host(address).await?, shards)?;
        let prepare = |socket| TokioSocket::new(socket).map(|(socket, local)| (local, socket));
        let sockets = sockets.into_iter().map(prepare).collect::<io::Result<_>>()?;
        let entropy = Entropy::new(system::random_seed()?);
        Ok(driver::shards(config, entropy, sockets)?.into_iter().map(Self::serve).collect())
    }

    /// Serves a socket that is bound already, on the current runtime.
    ///
    /// # Errors
    /// When the socket's options cannot be set.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled.
    pub fn from_socket(socket: UdpSocket, config: Config) -> io::Result<Self> {
        let entropy = Entropy::new(system::random_seed()?);
        let (socket, local) = TokioSocket::new(socket)?;
        Ok(Self::serve(driver::endpoint(config, entropy, local, socket)))
    }

    fn serve((inner, driver): (driver::Endpoint, Driver<TokioSocket>)) -> Self {
        let rebinder = driver.rebinder();
        tokio::spawn(driver);
        Self { inner, rebinder }
    }

    /// Goes on with another UDP socket, bound to `address`: for a device that has changed its network, or whose socket
    /// has failed. The connections that this endpoint has made go over it from now on and lose nothing; those it has
    /// accepted are lost, because their clients know the old address only. Otherwise as [`bind`](Self::bind).
    ///
    /// ```no_run
    /// # async fn example(endpoint: jsp_tokio::Endpoint) -> std::io::Result<()> {
    /// // Whatever tells the program that the network has changed:
    /// endpoint.rebind("[::]:0").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When no address of `address` can be bound; the endpoint goes on with the old socket then. `NotConnected` when the
    /// endpoint has ended.
    pub async fn rebind(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        self.rebind_socket(system::bind_first(lookup_host(address).await?)?)
    }

    /// Goes on with a socket that is bound already; see [`rebind`](Self::rebind).
    ///
    /// # Errors
    /// When the socket's options cannot be set; `NotConnected` when the endpoint has ended.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled.
    pub fn rebind_socket(&self, socket: UdpSocket) -> io::Result<()> {
        let (socket, local) = TokioSocket::new(socket)?;
        self.rebinder.rebind(local, socket)
    }

    /// Connects to a server and returns when it has proven to be the one that `client` trusts. Tries the addresses
    /// that `remote` stands for one after the other.
    ///
    /// Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// [`ConnectError::Start`] without trust in a server that is not on the loopback address,
    /// [`ConnectError::Connection`] when the attempt failed, [`ConnectError::Io`] when the name has no address.
    pub async fn connect(&self, remote: impl ToSocketAddrs, client: &ClientConfig) -> Result<Connection, ConnectError> {
        self.connect_with(remote, client, |_| false).await
    }

    /// As [`connect`](Self::connect), and asks `trust` about the key that the server shows if `client` is
    /// [`ClientConfig::ask`].
    ///
    /// # Errors
    /// As for `connect`; [`ConnectionError::KeyRejected`](crate::ConnectionError::KeyRejected) when `trust` says no.
    pub async fn connect_with(
        &self,
        remote: impl ToSocketAddrs,
        client: &ClientConfig,
        trust: impl FnMut(&PublicKey) -> bool,
    ) -> Result<Connection, ConnectError> {
        let remotes = lookup_host(remote).await?;
        self.inner.connect_any(remotes, client, trust).await.map(Connection::new)
    }

    /// Connects to a server that is known by the name `host:port` in `known`, or meets it for the first time: then the
    /// key it shows is trusted and, once the server has proven to hold it, noted. `client` says everything but whom
    /// to trust. The server must show its key to strangers: [`KeyFetch::Open`](crate::KeyFetch).
    ///
    /// Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// [`ConnectionError::PeerKeyMismatch`](crate::ConnectionError::PeerKeyMismatch) when the server has another key
    /// than before, [`ConnectError::Io`] when a new one cannot be noted, otherwise as [`connect`](Self::connect).
    pub async fn connect_known(
        &self,
        host: &str,
        known: &KnownHosts,
        client: &ClientConfig,
    ) -> Result<Connection, ConnectError> {
        let remotes = lookup_host(host).await?;
        self.inner.connect_known(remotes, host, known, client).await.map(Connection::new)
    }

    /// The next connection from a client. `None` when the endpoint was shut down or its socket failed.
    ///
    /// Cancel safe: a connection is given to exactly one call that completes.
    pub async fn accept(&self) -> Option<Connection> {
        self.inner.accept().await.map(Connection::new)
    }
}

impl Deref for Endpoint {
    type Target = driver::Endpoint;

    fn deref(&self) -> &driver::Endpoint {
        &self.inner
    }
}

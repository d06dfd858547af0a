//! Endpoints: binding and connecting.

use std::io;
use std::net::UdpSocket;
use std::num::NonZeroUsize;
use std::ops::Deref;

use jsp_proto::driver::{self, ConnectError, Connection, Driver, KnownHosts, Rebinder, system};
use jsp_proto::{ClientConfig, Config, Entropy, PublicKey};
use smol::net::{AsyncToSocketAddrs, resolve};

use crate::io::SmolSocket;

/// One UDP socket with all its connections, as client, server or both. Cheap to clone; all clones are the same
/// endpoint. It derefs to the runtime-free [`driver::Endpoint`], which has the rest of its methods:
/// [`accept`](driver::Endpoint::accept), [`shutdown`](driver::Endpoint::shutdown), `local_address`, `stats`...
///
/// A task on smol's global executor serves the socket, or whatever the program runs the future of
/// [`driven`](Self::driven) on. When the last clone is dropped the endpoint takes no more connections; those that have
/// handles live on. When these are gone too, everything that was accepted for sending is delivered and the task ends.
#[derive(Clone, Debug)]
pub struct Endpoint {
    inner: driver::Endpoint,
    rebinder: Rebinder<SmolSocket>,
}

impl Endpoint {
    /// Binds a UDP socket and serves it on smol's global executor. A [`Config`] with a server key makes a server;
    /// every endpoint can connect.
    ///
    /// The unspecified IPv6 address serves IPv4 too. Port 0 lets the system choose:
    /// [`local_address`](driver::Endpoint::local_address) tells. Not begun until awaited; dropping the future leaves
    /// nothing.
    ///
    /// # Errors
    /// When no address of `address` can be bound.
    pub async fn bind(address: impl AsyncToSocketAddrs, config: Config) -> io::Result<Self> {
        let socket = system::bind_first(resolve(address).await?)?;
        Self::from_socket(socket, config)
    }

    /// Binds `shards` UDP sockets to one address and serves each as an endpoint of its own, with a state machine, a lock
    /// and a task of its own, on smol's global executor. Otherwise as [`bind`](Self::bind).
    ///
    /// Each connection lives at the endpoint where the system delivered its first datagram: accept at all of them. The
    /// bounds of `config` hold for each. If the system delivers later datagrams to another socket, as it may when one is
    /// closed, they are brought to the right endpoint; so keep all endpoints, and end them together.
    ///
    /// This pays for a server with many connections that keeps one core busy, if the endpoints run on more than one
    /// thread: the global executor has one unless the environment says otherwise (`SMOL_THREADS`);
    /// [`driven_shards`](Self::driven_shards) leaves it to the program. One connection gets no faster, and a client has
    /// no use for it. Linux shares the connections out evenly; other systems that can bind the sockets may give
    /// everything to one of them.
    ///
    /// # Errors
    /// When no address of `address` can be bound; `InvalidInput` for more than 256 shards, `Unsupported` for more than
    /// one where the system cannot share an address among sockets.
    pub async fn bind_shards(
        address: impl AsyncToSocketAddrs,
        config: Config,
        shards: NonZeroUsize,
    ) -> io::Result<Vec<Self>> {
        let sockets = system::bind_shards(resolve(address).await?, shards)?;
        let serve = |(endpoint, driver)| {
            smol::spawn(driver).detach();
            endpoint
        };
        Ok(Self::driven_shards(sockets, config)?.into_iter().map(serve).collect())
    }

    /// Serves a socket that is bound already, on smol's global executor.
    ///
    /// # Errors
    /// When the socket's options cannot be set.
    pub fn from_socket(socket: UdpSocket, config: Config) -> io::Result<Self> {
        let (endpoint, driver) = Self::driven(socket, config)?;
        smol::spawn(driver).detach();
        Ok(endpoint)
    }

    /// Goes on with another UDP socket, bound to `address`: for a device that has changed its network, or whose socket
    /// has failed. The connections that this endpoint has made go over it from now on and lose nothing; those it has
    /// accepted are lost, because their clients know the old address only. Otherwise as [`bind`](Self::bind).
    ///
    /// # Errors
    /// When no address of `address` can be bound; the endpoint goes on with the old socket then. `NotConnected` when the
    /// endpoint has ended.
    pub async fn rebind(&self, address: impl AsyncToSocketAddrs) -> io::Result<()> {
        self.rebind_socket(system::bind_first(resolve(address).await?)?)
    }

    /// Goes on with a socket that is bound already; see [`rebind`](Self::rebind).
    ///
    /// # Errors
    /// When the socket's options cannot be set; `NotConnected` when the endpoint has ended.
    pub fn rebind_socket(&self, socket: UdpSocket) -> io::Result<()> {
        let (socket, local) = SmolSocket::new(socket)?;
        self.rebinder.rebind(local, socket)
    }

    /// For a program with an executor of its own: serves a socket that is bound already, with a future that the
    /// program spawns where it likes, for example on a [`smol::LocalExecutor`]. Nothing moves until it runs; it ends as
    /// the task of any endpoint does. [`bind`](crate::proto::driver::system::bind) binds a socket as
    /// [`Endpoint::bind`] does.
    ///
    /// Dropping the future early, as an executor that goes away does, ends all connections with
    /// [`ConnectionError::EndpointGone`](crate::ConnectionError::EndpointGone).
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use jsp_smol::{Config, Endpoint, proto::driver::system};
    ///
    /// let executor = smol::LocalExecutor::new();
    /// let socket = system::bind(([127, 0, 0, 1], 0).into())?;
    /// let (endpoint, driver) = Endpoint::driven(socket, Config::default())?;
    /// executor.spawn(driver).detach();
    /// smol::block_on(executor.run(endpoint.shutdown()));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the socket's options cannot be set.
    pub fn driven(socket: UdpSocket, config: Config) -> io::Result<(Self, impl Future<Output = ()> + Send + use<>)> {
        let entropy = Entropy::new(system::random_seed()?);
        let (socket, local) = SmolSocket::new(socket)?;
        let (inner, driver) = driver::endpoint(config, entropy, local, socket);
        Ok((Self { inner, rebinder: driver.rebinder() }, driver))
    }

    /// As [`driven`](Self::driven), for sockets that share one address, as
    /// [`bind_shards`](crate::proto::driver::system::bind_shards) binds them: for example one executor, thread and shard
    /// per core. The futures must all run.
    ///
    /// # Errors
    /// When the socket's options cannot be set, or `InvalidInput` for more than 256 sockets.
    pub fn driven_shards(
        sockets: Vec<UdpSocket>,
        config: Config,
    ) -> io::Result<Vec<(Self, impl Future<Output = ()> + Send + use<>)>> {
        let prepare = |socket| SmolSocket::new(socket).map(|(socket, local)| (local, socket));
        let sockets = sockets.into_iter().map(prepare).collect::<io::Result<_>>()?;
        let entropy = Entropy::new(system::random_seed()?);
        let endpoint = |(inner, driver): (_, Driver<_>)| (Self { inner, rebinder: driver.rebinder() }, driver);
        Ok(driver::shards(config, entropy, sockets)?.into_iter().map(endpoint).collect())
    }

    /// Connects to a server and returns when it has proven to be the one that `client` trusts. Tries the addresses
    /// that `remote` stands for one after the other.
    ///
    /// Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// [`ConnectError::Start`] without trust in a server that is not on the loopback address,
    /// [`ConnectError::Connection`] when the attempt failed, [`ConnectError::Io`] when the name has no address.
    pub async fn connect(
        &self,
        remote: impl AsyncToSocketAddrs,
        client: &ClientConfig,
    ) -> Result<Connection, ConnectError> {
        self.connect_with(remote, client, |_| false).await
    }

    /// As [`connect`](Self::connect), and asks `trust` about the key that the server shows if `client` is
    /// [`ClientConfig::ask`].
    ///
    /// # Errors
    /// As for `connect`; [`ConnectionError::KeyRejected`](crate::ConnectionError::KeyRejected) when `trust` says no.
    pub async fn connect_with(
        &self,
        remote: impl AsyncToSocketAddrs,
        client: &ClientConfig,
        trust: impl FnMut(&PublicKey) -> bool,
    ) -> Result<Connection, ConnectError> {
        self.inner.connect_any(resolve(remote).await?, client, trust).await
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
        self.inner.connect_known(resolve(host).await?, host, known, client).await
    }
}

impl Deref for Endpoint {
    type Target = driver::Endpoint;

    fn deref(&self) -> &driver::Endpoint {
        &self.inner
    }
}

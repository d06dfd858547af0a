//! Endpoints: binding, connecting, accepting.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::Deref;

use jsp_proto::driver::{self, ConnectError, KnownHosts};
use jsp_proto::{ClientConfig, Config, Entropy, PublicKey};
use socket2::{Domain, Protocol, Type};
use tokio::net::{ToSocketAddrs, lookup_host};

use crate::connection::Connection;
use crate::io::TokioSocket;

/// 32 random bytes from the operating system, for example for a new [`SecretKey`](crate::SecretKey).
///
/// # Errors
/// When the system has no randomness to give.
pub fn random_seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}

/// One UDP socket with all its connections, as client, server or both. Cheap to clone; all clones are the same
/// endpoint. It derefs to the runtime-free [`driver::Endpoint`], which has the rest of its methods.
///
/// A task on the runtime serves the socket. When the last clone is dropped the endpoint takes no more connections;
/// those that have handles live on. When these are gone too, everything that was accepted for sending is delivered and
/// the task ends.
#[derive(Clone, Debug)]
pub struct Endpoint {
    inner: driver::Endpoint,
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
        let mut failure = None;
        for address in lookup_host(address).await? {
            match bind_one(address) {
                Ok(socket) => return Self::from_socket(socket, config),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(no_address))
    }

    /// Serves a socket that is bound already, on the current runtime.
    ///
    /// # Errors
    /// When the socket's options cannot be set.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled.
    pub fn from_socket(socket: UdpSocket, config: Config) -> io::Result<Self> {
        let entropy = Entropy::new(random_seed()?);
        let (socket, local) = TokioSocket::new(socket)?;
        let (inner, driver) = driver::endpoint(config, entropy, local, socket);
        tokio::spawn(driver);
        Ok(Self { inner })
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
        mut trust: impl FnMut(&PublicKey) -> bool,
    ) -> Result<Connection, ConnectError> {
        let mut failure = None;
        for remote in self.reachable(remote).await? {
            match self.inner.connect(remote, client)?.established(&mut trust).await {
                Ok(connection) => return Ok(Connection::new(connection)),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| no_address().into()))
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
        let mut failure = None;
        for remote in self.reachable(host).await? {
            match self.inner.connect_known(remote, host, known, client).await {
                Ok(connection) => return Ok(Connection::new(connection)),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| no_address().into()))
    }

    /// The next connection from a client. `None` when the endpoint was shut down or its socket failed.
    ///
    /// Cancel safe: a connection is given to exactly one call that completes.
    pub async fn accept(&self) -> Option<Connection> {
        self.inner.accept().await.map(Connection::new)
    }

    /// The addresses of `remote` that a socket of this family can reach.
    async fn reachable(&self, remote: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
        let reaches = |remote: &SocketAddr| match self.inner.local_address().ip() {
            IpAddr::V4(_) => remote.is_ipv4(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => true,
            IpAddr::V6(_) => remote.is_ipv6(),
        };
        Ok(lookup_host(remote).await?.filter(reaches).collect())
    }
}

impl Deref for Endpoint {
    type Target = driver::Endpoint;

    fn deref(&self) -> &driver::Endpoint {
        &self.inner
    }
}

fn bind_one(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        // Not every system can serve both families with one socket; IPv6 alone is then what was asked for.
        let _ = socket.set_only_v6(false);
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn no_address() -> io::Error {
    io::Error::new(ErrorKind::AddrNotAvailable, "the name stands for no address that this socket can use")
}

//! JetStreamProto on tokio. The key exchange is X-Wing (X25519 and ML-KEM-768), packets are sealed by
//! ChaCha20-Poly1305 (ring); the client pins the server's key.

use std::net::SocketAddr;

use jsp_tokio::proto::config::bounds::Bounds;
use jsp_tokio::{
    AppCode, ClientConfig, Config, ConfigBuilder, Connection, Endpoint, PublicKey, RecvStream, SecretKey, SendStream,
    Stream, random_seed,
};

use crate::{DATAGRAM, Failure, Peer, WINDOW, socket, work};

pub(crate) struct Jsp {
    endpoint: Endpoint,
    server: SocketAddr,
    trust: ClientConfig,
}

fn config() -> ConfigBuilder {
    let window = u64::from(WINDOW);
    // A server defends itself against floods of handshakes; here the flood is the work.
    let mut bounds = Bounds::default();
    bounds.kem_jobs_per_second = 1_000_000;
    bounds.kem_burst = 1_000_000;
    Config::builder()
        .initial_mtu(DATAGRAM)
        .max_udp_payload(DATAGRAM)
        .receive_window(window, window)
        .max_receive_window(window, window)
        .send_buffer(window, window)
        .bounds(bounds)
}

async fn serve_connection(connection: Connection) {
    while let Ok(Some(Stream::Bytes(send, recv))) = connection.accept_stream().await {
        // A client that leaves is no failure.
        let _ = work::answer(send, recv).await;
    }
}

impl Peer for Jsp {
    type Connection = Connection;
    type Send = SendStream;
    type Recv = RecvStream;

    async fn serve(ready: impl FnOnce(SocketAddr, &[u8])) -> Result<(), Failure> {
        let key = SecretKey::from_seed(random_seed()?);
        let identity = key.public().as_bytes().to_vec();
        let endpoint = Endpoint::from_socket(socket()?, config().server_key(key).build()?)?;
        ready(endpoint.local_address(), &identity);
        while let Some(connection) = endpoint.accept().await {
            tokio::spawn(serve_connection(connection));
        }
        Ok(())
    }

    async fn client(server: SocketAddr, identity: &[u8]) -> Result<Self, Failure> {
        let endpoint = Endpoint::from_socket(socket()?, config().build()?)?;
        let trust = ClientConfig::pinned(PublicKey::from_bytes(identity)?);
        Ok(Self { endpoint, server, trust })
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        Ok(self.endpoint.connect(self.server, &self.trust).await?)
    }

    async fn open(connection: &Connection) -> Result<(SendStream, RecvStream), Failure> {
        Ok(connection.open_bi().await?)
    }

    fn close(connection: Connection) {
        connection.abort(AppCode::ZERO, b"");
    }
}

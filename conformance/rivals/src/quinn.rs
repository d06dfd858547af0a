//! quinn with the key exchange X25519MLKEM768 and ChaCha20-Poly1305, both by aws-lc-rs; the client verifies the
//! server's self-signed certificate. No resumption, as JetStreamProto has none.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, RecvStream, SendStream, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::quic::Suite;
use rustls::{RootCertStore, version};

use crate::{DATAGRAM, Failure, Peer, WINDOW, socket, work};

const NAME: &str = "localhost";

pub(crate) struct Quinn {
    endpoint: Endpoint,
    server: SocketAddr,
}

/// One key exchange, one cipher.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256],
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
        ..aws_lc_rs::default_provider()
    })
}

/// The suite of the first packets, which QUIC prescribes.
fn initial() -> Result<Suite, Failure> {
    let suite = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().and_then(|suite| suite.quic_suite());
    suite.ok_or_else(|| "no initial suite".into())
}

fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .initial_mtu(DATAGRAM)
        .min_mtu(DATAGRAM)
        .mtu_discovery_config(None)
        .receive_window(VarInt::from_u32(WINDOW))
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .send_window(WINDOW.into())
        .enable_segmentation_offload(true);
    Arc::new(transport)
}

fn endpoint(server: Option<ServerConfig>) -> Result<Endpoint, Failure> {
    Ok(Endpoint::new(EndpointConfig::default(), server, socket()?, Arc::new(TokioRuntime))?)
}

async fn serve_connection(incoming: quinn::Incoming) -> Result<(), Failure> {
    let connection = incoming.await?;
    loop {
        let (send, recv) = connection.accept_bi().await?;
        // A client that leaves is no failure.
        let _ = work::answer(send, recv).await;
    }
}

impl Peer for Quinn {
    type Connection = Connection;
    type Send = SendStream;
    type Recv = RecvStream;

    async fn serve(ready: impl FnOnce(SocketAddr, &[u8])) -> Result<(), Failure> {
        let certified = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        let certificate = certified.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())?;
        tls.send_tls13_tickets = 0;
        let tls = QuicServerConfig::with_initial(Arc::new(tls), initial()?)?;
        let mut config = ServerConfig::with_crypto(Arc::new(tls));
        config.transport_config(transport());
        let endpoint = endpoint(Some(config))?;
        ready(endpoint.local_addr()?, &certificate);
        while let Some(incoming) = endpoint.accept().await {
            tokio::spawn(serve_connection(incoming));
        }
        Ok(())
    }

    async fn client(server: SocketAddr, identity: &[u8]) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(identity.to_vec()))?;
        let mut tls = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.resumption = Resumption::disabled();
        let tls = QuicClientConfig::with_initial(Arc::new(tls), initial()?)?;
        let mut config = ClientConfig::new(Arc::new(tls));
        config.transport_config(transport());
        let mut endpoint = endpoint(None)?;
        endpoint.set_default_client_config(config);
        Ok(Self { endpoint, server })
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        Ok(self.endpoint.connect(self.server, NAME)?.await?)
    }

    async fn open(connection: &Connection) -> Result<(SendStream, RecvStream), Failure> {
        Ok(connection.open_bi().await?)
    }

    fn close(connection: Connection) {
        connection.close(VarInt::from_u32(0), b"");
    }
}

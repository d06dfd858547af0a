//! A server without a network around it: datagrams in, datagrams out, time by hand.

use std::net::SocketAddr;
use std::sync::Arc;

use jsp_conformance::peer::Hello;
use jsp_proto::internals::wire::header::LongType;
use jsp_proto::{Endpoint, Entropy, Instant, Output, Path, RecvMeta};

use super::SECOND;

/// A server without a network around it.
pub struct Bare {
    pub endpoint: Endpoint,
    pub now: Instant,
}

impl Bare {
    pub fn new(config: jsp_proto::ConfigBuilder) -> Self {
        let config = Arc::new(config.build().expect("valid"));
        Self { endpoint: Endpoint::new(config, Entropy::new([5; 32])), now: Instant::ZERO + SECOND }
    }

    /// Hands datagrams in as from this address and gives what comes out.
    pub fn hear(&mut self, from: SocketAddr, datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
        for datagram in datagrams {
            let meta = RecvMeta::single(Path::to(from));
            self.endpoint.handle_datagram(self.now, meta, &mut datagram.clone());
        }
        self.drain()
    }

    /// What comes out.
    pub fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut buffer = vec![0; 1500];
        let mut sent = Vec::new();
        loop {
            match self.endpoint.poll(self.now, &mut buffer) {
                Output::Transmit(transmit) => sent.push(transmit.payload.to_vec()),
                Output::Idle { .. } => return sent,
                _ => {}
            }
        }
    }

    /// Handshakes whose public-key work was begun.
    pub fn started(&self) -> u64 {
        self.endpoint.stats().handshakes_started
    }
}

pub fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], port))
}

/// The hello that follows a RETRY.
pub fn retried(hello: Hello, retry: &[u8]) -> Hello {
    let mut retry = retry.to_vec();
    let (ty, scid, token) = hello.open(&mut retry).expect("sealed for this client");
    assert_eq!(ty, LongType::Retry);
    let (odcid, token) = (hello.dcid, token.to_vec());
    hello.again(odcid, scid, &token)
}

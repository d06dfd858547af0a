//! What the integration tests share: keys, and the usual pair of hosts.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "shared source of test programs that each use a part")]

pub mod bare;
pub mod coded;
pub mod hostile;
pub mod scene;
pub mod site;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jsp_conformance::sim::apps::{BulkReceiver, BulkSender};
use jsp_conformance::sim::{Happening, Link, NodeId, Sim};
use jsp_proto::config::bounds::Bounds;
use jsp_proto::{ClientConfig, Config, ConfigBuilder, ConnId, ConnectionError, Event, PublicKey, SecretKey};

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);

/// The server's key; expanded once, because that takes longer than most of a handshake.
pub fn server_key() -> Arc<SecretKey> {
    static KEY: OnceLock<Arc<SecretKey>> = OnceLock::new();
    KEY.get_or_init(|| Arc::new(SecretKey::from_seed([1; 32]))).clone()
}

/// A key that no server of these tests holds.
pub fn other_key() -> PublicKey {
    SecretKey::from_seed([2; 32]).public().clone()
}

/// Trust in the server's key.
pub fn pinned() -> ClientConfig {
    ClientConfig::pinned(server_key().public().clone())
}

/// A server's configuration to build on.
pub fn server_config() -> ConfigBuilder {
    Config::builder().server_key(server_key())
}

/// A network with a client and a server.
pub struct Pair {
    pub sim: Sim,
    pub client: NodeId,
    pub server: NodeId,
}

impl Pair {
    /// Both with the usual configuration.
    pub fn new(seed: u64, link: Link) -> Self {
        Self::with(seed, link, server_config(), Config::builder())
    }

    pub fn with(seed: u64, link: Link, server: ConfigBuilder, client: ConfigBuilder) -> Self {
        let mut sim = Sim::new(seed);
        let server = sim.add(server.build().expect("a valid configuration"));
        let client = sim.add(client.build().expect("a valid configuration"));
        sim.link(client, server, link);
        Self { sim, client, server }
    }

    /// Begins a connection of the client.
    pub fn connect(&mut self, trust: &ClientConfig) -> ConnId {
        self.sim.connect(self.client, self.server, trust).expect("a connection attempt")
    }

    /// Connects and runs until both sides report it.
    pub fn establish(&mut self, trust: &ClientConfig) -> (ConnId, ConnId) {
        let ends = self.sim.establish(self.client, self.server, trust, SECOND * 30).expect("a connection attempt");
        ends.expect("a connection")
    }

    /// Runs until the client's connection is over and tells why. It must never have been connected.
    pub fn fails(&mut self, conn: ConnId) -> ConnectionError {
        self.fails_with(conn, |_, _| {})
    }

    /// [`fails`](Self::fails) with something to do meanwhile.
    pub fn fails_with(&mut self, conn: ConnId, mut act: impl FnMut(&mut Sim, &Happening)) -> ConnectionError {
        let client = self.client;
        let end = self.sim.run_until(SECOND * 600, |sim, happening| {
            act(sim, happening);
            let event = happening.event_of(client, conn);
            assert_ne!(event, Some(Event::Connected), "connected to whom it should not");
            event == Some(Event::Closed)
        });
        assert!(end.is_some(), "the attempt ends");
        let reason = self.sim.conn(client, conn).and_then(|conn| conn.close_reason().cloned());
        reason.expect("a reason")
    }

    /// Data passes from the client's connection to the server.
    pub fn assert_usable(&mut self, conn: ConnId) {
        assert_usable(&mut self.sim, self.client, self.server, conn);
    }
}

/// A little data passes over a client's connection to its server.
pub fn assert_usable(sim: &mut Sim, client: NodeId, server: NodeId, conn: ConnId) {
    let mut sender = BulkSender::new(client, conn, 1, 3_000);
    let mut receiver = BulkReceiver::new(server, 1, 3_000);
    assert!(sim.run(SECOND * 60, &mut [&mut sender, &mut receiver]), "no data gets through");
}

/// The table of bounds with some changes.
pub fn bounds(change: impl FnOnce(&mut Bounds)) -> Bounds {
    let mut bounds = Bounds::default();
    change(&mut bounds);
    bounds
}

//! A server with an honest connection and one to a peer that keeps no rule.

use std::time::Duration;

use jsp_conformance::sim::{Host, Link, NodeId, Sim};
use jsp_proto::internals::wire::Frame;
use jsp_proto::{Config, ConfigBuilder, ConnId, ConnectionError, DropReason, Event, TransportError};

use super::hostile::Hostile;
use super::{MS, SECOND, assert_usable, pinned, server_config, server_key};

/// Between any two hosts.
pub const ONE_WAY: Duration = Duration::from_millis(10);

/// A server with an honest connection and a hostile one.
pub struct Scene {
    pub sim: Sim,
    pub server: NodeId,
    pub client: NodeId,
    pub honest: ConnId,
    pub peer: Hostile,
    /// The server's end of the hostile connection.
    pub victim: ConnId,
}

impl Scene {
    pub fn new() -> Self {
        Self::with(server_config())
    }

    pub fn with(config: ConfigBuilder) -> Self {
        let mut sim = Sim::new(1);
        let server = sim.add(config.build().expect("valid"));
        let client = sim.add(Config::default());
        let raw = sim.add_host(Host::raw());
        sim.link(client, server, Link::with_delay(ONE_WAY));
        sim.link(raw, server, Link::with_delay(ONE_WAY));
        let (honest, _) = sim.establish(client, server, &pinned(), SECOND * 5).expect("an attempt").expect("connected");
        let mut peer = Hostile::connect(&mut sim, raw, server, server_key().public());
        peer.send(&mut sim, &[Frame::Ping]);
        let event =
            sim.run_until(SECOND, |_, happening| matches!(happening.event_at(server), Some((_, Event::Connected))));
        let (victim, _) = event.and_then(|happening| happening.event_at(server)).expect("connected");
        peer.run(&mut sim, MS * 100);
        assert!(peer.is_acked(0));
        Self { sim, server, client, honest, peer, victim }
    }

    pub fn send(&mut self, frames: &[Frame<'_>]) {
        self.peer.send(&mut self.sim, frames);
    }

    pub fn run(&mut self, time: Duration) {
        self.peer.run(&mut self.sim, time);
    }

    pub fn dropped(&mut self, reason: DropReason) -> u64 {
        self.sim.endpoint(self.server).stats().dropped(reason)
    }

    pub fn reason(&mut self) -> Option<ConnectionError> {
        self.sim.conn(self.server, self.victim).and_then(|conn| conn.close_reason().cloned())
    }

    /// The server has closed for this reason, said so, and the honest connection is as alive as ever.
    pub fn assert_closed(&mut self, expected: TransportError) {
        let reason = self.reason();
        self.run(MS * 50);
        let told = self.peer.closed_with();
        assert!(
            matches!(reason, None | Some(ConnectionError::Protocol { .. })) && told == Some(expected),
            "{reason:?}, told {told:?}"
        );
        self.assert_honest_unharmed();
    }

    pub fn assert_alive(&mut self) {
        assert_eq!(self.reason(), None);
        let pn = self.peer.next_pn;
        self.send(&[Frame::Ping]);
        self.run(MS * 100);
        assert!(self.peer.is_acked(pn), "the connection answers");
        self.assert_honest_unharmed();
    }

    pub fn assert_honest_unharmed(&mut self) {
        assert_usable(&mut self.sim, self.client, self.server, self.honest);
    }
}

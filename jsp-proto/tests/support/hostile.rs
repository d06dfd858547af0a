//! The peer that keeps no rule, as a host of a simulated network.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use jsp_conformance::peer::{Answer, Hello, Session, Welcome, encode};
use jsp_conformance::sim::{Happening, NodeId, Sim};
use jsp_proto::internals::crypto::{PublicKey, SecretKey};
use jsp_proto::internals::wire::Frame;

/// A raw host with the keys of a connection.
pub struct Hostile {
    pub node: NodeId,
    peer: SocketAddr,
    session: Session,
}

impl Deref for Hostile {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Hostile {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl Hostile {
    /// Connects a raw host to a server, with the usual parameters.
    pub fn connect(sim: &mut Sim, node: NodeId, server: NodeId, key: &PublicKey) -> Self {
        let hello = Hello::new(key, node_number(node));
        Self::connect_with(sim, node, server, &hello)
    }

    /// Connects a raw host to a server with this hello.
    pub fn connect_with(sim: &mut Sim, node: NodeId, server: NodeId, hello: &Hello) -> Self {
        let peer = sim.address(server);
        for datagram in &hello.datagrams {
            sim.send_raw(node, peer, datagram.clone());
        }
        let (mut answer, mut session) = (Answer::default(), None);
        sim.run_until(Duration::from_secs(1), |_, happening| {
            if let Happening::Datagram { node: at, bytes, .. } = happening
                && *at == node
            {
                session = answer.on_datagram(hello, bytes.clone()).expect("the right server");
            }
            session.is_some()
        });
        Self { node, peer, session: session.expect("an answer") }
    }

    /// Waits as a server for the hello of a client, for at most a second. Gives the answer, which is not sent.
    pub fn accept(sim: &mut Sim, node: NodeId, key: &SecretKey) -> (Self, Vec<Vec<u8>>) {
        let (mut welcome, mut found) = (Welcome::new(key), None);
        sim.run_until(Duration::from_secs(1), |_, happening| {
            if let Happening::Datagram { node: at, from, bytes, .. } = happening
                && *at == node
            {
                let complete = welcome.on_datagram(bytes.clone()).expect("a hello for this key");
                found = complete.map(|complete| (*from, complete));
            }
            found.is_some()
        });
        let (peer, (session, flight)) = found.expect("a whole hello");
        (Self { node, peer, session }, flight)
    }

    /// Sends a packet with these bytes as content.
    pub fn send_bytes(&mut self, sim: &mut Sim, payload: &[u8]) {
        let packet = self.seal(payload);
        sim.send_raw(self.node, self.peer, packet);
    }

    /// Sends a packet with these frames.
    pub fn send(&mut self, sim: &mut Sim, frames: &[Frame<'_>]) {
        self.send_bytes(sim, &encode(frames));
    }

    /// Sends datagrams as they are.
    pub fn send_raw(&self, sim: &mut Sim, datagrams: &[Vec<u8>]) {
        for datagram in datagrams {
            sim.send_raw(self.node, self.peer, datagram.clone());
        }
    }

    /// Lets time pass and takes in what the peer sends.
    pub fn run(&mut self, sim: &mut Sim, time: Duration) {
        let mut received = Vec::new();
        sim.run_until(time, |_, happening| {
            if let Happening::Datagram { node, bytes, .. } = happening
                && *node == self.node
            {
                received.push(bytes.clone());
            }
            false
        });
        received.into_iter().for_each(|bytes| self.on_datagram(bytes));
    }
}

fn node_number(node: NodeId) -> u64 {
    node.to_string().bytes().fold(1, |number, byte| number * 256 + u64::from(byte)) & 0xffff_ffff
}

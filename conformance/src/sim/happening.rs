//! What the simulation tells its user, and who acts on it.

use std::fmt;
use std::net::SocketAddr;

use jsp_proto::{ConnId, Ecn, Event, IncomingId};

use super::Sim;

/// Names a host of a [`Sim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

impl NodeId {
    pub(crate) const fn new(index: usize) -> Self {
        Self(index)
    }

    pub(crate) const fn index(self) -> usize {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// Names a timer of a [`Sim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(u64);

impl TimerId {
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }
}

/// What comes out of the simulation for its user to act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// An endpoint reports something about one of its connections.
    Event {
        /// The host.
        node: NodeId,
        /// The connection.
        conn: ConnId,
        /// What happened.
        event: Event,
    },
    /// A server with `AcceptPolicy::Ask` wants an answer.
    Incoming {
        /// The host.
        node: NodeId,
        /// What to accept, refuse or ignore.
        id: IncomingId,
    },
    /// A timer set with [`Sim::timer`] ran out.
    Timer(TimerId),
    /// A [raw](super::Host::raw) host received a datagram.
    Datagram {
        /// The host.
        node: NodeId,
        /// Where it came from.
        from: SocketAddr,
        /// Its ECN field.
        ecn: Ecn,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

impl Happening {
    /// The event, if it is one of this connection of this host.
    pub fn event_of(&self, node: NodeId, conn: ConnId) -> Option<Event> {
        self.event_at(node).filter(|(id, _)| *id == conn).map(|(_, event)| event)
    }

    /// The event and its connection, if it is one of this host.
    pub fn event_at(&self, at: NodeId) -> Option<(ConnId, Event)> {
        match *self {
            Self::Event { node, conn, event } if node == at => Some((conn, event)),
            _ => None,
        }
    }
}

/// A part of a test program that acts on what happens.
pub trait App {
    /// Called once, before anything else.
    fn start(&mut self, _sim: &mut Sim) {}
    /// Called for everything that happens, in the order in which it happens.
    fn on(&mut self, sim: &mut Sim, happening: &Happening);
    /// Whether its work is complete.
    fn done(&self) -> bool {
        true
    }
}

//! The contract on jsp-mio.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use jsp_conformance::contract::Answer;
use jsp_mio::{
    Accept, AppCode, Budget, ClientConfig, Config, ConnId, ConnectError, ConnectionError, Endpoint, EndpointStats,
    Event, IncomingId,
};

#[path = "blocking.rs"]
mod blocking;

/// An endpoint of jsp-mio.
pub(crate) type Mio = blocking::Blocking;

const NAME: &str = "mio";

const JSP: mio::Token = mio::Token(0);

/// An endpoint and the loop around it.
struct Node {
    endpoint: Endpoint,
    poll: mio::Poll,
    ready: mio::Events,
}

/// A connection, with the few names that differ.
struct Conn<'e>(jsp_mio::Conn<'e>);

enum Told {
    Event(ConnId, jsp_proto::Event),
    Incoming(IncomingId),
}

impl<'e> std::ops::Deref for Conn<'e> {
    type Target = jsp_mio::Conn<'e>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl std::ops::DerefMut for Conn<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Conn<'_> {
    fn close_reason(&self) -> Option<ConnectionError> {
        self.0.close_reason().cloned()
    }

    fn discard(self) {
        self.0.discard();
    }
}

impl Node {
    fn bind(config: Config) -> Self {
        let mut endpoint = Endpoint::bind(([127, 0, 0, 1], 0).into(), config).expect("a free port");
        let poll = mio::Poll::new().expect("a poll");
        endpoint.register(poll.registry(), JSP).expect("a socket");
        Self { endpoint, poll, ready: mio::Events::with_capacity(8) }
    }

    fn local_address(&self) -> SocketAddr {
        self.endpoint.local_address()
    }

    /// What happened; `None` when nothing is left to do now.
    fn next(&mut self) -> Option<Told> {
        let mut turn = self.endpoint.turn(Budget::UNLIMITED);
        Some(match self.endpoint.next(&mut turn).expect("the socket works")? {
            Event::Connection(id, event) => Told::Event(id, event),
            Event::Incoming(id) => Told::Incoming(id),
        })
    }

    /// Waits for the socket or the endpoint's deadline, not longer than `limit`.
    fn sleep(&mut self, limit: Duration) {
        let timeout = self.endpoint.timeout().map_or(limit, |timeout| timeout.min(limit));
        match self.poll.poll(&mut self.ready, Some(timeout)) {
            Ok(()) => self.ready.iter().for_each(|event| self.endpoint.on_ready(event)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("cannot wait: {error}"),
        }
    }

    fn connect(&mut self, remote: SocketAddr, client: &ClientConfig) -> Result<ConnId, ConnectError> {
        self.endpoint.connect(remote, client)
    }

    fn conn(&mut self, id: ConnId) -> Option<Conn<'_>> {
        self.endpoint.conn(id).map(Conn)
    }

    fn app_token(&self, id: IncomingId) -> Vec<u8> {
        self.endpoint.incoming(id).expect("in time").app_token().to_vec()
    }

    fn answer(&mut self, id: IncomingId, answer: Answer) {
        match answer {
            Answer::Accept => self.endpoint.accept(id, Accept::new()).expect("in time"),
            Answer::Refuse(code) => self.endpoint.refuse(id, code).expect("in time"),
            Answer::Ignore => self.endpoint.ignore(id),
        }
    }

    fn shutdown(&mut self) {
        self.endpoint.shutdown(AppCode::ZERO);
    }

    fn is_idle(&self) -> bool {
        self.endpoint.is_idle()
    }

    fn stats(&self) -> EndpointStats {
        *self.endpoint.stats()
    }
}

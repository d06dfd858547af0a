//! Stateless resets: a server that has lost its connections says so to the clients it had, and to nobody else
//! (specification sections 3.8 and 13, item 22).

mod support;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use jsp_conformance::sim::{Host, Link, NodeId, Sim, Tapped, seeds};
use jsp_proto::internals::crypto::token::ResetKey;
use jsp_proto::internals::wire::reset::encode_reset;
use jsp_proto::{
    AppCode, Config, ConnId, ConnStats, ConnectionError, DropReason, EndpointStats, Event, Instant, StreamId,
    StreamOptions,
};
use support::{MS, Pair, SECOND, assert_usable, bounds, pinned, server_config};

const ONE_WAY: Duration = Duration::from_millis(10);
const KEY: [u8; 32] = [0x5e; 32];

fn config(key: [u8; 32]) -> Config {
    server_config().reset_key(key).build().expect("valid")
}

/// A client with a connection to a server that has the usual reset key.
struct Scene {
    pair: Pair,
    conn: ConnId,
    stream: StreamId,
    /// The id under which the server knows the connection, from the client's datagrams.
    id: Vec<u8>,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let link = Link::with_delay(ONE_WAY);
        let mut pair = Pair::with(seed, link, server_config().reset_key(KEY), Config::builder());
        let id = Rc::new(RefCell::new(Vec::new()));
        let (seen, client) = (id.clone(), pair.client);
        pair.sim.tap(move |passing, bytes| {
            if passing.from == client && bytes[0] & 0x80 == 0 {
                *seen.borrow_mut() = bytes[1..9].to_vec();
            }
            Tapped::Pass
        });
        let (conn, _) = pair.establish(&pinned());
        let mut handle = pair.sim.conn(pair.client, conn).expect("open");
        let stream = handle.open(StreamOptions::bytes()).expect("room");
        pair.sim.run_for(SECOND);
        pair.sim.untap();
        let id = id.borrow().clone();
        Self { pair, conn, stream, id }
    }

    fn send(&mut self, len: usize) {
        let mut conn = self.pair.sim.conn(self.pair.client, self.conn).expect("open");
        conn.send(self.stream, &vec![7; len]).expect("room");
    }

    fn restart(&mut self, key: [u8; 32]) -> Instant {
        self.pair.sim.restart(self.pair.server, config(key));
        self.pair.sim.now()
    }

    fn numbers(&mut self) -> ConnStats {
        self.pair.sim.conn(self.pair.client, self.conn).expect("known").stats()
    }

    /// Runs until the client's connection is over, and tells why and when.
    fn end(&mut self, limit: Duration) -> Option<(ConnectionError, Instant)> {
        let (client, conn) = (self.pair.client, self.conn);
        let closed = |_: &mut Sim, happening: &jsp_conformance::sim::Happening| {
            happening.event_of(client, conn) == Some(Event::Closed)
        };
        self.pair.sim.run_until(limit, closed)?;
        let now = self.pair.sim.now();
        let conn = self.pair.sim.conn(client, conn).expect("not discarded");
        Some((conn.close_reason().expect("closed").clone(), now))
    }

    /// The datagram with which the server would reset the connection, `len` bytes to `id`.
    fn reset(&self, id: &[u8], len: usize) -> Vec<u8> {
        let mut datagram = vec![0x39; len];
        datagram[1..1 + id.len()].copy_from_slice(id);
        encode_reset(&ResetKey::new(KEY).reset_token(&self.id), &mut datagram);
        datagram
    }

    fn inject(&mut self, datagram: Vec<u8>) {
        let from = self.pair.sim.address(self.pair.server);
        self.pair.sim.inject(from, self.pair.client, Duration::ZERO, datagram);
        self.pair.sim.run_for(MS);
    }

    fn stats(&mut self, node: NodeId) -> EndpointStats {
        *self.pair.sim.endpoint(node).stats()
    }

    fn assert_alive(&mut self) {
        let Self { pair, conn, .. } = self;
        assert_usable(&mut pair.sim, pair.client, pair.server, *conn);
    }
}

fn probe_timeout(stats: &ConnStats) -> Duration {
    stats.rtt + (stats.rtt_variation * 4).max(MS) + MS * 25
}

#[test]
fn a_client_in_a_transfer_learns_at_once_that_its_server_was_restarted() {
    seeds("a_client_in_a_transfer_learns_at_once_that_its_server_was_restarted", 0..20, |seed| {
        let mut scene = Scene::new(seed);
        scene.send(1 << 20);
        scene.pair.sim.run_for(MS * (15 + seed as u32));
        let (numbers, since) = (scene.numbers(), scene.restart(KEY));
        assert!(numbers.send_buffered > 0, "the transfer is under way");
        let (reason, at) = scene.end(SECOND * 10).expect("it ends");
        assert_eq!(reason, ConnectionError::Reset);
        assert!(at <= since + 2 * probe_timeout(&numbers), "{:?}", at - since);

        // Nothing more is sent, and soon nothing more is remembered.
        let (client, server) = (scene.pair.client, scene.pair.server);
        let sent = scene.stats(client).datagrams_sent;
        scene.pair.sim.run_for(SECOND * 5);
        let stats = scene.stats(client);
        assert_eq!((stats.datagrams_sent, stats.resets_received), (sent, 1));
        assert_eq!(scene.pair.sim.endpoint(client).connections(), 0);
        assert!((1..=10).contains(&scene.stats(server).resets_sent));
    });
}

#[test]
fn an_idle_client_learns_it_when_it_has_something_to_send() {
    for len in [1, 5, 1_000] {
        let mut scene = Scene::new(1);
        scene.restart(KEY);
        assert_eq!(scene.end(SECOND * 5), None, "nobody asks, nobody answers");
        let numbers = scene.numbers();
        scene.send(len);
        let since = scene.pair.sim.now();
        let (reason, at) = scene.end(SECOND * 10).expect("it ends");
        assert_eq!(reason, ConnectionError::Reset);
        assert!(at <= since + 2 * probe_timeout(&numbers), "{:?}", at - since);
    }
}

/// A frame of three bytes makes a packet that is too short for a reset, were it not padded.
#[test]
fn even_the_shortest_packet_gets_an_answer() {
    let mut scene = Scene::new(1);
    scene.restart(KEY);
    let mut conn = scene.pair.sim.conn(scene.pair.client, scene.conn).expect("open");
    conn.set_priority(scene.stream, 3).expect("it is open");
    let since = scene.pair.sim.now();
    let (reason, at) = scene.end(SECOND * 60).expect("it ends");
    assert_eq!(reason, ConnectionError::Reset);
    assert!(at <= since + MS * 200, "{:?}", at - since);
}

#[test]
fn a_client_that_closes_learns_that_the_rest_will_not_arrive() {
    let mut scene = Scene::new(1);
    scene.send(100_000);
    scene.restart(KEY);
    scene.pair.sim.conn(scene.pair.client, scene.conn).expect("open").close(AppCode::new(3), b"");
    let since = scene.pair.sim.now();
    let (reason, at) = scene.end(SECOND * 10).expect("it ends");
    assert_eq!(reason, ConnectionError::Reset);
    assert!(at <= since + MS * 100);
}

#[test]
fn a_server_that_has_lost_its_key_too_leaves_clients_to_their_timeout() {
    let mut scene = Scene::new(1);
    scene.send(100_000);
    scene.restart([0x5f; 32]);
    let (reason, _) = scene.end(SECOND * 100).expect("it ends");
    assert_eq!(reason, ConnectionError::IdleTimeout { after: SECOND * 30 });
    assert!(scene.stats(scene.pair.server).resets_sent > 0);
}

#[test]
fn a_hundred_clients_learn_it_together() {
    let mut sim = Sim::new(5);
    sim.default_link(Link::with_delay(ONE_WAY));
    let server = sim.add(config(KEY));
    let connect = |net: u8| {
        let address = SocketAddr::from(([10, 1, net, 1], 4433));
        sim.add_host(Host::new(Config::default()).address(address))
    };
    let clients: Vec<NodeId> = (0..100).map(connect).collect();
    let conns: Vec<(NodeId, ConnId)> = clients
        .into_iter()
        .map(|client| {
            let ends = sim.establish(client, server, &pinned(), SECOND * 5).expect("an attempt");
            (client, ends.expect("no loss").0)
        })
        .collect();
    sim.run_for(SECOND);
    sim.restart(server, config(KEY));
    let since = sim.now();
    let mut patience = Duration::ZERO;
    for &(client, conn) in &conns {
        let mut conn = sim.conn(client, conn).expect("open");
        patience = patience.max(2 * probe_timeout(&conn.stats()));
        let stream = conn.open(StreamOptions::bytes()).expect("room");
        conn.send(stream, b"are you there").expect("room");
    }
    let mut told = 0;
    sim.run_until(patience, |sim, happening| {
        if let Some(&(client, conn)) =
            conns.iter().find(|&&(client, conn)| happening.event_of(client, conn) == Some(Event::Closed))
        {
            assert_eq!(
                sim.conn(client, conn).and_then(|conn| conn.close_reason().cloned()),
                Some(ConnectionError::Reset)
            );
            told += 1;
        }
        told == 100
    });
    assert_eq!(told, 100, "after {:?}", sim.now() - since);
    assert_eq!(sim.endpoint(server).stats().resets_sent, 100);
}

#[test]
fn a_reset_with_another_token_does_nothing() {
    let mut scene = Scene::new(1);
    let genuine = scene.reset(&[0; 8], 60);
    for at in 44..60 {
        let mut forged = genuine.clone();
        forged[at] ^= 1;
        scene.inject(forged);
    }
    // Nor does one that looks like a long packet, or one that was cut.
    let mut long = genuine.clone();
    long[0] |= 0x80;
    scene.inject(long);
    scene.inject(genuine[..59].to_vec());
    let stats = scene.stats(scene.pair.client);
    assert_eq!((stats.resets_received, stats.dropped(DropReason::UnknownConnection)), (0, 17));
    scene.assert_alive();
    scene.inject(genuine);
    assert_eq!(scene.stats(scene.pair.client).resets_received, 1);
}

#[test]
fn a_reset_is_known_by_its_token_whatever_id_it_is_sent_to() {
    // To the id of the connection it fails to open there; to any other, no connection has it. The shortest are too
    // short for a packet.
    for (own, len) in [(false, 30), (false, 60), (false, 1400), (true, 40), (true, 60), (true, 1400)] {
        let mut scene = Scene::new(1);
        let id = Rc::new(RefCell::new(vec![9; 8]));
        if own {
            let (seen, server) = (id.clone(), scene.pair.server);
            scene.pair.sim.tap(move |passing, bytes| {
                if passing.from == server && bytes[0] & 0x80 == 0 {
                    *seen.borrow_mut() = bytes[1..9].to_vec();
                }
                Tapped::Pass
            });
            scene.assert_alive();
            scene.pair.sim.untap();
        }
        let reset = scene.reset(&id.borrow(), len);
        scene.inject(reset.clone());
        let conn = scene.pair.sim.conn(scene.pair.client, scene.conn).expect("not discarded");
        assert_eq!(conn.close_reason(), Some(&ConnectionError::Reset), "own id: {own}, {len} bytes");
        // Once it is over, the token means nothing any more.
        scene.inject(reset);
        assert_eq!(scene.stats(scene.pair.client).resets_received, 1);
    }
}

#[test]
fn nobody_gets_a_reset_for_a_connection_that_lives_closes_or_drains() {
    let mut scene = Scene::new(1);
    let (server, client) = (scene.pair.server, scene.pair.client);
    let prod = |scene: &mut Scene| {
        for len in [31, 40, 1200, 1472] {
            for first in [0x00, 0x40, 0x5f, 0x7f] {
                let mut datagram = vec![0xa5; len];
                datagram[0] = first;
                datagram[1..9].copy_from_slice(&scene.id);
                let from = SocketAddr::from(([192, 0, 2, 9], 9));
                scene.pair.sim.inject(from, server, Duration::ZERO, datagram);
            }
        }
        scene.pair.sim.run_for(MS);
    };
    prod(&mut scene);
    scene.assert_alive();
    scene.pair.sim.conn(client, scene.conn).expect("open").close(AppCode::ZERO, b"");
    scene.pair.sim.run_for(MS * 30);
    assert_eq!(scene.pair.sim.endpoint(server).connections(), 1, "it drains");
    prod(&mut scene);
    let stats = scene.stats(server);
    assert_eq!((stats.resets_sent, stats.dropped(DropReason::Aead) > 0), (0, true));
    assert_eq!(stats.dropped(DropReason::Closed), 16);
    scene.pair.sim.run_for(SECOND * 2);
    assert_eq!(scene.pair.sim.endpoint(server).connections(), 0, "it is forgotten");
    prod(&mut scene);
    assert_eq!(scene.stats(server).resets_sent, 10, "as often as one network is told");
}

/// Row 46 of the table in specification section 7.
#[test]
fn resets_are_few_and_shorter_than_what_they_answer() {
    let mut sim = Sim::new(1);
    sim.default_link(Link::with_delay(ONE_WAY));
    let server = sim.add(config(KEY));
    let raw = sim.add_host(Host::raw());
    let mut answers = |datagrams: &[Vec<u8>]| {
        for datagram in datagrams {
            let to = sim.address(server);
            sim.send_raw(raw, to, datagram.clone());
        }
        let mut lens = Vec::new();
        sim.run_until(SECOND * 2, |_, happening| {
            if let jsp_conformance::sim::Happening::Datagram { bytes, .. } = happening {
                assert_eq!(bytes[0] & 0xc0, 0x40, "it looks like a short packet");
                lens.push(bytes.len());
            }
            false
        });
        lens
    };
    assert_eq!(answers(&[vec![0x40; 9], vec![0x40; 29], vec![0x40; 30]]), [0; 0]);
    assert_eq!(answers(&[vec![0x40; 31], vec![0x40; 32], vec![0x40; 1472]]), [30, 31, 1471]);
    assert_eq!(answers(&vec![vec![0x40; 60]; 50]).len(), 10);
    let stats = *sim.endpoint(server).stats();
    assert_eq!((stats.resets_sent, stats.dropped(DropReason::AnswerLimit)), (13, 40));

    // From many networks there are a hundred in a second.
    for net in 0..200 {
        let from = SocketAddr::from(([198, 18, net, 1], 9));
        sim.inject(from, server, Duration::ZERO, vec![0x40; 60]);
    }
    sim.run_for(MS);
    assert_eq!(sim.endpoint(server).stats().resets_sent, 113);
    sim.run_for(SECOND);
    sim.inject(SocketAddr::from(([198, 18, 1, 1], 9)), server, Duration::ZERO, vec![0x40; 60]);
    sim.run_for(MS);
    assert_eq!(sim.endpoint(server).stats().resets_sent, 114);
}

#[test]
fn two_endpoints_that_have_both_lost_everything_fall_silent() {
    let mut sim = Sim::new(1);
    let config = |key| {
        let unbounded = bounds(|bounds| (bounds.resets_per_second, bounds.resets_per_prefix) = (1_000_000, 1_000_000));
        server_config().reset_key([key; 32]).bounds(unbounded).build().expect("valid")
    };
    let (a, b) = (sim.add(config(1)), sim.add(config(2)));
    sim.link(a, b, Link::with_delay(ONE_WAY));
    let lens = Rc::new(RefCell::new(Vec::new()));
    let seen = lens.clone();
    sim.tap(move |_, bytes| {
        seen.borrow_mut().push(bytes.len());
        Tapped::Pass
    });
    let from = sim.address(b);
    sim.inject(from, a, Duration::ZERO, vec![0x45; 1200]);
    sim.run_for(SECOND * 60);
    assert_eq!(*lens.borrow(), (30..1200).rev().collect::<Vec<_>>(), "each one byte shorter, down to the shortest");
}

#[test]
fn an_endpoint_that_only_connects_sends_no_resets() {
    let mut sim = Sim::new(1);
    let client = sim.add(Config::builder().reset_key(KEY).build().expect("valid"));
    let raw = sim.add_host(Host::raw());
    sim.link(client, raw, Link::with_delay(ONE_WAY));
    let to = sim.address(client);
    sim.send_raw(raw, to, vec![0x40; 100]);
    sim.run_for(SECOND);
    let stats = *sim.endpoint(client).stats();
    assert_eq!((stats.datagrams_sent, stats.dropped(DropReason::UnknownConnection)), (0, 1));
}

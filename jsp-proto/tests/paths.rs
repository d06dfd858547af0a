//! Connections that go over another path: NAT rebinding, migration, and those who would abuse it (specification
//! sections 6.5 and 13.24).

use std::net::SocketAddr;
use std::time::Duration;

use jsp_conformance::sim::apps::{BulkReceiver, BulkSender};
use jsp_conformance::sim::{App, Happening, Link, NodeId, Sim, seeds};
use jsp_proto::{Config, ConnId, Event, Instant, MigrateError, Path, StreamOptions};

mod support;
use support::{MS, Pair, SECOND, pinned, server_config};

/// A public address of the client; every number is another host.
fn elsewhere(number: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, number], port))
}

/// Notes when stream data arrives at a host, and the longest time that nothing did while a transfer was under way.
struct Stall {
    node: NodeId,
    last: Option<Instant>,
    longest: Duration,
}

impl Stall {
    fn new(node: NodeId) -> Self {
        Self { node, last: None, longest: Duration::ZERO }
    }
}

impl App for Stall {
    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        if let Some((_, Event::StreamReadable(_))) = happening.event_at(self.node) {
            let now = sim.now();
            let gap = self.last.map_or(Duration::ZERO, |last| now.saturating_since(last));
            self.longest = self.longest.max(gap);
            self.last = Some(now);
        }
    }

    fn done(&self) -> bool {
        true
    }
}

/// Does something to the network again and again.
struct Every<F> {
    period: Duration,
    act: F,
}

impl<F: FnMut(&mut Sim)> App for Every<F> {
    fn start(&mut self, sim: &mut Sim) {
        let next = sim.now() + self.period;
        sim.timer(next);
    }

    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        if let Happening::Timer(_) = happening {
            (self.act)(sim);
            let next = sim.now() + self.period;
            sim.timer(next);
        }
    }

    fn done(&self) -> bool {
        true
    }
}

const MIB: u64 = 1 << 20;
const RTT: Duration = Duration::from_millis(40);

fn good_link() -> Link {
    Link::with_delay(RTT / 2).rate(20_000_000).queue(100_000)
}

/// What happens to the client's address.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// A NAT gives it another port, and it does not know.
    Port,
    /// A NAT gives it another address, and it does not know.
    Host,
    /// It has another socket, and says so.
    Socket,
}

impl Move {
    /// Changes the client's address for the `number`th time.
    fn apply(self, sim: &mut Sim, client: NodeId, number: u16) {
        match self {
            Self::Port => sim.rebind(client, elsewhere(1, 1000 + number)),
            Self::Host => sim.rebind(client, elsewhere(number as u8 % 250, 1000)),
            Self::Socket => {
                let address = elsewhere(1, 1000 + number);
                sim.readdress(client, address);
                let now = sim.now();
                sim.endpoint(client).rebind(now, Some(address));
            }
        }
    }
}

/// Transfers `bytes` while the client's address changes every `period`. Gives the longest stall at the receiver, and how
/// often the server has followed.
fn transfer(seed: u64, upload: bool, bytes: u64, kind: Move, period: Duration) -> (Duration, u64) {
    let mut pair = Pair::new(seed, good_link());
    let (up, down) = pair.establish(&pinned());
    let (client, server) = (pair.client, pair.server);
    let (from, conn, to) = if upload { (client, up, server) } else { (server, down, client) };
    let mut sender = BulkSender::new(from, conn, seed, bytes);
    let mut receiver = BulkReceiver::new(to, seed, bytes);
    let mut stall = Stall::new(to);
    let mut number = 0_u16;
    let mut moves = Every {
        period,
        act: |sim: &mut Sim| {
            number += 1;
            kind.apply(sim, client, number);
        },
    };
    let done = pair.sim.run(SECOND * 120, &mut [&mut sender, &mut receiver, &mut stall, &mut moves]);
    let followed = pair.sim.conn(server, down).expect("alive").stats().path_changes;
    assert!(done, "seed {seed}: {kind:?}, {} of {bytes} bytes", receiver.received());
    assert!(number > 0 && followed >= u64::from(number) - 1, "{followed} of {number} moves followed");
    (stall.longest, followed)
}

/// A rebind costs at most one round trip and one probe timeout, whoever sends. The probe timeout on a loaded path is
/// some four round trips of an empty one here: 40 ms and up to as much in the queue.
#[test]
fn a_nat_rebinds_every_five_seconds_during_a_transfer() {
    seeds("nat_rebinds", 0..3, |seed| {
        for upload in [true, false] {
            let (stall, followed) = transfer(seed, upload, 20 * MIB, Move::Port, SECOND * 5);
            assert!(followed >= 1, "{followed}");
            assert!(stall <= 5 * RTT, "seed {seed}, upload {upload}: a stall of {stall:?}");
        }
    });
}

#[test]
fn the_address_changes_during_a_transfer() {
    seeds("address_changes", 0..3, |seed| {
        for upload in [true, false] {
            for kind in [Move::Host, Move::Socket] {
                let (stall, _) = transfer(seed, upload, 8 * MIB, kind, SECOND);
                assert!(stall <= SECOND, "seed {seed}, upload {upload}, {kind:?}: a stall of {stall:?}");
            }
        }
    });
}

/// What both ends say about a connection that has moved.
#[test]
fn both_ends_learn_that_the_new_path_works() {
    let mut pair = Pair::new(1, Link::with_delay(RTT / 2));
    let (up, down) = pair.establish(&pinned());
    pair.sim.run_for(SECOND);
    let (client, server) = (pair.client, pair.server);
    let here = elsewhere(7, 7777);
    pair.sim.readdress(client, here);
    pair.sim.conn(client, up).expect("alive").migrate(here).expect("it may move");
    let (mut told_client, mut told_server) = (false, false);
    pair.sim.run_until(SECOND, |_, happening| {
        told_client |= happening.event_of(client, up) == Some(Event::PathChanged);
        told_server |= happening.event_of(server, down) == Some(Event::PathChanged);
        false
    });
    assert!(told_client && told_server, "client {told_client}, server {told_server}");
    let remote = |sim: &mut Sim, node, conn| -> Path { sim.conn(node, conn).expect("alive").path().expect("a path") };
    assert_eq!(remote(&mut pair.sim, server, down).remote, here);
    assert_eq!(remote(&mut pair.sim, client, up).local, Some(here));
    pair.assert_usable(up);
}

/// Nobody on the way can tell by the connection ids that it is the same connection.
#[test]
fn a_moved_connection_has_new_ids_in_both_directions() {
    let mut pair = Pair::new(2, Link::with_delay(RTT / 2));
    let (up, _) = pair.establish(&pinned());
    pair.sim.run_for(SECOND);
    let (client, server) = (pair.client, pair.server);
    let ids = |pair: &mut Pair| {
        let seen = std::rc::Rc::new(std::cell::RefCell::new(std::collections::BTreeSet::new()));
        let log = seen.clone();
        pair.sim.tap(move |passing, bytes| {
            log.borrow_mut().insert((passing.from, bytes[1..9].to_vec()));
            jsp_conformance::sim::Tapped::Pass
        });
        pair.assert_usable(up);
        pair.sim.run_for(SECOND);
        pair.sim.untap();
        seen.take()
    };
    let before = ids(&mut pair);
    let here = elsewhere(7, 7777);
    pair.sim.readdress(client, here);
    pair.sim.conn(client, up).expect("alive").migrate(here).expect("it may move");
    pair.sim.run_for(SECOND);
    let after = ids(&mut pair);
    assert_eq!(before.intersection(&after).count(), 0, "{before:?} and {after:?}");
    assert!([client, server].iter().all(|node| after.iter().any(|(from, _)| from == node)));
}

#[test]
fn moving_again_and_again_never_runs_out_of_ids() {
    let mut pair = Pair::new(3, Link::with_delay(RTT / 2));
    let (up, down) = pair.establish(&pinned());
    for number in 0..40 {
        pair.sim.run_for(SECOND);
        let here = elsewhere(number, 7777);
        pair.sim.readdress(pair.client, here);
        pair.sim.conn(pair.client, up).expect("alive").migrate(here).expect("it may move");
    }
    pair.assert_usable(up);
    assert_eq!(pair.sim.conn(pair.server, down).expect("alive").stats().path_changes, 40);
}

/// The new path carries nothing: the connection goes back to the old one.
#[test]
fn a_path_that_does_not_work_is_left_again() {
    let mut pair = Pair::new(4, Link::with_delay(RTT / 2));
    let (up, _) = pair.establish(&pinned());
    pair.sim.run_for(SECOND);
    let old = pair.sim.conn(pair.client, up).expect("alive").path();
    pair.sim.link_one_way(pair.client, pair.server, Link::with_delay(RTT / 2).loss(1.0));
    pair.sim.conn(pair.client, up).expect("alive").migrate(elsewhere(9, 9)).expect("it may move");
    pair.sim.run_for(SECOND * 5);
    pair.sim.link_one_way(pair.client, pair.server, Link::with_delay(RTT / 2));
    assert_eq!(pair.sim.conn(pair.client, up).expect("alive").path(), old);
    pair.assert_usable(up);
}

#[test]
fn who_may_not_move_is_told_so() {
    let server = server_config().allow_migration(false);
    let mut pair = Pair::with(5, Link::with_delay(RTT / 2), server, Config::builder());
    let conn = pair.connect(&pinned());
    let migrate = |pair: &mut Pair, node, id: ConnId| pair.sim.conn(node, id).expect("alive").migrate(elsewhere(1, 1));
    let client = pair.client;
    assert_eq!(migrate(&mut pair, client, conn), Err(MigrateError::NotConnected));
    let (up, down) = pair.establish(&pinned());
    pair.sim.run_for(SECOND);
    assert_eq!(migrate(&mut pair, client, up), Err(MigrateError::Forbidden));
    let server = pair.server;
    assert_eq!(migrate(&mut pair, server, down), Err(MigrateError::NotAClient));
    // Another port of the same host is followed all the same, another host is not.
    let known = pair.sim.address(client);
    pair.sim.rebind(client, SocketAddr::new(known.ip(), 999));
    pair.assert_usable(up);
    pair.sim.rebind(client, elsewhere(1, 1));
    let before = pair.sim.endpoint(server).stats().dropped(jsp_proto::DropReason::Address);
    pair.sim.conn(client, up).expect("alive").open(StreamOptions::bytes()).expect("a stream");
    pair.sim.run_for(MS * 200);
    assert!(pair.sim.endpoint(server).stats().dropped(jsp_proto::DropReason::Address) > before);
}

/// The worst case: the window of the sender is full of packets that are lost, and the receiver, whose address has changed,
/// has nothing to acknowledge. It costs the probe timeout of the receiver and one round trip.
#[test]
fn a_receiver_that_was_moved_in_silence_shows_itself() {
    seeds("moved_in_silence", 0..8, |seed| {
        let mut pair = Pair::new(seed, good_link());
        let (up, down) = pair.establish(&pinned());
        let (client, server) = (pair.client, pair.server);
        let mut sender = BulkSender::new(server, down, seed, 20 * MIB);
        let mut receiver = BulkReceiver::new(client, seed, 20 * MIB);
        assert!(!pair.sim.run(SECOND * 2, &mut [&mut sender, &mut receiver]));
        let stats = pair.sim.conn(client, up).expect("alive").stats();
        let pto = stats.rtt + (4 * stats.rtt_variation).max(MS) + MS * 25;
        // What is under way arrives; then nothing more.
        pair.sim.link_one_way(server, client, good_link().loss(1.0));
        assert!(!pair.sim.resume(RTT * 2, &mut [&mut sender, &mut receiver]));
        pair.sim.rebind(client, elsewhere(1, 9));
        pair.sim.link_one_way(server, client, good_link());
        let (moved, before) = (pair.sim.now(), receiver.received());
        while receiver.received() == before {
            assert!(!pair.sim.resume(MS, &mut [&mut sender, &mut receiver]));
            let stall = pair.sim.now().saturating_since(moved);
            assert!(stall <= pto + RTT + MS * 5, "seed {seed}: {stall:?}, the probe timeout is {pto:?}");
        }
    });
}

/// The client's address changes while the connection comes about, at any moment of it.
#[test]
fn an_address_may_change_during_the_handshake() {
    for kind in [Move::Port, Move::Host, Move::Socket] {
        for moment in 0..130 {
            let mut pair = Pair::new(6, Link::with_delay(RTT / 2));
            let conn = pair.connect(&pinned());
            pair.sim.run_for(MS * moment);
            kind.apply(&mut pair.sim, pair.client, 1);
            let began = pair.sim.now();
            pair.assert_usable(conn);
            let took = pair.sim.now().saturating_since(began);
            // The first message is repeated after three times the initial round trip, 200 ms.
            assert!(took <= MS * 600 + RTT * 4, "{kind:?} after {moment} ms: {took:?}");
        }
    }
}

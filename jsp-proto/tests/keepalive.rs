//! Connections without traffic: how they are kept alive, how seldom, and what an unreachable peer is told by (specification
//! section 6.6).

mod support;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use jsp_conformance::peer::params;
use jsp_conformance::sim::{Host, Link, NodeId, Sim, Tapped};
use jsp_proto::internals::wire::params::{Extras, Params, ParamsContext};
use jsp_proto::internals::wire::{Ack, AckRanges, Frame};
use jsp_proto::{
    AppState, Config, ConfigBuilder, ConnId, ConnStats, ConnectionError, Event, KeepAlive, Network, Output,
    StreamOptions,
};
use support::hostile::Hostile;
use support::scene::Scene;
use support::{MS, Pair, SECOND, pinned, server_config, server_key};

const MINUTE: Duration = Duration::from_secs(60);

fn every(seconds: u32) -> ConfigBuilder {
    Config::builder().keep_alive(KeepAlive::Every(SECOND * seconds))
}

/// A connection whose client and server have these settings.
fn connected(server: ConfigBuilder, client: ConfigBuilder) -> (Pair, ConnId, ConnId) {
    let mut pair = Pair::with(1, Link::with_delay(MS * 20), server, client);
    let (client, server) = pair.establish(&pinned());
    pair.sim.run_for(SECOND);
    (pair, client, server)
}

fn stats(pair: &mut Pair, node: NodeId, conn: ConnId) -> Option<ConnStats> {
    pair.sim.conn(node, conn).filter(|conn| !conn.is_closed()).map(|conn| conn.stats())
}

#[test]
fn silence_for_an_hour_with_and_without_keepalive() {
    let (mut pair, conn, _) = connected(server_config(), Config::builder());
    pair.sim.run_for(MINUTE);
    let node = pair.client;
    assert!(stats(&mut pair, node, conn).is_none(), "nothing keeps it");
    for (idle, pings) in [(300, 3600 / 20), (30, 3600 / 15)] {
        let settings = || every(20).idle_timeout(SECOND * idle);
        let of_server = Config::builder().idle_timeout(SECOND * idle).server_key(server_key());
        let (mut pair, client, server) = connected(of_server, settings());
        pair.sim.run_for(MINUTE * 60);
        let (nodes, conns) = ([pair.client, pair.server], [client, server]);
        let ours = stats(&mut pair, nodes[0], conns[0]).expect("alive");
        let theirs = stats(&mut pair, nodes[1], conns[1]).expect("alive");
        assert!((pings - 5..=pings).contains(&ours.keep_alive_pings), "{}", ours.keep_alive_pings);
        assert_eq!(theirs.keep_alive_pings, 0);
        assert!(ours.latest_rtt.is_some());
        // Of acknowledgements that nobody acknowledges, one in ten asks for it.
        let most = pings * 6 / 5 + 10;
        assert!(ours.datagrams_sent < most && theirs.datagrams_sent < most, "{ours:?}");
    }
    // The server may do it as well as the client.
    let server = every(20).idle_timeout(SECOND * 300).server_key(server_key());
    let (mut pair, _, server) = connected(server, Config::builder().idle_timeout(SECOND * 300));
    pair.sim.run_for(MINUTE * 60);
    let node = pair.server;
    assert!((175..=180).contains(&stats(&mut pair, node, server).expect("alive").keep_alive_pings));
}

/// A writer that waits for its reader is no reason to end a connection that is kept alive.
#[test]
fn a_blocked_connection_does_not_idle_out() {
    let (mut pair, conn, _) = connected(server_config(), every(20));
    let mut client = pair.sim.conn(pair.client, conn).expect("open");
    let stream = client.open(StreamOptions::bytes().uni()).expect("allowed");
    while client.send(stream, &[1; 65_536]).is_ok() {}
    pair.sim.run_for(MINUTE * 10);
    let node = pair.client;
    assert!(stats(&mut pair, node, conn).is_some_and(|stats| stats.send_buffered > 0));
}

#[test]
fn the_background_halves_and_sleep_stops() {
    let idle = SECOND * 900;
    let (mut pair, conn, _) = connected(server_config().idle_timeout(idle), every(20).idle_timeout(idle));
    let node = pair.client;
    let pings = |pair: &mut Pair, state: Option<AppState>, time: Duration| {
        let before = stats(pair, node, conn).expect("alive");
        if let Some(state) = state {
            pair.sim.conn(node, conn).expect("open").set_app_state(state);
        }
        pair.sim.run_for(time);
        let after = stats(pair, node, conn).expect("alive");
        (after.keep_alive_pings - before.keep_alive_pings, after.datagrams_sent - before.datagrams_sent)
    };
    assert_eq!(pings(&mut pair, None, MINUTE * 10).0 / 5, 30 / 5 - 1);
    assert!((14..=15).contains(&pings(&mut pair, Some(AppState::Background), MINUTE * 10).0));
    assert_eq!(pings(&mut pair, Some(AppState::Sleep), MINUTE * 5), (0, 0));
    // Awake: a PING at once, and it is answered.
    let heard = stats(&mut pair, node, conn).expect("alive").datagrams_received;
    assert_eq!(pings(&mut pair, Some(AppState::Foreground), SECOND), (1, 1));
    assert_eq!(stats(&mut pair, node, conn).expect("alive").datagrams_received, heard + 1);
    // As long as the idle timeout allows, and no longer.
    pair.sim.conn(node, conn).expect("open").set_app_state(AppState::Sleep);
    pair.sim.run_for(idle + SECOND * 2);
    assert!(stats(&mut pair, node, conn).is_none());
}

/// Nothing in the background looks for larger datagrams.
#[test]
fn the_background_sends_no_probes_for_larger_datagrams() {
    for (state, probes) in [(AppState::Background, 0), (AppState::Foreground, 6)] {
        let (mut pair, conn, _) = connected(server_config(), Config::builder());
        pair.sim.conn(pair.client, conn).expect("open").set_app_state(state);
        let mut sender = jsp_conformance::sim::apps::BulkSender::new(pair.client, conn, 1, 1 << 20);
        let mut receiver = jsp_conformance::sim::apps::BulkReceiver::new(pair.server, 1, 1 << 20);
        assert!(pair.sim.run(MINUTE, &mut [&mut sender, &mut receiver]));
        let node = pair.client;
        assert_eq!(stats(&mut pair, node, conn).expect("alive").mtu_probes_sent, probes);
    }
}

#[test]
fn a_peer_that_asks_learns_its_address() {
    let (mut pair, conn, server) = connected(server_config().idle_timeout(SECOND * 900), Config::mobile());
    let (address, nodes) = (pair.sim.address(pair.client), [pair.client, pair.server]);
    assert_eq!(pair.sim.conn(nodes[0], conn).expect("open").observed_address(), Some(address));
    assert_eq!(pair.sim.conn(nodes[1], server).expect("open").observed_address(), None, "it did not ask");
    // No NAT forgets: the search ends at the longest silence.
    pair.sim.run_for(MINUTE * 10);
    let before = stats(&mut pair, nodes[0], conn).expect("alive").keep_alive_pings;
    assert!((7..=8).contains(&before), "25, 40, 60, 90, 115 s and so on: {before}");
    pair.sim.run_for(SECOND * 1150);
    assert_eq!(stats(&mut pair, nodes[0], conn).expect("alive").keep_alive_pings - before, 10);
}

/// The client of a raw server that sees another address of it after each silence of more than `forgets` seconds.
struct Cgnat {
    sim: Sim,
    client: NodeId,
    conn: ConnId,
    peer: Hostile,
    forgets: u64,
    seq: u64,
    host: u8,
}

impl Cgnat {
    fn new(forgets: u64) -> Self {
        let mut sim = Sim::new(1);
        let client = sim.add(Config::mobile().build().expect("valid"));
        let raw = sim.add_host(Host::raw());
        sim.link(client, raw, Link::with_delay(MS * 10));
        let conn = sim.connect(client, raw, &pinned()).expect("an attempt");
        let (mut peer, answer) = Hostile::accept(&mut sim, raw, &server_key());
        peer.send_raw(&mut sim, &answer);
        let granted = Params { max_idle_timeout_ms: 900_000, ..Params::default() };
        let granted = params(&granted, &Extras::default(), ParamsContext::ServerParams);
        peer.send(&mut sim, &[Frame::Params(&granted), Frame::HandshakeDone]);
        peer.run(&mut sim, SECOND);
        let mut nat = Self { sim, client, conn, peer, forgets, seq: 0, host: 1 };
        nat.answer(0);
        nat
    }

    fn answer(&mut self, silence: u64) {
        self.host += u8::from(silence > self.forgets);
        let newest = self.peer.packets.last().expect("some").0;
        let addr = SocketAddr::from(([192, 0, 2, self.host], 9));
        let ack = Frame::Ack(Ack { delay: 0, ranges: AckRanges::single(newest..=newest), ecn: None });
        self.peer.send(&mut self.sim, &[ack, Frame::ObservedAddr { seq: self.seq, addr }]);
        self.seq += 1;
    }

    /// Answers so many PINGs; gives the silences before them in seconds.
    fn silences(&mut self, pings: usize) -> Vec<u64> {
        let mut silences = Vec::new();
        let mut silence = 0;
        while silences.len() < pings {
            let packets = self.peer.packets.len();
            self.peer.run(&mut self.sim, SECOND);
            silence += 1;
            assert!(silence < 300, "{silences:?}");
            if self.peer.packets.len() > packets && silence > 5 {
                self.answer(silence - 1);
                silences.push(silence - 1);
                silence = 0;
            }
        }
        silences
    }
}

#[test]
fn the_search_finds_what_a_nat_bears_and_remembers_it() {
    let mut nat = Cgnat::new(60);
    nat.sim.conn(nat.client, nat.conn).expect("open").set_network(Network::Cellular);
    let silences = nat.silences(10);
    assert!(silences.starts_with(&[25, 40]), "{silences:?}");
    assert_eq!(silences.iter().filter(|&&silence| silence > 61).count(), 1, "{silences:?}");
    assert!(silences[4..].iter().all(|silence| (59..=61).contains(silence)), "{silences:?}");
    nat.sim.conn(nat.client, nat.conn).expect("open").set_network(Network::Wifi);
    assert_eq!(nat.silences(1), [25]);
    nat.sim.conn(nat.client, nat.conn).expect("open").set_network(Network::Cellular);
    let silences = nat.silences(6);
    assert!(silences.iter().all(|&silence| silence <= 61), "{silences:?}");
}

/// A peer that tells of a new address without end is listened to now and then.
#[test]
fn a_flood_of_addresses_is_ignored() {
    let mut scene = Scene::new();
    for seq in 0..500 {
        scene.send(&[Frame::ObservedAddr { seq, addr: SocketAddr::from(([192, 0, 2, seq as u8], 9)) }]);
    }
    let (server, victim, mut told) = (scene.server, scene.victim, 0);
    scene.sim.run_until(SECOND, |_, happening| {
        told += u32::from(happening.event_of(server, victim) == Some(Event::AddressObserved));
        false
    });
    let ignored = scene.sim.conn(server, victim).expect("open").stats().address_reports_over_bound;
    assert!(ignored >= 490 && (1..=10).contains(&told), "{ignored} ignored, {told} told");
    scene.assert_alive();
}

#[test]
fn a_silent_path_is_suspected_once_and_is_no_end() {
    let (mut pair, conn, _) =
        connected(server_config().idle_timeout(SECOND * 300), every(20).idle_timeout(SECOND * 300));
    let (node, server) = (pair.client, pair.server);
    let suspicions = |pair: &mut Pair, time: Duration| {
        let mut count = 0;
        pair.sim.run_until(time, |_, happening| {
            count += u32::from(happening.event_of(node, conn) == Some(Event::PathSuspect));
            false
        });
        count
    };
    assert_eq!(suspicions(&mut pair, MINUTE), 0);
    for _ in 0..2 {
        pair.sim.link(node, server, Link::with_delay(MS * 20).loss(1.0));
        assert_eq!(suspicions(&mut pair, MINUTE), 1);
        pair.sim.link(node, server, Link::with_delay(MS * 20));
        assert_eq!(suspicions(&mut pair, MINUTE), 0);
        assert!(stats(&mut pair, node, conn).is_some_and(|stats| stats.probe_timeouts_in_row == 0));
    }
    pair.sim.link(node, server, Link::with_delay(MS * 20).loss(1.0));
    pair.sim.run_for(SECOND * 330);
    let reason = pair.sim.conn(node, conn).and_then(|conn| conn.close_reason().cloned());
    assert!(matches!(reason, None | Some(ConnectionError::IdleTimeout { .. })), "{reason:?}");
    assert!(stats(&mut pair, node, conn).is_none());
}

/// Hundreds of connections that are kept alive at different times soon are at the same times.
#[test]
fn connections_of_an_endpoint_wake_it_together() {
    const CONNECTIONS: u32 = 200;
    let idle = SECOND * 300;
    let link = Link::with_delay(MS * 20);
    let mut pair = Pair::with(1, link, server_config().idle_timeout(idle), every(20).idle_timeout(idle));
    for _ in 0..CONNECTIONS {
        let _ = pair.connect(&pinned());
        pair.sim.run_for(MS * 97);
    }
    let times = Rc::new(RefCell::new(BTreeSet::new()));
    let (seen, from) = (times.clone(), pair.client);
    pair.sim.run_for(SECOND * 20);
    pair.sim.tap(move |passing, _| {
        if passing.from == from {
            seen.borrow_mut().insert(passing.now);
        }
        Tapped::Pass
    });
    pair.sim.run_for(SECOND * 200);
    assert_eq!(pair.sim.endpoint(pair.client).connections(), CONNECTIONS as usize);
    // Ten rounds of 200 PINGs.
    let wakes = times.borrow().len();
    assert!(wakes <= 10 * 8, "{wakes} wake-ups");
    // The next one may be late by a fifth.
    let now = pair.sim.now();
    match pair.sim.endpoint(pair.client).poll(now, &mut [0; 1500]) {
        Output::Idle { slack, why, .. } => assert_eq!((slack, format!("{why:?}")), (SECOND * 4, "Keepalive".into())),
        other => panic!("{other:?}"),
    }
}

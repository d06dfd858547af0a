//! Networks that are away, far or asleep for a while: connections live on, and what was sent arrives.

use std::time::Duration;

use jsp_conformance::sim::apps::{BulkReceiver, BulkSender};
use jsp_conformance::sim::{App, Happening, Link, NodeId, Sim, seeds};
use jsp_proto::{Config, ConfigBuilder, Congestion, KeepAlive};

mod support;
use support::{MS, Pair, SECOND, pinned, server_config};

const MIB: u64 = 1 << 20;

/// The network between two hosts is away for a part of each period.
struct Holes {
    hosts: (NodeId, NodeId),
    link: Link,
    /// How long it is there, and how long it is away.
    phases: [Duration; 2],
    away: bool,
    until: Option<u64>,
}

impl Holes {
    fn new(hosts: (NodeId, NodeId), link: Link, there: Duration, away: Duration) -> Self {
        Self { hosts, link, phases: [there, away], away: false, until: None }
    }

    /// Only for this many changes.
    fn changes(mut self, changes: u64) -> Self {
        self.until = Some(changes);
        self
    }

    fn plan(&mut self, sim: &mut Sim) {
        if self.until != Some(0) {
            let next = sim.now() + self.phases[usize::from(self.away)];
            sim.timer(next);
        }
    }
}

impl App for Holes {
    fn start(&mut self, sim: &mut Sim) {
        self.plan(sim);
    }

    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        if let Happening::Timer(_) = happening {
            self.away = !self.away;
            self.until = self.until.map(|left| left - 1);
            let link = if self.away { self.link.clone().loss(1.0) } else { self.link.clone() };
            sim.link(self.hosts.0, self.hosts.1, link);
            self.plan(sim);
        }
    }

    fn done(&self) -> bool {
        true
    }
}

fn both(change: impl Fn(ConfigBuilder) -> ConfigBuilder) -> (ConfigBuilder, ConfigBuilder) {
    (change(server_config()), change(Config::builder()))
}

/// Two seconds without any packet, every five seconds.
#[test]
fn a_black_hole_of_two_seconds_every_five() {
    seeds("black_holes", 0..4, |seed| {
        for congestion in [Congestion::Bbr, Congestion::Cubic] {
            let link = Link::with_delay(MS * 25).rate(10_000_000).queue(60_000);
            let (server, client) = both(|config| config.congestion(congestion));
            let mut pair = Pair::with(seed, link.clone(), server, client);
            let (up, _) = pair.establish(&pinned());
            let mut sender = BulkSender::new(pair.client, up, seed, 10 * MIB);
            let mut receiver = BulkReceiver::new(pair.server, seed, 10 * MIB);
            let mut holes = Holes::new((pair.client, pair.server), link, SECOND * 3, SECOND * 2);
            let began = pair.sim.now();
            let done = pair.sim.run(SECOND * 120, &mut [&mut sender, &mut receiver, &mut holes]);
            let took = pair.sim.now().saturating_since(began);
            assert!(done, "seed {seed}, {congestion:?}: {} bytes", receiver.received());
            // 8.4 s on a path that is there, 14 s on one that is there three fifths of the time.
            assert!(took < SECOND * 40, "seed {seed}, {congestion:?}: {took:?}");
        }
    });
}

/// A device sleeps for five minutes in the middle of a transfer and wakes up behind another address.
#[test]
fn five_minutes_asleep() {
    seeds("asleep", 0..4, |seed| {
        for upload in [true, false] {
            let link = Link::with_delay(MS * 25).rate(10_000_000).queue(60_000);
            let (server, client) = both(|config| config.idle_timeout(SECOND * 900));
            let mut pair = Pair::with(seed, link.clone(), server, client);
            let (up, down) = pair.establish(&pinned());
            let (from, conn, to) =
                if upload { (pair.client, up, pair.server) } else { (pair.server, down, pair.client) };
            let mut sender = BulkSender::new(from, conn, seed, 5 * MIB);
            let mut receiver = BulkReceiver::new(to, seed, 5 * MIB);
            let mut holes = Holes::new((pair.client, pair.server), link, SECOND, SECOND * 300).changes(2);
            let mut apps: [&mut dyn App; 3] = [&mut sender, &mut receiver, &mut holes];
            assert!(!pair.sim.run(SECOND * 200, &mut apps));
            pair.sim.rebind(pair.client, "203.0.113.77:7777".parse().expect("an address"));
            let done = pair.sim.resume(SECOND * 100 + SECOND * 15, &mut apps);
            assert!(done, "seed {seed}, upload {upload}: {} bytes", receiver.received());
        }
    });
}

/// As over a geostationary satellite.
#[test]
fn a_round_trip_of_750_ms() {
    seeds("satellite", 0..4, |seed| {
        let link = Link::with_delay(MS * 375).rate(20_000_000).queue(1_000_000).loss(0.005);
        let mut pair = Pair::new(seed, link);
        let (up, _) = pair.establish(&pinned());
        let mut sender = BulkSender::new(pair.client, up, seed, 10 * MIB);
        let mut receiver = BulkReceiver::new(pair.server, seed, 10 * MIB);
        let began = pair.sim.now();
        let done = pair.sim.run(SECOND * 120, &mut [&mut sender, &mut receiver]);
        let took = pair.sim.now().saturating_since(began);
        assert!(done && took < SECOND * 25, "seed {seed}: {took:?}, {} bytes", receiver.received());
    });
}

/// A provider's NAT gives the client another port every minute, for an hour in which nobody has anything to say but
/// keepalive. The server always knows where the client is, and can speak first.
#[test]
fn a_nat_of_a_provider_remaps_every_minute_for_an_hour() {
    for keep_alive in [KeepAlive::Every(SECOND * 20), KeepAlive::Adaptive] {
        let (server, client) = both(|config| config.idle_timeout(SECOND * 300).keep_alive(keep_alive));
        let mut pair = Pair::with(1, Link::with_delay(MS * 40), server, client);
        let (up, down) = pair.establish(&pinned());
        for minute in 0..60u16 {
            pair.sim.run_for(SECOND * 60);
            let hosts = [203, 198];
            let address = ([hosts[usize::from(minute % 7 == 0)], 0, 113, 5], 2000 + minute);
            pair.sim.rebind(pair.client, address.into());
        }
        // As long as the longest silence that keepalive allows.
        pair.sim.run_for(SECOND * 125);
        let stats = pair.sim.conn(pair.server, down).expect("alive").stats();
        assert!((50..=61).contains(&stats.path_changes), "{keep_alive:?}: {} changes followed", stats.path_changes);
        let mut sender = BulkSender::new(pair.server, down, 1, 100_000);
        let mut receiver = BulkReceiver::new(pair.client, 1, 100_000);
        let done = pair.sim.run(SECOND * 5, &mut [&mut sender, &mut receiver]);
        assert!(done, "{keep_alive:?}: {} bytes", receiver.received());
        assert!(!pair.sim.conn(pair.client, up).expect("alive").is_closed());
    }
}

//! A server with the default policy under 50,000 forged first flights a second: it keeps no more than its bounds say, is
//! no amplifier, and lets the honest in (specification sections 2.9, 7 and 8.4).

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use jsp_conformance::peer::Hello;
use jsp_conformance::sim::apps::{BulkReceiver, BulkSender};
use jsp_conformance::sim::{App, Happening, Link, NodeId, Rng, Sim};
use jsp_proto::config::bounds::Bounds;
use jsp_proto::{Config, ConnId, Event, KeyFetch};
use support::{MS, SECOND, assert_usable, other_key, pinned, server_config, server_key};

const FLIGHTS_PER_MS: usize = 50;
const FLOOD: Duration = Duration::from_secs(2);
const HONEST: usize = 8;

/// What the attacker sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// Bytes under a good header.
    Random,
    /// Flights that are sealed under another key id.
    Strange,
    /// What a client would send.
    Sealed,
}

/// From where it says that it comes.
#[derive(Clone, Copy, Debug)]
enum Source {
    Anywhere,
    OneNetwork,
}

/// Flights to choose from. The server knows them apart by the addresses they come from.
fn flights(content: Content) -> Vec<Vec<Vec<u8>>> {
    let key = if content == Content::Strange { other_key() } else { server_key().public().clone() };
    let mut rng = Rng::new(3);
    let mut flights: Vec<_> = (0..64).map(|number| Hello::new(&key, number).datagrams).collect();
    if content == Content::Random {
        // Behind the header: 1, version, two ids of 8 with their lengths, no token.
        let payloads = flights.iter_mut().flatten().flat_map(|datagram| datagram.iter_mut().skip(24));
        payloads.for_each(|byte| *byte = rng.below(256) as u8);
    }
    flights
}

fn source(from: Source, rng: &mut Rng) -> SocketAddr {
    let [a, b, c, d, e, f] = rng.array();
    let port = u16::from_be_bytes([e, f]).max(1);
    match from {
        // Not where the hosts of the simulation are.
        Source::Anywhere => SocketAddr::from(([a | 128, b, c, d], port)),
        Source::OneNetwork => SocketAddr::from(([192, 0, 2, d], port)),
    }
}

/// Clients that connect while the flood goes on.
struct Honest {
    clients: Vec<(NodeId, Option<ConnId>)>,
    connected: usize,
    at_once: usize,
}

impl App for Honest {
    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        for (node, conn) in &self.clients {
            let Some(conn) = conn else { continue };
            match happening.event_of(*node, *conn) {
                Some(Event::Connected) => {
                    self.connected += 1;
                    self.at_once += usize::from(sim.now() < jsp_proto::Instant::ZERO + SECOND + FLOOD);
                }
                Some(Event::Closed) => panic!("an honest client was left out"),
                _ => {}
            }
        }
    }
}

fn flood(content: Content, from: Source, key_fetch: KeyFetch) {
    let mut sim = Sim::new(1);
    let server = sim.add(server_config().key_fetch(key_fetch).build().expect("valid"));
    let mut add = || {
        let node = sim.add(Config::default());
        sim.link(node, server, Link::with_delay(MS * 10));
        node
    };
    let old = add();
    let honest: Vec<_> = (0..HONEST).map(|_| (add(), None)).collect();
    let (established, _) = sim.establish(old, server, &pinned(), SECOND).expect("attempt").expect("up");
    sim.run_until(SECOND, |sim, _| sim.now() >= jsp_proto::Instant::ZERO + SECOND);
    let before = *sim.endpoint(server).stats();
    let flights = flights(content);
    let mut sender = BulkSender::new(old, established, 1, 1_000_000);
    let mut receiver = BulkReceiver::new(server, 1, 1_000_000);
    let mut honest = Honest { clients: honest, connected: 0, at_once: 0 };
    let mut rng = Rng::new(7);
    sender.start(&mut sim);
    let bounds = Bounds::default();
    let (mut elapsed, mut heard) = (Duration::ZERO, 0u64);
    while elapsed < FLOOD {
        for number in 0..FLIGHTS_PER_MS {
            let (source, flight) = (source(from, &mut rng), &flights[rng.below(64) as usize]);
            for datagram in flight {
                heard += datagram.len() as u64;
                sim.inject(source, server, MS * number as u32 / FLIGHTS_PER_MS as u32, datagram.clone());
            }
        }
        let step = elapsed.as_millis() as usize / 100;
        if elapsed.as_millis() % 100 == 50 && step < HONEST {
            let node = honest.clients[step].0;
            honest.clients[step].1 = Some(sim.connect(node, server, &pinned()).expect("an attempt"));
        }
        sim.resume(MS, &mut [&mut sender, &mut receiver, &mut honest, &mut Forever]);
        elapsed += MS;
        let endpoint = sim.endpoint(server);
        // Strangers under way, those among them that hold a token, and connections that are confirmed.
        assert!(endpoint.pending_clients() <= bounds.tokenless_handshakes + HONEST, "{}", endpoint.pending_clients());
        assert!(endpoint.connections() <= bounds.tokenless_handshakes + HONEST + 1, "{}", endpoint.connections());
    }
    let (context, now) = (format!("{content:?} {from:?}"), sim.now());
    let stats = *sim.endpoint(server).stats();
    let started = stats.handshakes_started - before.handshakes_started;
    let seconds = FLOOD.as_secs();
    let allowed = u64::from(bounds.kem_burst) + u64::from(bounds.kem_jobs_per_second) * seconds;
    assert!(started <= allowed, "{context}: {started} key exchanges");
    let openings = stats.seal_openings - before.seal_openings;
    let allowed = 2 * (u64::from(bounds.seal_opening_burst) + u64::from(bounds.seal_openings_per_second) * seconds);
    assert!(openings <= allowed, "{context}: {openings} seals opened");
    // What went to the forged addresses, all of which are nobody's.
    let to_hosts: u64 = honest
        .clients
        .iter()
        .map(|(node, _)| *node)
        .chain([old])
        .map(|node| sim.link_stats(server, node).sent_bytes)
        .sum();
    let to_strangers = stats.bytes_sent - to_hosts;
    assert!(to_strangers <= 3 * heard, "{context}: {to_strangers} bytes out, {heard} in");
    assert!(content != Content::Sealed || stats.retries_sent > 10_000, "{context}: {}", stats.retries_sent);
    // The established connection got its share of the time, and all who asked honestly get in.
    assert!(honest.at_once >= HONEST / 2, "{context}: only {} connected in the flood", honest.at_once);
    assert!(sim.resume(SECOND * 10, &mut [&mut sender, &mut receiver, &mut honest]), "{context}");
    sim.run_until(SECOND * 10, |sim, happening| {
        honest.on(sim, happening);
        honest.connected == HONEST
    });
    assert_eq!(honest.connected, HONEST, "{context}, {now:?}");
    let late = honest.clients.pop().expect("eight");
    assert_usable(&mut sim, late.0, server, late.1.expect("connected"));
    assert_usable(&mut sim, old, server, established);
}

/// Keeps the others running to the end of their time.
struct Forever;

impl App for Forever {
    fn on(&mut self, _: &mut Sim, _: &Happening) {}
    fn done(&self) -> bool {
        false
    }
}

#[test]
fn random_bytes_from_anywhere() {
    flood(Content::Random, Source::Anywhere, KeyFetch::KnownFingerprint);
}

#[test]
fn random_bytes_from_one_network_to_an_open_server() {
    flood(Content::Random, Source::OneNetwork, KeyFetch::Open);
}

#[test]
fn flights_for_another_key_from_anywhere_to_an_open_server() {
    flood(Content::Strange, Source::Anywhere, KeyFetch::Open);
}

#[test]
fn flights_for_another_key_from_one_network() {
    flood(Content::Strange, Source::OneNetwork, KeyFetch::KnownFingerprint);
}

#[test]
fn sealed_flights_from_anywhere() {
    flood(Content::Sealed, Source::Anywhere, KeyFetch::KnownFingerprint);
}

#[test]
fn sealed_flights_from_one_network() {
    flood(Content::Sealed, Source::OneNetwork, KeyFetch::KnownFingerprint);
}

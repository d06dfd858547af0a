//! A thousand clients whose server was away do not come back at one moment.

mod support;

use std::collections::HashMap;
use std::time::Duration;

use jsp_conformance::sim::{Happening, Link, NodeId, Sim, TimerId};
use jsp_proto::{AppCode, Breaker, BreakerConfig, Config, ConnId, ConnectionError, Event, Failure, Instant, Permit};
use support::{MS, SECOND, pinned, server_config};

const CLIENTS: usize = 1000;
const AWAY: Duration = Duration::from_secs(10);

struct Client {
    breaker: Breaker,
    permit: Option<Permit>,
    connected: bool,
}

struct Crowd {
    sim: Sim,
    node: NodeId,
    server: NodeId,
    clients: Vec<Client>,
    /// Whose attempt or connection it is.
    of: HashMap<ConnId, usize>,
    timers: HashMap<TimerId, usize>,
    /// The server's connections.
    served: Vec<ConnId>,
    /// When attempts began and connections were there.
    attempts: Vec<Instant>,
    connected: Vec<Instant>,
}

impl Crowd {
    fn new(breaker: BreakerConfig) -> Self {
        let mut sim = Sim::new(1);
        let server = sim.add(server_config().build().expect("valid"));
        let config = Config::builder().handshake_timeout(SECOND).build().expect("valid");
        let node = sim.add(config);
        sim.link(node, server, Link::with_delay(MS * 10));
        let breaker = Breaker::new(breaker).expect("valid");
        let client = || Client { breaker: breaker.clone(), permit: None, connected: false };
        let clients = (0..CLIENTS).map(|_| client()).collect();
        let (of, timers) = (HashMap::new(), HashMap::new());
        Self { sim, node, server, clients, of, timers, served: Vec::new(), attempts: Vec::new(), connected: Vec::new() }
    }

    fn attempt(&mut self, who: usize) {
        let now = self.sim.now();
        let client = &mut self.clients[who];
        match client.breaker.allows(now) {
            Ok(permit) => {
                client.permit = Some(permit);
                let conn = self.sim.connect(self.node, self.server, &pinned()).expect("an attempt");
                self.of.insert(conn, who);
                self.attempts.push(now);
            }
            Err(retry) => {
                let timer = self.sim.timer(retry.at);
                self.timers.insert(timer, who);
            }
        }
    }

    fn over(&mut self, conn: ConnId) {
        let who = self.of.remove(&conn).expect("known");
        let (now, random) = (self.sim.now(), self.sim.rng().u64());
        let reason = self.sim.conn(self.node, conn).and_then(|conn| conn.close_reason().cloned()).expect("over");
        let client = &mut self.clients[who];
        match client.permit.take() {
            Some(permit) => {
                let failure = Failure::of(&reason).expect("not wanted");
                client.breaker.failed(now, permit, failure, random);
            }
            None => {
                assert!(matches!(reason, ConnectionError::PeerClosed { .. }), "{reason}");
                client.connected = false;
                client.breaker.ended(now, &reason, random);
            }
        }
        self.attempt(who);
    }

    fn run(&mut self, time: Duration) {
        let end = self.sim.now() + time;
        while let Some(happening) = self.sim.next(end) {
            if let Happening::Timer(id) = happening {
                if let Some(who) = self.timers.remove(&id) {
                    self.attempt(who);
                }
                continue;
            }
            if let Some((conn, Event::Connected)) = happening.event_at(self.server) {
                self.served.push(conn);
            }
            match happening.event_at(self.node) {
                Some((conn, Event::Connected)) => {
                    let (who, now) = (self.of[&conn], self.sim.now());
                    let client = &mut self.clients[who];
                    client.breaker.succeeded(now, client.permit.take().expect("an attempt"));
                    client.connected = true;
                    self.connected.push(now);
                }
                Some((conn, Event::Closed)) => self.over(conn),
                _ => {}
            }
        }
    }

    /// How many of `times` fall into each tenth of a second from `start` on.
    fn per_tenth(times: &[Instant], start: Instant) -> Vec<usize> {
        let mut counts = Vec::new();
        for &at in times.iter().filter(|&&at| at >= start) {
            let tenth = ((at - start).as_millis() / 100) as usize;
            counts.resize(counts.len().max(tenth + 1), 0);
            counts[tenth] += 1;
        }
        counts
    }
}

/// The most that begins within a tenth of a second of the return, and how long until all are back.
fn return_of(breaker: BreakerConfig) -> (usize, usize, Duration) {
    let mut crowd = Crowd::new(breaker);
    (0..CLIENTS).for_each(|who| crowd.attempt(who));
    crowd.run(SECOND * 6);
    assert!(crowd.clients.iter().all(|client| client.connected));
    let (node, server) = (crowd.node, crowd.server);
    // The last that it says is that it ends; then it hears nothing.
    crowd.sim.link_one_way(node, server, Link::new().loss(1.0));
    for conn in std::mem::take(&mut crowd.served) {
        crowd.sim.conn(server, conn).expect("open").abort(AppCode::ZERO, b"going away");
    }
    crowd.run(AWAY);
    assert!(!crowd.clients.iter().any(|client| client.connected));
    crowd.sim.link(node, server, Link::with_delay(MS * 10));
    let back = crowd.sim.now();
    while crowd.clients.iter().any(|client| !client.connected) && crowd.sim.now() < back + SECOND * 60 {
        crowd.run(MS * 50);
    }
    let all = crowd.clients.iter().all(|client| client.connected).then(|| crowd.sim.now() - back);
    let attempts = Crowd::per_tenth(&crowd.attempts, back);
    let connected = Crowd::per_tenth(&crowd.connected, back);
    println!("attempts per 100 ms after the return: {attempts:?}");
    println!("connected per 100 ms after the return: {connected:?}");
    let most = |counts: &[usize]| counts.iter().copied().max().unwrap_or(0);
    (most(&attempts), most(&connected), all.expect("all come back"))
}

#[test]
fn clients_come_back_one_after_the_other() {
    let (attempts, connected, all) = return_of(BreakerConfig::new());
    println!("at most {attempts} attempts and {connected} connections per 100 ms, all after {all:?}");
    assert!(attempts <= 60, "{attempts}");
    assert!(connected <= 100, "{connected}");
    assert!(all < SECOND * 20, "{all:?}");
}

/// What it is like otherwise: everybody is in the middle of an attempt, and the next ones begin together.
#[test]
fn without_back_off_they_all_come_at_once() {
    let (attempts, connected, all) = return_of(BreakerConfig::new().backoff(MS, MS));
    println!("{attempts} attempts and {connected} connections per 100 ms, all after {all:?}");
    assert!(attempts > 900, "{attempts}");
}

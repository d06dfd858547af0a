//! The simulation itself: hosts, virtual time and the loop.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use jsp_proto::{
    ClientConfig, Config, Conn, ConnId, ConnectError, Ecn, Endpoint, Entropy, Event, Instant, Output, Path, RecvMeta,
};

use super::bottleneck::{Bottleneck, BottleneckId, BottleneckStats};
use super::happening::{App, Happening, NodeId, TimerId};
use super::host::{Host, Node};
use super::link::{Link, LinkStats};
use super::net::{Due, Net, Passing, Tapped};
use super::rng::Rng;
use super::trace::TraceHash;

/// Endpoints on a simulated network in virtual time. See the [module](super) for how to use it.
pub struct Sim {
    seed: u64,
    now: Instant,
    rng: Rng,
    net: Net,
    nodes: Vec<Node>,
    timers: u64,
    guard: Guard,
}

impl Sim {
    /// An empty network at time zero. All that is random in it follows from the seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            now: Instant::ZERO,
            rng: Rng::new(seed),
            net: Net::new(seed),
            nodes: Vec::new(),
            timers: 0,
            guard: Guard::default(),
        }
    }

    /// Adds a host that runs an endpoint with this configuration.
    pub fn add(&mut self, config: Config) -> NodeId {
        self.add_host(Host::new(config))
    }

    /// Adds a host.
    ///
    /// # Panics
    ///
    /// If another host has its address.
    pub fn add_host(&mut self, host: Host) -> NodeId {
        let id = NodeId::new(self.nodes.len());
        let node = host.build(id, &mut self.rng);
        self.net.claim(node.address, id);
        self.nodes.push(node);
        id
    }

    /// Uses `link` in both directions between two hosts, from now on.
    pub fn link(&mut self, a: NodeId, b: NodeId, link: Link) {
        self.link_one_way(a, b, link.clone());
        self.link_one_way(b, a, link);
    }

    /// Uses `link` in one direction, from now on. What is under way stays under way, and what waits in the link's own
    /// queue leaves at the rate it was queued at; [`change_bottleneck`](Self::change_bottleneck) is different there.
    pub fn link_one_way(&mut self, from: NodeId, to: NodeId, link: Link) {
        self.net.link(from, to).change(link);
    }

    /// The link of every pair of hosts that have not exchanged a datagram and have no link of their own yet.
    pub fn default_link(&mut self, link: Link) {
        self.net.set_default_link(link);
    }

    /// The counters of one direction.
    pub fn link_stats(&mut self, from: NodeId, to: NodeId) -> LinkStats {
        self.net.link(from, to).stats
    }

    /// Adds a bottleneck for links that lead [through it](Link::via).
    pub fn bottleneck(&mut self, bottleneck: Bottleneck) -> BottleneckId {
        self.net.add_bottleneck(bottleneck)
    }

    /// Gives a bottleneck another rate, limit and management, from now on. What waits stays waiting, and what is being
    /// sent goes on at the new rate.
    pub fn change_bottleneck(&mut self, id: BottleneckId, bottleneck: Bottleneck) {
        self.net.change_bottleneck(self.now, id, bottleneck);
    }

    /// The counters of a bottleneck.
    pub fn bottleneck_stats(&mut self, id: BottleneckId) -> BottleneckStats {
        self.net.bottleneck(id).stats.clone()
    }

    /// Lets the counters of a bottleneck begin anew.
    pub fn reset_bottleneck_stats(&mut self, id: BottleneckId) {
        self.net.bottleneck(id).reset_stats();
    }

    /// Shows every datagram to `tap` before it enters its link. The tap may change, drop and replace it.
    pub fn tap(&mut self, tap: impl FnMut(&Passing, &mut Vec<u8>) -> Tapped + 'static) {
        self.net.tap = Some(Box::new(tap));
    }

    /// Takes the tap away.
    pub fn untap(&mut self) {
        self.net.tap = None;
    }

    /// The seed of this run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The time in the simulation.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Random numbers for the test itself, from the seed.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// The hash over everything that happened so far.
    pub fn trace(&self) -> TraceHash {
        self.net.trace.hash()
    }

    /// Datagrams sent to an address that no host has.
    pub fn unroutable(&self) -> u64 {
        self.net.unroutable
    }

    /// The address under which the others see a host.
    pub fn address(&self, node: NodeId) -> SocketAddr {
        self.nodes[node.index()].public
    }

    /// Moves a host behind a new public address, as a NAT does that lost its state: the host does not notice, what it
    /// sends comes from the new address, and what is sent to the old one gets lost.
    pub fn rebind(&mut self, node: NodeId, public: SocketAddr) {
        self.net.release(self.nodes[node.index()].public);
        self.net.claim(public, node);
        self.nodes[node.index()].public = public;
        self.net.trace.note(self.now, format_args!("{node} is {public} now"), &[]);
    }

    /// Gives a host another address of its own, as when it enters another network. Its endpoint has to be told, with
    /// [`Endpoint::rebind`] or `Conn::migrate`.
    pub fn readdress(&mut self, node: NodeId, address: SocketAddr) {
        self.rebind(node, address);
        self.nodes[node.index()].address = address;
    }

    /// Restarts a host's program: a new endpoint with this configuration takes the place of the old one, and what that
    /// knew is lost. The address stays, and what is under way arrives.
    pub fn restart(&mut self, node: NodeId, config: impl Into<Arc<Config>>) {
        let entropy = Entropy::new(self.rng.array());
        self.nodes[node.index()].restart(config.into(), entropy);
        self.net.trace.note(self.now, format_args!("{node} restarts"), &[]);
    }

    /// The endpoint of a host.
    ///
    /// # Panics
    ///
    /// If the host is [raw](Host::raw).
    pub fn endpoint(&mut self, node: NodeId) -> &mut Endpoint {
        let node = &mut self.nodes[node.index()];
        node.dirty = true;
        node.endpoint.as_mut().expect("a raw host has no endpoint")
    }

    /// A connection of a host; `None` if it is gone.
    pub fn conn(&mut self, node: NodeId, id: ConnId) -> Option<Conn<'_>> {
        let now = self.now;
        self.endpoint(node).conn(now, id)
    }

    /// Starts to connect one host to another.
    ///
    /// # Errors
    ///
    /// What [`Endpoint::connect`] says.
    pub fn connect(&mut self, from: NodeId, to: NodeId, config: &ClientConfig) -> Result<ConnId, ConnectError> {
        let path = Path { local: Some(self.nodes[from.index()].address), remote: self.address(to) };
        let now = self.now;
        self.endpoint(from).connect(now, path, config)
    }

    /// Connects and runs until both sides report it, at most for `limit`. Returns both handles. What else happens
    /// meanwhile is not shown to anybody.
    ///
    /// # Errors
    ///
    /// What [`Endpoint::connect`] says; `Ok(None)` if there is no connection after `limit`.
    pub fn establish(
        &mut self,
        from: NodeId,
        to: NodeId,
        config: &ClientConfig,
        limit: Duration,
    ) -> Result<Option<(ConnId, ConnId)>, ConnectError> {
        let client = self.connect(from, to, config)?;
        let (mut up, mut server) = (false, None);
        self.run_until(limit, |_, happening| {
            up |= happening.event_of(from, client) == Some(Event::Connected);
            if let Some((conn, Event::Connected)) = happening.event_at(to) {
                server = Some(conn);
            }
            up && server.is_some()
        });
        Ok(server.filter(|_| up).map(|server| (client, server)))
    }

    /// Sends a datagram from a host without asking its endpoint.
    pub fn send_raw(&mut self, from: NodeId, to: SocketAddr, bytes: Vec<u8>) {
        let source = self.nodes[from.index()].public;
        self.net.send(self.now, from, source, to, Ecn::NotEct, bytes);
    }

    /// Lets a datagram arrive at a host after `delay`, with any source address and past all links.
    pub fn inject(&mut self, source: SocketAddr, to: NodeId, delay: Duration, bytes: Vec<u8>) {
        self.net.schedule(self.now + delay, Due::Datagram { to, source, ecn: Ecn::NotEct, bytes });
    }

    /// [`Happening::Timer`] with the returned id comes at this time, or at once if it is past.
    pub fn timer(&mut self, at: Instant) -> TimerId {
        self.timers += 1;
        let id = TimerId::new(self.timers);
        self.net.schedule(at.max(self.now), Due::Timer(id));
        id
    }

    /// Runs until all apps are done, at most for `limit` of virtual time. Says whether they are done.
    pub fn run(&mut self, limit: Duration, apps: &mut [&mut dyn App]) -> bool {
        apps.iter_mut().for_each(|app| app.start(self));
        self.resume(limit, apps)
    }

    /// [`run`](Self::run) for apps that were started before.
    pub fn resume(&mut self, limit: Duration, apps: &mut [&mut dyn App]) -> bool {
        let end = self.now + limit;
        while !apps.iter().all(|app| app.done()) {
            let Some(happening) = self.next(end) else { break };
            apps.iter_mut().for_each(|app| app.on(self, &happening));
        }
        apps.iter().all(|app| app.done())
    }

    /// Runs until `stop` says so, at most for `limit`. Returns what `stop` stopped at.
    pub fn run_until(
        &mut self,
        limit: Duration,
        mut stop: impl FnMut(&mut Self, &Happening) -> bool,
    ) -> Option<Happening> {
        let end = self.now + limit;
        while let Some(happening) = self.next(end) {
            if stop(self, &happening) {
                return Some(happening);
            }
        }
        None
    }

    /// Runs for this long without looking at what happens.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_, _| false);
    }

    /// The next thing that happens, at most until `end`; time stands at `end` if there is none.
    ///
    /// # Panics
    ///
    /// If an endpoint breaks its contract: it wants to be woken now or earlier, or it works on for ever without time
    /// going on. The message contains the seed.
    pub fn next(&mut self, end: Instant) -> Option<Happening> {
        loop {
            if let Some(index) = self.nodes.iter().position(|node| node.dirty) {
                if let Some(happening) = self.poll(NodeId::new(index)) {
                    return Some(happening);
                }
            } else if let Some(due) = self.net.take_due(self.now) {
                if let Some(happening) = self.act(due) {
                    return Some(happening);
                }
            } else if !self.advance(end) {
                return None;
            }
        }
    }

    /// Moves time to whatever comes first. False: nothing comes before `end`.
    fn advance(&mut self, end: Instant) -> bool {
        let wake = self.nodes.iter().filter_map(|node| node.wake_at).min();
        let next = wake.into_iter().chain(self.net.next_time()).min().filter(|next| *next <= end);
        let Some(next) = next else {
            self.now = self.now.max(end);
            return false;
        };
        self.guard.time_moves();
        self.now = next;
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if node.wake_at.is_some_and(|at| at <= next) {
                node.wake_at = None;
                node.dirty = true;
                if self.guard.woke() {
                    panic!("seed {}: n{index} wakes up again and again and does nothing, at {next:?}", self.seed);
                }
            }
        }
        true
    }

    fn act(&mut self, due: Due) -> Option<Happening> {
        self.work(None);
        match due {
            Due::Timer(id) => Some(Happening::Timer(id)),
            Due::Bottleneck(id) => {
                self.net.leave_bottleneck(self.now, id);
                None
            }
            Due::Job(node, generation, done) => {
                let now = self.now;
                if self.nodes[node.index()].generation == generation {
                    self.endpoint(node).job_done(now, done);
                }
                None
            }
            Due::Datagram { to, source, ecn, mut bytes } => {
                let node = &mut self.nodes[to.index()];
                let Some(endpoint) = &mut node.endpoint else {
                    return Some(Happening::Datagram { node: to, from: source, ecn, bytes });
                };
                let served_at = node.tick.after(self.now);
                if served_at > self.now {
                    self.net.schedule(served_at, Due::Datagram { to, source, ecn, bytes });
                    return None;
                }
                let stride = u16::try_from(bytes.len()).ok().and_then(NonZeroU16::new).filter(|_| node.coalesce);
                if stride.is_some() {
                    self.net.coalesce(self.now, (to, source, ecn), &mut bytes);
                }
                let path = Path { local: Some(node.address), remote: source };
                let received = endpoint.handle_datagram(self.now, RecvMeta { path, ecn, stride }, &mut bytes);
                node.dirty = true;
                let len = bytes.len();
                self.net.trace.note(self.now, format_args!("{to} got {len} B from {source}: {received:?}"), &[]);
                None
            }
        }
    }

    /// One step of one endpoint.
    fn poll(&mut self, id: NodeId) -> Option<Happening> {
        let node = &mut self.nodes[id.index()];
        let Some(endpoint) = &mut node.endpoint else {
            node.dirty = false;
            return None;
        };
        match endpoint.poll(self.now, &mut node.buffer) {
            Output::Event(conn, event) => {
                self.net.trace.note(self.now, format_args!("{id} {conn:?} {event:?}"), &[]);
                self.work(Some(id));
                return Some(Happening::Event { node: id, conn, event });
            }
            Output::Incoming(incoming) => {
                self.net.trace.note(self.now, format_args!("{id} {incoming:?}"), &[]);
                self.work(Some(id));
                return Some(Happening::Incoming { node: id, id: incoming });
            }
            Output::Transmit(transmit) => {
                assert!(transmit.segment > 0, "seed {}: {id} sends empty segments", self.seed);
                for datagram in transmit.payload.chunks(transmit.segment) {
                    let to = transmit.path.remote;
                    self.net.send(self.now, id, node.public, to, transmit.ecn, datagram.to_vec());
                }
                self.work(Some(id));
            }
            Output::NeedBuffer { len } => {
                assert!(len > node.buffer.len(), "seed {}: {id} asks for a buffer that it has", self.seed);
                node.buffer.resize(len, 0);
            }
            Output::Idle { wake_at, .. } => {
                assert!(
                    wake_at.is_none_or(|at| at > self.now),
                    "seed {}: at {:?} {id} wants to be woken at {wake_at:?}",
                    self.seed,
                    self.now
                );
                node.wake_at = wake_at.map(|at| node.tick.after(at));
                node.dirty = false;
                while let Some(job) = endpoint.take_job() {
                    self.net.schedule(self.now + node.job_time, Due::Job(id, node.generation, job.run()));
                }
            }
        }
        None
    }

    /// Counts something that moves the world on, and stops a world that moves without time.
    fn work(&mut self, by: Option<NodeId>) {
        if self.guard.worked() {
            let by = by.map_or_else(|| "the network".into(), |id| id.to_string());
            panic!("seed {}: livelock at {:?}: too much happens at one time, last by {by}", self.seed, self.now);
        }
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sim {{ seed: {}, now: {:?}, hosts: {} }}", self.seed, self.now, self.nodes.len())
    }
}

/// Notices a simulation that runs without getting anywhere.
#[derive(Default)]
struct Guard {
    at_this_time: u32,
    idle_wakes: u32,
}

impl Guard {
    const PER_INSTANT: u32 = 1_000_000;
    const IDLE_WAKES: u32 = 10_000;

    fn time_moves(&mut self) {
        self.at_this_time = 0;
    }

    fn worked(&mut self) -> bool {
        self.idle_wakes = 0;
        self.at_this_time += 1;
        self.at_this_time > Self::PER_INSTANT
    }

    fn woke(&mut self) -> bool {
        self.idle_wakes += 1;
        self.idle_wakes > Self::IDLE_WAKES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_notices_both_kinds_of_standstill() {
        let mut guard = Guard::default();
        assert!((0..Guard::PER_INSTANT).all(|_| !guard.worked()) && guard.worked());
        guard.time_moves();
        assert!(!guard.worked());
        assert!((0..Guard::IDLE_WAKES).all(|_| !guard.woke()) && guard.woke());
        assert!(!guard.worked() && !guard.woke());
    }

    #[test]
    fn raw_hosts_timers_and_taps() {
        let mut sim = Sim::new(1);
        let (a, b) = (sim.add_host(Host::raw()), sim.add_host(Host::raw()));
        sim.link(a, b, Link::with_delay(Duration::from_millis(10)));
        sim.tap(|passing, bytes| match passing.number {
            0 => Tapped::Drop,
            1 => Tapped::Replace(vec![bytes.clone(), vec![9]]),
            _ => {
                bytes[0] ^= 1;
                Tapped::Pass
            }
        });
        for n in 0..3 {
            let to = sim.address(b);
            sim.send_raw(a, to, vec![n]);
        }
        let timer = sim.timer(Instant::ZERO + Duration::from_millis(5));
        let mut seen = Vec::new();
        while let Some(happening) = sim.next(Instant::ZERO + Duration::from_secs(1)) {
            match happening {
                Happening::Datagram { node, bytes, .. } => {
                    assert_eq!((node, sim.now()), (b, Instant::from_nanos(10_000_000)));
                    seen.push(bytes[0]);
                }
                Happening::Timer(id) => assert!(id == timer && seen.is_empty()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seen, [1, 9, 3]);
        assert_eq!(sim.now(), Instant::ZERO + Duration::from_secs(1));
        let stats = sim.link_stats(a, b);
        assert_eq!((stats.sent, stats.scripted, stats.delivered), (3, 1, 3));
    }

    #[test]
    fn a_rebound_host_is_reached_at_its_new_address_only() {
        let mut sim = Sim::new(1);
        let (a, b) = (sim.add_host(Host::raw()), sim.add_host(Host::raw()));
        let (old, new) = (sim.address(b), "198.51.100.7:9".parse().unwrap());
        sim.rebind(b, new);
        sim.send_raw(a, old, vec![1]);
        sim.send_raw(a, new, vec![2]);
        let happening = sim.run_until(Duration::from_secs(1), |_, _| true);
        assert!(matches!(happening, Some(Happening::Datagram { bytes, .. }) if bytes == [2]));
        assert_eq!(sim.unroutable(), 1);
    }
}

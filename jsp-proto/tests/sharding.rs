//! Several endpoints behind one address: every connection lives at the shard that its id names, whatever the system
//! does with the datagrams afterwards.

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jsp_conformance::sim::{Rng, seeds};
use jsp_proto::internals::wire::header::{LongType, decode_long, is_long, long_type};
use jsp_proto::{
    AppCode, ClientConfig, Config, ConfigBuilder, ConnId, ConnectionError, DropReason, Endpoint, Entropy, Event,
    Instant, KeyFetch, MessageOptions, Output, Path, RecvMessage, RecvMeta, RetryPolicy, Shard, Side, StreamId,
    StreamOptions,
};
use support::{MS, SECOND, bounds, pinned, server_config, server_key};

const ONE_WAY: Duration = Duration::from_millis(5);
const CODE: AppCode = AppCode::new(7);

/// What the system does with a datagram: which socket of the address gets it.
type Kernel = Box<dyn FnMut(&[u8], SocketAddr) -> usize>;

/// The endpoints of one address.
struct Site {
    shards: Vec<Endpoint>,
    kernel: Kernel,
    /// Datagrams handed over between them.
    handed: u64,
}

fn site(config: impl Fn() -> ConfigBuilder, count: u16, seed: u8, kernel: Kernel) -> Site {
    let shard = |index: u16| {
        let config = config().shard(Shard::new(index as u8, count, [seed; 16])).token_key([seed; 32]);
        let entropy = [seed.wrapping_add(index as u8).wrapping_mul(31); 32];
        Endpoint::new(Arc::new(config.build().expect("valid")), Entropy::new(entropy))
    };
    Site { shards: (0..count).map(shard).collect(), kernel, handed: 0 }
}

/// A site that is one endpoint and knows nothing of shards.
fn alone(config: ConfigBuilder) -> Site {
    let endpoint = Endpoint::new(Arc::new(config.build().expect("valid")), Entropy::new([99; 32]));
    Site { shards: vec![endpoint], kernel: Box::new(|_, _| 0), handed: 0 }
}

impl Site {
    /// Receives a datagram as a driver does: at the shard that the kernel chose, then at the one that owns it.
    fn hear(&mut self, now: Instant, to: SocketAddr, from: SocketAddr, mut datagram: Vec<u8>) {
        let original = datagram.clone();
        let at = (self.kernel)(&datagram, from);
        let meta = RecvMeta::single(Path { local: Some(to), remote: from });
        let received = self.shards[at].handle_datagram(now, meta, &mut datagram);
        let owner = self.shards[at].owner(&datagram);
        assert_eq!(owner.is_some(), received.foreign > 0, "counting and naming go together");
        let Some(owner) = owner.map(usize::from) else { return };
        assert_ne!(owner, at);
        assert_eq!(datagram, original, "another shard's datagram is left as it was");
        self.handed += 1;
        let received = self.shards[owner].handle_datagram(now, meta, &mut datagram);
        assert_eq!((received.foreign, self.shards[owner].owner(&datagram)), (0, None), "handed over once is enough");
    }

    /// The shard that issued the id in a datagram of a connection.
    fn issuer(&self, datagram: &[u8]) -> Option<usize> {
        let named = self.shards.iter().map(|shard| shard.owner(datagram).map(usize::from));
        let named: Vec<_> = named.collect();
        let issuer = named.iter().find_map(|owner| *owner)?;
        for (index, owner) in named.into_iter().enumerate() {
            assert_eq!(owner, Some(issuer).filter(|issuer| *issuer != index), "the shards agree");
        }
        Some(issuer)
    }

    fn foreign(&self) -> u64 {
        self.shards.iter().map(|shard| shard.stats().datagrams_foreign).sum()
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.shards.iter().map(|shard| shard.stats().dropped(reason)).sum()
    }
}

/// A connection as its client sees it.
struct Dialog {
    stream: Option<StreamId>,
    sent: u64,
    echoed: u64,
    over: bool,
}

/// Two sites, a network between them that delays and loses nothing, and a conversation on every connection: the client
/// sends a message, the server sends it back; again when it is told to; then the client closes.
struct World {
    now: Instant,
    clients: Site,
    servers: Site,
    server_address: SocketAddr,
    /// Arrival, whether at the server, from, to, bytes. All take the same time, so this is in order.
    under_way: VecDeque<(Instant, bool, SocketAddr, SocketAddr, Vec<u8>)>,
    dialogs: BTreeMap<(usize, ConnId), Dialog>,
    /// Where each client's connection was accepted.
    accepted: BTreeMap<SocketAddr, usize>,
    server_closed: usize,
    /// What the ids say about it, with the datagrams that carried them.
    named: BTreeMap<SocketAddr, usize>,
    short_to_server: u64,
    /// Two sides that close say so more than once.
    may_drop: Vec<DropReason>,
    buffer: Vec<u8>,
}

impl World {
    fn new(clients: Site, servers: Site) -> Self {
        Self {
            now: Instant::ZERO + SECOND,
            clients,
            servers,
            server_address: SocketAddr::from(([192, 0, 2, 1], 443)),
            under_way: VecDeque::new(),
            dialogs: BTreeMap::new(),
            accepted: BTreeMap::new(),
            server_closed: 0,
            named: BTreeMap::new(),
            short_to_server: 0,
            may_drop: vec![DropReason::Closed],
            buffer: vec![0; 65_536],
        }
    }

    fn connect(&mut self, shard: usize, local: SocketAddr, trust: &ClientConfig) {
        let path = Path { local: Some(local), remote: self.server_address };
        let id = self.clients.shards[shard].connect(self.now, path, trust).expect("an attempt");
        self.dialogs.insert((shard, id), Dialog { stream: None, sent: 0, echoed: 0, over: false });
    }

    /// Says the next message on every connection.
    fn say(&mut self) {
        let ids: Vec<_> = self.dialogs.keys().copied().collect();
        ids.into_iter().for_each(|(shard, id)| self.say_on(shard, id));
    }

    fn say_on(&mut self, shard: usize, id: ConnId) {
        let dialog = self.dialogs.get_mut(&(shard, id)).expect("known");
        let mut conn = self.clients.shards[shard].conn(self.now, id).expect("alive");
        let options = StreamOptions::ordered_messages();
        let stream = *dialog.stream.get_or_insert_with(|| conn.open(options).expect("room"));
        conn.send_message(stream, &dialog.sent.to_be_bytes(), MessageOptions::new()).expect("room");
        dialog.sent += 1;
    }

    fn close(&mut self) {
        let ids: Vec<_> = self.dialogs.keys().copied().collect();
        for (shard, id) in ids {
            self.clients.shards[shard].conn(self.now, id).expect("alive").close(CODE, b"");
        }
    }

    fn quiet(&self) -> bool {
        self.dialogs.values().all(|dialog| dialog.echoed == dialog.sent && dialog.sent > 0)
    }

    /// Runs until `done` says so, at most for ten seconds.
    fn run(&mut self, mut done: impl FnMut(&Self) -> bool) {
        let end = self.now + SECOND * 10;
        loop {
            let wake = self.poll();
            if done(self) {
                return;
            }
            let next = self.under_way.front().map(|(at, ..)| *at);
            self.now = next.into_iter().chain(wake).min().expect("something to come").max(self.now);
            assert!(self.now < end, "it takes too long");
            while self.under_way.front().is_some_and(|(at, ..)| *at <= self.now) {
                let Some((_, at_server, from, to, datagram)) = self.under_way.pop_front() else { break };
                if at_server && !is_long(&datagram) {
                    self.short_to_server += 1;
                    if let Some(issuer) = self.servers.issuer(&datagram) {
                        let before = self.named.insert(from, issuer);
                        assert!(before.is_none_or(|before| before == issuer), "one connection, one shard");
                    }
                }
                let site = if at_server { &mut self.servers } else { &mut self.clients };
                site.hear(self.now, to, from, datagram);
            }
        }
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.run(|world| world.under_way.is_empty() && world.now >= end);
    }

    /// Lets every endpoint do what it wants. Gives the next time at which one wants something.
    fn poll(&mut self) -> Option<Instant> {
        let mut wake = None;
        for at_server in [false, true] {
            let count = if at_server { self.servers.shards.len() } else { self.clients.shards.len() };
            for shard in 0..count {
                wake = [wake, self.poll_one(at_server, shard)].into_iter().flatten().min();
            }
        }
        wake
    }

    fn poll_one(&mut self, at_server: bool, shard: usize) -> Option<Instant> {
        loop {
            let site = if at_server { &mut self.servers } else { &mut self.clients };
            match site.shards[shard].poll(self.now, &mut self.buffer) {
                Output::Transmit(transmit) => {
                    let from = transmit.path.local.unwrap_or(self.server_address);
                    for datagram in transmit.payload.chunks(transmit.segment) {
                        let arrival = (self.now + ONE_WAY, !at_server, from, transmit.path.remote, datagram.to_vec());
                        self.under_way.push_back(arrival);
                    }
                }
                Output::Event(id, event) if at_server => self.on_server_event(shard, id, event),
                Output::Event(id, event) => self.on_client_event(shard, id, event),
                Output::Idle { wake_at, .. } => return wake_at,
                output => panic!("{output:?}"),
            }
        }
    }

    fn on_server_event(&mut self, shard: usize, id: ConnId, event: Event) {
        let Some(mut conn) = self.servers.shards[shard].conn(self.now, id) else { return };
        match event {
            Event::Connected => {
                let remote = conn.path().expect("connected").remote;
                assert_eq!(self.accepted.insert(remote, shard), None, "accepted at one shard only");
            }
            Event::StreamReadable(stream) => {
                let mut message = Vec::new();
                while let Ok(RecvMessage::Message(_)) = conn.recv_message(stream, &mut message) {
                    conn.send_message(stream, &message, MessageOptions::new()).expect("room");
                    message.clear();
                }
            }
            Event::Closed => {
                let reason = conn.close_reason().expect("a reason");
                assert!(matches!(reason, ConnectionError::PeerClosed { code: CODE, .. }), "{reason}");
                self.server_closed += 1;
            }
            _ => {}
        }
    }

    fn on_client_event(&mut self, shard: usize, id: ConnId, event: Event) {
        let Some(mut conn) = self.clients.shards[shard].conn(self.now, id) else { return };
        let dialog = self.dialogs.get_mut(&(shard, id)).expect("known");
        match event {
            Event::Connected => self.say_on(shard, id),
            Event::StreamReadable(stream) => {
                let mut message = Vec::new();
                while let Ok(RecvMessage::Message(_)) = conn.recv_message(stream, &mut message) {
                    assert_eq!(message, dialog.echoed.to_be_bytes(), "what was sent, in order");
                    dialog.echoed += 1;
                    message.clear();
                }
            }
            Event::Closed => {
                assert_eq!(conn.close_reason(), Some(&ConnectionError::LocallyClosed { code: CODE }));
                assert!(!std::mem::replace(&mut dialog.over, true));
            }
            _ => {}
        }
    }

    /// Closes all connections and checks that both sides take it as what it is.
    fn finish(&mut self) {
        let count = self.dialogs.len();
        self.close();
        self.run(|world| world.server_closed == count && world.dialogs.values().all(|dialog| dialog.over));
        self.run_for(SECOND);
        for site in [&self.clients, &self.servers] {
            for shard in &site.shards {
                assert!(shard.is_idle());
            }
            for reason in DropReason::ALL.iter().filter(|reason| !self.may_drop.contains(reason)) {
                assert_eq!(site.dropped(*reason), 0, "{reason:?}");
            }
            assert_eq!(site.foreign(), site.handed);
        }
    }
}

/// A client's address, each in a network of its own.
fn client_address(number: u32) -> SocketAddr {
    SocketAddr::from(([10, number as u8, (number >> 8) as u8, 1], 1024 + (number >> 16) as u16))
}

/// A hash of the addresses, as the system has one.
fn hash(from: SocketAddr, salt: u64) -> u64 {
    let SocketAddr::V4(from) = from else { panic!("an address of these tests") };
    Rng::new(u64::from(from.ip().to_bits()) << 16 | u64::from(from.port()) ^ salt << 48).u64()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fickle {
    /// A 4-tuple stays at its shard.
    Never,
    /// 1-RTT datagrams go anywhere.
    Always,
    /// In the middle of the connections every 4-tuple moves to another shard.
    Once,
}

fn many(fickle: Fickle, count: u16, connections: u32, seed: u64) {
    let n = u64::from(count);
    let moved = std::rc::Rc::new(std::cell::Cell::new(false));
    let mut rng = Rng::new(seed);
    let has_moved = moved.clone();
    let kernel = move |datagram: &[u8], from| {
        let shard = hash(from, seed) % n;
        let chosen = match fickle {
            Fickle::Always if !is_long(datagram) => rng.below(n),
            Fickle::Once if has_moved.get() => (shard + 1 + hash(from, !seed) % (n - 1).max(1)) % n,
            _ => shard,
        };
        chosen as usize
    };
    let config =
        || server_config().bounds(bounds(|bounds| (bounds.kem_jobs_per_second, bounds.kem_burst) = (1 << 30, 1 << 30)));
    let mut world = World::new(alone(Config::builder()), site(config, count, seed as u8, Box::new(kernel)));
    let trust = pinned();
    for number in 0..connections {
        world.connect(0, client_address(number), &trust);
        if number % 20 == 19 {
            world.run_for(MS);
        }
    }
    world.run(World::quiet);
    let settled = world.servers.foreign();
    moved.set(true);
    world.say();
    world.run(World::quiet);
    world.finish();

    assert_eq!(world.accepted.len(), connections as usize, "all were accepted");
    assert!(world.dialogs.values().all(|dialog| dialog.echoed == 2));
    let foreign = world.servers.foreign();
    match fickle {
        _ if n == 1 => assert_eq!(foreign, 0),
        Fickle::Never => assert_eq!(foreign, 0),
        Fickle::Always => {
            let expected = world.short_to_server * (n - 1) / n;
            assert!((expected * 9 / 10..=expected * 11 / 10).contains(&foreign), "{foreign} of about {expected}");
        }
        Fickle::Once => assert!(settled == 0 && foreign >= u64::from(connections) * 2, "{settled}, then {foreign}"),
    }
    if n > 1 {
        assert_eq!(world.named, world.accepted, "every connection is at the shard that its id names");
    }
    let mut shares = vec![0; usize::from(count)];
    world.accepted.values().for_each(|shard| shares[*shard] += 1);
    assert!(shares.iter().all(|share| share * 2 > connections / u32::from(count)), "{shares:?}");
}

// Ten thousand connections in all.

#[test]
fn connections_of_four_shards_are_each_at_its_own() {
    many(Fickle::Never, 4, 2_000, 1);
}

#[test]
fn connections_survive_a_system_that_sprays_their_datagrams() {
    many(Fickle::Always, 4, 4_000, 2);
}

#[test]
fn connections_survive_a_system_that_deals_them_out_anew() {
    many(Fickle::Once, 4, 4_000, 3);
}

#[test]
fn any_number_of_shards() {
    seeds("any_number_of_shards", 0..9, |seed| {
        let fickle = [Fickle::Never, Fickle::Always, Fickle::Once][seed as usize % 3];
        let count = [1, 2, 7][seed as usize / 3 % 3];
        many(fickle, count, 500, seed + 100);
    });
}

/// A first message belongs to the shard where it arrives, and so does its repetition with a token: shards that share
/// the token key accept each other's.
#[test]
fn a_retry_may_be_answered_at_another_shard() {
    let kernel = |datagram: &[u8], _| {
        if !is_long(datagram) {
            return 1;
        }
        let header = decode_long(datagram, Side::Client).expect("of a client");
        if header.token.is_empty() { 0 } else { 1 }
    };
    let config = || server_config().retry(RetryPolicy::Always);
    let mut world = World::new(alone(Config::builder()), site(config, 3, 4, Box::new(kernel)));
    for number in 0..20 {
        world.connect(0, client_address(number), &pinned());
    }
    world.run(World::quiet);
    // Two of the three datagrams of a first message without a token find nobody.
    world.may_drop.push(DropReason::Token);
    world.finish();
    let stats: Vec<_> = world.servers.shards.iter().map(|shard| *shard.stats()).collect();
    assert_eq!([stats[0].retries_sent, stats[1].retries_sent, stats[2].retries_sent], [20, 0, 0]);
    let started = [stats[0].handshakes_started, stats[1].handshakes_started, stats[2].handshakes_started];
    assert_eq!(started, [0, 20, 0]);
    assert!(world.accepted.values().all(|shard| *shard == 1));
    assert_eq!(world.servers.foreign(), 0);
}

/// Shards connect as well. All that the server sends, RETRY, KEYINFO, its answer and 1-RTT datagrams, may arrive at
/// another shard than the one that connects.
#[test]
fn answers_to_a_client_reach_its_shard() {
    for (by_fingerprint, retry) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut rng = Rng::new(5);
        let kernel = move |_: &[u8], _| rng.below(3) as usize;
        let mut server = server_config();
        if retry {
            server = server.retry(RetryPolicy::Always);
        }
        let mut world = World::new(site(Config::builder, 3, 6, Box::new(kernel)), alone(server));
        let fingerprint = ClientConfig::fingerprints([server_key().public().key_id()]);
        let trust = if by_fingerprint { fingerprint } else { pinned() };
        for number in 0..60 {
            world.connect(number as usize % 3, client_address(number), &trust);
        }
        world.run(World::quiet);
        // The server sees first messages without a token, as in the test above.
        world.may_drop.push(DropReason::Token);
        world.finish();
        let foreign = world.clients.foreign();
        assert!(foreign > 60, "{foreign}");
        assert!(world.clients.shards.iter().all(|shard| shard.stats().datagrams_foreign > 0));
        let stats = *world.servers.shards[0].stats();
        assert_eq!(
            (stats.retries_sent, stats.key_infos_sent),
            match (by_fingerprint, retry) {
                (false, false) => (0, 0),
                (false, true) => (60, 0),
                // The token of a KEYINFO is as good as that of a RETRY.
                (true, _) => (0, 60),
            }
        );
    }
}

/// A key request to an id that looks like another shard's is answered there; an endpoint that is asked by nobody else
/// than strangers hands nothing over twice.
#[test]
fn key_requests_are_answered_whatever_their_id_looks_like() {
    let mut rng = Rng::new(8);
    let kernel = move |_: &[u8], _| rng.below(256) as usize;
    let config = || server_config().key_fetch(KeyFetch::Open);
    let mut world = World::new(alone(Config::builder()), site(config, 256, 7, Box::new(kernel)));
    for number in 0..2_000 {
        world.connect(0, client_address(number), &ClientConfig::danger_accept_any());
    }
    // Only the requests and their answers: hellos do not meet at a shard with this kernel.
    world.poll();
    let requests: Vec<_> = world.under_way.drain(..).collect();
    assert_eq!(requests.len(), 2_000);
    for (_, at_server, from, to, datagram) in requests {
        assert!(at_server && long_type(&datagram) == Some(LongType::Key));
        world.servers.hear(world.now, to, from, datagram);
    }
    let answered: u64 = world.servers.shards.iter().map(|shard| shard.stats().key_infos_sent).sum();
    assert_eq!(answered, 2_000);
    // One in 256 is expected: eight, with a deviation of three.
    assert!((1..=25).contains(&world.servers.handed), "{}", world.servers.handed);
}

/// Strangers that guess ids, or know one of a connection that is over, cannot make shards send datagrams to and fro.
#[test]
fn guessed_ids_are_dropped_where_they_arrive_and_old_ones_at_their_shard() {
    let mut rng = Rng::new(9);
    let kernel = move |_: &[u8], _| rng.below(4) as usize;
    let mut world = World::new(alone(Config::builder()), site(server_config, 4, 8, Box::new(kernel)));
    let mut rng = Rng::new(10);
    let (to, from) = (world.server_address, client_address(1));
    let mut guess = |len: usize, first: u8| {
        let mut datagram: Vec<u8> = (0..len).map(|_| rng.u64() as u8).collect();
        datagram[0] = first;
        datagram
    };
    const GUESSES: u64 = 100_000;
    for _ in 0..GUESSES {
        let datagram = guess(40, 0x40);
        world.servers.hear(world.now, to, from, datagram);
    }
    // 4 in 65,536 pass for an id, of which one in four arrives where it would belong.
    let handed = world.servers.handed;
    assert!(handed <= 20, "{handed}, 5 are expected");
    assert_eq!(world.servers.dropped(DropReason::UnknownConnection), GUESSES);
    assert_eq!(world.servers.foreign(), handed);

    // An id that a shard has issued, of a connection that is over.
    let over = (0..).map(|_| guess(40, 0x40)).find(|datagram| world.servers.issuer(datagram).is_some());
    let over = over.expect("one in 16,384");
    for _ in 0..1_000 {
        world.servers.hear(world.now, to, from, over.clone());
    }
    let repeated = world.servers.handed - handed;
    assert!((650..850).contains(&repeated), "{repeated}, 750 are expected");
    assert_eq!(world.servers.dropped(DropReason::UnknownConnection), GUESSES + 1_000);

    // The same in long headers of the kinds that only servers send.
    for first in 0..=255u8 {
        let mut datagram = guess(200, first | 0x80);
        datagram[1..5].copy_from_slice(&jsp_proto::internals::wire::header::VERSION.to_be_bytes());
        datagram[5] = 8;
        datagram[6..14].copy_from_slice(&over[1..9]);
        world.servers.hear(world.now, to, from, datagram);
    }
    let stats: u64 = world.servers.shards.iter().map(|shard| shard.stats().dropped_total()).sum();
    assert_eq!(stats, GUESSES + 1_000 + 256, "all were dropped somewhere");
}

/// A datagram for a live connection that a stranger sends to the wrong shard does no harm at the right one.
#[test]
fn forged_datagrams_that_were_handed_over_leave_the_connection_alone() {
    let kernel = |datagram: &[u8], from| if is_long(datagram) || from == client_address(0) { 0 } else { 1 };
    let mut world = World::new(alone(Config::builder()), site(server_config, 2, 9, Box::new(kernel)));
    world.connect(0, client_address(0), &pinned());
    let mut forged = None;
    world.run(|world| {
        let short = world.under_way.iter().find(|(_, at_server, .., datagram)| *at_server && !is_long(datagram));
        forged = forged.take().or_else(|| short.map(|(.., datagram)| datagram.clone()));
        world.quiet()
    });
    let mut forged = forged.expect("the client sends");
    let end = forged.len() - 1;
    forged[end] ^= 1;
    for _ in 0..100 {
        let to = world.server_address;
        world.servers.hear(world.now, to, client_address(1), forged.clone());
    }
    assert_eq!(world.servers.handed, 100);
    assert_eq!(world.servers.shards[0].stats().dropped_total(), 100);
    world.may_drop.extend([DropReason::Aead, DropReason::Duplicate]);
    world.say();
    world.run(World::quiet);
    world.finish();
}

#[test]
fn an_endpoint_alone_has_no_foreign_datagrams() {
    let mut world = World::new(alone(Config::builder()), alone(server_config()));
    let datagram = [vec![0x40], vec![7; 40]].concat();
    let to = world.server_address;
    world.servers.hear(world.now, to, client_address(1), datagram);
    assert_eq!(world.servers.foreign(), 0);
    assert_eq!(world.servers.dropped(DropReason::UnknownConnection), 1);
}

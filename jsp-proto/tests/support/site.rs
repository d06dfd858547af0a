//! Several endpoints behind one address, and clients that talk to them over a network that only delays.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jsp_conformance::sim::Rng;
use jsp_proto::internals::wire::header::is_long;
use jsp_proto::{
    AppCode, ClientConfig, ConfigBuilder, ConnId, ConnectionError, DropReason, Endpoint, Entropy, Event, Instant,
    MessageOptions, Output, Path, RecvMessage, RecvMeta, Shard, StreamId, StreamOptions,
};

use super::SECOND;

pub const ONE_WAY: Duration = Duration::from_millis(5);
pub const CODE: AppCode = AppCode::new(7);

/// What the system does with a datagram: which socket of the address gets it.
pub type Kernel = Box<dyn FnMut(&[u8], SocketAddr) -> usize>;

/// The endpoints of one address.
pub struct Site {
    pub shards: Vec<Endpoint>,
    pub kernel: Kernel,
    /// Datagrams handed over between them.
    pub handed: u64,
}

pub fn site(config: impl Fn() -> ConfigBuilder, count: u16, seed: u8, kernel: Kernel) -> Site {
    let shard = |index: u16| {
        let config = config().shard(Shard::new(index as u8, count, [seed; 16])).token_key([seed; 32]);
        let entropy = [seed.wrapping_add(index as u8).wrapping_mul(31); 32];
        Endpoint::new(Arc::new(config.build().expect("valid")), Entropy::new(entropy))
    };
    Site { shards: (0..count).map(shard).collect(), kernel, handed: 0 }
}

/// A site that is one endpoint and knows nothing of shards.
pub fn alone(config: ConfigBuilder) -> Site {
    let endpoint = Endpoint::new(Arc::new(config.build().expect("valid")), Entropy::new([99; 32]));
    Site { shards: vec![endpoint], kernel: Box::new(|_, _| 0), handed: 0 }
}

impl Site {
    /// Receives a datagram as a driver does: at the shard that the kernel chose, then at the one that owns it.
    pub fn hear(&mut self, now: Instant, to: SocketAddr, from: SocketAddr, mut datagram: Vec<u8>) {
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
    pub fn issuer(&self, datagram: &[u8]) -> Option<usize> {
        let named = self.shards.iter().map(|shard| shard.owner(datagram).map(usize::from));
        let named: Vec<_> = named.collect();
        let issuer = named.iter().find_map(|owner| *owner)?;
        for (index, owner) in named.into_iter().enumerate() {
            assert_eq!(owner, Some(issuer).filter(|issuer| *issuer != index), "the shards agree");
        }
        Some(issuer)
    }

    pub fn foreign(&self) -> u64 {
        self.shards.iter().map(|shard| shard.stats().datagrams_foreign).sum()
    }

    pub fn resets(&self) -> u64 {
        self.shards.iter().map(|shard| shard.stats().resets_sent).sum()
    }

    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.shards.iter().map(|shard| shard.stats().dropped(reason)).sum()
    }
}

/// A connection as its client sees it.
pub struct Dialog {
    pub stream: Option<StreamId>,
    pub sent: u64,
    pub echoed: u64,
    pub over: bool,
}

/// Two sites, a network between them that delays and loses nothing, and a conversation on every connection: the client
/// sends a message, the server sends it back; again when it is told to; then the client closes.
pub struct World {
    pub now: Instant,
    pub clients: Site,
    pub servers: Site,
    pub server_address: SocketAddr,
    /// Arrival, whether at the server, from, to, bytes. All take the same time, so this is in order.
    pub under_way: VecDeque<(Instant, bool, SocketAddr, SocketAddr, Vec<u8>)>,
    pub dialogs: BTreeMap<(usize, ConnId), Dialog>,
    /// Where each client's connection was accepted.
    pub accepted: BTreeMap<SocketAddr, usize>,
    pub server_closed: usize,
    /// What the ids say about it, with the datagrams that carried them.
    pub named: BTreeMap<SocketAddr, usize>,
    pub short_to_server: u64,
    /// Two sides that close say so more than once.
    pub may_drop: Vec<DropReason>,
    pub buffer: Vec<u8>,
}

impl World {
    pub fn new(clients: Site, servers: Site) -> Self {
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

    pub fn connect(&mut self, shard: usize, local: SocketAddr, trust: &ClientConfig) {
        let path = Path { local: Some(local), remote: self.server_address };
        let id = self.clients.shards[shard].connect(self.now, path, trust).expect("an attempt");
        self.dialogs.insert((shard, id), Dialog { stream: None, sent: 0, echoed: 0, over: false });
    }

    /// Says the next message on every connection.
    pub fn say(&mut self) {
        let ids: Vec<_> = self.dialogs.keys().copied().collect();
        ids.into_iter().for_each(|(shard, id)| self.say_on(shard, id));
    }

    pub fn say_on(&mut self, shard: usize, id: ConnId) {
        let dialog = self.dialogs.get_mut(&(shard, id)).expect("known");
        let mut conn = self.clients.shards[shard].conn(self.now, id).expect("alive");
        let options = StreamOptions::ordered_messages();
        let stream = *dialog.stream.get_or_insert_with(|| conn.open(options).expect("room"));
        conn.send_message(stream, &dialog.sent.to_be_bytes(), MessageOptions::new()).expect("room");
        dialog.sent += 1;
    }

    pub fn close(&mut self) {
        let ids: Vec<_> = self.dialogs.keys().copied().collect();
        for (shard, id) in ids {
            self.clients.shards[shard].conn(self.now, id).expect("alive").close(CODE, b"");
        }
    }

    pub fn quiet(&self) -> bool {
        self.dialogs.values().all(|dialog| dialog.echoed == dialog.sent && dialog.sent > 0)
    }

    /// Runs until `done` says so, at most for ten seconds.
    pub fn run(&mut self, mut done: impl FnMut(&Self) -> bool) {
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

    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.run(|world| world.under_way.is_empty() && world.now >= end);
    }

    /// Lets every endpoint do what it wants. Gives the next time at which one wants something.
    pub fn poll(&mut self) -> Option<Instant> {
        let mut wake = None;
        for at_server in [false, true] {
            let count = if at_server { self.servers.shards.len() } else { self.clients.shards.len() };
            for shard in 0..count {
                wake = [wake, self.poll_one(at_server, shard)].into_iter().flatten().min();
            }
        }
        wake
    }

    pub fn poll_one(&mut self, at_server: bool, shard: usize) -> Option<Instant> {
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

    pub fn on_server_event(&mut self, shard: usize, id: ConnId, event: Event) {
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

    pub fn on_client_event(&mut self, shard: usize, id: ConnId, event: Event) {
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
    pub fn finish(&mut self) {
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
pub fn client_address(number: u32) -> SocketAddr {
    SocketAddr::from(([10, number as u8, (number >> 8) as u8, 1], 1024 + (number >> 16) as u16))
}

/// A hash of the addresses, as the system has one.
pub fn hash(from: SocketAddr, salt: u64) -> u64 {
    let SocketAddr::V4(from) = from else { panic!("an address of these tests") };
    Rng::new(u64::from(from.ip().to_bits()) << 16 | u64::from(from.port()) ^ salt << 48).u64()
}

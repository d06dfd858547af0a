//! Messages of one size at a steady pace, and what becomes of them.

use std::time::Duration;

use jsp_proto::{
    ConfigBuilder, ConnId, Delivery, Event, FecStats, Instant, MessageOptions, RecvMessage, SendError, StreamId,
    StreamKind, StreamOptions,
};

use super::{Measured, Mode, trusted};
use crate::cc::{HEADERS, Path, server_key};
use crate::sim::apps::Latencies;
use crate::sim::{App, Happening, LinkStats, NodeId, Sim, TimerId};

/// How long a message may be under way after the last one was sent.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection may take to establish.
const LIMIT: Duration = Duration::from_secs(10);
/// Bytes of a message that say which one it is.
const STAMP: usize = 8;

/// One way of sending over one path.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The path, with random loss in both directions.
    pub path: Path,
    /// Mean length of its bursts of losses; 1 or less: losses do not depend on each other.
    pub burst: f64,
    /// Bytes of a message, at least 8.
    pub size: usize,
    /// Time between two messages.
    pub interval: Duration,
    /// What becomes of lost messages.
    pub delivery: Delivery,
    /// Their correction.
    pub mode: Mode,
    /// The settings of both ends, to which room for everything is added.
    pub profile: fn() -> ConfigBuilder,
    /// Messages sent before those that count.
    pub warm_up: u64,
    /// Messages that count.
    pub count: u64,
}

impl Flow {
    /// Messages of one size, so many per second, on a stream of best-effort messages or, with [`Mode::Arq`], of
    /// reliable ones. Unordered, so that none waits for another one.
    pub fn new(path: Path, mode: Mode, size: usize, per_second: u32, profile: fn() -> ConfigBuilder) -> Self {
        let delivery = if mode == Mode::Arq { Delivery::Reliable } else { Delivery::BestEffort };
        let interval = Duration::from_secs(1) / per_second;
        Self { path, burst: 1.0, size, interval, delivery, mode, profile, warm_up: 0, count: 0 }
    }

    /// Losses in bursts of this mean length.
    #[must_use]
    pub fn burst(mut self, mean_length: f64) -> Self {
        self.burst = mean_length;
        self
    }

    /// Delivers in this way, whatever the mode.
    #[must_use]
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// Sends for so long without counting, and then so many messages that count.
    #[must_use]
    pub fn count(mut self, warm_up: Duration, count: u64) -> Self {
        self.warm_up = (warm_up.as_nanos() / self.interval.as_nanos()) as u64;
        self.count = count;
        self
    }

    /// Runs it over an established connection; waits [`PATIENCE`] after the last message.
    ///
    /// # Panics
    ///
    /// If a message comes twice or is not what was sent, or if there is no connection.
    pub fn run(&self, seed: u64) -> Measured {
        let mut sim = Sim::new(seed);
        let config = || self.path.room((self.profile)());
        let valid = "a valid configuration";
        let server = sim.add(config().server_key(server_key()).build().expect(valid));
        let client = sim.add(config().build().expect(valid));
        let bursts = self.burst > 1.0;
        let path = Path { loss: if bursts { 0.0 } else { self.path.loss }, ..self.path };
        let link = if bursts { path.link().burst_loss(self.path.loss, self.burst) } else { path.link() };
        // Without loss until there is a connection: attempts are given up when too much of them is lost.
        sim.link(client, server, Path { loss: 0.0, ..path }.link());
        let ends = sim.establish(client, server, &trusted(), LIMIT).expect("a connection attempt");
        let ends = ends.expect("a connection");
        sim.link(client, server, link);
        let mut run = Run::new(self, (client, ends.0), (server, ends.1), sim.now());
        sim.run(self.interval * (self.warm_up + self.count) as u32 + PATIENCE, &mut [&mut run]);
        let end = Snapshot { sender: run.sender(&mut sim), receiver: run.receiver(&mut sim) };
        run.measured(&end)
    }
}

/// The counters of one end.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    link: LinkStats,
    fec: FecStats,
    datagrams_received: u64,
}

/// The counters of both ends, the receiver's later by the time that a datagram takes.
#[derive(Clone, Copy, Debug, Default)]
struct Snapshot {
    sender: Counters,
    receiver: Counters,
}

/// Sender and receiver.
struct Run<'f> {
    flow: &'f Flow,
    client: (NodeId, ConnId),
    server: (NodeId, ConnId),
    began: Instant,
    stream: Option<StreamId>,
    message: Vec<u8>,
    buffer: Vec<u8>,
    next: u64,
    /// When each message that counts was accepted, and how long it took to arrive.
    messages: Vec<(Option<Instant>, Option<Duration>)>,
    send: Option<TimerId>,
    looks: [Option<TimerId>; 2],
    start: Snapshot,
    closed: Option<String>,
}

impl<'f> Run<'f> {
    fn new(flow: &'f Flow, client: (NodeId, ConnId), server: (NodeId, ConnId), began: Instant) -> Self {
        Self {
            flow,
            client,
            server,
            began,
            stream: None,
            message: vec![0; flow.size.max(STAMP)],
            buffer: Vec::new(),
            next: 0,
            messages: vec![(None, None); flow.count as usize],
            send: None,
            looks: [None; 2],
            start: Snapshot::default(),
            closed: None,
        }
    }

    fn sender(&self, sim: &mut Sim) -> Counters {
        Self::look(sim, self.client, self.server.0)
    }

    fn receiver(&self, sim: &mut Sim) -> Counters {
        Self::look(sim, self.server, self.client.0)
    }

    fn look(sim: &mut Sim, (node, conn): (NodeId, ConnId), peer: NodeId) -> Counters {
        let stats = sim.conn(node, conn).map(|conn| conn.stats()).unwrap_or_default();
        Counters { link: sim.link_stats(node, peer), fec: stats.fec, datagrams_received: stats.datagrams_received }
    }

    fn tick(&mut self, sim: &mut Sim) {
        let (flow, now) = (self.flow, sim.now());
        self.send = None;
        if self.closed.is_none() {
            self.message[..STAMP].copy_from_slice(&self.next.to_le_bytes());
            let sent = sim.conn(self.client.0, self.client.1).map(|mut conn| {
                let options = StreamOptions::unordered_messages().delivery(flow.delivery);
                let stream = *self.stream.get_or_insert_with(|| {
                    conn.open(options.fec(flow.mode.fec())).unwrap_or_else(|error| panic!("cannot open: {error}"))
                });
                conn.send_message(stream, &self.message, MessageOptions::new())
            });
            let counted = self.next.checked_sub(flow.warm_up);
            match sent {
                Some(Ok(_)) => {
                    if let Some(counted) = counted {
                        self.messages[counted as usize].0 = Some(now);
                    }
                }
                None | Some(Err(SendError::Blocked | SendError::Closed)) => {}
                Some(Err(error)) => panic!("cannot send a message: {error}"),
            }
        }
        self.next += 1;
        if self.next < flow.warm_up + flow.count {
            self.send = Some(sim.timer(self.began + flow.interval * self.next as u32));
        }
    }

    fn read(&mut self, sim: &mut Sim, stream: StreamId) {
        let now = sim.now();
        let Some(mut conn) = sim.conn(self.server.0, self.server.1) else { return };
        loop {
            self.buffer.clear();
            let Ok(RecvMessage::Message(_)) = conn.recv_message(stream, &mut self.buffer) else { return };
            let stamp = self.buffer.get(..STAMP).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
            let number = stamp.filter(|number| self.buffer.len() == self.message.len() && *number < self.next);
            let Some(number) = number else { panic!("a message that was not sent, {} bytes", self.buffer.len()) };
            let Some(counted) = number.checked_sub(self.flow.warm_up) else { continue };
            let (sent, latency) = &mut self.messages[counted as usize];
            let took = now - sent.unwrap_or_else(|| panic!("message {number} was refused"));
            assert!(latency.replace(took).is_none(), "message {number} came twice");
        }
    }

    fn measured(&self, end: &Snapshot) -> Measured {
        let Self { flow, start, .. } = self;
        let Snapshot { sender, receiver } = end;
        let size = self.message.len() as u64;
        let refused = self.messages.iter().filter(|(sent, _)| sent.is_none()).count() as u64;
        let mut latencies = Latencies::new();
        self.messages.iter().filter_map(|message| message.1).for_each(|latency| latencies.add(latency));
        let bytes = |end: &LinkStats, start: &LinkStats| {
            (end.sent_bytes - start.sent_bytes) + HEADERS * (end.sent - start.sent)
        };
        let datagrams = sender.link.sent - start.sender.link.sent;
        let arrived = receiver.datagrams_received - start.receiver.datagrams_received;
        let parity = sender.fec.parity_sent - start.sender.fec.parity_sent;
        let sources = sender.fec.sources_sent - start.sender.fec.sources_sent;
        let sources_arrived = receiver.fec.sources_received - start.receiver.fec.sources_received;
        Measured {
            offered: flow.count,
            refused,
            delivered_bytes: size * latencies.len() as u64,
            accepted_bytes: size * (flow.count - refused),
            latencies,
            datagrams,
            bytes: bytes(&sender.link, &start.sender.link),
            bytes_back: bytes(&receiver.link, &start.receiver.link),
            parity,
            sources,
            sources_lost: sources.saturating_sub(sources_arrived),
            lost: datagrams.saturating_sub(arrived),
            repaired: receiver.fec.repaired - start.receiver.fec.repaired,
            refused_repairs: receiver.fec.repairs_refused - start.receiver.fec.repairs_refused,
            unused: receiver.fec.parity_unused - start.receiver.fec.parity_unused,
            broken: (u64::from(self.closed.is_some()), self.closed.clone()),
        }
    }
}

impl App for Run<'_> {
    fn start(&mut self, sim: &mut Sim) {
        // In the pause before the first message that counts, so that little is under way.
        let flow = self.flow;
        let first = self.began + flow.interval * flow.warm_up as u32;
        let look = Instant::from_nanos(first.as_nanos().saturating_sub((flow.interval / 2).as_nanos() as u64));
        let look = look.max(self.began);
        self.looks = [Some(sim.timer(look)), Some(sim.timer(look + flow.path.rtt / 2 + flow.interval / 4))];
        self.tick(sim);
    }

    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        match happening {
            Happening::Timer(id) if Some(*id) == self.send => self.tick(sim),
            Happening::Timer(id) if Some(*id) == self.looks[0] => self.start.sender = self.sender(sim),
            Happening::Timer(id) if Some(*id) == self.looks[1] => self.start.receiver = self.receiver(sim),
            Happening::Event { node, conn, event: Event::StreamReadable(stream) }
                if (*node, *conn) == self.server && stream.kind() == StreamKind::Unordered =>
            {
                self.read(sim, *stream);
            }
            Happening::Event { node, conn, event: Event::Closed }
                if [self.client, self.server].contains(&(*node, *conn)) =>
            {
                let reason = sim.conn(*node, *conn).and_then(|conn| conn.close_reason().map(ToString::to_string));
                self.closed.get_or_insert_with(|| reason.unwrap_or_else(|| "closed".into()));
            }
            _ => {}
        }
    }

    fn done(&self) -> bool {
        false
    }
}

//! Light apps for long runs: nothing is checked but how much came when, and a connection that ends is a result.

use std::time::Duration;

use jsp_proto::{Congestion, ConnId, Event, Instant, Recv, StreamId, StreamOptions};

use super::{Path, trusted};
use crate::sim::{App, BottleneckId, Happening, Link, NodeId, Sim, TimerId};

/// Writes zeros on one byte stream as fast as they are taken. Always done.
#[derive(Debug)]
pub struct Source {
    node: NodeId,
    conn: ConnId,
    len: u64,
    written: u64,
    began: Option<Instant>,
    stream: Option<StreamId>,
    trickle: Option<Trickle>,
    timer: Option<TimerId>,
    closed: Option<String>,
}

/// A little at a time, for the time being.
#[derive(Clone, Copy, Debug)]
struct Trickle {
    until: Instant,
    bytes: u64,
    every: Duration,
}

impl Source {
    /// Sends `len` bytes and the end of the stream over this connection of this host once it is connected.
    pub fn new(node: NodeId, conn: ConnId, len: u64) -> Self {
        Self { node, conn, len, written: 0, began: None, stream: None, trickle: None, timer: None, closed: None }
    }

    /// Sends as long as the simulation runs.
    pub fn endless(node: NodeId, conn: ConnId) -> Self {
        Self::new(node, conn, u64::MAX)
    }

    /// When the connection took the first byte.
    pub fn began(&self) -> Option<Instant> {
        self.began
    }

    /// Sends only so many bytes in each interval until this time.
    #[must_use]
    pub fn trickle(mut self, until: Instant, bytes: u64, every: Duration) -> Self {
        self.trickle = Some(Trickle { until, bytes, every });
        self
    }

    /// Why the connection ended, if it did.
    pub fn closed(&self) -> Option<&str> {
        self.closed.as_deref()
    }

    /// How far to write now; comes back later if that is not everything.
    fn target(&mut self, sim: &mut Sim) -> u64 {
        let Some(trickle) = self.trickle.filter(|trickle| sim.now() < trickle.until) else { return self.len };
        self.timer = Some(sim.timer((sim.now() + trickle.every).min(trickle.until)));
        self.written + trickle.bytes
    }

    fn write(&mut self, sim: &mut Sim) {
        static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
        let now = sim.now();
        let Some(conn) = sim.conn(self.node, self.conn) else { return };
        if !conn.is_connected() {
            return;
        }
        let target = self.target(sim);
        let Some(mut conn) = sim.conn(self.node, self.conn) else { return };
        if self.stream.is_none() {
            self.stream = conn.open(StreamOptions::bytes()).ok();
            self.began = Some(now);
        }
        let Some(stream) = self.stream else { return };
        while self.written < target {
            let chunk = &ZEROS[..ZEROS.len().min((target - self.written) as usize)];
            match conn.send(stream, chunk) {
                Ok(taken) if taken > 0 => self.written += taken as u64,
                _ => return,
            }
        }
        if self.written == self.len {
            // It may be finished already.
            _ = conn.finish(stream);
        }
    }
}

impl App for Source {
    fn start(&mut self, sim: &mut Sim) {
        self.write(sim);
    }

    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        if matches!(happening, Happening::Timer(id) if Some(*id) == self.timer) {
            self.timer = None;
            self.write(sim);
        }
        match happening.event_of(self.node, self.conn) {
            Some(Event::Connected | Event::StreamsAvailable(_)) if self.stream.is_none() => self.write(sim),
            Some(Event::StreamWritable(_)) if self.written < self.len && self.timer.is_none() => self.write(sim),
            Some(Event::Closed) => {
                let conn = sim.conn(self.node, self.conn);
                let reason = conn.and_then(|conn| conn.close_reason().map(ToString::to_string));
                self.closed = Some(reason.unwrap_or_else(|| "closed".into()));
            }
            _ => {}
        }
    }
}

/// Reads every byte stream that peers open on one host and notes how much came when. Done at the end of a stream.
#[derive(Debug)]
pub struct Sink {
    node: NodeId,
    received: u64,
    finished: Option<Instant>,
    bins: Vec<u64>,
}

impl Sink {
    /// The resolution of [`between`](Self::between).
    pub const BIN: Duration = Duration::from_millis(10);

    /// Reads on this host.
    pub fn new(node: NodeId) -> Self {
        Self { node, received: 0, finished: None, bins: Vec::new() }
    }

    /// Bytes read.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// When the end of a stream was read.
    pub fn finished(&self) -> Option<Instant> {
        self.finished
    }

    /// Bytes read from one time of the simulation to another, both rounded down to whole [`BIN`](Self::BIN)s.
    pub fn between(&self, from: Duration, to: Duration) -> u64 {
        let bin = |time: Duration| ((time.as_nanos() / Self::BIN.as_nanos()) as usize).min(self.bins.len());
        self.bins.get(bin(from)..bin(to)).map_or(0, |bins| bins.iter().sum())
    }

    fn read(&mut self, sim: &mut Sim, conn: ConnId, stream: StreamId) {
        let now = sim.now();
        let Some(mut conn) = sim.conn(self.node, conn) else { return };
        let mut chunk = [0; 16 * 1024];
        loop {
            match conn.recv(stream, &mut chunk) {
                Ok(Recv::Data(len)) => self.note(now, len as u64),
                Ok(Recv::Finished) => {
                    self.finished.get_or_insert(now);
                    return;
                }
                _ => return,
            }
        }
    }

    fn note(&mut self, now: Instant, len: u64) {
        self.received += len;
        let bin = (now.as_nanos() / Self::BIN.as_nanos() as u64) as usize;
        if self.bins.len() <= bin {
            self.bins.resize(bin + 1, 0);
        }
        self.bins[bin] += len;
    }
}

impl App for Sink {
    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        if let Some((conn, Event::StreamReadable(stream))) = happening.event_at(self.node)
            && !stream.kind().has_messages()
        {
            self.read(sim, conn, stream);
        }
    }

    fn done(&self) -> bool {
        self.finished.is_some()
    }
}

/// An endless transfer between two hosts of its own that begins at a time of its own. Never done.
#[derive(Debug)]
pub struct Flow {
    /// The sending host.
    pub client: NodeId,
    /// The receiving host.
    pub server: NodeId,
    at: Duration,
    trickle: Option<Trickle>,
    timer: Option<TimerId>,
    source: Option<Source>,
    sink: Sink,
}

impl Flow {
    /// Adds the hosts to the network: towards the server a link with this path's delay and loss through the bottleneck,
    /// and back one without a limit. The connection starts at this time of the simulation.
    pub fn new(sim: &mut Sim, path: &Path, via: BottleneckId, congestion: Congestion, at: Duration) -> Self {
        let (client, server) = path.hosts(sim, congestion);
        let way = Link::with_delay(path.rtt / 2).loss(path.loss);
        sim.link_one_way(client, server, way.clone().via(via));
        sim.link_one_way(server, client, way);
        Self { client, server, at, trickle: None, timer: None, source: None, sink: Sink::new(server) }
    }

    /// Sends only so many bytes in each interval until this time of the simulation.
    #[must_use]
    pub fn trickle(mut self, until: Duration, bytes: u64, every: Duration) -> Self {
        self.trickle = Some(Trickle { until: Instant::ZERO + until, bytes, every });
        self
    }

    /// What arrived.
    pub fn sink(&self) -> &Sink {
        &self.sink
    }

    /// Why the connection ended, if it did.
    pub fn closed(&self) -> Option<&str> {
        self.source.as_ref().and_then(Source::closed)
    }
}

impl App for Flow {
    fn start(&mut self, sim: &mut Sim) {
        self.timer = Some(sim.timer(Instant::ZERO + self.at));
    }

    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        if matches!(happening, Happening::Timer(id) if Some(*id) == self.timer) {
            self.timer = None;
            let conn = sim.connect(self.client, self.server, &trusted()).expect("a connection attempt");
            self.source = Some(Source { trickle: self.trickle, ..Source::endless(self.client, conn) });
        }
        if let Some(source) = &mut self.source {
            source.on(sim, happening);
        }
        self.sink.on(sim, happening);
    }

    fn done(&self) -> bool {
        false
    }
}

/// Looks at a connection's round-trip time again and again. Always done.
#[derive(Debug)]
pub struct RttSampler {
    node: NodeId,
    conn: ConnId,
    every: Duration,
    timer: Option<TimerId>,
    samples: Vec<Duration>,
}

impl RttSampler {
    /// Looks at this connection of this host in this interval.
    pub fn new(node: NodeId, conn: ConnId, every: Duration) -> Self {
        Self { node, conn, every, timer: None, samples: Vec::new() }
    }

    /// The middle of all samples.
    pub fn median(&self) -> Duration {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

impl App for RttSampler {
    fn start(&mut self, sim: &mut Sim) {
        self.timer = Some(sim.timer(sim.now() + self.every));
    }

    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        if !matches!(happening, Happening::Timer(id) if Some(*id) == self.timer) {
            return;
        }
        self.samples.extend(sim.conn(self.node, self.conn).and_then(|conn| conn.stats().latest_rtt));
        self.timer = Some(sim.timer(sim.now() + self.every));
    }
}

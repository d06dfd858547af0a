//! Messages at a steady pace, stamped with the time, and their reader.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jsp_proto::{
    ConnId, Event, Instant, MessageId, MessageOptions, Outcome, RecvMessage, SendError, StreamId, StreamOptions,
};

use super::super::{App, Happening, NodeId, Sim, TimerId};
use super::{Latencies, check_content, fill_content};

/// Number and time of sending, eight bytes each.
const STAMP: usize = 16;

/// Sends numbered messages of one size on one stream, one per interval, until all are sent or the connection is
/// closed. Done then, and if they are tracked, when each has its outcome.
#[derive(Debug)]
pub struct MessageSource {
    node: NodeId,
    conn: ConnId,
    stream_options: StreamOptions,
    options: MessageOptions,
    tracked: bool,
    size: usize,
    interval: Duration,
    count: u64,
    next: u64,
    refused: u64,
    stream: Option<StreamId>,
    timer: Option<TimerId>,
    open: BTreeSet<MessageId>,
    outcomes: BTreeMap<MessageId, Outcome>,
}

impl MessageSource {
    /// Sends `count` messages of `size` bytes (at least 16) once the connection is connected.
    pub fn new(node: NodeId, conn: ConnId, count: u64, size: usize, interval: Duration) -> Self {
        Self {
            node,
            conn,
            stream_options: StreamOptions::unordered_messages(),
            options: MessageOptions::default(),
            tracked: false,
            size: size.max(STAMP),
            interval,
            count,
            next: 0,
            refused: 0,
            stream: None,
            timer: None,
            open: BTreeSet::new(),
            outcomes: BTreeMap::new(),
        }
    }

    /// Opens the stream with these options.
    #[must_use]
    pub fn stream(mut self, options: StreamOptions) -> Self {
        self.stream_options = options;
        self
    }

    /// Asks for the outcome of every message.
    #[must_use]
    pub fn tracked(mut self) -> Self {
        self.options = self.options.tracked();
        self.tracked = true;
        self
    }

    /// Messages that were sent.
    pub fn sent(&self) -> u64 {
        self.next - self.refused
    }

    /// Messages that were not taken because the send buffer was full.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Messages with this outcome.
    pub fn outcomes(&self, which: Outcome) -> usize {
        self.outcomes.values().filter(|outcome| **outcome == which).count()
    }

    fn tick(&mut self, sim: &mut Sim) {
        let now = sim.now();
        let Some(mut conn) = sim.conn(self.node, self.conn) else { panic!("the source's connection is gone") };
        if !conn.is_connected() {
            return;
        }
        let stream = *self.stream.get_or_insert_with(|| {
            conn.open(self.stream_options).unwrap_or_else(|error| panic!("cannot open a stream: {error}"))
        });
        let mut message = vec![0; self.size];
        message[..8].copy_from_slice(&self.next.to_le_bytes());
        message[8..STAMP].copy_from_slice(&now.as_nanos().to_le_bytes());
        fill_content(self.next, 0, &mut message[STAMP..]);
        match conn.send_message(stream, &message, self.options) {
            Ok(id) if self.tracked => assert!(self.open.insert(id), "{id:?} given twice"),
            Ok(_) => {}
            Err(SendError::Blocked) => self.refused += 1,
            Err(error) => panic!("cannot send a message: {error}"),
        }
        self.next += 1;
        self.timer = (self.next < self.count).then(|| sim.timer(now + self.interval));
    }

    fn record(&mut self, id: MessageId, outcome: Outcome) {
        assert!(self.tracked, "{id:?} was not tracked");
        assert!(self.open.remove(&id), "{id:?} is unknown or has its outcome already: {outcome:?}");
        self.outcomes.insert(id, outcome);
    }
}

impl App for MessageSource {
    fn start(&mut self, sim: &mut Sim) {
        self.tick(sim);
    }

    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        if matches!(happening, Happening::Timer(id) if Some(*id) == self.timer) {
            self.tick(sim);
        }
        match happening.event_of(self.node, self.conn) {
            Some(Event::Connected) if self.stream.is_none() => self.tick(sim),
            Some(Event::Closed) => (self.count, self.timer) = (self.next, None),
            Some(Event::MessageOutcome { stream, id, outcome }) if Some(stream) == self.stream => {
                self.record(id, outcome);
            }
            _ => {}
        }
    }

    fn done(&self) -> bool {
        self.next >= self.count && self.open.is_empty()
    }
}

/// Reads every message stream that peers open on one host: checks the bytes, that no message comes twice, and records
/// how long each was under way. Made for one [`MessageSource`]; done when the expected number has arrived.
#[derive(Debug)]
pub struct MessageSink {
    node: NodeId,
    expected: u64,
    seen: BTreeSet<u64>,
    latencies: Latencies,
}

impl MessageSink {
    /// Expects this many messages; zero if any number will do.
    pub fn new(node: NodeId, expected: u64) -> Self {
        Self { node, expected, seen: BTreeSet::new(), latencies: Latencies::new() }
    }

    /// Messages received.
    pub fn received(&self) -> u64 {
        self.seen.len() as u64
    }

    /// How long they were under way.
    pub fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    fn read(&mut self, sim: &mut Sim, id: ConnId, stream: StreamId) {
        let now = sim.now();
        let Some(mut conn) = sim.conn(self.node, id) else { panic!("the sink's connection is gone") };
        let mut message = Vec::new();
        loop {
            message.clear();
            match conn.recv_message(stream, &mut message) {
                Ok(RecvMessage::Message(_)) => self.take(now, &message),
                Ok(RecvMessage::Blocked | RecvMessage::Finished) => return,
                other => panic!("after {} messages: {other:?}", self.seen.len()),
            }
        }
    }

    fn take(&mut self, now: Instant, message: &[u8]) {
        let word = |at: usize| message.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        let (Some(number), Some(sent)) = (word(0), word(8)) else { panic!("a message of {} bytes", message.len()) };
        check_content(number, 0, &message[STAMP..]);
        assert!(self.seen.insert(number), "message {number} came twice");
        self.latencies.add(now - Instant::from_nanos(sent));
    }
}

impl App for MessageSink {
    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        if let Some((conn, Event::StreamReadable(stream))) = happening.event_at(self.node)
            && stream.kind().has_messages()
        {
            self.read(sim, conn, stream);
        }
    }

    fn done(&self) -> bool {
        self.received() >= self.expected
    }
}

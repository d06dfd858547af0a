//! A client and a server in memory, with an application on each, for the checks and benches that must see nothing but
//! the protocol: no simulator, no socket, no allocation of its own once its buffers have grown.
//!
//! The program that includes this file defines `crate::inside`, through which every call of jsp-proto goes.
#![allow(dead_code, reason = "each program uses a part of it")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jsp_proto::{
    ClientConfig, Config, ConfigBuilder, Conn, ConnId, ConnStats, Endpoint, Entropy, Event, Instant, MessageOptions,
    Output, Path, Recv, RecvMessage, RecvMeta, RetryPolicy, SecretKey, SendError, StreamId, StreamOptions,
};

use crate::inside;

/// Datagrams of this size fill an Ethernet frame over IPv6, as the peers of the benches use.
pub(crate) const DATAGRAM: u16 = 1452;
const BATCH: usize = 64 * 1024;
/// What the client's application sends at most before the endpoint gets its turn.
const SENDS: usize = 1000;
/// How long a datagram takes, unless told otherwise.
const ONE_WAY: Duration = Duration::from_millis(1);
/// Bytes per second in each direction unless told otherwise: a path without a limit has no steady state.
const RATE: u64 = 125_000_000;

/// What the two applications do. The client opens the one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Connecting only.
    Nothing,
    /// The client sends bytes as fast as it may, the server reads them.
    Bytes,
    /// The client sends messages of this many bytes as fast as it may.
    Messages { options: StreamOptions, len: usize },
    /// The client sends a message of this many bytes, the server returns it, and again.
    PingPong { len: usize },
}

struct Batch {
    at: Instant,
    stride: usize,
    bytes: Vec<u8>,
}

struct End {
    endpoint: Endpoint,
    address: SocketAddr,
    /// On the way to this end.
    arriving: VecDeque<Batch>,
    /// When the last of it has left the other end.
    sent_at: Instant,
    connection: Option<ConnId>,
    connected: bool,
    wake: Option<Instant>,
}

/// The two ends (client first), the network between them, and what was received so far.
pub(crate) struct Pair {
    ends: [End; 2],
    now: Instant,
    work: Work,
    stream: Option<StreamId>,
    writable: bool,
    /// One datagram in this many is lost; 0: none.
    loss: u64,
    random: u64,
    /// So many datagrams of the client in a row are lost, after each so many.
    holes: Option<(u64, u64)>,
    /// Datagrams of the client.
    pub(crate) datagrams: u64,
    /// In so many calls for transmission.
    pub(crate) batches: u64,
    /// Bytes per second in each direction.
    rate: u64,
    one_way: Duration,
    spare: Vec<Vec<u8>>,
    out: Vec<u8>,
    data: Vec<u8>,
    scratch: Vec<u8>,
    /// Bytes that reached the server's application, or messages, or, for a ping-pong, the client's.
    pub(crate) received: u64,
}

/// The server's key, to be made once: expanding it takes longer than a handshake.
pub(crate) fn server_key() -> Arc<SecretKey> {
    Arc::new(SecretKey::from_seed([1; 32]))
}

/// The time this thread has run for, where the system tells it (Linux), so that other programs disturb less.
pub(crate) fn time() -> Duration {
    static START: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.as_ref().and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

impl Pair {
    /// A client that is about to connect.
    pub(crate) fn new(key: &Arc<SecretKey>, work: Work, loss: u64) -> Self {
        Self::configured(key, work, loss, |settings| settings)
    }

    /// A client that is about to connect, with more settings for both ends.
    pub(crate) fn configured(
        key: &Arc<SecretKey>,
        work: Work,
        loss: u64,
        more: impl Fn(ConfigBuilder) -> ConfigBuilder,
    ) -> Self {
        let sizes = || more(Config::builder().initial_mtu(DATAGRAM).max_udp_payload(DATAGRAM));
        let server = sizes().server_key(key.clone()).retry(RetryPolicy::Never).build();
        let end = |config: Config, seed: u8| End {
            endpoint: Endpoint::new(Arc::new(config), Entropy::new([seed; 32])),
            address: SocketAddr::from(([127, 0, 0, seed], 4433)),
            arriving: VecDeque::new(),
            sent_at: Instant::ZERO,
            connection: None,
            connected: false,
            wake: None,
        };
        let valid = "a valid configuration";
        let mut ends = [end(sizes().build().expect(valid), 1), end(server.expect(valid), 2)];
        let now = Instant::from_nanos(1);
        let trust = ClientConfig::pinned(key.public().clone());
        let path = Path::to(ends[1].address);
        ends[0].connection = inside(|| ends[0].endpoint.connect(now, path, &trust)).ok();
        let size = if work == Work::Nothing { 0 } else { BATCH };
        Self {
            ends,
            now,
            work,
            stream: None,
            writable: false,
            loss,
            random: 1,
            holes: None,
            datagrams: 0,
            batches: 0,
            rate: RATE,
            one_way: ONE_WAY,
            spare: Vec::new(),
            out: vec![0; BATCH],
            data: vec![7; size],
            scratch: vec![0; size],
            received: 0,
        }
    }

    /// From now on each direction passes so many bytes per second, after this time.
    pub(crate) fn set_path(&mut self, rate: u64, one_way: Duration) {
        (self.rate, self.one_way) = (rate, one_way);
    }

    /// From now on the network loses `run` datagrams of the client in a row, after each `between`.
    pub(crate) fn set_holes(&mut self, between: u64, run: u64) {
        self.holes = Some((between, run));
    }

    /// What the client sends from now on, again and again.
    pub(crate) fn set_content(&mut self, content: &[u8]) {
        self.data.iter_mut().zip(content.iter().cycle()).for_each(|(to, from)| *to = *from);
    }

    /// The numbers of the client's or the server's side of the connection.
    pub(crate) fn stats(&mut self, side: usize) -> ConnStats {
        self.call(side, |connection| connection.stats())
    }

    /// Runs until `received` has grown by `amount`.
    pub(crate) fn run(&mut self, amount: u64) {
        let target = self.received + amount;
        while self.received < target {
            self.turn();
        }
    }

    /// Runs until both ends are connected.
    pub(crate) fn connect(&mut self) {
        while !self.ends.iter().all(|end| end.connected) {
            self.turn();
        }
    }

    /// Serves both ends until they are idle, then lets time pass until something happens.
    fn turn(&mut self) {
        for side in 0..2 {
            self.deliver(side);
            self.poll(side);
        }
        let arrivals = self.ends.iter().filter_map(|end| end.arriving.front().map(|batch| batch.at));
        let wakes = self.ends.iter().filter_map(|end| end.wake);
        self.now = arrivals.chain(wakes).min().expect("something is always to come").max(self.now);
    }

    fn deliver(&mut self, side: usize) {
        let [from, to] = [self.ends[1 - side].address, self.ends[side].address];
        let end = &mut self.ends[side];
        while end.arriving.front().is_some_and(|batch| batch.at <= self.now) {
            let Some(mut batch) = end.arriving.pop_front() else { break };
            let stride = NonZeroU16::new(batch.stride as u16).filter(|_| batch.bytes.len() > batch.stride);
            let path = Path { local: Some(to), remote: from };
            let meta = RecvMeta { stride, ..RecvMeta::single(path) };
            let now = self.now;
            inside(|| end.endpoint.handle_datagram(now, meta, &mut batch.bytes));
            self.spare.push(batch.bytes);
        }
    }

    fn poll(&mut self, side: usize) {
        loop {
            if side == 0 {
                self.send();
            }
            let end = &mut self.ends[side];
            let now = self.now;
            match inside(|| end.endpoint.poll(now, &mut self.out)) {
                Output::Transmit(transmit) => {
                    let mut bytes = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(BATCH));
                    bytes.clear();
                    self.batches += u64::from(side == 0);
                    for datagram in transmit.payload.chunks(transmit.segment) {
                        self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                        self.datagrams += u64::from(side == 0);
                        let hole = self.holes.filter(|_| side == 0);
                        let hole = hole.is_some_and(|(between, run)| self.datagrams % (between + run) >= between);
                        if !hole && (self.loss == 0 || !(self.random >> 33).is_multiple_of(self.loss)) {
                            bytes.extend_from_slice(datagram);
                        }
                    }
                    let takes = Duration::from_nanos(transmit.payload.len() as u64 * 1_000_000_000 / self.rate);
                    let to = &mut self.ends[1 - side];
                    to.sent_at = to.sent_at.max(now) + takes;
                    let batch = Batch { at: to.sent_at + self.one_way, stride: transmit.segment, bytes };
                    if batch.bytes.is_empty() {
                        self.spare.push(batch.bytes);
                    } else {
                        to.arriving.push_back(batch);
                    }
                }
                Output::Event(id, event) => self.event(side, id, event),
                Output::Idle { wake_at, .. } => {
                    self.ends[side].wake = wake_at;
                    return;
                }
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    fn event(&mut self, side: usize, id: ConnId, event: Event) {
        let end = &mut self.ends[side];
        end.connection = Some(id);
        match event {
            Event::Connected => {
                end.connected = true;
                self.writable = true;
                if side == 0 {
                    let options = match self.work {
                        Work::Nothing => return,
                        Work::Bytes => StreamOptions::bytes(),
                        Work::Messages { options, .. } => options,
                        Work::PingPong { .. } => StreamOptions::ordered_messages(),
                    };
                    self.stream = self.call(0, |connection| connection.open(options).ok());
                }
            }
            Event::StreamWritable(_) => self.writable = true,
            Event::StreamReadable(stream) if self.work == Work::Bytes => self.read_bytes(side, stream),
            Event::StreamReadable(stream) => self.read_messages(side, stream),
            Event::Closed => panic!("closed: {:?}", self.call(side, |connection| connection.close_reason().cloned())),
            _ => {}
        }
    }

    fn call<T>(&mut self, side: usize, work: impl FnOnce(&mut Conn<'_>) -> T) -> T {
        let end = &mut self.ends[side];
        let id = end.connection.expect("connected");
        inside(|| work(&mut end.endpoint.conn(self.now, id).expect("connected")))
    }

    /// The client's application.
    fn send(&mut self) {
        let Some(stream) = self.stream else { return };
        let data = std::mem::take(&mut self.data);
        // Best-effort messages never block: the oldest make room.
        for _ in 0..SENDS {
            if !self.writable {
                break;
            }
            let sent = match self.work {
                Work::Nothing | Work::Bytes => self.call(0, |connection| connection.send(stream, &data).map(drop)),
                Work::Messages { len, .. } | Work::PingPong { len } => self
                    .call(0, |connection| connection.send_message(stream, &data[..len], MessageOptions::new()))
                    .map(drop),
            };
            match sent {
                Ok(()) => self.writable = !matches!(self.work, Work::PingPong { .. }),
                Err(SendError::Blocked) => self.writable = false,
                Err(error) => panic!("cannot send: {error}"),
            }
        }
        self.data = data;
    }

    fn read_bytes(&mut self, side: usize, stream: StreamId) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Ok(Recv::Data(len)) = self.call(side, |connection| connection.recv(stream, &mut scratch)) {
            self.received += len as u64;
        }
        self.scratch = scratch;
    }

    fn read_messages(&mut self, side: usize, stream: StreamId) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let echo = matches!(self.work, Work::PingPong { .. }) && side == 1;
        loop {
            scratch.clear();
            let read = self.call(side, |connection| connection.recv_message(stream, &mut scratch));
            let Ok(RecvMessage::Message(_)) = read else { break };
            if echo {
                self.call(1, |connection| connection.send_message(stream, &scratch, MessageOptions::new()))
                    .expect("room for one message");
            } else {
                self.received += 1;
                self.writable = true;
            }
        }
        self.scratch = scratch;
    }
}

//! A peer is held to its rate, in bytes and in messages, and nothing reliable is lost by it.

mod support;

use std::time::Duration;

use jsp_conformance::sim::apps::{Background, BulkReceiver, BulkSender, Forever};
use jsp_conformance::sim::{App, Happening, Link, NodeId, Sim};
use jsp_proto::{
    AppCode, Config, ConfigBuilder, ConnId, Delivery, Event, MessageOptions, Outcome, RecvMessage, SendError, StreamId,
    StreamOptions,
};
use support::{MS, Pair, SECOND, pinned, server_config};

/// Faster than any rate here.
fn link() -> Link {
    Link::with_delay(MS * 20).rate(200_000_000)
}

fn pair(server: ConfigBuilder) -> (Pair, ConnId, ConnId) {
    let mut pair = Pair::with(1, link(), server, Config::builder());
    let (client, server) = pair.establish(&pinned());
    (pair, client, server)
}

/// The number at the head of a message.
fn number(message: &[u8]) -> u64 {
    message.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Sends numbered messages of one size on one stream as fast as they are taken.
struct Flood {
    node: NodeId,
    conn: ConnId,
    size: usize,
    count: u64,
    options: StreamOptions,
    tracked: bool,
    finishes: bool,
    stream: Option<StreamId>,
    sent: u64,
    expired: u64,
    delivered: u64,
}

impl Flood {
    fn new(node: NodeId, conn: ConnId, size: usize, count: u64) -> Self {
        let options = StreamOptions::ordered_messages().uni();
        let (stream, tracked, finishes) = (None, false, true);
        Self { node, conn, size, count, options, tracked, finishes, stream, sent: 0, expired: 0, delivered: 0 }
    }

    fn send(&mut self, sim: &mut Sim) {
        let Some(mut conn) = sim.conn(self.node, self.conn) else { return };
        let stream = *self.stream.get_or_insert_with(|| conn.open(self.options).expect("below the limit"));
        let mut message = vec![0; self.size];
        let options = MessageOptions::new();
        let options = if self.tracked { options.tracked() } else { options };
        while self.sent < self.count {
            message[..8].copy_from_slice(&self.sent.to_be_bytes());
            match conn.send_message(stream, &message, options) {
                Ok(_) => self.sent += 1,
                Err(SendError::Blocked) => return,
                Err(error) => panic!("{error}"),
            }
        }
        if self.finishes {
            conn.finish(stream).expect("once");
        }
    }
}

impl App for Flood {
    fn start(&mut self, sim: &mut Sim) {
        self.send(sim);
    }

    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        match happening.event_of(self.node, self.conn) {
            Some(Event::StreamWritable(_)) => self.send(sim),
            Some(Event::MessageOutcome { outcome: Outcome::Expired, .. }) => self.expired += 1,
            Some(Event::MessageOutcome { outcome, .. }) => {
                assert_eq!(outcome, Outcome::Acked);
                self.delivered += 1;
            }
            _ => {}
        }
    }
}

/// Reads messages as they may be read, from streams of all connections of a host.
struct Reader {
    node: NodeId,
    /// By `peek_message` and `consume_message`.
    peeks: bool,
    /// The numbers that came, with their streams.
    read: Vec<(ConnId, StreamId, u64)>,
    /// Times that `StreamReadable` was told.
    told: u64,
    ends: u64,
    expected_ends: u64,
}

impl Reader {
    fn new(node: NodeId) -> Self {
        Self { node, peeks: false, read: Vec::new(), told: 0, ends: 0, expected_ends: u64::MAX }
    }

    fn of(&self, stream: StreamId) -> Vec<u64> {
        self.read.iter().filter(|(_, from, _)| *from == stream).map(|(.., number)| *number).collect()
    }

    fn count(&self, conn: ConnId) -> usize {
        self.read.iter().filter(|(from, ..)| *from == conn).count()
    }

    fn next(&mut self, sim: &mut Sim, id: ConnId, stream: StreamId) -> Option<u64> {
        let mut conn = sim.conn(self.node, id)?;
        if self.peeks
            && let Some((head, tail)) = conn.peek_message(stream).ok()?
        {
            let found = number(&[head, tail].concat());
            conn.consume_message(stream).expect("it was shown");
            return Some(found);
        }
        let mut message = Vec::new();
        match conn.recv_message(stream, &mut message).ok()? {
            RecvMessage::Message(_) => Some(number(&message)),
            RecvMessage::Blocked => None,
            RecvMessage::Finished => {
                self.ends += 1;
                None
            }
            RecvMessage::Reset(code) => panic!("reset with {code}"),
        }
    }
}

impl App for Reader {
    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        let Some((conn, Event::StreamReadable(stream))) = happening.event_at(self.node) else { return };
        self.told += 1;
        while let Some(number) = self.next(sim, conn, stream) {
            self.read.push((conn, stream, number));
        }
    }

    fn done(&self) -> bool {
        self.ends >= self.expected_ends
    }
}

fn assert_near(value: f64, expected: f64) {
    assert!((value / expected - 1.0).abs() < 0.02, "{value} is not {expected}");
}

#[test]
fn a_bulk_transfer_is_held_to_the_rate() {
    const RATE: u64 = 1_000_000;
    const BURST: u64 = 400_000;
    let (mut pair, conn, theirs) =
        pair(server_config().receive_window(256 << 10, 256 << 10).rate_limit_bytes(RATE, BURST));
    let begun = pair.sim.now();
    let mut sender = Background(BulkSender::new(pair.client, conn, 1, 1 << 30));
    let mut receiver = Background(BulkReceiver::new(pair.server, 1, 1 << 30));
    let mut forever = Forever;
    pair.sim.run(SECOND * 2, &mut [&mut sender, &mut receiver, &mut forever]);
    let before = receiver.0.received();
    let sent_before = pair.sim.conn(pair.server, theirs).expect("open").stats().datagrams_sent;
    for second in 1..=10 {
        pair.sim.resume(SECOND, &mut [&mut sender, &mut receiver, &mut forever]);
        let allowed = BURST + 20_000 + RATE * (pair.sim.now() - begun).as_secs();
        assert!(receiver.0.received() <= allowed, "second {second}: {} of {allowed}", receiver.0.received());
    }
    let rate = (receiver.0.received() - before) as f64 / 10.0;
    println!("{rate} bytes per second");
    assert_near(rate, RATE as f64);
    let stats = pair.sim.conn(pair.server, theirs).expect("open").stats();
    println!("{} delays, {} datagrams", stats.credit_delays, stats.datagrams_sent - sent_before);
    assert!(stats.credit_delays > 0);
    // Credit in steps of a fiftieth of a second, and acknowledgements.
    assert!(stats.datagrams_sent - sent_before < 10 * 600, "{}", stats.datagrams_sent - sent_before);
    assert_eq!(pair.sim.conn(pair.client, conn).expect("open").close_reason(), None);
}

#[test]
fn everything_arrives_at_any_rate_and_with_any_windows() {
    for (rate, burst, window, max_window, size) in [
        (20_000, 0, 65_536, 65_536, 65_536),
        (100_000, 0, 131_072, 131_072, 65_536),
        (1_000, 0, 65_536, 65_536, 5_000),
        (50_000_000, 1 << 20, 65_536, 1 << 20, 65_536),
        (1 << 40, 1 << 40, 1 << 20, 8 << 20, 30_000),
    ] {
        let config = server_config().receive_window(window, window).max_receive_window(max_window, max_window);
        let (mut pair, conn, _) = pair(config.rate_limit_bytes(rate, burst));
        let begun = pair.sim.now();
        let count = 4 + 300_000 / size as u64 * u64::from(rate > 1_000);
        let mut flood = Flood::new(pair.client, conn, size, count);
        let mut reader = Reader { expected_ends: 1, ..Reader::new(pair.server) };
        let total = count * size as u64;
        let due = Duration::from_secs(total / rate);
        assert!(pair.sim.run(due + SECOND * 5, &mut [&mut flood, &mut reader]), "{rate} {}", reader.read.len());
        let stream = flood.stream.expect("opened");
        assert_eq!(reader.of(stream), Vec::from_iter(0..count));
        let least = total.saturating_sub(burst.max(window) + 20_000 + rate / 50) / rate;
        assert!(pair.sim.now() - begun >= Duration::from_secs(least), "rate {rate}: {:?}", pair.sim.now() - begun);
    }
}

#[test]
fn tiny_messages_are_held_to_their_rate_and_none_is_lost() {
    const RATE: u32 = 500;
    const BURST: u32 = 100;
    const COUNT: u64 = 2_000;
    for peeks in [false, true] {
        let (mut pair, conn, theirs) = pair(server_config().rate_limit_messages(RATE, BURST));
        let begun = pair.sim.now();
        let [mut a, mut b, mut c] = [(); 3].map(|()| Flood::new(pair.client, conn, 20, COUNT));
        let mut reader = Reader { peeks, expected_ends: 3, ..Reader::new(pair.server) };
        pair.sim.run(SECOND, &mut [&mut a, &mut b, &mut c, &mut reader]);
        let (before, told) = (reader.read.len(), reader.told);
        for _ in 0..10 {
            pair.sim.resume(SECOND, &mut [&mut a, &mut b, &mut c, &mut reader]);
            let allowed = u64::from(BURST) + u64::from(RATE) * (pair.sim.now() - begun).as_secs();
            assert!(reader.read.len() as u64 <= allowed, "{} of {allowed}", reader.read.len());
        }
        let rate = (reader.read.len() - before) as f64 / 10.0;
        println!("{rate} messages per second, told {} times", reader.told - told);
        assert_near(rate, f64::from(RATE));
        // The readers are told of what they can have, not again and again.
        assert!(reader.told - told <= 10 * u64::from(RATE) * 11 / 10, "{}", reader.told - told);
        // Each stream has its turn.
        let shares = [&a, &b, &c].map(|flood| reader.of(flood.stream.expect("opened")).len() as f64);
        shares.iter().for_each(|share| assert!((share - shares[0]).abs() <= f64::from(BURST), "{shares:?}"));
        let stats = pair.sim.conn(pair.server, theirs).expect("open").stats();
        assert!(stats.message_delays > 0 && stats.receive_memory <= 4 << 20, "{stats:?}");
        let all = SECOND * (3 * COUNT as u32 / RATE) + SECOND;
        assert!(pair.sim.resume(all, &mut [&mut a, &mut b, &mut c, &mut reader]), "{} messages", reader.read.len());
        for flood in [a, b, c] {
            assert_eq!(reader.of(flood.stream.expect("opened")), Vec::from_iter(0..COUNT));
        }
    }
}

/// Times a burst that counts as 10 ms of the rate, and timers of a millisecond.
#[test]
fn a_high_rate_of_messages_is_reached() {
    let (mut pair, conn, _) = pair(server_config().rate_limit_messages(20_000, 0));
    let mut flood = Flood::new(pair.client, conn, 10, 110_000);
    let mut reader = Reader { expected_ends: 1, ..Reader::new(pair.server) };
    let begun = pair.sim.now();
    assert!(pair.sim.run(SECOND * 7, &mut [&mut flood, &mut reader]), "{} messages", reader.read.len());
    assert_near((pair.sim.now() - begun).as_secs_f64(), 5.5);
}

/// Credit is held back with the messages: however long it goes on, a peer is a window ahead.
#[test]
fn unread_messages_hold_their_credit() {
    const WINDOW: u64 = 128 << 10;
    let config = server_config().receive_window(WINDOW, WINDOW).max_receive_window(WINDOW, WINDOW);
    let (mut pair, conn, _) = pair(config.rate_limit_messages(10, 0));
    let mut flood = Flood::new(pair.client, conn, 10_000, 1000);
    flood.tracked = true;
    let mut reader = Reader::new(pair.server);
    let mut forever = Forever;
    for _ in 0..10 {
        pair.sim.run(SECOND, &mut [&mut flood, &mut reader, &mut forever]);
        let ahead = flood.delivered - reader.read.len() as u64;
        assert!(ahead * 10_000 <= WINDOW, "{ahead} messages ahead");
    }
    assert_near(reader.read.len() as f64, 100.0);
}

#[test]
fn best_effort_messages_beyond_the_rate_expire_at_their_sender() {
    let limits: [fn(ConfigBuilder) -> ConfigBuilder; 2] =
        [|config| config.rate_limit_bytes(100_000, 0), |config| config.rate_limit_messages(100, 0)];
    for limit in limits {
        let config = server_config().receive_window(128 << 10, 128 << 10).max_receive_window(128 << 10, 128 << 10);
        let (mut pair, conn, _) = pair(limit(config));
        let mut flood = Flood::new(pair.client, conn, 1000, 8_000);
        flood.finishes = false;
        flood.options = StreamOptions::unordered_messages().uni().delivery(Delivery::BestEffort);
        flood.tracked = true;
        let mut reader = Reader::new(pair.server);
        // 800 a second.
        let mut forever = Forever;
        let all = std::mem::replace(&mut flood.count, 0);
        for _ in 0..100 {
            flood.count += all / 100;
            pair.sim.run(MS * 100, &mut [&mut flood, &mut reader, &mut forever]);
        }
        pair.sim.resume(SECOND * 3, &mut [&mut flood, &mut reader, &mut forever]);
        println!("{} delivered, {} expired, {} read", flood.delivered, flood.expired, reader.read.len());
        assert_eq!(flood.delivered + flood.expired, all);
        assert!(flood.expired > 6_000, "{}", flood.expired);
        // A window, and the rate for 13 seconds.
        assert!((900..1500).contains(&reader.read.len()), "{}", reader.read.len());
        let open = pair.sim.conn(pair.client, conn).map(|conn| conn.close_reason().cloned());
        assert_eq!(open, Some(None), "nothing is wrong with the connection");
    }
}

/// What one peer is held to is nothing to another one: it has its own rate, and what is below it is in time.
#[test]
fn another_connection_is_unaffected() {
    let mut pair = Pair::with(
        1,
        link(),
        server_config().rate_limit_bytes(200_000, 1 << 20).rate_limit_messages(50, 10),
        Config::builder(),
    );
    let (conn, flooded) = pair.establish(&pinned());
    let quiet_node = pair.sim.add(Config::default());
    pair.sim.link(quiet_node, pair.server, link());
    let ends = pair.sim.establish(quiet_node, pair.server, &pinned(), SECOND * 5).expect("an attempt");
    let (quiet, theirs) = ends.expect("connected");
    let mut flood = Flood::new(pair.client, conn, 30_000, u64::MAX);
    let mut pings = Flood::new(quiet_node, quiet, 100, 0);
    pings.finishes = false;
    let mut reader = Reader::new(pair.server);
    let mut forever = Forever;
    pair.sim.run(SECOND, &mut [&mut flood, &mut reader, &mut forever]);
    for sent in 0..200 {
        pings.count += 1;
        pings.send(&mut pair.sim);
        pair.sim.resume(MS * 25, &mut [&mut flood, &mut pings, &mut reader, &mut forever]);
        assert_eq!(reader.count(theirs), sent + 1, "in time");
    }
    let stats = pair.sim.conn(pair.server, theirs).expect("open").stats();
    assert_eq!((stats.credit_delays, stats.message_delays), (0, 0));
    let stats = pair.sim.conn(pair.server, flooded).expect("open").stats();
    assert!(stats.credit_delays + stats.message_delays > 0);
    assert!(reader.count(flooded) > 10);
}

#[test]
fn what_is_unread_when_the_connection_ends_can_be_read_at_once() {
    const COUNT: u64 = 500;
    let (mut pair, conn, theirs) = pair(server_config().rate_limit_messages(1, 1));
    let mut flood = Flood::new(pair.client, conn, 100, COUNT);
    let mut reader = Reader { expected_ends: 1, ..Reader::new(pair.server) };
    pair.sim.run(MS * 500, &mut [&mut flood, &mut reader, &mut Forever]);
    assert_eq!(reader.read.len(), 1);
    pair.sim.conn(pair.client, conn).expect("open").close(AppCode::ZERO, b"");
    assert!(pair.sim.resume(MS * 500, &mut [&mut flood, &mut reader]), "{} read", reader.read.len());
    assert_eq!(reader.of(flood.stream.expect("opened")), Vec::from_iter(0..COUNT));
    assert!(pair.sim.conn(pair.server, theirs).is_none_or(|conn| conn.is_closed()));
}

/// Somebody who is told of a message and does not look keeps nobody else from theirs.
#[test]
fn a_stream_that_nobody_reads_keeps_nobody_waiting() {
    let (mut pair, conn, theirs) = pair(server_config().rate_limit_messages(10, 1));
    let mut floods = [(); 2].map(|()| Flood::new(pair.client, conn, 100, 200));
    floods.iter_mut().for_each(|flood| flood.send(&mut pair.sim));
    let [ignored, read] = floods.map(|flood| flood.stream.expect("opened"));
    let server = pair.server;
    let mut message = Vec::new();
    let mut count = 0;
    let mut looked = false;
    pair.sim.run_until(SECOND * 10, |sim, happening| {
        let Some(Event::StreamReadable(stream)) = happening.event_of(server, theirs) else { return false };
        let mut conn = sim.conn(server, theirs).expect("open");
        if stream == ignored {
            // It looks once, too early, and then never again.
            let found =
                if looked { RecvMessage::Blocked } else { conn.recv_message(stream, &mut message).expect("open") };
            looked |= found == RecvMessage::Blocked;
            return false;
        }
        assert_eq!(stream, read);
        while let Ok(RecvMessage::Message(_)) = conn.recv_message(stream, &mut message) {
            count += 1;
        }
        false
    });
    assert_near(f64::from(count), 100.0);
}

/// The limit is for peers: a stream of bytes beside is as fast as ever, and so is what this side sends.
#[test]
fn the_rate_of_messages_leaves_bytes_alone() {
    let (mut pair, conn, theirs) = pair(server_config().rate_limit_messages(1, 1).rate_limit_bytes(1 << 40, 1 << 40));
    for (from, id, to) in [(pair.client, conn, pair.server), (pair.server, theirs, pair.client)] {
        let mut sender = BulkSender::new(from, id, 3, 5_000_000);
        let mut receiver = BulkReceiver::new(to, 3, 5_000_000);
        assert!(pair.sim.run(SECOND * 3, &mut [&mut sender, &mut receiver]), "{}", receiver.received());
    }
    let stats = pair.sim.conn(pair.server, theirs).expect("open").stats();
    assert_eq!((stats.credit_delays, stats.message_delays), (0, 0));
}

//! Bytes arrive as they were sent, whatever the network does, and a run repeats to the last datagram.

mod support;

use jsp_conformance::sim::apps::{BulkReceiver, BulkSender, Echo, fill_content};
use jsp_conformance::sim::{App, Happening, Host, Link, NodeId, Sim, TraceHash, seeds};
use jsp_proto::{AppCode, Config, ConnId, ConnectionError, Event, Recv, StreamId, StreamOptions};
use support::{MS, Pair, SECOND, pinned, server_config};

const MIB: u64 = 1 << 20;

fn base() -> Link {
    Link::with_delay(MS * 10).rate(100_000_000).queue(128 * 1024)
}

/// One transfer from client to server over `link` in both directions.
fn transfer(seed: u64, link: Link, len: u64) -> TraceHash {
    // Loss rates of this size may well silence a connection for half a minute; giving up is not what is tested.
    let server = server_config().idle_timeout(SECOND * 600);
    let client = Config::builder().idle_timeout(SECOND * 600).handshake_timeout(SECOND * 120);
    let mut pair = Pair::with(seed, link, server, client);
    let conn = pair.sim.connect(pair.client, pair.server, &pinned()).expect("a connection attempt");
    let mut sender = BulkSender::new(pair.client, conn, seed, len);
    let mut receiver = BulkReceiver::new(pair.server, seed, len);
    let done = pair.sim.run(SECOND * 3600, &mut [&mut sender, &mut receiver]);
    assert!(done, "{} bytes written, {} received", sender.written(), receiver.received());
    pair.sim.trace()
}

/// A hundred seeds, and the first few twice.
fn check(name: &str, link: &(dyn Fn() -> Link + Sync)) {
    seeds(name, 0..100, |seed| {
        let trace = transfer(seed, link(), MIB);
        if seed < 3 {
            assert_eq!(trace, transfer(seed, link(), MIB), "two runs with one seed differ");
        }
    });
}

#[test]
fn a_clean_link() {
    check("a_clean_link", &base);
}

#[test]
fn one_percent_lost() {
    check("one_percent_lost", &|| base().loss(0.01));
}

#[test]
fn five_percent_lost() {
    check("five_percent_lost", &|| base().loss(0.05));
}

#[test]
fn ten_percent_lost() {
    check("ten_percent_lost", &|| base().loss(0.10));
}

#[test]
fn twenty_percent_lost() {
    check("twenty_percent_lost", &|| base().loss(0.20));
}

#[test]
fn thirty_percent_lost() {
    check("thirty_percent_lost", &|| base().loss(0.30));
}

#[test]
fn bursts_of_ten_lost() {
    check("bursts_of_ten_lost", &|| base().burst_loss(0.05, 10.0));
}

#[test]
fn reordered() {
    check("reordered", &|| base().jitter(MS * 5).reorder(0.1, MS * 7));
}

#[test]
fn duplicated() {
    check("duplicated", &|| base().duplicate(0.3));
}

#[test]
fn everything_at_once() {
    check("everything_at_once", &|| {
        base().loss(0.02).burst_loss(0.02, 4.0).jitter(MS * 3).reorder(0.05, MS * 9).duplicate(0.05).corrupt(0.02)
    });
}

#[test]
fn a_shallow_queue_overflows() {
    check("a_shallow_queue_overflows", &|| Link::with_delay(MS * 20).rate(20_000_000).queue(20_000));
}

#[test]
fn a_marking_queue_is_not_overrun() {
    seeds("a_marking_queue_is_not_overrun", 0..20, |seed| {
        let link = Link::with_delay(MS * 20).rate(20_000_000).queue(200_000).mark_above(30_000);
        let mut pair = Pair::new(seed, link);
        let conn = pair.sim.connect(pair.client, pair.server, &pinned()).expect("a connection attempt");
        let mut sender = BulkSender::new(pair.client, conn, seed, 4 * MIB);
        let mut receiver = BulkReceiver::new(pair.server, seed, 4 * MIB);
        assert!(pair.sim.run(SECOND * 60, &mut [&mut sender, &mut receiver]));
        let stats = pair.sim.link_stats(pair.client, pair.server);
        assert!(stats.marked > 0 && stats.overflowed == 0, "{stats:?}");
    });
}

/// Datagrams go out and come in by the batch, and a batch may hold anything that the network does to its parts.
#[test]
fn received_in_batches() {
    seeds("received_in_batches", 0..50, |seed| {
        let mut sim = Sim::new(seed);
        let server = sim.add_host(Host::new(server_config().build().expect("valid")).coalesce());
        let client = sim.add_host(Host::new(Config::default()).coalesce().segments(40));
        sim.link(client, server, Link::with_delay(MS * 10).loss(0.02).duplicate(0.02).corrupt(0.02));
        let conn = sim.connect(client, server, &pinned()).expect("a connection attempt");
        let mut sender = BulkSender::new(client, conn, seed, MIB);
        let mut receiver = BulkReceiver::new(server, seed, MIB);
        assert!(sim.run(SECOND * 60, &mut [&mut sender, &mut receiver]));
        // What is still on its way.
        sim.run_for(SECOND);
        let stats = sim.link_stats(client, server);
        assert_eq!(sim.endpoint(server).stats().datagrams_received, stats.delivered, "every part counts");
    });
}

/// Closing right after writing loses nothing, whether the peer reads at once or only when the connection is over.
#[test]
fn close_delivers_what_was_written() {
    seeds("close_delivers_what_was_written", 0..100, |seed| {
        let reads_late = seed % 2 == 1;
        let len = if reads_late { 40_000 } else { 400_000 };
        let mut pair = Pair::new(seed, base().loss(0.15));
        let limit = SECOND * 30;
        let ends = pair.sim.establish(pair.client, pair.server, &pinned(), limit).expect("an attempt");
        let Some((client, server)) = ends else { return };
        let mut content = vec![0; len];
        fill_content(seed, 0, &mut content);
        let mut conn = pair.sim.conn(pair.client, client).expect("open");
        let stream = conn.open(StreamOptions::bytes()).expect("below the limit");
        assert_eq!(conn.send(stream, &content), Ok(len));
        conn.finish(stream).expect("not finished yet");
        conn.close(AppCode::new(5), b"done");
        assert!(conn.send(stream, b"more").is_err());

        let mut receiver = BulkReceiver::new(pair.server, seed, len as u64);
        let mut kept = Vec::new();
        let closed = pair.sim.run_until(SECOND * 600, |sim, happening| {
            if reads_late {
                kept.push(happening.clone());
            } else {
                receiver.on(sim, happening);
            }
            happening.event_of(pair.server, server) == Some(Event::Closed)
        });
        assert!(closed.is_some(), "the peer hears of the end");
        let reason = pair.sim.conn(pair.server, server).and_then(|conn| conn.close_reason().cloned());
        // The farewell itself may get lost, and is repeated only to a peer that still says something.
        let told = ConnectionError::PeerClosed { code: AppCode::new(5), reason: b"done"[..].into() };
        let silent = ConnectionError::IdleTimeout { after: SECOND * 30 };
        assert!(!reads_late || reason.as_ref() == Some(&told) || reason == Some(silent), "{reason:?}");
        kept.iter().for_each(|happening| receiver.on(&mut pair.sim, happening));
        assert!(receiver.done(), "{} of {len} bytes", receiver.received());
        pair.sim.run_for(SECOND * 60);
        let left = [pair.client, pair.server].map(|node| pair.sim.endpoint(node).connections());
        assert_eq!(left, [0, 0], "nothing is left of it");
    });
}

/// Thirty clients, each on a host of its own, send to one server at once.
#[test]
fn many_clients_at_once() {
    const CLIENTS: usize = 30;
    seeds("many_clients_at_once", 0..4, |seed| {
        let mut sim = Sim::new(seed);
        sim.default_link(Link::with_delay(MS * 15).rate(20_000_000).queue(64 * 1024).loss(0.03));
        let server = sim.add(server_config().build().expect("valid"));
        let connect = |sim: &mut Sim| {
            let client = sim.add(Config::default());
            (client, sim.connect(client, server, &pinned()).expect("a connection attempt"))
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| connect(&mut sim)).collect();
        let sender = |&(client, conn): &(NodeId, ConnId)| BulkSender::new(client, conn, seed, 100_000);
        let mut senders: Vec<_> = clients.iter().map(sender).collect();
        let mut receiver = BulkReceiver::new(server, seed, 100_000).streams(CLIENTS);
        let mut apps: Vec<&mut dyn App> = senders.iter_mut().map(|sender| sender as &mut dyn App).collect();
        apps.push(&mut receiver);
        assert!(sim.run(SECOND * 60, &mut apps));
        assert_eq!(sim.endpoint(server).connections(), CLIENTS);
    });
}

#[test]
fn different_seeds_give_different_traces() {
    assert_ne!(transfer(1, base(), 10_000), transfer(2, base(), 10_000));
}

/// Writes on ten streams at once and compares what comes back.
struct EchoClient {
    node: NodeId,
    conn: ConnId,
    streams: Vec<(StreamId, Vec<u8>)>,
    open: usize,
}

impl EchoClient {
    const STREAMS: usize = 10;

    fn text(index: usize) -> Vec<u8> {
        format!("stream {index} ").repeat(500 * (index + 1)).into_bytes()
    }
}

impl App for EchoClient {
    fn start(&mut self, sim: &mut Sim) {
        let mut conn = sim.conn(self.node, self.conn).expect("open");
        for index in 0..Self::STREAMS {
            let stream = conn.open(StreamOptions::bytes().priority(index as u8 * 20)).expect("below the limit");
            let text = Self::text(index);
            assert_eq!(conn.send(stream, &text), Ok(text.len()), "the send buffer is large enough");
            conn.finish(stream).expect("not finished yet");
            self.streams.push((stream, Vec::new()));
        }
    }

    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        let Some(Event::StreamReadable(stream)) = happening.event_of(self.node, self.conn) else { return };
        let mut conn = sim.conn(self.node, self.conn).expect("open");
        let index = self.streams.iter().position(|(id, _)| *id == stream).expect("one of ours");
        let mut chunk = [0; 1_000];
        loop {
            match conn.recv(stream, &mut chunk).expect("readable") {
                Recv::Data(len) => self.streams[index].1.extend_from_slice(&chunk[..len]),
                Recv::Blocked => return,
                Recv::Finished => break,
                Recv::Reset(code) => panic!("reset with {code}"),
            }
        }
        assert!(self.streams[index].1 == Self::text(index), "stream {index} came back wrong");
        self.open -= 1;
    }

    fn done(&self) -> bool {
        self.open == 0
    }
}

#[test]
fn ten_streams_come_back() {
    seeds("ten_streams_come_back", 0..20, |seed| {
        let mut pair = Pair::new(seed, base().loss(0.05));
        let limit = SECOND * 10;
        let ends = pair.sim.establish(pair.client, pair.server, &pinned(), limit).expect("an attempt");
        let (conn, _) = ends.expect("a connection");
        let mut client = EchoClient { node: pair.client, conn, streams: Vec::new(), open: EchoClient::STREAMS };
        let mut echo = Echo::new(pair.server);
        assert!(pair.sim.run(SECOND * 60, &mut [&mut client, &mut echo]));
    });
}

//! Sessions to be recorded: what went over the network, the key log, and what it means according to those who sent it.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jsp_conformance::sim::{Happening, Host, Link, NodeId, Passing, Sim, Tapped};
use jsp_proto::driver::KeyLog;
use jsp_proto::{
    AppCode, ClientConfig, Compression, Config, ConfigBuilder, ConnId, Delivery, Event, Fec, Instant, KeyFetch,
    MessageOptions, Observation, Observer, RecvMessage, RetryPolicy, SecretKey, Side, StreamId, StreamKind,
    StreamOptions,
};
use serde_json::Value;

use crate::meaning;

/// How the client gets to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// It has the key, and must prove its address.
    Retry,
    /// It has the fingerprint only.
    KeyFetch,
}

/// One datagram as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    pub(crate) at: Instant,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) sender: Side,
    pub(crate) bytes: Vec<u8>,
    /// The network lost it.
    pub(crate) lost: bool,
}

/// A recorded session.
pub(crate) struct Session {
    pub(crate) datagrams: Vec<Datagram>,
    pub(crate) key_log: String,
    /// What each datagram is, in the form of `conformance/vectors/trace/README.md`.
    pub(crate) meaning: Vec<Value>,
}

struct Shared<T>(Arc<Mutex<T>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Default> Default for Shared<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Shared<T> {
    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.0.lock().expect("no panic"))
    }
}

impl Write for Shared<Vec<u8>> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|all| all.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Notes each packet with frames that its end sends.
#[derive(Clone, Default)]
struct Witness(Shared<VecDeque<Value>>);

impl Observer for Witness {
    fn observe(&mut self, _: Instant, _: ConnId, what: &Observation<'_>) {
        if let Observation::PacketSent(packet) = what {
            self.0.with(|packets| packets.push_back(meaning::of_packet(packet)));
        }
    }
}

pub(crate) fn key() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

fn config(builder: ConfigBuilder) -> Config {
    let builder = builder.accept_compressed(true).danger_export_secrets_to_observer(true);
    builder.build().expect("a valid configuration")
}

/// Runs a session from the handshake to the last farewell. The same seed gives the same bytes.
pub(crate) fn record(seed: u64, start: Start) -> Session {
    let mut sim = Sim::new(seed);
    let client = sim.add(config(Config::builder()));
    let server = Config::builder().server_key(key()).key_fetch(KeyFetch::KnownFingerprint);
    let server = sim.add(config(server.retry(RetryPolicy::Always)));
    sim.link(client, server, Link::with_delay(Duration::from_millis(10)).rate(20_000_000));
    let witnesses = [Witness::default(), Witness::default()];
    let logs: [Shared<Vec<u8>>; 2] = Default::default();
    for (node, (witness, log)) in [client, server].into_iter().zip(witnesses.iter().zip(&logs)) {
        let log = KeyLog::new(log.clone(), |error| panic!("memory does not fail: {error}"));
        sim.endpoint(node).set_observer(Some(Box::new((witness.clone(), log))));
    }
    let tape = Shared::<Tape>::default();
    tape.clone().listen(&mut sim, client, server);
    let trust = match start {
        Start::Retry => ClientConfig::pinned(key().public().clone()),
        Start::KeyFetch => ClientConfig::fingerprints([key().public().key_id()]),
    };
    let (conn, _) =
        sim.establish(client, server, &trust, Duration::from_secs(10)).expect("an attempt").expect("an end");
    Talk { sim, client, server, conn, tape: tape.clone() }.all(start);

    let datagrams = tape.with(|tape| std::mem::take(&mut tape.datagrams));
    let [ours, theirs] = logs.map(|log| String::from_utf8(log.with(std::mem::take)).expect("text"));
    assert_eq!(ours, theirs, "both ends log the same");
    let sent = witnesses.map(|witness| witness.0.with(std::mem::take));
    Session { meaning: meaning::of_session(&datagrams, sent), datagrams, key_log: ours }
}

#[derive(Default)]
struct Tape {
    datagrams: Vec<Datagram>,
    /// Where the client has moved.
    moved: Option<SocketAddr>,
    /// One of the client's large datagrams gets lost after so many others.
    loses_after: Option<u32>,
}

impl Shared<Tape> {
    fn listen(self, sim: &mut Sim, client: NodeId, server: NodeId) {
        let (ours, theirs) = (sim.address(client), sim.address(server));
        sim.tap(move |passing: &Passing, bytes: &mut Vec<u8>| {
            self.with(|tape| {
                // What goes to the address that the client has left goes to nobody.
                let moved = tape.moved.filter(|_| passing.from == client || passing.to == client);
                let ours = moved.unwrap_or(ours);
                let (sender, from, to) =
                    if passing.from == client { (Side::Client, ours, theirs) } else { (Side::Server, theirs, ours) };
                let counts = sender == Side::Client && bytes.len() > 500;
                let lost = counts && tape.loses_after == Some(0);
                if counts {
                    tape.loses_after = tape.loses_after.and_then(|left| left.checked_sub(1));
                }
                tape.datagrams.push(Datagram { at: passing.now, from, to, sender, bytes: bytes.clone(), lost });
                if lost { Tapped::Drop } else { Tapped::Pass }
            })
        });
    }
}

/// What the two say to each other.
struct Talk {
    sim: Sim,
    client: NodeId,
    server: NodeId,
    conn: ConnId,
    tape: Shared<Tape>,
}

impl Talk {
    fn all(mut self, start: Start) {
        self.bytes();
        if start == Start::KeyFetch {
            self.another_address();
        }
        self.protected_messages();
        self.messages_of_each_mode();
        self.a_stream_that_ends_early();
        self.new_keys();
        self.sim.conn(self.client, self.conn).expect("open").close(AppCode::new(7), b"that is all");
        self.wait(1000);
    }

    fn open(&mut self, options: StreamOptions) -> StreamId {
        self.sim.conn(self.client, self.conn).expect("open").open(options).expect("a stream")
    }

    fn say(&mut self, stream: StreamId, message: &[u8], delivery: Delivery) {
        let mut conn = self.sim.conn(self.client, self.conn).expect("open");
        conn.send_message(stream, message, MessageOptions::new().delivery(delivery)).expect("an empty buffer");
    }

    /// Lets time pass, while the server reads whatever comes and answers on streams of bytes.
    fn wait(&mut self, millis: u64) {
        let server = self.server;
        self.sim.run_until(Duration::from_millis(millis), |sim, happening| {
            read(sim, server, happening);
            false
        });
    }

    fn bytes(&mut self) {
        let stream = self.open(StreamOptions::bytes());
        let mut conn = self.sim.conn(self.client, self.conn).expect("open");
        let text: Vec<u8> = (0..5000u32).map(|n| (n % 251) as u8).collect();
        assert_eq!(conn.send(stream, &text), Ok(text.len()));
        conn.finish(stream).expect("open");
        self.wait(100);
    }

    /// Packets have other connection ids from then on.
    fn another_address(&mut self) {
        let address: SocketAddr = ([10, 9, 9, 9], 999).into();
        let before = self.sim.address(self.client);
        self.sim.readdress(self.client, address);
        self.sim.add_host(Host::raw().address(before));
        self.tape.with(|tape| tape.moved = Some(address));
        self.sim.conn(self.client, self.conn).expect("open").migrate(address).expect("allowed");
        self.bytes();
    }

    /// Two blocks of four packets with two of parity each; one packet is lost and repaired.
    fn protected_messages(&mut self) {
        let stream = self.open(StreamOptions::unordered_messages().fec(Fec::On { sources: 4, parity: 2 }));
        // The first packet may be too full to be protected.
        self.tape.with(|tape| tape.loses_after = Some(1));
        for n in 0..8 {
            self.say(stream, &[n; 900], Delivery::Reliable);
        }
        self.wait(200);
    }

    fn messages_of_each_mode(&mut self) {
        let ordered = self.open(StreamOptions::ordered_messages().priority(200));
        self.say(ordered, b"this arrives", Delivery::Reliable);
        self.wait(20);
        self.tape.with(|tape| tape.loses_after = Some(0));
        self.say(ordered, &[0x5a; 2500], Delivery::BestEffort);
        self.say(ordered, &[0xa5; 600], Delivery::PartiallyReliable { ttl: Duration::from_millis(500) });
        self.wait(300);
        let packed = self.open(StreamOptions::unordered_messages().uni().compression(Compression::Adaptive));
        self.say(packed, &b"say it again, ".repeat(60), Delivery::Reliable);
        self.wait(100);
    }

    fn a_stream_that_ends_early(&mut self) {
        let stream = self.open(StreamOptions::bytes().uni());
        let mut conn = self.sim.conn(self.client, self.conn).expect("open");
        conn.send(stream, b"never mind").expect("an empty buffer");
        self.wait(50);
        self.sim.conn(self.client, self.conn).expect("open").reset(stream, AppCode::new(3)).expect("open");
        self.wait(50);
    }

    /// Twice, so that both phase bits come again.
    fn new_keys(&mut self) {
        for n in 0..2 {
            self.sim.conn(self.client, self.conn).expect("open").update_keys().expect("the one before is complete");
            let stream = self.open(StreamOptions::bytes());
            let mut conn = self.sim.conn(self.client, self.conn).expect("open");
            conn.send(stream, &[n; 10]).expect("an empty buffer");
            conn.finish(stream).expect("open");
            self.wait(4000);
        }
    }
}

/// Reads a stream at the server empty; a stream of bytes that is over gets an answer.
fn read(sim: &mut Sim, server: NodeId, happening: &Happening) {
    let Some((conn, Event::StreamReadable(stream))) = happening.event_at(server) else { return };
    let Some(mut conn) = sim.conn(server, conn) else { return };
    if stream.kind() != StreamKind::Bytes {
        while let Ok(RecvMessage::Message(_)) = conn.recv_message(stream, &mut Vec::new()) {}
        return;
    }
    let mut buffer = [0; 8192];
    while let Ok(jsp_proto::Recv::Data(_)) = conn.recv(stream, &mut buffer) {}
    if let Ok(jsp_proto::Recv::Finished) = conn.recv(stream, &mut buffer) {
        let _ = conn.send(stream, &[0xee; 1500]);
        let _ = conn.finish(stream);
    }
}

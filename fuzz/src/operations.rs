//! Two endpoints on a simulated network, and what programs do on them: every call of a connection in any order, in a
//! network that loses, repeats and delays, while addresses change. What arrives must be what was sent.

mod ledger;

use std::net::SocketAddr;
use std::time::Duration;

use jsp_conformance::sim::{Happening, Link, NodeId, Sim};
use jsp_proto::{
    AppCode, AppState, Compression, Config, ConfigBuilder, Congestion, Conn, ConnId, ConnectionError, Delivery, Event,
    Fec, Network, OpenError, StreamId, StreamOptions,
};

use crate::input::Input;
use crate::sealed::{pinned, server_key};
use ledger::Ledger;

const MS: Duration = Duration::from_millis(1);
/// The most that one end takes in before it is read.
const WINDOW: u64 = 256 << 10;
/// The most bytes that a script sends on all streams.
const MOST: usize = 300_000;

/// An end of the connection.
struct End {
    node: NodeId,
    conn: ConnId,
    /// Streams that it may try things with, its own and the peer's.
    streams: Vec<StreamId>,
    /// Why its connection ended.
    reason: Option<ConnectionError>,
    /// It ended the connection itself.
    closed: bool,
}

struct World {
    sim: Sim,
    ends: [End; 2],
    /// Of what each end sends.
    ledgers: [Ledger; 2],
    sent: usize,
    moves: u8,
    lossy: bool,
}

fn builder(input: &mut Input<'_>) -> ConfigBuilder {
    let builder = Config::builder().receive_window(WINDOW, WINDOW / 2).max_receive_window(WINDOW, WINDOW / 2);
    let builder = builder.send_buffer(WINDOW, WINDOW / 2).max_streams(8).accept_compressed(input.flag());
    let controllers = [
        Congestion::Bbr,
        Congestion::Cubic,
        Congestion::FixedRateWithoutCongestionControl { bytes_per_second: 1 << 20 },
    ];
    builder.congestion(controllers[input.below(3)]).grease(input.flag()).idle_timeout(Duration::from_secs(300))
}

fn link(input: &mut Input<'_>) -> Link {
    let link = Link::with_delay(MS * u32::from(input.u8() % 64)).rate(4_000_000 + 100_000 * u64::from(input.u8()));
    let mut part = |most: u8| f64::from(input.u8() % most) / 256.0;
    let link = link.loss(part(64)).duplicate(part(32)).reorder(part(64), MS * 15);
    link.corrupt(part(16)).jitter(MS * u32::from(input.u8() % 8)).queue(100_000)
}

impl World {
    fn new(input: &mut Input<'_>) -> Option<Self> {
        let mut sim = Sim::new(u64::from(input.u8()));
        let server = builder(input).server_key(server_key().clone()).build().expect("valid");
        let client = builder(input).build().expect("valid");
        let (server, client) = (sim.add(server), sim.add(client));
        let lossy = input.flag();
        let link = if lossy { link(input) } else { Link::with_delay(MS * 10).rate(20_000_000).queue(200_000) };
        sim.link(client, server, link);
        let ids = sim.establish(client, server, &pinned(), Duration::from_secs(30)).expect("an attempt")?;
        let end = |node, conn| End { node, conn, streams: Vec::new(), reason: None, closed: false };
        let ends = [end(client, ids.0), end(server, ids.1)];
        Some(Self { sim, ends, ledgers: [Ledger::default(), Ledger::default()], sent: 0, moves: 0, lossy })
    }

    fn conn(&mut self, at: usize) -> Option<Conn<'_>> {
        self.sim.conn(self.ends[at].node, self.ends[at].conn)
    }

    /// One of the streams that this end knows.
    fn stream(&self, at: usize, input: &mut Input<'_>) -> Option<StreamId> {
        let streams = &self.ends[at].streams;
        (!streams.is_empty()).then(|| streams[input.below(streams.len())])
    }

    fn run(&mut self, time: Duration) {
        let end = self.sim.now() + time;
        while let Some(happening) = self.sim.next(end) {
            self.on(&happening);
        }
    }

    fn on(&mut self, happening: &Happening) {
        for at in 0..2 {
            let (node, conn) = (self.ends[at].node, self.ends[at].conn);
            match happening.event_of(node, conn) {
                Some(Event::StreamOpened(stream)) => self.ends[at].streams.push(stream),
                Some(Event::Closed) => {
                    let reason = self.sim.conn(node, conn).and_then(|conn| conn.close_reason().cloned());
                    assert!(self.ends[at].reason.is_none(), "it ends once");
                    self.ends[at].reason = reason;
                }
                Some(Event::MessageOutcome { id, outcome, .. }) => self.ledgers[at].outcome(id, outcome),
                Some(Event::StreamFinished(stream)) => self.ledgers[at].finished_sending(stream),
                _ => {}
            }
        }
    }

    /// The client has another address, which it is told of or not.
    fn move_client(&mut self, knows: bool) {
        self.moves = self.moves.wrapping_add(1);
        let address = SocketAddr::from(([198, 51, 100, self.moves], 4433));
        let client = self.ends[0].node;
        if knows {
            self.sim.readdress(client, address);
            let now = self.sim.now();
            self.sim.endpoint(client).rebind(now, Some(address));
        } else {
            self.sim.rebind(client, address);
        }
    }

    fn open(&mut self, at: usize, input: &mut Input<'_>) {
        let options = options(input);
        match self.conn(at).map(|mut conn| conn.open(options)) {
            Some(Ok(stream)) => {
                assert!(!self.ends[at].streams.contains(&stream), "an id is used once");
                self.ends[at].streams.push(stream);
            }
            Some(Err(error)) => assert!(error != OpenError::Fec, "the script stays within its bounds"),
            None => {}
        }
    }

    fn send(&mut self, at: usize, input: &mut Input<'_>) {
        let Some(stream) = self.stream(at, input) else { return };
        let len = match input.below(4) {
            0 => input.below(40),
            1 => input.below(1500),
            _ => input.below(16_384),
        };
        if self.sent + len > MOST {
            return;
        }
        self.sent += len;
        let how = (input.flag().then(|| delivery(input)), input.flag());
        let World { sim, ends, ledgers, .. } = self;
        let Some(mut conn) = sim.conn(ends[at].node, ends[at].conn) else { return };
        ledgers[at].send(&mut conn, stream, len, how);
    }

    fn read(&mut self, at: usize, stream: StreamId, most: usize) {
        let World { sim, ends, ledgers, .. } = self;
        let Some(mut conn) = sim.conn(ends[at].node, ends[at].conn) else { return };
        ledgers[1 - at].read(&mut conn, stream, most);
    }

    fn read_all(&mut self) {
        for at in 0..2 {
            for stream in self.ends[at].streams.clone() {
                self.read(at, stream, usize::MAX);
            }
        }
    }

    fn check(&mut self) {
        for at in 0..2 {
            let Some(conn) = self.conn(at) else { continue };
            let stats = conn.stats();
            assert!(stats.receive_memory <= 4 * WINDOW, "{} bytes for what was received", stats.receive_memory);
            assert!(stats.send_buffered <= 2 * WINDOW, "{} bytes wait", stats.send_buffered);
            assert!(stats.bytes_in_flight <= stats.bytes_sent);
        }
    }
}

fn delivery(input: &mut Input<'_>) -> Delivery {
    match input.below(3) {
        0 => Delivery::Reliable,
        1 => Delivery::BestEffort,
        _ => Delivery::PartiallyReliable { ttl: MS * (u32::from(input.u8()) + 1) },
    }
}

fn fec(input: &mut Input<'_>) -> Fec {
    match input.below(3) {
        0 => Fec::Off,
        1 => Fec::Auto,
        _ => Fec::On { sources: input.u8() % 64 + 1, parity: input.u8() % 32 + 1 },
    }
}

fn compression(input: &mut Input<'_>) -> Compression {
    [Compression::Off, Compression::Adaptive, Compression::AdaptivePadded][input.below(3)]
}

fn options(input: &mut Input<'_>) -> StreamOptions {
    let mut options = match input.below(3) {
        0 => StreamOptions::bytes(),
        1 => StreamOptions::ordered_messages().delivery(delivery(input)),
        _ => StreamOptions::unordered_messages().delivery(delivery(input)),
    };
    if input.flag() {
        options = options.uni();
    }
    let bits = input.u8();
    if bits & 1 != 0 {
        options = options.compression(compression(input));
    }
    if bits & 2 != 0 {
        options = options.fec(fec(input));
    }
    options.priority(input.u8())
}

/// What is done to the connection as a whole.
fn connection(world: &mut World, at: usize, input: &mut Input<'_>) {
    let choice = input.below(10);
    match choice {
        0 | 1 => {
            world.move_client(choice == 1);
            return;
        }
        2 => {
            let link = link(input);
            let [client, server] = [world.ends[0].node, world.ends[1].node];
            world.sim.link(client, server, link);
            world.lossy = true;
            return;
        }
        _ => {}
    }
    let number = input.u8();
    let Some(mut conn) = world.conn(at) else { return };
    match choice {
        3 => drop(conn.update_keys()),
        4 => conn
            .set_network([Network::Unknown, Network::Ethernet, Network::Wifi, Network::Cellular][number as usize % 4]),
        5 => conn.set_app_state(if number & 1 == 0 { AppState::Foreground } else { AppState::Background }),
        6 => conn.set_congestion(if number & 1 == 0 { Congestion::Bbr } else { Congestion::Cubic }),
        7 => {
            let (mut a, mut b) = ([0; 32], [0; 32]);
            let exported = conn.export_key(b"label", &[number], &mut a).is_ok();
            let peer = world.conn(1 - at).is_some_and(|conn| conn.export_key(b"label", &[number], &mut b).is_ok());
            assert!(!exported || !peer || a == b, "both ends export one key");
        }
        8 if number & 7 == 7 => {
            conn.close(AppCode::new(number.into()), b"enough");
            world.ends[at].closed = true;
        }
        9 if number & 15 == 15 => {
            conn.abort(AppCode::new(number.into()), b"at once");
            world.ends[at].closed = true;
            world.ledgers.iter_mut().for_each(Ledger::abort);
        }
        _ => {}
    }
}

/// One line of the script.
fn step(world: &mut World, input: &mut Input<'_>) {
    let choice = input.u8();
    let at = usize::from(choice >> 7);
    match choice % 16 {
        0 | 1 => world.open(at, input),
        2..7 => world.send(at, input),
        7 | 8 => {
            if let Some(stream) = world.stream(at, input) {
                world.read(at, stream, input.below(16) + 1);
            }
        }
        9 | 10 => world.run(MS * u32::from(input.u8()) * 4),
        11 => connection(world, at, input),
        kind => {
            let Some(stream) = world.stream(at, input) else { return };
            let number = input.u8();
            let (code, World { sim, ends, ledgers, .. }) = (AppCode::new(number.into()), world);
            let Some(mut conn) = sim.conn(ends[at].node, ends[at].conn) else { return };
            match kind {
                12 => ledgers[at].finish(&mut conn, stream),
                13 if number & 3 == 3 && conn.reset(stream, code).is_ok() => ledgers[at].give_up(stream),
                14 if number & 3 == 3 && conn.stop(stream, code).is_ok() => ledgers[1 - at].give_up(stream),
                15 => {
                    let _ = conn.set_priority(stream, number);
                    let _ = conn.set_fec(stream, fec(input));
                    let _ = conn.set_compression(stream, compression(input));
                }
                _ => {}
            }
        }
    }
}

/// Plays the input's script, then lets everything arrive, and closes.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let Some(mut world) = World::new(&mut input) else { return };
    for _ in 0..150 {
        if input.is_empty() {
            break;
        }
        step(&mut world, &mut input);
        world.check();
    }
    // The network becomes good, and the ends stay where they are.
    let [client, server] = [world.ends[0].node, world.ends[1].node];
    world.sim.link(client, server, Link::with_delay(MS * 5));
    // Who has moved without knowing speaks, so that the other end finds it again.
    if world.moves > 0 {
        world.move_client(true);
    }
    for _ in 0..60 {
        world.run(MS * 200);
        world.read_all();
    }
    let alive = world.ends.iter().all(|end| end.reason.is_none() && !end.closed);
    let by_themselves = world.ends.iter().all(|end| !end.closed);
    if by_themselves && !world.lossy {
        assert!(alive, "{:?} {:?}", world.ends[0].reason, world.ends[1].reason);
    }
    // Whoever is gone and did not get through with its goodbye answers with a reset.
    let gone = !by_themselves || world.lossy;
    for end in &world.ends {
        let broken = matches!(end.reason, Some(ConnectionError::Protocol { .. } | ConnectionError::PeerError { .. }));
        assert!(!broken, "honest ends break no rule: {:?}", end.reason);
        assert!(gone || end.reason != Some(ConnectionError::Reset), "nobody was gone");
    }
    if alive {
        world.ledgers.iter_mut().for_each(Ledger::settle);
    }
    for at in 0..2 {
        if let Some(mut conn) = world.conn(at) {
            conn.close(AppCode::ZERO, b"");
        }
    }
    world.run(Duration::from_secs(120));
    assert!(world.sim.endpoint(client).is_idle() && world.sim.endpoint(server).is_idle());
}

//! Forward error correction does not change what arrives, and the theory that the tables of `fec-table` are compared
//! with is right.

use std::time::Duration;

use jsp_conformance::fec::exact::{Loss, block, residual};
use jsp_conformance::sim::apps::{BulkReceiver, BulkSender, check_content, fill_content};
use jsp_conformance::sim::{App, Happening, Link, NodeId, Sim, TimerId};
use jsp_proto::{
    ClientConfig, Config, ConnId, Event, Fec, MessageOptions, RecvMessage, SecretKey, StreamId, StreamKind,
    StreamOptions,
};
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The tables of the specification, section 5.7.
mod theory {
    use super::*;

    const LOSS: [f64; 4] = [0.01, 0.05, 0.1, 0.2];

    /// Whether a figure in percent is this value rounded to so many digits after the point.
    fn rounds_to(value: f64, figure: &str) -> bool {
        let digits = figure.split_once('.').map_or(0, |(_, digits)| digits.len());
        format!("{:.digits$}", 100.0 * value) == figure
    }

    #[test]
    fn independent_losses() {
        let table = [
            (10, 2, ["0.005", "0.51", "3.0", "13.6"], ["0.02", "2.0", "11", "44"]),
            (10, 3, ["0.0002", "0.10", "1.1", "8.8"], ["0.001", "0.3", "3.4", "25"]),
            (10, 4, ["0.0000", "0.016", "0.34", "5.1"], ["0.0000", "0.04", "0.9", "13"]),
            (10, 6, ["0", "0.0003", "0.02", "1.2"], ["0", "0.001", "0.05", "2.7"]),
            (10, 8, ["0", "0", "0.001", "0.22"], ["0", "0", "0.002", "0.4"]),
            (20, 8, ["0", "0.0002", "0.04", "3.1"], ["0", "0.001", "0.12", "9"]),
            (20, 12, ["0", "0", "0.0002", "0.25"], ["0", "0", "0.001", "0.6"]),
            (32, 16, ["0", "0", "0.0001", "0.34"], ["0", "0", "0.000", "0.9"]),
            (64, 32, ["0", "0", "0", "0.025"], ["0", "0", "0", "0.07"]),
        ];
        for (sources, parity, left, failing) in table {
            for ((loss, left), failing) in LOSS.into_iter().zip(left).zip(failing) {
                let block = block(sources, parity, Loss::random(loss));
                assert!(rounds_to(block.residual, left), "{sources}+{parity} {loss}: {} {left}", block.residual);
                assert!(rounds_to(block.failure, failing), "{sources}+{parity} {loss}: {} {failing}", block.failure);
                assert!(rounds_to(residual(sources, parity, loss), left));
            }
        }
    }

    #[test]
    fn losses_in_bursts() {
        let table = [
            (10, 2, 2.0, 1, ["0.48", "2.7", "6.2", "15.2"]),
            (10, 2, 3.0, 1, ["0.70", "3.7", "7.7", "16.7"]),
            (10, 2, 5.0, 1, ["0.86", "4.3", "8.8", "18.1"]),
            (10, 4, 3.0, 1, ["0.40", "2.2", "4.9", "12.0"]),
            (20, 8, 3.0, 1, ["0.13", "0.94", "2.7", "9.2"]),
            (32, 16, 3.0, 1, ["0.0105", "0.14", "0.68", "4.5"]),
            (10, 2, 3.0, 4, ["0.12", "1.2", "4.1", "14.0"]),
            (10, 4, 3.0, 4, ["0.009", "0.17", "0.94", "6.2"]),
            (20, 8, 3.0, 4, ["0.000", "0.011", "0.20", "4.1"]),
        ];
        for (sources, parity, length, step, left) in table {
            for (loss, left) in LOSS.into_iter().zip(left) {
                let share = block(sources, parity, Loss { step, ..Loss::bursts(loss, length) }).residual;
                assert!(rounds_to(share, left), "{sources}+{parity} {loss} {length} {step}: {share} {left}");
            }
        }
    }
}

/// A network that does everything but break connections.
#[derive(Clone, Copy, Debug)]
struct Network {
    seed: u64,
    loss: f64,
    burst: f64,
    duplicate: f64,
    reorder: f64,
    late: Duration,
    one_way: Duration,
    rate: u64,
}

/// What is sent over it, by either side.
#[derive(Clone, Debug)]
struct Work {
    by_server: bool,
    bytes: u64,
    bytes_fec: Fec,
    messages: Vec<(usize, Duration)>,
    messages_fec: Fec,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    max_overhead: u16,
    max_delay: Duration,
    max_symbols: u16,
}

fn network() -> impl Strategy<Value = Network> {
    let rate = prop_oneof![Just(2_000_000u64), Just(20_000_000), Just(200_000_000)];
    let losses = (0.0..0.3, prop_oneof![Just(1.0), 1.5..5.0]);
    (any::<u64>(), losses, 0.0..0.2, 0.0..0.3, 0..80u32, 1..60u32, rate).prop_map(
        |(seed, (loss, burst), duplicate, reorder, late, one_way, rate)| {
            let (late, one_way) = (MS * late, MS * one_way);
            Network { seed, loss, burst, duplicate, reorder, late, one_way, rate }
        },
    )
}

fn fec() -> impl Strategy<Value = Fec> {
    let on = (1..=64u8, 1..=32u8).prop_map(|(sources, parity)| Fec::On { sources, parity });
    let short = (1..=6u8, 1..=4u8).prop_map(|(sources, parity)| Fec::On { sources, parity });
    prop_oneof![1 => Just(Fec::Off), 3 => Just(Fec::Auto), 3 => short, 3 => on]
}

fn work() -> impl Strategy<Value = Work> {
    let size = prop_oneof![3 => 1..1300usize, 1 => 1..8000usize];
    let pause = prop_oneof![2 => Just(Duration::ZERO), 2 => (0..20u32).prop_map(|ms| MS * ms)];
    let messages = proptest::collection::vec((size, pause), 1..80);
    (any::<bool>(), 1..100_000u64, fec(), messages, fec()).prop_map(
        |(by_server, bytes, bytes_fec, messages, messages_fec)| Work {
            by_server,
            bytes,
            bytes_fec,
            messages,
            messages_fec,
        },
    )
}

fn settings() -> impl Strategy<Value = Settings> {
    let symbols = prop_oneof![1 => Just(0u16), 4 => 1..=256u16];
    (0..=400u16, 1..=100u32, symbols).prop_map(|(max_overhead, delay, max_symbols)| Settings {
        max_overhead,
        max_delay: MS * delay,
        max_symbols,
    })
}

/// Sends messages on one ordered stream, each after its pause, and reads them at the other end, where it checks them.
struct Ordered<'w> {
    from: (NodeId, ConnId),
    to: (NodeId, ConnId),
    messages: &'w [(usize, Duration)],
    fec: Fec,
    stream: Option<StreamId>,
    sent: usize,
    received: usize,
    timer: Option<TimerId>,
}

impl Ordered<'_> {
    fn send(&mut self, sim: &mut Sim) {
        let (size, _) = self.messages[self.sent];
        let mut message = vec![0; size];
        fill_content(self.sent as u64, 0, &mut message);
        let mut conn = sim.conn(self.from.0, self.from.1).expect("open");
        let options = StreamOptions::ordered_messages().fec(self.fec);
        let stream = *self.stream.get_or_insert_with(|| conn.open(options).expect("below the limit"));
        conn.send_message(stream, &message, MessageOptions::new()).expect("room");
        self.sent += 1;
        self.wait(sim);
    }

    fn wait(&mut self, sim: &mut Sim) {
        let next = self.messages.get(self.sent);
        self.timer = next.map(|(_, pause)| sim.timer(sim.now() + *pause));
    }

    fn read(&mut self, sim: &mut Sim, stream: StreamId) {
        let mut conn = sim.conn(self.to.0, self.to.1).expect("open");
        let mut message = Vec::new();
        while let Ok(RecvMessage::Message(_)) = conn.recv_message(stream, &mut message) {
            assert_eq!(message.len(), self.messages[self.received].0, "message {}", self.received);
            check_content(self.received as u64, 0, &message);
            self.received += 1;
            message.clear();
        }
    }
}

impl App for Ordered<'_> {
    fn start(&mut self, sim: &mut Sim) {
        self.wait(sim);
    }

    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        if matches!(happening, Happening::Timer(id) if Some(*id) == self.timer) {
            self.send(sim);
        }
        match happening.event_of(self.to.0, self.to.1) {
            Some(Event::StreamReadable(stream)) if stream.kind() == StreamKind::Ordered => self.read(sim, stream),
            Some(Event::Closed) => panic!("closed"),
            _ => {}
        }
    }

    fn done(&self) -> bool {
        self.received == self.messages.len()
    }
}

/// Sends everything and checks every byte that is read. Says whether all of it arrived.
fn arrives(network: Network, work: &Work, settings: Settings) -> bool {
    let Network { seed, loss, burst, duplicate, reorder, late, one_way, rate } = network;
    let mut sim = Sim::new(seed);
    let key = SecretKey::from_seed([3; 32]);
    let trust = ClientConfig::pinned(key.public().clone());
    let config = || {
        Config::builder()
            .fec_max_overhead(settings.max_overhead)
            .fec_max_delay(settings.max_delay)
            .fec_max_symbols(settings.max_symbols)
            .idle_timeout(SECOND * 600)
    };
    let server = sim.add(config().server_key(key).build().unwrap());
    let client = sim.add(config().build().unwrap());
    let link = Link::with_delay(one_way).rate(rate).queue(200_000).duplicate(duplicate).reorder(reorder, late);
    // Without loss until there is a connection: attempts are given up when too much of them is lost.
    sim.link(client, server, Link::with_delay(one_way));
    let (conn, peer) = sim.establish(client, server, &trust, SECOND).unwrap().unwrap();
    sim.link(client, server, if burst > 1.0 { link.burst_loss(loss, burst) } else { link.loss(loss) });
    let mut ends = [(client, conn), (server, peer)];
    if work.by_server {
        ends.reverse();
    }
    let [from, to] = ends;
    let options = StreamOptions::bytes().fec(work.bytes_fec);
    let mut sender = BulkSender::new(from.0, from.1, seed, work.bytes).options(options);
    let mut receiver = BulkReceiver::new(to.0, seed, work.bytes);
    let (messages, fec) = (&work.messages[..], work.messages_fec);
    let mut ordered = Ordered { from, to, messages, fec, stream: None, sent: 0, received: 0, timer: None };
    sim.run(SECOND * 600, &mut [&mut sender, &mut receiver, &mut ordered])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// With and without correction, whatever the network does, everything arrives as it was sent.
    #[test]
    fn correction_gives_the_application_the_same_bytes(
        network in network(),
        work in work(),
        settings in settings(),
    ) {
        prop_assert!(arrives(network, &work, settings));
        let off = Work { bytes_fec: Fec::Off, messages_fec: Fec::Off, ..work };
        prop_assert!(arrives(network, &off, settings));
    }
}

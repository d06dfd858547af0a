//! What error correction and compression cost: two endpoints in memory, both on this one core, no socket and no
//! runtime.
//!
//! `cargo bench -p jsp-conformance --bench fec` with jsp-proto's feature `ring` (add `--features ring`) or without it.
//! `-- NAME` runs the tables whose name contains NAME; `-- --quick` runs each case for a shorter time.
//!
//! The cases of a table take turns in every round. Read the ratios: the times depend on the machine.

#[path = "../tests/support/pair.rs"]
mod pair;

use std::sync::Arc;
use std::time::Duration;

use jsp_proto::{Compression, ConfigBuilder, Congestion, ConnStats, Fec, SecretKey, StreamOptions};
use pair::{DATAGRAM, Pair, Work, time};

/// The bench counts everything that happens inside and outside of the protocol's calls.
fn inside<T>(call: impl FnOnce() -> T) -> T {
    call()
}

const ROUNDS: usize = 5;
/// Bytes received before anything is measured.
const WARM: u64 = 16 << 20;
/// Bytes per second where packets are repaired, so that the receiver may repair as many as it is asked to.
const SLOW: u64 = 10_000_000;
/// Half a round trip is longer than a block, or blocks of reliable data would be cut short.
const ONE_WAY: Duration = Duration::from_millis(40);
const SOURCES: u8 = 64;
/// One in so many blocks loses packets.
const BLOCKS: u64 = 2;
const TEXT: &str = include_str!("../../README.md");
const MESSAGE: usize = 4096;

struct Bench {
    filter: Option<String>,
    round: Duration,
}

impl Bench {
    fn wants(&self, name: &str) -> bool {
        let wanted = self.filter.as_ref().is_none_or(|filter| name.contains(filter));
        if wanted {
            println!("\n{name}");
        }
        wanted
    }

    /// Runs a pair for one round; gives the time and what the counters of client and server say before and after.
    fn round(&self, pair: &mut Pair, step: u64) -> Round {
        let before = [pair.stats(0), pair.stats(1)];
        let start = time();
        while time() - start < self.round {
            pair.run(step);
        }
        let nanos = (time() - start).as_nanos() as f64;
        Round { nanos, before, after: [pair.stats(0), pair.stats(1)] }
    }

    /// Lets all pairs take turns; gives what `figure` makes of each round, by pair.
    fn turns(&self, pairs: &mut [Pair], step: u64, figure: impl Fn(&Round) -> f64) -> Vec<Vec<f64>> {
        let mut figures = vec![Vec::new(); pairs.len()];
        for _ in 0..ROUNDS {
            for (pair, figures) in pairs.iter_mut().zip(&mut figures) {
                figures.push(figure(&self.round(pair, step)));
            }
        }
        figures
    }
}

struct Round {
    nanos: f64,
    before: [ConnStats; 2],
    after: [ConnStats; 2],
}

impl Round {
    /// How much a counter of a side has grown.
    fn grown(&self, side: usize, counter: impl Fn(&ConnStats) -> u64) -> f64 {
        (counter(&self.after[side]) - counter(&self.before[side])) as f64
    }

    /// The time for each packet of the client other than parity.
    fn per_packet(&self) -> f64 {
        self.nanos / self.grown(0, |stats| stats.packets_sent - stats.fec.parity_sent)
    }
}

fn main() {
    let (flags, names): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let quick = flags.iter().any(|flag| flag == "--quick");
    let round = Duration::from_millis(if quick { 100 } else { 1000 });
    let bench = Bench { filter: names.into_iter().next(), round };
    let key = pair::server_key();
    println!("medians of {ROUNDS} rounds of {round:?}; both ends on one core; datagrams of {DATAGRAM} bytes");
    if bench.wants("protection, nothing lost: per packet other than parity") {
        protection(&bench, &key);
    }
    if bench.wants("repair: what losing and repairing packets adds, per packet repaired") {
        repair(&bench, &key);
    }
    if bench.wants(&format!("compression: per message of {MESSAGE} bytes")) {
        compression(&bench, &key);
    }
}

/// A pair that has exchanged something already.
fn warm(key: &Arc<SecretKey>, work: Work, amount: u64, more: impl Fn(ConfigBuilder) -> ConfigBuilder) -> Pair {
    let mut pair = Pair::configured(key, work, 0, more);
    pair.run(amount);
    pair
}

fn protection(bench: &Bench, key: &Arc<SecretKey>) {
    let fixed = |sources, parity| Fec::On { sources, parity };
    let cases = [
        ("Fec::Off", Fec::Off),
        ("Fec::Auto", Fec::Auto),
        ("10+1", fixed(10, 1)),
        ("10+2", fixed(10, 2)),
        ("20+8", fixed(20, 8)),
        ("32+16", fixed(32, 16)),
        ("1+1", fixed(1, 1)),
    ];
    let mut pairs = cases.map(|(_, fec)| warm(key, Work::Bytes, WARM, |settings| settings.fec(fec)));
    let figures = bench.turns(&mut pairs, 1 << 20, Round::per_packet);
    for (((name, _), pair), own) in cases.iter().zip(&pairs).zip(&figures) {
        let together = pair.datagrams as f64 / pair.batches as f64;
        show(&format!("{name}, {together:.1} datagrams at once"), own, &figures[0]);
    }
}

fn repair(bench: &Bench, key: &Arc<SecretKey>) {
    let congestion = Congestion::FixedRateWithoutCongestionControl { bytes_per_second: SLOW / 10 * 9 };
    for parity in [1, 2, 4, 8, 16, 32] {
        let fec = Fec::On { sources: SOURCES, parity };
        let lost: &[u8] = if parity == 1 { &[0, 1] } else { &[0, 1, parity] };
        let pairs = lost.iter().map(|&lost| {
            let mut pair = warm(key, Work::Bytes, WARM, |settings| settings.fec(fec).congestion(congestion));
            pair.set_path(SLOW, ONE_WAY);
            if lost > 0 {
                let lost = u64::from(lost);
                pair.set_holes(BLOCKS * u64::from(SOURCES + parity) - lost, lost);
            }
            pair.run(WARM / 4);
            pair
        });
        let mut pairs: Vec<_> = pairs.collect();
        let mut rounds: Vec<Vec<Round>> = lost.iter().map(|_| Vec::new()).collect();
        for _ in 0..ROUNDS {
            for (pair, rounds) in pairs.iter_mut().zip(&mut rounds) {
                rounds.push(bench.round(pair, 1 << 18));
            }
        }
        for (lost, own) in lost.iter().zip(&rounds).skip(1) {
            let cost = |(own, clean): (&Round, &Round)| {
                let packets = own.grown(0, |stats| stats.packets_sent - stats.fec.parity_sent);
                let repaired = own.grown(1, |stats| stats.fec.repaired);
                (own.per_packet() - clean.per_packet()) * packets / repaired / 1e3
            };
            let costs = sorted(own.iter().zip(&rounds[0]).map(cost));
            let missing: f64 = own.iter().map(|round| round.grown(0, |stats| stats.fec.unrepaired)).sum();
            let repaired: f64 = own.iter().map(|round| round.grown(1, |stats| stats.fec.repaired)).sum();
            println!(
                "  class {parity:<2} {lost:>2} lost in a row {:>9.2} us (from {:.2} to {:.2}; {:.1} % repaired)",
                costs[ROUNDS / 2],
                costs[0],
                costs[ROUNDS - 1],
                100.0 * repaired / (repaired + missing),
            );
        }
    }
}

fn compression(bench: &Bench, key: &Arc<SecretKey>) {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    };
    let noise: Vec<u8> = (0..MESSAGE).map(|_| random()).collect();
    let cases = [
        ("text, off", TEXT.as_bytes(), Compression::Off),
        ("text, adaptive", TEXT.as_bytes(), Compression::Adaptive),
        ("random, off", &noise, Compression::Off),
        ("random, adaptive", &noise, Compression::Adaptive),
    ];
    let options = StreamOptions::unordered_messages();
    let mut pairs = cases.map(|(_, content, compression)| {
        let work = Work::Messages { options, len: MESSAGE };
        let accept = |settings: ConfigBuilder| settings.accept_compressed(true).compression(compression);
        let mut pair = Pair::configured(key, work, 0, accept);
        pair.set_content(content);
        pair.run(WARM / MESSAGE as u64);
        pair
    });
    let mut figures = vec![Vec::new(); cases.len()];
    let mut bytes = vec![0.0; cases.len()];
    for _ in 0..ROUNDS {
        for (index, pair) in pairs.iter_mut().enumerate() {
            let before = pair.received;
            let round = bench.round(pair, 256);
            let messages = (pair.received - before) as f64;
            figures[index].push(round.nanos / messages);
            bytes[index] = round.grown(0, |stats| stats.bytes_sent) / messages;
        }
    }
    for (index, (name, ..)) in cases.iter().enumerate() {
        show(&format!("{name}, {:.0} B sent", bytes[index]), &figures[index], &figures[index / 2 * 2]);
    }
}

/// Prints the median of some times in nanoseconds, and its ratio to the median of others.
fn show(name: &str, nanos: &[f64], reference: &[f64]) {
    let (own, reference) = (sorted(nanos.iter().copied()), sorted(reference.iter().copied()));
    let [median, base] = [own[ROUNDS / 2], reference[ROUNDS / 2]];
    let (low, high) = (own[0], own[ROUNDS - 1]);
    println!("  {name:<30} {median:>9.0} ns  x {:.3} (from {low:.0} to {high:.0})", median / base);
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

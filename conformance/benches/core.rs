//! What the protocol itself costs: two endpoints in memory, both on this one core, no socket and no runtime.
//!
//! `cargo bench -p jsp-conformance --bench core` with jsp-proto's feature `ring` (add `--features ring`) or without it.
//! `-- NAME` runs the cases whose name contains NAME; `-- --quick` runs each for a shorter time.

#[path = "../tests/support/pair.rs"]
mod pair;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use jsp_proto::{SecretKey, StreamOptions};
use pair::{DATAGRAM, Pair, Work, time};

/// The bench counts everything that happens inside and outside of the protocol's calls.
fn inside<T>(call: impl FnOnce() -> T) -> T {
    call()
}

const ROUNDS: usize = 5;

struct Bench {
    filter: Option<String>,
    round: Duration,
}

impl Bench {
    /// Runs `work`, which says how much it did, for [`ROUNDS`] rounds; prints the median as `show` words it.
    fn case<T>(
        &self,
        name: &str,
        prepare: impl FnOnce() -> T,
        mut work: impl FnMut(&mut T) -> u64,
        show: impl Fn(f64) -> String,
    ) {
        if self.filter.as_ref().is_some_and(|filter| !name.contains(filter)) {
            return;
        }
        let mut subject = prepare();
        work(&mut subject);
        let mut rates: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let (start, mut done) = (time(), 0);
                while time() - start < self.round {
                    done += work(&mut subject);
                }
                done as f64 / (time() - start).as_secs_f64()
            })
            .collect();
        rates.sort_by(f64::total_cmp);
        let of = |index: usize| show(rates[index]);
        println!("{name:<34} {:<28} (from {} to {})", of(ROUNDS / 2), of(0), of(ROUNDS - 1));
    }
}

fn megabytes(rate: f64) -> String {
    format!("{:.0} MB/s, {:.0} ns/packet", rate / 1e6, 1e9 * f64::from(DATAGRAM) / rate)
}

fn per_second(rate: f64) -> String {
    format!("{:.0}/s, {:.2} us each", rate, 1e6 / rate)
}

fn main() {
    let (flags, names): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let quick = flags.iter().any(|flag| flag == "--quick");
    let round = Duration::from_millis(if quick { 100 } else { 1000 });
    let bench = Bench { filter: names.into_iter().next(), round };
    let key = pair::server_key();

    println!("median of {ROUNDS} rounds of {round:?}; both ends on one core; datagrams of {DATAGRAM} bytes");
    let bulk = |loss| warm(&key, Work::Bytes, loss, 64 << 20);
    bench.case("bulk bytes", || bulk(0), |pair| run(pair, 4 << 20), megabytes);
    bench.case("bulk bytes, 1 % loss", || bulk(100), |pair| run(pair, 4 << 20), megabytes);
    let messages = |options| warm(&key, Work::Messages { options, len: 64 }, 0, 200_000);
    let ordered = || messages(StreamOptions::ordered_messages());
    bench.case("ordered messages of 64 bytes", ordered, |pair| run(pair, 10_000), per_second);
    let unordered = || messages(StreamOptions::unordered_messages());
    bench.case("unordered messages of 64 bytes", unordered, |pair| run(pair, 10_000), per_second);
    let ping_pong = || warm(&key, Work::PingPong { len: 64 }, 0, 1000);
    bench.case("round trip of a 64-byte message", ping_pong, |pair| run(pair, 100), per_second);
    let handshake = |(): &mut ()| {
        let mut pair = Pair::new(&key, Work::Nothing, 0);
        pair.connect();
        black_box(pair.received);
        1
    };
    bench.case("handshake, both sides", || (), handshake, per_second);
}

/// A pair that has received `amount` already.
fn warm(key: &Arc<SecretKey>, work: Work, loss: u64, amount: u64) -> Pair {
    let mut pair = Pair::new(key, work, loss);
    pair.run(amount);
    pair
}

/// Runs a pair on; says how much was received, which may be a little more than `amount`.
fn run(pair: &mut Pair, amount: u64) -> u64 {
    let before = pair.received;
    pair.run(amount);
    pair.received - before
}

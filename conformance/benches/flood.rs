//! What strangers can take from a server's clients, and from its memory.
//!
//! `cargo bench -p jsp-conformance --bench flood --features ring` measures the goodput of four clients that upload to a
//! server over the loopback: alone, while a flooder sends as many datagrams to a socket that only drops them, and while
//! it sends them to the server. In a fourth phase it floods a server whose clients rest. The second phase shows what the
//! machine has left beside a flooder, and what a byte of the clients costs the server; the fourth what the flood itself
//! costs it. What the remaining CPU allows follows: the goodput beside the flooder, or less if the server's thread has
//! not the time for it beside the flood. The flood is 50,000 datagrams per second (`-- --rate N`), each of 1200 bytes, well-formed and sealed for the
//! server's key: the first fragments of clients' first messages with random content and connection ids of their own,
//! from 199 networks. `-- --whole` sends all fragments of each message, so that the server gets as far as its bounds let
//! it. `-- --rounds N` (5) and `-- --seconds S` (4) per phase; phases alternate, figures are medians. Server, clients and
//! flooder are processes of their own; the server has one thread.
//!
//! `-- random` throws 10,000,000 random datagrams (`-- --datagrams N`) at an endpoint in memory, in virtual time, and
//! checks that it holds no more memory afterwards and that its one connection lives.
//!
//! `-- --quick` is a short run of either.

#[path = "support/children.rs"]
mod children;
#[path = "idle/counting.rs"]
mod counting;
#[path = "flood/flooder.rs"]
mod flooder;
#[path = "flood/parties.rs"]
mod parties;
#[path = "flood/random.rs"]
mod random;

use std::time::{Duration, Instant};

use children::{Child, Failure, flag, number, word};
use jsp_proto::DropReason;

/// What the server tells of itself: see `parties::report`.
const BYTES: usize = 0;
const RECEIVED: usize = 1;
const CPU: usize = 6;
const DROPS: usize = 7;

/// Its clients tell: see `parties::clients`.
const ALIVE: usize = 0;
const SENT: usize = 1;
const LOST: usize = 2;
const CLIENTS_CPU: usize = 3;

/// The last one is a flood while the clients rest.
const PHASES: [&str; 4] = ["alone", "neutral", "flood", "flood only"];

fn main() -> Result<(), Failure> {
    match word("--role").as_deref() {
        Some("server") => return parties::server(),
        Some("clients") => return parties::clients(),
        Some("flooder") => return flooder::run(),
        _ => {}
    }
    if flag("random") {
        return random::measure(number("--datagrams", if flag("--quick") { 300_000 } else { 10_000_000 }));
    }
    let quick = flag("--quick");
    let rounds = number("--rounds", if quick { 2 } else { 5 });
    let seconds = number("--seconds", if quick { 1 } else { 4 });
    measure(rounds, Duration::from_secs(seconds as u64), number("--rate", 50_000))
}

/// One phase: bytes per second that the clients got through, datagrams per second of the flooder, and what changed at
/// the server and at its clients per second.
struct Phase {
    goodput: f64,
    rate: f64,
    server: Vec<f64>,
    clients: Vec<f64>,
}

/// The processes of the bench.
struct Parties {
    server: Child,
    clients: Child,
    flooder: Child,
}

fn measure(rounds: usize, duration: Duration, rate: usize) -> Result<(), Failure> {
    let mut server = Child::start("server", &[])?;
    let ready = server.line()?;
    let (address, key) = ready.split_once(' ').ok_or("the server is not ready")?;
    let words = ["--address", address, "--key", key].map(str::to_owned);
    let mut clients = Child::start("clients", &words)?;
    clients.line()?;
    let mut more = vec!["--rate".to_owned(), rate.to_string()];
    more.extend(flag("--whole").then(|| "--whole".to_owned()));
    let mut flooder = Child::start("flooder", &[&words[..], &more[..]].concat())?;
    flooder.line()?;

    let mut parties = Parties { server, clients, flooder };
    let mut phases: [Vec<Phase>; 4] = Default::default();
    for round in 1..=rounds {
        eprint!("\rround {round} of {rounds}");
        for (name, phases) in PHASES.iter().zip(&mut phases) {
            phases.push(parties.watch(name, duration)?);
        }
    }
    eprint!("\r");
    print(&phases, rounds, duration);
    println!("clients connected at the end: {} of 4", parties.clients.numbers("alive")?[ALIVE]);
    children::print_machine();
    Ok(())
}

impl Parties {
    fn watch(&mut self, name: &str, duration: Duration) -> Result<Phase, Failure> {
        let Self { server, clients, flooder } = self;
        clients.ask(if name == "flood only" { "pause" } else { "resume" })?;
        flooder.ask(name)?;
        std::thread::sleep(duration / 4);
        let mut look = || -> Result<_, Failure> {
            Ok((flooder.ask("sent")?.parse::<f64>()?, server.numbers("report")?, clients.numbers("report")?))
        };
        let start = Instant::now();
        let before = look()?;
        std::thread::sleep(duration);
        let after = look()?;
        let elapsed = start.elapsed().as_secs_f64();
        flooder.ask("alone")?;
        let change = |after: &[f64], before: &[f64]| -> Vec<f64> {
            after.iter().zip(before).map(|(after, before)| (after - before) / elapsed).collect()
        };
        let server = change(&after.1, &before.1);
        let clients = change(&after.2, &before.2);
        Ok(Phase { goodput: server[BYTES], rate: (after.0 - before.0) / elapsed, server, clients })
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What the CPU that is left allows the clients under a flood, bytes per second.
fn allowed(alone: &Phase, neutral: &Phase, flood_only: &Phase) -> f64 {
    let per_byte = neutral.server[CPU] / neutral.goodput;
    // As much of a core as the server's thread gets on this machine when it is all that it asks for.
    let thread = alone.server[CPU].max(neutral.server[CPU]);
    neutral.goodput.min((thread - flood_only.server[CPU]) / per_byte)
}

fn print(phases: &[Vec<Phase>; 4], rounds: usize, duration: Duration) {
    println!("medians of {rounds} rounds of {:.0} s per phase", duration.as_secs_f64());
    println!(
        "| phase | goodput, MB/s | flooder, datagrams/s | server, datagrams/s | server, % of a core | clients, % of a \
         core | packets lost, % |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (name, phases) in PHASES.iter().zip(phases) {
        let of = |value: fn(&Phase) -> f64| median(phases.iter().map(value));
        println!(
            "| {name} | {:.1} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} |",
            of(|phase| phase.goodput / 1e6),
            of(|phase| phase.rate),
            of(|phase| phase.server[RECEIVED]),
            of(|phase| phase.server[CPU] * 100.0),
            of(|phase| phase.clients[CLIENTS_CPU] * 100.0),
            of(|phase| phase.clients[LOST] / phase.clients[SENT].max(1.0) * 100.0),
        );
    }
    let [alone, neutral, flood, flood_only] = phases;
    let compare = |what: &str, ratios: Vec<f64>| {
        let each: Vec<String> = ratios.iter().map(|ratio| format!("{:.0}", ratio * 100.0)).collect();
        println!("{what}: {:.0} %, by round: {}", median(ratios.into_iter()) * 100.0, each.join(", "));
    };
    let rounds = || alone.iter().zip(neutral).zip(flood.iter().zip(flood_only));
    compare("flood / neutral", rounds().map(|((_, neutral), (flood, _))| flood.goodput / neutral.goodput).collect());
    let share = |((alone, neutral), (flood, only)): ((&Phase, &Phase), (&Phase, &Phase))| {
        flood.goodput / allowed(alone, neutral, only)
    };
    compare("flood / what the remaining CPU allows (target: at least 90)", rounds().map(share).collect());
    let of = |index: usize| median(flood.iter().map(|phase| phase.server[index]));
    println!("the server under flood, per second:");
    for (index, name) in ["retries sent", "handshakes started", "seals opened", "tokens rejected"].iter().enumerate() {
        println!("  {name}: {:.0}", of(RECEIVED + 1 + index));
    }
    for (index, reason) in DropReason::ALL.iter().enumerate() {
        let dropped = of(DROPS + index);
        if dropped > 0.0 {
            println!("  dropped, {}: {dropped:.0}", reason.name());
        }
    }
}

//! JetStreamProto against quinn, side by side over UDP on the loopback.
//!
//! `cargo bench -p jsp-conformance --bench rivals`, with `-- --quick` for a short run. Client and server are processes of
//! their own (package `conformance/rivals`, built here), one core each. Both peers have the same work, the same datagram
//! size, segmentation offload, ChaCha20-Poly1305, a hybrid key exchange with ML-KEM-768, and verify the server. Runs
//! alternate between the peers; the table has medians and, behind them, the lowest and highest value.
//!
//! Read the ratios: the figures depend on the machine, and on what else runs there, which the last line tells.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

const PEERS: [&str; 2] = ["jsp", "quinn"];
const GIB: f64 = (1u64 << 30) as f64;

/// A line of the table: its name, whether less is better, and its unit's decimals.
const ROWS: [(&str, bool, usize); 9] = [
    ("bulk, MB/s", false, 0),
    ("bulk, CPU s/GiB, both ends", true, 2),
    ("bulk, CPU s/GiB, client", true, 2),
    ("bulk, CPU s/GiB, server", true, 2),
    ("ping-pong 64 B, p50, us", true, 1),
    ("ping-pong 64 B, p99, us", true, 1),
    ("ping-pong 64 B, CPU us, both ends", true, 1),
    ("handshakes per second", false, 0),
    ("handshake, CPU us, both ends", true, 0),
];

type Failure = Box<dyn std::error::Error>;
/// What was measured, by row and peer.
type Figures = BTreeMap<(&'static str, &'static str), Vec<f64>>;

/// How much work.
struct Plan {
    runs: usize,
    bytes: u64,
    pings: u64,
    handshake_millis: u64,
}

fn main() -> Result<(), Failure> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let plan = if quick {
        Plan { runs: 3, bytes: 128 << 20, pings: 2000, handshake_millis: 500 }
    } else {
        Plan { runs: 9, bytes: 512 << 20, pings: 10_000, handshake_millis: 2000 }
    };
    let program = build()?;
    let mut figures = Figures::new();
    let (started, mut own_cpu, busy_before) = (Instant::now(), 0.0, busy());
    for run in 1..=plan.runs {
        eprint!("\rrun {run} of {}", plan.runs);
        for (work, amount) in [("bulk", plan.bytes), ("ping", plan.pings), ("handshakes", plan.handshake_millis)] {
            for peer in PEERS {
                let (client, server_cpu) = measure(&program, peer, work, amount)?;
                own_cpu += server_cpu + client.get("cpu").copied().unwrap_or(0.0);
                for (row, value) in rows(work, amount, &client, server_cpu)? {
                    figures.entry((row, peer)).or_default().push(value);
                }
            }
        }
    }
    eprint!("\r");
    let others =
        busy_before.zip(busy()).map(|(before, after)| (after - before - own_cpu) / started.elapsed().as_secs_f64());
    print(&figures, plan.runs, quick, others);
    Ok(())
}

/// Builds the programs that are compared, in release mode and a target directory of their own.
fn build() -> Result<PathBuf, Failure> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = package.join("../target/rivals");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(package.join("rivals/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()?;
    if !status.success() {
        return Err("the rivals could not be built".into());
    }
    Ok(target.join("release").join(format!("rivals{}", std::env::consts::EXE_SUFFIX)))
}

/// A server process; it ends with its input.
struct Server {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Server {
    fn start(program: &Path, peer: &str) -> Result<Self, Failure> {
        let mut process =
            Command::new(program).args([peer, "server"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(process.stdout.take().ok_or("no output")?);
        Ok(Self { input: process.stdin.take(), output, process })
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line)
    }

    /// CPU seconds it has used.
    fn cpu(&mut self) -> Result<f64, Failure> {
        self.input.as_mut().ok_or("no input")?.write_all(b"\n")?;
        Ok(self.line()?.trim().parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.process.wait();
    }
}

/// One work with one peer: the client's figures, and the server's CPU seconds.
fn measure(program: &Path, peer: &str, work: &str, amount: u64) -> Result<(BTreeMap<String, f64>, f64), Failure> {
    let mut server = Server::start(program, peer)?;
    let ready = server.line()?;
    let [_, address, identity] = ready.split_whitespace().collect::<Vec<_>>()[..] else {
        return Err(format!("{peer}'s server is not ready: {ready}").into());
    };
    let before = server.cpu()?;
    let client = Command::new(program).args([peer, work, &amount.to_string(), address, identity]).output()?;
    let server_cpu = server.cpu()? - before;
    if !client.status.success() {
        return Err(format!("{peer}, {work}: {}", String::from_utf8_lossy(&client.stderr)).into());
    }
    let text = String::from_utf8(client.stdout)?;
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    Ok((pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect(), server_cpu))
}

fn rows(
    work: &str,
    amount: u64,
    client: &BTreeMap<String, f64>,
    server_cpu: f64,
) -> Result<Vec<(&'static str, f64)>, Failure> {
    let of = |name: &str| client.get(name).copied().ok_or_else(|| format!("the client did not tell {name}"));
    let names = |range: std::ops::Range<usize>| ROWS[range].iter().map(|&(name, ..)| name);
    let amount = amount as f64;
    let both = of("cpu")? + server_cpu;
    Ok(match work {
        "bulk" => {
            let gib = amount / GIB;
            let values = [amount / of("seconds")? / 1e6, both / gib, of("cpu")? / gib, server_cpu / gib];
            names(0..4).zip(values).collect()
        }
        "ping" => names(4..7).zip([of("p50")?, of("p99")?, both / amount * 1e6]).collect(),
        _ => {
            let count = of("count")?;
            names(7..9).zip([count / of("seconds")?, both / count * 1e6]).collect()
        }
    })
}

/// CPU seconds that all programs of the machine have used, where the system tells (Linux; 100 ticks per second).
fn busy() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<f64> =
        text.lines().next()?.split_whitespace().skip(1).filter_map(|tick| tick.parse().ok()).collect();
    // user, nice, system; then idle and waiting; then interrupts
    let of = |index: usize| ticks.get(index).copied().unwrap_or(0.0);
    Some((of(0) + of(1) + of(2) + of(5) + of(6)) / 100.0)
}

/// Lowest, median, highest.
fn spread(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    [at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1))]
}

fn print(figures: &Figures, runs: usize, quick: bool, others: Option<f64>) {
    println!("| median of {runs} runs (lowest to highest) | JSP | quinn | JSP/quinn | better |");
    println!("| --- | --- | --- | --- | --- |");
    for (row, less, decimals) in ROWS {
        let [jsp, quinn] = PEERS.map(|peer| spread(figures.get(&(row, peer)).map_or(&[], Vec::as_slice)));
        let cell =
            |[low, middle, high]: [f64; 3]| format!("{middle:.decimals$} ({low:.decimals$} to {high:.decimals$})");
        let better = if less == (jsp[1] < quinn[1]) { "JSP" } else { "quinn" };
        println!("| {row} | {} | {} | {:.2} | {better} |", cell(jsp), cell(quinn), jsp[1] / quinn[1]);
    }
    let told = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()).filter(|text| !text.is_empty())
    };
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    println!();
    println!("CPU: {cores} x {}", model.unwrap_or(std::env::consts::ARCH));
    println!("commit: {}", told("git", &["describe", "--always", "--dirty", "--tags"]).as_deref().unwrap_or("unknown"));
    println!("command: cargo bench -p jsp-conformance --bench rivals{}", if quick { " -- --quick" } else { "" });
    if let Some(others) = others {
        println!("used by others meanwhile: {:.2} cores", others.max(0.0));
    }
}

//! Go to Go beside Rust to Rust, in one run: `cargo bench -p jsp-ffi --bench go`.
//!
//! One stream of bytes over the loopback address, both ends in one process: `jsp-tokio` here, the package in `go/` as its
//! own benchmark `BenchmarkBulk` runs it. Rounds alternate, so that a busy machine disturbs both. Printed: medians, their
//! ratio, and how often Go crosses into C for each datagram that it sends or receives.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use jsp_tokio::{ClientConfig, Config, Endpoint, SecretKey, Stream};

const ROUNDS: usize = 5;
const BYTES: usize = 512 << 20;
const PIECE: usize = 64 << 10;

fn main() {
    let library = library();
    let (mut rust, mut go, mut crossings) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        rust.push(rust_to_rust());
        let (speed, crossed) = go_to_go(&library);
        go.push(speed);
        crossings.push(crossed);
        println!("round {round}: Rust {:.0} MB/s, Go {speed:.0} MB/s", rust[round - 1]);
    }
    let [rust, go, crossings] = [rust, go, crossings].map(median);
    println!("medians of {ROUNDS}: Rust to Rust {rust:.0} MB/s, Go to Go {go:.0} MB/s, ratio {:.2}", go / rust);
    println!("calls from Go into C for each datagram: {crossings:.3}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Where the static library is, as this profile builds it.
fn library() -> PathBuf {
    let built = Command::new(env!("CARGO")).args(["build", "-q", "--release", "-p", "jsp-ffi"]).status();
    assert!(built.is_ok_and(|status| status.success()), "the library cannot be built");
    let bench = std::env::current_exe().expect("a program has a path");
    bench.ancestors().find(|folder| folder.join("libjsp.a").exists()).expect("the library beside this bench").to_owned()
}

fn rust_to_rust() -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let key = SecretKey::from_seed([1; 32]);
        let trust = ClientConfig::pinned(key.public().clone());
        let config = Config::builder().server_key(key).build().expect("valid");
        let server = Endpoint::bind("127.0.0.1:0", config).await.expect("a free port");
        let address = server.local_address();
        let receiving = tokio::spawn(async move {
            let connection = server.accept().await.expect("open");
            let Ok(Some(Stream::BytesUni(mut stream))) = connection.accept_stream().await else { panic!("a stream") };
            let (mut total, mut buffer) = (0, vec![0; PIECE]);
            loop {
                match stream.read(&mut buffer).await.expect("every byte") {
                    0 => return total,
                    read => total += read,
                }
            }
        });
        let client = Endpoint::bind("127.0.0.1:0", Config::default()).await.expect("a free port");
        let connection = client.connect(address, &trust).await.expect("the server is there");
        let mut stream = connection.open_uni().await.expect("allowed");
        let (start, piece) = (Instant::now(), vec![7; PIECE]);
        for _ in 0..BYTES / PIECE {
            stream.write_all(&piece).await.expect("the server reads");
        }
        stream.finish().expect("open");
        assert_eq!(receiving.await.expect("no panic"), BYTES);
        BYTES as f64 / 1e6 / start.elapsed().as_secs_f64()
    })
}

/// MB/s and calls into C for each datagram.
fn go_to_go(library: &Path) -> (f64, f64) {
    let output = Command::new("go")
        .args(["test", "-run", "^$", "-bench", "^BenchmarkBulk$", "-benchtime", "3s"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("go"))
        .env("CGO_LDFLAGS", format!("-L{}", library.display()))
        .output()
        .expect("go runs: install Go to compare with it");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find(|line| line.starts_with("BenchmarkBulk")).expect("a result");
    let before = |unit: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == unit).unwrap_or_else(|| panic!("no {unit} in: {line}"));
        words[at - 1].parse().unwrap_or_else(|_| panic!("no number before {unit} in: {line}"))
    };
    (before("MB/s"), before("crossings/packet"))
}

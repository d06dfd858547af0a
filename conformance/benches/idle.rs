//! What connections cost that do nothing: memory in the state machine, memory of the processes, and processor time of an
//! endpoint that keeps them alive.
//!
//! `cargo bench -p jsp-conformance --bench idle` holds 10,000 connections; `-- --connections N` another number,
//! `-- --core` measures the state machine alone, `-- --seconds S` is how long the processes are watched (60).

#[path = "idle/core.rs"]
mod core;
#[path = "idle/counting.rs"]
mod counting;
#[path = "idle/process.rs"]
mod process;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1)?.parse().ok()
    };
    let connections = value("--connections").unwrap_or(10_000);
    if let Some(role) = words.iter().position(|word| word == "--role").and_then(|at| words.get(at + 1)) {
        return process::child(role, connections);
    }
    println!("{connections} connections, confirmed and idle");
    core::measure(connections);
    if !words.iter().any(|word| word == "--core") {
        process::measure(connections, value("--seconds").unwrap_or(60));
    }
}

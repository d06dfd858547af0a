//! What connections cost that do nothing: memory in the state machine, memory of the processes, and processor time of an
//! endpoint that keeps them alive.
//!
//! `cargo bench -p jsp-conformance --bench idle --features ring` holds 10,000 connections; `-- --connections N` another
//! number, `-- --core` measures the state machine alone, `-- --processes` the processes alone, `-- --seconds S` is how
//! long these are watched (60), and `-- --quick` is a short run. Clients send a PING after 20 s of silence. Memory of a
//! process and its CPU time are known on Linux only.

#[path = "support/children.rs"]
mod children;
#[path = "idle/core.rs"]
mod core;
#[path = "idle/counting.rs"]
mod counting;
#[path = "idle/process.rs"]
mod process;

use children::{Failure, flag, number, word};

fn main() -> Result<(), Failure> {
    let quick = flag("--quick");
    let connections = number("--connections", if quick { 500 } else { 10_000 });
    if let Some(role) = word("--role") {
        return process::child(&role, connections);
    }
    println!("{connections} connections, confirmed and idle");
    if !flag("--processes") {
        core::measure(connections);
    }
    if !flag("--core") {
        process::measure(connections, number("--seconds", if quick { 3 } else { 60 }))?;
    }
    children::print_machine();
    Ok(())
}

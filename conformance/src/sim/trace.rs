//! The record of a run: one running hash over everything that happened, and a readable log on request.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};

use jsp_proto::Instant;
use sha2::{Digest, Sha256};

/// The hash over every datagram and every event of a run so far. Two runs with one seed give one trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceHash([u8; 32]);

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(crate) struct Trace {
    hash: Sha256,
    log: Option<Box<dyn Write>>,
    text: String,
}

impl Trace {
    pub(crate) fn new(seed: u64) -> Self {
        let mut trace = Self { hash: Sha256::new(), log: open_log(), text: String::new() };
        trace.note(Instant::ZERO, format_args!("simulation with seed {seed}"), &[]);
        trace
    }

    /// Adds one line and the bytes that belong to it.
    pub(crate) fn note(&mut self, now: Instant, line: fmt::Arguments<'_>, bytes: &[u8]) {
        self.text.clear();
        // Writing to a String cannot fail.
        let _ = fmt::Write::write_fmt(&mut self.text, line);
        self.hash.update(now.as_nanos().to_le_bytes());
        self.hash.update((self.text.len() as u64).to_le_bytes());
        self.hash.update(self.text.as_bytes());
        self.hash.update((bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
        if let Some(log) = &mut self.log {
            let nanos = now.as_nanos();
            // A log that cannot be written must not fail the run.
            let _ = writeln!(log, "{:>6}.{:06} {}", nanos / 1_000_000_000, nanos / 1_000 % 1_000_000, self.text);
        }
    }

    pub(crate) fn hash(&self) -> TraceHash {
        TraceHash(self.hash.clone().finalize().into())
    }
}

/// `JSP_SIM_LOG=-` logs to standard error, any other value is the name of a file to append to.
fn open_log() -> Option<Box<dyn Write>> {
    let target = std::env::var_os("JSP_SIM_LOG")?;
    if target.is_empty() {
        return None;
    }
    if target == "-" {
        return Some(Box::new(io::stderr()));
    }
    match File::options().create(true).append(true).open(&target) {
        Ok(file) => Some(Box::new(io::LineWriter::new(file))),
        Err(error) => {
            eprintln!("JSP_SIM_LOG: {}: {error}", target.display());
            None
        }
    }
}

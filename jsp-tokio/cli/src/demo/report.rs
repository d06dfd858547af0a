//! The words and figures of the demo.

use std::time::Duration;

use jsp_tokio::{ConnStats, FecStats};

use super::messages::{DEADLINE, EVERY, MODES, Mode, SIZE, Tally};
use crate::args::Demo;
use crate::effects;
use crate::failure::{Failure, Result};
use crate::network::Network;
use crate::proxy::Counts;
use crate::term::{BOLD, GREEN, RESET, bytes, duration, printable, rate, say};
use crate::transfer::{Header, Receipt, hex};

pub(super) const KEY_EXCHANGE: &str = "X-Wing (X25519 + ML-KEM-768), ChaCha20-Poly1305";

/// What is about to happen.
pub(super) fn scene(args: &Demo, network: Network, header: &Header) -> String {
    let handling = args.transport.described().map(|said| format!("\nsettings     {said}"));
    format!(
        "demo         {}, {}, over UDP on the loopback address\n\
         network      a proxy {}\n\
         congestion   {}{}\n\
         messages     {SIZE} bytes in each of 3 modes every {}, wanted within {}",
        printable(&header.name),
        bytes(header.size),
        network.described(),
        args.transport,
        handling.unwrap_or_default(),
        duration(EVERY),
        duration(DEADLINE),
    )
}

pub(super) struct Findings<'a> {
    /// Bytes of the file.
    pub(super) size: u64,
    pub(super) sent: Receipt,
    pub(super) received: Receipt,
    pub(super) time: Duration,
    pub(super) tally: &'a Tally,
    /// The client's.
    pub(super) stats: ConnStats,
    /// The server's.
    pub(super) corrected: FecStats,
    /// To the server and to the client.
    pub(super) proxied: [Counts; 2],
}

impl Findings<'_> {
    /// Prints the report; fails if anything went wrong.
    pub(super) fn print(&self) -> Result<()> {
        let goodput = rate(self.size as f64 / self.time.as_secs_f64().max(1e-9));
        say!("transfer     {BOLD}{goodput}{RESET}: {} in {}", bytes(self.size), duration(self.time));
        for (way, counts) in ["to server", "to client"].iter().zip(&self.proxied) {
            let lost = counts.lost as f64 * 100.0 / counts.datagrams.max(1) as f64;
            let full = match counts.overflowed {
                0 => String::new(),
                full => format!(", {full} dropped at the full bottleneck"),
            };
            say!(
                "{way}    {} datagrams, {}, {} lost ({lost:.1} %){full}",
                counts.datagrams,
                bytes(counts.bytes),
                counts.lost
            );
        }
        let ConnStats { packets_lost, packets_lost_spuriously, probe_timeouts, .. } = self.stats;
        say!(
            "recovery     {packets_lost} packets found lost ({packets_lost_spuriously} wrongly), {}\
             {probe_timeouts} probe timeouts, rtt {}",
            sent_again(&self.stats),
            duration(self.stats.rtt),
        );
        for (name, line) in effects::lines(&self.stats, Some(&self.corrected)) {
            say!("{name:<13}{line}");
        }
        self.print_messages();
        say!("SHA-256 of what was sent and of what was received:");
        say!("{}", hex(&self.sent.hash));
        say!("{}", hex(&self.received.hash));
        let failures = self.failures();
        if failures.is_empty() {
            say!("{GREEN}ok{RESET}");
            return Ok(());
        }
        Err(Failure::new(failures.join("; ")))
    }

    fn print_messages(&self) {
        const COLUMNS: [&str; 9] = ["sent", "acked", "lost", "expired", "delivered", "in time", "p50", "p99", "max"];
        let line = |name: &str, cells: [String; 9]| {
            let cells = cells.map(|cell| format!("{cell:>10}")).concat();
            say!("{name:<18}{cells}");
        };
        line("messages", COLUMNS.map(str::to_owned));
        for ((name, _), mode) in MODES.iter().zip(self.tally.modes().iter()) {
            let Mode { sent, acked, lost, expired, in_time, times } = mode;
            let [p50, p99, max] = times.sum().map(|sum| sum.high()).unwrap_or_default();
            let in_time = format!("{:.1} %", *in_time as f64 * 100.0 / (*sent).max(1) as f64);
            let [sent, acked, lost, expired] = [sent, acked, lost, expired].map(u64::to_string);
            line(name, [sent, acked, lost, expired, times.len().to_string(), in_time, p50, p99, max]);
        }
    }

    fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        if self.sent.hash != self.received.hash {
            failures.push("the hashes differ".to_owned());
        }
        for ((name, _), mode) in MODES.iter().zip(self.tally.modes().iter()) {
            if mode.acked + mode.lost + mode.expired != mode.sent {
                failures.push(format!("not every {name} message has exactly one outcome"));
            }
            let delivered = mode.times.len() as u64;
            if delivered > mode.sent || delivered < mode.acked {
                failures.push(format!("{delivered} {name} messages were delivered, {} acknowledged", mode.acked));
            }
        }
        let reliable = &self.tally.modes()[0];
        if reliable.times.len() as u64 != reliable.sent || reliable.acked != reliable.sent {
            failures.push("reliable messages are missing".to_owned());
        }
        failures
    }
}

/// Nothing where the transport does not count it.
fn sent_again(stats: &ConnStats) -> String {
    match stats.bytes_retransmitted {
        0 => String::new(),
        again => format!("{} sent again, ", bytes(again)),
    }
}

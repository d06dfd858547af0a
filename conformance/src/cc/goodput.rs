//! One bulk transfer alone on a path.
//!
//! A client sends one byte stream to a server. The clock runs from the first byte that the application offers, on an
//! established connection, to the last byte read, or to a limit of virtual time.

use std::time::Duration;

use jsp_proto::{Congestion, Instant};

use super::apps::{RttSampler, Sink, Source};
use super::{HEADERS, Path, trusted};
use crate::sim::Sim;

/// What came of one transfer.
#[derive(Clone, Debug, PartialEq)]
pub struct Bulk {
    /// Bytes that the receiver read.
    pub delivered: u64,
    /// From the first byte offered to the last byte read, or the limit.
    pub time: Duration,
    /// Whether everything arrived before the limit.
    pub finished: bool,
    /// Bytes that the sender put on the link with their IP and UDP headers, the handshake included.
    pub sent_bytes: u64,
    /// Datagrams of the sender.
    pub datagrams: u64,
    /// Datagrams of the sender lost because the queue was full.
    pub overflowed: u64,
    /// Datagrams of the sender lost at random.
    pub lost: u64,
    /// Median of the measured round-trip times over the round-trip time of the empty path.
    pub rtt_inflation: f64,
    /// Why the connection broke, if it did.
    pub closed: Option<String>,
}

impl Bulk {
    /// Megabytes (10^6) per second.
    pub fn goodput(&self) -> f64 {
        self.delivered as f64 / self.time.as_secs_f64().max(1e-9) / 1e6
    }

    /// Bytes sent for each byte delivered.
    pub fn cost(&self) -> f64 {
        self.sent_bytes as f64 / self.delivered.max(1) as f64
    }

    /// The share of the sender's datagrams that was lost because the queue was full.
    pub fn overflow_share(&self) -> f64 {
        self.overflowed as f64 / self.datagrams.max(1) as f64
    }
}

/// Sends `len` bytes over a path, at most for `limit` of virtual time.
pub fn bulk(seed: u64, congestion: Congestion, path: &Path, len: u64, limit: Duration) -> Bulk {
    let mut sim = Sim::new(seed);
    let (client, server) = path.hosts(&mut sim, congestion);
    let conn = sim.connect(client, server, &trusted()).expect("a connection attempt");
    let mut source = Source::new(client, conn, len);
    let mut sink = Sink::new(server);
    let mut sampler = RttSampler::new(client, conn, (path.rtt / 2).max(Duration::from_millis(5)));
    let finished = sim.run(limit, &mut [&mut source, &mut sink, &mut sampler]);
    let stats = sim.link_stats(client, server);
    let nanos = |at: Instant| Duration::from_nanos(at.as_nanos());
    let began = source.began().map_or(Duration::ZERO, nanos);
    Bulk {
        delivered: sink.received(),
        time: sink.finished().map_or(limit, nanos) - began,
        finished,
        sent_bytes: stats.sent_bytes + stats.sent * HEADERS,
        datagrams: stats.sent,
        overflowed: stats.overflowed,
        lost: stats.lost,
        rtt_inflation: sampler.median().as_secs_f64() / path.rtt.as_secs_f64(),
        closed: source.closed().map(Into::into),
    }
}

/// How much the tables send at this rate: some 20 s of a link of 1 Mbit/s, 4 s at 10 Mbit/s, 20 MB above.
pub const fn transfer_size(rate: u64) -> u64 {
    match rate {
        ..10_000_000 => 2_500_000,
        10_000_000..100_000_000 => 5_000_000,
        _ => 20_000_000,
    }
}

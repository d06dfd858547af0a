//! Latency of messages at a steady pace: 1000 messages of 1000 bytes, 200 per second, reliable and unordered.

use std::time::Duration;

use jsp_proto::{Congestion, StreamOptions};

use super::{Path, trusted};
use crate::sim::Sim;
use crate::sim::apps::{Latencies, MessageSink, MessageSource};

/// How many messages are sent.
pub const COUNT: u64 = 1000;
/// Bytes of each.
pub const SIZE: usize = 1000;
/// Time between two.
pub const INTERVAL: Duration = Duration::from_millis(5);

/// What came of one run.
#[derive(Clone, Debug)]
pub struct Messages {
    /// From sending to receipt.
    pub latencies: Latencies,
    /// Messages that the send buffer had no room for.
    pub refused: u64,
    /// UDP payload bytes that the sender sent once it was connected, for each byte of a message delivered.
    pub cost: f64,
}

impl Messages {
    /// Whether every message arrived.
    pub fn complete(&self) -> bool {
        self.latencies.len() as u64 == COUNT
    }
}

/// Sends the messages over a connection that is established already. Waits a minute for the last one.
///
/// # Panics
///
/// If a message comes twice or the connection breaks.
pub fn messages(seed: u64, congestion: Congestion, path: &Path) -> Messages {
    let mut sim = Sim::new(seed);
    let (client, server) = path.hosts(&mut sim, congestion);
    let limit = Duration::from_secs(60);
    let ends = sim.establish(client, server, &trusted(), limit).expect("a connection attempt");
    let (conn, _) = ends.expect("a connection");
    let before = sim.link_stats(client, server).sent_bytes;
    let mut source =
        MessageSource::new(client, conn, COUNT, SIZE, INTERVAL).stream(StreamOptions::unordered_messages());
    let mut sink = MessageSink::new(server, COUNT);
    sim.run(INTERVAL * COUNT as u32 + limit, &mut [&mut source, &mut sink]);
    let sent = sim.link_stats(client, server).sent_bytes - before;
    let latencies = sink.latencies().clone();
    let delivered = latencies.len().max(1) * SIZE;
    Messages { refused: source.refused(), cost: sent as f64 / delivered as f64, latencies }
}

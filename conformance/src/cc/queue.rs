//! The queue that one endless flow alone builds in front of a bottleneck of 20 Mbit/s on a path of 40 ms.

use std::time::Duration;

use jsp_proto::Congestion;

use super::Path;
use super::apps::Flow;
use crate::sim::{Bottleneck, Sim};

/// Bits per second of the bottleneck.
pub const RATE: u64 = 20_000_000;
/// Round-trip time of the empty path.
pub const RTT: Duration = Duration::from_millis(40);
/// When the flow is taken to be steady.
pub const SETTLED: Duration = Duration::from_secs(10);
/// How long each run takes.
pub const TIME: Duration = Duration::from_secs(60);

/// So many bandwidth-delay products in bytes.
pub fn bdps(count: f64) -> u64 {
    (Path::new(RATE, RTT, 0.0).bdp() as f64 * count) as u64
}

/// The steady state of one flow, from [`SETTLED`] to [`TIME`].
#[derive(Clone, Debug, PartialEq)]
pub struct Steady {
    /// Bytes that the receiver read over what the bottleneck passes.
    pub goodput: f64,
    /// Median time that a datagram waited in the queue, in round-trip times.
    pub median_delay: f64,
    /// The 95th percentile of it.
    pub high_delay: f64,
    /// Datagrams that the queue dropped, of all that came to it.
    pub dropped: f64,
    /// Datagrams that the queue marked, of all that it let pass.
    pub marked: f64,
    /// Why the connection broke, if it did.
    pub closed: Option<String>,
}

/// One flow through this bottleneck, with so much random loss behind it and on the way back.
pub fn steady(seed: u64, congestion: Congestion, bottleneck: Bottleneck, loss: f64) -> Steady {
    let mut sim = Sim::new(seed);
    let via = sim.bottleneck(bottleneck);
    let path = Path::new(RATE, RTT, loss);
    let mut flow = Flow::new(&mut sim, &path, via, congestion, Duration::ZERO);
    sim.run(SETTLED, &mut [&mut flow]);
    sim.reset_bottleneck_stats(via);
    sim.resume(TIME - SETTLED, &mut [&mut flow]);
    let stats = sim.bottleneck_stats(via);
    let dropped = stats.overflowed + stats.aqm_dropped;
    let rtts = |percent| stats.queue_delay_percentile(percent).as_secs_f64() / RTT.as_secs_f64();
    Steady {
        goodput: flow.sink().between(SETTLED, TIME) as f64 * 8.0 / (RATE as f64 * (TIME - SETTLED).as_secs_f64()),
        median_delay: rtts(50.0),
        high_delay: rtts(95.0),
        dropped: dropped as f64 / (dropped + stats.passed).max(1) as f64,
        marked: stats.marked as f64 / stats.passed.max(1) as f64,
        closed: flow.closed().map(Into::into),
    }
}

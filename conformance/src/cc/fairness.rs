//! Several flows through one drop-tail bottleneck of 20 Mbit/s on paths of 40 ms.
//!
//! Shares are taken from the bytes that leave the bottleneck, whoever sent them and whatever is in them.

use std::time::Duration;

use jsp_proto::Congestion;

use super::Path;
use super::apps::Flow;
use crate::sim::apps::{Rival, RivalKind};
use crate::sim::{App, Bottleneck, BottleneckId, Host, Link, NodeId, Sim};

/// Bits per second of the bottleneck.
pub const RATE: u64 = 20_000_000;
/// Round-trip time of every path.
pub const RTT: Duration = Duration::from_millis(40);
/// How long each run takes, from the first start.
pub const TIME: Duration = Duration::from_secs(60);
/// Round-trip times over which one index is computed.
pub const ROUNDS: u32 = 20;
/// Indexes over which the average is taken.
pub const WINDOWS: usize = 10;
/// What the average must reach.
pub const JAIN: f64 = 0.95;

/// One flow against others of another kind.
#[derive(Clone, Copy, Debug)]
pub struct Contest {
    /// What the others are.
    pub kind: RivalKind,
    /// How many.
    pub rivals: usize,
    /// The bottleneck's queue in bandwidth-delay products.
    pub buffer: f64,
    /// When the flow starts; the others start at once.
    pub start: Duration,
}

/// Who got how much, from the last start to the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Shares {
    /// What the flow got over what each would get if all got the same.
    pub own: f64,
    /// The same of whoever got least.
    pub smallest: f64,
    /// What all got together over what the bottleneck passes.
    pub used: f64,
    /// Datagrams dropped of all that came to the bottleneck.
    pub dropped: f64,
    /// Why the connection broke, if it did.
    pub closed: Option<String>,
}

/// Several flows of one kind, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Convergence {
    /// Jain's index of each [`ROUNDS`] round-trip times since the last start.
    pub indexes: Vec<f64>,
    /// Why the first connection broke, if one did.
    pub closed: Option<String>,
}

impl Convergence {
    /// The average of the last [`WINDOWS`] indexes.
    pub fn last(&self) -> f64 {
        mean(&self.indexes[self.indexes.len().saturating_sub(WINDOWS)..])
    }

    /// The time from the last start to the end of the first [`WINDOWS`] indexes whose average reaches [`JAIN`].
    pub fn reached(&self) -> Option<Duration> {
        let first = self.indexes.windows(WINDOWS).position(|indexes| mean(indexes) >= JAIN)?;
        Some(RTT * ROUNDS * (first + WINDOWS) as u32)
    }
}

/// One flow against others.
pub fn contest(seed: u64, congestion: Congestion, contest: &Contest) -> Shares {
    let (mut sim, path, via) = network(seed, contest.buffer);
    let at = contest.start + jitter(&mut sim);
    let mut flow = Flow::new(&mut sim, &path, via, congestion, at);
    let mut pairs = vec![(flow.client, flow.server)];
    let mut rivals = Vec::new();
    for _ in 0..contest.rivals {
        let (from, to) = (sim.add_host(Host::raw()), sim.add_host(Host::raw()));
        sim.link_one_way(from, to, Link::with_delay(RTT / 2).via(via));
        sim.link_one_way(to, from, Link::with_delay(RTT / 2));
        let at = sim.now() + jitter(&mut sim);
        rivals.push(Rival::new(&mut sim, contest.kind, from, to).start_at(at));
        pairs.push((from, to));
    }
    let mut apps: Vec<&mut dyn App> = vec![&mut flow];
    apps.extend(rivals.iter_mut().map(|rival| rival as &mut dyn App));
    sim.run(contest.start, &mut apps);
    sim.reset_bottleneck_stats(via);
    let before = passed(&mut sim, &pairs);
    let time = TIME - contest.start;
    sim.resume(time, &mut apps);
    let got = gains(&before, &passed(&mut sim, &pairs));
    let (total, stats) = (got.iter().sum::<f64>(), sim.bottleneck_stats(via));
    let fair = total / got.len() as f64;
    Shares {
        own: got[0] / fair,
        smallest: got.iter().copied().fold(f64::MAX, f64::min) / fair,
        used: total * 8.0 / (RATE as f64 * time.as_secs_f64()),
        dropped: stats.overflowed as f64 / (stats.overflowed + stats.passed).max(1) as f64,
        closed: flow.closed().map(Into::into),
    }
}

/// So many flows with one controller, each starting this long after the one before it; a queue of `buffer`
/// bandwidth-delay products.
pub fn convergence(seed: u64, congestion: Congestion, flows: u32, apart: Duration, buffer: f64) -> Convergence {
    let (mut sim, path, via) = network(seed, buffer);
    let mut flows: Vec<Flow> = (0..flows)
        .map(|n| {
            let at = apart * n + jitter(&mut sim);
            Flow::new(&mut sim, &path, via, congestion, at)
        })
        .collect();
    let last_start = apart * (flows.len() as u32 - 1);
    let pairs: Vec<_> = flows.iter().map(|flow| (flow.client, flow.server)).collect();
    let mut apps: Vec<&mut dyn App> = flows.iter_mut().map(|flow| flow as &mut dyn App).collect();
    sim.run(last_start, &mut apps);
    let mut before = passed(&mut sim, &pairs);
    let mut indexes = Vec::new();
    for _ in 0..TIME.as_nanos() / (RTT * ROUNDS).as_nanos() {
        sim.resume(RTT * ROUNDS, &mut apps);
        let after = passed(&mut sim, &pairs);
        indexes.push(jain(&gains(&before, &after)));
        before = after;
    }
    Convergence { indexes, closed: flows.iter().find_map(|flow| flow.closed().map(Into::into)) }
}

/// Jain's fairness index: 1 if all got the same, 1/n if one got everything.
pub fn jain(got: &[f64]) -> f64 {
    let (sum, squares) = (got.iter().sum::<f64>(), got.iter().map(|x| x * x).sum::<f64>());
    if squares > 0.0 { sum * sum / (got.len() as f64 * squares) } else { 0.0 }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn network(seed: u64, buffer: f64) -> (Sim, Path, BottleneckId) {
    let mut sim = Sim::new(seed);
    let path = Path::new(RATE, RTT, 0.0);
    let path = Path { queue: (path.bdp() as f64 * buffer) as u64, ..path };
    let via = sim.bottleneck(Bottleneck::new(RATE).drop_tail(path.queue));
    (sim, path, via)
}

/// Up to one round-trip time: without it all seeds would be alike.
fn jitter(sim: &mut Sim) -> Duration {
    Duration::from_nanos(sim.rng().below(RTT.as_nanos() as u64))
}

/// Bytes of each flow that left the bottleneck.
fn passed(sim: &mut Sim, pairs: &[(NodeId, NodeId)]) -> Vec<u64> {
    pairs.iter().map(|(from, to)| sim.link_stats(*from, *to).delivered_bytes).collect()
}

fn gains(before: &[u64], after: &[u64]) -> Vec<f64> {
    before.iter().zip(after).map(|(before, after)| (after - before) as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jains_index() {
        assert_eq!(jain(&[5.0, 5.0]), 1.0);
        assert_eq!(jain(&[1.0, 0.0, 0.0, 0.0]), 0.25);
        assert_eq!(jain(&[0.0, 0.0]), 0.0);
    }

    #[test]
    fn the_average_that_is_reached_first() {
        let mut indexes = vec![0.5; 5];
        indexes.extend([1.0; 20]);
        let convergence = Convergence { indexes, closed: None };
        // Nine of ten windows at 1 and one at 0.5 make exactly 0.95.
        assert_eq!(convergence.reached(), Some(RTT * ROUNDS * 14));
        assert_eq!(convergence.last(), 1.0);
    }
}

//! What a flow does when its path or its sender changes, and on paths that are odd. Round-trip time 40 ms.

use std::time::Duration;

use jsp_proto::{Congestion, StreamOptions};

use super::apps::{Flow, Sink};
use super::{Path, trusted};
use crate::sim::apps::{Latencies, MessageSink, MessageSource};
use crate::sim::{Bottleneck, BottleneckId, Link, Sim};

/// Round-trip time of the empty path.
pub const RTT: Duration = Duration::from_millis(40);
/// Bits per second, unless a function says otherwise.
pub const FAST: u64 = 100_000_000;
/// Bits per second after the rate has dropped.
pub const SLOW: u64 = 10_000_000;
/// Bits per second that the policer and the wireless link let pass.
pub const NARROW: u64 = 20_000_000;

const SECOND: Duration = Duration::from_secs(1);
/// Goodput counts as reached when it holds over this time.
const STRETCH: Duration = Duration::from_millis(200);

/// The rate drops to a tenth after 10 s and rises again after 20 s.
#[derive(Clone, Debug, PartialEq)]
pub struct RateChange {
    /// From the drop until the median queue delay of one round-trip time is below a quarter of it.
    pub drained: Option<Duration>,
    /// Bytes read in the second to tenth second after the drop over what the bottleneck passes.
    pub slow: f64,
    /// From the rise until 90 % of the new rate are read over 200 ms.
    pub risen: Option<Duration>,
}

/// Measures [`RateChange`]. The queue holds one bandwidth-delay product of the high rate.
pub fn rate(seed: u64, congestion: Congestion) -> RateChange {
    let (mut sim, via, mut flow) = one_flow(seed, congestion, 0.0);
    let queue = path(0.0).queue;
    sim.run(SECOND * 10, &mut [&mut flow]);
    sim.change_bottleneck(via, Bottleneck::new(SLOW).drop_tail(queue));
    let mut drained = None;
    for n in 1..=(SECOND * 10).as_nanos() / RTT.as_nanos() {
        sim.reset_bottleneck_stats(via);
        sim.resume(RTT, &mut [&mut flow]);
        if sim.bottleneck_stats(via).queue_delay_percentile(50.0) < RTT / 4 {
            drained.get_or_insert(RTT * n as u32);
        }
    }
    sim.change_bottleneck(via, Bottleneck::new(FAST).drop_tail(queue));
    sim.resume(SECOND * 10, &mut [&mut flow]);
    let sink = flow.sink();
    RateChange {
        drained,
        slow: share(sink, SECOND * 12, SECOND * 20, SLOW),
        risen: reached(sink, SECOND * 20, SECOND * 30, FAST),
    }
}

/// The delay of the path triples after 10 s and goes back after 20 s.
#[derive(Clone, Debug, PartialEq)]
pub struct DelayChange {
    /// Bytes read in the five seconds before the first change over what the bottleneck passes.
    pub before: f64,
    /// The same in the five seconds after the path got longer.
    pub longer: f64,
    /// The same in the five seconds after it got shorter again.
    pub shorter: f64,
}

/// Measures [`DelayChange`].
pub fn delay(seed: u64, congestion: Congestion) -> DelayChange {
    let (mut sim, via, mut flow) = one_flow(seed, congestion, 0.0);
    sim.run(SECOND * 10, &mut [&mut flow]);
    for one_way in [RTT * 3 / 2, RTT / 2] {
        sim.link_one_way(flow.client, flow.server, Link::with_delay(one_way).via(via));
        sim.link_one_way(flow.server, flow.client, Link::with_delay(one_way));
        sim.resume(SECOND * 10, &mut [&mut flow]);
    }
    let share = |from: u32| share(flow.sink(), SECOND * from, SECOND * (from + 5), FAST);
    DelayChange { before: share(5), longer: share(10), shorter: share(20) }
}

/// A flow on an odd path, from the fifth second on.
#[derive(Clone, Debug, PartialEq)]
pub struct Odd {
    /// Bytes read over what the path passes.
    pub goodput: f64,
    /// Datagrams of the sender that did not arrive, of all.
    pub lost: f64,
}

/// A policer in front of a fast link, for 30 s: it passes [`NARROW`] with bursts of `burst` bytes and drops what is more.
pub fn policer(seed: u64, congestion: Congestion, burst: u64) -> Odd {
    let (mut sim, via, mut flow) = one_flow(seed, congestion, 0.0);
    let link = Link::with_delay(RTT / 2).policer(NARROW, burst).via(via);
    sim.link_one_way(flow.client, flow.server, link);
    odd(&mut sim, &mut flow, NARROW as f64)
}

/// A link that repeats a fifth of all datagrams, which takes a millisecond each time, for 30 s.
pub fn wireless(seed: u64, congestion: Congestion) -> Odd {
    const FAILS: f64 = 0.2;
    const ATTEMPT: Duration = Duration::from_millis(1);
    let mut sim = Sim::new(seed);
    let path = Path::new(NARROW, RTT, 0.0);
    let via = sim.bottleneck(Bottleneck::new(NARROW).drop_tail(path.queue).wireless(FAILS, ATTEMPT));
    let mut flow = Flow::new(&mut sim, &path, via, congestion, Duration::ZERO);
    // What is left of the rate for datagrams of 1200 bytes.
    let bits = 1200.0 * 8.0;
    let takes = bits / NARROW as f64 + ATTEMPT.as_secs_f64() * FAILS / (1.0 - FAILS);
    odd(&mut sim, &mut flow, bits / takes)
}

/// A way back that loses a fifth of all datagrams, while the way there loses none, for 30 s.
pub fn lost_acks(seed: u64, congestion: Congestion) -> Odd {
    let (mut sim, _, mut flow) = one_flow(seed, congestion, 0.0);
    sim.link_one_way(flow.server, flow.client, Link::with_delay(RTT / 2).loss(0.2));
    odd(&mut sim, &mut flow, FAST as f64)
}

/// A sender that has little to send for 10 s and then all it can: the time from then until 90 % of the rate are read
/// over 200 ms.
pub fn wake(seed: u64, congestion: Congestion) -> Option<Duration> {
    let (mut sim, _, flow) = one_flow(seed, congestion, 0.0);
    let mut flow = flow.trickle(SECOND * 10, 1000, SECOND / 10);
    sim.run(SECOND * 20, &mut [&mut flow]);
    reached(flow.sink(), SECOND * 10, SECOND * 20, FAST)
}

/// One message of 1000 bytes per second for a minute, with so much loss in either direction: from sending to receipt.
pub fn trickle(seed: u64, congestion: Congestion, loss: f64) -> Latencies {
    const COUNT: u64 = 60;
    let mut sim = Sim::new(seed);
    let (client, server) = path(loss).hosts(&mut sim, congestion);
    let conn = sim.connect(client, server, &trusted()).expect("a connection attempt");
    let stream = StreamOptions::unordered_messages();
    let mut source = MessageSource::new(client, conn, COUNT, 1000, SECOND).stream(stream);
    let mut sink = MessageSink::new(server, COUNT);
    sim.run(SECOND * 120, &mut [&mut source, &mut sink]);
    sink.latencies().clone()
}

fn path(loss: f64) -> Path {
    Path::new(FAST, RTT, loss)
}

/// A flow at [`FAST`] that starts at once; its queue holds one bandwidth-delay product.
fn one_flow(seed: u64, congestion: Congestion, loss: f64) -> (Sim, BottleneckId, Flow) {
    let (mut sim, path) = (Sim::new(seed), path(loss));
    let via = sim.bottleneck(Bottleneck::new(FAST).drop_tail(path.queue));
    let flow = Flow::new(&mut sim, &path, via, congestion, Duration::ZERO);
    (sim, via, flow)
}

fn odd(sim: &mut Sim, flow: &mut Flow, rate: f64) -> Odd {
    let (from, to) = (SECOND * 5, SECOND * 30);
    sim.run(from, &mut [&mut *flow]);
    let before = sim.link_stats(flow.client, flow.server);
    sim.resume(to - from, &mut [&mut *flow]);
    let after = sim.link_stats(flow.client, flow.server);
    let (sent, arrived) = (after.sent - before.sent, after.delivered - before.delivered);
    let bits = flow.sink().between(from, to) as f64 * 8.0;
    Odd {
        goodput: bits / (rate * (to - from).as_secs_f64()),
        lost: sent.saturating_sub(arrived) as f64 / sent.max(1) as f64,
    }
}

/// Bytes read in this time over what a bottleneck of this rate passes.
fn share(sink: &Sink, from: Duration, to: Duration, rate: u64) -> f64 {
    sink.between(from, to) as f64 * 8.0 / (rate as f64 * (to - from).as_secs_f64())
}

/// How long after `from` it is until 90 % of this rate are read over [`STRETCH`].
fn reached(sink: &Sink, from: Duration, to: Duration, rate: u64) -> Option<Duration> {
    let ends = (1..).map(|n| from + Sink::BIN * n).take_while(|end| *end <= to);
    let mut ends = ends.filter(|end| *end >= from + STRETCH);
    ends.find(|end| share(sink, *end - STRETCH, *end, rate) >= 0.9).map(|end| end - from)
}

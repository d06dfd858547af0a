//! The flows that the tables measure. How many messages count is up to the caller: [`Flow::count`].

use std::time::Duration;

use jsp_proto::{Config, ConfigBuilder, Delivery};

use super::{Flow, Mode};
use crate::cc::Path;

/// Bits per second of every path: no flow needs a tenth of it.
pub const RATE: u64 = 100_000_000;
/// Round-trip time, unless a function says otherwise.
pub const RTT: Duration = Duration::from_millis(40);
/// Messages of this first time do not count, except where nothing is lost.
pub const WARM_UP: Duration = Duration::from_secs(5);
/// Bytes of a message that fits one packet.
pub const SMALL: usize = 1000;
/// Bytes of one that takes 14 packets.
pub const LARGE: usize = 16_000;

/// Round-trip time of the path of [`deadline`].
pub const DEADLINE_RTT: Duration = Duration::from_millis(80);
/// How long its messages are worth sending.
pub const DEADLINE: Duration = Duration::from_millis(150);

fn path(rtt: Duration, loss: f64) -> Path {
    Path::new(RATE, rtt, loss)
}

/// A steady flow with `mean_length` of the bursts of losses; at most as much parity as packets.
pub fn steady(loss: f64, mean_length: f64, mode: Mode, size: usize, per_second: u32) -> Flow {
    let profile = || Config::builder().fec_max_overhead(100);
    Flow::new(path(RTT, loss), mode, size, per_second, profile).burst(mean_length)
}

/// 50 small messages per second that are worth nothing after [`DEADLINE`], over a round-trip time of [`DEADLINE_RTT`].
pub fn deadline(loss: f64, mode: Mode) -> Flow {
    let delivery = Delivery::PartiallyReliable { ttl: DEADLINE };
    Flow::new(path(DEADLINE_RTT, loss), mode, SMALL, 50, Config::low_latency).delivery(delivery)
}

/// 200 small reliable messages per second, in the setting for low latency.
pub fn sparse_reliable(loss: f64, mode: Mode) -> Flow {
    Flow::new(path(RTT, loss), mode, SMALL, 200, Config::low_latency).delivery(Delivery::Reliable)
}

/// 200 small best-effort messages per second: as much parity as it takes to lose 1.5 %, over blocks of up to 50 ms.
pub fn sparse_best_effort(loss: f64, mode: Mode) -> Flow {
    fn profile() -> ConfigBuilder {
        Config::builder().fec_target(1.5e-2).fec_max_delay(Duration::from_millis(50)).fec_max_overhead(100)
    }
    Flow::new(path(RTT, loss), mode, SMALL, 200, profile).delivery(Delivery::BestEffort)
}

/// A flow on a path without loss. All of it counts, from the first message on.
pub fn clean(delivery: Delivery, mode: Mode, size: usize, per_second: u32, seconds: u64) -> Flow {
    let flow = Flow::new(path(RTT, 0.0), mode, size, per_second, Config::builder);
    flow.delivery(delivery).count(Duration::ZERO, u64::from(per_second) * seconds)
}

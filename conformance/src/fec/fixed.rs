//! A fixed block code on a path with independent losses, next to what it must give.

use std::time::Duration;

use jsp_proto::{Config, Congestion};

use super::cases::{RATE, RTT, SMALL};
use super::{Flow, Measured, Mode, exact};
use crate::cc::Path;

/// Messages before those that count last so long.
pub const WARM_UP: Duration = Duration::from_secs(1);
/// Blocks per second that a receiver is asked to repair at most, below its bound of 200.
const BLOCKS: u32 = 150;
const PER_SECOND: u32 = 2000;

/// Messages of one packet each, so many that all blocks are full, at a rate that no loss changes.
pub fn flow(sources: u8, parity: u8, loss: f64, count: u64) -> Flow {
    let path = Path::new(RATE, RTT, loss);
    // One parity packet is no more than a sum, and its repair no work.
    let per_second = if parity == 1 { PER_SECOND } else { PER_SECOND.min(BLOCKS * u32::from(sources)) };
    let profile =
        || Config::builder().congestion(Congestion::FixedRateWithoutCongestionControl { bytes_per_second: RATE / 8 });
    Flow::new(path, Mode::Fixed(sources, parity), SMALL, per_second, profile).count(WARM_UP, count)
}

/// The share of packets that stayed lost, and the share that must.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// In the simulation.
    pub measured: f64,
    /// By the binomial distribution.
    pub exact: f64,
    /// The standard error of a sample of this size, whose losses come in blocks.
    pub error: f64,
}

impl Comparison {
    /// Compares what was measured with this code at this loss.
    pub fn new(sources: u8, parity: u8, loss: f64, measured: &Measured) -> Self {
        let block = exact::block(sources, parity, exact::Loss::random(loss));
        let blocks = measured.offered as f64 / f64::from(sources);
        Self {
            measured: 1.0 - measured.delivered(),
            exact: block.residual,
            error: (block.variance / blocks).sqrt() / f64::from(sources),
        }
    }

    /// How many standard errors lie between the two.
    pub fn distance(&self) -> f64 {
        (self.measured - self.exact) / self.error.max(f64::MIN_POSITIVE)
    }
}

//! Congestion controllers measured in the [simulator](crate::sim): goodput, latency of messages, fairness, queues and
//! sudden change, in virtual time and the same in every run.
//!
//! `cargo run --release -p jsp-conformance -- cc-table` prints it all as Markdown tables. Tests call the measuring
//! functions themselves:
//!
//! ```
//! use jsp_conformance::cc::{Path, goodput};
//! use jsp_proto::Congestion;
//! use std::time::Duration;
//!
//! let path = Path::new(10_000_000, Duration::from_millis(20), 0.0);
//! let bulk = goodput::bulk(1, Congestion::default(), &path, 1_000_000, Duration::from_secs(10));
//! assert!(bulk.finished && bulk.goodput() > 0.8, "{bulk:?}");
//! ```
//!
//! What all parts share: datagrams of 1200 bytes (no search for larger ones), and windows and buffers so large that the controller
//! alone holds a sender back ([`Path::config`]). Goodput counts the headers of IP and UDP as sent, and they take their
//! share of a path's rate; everything else counts UDP payload.

pub mod apps;
pub mod change;
pub mod fairness;
pub mod goodput;
pub mod messages;
pub mod queue;
mod report;
pub(crate) mod runner;
pub(crate) mod table;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jsp_proto::{ClientConfig, Config, ConfigBuilder, Congestion, SecretKey};

pub use report::{Options, Part, run};

use crate::sim::apps::nearest_rank;
use crate::sim::{Link, NodeId, Sim};

/// A controller by name, and how to ask for it on a path whose bottleneck has this many bits per second.
#[derive(Clone, Copy, Debug)]
pub struct Controller {
    /// As it stands in the tables.
    pub name: &'static str,
    /// The setting.
    pub make: fn(rate: u64) -> Congestion,
    /// Whether it can share a path, or live with one that changes.
    pub yields: bool,
}

impl Controller {
    /// Whether connections have it if nothing is said.
    pub fn is_default(&self) -> bool {
        (self.make)(0) == Congestion::default()
    }
}

/// Every controller that the tables compare.
pub fn controllers() -> &'static [Controller] {
    &[
        Controller { name: "bbr", make: |_| Congestion::Bbr, yields: true },
        Controller { name: "cubic", make: |_| Congestion::Cubic, yields: true },
        Controller {
            name: "fixed",
            make: |rate| Congestion::FixedRateWithoutCongestionControl { bytes_per_second: (rate / 8).max(1) },
            yields: false,
        },
    ]
}

/// Bytes of the IPv4 and UDP headers of a datagram. They take their share of a path's rate.
pub const HEADERS: u64 = 28;

/// A path between two hosts: the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Path {
    /// Bits per second of the bottleneck.
    pub rate: u64,
    /// Round-trip time of an empty path.
    pub rtt: Duration,
    /// Probability that a datagram is lost at random, in either direction.
    pub loss: f64,
    /// Bytes that may wait in front of the bottleneck (drop-tail).
    pub queue: u64,
}

impl Path {
    /// The smallest queue that [`new`](Self::new) gives: 25 datagrams.
    pub const SMALLEST_QUEUE: u64 = 30_000;

    /// A path whose queue holds one bandwidth-delay product, at least [`SMALLEST_QUEUE`](Self::SMALLEST_QUEUE).
    pub fn new(rate: u64, rtt: Duration, loss: f64) -> Self {
        let path = Self { rate, rtt, loss, queue: 0 };
        Self { queue: path.bdp().max(Self::SMALLEST_QUEUE), ..path }
    }

    /// The bandwidth-delay product in bytes.
    pub fn bdp(&self) -> u64 {
        (u128::from(self.rate) * self.rtt.as_nanos() / 8_000_000_000) as u64
    }

    /// One direction of it.
    pub fn link(&self) -> Link {
        Link::with_delay(self.rtt / 2).rate(self.rate).queue(self.queue).overhead(HEADERS).loss(self.loss).loss_first()
    }

    /// Windows and buffers that never hold a sender back on this path, patience, and datagrams of 1200 bytes.
    pub fn config(&self, congestion: Congestion) -> ConfigBuilder {
        self.room(Config::builder().congestion(congestion))
    }

    /// Adds them to other settings.
    ///
    /// The windows are far above what is ever under way; the send buffer holds eight bandwidth-delay products, so that
    /// lost data that waits for its repair does not fill it.
    pub fn room(&self, settings: ConfigBuilder) -> ConfigBuilder {
        const WINDOW: u64 = 256 << 20;
        let buffer = (8 * (self.bdp() + self.queue)).clamp(8 << 20, WINDOW);
        let patience = Duration::from_secs(600);
        settings
            .mtu_discovery(false)
            .receive_window(WINDOW, WINDOW)
            .max_receive_window(WINDOW, WINDOW)
            .send_buffer(buffer, buffer)
            .idle_timeout(patience)
            .handshake_timeout(patience)
    }

    /// Puts a client and a server on the network, with this path between them.
    pub fn hosts(&self, sim: &mut Sim, congestion: Congestion) -> (NodeId, NodeId) {
        let valid = "a valid configuration";
        let server = sim.add(self.config(congestion).server_key(server_key()).build().expect(valid));
        let client = sim.add(self.config(congestion).build().expect(valid));
        sim.link(client, server, self.link());
        (client, server)
    }
}

pub(crate) fn server_key() -> Arc<SecretKey> {
    static KEY: OnceLock<Arc<SecretKey>> = OnceLock::new();
    KEY.get_or_init(|| Arc::new(SecretKey::from_seed([1; 32]))).clone()
}

/// Trust in the server of [`Path::hosts`].
pub fn trusted() -> ClientConfig {
    ClientConfig::pinned(server_key().public().clone())
}

/// The middle of these values, the lower one of two. Zero if there is none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    percentile(values, 50.0)
}

/// The smallest of these values that is not below `percent` percent of them. Zero if there is none.
pub fn percentile(values: impl IntoIterator<Item = f64>, percent: f64) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    nearest_rank(&sorted, percent)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_a_queue_of_its_bandwidth_delay_product() {
        let path = Path::new(100_000_000, Duration::from_millis(40), 0.0);
        assert_eq!((path.bdp(), path.queue), (500_000, 500_000));
        assert_eq!(Path::new(1_000_000, Duration::from_millis(10), 0.0).queue, Path::SMALLEST_QUEUE);
    }

    #[test]
    fn percentiles_by_nearest_rank() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.0);
        assert_eq!(median([]), 0.0);
        assert_eq!(percentile((1..=200).map(f64::from), 99.0), 198.0);
    }

    #[test]
    fn one_controller_is_the_default_and_names_differ() {
        assert_eq!(controllers().iter().filter(|controller| controller.is_default()).count(), 1);
        for (index, controller) in controllers().iter().enumerate() {
            assert!(controllers()[..index].iter().all(|other| other.name != controller.name));
        }
    }
}

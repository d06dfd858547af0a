//! The figures of one flow.

use std::time::Duration;

use crate::sim::apps::Latencies;

/// What came of the messages that count, in one run or in several together.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Messages that were offered.
    pub offered: u64,
    /// Messages that the send buffer had no room for.
    pub refused: u64,
    /// From the call that accepted a message until it could be read, of all that arrived.
    pub latencies: Latencies,
    /// Bytes of messages accepted.
    pub accepted_bytes: u64,
    /// Bytes of messages delivered.
    pub delivered_bytes: u64,
    /// Datagrams of the sender.
    pub datagrams: u64,
    /// Their bytes, with the headers of IP and UDP.
    pub bytes: u64,
    /// Bytes of the receiver's datagrams, with headers.
    pub bytes_back: u64,
    /// Parity packets sent.
    pub parity: u64,
    /// Packets sent under the protection of parity.
    pub sources: u64,
    /// Of these, those that the network lost.
    pub sources_lost: u64,
    /// Of these, those that the receiver repaired.
    pub repaired: u64,
    /// Datagrams that the network lost.
    pub lost: u64,
    /// Repairs that the receiver's bounds did not allow.
    pub refused_repairs: u64,
    /// Parity packets that arrived and were of no use.
    pub unused: u64,
    /// Connections that broke, and why the first one did.
    pub broken: (u64, Option<String>),
}

impl Measured {
    /// Several runs together.
    pub fn all<'a>(runs: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut all = Self::default();
        for run in runs {
            all.offered += run.offered;
            all.refused += run.refused;
            all.latencies.merge(&run.latencies);
            all.accepted_bytes += run.accepted_bytes;
            all.delivered_bytes += run.delivered_bytes;
            all.datagrams += run.datagrams;
            all.bytes += run.bytes;
            all.bytes_back += run.bytes_back;
            all.parity += run.parity;
            all.sources += run.sources;
            all.sources_lost += run.sources_lost;
            all.lost += run.lost;
            all.repaired += run.repaired;
            all.refused_repairs += run.refused_repairs;
            all.unused += run.unused;
            all.broken.0 += run.broken.0;
            all.broken.1 = all.broken.1.take().or_else(|| run.broken.1.clone());
        }
        all
    }

    /// The share of the messages that arrived.
    pub fn delivered(&self) -> f64 {
        share(self.latencies.len() as u64, self.offered)
    }

    /// The share of the messages that arrived within this time.
    pub fn within(&self, time: Duration) -> f64 {
        share(self.latencies.iter().filter(|latency| *latency <= time).count() as u64, self.offered)
    }

    /// The share of the protected packets that neither arrived nor were repaired; of all packets if none was protected.
    pub fn residual(&self) -> f64 {
        match self.sources {
            0 => share(self.lost, self.datagrams),
            sources => share(self.sources_lost.saturating_sub(self.repaired), sources),
        }
    }

    /// Bytes sent, with the headers of IP and UDP, for each byte of a message that was accepted.
    pub fn overhead(&self) -> f64 {
        share(self.bytes, self.accepted_bytes)
    }

    /// Bytes sent, with the headers of IP and UDP, for each byte of a message that was delivered.
    pub fn cost(&self) -> f64 {
        share(self.bytes, self.delivered_bytes)
    }

    /// Parity packets for each other packet of the sender.
    pub fn parity_share(&self) -> f64 {
        share(self.parity, self.datagrams - self.parity)
    }

    /// Datagrams of the sender for each message.
    pub fn packets_per_message(&self) -> f64 {
        share(self.datagrams, self.offered - self.refused)
    }

    /// A percentile of the latencies in milliseconds.
    pub fn millis(&self, percent: f64) -> f64 {
        self.latencies.percentile(percent).as_secs_f64() * 1e3
    }
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

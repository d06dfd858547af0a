//! What a congestion controller is told and what it answers (specification section 6.3).
//!
//! The recovery layer decides what was delivered, what was lost and which losses belong to one congestion event; a
//! controller only decides how much may be in flight and, if it wants, how fast. Nothing here reads a clock or keeps
//! packets.

mod bbr;
mod cubic;
mod fixed;
mod hystart;

pub(crate) use bbr::Bbr;
pub(crate) use cubic::Cubic;
pub(crate) use fixed::Fixed;

use super::rate::RateSample;
use crate::time::Instant;

/// One ACK frame that acknowledged something new. Losses it revealed were reported before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckSample {
    pub(crate) now: Instant,
    /// Bytes newly acknowledged, late ones included.
    pub(crate) bytes: u64,
    /// Bytes in flight before this ACK.
    pub(crate) prior_in_flight: u64,
    /// Bytes in flight after this ACK and the losses it revealed.
    pub(crate) in_flight: u64,
    /// Bytes declared lost because of this ACK.
    pub(crate) lost: u64,
    /// The largest packet number newly acknowledged.
    pub(crate) largest: u64,
    /// When that packet was sent.
    pub(crate) largest_sent_at: Instant,
    /// The next packet number to be sent: the end of a round trip that starts now.
    pub(crate) next_pn: u64,
    /// The round-trip sample of this ACK in nanoseconds, if it gave one.
    pub(crate) rtt: Option<u64>,
    /// Smoothed round-trip time in nanoseconds.
    pub(crate) srtt: u64,
    /// Whether the newest acknowledged packet left while the application had nothing more to send.
    pub(crate) app_limited: bool,
    /// The delivery rate, if this ACK gave a usable sample.
    pub(crate) rate: Option<RateSample>,
}

/// A batch of packets declared lost at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LossSample {
    pub(crate) now: Instant,
    /// Whether the batch starts a congestion event: something sent after the last event began was lost
    /// (RFC 9002 section 7.3.2).
    pub(crate) new_event: bool,
    /// Persistent congestion (RFC 9002 section 7.6).
    pub(crate) persistent: bool,
}

/// A congestion controller of one path.
///
/// Model-based controllers learn of each packet that leaves, is lost or comes late, and get a delivery-rate sample per
/// ACK; loss-based ones can ignore all of that.
pub(crate) trait Controller: core::fmt::Debug + Send {
    /// A packet that counts in flight left.
    fn on_sent(&mut self) {}
    /// An ACK brought news. Called after `on_loss` and `on_ce` for the same ACK.
    fn on_ack(&mut self, sample: &AckSample);
    /// One packet was declared lost. Called for each packet of a batch, before `on_loss`.
    fn on_packet_lost(&mut self, _pn: u64) {}
    /// A batch of packets was declared lost.
    fn on_loss(&mut self, sample: &LossSample);
    /// A packet declared lost has been acknowledged after all.
    fn on_packet_late(&mut self, _pn: u64) {}
    /// Routers marked packets; called at most once per congestion event, so about once per round trip.
    /// `marked` is the increase of the peer's counter.
    fn on_ce(&mut self, now: Instant, marked: u64);
    /// Every loss of the latest congestion event proved wrong: undo it.
    fn on_spurious(&mut self, now: Instant);
    /// The datagram size of the path changed.
    fn on_mtu(&mut self, max_datagram: u16);
    /// The application has nothing more to send although the window would allow it.
    fn set_app_limited(&mut self) {}
    /// The congestion window in bytes; never below two datagrams.
    fn cwnd(&self) -> u64;
    /// The pacing rate in bytes per second if the controller sets it itself.
    fn pacing_rate(&self) -> Option<u64> {
        None
    }
    /// The share of packets that the path loses whatever is sent, as far as the controller knows.
    fn background_loss(&self) -> f64 {
        0.0
    }
    /// Whether the window is still doubling, which doubles the default pacing rate.
    fn in_slow_start(&self) -> bool;
    /// What the controller is doing, in a word for logs.
    fn state(&self) -> &'static str {
        if self.in_slow_start() { "slow_start" } else { "congestion_avoidance" }
    }
}

/// The initial window: min(10 datagrams, max(2 datagrams, 14720 bytes)) (RFC 9002 section 7.2).
pub(crate) fn initial_window(max_datagram: u16) -> u64 {
    let size = u64::from(max_datagram);
    (10 * size).min(14_720.max(2 * size))
}

/// The smallest window: two datagrams (RFC 9002 section 7.2).
pub(crate) fn minimum_window(max_datagram: u16) -> u64 {
    2 * u64::from(max_datagram)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn ack(now: u64, bytes: u64) -> AckSample {
        AckSample {
            now: Instant::from_nanos(now),
            bytes,
            prior_in_flight: u64::MAX,
            in_flight: 0,
            lost: 0,
            largest: 0,
            largest_sent_at: Instant::from_nanos(now),
            next_pn: 1,
            rtt: None,
            srtt: 50_000_000,
            app_limited: false,
            rate: None,
        }
    }

    pub(crate) fn loss(now: u64, new_event: bool) -> LossSample {
        LossSample { now: Instant::from_nanos(now), new_event, persistent: false }
    }

    #[test]
    fn initial_windows_of_rfc_9002() {
        assert_eq!(initial_window(1200), 12_000);
        assert_eq!(initial_window(1472), 14_720);
        assert_eq!(initial_window(9000), 18_000);
        assert_eq!(minimum_window(1200), 2_400);
    }
}

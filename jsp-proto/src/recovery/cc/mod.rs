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

use super::rate::{RateSample, SendMark};
use crate::time::Instant;

/// A packet that counts towards the congestion window has been sent.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "a loss-based controller ignores part of it; a model-based one needs all of it")]
pub(crate) struct SentSample {
    pub(crate) now: Instant,
    pub(crate) pn: u64,
    pub(crate) bytes: u64,
    /// Bytes in flight with this packet.
    pub(crate) in_flight: u64,
    /// The delivery-rate marks of this packet.
    pub(crate) mark: SendMark,
}

/// One ACK frame that acknowledged something new. Losses it revealed were reported before.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "a loss-based controller ignores part of it; a model-based one needs all of it")]
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
    /// Windowed minimum round-trip time in nanoseconds.
    pub(crate) min_rtt: u64,
    /// Whether the newest acknowledged packet left while the application had nothing more to send.
    pub(crate) app_limited: bool,
    /// The delivery rate, if this ACK gave a usable sample.
    pub(crate) rate: Option<RateSample>,
}

/// One packet declared lost.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "a loss-based controller ignores part of it; a model-based one needs all of it")]
pub(crate) struct LostPacket {
    pub(crate) pn: u64,
    pub(crate) bytes: u64,
    pub(crate) sent_at: Instant,
    /// The delivery-rate marks of this packet.
    pub(crate) mark: SendMark,
    /// Bytes declared lost on this path so far, with this packet.
    pub(crate) lost_total: u64,
}

/// A batch of packets declared lost at once.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "a loss-based controller ignores part of it; a model-based one needs all of it")]
pub(crate) struct LossSample {
    pub(crate) now: Instant,
    pub(crate) bytes: u64,
    pub(crate) packets: u32,
    /// When the newest lost packet was sent.
    pub(crate) largest_sent_at: Instant,
    /// Whether the batch starts a congestion event: something sent after the last event began was lost
    /// (RFC 9002 section 7.3.2).
    pub(crate) new_event: bool,
    /// Persistent congestion (RFC 9002 section 7.6).
    pub(crate) persistent: bool,
    /// Bytes in flight before the batch left.
    pub(crate) prior_in_flight: u64,
    /// Bytes in flight after it.
    pub(crate) in_flight: u64,
}

/// A congestion controller of one path.
///
/// Model-based controllers get, per packet, what was delivered, lost and in flight when it left (`mark`), and per
/// ACK a delivery-rate sample; loss-based ones can ignore both.
pub(crate) trait Controller: core::fmt::Debug + Send {
    /// A packet that counts in flight left.
    fn on_sent(&mut self, _sample: &SentSample) {}
    /// An ACK brought news. Called after `on_loss` and `on_ce` for the same ACK.
    fn on_ack(&mut self, sample: &AckSample);
    /// One packet was declared lost. Called for each packet of a batch, before `on_loss`.
    fn on_packet_lost(&mut self, _packet: &LostPacket) {}
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
            min_rtt: 50_000_000,
            app_limited: false,
            rate: None,
        }
    }

    pub(crate) fn loss(now: u64, new_event: bool) -> LossSample {
        LossSample {
            now: Instant::from_nanos(now),
            bytes: 1200,
            packets: 1,
            largest_sent_at: Instant::from_nanos(now),
            new_event,
            persistent: false,
            prior_in_flight: 12_000,
            in_flight: 10_800,
        }
    }

    #[test]
    fn initial_windows_of_rfc_9002() {
        assert_eq!(initial_window(1200), 12_000);
        assert_eq!(initial_window(1472), 14_720);
        assert_eq!(initial_window(9000), 18_000);
        assert_eq!(minimum_window(1200), 2_400);
    }
}

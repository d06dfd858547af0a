//! Delivery rate sampling (draft-ietf-ccwg-bbr section 4.1, after draft-cheng-iccrg-delivery-rate-estimation).
//!
//! Every packet remembers how much had been delivered when it left. When it is acknowledged, the difference over the
//! longer of the sending and the acknowledging interval is the rate at which the path delivered.

use crate::time::Instant;

const NANOS: u128 = 1_000_000_000;

/// Bytes that `rate` bytes per second give in `nanos`.
pub(crate) fn volume(rate: u64, nanos: u64) -> u64 {
    u64::try_from(u128::from(rate) * u128::from(nanos) / NANOS).unwrap_or(u64::MAX)
}

/// Nanoseconds that `bytes` take at `rate` bytes per second.
pub(crate) fn duration(bytes: u64, rate: u64) -> u64 {
    u64::try_from(u128::from(bytes) * NANOS / u128::from(rate.max(1))).unwrap_or(u64::MAX)
}

/// The rate in bytes per second that moves `bytes` in `nanos`.
pub(crate) fn rate_of(bytes: u64, nanos: u64) -> u64 {
    u64::try_from(u128::from(bytes) * NANOS / u128::from(nanos.max(1))).unwrap_or(u64::MAX)
}

/// What a packet remembers from the moment it was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SendMark {
    /// Bytes delivered so far.
    pub(crate) delivered: u64,
    /// When the last of them was acknowledged.
    pub(crate) delivered_at: Instant,
    /// When the flight began that this packet belongs to.
    pub(crate) first_sent_at: Instant,
    /// Whether the rate was limited by the application.
    pub(crate) app_limited: bool,
}

/// The delivery rate over about one round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateSample {
    /// Bytes per second.
    pub(crate) rate: u64,
    /// Bytes delivered over the interval.
    pub(crate) delivered: u64,
    /// The interval in nanoseconds.
    pub(crate) interval: u64,
    /// Bytes delivered in total when the newest acknowledged packet left: a round trip ends when this passes the
    /// total at the round's start.
    pub(crate) prior_delivered: u64,
    /// Bytes delivered in total now.
    pub(crate) delivered_total: u64,
    /// Whether the sample shows the application's rate instead of the path's.
    pub(crate) app_limited: bool,
}

/// The connection's side of the sampler.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RateSampler {
    delivered: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    /// The rate is limited by the application until this many bytes are delivered.
    app_limited_until: Option<u64>,
}

impl RateSampler {
    /// Marks a packet that leaves while `in_flight` bytes, itself included, are in flight.
    pub(super) fn on_sent(&mut self, now: Instant, bytes: u64, in_flight: u64) -> SendMark {
        if in_flight <= bytes {
            self.first_sent_at = now;
            self.delivered_at = now;
        }
        SendMark {
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            app_limited: self.app_limited_until.is_some(),
        }
    }

    /// The application has nothing more to send: what is in flight now will not show the path's rate.
    pub(super) fn set_app_limited(&mut self, in_flight: u64) {
        self.app_limited_until = Some(self.delivered.saturating_add(in_flight));
    }

    /// Takes an ACK of `bytes` in total whose newest packet left at `sent_at` with `mark`. No sample if the interval
    /// is shorter than `min_rtt`: acknowledgements that arrive together would show a rate that never was.
    pub(super) fn on_ack(
        &mut self,
        now: Instant,
        bytes: u64,
        sent_at: Instant,
        mark: &SendMark,
        min_rtt: u64,
    ) -> Option<RateSample> {
        self.delivered = self.delivered.saturating_add(bytes);
        self.delivered_at = now;
        if self.app_limited_until.is_some_and(|until| self.delivered > until) {
            self.app_limited_until = None;
        }
        self.first_sent_at = self.first_sent_at.max(sent_at);

        let sending = sent_at.nanos_since(mark.first_sent_at);
        let acknowledging = now.nanos_since(mark.delivered_at);
        let interval = sending.max(acknowledging);
        if interval == 0 || interval < min_rtt {
            return None;
        }
        let delivered = self.delivered.saturating_sub(mark.delivered);
        Some(RateSample {
            rate: rate_of(delivered, interval),
            delivered,
            interval,
            prior_delivered: mark.delivered,
            delivered_total: self.delivered,
            app_limited: mark.app_limited,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * MS)
    }

    #[test]
    fn conversions_do_not_overflow() {
        assert_eq!((volume(1_000_000, 40_000_000), duration(40_000, 1_000_000)), (40_000, 40_000_000));
        assert_eq!(rate_of(40_000, 40_000_000), 1_000_000);
        assert_eq!(
            (volume(u64::MAX, u64::MAX), duration(u64::MAX, 0), rate_of(u64::MAX, 0)),
            (u64::MAX, u64::MAX, u64::MAX)
        );
    }

    /// One packet of 1000 bytes per millisecond over a path of 50 ms.
    #[test]
    fn a_steady_flow_shows_its_rate() {
        let mut sampler = RateSampler::default();
        let mut marks = std::vec::Vec::new();
        for t in 0..300u64 {
            marks.push(sampler.on_sent(at(t), 1000, 1000 * (t + 1).min(51)));
            let Some(sent) = t.checked_sub(50) else { continue };
            let sample = sampler.on_ack(at(t), 1000, at(sent), &marks[sent as usize], 50 * MS).unwrap();
            if t >= 150 {
                assert_eq!((sample.rate, sample.interval, sample.app_limited), (1_000_000, 51 * MS, false));
            }
            assert!(sample.rate <= 1_000_000);
        }
    }

    #[test]
    fn compressed_acks_give_no_sample() {
        let mut sampler = RateSampler::default();
        let mark = sampler.on_sent(at(0), 1000, 1000);
        assert_eq!(sampler.on_ack(at(10), 1000, at(0), &mark, 50 * MS), None);
        assert_eq!(RateSampler::default().on_ack(at(0), 1, at(0), &mark, 0), None);
    }

    #[test]
    fn app_limited_until_the_flight_is_delivered() {
        let mut sampler = RateSampler::default();
        let first = sampler.on_sent(at(0), 1000, 1000);
        assert!(!first.app_limited);
        sampler.set_app_limited(1000);
        let second = sampler.on_sent(at(1), 1000, 2000);
        assert!(second.app_limited);
        sampler.on_ack(at(50), 1000, at(0), &first, 0);
        assert!(sampler.on_sent(at(50), 1000, 2000).app_limited);
        assert!(sampler.on_ack(at(51), 1000, at(1), &second, 0).unwrap().app_limited);
        assert!(!sampler.on_sent(at(52), 1000, 2000).app_limited);
    }
}

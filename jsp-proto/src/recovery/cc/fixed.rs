//! Sending at one rate whatever happens, for links that carry nothing else.

use super::super::rate::volume;
use super::{AckSample, Controller, LossSample, minimum_window};
use crate::time::Instant;

/// Round trips that the window lasts for, so that late acknowledgements do not stop the sender.
const ROUND_TRIPS: u64 = 2;
/// Time beyond them: acknowledgements are delayed, and lost packets stay in flight for a while.
const SLACK: u64 = 100_000_000;

/// No congestion control. The window only bounds what is sent into a path that has fallen silent.
#[derive(Debug)]
pub(crate) struct Fixed {
    rate: u64,
    segment: u16,
    srtt: u64,
}

impl Fixed {
    /// A controller for datagrams of at most `max_datagram` bytes that sends `rate` bytes per second. Until the first
    /// acknowledgement the round trip is taken for `srtt` nanoseconds.
    pub(crate) fn new(max_datagram: u16, rate: u64, srtt: u64) -> Self {
        Self { rate: rate.max(1), segment: max_datagram.max(1), srtt }
    }
}

impl Controller for Fixed {
    fn on_ack(&mut self, ack: &AckSample) {
        self.srtt = ack.srtt;
    }

    fn on_loss(&mut self, _sample: &LossSample) {}

    fn on_ce(&mut self, _now: Instant, _marked: u64) {}

    fn on_spurious(&mut self, _now: Instant) {}

    fn on_mtu(&mut self, max_datagram: u16) {
        self.segment = max_datagram.max(1);
    }

    fn cwnd(&self) -> u64 {
        let time = self.srtt.saturating_mul(ROUND_TRIPS).saturating_add(SLACK);
        volume(self.rate, time).max(minimum_window(self.segment))
    }

    fn pacing_rate(&self) -> Option<u64> {
        Some(self.rate)
    }

    fn in_slow_start(&self) -> bool {
        false
    }

    fn state(&self) -> &'static str {
        "fixed_rate"
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ack, loss};
    use super::*;

    #[test]
    fn nothing_changes_the_rate() {
        let mut fixed = Fixed::new(1200, 1_000_000, 200_000_000);
        assert_eq!((fixed.pacing_rate(), fixed.cwnd()), (Some(1_000_000), 500_000));
        fixed.on_ack(&ack(1, 1200));
        assert_eq!((fixed.pacing_rate(), fixed.cwnd()), (Some(1_000_000), 200_000));
        fixed.on_loss(&LossSample { persistent: true, ..loss(2, true) });
        fixed.on_ce(Instant::from_nanos(3), 5);
        assert_eq!((fixed.pacing_rate(), fixed.cwnd()), (Some(1_000_000), 200_000));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let fixed = Fixed::new(u16::MAX, u64::MAX, u64::MAX);
        assert_eq!(fixed.cwnd(), u64::MAX);
        assert_eq!(Fixed::new(1200, 0, 0).cwnd(), 2400);
    }
}

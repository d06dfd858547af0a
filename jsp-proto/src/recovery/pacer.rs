//! Spreading packets over the round trip: a token bucket by time (specification section 6.3).
//!
//! The bucket holds a burst: what the rate gives in 2 ms, but at least 10 and at most 256 packets. Timers fire late,
//! some by 15 ms. A bucket that is full before the driver comes back would lose rate, so the time by which a
//! promised instant was overrun is credited beyond the burst, up to the same 256 packets.

use crate::time::Instant;

const NANOS: u64 = 1_000_000_000;
/// Packets the first flight may hold, and the smallest burst.
const MIN_BURST: u64 = 10;
/// Packets the largest burst may hold.
const MAX_BURST: u64 = 256;
/// A burst lasts this long at the current rate.
const BURST_TIME: u64 = 2_000_000;
/// A blocked sender waits until it may send about this long, so that fast paths do not wake it for every packet.
const WAKE_TIME: u64 = 1_000_000;
/// Who comes back later than this was not held up by a coarse timer.
const MAX_LATENESS: u64 = 20_000_000;

/// The token bucket. Tokens are nanobytes, so that no rate and no interval is rounded away: 256 packets of 64 KiB
/// are 1.7e16 of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pacer {
    tokens: u64,
    updated: Instant,
    /// When a blocked sender was told to come back.
    promised: Option<Instant>,
    max_datagram: u64,
}

impl Pacer {
    /// A full bucket of 10 packets.
    pub(super) fn new(now: Instant, max_datagram: u16) -> Self {
        let max_datagram = u64::from(max_datagram).max(1);
        Self { tokens: MIN_BURST * max_datagram * NANOS, updated: now, promised: None, max_datagram }
    }

    pub(super) fn on_mtu(&mut self, max_datagram: u16) {
        self.max_datagram = u64::from(max_datagram).max(1);
    }

    /// Whether `bytes` may leave now; if not, when to ask again.
    pub(super) fn permit(&mut self, now: Instant, bytes: u64, rate: u64) -> Result<(), Instant> {
        let rate = rate.max(1);
        self.refill(now, rate);
        let burst = self.burst(rate);
        // A datagram above the burst may leave when the bucket is full.
        let needed = bytes.saturating_mul(NANOS).min(burst);
        if self.tokens >= needed {
            self.promised = None;
            return Ok(());
        }
        let target = needed.max(rate.saturating_mul(WAKE_TIME).min(burst / 2));
        let wait = (target - self.tokens).div_ceil(rate).max(1);
        let at = now.plus_nanos(wait);
        self.promised = Some(at);
        Err(at)
    }

    /// Takes what has left. Packets that were not asked for, like probes, empty the bucket but never overdraw it.
    pub(super) fn on_sent(&mut self, bytes: u64) {
        self.tokens = self.tokens.saturating_sub(bytes.saturating_mul(NANOS));
    }

    /// Something other than pacing holds the sender up: coming back late earns nothing.
    pub(super) fn forget_promise(&mut self) {
        self.promised = None;
    }

    fn burst(&self, rate: u64) -> u64 {
        let packet = self.max_datagram * NANOS;
        rate.saturating_mul(BURST_TIME).clamp(MIN_BURST * packet, MAX_BURST * packet)
    }

    fn refill(&mut self, now: Instant, rate: u64) {
        let elapsed = now.nanos_since(self.updated);
        if elapsed == 0 {
            return;
        }
        self.updated = now;
        let late = self.promised.map_or(0, |promised| now.nanos_since(promised));
        let late = if late > MAX_LATENESS { 0 } else { late };
        let most =
            self.burst(rate).saturating_add(rate.saturating_mul(late)).min(MAX_BURST * self.max_datagram * NANOS);
        let refilled = self.tokens.saturating_add(rate.saturating_mul(elapsed));
        self.tokens = refilled.min(most.max(self.tokens));
        // The lateness is credited once.
        if late > 0 {
            self.promised = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    /// Sends as much as the pacer allows at each instant; returns the bytes sent.
    fn drain(pacer: &mut Pacer, now: Instant, packet: u64, rate: u64) -> u64 {
        let mut sent = 0;
        while pacer.permit(now, packet, rate).is_ok() {
            pacer.on_sent(packet);
            sent += packet;
        }
        sent
    }

    proptest! {
        /// Over any schedule of ticks at most rate x time + burst leaves, in every window of the schedule.
        #[test]
        fn never_more_than_rate_and_burst(
            ticks in prop::collection::vec(1u64..40_000_000, 1..60),
            rate in 1_000u64..2_000_000_000,
            packet in 100u64..=1200,
        ) {
            let mut pacer = Pacer::new(at(0), 1200);
            let mut now = 0;
            let mut history = std::vec::Vec::new();
            for tick in ticks {
                now += tick;
                history.push((now, drain(&mut pacer, at(now), packet, rate)));
            }
            for from in 0..history.len() {
                let mut sent = 0u128;
                for &(time, bytes) in &history[from..] {
                    sent += u128::from(bytes);
                    let budget = u128::from(rate) * u128::from(time - history[from].0) / u128::from(NANOS);
                    prop_assert!(sent <= budget + u128::from(MAX_BURST * 1200) + 1);
                }
            }
        }

        /// A driver that comes back exactly when told stays within the regular burst and may always send.
        #[test]
        fn told_times_make_progress(rate in 1u64..4_000_000_000, packet in 1u64..=1200) {
            let mut pacer = Pacer::new(at(0), 1200);
            let (mut now, mut sent) = (at(0), 0u64);
            let burst = pacer.burst(rate) / NANOS;
            for _ in 0..200 {
                let got = drain(&mut pacer, now, packet, rate);
                prop_assert!(got > 0, "nothing at the promised time");
                sent += got;
                let budget = u128::from(rate) * u128::from(now.as_nanos()) / u128::from(NANOS);
                prop_assert!(u128::from(sent) <= budget + u128::from(burst) + 1);
                let next = pacer.permit(now, packet, rate).unwrap_err();
                prop_assert!(next > now);
                now = next;
            }
        }
    }

    #[test]
    fn starts_with_ten_packets() {
        let mut pacer = Pacer::new(at(5), 1200);
        assert_eq!(drain(&mut pacer, at(5), 1200, 1000), 12_000);
    }

    /// 100 MB/s with a timer that is always late by 15 ms still moves at least 256 packets per wake-up, and at
    /// 10 MB/s loses nothing at all.
    #[test]
    fn coarse_timers_keep_the_rate() {
        for (rate, least) in [(10_000_000, 990), (100_000_000, 190)] {
            let mut pacer = Pacer::new(at(0), 1200);
            let (mut now, mut sent) = (at(0), 0u64);
            while now < at(NANOS) {
                sent += drain(&mut pacer, now, 1200, rate);
                now = pacer.permit(now, 1200, rate).unwrap_err().plus_nanos(15_000_000);
            }
            assert!(sent * 1000 / rate >= least, "{} per mille", sent * 1000 / rate);
        }
    }

    #[test]
    fn an_idle_bucket_holds_one_burst() {
        let mut pacer = Pacer::new(at(0), 1200);
        drain(&mut pacer, at(0), 1200, 1_000_000);
        assert_eq!(drain(&mut pacer, at(60 * NANOS), 1000, 50_000_000), 100_000);
    }

    #[test]
    fn slow_paths_wait_for_one_packet_only() {
        let mut pacer = Pacer::new(at(0), 1200);
        drain(&mut pacer, at(0), 1200, 12_000);
        assert_eq!(pacer.permit(at(0), 1200, 12_000), Err(at(100_000_000)));
    }

    #[test]
    fn tiny_steps_add_up() {
        let mut pacer = Pacer::new(at(0), 1200);
        drain(&mut pacer, at(0), 1200, 1);
        for now in 0..=1_200_000u64 {
            pacer.refill(at(now * 1_000_000), 1);
        }
        assert_eq!(drain(&mut pacer, at(1_200_000 * 1_000_000), 1200, 1), 1200);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut pacer = Pacer::new(at(0), u16::MAX);
        assert!(pacer.permit(Instant::MAX, u64::MAX, u64::MAX).is_ok());
        pacer.on_sent(u64::MAX);
        assert!(pacer.permit(Instant::MAX, u64::MAX, 0).is_err());
    }
}

//! Spreading packets over the round trip: a token bucket by time (specification section 6.3).
//!
//! The bucket holds a burst: what the rate gives in 2 ms, at most 256 packets. Where that is little, it holds up to
//! 10 packets if they fit into 20 ms, and 2 in any case: a burst is a queue at the bottleneck, and is measured by the
//! time that others wait behind it. Only the first flight of a connection is 10 packets whatever the rate, which is
//! not known yet.
//!
//! Timers fire late, some by 15 ms. A bucket that is full before the driver comes back would lose rate, so the time
//! by which a promised instant was overrun is credited beyond the burst, up to the same 256 packets, and for as long
//! as a burst lasts.

use crate::time::Instant;

const NANOS: u64 = 1_000_000_000;
/// Packets of the first flight.
const FIRST_FLIGHT: u64 = 10;
/// A burst lasts this long at the current rate, as a rule.
const BURST_TIME: u64 = 2_000_000;
/// It has so many packets even so, as many of them as do not last longer than this.
const SMALL_BURST: u64 = 10;
const SMALL_BURST_TIME: u64 = 20_000_000;
/// Packets the smallest burst holds, and the largest.
const MIN_BURST: u64 = 2;
const MAX_BURST: u64 = 256;
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
    /// What the bucket may hold although it is more than a burst, and until when: the rest of the first flight, or of
    /// the credit for a late timer.
    granted: u64,
    granted_until: Instant,
    max_datagram: u64,
}

impl Pacer {
    /// A bucket that holds the first flight.
    pub(super) fn new(now: Instant, max_datagram: u16) -> Self {
        let max_datagram = u64::from(max_datagram).max(1);
        let granted = FIRST_FLIGHT * max_datagram * NANOS;
        let granted_until = Instant::MAX;
        Self { tokens: granted, updated: now, promised: None, granted, granted_until, max_datagram }
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

    /// A packet leaves without asking.
    pub(super) fn pass(&mut self, now: Instant, rate: u64) {
        self.refill(now, rate.max(1));
        self.promised = None;
    }

    /// Takes what has left. Packets that were not asked for, like probes, empty the bucket but never overdraw it.
    pub(super) fn on_sent(&mut self, bytes: u64) {
        let taken = bytes.saturating_mul(NANOS);
        self.tokens = self.tokens.saturating_sub(taken);
        self.granted = self.granted.saturating_sub(taken);
    }

    /// Something other than pacing holds the sender up: coming back late earns nothing.
    pub(super) fn forget_promise(&mut self) {
        self.promised = None;
    }

    fn burst(&self, rate: u64) -> u64 {
        let packet = self.max_datagram * NANOS;
        let small = rate.saturating_mul(SMALL_BURST_TIME).min(SMALL_BURST * packet);
        rate.saturating_mul(BURST_TIME).max(small).clamp(MIN_BURST * packet, MAX_BURST * packet)
    }

    fn refill(&mut self, now: Instant, rate: u64) {
        let elapsed = now.nanos_since(self.updated);
        let burst = self.burst(rate);
        if elapsed > 0 {
            self.updated = now;
            let late = self.promised.map_or(0, |promised| now.nanos_since(promised));
            if (1..=MAX_LATENESS).contains(&late) {
                let most = MAX_BURST * self.max_datagram * NANOS;
                self.granted = burst.saturating_add(rate.saturating_mul(late)).min(most);
                self.granted_until = now.plus_nanos(BURST_TIME);
                // The lateness is credited once.
                self.promised = Some(now);
            }
            self.tokens = self.tokens.saturating_add(rate.saturating_mul(elapsed));
        }
        let granted = if now <= self.granted_until { self.granted } else { 0 };
        self.tokens = self.tokens.min(burst.max(granted));
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

        /// However many packets are asked for at one instant, and however long nothing was sent before: they are a
        /// burst, after the first flight. Late timers add no more than the time they were late by.
        #[test]
        fn a_batch_is_a_burst(
            waits in prop::collection::vec((0u64..100_000_000, any::<bool>(), 1_000u64..2_000_000_000), 1..40),
            packet in 100u64..=1200,
        ) {
            let mut pacer = Pacer::new(at(0), 1200);
            let mut now = at(0);
            prop_assert!(drain(&mut pacer, now, packet, waits[0].2) <= FIRST_FLIGHT * 1200);
            for (wait, promised, rate) in waits {
                let late = match pacer.permit(now, packet, rate) {
                    Err(promise) if promised => {
                        now = promise.plus_nanos(wait);
                        if wait > MAX_LATENESS { 0 } else { wait }
                    }
                    _ => {
                        pacer.forget_promise();
                        now = now.plus_nanos(wait);
                        0
                    }
                };
                let most = pacer.burst(rate).saturating_add(rate * late) / NANOS;
                let sent = drain(&mut pacer, now, packet, rate);
                prop_assert!(sent <= most.min(MAX_BURST * 1200), "{} of {}", sent, most);
            }
        }

        /// A driver that comes back exactly when told stays within the regular burst and may always send.
        #[test]
        fn told_times_make_progress(rate in 1u64..4_000_000_000, packet in 1u64..=1200) {
            let mut pacer = Pacer::new(at(0), 1200);
            let (mut now, mut sent) = (at(0), 0u64);
            let burst = pacer.burst(rate).max(pacer.granted) / NANOS;
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
    fn bursts_are_bounded_by_time() {
        let pacer = Pacer::new(at(0), 1200);
        let packets = |mbits: u64| pacer.burst(mbits * 125_000) / NANOS / 1200;
        // 20 ms of slow paths, but two packets; ten packets until they are 2 ms; 2 ms of fast ones, but 256 packets.
        assert_eq!([0, 1, 2, 4, 5, 40, 60, 100].map(packets), [2, 2, 4, 8, 10, 10, 12, 20]);
        assert_eq!([1_000, 2_000, 10_000].map(packets), [208, 256, 256]);
    }

    #[test]
    fn a_slower_rate_takes_a_full_bucket_away() {
        let mut pacer = Pacer::new(at(0), 1200);
        drain(&mut pacer, at(0), 1200, 1_000_000_000);
        assert!(pacer.permit(at(NANOS), 1200, 1_000_000_000).is_ok());
        assert_eq!(drain(&mut pacer, at(NANOS), 1200, 125_000), 2_400);
    }

    #[test]
    fn what_a_late_timer_earned_is_lost_if_not_used_at_once() {
        let rate = 10_000_000;
        for (pause, packets) in [(1_000_000, 141), (2_000_001, 16)] {
            let mut pacer = Pacer::new(at(0), 1200);
            drain(&mut pacer, at(0), 1200, rate);
            let late = pacer.permit(at(0), 1200, rate).unwrap_err().plus_nanos(15_000_000);
            assert!(pacer.permit(late, 1200, rate).is_ok());
            assert_eq!(drain(&mut pacer, late.plus_nanos(pause), 1200, rate) / 1200, packets);
        }
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

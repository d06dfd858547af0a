//! What the path loses: how much, and in what bursts. Error correction counts on it (specification section 5.8).

/// Packets over which the quick average reaches.
const QUICK: f64 = 256.0;
/// Packets over which the steady average reaches.
const STEADY: f64 = 2048.0;
/// Packets that the steady average begins anew with.
const RESTART: f64 = 64.0;
/// Squared distance between the averages, in squared standard errors of the quick one, that is no accident.
const SIGNIFICANT: f64 = 9.0;
/// Lost packets after which older bursts count half.
const BURST_MEMORY: f64 = 128.0;
/// Bursts on which a statement about their length rests.
const ENOUGH_BURSTS: f64 = 8.0;

/// The loss of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PathLoss {
    /// Share of packets that are lost.
    pub(crate) rate: f64,
    /// The square of the standard error of the rate.
    pub(crate) variance: f64,
    /// How many packets in a row are lost when one is, on average; at least 1.
    pub(crate) burst: f64,
    /// Packets that the estimate rests on.
    pub(crate) packets: u64,
    /// How many of them were lost.
    pub(crate) lost: u64,
}

/// Two moving averages of what became of packets. The steady one counts, because its error is small; when the quick one
/// differs by more than chance explains, the path has changed, and the steady one begins anew from there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    quick: f64,
    steady: f64,
    /// Packets behind each average, up to its reach.
    quick_packets: f64,
    steady_packets: f64,
    /// Lost packets and runs of them, older ones with less weight.
    lost: f64,
    runs: f64,
    last_lost: Option<u64>,
    packets: u64,
    all_lost: u64,
}

impl Meter {
    pub(super) fn on_acked(&mut self) {
        self.add(0.0);
    }

    /// Packet `pn` was declared lost.
    pub(super) fn on_lost(&mut self, pn: u64) {
        self.add(1.0);
        self.all_lost += 1;
        self.lost += 1.0;
        if self.last_lost.is_none_or(|last| last.checked_add(1) != Some(pn)) {
            self.runs += 1.0;
        }
        self.last_lost = Some(pn);
        if self.lost >= BURST_MEMORY {
            self.lost /= 2.0;
            self.runs /= 2.0;
        }
    }

    /// A packet that was declared lost arrived.
    pub(super) fn on_late(&mut self) {
        self.quick = (self.quick - 1.0 / self.quick_packets.max(1.0)).max(0.0);
        self.steady = (self.steady - 1.0 / self.steady_packets.max(1.0)).max(0.0);
        self.all_lost = self.all_lost.saturating_sub(1);
    }

    fn add(&mut self, lost: f64) {
        self.packets += 1;
        self.quick_packets = (self.quick_packets + 1.0).min(QUICK);
        self.steady_packets = (self.steady_packets + 1.0).min(STEADY);
        self.quick += (lost - self.quick) / self.quick_packets;
        self.steady += (lost - self.steady) / self.steady_packets;
        let distance = self.quick - self.steady;
        // Losses in bursts scatter more than single ones.
        let variance = (self.steady * (1.0 - self.steady)).max(1.0 / QUICK) / QUICK * self.burst();
        if distance * distance > SIGNIFICANT * variance {
            self.steady = self.quick;
            self.steady_packets = self.quick_packets.min(RESTART);
        }
    }

    fn burst(&self) -> f64 {
        if self.runs < ENOUGH_BURSTS { 1.0 } else { (self.lost / self.runs).max(1.0) }
    }

    pub(super) fn loss(&self) -> PathLoss {
        let variance = self.steady * (1.0 - self.steady) * self.burst() / self.steady_packets.max(1.0);
        PathLoss { rate: self.steady, variance, burst: self.burst(), packets: self.packets, lost: self.all_lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Drbg, Entropy};

    fn rng() -> Drbg {
        Drbg::new(&Entropy::new([7; 32]))
    }

    /// Feeds `packets` packets of which `percent` are lost, in bursts of `burst`.
    fn feed(meter: &mut Meter, rng: &mut Drbg, from: u64, packets: u64, percent: u64, burst: u64) -> u64 {
        let mut left = 0;
        for pn in from..from + packets {
            if left == 0 && rng.below(100 * burst) < percent {
                left = burst;
            }
            if left > 0 {
                left -= 1;
                meter.on_lost(pn);
            } else {
                meter.on_acked();
            }
        }
        from + packets
    }

    #[test]
    fn steady_loss_is_measured_closely() {
        let (mut meter, mut rng) = (Meter::default(), rng());
        let mut pn = feed(&mut meter, &mut rng, 0, 4096, 20, 1);
        for _ in 0..100 {
            pn = feed(&mut meter, &mut rng, pn, 100, 20, 1);
            let loss = meter.loss();
            assert!((0.15..0.25).contains(&loss.rate), "{loss:?}");
            assert!(loss.burst * (1.0 - loss.rate) < 1.15, "{loss:?}");
        }
    }

    #[test]
    fn a_change_is_noticed_within_a_few_hundred_packets() {
        let (mut meter, mut rng) = (Meter::default(), rng());
        let pn = feed(&mut meter, &mut rng, 0, 20_000, 0, 1);
        assert!(meter.loss().rate < 1e-9);
        let pn = feed(&mut meter, &mut rng, pn, 300, 10, 1);
        assert!(meter.loss().rate > 0.04, "{:?}", meter.loss());
        feed(&mut meter, &mut rng, pn, 1000, 0, 1);
        assert!(meter.loss().rate < 0.03, "{:?}", meter.loss());
    }

    #[test]
    fn bursts_are_told_from_single_losses() {
        let (mut meter, mut rng) = (Meter::default(), rng());
        feed(&mut meter, &mut rng, 0, 10_000, 5, 3);
        assert!((2.7..3.6).contains(&meter.loss().burst), "{:?}", meter.loss());
    }

    #[test]
    fn a_late_packet_is_taken_back() {
        let mut meter = Meter::default();
        (0..100).for_each(|_| meter.on_acked());
        meter.on_lost(100);
        meter.on_late();
        assert!(meter.loss().rate < 1e-3, "{:?}", meter.loss());
        assert_eq!(meter.loss().lost, 0);
    }
}

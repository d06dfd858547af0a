//! How much parity a block needs (specification section 5.8).
//!
//! Losses are modelled as a Gilbert chain: a packet is lost with a probability that depends on whether the one before it
//! was. With bursts of the length that single losses have by chance this is the binomial distribution. For a block of
//! `k` sources followed by `r` parity packets the share of sources that stay lost is computed exactly, and the smallest
//! `r` that meets the target is taken; so no table is needed, blocks that were closed early get what they need, and
//! bursts count as what they are.

use super::Loss;

/// The most parity packets of a block.
pub(super) const MAX_PARITY: usize = 32;
/// Bursts longer than chance explains by this factor are taken for real.
const BURSTY: f64 = 1.25;
/// By how much the target may be missed for the sake of steadiness, where one parity packet more or less makes no big
/// difference.
const TOLERANCE: f64 = 1.25;
const FINE: usize = 5;

/// One step of the chain, from packet to packet of a block.
#[derive(Clone, Copy, Debug)]
struct Chain {
    /// Probability that a packet is lost.
    loss: f64,
    /// That one is lost after one that was not.
    worsen: f64,
    /// That one is not lost after one that was.
    recover: f64,
}

impl Chain {
    /// Of packets that are `interleaving` places apart on the path.
    fn new(loss: Loss, interleaving: usize) -> Self {
        let p = loss.rate.clamp(0.0, 0.9);
        let single = 1.0 / (1.0 - p);
        let mut memory = 0.0;
        if loss.burst > single * BURSTY {
            // Correlation of neighbours; it fades with their distance.
            let step = (1.0 - single / loss.burst).clamp(0.0, 0.99);
            memory = (0..interleaving.max(1)).fold(1.0, |power, _| power * step);
        }
        Self { loss: p, worsen: p * (1.0 - memory), recover: (1.0 - p) * (1.0 - memory) }
    }
}

/// Distribution of how many packets of a block are lost so far, split by whether the last one was, and with it the
/// expected number of lost sources. The last place stands for all larger numbers.
struct Walk {
    chain: Chain,
    arrived: [(f64, f64); MAX_PARITY + 2],
    lost: [(f64, f64); MAX_PARITY + 2],
    /// The place for "more than any parity repairs".
    last: usize,
}

impl Walk {
    fn new(chain: Chain, max_parity: usize) -> Self {
        let mut walk = Self {
            chain,
            arrived: [(0.0, 0.0); MAX_PARITY + 2],
            lost: [(0.0, 0.0); MAX_PARITY + 2],
            last: max_parity.min(MAX_PARITY) + 1,
        };
        walk.arrived[0].0 = 1.0 - chain.loss;
        walk.lost[0].0 = chain.loss;
        walk
    }

    /// One packet more. A lost source adds to the expected number of lost ones.
    fn step(&mut self, source: bool) {
        let Chain { worsen, recover, .. } = self.chain;
        let weight = if source { 1.0 } else { 0.0 };
        let mut carried = (0.0, 0.0);
        for j in 0..=self.last {
            let (arrived, lost) = (self.arrived[j], self.lost[j]);
            self.arrived[j] =
                (arrived.0 * (1.0 - worsen) + lost.0 * recover, arrived.1 * (1.0 - worsen) + lost.1 * recover);
            let mass = arrived.0 * worsen + lost.0 * (1.0 - recover);
            let now = (mass, arrived.1 * worsen + lost.1 * (1.0 - recover) + mass * weight);
            self.lost[j] = carried;
            if j == self.last {
                self.lost[j].0 += now.0;
                self.lost[j].1 += now.1;
            }
            carried = now;
        }
    }

    /// Expected sources that are lost for good with `parity` packets.
    fn unrepaired(&self, parity: usize) -> f64 {
        (parity + 1..=self.last).map(|j| self.arrived[j].1 + self.lost[j].1).sum()
    }
}

/// What parity is to achieve.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aim {
    /// The share of sources that may stay lost.
    pub(super) target: f64,
    /// The most parity packets of the block.
    pub(super) most: usize,
    /// Those of the block before, if it was alike; 0 if not.
    pub(super) last: usize,
}

/// The fewest parity packets with which a block of `sources` packets meets its target, or the most if none are enough.
/// As many as the block before had are enough if they nearly do: the measured loss sways, and one packet more in every
/// other block is a high price for that.
pub(super) fn parity_needed(sources: usize, aim: Aim, loss: Loss, interleaving: usize) -> usize {
    let Aim { target, most, last } = aim;
    let max_parity = most.min(MAX_PARITY);
    if sources == 0 || loss.rate <= target {
        return 0;
    }
    let mut walk = Walk::new(Chain::new(loss, interleaving), max_parity);
    (0..sources).for_each(|_| walk.step(true));
    let bearable = target * sources as f64;
    for parity in 1..=max_parity {
        walk.step(false);
        let tolerance = if parity == last && parity >= FINE { TOLERANCE } else { 1.0 };
        if walk.unrepaired(parity) <= bearable * tolerance {
            return parity;
        }
    }
    max_parity
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(rate: f64) -> Loss {
        Loss { rate, variance: 0.0, burst: 1.0 / (1.0 - rate) }
    }

    /// Share of sources that stay lost.
    fn residual(sources: usize, parity: usize, loss: Loss, interleaving: usize) -> f64 {
        let mut walk = Walk::new(Chain::new(loss, interleaving), parity);
        (0..sources).for_each(|_| walk.step(true));
        (0..parity).for_each(|_| walk.step(false));
        walk.unrepaired(parity) / sources as f64
    }

    /// The same by the binomial distribution: the packet is lost, and at least `parity` of the others.
    fn binomial(sources: usize, parity: usize, p: f64) -> f64 {
        let others = sources + parity - 1;
        let mut term = (0..others).fold(1.0, |power, _| power * (1.0 - p));
        let mut below = 0.0;
        for lost in 0..parity {
            below += term;
            term *= (others - lost) as f64 / (lost + 1) as f64 * p / (1.0 - p);
        }
        p * (1.0 - below)
    }

    #[test]
    fn single_losses_follow_the_binomial_distribution() {
        for (sources, parity) in [(1, 1), (4, 1), (10, 2), (10, 6), (20, 8), (32, 16), (64, 32)] {
            for p in [0.01, 0.05, 0.1, 0.2, 0.3] {
                let (chain, exact) = (residual(sources, parity, random(p), 1), binomial(sources, parity, p));
                assert!((chain - exact).abs() < 1e-12, "({sources},{parity}) at {p}: {chain} {exact}");
            }
        }
        // The table of specification section 5.7.
        assert!((residual(10, 2, random(0.05), 1) - 0.0051).abs() < 5e-5);
        assert!((residual(10, 2, random(0.2), 1) - 0.136).abs() < 5e-4);
        assert!((residual(32, 16, random(0.2), 1) - 0.0034).abs() < 5e-5);
    }

    #[test]
    fn bursts_follow_the_table_of_the_specification() {
        let burst = |rate, burst| Loss { rate, variance: 0.0, burst };
        for (sources, parity, loss, interleaving, expected) in [
            (10, 2, burst(0.05, 2.0), 1, 0.027),
            (10, 2, burst(0.05, 3.0), 1, 0.037),
            (10, 2, burst(0.2, 5.0), 1, 0.181),
            (20, 8, burst(0.1, 3.0), 1, 0.027),
            (10, 4, burst(0.05, 3.0), 4, 0.0017),
            (10, 2, burst(0.01, 3.0), 4, 0.0012),
        ] {
            let share = residual(sources, parity, loss, interleaving);
            assert!((share - expected).abs() < expected * 0.06, "({sources},{parity}) {loss:?}: {share} {expected}");
        }
    }

    fn needed(sources: usize, most: usize, target: f64, loss: f64) -> usize {
        parity_needed(sources, Aim { target, most, last: 0 }, random(loss), 1)
    }

    #[test]
    fn the_fewest_parity_packets_that_meet_the_target() {
        for (sources, p, target, expected) in
            [(10, 0.05, 1.5e-2, 2), (10, 0.1, 1.5e-2, 3), (10, 0.2, 1.5e-2, 6), (1, 0.05, 5e-3, 1), (4, 0.05, 5e-3, 2)]
        {
            assert_eq!(needed(sources, 32, target, p), expected, "{sources} {p}");
        }
        assert_eq!(needed(10, 4, 1e-3, 0.2), 4);
        assert_eq!(needed(10, 32, 1e-3, 0.0005), 0);
        assert_eq!(needed(0, 32, 1e-3, 0.2), 0);
        for target in [1e-1, 1e-2, 1e-3, 1e-4] {
            let parity = needed(20, 32, target, 0.15);
            assert!(residual(20, parity, random(0.15), 1) <= target);
            assert!(residual(20, parity - 1, random(0.15), 1) > target);
        }
    }

    #[test]
    fn as_many_as_before_are_enough_if_they_nearly_meet_the_target() {
        let after = |last, loss| parity_needed(10, Aim { target: 1.5e-2, most: 32, last }, random(loss), 1);
        assert_eq!((after(0, 0.21), after(6, 0.21), after(6, 0.23), after(7, 0.19)), (7, 6, 7, 6));
    }
}

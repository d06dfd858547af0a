//! What block codes can do, exactly: any `sources` packets of a block of `sources + parity` give back the others.
//!
//! Figures are shares of the packets before parity, of which a block that has lost more than `parity` keeps those that
//! arrived.

/// How packets get lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// The share that is lost.
    pub mean: f64,
    /// Mean length of a burst (the two-state model of Gilbert); 1 or less: losses do not depend on each other.
    pub burst: f64,
    /// Every how many packets one belongs to the same block: 1 without interleaving.
    pub step: u32,
}

impl Loss {
    /// Independent losses.
    pub fn random(mean: f64) -> Self {
        Self { mean, burst: 1.0, step: 1 }
    }

    /// Losses in bursts of this mean length.
    pub fn bursts(mean: f64, length: f64) -> Self {
        Self { mean, burst: length, step: 1 }
    }

    /// The probabilities that a packet of a block is lost after one of it that arrived, and after one that was lost.
    fn transitions(&self) -> [f64; 2] {
        if self.burst <= 1.0 {
            return [self.mean; 2];
        }
        // What the chain remembers after some steps is its second eigenvalue, to that power.
        let leave = 1.0 / self.burst;
        let enter = self.mean * leave / (1.0 - self.mean);
        let kept = (1.0 - enter - leave).powi(self.step as i32);
        [self.mean * (1.0 - kept), self.mean + (1.0 - self.mean) * kept]
    }
}

/// What is left of the losses of one block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    /// The share of the packets that stay lost.
    pub residual: f64,
    /// The probability that some stay lost.
    pub failure: f64,
    /// The variance of how many packets of a block stay lost.
    pub variance: f64,
}

/// Computes a block of so many packets and so many parity packets behind them.
pub fn block(sources: u8, parity: u8, loss: Loss) -> Block {
    let (sources, parity) = (usize::from(sources), usize::from(parity));
    // The probability of each number of lost sources and lost parities, by whether the last packet was lost. Before the
    // first one it is as likely as ever.
    let mut odds = vec![vec![[0.0; 2]; parity + 1]; sources + 1];
    odds[0][0] = [1.0 - loss.mean, loss.mean];
    let after = loss.transitions();
    for index in 0..sources + parity {
        let mut next = vec![vec![[0.0; 2]; parity + 1]; sources + 1];
        for (lost, row) in odds.iter().enumerate() {
            for (lost_parity, [arrived, missing]) in row.iter().enumerate() {
                let is_lost = arrived * after[0] + missing * after[1];
                next[lost][lost_parity][0] += arrived + missing - is_lost;
                let more = if index < sources { (lost + 1, lost_parity) } else { (lost, lost_parity + 1) };
                if let Some(cell) = next.get_mut(more.0).and_then(|row| row.get_mut(more.1)) {
                    cell[1] += is_lost;
                }
            }
        }
        odds = next;
    }
    let (mut mean, mut square, mut failure) = (0.0, 0.0, 0.0);
    for (lost, row) in odds.iter().enumerate() {
        let odds = row.iter().enumerate().filter(|(lost_parity, _)| lost + lost_parity > parity);
        let odds: f64 = odds.map(|(_, state)| state[0] + state[1]).sum();
        failure += odds;
        mean += odds * lost as f64;
        square += odds * (lost * lost) as f64;
    }
    Block { residual: mean / sources as f64, failure, variance: square - mean * mean }
}

/// The share of packets that stay lost when losses do not depend on each other, in one line: a packet that is lost
/// stays lost if as many others of its block are lost as there is parity, or more.
pub fn residual(sources: u8, parity: u8, loss: f64) -> f64 {
    let others = u32::from(sources) + u32::from(parity) - 1;
    loss * (u32::from(parity)..=others).map(|lost| binomial(others, lost, loss)).sum::<f64>()
}

/// The probability of this many hits.
fn binomial(draws: u32, hits: u32, chance: f64) -> f64 {
    let ways: f64 = (0..hits).map(|index| f64::from(draws - index) / f64::from(index + 1)).product();
    ways * chance.powi(hits as i32) * (1.0 - chance).powi((draws - hits) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ways_give_the_same() {
        for (sources, parity) in [(1, 1), (4, 2), (10, 1), (10, 2), (10, 6), (20, 8), (64, 32)] {
            for loss in [0.01, 0.05, 0.2, 0.5] {
                let (one, other) =
                    (residual(sources, parity, loss), block(sources, parity, Loss::random(loss)).residual);
                assert!((one - other).abs() <= 1e-9 * one, "{sources}+{parity} {loss}: {one} {other}");
            }
        }
    }

    #[test]
    fn a_block_of_one() {
        let block = block(1, 1, Loss::random(0.1));
        assert!((block.residual - 0.01).abs() < 1e-12 && (block.failure - 0.01).abs() < 1e-12);
        assert!((block.variance - 0.01 * 0.99).abs() < 1e-12);
    }

    #[test]
    fn short_steps_are_bursts_and_long_ones_are_not() {
        let at = |step| block(10, 2, Loss { step, ..Loss::bursts(0.05, 3.0) }).residual;
        assert!(at(1) > at(2) && at(2) > at(4) && at(4) > at(1000));
        assert!((at(1000) - residual(10, 2, 0.05)).abs() < 1e-12);
    }
}

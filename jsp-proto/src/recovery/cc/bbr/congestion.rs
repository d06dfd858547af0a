//! Evidence of congestion, and what follows from it.

use super::losses::{Ground, Pace, Verdict};
use super::phase::Phase;
use super::round::Round;
use super::{AckSample, Bbr};

/// The multiplicative decrease on congestion in percent (draft section 2.7, BBR.Beta).
const BETA: u64 = 70;
/// Packets by which an acknowledged one has to be later for all losses before it to be known, as a rule.
const SETTLED: u64 = 8;

/// What is allowed at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) rate: u64,
    pub(super) in_flight: u64,
}

/// More was lost than the background explains, without a queue. What is lost of less will tell what it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspicion {
    pub(super) loss: f64,
    pub(super) ground: Ground,
    /// The delivery rate meanwhile.
    pub(super) rate: u64,
}

impl Bbr {
    /// Looks for congestion in what was lost and marked, and answers it. Whether there was some.
    pub(super) fn judge(&mut self, ack: &AckSample, round: &Round) -> bool {
        let verdict = self.losses.conclude(ack.largest.saturating_sub(SETTLED));
        let excess = match verdict {
            None => None,
            Some(verdict) if verdict.pace == Pace::Below => {
                self.test_suspicion(&verdict, round);
                None
            }
            Some(verdict) => verdict.excess.then_some(verdict),
        };
        let congested = round.ce || excess.is_some() && round.queue;
        if congested {
            // Marks are never taken back.
            self.reduce(round, excess.filter(|_| !round.ce).map(|verdict| verdict.ground));
        } else if let Some(verdict) = excess {
            self.suspect(&verdict, round);
        }
        congested
    }

    /// Less was sent: if less was lost at once, what was lost before was congestion.
    fn test_suspicion(&mut self, verdict: &Verdict, round: &Round) {
        if let Some(suspicion) = self.suspicion.take()
            && verdict.loss < suspicion.loss / 2.0
        {
            self.reduce(&Round { rate: suspicion.rate, ..*round }, Some(suspicion.ground));
        }
    }

    fn suspect(&mut self, verdict: &Verdict, round: &Round) {
        if self.full && self.phase != Phase::ProbeRtt {
            self.suspicion.get_or_insert(Suspicion { loss: verdict.loss, ground: verdict.ground, rate: round.rate });
            self.enter(Phase::Down);
        }
    }

    /// Less until the next probe (draft section 5.5.10.3), or until all of the losses that were the ground have
    /// arrived.
    pub(super) fn reduce(&mut self, round: &Round, ground: Option<Ground>) {
        self.before = ground.map(|ground| (self.short, self.long, ground));
        let rate = round.rate.max(self.rate() / 100 * BETA);
        self.short = Some(Bounds { rate, in_flight: round.delivered.max(self.cwnd / 100 * BETA) });
        self.long = self.bdp(100).max(self.long.min(self.cwnd) / 100 * BETA);
        self.long_step = self.segment;
    }
}

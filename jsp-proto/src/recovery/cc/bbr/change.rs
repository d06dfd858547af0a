//! A path that changes: what was known about it is out of date.

use super::Bbr;
use super::phase::Phase;
use super::round::Round;
use crate::time::Instant;

/// The rate has fallen and the round-trip time has grown: a long queue, or a longer path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    pub(super) since: Instant,
    /// The bandwidth before.
    pub(super) rate: u64,
}

impl Bbr {
    /// With a long queue the rate of a round is the share of the path, and what was known before is out of date.
    pub(super) fn follow(&mut self, now: Instant, round: &Round) {
        let fell = round.rate > 0 && round.rate < self.bandwidth.get() / 10 * 9;
        if self.full && self.phase != Phase::ProbeRtt && fell && !round.app_limited && self.is_long_queue(round.rtt) {
            self.believe(now, round.rate);
        }
    }

    /// The same in a few samples, when the path has become much slower: a round trip through that queue takes long.
    pub(super) fn follow_at_once(&mut self, now: Instant) {
        let Some(rate) = self.recent.rate() else { return };
        let fell = rate > 0 && rate < self.bandwidth.get() / 2;
        if self.full && self.phase != Phase::ProbeRtt && fell && self.is_long_queue(self.recent.rtt()) {
            self.believe(now, rate);
            self.short = None;
            self.enter(Phase::Down);
        }
    }

    fn believe(&mut self, now: Instant, rate: u64) {
        let before = self.bandwidth.get();
        let doubt = self.doubt.get_or_insert(Doubt { since: now, rate: before });
        doubt.rate = doubt.rate.max(before);
        self.bandwidth.reset(rate);
    }
}

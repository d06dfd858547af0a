//! What was decided about packets, for an observer: their numbers, which nobody else asks for.

use super::Recovery;
use crate::log::Log;
use crate::observe::LossCause;

/// What was decided about packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The peer has these.
    Acked { first: u64, last: u64 },
    /// This one is called lost.
    Lost { number: u64, bytes: u64, cause: LossCause },
}

impl<R: Copy> Recovery<R> {
    /// What was decided since the last call, if the journal is kept.
    pub(crate) const fn journal(&mut self) -> &mut Log<Verdict> {
        &mut self.journal
    }

    pub(super) fn note_acked(&mut self, pn: u64) {
        // An ACK is worked through from its end: most packets come right before the last one.
        match self.journal.last_mut() {
            Some(Verdict::Acked { first, .. }) if *first == pn + 1 => *first = pn,
            _ => self.journal.push(|| Verdict::Acked { first: pn, last: pn }),
        }
    }

    pub(super) fn note_lost(&mut self, pn: u64, bytes: u64) {
        if self.journal.is_on() {
            let overtaken = self.overtaken_by(pn, self.largest_acked.unwrap_or(pn));
            let cause = if overtaken >= self.thresholds.packets() { LossCause::Reordering } else { LossCause::Time };
            self.journal.push(|| Verdict::Lost { number: pn, bytes, cause });
        }
    }

    /// What the congestion controller is doing, in a word.
    pub(crate) fn congestion_state(&self) -> &'static str {
        self.controller.state()
    }
}

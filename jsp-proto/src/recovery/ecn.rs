//! Whether the path carries ECN, and how many marks it reports (RFC 9000 section 13.4.2, specification section 6.3).

use crate::ecn::Ecn;
use crate::wire::EcnCounts;

/// Packets marked before the path has to prove that it carries the marks.
const TEST_PACKETS: u32 = 10;

/// How far validation of a path has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first packets are marked.
    Testing,
    /// Enough packets are marked; waiting for the peer's counts.
    Unknown,
    /// The path carries ECN.
    Capable,
    /// The path drops, clears or forges marks, or the peer does not report them. Nothing is marked.
    Failed,
}

/// The validator of one path.
#[derive(Clone, Copy, Debug)]
pub(super) struct EcnValidator {
    enabled: bool,
    state: State,
    /// Packets sent with ECT(0).
    sent: u64,
    /// Packets marked before the first proof, and how many of them were declared lost.
    tested: u32,
    lost: u32,
    /// The counts of the last ACK that was used.
    counts: EcnCounts,
}

impl EcnValidator {
    pub(super) fn new(enabled: bool) -> Self {
        let state = if enabled { State::Testing } else { State::Failed };
        Self { enabled, state, sent: 0, tested: 0, lost: 0, counts: EcnCounts::default() }
    }

    /// Another path has to prove itself anew. The peer goes on counting where it was.
    pub(super) fn restart(&mut self) {
        if self.enabled {
            (self.state, self.tested, self.lost) = (State::Testing, 0, 0);
        }
    }

    pub(super) fn is_capable(&self) -> bool {
        self.state == State::Capable
    }

    /// What to put into the IP header of the next packet.
    pub(super) fn codepoint(&self) -> Ecn {
        match self.state {
            State::Testing | State::Capable => Ecn::Ect0,
            State::Unknown | State::Failed => Ecn::NotEct,
        }
    }

    pub(super) fn on_sent(&mut self, ecn: Ecn) {
        if ecn == Ecn::Ect0 {
            self.sent += 1;
            if self.state == State::Testing {
                self.tested += 1;
                if self.tested >= TEST_PACKETS {
                    self.state = State::Unknown;
                }
            }
        }
    }

    /// A marked packet was lost. If all test packets are, the path may drop marked packets.
    pub(super) fn on_lost(&mut self) {
        if matches!(self.state, State::Testing | State::Unknown) {
            self.lost += 1;
            if self.state == State::Unknown && self.lost >= self.tested {
                self.state = State::Failed;
            }
        }
    }

    /// Takes the counts of an ACK that raised the largest acknowledged packet and newly acknowledged `marked`
    /// packets sent with ECT(0). Returns by how much the CE count rose.
    pub(super) fn on_ack(&mut self, counts: Option<EcnCounts>, marked: u64) -> u64 {
        if self.state == State::Failed {
            return 0;
        }
        let Some(counts) = counts else {
            if marked > 0 {
                self.state = State::Failed;
            }
            return 0;
        };
        let Some(ce) = self.validate(counts, marked) else {
            self.state = State::Failed;
            return 0;
        };
        self.counts = counts;
        if marked > 0 {
            self.state = State::Capable;
        }
        ce
    }

    /// The rise of the CE count, or `None` if the counts cannot be true.
    fn validate(&self, counts: EcnCounts, marked: u64) -> Option<u64> {
        let ect0 = counts.ect0.checked_sub(self.counts.ect0)?;
        let ce = counts.ce.checked_sub(self.counts.ce)?;
        let possible = counts.ect0.checked_add(counts.ce)?;
        // ECT(1) is never sent; more marks than marked packets are forged; fewer than acknowledged were cleared.
        let valid = counts.ect1 == 0 && possible <= self.sent && ect0.checked_add(ce)? >= marked;
        valid.then_some(ce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(ect0: u64, ect1: u64, ce: u64) -> Option<EcnCounts> {
        Some(EcnCounts { ect0, ect1, ce })
    }

    fn after(sent: u32) -> EcnValidator {
        let mut ecn = EcnValidator::new(true);
        for _ in 0..sent {
            ecn.on_sent(ecn.codepoint());
        }
        ecn
    }

    #[test]
    fn ten_test_packets_then_a_proof() {
        let mut ecn = after(12);
        assert_eq!((ecn.state, ecn.codepoint(), ecn.sent), (State::Unknown, Ecn::NotEct, 10));
        assert_eq!(ecn.on_ack(counts(2, 0, 0), 2), 0);
        assert_eq!((ecn.state, ecn.codepoint()), (State::Capable, Ecn::Ect0));
        assert_eq!(ecn.on_ack(counts(5, 0, 3), 6), 3);
        assert_eq!(ecn.on_ack(counts(7, 0, 3), 2), 0);
    }

    #[test]
    fn bogus_counts_end_marking() {
        let first = counts(4, 0, 1);
        for (second, marked) in [
            (None, 1),             // counts vanish
            (counts(3, 0, 2), 0),  // ECT(0) falls
            (counts(4, 0, 0), 0),  // CE falls
            (counts(4, 1, 1), 0),  // ECT(1) was never sent
            (counts(4, 0, 1), 1),  // cleared on the way
            (counts(20, 0, 1), 1), // more than was sent
            (counts(u64::MAX, 0, u64::MAX), 1),
        ] {
            let mut ecn = after(10);
            assert_eq!(ecn.on_ack(first, 5), 1);
            assert_eq!(ecn.on_ack(second, marked), 0);
            assert_eq!((ecn.state, ecn.codepoint()), (State::Failed, Ecn::NotEct));
        }
    }

    #[test]
    fn a_path_that_drops_marked_packets() {
        let mut ecn = after(10);
        for _ in 0..9 {
            ecn.on_lost();
            assert_eq!(ecn.state, State::Unknown);
        }
        ecn.on_lost();
        assert_eq!(ecn.state, State::Failed);
    }

    #[test]
    fn plain_acks_of_unmarked_packets_prove_nothing() {
        let mut ecn = after(3);
        ecn.on_ack(None, 0);
        assert_eq!(ecn.state, State::Testing);
        assert_eq!(EcnValidator::new(false).codepoint(), Ecn::NotEct);
    }
}

//! When a packet counts as lost, which losses make one congestion event, and when a loss was none after all
//! (RFC 9002 sections 6.1 and 7, specification section 6.2).

use super::rtt::{GRANULARITY, Rtt};
use crate::time::Instant;

/// Packets that may overtake another one before it counts as lost (RFC 9002 section 6.1.1).
const MIN_REORDERING: u64 = 3;
/// The bound of adaptation.
const MAX_REORDERING: u64 = 20;
/// Round trips without a spurious loss after which adaptation ends.
const DECAY_ROUNDS: u64 = 16;
/// Probe timeouts that persistent congestion spans (RFC 9002 section 7.6.1).
const PERSISTENT_FACTOR: u64 = 3;

/// The reordering a path has shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thresholds {
    packets: u64,
    /// When the last spurious loss was proven, while its effect lasts.
    raised_at: Option<Instant>,
}

impl Thresholds {
    pub(super) const fn new() -> Self {
        Self { packets: MIN_REORDERING, raised_at: None }
    }

    /// A packet with this number of later ones acknowledged is lost.
    pub(super) fn packets(&self) -> u64 {
        self.packets
    }

    /// A packet older than this, with a later one acknowledged, is lost: 9/8 of the round trip, 5/4 while the path
    /// is known to reorder.
    pub(super) fn time(&self, rtt: &Rtt) -> u64 {
        let base = rtt.conservative();
        let extra = if self.raised_at.is_some() { base / 4 } else { base / 8 };
        base.saturating_add(extra).max(GRANULARITY)
    }

    /// A packet declared lost arrived when one `distance` numbers later was already acknowledged.
    pub(super) fn on_spurious(&mut self, now: Instant, distance: u64) {
        self.packets = self.packets.max(distance.saturating_add(1)).clamp(MIN_REORDERING, MAX_REORDERING);
        self.raised_at = Some(now);
    }

    /// Returns to the defaults after 16 quiet round trips.
    pub(super) fn decay(&mut self, now: Instant, srtt: u64) {
        if self.raised_at.is_some_and(|at| now.nanos_since(at) > srtt.saturating_mul(DECAY_ROUNDS)) {
            *self = Self::new();
        }
    }
}

/// Groups losses and marks into congestion events (RFC 9002 section 7.3.2).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Events {
    /// Start of the running event: packets sent until then belong to it.
    start: Option<Instant>,
    /// Number of the event; 0 stands for none.
    id: u32,
    /// Losses of this event that have not proved wrong.
    real: u32,
    /// Whether it may still be undone.
    undoable: bool,
}

impl Events {
    /// Takes a loss; returns the event it belongs to and whether it starts it.
    pub(super) fn on_loss(&mut self, now: Instant, sent_at: Instant) -> (u32, bool) {
        let new = self.begins(sent_at);
        if new {
            self.begin(now, true);
        }
        self.real = self.real.saturating_add(1);
        (self.id, new)
    }

    /// Takes a congestion mark acknowledged with a packet sent at `sent_at`; whether it starts an event.
    pub(super) fn on_ce(&mut self, now: Instant, sent_at: Instant) -> bool {
        let new = self.begins(sent_at);
        if new {
            self.begin(now, false);
        } else {
            self.undoable = false;
        }
        new
    }

    /// A packet lost in event `id` arrived after all; whether the event has lost its ground and is undone.
    pub(super) fn on_spurious(&mut self, id: u32) -> bool {
        if id == 0 || id != self.id {
            return false;
        }
        self.real = self.real.saturating_sub(1);
        let undo = self.undoable && self.real == 0;
        if undo {
            self.undoable = false;
            self.start = None;
        }
        undo
    }

    /// The running event is never undone, and what is lost from now on belongs to another one: after persistent
    /// congestion, and for a controller that knows nothing of it.
    pub(super) fn forget(&mut self) {
        self.undoable = false;
        self.start = None;
    }

    fn begins(&self, sent_at: Instant) -> bool {
        self.start.is_none_or(|start| sent_at > start)
    }

    fn begin(&mut self, now: Instant, undoable: bool) {
        self.start = Some(now);
        self.id = self.id.wrapping_add(1).max(1);
        self.real = 0;
        self.undoable = undoable;
    }
}

/// Looks for persistent congestion in the packets of one loss detection, in ascending order (RFC 9002 section 7.6).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PersistentRun {
    first: Option<Instant>,
    longest: u64,
}

impl PersistentRun {
    /// An ack-eliciting packet was lost. Packets from before the first round-trip sample do not count.
    pub(super) fn on_lost(&mut self, sent_at: Instant, first_sample: Option<Instant>) {
        if first_sample.is_some_and(|sample| sent_at > sample) {
            let first = *self.first.get_or_insert(sent_at);
            self.longest = self.longest.max(sent_at.nanos_since(first));
        }
    }

    /// A packet in between was acknowledged.
    pub(super) fn interrupt(&mut self) {
        self.first = None;
    }

    pub(super) fn is_persistent(&self, rtt: &Rtt, max_ack_delay: u64) -> bool {
        self.longest > rtt.pto(max_ack_delay).saturating_mul(PERSISTENT_FACTOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * MS)
    }

    fn rtt(ms: u64) -> Rtt {
        let mut rtt = Rtt::new(ms * MS);
        rtt.update(at(0), ms * MS, 0);
        rtt
    }

    #[test]
    fn thresholds_rise_and_decay() {
        let mut thresholds = Thresholds::new();
        assert_eq!((thresholds.packets(), thresholds.time(&rtt(80))), (3, 90 * MS));
        thresholds.on_spurious(at(0), 7);
        assert_eq!((thresholds.packets(), thresholds.time(&rtt(80))), (8, 100 * MS));
        thresholds.on_spurious(at(0), 1);
        assert_eq!(thresholds.packets(), 8);
        thresholds.on_spurious(at(0), u64::MAX);
        assert_eq!(thresholds.packets(), 20);
        thresholds.decay(at(16 * 80), 80 * MS);
        assert_eq!(thresholds.packets(), 20);
        thresholds.decay(at(16 * 80 + 1), 80 * MS);
        assert_eq!((thresholds.packets(), thresholds.time(&rtt(80))), (3, 90 * MS));
        assert_eq!(thresholds.time(&Rtt::new(0)), GRANULARITY);
    }

    #[test]
    fn one_event_per_round_trip_and_undo_when_all_was_wrong() {
        let mut events = Events::default();
        assert_eq!(events.on_loss(at(10), at(1)), (1, true));
        assert_eq!(events.on_loss(at(10), at(9)), (1, false));
        assert!(!events.on_spurious(1));
        assert!(events.on_spurious(1));
        assert_eq!(events.on_loss(at(12), at(9)), (2, true));
        assert_eq!(events.on_loss(at(20), at(13)), (3, true));
        assert!(!events.on_spurious(2));
        assert!(events.on_spurious(3));
    }

    #[test]
    fn marks_and_persistence_are_not_undone() {
        let mut events = Events::default();
        assert!(events.on_ce(at(10), at(5)));
        assert!(!events.on_ce(at(11), at(6)));
        assert_eq!(events.on_loss(at(11), at(7)), (1, false));
        assert!(!events.on_spurious(1));
        assert_eq!(events.on_loss(at(30), at(20)), (2, true));
        events.forget();
        assert!(!events.on_spurious(2));
    }

    #[test]
    fn persistent_runs() {
        // PTO = 100 + 4 * 50 + 25 ms, so the run has to span more than 975 ms.
        let rtt = rtt(100);
        let mut run = PersistentRun::default();
        run.on_lost(at(1), Some(at(1)));
        run.on_lost(at(2), Some(at(1)));
        run.on_lost(at(977), Some(at(1)));
        assert!(!run.is_persistent(&rtt, 25 * MS));
        let mut broken = run;
        run.on_lost(at(978), Some(at(1)));
        assert!(run.is_persistent(&rtt, 25 * MS));
        broken.interrupt();
        broken.on_lost(at(1500), Some(at(1)));
        assert!(!broken.is_persistent(&rtt, 25 * MS));
        let mut early = PersistentRun::default();
        early.on_lost(at(1), None);
        early.on_lost(at(5000), None);
        assert!(!early.is_persistent(&rtt, 25 * MS));
    }
}

//! Emptying the path to see its round-trip time without a queue (draft section 5.3.4).

use super::phase::Phase;
use super::{AckSample, Bbr};
use crate::time::Instant;

/// Time without a glimpse of the floor after which the path is emptied (draft section 2.14), in nanoseconds.
const PROBE_RTT_AFTER: u64 = 5_000_000_000;
/// The same while the floor is in doubt, and how long it has to be.
const DOUBTED_AFTER: u64 = 500_000_000;
const DOUBT: u64 = 250_000_000;
/// The shortest stay in the emptied path (draft section 2.14), in nanoseconds.
const PROBE_RTT_TIME: u64 = 200_000_000;

/// A look at the floor.
#[derive(Clone, Copy, Debug)]
pub(super) struct FloorProbe {
    /// When the path was empty enough, and the packet whose acknowledgement ends a round trip after that.
    pub(super) began: Option<(Instant, u64)>,
    pub(super) rtt: Option<u64>,
}

impl Bbr {
    /// Empties the path now and then, unless it empties by itself (draft section 5.3.4).
    pub(super) fn probe_floor(&mut self, ack: &AckSample) {
        if self.phase != Phase::ProbeRtt {
            let unseen = self.floor.unseen_for(ack.now);
            let doubted = self.doubt.is_some_and(|doubt| ack.now.nanos_since(doubt.since) > DOUBT);
            if unseen > PROBE_RTT_AFTER || doubted && unseen > DOUBTED_AFTER {
                self.enter(Phase::ProbeRtt);
            }
            return;
        }
        let window = self.floor_window();
        let Some(probe) = &mut self.probe else { return };
        if probe.began.is_none() && ack.in_flight <= window {
            probe.began = Some((ack.now, ack.next_pn));
        }
        let Some((since, end)) = probe.began else { return };
        probe.rtt = [probe.rtt, ack.rtt].into_iter().flatten().min();
        if let Some(floor) = probe.rtt
            && ack.largest >= end
            && ack.now.nanos_since(since) >= PROBE_RTT_TIME
        {
            self.end_floor_probe(ack.now, floor);
        }
    }

    /// What may be in flight meanwhile. While the floor is in doubt the path has to be empty for certain.
    pub(super) fn floor_window(&self) -> u64 {
        let half = self.bdp(Phase::ProbeRtt.window_gain());
        if self.doubt.is_some() { self.min_window() } else { half.max(self.min_window()) }
    }

    fn end_floor_probe(&mut self, now: Instant, floor: u64) {
        let before = self.floor.get().unwrap_or(floor);
        let doubt = self.doubt.take();
        self.probe = None;
        self.floor.replace(now, floor);
        if !self.full {
            self.enter(Phase::Startup);
        } else if let Some(doubt) = doubt
            && floor > before.saturating_add(before / 4)
        {
            // There was no queue: the path is longer, and carries what it did.
            self.bandwidth.reset(doubt.rate.max(self.bandwidth.get()));
            self.enter(Phase::Refill);
        } else {
            self.begin_cycle();
            self.enter(Phase::Cruise);
        }
    }
}

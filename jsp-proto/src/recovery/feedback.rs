//! What comes back: ACKs, timeouts, and what they say about packets (RFC 9002 section 6 and appendix A).

use super::cc::{AckSample, LossSample};
use super::loss::PersistentRun;
use super::sent::{Packet, State};
use super::{AckSummary, AckViolation, Fate, MAX_BACKOFF, Recovery, Timeout};
use crate::time::Instant;
use crate::wire::{Ack, AckRanges};

/// How long the ACK delay field counts: units of 8 microseconds in nanoseconds (specification section 4.1).
const DELAY_UNIT: u64 = 8_000;
/// Lost packets are remembered for this many probe timeouts, to recognise late ones.
const REMEMBER_LOST: u64 = 3;

/// A repair that no honest peer reports: of a packet that was never sent, or that nothing protected. The connection
/// closes with PROTOCOL_VIOLATION (specification section 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FalseRepair;

/// What one ACK newly acknowledged.
#[derive(Default)]
struct Batch {
    /// The largest packet.
    newest: Option<(u64, Packet)>,
    /// The largest packet that counted in flight.
    newest_in_flight: Option<(u64, Packet)>,
    eliciting: bool,
    /// Packets sent with ECT(0).
    marked: u64,
    /// Every loss of the running congestion event has proved wrong.
    undo: bool,
}

/// Packets declared lost together.
#[derive(Default)]
struct LostBatch {
    packets: u32,
    bytes: u64,
    new_event: bool,
}

impl<R: Copy> Recovery<R> {
    /// Takes an ACK. `sink` learns what became of each record; it is called before the result is returned.
    ///
    /// # Errors
    /// An ACK of a number that was never used, with no state changed.
    pub(crate) fn on_ack(
        &mut self,
        now: Instant,
        ack: &Ack<'_>,
        handshake_confirmed: bool,
        sink: &mut dyn FnMut(Fate, &R),
    ) -> Result<AckSummary, AckViolation> {
        self.check(&ack.ranges)?;
        let prior_largest = self.largest_acked;
        let prior_in_flight = self.sent.in_flight();
        let mut summary = AckSummary::default();
        self.thresholds.decay(now, self.rtt.smoothed());
        let batch = self.acknowledge(now, &ack.ranges, &mut summary, sink);
        let Some((largest, newest)) = batch.newest else {
            return Ok(summary);
        };
        summary.largest_newly_acked = Some(largest);
        self.largest_acked = prior_largest.max(Some(largest));

        let sampled = batch.eliciting && largest == ack.ranges.largest() && newest.sent_at >= self.path_since;
        let rtt = sampled.then(|| now.nanos_since(newest.sent_at));
        if let Some(sample) = rtt {
            let delay = ack.delay.saturating_mul(DELAY_UNIT);
            let delay = if handshake_confirmed { delay.min(self.peer_max_ack_delay) } else { delay };
            self.rtt.update(now, sample, delay);
        }
        if batch.undo {
            self.controller.on_spurious(now);
        }
        if self.largest_acked > prior_largest {
            summary.ce = self.ecn.on_ack(ack.ecn, batch.marked);
        }
        if summary.ce > 0
            && let Some((_, packet)) = batch.newest_in_flight
            && self.events.on_ce(now, packet.sent_at)
        {
            self.controller.on_ce(now, summary.ce);
        }
        self.detect_lost(now, &mut summary, sink);
        self.tell_controller(now, &batch, &summary, prior_in_flight, rtt);
        self.pto_count = 0;
        self.probes = 0;
        self.retire(now);
        Ok(summary)
    }

    /// Refuses what no honest peer acknowledges (specification section 7, rows 19 and 20).
    fn check(&self, ranges: &AckRanges<'_>) -> Result<(), AckViolation> {
        if ranges.largest() >= self.sent.next_pn() {
            return Err(AckViolation::Unsent);
        }
        let skipped = |range: core::ops::RangeInclusive<u64>| {
            self.skipped.overlaps(*range.start()..range.end().saturating_add(1))
        };
        if ranges.iter().any(skipped) { Err(AckViolation::Skipped) } else { Ok(()) }
    }

    fn acknowledge(
        &mut self,
        now: Instant,
        ranges: &AckRanges<'_>,
        summary: &mut AckSummary,
        sink: &mut dyn FnMut(Fate, &R),
    ) -> Batch {
        let mut batch = Batch::default();
        for range in ranges.iter() {
            let mut at = Some(*range.end());
            while let Some(pn) = at.and_then(|from| self.sent.open_at_or_below(from))
                && pn >= *range.start()
            {
                self.acknowledge_one(now, pn, &mut batch, summary, sink);
                at = pn.checked_sub(1);
            }
        }
        batch
    }

    fn acknowledge_one(
        &mut self,
        now: Instant,
        pn: u64,
        batch: &mut Batch,
        summary: &mut AckSummary,
        sink: &mut dyn FnMut(Fate, &R),
    ) {
        let Some(packet) = self.sent.settle(pn, State::Done { skip: 1 }) else { return };
        self.note_acked(pn);
        batch.newest.get_or_insert((pn, packet));
        if packet.flags.in_flight {
            batch.newest_in_flight.get_or_insert((pn, packet));
        }
        batch.eliciting |= packet.flags.ack_eliciting;
        batch.marked += u64::from(packet.ect);
        summary.newly_acked += 1;
        summary.newly_acked_eliciting += u32::from(packet.flags.ack_eliciting);
        summary.acked_bytes += packet.flight_size();
        let mut fate = Fate::Acked;
        if packet.flags.mtu_probe {
            self.mtu.on_probe_acked(pn, packet.size);
            return;
        }
        self.mtu.on_acked(pn, packet.size);
        if let State::Lost { event } | State::Held { event } | State::Repaired { event } = packet.state {
            fate = Fate::Late;
            summary.late_packets += 1;
            self.late_packets += 1;
            if packet.flags.in_flight {
                if !packet.searching {
                    self.meter.on_late();
                }
                self.controller.on_packet_late(pn);
                let distance = self.overtaken_by(pn, self.largest_acked.unwrap_or(pn));
                self.thresholds.on_spurious(now, distance);
                batch.undo |= self.events.on_spurious(event);
            }
        }
        if packet.flags.in_flight && fate == Fate::Acked && !packet.searching {
            self.meter.on_acked();
        }
        self.sent.for_each_record(&packet, |record| sink(fate, record));
    }

    /// How many packets later than `pn` have been sent up to `largest`.
    pub(super) fn overtaken_by(&self, pn: u64, largest: u64) -> u64 {
        let distance = largest.saturating_sub(pn);
        distance - self.skipped.covered_within(pn.min(largest)..largest)
    }

    fn tell_controller(
        &mut self,
        now: Instant,
        batch: &Batch,
        summary: &AckSummary,
        prior_in_flight: u64,
        rtt: Option<u64>,
    ) {
        let Some((pn, packet)) = batch.newest_in_flight else { return };
        let bytes = summary.acked_bytes;
        let min_rtt = self.rtt.minimum();
        let rate = self.sampler.on_ack(now, bytes, packet.sent_at, &packet.mark, min_rtt);
        self.controller.on_ack(&AckSample {
            now,
            bytes,
            prior_in_flight,
            in_flight: self.sent.in_flight(),
            lost: summary.lost_bytes,
            largest: pn,
            largest_sent_at: packet.sent_at,
            next_pn: self.sent.next_pn(),
            rtt,
            srtt: self.rtt.smoothed(),
            app_limited: packet.mark.app_limited,
            rate,
        });
    }

    /// Declares lost what the thresholds say, and sets the timer for what they will say (RFC 9002 section 6.1).
    /// Lost packets are a prefix of the outstanding ones, so nothing is looked at twice.
    fn detect_lost(&mut self, now: Instant, summary: &mut AckSummary, sink: &mut dyn FnMut(Fate, &R)) {
        self.loss_at = None;
        let Some(largest) = self.largest_acked else { return };
        let delay = self.thresholds.time(&self.rtt);
        let mut run = PersistentRun::default();
        let mut batch = LostBatch::default();
        let mut pn = self.sent.low();
        while pn < largest
            && let Some(packet) = self.sent.get(pn).copied()
        {
            if packet.is_outstanding() {
                let overtaken = self.overtaken_by(pn, largest) >= self.thresholds.packets();
                if !overtaken && packet.sent_at.plus_nanos(delay) > now {
                    break;
                }
                self.lose(now, pn, &mut batch, sink);
                if packet.flags.in_flight && packet.flags.ack_eliciting && !packet.flags.mtu_probe {
                    run.on_lost(packet.sent_at, self.rtt.first_sample());
                }
            } else if matches!(packet.state, State::Done { .. }) && !packet.is_skipped() {
                run.interrupt();
            }
            pn += 1;
        }
        self.sent.raise_low(pn);
        self.loss_at = self
            .sent
            .outstanding_from(pn)
            .take_while(|&(pn, _)| pn < largest)
            .find(|(_, packet)| packet.flags.ack_eliciting)
            .map(|(_, packet)| packet.sent_at.plus_nanos(delay));
        summary.persistent = run.is_persistent(&self.rtt, self.peer_max_ack_delay);
        self.report_losses(now, &batch, summary);
    }

    /// Settles one packet as lost.
    fn lose(&mut self, now: Instant, pn: u64, batch: &mut LostBatch, sink: &mut dyn FnMut(Fate, &R)) {
        let Some(Packet { flags, sent_at, size, .. }) = self.sent.get(pn).copied() else { return };
        if flags.mtu_probe {
            self.sent.settle(pn, State::Lost { event: 0 });
            self.mtu.on_probe_lost(now, pn);
            return;
        }
        let (event, new) = if flags.in_flight { self.events.on_loss(now, sent_at) } else { (0, false) };
        let held = flags.coded;
        let state = if held { State::Held { event } } else { State::Lost { event } };
        let Some(packet) = self.sent.settle(pn, state) else { return };
        if packet.ect && packet.sent_at >= self.path_since {
            self.ecn.on_lost();
        }
        if flags.in_flight {
            let bytes = packet.flight_size();
            self.note_lost(pn, bytes);
            self.mtu.on_lost(now, pn, size, sent_at);
            self.lost_packets += 1;
            batch.packets += 1;
            batch.bytes += bytes;
            batch.new_event |= new;
            self.controller.on_packet_lost(pn);
            if !packet.searching {
                self.meter.on_lost(pn);
            }
        }
        let fate = if held { Fate::Held } else { Fate::Lost };
        self.sent.for_each_record(&packet, |record| sink(fate, record));
    }

    fn report_losses(&mut self, now: Instant, batch: &LostBatch, summary: &mut AckSummary) {
        summary.lost_packets += batch.packets;
        summary.lost_bytes += batch.bytes;
        if batch.packets == 0 {
            return;
        }
        if summary.persistent {
            self.events.forget();
            self.rtt.forget_minimum(now);
        }
        self.controller.on_loss(&LossSample { now, new_event: batch.new_event, persistent: summary.persistent });
    }

    /// The peer has repaired these packets. They were lost all the same: congestion control learns of those that it did
    /// not know of yet. Packets that are not remembered any more are passed over.
    ///
    /// # Errors
    /// A packet that was never sent or not protected; those before it have been dealt with.
    pub(crate) fn on_repaired(
        &mut self,
        now: Instant,
        ranges: &AckRanges<'_>,
        sink: &mut dyn FnMut(Fate, &R),
    ) -> Result<AckSummary, FalseRepair> {
        let mut summary = AckSummary::default();
        let mut batch = LostBatch::default();
        let mut result = Ok(());
        'ranges: for range in ranges.iter() {
            let remembered = (*range.start()).max(self.sent.base())..self.sent.next_pn();
            if *range.end() >= self.sent.next_pn() {
                result = Err(FalseRepair);
                break;
            }
            for pn in remembered.take_while(|pn| pn <= range.end()) {
                let Some(packet) = self.sent.get(pn).copied() else { break };
                if !packet.flags.coded {
                    result = Err(FalseRepair);
                    break 'ranges;
                }
                self.repair_one(now, pn, &packet, &mut batch, sink);
            }
        }
        self.report_losses(now, &batch, &mut summary);
        self.retire(now);
        result.map(|()| summary)
    }

    fn repair_one(
        &mut self,
        now: Instant,
        pn: u64,
        packet: &Packet,
        batch: &mut LostBatch,
        sink: &mut dyn FnMut(Fate, &R),
    ) {
        match packet.state {
            State::Done { .. } | State::Repaired { .. } => return,
            State::Outstanding => self.lose(now, pn, batch, sink),
            State::Held { .. } | State::Lost { .. } => {}
        }
        let Some(lost) = self.sent.get(pn).copied() else { return };
        if let State::Held { event } | State::Lost { event } = lost.state {
            self.sent.settle(pn, State::Repaired { event });
        }
        self.sent.for_each_record(&lost, |record| sink(Fate::Repaired, record));
    }

    /// A packet that was [held](Fate::Held) is not repaired, or not in time: it is lost for good.
    pub(crate) fn release(&mut self, pn: u64, sink: &mut dyn FnMut(Fate, &R)) {
        let Some(packet) = self.sent.get(pn).copied() else { return };
        if let State::Held { event } = packet.state {
            self.sent.settle(pn, State::Lost { event });
            self.sent.for_each_record(&packet, |record| sink(Fate::Lost, record));
        }
    }

    /// Does what is due at [`deadline`](Self::deadline). After a probe timeout the records of the two oldest packets
    /// that the peer has to acknowledge are shown as [`Fate::Probe`], so that probes carry data.
    pub(crate) fn on_timeout(&mut self, now: Instant, sink: &mut dyn FnMut(Fate, &R)) -> Timeout {
        if let Some(at) = self.loss_at {
            if at > now {
                return Timeout::Nothing;
            }
            let mut summary = AckSummary::default();
            let settled = self.sent.low();
            self.timer_from = now;
            self.detect_lost(now, &mut summary, sink);
            self.retire(now);
            return if self.sent.low() > settled { Timeout::Lost } else { Timeout::Nothing };
        }
        if self.pto_at().is_none_or(|at| at > now) {
            return Timeout::Nothing;
        }
        self.pto_count = (self.pto_count + 1).min(MAX_BACKOFF);
        self.mtu.on_probe_timeout(now, self.pto_count);
        self.timer_from = now;
        self.show_probes(sink);
        self.retire(now);
        Timeout::Probe
    }

    /// Forgets what is settled; lost packets after three probe timeouts.
    fn retire(&mut self, now: Instant) {
        let age = self.rtt.pto(self.peer_max_ack_delay).saturating_mul(REMEMBER_LOST);
        self.sent.retire(Instant::from_nanos(now.as_nanos().saturating_sub(age)));
    }
}

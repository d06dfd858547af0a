//! What to acknowledge and when (RFC 9000 section 13.2, specification section 6.1).

use core::time::Duration;

use crate::config::bounds;
use crate::ecn::Ecn;
use crate::ranges::RangeSet;
use crate::time::{Instant, nanos};
use crate::wire::frame::{MAX_RANGES_PARSED, write_ack};
use crate::wire::{EcnCounts, Writer};

/// Ranges kept; older ones are forgotten (specification section 7, row 18).
const MAX_RANGES: usize = MAX_RANGES_PARSED;
/// Ack-eliciting packets per ACK (RFC 9000 section 13.2.2).
const THRESHOLD: u64 = 2;
/// The unit of the delay field in nanoseconds.
const DELAY_UNIT: u64 = 8_000;
/// ACK-only packets after which a PING goes along, so that the peer acknowledges our ACKs.
const PING_AFTER: u32 = 10;
const SECOND: u64 = 1_000_000_000;

/// What a packet with an ACK remembers about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AckRecord {
    /// The largest packet number it acknowledged.
    pub(crate) largest: u64,
}

/// The receiving side: the numbers that have arrived and the state of the next ACK.
#[derive(Debug)]
pub(crate) struct Acks {
    received: RangeSet,
    /// Gaps below are old news.
    floor: u64,
    largest: Option<u64>,
    largest_at: Instant,
    last_at: Option<Instant>,
    counts: EcnCounts,
    /// Ack-eliciting packets since the last ACK.
    eliciting: u64,
    immediate: bool,
    deadline: Option<Instant>,
    /// The smallest number that no ACK has named yet.
    unreported: Option<u64>,
    max_delay: u64,
    rtt: u64,
    /// When the peer's last honoured request for an immediate ACK came.
    asked_at: Option<Instant>,
    asked_too_soon: u64,
    ack_only: u32,
    empty_since: Instant,
    empty: u32,
}

impl Acks {
    /// Acknowledges within `max_ack_delay`, the value of our own parameters.
    pub(crate) fn new(max_ack_delay: Duration) -> Self {
        Self {
            received: RangeSet::new(),
            floor: 0,
            largest: None,
            largest_at: Instant::ZERO,
            last_at: None,
            counts: EcnCounts::default(),
            eliciting: 0,
            immediate: false,
            deadline: None,
            unreported: None,
            max_delay: nanos(max_ack_delay),
            rtt: 0,
            asked_at: None,
            asked_too_soon: 0,
            ack_only: 0,
            empty_since: Instant::ZERO,
            empty: 0,
        }
    }

    /// The smoothed round-trip time, which bounds how often the peer's wishes are granted.
    pub(crate) fn set_rtt(&mut self, srtt: Duration) {
        self.rtt = nanos(srtt);
    }

    /// Takes a packet that was opened, is no duplicate and has been processed. `immediate` is set if it asked for an
    /// ACK at once or completed a block of error correction.
    pub(crate) fn on_packet(&mut self, now: Instant, pn: u64, ack_eliciting: bool, ecn: Ecn, immediate: bool) {
        // Question and answer leave a round trip between packets too; there the next question carries the ACK.
        let pause = self.rtt.max(self.max_delay);
        let idle = self.last_at.is_none_or(|at| now.nanos_since(at) > pause);
        let previous = self.largest;
        if !self.note(now, pn, ecn) || !ack_eliciting {
            return;
        }
        self.eliciting += 1;
        let asked = immediate && self.grant(now);
        if asked || idle || ecn == Ecn::Ce || self.is_out_of_order(pn, previous) {
            self.immediate = true;
        }
        self.arm(now);
    }

    /// Takes a packet with nothing but PING and padding in it. Beyond [`bounds::EMPTY_PACKETS_PER_SECOND`] nothing
    /// hastens its ACK, and the result is `false`: answering was all the packet was for.
    pub(crate) fn on_empty_packet(&mut self, now: Instant, pn: u64, ecn: Ecn) -> bool {
        if now.nanos_since(self.empty_since) >= SECOND {
            self.empty_since = now;
            self.empty = 0;
        }
        self.empty = self.empty.saturating_add(1);
        if self.empty <= bounds::EMPTY_PACKETS_PER_SECOND {
            self.on_packet(now, pn, true, ecn, false);
            return true;
        }
        if self.note(now, pn, ecn) {
            self.arm(now);
        }
        false
    }

    /// Files the number; whether it is news.
    fn note(&mut self, now: Instant, pn: u64, ecn: Ecn) -> bool {
        if !self.received.insert_one(pn) {
            return false;
        }
        if self.received.len() > MAX_RANGES
            && let Some(oldest) = self.received.pop_first()
        {
            self.floor = self.floor.max(oldest.end);
            if oldest.contains(&pn) {
                return false;
            }
        }
        match ecn {
            Ecn::NotEct => {}
            Ecn::Ect0 => self.counts.ect0 += 1,
            Ecn::Ect1 => self.counts.ect1 += 1,
            Ecn::Ce => self.counts.ce += 1,
        }
        if self.largest.is_none_or(|largest| pn > largest) {
            self.largest = Some(pn);
            self.largest_at = now;
        }
        self.unreported = Some(self.unreported.map_or(pn, |first| first.min(pn)));
        self.last_at = Some(now);
        true
    }

    /// IMMEDIATE_ACK is granted once per eighth of a round trip (specification section 7, row 48).
    fn grant(&mut self, now: Instant) -> bool {
        let granted = self.asked_at.is_none_or(|at| now.nanos_since(at) >= self.rtt / 8);
        if granted {
            self.asked_at = Some(now);
        } else {
            self.asked_too_soon += 1;
        }
        granted
    }

    /// Requests of the peer that were not granted.
    pub(crate) fn requests_over_bound(&self) -> u64 {
        self.asked_too_soon
    }

    /// Whether the packet fills a gap or leaves one.
    fn is_out_of_order(&self, pn: u64, previous: Option<u64>) -> bool {
        let from = previous.unwrap_or(0);
        pn < from || self.received.next_gap(from.max(self.floor)..pn).is_some()
    }

    fn arm(&mut self, now: Instant) {
        self.deadline = self.deadline.or(Some(now.plus_nanos(self.max_delay)));
    }

    /// Whether an ACK should be sent now, alone if need be.
    pub(crate) fn due(&self, now: Instant) -> bool {
        self.immediate || self.eliciting >= THRESHOLD || self.deadline.is_some_and(|at| at <= now)
    }

    /// Whether there is something to acknowledge if a packet is sent anyway. Packets that only acknowledge do not
    /// count: a sender of bulk data would answer each of them.
    pub(crate) fn has_new(&self) -> bool {
        self.immediate || self.eliciting > 0 || self.deadline.is_some()
    }

    /// When [`due`](Self::due) becomes true by itself. `None` if it already is for another reason than time.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.immediate || self.eliciting >= THRESHOLD { None } else { self.deadline }
    }

    /// Makes an ACK due now, if there is anything to acknowledge: something that goes with it is urgent.
    pub(crate) fn expedite(&mut self) {
        self.immediate |= !self.received.is_empty();
    }

    /// Writes an ACK of the latest ranges, as many as fit. `None` if there is nothing to acknowledge or no room.
    pub(crate) fn write(&mut self, now: Instant, w: &mut Writer<'_>) -> Option<AckRecord> {
        let largest = self.received.max()?;
        let delay = now.nanos_since(self.largest_at) / DELAY_UNIT;
        let counts = (self.counts != EcnCounts::default()).then_some(self.counts);
        let ranges = self.received.iter().rev().map(|range| (range.start, range.end - 1));
        write_ack(w, delay.min(crate::wire::varint::MAX), ranges, counts).ok()?;
        self.immediate = false;
        self.eliciting = 0;
        self.deadline = None;
        self.unreported = None;
        self.ack_only = self.ack_only.saturating_add(1);
        Some(AckRecord { largest })
    }

    /// The peer has seen the ACK: what it named need not be named again, except numbers that arrived later
    /// (RFC 9000 section 13.2.4).
    pub(crate) fn on_acked(&mut self, record: AckRecord) {
        let bound = record.largest.saturating_add(1).min(self.unreported.unwrap_or(u64::MAX));
        self.floor = self.floor.max(bound);
        self.received.trim_below(bound);
    }

    /// Whether ten ACKs have left without anything that the peer acknowledges: then a PING should go along.
    pub(crate) fn wants_ping(&self) -> bool {
        self.ack_only >= PING_AFTER
    }

    /// An ack-eliciting packet has been sent.
    pub(crate) fn on_eliciting_sent(&mut self) {
        self.ack_only = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Ack, Frame, Reader};
    use alloc::vec::Vec;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * MS)
    }

    /// Busy since 0 ms with a round trip of 40 ms: the first packet is acknowledged.
    fn busy() -> Acks {
        let mut acks = Acks::new(Duration::from_millis(25));
        acks.set_rtt(Duration::from_millis(40));
        acks.on_packet(at(0), 0, true, Ecn::NotEct, false);
        assert!(acks.due(at(0)));
        write(&mut acks, at(0), |_| ());
        acks
    }

    fn write<T>(acks: &mut Acks, now: Instant, f: impl FnOnce(Ack<'_>) -> T) -> Option<(AckRecord, T)> {
        let mut buffer = [0; 1200];
        let mut w = Writer::new(&mut buffer);
        let record = acks.write(now, &mut w)?;
        let written = w.written().to_vec();
        let Ok(Frame::Ack(ack)) = Frame::decode(&mut Reader::new(&written)) else { panic!("no ACK") };
        assert_eq!(ack.ranges.largest(), record.largest);
        Some((record, f(ack)))
    }

    fn packet(acks: &mut Acks, ms: u64, pn: u64) -> bool {
        acks.on_packet(at(ms), pn, true, Ecn::NotEct, false);
        acks.due(at(ms))
    }

    #[test]
    fn every_second_packet_or_the_delay() {
        let mut acks = busy();
        assert!(!packet(&mut acks, 1, 1));
        assert_eq!(acks.deadline(), Some(at(26)));
        assert!(!acks.due(at(25)) && acks.due(at(26)));
        assert!(packet(&mut acks, 2, 2));
        assert_eq!(acks.deadline(), None);
        let (_, delay) = write(&mut acks, at(10), |ack| ack.delay).unwrap();
        assert_eq!(delay, 1000);
        assert!(!acks.due(at(100)) && !acks.has_new());
    }

    #[test]
    fn at_once_on_gap_reordering_mark_and_after_idle() {
        let mut acks = busy();
        assert!(packet(&mut acks, 1, 2), "gap");
        write(&mut acks, at(1), |_| ());
        assert!(!packet(&mut acks, 2, 3), "the gap is old");
        assert!(packet(&mut acks, 2, 1), "reordered");
        write(&mut acks, at(2), |_| ());
        acks.on_packet(at(3), 4, true, Ecn::Ce, false);
        assert!(acks.due(at(3)));
        write(&mut acks, at(3), |ack| assert_eq!(ack.ecn.unwrap().ce, 1));
        assert!(!packet(&mut acks, 43, 5));
        assert!(packet(&mut acks, 84, 6), "idle");
    }

    #[test]
    fn packets_that_elicit_nothing_are_only_noted() {
        let mut acks = busy();
        acks.on_packet(at(100), 9, false, Ecn::NotEct, false);
        assert!(!acks.has_new() && !acks.due(at(1000)) && acks.deadline().is_none());
        acks.on_packet(at(101), 9, true, Ecn::NotEct, true);
        assert!(!acks.due(at(1000)), "a duplicate");
    }

    #[test]
    fn wishes_are_granted_once_per_eighth_of_a_round_trip() {
        let mut acks = busy();
        let mut granted = 0;
        for pn in 1..=40 {
            acks.on_packet(at(pn), pn, true, Ecn::NotEct, true);
            granted += u32::from(acks.immediate);
            write(&mut acks, at(pn), |_| ());
        }
        assert_eq!(granted, 8);
    }

    #[test]
    fn empty_packets_hasten_a_hundred_acks_per_second() {
        let mut acks = busy();
        let (mut hastened, mut load) = (0, 0);
        for pn in 1..=1000 {
            load += u32::from(!acks.on_empty_packet(at(1 + pn / 2), pn, Ecn::NotEct));
            if acks.due(at(1 + pn / 2)) {
                hastened += 1;
                write(&mut acks, at(1 + pn / 2), |_| ());
            }
        }
        assert_eq!(load, 900);
        assert!(hastened <= 100 + 500 / 25, "{hastened}");
    }

    #[test]
    fn ten_acks_alone_want_a_ping() {
        let mut acks = busy();
        for pn in 1..10 {
            assert!(!acks.wants_ping());
            packet(&mut acks, pn, pn);
            write(&mut acks, at(pn), |_| ());
        }
        assert!(acks.wants_ping());
        acks.on_eliciting_sent();
        assert!(!acks.wants_ping());
    }

    #[test]
    fn an_acked_ack_prunes_but_keeps_what_it_did_not_name() {
        let mut acks = busy();
        for pn in [1, 2, 5] {
            packet(&mut acks, 1, pn);
        }
        let (record, ()) = write(&mut acks, at(1), |_| ()).unwrap();
        packet(&mut acks, 2, 4);
        packet(&mut acks, 2, 7);
        acks.on_acked(record);
        let (record, ranges) = write(&mut acks, at(2), |ack| ack.ranges.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(ranges, [7..=7, 4..=5]);
        acks.on_acked(record);
        assert!(write(&mut acks, at(3), |_| ()).is_none());
        assert!(packet(&mut acks, 3, 3), "late, but still acknowledged");
        write(&mut acks, at(3), |ack| assert_eq!(ack.ranges.largest(), 3)).unwrap();
    }

    #[test]
    fn no_room_changes_nothing() {
        let mut acks = busy();
        packet(&mut acks, 1, 2);
        assert_eq!(acks.write(at(1), &mut Writer::new(&mut [0; 3])), None);
        assert!(acks.due(at(1)) && acks.has_new());
    }

    proptest! {
        /// The ACK names the newest 32 of the newest 64 ranges of a set model.
        #[test]
        fn ranges_agree_with_a_set(pns in prop::collection::vec(0u64..400, 1..300)) {
            let mut acks = Acks::new(Duration::from_millis(25));
            let mut model = BTreeSet::new();
            for pn in pns {
                acks.on_packet(at(0), pn, true, Ecn::Ect0, false);
                model.insert(pn);
                let starts: Vec<u64> =
                    model.iter().rev().copied().filter(|pn| !pn.checked_sub(1).is_some_and(|n| model.contains(&n))).collect();
                if let Some(lowest) = starts.get(MAX_RANGES - 1) {
                    model.retain(|pn| pn >= lowest);
                }
            }
            let acked = write(&mut acks, at(0), |ack| ack.ranges.iter().flatten().collect::<Vec<_>>()).unwrap().1;
            prop_assert!(acked.windows(2).all(|pair| pair[0] != pair[1]));
            let acked: BTreeSet<u64> = acked.into_iter().collect();
            let lowest = acked.first().copied().unwrap();
            prop_assert_eq!(acked, model.split_off(&lowest));
        }
    }
}

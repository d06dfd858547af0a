//! What has been sent and not yet forgotten: a ring of packets by number, their records in one queue beside it
//! (specification section 6.2 and rows 20 to 22 of section 7).
//!
//! Every packet number sent or skipped has a slot until it is settled and everything before it is too. A slot that
//! needs nothing any more points down past its settled neighbours, so walking the ranges of an ACK costs about as
//! much as it newly acknowledges, however wide the ranges are. Nothing is allocated per packet.

use alloc::collections::VecDeque;

use super::rate::SendMark;
use crate::time::Instant;

/// Slots, and records, for which memory is kept when nothing is in flight. Bursts below it allocate nothing.
const KEPT: usize = 256;

/// How a packet counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// The peer has to acknowledge it.
    pub(crate) ack_eliciting: bool,
    /// It counts towards the congestion window.
    pub(crate) in_flight: bool,
    /// It carries data that was declared lost.
    pub(crate) retransmission: bool,
    /// Parity protects it: if it is lost, the peer may repair it.
    pub(crate) coded: bool,
    /// It was sent to see whether it gets through: that it is lost says nothing of congestion.
    pub(crate) mtu_probe: bool,
}

impl Flags {
    /// Frames that the peer acknowledges.
    pub(crate) const DATA: Self = Self { ack_eliciting: true, in_flight: true, ..Self::ACK_ONLY };
    /// Nothing but ACK, padding excluded (RFC 9002 section 2).
    pub(crate) const ACK_ONLY: Self =
        Self { ack_eliciting: false, in_flight: false, retransmission: false, coded: false, mtu_probe: false };
    /// A datagram of a size that may not get through (specification section 6.4).
    pub(crate) const MTU_PROBE: Self = Self { mtu_probe: true, ..Self::DATA };
}

/// Where a packet is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Sent, no verdict.
    Outstanding,
    /// Declared lost as part of this congestion event; a late acknowledgement is still recognised.
    Lost { event: u32 },
    /// Declared lost, and it is not decided whether the peer repairs it. Its records are still needed.
    Held { event: u32 },
    /// Declared lost, and the peer repaired it. A late acknowledgement is still recognised.
    Repaired { event: u32 },
    /// Acknowledged or skipped. The next slot that may be something else is at least `skip` numbers below.
    Done { skip: u32 },
}

/// One slot of the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) sent_at: Instant,
    pub(super) mark: SendMark,
    pub(super) size: u16,
    pub(super) flags: Flags,
    /// Sent with ECT(0).
    pub(super) ect: bool,
    /// Sent in search of the path's rate: that it is lost says nothing of what the path loses otherwise.
    pub(super) searching: bool,
    pub(super) state: State,
    /// Number of its first record, counted from the first record ever.
    records_from: u64,
    records: u32,
}

impl Packet {
    /// A number that was left out on purpose.
    pub(super) fn is_skipped(&self) -> bool {
        self.size == 0
    }

    pub(super) fn is_outstanding(&self) -> bool {
        self.state == State::Outstanding
    }

    /// What became of it is not decided.
    fn is_needed(&self) -> bool {
        matches!(self.state, State::Outstanding | State::Held { .. })
    }

    /// The bytes that count in flight.
    pub(super) fn flight_size(&self) -> u64 {
        if self.flags.in_flight { u64::from(self.size) } else { 0 }
    }
}

/// What `push` needs to know about a packet.
pub(super) struct Sent {
    pub(super) now: Instant,
    pub(super) size: u16,
    pub(super) flags: Flags,
    pub(super) ect: bool,
    pub(super) searching: bool,
    pub(super) mark: SendMark,
}

/// The ring and the records.
#[derive(Debug)]
pub(super) struct SentPackets<R> {
    packets: VecDeque<Packet>,
    /// Packet number of the first slot.
    base: u64,
    records: VecDeque<R>,
    /// Number of the first record in the queue.
    records_base: u64,
    /// Records that belong to committed packets end here; later ones belong to the packet being built.
    records_end: u64,
    /// Nothing below is outstanding.
    low: u64,
    in_flight: u64,
    eliciting: u64,
}

impl<R: Copy> SentPackets<R> {
    pub(super) const fn new() -> Self {
        Self {
            packets: VecDeque::new(),
            base: 0,
            records: VecDeque::new(),
            records_base: 0,
            records_end: 0,
            low: 0,
            in_flight: 0,
            eliciting: 0,
        }
    }

    /// The first number that is remembered.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// The number the next packet gets.
    pub(super) fn next_pn(&self) -> u64 {
        self.base + self.packets.len() as u64
    }

    /// Slots in use.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Outstanding packets that the peer has to acknowledge.
    pub(super) fn eliciting(&self) -> u64 {
        self.eliciting
    }

    /// No packet below is outstanding.
    pub(super) fn low(&self) -> u64 {
        self.low.max(self.base)
    }

    /// Everything below `pn` has been found to be settled.
    pub(super) fn raise_low(&mut self, pn: u64) {
        self.low = self.low.max(pn);
    }

    pub(super) fn get(&self, pn: u64) -> Option<&Packet> {
        self.packets.get(usize::try_from(pn.checked_sub(self.base)?).ok()?)
    }

    fn get_mut(&mut self, pn: u64) -> Option<&mut Packet> {
        self.packets.get_mut(usize::try_from(pn.checked_sub(self.base)?).ok()?)
    }

    /// Adds a record to the packet being built.
    pub(super) fn record(&mut self, record: R) {
        self.records.push_back(record);
    }

    /// Drops the records of the packet being built.
    pub(super) fn cancel(&mut self) {
        self.records.truncate((self.records_end - self.records_base) as usize);
    }

    /// Gives the packet being built its number.
    pub(super) fn push(&mut self, sent: Sent) {
        let end = self.records_base + self.records.len() as u64;
        let packet = Packet {
            sent_at: sent.now,
            mark: sent.mark,
            size: sent.size.max(1),
            flags: sent.flags,
            ect: sent.ect,
            searching: sent.searching,
            state: State::Outstanding,
            records_from: self.records_end,
            records: (end - self.records_end) as u32,
        };
        self.records_end = end;
        self.in_flight += packet.flight_size();
        self.eliciting += u64::from(packet.flags.ack_eliciting);
        self.packets.push_back(packet);
    }

    /// Leaves a number out.
    pub(super) fn push_skipped(&mut self) {
        self.packets.push_back(Packet {
            sent_at: Instant::ZERO,
            mark: SendMark::default(),
            size: 0,
            flags: Flags::default(),
            ect: false,
            searching: false,
            state: State::Done { skip: 1 },
            records_from: self.records_end,
            records: 0,
        });
    }

    /// Moves a packet on; returns it as it was.
    pub(super) fn settle(&mut self, pn: u64, state: State) -> Option<Packet> {
        let packet = self.get_mut(pn)?;
        let before = *packet;
        packet.state = state;
        if before.is_outstanding() {
            self.in_flight -= before.flight_size();
            self.eliciting -= u64::from(before.flags.ack_eliciting);
        }
        Some(before)
    }

    /// Nothing that was sent so far counts towards the congestion window any more.
    pub(super) fn ground(&mut self) {
        self.packets.iter_mut().for_each(|packet| packet.flags.in_flight = false);
        self.in_flight = 0;
    }

    /// The largest number at or below `from` that is outstanding or lost. Shortens the way for the next search.
    pub(super) fn open_at_or_below(&mut self, from: u64) -> Option<u64> {
        let mut at = Some(from);
        while let Some(pn) = at
            && let State::Done { skip } = self.get(pn)?.state
        {
            at = pn.checked_sub(u64::from(skip)).filter(|&next| next >= self.base);
        }
        let mut pn = from;
        while at != Some(pn) {
            let Some(packet) = self.get_mut(pn) else { break };
            let State::Done { skip } = packet.state else { break };
            let target = at.map_or(pn - self.base + 1, |found| pn - found);
            if let Some(packet) = self.get_mut(pn) {
                packet.state = State::Done { skip: u32::try_from(target).unwrap_or(skip) };
            }
            let Some(next) = pn.checked_sub(u64::from(skip)) else { break };
            pn = next;
        }
        at
    }

    /// Shows the records of a packet that is still in the ring.
    pub(super) fn for_each_record(&self, packet: &Packet, mut f: impl FnMut(&R)) {
        let Some(from) = packet.records_from.checked_sub(self.records_base) else { return };
        self.records.iter().skip(from as usize).take(packet.records as usize).for_each(&mut f);
    }

    /// Forgets settled packets at the front: acknowledged ones, and lost ones sent before `horizon`.
    pub(super) fn retire(&mut self, horizon: Instant) {
        while let Some(front) = self.packets.front() {
            match front.state {
                State::Outstanding | State::Held { .. } => break,
                State::Lost { .. } | State::Repaired { .. } if front.sent_at >= horizon => break,
                State::Lost { .. } | State::Repaired { .. } | State::Done { .. } => {}
            }
            self.forget_front();
        }
    }

    /// Forgets settled packets at the front, however young, until fewer than `limit` slots are used. Whether there
    /// is room then.
    pub(super) fn make_room(&mut self, limit: usize) -> bool {
        while self.packets.len() >= limit {
            if self.packets.front().is_none_or(Packet::is_needed) {
                return false;
            }
            self.forget_front();
        }
        true
    }

    /// Whether [`make_room`](Self::make_room) would find room.
    pub(super) fn has_room(&self, limit: usize) -> bool {
        self.packets.len() < limit || self.packets.front().is_some_and(|front| !front.is_needed())
    }

    fn forget_front(&mut self) {
        if let Some(front) = self.packets.pop_front() {
            self.base += 1;
            self.records_base += u64::from(front.records);
            self.records.drain(..(front.records as usize).min(self.records.len()));
        }
    }

    /// The outstanding packets from `pn` on.
    pub(super) fn outstanding_from(&self, pn: u64) -> impl Iterator<Item = (u64, &Packet)> + '_ {
        let first = pn.max(self.base);
        let skip = (first - self.base) as usize;
        (first..).zip(self.packets.iter().skip(skip)).filter(|(_, packet)| packet.is_outstanding())
    }

    /// Slots and records there is memory for.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.packets.capacity() + self.records.capacity()
    }

    /// Whether there is memory that only a burst needs.
    pub(super) fn is_large(&self) -> bool {
        self.packets.capacity().max(self.records.capacity()) > 2 * KEPT
    }

    /// Gives memory back that an earlier burst needed, beyond what small windows use again and again.
    pub(super) fn shrink(&mut self) {
        self.packets.shrink_to(KEPT.max(2 * self.packets.len()));
        self.records.shrink_to(KEPT.max(2 * self.records.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn push(ring: &mut SentPackets<u64>, records: u64) {
        let pn = ring.next_pn();
        (0..records).for_each(|i| ring.record(pn * 10 + i));
        ring.push(Sent {
            now: Instant::from_nanos(pn),
            size: 100,
            flags: Flags::DATA,
            ect: false,
            searching: false,
            mark: SendMark::default(),
        });
    }

    fn records(ring: &SentPackets<u64>, pn: u64) -> Vec<u64> {
        let mut out = Vec::new();
        if let Some(packet) = ring.get(pn) {
            ring.for_each_record(packet, |record| out.push(*record));
        }
        out
    }

    #[test]
    fn records_follow_their_packets() {
        let mut ring = SentPackets::new();
        push(&mut ring, 2);
        ring.record(77);
        ring.cancel();
        push(&mut ring, 0);
        push(&mut ring, 3);
        assert_eq!(records(&ring, 0), [0, 1]);
        assert!(records(&ring, 1).is_empty());
        assert_eq!(records(&ring, 2), [20, 21, 22]);
        ring.settle(0, State::Done { skip: 1 });
        ring.record(99);
        ring.retire(Instant::MAX);
        ring.cancel();
        assert_eq!((ring.len(), ring.records.len()), (2, 3));
        assert_eq!(records(&ring, 2), [20, 21, 22]);
        assert!(records(&ring, 0).is_empty());
    }

    #[test]
    fn lost_packets_are_remembered_until_the_horizon_or_for_room() {
        let mut ring = SentPackets::new();
        (0..4).for_each(|_| push(&mut ring, 1));
        ring.settle(0, State::Lost { event: 1 });
        ring.settle(1, State::Lost { event: 1 });
        ring.retire(Instant::from_nanos(1));
        assert_eq!((ring.base, ring.in_flight()), (1, 200));
        assert!(ring.make_room(3));
        assert_eq!(ring.base, 2);
        assert!(!ring.make_room(2));
    }

    #[test]
    fn no_memory_is_taken_in_steady_state() {
        let mut ring = SentPackets::new();
        (0..100).for_each(|_| push(&mut ring, 2));
        let held = (ring.packets.capacity(), ring.records.capacity());
        for pn in 0..10_000 {
            ring.settle(pn, State::Done { skip: 1 });
            ring.retire(Instant::ZERO);
            push(&mut ring, 2);
        }
        assert_eq!((ring.packets.capacity(), ring.records.capacity()), held);
    }

    proptest! {
        /// The search agrees with a plain scan, whatever has been settled and forgotten before.
        #[test]
        fn search_finds_the_open_slot(ops in prop::collection::vec((0u64..60, any::<bool>()), 1..80)) {
            let mut ring = SentPackets::new();
            (0..60).for_each(|_| push(&mut ring, 0));
            for (pn, settle) in ops {
                if settle {
                    ring.settle(pn, State::Done { skip: 1 });
                }
                if pn % 7 == 0 {
                    ring.retire(Instant::ZERO);
                }
                let expected = (0..=pn).rev().find(|&n| ring.get(n).is_some_and(Packet::is_outstanding));
                prop_assert_eq!(ring.open_at_or_below(pn), expected);
                prop_assert_eq!(ring.open_at_or_below(pn), expected);
            }
        }
    }
}

//! What becomes of packets and parity, and when data that was lost is sent again after all (specification sections 5.6
//! and 13.16).

use alloc::vec::Vec;

use super::block::{Block, Verdict};
use super::{Conditions, LANES, ParityRecord, REST, Sender, SourceRecord};
use crate::fec::code::Encoder;
use crate::time::{Instant, earliest, nanos};

/// Repair is waited for at least this long once all parity is decided, nanoseconds.
const MIN_VERDICT: u64 = 5_000_000;

impl Sender {
    /// A protected packet was declared lost. Its data waits for a repair.
    pub(crate) fn on_source_lost(&mut self, conditions: &Conditions, record: SourceRecord) {
        let until = conditions.now.plus_nanos(nanos(conditions.srtt).saturating_mul(5) / 4);
        let block = self.block_mut(record.block);
        let held = block.as_ref().is_some_and(|block| block.is_holding());
        if !block.is_some_and(|block| block.on_lost(record.pn, until)) {
            // The block was given up: nothing can be waited for.
            return self.released.push_back(record.pn);
        }
        self.holding += usize::from(!held);
        // What was lost is to be repaired soon: its parity goes out now (specification section 13.16).
        self.close(conditions, record.block);
        self.judge(conditions, record.block);
    }

    /// A protected packet was acknowledged; `late`: after it had been declared lost.
    pub(crate) fn on_source_acked(&mut self, record: SourceRecord, late: bool) {
        self.change(record.block, |block| block.on_arrived(record.pn, late));
    }

    /// The peer has repaired a protected packet.
    pub(crate) fn on_source_repaired(&mut self, record: SourceRecord) {
        self.stats.repaired_by_peer += 1;
        self.change(record.block, |block| block.on_repaired(record.pn));
    }

    fn change(&mut self, id: u64, act: impl FnOnce(&mut Block)) {
        let Some(block) = self.block_mut(id) else { return };
        let held = block.is_holding();
        act(block);
        let holds = block.is_holding();
        self.holding -= usize::from(held && !holds);
        self.forget_settled();
    }

    /// A packet with parity was acknowledged or lost.
    pub(crate) fn on_parity(&mut self, conditions: &Conditions, record: ParityRecord, acked: bool) {
        let Some(block) = self.block_mut(record.block) else { return };
        let count = if acked { &mut block.parity_acked } else { &mut block.parity_lost };
        *count = count.saturating_add(1);
        self.judge(conditions, record.block);
    }

    /// Decides about lost packets of a block that has changed.
    pub(super) fn judge(&mut self, conditions: &Conditions, id: u64) {
        let Conditions { now, srtt, .. } = *conditions;
        let arrival = now.plus_nanos(nanos(srtt) / 2);
        let Some(block) = self.block_mut(id) else { return };
        match block.judge(arrival) {
            Verdict::Open if block.is_holding() && block.closed && block.is_parity_decided() => {
                block.hasten(now.plus_nanos((nanos(srtt) / 4).max(MIN_VERDICT)));
            }
            Verdict::Open => {}
            Verdict::MoreParity(more) => {
                block.extend(more);
                self.unsent.push_back(id);
            }
            Verdict::Lost => self.release(id),
        }
    }

    fn release(&mut self, id: u64) {
        let Some(place) = self.place(id) else { return };
        let Some(block) = self.blocks.get_mut(place) else { return };
        let (released, stats) = (&mut self.released, &mut self.stats);
        self.holding -= usize::from(block.is_holding());
        block.release(|pn| {
            stats.unrepaired += 1;
            released.push_back(pn);
        });
        self.forget_settled();
    }

    /// Whether [`next_released`](Self::next_released) has one.
    pub(crate) fn has_released(&self) -> bool {
        !self.released.is_empty()
    }

    /// A packet number that is not waited for any more: its data is lost.
    pub(crate) fn next_released(&mut self) -> Option<u64> {
        self.released.pop_front()
    }

    /// Gives up all repairs.
    pub(crate) fn release_all(&mut self) {
        if self.holding > 0 {
            let ids = self.base..self.base + self.blocks.len() as u64;
            ids.rev().for_each(|id| self.release(id));
        }
    }

    pub(super) fn forget_oldest(&mut self) {
        let oldest = self.base;
        self.release(oldest);
        if self.base == oldest {
            self.drop_front();
        }
    }

    /// Forgets blocks at the front that are over.
    pub(super) fn forget_settled(&mut self) {
        while self.blocks.front().is_some_and(Block::is_over) {
            self.drop_front();
        }
    }

    fn drop_front(&mut self) {
        let Some(block) = self.blocks.pop_front() else { return };
        let id = self.base;
        self.base += 1;
        self.holding -= usize::from(block.is_holding());
        for open in self.open.iter_mut().filter(|open| **open == Some(id)) {
            *open = None;
        }
        self.keep_symbols(block.symbols.bytes);
    }

    /// When to call [`rest`](Self::rest).
    pub(crate) fn rest_at(&self) -> Option<Instant> {
        self.protected_at.map(|at| at.plus_nanos(REST))
    }

    /// Nothing has been protected for a while: memory goes back.
    pub(crate) fn rest(&mut self) {
        self.protected_at = None;
        self.spare_sources = Vec::new();
        self.spare_symbols = Vec::new();
        self.encoder = Encoder::new();
        self.blocks.shrink_to(0);
    }

    /// When to call [`on_timeout`](Self::on_timeout).
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let closing = self.open.iter().flatten().filter_map(|&id| self.block(id)).map(|block| block.close_by).min();
        if self.holding == 0 {
            return closing;
        }
        let held = self.blocks.iter().filter(|block| block.is_holding()).filter_map(|block| block.hold_until).min();
        earliest(closing, held)
    }

    /// Closes blocks whose time is over and gives up repairs that are overdue.
    pub(crate) fn on_timeout(&mut self, conditions: &Conditions) {
        let now = conditions.now;
        for lane in 0..LANES {
            let Some(id) = self.open.get(lane).copied().flatten() else { continue };
            if self.block(id).is_some_and(|block| block.close_by <= now) {
                self.close(conditions, id);
            }
        }
        if self.holding == 0 {
            return;
        }
        // From the newest, because blocks at the front may be forgotten on the way.
        let ids = self.base..self.base + self.blocks.len() as u64;
        for id in ids.rev() {
            if self.block(id).is_some_and(|block| block.is_holding() && block.hold_until.is_none_or(|at| at <= now)) {
                self.release(id);
            }
        }
    }
}

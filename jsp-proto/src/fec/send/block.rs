//! One block: the packets it protects, its parity, and what became of both (specification sections 5.3 to 5.6).

use alloc::vec::Vec;

use crate::config::Wish;
use crate::fec::code::Sources;
use crate::time::Instant;
use crate::wire::frame::Parity;
use crate::wire::frame::{MAX_SPAN, MAX_SYMBOLS};

/// Parity that may be sent beyond the plan.
const LATE: u8 = 2;

/// The parity symbols of a closed block.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    /// All symbols of the class, one after the other.
    pub(super) bytes: Vec<u8>,
    pub(super) len: usize,
    pub(super) class: u8,
}

/// How the loss of packets of a block is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They may still be repaired.
    Open,
    /// They cannot be repaired, or are not: their data is lost.
    Lost,
    /// They can be repaired with this many more parity symbols, which cost less than sending the data again.
    MoreParity(u8),
}

#[derive(Debug)]
pub(super) struct Block {
    /// Packet number of the first source.
    pub(super) first: u64,
    last: u64,
    mask: u128,
    /// Sources of the connection before its first one.
    pub(super) sequence: u64,
    /// How many sources close it.
    pub(super) limit: usize,
    /// When it is closed at the latest.
    pub(super) close_by: Instant,
    pub(super) wish: Wish,
    /// Until when all of it is worth repairing.
    worth_until: Instant,
    pub(super) sources: Sources,
    pub(super) closed: bool,
    pub(super) symbols: Symbols,
    /// Parity packets to send, sent, and what became of them.
    pub(super) planned: u8,
    pub(super) sent: u8,
    pub(super) parity_acked: u8,
    pub(super) parity_lost: u8,
    /// Sources of which it is not known that the peer has them, and which were not given up.
    open: u128,
    /// Of these, the ones that were declared lost and wait for their repair.
    held: u128,
    /// How many were declared lost and did not arrive late.
    lost: u32,
    /// The latest time for a repair.
    pub(super) hold_until: Option<Instant>,
    extended: bool,
}

impl Block {
    pub(super) fn new(first: u64, sequence: u64, limit: usize, close_by: Instant, sources: Sources) -> Self {
        Self {
            first,
            last: first,
            mask: 0,
            sequence,
            limit,
            close_by,
            wish: Wish::NONE,
            worth_until: Instant::MAX,
            sources,
            closed: false,
            symbols: Symbols::default(),
            planned: 0,
            sent: 0,
            parity_acked: 0,
            parity_lost: 0,
            open: 0,
            held: 0,
            lost: 0,
            hold_until: None,
            extended: false,
        }
    }

    /// Whether packet `pn` can become a source of it.
    pub(super) fn takes(&self, pn: u64) -> bool {
        !self.closed && pn >= self.first && pn - self.first < u64::from(MAX_SPAN) && self.len() < MAX_SYMBOLS
    }

    pub(super) fn len(&self) -> u32 {
        self.mask.count_ones()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() as usize >= self.limit
    }

    pub(super) fn add(&mut self, now: Instant, pn: u64, payload: &[u8], wish: &Wish, close_by: Instant) {
        self.last = pn;
        let bit = self.bit(pn);
        self.mask |= bit;
        self.open |= bit;
        self.sources.push(payload);
        self.wish.merge(wish);
        self.worth_until = self.worth_until.min(now.plus_nanos(wish.patience));
        self.close_by = self.close_by.min(close_by);
    }

    fn bit(&self, pn: u64) -> u128 {
        let place = pn.checked_sub(self.first).and_then(|place| u32::try_from(place).ok());
        place.and_then(|place| 1u128.checked_shl(place)).unwrap_or(0)
    }

    /// The next parity frame for packet `pn`; `None` if all are sent.
    pub(super) fn next_parity(&self, pn: u64) -> Option<Parity<'_>> {
        if self.sent >= self.planned {
            return None;
        }
        let Symbols { bytes, len, class } = &self.symbols;
        // The one symbol of class 1 is sent as often as planned: all parity of a single packet is a copy of it.
        let index = if *class == 1 { 0 } else { self.sent };
        let from = usize::from(index) * len;
        Some(Parity {
            back: pn.checked_sub(self.first)?,
            span: u8::try_from(self.last - self.first + 1).ok()?,
            mask: self.mask,
            index,
            class: *class,
            planned: self.planned.min(*class),
            symbol: bytes.get(from..from + len)?,
        })
    }

    /// The parity that was not sent is not needed, or not possible, any more.
    pub(super) fn cancel_parity(&mut self) {
        self.planned = self.sent;
    }

    /// Whether every source has arrived, was repaired or given up.
    pub(super) fn is_settled(&self) -> bool {
        self.open == 0
    }

    /// Nothing of it is needed any more.
    pub(super) fn is_over(&self) -> bool {
        self.closed && self.is_settled() && self.sent >= self.planned
    }

    pub(super) fn is_holding(&self) -> bool {
        self.held != 0
    }

    /// The peer has the source.
    pub(super) fn on_arrived(&mut self, pn: u64, late: bool) {
        let bit = self.bit(pn);
        self.open &= !bit;
        self.held &= !bit;
        self.lost = self.lost.saturating_sub(u32::from(late));
    }

    pub(super) fn on_repaired(&mut self, pn: u64) {
        let bit = self.bit(pn);
        self.open &= !bit;
        self.held &= !bit;
    }

    /// The source was declared lost; its repair is waited for until `until` at the latest. False if there is nothing to
    /// wait for.
    pub(super) fn on_lost(&mut self, pn: u64, until: Instant) -> bool {
        let bit = self.bit(pn) & self.open;
        if bit == 0 {
            return false;
        }
        self.lost += u32::from(bit & self.held == 0);
        self.held |= bit;
        self.hold_until.get_or_insert(until);
        true
    }

    /// All parity is on its way or decided: repair is waited for until `until`.
    pub(super) fn hasten(&mut self, until: Instant) {
        self.hold_until = Some(self.hold_until.map_or(until, |at| at.min(until)));
    }

    /// Whether all parity was sent and has been acknowledged or lost.
    pub(super) fn is_parity_decided(&self) -> bool {
        self.sent >= self.planned && self.parity_acked + self.parity_lost >= self.sent
    }

    /// What is to be done about lost sources, if more parity would arrive at `arrival`.
    pub(super) fn judge(&self, arrival: Instant) -> Verdict {
        if self.held == 0 || !self.closed || self.sent < self.planned {
            return Verdict::Open;
        }
        let missing = self.lost + u32::from(self.parity_lost);
        let lacking = missing.saturating_sub(u32::from(self.planned));
        if lacking == 0 {
            return Verdict::Open;
        }
        let more = lacking as u8;
        let possible =
            more <= LATE && self.may_extend() && u32::from(self.planned) + lacking <= self.symbols.class.into();
        let worthwhile = arrival < self.worth_until && self.held.count_ones() > lacking;
        if possible && worthwhile { Verdict::MoreParity(more) } else { Verdict::Lost }
    }

    pub(super) fn extend(&mut self, more: u8) {
        self.planned += more;
        self.extended = true;
    }

    /// Whether more parity than planned may be asked for. Not for best-effort data, which is never sent twice.
    pub(super) fn may_extend(&self) -> bool {
        let repeats = !self.wish.once || self.wish.patience < u64::MAX;
        repeats && !self.extended && self.planned < self.symbols.class
    }

    /// Gives up the repair: shows the packet numbers that wait for it.
    pub(super) fn release(&mut self, mut show: impl FnMut(u64)) {
        let held = core::mem::take(&mut self.held);
        self.open &= !held;
        self.hold_until = None;
        (0..u64::from(MAX_SPAN)).filter(|place| held >> place & 1 == 1).for_each(|place| show(self.first + place));
    }
}

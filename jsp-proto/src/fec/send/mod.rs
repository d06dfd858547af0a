//! The sending side: which packets are protected, how much parity follows them, and when data that was lost is sent
//! again after all (specification sections 5.4, 5.6, 13.16 and 13.18).
//!
//! Packets go into blocks. A block is closed when it is full, when its first packet may wait no longer, or when nothing
//! follows soon enough; then its parity is sent, mixed with other packets. A protected packet that is lost is *held*:
//! congestion control knows of the loss at once, but its data is sent again only when the peer cannot repair it, or has
//! not said that it did in time.

mod block;
mod flow;
mod plan;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use block::{Block, Symbols, Verdict};
use flow::Flow;

use super::code::{Encoder, Sources};
use crate::config::{Transport, Wish};
use crate::stats::FecStats;
use crate::time::{Instant, nanos};
use crate::wire::Writer;
use crate::wire::frame::{Frame, MAX_SYMBOLS};
use crate::wire::params::{FEC_REED_SOLOMON, FEC_XOR, Params};

/// Bytes of a datagram that protected packets leave free, so that parity with its header fits one too (specification
/// section 5.3).
const RESERVE: usize = 32;
/// Blocks that are open at once at most.
const LANES: usize = 4;
/// Blocks remembered. Beyond it the oldest is given up; its data is sent again.
const MAX_BLOCKS: usize = 256;
/// Buffers kept for later blocks.
const SPARE: usize = 8;
/// `Fec::Auto` begins at this loss and ends below that one, after a while.
const BEGIN_LOSS: f64 = 0.003;
const END_LOSS: f64 = 0.001;
const END_AFTER: u64 = 10_000_000_000;
/// Packets after which the loss is believed.
const ENOUGH_PACKETS: u64 = 32;
const ENOUGH_LOST: u64 = 2;
/// Data that is sent again anyway may stay lost this much more often.
const RELIABLE_FACTOR: f64 = 10.0;
/// Packets without protected data after which packets may be full again.
const DISENGAGE: u32 = 64;
/// Repair is waited for at least this long once all parity is decided, nanoseconds.
const MIN_VERDICT: u64 = 5_000_000;
/// A message of several packets closes its block when at least this many went out in one go.
const BURST: u32 = 4;

/// The loss of the path that parity is to make up for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Loss {
    /// Share of packets that are lost.
    pub(crate) rate: f64,
    /// How many packets in a row are lost when one is, on average; at least 1.
    pub(crate) burst: f64,
}

/// What is known of the path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    pub(crate) now: Instant,
    pub(crate) srtt: Duration,
    pub(crate) loss: Loss,
    /// Packets that the loss was measured on, and how many of them were lost.
    pub(crate) packets: u64,
    pub(crate) lost: u64,
}

/// A packet that belongs to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceRecord {
    block: u64,
    pn: u64,
}

/// A packet with parity of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ParityRecord {
    block: u64,
}

/// What a program has set.
#[derive(Clone, Copy, Debug)]
struct Settings {
    /// Parity per source at most, in percent.
    max_overhead: usize,
    target: f64,
    max_delay: u64,
}

/// The peer as a receiver.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    /// Protected packets that it keeps.
    max_symbols: u64,
    reed_solomon: bool,
}

/// The sending side of error correction of one connection.
#[derive(Debug)]
pub(crate) struct Sender {
    settings: Settings,
    peer: Peer,
    encoder: Encoder,
    /// Remembered blocks; the first one has number `base`.
    blocks: VecDeque<Block>,
    base: u64,
    open: [Option<u64>; LANES],
    lane: usize,
    /// Closed blocks with parity to send.
    unsent: VecDeque<u64>,
    /// Lost packets whose data is to be sent again.
    released: VecDeque<u64>,
    /// Blocks with packets that wait for their repair.
    holding: usize,
    flow: Flow,
    /// `Fec::Auto` is at work.
    auto: bool,
    /// Since when the path has been clean.
    clean_since: Option<Instant>,
    /// Packets without protected data since the last one with.
    unprotected: u32,
    /// The last packet was parity.
    alternate: bool,
    spare_sources: Vec<Sources>,
    spare_symbols: Vec<Vec<u8>>,
    sequence: u64,
    stats: FecStats,
}

impl Sender {
    pub(crate) fn new(transport: &Transport) -> Self {
        Self {
            settings: Settings {
                max_overhead: usize::from(transport.fec_max_overhead),
                target: transport.fec_target,
                max_delay: nanos(transport.fec_max_delay),
            },
            peer: Peer::default(),
            encoder: Encoder::new(),
            blocks: VecDeque::new(),
            base: 0,
            open: [None; LANES],
            lane: 0,
            unsent: VecDeque::new(),
            released: VecDeque::new(),
            holding: 0,
            flow: Flow::default(),
            auto: false,
            clean_since: None,
            unprotected: DISENGAGE,
            alternate: false,
            spare_sources: Vec::new(),
            spare_symbols: Vec::new(),
            sequence: 0,
            stats: FecStats::default(),
        }
    }

    /// The peer's parameters: how much it keeps, and what it can decode.
    pub(crate) fn set_peer(&mut self, params: &Params) {
        let decodes = params.fec_schemes & FEC_XOR != 0;
        self.peer = Peer {
            max_symbols: if decodes { params.fec_max_symbols } else { 0 },
            reed_solomon: params.fec_schemes & FEC_REED_SOLOMON != 0,
        };
    }

    // ---- packets

    /// Bytes at the end of a datagram that are to stay free.
    pub(crate) fn reserve(&self) -> usize {
        if self.unprotected < DISENGAGE { RESERVE } else { 0 }
    }

    /// Some packet was sent whose data asks for no protection.
    pub(crate) fn on_unprotected(&mut self) {
        self.unprotected = self.unprotected.saturating_add(1);
    }

    /// Blocks wait for packets.
    pub(crate) fn is_gathering(&self) -> bool {
        self.open.iter().any(Option::is_some)
    }

    /// Protects packet `pn`, if its data asks for it, of which the plaintext is `payload`; `capacity` is what a datagram
    /// holds.
    pub(crate) fn protect(
        &mut self,
        conditions: &Conditions,
        pn: u64,
        payload: &[u8],
        capacity: usize,
        wish: &Wish,
    ) -> Option<SourceRecord> {
        let now = conditions.now;
        let insists = wish.fixed.1 > 0;
        self.unprotected = self.unprotected.saturating_add(1);
        if self.peer.max_symbols == 0 || wish.is_none() || !(insists || self.follows(conditions)) {
            return None;
        }
        let delay = self.delay(conditions, wish);
        self.flow.on_packet(now, delay);
        let expected = self.flow.per_delay();
        if !insists && self.most_parity(expected.min(MAX_SYMBOLS as usize)) == 0 {
            return None;
        }
        self.unprotected = 0;
        if payload.len() + RESERVE > capacity {
            return None;
        }
        let id = self.block_for(conditions, pn, wish, expected, now.plus_nanos(delay));
        let block = self.block_mut(id)?;
        block.add(now, pn, payload, wish, now.plus_nanos(delay));
        let full = block.is_full();
        self.sequence += 1;
        self.stats.sources_sent += 1;
        if full {
            self.close(conditions, id);
        }
        Some(SourceRecord { block: id, pn })
    }

    /// Whether `Fec::Auto` protects anything now.
    fn follows(&mut self, conditions: &Conditions) -> bool {
        let Conditions { now, loss, .. } = *conditions;
        if !self.auto {
            let believed = conditions.packets >= ENOUGH_PACKETS && conditions.lost >= ENOUGH_LOST;
            self.auto = believed && loss.rate >= BEGIN_LOSS;
            self.clean_since = None;
        } else if loss.rate >= END_LOSS {
            self.clean_since = None;
        } else {
            let since = *self.clean_since.get_or_insert(now);
            self.auto = now.nanos_since(since) < END_AFTER;
        }
        self.auto
    }

    /// How long a packet may wait for the parity of its block, nanoseconds.
    fn delay(&self, conditions: &Conditions, wish: &Wish) -> u64 {
        let repeated = if wish.again { nanos(conditions.srtt) / 2 } else { u64::MAX };
        self.settings.max_delay.min(wish.patience / 4).min(repeated)
    }

    /// The most parity that `Fec::Auto` may add to so many packets.
    fn most_parity(&self, sources: usize) -> usize {
        let most = (sources * self.settings.max_overhead / 100).min(plan::MAX_PARITY);
        if self.peer.reed_solomon || sources == 1 { most } else { most.min(1) }
    }

    /// The block that the next packet belongs to.
    fn block_for(&mut self, conditions: &Conditions, pn: u64, wish: &Wish, expected: usize, close_by: Instant) -> u64 {
        let most = if wish.fixed.1 > 0 { usize::from(wish.fixed.0) } else { MAX_SYMBOLS as usize };
        // A block that takes all packets of its time is better against bursts than several that share them.
        let lanes = self.interleaving(conditions.loss, expected, most);
        self.lane = (self.lane + 1) % lanes;
        // The peer forgets the first packet of a block before it has the parity, if too many others come in between.
        let keeps = (self.peer.max_symbols as usize / (2 * lanes)).max(1);
        let limit = if wish.auto { most.min((expected / lanes).max(1)) } else { most }.min(keeps);
        for place in lanes..LANES {
            self.close_lane(conditions, place);
        }
        let current = self.open.get(self.lane).copied().flatten();
        if let Some(id) = current {
            if self.block(id).is_some_and(|block| block.takes(pn)) {
                return id;
            }
            self.close(conditions, id);
        }
        self.stats.block_sources = limit as u8;
        self.stats.interleaving = lanes as u8;
        let sources = self.spare_sources.pop().unwrap_or_else(Sources::new);
        let id = self.base + self.blocks.len() as u64;
        self.blocks.push_back(Block::new(pn, self.sequence, limit, close_by, sources));
        if let Some(open) = self.open.get_mut(self.lane) {
            *open = Some(id);
        }
        if self.blocks.len() > MAX_BLOCKS {
            self.forget_oldest();
        }
        id
    }

    /// Blocks to deal packets to in turn.
    fn interleaving(&self, loss: Loss, expected: usize, most: usize) -> usize {
        let bursts = loss.burst * (1.0 - loss.rate) + 0.5;
        (bursts as usize).min(expected / most.max(1)).clamp(1, LANES)
    }

    fn block(&self, id: u64) -> Option<&Block> {
        self.blocks.get(usize::try_from(id.checked_sub(self.base)?).ok()?)
    }

    fn block_mut(&mut self, id: u64) -> Option<&mut Block> {
        self.blocks.get_mut(usize::try_from(id.checked_sub(self.base)?).ok()?)
    }

    // ---- parity

    fn close_lane(&mut self, conditions: &Conditions, lane: usize) {
        if let Some(id) = self.open.get(lane).copied().flatten() {
            self.close(conditions, id);
        }
    }

    /// Ends a block and computes its parity.
    fn close(&mut self, conditions: &Conditions, id: u64) {
        for open in self.open.iter_mut().filter(|open| **open == Some(id)) {
            *open = None;
        }
        let Some(block) = self.block(id).filter(|block| !block.closed) else { return };
        let (wish, count, lanes) = (block.wish, block.len() as usize, usize::from(self.stats.interleaving));
        let mut parity = usize::from(wish.fixed.1) * count;
        // A block that was cut short gets its share.
        parity = parity.div_ceil(usize::from(wish.fixed.0).max(count));
        if wish.auto {
            let factor = if wish.once { 1.0 } else { RELIABLE_FACTOR };
            let target = (self.settings.target * factor).min(0.5);
            let needed = plan::parity_needed(count, self.most_parity(count), target, conditions.loss, lanes);
            parity = parity.max(needed);
        }
        if !self.peer.reed_solomon && count > 1 {
            parity = parity.min(1);
        }
        let parity = parity.min(plan::MAX_PARITY);
        let class =
            if count == 1 || parity == 1 { 1 } else { class_for(parity, !wish.once || wish.patience < u64::MAX) };
        self.stats.block_parity = parity as u8;
        let mut bytes = self.spare_symbols.pop().unwrap_or_default();
        let Some(index) = id.checked_sub(self.base).and_then(|index| usize::try_from(index).ok()) else { return };
        let Some(block) = self.blocks.get_mut(index) else { return };
        block.closed = true;
        let len = if parity == 0 { None } else { self.encoder.encode(&block.sources, class, &mut bytes) };
        if let Some(len) = len {
            block.planned = parity as u8;
            block.symbols = Symbols { bytes, len, class };
            self.unsent.push_back(id);
        }
        let mut sources = core::mem::replace(&mut block.sources, Sources::new());
        if self.spare_sources.len() < SPARE {
            sources.clear();
            self.spare_sources.push(sources);
        }
        self.judge(conditions, id);
    }

    /// There is parity to send.
    pub(crate) fn wants_to_send(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Whether the next packet is to be parity; `data`: there is something else to send. They take turns.
    pub(crate) fn is_its_turn(&self, data: bool) -> bool {
        self.wants_to_send() && !(self.alternate && data)
    }

    /// Some other packet was sent.
    pub(crate) fn on_other_packet(&mut self) {
        self.alternate = false;
    }

    /// Writes a parity symbol into packet `pn`, if it fits.
    pub(crate) fn write(&mut self, conditions: &Conditions, pn: u64, w: &mut Writer<'_>) -> Option<ParityRecord> {
        while let Some(id) = self.unsent.pop_front() {
            let (sequence, keeps) = (self.sequence, self.peer.max_symbols);
            let Some(block) = self.block_mut(id) else { continue };
            // What has arrived needs no parity, and what the peer has forgotten cannot be repaired.
            if block.is_settled() || sequence - block.sequence > keeps {
                block.cancel_parity();
                self.judge(conditions, id);
                self.forget_settled();
                continue;
            }
            let Some(parity) = block.next_parity(pn) else { continue };
            if Frame::Parity(parity).encode(w).is_err() {
                self.unsent.push_front(id);
                return None;
            }
            block.sent += 1;
            if block.sent < block.planned {
                self.unsent.push_back(id);
            }
            self.alternate = true;
            self.stats.parity_sent += 1;
            return Some(ParityRecord { block: id });
        }
        None
    }

    /// The sender has nothing more to send: blocks for which nothing comes in time are closed.
    pub(crate) fn on_pause(&mut self, conditions: &Conditions) {
        self.flow.on_pause();
        let next = self.flow.next_burst();
        for lane in 0..LANES {
            let Some(id) = self.open.get(lane).copied().flatten() else { continue };
            let Some(block) = self.block(id) else { continue };
            let complete = self.flow.burst() >= BURST && 2 * block.len() as usize >= block.limit;
            if complete || next.is_some_and(|next| next >= block.close_by) {
                self.close(conditions, id);
            }
        }
    }

    // ---- what became of packets

    /// A protected packet was declared lost. Its data waits for a repair.
    pub(crate) fn on_source_lost(&mut self, conditions: &Conditions, record: SourceRecord) {
        let Some(block) = self.block_mut(record.block) else {
            // Forgotten: nothing can be waited for.
            return self.released.push_back(record.pn);
        };
        let held = block.is_holding();
        block.on_lost(record.pn, conditions.now.plus_nanos(nanos(conditions.srtt).saturating_mul(5) / 4));
        let holds = block.is_holding();
        self.holding += usize::from(holds && !held);
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
    fn judge(&mut self, conditions: &Conditions, id: u64) {
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
        let Some(index) = id.checked_sub(self.base).and_then(|index| usize::try_from(index).ok()) else { return };
        let Some(block) = self.blocks.get_mut(index) else { return };
        let (released, stats) = (&mut self.released, &mut self.stats);
        self.holding -= usize::from(block.is_holding());
        block.release(|pn| {
            stats.unrepaired += 1;
            released.push_back(pn);
        });
        self.forget_settled();
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

    fn forget_oldest(&mut self) {
        let oldest = self.base;
        self.release(oldest);
        if self.base == oldest {
            self.drop_front();
        }
    }

    /// Forgets blocks at the front that are over, and frees the memory of others that are.
    fn forget_settled(&mut self) {
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
        if self.spare_symbols.len() < SPARE {
            self.spare_symbols.push(block.symbols.bytes);
        }
    }

    // ---- time

    /// When to call [`on_timeout`](Self::on_timeout).
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let closing = self.open.iter().flatten().filter_map(|&id| self.block(id)).map(|block| block.close_by).min();
        if self.holding == 0 {
            return closing;
        }
        let held = self.blocks.iter().filter(|block| block.is_holding()).filter_map(|block| block.hold_until).min();
        match (closing, held) {
            (Some(closing), Some(held)) => Some(closing.min(held)),
            (closing, held) => closing.or(held),
        }
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

    /// Adds the counts of this side.
    pub(crate) fn add_stats(&self, loss: Loss, stats: &mut FecStats) {
        let counts = &self.stats;
        stats.sources_sent = counts.sources_sent;
        stats.parity_sent = counts.parity_sent;
        stats.repaired_by_peer = counts.repaired_by_peer;
        stats.unrepaired = counts.unrepaired;
        stats.loss_ppm = (loss.rate * 1e6) as u32;
        if self.unprotected < DISENGAGE {
            stats.block_sources = counts.block_sources;
            stats.block_parity = counts.block_parity;
            stats.interleaving = counts.interleaving;
        }
    }
}

/// The smallest class with so many parity symbols, and one to spare if more may be asked for.
fn class_for(parity: usize, spare: bool) -> u8 {
    (parity + usize::from(spare)).next_power_of_two().clamp(2, plan::MAX_PARITY) as u8
}

//! Which block a packet joins, when a block is closed, and how much parity it gets (specification sections 5.4 and 5.8).

use super::block::{Block, Symbols};
use super::{Conditions, LANES, Loss, SPARE_SOURCES, Sender, plan};
use crate::config::Wish;
use crate::fec::code::Sources;
use crate::math::sqrt;
use crate::time::{Instant, nanos};
use crate::wire::frame::MAX_SYMBOLS;

/// `Fec::Auto` begins at this loss and ends below that one, after a while.
const BEGIN_LOSS: f64 = 0.003;
const END_LOSS: f64 = 0.001;
const END_AFTER: u64 = 10_000_000_000;
/// Packets after which the loss is believed.
const ENOUGH_PACKETS: u64 = 32;
const ENOUGH_LOST: u64 = 2;
/// Data that is sent again anyway may stay lost this much more often.
const RELIABLE_FACTOR: f64 = 10.0;
/// Parity packets per lost packet at most. Rare bursts would take much more than they are worth.
const WORTH: f64 = 20.0;
/// By how many standard errors the loss may be larger than measured. Too little parity loses more than too much costs.
const CAUTION: f64 = 0.5;
/// A message of several packets closes its block when at least this many went out in one go.
const BURST: u32 = 4;
/// Blocks remembered. Beyond it the oldest is given up; its data is sent again.
pub(super) const MAX_BLOCKS: usize = 256;

impl Sender {
    /// Whether `Fec::Auto` protects anything now.
    pub(super) fn follows(&mut self, conditions: &Conditions) -> bool {
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
    pub(super) fn delay(&self, conditions: &Conditions, wish: &Wish) -> u64 {
        // Later than half a round trip a repair gains little on sending again. Whoever insists on a size of blocks waits
        // for it.
        let repeated = if wish.again && wish.fixed.1 == 0 { nanos(conditions.srtt) / 2 } else { u64::MAX };
        self.settings.max_delay.min(wish.patience / 4).min(repeated)
    }

    /// The most parity that `Fec::Auto` may add to so many packets.
    pub(super) fn most_parity(&self, sources: usize, loss: f64) -> usize {
        let bearable = (sources * self.settings.max_overhead / 100).min(plan::MAX_PARITY);
        let most = bearable.min((sources as f64 * loss * WORTH) as usize + 1);
        if self.peer.reed_solomon || sources == 1 { most } else { most.min(1) }
    }

    /// The block that the next packet belongs to.
    pub(super) fn block_for(
        &mut self,
        conditions: &Conditions,
        pn: u64,
        wish: &Wish,
        expected: usize,
        close_by: Instant,
    ) -> u64 {
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
        let sources = self.spare_sources.pop().unwrap_or_default();
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

    fn close_lane(&mut self, conditions: &Conditions, lane: usize) {
        if let Some(id) = self.open.get(lane).copied().flatten() {
            self.close(conditions, id);
        }
    }

    /// Ends a block and computes its parity.
    pub(super) fn close(&mut self, conditions: &Conditions, id: u64) {
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
            let last = if self.last.0 == count { self.last.1 } else { 0 };
            let aim = plan::Aim { target, most: self.most_parity(count, conditions.loss.rate), last };
            let needed = plan::parity_needed(count, aim, conditions.loss.cautious(), lanes);
            self.last = (count, needed);
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
        let Some(place) = self.place(id) else { return };
        let Some(block) = self.blocks.get_mut(place) else { return };
        block.closed = true;
        let len = if parity == 0 { None } else { self.encoder.encode(&block.sources, class, &mut bytes) };
        let mut sources = core::mem::replace(&mut block.sources, Sources::new());
        if let Some(len) = len {
            block.planned = parity as u8;
            block.symbols = Symbols { bytes, len, class };
            self.unsent.push_back(id);
        } else {
            self.keep_symbols(bytes);
        }
        if self.spare_sources.len() < SPARE_SOURCES {
            sources.clear();
            self.spare_sources.push(sources);
        }
        self.judge(conditions, id);
    }

    /// What is sent from now on does not go with what was sent before: every open block is closed.
    pub(crate) fn close_all(&mut self, conditions: &Conditions) {
        for lane in 0..LANES {
            self.close_lane(conditions, lane);
        }
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
}

impl Loss {
    /// What is to be counted on.
    fn cautious(self) -> Self {
        Self { rate: self.rate + CAUTION * sqrt(self.variance), ..self }
    }
}

/// The smallest class with so many parity symbols, and one to spare if more may be asked for.
fn class_for(parity: usize, spare: bool) -> u8 {
    (parity + usize::from(spare)).next_power_of_two().clamp(2, plan::MAX_PARITY) as u8
}

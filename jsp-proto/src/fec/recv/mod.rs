//! The receiving side (specification sections 5.5 and 13.17 to 13.21): keeps the latest protected payloads and the parity
//! of blocks that miss something, and computes what is missing as soon as that is possible.
//!
//! All of it is a favour to the peer: whatever does not fit the bounds is forgotten, and the peer sends it again.

mod block;
mod repaired;
mod reports;
mod ring;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use block::{Block, Held, Identity};
pub(crate) use repaired::{Repaired, Workshop};
pub(crate) use reports::MAX_REPORTED;
use reports::Reports;
use ring::Ring;

use super::code::repair_one;
use crate::bucket::Bucket;
use crate::config::bounds;
use crate::crypto::{Freshness, ReplayWindow};
use crate::stats::FecStats;
use crate::time::Instant;
use crate::wire::cursor::Writer;
use crate::wire::frame::Parity;

/// Memory of blocks that were forgotten.
#[derive(Debug, Default)]
struct Spare {
    symbols: Vec<Vec<u8>>,
    lists: Vec<Vec<Held>>,
}

impl Spare {
    fn take_back(&mut self, block: &mut Block) {
        let mut parity = core::mem::take(&mut block.parity);
        self.symbols.extend(parity.drain(..).map(|held| held.symbol));
        self.lists.push(parity);
    }
}

/// The receiving side of error correction of one connection.
#[derive(Debug)]
pub(crate) struct Receiver {
    ring: Ring,
    /// In the order in which they were begun.
    blocks: Vec<Block>,
    spare: Spare,
    /// Bytes of memory of all symbols, spare ones included.
    symbol_memory: usize,
    /// What was repaired. The numbers are not in the connection's own window: a late original is still accepted.
    recovered: ReplayWindow,
    reports: Reports,
    scratch: Repaired,
    /// Sources kept, and as many parity symbols.
    max_symbols: usize,
    max_symbol_len: usize,
    /// Protected packets kept so far.
    sources: u64,
    stored_at: Option<Instant>,
    stores: bool,
    /// The budget of decodes.
    decodes: Bucket,
}

impl Receiver {
    /// Keeps `max_symbols` packets and as many parity symbols of at most `max_symbol_len` bytes.
    pub(crate) fn new(now: Instant, max_symbols: usize, max_symbol_len: usize) -> Self {
        Self {
            ring: Ring::new(max_symbols),
            blocks: Vec::new(),
            spare: Spare::default(),
            symbol_memory: 0,
            recovered: ReplayWindow::new(),
            reports: Reports::default(),
            scratch: Repaired::default(),
            max_symbols,
            max_symbol_len,
            sources: 0,
            stored_at: None,
            stores: true,
            decodes: Bucket::new(now, bounds::FEC_DECODES_PER_SECOND, bounds::FEC_DECODE_BURST),
        }
    }

    /// Whether anything is stored, as far as the endpoint's memory is concerned.
    pub(crate) fn set_stores(&mut self, stores: bool) {
        self.stores = stores;
    }

    /// Whether this packet was repaired before it came.
    pub(crate) fn was_recovered(&self, pn: u64) -> bool {
        self.recovered.check(pn) == Freshness::Duplicate
    }

    /// Takes the payload of a protected packet that was accepted.
    pub(crate) fn on_source(&mut self, now: Instant, pn: u64, payload: &[u8], stats: &mut FecStats) {
        self.expire(now, stats);
        let gone = if self.stores { self.ring.insert(pn, payload) } else { Some(pn) };
        if self.stores {
            self.sources += 1;
            self.stored_at = Some(now);
        }
        let newer = 2 * self.max_symbols as u64;
        let sources = self.sources;
        self.forget(stats, |block| {
            let identity = block.identity;
            let named = identity.bit(pn) != 0;
            if named {
                block.on_source(pn);
            }
            named && payload.len() + 2 > identity.shape.symbol_len
                || gone.is_some_and(|gone| identity.bit(gone) != 0)
                || block.is_complete()
                || sources - block.born_after >= newer
        });
    }

    /// An unprotected packet was accepted. A block that names it is not what its sender meant.
    pub(crate) fn on_unprotected(&mut self, pn: u64, stats: &mut FecStats) {
        self.forget(stats, |block| block.identity.bit(pn) != 0);
    }

    /// Takes a PARITY frame of packet `pn`. `replay` knows what has come.
    pub(crate) fn on_parity(
        &mut self,
        now: Instant,
        pn: u64,
        parity: &Parity<'_>,
        replay: &ReplayWindow,
        stats: &mut FecStats,
    ) {
        self.expire(now, stats);
        if self.keep_parity(now, pn, parity, replay, stats).is_none() {
            stats.parity_unused += 1;
        }
    }

    fn keep_parity(
        &mut self,
        now: Instant,
        pn: u64,
        parity: &Parity<'_>,
        replay: &ReplayWindow,
        stats: &mut FecStats,
    ) -> Option<()> {
        let identity = Identity::of(parity, pn)?;
        if !self.stores || self.max_symbols == 0 || parity.symbol.len() > self.max_symbol_len {
            return None;
        }
        let block = self.blocks.iter().find(|block| block.identity.overlaps(&identity));
        match block {
            // The first one to come says what the block is.
            Some(block) if block.identity != identity || block.has(parity.index) => return None,
            Some(_) => {}
            None => {
                let missing = self.missing(&identity, replay)?;
                if self.blocks.len() >= bounds::FEC_BLOCKS {
                    self.forget_oldest(&identity, stats)?;
                }
                let parity = self.spare.lists.pop().unwrap_or_default();
                self.blocks.push(Block::new(identity, missing, now, self.sources, parity));
            }
        }
        if self.symbols() >= self.max_symbols {
            self.forget_oldest(&identity, stats)?;
        }
        let held = Held { index: parity.index, symbol: self.copy(parity.symbol) };
        self.blocks.iter_mut().find(|block| block.identity == identity)?.parity.push(held);
        self.stored_at = Some(now);
        Some(())
    }

    /// Which sources of a block are missing. `None` if there are none, or if one that came is not at hand.
    fn missing(&self, identity: &Identity, replay: &ReplayWindow) -> Option<u128> {
        let mut missing = 0;
        let mut usable = true;
        for pn in identity.sources() {
            match self.ring.get(pn) {
                Some(payload) => usable &= payload.len() + 2 <= identity.shape.symbol_len,
                None if replay.check(pn) == Freshness::Fresh && !self.was_recovered(pn) => missing |= identity.bit(pn),
                None => usable = false,
            }
        }
        (usable && missing != 0).then_some(missing)
    }

    /// Makes room by giving up the oldest block but this one.
    fn forget_oldest(&mut self, except: &Identity, stats: &mut FecStats) -> Option<()> {
        let oldest = self.blocks.iter().map(|block| block.identity).find(|identity| identity != except)?;
        self.forget(stats, |block| block.identity == oldest);
        Some(())
    }

    fn symbols(&self) -> usize {
        self.blocks.iter().map(|block| block.parity.len()).sum()
    }

    fn copy(&mut self, symbol: &[u8]) -> Vec<u8> {
        let mut copy = self.spare.symbols.pop().unwrap_or_default();
        let before = copy.capacity();
        copy.clear();
        copy.reserve_exact(symbol.len());
        copy.extend_from_slice(symbol);
        self.symbol_memory += copy.capacity() - before;
        copy
    }

    /// Gives up blocks for which `is_over` holds. Those that only wait for their turn to be repaired count as refused.
    fn forget(&mut self, stats: &mut FecStats, mut is_over: impl FnMut(&mut Block) -> bool) {
        let Self { blocks, spare, .. } = self;
        blocks.retain_mut(|block| {
            let over = is_over(block);
            if over {
                stats.parity_unused += block.parity.len() as u64;
                stats.repairs_refused += u64::from(block.is_repairable());
                spare.take_back(block);
            }
            !over
        });
    }

    fn expire(&mut self, now: Instant, stats: &mut FecStats) {
        self.forget(stats, |block| now - block.born >= bounds::FEC_BLOCK_LIFETIME);
    }

    /// Repairs a block of class 1, if one is ready. What was repaired is to be given back by
    /// [`give_back`](Self::give_back).
    pub(crate) fn repair_simple(&mut self, stats: &mut FecStats) -> Option<Repaired> {
        let Self { blocks, ring, scratch, .. } = self;
        let block = blocks.iter().find(|block| block.identity.shape.class == 1 && block.is_repairable())?;
        let identity = block.identity;
        fill(scratch, block);
        let done = repair_one(identity.shape, block.known(ring), block.symbols(), &mut scratch.symbols);
        self.settle(&identity, done, stats);
        done.map(|()| core::mem::take(&mut self.scratch))
    }

    pub(crate) fn give_back(&mut self, repaired: Repaired) {
        self.scratch = repaired;
    }

    /// Whether a block of a class above 1 is ready to be repaired.
    pub(crate) fn wants_decode(&self) -> bool {
        self.blocks.iter().any(is_ready)
    }

    /// Repairs the oldest block that is ready. `None` if there is none; a block that is not worth it any more is given
    /// up.
    pub(crate) fn decode(&mut self, now: Instant, workshop: &mut Workshop, stats: &mut FecStats) -> Option<()> {
        self.expire(now, stats);
        let Self { blocks, ring, .. } = self;
        let Workshop { decoder, repaired } = workshop;
        let block = blocks.iter().find(|block| is_ready(block))?;
        let identity = block.identity;
        if !self.decodes.take(now) {
            self.forget(stats, |block| block.identity == identity);
            return None;
        }
        fill(repaired, block);
        let done = decoder.repair(identity.shape, block.known(ring), block.symbols(), &mut repaired.symbols);
        self.settle(&identity, done, stats);
        done
    }

    /// A block has been repaired, or cannot be.
    fn settle(&mut self, identity: &Identity, done: Option<()>, stats: &mut FecStats) {
        let used = |block: &Block| if done.is_some() { block.missing_sources() } else { 0 };
        let Self { blocks, spare, .. } = self;
        blocks.retain_mut(|block| {
            let over = block.identity == *identity;
            if over {
                stats.parity_unused += block.parity.len().saturating_sub(used(block)) as u64;
                spare.take_back(block);
            }
            !over
        });
    }

    /// A repaired packet has been processed.
    pub(crate) fn on_processed(&mut self, pn: u64) {
        self.recovered.insert(pn);
        self.reports.add(pn);
    }

    /// Writes which packets were repaired, if there is something new or worth repeating. To be called for each packet
    /// with an ACK.
    pub(crate) fn write_reports(&mut self, w: &mut Writer<'_>) -> bool {
        self.reports.write(w)
    }

    /// When [`on_timeout`](Self::on_timeout) gives memory back.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.stored_at.map(|at| at + bounds::FEC_REST)
    }

    pub(crate) fn on_timeout(&mut self, now: Instant, stats: &mut FecStats) {
        if self.deadline().is_some_and(|at| now >= at) {
            self.free(stats);
        }
    }

    /// Forgets everything that repairs are made of.
    pub(crate) fn free(&mut self, stats: &mut FecStats) {
        self.forget(stats, |_| true);
        self.ring.free();
        self.blocks = Vec::new();
        self.spare = Spare::default();
        self.scratch = Repaired::default();
        self.symbol_memory = 0;
        self.stored_at = None;
    }

    /// Bytes of memory held for what the peer sent.
    pub(crate) fn memory(&self) -> usize {
        self.ring.memory() + self.symbol_memory + self.scratch.memory()
    }
}

fn is_ready(block: &Block) -> bool {
    block.identity.shape.class > 1 && block.is_repairable()
}

fn fill(repaired: &mut Repaired, block: &Block) {
    repaired.pns.clear();
    repaired.pns.extend(block.missing());
    repaired.symbol_len = block.identity.shape.symbol_len;
}

//! The sending side: which packets are protected, how much parity follows them, and when data that was lost is sent
//! again after all (specification sections 5.4, 5.6, 13.16 and 13.18).
//!
//! Packets go into blocks. A block is closed when it is full, when its first packet may wait no longer, or when nothing
//! follows soon enough; then its parity is sent, mixed with other packets. A protected packet that is lost is *held*:
//! congestion control knows of the loss at once, but its data is sent again only when the peer cannot repair it, or has
//! not said that it did in time.

mod block;
mod flow;
mod gather;
mod plan;
#[cfg(test)]
mod tests;
mod verdict;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use block::Block;
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
/// Of these, what the header of a parity frame takes up at most, of a block that began less than 16,384 packets before.
const HEADER: usize = 25;
/// Blocks that are open at once at most.
const LANES: usize = 4;
/// On shorter paths than this, nanoseconds, data is sent again as quickly as it is repaired.
const WORTHWHILE_RTT: u64 = 5_000_000;
/// Buffers kept for later blocks.
const SPARE_SOURCES: usize = 8;
const SPARE_SYMBOLS: usize = 64;
/// Time without protected packets after which memory is given back, nanoseconds.
const REST: u64 = 2_000_000_000;
/// Packets without protected data after which packets may be full again.
const DISENGAGE: u32 = 64;

/// The loss of the path that parity is to make up for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Loss {
    /// Share of packets that are lost.
    pub(crate) rate: f64,
    /// The square of the standard error of the rate.
    pub(crate) variance: f64,
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

/// The peer as a receiver: what it can repair.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Capability {
    /// Protected packets that it keeps; 0: it repairs nothing.
    max_symbols: u64,
    reed_solomon: bool,
}

impl Capability {
    /// As the peer's parameters say.
    pub(crate) fn of(params: &Params) -> Self {
        let decodes = params.fec_schemes & FEC_XOR != 0;
        Self {
            max_symbols: if decodes { params.fec_max_symbols } else { 0 },
            reed_solomon: params.fec_schemes & FEC_REED_SOLOMON != 0,
        }
    }

    pub(crate) fn decodes(&self) -> bool {
        self.max_symbols > 0
    }
}

/// The sending side of error correction of one connection.
#[derive(Debug)]
pub(crate) struct Sender {
    settings: Settings,
    peer: Capability,
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
    /// Packets and parity of the last block that followed the loss.
    last: (usize, usize),
    /// Since when the path has been clean.
    clean_since: Option<Instant>,
    /// Packets without protected data since the last one with.
    unprotected: u32,
    spare_sources: Vec<Sources>,
    spare_symbols: Vec<Vec<u8>>,
    sequence: u64,
    /// When a packet was protected last.
    protected_at: Option<Instant>,
    stats: FecStats,
}

impl Sender {
    pub(crate) fn new(transport: &Transport, peer: Capability) -> Self {
        Self {
            settings: Settings {
                max_overhead: usize::from(transport.fec_max_overhead),
                target: transport.fec_target,
                max_delay: nanos(transport.fec_max_delay),
            },
            peer,
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
            last: (0, 0),
            clean_since: None,
            unprotected: DISENGAGE,
            spare_sources: Vec::new(),
            spare_symbols: Vec::new(),
            sequence: 0,
            protected_at: None,
            stats: FecStats::default(),
        }
    }

    // ---- packets

    /// Bytes at the end of a datagram that are to stay free.
    pub(crate) fn reserve(&self) -> usize {
        if self.unprotected < DISENGAGE { RESERVE } else { 0 }
    }

    /// Blocks wait for packets.
    pub(crate) fn is_gathering(&self) -> bool {
        self.open.iter().any(Option::is_some)
    }

    /// A packet was sent whose data asks for no protection.
    pub(crate) fn pass(&mut self) {
        self.unprotected = self.unprotected.saturating_add(1);
    }

    /// Protects packet `pn`, if the loss asks for it. `payload` is its content, `capacity` what a packet holds.
    pub(crate) fn protect(
        &mut self,
        conditions: &Conditions,
        pn: u64,
        payload: &[u8],
        capacity: usize,
        wish: &Wish,
    ) -> Option<SourceRecord> {
        let now = conditions.now;
        self.pass();
        let insists = wish.fixed.1 > 0;
        let follows = self.follows(conditions) && (wish.once || nanos(conditions.srtt) >= WORTHWHILE_RTT);
        if !self.peer.decodes() || !(insists || follows) {
            return None;
        }
        let delay = self.delay(conditions, wish);
        self.flow.on_packet(now, delay);
        let expected = self.flow.per_delay();
        if !insists && self.most_parity(expected.min(MAX_SYMBOLS as usize), conditions.loss.rate) == 0 {
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
        self.protected_at = Some(now);
        self.stats.sources_sent += 1;
        if full {
            self.close(conditions, id);
        }
        Some(SourceRecord { block: id, pn })
    }

    /// Where a block stands among the remembered ones.
    fn place(&self, id: u64) -> Option<usize> {
        usize::try_from(id.checked_sub(self.base)?).ok()
    }

    fn block(&self, id: u64) -> Option<&Block> {
        self.blocks.get(self.place(id)?)
    }

    fn block_mut(&mut self, id: u64) -> Option<&mut Block> {
        let place = self.place(id)?;
        self.blocks.get_mut(place)
    }

    /// There is parity to send. It goes before everything else: the sooner it is there the sooner it repairs, and parity
    /// packets of one block, which are longer than the packets they protect, leave in one batch.
    pub(crate) fn wants_to_send(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Drops parity that is of no use any more, up to the next that is. `room` is what a packet holds. To be called
    /// before [`write`](Self::write).
    pub(crate) fn drop_useless(&mut self, conditions: &Conditions, room: usize) {
        while let Some(&id) = self.unsent.front() {
            let (sequence, keeps) = (self.sequence, self.peer.max_symbols);
            if let Some(block) = self.block_mut(id) {
                // What has arrived needs no parity, what the peer has forgotten cannot be repaired, and datagrams may
                // have become smaller.
                let forgotten = sequence - block.sequence > keeps;
                if !block.is_settled() && !forgotten && block.symbols.len + HEADER <= room {
                    return;
                }
                block.cancel_parity();
            }
            self.unsent.pop_front();
            self.judge(conditions, id);
            self.forget_settled();
        }
    }

    /// Writes the next parity symbol into packet `pn`, if it fits.
    pub(crate) fn write(&mut self, pn: u64, w: &mut Writer<'_>) -> Option<ParityRecord> {
        let id = *self.unsent.front()?;
        let block = self.block_mut(id)?;
        Frame::Parity(block.next_parity(pn)?).encode(w).ok()?;
        block.sent += 1;
        if block.sent >= block.planned {
            let bytes = if block.may_extend() { Vec::new() } else { core::mem::take(&mut block.symbols.bytes) };
            self.unsent.pop_front();
            self.keep_symbols(bytes);
        }
        self.stats.parity_sent += 1;
        Some(ParityRecord { block: id })
    }

    /// Keeps a buffer for a later block.
    fn keep_symbols(&mut self, bytes: Vec<u8>) {
        if self.spare_symbols.len() < SPARE_SYMBOLS && bytes.capacity() > 0 {
            self.spare_symbols.push(bytes);
        }
    }

    /// Adds the counts of this side.
    pub(crate) fn add_stats(&self, stats: &mut FecStats) {
        let counts = &self.stats;
        stats.sources_sent = counts.sources_sent;
        stats.parity_sent = counts.parity_sent;
        stats.repaired_by_peer = counts.repaired_by_peer;
        stats.unrepaired = counts.unrepaired;
        if self.unprotected < DISENGAGE {
            stats.block_sources = counts.block_sources;
            stats.block_parity = counts.block_parity;
            stats.interleaving = counts.interleaving;
        }
    }
}

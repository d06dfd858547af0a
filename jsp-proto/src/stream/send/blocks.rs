//! What waits to become blocks on a block-encoded stream of bytes (specification section 4.6).
//!
//! A block is cut when a packet has room for it, of what is there then: nothing waits for a block to fill. It is cut no
//! larger than credit covers, and takes the credit for all of it at once: two half-sent blocks can never block each
//! other.

use core::ops::Range;

use super::{SendPool, append};
use crate::stream::block::{CUT, first, stored_within};
use crate::stream::lz4::Packer;
use crate::stream::pace::Pace;
use crate::stream::ring::Ring;
use crate::wire::{Writer, varint};

/// Bytes accepted and not cut yet.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    waiting: Ring,
    /// Positions in use.
    kept: Range<u64>,
}

impl Blocks {
    pub(super) fn len(&self) -> u64 {
        self.kept.end - self.kept.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn push(&mut self, data: &[u8]) {
        append(&mut self.waiting, &mut self.kept, data);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_warm(&self) -> bool {
        self.waiting.is_large()
    }

    pub(super) fn cool(&mut self) {
        self.waiting.cool(self.kept.is_empty());
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> u64 {
        self.waiting.capacity()
    }

    /// Makes one block of at most `credit` bytes at the end of `ring`; false if there is nothing to make it of.
    /// `pace` is `None` where nothing is compressed.
    pub(super) fn cut(
        &mut self,
        credit: u64,
        (ring, kept): (&mut Ring, &mut Range<u64>),
        pool: &mut SendPool,
        (packer, pace): (&mut Packer, Option<&mut Pace>),
    ) -> bool {
        // As far as the bytes lie in one piece: where the ring ends the block ends.
        let (piece, _) = self.waiting.read(self.kept.clone());
        let taken = stored_within(piece.len().min(CUT), credit);
        let Some(piece) = piece.get(..taken).filter(|piece| !piece.is_empty()) else { return false };
        let before = kept.end;
        let packed = pace.and_then(|pace| packer.pack(pace, piece));
        // The length that the header says is that of the LZ4 block alone.
        let length = packed.map_or(taken, |body| body.len() - varint::len(taken as u64));
        let mut header = [0; 8];
        let mut w = Writer::new(&mut header);
        if w.varint(first(length, packed.is_some())).is_err() {
            return false;
        }
        append(ring, kept, w.written());
        append(ring, kept, packed.unwrap_or(piece));
        let encoded = kept.end - before;
        pool.credit_used += encoded;
        pool.buffered = (pool.buffered + encoded).saturating_sub(taken as u64);
        self.kept.start += taken as u64;
        if self.kept.is_empty() {
            // From the beginning, so that the next bytes lie in one piece.
            self.kept = 0..0;
        }
        true
    }
}

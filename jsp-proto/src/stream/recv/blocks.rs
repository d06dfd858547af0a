//! Reading a block-encoded stream of bytes (specification section 4.6).
//!
//! A stored block is read in place, as it arrives. A compressed one is expanded when it is read and all of it is there;
//! its bytes in the stream count as consumed when the last of what they stand for was read.

use alloc::vec::Vec;
use core::ops::Range;

use super::{Body, Complete, Found, RecvHalf};
use crate::ranges::RangeSet;
use crate::stream::api::Slices;
use crate::stream::block::{Header, MAX_BLOCK};
use crate::stream::flow::RecvPool;
use crate::stream::lz4::{Corrupt, unpack};
use crate::stream::ring::Ring;

/// Where the reader is inside a block.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Bytes of a stored block that are still to be read.
    left: u64,
    /// What the compressed block at the read position stands for, while some of it is to be read.
    open: Vec<u8>,
    /// How much of it was read.
    read: usize,
    /// What the block takes up in the stream.
    whole: u64,
}

impl Blocks {
    /// What was expanded and not read.
    fn unread(&self) -> &[u8] {
        self.open.get(self.read..).unwrap_or_default()
    }

    /// Whether the stream may not end here.
    pub(super) fn is_inside(&self) -> bool {
        self.left > 0 || !self.open.is_empty()
    }

    pub(super) fn memory(&self) -> u64 {
        self.open.capacity() as u64
    }

    /// What can be read at `at`, where bytes up to `end` are there and none will come from `last` on.
    pub(super) fn find(&self, ring: &Ring, Range { start: at, end }: Range<u64>, last: u64) -> Found {
        if !self.open.is_empty() {
            return Found::Open;
        }
        let (from, until) = match self.next(ring, at..end) {
            Ok(Some(Header::Stored { header, length })) => (at + header, at + header + length),
            Ok(Some(Header::Packed { body, whole })) if end >= at + whole => {
                return Found::Data { start: at + body, end: at + whole, packed: true };
            }
            Ok(Some(Header::Packed { whole, .. })) => (end, at + whole),
            // Something more must come, unless this is the end.
            Ok(None) => (end, end + u64::from(end > at)),
            Err(Corrupt) => return Found::Corrupt,
        };
        if until > last {
            // It ends inside the block.
            Found::Corrupt
        } else if from < end {
            Found::Data { start: from, end: end.min(until), packed: false }
        } else {
            Found::Nothing
        }
    }

    /// The header at the read position. One that has been read and has bytes left stands for these.
    fn next(&self, ring: &Ring, there: Range<u64>) -> Result<Option<Header>, Corrupt> {
        if self.left > 0 {
            return Ok(Some(Header::Stored { header: 0, length: self.left }));
        }
        Header::read(ring.read(there))
    }

    /// The first `n` bytes of what [`find`](Self::find) showed were read, or all of it; how many bytes of the stream that
    /// frees. An expanded block leaves its buffer in `spare`.
    fn consume(&mut self, ring: &Ring, there: Range<u64>, n: u64, spare: &mut Vec<u8>) -> u64 {
        if !self.open.is_empty() {
            self.read = self.read.saturating_add(usize::try_from(n).unwrap_or(usize::MAX));
            if self.read < self.open.len() {
                return 0;
            }
            *spare = core::mem::take(&mut self.open);
            return self.whole;
        }
        let Ok(Some(Header::Stored { header, length })) = self.next(ring, there.clone()) else { return 0 };
        let n = n.min(length).min(there.end.saturating_sub(there.start + header));
        if n == 0 {
            return 0;
        }
        self.left = length - n;
        header + n
    }

    /// How many bytes at the read position are padding.
    fn padding(&self, ring: &Ring, there: Range<u64>) -> u64 {
        let mut at = there.start;
        while !self.is_inside()
            && at < there.end
            && let Ok(Some(Header::Stored { header, length: 0 })) = self.next(ring, at..there.end)
        {
            at += header;
        }
        at - there.start
    }

    /// Expands the block whose body lies at `body`.
    fn expand(&mut self, ring: &Ring, at: u64, body: Range<u64>, spare: &mut Vec<u8>) -> Result<(), Corrupt> {
        let mut open = core::mem::take(spare);
        unpack(ring.read(body.clone()), MAX_BLOCK, &mut open)?;
        (self.open, self.read, self.whole) = (open, 0, body.end - at);
        Ok(())
    }
}

/// The first `n` bytes, or all there are.
fn cut(bytes: &[u8], n: usize) -> &[u8] {
    bytes.get(..n).unwrap_or(bytes)
}

/// The bytes at the read position that are there.
fn there(base: u64, received: &RangeSet) -> Range<u64> {
    base..received.first().filter(|first| first.start == base).map_or(base, |first| first.end)
}

impl RecvHalf {
    /// What may be read of a stream of bytes.
    pub(super) fn find_bytes(&self, base: u64, received: &RangeSet, blocks: Option<&Blocks>) -> Found {
        let there = there(base, received);
        match blocks {
            Some(blocks) => blocks.find(&self.ring, there, self.end.map_or(u64::MAX, |end| end.promised)),
            None if there.is_empty() => Found::Nothing,
            None => Complete { start: there.start, end: there.end, packed: false }.into(),
        }
    }

    /// Expands the block at the read position, if it is compressed and all there.
    pub(in crate::stream) fn open_block(&mut self, pool: &mut RecvPool, spare: &mut Vec<u8>) -> Result<(), Corrupt> {
        match (self.find(), &mut self.body) {
            (Found::Corrupt, _) => return Err(Corrupt),
            (Found::Data { start, end, packed: true }, Body::Bytes { base, blocks: Some(blocks), .. }) => {
                blocks.expand(&self.ring, *base, start..end, spare)?;
            }
            _ => return Ok(()),
        }
        self.account(pool);
        Ok(())
    }

    /// What of an expanded block was not read.
    pub(in crate::stream) fn open_slices(&self) -> Slices<'_> {
        match &self.body {
            Body::Bytes { blocks: Some(blocks), .. } => (blocks.unread(), &[]),
            _ => (&[], &[]),
        }
    }

    /// The first `n` readable bytes were read, as far as they lie in one block.
    pub(in crate::stream) fn consume_bytes(&mut self, pool: &mut RecvPool, n: u64, spare: &mut Vec<u8>) {
        let Body::Bytes { base, received, blocks } = &mut self.body else { return };
        let there = there(*base, received);
        *base += match blocks {
            Some(blocks) => blocks.consume(&self.ring, there, n, spare),
            None => n.min(there.end - there.start),
        };
        received.trim_below(*base);
        self.account(pool);
    }

    /// Fills `out` with what may be read, and says with how much. What is corrupt is told once nothing is before it.
    pub(in crate::stream) fn read_bytes(
        &mut self,
        pool: &mut RecvPool,
        out: &mut [u8],
        spare: &mut Vec<u8>,
    ) -> Result<usize, Corrupt> {
        let mut filled = 0;
        loop {
            let opened = self.open_block(pool, spare);
            let (head, tail) = match self.find() {
                _ if opened.is_err() && filled == 0 => return Err(Corrupt),
                Found::Data { start, end, packed: false } => self.slices(start, end),
                Found::Open => self.open_slices(),
                _ => return Ok(filled),
            };
            let place = out.get_mut(filled..).unwrap_or_default();
            let length = place.len().min(head.len() + tail.len());
            let (head, tail) = (cut(head, length), cut(tail, length.saturating_sub(head.len())));
            let Some((first, second)) = place.split_at_mut_checked(head.len()).filter(|_| length > 0) else {
                return Ok(filled);
            };
            first.copy_from_slice(head);
            if let Some(second) = second.get_mut(..tail.len()) {
                second.copy_from_slice(tail);
            }
            filled += length;
            self.consume_bytes(pool, length as u64, spare);
        }
    }

    /// Steps over padding between blocks.
    pub(super) fn skip_padding(&mut self) {
        if let Body::Bytes { base, received, blocks: Some(blocks) } = &mut self.body {
            let padding = blocks.padding(&self.ring, there(*base, received));
            *base += padding;
            received.trim_below(*base);
        }
    }
}

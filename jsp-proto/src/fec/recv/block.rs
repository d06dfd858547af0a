//! A block in which something is missing.

use alloc::vec::Vec;

use super::ring::Ring;
use crate::fec::code::Shape;
use crate::time::Instant;
use crate::wire::frame::Parity;

/// A parity symbol and its index.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) index: u8,
    pub(super) symbol: Vec<u8>,
}

/// What a block's PARITY frames agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The packet number of the first source.
    pub(super) first: u64,
    /// Bit i is set if the packet `first + i` is a source.
    pub(super) mask: u128,
    pub(super) shape: Shape,
}

impl Identity {
    /// The block of a frame that came in packet `pn`.
    pub(super) fn of(parity: &Parity<'_>, pn: u64) -> Option<Self> {
        let shape = Shape { sources: parity.sources() as usize, class: parity.class, symbol_len: parity.symbol.len() };
        Some(Self { first: parity.first(pn)?, mask: parity.mask, shape })
    }

    /// The bit of a packet number in the mask; 0 if it is no source.
    pub(super) fn bit(&self, pn: u64) -> u128 {
        let place = pn.checked_sub(self.first).and_then(|place| u32::try_from(place).ok());
        place.and_then(|place| 1u128.checked_shl(place)).unwrap_or(0) & self.mask
    }

    /// Whether a packet number is a source of both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let (low, high) = if self.first <= other.first { (self, other) } else { (other, self) };
        let apart = u32::try_from(high.first - low.first).ok();
        apart.and_then(|apart| low.mask.checked_shr(apart)).is_some_and(|mask| mask & high.mask != 0)
    }

    /// The packet numbers of the sources, ascending.
    pub(super) fn sources(self) -> impl Iterator<Item = u64> {
        numbers(self.first, self.mask)
    }
}

/// `first + i` for every bit i.
fn numbers(first: u64, mut mask: u128) -> impl Iterator<Item = u64> {
    core::iter::from_fn(move || {
        let place = (mask != 0).then(|| mask.trailing_zeros())?;
        mask &= mask - 1;
        Some(first + u64::from(place))
    })
}

/// A block that misses sources, and the parity it has.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) identity: Identity,
    /// Sources that have not come, as bits of the mask.
    missing: u128,
    pub(super) parity: Vec<Held>,
    pub(super) born: Instant,
    /// How many protected packets had come by then.
    pub(super) born_after: u64,
}

impl Block {
    /// `parity` is memory for the symbols.
    pub(super) fn new(identity: Identity, missing: u128, born: Instant, born_after: u64, parity: Vec<Held>) -> Self {
        Self { identity, missing, parity, born, born_after }
    }

    pub(super) fn has(&self, index: u8) -> bool {
        self.parity.iter().any(|held| held.index == index)
    }

    /// A source has come.
    pub(super) fn on_source(&mut self, pn: u64) {
        self.missing &= !self.identity.bit(pn);
    }

    pub(super) fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Whether what is missing can be computed.
    pub(super) fn is_repairable(&self) -> bool {
        !self.is_complete() && self.missing_sources() <= self.parity.len()
    }

    pub(super) fn missing_sources(&self) -> usize {
        self.missing.count_ones() as usize
    }

    /// The packet numbers of what is missing, ascending.
    pub(super) fn missing(&self) -> impl Iterator<Item = u64> + use<> {
        numbers(self.identity.first, self.missing)
    }

    /// Place and payload of each source that has come.
    pub(super) fn known<'r>(&self, ring: &'r Ring) -> impl Iterator<Item = (usize, &'r [u8])> + use<'r> {
        let sources = self.identity.sources().enumerate();
        // What is missing may have come as a packet that was not accepted; it is no part of the ring.
        sources.filter_map(|(place, pn)| Some((place, ring.get(pn)?)))
    }

    pub(super) fn symbols(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.parity.iter().map(|held| (held.index, held.symbol.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(first: u64, mask: u128) -> Identity {
        Identity { first, mask, shape: Shape { sources: mask.count_ones() as usize, class: 1, symbol_len: 2 } }
    }

    #[test]
    fn bits_and_numbers_of_a_block() {
        let block = identity(100, 1 << 127 | 0b101);
        assert_eq!(block.sources().collect::<alloc::vec::Vec<_>>(), [100, 102, 227]);
        assert_eq!((block.bit(100), block.bit(102), block.bit(227)), (1, 4, 1 << 127));
        for pn in [0, 99, 101, 228, 100 + (1 << 32), u64::MAX] {
            assert_eq!(block.bit(pn), 0, "{pn}");
        }
    }

    #[test]
    fn interleaved_blocks_do_not_overlap() {
        let block = identity(100, 0b10101);
        assert!(!block.overlaps(&identity(101, 0b10101)));
        assert!(block.overlaps(&identity(102, 0b1)) && identity(102, 0b1).overlaps(&block));
        assert!(!block.overlaps(&identity(105, 0b1)) && !identity(100 + (1 << 33), 1).overlaps(&block));
        assert!(block.overlaps(&identity(0, 1 << 100 | 1)));
        assert!(!block.overlaps(&identity(0, 1 << 101 | 1)));
    }
}

//! What a repair has brought to light.

use alloc::vec::Vec;

use crate::fec::code::{Decoder, payload_of};

/// The sources of a block that were computed. Kept for its memory from repair to repair.
#[derive(Debug, Default)]
pub(crate) struct Repaired {
    pub(super) pns: Vec<u64>,
    /// One after the other, in the order of `pns`.
    pub(super) symbols: Vec<u8>,
    pub(super) symbol_len: usize,
}

impl Repaired {
    /// Each packet number and its payload; `None` if what was computed is no symbol.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Option<&[u8]>)> {
        let symbols = self.symbols.chunks_exact(self.symbol_len.max(1));
        self.pns.iter().zip(symbols).map(|(&pn, symbol)| (pn, payload_of(symbol)))
    }

    pub(super) fn memory(&self) -> usize {
        self.symbols.capacity() + self.pns.capacity() * size_of::<u64>()
    }
}

/// What the decoding of the Reed-Solomon code needs. One serves all connections, one after the other.
#[derive(Debug)]
pub(crate) struct Workshop {
    pub(super) decoder: Decoder,
    pub(crate) repaired: Repaired,
}

impl Workshop {
    pub(crate) fn new() -> Self {
        Self { decoder: Decoder::new(), repaired: Repaired::default() }
    }
}

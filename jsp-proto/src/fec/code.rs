//! The code of a block (specification sections 5.2 and 13.19): symbols, parity and repair.
//!
//! The Reed-Solomon code is the crate's high-rate one, named explicitly: its default type changes to another code when a
//! block has fewer sources than its class.

use alloc::vec::Vec;

use reed_solomon_simd::engine::DefaultEngine;
use reed_solomon_simd::rate::{HighRateDecoder, HighRateEncoder, RateDecoder, RateEncoder};

use crate::wire::frame::MAX_SYMBOLS;

/// Bytes of the payload's length in front of it.
const LEN: usize = 2;

/// Bytes of a symbol if the longest payload of the block has `max_payload` bytes: its length in front, and even.
pub(crate) const fn symbol_len(max_payload: usize) -> usize {
    (LEN + max_payload).next_multiple_of(2)
}

/// The payload in a symbol; `None` if its length is impossible or what follows it is not zero.
pub(crate) fn payload_of(symbol: &[u8]) -> Option<&[u8]> {
    let (len, rest) = symbol.split_first_chunk()?;
    let (payload, padding) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    padding.iter().all(|&byte| byte == 0).then_some(payload)
}

/// Length and payload of a source: a symbol without its padding.
fn write_head(payload: &[u8], out: &mut Vec<u8>) {
    let len = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    debug_assert_eq!(usize::from(len), payload.len(), "payloads are parts of datagrams");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(payload.get(..usize::from(len)).unwrap_or(payload));
}

/// Adds the bytes of `other` to the start of `sum`.
fn xor(sum: &mut [u8], other: &[u8]) {
    sum.iter_mut().zip(other).for_each(|(sum, byte)| *sum ^= byte);
}

/// Source payloads of one block, in order. Used again for block after block without allocating.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// Length and payload of each.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    max_payload: usize,
}

impl Sources {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn push(&mut self, payload: &[u8]) {
        write_head(payload, &mut self.bytes);
        self.ends.push(self.bytes.len());
        self.max_payload = self.max_payload.max(payload.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of the longest payload.
    pub(crate) fn max_payload(&self) -> usize {
        self.max_payload
    }

    fn heads(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().filter_map(move |&end| self.bytes.get(core::mem::replace(&mut start, end)..end))
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.max_payload = 0;
    }
}

/// What all symbols of a block have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Source symbols, 1 to 64.
    pub(crate) sources: usize,
    /// The parity class: 1, 2, 4, 8, 16 or 32.
    pub(crate) class: u8,
    /// Bytes of a symbol.
    pub(crate) symbol_len: usize,
}

impl Shape {
    fn is_possible(&self) -> bool {
        (1..=MAX_SYMBOLS as usize).contains(&self.sources)
            && self.class.is_power_of_two()
            && self.class <= 32
            && self.symbol_len >= LEN
            && self.symbol_len.is_multiple_of(2)
    }
}

/// Computes parity. Keeps its memory from block to block.
#[derive(Default)]
pub(crate) struct Encoder {
    /// Made when the first block of a class above 1 comes.
    code: Option<HighRateEncoder<DefaultEngine>>,
    symbol: Vec<u8>,
}

impl core::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Replaces `out` by all parity symbols of the block, one after the other, `class` of them, and gives the length of
    /// one. `None` if there is no such block: no or more than 64 sources, or no such class.
    pub(crate) fn encode(&mut self, sources: &Sources, class: u8, out: &mut Vec<u8>) -> Option<usize> {
        let shape = Shape { sources: sources.len(), class, symbol_len: symbol_len(sources.max_payload()) };
        if !shape.is_possible() {
            return None;
        }
        out.clear();
        if class == 1 {
            out.resize(shape.symbol_len, 0);
            sources.heads().for_each(|head| xor(out, head));
        } else {
            self.encode_class(sources, shape, out).ok()?;
        }
        Some(shape.symbol_len)
    }

    fn encode_class(
        &mut self,
        sources: &Sources,
        shape: Shape,
        out: &mut Vec<u8>,
    ) -> Result<(), reed_solomon_simd::Error> {
        let Shape { sources: count, class, symbol_len } = shape;
        let class = usize::from(class);
        let code = match &mut self.code {
            Some(code) => {
                code.reset(count, class, symbol_len)?;
                code
            }
            none => none.insert(HighRateEncoder::new(count, class, symbol_len, DefaultEngine::new(), None)?),
        };
        for head in sources.heads() {
            self.symbol.clear();
            self.symbol.extend_from_slice(head);
            self.symbol.resize(symbol_len, 0);
            code.add_original_shard(&self.symbol)?;
        }
        code.encode()?.recovery_iter().for_each(|symbol| out.extend_from_slice(symbol));
        Ok(())
    }
}

/// Computes missing sources. Keeps its memory from block to block.
#[derive(Default)]
pub(crate) struct Decoder {
    code: Option<HighRateDecoder<DefaultEngine>>,
    symbol: Vec<u8>,
}

impl core::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Replaces `out` by the symbols of all sources that are not among `sources`, in order. `None` if there is too
    /// little to compute them from, or something does not fit the shape.
    ///
    /// `sources` gives the place and the payload of each known source, `parity` the index and the symbol of each known
    /// parity, none twice. Class 1 takes less than a microsecond; the others about 200 and 128 KiB of stack, whatever
    /// the block.
    pub(crate) fn repair<'s>(
        &mut self,
        shape: Shape,
        sources: impl Iterator<Item = (usize, &'s [u8])>,
        parity: impl Iterator<Item = (u8, &'s [u8])>,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        out.clear();
        if !shape.is_possible() {
            return None;
        }
        match shape.class {
            1 => repair_one(shape, sources, parity, out),
            _ => self.repair_class(shape, sources, parity, out),
        }
    }

    fn repair_class<'s>(
        &mut self,
        shape: Shape,
        sources: impl Iterator<Item = (usize, &'s [u8])>,
        parity: impl Iterator<Item = (u8, &'s [u8])>,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let Shape { sources: count, class, symbol_len } = shape;
        let class = usize::from(class);
        let code = match &mut self.code {
            Some(code) => {
                code.reset(count, class, symbol_len).ok()?;
                code
            }
            none => none.insert(HighRateDecoder::new(count, class, symbol_len, DefaultEngine::new(), None).ok()?),
        };
        let mut known = 0;
        for (place, payload) in sources {
            if symbol_len < LEN + payload.len() {
                return None;
            }
            self.symbol.clear();
            write_head(payload, &mut self.symbol);
            self.symbol.resize(symbol_len, 0);
            code.add_original_shard(place, &self.symbol).ok()?;
            known += 1;
        }
        for (index, symbol) in parity.take(count.saturating_sub(known)) {
            code.add_recovery_shard(usize::from(index), symbol).ok()?;
        }
        code.decode().ok()?.restored_original_iter().for_each(|(_, symbol)| out.extend_from_slice(symbol));
        Some(())
    }
}

/// Class 1: the only parity is the sum of all sources, so what is missing is its sum with the others.
pub(crate) fn repair_one<'s>(
    shape: Shape,
    sources: impl Iterator<Item = (usize, &'s [u8])>,
    mut parity: impl Iterator<Item = (u8, &'s [u8])>,
    out: &mut Vec<u8>,
) -> Option<()> {
    let (_, symbol) = parity.next().filter(|(_, symbol)| symbol.len() == shape.symbol_len)?;
    out.clear();
    out.extend_from_slice(symbol);
    let (lens, payloads) = out.split_first_chunk_mut::<LEN>()?;
    let mut known = 0;
    for (_, payload) in sources {
        if payload.len() > payloads.len() {
            return None;
        }
        xor(lens, &u16::try_from(payload.len()).ok()?.to_be_bytes());
        xor(payloads, payload);
        known += 1;
    }
    (known + 1 == shape.sources).then_some(())
}

/// Builds the tables of the Reed-Solomon code: 8 MiB in about 10 ms, once per process. Better when the first use is in
/// sight than in the middle of a transfer.
pub(crate) fn warm_up() {
    let mut sources = Sources::new();
    sources.push(&[1]);
    let (mut symbols, mut repaired) = (Vec::new(), Vec::new());
    if let Some(symbol_len) = Encoder::new().encode(&sources, 2, &mut symbols) {
        let shape = Shape { sources: 1, class: 2, symbol_len };
        let parity = symbols.chunks_exact(symbol_len).take(1).map(|symbol| (0, symbol));
        let _ = Decoder::new().repair(shape, core::iter::empty(), parity, &mut repaired);
    }
}

#[cfg(test)]
#[path = "code_tests.rs"]
mod tests;

//! PARITY: a parity symbol and which packets it protects (specification sections 5.3 and 13.19).

use super::error::Fault;
use crate::wire::cursor::{Full, Reader, Writer};

/// The most packet numbers a block spans.
pub const MAX_SPAN: u8 = 128;

/// The most source symbols of a block.
pub const MAX_SYMBOLS: u32 = 64;

/// The most bytes of a frame in front of the symbol, the type included.
pub const MAX_PARITY_HEADER: usize = 1 + 8 + 1 + 16 + 1 + 1 + 1 + 8;

/// A PARITY frame (specification section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parity<'a> {
    /// The number of this packet less the number of the block's first source packet; at least `span`.
    pub back: u64,
    /// Packet numbers from the first to the last source packet, 1 to 128.
    pub span: u8,
    /// Bit i is set if the packet `first + i` is a source symbol. The first and the last bit of the span are set, none
    /// beyond it, at most 64 altogether.
    pub mask: u128,
    /// Which parity symbol this is, below `planned`.
    pub index: u8,
    /// The parity class: 1, 2, 4, 8, 16 or 32.
    pub class: u8,
    /// Parity symbols intended for the block so far, at most `class`.
    pub planned: u8,
    /// The symbol: an even number of bytes, at least 2.
    pub symbol: &'a [u8],
}

impl<'a> Parity<'a> {
    /// The number of the block's first source packet, if this frame came in packet `pn`.
    pub const fn first(&self, pn: u64) -> Option<u64> {
        pn.checked_sub(self.back)
    }

    /// How many source symbols the block has.
    pub const fn sources(&self) -> u32 {
        self.mask.count_ones()
    }

    pub(super) fn decode(r: &mut Reader<'a>) -> Result<Self, Fault> {
        let back = r.varint()?;
        let span = r.u8()?;
        let mask = decode_mask(span, r)?;
        let parity =
            Self { back, span, mask, index: r.u8()?, class: r.u8()?, planned: r.u8()?, symbol: r.length_prefixed()? };
        match parity.defect() {
            None => Ok(parity),
            Some(defect) => Err(Fault::Invalid(defect)),
        }
    }

    /// What section 13.19 forbids, apart from what depends on the packet number.
    fn defect(&self) -> Option<&'static str> {
        let last_bit = 1u128.checked_shl(u32::from(self.span).wrapping_sub(1));
        let Some(last_bit) = last_bit.filter(|_| (1..=MAX_SPAN).contains(&self.span)) else {
            return Some("span of a parity block");
        };
        let beyond = self.mask & !(last_bit | (last_bit - 1));
        if self.mask & 1 == 0 || self.mask & last_bit == 0 || beyond != 0 || self.sources() > MAX_SYMBOLS {
            return Some("mask of a parity block");
        }
        if self.back < u64::from(self.span) {
            return Some("parity block reaches past its packet");
        }
        if !self.class.is_power_of_two() || self.class > 32 {
            return Some("parity class");
        }
        if self.planned > self.class || self.index >= self.planned {
            return Some("number of a parity symbol");
        }
        if self.symbol.is_empty() || !self.symbol.len().is_multiple_of(2) {
            return Some("length of a parity symbol");
        }
        None
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        debug_assert_eq!(self.defect(), None);
        w.varint(self.back)?;
        w.u8(self.span)?;
        let mask = self.mask.to_le_bytes();
        w.bytes(mask.get(..mask_len(self.span)).unwrap_or(&mask))?;
        w.bytes(&[self.index, self.class, self.planned])?;
        w.length_prefixed(self.symbol)
    }
}

const fn mask_len(span: u8) -> usize {
    (span as usize).div_ceil(8)
}

/// Bit i of the mask is bit i mod 8 of byte i / 8: a little-endian number cut off after the span.
fn decode_mask(span: u8, r: &mut Reader<'_>) -> Result<u128, Fault> {
    let mut mask = [0; 16];
    let Some(filled) = mask.get_mut(..mask_len(span)) else {
        return Err(Fault::Invalid("span of a parity block"));
    };
    filled.copy_from_slice(r.bytes(filled.len())?);
    Ok(u128::from_le_bytes(mask))
}

//! The blocks of a block-encoded stream of bytes (specification section 4.6):
//! `varint (length << 1 | z) || [varint raw_length if z] || length bytes`.
//!
//! Every block stands for itself. One of no bytes stands for nothing: it is padding.

use super::api::Slices;
use super::lz4::{Corrupt, may_expand};
use crate::wire::{Reader, varint};

/// The largest block there may be, encoded and expanded, bytes.
pub(crate) const MAX_BLOCK: u64 = 65_536;
/// What a block takes up in a stream at most, bytes.
pub(super) const MAX_ENCODED: u64 = MAX_BLOCK + MAX_HEADER as u64;
/// Bytes of input per block that this side sends: little enough to be sent soon, and for a lost packet to hold up little.
pub(super) const CUT: usize = 16 << 10;
/// The longest header, in whatever encoding.
const MAX_HEADER: usize = 16;

/// What the start of a block says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// The bytes as they are.
    Stored {
        /// Of the header.
        header: u64,
        /// Of what follows it; 0 for padding.
        length: u64,
    },
    /// An LZ4 block.
    Packed {
        /// Where the length of what it stands for is said.
        body: u64,
        /// Of the whole block.
        whole: u64,
    },
}

impl Header {
    /// The header that a block begins with; `None` if not all of it is there.
    pub(crate) fn read((head, tail): Slices<'_>) -> Result<Option<Self>, Corrupt> {
        let mut start = [0; MAX_HEADER];
        let known = head.iter().chain(tail).zip(&mut start).map(|(from, to)| *to = *from).count();
        let mut reader = Reader::new(start.get(..known).unwrap_or_default());
        let Ok(first) = reader.varint() else { return Ok(None) };
        let (length, body) = (first >> 1, reader.position() as u64);
        if length > MAX_BLOCK {
            return Err(Corrupt);
        }
        if first & 1 == 0 {
            return Ok(Some(Self::Stored { header: body, length }));
        }
        let Ok(raw) = reader.varint() else { return Ok(None) };
        if !may_expand(raw, MAX_BLOCK, length) {
            return Err(Corrupt);
        }
        Ok(Some(Self::Packed { body, whole: reader.position() as u64 + length }))
    }
}

/// The number that a block begins with.
pub(super) const fn first(length: usize, packed: bool) -> u64 {
    (length as u64) << 1 | packed as u64
}

/// How many of `bytes` a stored block of at most `room` bytes takes, header included.
pub(super) fn stored_within(bytes: usize, room: u64) -> usize {
    let most = bytes.min(usize::try_from(room).unwrap_or(usize::MAX));
    most.min((room as usize).saturating_sub(varint::len(first(most, false))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::written;
    use alloc::vec::Vec;

    fn header(numbers: &[u64]) -> Vec<u8> {
        written(|w| numbers.iter().try_for_each(|&number| w.varint(number)))
    }

    #[test]
    fn headers_are_read_wherever_they_are_cut() {
        let stored = |length: u64| (header(&[length << 1]), Header::Stored { header: 0, length });
        let packed = |length: u64, raw| (header(&[length << 1 | 1, raw]), Header::Packed { body: 0, whole: length });
        let cases = [stored(0), stored(5), stored(8191), stored(65_536), packed(1, 319), packed(700, 65_536)];
        for (bytes, expected) in cases {
            let expected = match expected {
                Header::Stored { length, .. } => Header::Stored { header: bytes.len() as u64, length },
                Header::Packed { whole: length, .. } => {
                    let body = varint::len(length << 1) as u64;
                    Header::Packed { body, whole: bytes.len() as u64 + length }
                }
            };
            for cut in 0..=bytes.len() {
                assert_eq!(Header::read(bytes.split_at(cut)), Ok(Some(expected)));
                assert_eq!(Header::read((&bytes[..cut], &[])), Ok((cut == bytes.len()).then_some(expected)));
            }
        }
        // Numbers in more bytes than they need are numbers all the same.
        let long = Header::Stored { header: 8, length: 0 };
        assert_eq!(Header::read((&[0xc0, 0, 0, 0], &[0, 0, 0, 0, 9])), Ok(Some(long)));
    }

    #[test]
    fn lengths_beyond_the_bounds_are_found_before_the_block_is_there() {
        for numbers in
            [&[65_537 << 1][..], &[varint::MAX], &[65_537 << 1 | 1], &[9, 0], &[9, 4 * 255 + 65], &[65_537, 65_537]]
        {
            assert_eq!(Header::read((&header(numbers), &[])), Err(Corrupt), "{numbers:?}");
        }
        assert!(Header::read((&header(&[9, 4 * 255 + 64]), &[])).is_ok());
    }

    #[test]
    fn a_stored_block_fills_the_room_it_is_given() {
        for (bytes, room, taken) in
            [(5, 100, 5), (5, 6, 5), (5, 5, 4), (5, 2, 1), (5, 1, 0), (5, 0, 0), (100, 40, 38), (9000, 9000, 8996)]
        {
            assert_eq!(stored_within(bytes, room), taken, "{bytes} in {room}");
            assert!(taken + varint::len(first(taken, false)) <= room as usize || taken == 0);
        }
    }
}

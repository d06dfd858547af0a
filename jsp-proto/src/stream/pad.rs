//! Making an LZ4 block longer without changing what it stands for, so that its length tells less.
//!
//! The block format has no padding, but it does not ask for the shortest encoding either: the first bytes of a match may
//! as well stand before it as literals, which takes about one byte more for each, and a match may be two, which takes
//! three. Any decoder reads the result.

use alloc::vec::Vec;

use crate::wire::Reader;

/// The shortest match.
const SHORTEST_MATCH: usize = 4;
/// The last match begins at least so many bytes before the end.
const LAST_MATCH: usize = 12;

/// Writes to `out` a block that is `extra` bytes longer than `block` and stands for the same `message`. `None` if there
/// are not enough matches, or if `block` is none of `message`.
pub(super) fn lengthened(message: &[u8], block: &[u8], extra: usize, out: &mut Vec<u8>) -> Option<()> {
    let mut reader = Reader::new(block);
    let (mut at, mut left) = (0, extra);
    loop {
        let token = reader.u8().ok()?;
        let literals = length(token >> 4, &mut reader)?;
        reader.bytes(literals).ok()?;
        if reader.is_empty() {
            put(out, message.get(at..at + literals)?, None);
            return (left == 0 && at + literals == message.len()).then_some(());
        }
        let offset = reader.array::<2>().ok()?;
        let matched = SHORTEST_MATCH + length(token & 15, &mut reader)?;
        let room = message.len().saturating_sub(LAST_MATCH + at + literals);
        let Change { moved, split, cost } = change(literals, matched, left, room);
        left -= cost;
        put(
            out,
            message.get(at..at + literals + moved)?,
            Some((offset, if split { SHORTEST_MATCH } else { matched - moved })),
        );
        if split {
            put(out, &[], Some((offset, matched - moved - SHORTEST_MATCH)));
        }
        at += literals + matched;
    }
}

/// What becomes of a sequence, and how many bytes that takes.
struct Change {
    /// Bytes of the match that become literals.
    moved: usize,
    /// The match becomes two, the first of which is the shortest.
    split: bool,
    cost: usize,
}

/// The change that takes the most bytes up to `most`. The latest place for the start of a match is `room` bytes behind
/// that of this one.
fn change(literals: usize, matched: usize, most: usize, room: usize) -> Change {
    let size = |moved, split| {
        let matches =
            if split { 3 + more(matched - moved - 2 * SHORTEST_MATCH) } else { more(matched - moved - SHORTEST_MATCH) };
        moved + more(literals + moved) + matches
    };
    let before = size(0, false);
    let mut best = Change { moved: 0, split: false, cost: 0 };
    for split in [false, true] {
        let parts = if split { 2 * SHORTEST_MATCH } else { SHORTEST_MATCH };
        let shift = if split { SHORTEST_MATCH } else { 0 };
        let (Some(gives), Some(room)) = (matched.checked_sub(parts), room.checked_sub(shift)) else { continue };
        for moved in 0..=gives.min(room).min(most + 1) {
            let cost = size(moved, split) - before;
            if (best.cost + 1..=most).contains(&cost) {
                best = Change { moved, split, cost };
            }
        }
    }
    best
}

/// A length of which the token has `start`.
fn length(start: u8, reader: &mut Reader<'_>) -> Option<usize> {
    let mut length = usize::from(start);
    let mut last = if start == 15 { 255 } else { 0 };
    while last == 255 {
        last = reader.u8().ok()?;
        length += usize::from(last);
    }
    Some(length)
}

/// Bytes that a length takes beside its part of the token.
const fn more(length: usize) -> usize {
    if length < 15 { 0 } else { 1 + (length - 15) / 255 }
}

fn put_more(out: &mut Vec<u8>, length: usize) {
    if let Some(rest) = length.checked_sub(15) {
        out.resize(out.len() + rest / 255, 255);
        out.push((rest % 255) as u8);
    }
}

/// A sequence: literals, and a match unless it is the last one.
fn put(out: &mut Vec<u8>, literals: &[u8], found: Option<([u8; 2], usize)>) {
    let matched = found.map_or(0, |(_, length)| length.saturating_sub(SHORTEST_MATCH));
    out.push((literals.len().min(15) << 4 | matched.min(15)) as u8);
    put_more(out, literals.len());
    out.extend_from_slice(literals);
    if let Some((offset, _)) = found {
        out.extend_from_slice(&offset);
        put_more(out, matched);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};
    use proptest::prelude::*;

    fn compressed(message: &[u8]) -> Vec<u8> {
        let mut block = vec![0; get_maximum_output_size(message.len())];
        let length = compress_into_with_table(message, &mut block, &mut CompressTable::small()).unwrap();
        block.truncate(length);
        block
    }

    /// Lengthens by 0 to 63 bytes and checks each; how many of them there were.
    fn check(message: &[u8]) -> usize {
        let block = compressed(message);
        let lengths = (0..64).filter(|&extra| {
            let mut out = Vec::new();
            if lengthened(message, &block, extra, &mut out).is_none() {
                return false;
            }
            assert_eq!(out.len(), block.len() + extra);
            let mut back = vec![0; message.len()];
            assert_eq!(decompress_into(&out, &mut back).ok(), Some(message.len()));
            assert!(back == message);
            if extra == 0 {
                assert_eq!(out, block);
            }
            true
        });
        lengths.count()
    }

    #[test]
    fn blocks_become_longer_by_any_number_of_bytes() {
        for length in [256, 300, 1000, 5000, 70_000] {
            assert_eq!(check(&vec![7; length]), 64, "{length}");
            let words: Vec<u8> = b"one and two and three and ".iter().copied().cycle().take(length).collect();
            assert_eq!(check(&words), 64, "{length}");
        }
        // A match of four bytes gives none away.
        let message = b"0123abcdefghijklmno0123pqrstuvwxyzABCDEF";
        assert_eq!(check(message), 1);
    }

    #[test]
    fn a_block_of_something_else_is_refused() {
        let message = vec![7; 1000];
        let block = compressed(&message);
        for wrong in [&message[..999], &[7; 1001], &[]] {
            assert_eq!(lengthened(wrong, &block, 5, &mut Vec::new()), None);
        }
        for cut in 0..block.len() {
            assert_eq!(lengthened(&message, &block[..cut], 5, &mut Vec::new()), None, "{cut}");
        }
    }

    proptest! {
        #[test]
        fn any_block_stands_for_the_same(words in proptest::collection::vec("[a-d]{1,40}|[0-9]{2}", 5..400)) {
            check(words.concat().as_bytes());
        }
    }
}

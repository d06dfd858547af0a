//! A ring buffer addressed by positions that only grow.
//!
//! The ring does not know which positions are in use: its owner keeps them inside one span that is no longer than the
//! capacity. The capacity is a power of two and grows on demand; bytes are copied in once and read in place.

use alloc::boxed::Box;
use alloc::vec;
use core::ops::Range;

const SMALLEST: u64 = 256;
/// An empty ring above this capacity is given back when it has not been used for a while.
const KEPT: u64 = 256 << 10;

#[derive(Default)]
pub(super) struct Ring {
    bytes: Box<[u8]>,
    /// Written to since [`cool`](Self::cool) last looked.
    used: bool,
}

impl core::fmt::Debug for Ring {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Ring({})", self.capacity())
    }
}

impl Ring {
    pub(super) fn capacity(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Makes room for every position from `used.start` to `end`, keeping what stands in `used`.
    pub(super) fn reserve(&mut self, used: Range<u64>, end: u64) {
        let span = end.saturating_sub(used.start);
        if span <= self.capacity() {
            return;
        }
        let capacity = span.max(SMALLEST).next_power_of_two();
        let mut grown = Self { bytes: vec![0; capacity as usize].into_boxed_slice(), used: true };
        let (head, tail) = self.read(used.clone());
        grown.write(used.start, head);
        grown.write(used.start + head.len() as u64, tail);
        *self = grown;
    }

    fn index(&self, position: u64) -> usize {
        (position & self.capacity().wrapping_sub(1)) as usize
    }

    /// Copies `data` to `position`; what does not fit the capacity is left out.
    pub(super) fn write(&mut self, position: u64, data: &[u8]) {
        self.used = true;
        let index = self.index(position);
        let Some((low, high)) = self.bytes.split_at_mut_checked(index) else { return };
        let (head, tail) = data.split_at(data.len().min(high.len()));
        if let Some(place) = high.get_mut(..head.len()) {
            place.copy_from_slice(head);
        }
        let tail = tail.get(..tail.len().min(low.len())).unwrap_or_default();
        if let Some(place) = low.get_mut(..tail.len()) {
            place.copy_from_slice(tail);
        }
    }

    /// The bytes at `range`, in two parts of which the second is usually empty.
    pub(super) fn read(&self, range: Range<u64>) -> (&[u8], &[u8]) {
        let length = range.end.saturating_sub(range.start).min(self.capacity()) as usize;
        let Some((low, high)) = self.bytes.split_at_checked(self.index(range.start)) else { return (&[], &[]) };
        let head = high.get(..length.min(high.len())).unwrap_or_default();
        let tail = low.get(..length - head.len()).unwrap_or_default();
        (head, tail)
    }

    /// Copies the bytes at `range` to `out`, which has their length.
    pub(super) fn copy(&self, range: Range<u64>, out: &mut [u8]) {
        let (head, tail) = self.read(range);
        if let Some((first, second)) = out.split_at_mut_checked(head.len()) {
            first.copy_from_slice(head);
            if let Some(second) = second.get_mut(..tail.len()) {
                second.copy_from_slice(tail);
            }
        }
    }

    /// Whether the ring is so large that it is to be given back once it rests.
    pub(super) fn is_large(&self) -> bool {
        self.capacity() > KEPT
    }

    /// To be called now and then: gives back a large ring if it is `empty`, which means that no position is in use, and
    /// was not written to since the last call. A stream in full flow is empty many times a second and keeps its ring.
    pub(super) fn cool(&mut self, empty: bool) {
        let used = core::mem::take(&mut self.used);
        if empty && !used && self.is_large() {
            self.free();
        }
    }

    /// Gives all memory back.
    pub(super) fn free(&mut self) {
        self.bytes = Box::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn growing_keeps_what_is_in_use_wherever_it_lies() {
        for start in [0u64, 1, 200, 255, 256, 1000, (1 << 62) - 700] {
            let mut ring = Ring::default();
            let data: Vec<u8> = (0..=255).cycle().take(600).collect();
            ring.reserve(start..start, start + 200);
            ring.write(start, &data[..200]);
            ring.reserve(start..start + 200, start + 600);
            ring.write(start + 200, &data[200..]);
            let (head, tail) = ring.read(start..start + 600);
            assert_eq!([head, tail].concat(), data);
            let mut out = [0; 100];
            ring.copy(start + 150..start + 250, &mut out);
            assert_eq!(out, data[150..250]);
        }
    }

    #[test]
    fn an_empty_ring_reads_nothing() {
        let mut ring = Ring::default();
        ring.write(5, b"lost");
        assert_eq!(ring.read(5..9), (&[][..], &[][..]));
    }

    #[test]
    fn a_large_ring_is_given_back_when_it_rests() {
        let mut ring = Ring::default();
        ring.reserve(0..0, 1 << 20);
        ring.cool(true);
        assert!(ring.is_large(), "used since the last look");
        ring.cool(false);
        assert!(ring.is_large(), "holds data");
        ring.cool(true);
        assert_eq!(ring.capacity(), 0);
        ring.reserve(0..0, KEPT);
        ring.cool(true);
        ring.cool(true);
        assert_eq!(ring.capacity(), KEPT);
    }
}

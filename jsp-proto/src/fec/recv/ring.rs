//! The latest protected payloads, in order of their packet numbers.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Slots grow in steps of so many bytes, or payloads that differ by a byte or two would move them again and again.
const GRAIN: usize = 64;

#[derive(Debug)]
struct Slot {
    pn: u64,
    payload: Vec<u8>,
}

/// The payloads of the highest packet numbers that came, so many at most. The slots are used again.
#[derive(Debug)]
pub(super) struct Ring {
    /// By packet number, ascending.
    slots: VecDeque<Slot>,
    limit: usize,
    /// Bytes of the longest payload so far: what a slot that grows grows to.
    longest: usize,
    memory: usize,
}

impl Ring {
    pub(super) fn new(limit: usize) -> Self {
        Self { slots: VecDeque::new(), limit, longest: 0, memory: 0 }
    }

    /// Keeps a payload. Gives the packet number that had to go for it, which may be `pn` itself.
    pub(super) fn insert(&mut self, pn: u64, payload: &[u8]) -> Option<u64> {
        let Err(at) = self.slots.binary_search_by_key(&pn, |slot| slot.pn) else { return None };
        if self.slots.len() < self.limit {
            if self.slots.capacity() == 0 {
                self.slots.reserve_exact(self.limit);
            }
            let mut slot = Slot { pn, payload: Vec::new() };
            self.fill(&mut slot, payload);
            self.slots.insert(at, slot);
            return None;
        }
        // What is lower than all the others is the one to go.
        let Some((at, mut slot)) = at.checked_sub(1).and_then(|at| Some((at, self.slots.pop_front()?))) else {
            return Some(pn);
        };
        let gone = core::mem::replace(&mut slot.pn, pn);
        self.fill(&mut slot, payload);
        self.slots.insert(at, slot);
        Some(gone)
    }

    fn fill(&mut self, slot: &mut Slot, payload: &[u8]) {
        self.longest = self.longest.max(payload.len());
        let before = slot.payload.capacity();
        slot.payload.clear();
        if before < payload.len() {
            slot.payload.reserve_exact(self.longest.next_multiple_of(GRAIN));
        }
        slot.payload.extend_from_slice(payload);
        self.memory += slot.payload.capacity() - before;
    }

    pub(super) fn get(&self, pn: u64) -> Option<&[u8]> {
        let at = self.slots.binary_search_by_key(&pn, |slot| slot.pn).ok()?;
        self.slots.get(at).map(|slot| slot.payload.as_slice())
    }

    /// Forgets everything and gives the memory back.
    pub(super) fn free(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.memory + self.slots.capacity() * size_of::<Slot>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn the_highest_numbers_stay() {
        let mut ring = Ring::new(3);
        for (pn, gone) in [(5, None), (3, None), (9, None), (7, Some(3)), (4, Some(4)), (6, Some(5)), (7, None)] {
            assert_eq!(ring.insert(pn, &[pn as u8]), gone, "{pn}");
        }
        let kept: Vec<_> = (0..12).filter(|&pn| ring.get(pn).is_some()).collect();
        assert_eq!(kept, [6, 7, 9]);
        assert!(kept.iter().all(|&pn| ring.get(pn) == Some(&[pn as u8])));
        ring.free();
        assert_eq!((ring.get(9), ring.memory()), (None, 0));
        assert_eq!(Ring::new(0).insert(1, &[1]), Some(1));
    }

    #[test]
    fn slots_are_used_again() {
        let mut ring = Ring::new(8);
        let long = vec![1; 1200];
        (0..16).for_each(|pn| _ = ring.insert(pn, &long));
        let memory = ring.memory();
        assert!((8 * 1200..8 * 1300).contains(&memory), "{memory}");
        for pn in 16..2000 {
            ring.insert(pn ^ 1, long.get(..pn as usize % 1201).unwrap());
            assert_eq!(ring.memory(), memory);
        }
    }
}

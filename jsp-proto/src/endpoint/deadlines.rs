//! When each connection wants to be polled again: a binary heap that knows where everybody stands in it, so that
//! moving one deadline costs O(log n) and finding the next costs nothing.

use alloc::vec::Vec;

use crate::conn::Wake;
use crate::time::Instant;

const ABSENT: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Instant,
    why: Wake,
    index: u32,
}

/// Deadlines by slab index, the soonest first.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: Vec<Entry>,
    places: Vec<u32>,
}

impl Deadlines {
    /// The soonest deadline and whose it is.
    pub(super) fn next(&self) -> Option<(Instant, Wake, u32)> {
        self.heap.first().map(|entry| (entry.at, entry.why, entry.index))
    }

    /// Sets or removes the deadline of `index`.
    pub(super) fn set(&mut self, index: u32, deadline: Option<(Instant, Wake)>) {
        if self.places.len() <= index as usize {
            self.places.resize(index as usize + 1, ABSENT);
        }
        let place = self.places[index as usize];
        match deadline {
            None if place == ABSENT => {}
            None => self.remove(place as usize),
            Some((at, why)) if place == ABSENT => {
                self.heap.push(Entry { at, why, index });
                self.places[index as usize] = (self.heap.len() - 1) as u32;
                self.rise(self.heap.len() - 1);
            }
            Some((at, why)) => {
                let place = place as usize;
                self.heap[place].at = at;
                self.heap[place].why = why;
                self.rise(place);
                self.sink(place);
            }
        }
    }

    fn remove(&mut self, place: usize) {
        let last = self.heap.len() - 1;
        self.swap(place, last);
        if let Some(entry) = self.heap.pop() {
            self.places[entry.index as usize] = ABSENT;
        }
        if place < self.heap.len() {
            self.rise(place);
            self.sink(place);
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.places[self.heap[a].index as usize] = a as u32;
        self.places[self.heap[b].index as usize] = b as u32;
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent].at <= self.heap[place].at {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let left = 2 * place + 1;
            let smaller = match (self.heap.get(left), self.heap.get(left + 1)) {
                (Some(a), Some(b)) if b.at < a.at => left + 1,
                (Some(_), _) => left,
                _ => break,
            };
            if self.heap[place].at <= self.heap[smaller].at {
                break;
            }
            self.swap(place, smaller);
            place = smaller;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_sorted_map(steps in prop::collection::vec((0u32..20, prop::option::of(0u64..100)), 1..200)) {
            let mut heap = Deadlines::default();
            let mut model = BTreeMap::new();
            for (index, at) in steps {
                heap.set(index, at.map(|at| (Instant::from_nanos(at), Wake::Loss)));
                match at {
                    Some(at) => model.insert(index, at),
                    None => model.remove(&index),
                };
                let soonest = model.values().min().copied();
                prop_assert_eq!(heap.next().map(|(at, ..)| at.as_nanos()), soonest);
                if let Some((at, _, index)) = heap.next() {
                    prop_assert_eq!(model.get(&index), Some(&at.as_nanos()));
                }
            }
        }
    }
}

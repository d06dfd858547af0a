//! Sets of numbers kept as sorted, disjoint, half-open ranges.
//!
//! Used for packet numbers to acknowledge and for the acknowledged, lost and received parts of streams. Neighbours
//! that touch are merged, so the number of ranges is the number of gaps plus one. Searching costs O(log n); changes
//! at either end cost O(1); memory is kept for reuse.

use alloc::collections::VecDeque;
use core::ops::Range;

/// Ranges up to which memory grows by doubling, and for how many more it is made then.
const FEW: usize = 4;
const MANY: usize = 60;

/// A set of `u64` as sorted, disjoint, non-touching, non-empty half-open ranges.
///
/// `u64::MAX` itself cannot be a member; wire numbers end at 2^62-1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RangeSet {
    ranges: VecDeque<Range<u64>>,
}

impl RangeSet {
    pub(crate) const fn new() -> Self {
        Self { ranges: VecDeque::new() }
    }

    /// The number of ranges.
    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Forgets everything, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.ranges.clear();
    }

    /// Makes room for `ranges` ranges once and for all.
    pub(crate) fn reserve(&mut self, ranges: usize) {
        self.ranges.reserve(ranges.saturating_sub(self.ranges.len()));
    }

    /// Bytes of memory held.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        self.ranges.capacity() * size_of::<Range<u64>>()
    }

    /// All ranges, ascending; reversible.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = Range<u64>> + ExactSizeIterator + '_ {
        self.ranges.iter().cloned()
    }

    /// The lowest range.
    pub(crate) fn first(&self) -> Option<Range<u64>> {
        self.ranges.front().cloned()
    }

    /// The highest range.
    pub(crate) fn last(&self) -> Option<Range<u64>> {
        self.ranges.back().cloned()
    }

    /// The largest member.
    pub(crate) fn max(&self) -> Option<u64> {
        self.ranges.back().map(|range| range.end - 1)
    }

    /// The range that `value` is in.
    pub(crate) fn range_of(&self, value: u64) -> Option<Range<u64>> {
        let range = self.ranges.get(self.first_ending_after(value))?;
        range.contains(&value).then(|| range.clone())
    }

    /// Whether every number of `range` is a member; true for an empty range.
    pub(crate) fn contains_range(&self, range: Range<u64>) -> bool {
        range.is_empty() || self.range_of(range.start).is_some_and(|found| found.end >= range.end)
    }

    /// Whether any number of `range` is a member.
    pub(crate) fn overlaps(&self, range: Range<u64>) -> bool {
        !range.is_empty()
            && self.ranges.get(self.first_ending_after(range.start)).is_some_and(|found| found.start < range.end)
    }

    /// How many numbers of `range` are members. O(log n + ranges inside).
    pub(crate) fn covered_within(&self, range: Range<u64>) -> u64 {
        self.within(range).map(|part| width(&part)).sum()
    }

    /// The parts of the set inside `range`, ascending.
    pub(crate) fn within(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let first = self.first_ending_after(range.start);
        self.ranges
            .range(first..)
            .map(move |found| found.start.max(range.start)..found.end.min(range.end))
            .take_while(|part| !part.is_empty())
    }

    /// The first maximal part of `range` that is not in the set.
    pub(crate) fn next_gap(&self, range: Range<u64>) -> Option<Range<u64>> {
        if range.is_empty() {
            return None;
        }
        let mut index = self.first_ending_after(range.start);
        let mut start = range.start;
        if let Some(found) = self.ranges.get(index).filter(|found| found.start <= start) {
            start = found.end;
            index += 1;
        }
        let end = self.ranges.get(index).map_or(range.end, |next| next.start.min(range.end));
        (start < end).then_some(start..end)
    }

    /// All maximal parts of `range` that are not in the set, ascending.
    pub(crate) fn gaps(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut rest = range;
        core::iter::from_fn(move || {
            let gap = self.next_gap(rest.clone())?;
            rest.start = gap.end;
            Some(gap)
        })
    }

    /// The number of ranges after `insert(range)`, without inserting it. O(log n).
    pub(crate) fn len_with(&self, range: Range<u64>) -> usize {
        if range.is_empty() {
            return self.len();
        }
        let (from, to) = self.touching(&range);
        self.len() - (to - from) + 1
    }

    /// Where there are more than a few ranges there will be many: memory for these comes at once, so that a flow of
    /// packets with losses soon needs none any more.
    fn make_room(&mut self) {
        if self.ranges.len() == self.ranges.capacity() && self.ranges.len() >= FEW {
            self.ranges.reserve(MANY.max(self.ranges.len()));
        }
    }

    /// Adds every number of `range`; returns how many were not yet members.
    pub(crate) fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let (from, to) = self.touching(&range);
        if from == to {
            let added = width(&range);
            self.make_room();
            self.ranges.insert(from, range);
            return added;
        }
        let mut merged = range;
        let mut before = 0;
        for old in self.ranges.range(from..to) {
            before += width(old);
            merged = merged.start.min(old.start)..merged.end.max(old.end);
        }
        let added = width(&merged) - before;
        if let Some(slot) = self.ranges.get_mut(from) {
            *slot = merged;
        }
        self.drop_slots(from + 1, to);
        added
    }

    /// Adds one number; returns whether it was new.
    pub(crate) fn insert_one(&mut self, value: u64) -> bool {
        self.insert(value..value.saturating_add(1)) == 1
    }

    /// Removes every number of `range`; returns how many were members.
    pub(crate) fn remove(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let mut index = self.first_ending_after(range.start);
        let mut removed = 0;
        if let Some(found) = self.ranges.get_mut(index).filter(|found| found.start < range.start) {
            let tail = range.end..found.end;
            removed += found.end.min(range.end) - range.start;
            found.end = range.start;
            index += 1;
            if !tail.is_empty() {
                self.make_room();
                self.ranges.insert(index, tail);
                return removed;
            }
        }
        let mut end = index;
        while let Some(found) = self.ranges.get_mut(end).filter(|found| found.start < range.end) {
            if found.end > range.end {
                removed += range.end - found.start;
                found.start = range.end;
                break;
            }
            removed += width(found);
            end += 1;
        }
        self.drop_slots(index, end);
        removed
    }

    /// Takes the lowest range out.
    pub(crate) fn pop_first(&mut self) -> Option<Range<u64>> {
        self.ranges.pop_front()
    }

    /// Removes every number below `bound`; returns how many were members.
    pub(crate) fn trim_below(&mut self, bound: u64) -> u64 {
        let mut removed = 0;
        while let Some(first) = self.ranges.front_mut() {
            if first.end > bound {
                let start = first.start.max(bound);
                removed += start - first.start;
                first.start = start;
                break;
            }
            removed += width(first);
            self.ranges.pop_front();
        }
        removed
    }

    /// Index of the first range that ends after `value`: the one holding it, or the next one up.
    fn first_ending_after(&self, value: u64) -> usize {
        // The common cases are at the top end: a number beyond everything, or in the last range.
        match self.ranges.back() {
            None => 0,
            Some(last) if value >= last.end => self.ranges.len(),
            Some(last) if value >= last.start => self.ranges.len() - 1,
            Some(_) => self.ranges.partition_point(|found| found.end <= value),
        }
    }

    /// The half-open interval of indices whose ranges overlap or touch `range`.
    fn touching(&self, range: &Range<u64>) -> (usize, usize) {
        let from = self.first_ending_after(range.start.saturating_sub(1));
        let mut to = from;
        if self.ranges.back().is_some_and(|last| last.start <= range.end) {
            to = self.ranges.len();
        } else if self.ranges.get(from).is_some_and(|found| found.start <= range.end) {
            to = self.ranges.partition_point(|found| found.start <= range.end);
        }
        (from, to.max(from))
    }

    fn drop_slots(&mut self, from: usize, to: usize) {
        match to.saturating_sub(from) {
            0 => {}
            1 => drop(self.ranges.remove(from)),
            _ => drop(self.ranges.drain(from..to)),
        }
    }
}

fn width(range: &Range<u64>) -> u64 {
    range.end - range.start
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const SPACE: u64 = 96;

    fn normal(model: &BTreeSet<u64>) -> Vec<Range<u64>> {
        let mut out: Vec<Range<u64>> = Vec::new();
        for &value in model {
            match out.last_mut() {
                Some(last) if last.end == value => last.end += 1,
                _ => out.push(value..value + 1),
            }
        }
        out
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u64, u64),
        Remove(u64, u64),
        Trim(u64),
        PopFirst,
    }

    fn op() -> impl Strategy<Value = Op> {
        let span = || (0..SPACE, 0..12u64);
        prop_oneof![
            4 => span().prop_map(|(s, n)| Op::Insert(s, n)),
            3 => span().prop_map(|(s, n)| Op::Remove(s, n)),
            1 => (0..SPACE).prop_map(Op::Trim),
            1 => Just(Op::PopFirst),
        ]
    }

    proptest! {
        /// Every operation and query agrees with a `BTreeSet`.
        #[test]
        fn behaves_like_a_btree_set(ops in prop::collection::vec(op(), 0..60), start in 0..SPACE, n in 0..40u64) {
            let mut set = RangeSet::new();
            let mut model = BTreeSet::new();
            for op in ops {
                match op {
                    Op::Insert(s, n) => {
                        let mut probe = model.clone();
                        probe.extend(s..s + n);
                        prop_assert_eq!(set.len_with(s..s + n), normal(&probe).len());
                        prop_assert_eq!(set.insert(s..s + n), (probe.len() - model.len()) as u64);
                        model = probe;
                    }
                    Op::Remove(s, n) => {
                        let gone = (s..s + n).filter(|v| model.remove(v)).count();
                        prop_assert_eq!(set.remove(s..s + n), gone as u64);
                    }
                    Op::Trim(bound) => {
                        let kept = model.split_off(&bound);
                        prop_assert_eq!(set.trim_below(bound), model.len() as u64);
                        model = kept;
                    }
                    Op::PopFirst => {
                        let expected = normal(&model).first().cloned();
                        prop_assert_eq!(set.pop_first(), expected.clone());
                        model.retain(|v| !expected.clone().is_some_and(|range| range.contains(v)));
                    }
                }
                prop_assert_eq!(set.iter().collect::<Vec<_>>(), normal(&model));
            }
            let range = start..start + n;
            let inside: BTreeSet<u64> = range.clone().filter(|v| model.contains(v)).collect();
            let outside: BTreeSet<u64> = range.clone().filter(|v| !model.contains(v)).collect();
            prop_assert_eq!(set.contains_range(range.clone()), outside.is_empty());
            prop_assert_eq!(set.overlaps(range.clone()), !inside.is_empty());
            prop_assert_eq!(set.covered_within(range.clone()), inside.len() as u64);
            prop_assert_eq!(set.within(range.clone()).collect::<Vec<_>>(), normal(&inside));
            prop_assert_eq!(set.next_gap(range.clone()), normal(&outside).first().cloned());
            prop_assert_eq!(set.gaps(range).collect::<Vec<_>>(), normal(&outside));
            prop_assert_eq!(set.max(), model.last().copied());
            prop_assert_eq!(set.range_of(start), normal(&model).into_iter().find(|r| r.contains(&start)));
        }
    }

    #[test]
    fn the_top_of_the_number_space_is_safe() {
        let mut set = RangeSet::new();
        assert!(!set.insert_one(u64::MAX));
        assert!(set.insert_one(u64::MAX - 1));
        assert_eq!(set.insert(0..u64::MAX), u64::MAX - 1);
        assert_eq!(set.len(), 1);
        assert_eq!(set.remove(5..u64::MAX), u64::MAX - 5);
        assert_eq!(set.gaps(0..u64::MAX).next(), Some(5..u64::MAX));
    }

    #[test]
    fn steady_use_keeps_its_memory() {
        let mut set = RangeSet::new();
        for i in 0..64 {
            set.insert_one(2 * i);
        }
        let held = set.memory();
        for i in 64..10_000 {
            set.insert_one(2 * i);
            set.pop_first();
        }
        assert!(set.memory() <= 2 * held);
        assert_eq!(set.len(), 64);
    }
}

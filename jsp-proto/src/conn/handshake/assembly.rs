//! Puts a handshake message together from its fragments (specification section 2.4).

use alloc::vec;
use alloc::vec::Vec;

use crate::wire::header::{Fragment, MAX_MESSAGE};

/// A message of which some fragments have come. The first fragment fixes count and total.
#[derive(Debug)]
pub(crate) struct Assembly {
    bytes: Vec<u8>,
    count: u8,
    parts: [Option<(u16, u16)>; 4],
}

/// The fragment contradicts or repeats what is stored; what is stored stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadFragment;

impl Assembly {
    /// Starts with the first fragment seen.
    pub(crate) fn start(index: u8, count: u8, fragment: &Fragment<'_>) -> Result<Self, BadFragment> {
        if usize::from(fragment.total) > MAX_MESSAGE || !(1..=4).contains(&count) {
            return Err(BadFragment);
        }
        let mut assembly = Self { bytes: vec![0; usize::from(fragment.total)], count, parts: [None; 4] };
        assembly.insert(index, count, fragment)?;
        Ok(assembly)
    }

    /// Adds a fragment.
    pub(crate) fn insert(&mut self, index: u8, count: u8, fragment: &Fragment<'_>) -> Result<(), BadFragment> {
        let total = self.bytes.len();
        let start = usize::from(fragment.offset);
        let end = start + fragment.data.len();
        if count != self.count || index >= count || usize::from(fragment.total) != total || start >= end {
            return Err(BadFragment);
        }
        let overlaps =
            self.parts.iter().flatten().any(|&(from, to)| start < usize::from(to) && usize::from(from) < end);
        let part = self.parts.get_mut(usize::from(index)).ok_or(BadFragment)?;
        if part.is_some() || overlaps {
            return Err(BadFragment);
        }
        self.bytes.get_mut(start..end).ok_or(BadFragment)?.copy_from_slice(fragment.data);
        *part = Some((start as u16, end as u16));
        Ok(())
    }

    /// The message, once its fragments cover it. They never overlap, so their lengths add up to the total only then.
    pub(crate) fn message(&self) -> Option<&[u8]> {
        let parts = self.parts.get(..usize::from(self.count))?;
        let covered: usize = parts.iter().map(|part| part.map_or(0, |(from, to)| usize::from(to - from))).sum();
        (parts.iter().all(Option::is_some) && covered == self.bytes.len()).then_some(&self.bytes)
    }

    pub(crate) fn into_message(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(offset: u16, data: &[u8]) -> Fragment<'_> {
        Fragment { total: 6, offset, data }
    }

    #[test]
    fn any_order_tiles_the_message() {
        let mut assembly = Assembly::start(1, 3, &part(2, b"cd")).expect("first");
        assert_eq!(assembly.message(), None);
        assembly.insert(2, 3, &part(4, b"ef")).expect("second");
        assembly.insert(0, 3, &part(0, b"ab")).expect("third");
        assert_eq!(assembly.message(), Some(&b"abcdef"[..]));
    }

    #[test]
    fn contradictions_leave_the_stored_fragments_alone() {
        let mut assembly = Assembly::start(0, 2, &part(0, b"abc")).expect("first");
        for (index, count, fragment) in [
            (0, 2, part(3, b"def")),
            (1, 3, part(3, b"def")),
            (1, 2, part(2, b"cdef")),
            (1, 2, part(3, b"defg")),
            (1, 2, part(3, b"")),
            (1, 2, Fragment { total: 7, offset: 3, data: b"def" }),
        ] {
            assert_eq!(assembly.insert(index, count, &fragment), Err(BadFragment));
        }
        assert_eq!(assembly.message(), None);
        assembly.insert(1, 2, &part(3, b"def")).expect("the honest one");
        assert_eq!(assembly.message(), Some(&b"abcdef"[..]));
    }
}

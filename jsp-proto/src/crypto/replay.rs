//! The window that rejects packet numbers seen before (specification section 3.4).

/// Packet numbers that the window spans, the largest included.
pub const WINDOW: u64 = 2048;
const WORDS: usize = (WINDOW / 64) as usize;

/// What the window knows of a packet number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Not seen before.
    Fresh,
    /// Seen before.
    Duplicate,
    /// Too far below the largest to know.
    TooOld,
}

/// A bitmap of the packet numbers processed among the last 2048.
///
/// Only authenticated packets are inserted: a forged number must not move the window.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    /// Bit `pn % 2048` tells of the one `pn` in the window with that remainder.
    words: [u64; WORDS],
    /// One more than the largest number inserted.
    end: u64,
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}

const fn place(pn: u64) -> (usize, u64) {
    ((pn % WINDOW / 64) as usize, 1 << (pn % 64))
}

impl ReplayWindow {
    /// A window that has seen nothing.
    pub const fn new() -> Self {
        Self { words: [0; WORDS], end: 0 }
    }

    /// The largest number inserted.
    pub const fn largest(&self) -> Option<u64> {
        self.end.checked_sub(1)
    }

    /// Whether `pn` was inserted before.
    pub fn check(&self, pn: u64) -> Freshness {
        let (word, bit) = place(pn);
        if pn >= self.end {
            Freshness::Fresh
        } else if self.end - pn > WINDOW {
            Freshness::TooOld
        } else if self.words[word] & bit == 0 {
            Freshness::Fresh
        } else {
            Freshness::Duplicate
        }
    }

    /// Inserts `pn`, below 2^62, and says what [`check`](Self::check) would have said.
    pub fn insert(&mut self, pn: u64) -> Freshness {
        let before = self.check(pn);
        if before != Freshness::Fresh {
            return before;
        }
        if pn >= self.end {
            self.forget(pn);
            self.end = pn.saturating_add(1);
        }
        let (word, bit) = place(pn);
        self.words[word] |= bit;
        before
    }

    /// Clears the bits for `end..=pn`, which so far stood for numbers that now leave the window.
    fn forget(&mut self, pn: u64) {
        if pn - self.end >= WINDOW {
            self.words = [0; WORDS];
            return;
        }
        let mut from = self.end;
        while from <= pn {
            let (word, bit) = place(from);
            let whole = bit == 1 && pn - from >= 63;
            self.words[word] &= if whole { 0 } else { !bit };
            from += if whole { 64 } else { 1 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    fn model(seen: &BTreeSet<u64>, pn: u64) -> Freshness {
        match seen.last() {
            Some(&largest) if pn + WINDOW <= largest => Freshness::TooOld,
            _ if seen.contains(&pn) => Freshness::Duplicate,
            _ => Freshness::Fresh,
        }
    }

    #[test]
    fn edges_of_the_window() {
        let mut window = ReplayWindow::new();
        assert_eq!((window.largest(), window.check(0)), (None, Freshness::Fresh));
        assert_eq!(window.insert(0), Freshness::Fresh);
        assert_eq!(window.insert(WINDOW - 1), Freshness::Fresh);
        assert_eq!(window.check(0), Freshness::Duplicate);
        assert_eq!(window.insert(WINDOW), Freshness::Fresh);
        assert_eq!(window.check(0), Freshness::TooOld);
        assert_eq!(window.check(1), Freshness::Fresh);
        assert_eq!(window.insert((1 << 62) - 1), Freshness::Fresh);
        assert_eq!(window.largest(), Some((1 << 62) - 1));
        assert_eq!(window.check((1 << 62) - 2), Freshness::Fresh);
        assert_eq!(window.check((1 << 62) - 1 - WINDOW), Freshness::TooOld);
    }

    proptest! {
        #[test]
        fn equals_a_set(steps in proptest::collection::vec((any::<bool>(), 0u64..2600, any::<bool>()), 1..400)) {
            let mut window = ReplayWindow::new();
            let mut seen = BTreeSet::new();
            for (forward, distance, exact) in steps {
                let largest = window.largest().unwrap_or(0);
                // Small steps forward are the usual case; `exact` lands on edges of words.
                let distance = if exact { distance / 64 * 64 } else if forward { distance % 70 } else { distance };
                let pn = if forward { largest + distance } else { largest.saturating_sub(distance) };
                let expected = model(&seen, pn);
                prop_assert_eq!(window.check(pn), expected);
                prop_assert_eq!(window.insert(pn), expected);
                if expected == Freshness::Fresh {
                    seen.insert(pn);
                }
            }
            let largest = window.largest().unwrap_or(0);
            for pn in largest.saturating_sub(WINDOW + 64)..largest + 70 {
                prop_assert_eq!(window.check(pn), model(&seen, pn));
            }
        }
    }
}

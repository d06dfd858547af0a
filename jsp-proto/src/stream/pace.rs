//! When a stream tries to compress (specification section 4.12): often where it pays, seldom where it does not.

/// After this many tries in a row that saved too little, messages are let past untried.
const MISSES: u8 = 4;
/// The most messages that are let past between two tries.
const LONGEST_PAUSE: u16 = 1024;
/// The unit of `Pace::ratio`, and the part above which a stream gains too little.
const WHOLE: u16 = 1 << 10;
const HOPELESS: u16 = WHOLE / 10 * 9;

/// When a stream tries to compress a message or a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Tries in a row that saved too little, up to `MISSES`.
    misses: u8,
    /// How many messages were let past after the latest of them.
    pause: u16,
    /// How many are still to be let past.
    left: u16,
    /// The size after compressing, in parts of the size before: the average of the latest tries, each of which counts an
    /// eighth. In units of `WHOLE`.
    ratio: u16,
    /// What is compressed is padded.
    pub(super) padded: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { misses: 0, pause: 0, left: 0, ratio: WHOLE / 2, padded: false }
    }
}

impl Pace {
    pub(super) fn padded(mut self, padded: bool) -> Self {
        self.padded = padded;
        self
    }

    pub(super) fn is_due(&mut self) -> bool {
        let due = self.left == 0;
        self.left = self.left.saturating_sub(1);
        due
    }

    pub(super) fn tried(&mut self, before: usize, after: usize) {
        let part = (after.min(before) as u64 * u64::from(WHOLE)).checked_div(before as u64).unwrap_or(0);
        // Rounded to the latest try, so that the average gets where it goes.
        let (old, new) = (i32::from(self.ratio), part as i32);
        self.ratio = (old + (new - old + (new - old).signum() * 7) / 8) as u16;
    }

    pub(super) fn hit(&mut self) {
        (self.misses, self.pause, self.left) = (0, 0, 0);
    }

    /// A stream that gained little for long is not given four more tries for a single one that succeeded.
    pub(super) fn miss(&mut self) {
        self.misses = (self.misses + 1).min(MISSES);
        if self.misses == MISSES || self.ratio > HOPELESS {
            self.pause = (self.pause * 2).clamp(2, LONGEST_PAUSE);
            self.left = self.pause;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_goes_where_the_tries_go() {
        let mut pace = Pace::default();
        for (after, ratio) in [(1000, WHOLE), (0, 0), (700, 716), (2000, WHOLE)] {
            (0..100).for_each(|_| pace.tried(1000, after));
            assert_eq!(pace.ratio, ratio);
        }
        pace.tried(1000, 0);
        assert_eq!(pace.ratio, WHOLE / 8 * 7 - 1 + 1);
    }
}

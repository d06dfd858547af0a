//! Notes for somebody who may not be there: off, a log costs a branch and holds no memory.

use alloc::vec::{Drain, Vec};

/// Notes that one call may leave. The endpoint takes them after each call, so only a call that settles thousands of
/// packets at once can reach this.
const MOST: usize = 8192;

/// A list that takes notes only while it is on.
#[derive(Debug)]
pub(crate) struct Log<T> {
    notes: Option<Vec<T>>,
    /// Notes that found no room.
    missed: u64,
}

// Derived, it would ask for a default of the notes.
impl<T> Default for Log<T> {
    fn default() -> Self {
        Self { notes: None, missed: 0 }
    }
}

impl<T> Log<T> {
    /// Takes notes from now on.
    pub(crate) fn start(&mut self) {
        self.notes.get_or_insert_with(Vec::new);
    }

    /// Takes no more notes and forgets those it has.
    pub(crate) fn stop(&mut self) {
        self.notes = None;
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.notes.is_some()
    }

    /// Adds what `note` gives, which is not asked while the log is off.
    pub(crate) fn push(&mut self, note: impl FnOnce() -> T) {
        match &mut self.notes {
            Some(notes) if notes.len() < MOST => notes.push(note()),
            Some(_) => self.missed += 1,
            None => {}
        }
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut T> {
        self.notes.as_mut()?.last_mut()
    }

    /// Takes all notes.
    pub(crate) fn drain(&mut self) -> Option<Drain<'_, T>> {
        self.notes.as_mut().map(|notes| notes.drain(..))
    }

    /// How many notes found no room since the last call.
    pub(crate) const fn take_missed(&mut self) -> u64 {
        core::mem::replace(&mut self.missed, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_off_does_not_ask_for_notes() {
        let mut log: Log<u8> = Log::default();
        log.push(|| panic!("nobody listens"));
        assert!(!log.is_on() && log.drain().is_none());
    }

    #[test]
    fn a_log_is_bounded_and_says_what_it_missed() {
        let mut log = Log::default();
        log.start();
        (0..MOST + 3).for_each(|note| log.push(|| note));
        assert_eq!(log.drain().map(|notes| notes.count()), Some(MOST));
        assert_eq!((log.take_missed(), log.take_missed()), (3, 0));
    }
}

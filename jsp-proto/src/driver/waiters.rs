//! Wakers of tasks that wait for something.

use std::collections::BTreeMap;
use std::task::Waker;
use std::vec::Vec;

/// Any number of tasks that wait for one kind of event. All are woken and look again.
///
/// A waiter that goes away takes its waker out, so nothing of a finished task is kept alive.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl Waiters {
    /// Registers `waker` under `ticket`, or under a new one. Gives back a replaced waker, to be dropped when no lock
    /// is held: a waker may own a task that owns handles.
    pub(super) fn register(&mut self, ticket: &mut Option<u64>, waker: &Waker) -> Option<Waker> {
        let key = *ticket.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        self.wakers.insert(key, waker.clone())
    }

    pub(super) fn remove(&mut self, ticket: u64) -> Option<Waker> {
        self.wakers.remove(&ticket)
    }

    /// Moves all wakers to `out`, the first to wait first.
    pub(super) fn wake(&mut self, out: &mut Vec<Waker>) {
        while let Some((_, waker)) = self.wakers.pop_first() {
            out.push(waker);
        }
    }
}

/// The one task that waits for one half of a stream.
#[derive(Debug, Default)]
pub(super) struct Waiter(Option<Waker>);

impl Waiter {
    /// Registers `waker` and gives back a replaced one, to be dropped when no lock is held.
    pub(super) fn register(&mut self, waker: &Waker) -> Option<Waker> {
        match &self.0 {
            Some(known) if known.will_wake(waker) => None,
            _ => self.0.replace(waker.clone()),
        }
    }

    pub(super) fn wake(&mut self, out: &mut Vec<Waker>) {
        out.extend(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiters_leave_nothing_behind() {
        let mut waiters = Waiters::default();
        let (mut first, mut second) = (None, None);
        assert!(waiters.register(&mut first, Waker::noop()).is_none());
        assert!(waiters.register(&mut second, Waker::noop()).is_none());
        assert!(waiters.register(&mut first, Waker::noop()).is_some(), "the same ticket replaces");
        assert!(waiters.remove(second.unwrap_or_default()).is_some());
        let mut woken = Vec::new();
        waiters.wake(&mut woken);
        assert_eq!(woken.len(), 1);
        assert!(waiters.wakers.is_empty());
    }
}

//! Several FIFO queues of streams in which each stream is at most once, so their size is bounded by the number of
//! streams. Joining, leaving and rotating cost O(1).

use alloc::vec::Vec;

use crate::slab::Key;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
    generation: u32,
    queue: u8,
}

const FREE: Link = Link { previous: NONE, next: NONE, generation: 0, queue: u8::MAX };

#[derive(Clone, Copy)]
struct Ends {
    head: u32,
    tail: u32,
}

/// `N` queues; a stream is in at most one of them, once.
pub(super) struct Queues<const N: usize> {
    links: Vec<Link>,
    ends: [Ends; N],
}

impl<const N: usize> Queues<N> {
    pub(super) const fn new() -> Self {
        Self { links: Vec::new(), ends: [Ends { head: NONE, tail: NONE }; N] }
    }

    fn link(&mut self, index: u32) -> Option<&mut Link> {
        self.links.get_mut(index as usize)
    }

    /// The queue that the stream is in.
    pub(super) fn queue_of(&self, key: Key) -> Option<usize> {
        let link = self.links.get(key.index as usize)?;
        (link.queue != u8::MAX && link.generation == key.generation).then_some(usize::from(link.queue))
    }

    pub(super) fn is_empty(&self, queue: usize) -> bool {
        self.ends.get(queue).is_none_or(|ends| ends.head == NONE)
    }

    pub(super) fn front(&self, queue: usize) -> Option<Key> {
        let index = self.ends.get(queue)?.head;
        self.links.get(index as usize).map(|link| Key { index, generation: link.generation })
    }

    /// Appends the stream; if it is in some queue already it stays where it is.
    pub(super) fn push_back(&mut self, queue: usize, key: Key) {
        if self.links.len() <= key.index as usize {
            self.links.resize(key.index as usize + 1, FREE);
        }
        let Some(ends) = self.ends.get_mut(queue) else { return };
        let Some(link) = self.links.get_mut(key.index as usize) else { return };
        if link.queue != u8::MAX {
            return;
        }
        let tail = core::mem::replace(&mut ends.tail, key.index);
        *link = Link { previous: tail, next: NONE, generation: key.generation, queue: queue as u8 };
        if tail == NONE {
            ends.head = key.index;
        } else if let Some(before) = self.link(tail) {
            before.next = key.index;
        }
    }

    /// Takes the stream out of whatever queue it is in.
    pub(super) fn remove(&mut self, key: Key) {
        let Some(queue) = self.queue_of(key) else { return };
        let Some(link) = self.link(key.index) else { return };
        let Link { previous, next, .. } = core::mem::replace(link, FREE);
        let Some(ends) = self.ends.get_mut(queue) else { return };
        if previous == NONE {
            ends.head = next;
        }
        if next == NONE {
            ends.tail = previous;
        }
        if let Some(link) = self.link(previous) {
            link.next = next;
        }
        if let Some(link) = self.link(next) {
            link.previous = previous;
        }
    }

    pub(super) fn pop_front(&mut self, queue: usize) -> Option<Key> {
        let key = self.front(queue)?;
        self.remove(key);
        Some(key)
    }

    /// Moves the first stream to the end.
    pub(super) fn rotate(&mut self, queue: usize) {
        if let Some(key) = self.pop_front(queue) {
            self.push_back(queue, key);
        }
    }

    /// Bytes of memory held.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.links.capacity() * size_of::<Link>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::VecDeque;
    use proptest::prelude::*;

    fn key(index: u32) -> Key {
        Key { index, generation: 7 }
    }

    proptest! {
        #[test]
        fn behaves_like_deques(steps in proptest::collection::vec((0u8..4, 0usize..3, 0u32..8), 1..200)) {
            let mut queues = Queues::<3>::new();
            let mut model = [VecDeque::new(), VecDeque::new(), VecDeque::new()];
            for (step, queue, index) in steps {
                match step {
                    0 => {
                        if !model.iter().any(|queue| queue.contains(&index)) {
                            model[queue].push_back(index);
                        }
                        queues.push_back(queue, key(index));
                    }
                    1 => {
                        model.iter_mut().for_each(|queue| queue.retain(|&other| other != index));
                        queues.remove(key(index));
                    }
                    2 => prop_assert_eq!(queues.pop_front(queue), model[queue].pop_front().map(key)),
                    _ => {
                        if let Some(first) = model[queue].pop_front() {
                            model[queue].push_back(first);
                        }
                        queues.rotate(queue);
                    }
                }
                for (queue, model) in model.iter().enumerate() {
                    prop_assert_eq!(queues.front(queue), model.front().copied().map(key));
                    prop_assert_eq!(queues.is_empty(queue), model.is_empty());
                    for &index in model {
                        prop_assert_eq!(queues.queue_of(key(index)), Some(queue));
                    }
                }
            }
        }
    }
}

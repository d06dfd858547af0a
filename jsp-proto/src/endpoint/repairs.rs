//! Repairs that take a decode: about 200 microseconds each, so there is a budget, and connections take turns
//! (specification sections 5.2 and 13.21).

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use super::Endpoint;
use crate::bucket::Bucket;
use crate::config::bounds::Bounds;
use crate::fec::Workshop;
use crate::slab::Key;
use crate::time::Instant;

/// Repairs that one poll makes, and connections it looks at for them. Then the program gets a chance to do something
/// else.
const DECODES: usize = 4;
const LOOKS: usize = 64;

/// Connections that wait for a repair, and what they wait for.
pub(super) struct Repairs {
    queue: VecDeque<Key>,
    budget: Bucket,
    /// Made for the first repair.
    workshop: Option<Box<Workshop>>,
}

impl Repairs {
    pub(super) fn new(bounds: &Bounds) -> Self {
        let budget = Bucket::new(Instant::ZERO, bounds.decodes_per_second, bounds.decode_burst);
        Self { queue: VecDeque::new(), budget, workshop: None }
    }

    /// When the next repair can be made, if one waits.
    pub(super) fn deadline(&mut self, now: Instant) -> Option<Instant> {
        (!self.queue.is_empty()).then(|| self.budget.ready_at(now).max(now.plus_nanos(1)))
    }
}

impl Endpoint {
    /// Puts a connection that wants a repair at the end of the queue.
    pub(super) fn queue_repair(&mut self, key: Key) {
        if let Some(entry) = self.connections.get_mut(key)
            && entry.connection.wants_decode()
            && !core::mem::replace(&mut entry.waits_for_repair, true)
        {
            self.repairs.queue.push_back(key);
        }
    }

    /// Makes the repairs that the budget allows, one of each connection in turn.
    pub(super) fn repair(&mut self, now: Instant) {
        let mut decodes = 0;
        for _ in 0..LOOKS {
            if decodes >= DECODES || self.repairs.queue.is_empty() || self.repairs.budget.ready_at(now) > now {
                return;
            }
            let Some(key) = self.repairs.queue.pop_front() else { return };
            let Some(entry) = self.connections.get_mut(key) else { continue };
            entry.waits_for_repair = false;
            let workshop = self.repairs.workshop.get_or_insert_with(|| Box::new(Workshop::new()));
            if entry.connection.decode(now, workshop) {
                self.repairs.budget.take(now);
                decodes += 1;
            }
            self.touch(key);
        }
    }
}

//! Who may send next (specification section 4.8, corrected by 13.15).
//!
//! Eight bands, the top three bits of the priority, are served strictly in order; inside a band lost data goes before
//! new data, and streams with new data share by deficit round robin. Every 16th packet begins in another band below
//! the top one, in turn, so that none starves. Streams that lack connection credit are set aside, so that the work for
//! a packet follows the number of streams served.

use super::queue::Queues;
use crate::slab::Key;
use crate::time::Instant;

pub(super) const BANDS: usize = 8;
/// One packet of payload, the largest quantum, bytes.
const QUANTUM: i32 = 1200;
/// How many streams are tried again at once when connection credit arrives.
const WAKE_BATCH: usize = 64;
const STARVATION_SLOT: u8 = 16;
/// How long a band counts as active after it was served, nanoseconds.
const LATELY: u64 = 1_000_000_000;

/// The place of a priority.
pub(super) const fn band(priority: u8) -> usize {
    (priority >> 5) as usize
}

/// The share of a priority inside its band, 1 to 32.
const fn weight(priority: u8) -> u8 {
    (priority & 31) + 1
}

pub(super) struct Sched {
    /// Streams with lost data, by band.
    lost: Queues<BANDS>,
    /// Streams with new data, by band; then two sets of bands of streams that wait for connection credit: those to be
    /// tried, and those that were tried since credit last arrived. `flipped` says which set is which.
    fresh: Queues<{ 3 * BANDS }>,
    flipped: bool,
    /// The least credit that any tried stream needs.
    least_need: u64,
    /// Largest weight in the band since it was last empty: its streams get a whole quantum each round.
    heaviest: [u8; BANDS],
    packets: u8,
    /// The band that last had its turn out of order.
    turn: u8,
    /// When each band was last served, in nanoseconds; 0 if never.
    served: [u64; BANDS],
}

impl Sched {
    pub(super) const fn new() -> Self {
        Self {
            lost: Queues::new(),
            fresh: Queues::new(),
            flipped: false,
            least_need: u64::MAX,
            heaviest: [0; BANDS],
            packets: 0,
            turn: 0,
            served: [0; BANDS],
        }
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.lost.memory() + self.fresh.memory()
    }

    const fn untried(&self) -> usize {
        if self.flipped { 2 * BANDS } else { BANDS }
    }

    const fn tried(&self) -> usize {
        if self.flipped { BANDS } else { 2 * BANDS }
    }

    /// The stream has lost data, or has none.
    pub(super) fn set_lost(&mut self, key: Key, priority: u8, has: bool) {
        if has {
            self.lost.push_back(band(priority), key);
        } else {
            self.lost.remove(key);
        }
    }

    /// The stream has new data that may be sent.
    pub(super) fn set_ready(&mut self, key: Key, priority: u8) {
        if self.fresh.queue_of(key).is_some_and(|queue| queue >= BANDS) {
            self.fresh.remove(key);
        }
        let band = band(priority);
        let empty = self.fresh.is_empty(band);
        if let Some(heaviest) = self.heaviest.get_mut(band) {
            *heaviest = if empty { weight(priority) } else { (*heaviest).max(weight(priority)) };
        }
        self.fresh.push_back(band, key);
    }

    /// The stream has new data and needs this much connection credit, which is not there.
    pub(super) fn set_waiting(&mut self, key: Key, priority: u8, need: u64) {
        self.least_need = self.least_need.min(need);
        self.fresh.remove(key);
        self.fresh.push_back(self.tried() + band(priority), key);
    }

    /// The stream has no new data that may be sent.
    pub(super) fn set_idle(&mut self, key: Key) {
        self.fresh.remove(key);
    }

    /// The stream is gone, or changes its priority.
    pub(super) fn forget(&mut self, key: Key) {
        self.lost.remove(key);
        self.fresh.remove(key);
    }

    fn has_untried(&self) -> bool {
        (0..BANDS).any(|band| !self.fresh.is_empty(self.untried() + band))
    }

    /// Some streams that wait for connection credit might go on with this much.
    fn may_wake(&self, credit: u64) -> bool {
        credit > 0 && (self.has_untried() || credit >= self.least_need)
    }

    /// Picks streams that wait for connection credit, the most urgent first, for another try.
    pub(super) fn wake(&mut self, credit: u64, woken: &mut alloc::vec::Vec<Key>) {
        woken.clear();
        if !self.may_wake(credit) {
            return;
        }
        if !self.has_untried() {
            self.flipped = !self.flipped;
            self.least_need = u64::MAX;
        }
        for band in (0..BANDS).rev() {
            while woken.len() < WAKE_BATCH
                && let Some(key) = self.fresh.pop_front(self.untried() + band)
            {
                woken.push(key);
            }
        }
    }

    fn has_band(&self, band: usize) -> bool {
        !self.lost.is_empty(band) || !self.fresh.is_empty(band)
    }

    pub(super) fn wants(&self, credit: u64) -> bool {
        (0..BANDS).any(|band| self.has_band(band)) || self.may_wake(credit)
    }

    pub(super) fn highest_band(&self) -> Option<usize> {
        (0..BANDS).rev().find(|&band| self.has_band(band))
    }

    /// Something of this band was sent.
    pub(super) fn note_served(&mut self, now: Instant, band: usize) {
        if let Some(at) = self.served.get_mut(band) {
            *at = now.as_nanos().max(1);
        }
    }

    /// Whether a band above everything that waits was served lately, so that more of it may come at any moment.
    pub(super) fn is_outranked(&self, now: Instant) -> bool {
        let Some(top) = self.highest_band() else { return false };
        let lately = now.as_nanos().saturating_sub(LATELY);
        self.served.iter().skip(top + 1).any(|&at| at > lately)
    }

    /// The band that the next packet begins with.
    pub(super) fn first_band(&mut self) -> Option<usize> {
        let top = self.highest_band()?;
        if self.packets % STARVATION_SLOT != STARVATION_SLOT - 1 {
            return Some(top);
        }
        let turn = usize::from(self.turn);
        let below = (0..turn.min(top)).rev().find(|&band| self.has_band(band));
        let below = below.or_else(|| (0..top).rev().find(|&band| self.has_band(band)));
        if let Some(band) = below {
            self.turn = band as u8;
        }
        below.or(Some(top))
    }

    /// A packet with data was filled.
    pub(super) fn packet_done(&mut self) {
        self.packets = self.packets.wrapping_add(1);
    }

    pub(super) fn front_lost(&self, band: usize) -> Option<Key> {
        self.lost.front(band)
    }

    pub(super) fn front_fresh(&self, band: usize) -> Option<Key> {
        self.fresh.front(band)
    }

    pub(super) fn rotate(&mut self, band: usize) {
        self.fresh.rotate(band);
    }

    /// What a stream of this priority may send per round, bytes.
    pub(super) fn quantum(&self, priority: u8) -> i32 {
        let heaviest = self.heaviest.get(band(priority)).copied().unwrap_or(1).max(1);
        QUANTUM * i32::from(weight(priority)) / i32::from(heaviest)
    }
}

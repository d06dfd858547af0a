//! Counters and rates per network prefix: how an endpoint bounds what strangers take up (specification section 7).

use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::net::{IpAddr, SocketAddr};

use crate::bucket::Bucket;
use crate::map::{KeyedHash, Map};
use crate::time::Instant;

/// The network an address belongs to, as far as a stranger can choose within it: /24 of IPv4, /64 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Prefix(u64);

impl Prefix {
    pub(super) fn of(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => Self(0xffff_0000_0000 | u64::from(u32::from(ip) >> 8)),
            IpAddr::V6(ip) => Self((u128::from(ip) >> 64) as u64),
        }
    }
}

/// How many of something each prefix has.
pub(super) struct PerPrefix {
    counts: Map<Prefix, u32>,
}

impl PerPrefix {
    pub(super) fn new(hash: KeyedHash) -> Self {
        Self { counts: Map::with_hasher(hash) }
    }

    pub(super) fn of(&self, prefix: Prefix) -> u32 {
        self.counts.get(&prefix).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, prefix: Prefix) {
        *self.counts.entry(prefix).or_insert(0) += 1;
    }

    pub(super) fn remove(&mut self, prefix: Prefix) {
        if let Some(count) = self.counts.get_mut(&prefix) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&prefix);
            }
        }
    }
}

/// How often something may be done for each prefix, in a table of fixed size.
///
/// Each prefix has the slot that a keyed hash names; those that share a slot share its rate. Nothing is ever displaced,
/// so no flood of prefixes makes an old one new. What is done is charged to the prefix and to a total at once, or to
/// neither: the total bounds how many slots can be used up at a time (20 of 4096 for KEYINFO), and with it the chance
/// that one network uses up the slot of another.
pub(super) struct PerPrefixRate {
    hash: KeyedHash,
    /// Nanoseconds that one event takes to be earned back, and what may be owed.
    cost: u64,
    burst: u64,
    /// For each slot, when nothing will be owed any more. Made for the first event: 32 KiB.
    settled: Vec<Instant>,
}

impl PerPrefixRate {
    const SLOTS: usize = 4096;

    pub(super) fn new(hash: KeyedHash, per_second: u32, burst: u32) -> Self {
        let cost = 1_000_000_000 / u64::from(per_second.max(1));
        Self { hash, cost, burst: cost.saturating_mul(u64::from(burst)), settled: Vec::new() }
    }

    /// Takes one event of `prefix` and of `total`, or neither.
    pub(super) fn take(&mut self, now: Instant, prefix: Prefix, total: &mut Bucket) -> bool {
        if self.settled.is_empty() {
            self.settled.resize(Self::SLOTS, Instant::ZERO);
        }
        let index = self.hash.hash_one(prefix) as usize % Self::SLOTS;
        let Some(slot) = self.settled.get_mut(index) else { return false };
        let settled = (*slot).max(now).plus_nanos(self.cost);
        let allowed = settled.nanos_since(now) <= self.burst && total.take(now);
        if allowed {
            *slot = settled;
        }
        allowed
    }
}

/// Connections that are not confirmed yet. Clients whose address is proven are counted for themselves: a flood of
/// forged addresses must not keep them out (specification section 13, item 6).
pub(super) struct HalfOpen {
    validated: usize,
    unvalidated: usize,
    per_prefix: PerPrefix,
}

impl HalfOpen {
    pub(super) fn new(hash: KeyedHash) -> Self {
        Self { validated: 0, unvalidated: 0, per_prefix: PerPrefix::new(hash) }
    }

    /// How many there are beside which one more, `validated` or not, would stand.
    pub(super) fn beside(&self, validated: bool) -> usize {
        if validated { self.validated } else { self.unvalidated }
    }

    /// How many there are without proof.
    pub(super) fn unvalidated(&self) -> usize {
        self.unvalidated
    }

    /// How many clients of this network without proof there are.
    pub(super) fn of(&self, prefix: Prefix) -> u32 {
        self.per_prefix.of(prefix)
    }

    /// One more; `prefix` is its network if its address is not proven.
    pub(super) fn add(&mut self, prefix: Option<Prefix>) {
        match prefix {
            Some(prefix) => {
                self.unvalidated += 1;
                self.per_prefix.add(prefix);
            }
            None => self.validated += 1,
        }
    }

    /// One less, which was added with the same `prefix`.
    pub(super) fn remove(&mut self, prefix: Option<Prefix>) {
        match prefix {
            Some(prefix) => {
                self.unvalidated -= 1;
                self.per_prefix.remove(prefix);
            }
            None => self.validated -= 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Drbg, Entropy};

    #[test]
    fn prefixes_group_what_one_host_can_forge() {
        let v4 = |d| Prefix::of(SocketAddr::from(([192, 0, 2, d], 5)));
        assert_eq!(v4(1), v4(200));
        assert_ne!(v4(1), Prefix::of(SocketAddr::from(([192, 0, 3, 1], 5))));
        let mut counts = PerPrefix::new(KeyedHash::new(&mut Drbg::new(&Entropy::new([0; 32]))));
        counts.add(v4(1));
        counts.add(v4(2));
        counts.remove(v4(3));
        assert_eq!(counts.of(v4(9)), 1);
        counts.remove(v4(3));
        assert_eq!(counts.of(v4(9)), 0);
    }

    #[test]
    fn each_network_has_its_rate_and_a_flood_of_them_no_more_than_the_total() {
        let hash = KeyedHash::new(&mut Drbg::new(&Entropy::new([0; 32])));
        let network = |number: u32| Prefix::of(SocketAddr::from(((number << 8).to_be_bytes(), 5)));
        let mut rate = PerPrefixRate::new(hash, 10, 10);
        let mut total = Bucket::new(Instant::ZERO, 100, 100);
        let start = Instant::from_nanos(1_000_000_000);
        let taken = |rate: &mut PerPrefixRate, total: &mut Bucket, at, prefixes: &mut dyn Iterator<Item = u32>| {
            prefixes.filter(|&number| rate.take(at, network(number), total)).count()
        };
        assert_eq!(taken(&mut rate, &mut total, start, &mut core::iter::repeat_n(1, 50)), 10);
        assert_eq!(taken(&mut rate, &mut total, start, &mut core::iter::repeat_n(2, 50)), 10, "another network");
        // What the total refuses is not charged to a prefix.
        assert_eq!(taken(&mut rate, &mut total, start, &mut (3..100_000)), 80);
        assert_eq!(rate.settled.len(), PerPrefixRate::SLOTS);
        let later = start.plus_nanos(500_000_000);
        assert_eq!(taken(&mut rate, &mut total, later, &mut core::iter::repeat_n(1, 50)), 5);
        assert_eq!(taken(&mut rate, &mut total, later, &mut core::iter::repeat_n(9_999_999, 50)), 10);
        // Time that stands still or goes back earns nothing.
        assert_eq!(taken(&mut rate, &mut total, start, &mut core::iter::repeat_n(1, 50)), 0);
    }
}

//! Counters per network prefix: how an endpoint bounds what strangers take up (specification section 7).

use core::net::{IpAddr, SocketAddr};

use crate::map::{KeyedHash, Map};

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
}

//! Several endpoints behind one address: whose connection an id names (specification sections 3.7 and 13, items 8, 9
//! and 22).
//!
//! An id that a shard issues ends with six random bytes and two that say whose it is, under masks that only the shards
//! can compute from the six: nobody else can tell the shard, nor which ids of different paths share one.

use core::fmt;

use siphasher::sip::SipHasher24;

/// Bytes at the end of every connection id that endpoints issue, sharded or not, that tell it from all others.
pub(super) const CORE_LEN: usize = 8;

const RANDOM: usize = CORE_LEN - 2;

/// Which of several endpoints behind one address this one is: each has its own socket and state machine, and nothing
/// in common with the others but this key and, so that each accepts the address tokens of all, the
/// [`token_secret`](super::ConfigBuilder::token_secret) or [`token_key`](super::ConfigBuilder::token_key) with the
/// [`unix_time_at_origin`](super::ConfigBuilder::unix_time_at_origin).
///
/// The shard's number is part of the connection ids it issues. A datagram of a connection that the system gave to
/// another shard is left as it is there and counted in [`Received::foreign`](crate::Received);
/// [`Endpoint::owner`](crate::Endpoint::owner) names the shard to bring it to.
///
/// A client's first message belongs to the shard where it arrives, whatever its connection id. The system chooses the
/// socket by a hash of the addresses and keeps to it, so that this shard is also the one at which all that follows
/// arrives. Handing strangers to a shard chosen by a hash of their id would put all but one in `count` connections on
/// a shard that the system does not deliver to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u8,
    count: u16,
    key: [u8; 16],
}

impl Shard {
    /// The most shards that an address can have.
    pub const MAX: u16 = 256;

    /// Shard number `index` of `count`, 1 to 256; `index` is below `count`. All shards of an address have the same
    /// `key` of 16 uniformly random bytes. [`ConfigBuilder::build`](super::ConfigBuilder::build) checks the numbers.
    pub const fn new(index: u8, count: u16, key: [u8; 16]) -> Self {
        Self { index, count, key }
    }

    /// The number of this shard.
    pub const fn index(&self) -> u8 {
        self.index
    }

    /// The number of shards of the address.
    pub const fn count(&self) -> u16 {
        self.count
    }

    pub(super) const fn is_valid(&self) -> bool {
        self.count <= Self::MAX && (self.index as u16) < self.count
    }

    /// The low byte of a keyed hash. Inputs of different lengths give independent masks.
    fn mask(&self, input: &[u8]) -> u8 {
        SipHasher24::new_with_key(&self.key).hash(input) as u8
    }

    /// An id of this shard.
    pub(super) fn issue(&self, random: [u8; RANDOM]) -> [u8; CORE_LEN] {
        let [a, b, c, d, e, f] = random;
        let check = self.mask(&[a, b, c, d, e, f, self.index]);
        [a, b, c, d, e, f, self.mask(&random) ^ self.index, check]
    }

    /// The shard that issued `id`. An id that no shard issued passes with a probability of `count` in 65,536.
    fn issuer(&self, id: &[u8]) -> Option<u8> {
        let &[a, b, c, d, e, f, masked, check] = id else { return None };
        let index = masked ^ self.mask(&[a, b, c, d, e, f]);
        let ours = u16::from(index) < self.count && check == self.mask(&[a, b, c, d, e, f, index]);
        ours.then_some(index)
    }

    /// The shard that issued `id`, if it is another one.
    pub(super) fn other_issuer(&self, id: &[u8]) -> Option<u8> {
        self.issuer(id).filter(|issuer| *issuer != self.index)
    }

    /// Whether this shard issued `id`.
    pub(super) fn is_issuer(&self, id: &[u8]) -> bool {
        self.issuer(id) == Some(self.index)
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard").field("index", &self.index).field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::entropy::{Drbg, Entropy};

    proptest! {
        #[test]
        fn an_id_names_its_shard(
            (count, index) in (1..=Shard::MAX).prop_flat_map(|count| (Just(count), 0..count)),
            key: [u8; 16],
            random: [u8; RANDOM],
        ) {
            let shard = Shard::new(index as u8, count, key);
            let id = shard.issue(random);
            prop_assert_eq!(shard.issuer(&id), Some(index as u8));
            prop_assert_eq!(shard.other_issuer(&id), None);
            if count > 1 {
                let next = ((index + 1) % count) as u8;
                prop_assert_eq!(Shard::new(next, count, key).other_issuer(&id), Some(index as u8));
            }
            prop_assert_eq!(&id[..RANDOM], &random[..]);
        }

        #[test]
        fn other_lengths_are_nobodys(id in proptest::collection::vec(any::<u8>(), 0..20)) {
            prop_assume!(id.len() != CORE_LEN);
            prop_assert_eq!(Shard::new(0, 256, [1; 16]).issuer(&id), None);
        }

        #[test]
        fn a_changed_id_passes_one_time_in_256_and_another_key_does_not_help(key: [u8; 16], seed: [u8; 32]) {
            // Every shard number is in use, so that the check byte is all that keeps strangers out.
            let shard = Shard::new(0, 256, key);
            let mut rng = Drbg::new(&Entropy::new(seed));
            let ids: u64 = 16_384;
            let random = (0..ids).filter(|_| shard.issuer(&rng.array::<CORE_LEN>()).is_some()).count();
            let other = Shard::new(9, 256, rng.array());
            let issued_elsewhere = (0..ids).filter(|_| shard.issuer(&other.issue(rng.array())).is_some()).count();
            let mut turned = 0;
            for _ in 0..ids {
                let mut id = shard.issue(rng.array());
                id[RANDOM] ^= 1 + rng.below(255) as u8;
                turned += usize::from(shard.issuer(&id).is_some());
            }
            // 64 are expected, with a deviation of 8.
            for passed in [random, issued_elsewhere, turned] {
                prop_assert!((16..=112).contains(&passed), "{} of {}", passed, ids);
            }
        }
    }

    #[test]
    fn with_few_shards_strangers_pass_as_seldom_as_there_are_few() {
        let shard = Shard::new(0, 4, [3; 16]);
        let mut rng = Drbg::new(&Entropy::new([4; 32]));
        let passed = (0..1 << 20).filter(|_| shard.issuer(&rng.array::<CORE_LEN>()).is_some()).count();
        assert!((30..=100).contains(&passed), "{passed}, 64 are expected");
    }

    /// Whoever sees ids learns nothing about their shard: no byte stays the same, none even prefers a value.
    #[test]
    fn ids_of_one_shard_look_random() {
        let shard = Shard::new(3, 4, [7; 16]);
        let mut rng = Drbg::new(&Entropy::new([8; 32]));
        let ids: Vec<[u8; CORE_LEN]> = (0..65_536).map(|_| shard.issue(rng.array())).collect();
        for at in 0..CORE_LEN {
            let mut seen = [0u32; 256];
            ids.iter().for_each(|id| seen[usize::from(id[at])] += 1);
            // 256 of each are expected, with a deviation of 16.
            assert!(seen.iter().all(|count| (150..=370).contains(count)), "byte {at}: {seen:?}");
        }
        // Nor does the exclusive or of two ids give anything away.
        for at in RANDOM..CORE_LEN {
            let equal = ids.windows(2).filter(|pair| pair[0][at] == pair[1][at]).count();
            assert!((150..=370).contains(&equal), "byte {at}: {equal}");
        }
    }
}

//! Hash maps whose keys a peer may choose: SipHash under a secret key, so that nobody can aim for collisions.

use core::hash::BuildHasher;

use siphasher::sip::SipHasher13;

use crate::entropy::Drbg;

/// Builds SipHash-1-3 hashers under one secret key.
#[derive(Clone, Copy)]
pub(crate) struct KeyedHash(u64, u64);

impl KeyedHash {
    pub(crate) fn new(rng: &mut Drbg) -> Self {
        Self(rng.u64(), rng.u64())
    }
}

impl BuildHasher for KeyedHash {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// A hash map that is safe against chosen keys. Never iterated: the order would not repeat between runs.
pub(crate) type Map<K, V> = hashbrown::HashMap<K, V, KeyedHash>;

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use super::*;
    use crate::entropy::Entropy;
    use alloc::vec::Vec;

    /// Row 54 of specification section 7: keys that collide under one secret do not under another, so nobody who does
    /// not know the secret can choose keys that do.
    #[test]
    fn chosen_keys_collide_under_no_other_secret() {
        let hash = |seed| KeyedHash::new(&mut Drbg::new(&Entropy::new([seed; 32])));
        let (theirs, ours) = (hash(1), hash(2));
        let slot = |hash: &KeyedHash, key: &SocketAddr| hash.hash_one(key) & 0xff;
        let keys = (0..=u16::MAX).map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        let chosen: Vec<_> = keys.filter(|key| slot(&theirs, key) == 0).collect();
        assert!(chosen.len() > 200, "one of 256: {}", chosen.len());
        let together = chosen.iter().filter(|key| slot(&ours, key) == 0).count();
        assert!(together < 10, "{together} of {} collide", chosen.len());
        assert_eq!(ours.hash_one(chosen[0]), hash(2).hash_one(chosen[0]), "the secret alone decides");
    }
}

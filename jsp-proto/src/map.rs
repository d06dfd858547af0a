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

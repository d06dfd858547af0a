//! The only source of randomness: 32 bytes from the caller, stretched by one generator per endpoint.

use chacha20::cipher::{KeyIvInit, StreamCipher};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The seed of an endpoint's random generator: 32 uniformly random bytes from the operating system.
///
/// The same seed and the same inputs give the same bytes out, so a run can be replayed. Two endpoints that share a
/// seed share their keys: outside tests, never use a seed twice.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Entropy([u8; 32]);

impl Entropy {
    /// Takes 32 uniformly random bytes.
    pub const fn new(seed: [u8; 32]) -> Self {
        Self(seed)
    }
}

impl core::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Entropy(..)")
    }
}

const POOL: usize = 256;

/// A deterministic random generator: the ChaCha20 key stream, rekeyed from itself at every refill so that a stolen
/// state does not reveal earlier output.
pub(crate) struct Drbg {
    key: [u8; 32],
    pool: [u8; POOL],
    used: usize,
}

impl Drbg {
    pub(crate) fn new(entropy: &Entropy) -> Self {
        Self { key: entropy.0, pool: [0; POOL], used: POOL }
    }

    /// A generator of its own for one part, independent of this one's later output.
    pub(crate) fn fork(&mut self) -> Self {
        Self { key: self.array(), pool: [0; POOL], used: POOL }
    }

    fn refill(&mut self) {
        let mut cipher = chacha20::ChaCha20::new(&self.key.into(), &[0u8; 12].into());
        self.pool.fill(0);
        cipher.apply_keystream(&mut self.pool);
        let (next_key, _) = self.pool.split_at(32);
        self.key.copy_from_slice(next_key);
        self.pool[..32].zeroize();
        self.used = 32;
    }

    pub(crate) fn fill(&mut self, mut out: &mut [u8]) {
        while !out.is_empty() {
            if self.used == POOL {
                self.refill();
            }
            let take = out.len().min(POOL - self.used);
            let (head, tail) = out.split_at_mut(take);
            let source = &mut self.pool[self.used..self.used + take];
            head.copy_from_slice(source);
            source.zeroize();
            self.used += take;
            out = tail;
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A number in `0..bound`; `bound` of zero gives zero. The bias is below 2^-32 for bounds below 2^32.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.u64()) * u128::from(bound)) >> 64) as u64
    }
}

impl Drop for Drbg {
    fn drop(&mut self) {
        self.key.zeroize();
        self.pool.zeroize();
    }
}

/// A generator for a part that draws seldom: a fraction of the memory, and each draw costs as much as many.
pub(crate) struct Seldom([u8; 32]);

impl Seldom {
    pub(crate) fn new(mut rng: Drbg) -> Self {
        Self(rng.array())
    }

    /// As [`Drbg::below`].
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let mut rng = Drbg::new(&Entropy(self.0));
        let drawn = rng.below(bound);
        self.0 = rng.array();
        drawn
    }
}

impl Drop for Seldom {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_stream_whatever_the_read_sizes() {
        let mut a = Drbg::new(&Entropy::new([7; 32]));
        let mut b = Drbg::new(&Entropy::new([7; 32]));
        let mut whole = [0u8; 1000];
        a.fill(&mut whole);
        let mut parts = [0u8; 1000];
        for chunk in parts.chunks_mut(13) {
            b.fill(chunk);
        }
        assert_eq!(whole, parts);
        assert_ne!(a.fork().u64(), a.u64());
        assert_ne!(Drbg::new(&Entropy::new([8; 32])).u64(), Drbg::new(&Entropy::new([7; 32])).u64());
    }

    #[test]
    fn below_stays_below() {
        let mut rng = Drbg::new(&Entropy::new([1; 32]));
        for bound in [1, 2, 3, 1000] {
            for _ in 0..200 {
                assert!(rng.below(bound) < bound);
            }
        }
        assert_eq!(rng.below(0), 0);
    }
}

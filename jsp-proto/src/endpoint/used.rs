//! Which tokens for later connections were used: each validates an address once (specification sections 2.9 and 13,
//! item 9).

use alloc::vec;
use alloc::vec::Vec;

use crate::crypto::token::CLOCK_SKEW;

/// Tokens that one generation remembers, in so many bits.
const TOKENS: u32 = 1 << 20;
const BITS: usize = 1 << 23;
/// Bits of each token. A full generation takes 2.4 % of unused tokens for used ones.
const HASHES: u32 = 4;

/// A Bloom filter of two generations, 1 MiB each, made when the first token is used. A generation ends when it is full
/// or a token's lifetime old, and is forgotten when the next one ends.
///
/// Tokens that were used in a forgotten generation are expired, or else refused by the time of their issue: none is
/// good twice, however many are used. An unused token may be refused by mistake, which costs its client a round trip.
pub(super) struct UsedTokens {
    lifetime: u32,
    current: Generation,
    previous: Generation,
    /// Tokens issued up to this second may have been used and forgotten.
    forgotten: Option<u32>,
}

#[derive(Default)]
struct Generation {
    bits: Vec<u8>,
    tokens: u32,
    /// When it began, in seconds.
    since: u32,
}

impl Generation {
    fn contains(&self, nonce: &[u8; 12]) -> bool {
        places(nonce).all(|(at, bit)| self.bits.get(at).is_some_and(|byte| byte & bit != 0))
    }
}

/// Byte and bit of each hash. The nonces are the server's own random numbers, which nobody else can choose: their bits
/// serve as hashes.
fn places(nonce: &[u8; 12]) -> impl Iterator<Item = (usize, u8)> {
    let number = nonce.iter().fold(0u128, |number, byte| number << 8 | u128::from(*byte));
    (0..HASHES).map(move |hash| {
        let place = (number >> (hash * BITS.ilog2())) as usize % BITS;
        (place / 8, 1 << (place % 8))
    })
}

impl UsedTokens {
    pub(super) fn new(lifetime: u32) -> Self {
        Self { lifetime, current: Generation::default(), previous: Generation::default(), forgotten: None }
    }

    /// Whether the token with this nonce, issued at second `issued`, was certainly not used before.
    pub(super) fn is_unused(&self, nonce: &[u8; 12], issued: u32) -> bool {
        self.forgotten.is_none_or(|forgotten| issued > forgotten)
            && !self.current.contains(nonce)
            && !self.previous.contains(nonce)
    }

    /// Remembers at second `now` that the token with this nonce was used.
    pub(super) fn insert(&mut self, nonce: &[u8; 12], now: u32) {
        if self.current.tokens >= TOKENS || now.saturating_sub(self.current.since) >= self.lifetime {
            self.turn(now);
        }
        if self.current.bits.is_empty() {
            self.current.bits = vec![0; BITS / 8];
        }
        for (at, bit) in places(nonce) {
            if let Some(byte) = self.current.bits.get_mut(at) {
                *byte |= bit;
            }
        }
        self.current.tokens += 1;
    }

    fn turn(&mut self, now: u32) {
        if self.previous.tokens > 0 {
            // Whatever was used before the current generation began was issued before, by some clock of the cluster.
            self.forgotten = Some(self.current.since.saturating_add(CLOCK_SKEW));
        }
        core::mem::swap(&mut self.previous, &mut self.current);
        self.current.bits.fill(0);
        (self.current.tokens, self.current.since) = (0, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Drbg, Entropy};

    const DAY: u32 = 86_400;

    fn rng() -> Drbg {
        Drbg::new(&Entropy::new([1; 32]))
    }

    #[test]
    fn a_token_is_unused_until_it_is_used() {
        let (mut used, mut rng) = (UsedTokens::new(DAY), rng());
        let nonces: Vec<[u8; 12]> = (0..1000).map(|_| rng.array()).collect();
        assert!(nonces.iter().all(|nonce| used.is_unused(nonce, 7)));
        assert_eq!(used.current.bits.capacity(), 0, "memory comes with the first use");
        nonces.iter().for_each(|nonce| used.insert(nonce, 8));
        assert!(!nonces.iter().any(|nonce| used.is_unused(nonce, 7)));
        assert!((0..1000).all(|_| used.is_unused(&rng.array(), 7)), "few are refused by mistake");
    }

    #[test]
    fn used_tokens_are_remembered_for_their_lifetime() {
        let (mut used, mut rng) = (UsedTokens::new(DAY), rng());
        let nonces: Vec<[u8; 12]> = (0..100).map(|_| rng.array()).collect();
        // One each hour, used as soon as it is issued.
        for (hour, nonce) in (0u32..).zip(&nonces) {
            let now = 1_000_000 + hour * 3600;
            used.insert(nonce, now);
            for (earlier, nonce) in (0..=hour).zip(&nonces) {
                let issued = 1_000_000 + earlier * 3600;
                assert!(now - issued > DAY || !used.is_unused(nonce, issued), "used {earlier}, now {hour}");
            }
        }
        assert!(used.is_unused(&rng.array(), 1_000_000 + 76 * 3600), "most that are in time are not refused");
    }

    #[test]
    fn a_full_generation_ends_early_and_no_token_gets_a_second_chance() {
        let (mut used, mut rng) = (UsedTokens::new(DAY), rng());
        let first: [u8; 12] = rng.array();
        used.insert(&first, 10);
        // As fast as the bound on handshakes allows.
        for number in 0..3 * TOKENS {
            used.insert(&rng.array(), 10 + number / 1000);
        }
        let now = 10 + 3 * TOKENS / 1000;
        assert!(!used.is_unused(&first, 10));
        assert!(!used.previous.contains(&first) && !used.current.contains(&first), "it is forgotten");
        assert_eq!(used.current.bits.len() + used.previous.bits.len(), 2 << 20);
        let refused = (0..10_000).filter(|_| !used.is_unused(&rng.array(), now)).count();
        assert!(refused < 600, "{refused} of 10,000 new tokens are refused by mistake");
    }
}

//! The keys of address tokens and their turns (specification section 2.9).
//!
//! A key takes its turn without a word between servers: it is derived from a secret and the number of the present
//! period, counted from 1970. An endpoint draws the secret; shards and clusters share one. A key that the program gives
//! stays until the program gives another.

use core::net::{IpAddr, SocketAddr};

use crate::config::Tokens;
use crate::crypto::token::{NewToken, NewTokenKey, TokenKey, TokenSecret};
use crate::entropy::Drbg;

/// One key in its two uses.
struct Key {
    retry: TokenKey,
    later: NewTokenKey,
}

impl Key {
    fn new(retry: TokenKey) -> Self {
        let later = retry.new_token_key();
        Self { retry, later }
    }
}

/// The keys of one endpoint.
pub(super) struct TokenKeys {
    current: Key,
    /// Whose tokens are good as well: the key before, and the one that servers with a clock that is ahead use already.
    others: [Option<Key>; 2],
    rotation: Option<Rotation>,
}

struct Rotation {
    secret: TokenSecret,
    /// Seconds of a period, and the number of the present one.
    period: u64,
    number: u64,
}

impl Rotation {
    fn key(&self, number: u64) -> Key {
        Key::new(self.secret.key(number))
    }

    fn keys(&self) -> (Key, [Option<Key>; 2]) {
        let before = self.number.checked_sub(1).map(|number| self.key(number));
        (self.key(self.number), [before, Some(self.key(self.number.saturating_add(1)))])
    }
}

impl TokenKeys {
    pub(super) fn new(config: &Tokens, seconds: u64, rng: &mut Drbg) -> Self {
        if let Some(key) = config.key {
            return Self { current: Key::new(TokenKey::new(key)), others: [None, None], rotation: None };
        }
        let secret = TokenSecret::new(config.secret.unwrap_or_else(|| rng.array()));
        let period = config.rotation.as_secs().max(1);
        let rotation = Rotation { secret, period, number: seconds / period };
        let (current, others) = rotation.keys();
        Self { current, others, rotation: Some(rotation) }
    }

    /// The program's keys from now on.
    pub(super) fn set(&mut self, current: [u8; 32], previous: Option<[u8; 32]>) {
        self.current = Key::new(TokenKey::new(current));
        self.others = [previous.map(|key| Key::new(TokenKey::new(key))), None];
        self.rotation = None;
    }

    /// The next key takes its turn if it is time.
    pub(super) fn advance(&mut self, seconds: u64) {
        if let Some(rotation) = &mut self.rotation
            && rotation.number != seconds / rotation.period
        {
            rotation.number = seconds / rotation.period;
            (self.current, self.others) = rotation.keys();
        }
    }

    /// The key that RETRY and KEYINFO are made with.
    pub(super) fn retry(&self) -> &TokenKey {
        &self.current.retry
    }

    /// The key that tokens for later connections are made with.
    pub(super) fn later(&self) -> &NewTokenKey {
        &self.current.later
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        core::iter::once(&self.current).chain(self.others.iter().flatten())
    }

    /// Checks a token of type 01; see [`TokenKey::verify_retry`].
    pub(super) fn verify_retry<'t>(
        &self,
        token: &'t [u8],
        dcid: &[u8],
        address: SocketAddr,
        now: u32,
    ) -> Option<&'t [u8]> {
        self.all().find_map(|key| key.retry.verify_retry(token, dcid, address, now))
    }

    /// Checks a token of type 02; see [`NewTokenKey::open`].
    pub(super) fn verify_later(&self, token: &[u8], ip: IpAddr, now: u32, lifetime: u32) -> Option<NewToken> {
        self.all().find_map(|key| key.later.open(token, ip, now, lifetime))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::time::Duration;

    use super::*;
    use crate::entropy::Entropy;

    const HERE: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));

    fn keys(secret: u8, seconds: u64) -> TokenKeys {
        let rotation = Duration::from_secs(100);
        let config = Tokens { secret: Some([secret; 32]), rotation, ..Tokens::default() };
        TokenKeys::new(&config, seconds, &mut Drbg::new(&Entropy::new([9; 32])))
    }

    fn token(keys: &TokenKeys) -> Vec<u8> {
        keys.later().seal([1; 12], 1000, HERE).to_vec()
    }

    fn accepts(keys: &TokenKeys, token: impl AsRef<[u8]>) -> bool {
        keys.verify_later(token.as_ref(), HERE, 1000, 86_400).is_some()
    }

    #[test]
    fn keys_take_turns_and_the_one_before_is_kept() {
        let mut server = keys(1, 1000);
        let old = token(&server);
        server.advance(1099);
        assert_eq!(token(&server), old);
        server.advance(1100);
        assert_ne!(token(&server), old);
        assert!(accepts(&server, &old));
        server.advance(1199);
        assert!(accepts(&server, &old));
        server.advance(1200);
        assert!(!accepts(&server, &old), "two turns later it is forgotten");
    }

    #[test]
    fn who_shares_the_secret_has_the_same_keys_at_any_time() {
        let (mut one, two, stranger) = (keys(1, 1000), keys(1, 1100), keys(2, 1000));
        assert!(accepts(&one, token(&two)), "its clock is ahead");
        assert!(accepts(&two, token(&one)), "the key before");
        one.advance(1100);
        assert_eq!(token(&one), token(&two));
        assert!(!accepts(&one, token(&stranger)));
    }

    #[test]
    fn a_given_key_stays_until_another_is_given() {
        let config = Tokens { key: Some([7; 32]), ..Tokens::default() };
        let mut server = TokenKeys::new(&config, 0, &mut Drbg::new(&Entropy::new([9; 32])));
        let first = token(&server);
        server.advance(1 << 40);
        assert_eq!(token(&server), first);
        server.set([8; 32], Some([7; 32]));
        assert_ne!(token(&server), first);
        assert!(accepts(&server, &first));
        server.set([9; 32], Some([8; 32]));
        assert!(!accepts(&server, &first));
    }
}

//! Address tokens as an endpoint hands them out and takes them back (specification sections 2.9 and 13, items 2 and 9).

use alloc::vec::Vec;

use super::Endpoint;
use crate::conn::Path;
use crate::crypto::token::{is_new_token, is_retry_token};
use crate::slab::Key;
use crate::time::Instant;
use crate::wire::Cid;
use crate::wire::header::LongHeader;

/// What the token field of a first message is worth.
pub(super) enum Token {
    /// Nothing: there is none, or none that this server still knows.
    None,
    /// A retry token that does not verify: the client expects an answer, but gets no work done for it.
    Stale,
    /// The address is proven, and this was the attempt's first connection id.
    Retried(Cid),
    /// The address was proven earlier. The number by which the token is used only once.
    Earlier([u8; 12]),
}

impl Endpoint {
    /// Replaces the keys of address tokens: `current` makes them, and those of `previous` are accepted as well. For
    /// servers that hand out their keys by means of their own; from now on no key takes its turn by itself. To be called
    /// at all servers of an address, first with the new key as `previous`, then with it as `current`: then none gets a
    /// token whose key it does not know yet.
    pub fn set_token_keys(&mut self, current: [u8; 32], previous: Option<[u8; 32]>) {
        self.token_keys.set(current, previous);
    }

    /// Wall time in seconds, which tokens carry.
    pub(super) fn seconds(&self, now: Instant) -> u64 {
        self.config.unix_time_at_origin.saturating_add(now.as_nanos() / 1_000_000_000)
    }

    /// The same, and the key that is used then.
    fn token_time(&mut self, now: Instant) -> u32 {
        let seconds = self.seconds(now);
        self.token_keys.advance(seconds);
        seconds as u32
    }

    pub(super) fn check_token(&mut self, now: Instant, path: Path, header: &LongHeader<'_>) -> Token {
        let (now, token) = (self.token_time(now), header.token);
        if is_retry_token(token) {
            let proven = self.token_keys.verify_retry(token, header.dcid.as_slice(), path.remote, now);
            if let Some(odcid) = proven.and_then(Cid::new) {
                return Token::Retried(odcid);
            }
            self.stats.tokens_rejected += 1;
            return Token::Stale;
        }
        if is_new_token(token) {
            let lifetime = self.config.tokens.lifetime_seconds();
            let known = self.token_keys.verify_later(token, path.remote.ip(), now, lifetime);
            // Whoever uses a token in two attempts at once proves his address in the first alone.
            let fresh = known.filter(|known| {
                self.used_tokens.is_unused(&known.nonce, known.issued) && !self.attempts.holds(&known.nonce)
            });
            if let Some(fresh) = fresh {
                return Token::Earlier(fresh.nonce);
            }
        }
        self.stats.tokens_rejected += u64::from(!token.is_empty());
        Token::None
    }

    /// A message with this token is about to be worked on: the token is used up.
    pub(super) fn use_token(&mut self, now: Instant, nonce: &[u8; 12]) {
        let now = self.seconds(now) as u32;
        self.used_tokens.insert(nonce, now);
    }

    /// The token for a client and the connection id it is bound to: the same for the same client, packet and second.
    pub(super) fn mint(&mut self, now: Instant, path: Path, header: &LongHeader<'_>) -> Option<(Cid, Vec<u8>)> {
        let (issued, odcid) = (self.token_time(now), header.dcid.as_slice());
        let key = self.token_keys.retry();
        let rscid = key.retry_cid(issued, odcid, path.remote);
        // A load balancer has to bring what is sent to this id to a server that knows the key of the token.
        let rscid = self.config.cid_of(*rscid.first_chunk()?);
        let token = key.retry_token(issued, odcid, rscid.as_slice(), path.remote)?;
        Some((rscid, token.as_bytes().to_vec()))
    }

    /// Gives a connection whose client should have a token for later a token for its present address.
    pub(super) fn issue_token(&mut self, key: Key) {
        if !self.connections.get(key).is_some_and(|entry| entry.connection.wants_token()) {
            return;
        }
        let issued = self.token_time(self.now);
        if let Some(entry) = self.connections.get_mut(key) {
            let ip = entry.connection.path().remote.ip();
            let token = self.token_keys.later().seal(self.rng.array(), issued, ip);
            entry.connection.issue_token(&token);
            self.stats.tokens_issued += 1;
        }
    }
}

//! Stateless resets (specification sections 3.8 and 13, item 22): telling peers that their connection is lost, and
//! hearing that from them.

use alloc::vec;
use core::net::SocketAddr;

use super::Endpoint;
use super::demux::Fate;
use super::prefix::{PerPrefixRate, Prefix};
use crate::bucket::Bucket;
use crate::config::bounds::Bounds;
use crate::conn::Path;
use crate::map::{KeyedHash, Map};
use crate::slab::Key;
use crate::stats::DropReason;
use crate::time::Instant;
use crate::wire::Cid;
use crate::wire::reset::{TOKEN_LEN, encode_reset, reset_len, token_of};

type Token = [u8; TOKEN_LEN];

/// Whose tokens are known, and how many resets may be sent.
pub(super) struct Resets {
    /// The tokens that peers gave for their ids in use. Found by a keyed hash, so that the time it takes tells nothing.
    tokens: Map<Token, Key>,
    all: Bucket,
    prefixes: PerPrefixRate,
}

impl Resets {
    pub(super) fn new(bounds: &Bounds, hash: KeyedHash) -> Self {
        let rate = bounds.resets_per_second;
        Self {
            tokens: Map::with_hasher(hash),
            all: Bucket::new(Instant::ZERO, rate, rate),
            prefixes: PerPrefixRate::new(hash, bounds.resets_per_prefix, bounds.resets_per_prefix),
        }
    }

    /// Takes a connection's token out.
    pub(super) fn forget(&mut self, token: Option<Token>, key: Key) {
        // A peer may have given one token for two connections; then it stands for the one that came last.
        if let Some(token) = token
            && self.tokens.get(&token) == Some(&key)
        {
            self.tokens.remove(&token);
        }
    }

    /// Whether one more reset may go to this address. A network that asks too often does not use up what is there for
    /// all.
    fn take(&mut self, now: Instant, to: SocketAddr) -> bool {
        self.prefixes.take(now, Prefix::of(to), &mut self.all)
    }
}

impl Endpoint {
    /// Takes a short-header datagram to an id that no connection of this endpoint has. Only now it matters whether
    /// another shard issued the id, or whether a peer has lost a connection.
    pub(super) fn on_stray(&mut self, now: Instant, path: Path, cid: &Cid, datagram: &[u8]) -> Fate {
        if self.config.other_issuer(cid.as_slice()).is_some() {
            return Fate::Foreign;
        }
        if self.take_reset(now, datagram) {
            return Fate::Accepted;
        }
        self.send_reset(now, path, cid, datagram.len())
    }

    /// Ends the connection whose peer has sent this as a reset, if it is one. Only for datagrams that no connection
    /// has accepted. What failed to open has lost its content, but not its last 16 bytes.
    pub(super) fn take_reset(&mut self, now: Instant, datagram: &[u8]) -> bool {
        let Some(&key) = token_of(datagram).and_then(|token| self.resets.tokens.get(token)) else { return false };
        let Some(entry) = self.connections.get_mut(key) else { return false };
        entry.connection.on_reset(now);
        self.stats.resets_received += 1;
        self.touch(key);
        true
    }

    /// Tells the sender of a datagram of `trigger` bytes that the connection with this id is lost.
    ///
    /// A token is as good as the connection's end, so it is given away only for ids that no other endpoint can have in
    /// use: those whose shard and server id are this endpoint's own. That also makes one key as good as one for each
    /// shard: the token is a function of the id, and the id names the only shard that answers for it.
    fn send_reset(&mut self, now: Instant, path: Path, cid: &Cid, trigger: usize) -> Fate {
        let owned = self.config.server_key.is_some() && self.config.may_have_issued(cid.as_slice());
        let Some(len) = reset_len(trigger).filter(|_| owned) else {
            return Fate::Dropped(DropReason::UnknownConnection);
        };
        let room = self.answers.len() < self.config.bounds.stateless_queue;
        if !room || !self.resets.take(now, path.remote) {
            return Fate::Dropped(DropReason::AnswerLimit);
        }
        let mut datagram = vec![0; len];
        self.rng.fill(&mut datagram);
        encode_reset(&self.reset_key.reset_token(cid.as_slice()), &mut datagram);
        self.answer(path, datagram);
        self.stats.resets_sent += 1;
        Fate::Replied
    }

    /// Keeps the index of tokens in step with a connection: its peer may give one, give another, and it may be over.
    pub(super) fn follow_reset_token(&mut self, key: Key) {
        let Some(entry) = self.connections.get_mut(key) else { return };
        let token = entry.connection.reset_token().copied();
        if token == entry.reset_token {
            return;
        }
        let old = core::mem::replace(&mut entry.reset_token, token);
        self.resets.forget(old, key);
        if let Some(token) = token {
            self.resets.tokens.insert(token, key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Drbg, Entropy};

    fn resets(change: impl FnOnce(&mut Bounds)) -> Resets {
        let mut bounds = Bounds::default();
        change(&mut bounds);
        Resets::new(&bounds, KeyedHash::new(&mut Drbg::new(&Entropy::new([7; 32]))))
    }

    fn host(net: u8, host: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, net, host], 443))
    }

    #[test]
    fn a_network_that_asks_too_often_leaves_enough_for_the_others() {
        let mut resets = resets(|_| {});
        let now = Instant::ZERO;
        assert_eq!((0..=255).filter(|&n| resets.take(now, host(1, n))).count(), 10);
        assert!(resets.take(now, host(2, 1)));
        let others = (0..=255).filter(|&n| resets.take(now, host(n, 9))).count();
        assert!((80..=89).contains(&others), "{others}: 100 in all, fewer where networks share a rate");
        let later = now + core::time::Duration::from_millis(100);
        assert_eq!((0..50).filter(|_| resets.take(later, host(1, 1))).count(), 1);
    }

    #[test]
    fn a_token_given_twice_belongs_to_the_last_and_is_forgotten_with_it() {
        let mut resets = resets(|_| {});
        let (first, last) = (Key { index: 0, generation: 0 }, Key { index: 1, generation: 0 });
        resets.tokens.insert([1; TOKEN_LEN], last);
        resets.forget(Some([1; TOKEN_LEN]), first);
        assert_eq!(resets.tokens.get(&[1; TOKEN_LEN]), Some(&last));
        resets.forget(Some([1; TOKEN_LEN]), last);
        resets.forget(None, last);
        assert!(resets.tokens.is_empty());
    }
}

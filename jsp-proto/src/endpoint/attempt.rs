//! Clients that are not connections yet: fragments of first messages, public-key work under way, the program's
//! decision, and the memory of what is over (specification section 2.8). Everything is bounded and short-lived.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::prefix::{PerPrefix, Prefix};
use crate::config::bounds::{Bounds, HALF_OPEN_LIFETIME, REASSEMBLY_LIFETIME, TOMBSTONE_LIFETIME};
use crate::conn::Path;
use crate::conn::handshake::assembly::Assembly;
use crate::crypto::ServerOpened;
use crate::map::{KeyedHash, Map};
use crate::slab::Key;
use crate::time::Instant;
use crate::wire::Cid;

/// Names an attempt: the client's address and the connection id it chose for the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct AttemptKey {
    pub(super) remote: SocketAddr,
    pub(super) dcid: Cid,
}

/// How far an attempt has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// Fragments are coming in.
    Assembling(Option<Assembly>),
    /// The first half of the public-key work runs.
    Opening,
    /// The program decides.
    Asking(ServerOpened),
    /// The second half runs; a refusal if there is a code.
    Sealing(Sealing),
    /// There is a connection.
    Connected(Key),
    /// It is over. A refusal is repeated to a client that did not hear it.
    Over { refusal: Vec<Vec<u8>>, repeated: Instant },
}

impl Stage {
    fn class(&self) -> Class {
        match self {
            Self::Assembling(_) => Class::Assembling,
            Self::Opening | Self::Asking(_) | Self::Sealing(_) | Self::Connected(_) => Class::Busy,
            Self::Over { .. } => Class::Over,
        }
    }
}

/// What was decided about a client while its answer is being sealed.
#[derive(Debug)]
pub(super) struct Sealing {
    pub(super) scid: Cid,
    pub(super) p1: Vec<u8>,
    pub(super) protocol: Vec<u8>,
    pub(super) client_key: Option<crate::crypto::KeyId>,
    pub(super) authenticates: bool,
    pub(super) refused: bool,
}

/// One client's attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) path: Path,
    pub(super) scid: Cid,
    pub(super) odcid: Cid,
    /// The client's address is proven by a token.
    pub(super) validated: bool,
    /// The number of that token if it has to be used up, until it is.
    pub(super) nonce: Option<[u8; 12]>,
    pub(super) stage: Stage,
    /// Changes with every stage, so that late results and timers find out that they are late.
    pub(super) stamp: u64,
    pub(super) received: u64,
    pub(super) datagrams: u64,
    pub(super) sent: u64,
    /// Hashes of messages whose inner seal failed: not worth a second decapsulation.
    pub(super) failed: Vec<[u8; 32]>,
}

impl Attempt {
    /// Whether it counts: until it is a connection, which then counts itself, or over.
    fn is_pending(&self) -> bool {
        !matches!(self.stage, Stage::Connected(_) | Stage::Over { .. })
    }
}

/// Different messages of one attempt that may fail before the attempt is over.
pub(super) const MAX_FAILURES: usize = 4;

/// What may become of attempts before their time is over. Each kind has a queue of its own, so that finding the oldest
/// of one does not mean looking through the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// May be displaced by validated newcomers.
    Assembling,
    /// Runs its course.
    Busy,
    /// Is only remembered; the oldest gives way to the newest.
    Over,
}

/// Attempts whose memory is kept for the next ones.
const KEPT: usize = 1024;
/// Timers of each class for which there is room from the start.
const TIMERS: usize = 16;

type Timer = (Instant, AttemptKey, u64);

/// All attempts.
pub(super) struct Attempts {
    map: Map<AttemptKey, Attempt>,
    /// Ends of lifetimes, one queue for each [`Class`]. All lifetimes are equal, so each queue is in order. An entry
    /// whose stamp is not the attempt's any more means nothing.
    timers: [VecDeque<Timer>; 3],
    /// Attempts that are pending, and those among them whose address is not proven.
    pending: usize,
    unvalidated: PerPrefix,
    /// All that `unvalidated` counts.
    unvalidated_total: usize,
    /// Of tokens that attempts hold and have not used up.
    nonces: Map<[u8; 12], ()>,
    stamp: u64,
    over: usize,
}

/// Whether a new attempt may be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Yes,
    /// Its network has used its share; a token would help.
    Prefix,
    No,
}

impl Attempts {
    pub(super) fn new(hash: KeyedHash) -> Self {
        Self {
            map: Map::with_hasher(hash),
            // Room for a few from the start: a connection is buried long after its program has warmed up.
            timers: [(); 3].map(|()| VecDeque::with_capacity(TIMERS)),
            pending: 0,
            unvalidated: PerPrefix::new(hash),
            unvalidated_total: 0,
            nonces: Map::with_hasher(hash),
            stamp: 0,
            over: 0,
        }
    }

    pub(super) fn get_mut(&mut self, key: &AttemptKey) -> Option<&mut Attempt> {
        self.map.get_mut(key)
    }

    pub(super) fn get(&self, key: &AttemptKey) -> Option<&Attempt> {
        self.map.get(key)
    }

    /// Attempts that are not over.
    fn live(&self) -> usize {
        self.map.len() - self.over
    }

    /// Attempts from addresses without proof that are on their way to become connections.
    pub(super) fn unvalidated(&self) -> usize {
        self.unvalidated_total
    }

    /// Whether an attempt holds the token with this number.
    pub(super) fn holds(&self, nonce: &[u8; 12]) -> bool {
        self.nonces.contains_key(nonce)
    }

    /// An attempt uses up the token that it holds.
    pub(super) fn take_nonce(&mut self, key: &AttemptKey) -> Option<[u8; 12]> {
        let nonce = self.map.get_mut(key)?.nonce.take()?;
        self.nonces.remove(&nonce);
        Some(nonce)
    }

    /// Attempts that are neither over nor connections.
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// An attempt is not pending any more.
    fn uncount(&mut self, remote: SocketAddr, validated: bool) {
        self.pending -= 1;
        if !validated {
            self.unvalidated.remove(Prefix::of(remote));
            self.unvalidated_total -= 1;
        }
    }

    /// Whether one more fits. Validated newcomers may displace the oldest that is still assembling.
    pub(super) fn room(&mut self, bounds: &Bounds, remote: SocketAddr, validated: bool) -> Room {
        if !validated && self.unvalidated.of(Prefix::of(remote)) >= bounds.reassembly_per_prefix {
            return Room::Prefix;
        }
        if self.live() < bounds.reassembly_entries || validated && self.displace_oldest() {
            return Room::Yes;
        }
        Room::No
    }

    fn displace_oldest(&mut self) -> bool {
        let oldest = self.pop_oldest(Class::Assembling);
        oldest.is_some_and(|key| {
            self.remove(&key);
            true
        })
    }

    /// Takes the oldest attempt of a kind from its queue.
    fn pop_oldest(&mut self, class: Class) -> Option<AttemptKey> {
        loop {
            let (_, key, stamp) = self.timers[class as usize].pop_front()?;
            if self.map.get(&key).is_some_and(|attempt| attempt.stamp == stamp) {
                return Some(key);
            }
        }
    }

    /// Enters a new attempt. It takes the place of one under the same key, which a client that shows a token gives up.
    pub(super) fn insert(&mut self, now: Instant, key: AttemptKey, attempt: Attempt) {
        self.remove(&key);
        self.pending += 1;
        if !attempt.validated {
            self.unvalidated.add(Prefix::of(key.remote));
            self.unvalidated_total += 1;
        }
        if let Some(nonce) = attempt.nonce {
            self.nonces.insert(nonce, ());
        }
        self.map.insert(key, attempt);
        self.restamp(&key, now + REASSEMBLY_LIFETIME);
    }

    /// Moves an attempt on and gives its new stamp.
    pub(super) fn advance(&mut self, now: Instant, key: &AttemptKey, stage: Stage) -> u64 {
        let ended = matches!(stage, Stage::Over { .. });
        let lifetime = match stage {
            Stage::Over { .. } => TOMBSTONE_LIFETIME,
            _ => HALF_OPEN_LIFETIME,
        };
        if let Some(attempt) = self.map.get_mut(key) {
            if ended && !matches!(attempt.stage, Stage::Over { .. }) {
                self.over += 1;
            }
            let pending = attempt.is_pending();
            attempt.stage = stage;
            if pending && !attempt.is_pending() {
                let validated = attempt.validated;
                self.uncount(key.remote, validated);
            }
        }
        self.restamp(key, now + lifetime)
    }

    /// An attempt is over and only remembered.
    pub(super) fn bury(&mut self, now: Instant, key: &AttemptKey, refusal: Vec<Vec<u8>>, bounds: &Bounds) {
        self.advance(now, key, Stage::Over { refusal, repeated: now });
        if self.over > bounds.tombstones {
            let oldest = self.pop_oldest(Class::Over);
            if let Some(oldest) = oldest {
                self.remove(&oldest);
            }
        }
    }

    fn restamp(&mut self, key: &AttemptKey, until: Instant) -> u64 {
        self.stamp += 1;
        if let Some(attempt) = self.map.get_mut(key) {
            attempt.stamp = self.stamp;
            self.timers[attempt.stage.class() as usize].push_back((until, *key, self.stamp));
        }
        self.stamp
    }

    fn remove(&mut self, key: &AttemptKey) {
        if let Some(attempt) = self.map.remove(key) {
            if matches!(attempt.stage, Stage::Over { .. }) {
                self.over -= 1;
            }
            if attempt.is_pending() {
                self.uncount(key.remote, attempt.validated);
            }
            if let Some(nonce) = attempt.nonce {
                self.nonces.remove(&nonce);
            }
        }
    }

    /// When the next lifetime ends.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.timers.iter().filter_map(|timers| timers.front()).map(|&(at, ..)| at).min()
    }

    /// Lets go of what has lived long enough. An attempt that became a connection is remembered a while longer.
    pub(super) fn expire(&mut self, now: Instant, bounds: &Bounds) {
        for class in [Class::Assembling, Class::Busy, Class::Over] {
            while let Some(&(at, key, stamp)) = self.timers[class as usize].front().filter(|(at, ..)| *at <= now) {
                self.timers[class as usize].pop_front();
                let Some(attempt) = self.map.get(&key).filter(|attempt| attempt.stamp == stamp) else { continue };
                if matches!(attempt.stage, Stage::Connected(_)) {
                    self.bury(at, &key, Vec::new(), bounds);
                } else {
                    self.remove(&key);
                }
            }
        }
        self.rest();
    }

    /// Gives back what a crowd needed that is gone.
    fn rest(&mut self) {
        if self.map.is_empty() && self.map.capacity() > KEPT {
            self.map = Map::with_hasher(*self.map.hasher());
        }
        for timers in &mut self.timers {
            if timers.is_empty() && timers.capacity() > KEPT {
                *timers = VecDeque::with_capacity(TIMERS);
            }
        }
    }
}

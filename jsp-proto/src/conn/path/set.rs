//! All paths of a connection: the one in use, the one to fall back to, and those the peer tries.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::super::cids::RemoteCid;
use super::challenge::Challenge;
use super::{Path, PathState};
use crate::bucket::Bucket;
use crate::config::bounds;
use crate::time::Instant;
use crate::wire::Side;

/// Which path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::conn) enum Place {
    /// The one in use.
    InUse,
    /// One of the others.
    Other(usize),
}

/// What an answer to a challenge has proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::conn) enum Proof {
    Nothing,
    /// The path in use works.
    InUse,
    /// The path that was in use before still works, although packets came from elsewhere.
    Fallback,
    /// A path that is not in use works.
    Other,
}

/// The paths of a connection, [`bounds::PATHS`] at most.
pub(in crate::conn) struct Paths {
    side: Side,
    in_use: PathState,
    /// The one that was proven last, while the one in use is not.
    fallback: Option<Box<PathState>>,
    /// Paths over which the peer sends, but which it does not use.
    tried: Vec<PathState>,
    responses: Bucket,
    switches: Bucket,
    /// The latest packet came in at another address of this side than the one in use.
    elsewhere: bool,
}

impl Paths {
    pub(in crate::conn) fn new(now: Instant, side: Side, path: PathState) -> Self {
        let responses = bounds::PATH_RESPONSES_PER_SECOND;
        Self {
            side,
            in_use: path,
            fallback: None,
            tried: Vec::new(),
            responses: Bucket::new(now, responses, responses),
            switches: Bucket::new(now, bounds::PATH_SWITCHES_PER_SECOND, bounds::PATH_SWITCH_BURST),
            elsewhere: false,
        }
    }

    pub(in crate::conn) fn in_use(&self) -> &PathState {
        &self.in_use
    }

    pub(in crate::conn) fn in_use_mut(&mut self) -> &mut PathState {
        &mut self.in_use
    }

    pub(in crate::conn) fn fallback_mut(&mut self) -> Option<&mut PathState> {
        self.fallback.as_deref_mut()
    }

    pub(in crate::conn) fn get(&self, place: Place) -> Option<&PathState> {
        match place {
            Place::InUse => Some(&self.in_use),
            Place::Other(0) => self.fallback.as_deref(),
            Place::Other(at) => self.tried.get(at - 1),
        }
    }

    pub(in crate::conn) fn get_mut(&mut self, place: Place) -> Option<&mut PathState> {
        match place {
            Place::InUse => Some(&mut self.in_use),
            Place::Other(0) => self.fallback.as_deref_mut(),
            Place::Other(at) => self.tried.get_mut(at - 1),
        }
    }

    fn places() -> impl Iterator<Item = Place> {
        core::iter::once(Place::InUse).chain((0..bounds::PATHS - 1).map(Place::Other))
    }

    fn iter(&self) -> impl Iterator<Item = (Place, &PathState)> {
        Self::places().filter_map(|place| self.get(place).map(|path| (place, path)))
    }

    /// The path over which a datagram came. A server's address does not change; at which of its own addresses a client
    /// receives does not matter.
    pub(in crate::conn) fn find(&mut self, path: &Path) -> Option<Place> {
        self.elsewhere = !self.in_use.path.matches(path);
        let found = self.iter().find(|(_, known)| known.path.matches(path)).map(|(place, _)| place);
        found.or((self.side == Side::Client && self.in_use.path.remote == path.remote).then_some(Place::InUse))
    }

    /// Whether a datagram came over the path in use.
    pub(in crate::conn) fn is_in_use(&self, path: &Path) -> bool {
        self.in_use.path.matches(path)
    }

    /// A packet came over a path that is not known. The oldest that the peer only tries gives way.
    pub(in crate::conn) fn admit(&mut self, path: Path) -> Place {
        // One is in use, and one may have to be fallen back to.
        if self.tried.len() >= bounds::PATHS - 2 {
            self.tried.remove(0);
        }
        self.tried.push(PathState::unproven(path, 0, 0, false));
        Place::Other(self.tried.len())
    }

    /// Whether the peer may move the connection now.
    pub(in crate::conn) fn may_switch(&mut self, now: Instant) -> bool {
        self.switches.take(now)
    }

    /// Takes a path out of the set to put it in use.
    pub(in crate::conn) fn take(&mut self, place: Place) -> Option<PathState> {
        match place {
            Place::InUse => None,
            Place::Other(0) => self.fallback.take().map(|fallback| *fallback),
            Place::Other(at) => (at <= self.tried.len()).then(|| self.tried.remove(at - 1)),
        }
    }

    /// Goes over `path` from now on. The one so far is fallen back to if `path` turns out not to work, provided that it
    /// was proven itself; else it is given back.
    pub(in crate::conn) fn put_in_use(&mut self, path: PathState) -> Option<PathState> {
        let before = core::mem::replace(&mut self.in_use, path);
        if !before.is_proven() {
            return Some(before);
        }
        self.fallback.replace(Box::new(before)).map(|older| *older)
    }

    /// The path in use is asked to prove itself, if it is not under way. Against somebody who forwards packets from
    /// another address, the one before is asked as well.
    pub(in crate::conn) fn challenge(&mut self, mut random: impl FnMut() -> [u8; 8]) {
        if self.in_use.is_proven() {
            return;
        }
        let before = self.fallback.as_deref_mut().filter(|_| self.side == Side::Server);
        for path in core::iter::once(&mut self.in_use).chain(before) {
            path.challenge.get_or_insert_with(|| Challenge::new(random()));
        }
    }

    /// The peer asks whether this side receives over a path; false if it asks too often. A client does not vouch for a path
    /// that it has left: its server would take that for the word that it never left.
    pub(in crate::conn) fn on_challenge(&mut self, now: Instant, place: Place, data: [u8; 8]) -> bool {
        let is_left = self.side == Side::Client && (place != Place::InUse || self.elsewhere);
        let within = self.responses.take(now);
        if within
            && !is_left
            && let Some(path) = self.get_mut(place)
        {
            // One slot: a peer that asks many times gets an answer to the latest.
            path.response = Some(data);
        }
        within
    }

    /// The peer answers a challenge. The answer has to come in at the address from which the challenge left.
    pub(in crate::conn) fn on_response(
        &mut self,
        at: Place,
        data: [u8; 8],
        mut random: impl FnMut() -> [u8; 8],
    ) -> Proof {
        let local = self.get(at).and_then(|path| path.path.local);
        let answered = self.iter().find(|(_, path)| {
            let same_side = path.path.local.is_none() || local.is_none() || path.path.local == local;
            same_side && path.challenge.is_some_and(|challenge| challenge.is_answered_by(data))
        });
        let Some((place, _)) = answered else { return Proof::Nothing };
        let Some(path) = self.get_mut(place) else { return Proof::Nothing };
        let padded = path.challenge.is_some_and(|challenge| challenge.is_padded());
        path.prove();
        // The address is proven. That the path carries full datagrams is not, if the question was shorter than they.
        path.challenge = (!padded).then(|| Challenge::new(random()));
        match place {
            Place::InUse if padded => Proof::InUse,
            // From wherever the answer comes: a client that has moved does not give it, and somebody who forwards packets
            // may be faster with it than the client.
            Place::Other(0) => Proof::Fallback,
            Place::InUse | Place::Other(_) => Proof::Other,
        }
    }

    /// The path in use has proven to work: nothing is fallen back to any more.
    pub(in crate::conn) fn drop_fallback(&mut self) -> Option<PathState> {
        self.take(Place::Other(0))
    }

    /// Whether a path addresses the peer by this id.
    pub(in crate::conn) fn uses(&self, cid: &RemoteCid) -> bool {
        self.find_cid(|used| used == cid).is_some()
    }

    /// A path whose id is one of those that `wanted` says.
    pub(in crate::conn) fn find_cid(&self, wanted: impl Fn(&RemoteCid) -> bool) -> Option<(RemoteCid, Place)> {
        self.iter().find_map(|(place, path)| path.cid.filter(&wanted).map(|cid| (cid, place)))
    }

    // ---- sending

    /// The next path that has a question or an answer to send for which there is room.
    pub(in crate::conn) fn next_to_send(&self) -> Option<Place> {
        const LEAST: u64 = 64;
        let pending = |path: &PathState| {
            path.response.is_some() || path.challenge.is_some_and(|challenge| challenge.pending().is_some())
        };
        self.iter().find(|(_, path)| pending(path) && path.allows(LEAST)).map(|(place, _)| place)
    }

    /// What is to be sent over a path: a challenge and a response.
    pub(in crate::conn) fn pending(&self, place: Place) -> (Option<[u8; 8]>, Option<[u8; 8]>) {
        let Some(path) = self.get(place) else { return (None, None) };
        (path.challenge.and_then(|challenge| challenge.pending()), path.response)
    }

    /// They were sent in a datagram of `bytes`. An answer is expected within `patience`.
    pub(in crate::conn) fn on_sent(&mut self, now: Instant, place: Place, bytes: usize, patience: Duration) {
        let padded = bytes >= super::FULL;
        let Some(path) = self.get_mut(place) else { return };
        path.response = None;
        if let Some(challenge) = path.challenge.as_mut().filter(|challenge| challenge.pending().is_some()) {
            challenge.on_sent(now, patience, padded);
        }
    }

    // ---- time

    pub(in crate::conn) fn deadline(&self) -> Option<Instant> {
        self.iter().filter_map(|(_, path)| path.challenge?.deadline()).reduce(Instant::min)
    }

    /// Asks again what was not answered. Whether the path in use has failed and there is one to fall back to.
    pub(in crate::conn) fn on_timeout(&mut self, now: Instant) -> bool {
        let failed = |path: &mut PathState| path.challenge.as_mut().is_some_and(|challenge| challenge.on_timeout(now));
        self.tried.retain_mut(|path| !failed(path));
        if self.fallback.as_deref_mut().is_some_and(failed)
            && let Some(fallback) = &mut self.fallback
        {
            fallback.challenge = None;
        }
        let in_use = failed(&mut self.in_use);
        if in_use {
            self.in_use.challenge = None;
        }
        in_use && self.fallback.is_some()
    }
}

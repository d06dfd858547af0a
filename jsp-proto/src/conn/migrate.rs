//! Moving to another path: a client goes over another one of its own accord, a server follows (specification sections
//! 6.5 and 13.24; RFC 9000 section 9).

use alloc::boxed::Box;
use core::net::SocketAddr;

use super::path::{PathState, Place, Proof};
use super::{Connection, Path};
use crate::bucket::Bucket;
use crate::error::Violation;
use crate::event::Event;
use crate::observe::Observation;
use crate::recovery::PathModel;
use crate::stats::DropReason;
use crate::time::Instant;
use crate::wire::frame::NewCid;
use crate::wire::{Cid, Side};

/// Why a connection stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MigrateError {
    /// Only clients move; a server follows by itself.
    NotAClient,
    /// The handshake is not confirmed yet, or the connection is over.
    NotConnected,
    /// The server has forbidden it.
    Forbidden,
    /// The server has given no connection id for another path yet; try again after a round trip.
    NoConnectionId,
}

impl core::fmt::Display for MigrateError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotAClient => "only the client of a connection moves it",
            Self::NotConnected => "the connection is not established",
            Self::Forbidden => "the server does not allow connections to move",
            Self::NoConnectionId => "the server has given no connection id for another path yet",
        })
    }
}

impl core::error::Error for MigrateError {}

/// How a datagram came in.
pub(crate) struct Arrival<'a> {
    /// The id it is addressed to.
    pub(crate) cid: Cid,
    pub(crate) path: Path,
    pub(crate) ecn: crate::Ecn,
    /// How many connections of the endpoint may follow their peers to other addresses.
    pub(crate) switches: &'a mut Bucket,
}

impl Connection {
    /// Over which path an authentic datagram of `len` bytes came.
    pub(super) fn place(&mut self, path: &Path, len: u64) -> Result<Place, DropReason> {
        let place = match self.paths.find(path) {
            Some(place) => place,
            None if !self.may_come_from(path) => return Err(DropReason::Address),
            None => self.paths.admit(*path),
        };
        if let Some(path) = self.paths.get_mut(place) {
            path.on_received(len);
        }
        if place == Place::InUse && self.confirmed {
            self.ask_for_proof();
        }
        Ok(place)
    }

    /// Whether the peer may send from an address that is new. Also the packet that confirms a connection may: only a client
    /// that has the server's answer can have made it, wherever it is by then.
    fn may_come_from(&self, path: &Path) -> bool {
        let config = &self.config;
        let from = self.paths.in_use().path.remote;
        self.side == Side::Server
            && config.address_filter.allows_move(from, path.remote)
            && (config.allow_migration || from.ip() == path.remote.ip())
    }

    /// The latest packet of the peer came over this path, and it was more than a question whether the path works.
    pub(super) fn follow(&mut self, now: Instant, place: Place, switches: &mut Bucket) {
        if self.side == Side::Client || place == Place::InUse || !self.life.is_live() {
            return;
        }
        if !self.paths.may_switch(now) || !switches.take(now) {
            self.stats.path_switches_refused += 1;
            return;
        }
        let Some(mut path) = self.paths.take(place) else { return };
        let same_host = path.path.remote.ip() == self.paths.in_use().path.remote.ip();
        if path.cid.is_none() {
            path.cid = self.cid_for_peer();
        }
        self.go_over(now, path, same_host);
        if self.paths.in_use().is_proven() {
            self.on_path_proven(now);
        }
        self.ask_for_proof();
    }

    /// As long as nothing proves that the peer receives where it seems to be.
    fn ask_for_proof(&mut self) {
        let rng = &mut self.rng;
        self.paths.challenge(|| rng.array());
    }

    /// The id for a path that the peer has chosen. A peer that goes on using the same id itself has most likely not even
    /// noticed that its address changed; another one hides nothing then.
    fn cid_for_peer(&mut self) -> Option<super::cids::RemoteCid> {
        let before = self.paths.in_use().cid;
        let moved = core::mem::replace(&mut self.followed_cid, self.addressed) != self.addressed;
        if moved { self.cids.remote.take().or(before) } else { before }
    }

    /// Goes over another path. What is known of the path so far holds for the new one if it leads to the same host.
    fn go_over(&mut self, now: Instant, mut path: PathState, same_host: bool) {
        let known = path.model.take();
        let keeps_model = same_host && known.is_none();
        let mut left_behind = None;
        if !keeps_model {
            left_behind = self.exchange_model(now, known);
        }
        self.probe_at_once(now);
        if self.paths.in_use().is_proven() {
            self.paths.in_use_mut().model = left_behind;
        } else if !path.is_proven()
            && let Some(fallback) = self.paths.fallback_mut()
            && fallback.model.is_none()
        {
            // A path that was never proven is forgotten; what was known before it went over it.
            fallback.model = left_behind;
        }
        let before = self.paths.put_in_use(path);
        self.release_cid(now, before);
        if !keeps_model {
            self.reset_mtu(now);
        }
        self.keep_alive_elsewhere();
        self.stats.path_changes += 1;
    }

    /// What was sent last over the old path is most likely lost.
    fn probe_at_once(&mut self, now: Instant) {
        if let Some((recovery, mut writers)) = self.recovery_and_writers(now) {
            recovery.on_rebound(now, &mut |fate, record| writers.tell(fate, record));
        }
    }

    /// Puts what is known of a path in place of what is known of the one in use, and gives back the latter.
    fn exchange_model(&mut self, now: Instant, known: Option<Box<PathModel>>) -> Option<Box<PathModel>> {
        let datagram = self.config.initial_datagram().min(self.peer.max_datagram);
        let model = known.map_or_else(
            || {
                let controller = self.controller(datagram, self.congestion);
                PathModel::new(now, self.config.transport.initial_rtt, datagram, controller)
            },
            |known| *known,
        );
        let secure = self.secure.as_mut()?;
        let before = secure.recovery.switch_path(now, model);
        // What was sent is not waited for over another path (specification section 13.16).
        if let Some(fec) = &mut secure.fec_tx {
            fec.release_all();
        }
        self.stats.datagram_size = secure.recovery.max_datagram();
        self.give_up_repairs(now);
        Some(Box::new(before))
    }

    /// A path is given up, and with it its id, if no other path has the same.
    fn release_cid(&mut self, now: Instant, path: Option<PathState>) {
        let Some(cid) = path.and_then(|path| path.cid) else { return };
        if !self.paths.uses(&cid)
            && let Err(violation) = self.cids.remote.give_up(&cid)
        {
            self.fail(now, violation, 0);
        }
    }

    /// The peer answers a challenge, over this path.
    pub(super) fn on_path_response(&mut self, now: Instant, place: Place, data: [u8; 8]) {
        let rng = &mut self.rng;
        match self.paths.on_response(place, data, || rng.array()) {
            Proof::Nothing | Proof::Other => {}
            Proof::InUse => self.on_path_proven(now),
            Proof::Fallback if !self.paths.in_use().is_proven() => self.fall_back(now),
            Proof::Fallback => {}
        }
    }

    /// The path in use works.
    fn on_path_proven(&mut self, now: Instant) {
        let path = self.paths.in_use().path;
        self.trace.note(|| Observation::PathValidated(path));
        let before = self.paths.drop_fallback();
        if before.as_ref().is_some_and(|before| before.path.remote.ip() != path.remote.ip()) {
            self.request_token();
        }
        self.release_cid(now, before);
        self.tell_once(Event::PathChanged);
    }

    /// The path that was in use before is the right one.
    fn fall_back(&mut self, now: Instant) {
        if let Some(path) = self.paths.drop_fallback() {
            // Without a model of its own it is the model in use that holds.
            let same_host = path.model.is_none();
            self.go_over(now, path, same_host);
        }
    }

    /// Does what is due for the paths. Also a path whose address is proven is left if it does not carry full datagrams.
    pub(super) fn on_path_timeout(&mut self, now: Instant) {
        if self.paths.on_timeout(now) {
            self.fall_back(now);
        }
    }

    /// Client: goes over another address of this host, or, if `lost`, over a new socket in place of one that is gone.
    pub(crate) fn migrate(&mut self, now: Instant, local: Option<SocketAddr>, lost: bool) -> Result<(), MigrateError> {
        if self.side == Side::Server {
            return Err(MigrateError::NotAClient);
        }
        if !self.confirmed || !self.life.is_live() {
            if lost {
                // The messages of the handshake are repeated from there.
                self.paths.in_use_mut().path.local = local;
            }
            return Err(MigrateError::NotConnected);
        }
        if self.peer.forbids_migration && !lost {
            return Err(MigrateError::Forbidden);
        }
        let before = self.paths.in_use();
        let (remote, old_cid) = (before.path.remote, before.cid);
        let same_host = before.path.local.is_some_and(|old| local.is_some_and(|new| new.ip() == old.ip()));
        let cid = self.cids.remote.take();
        // A connection that would be lost otherwise goes on under the same id, as behind a NAT.
        let Some(cid) = cid.or(old_cid.filter(|cid| lost || cid.cid.is_empty())) else {
            return Err(MigrateError::NoConnectionId);
        };
        let mut path = PathState::tried(Path { local, remote }, self.rng.array());
        path.cid = Some(cid);
        self.go_over(now, path, same_host);
        if lost {
            let gone = self.paths.drop_fallback();
            self.release_cid(now, gone);
        }
        // The question alone would not make the server follow.
        self.nudge = true;
        Ok(())
    }

    // ---- connection ids

    pub(super) fn on_new_cid(&mut self, frame: &NewCid) -> Result<(), Violation> {
        self.cids.remote.on_new(frame)?;
        // The peer wants ids back that paths use.
        while let Some((held, place)) = self.paths.find_cid(|cid| self.cids.remote.wants_back(cid)) {
            let Some(other) = self.cids.remote.take() else { break };
            if let Some(path) = self.paths.get_mut(place) {
                path.cid = Some(other);
            }
            if !self.paths.uses(&held) {
                self.cids.remote.give_up(&held)?;
            }
        }
        Ok(())
    }
}

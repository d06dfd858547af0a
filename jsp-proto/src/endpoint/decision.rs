//! The decision about a client, and the answer it gets (specification sections 2.6, 2.8 and 13, item 5).

use alloc::boxed::Box;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::Endpoint;
use super::accept::Checked;
use super::attempt::{AttemptKey, Sealing, Stage};
use super::demux::Fate;
use super::incoming::{Accept, Incoming, IncomingGone, IncomingId, Waiting};
use super::job::{Seal, Ticket, Work};
use super::prefix::Prefix;
use super::stateless::reply;
use crate::config::{AcceptPolicy, ClientAuth, bounds};
use crate::conn::handshake::hello;
use crate::conn::{Connection, ServerStart};
use crate::crypto::initial::{Layout, build_flight};
use crate::crypto::{InitialKeys, PublicKey, Secrets, ServerOpened};
use crate::error::{AppCode, TransportError};
use crate::stats::DropReason;
use crate::time::Instant;
use crate::wire::Cid;
use crate::wire::header::LongType;
use crate::wire::params::{DEFAULT_PROTOCOL, ParamsContext, decode_params};

/// A refusal is repeated at most once in this many nanoseconds.
const REPEAT_NS: u64 = 50_000_000;

impl Endpoint {
    pub(super) fn on_opened(&mut self, now: Instant, key: AttemptKey, opened: ServerOpened) {
        let Some(attempt) = self.attempts.get(&key) else { return };
        let Some(incoming) = Incoming::new(key.remote, attempt.validated, &opened.p1) else {
            self.stats.count_drop(DropReason::Malformed);
            return self.attempts.bury(now, &key, Vec::new(), &self.config.bounds);
        };
        let proves = opened.wants_client_key() || opened.wants_psk();
        if self.config.client_auth == ClientAuth::Required && !proves {
            return self.seal_refusal(now, key, opened, TransportError::ACCESS_DENIED.code());
        }
        if self.choose_protocol(&incoming, None).is_none() {
            return self.seal_refusal(now, key, opened, TransportError::APP_PROTOCOL.code());
        }
        match self.config.accept {
            AcceptPolicy::Auto => self.seal_acceptance(now, key, opened, Accept::new()),
            AcceptPolicy::Ask if self.incoming.len() < self.config.bounds.undecided => {
                let stamp = self.attempts.advance(now, &key, Stage::Asking(opened));
                let id = IncomingId(self.next_incoming);
                self.next_incoming += 1;
                let until = now + bounds::HALF_OPEN_LIFETIME;
                self.incoming.push(Waiting { id, attempt: key, stamp, until });
                self.announcements.push_back(id);
            }
            AcceptPolicy::Ask => {
                self.stats.count_drop(DropReason::HandshakeLimit);
                self.attempts.advance(now, &key, Stage::Assembling(None));
            }
        }
    }

    /// The protocol for a client: the wanted one if the client offers it, else the first of the server's it offers.
    fn choose_protocol(&self, incoming: &Incoming<'_>, wanted: Option<&[u8]>) -> Option<Vec<u8>> {
        let offers = |name: &[u8]| {
            incoming.protocols().any(|offer| offer == name)
                || incoming.extras.app_protocols.is_none() && name == DEFAULT_PROTOCOL
        };
        if let Some(wanted) = wanted {
            return offers(wanted).then(|| wanted.to_vec());
        }
        if self.config.protocols.is_empty() {
            return offers(DEFAULT_PROTOCOL).then(|| DEFAULT_PROTOCOL.to_vec());
        }
        self.config.protocols.iter().find(|name| offers(name)).map(|name| name.to_vec())
    }

    /// The client named `id`, while it waits.
    pub fn incoming(&self, id: IncomingId) -> Option<Incoming<'_>> {
        let waiting = self.incoming.iter().find(|waiting| waiting.id == id)?;
        let attempt = self.attempts.get(&waiting.attempt).filter(|attempt| attempt.stamp == waiting.stamp)?;
        let Stage::Asking(opened) = &attempt.stage else { return None };
        Incoming::new(waiting.attempt.remote, attempt.validated, &opened.p1)
    }

    /// Lets the client in. A client that offers a key or a pre-shared key is refused with code 0x13 (access denied) if
    /// `accept` names none or another client key: it must not end up with less than it asked for.
    ///
    /// # Errors
    /// [`IncomingGone`] if it is not waiting any more.
    pub fn accept(&mut self, now: Instant, id: IncomingId, accept: Accept) -> Result<(), IncomingGone> {
        let now = self.advance(now);
        let (key, opened) = self.decide(now, id).ok_or(IncomingGone)?;
        self.seal_acceptance(now, key, opened, accept);
        Ok(())
    }

    /// Refuses the client, which learns the code from an answer that only this server can have made.
    ///
    /// # Errors
    /// [`IncomingGone`] if it is not waiting any more.
    pub fn refuse(&mut self, now: Instant, id: IncomingId, code: AppCode) -> Result<(), IncomingGone> {
        let now = self.advance(now);
        let (key, opened) = self.decide(now, id).ok_or(IncomingGone)?;
        self.seal_refusal(now, key, opened, code.get());
        Ok(())
    }

    /// Never answers the client.
    pub fn ignore(&mut self, id: IncomingId) {
        let now = self.now;
        if let Some((key, _)) = self.decide(now, id) {
            self.attempts.bury(now, &key, Vec::new(), &self.config.bounds);
        }
    }

    /// Takes the client out of the waiting room.
    fn decide(&mut self, now: Instant, id: IncomingId) -> Option<(AttemptKey, ServerOpened)> {
        let at = self.incoming.iter().position(|waiting| waiting.id == id)?;
        let waiting = self.incoming.swap_remove(at);
        let attempt = self.attempts.get_mut(&waiting.attempt).filter(|attempt| attempt.stamp == waiting.stamp)?;
        match core::mem::replace(&mut attempt.stage, Stage::Opening) {
            Stage::Asking(opened) if now < waiting.until => Some((waiting.attempt, opened)),
            _ => None,
        }
    }

    pub(super) fn expire_undecided(&mut self, now: Instant) {
        self.incoming.retain(|waiting| waiting.until > now);
    }

    fn seal_acceptance(&mut self, now: Instant, key: AttemptKey, opened: ServerOpened, accept: Accept) {
        let Some(incoming) = Incoming::new(key.remote, false, &opened.p1) else { return };
        // With another key than the client's, the answer would only look like a forged one to it.
        let fits = |key: &PublicKey| incoming.client_key_id() == Some(key.key_id());
        let missing = opened.wants_client_key() && !accept.client_key.as_ref().is_some_and(fits)
            || opened.wants_psk() && accept.psk.is_none();
        let protocol = self.choose_protocol(&incoming, accept.protocol.as_deref());
        let Some(protocol) = protocol.filter(|_| !missing) else {
            let error = if missing { TransportError::ACCESS_DENIED } else { TransportError::APP_PROTOCOL };
            return self.seal_refusal(now, key, opened, error.code());
        };
        let client_key = accept.client_key.filter(|_| opened.wants_client_key());
        let psk = accept.psk.filter(|_| opened.wants_psk());
        let sealing = Sealing {
            scid: self.fresh_cid(),
            p1: opened.p1.clone(),
            protocol,
            client_key: client_key.as_ref().map(|key| key.key_id()),
            authenticates: client_key.is_some() || psk.is_some(),
            refused: false,
        };
        let coins = Zeroizing::new(self.rng.array());
        let client = client_key.map(|key| (key, Zeroizing::new(self.rng.array())));
        self.seal(now, key, sealing, Seal { scid: Cid::default(), opened, coins, client, psk, refuse: None });
    }

    fn seal_refusal(&mut self, now: Instant, key: AttemptKey, opened: ServerOpened, code: u64) {
        let sealing = Sealing {
            scid: self.fresh_cid(),
            p1: Vec::new(),
            protocol: Vec::new(),
            client_key: None,
            authenticates: false,
            refused: true,
        };
        let coins = Zeroizing::new(self.rng.array());
        self.stats.handshakes_refused += 1;
        let seal = Seal { scid: Cid::default(), opened, coins, client: None, psk: None, refuse: Some(code) };
        self.seal(now, key, sealing, seal);
    }

    fn seal(&mut self, now: Instant, key: AttemptKey, sealing: Sealing, seal: Seal) {
        let seal = Seal { scid: sealing.scid, ..seal };
        let stamp = self.attempts.advance(now, &key, Stage::Sealing(sealing));
        self.enqueue(now, Ticket { attempt: key, stamp }, Work::Seal(Box::new(seal)));
    }

    pub(super) fn fresh_cid(&mut self) -> Cid {
        loop {
            let cid = self.config.new_cid(&mut self.rng);
            // Six random bytes are few enough to look; a second turn is rare, a third is not seen in practice.
            if !self.cids.contains_key(&cid) {
                return cid;
            }
        }
    }

    pub(super) fn on_sealed(&mut self, now: Instant, key: AttemptKey, sealed: Option<(Vec<u8>, Secrets)>) {
        let Some(attempt) = self.attempts.get_mut(&key) else { return };
        if sealed.is_none() {
            // The client's ephemeral key was one that nobody may answer.
            self.stats.count_drop(DropReason::InnerSeal);
        }
        let stage = core::mem::replace(&mut attempt.stage, Stage::Opening);
        let (Stage::Sealing(sealing), Some((message, secrets)), Some(server_key)) =
            (stage, sealed, &self.config.server_key)
        else {
            return self.attempts.bury(now, &key, Vec::new(), &self.config.bounds);
        };
        let ty = LongType::ServerInit;
        let (dcid, scid) = (attempt.scid, sealing.scid);
        let header = reply(ty, dcid, scid);
        let seal = InitialKeys::new(&server_key.public().key_id(), key.dcid.as_slice()).server(ty, scid.as_slice());
        let answer = build_flight(&header, &seal, &message, Layout::Padded).unwrap_or_default();
        if sealing.refused {
            let path = attempt.path;
            attempt.sent += answer.iter().map(|datagram| datagram.len() as u64).sum::<u64>();
            for datagram in &answer {
                self.answer(path, datagram.clone());
            }
            return self.attempts.bury(now, &key, answer, &self.config.bounds);
        }
        // Others may have taken the last place while the keys were computed.
        let has_place = self.has_place(key.remote);
        let start = self.server_start(&key, sealing, secrets, answer).filter(|_| has_place);
        let Some(start) = start else {
            return self.attempts.bury(now, &key, Vec::new(), &self.config.bounds);
        };
        let rng = self.rng.fork();
        let connection = Connection::server(now, &self.config, start, rng, self.hash);
        let validated = self.attempts.get(&key).is_none_or(|attempt| attempt.validated);
        let connection = self.insert(connection, (!validated).then(|| Prefix::of(key.remote)));
        self.attempts.advance(now, &key, Stage::Connected(connection));
    }

    fn server_start(
        &mut self,
        key: &AttemptKey,
        sealing: Sealing,
        secrets: Secrets,
        answer: Vec<Vec<u8>>,
    ) -> Option<ServerStart> {
        let attempt = self.attempts.get(key)?;
        let (peer_params, _) = decode_params(&sealing.p1, ParamsContext::P1).ok()?;
        let reset_token = self.reset_key.reset_token(sealing.scid.as_slice());
        let params = hello::server_params(&self.config, reset_token, &sealing.protocol, &mut self.rng).ok()?;
        Some(ServerStart {
            path: attempt.path,
            local_cid: sealing.scid,
            remote_cid: attempt.scid,
            received: (attempt.received, attempt.datagrams),
            token: attempt.validated,
            secrets,
            answer,
            peer_params,
            params,
            protocol: sealing.protocol.into_boxed_slice(),
            client_key: sealing.client_key,
            authenticates: sealing.authenticates,
            attention: self.attention(),
        })
    }

    pub(super) fn repeat_answer(&mut self, now: Instant, key: crate::slab::Key, bytes: u64) -> Checked<Fate> {
        let half_open = self.connections.get_mut(key).filter(|entry| entry.connection.is_half_open());
        let entry = half_open.ok_or(DropReason::Tombstone)?;
        entry.connection.on_repeated_hello(now, bytes);
        self.touch(key);
        Ok(Fate::Accepted)
    }

    pub(super) fn repeat_refusal(&mut self, now: Instant, key: AttemptKey) -> Checked<Fate> {
        let attempt = self.attempts.get_mut(&key).ok_or(DropReason::Tombstone)?;
        let allowed = attempt.received.saturating_mul(bounds::AMPLIFICATION);
        let path = attempt.path;
        let Stage::Over { refusal, repeated } = &mut attempt.stage else { return Err(DropReason::Tombstone) };
        let bytes: u64 = refusal.iter().map(|datagram| datagram.len() as u64).sum();
        let due = now.nanos_since(*repeated) >= REPEAT_NS;
        if refusal.is_empty() || !due || attempt.sent + bytes > allowed {
            return Err(DropReason::Tombstone);
        }
        *repeated = now;
        attempt.sent += bytes;
        for datagram in refusal.clone() {
            self.answer(path, datagram);
        }
        Ok(Fate::Replied)
    }
}

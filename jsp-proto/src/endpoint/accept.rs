//! From a stranger's datagram to a connection (specification sections 2.8 to 2.11). The order of the checks is the
//! order of their cost: nothing is stored or computed for bytes that a cheaper check would have refused.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::Endpoint;
use super::attempt::{Attempt, AttemptKey, MAX_FAILURES, Room, Stage};
use super::demux::Fate;
use super::job::{Done, Job, JobDone, Ticket, Work};
use super::prefix::Prefix;
use super::tokens::Token;
use crate::config::{KemJobs, RetryPolicy};
use crate::conn::Path;
use crate::conn::handshake::assembly::Assembly;
use crate::crypto::{TAG_LEN, hash};
use crate::stats::DropReason;
use crate::time::Instant;
use crate::wire::header::{Fragment, LongHeader, LongType, MIN_CLIENT_CID};

/// Size of every datagram of a first message but the last, and the least of the last.
const FULL: usize = 1200;
const LEAST: usize = 64;

/// What a check lets through, or why the datagram is dropped.
pub(super) type Checked<T> = Result<T, DropReason>;

impl Endpoint {
    /// Takes a long-header datagram that a client may have sent.
    pub(super) fn handle_stranger(
        &mut self,
        now: Instant,
        path: Path,
        header: &LongHeader<'_>,
        datagram: &mut [u8],
    ) -> Fate {
        let last = header.index + 1 == header.count;
        let least = if last && header.ty == LongType::ClientInit { LEAST } else { FULL };
        if datagram.len() < least || header.dcid.len() < MIN_CLIENT_CID {
            return Fate::Dropped(DropReason::Malformed);
        }
        if self.config.server_key.is_none() || self.shutdown {
            return Fate::Dropped(DropReason::Unexpected);
        }
        let outcome = match header.ty {
            LongType::ClientInit => self.on_hello_fragment(now, path, header, datagram),
            LongType::Key => self.on_key_request(now, path, header, datagram),
            LongType::ServerInit | LongType::Retry => Err(DropReason::Unexpected),
        };
        outcome.unwrap_or_else(Fate::Dropped)
    }

    // ---- the first message

    fn on_hello_fragment(
        &mut self,
        now: Instant,
        path: Path,
        header: &LongHeader<'_>,
        datagram: &mut [u8],
    ) -> Checked<Fate> {
        let key = AttemptKey { remote: path.remote, dcid: header.dcid };
        let attempt = self.attempts.get(&key);
        let (mut odcid, mut nonce) = (header.dcid, None);
        let mut validated = attempt.is_some_and(|attempt| attempt.validated);
        let waits = attempt.is_some_and(|attempt| matches!(attempt.stage, Stage::Assembling(_)));
        // Without a token it would wait in vain for its other fragments to be opened.
        let stuck =
            waits && !validated && self.config.retry == RetryPolicy::Adaptive && self.budgets.seals_are_scarce(now);
        let known = attempt.is_some() && !stuck;
        if !known {
            match self.check_token(now, path, header) {
                Token::Retried(proven) => (odcid, validated) = (proven, true),
                Token::Earlier(number) => (nonce, validated) = (Some(number), true),
                Token::None if self.takes_strangers(now) => {}
                Token::None | Token::Stale => return self.retry(now, path, header, datagram),
            }
        }
        if !self.open_fragment(now, header, datagram, validated)? {
            return self.on_unopened(now, path, header);
        }
        let end = datagram.len() - TAG_LEN;
        let plain = datagram.get(header.payload_at..end).ok_or(DropReason::Malformed)?;
        let fragment = Fragment::decode(plain).map_err(|_| DropReason::Malformed)?;
        if !known {
            match self.room(path, validated) {
                Room::Yes => {}
                Room::Prefix if header.index == 0 => return self.send_retry(now, path, header),
                Room::Prefix | Room::No => return Err(DropReason::HandshakeLimit),
            }
            if validated {
                self.stats.tokens_accepted += 1;
            } else {
                // One for each attempt, and only now that its seal has opened: what anybody can make up costs no credit.
                self.budgets.tokenless.take(now);
            }
            let attempt = Attempt {
                path,
                scid: header.scid,
                odcid,
                validated,
                nonce,
                stage: Stage::Assembling(None),
                stamp: 0,
                received: 0,
                datagrams: 0,
                sent: 0,
                failed: Vec::new(),
            };
            self.attempts.insert(now, key, attempt);
        }
        self.add_fragment(now, key, header, &fragment, datagram.len() as u64)
    }

    /// Whether the policy lets a client without a token begin a handshake now.
    fn takes_strangers(&mut self, now: Instant) -> bool {
        match self.config.retry {
            RetryPolicy::Never => true,
            RetryPolicy::Always => false,
            RetryPolicy::Adaptive => {
                let waiting = self.half_open.unvalidated() + self.attempts.unvalidated();
                waiting < self.config.bounds.tokenless_handshakes
                    && self.budgets.tokenless.ready_at(now) <= now
                    && !self.budgets.seals_are_scarce(now)
            }
        }
    }

    /// Whether one more connection of a client at this address fits, in whatever state.
    pub(super) fn has_place(&self, remote: SocketAddr) -> bool {
        let bounds = &self.config.bounds;
        self.connections.len() < bounds.connections
            && self.per_prefix.of(Prefix::of(remote)) < bounds.connections_per_prefix
    }

    fn room(&mut self, path: Path, validated: bool) -> Room {
        let bounds = &self.config.bounds;
        if !validated && self.half_open.of(Prefix::of(path.remote)) >= bounds.half_open_per_prefix {
            return Room::Prefix;
        }
        self.attempts.room(bounds, path.remote, validated)
    }

    fn add_fragment(
        &mut self,
        now: Instant,
        key: AttemptKey,
        header: &LongHeader<'_>,
        fragment: &Fragment<'_>,
        bytes: u64,
    ) -> Checked<Fate> {
        let attempt = self.attempts.get_mut(&key).ok_or(DropReason::Fragment)?;
        attempt.received += bytes;
        attempt.datagrams += 1;
        match &mut attempt.stage {
            Stage::Assembling(_) if attempt.scid != header.scid => return Err(DropReason::Fragment),
            Stage::Assembling(Some(assembly)) => {
                // A repeated fragment may complete a message whose work was left out for lack of room.
                if assembly.insert(header.index, header.count, fragment).is_err() && assembly.message().is_none() {
                    return Err(DropReason::Fragment);
                }
            }
            Stage::Assembling(empty) => {
                let assembly = Assembly::start(header.index, header.count, fragment);
                *empty = Some(assembly.map_err(|_| DropReason::Fragment)?);
            }
            Stage::Opening | Stage::Asking(_) | Stage::Sealing(_) => return Err(DropReason::Fragment),
            Stage::Connected(connection) => {
                let connection = *connection;
                return self.repeat_answer(now, connection, bytes);
            }
            Stage::Over { .. } => return self.repeat_refusal(now, key),
        }
        self.start_opening(now, key)
    }

    /// Begins the public-key work if the message is complete.
    fn start_opening(&mut self, now: Instant, key: AttemptKey) -> Checked<Fate> {
        let has_place = self.has_place(key.remote);
        let attempt = self.attempts.get_mut(&key).ok_or(DropReason::Fragment)?;
        let Stage::Assembling(slot) = &mut attempt.stage else { return Ok(Fate::Accepted) };
        let Some(message) = slot.as_ref().and_then(Assembly::message) else { return Ok(Fate::Accepted) };
        let digest = hash(&[message]);
        if attempt.failed.contains(&digest) {
            *slot = None;
            return Err(DropReason::Tombstone);
        }
        let full = self.half_open.beside(attempt.validated) >= self.config.bounds.half_open
            || Arc::strong_count(&self.jobs_under_way) > self.config.bounds.kem_queue
            || !has_place;
        if full || !self.budgets.kem.take(now) {
            return Err(DropReason::HandshakeLimit);
        }
        let Some(message) = slot.take().map(Assembly::into_message) else { return Ok(Fate::Accepted) };
        // Remembered until it opens: the same bytes are not worth a second try.
        attempt.failed.push(digest);
        let (odcid, dcid, scid) = (attempt.odcid, key.dcid, attempt.scid);
        let Some(server_key) = self.config.server_key.clone() else { return Err(DropReason::Unexpected) };
        let stamp = self.attempts.advance(now, &key, Stage::Opening);
        if let Some(nonce) = self.attempts.take_nonce(&key) {
            self.use_token(now, &nonce);
        }
        self.stats.handshakes_started += 1;
        let ticket = Ticket { attempt: key, stamp };
        self.enqueue(now, ticket, Work::Open { key: server_key, odcid, dcid, scid, message });
        Ok(Fate::Accepted)
    }

    pub(super) fn enqueue(&mut self, now: Instant, ticket: Ticket, work: Work) {
        let job = Job { ticket, work, under_way: self.jobs_under_way.clone() };
        match self.config.kem_jobs {
            KemJobs::Inline => self.on_job(now, job.run()),
            KemJobs::HandedOut => self.jobs.push_back(job),
        }
    }

    pub(super) fn on_job(&mut self, now: Instant, done: JobDone) {
        if self.shutdown {
            return;
        }
        let Ticket { attempt: key, stamp } = done.ticket;
        let Some(attempt) = self.attempts.get_mut(&key).filter(|attempt| attempt.stamp == stamp) else { return };
        match done.result {
            Done::Opened(Some(opened)) => {
                attempt.failed.clear();
                self.on_opened(now, key, opened);
            }
            Done::Opened(None) => {
                self.stats.count_drop(DropReason::InnerSeal);
                if attempt.failed.len() >= MAX_FAILURES {
                    self.attempts.bury(now, &key, Vec::new(), &self.config.bounds);
                } else {
                    self.attempts.advance(now, &key, Stage::Assembling(None));
                }
            }
            Done::Sealed(sealed) => self.on_sealed(now, key, sealed),
        }
    }
}

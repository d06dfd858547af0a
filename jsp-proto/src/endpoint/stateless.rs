//! Answers that keep nothing: RETRY and KEYINFO (specification sections 2.4 and 2.9).

use alloc::vec::Vec;

use super::Endpoint;
use super::accept::Checked;
use super::demux::Fate;
use super::prefix::Prefix;
use crate::config::KeyFetch;
use crate::conn::Path;
use crate::crypto::initial::{Layout, build_flight, build_retry};
use crate::crypto::token::KeyInfo;
use crate::crypto::{InitialKeys, KeyId};
use crate::stats::DropReason;
use crate::time::Instant;
use crate::wire::header::{LongHeader, LongType};
use crate::wire::{Cid, Side};

impl Endpoint {
    pub(super) fn answer(&mut self, path: Path, datagram: Vec<u8>) -> bool {
        let room = self.answers.len() < self.config.bounds.stateless_queue;
        if room {
            self.answers.push_back((path, datagram));
        }
        room
    }

    /// Opens a fragment in place under the server's key id; false if it was sealed under another. For an address that
    /// is not `validated` there is a budget.
    pub(super) fn open_fragment(
        &mut self,
        now: Instant,
        header: &LongHeader<'_>,
        datagram: &mut [u8],
        validated: bool,
    ) -> Checked<bool> {
        let Some(key_id) = self.config.server_key.as_ref().map(|key| key.public().key_id()) else { return Ok(false) };
        if validated {
            Ok(opens_under(&key_id, header, datagram))
        } else {
            self.try_open(now, &key_id, header, datagram)
        }
    }

    /// [`opens_under`] for a stranger.
    fn try_open(
        &mut self,
        now: Instant,
        key_id: &KeyId,
        header: &LongHeader<'_>,
        datagram: &mut [u8],
    ) -> Checked<bool> {
        if !self.budgets.take_seal(now, header.index) {
            return Err(DropReason::SealLimit);
        }
        self.stats.seal_openings += 1;
        Ok(opens_under(key_id, header, datagram))
    }

    /// Asks a client that knows the key id to prove its address.
    pub(super) fn retry(
        &mut self,
        now: Instant,
        path: Path,
        header: &LongHeader<'_>,
        datagram: &mut [u8],
    ) -> Checked<Fate> {
        if header.index != 0 {
            return Err(DropReason::Token);
        }
        // A seal is not opened for an answer that will not be sent.
        if self.budgets.retries.ready_at(now) > now {
            return Err(DropReason::AnswerLimit);
        }
        if !self.open_fragment(now, header, datagram, false)? {
            return self.on_unopened(now, path, header);
        }
        self.send_retry(now, path, header)
    }

    pub(super) fn send_retry(&mut self, now: Instant, path: Path, header: &LongHeader<'_>) -> Checked<Fate> {
        if !self.budgets.retries.take(now) {
            return Err(DropReason::AnswerLimit);
        }
        let key = self.config.server_key.clone().ok_or(DropReason::Unexpected)?;
        let (rscid, token) = self.mint(now, path, header).ok_or(DropReason::Malformed)?;
        let ty = LongType::Retry;
        let seal = InitialKeys::new(&key.public().key_id(), header.dcid.as_slice()).server(ty, rscid.as_slice());
        let reply = reply(ty, header.scid, rscid);
        let datagram = build_retry(&reply, &seal, &token).map_err(|_| DropReason::Malformed)?;
        if !self.answer(path, datagram) {
            return Err(DropReason::AnswerLimit);
        }
        self.stats.retries_sent += 1;
        Ok(Fate::Replied)
    }

    pub(super) fn on_key_request(
        &mut self,
        now: Instant,
        path: Path,
        header: &LongHeader<'_>,
        datagram: &mut [u8],
    ) -> Checked<Fate> {
        let Some(key) = self.config.server_key.clone() else { return Err(DropReason::Unexpected) };
        let policy = self.config.key_fetch;
        let key_id = key.public().key_id();
        if policy != KeyFetch::Off && self.try_open(now, &key_id, header, datagram)? {
            return self.send_key_info(now, path, header, &key_id);
        }
        if policy == KeyFetch::Open && self.try_open(now, &KeyId::ZERO, header, datagram)? {
            return self.send_key_info(now, path, header, &KeyId::ZERO);
        }
        self.on_unopened(now, path, header)
    }

    /// A client that seals under an unknown key id learns from an open server which key it has.
    pub(super) fn on_unopened(&mut self, now: Instant, path: Path, header: &LongHeader<'_>) -> Checked<Fate> {
        if self.config.key_fetch != KeyFetch::Open
            || header.index != 0
            || header.count == 1 && header.ty == LongType::ClientInit
        {
            return Err(DropReason::Seal);
        }
        self.send_key_info(now, path, header, &KeyId::ZERO)
    }

    fn send_key_info(&mut self, now: Instant, path: Path, header: &LongHeader<'_>, under: &KeyId) -> Checked<Fate> {
        if !self.budgets.take_key_info(now, Prefix::of(path.remote)) {
            return Err(DropReason::AnswerLimit);
        }
        let key = self.config.server_key.clone().ok_or(DropReason::Unexpected)?;
        let (rscid, token) = self.mint(now, path, header).ok_or(DropReason::Malformed)?;
        let info = KeyInfo { token: &token, key: key.public().clone(), endorsement: None };
        let message = info.encode().map_err(|_| DropReason::Malformed)?;
        let ty = LongType::Key;
        let seal = InitialKeys::new(under, header.dcid.as_slice()).server(ty, rscid.as_slice());
        let reply = reply(ty, header.scid, rscid);
        let flight = build_flight(&reply, &seal, &message, Layout::Even).map_err(|_| DropReason::Malformed)?;
        if self.answers.len() + flight.len() > self.config.bounds.stateless_queue {
            return Err(DropReason::AnswerLimit);
        }
        for datagram in flight {
            self.answer(path, datagram);
        }
        self.stats.key_infos_sent += 1;
        Ok(Fate::Replied)
    }
}

fn opens_under(key_id: &KeyId, header: &LongHeader<'_>, datagram: &mut [u8]) -> bool {
    let keys = InitialKeys::new(key_id, header.dcid.as_slice()).client(header.ty);
    keys.open_datagram(header.index, datagram, header.payload_at).is_ok()
}

/// The header of a server's flight; fragment numbers are filled in when it is cut.
pub(super) fn reply(ty: LongType, dcid: Cid, scid: Cid) -> LongHeader<'static> {
    LongHeader { from: Side::Server, ty, count: 1, index: 0, dcid, scid, token: &[], payload_at: 0 }
}

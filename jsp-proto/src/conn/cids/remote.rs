//! The ids by which this side names the connection to the peer.

use alloc::vec::Vec;

use super::{CidRecord, Delivery};
use crate::config::bounds;
use crate::error::{TransportError, Violation};
use crate::ranges::RangeSet;
use crate::wire::Cid;
use crate::wire::cursor::Writer;
use crate::wire::frame::{Frame, NewCid};

/// An id that the peer gave. A path that uses one holds a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RemoteCid {
    pub(crate) seq: u64,
    pub(crate) cid: Cid,
}

#[derive(Clone, Copy, Debug)]
struct Given {
    id: RemoteCid,
    /// By which a packet is recognised that says that the peer knows this id no more.
    reset_token: Option<[u8; 16]>,
}

/// The ids the peer has given, beside those that paths use.
#[derive(Debug, Default)]
pub(crate) struct RemoteCids {
    spares: Vec<Given>,
    /// Ids that paths hold.
    held: Vec<Given>,
    /// Numbers that were given, in use or not.
    seen: RangeSet,
    /// Ids with smaller numbers are not to be used any more.
    retire_prior_to: u64,
    /// RETIRE_CID frames that have not arrived yet.
    retired: Vec<(u64, Delivery)>,
}

fn limit_exceeded() -> Violation {
    Violation::new(TransportError::CID_LIMIT, "more connection ids than are kept")
}

impl RemoteCids {
    /// The id of the handshake, which the path in use holds from now on.
    pub(crate) fn start(&mut self, cid: Cid) -> RemoteCid {
        let id = RemoteCid { seq: 0, cid };
        self.held.push(Given { id, reset_token: None });
        self.seen.insert_one(0);
        id
    }

    /// The token for the id of the handshake.
    pub(crate) fn set_first_token(&mut self, token: Option<[u8; 16]>) {
        if let Some(first) = self.held.iter_mut().find(|held| held.id.seq == 0) {
            first.reset_token = token;
        }
    }

    /// The token of an id that a path holds.
    pub(crate) fn reset_token(&self, id: &RemoteCid) -> Option<&[u8; 16]> {
        self.held.iter().find(|held| held.id.seq == id.seq)?.reset_token.as_ref()
    }

    /// The peer gives an id.
    ///
    /// # Errors
    /// More ids than are kept, or two different ids with one number.
    pub(crate) fn on_new(&mut self, frame: &NewCid) -> Result<(), Violation> {
        let conflicts = |other: &Given| (other.id.seq == frame.seq) != (other.id.cid == frame.cid);
        if self.held.iter().chain(&self.spares).any(conflicts) || self.names_emptily() {
            return Err(Violation::new(TransportError::PROTOCOL_VIOLATION, "conflicting connection ids"));
        }
        self.raise_retire_prior_to(frame.retire_prior_to)?;
        if !self.seen.insert_one(frame.seq) {
            return Ok(());
        }
        if self.seen.len() > bounds::CID_GAPS {
            return Err(limit_exceeded());
        }
        if frame.seq < self.retire_prior_to {
            return self.retire(frame.seq);
        }
        let kept = self.held.iter().filter(|held| held.id.seq >= self.retire_prior_to).count() + self.spares.len();
        if kept >= bounds::ACTIVE_CIDS {
            return Err(limit_exceeded());
        }
        let id = RemoteCid { seq: frame.seq, cid: frame.cid };
        self.spares.push(Given { id, reset_token: Some(frame.reset_token) });
        Ok(())
    }

    /// A peer that chose not to be named gives no ids.
    fn names_emptily(&self) -> bool {
        self.held.first().is_some_and(|held| held.id.cid.is_empty())
    }

    fn raise_retire_prior_to(&mut self, bound: u64) -> Result<(), Violation> {
        if bound <= self.retire_prior_to {
            return Ok(());
        }
        self.retire_prior_to = bound;
        while let Some(at) = self.spares.iter().position(|spare| spare.id.seq < bound) {
            let spare = self.spares.swap_remove(at);
            self.retire(spare.id.seq)?;
        }
        Ok(())
    }

    /// Whether the peer wants the id of a path back, and there is another one.
    pub(crate) fn wants_back(&self, held: &RemoteCid) -> bool {
        held.seq < self.retire_prior_to && !self.spares.is_empty()
    }

    /// An id for another path: the one that was given first, so that ids are used in their order.
    pub(crate) fn take(&mut self) -> Option<RemoteCid> {
        let at = (0..self.spares.len()).min_by_key(|&at| self.spares.get(at).map(|spare| spare.id.seq))?;
        let taken = self.spares.swap_remove(at);
        self.held.push(taken);
        Some(taken.id)
    }

    /// No path uses this id any more.
    ///
    /// # Errors
    /// The peer makes this side give up ids faster than it takes note of it.
    pub(crate) fn give_up(&mut self, id: &RemoteCid) -> Result<(), Violation> {
        let Some(at) = self.held.iter().position(|held| held.id.seq == id.seq) else { return Ok(()) };
        self.held.swap_remove(at);
        if id.cid.is_empty() { Ok(()) } else { self.retire(id.seq) }
    }

    fn retire(&mut self, seq: u64) -> Result<(), Violation> {
        if self.retired.len() >= bounds::PENDING_RETIRED_CIDS {
            return Err(limit_exceeded());
        }
        self.retired.push((seq, Delivery::Pending));
        Ok(())
    }

    pub(super) fn wants_to_send(&self) -> bool {
        self.retired.iter().any(|(_, delivery)| *delivery == Delivery::Pending)
    }

    pub(super) fn write(&mut self, w: &mut Writer<'_>, sink: &mut dyn FnMut(CidRecord)) {
        for (seq, delivery) in self.retired.iter_mut().filter(|(_, delivery)| *delivery == Delivery::Pending) {
            if (Frame::RetireCid { seq: *seq }).encode(w).is_err() {
                return;
            }
            *delivery = Delivery::InFlight;
            sink(CidRecord::Retire(*seq));
        }
    }

    pub(super) fn on_acked(&mut self, seq: u64) {
        self.retired.retain(|(retired, _)| *retired != seq);
    }

    pub(super) fn on_lost(&mut self, seq: u64) {
        if let Some((_, delivery)) = self.retired.iter_mut().find(|(retired, _)| *retired == seq) {
            delivery.on_lost();
        }
    }
}

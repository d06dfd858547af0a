//! The ids by which the peer names this connection.

use alloc::vec::Vec;

use super::{CidRecord, Delivery};
use crate::bucket::Bucket;
use crate::config::bounds;
use crate::error::{TransportError, Violation};
use crate::time::Instant;
use crate::wire::Cid;
use crate::wire::cursor::Writer;
use crate::wire::frame::{Frame, NewCid};

/// An id that the endpoint has made for this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Issued {
    pub(crate) cid: Cid,
    pub(crate) reset_token: [u8; 16],
}

#[derive(Debug)]
struct Known {
    seq: u64,
    issued: Issued,
    delivery: Delivery,
}

/// The ids this side has given out. The endpoint makes them, because it has to tell whose they are.
#[derive(Debug)]
pub(crate) struct LocalCids {
    first: Cid,
    known: Vec<Known>,
    next_seq: u64,
    /// How many the peer keeps at once; none are given out before the handshake is confirmed.
    wanted: usize,
    supply: Bucket,
    /// Ids that the peer gave up and the endpoint has not forgotten yet.
    retired: Vec<Cid>,
}

impl LocalCids {
    /// The id of the handshake is the first.
    pub(crate) fn new(now: Instant, first: Cid) -> Self {
        let issued = Issued { cid: first, reset_token: [0; 16] };
        let (rate, burst) = (bounds::NEW_CIDS_PER_SECOND, bounds::NEW_CID_BURST);
        Self {
            first,
            known: Vec::from([Known { seq: 0, issued, delivery: Delivery::Done }]),
            next_seq: 1,
            wanted: 1,
            supply: Bucket::new(now, rate, burst),
            retired: Vec::new(),
        }
    }

    /// The id of the handshake.
    pub(crate) fn first(&self) -> Cid {
        self.first
    }

    /// All ids under which packets may come in.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Cid> + '_ {
        self.known.iter().map(|known| known.issued.cid).chain(self.retired.iter().copied())
    }

    /// From now on the peer gets spare ids, as far as it keeps them.
    pub(crate) fn supply(&mut self, peer_limit: u64) {
        let limit = usize::try_from(peer_limit).unwrap_or(usize::MAX);
        self.wanted = limit.min(1 + bounds::SPARE_CIDS);
    }

    /// Whether the endpoint is to make another id now.
    pub(crate) fn wants(&mut self, now: Instant) -> bool {
        self.known.len() < self.wanted && self.supply.take(now)
    }

    /// The endpoint has made an id.
    pub(crate) fn issue(&mut self, issued: Issued) {
        self.known.push(Known { seq: self.next_seq, issued, delivery: Delivery::Pending });
        self.next_seq += 1;
    }

    /// The peer does not use the id with number `seq` any more. `addressed` is the id in the packet that says so, if it
    /// came in a packet of its own.
    pub(crate) fn on_retire(&mut self, seq: u64, addressed: Option<&Cid>) -> Result<(), Violation> {
        if seq >= self.next_seq {
            return Err(Violation::new(TransportError::PROTOCOL_VIOLATION, "an id retired that was never given out"));
        }
        let Some(at) = self.known.iter().position(|known| known.seq == seq) else { return Ok(()) };
        let cid = self.known.get(at).map(|known| known.issued.cid);
        if cid.as_ref() == addressed {
            return Err(Violation::new(
                TransportError::PROTOCOL_VIOLATION,
                "an id retired by a packet addressed to it",
            ));
        }
        self.known.swap_remove(at);
        self.retired.extend(cid);
        Ok(())
    }

    /// The next id that names this connection no more.
    pub(crate) fn pop_retired(&mut self) -> Option<Cid> {
        self.retired.pop()
    }

    pub(super) fn wants_to_send(&self) -> bool {
        self.known.iter().any(|known| known.delivery == Delivery::Pending)
    }

    pub(super) fn write(&mut self, w: &mut Writer<'_>, sink: &mut dyn FnMut(CidRecord)) {
        for known in self.known.iter_mut().filter(|known| known.delivery == Delivery::Pending) {
            let Issued { cid, reset_token } = known.issued;
            let frame = NewCid { seq: known.seq, retire_prior_to: 0, cid, reset_token };
            if Frame::NewCid(frame).encode(w).is_err() {
                return;
            }
            known.delivery = Delivery::InFlight;
            sink(CidRecord::New(known.seq));
        }
    }

    fn delivery(&mut self, seq: u64) -> Option<&mut Delivery> {
        self.known.iter_mut().find(|known| known.seq == seq).map(|known| &mut known.delivery)
    }

    pub(super) fn on_acked(&mut self, seq: u64) {
        if let Some(delivery) = self.delivery(seq) {
            *delivery = Delivery::Done;
        }
    }

    pub(super) fn on_lost(&mut self, seq: u64) {
        if let Some(delivery) = self.delivery(seq) {
            delivery.on_lost();
        }
    }
}

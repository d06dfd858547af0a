//! Connection ids: those this side gave out, and those the peer gave (specification sections 3.7 and 13.8).
//!
//! A path to another address uses an id of its own, so that nobody on the way can tell that it is the same connection.
//! Both sides therefore keep each other supplied with spare ids.

mod local;
mod remote;
#[cfg(test)]
mod tests;

pub(crate) use local::{Issued, LocalCids};
pub(crate) use remote::{RemoteCid, RemoteCids};

use crate::wire::cursor::Writer;

/// What a sent packet carried for this part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CidRecord {
    /// NEW_CID with this number.
    New(u64),
    /// RETIRE_CID with this number.
    Retire(u64),
}

/// How far something that must arrive once has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    Pending,
    InFlight,
    Done,
}

impl Delivery {
    fn on_lost(&mut self) {
        if *self == Self::InFlight {
            *self = Self::Pending;
        }
    }
}

/// The connection ids of one connection.
pub(crate) struct Cids {
    pub(crate) local: LocalCids,
    pub(crate) remote: RemoteCids,
}

impl Cids {
    pub(crate) fn wants_to_send(&self) -> bool {
        self.local.wants_to_send() || self.remote.wants_to_send()
    }

    /// Writes what is pending and fits.
    pub(crate) fn write(&mut self, w: &mut Writer<'_>, sink: &mut dyn FnMut(CidRecord)) {
        self.local.write(w, sink);
        self.remote.write(w, sink);
    }

    pub(crate) fn on_acked(&mut self, record: CidRecord) {
        match record {
            CidRecord::New(seq) => self.local.on_acked(seq),
            CidRecord::Retire(seq) => self.remote.on_acked(seq),
        }
    }

    pub(crate) fn on_lost(&mut self, record: CidRecord) {
        match record {
            CidRecord::New(seq) => self.local.on_lost(seq),
            CidRecord::Retire(seq) => self.remote.on_lost(seq),
        }
    }
}

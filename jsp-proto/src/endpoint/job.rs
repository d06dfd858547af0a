//! Public-key work that may run anywhere: pure functions of bytes and random coins (specification section 2.8).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::attempt::AttemptKey;
use crate::crypto::{PublicKey, SecretKey, Secrets, ServerOpened, server_open};
use crate::wire::Cid;
use zeroize::Zeroizing;

/// A piece of public-key work, about 0.2 ms. Run it on any thread and bring the result to
/// [`Endpoint::job_done`](crate::Endpoint::job_done). A job may be dropped; its client gets no answer until the attempt is
/// forgotten, five seconds later, and then repeats itself.
#[derive(Debug)]
#[must_use]
pub struct Job {
    pub(super) ticket: Ticket,
    pub(super) work: Work,
    /// Counts the job as under way for as long as it exists, wherever it is dropped.
    pub(super) under_way: Arc<()>,
}

/// What a [`Job`] has found out.
#[derive(Debug)]
#[must_use]
pub struct JobDone {
    pub(super) ticket: Ticket,
    pub(super) result: Done,
    /// The result counts as the job did until it is taken back.
    _under_way: Arc<()>,
}

/// Whose work it is, and which stage of it: a result that comes too late finds nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) attempt: AttemptKey,
    pub(super) stamp: u64,
}

/// The two halves of the server's work, between which the program decides.
pub(super) enum Work {
    /// Open the client's message: one decapsulation.
    Open { key: Arc<SecretKey>, odcid: Cid, dcid: Cid, scid: Cid, message: Vec<u8> },
    /// Answer it: one encapsulation, and one more for a client with a key.
    Seal(Box<Seal>),
}

pub(super) struct Seal {
    pub(super) opened: ServerOpened,
    pub(super) scid: Cid,
    pub(super) coins: Zeroizing<[u8; 64]>,
    pub(super) client: Option<(PublicKey, Zeroizing<[u8; 64]>)>,
    pub(super) psk: Option<Zeroizing<[u8; 32]>>,
    pub(super) refuse: Option<u64>,
}

impl core::fmt::Debug for Work {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Open { .. } => "Open",
            Self::Seal(_) => "Seal",
        })
    }
}

pub(super) enum Done {
    Opened(Option<ServerOpened>),
    Sealed(Option<(Vec<u8>, Secrets)>),
}

impl core::fmt::Debug for Done {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Opened(_) => "Opened",
            Self::Sealed(_) => "Sealed",
        })
    }
}

impl Job {
    /// Does the work.
    pub fn run(self) -> JobDone {
        let result = match self.work {
            Work::Open { key, odcid, dcid, scid, message } => {
                let (odcid, dcid, scid) = (odcid.as_slice(), dcid.as_slice(), scid.as_slice());
                Done::Opened(server_open(&key, odcid, dcid, scid, &message).ok())
            }
            Work::Seal(seal) => Done::Sealed(seal.run()),
        };
        JobDone { ticket: self.ticket, result, _under_way: self.under_way }
    }
}

impl Seal {
    fn run(self) -> Option<(Vec<u8>, Secrets)> {
        let client = self.client.as_ref().map(|(key, coins)| (key, &**coins));
        let psk = self.psk.as_deref();
        self.opened.seal(self.scid.as_slice(), &self.coins, client, psk, self.refuse, &[]).ok()
    }
}

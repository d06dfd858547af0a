//! What a client makes of being told that the server speaks other versions (specification section 3.8).

use crate::stats::DropReason;
use crate::wire::header::{VERSION, VersionNegotiation};

/// Anybody can send version negotiation packets, so they end nothing: they only name the failure if the attempt fails.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Versions {
    answered: bool,
    strange: bool,
}

impl Versions {
    /// An answer has opened: the server speaks this version, whatever was said before.
    pub(super) fn on_opened(&mut self) {
        *self = Self { answered: true, strange: false };
    }

    /// Somebody says which versions the server speaks, in answer to a packet of this attempt.
    pub(super) fn on_negotiation(&mut self, packet: &VersionNegotiation<'_>) -> Result<(), DropReason> {
        if self.answered || packet.versions().any(|version| version == VERSION) {
            return Err(DropReason::Version);
        }
        self.strange = true;
        Ok(())
    }

    /// Whether the server is said to speak other versions only.
    pub(super) fn are_strange(self) -> bool {
        self.strange
    }
}

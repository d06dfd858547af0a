//! Other versions of the protocol: the answer to clients that speak one, and the answer of servers that do
//! (specification section 3.8; RFC 8999).

use super::Endpoint;
use super::demux::Fate;
use crate::conn::Path;
use crate::stats::DropReason;
use crate::time::Instant;
use crate::wire::Cid;
use crate::wire::cursor::Writer;
use crate::wire::header::{Invariants, decode_invariants, decode_version_negotiation, encode_version_negotiation};

/// Smaller datagrams are not answered.
const LEAST: usize = 1200;
/// The longest answer: two ids of 255 bytes and two versions.
const LONGEST: usize = 1 + 4 + 2 * (1 + 255) + 8;

impl Endpoint {
    /// Takes a long-header datagram of another version, or of none.
    pub(super) fn on_other_version(&mut self, now: Instant, path: Path, datagram: &[u8]) -> Fate {
        match decode_invariants(datagram) {
            None => Fate::Dropped(DropReason::Malformed),
            Some(Invariants { version: 0, .. }) => self.on_version_negotiation(datagram),
            Some(invariants) => self.negotiate_version(now, path, &invariants, datagram.len()),
        }
    }

    /// Names this version to a client that speaks another one.
    fn negotiate_version(&mut self, now: Instant, path: Path, theirs: &Invariants<'_>, trigger: usize) -> Fate {
        if trigger < LEAST || self.config.server_key.is_none() || self.shutdown {
            return Fate::Dropped(DropReason::Version);
        }
        let room = self.answers.len() < self.config.bounds.stateless_queue;
        if !room || !self.budgets.versions.take(now) {
            return Fate::Dropped(DropReason::AnswerLimit);
        }
        let grease = self.rng.u64() as u32;
        let mut answer = [0; LONGEST];
        let mut writer = Writer::new(&mut answer);
        if encode_version_negotiation(theirs.scid, theirs.dcid, grease, &mut writer).is_err() {
            return Fate::Dropped(DropReason::Malformed);
        }
        let len = writer.position();
        self.answer(path, answer.get(..len).unwrap_or_default().to_vec());
        self.stats.version_negotiations_sent += 1;
        Fate::Replied
    }

    /// Brings what a server says about its versions to the attempt it answers. It is never answered.
    fn on_version_negotiation(&mut self, datagram: &[u8]) -> Fate {
        let Some(packet) = decode_version_negotiation(datagram) else { return Fate::Dropped(DropReason::Malformed) };
        let Some(cid) = Cid::new(packet.dcid) else { return Fate::Dropped(DropReason::UnknownConnection) };
        let Some(&key) = self.cids.get(&cid) else { return self.without_connection(&cid) };
        self.with_connection(key, |connection, _| connection.on_version_negotiation(&packet))
    }
}

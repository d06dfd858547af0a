//! Datagrams about a path: questions whether it works, answers, and reminders that this side is there (specification
//! sections 6.5 and 13.24). Each is a datagram of its own, as long as every path has to carry.

use core::time::Duration;

use super::Connection;
use super::path::{FULL, Path, Place};
use super::seal::begin;
use super::tx::Sent;
use crate::Ecn;
use crate::crypto::TAG_LEN;
use crate::recovery::{Flags, Permit};
use crate::time::Instant;
use crate::wire::Side;
use crate::wire::frame::Frame;

impl Connection {
    /// Writes what is to be said or asked about a path now.
    pub(super) fn transmit_about_path(&mut self, now: Instant, out: &mut [u8]) -> Sent {
        match self.transmit_probe(now, out) {
            Sent::Nothing => self.transmit_mtu_probe(now, out),
            sent => sent,
        }
    }

    fn transmit_probe(&mut self, now: Instant, out: &mut [u8]) -> Sent {
        let Some(secure) = self.secure.as_deref_mut() else { return Sent::Nothing };
        let nudge = self.nudge.then_some(Place::InUse);
        let Some(place) = self.paths.next_to_send().or(nudge) else { return Sent::Nothing };
        if secure.recovery.permit(now, 0) != Permit::Now {
            return Sent::Nothing;
        }
        let Some(slot) = out.get_mut(..FULL) else { return Sent::NeedBuffer(FULL) };
        match self.build_probe(now, place, slot) {
            Some((path, len)) => Sent::Datagrams { path, len, segment: len, ecn: Ecn::NotEct },
            None => Sent::Nothing,
        }
    }

    fn build_probe(&mut self, now: Instant, place: Place, slot: &mut [u8]) -> Option<(Path, usize)> {
        let cid = self.paths.get(place)?.cid.map_or_else(|| self.remote_cid(), |id| id.cid);
        let (challenge, response) = self.paths.pending(place);
        let nudge = place == Place::InUse && core::mem::take(&mut self.nudge);
        let path = self.paths.get_mut(place)?;
        let full = path.allows(FULL as u64);
        let secure = self.secure.as_deref_mut()?;

        let (layout, mut w) = begin(&mut secure.recovery, &cid, slot)?;
        if let Some(data) = challenge {
            Frame::PathChallenge(data).encode(&mut w).ok()?;
        }
        if let Some(data) = response {
            Frame::PathResponse(data).encode(&mut w).ok()?;
        }
        if nudge {
            Frame::Ping.encode(&mut w).ok()?;
        }
        let padding = if full { w.remaining() } else { 4usize.saturating_sub(w.position()) };
        w.zeros(padding).ok()?;
        let len = layout.payload_at + w.position() + TAG_LEN;
        // A path that is not in use says nothing about the one that is: only the reminder counts there.
        let flags = if nudge { Flags::DATA } else { Flags::ACK_ONLY };
        let patience = secure.recovery.pto_base();
        let address = path.path;
        path.on_sent(len as u64);
        self.seal(now, layout, slot.get_mut(..len)?, flags, Ecn::NotEct)?;
        self.paths.on_sent(now, place, len, patience);
        Some((address, len))
    }
}

/// Notices when a stream of packets breaks off.
///
/// Somebody who only receives does not learn that a NAT has given him another address: the sender goes on sending to
/// the old one, and waits in vain for an answer to what does not arrive. One packet of the receiver is enough to show it
/// the way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lull {
    /// Packets that came without a break.
    packets: u32,
    last: Instant,
}

/// So many packets without a break are a stream of packets.
const STREAM: u32 = 10;

impl Lull {
    /// A packet came that wants to be acknowledged. A silence longer than `pto` is a break.
    pub(super) fn on_packet(&mut self, now: Instant, pto: Duration) {
        if now > self.last + pto {
            self.packets = 0;
        }
        self.packets = self.packets.saturating_add(1);
        self.last = now;
    }

    /// When the stream has broken off, if nothing comes.
    pub(super) fn deadline(&self, pto: Duration) -> Option<Instant> {
        (self.packets >= STREAM).then(|| self.last + pto)
    }

    /// Whether it has. Told once.
    pub(super) fn has_begun(&mut self, now: Instant, pto: Duration) -> bool {
        let begun = self.deadline(pto).is_some_and(|at| now >= at);
        if begun {
            self.packets = 0;
        }
        begun
    }
}

impl Connection {
    /// The peer is to acknowledge something. A client's first question after a silence is long enough that a server
    /// which does not know its address any more may answer with data at once; what follows in vain is kept short.
    pub(super) fn ask_for_ack(&mut self) {
        let first = self.secure.as_ref().is_some_and(|secure| secure.recovery.pto_count() == 1);
        if self.side == Side::Client && self.confirmed && first && !self.has_frames() {
            self.nudge = true;
        } else {
            self.control.send_ping();
        }
    }

    /// When to remind the peer of this side's address.
    pub(super) fn lull_deadline(&self) -> Option<Instant> {
        let secure = self.secure.as_ref().filter(|_| self.side == Side::Client && self.confirmed)?;
        self.lull.deadline(secure.recovery.pto_base())
    }

    /// Reminds the peer of this side's address if what it sent has broken off.
    pub(super) fn on_lull(&mut self, now: Instant) {
        let Some(secure) = &self.secure else { return };
        self.nudge |= self.side == Side::Client && self.lull.has_begun(now, secure.recovery.pto_base());
    }
}

//! Sending: asks the parts for frames and seals them (specification sections 3.1 and 4.8). Knows the order of the
//! parts, and no frame.

use super::close::Life;
use super::seal::{Layout, begin};
use super::{Connection, Path, Record};
use crate::Ecn;
use crate::crypto::TAG_LEN;
use crate::fec;
use crate::recovery::{Fate, Flags, Permit};
use crate::stream::LossContext;
use crate::time::Instant;

/// What a call to send has produced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Nothing,
    /// There is something to send, and it needs a buffer of this size.
    NeedBuffer(usize),
    /// `len` bytes: datagrams of `segment` bytes each, the last possibly shorter.
    Datagrams {
        path: Path,
        len: usize,
        segment: usize,
        ecn: Ecn,
    },
}

/// Datagrams in one batch at most, and their bytes: what segmentation offload takes.
const MAX_BATCH: usize = 64;
const MAX_BATCH_BYTES: usize = 65_000;
/// Bytes of a packet number at most.
const MAX_PN_LEN: usize = 4;
/// Room that varints may leave at the end of a packet. Padding it keeps the datagrams of a batch equal.
const SLACK: usize = 8;

/// Bytes of the congestion window that less urgent streams leave free while more urgent ones are active: a message
/// that comes up then does not wait for an acknowledgement of bulk data. At most half the window.
const HEADROOM: u64 = 2400;

impl Connection {
    /// Writes what is to be sent now, not more than `limit` datagrams. To be called until it gives [`Sent::Nothing`].
    pub(crate) fn poll_transmit(&mut self, now: Instant, out: &mut [u8], limit: usize) -> Sent {
        let sent = match &self.life {
            Life::Closing { answer, .. } if answer.is_pending() => self.transmit_farewell(now, out),
            Life::Closing { .. } | Life::Draining | Life::Over => Sent::Nothing,
            Life::Connecting | Life::Open | Life::Flushing(_) => match self.transmit_handshake(out) {
                Sent::Nothing => match self.transmit_about_path(now, out) {
                    Sent::Nothing => self.transmit_packets(now, out, limit),
                    sent => sent,
                },
                sent => sent,
            },
        };
        if let Sent::Datagrams { len, segment, .. } = sent {
            self.stats.datagrams_sent += len.div_ceil(segment.max(1)) as u64;
            self.stats.bytes_sent += len as u64;
        }
        sent
    }

    /// Datagrams over the path in use.
    pub(super) fn sent_over_path_in_use(&mut self, len: usize, segment: usize, ecn: Ecn) -> Sent {
        let path = self.paths.in_use_mut();
        path.on_sent(len as u64);
        Sent::Datagrams { path: path.path, len, segment, ecn }
    }

    /// Copies out a datagram of the handshake.
    fn transmit_handshake(&mut self, out: &mut [u8]) -> Sent {
        let client = self.client.as_ref().and_then(|client| client.next_datagram());
        let server = self.server.as_ref().and_then(|server| server.next());
        let Some(datagram) = client.or(server) else { return Sent::Nothing };
        let len = datagram.len();
        if !self.paths.in_use().allows(len as u64) {
            return Sent::Nothing;
        }
        let Some(slot) = out.get_mut(..len) else { return Sent::NeedBuffer(len) };
        slot.copy_from_slice(datagram);
        self.trace.handshake_sent(self.side, slot);
        if let Some(client) = &mut self.client {
            client.datagram_sent();
        } else if let Some(server) = &mut self.server {
            server.sent();
        }
        self.sent_over_path_in_use(len, len, Ecn::NotEct)
    }

    /// Fills `out` with as many full packets as may leave now, and at most one shorter one.
    fn transmit_packets(&mut self, now: Instant, out: &mut [u8], limit: usize) -> Sent {
        let size = usize::from(self.stats.datagram_size);
        if !self.wants_packet(now, size) {
            return Sent::Nothing;
        }
        if out.len() < size {
            return Sent::NeedBuffer(size);
        }
        // Each datagram counts against the limit of an unproven path, so there they leave one by one.
        let limit = if self.paths.in_use().is_limited() { 1 } else { limit.clamp(1, MAX_BATCH) };
        let most = (out.len().min(MAX_BATCH_BYTES) / size).min(limit);
        let ecn = self.secure.as_ref().map_or(Ecn::NotEct, |secure| secure.recovery.ecn());
        let header = 1 + self.remote_cid().len() + MAX_PN_LEN + TAG_LEN;
        let (mut len, mut segment, mut of_parity) = (0, size, false);
        for count in 0..most {
            if count > 0 && !self.wants_packet(now, size) {
                break;
            }
            let Some(secure) = &mut self.secure else { break };
            let parity = secure.parity_is_due(now, size.saturating_sub(header));
            // Parity is longer than what it protects: each has its own batch.
            if count > 0 && parity != of_parity {
                break;
            }
            of_parity = parity;
            // The first packet sets the size of all but the last.
            let full = size - secure.parity_reserve();
            let Some(slot) = out.get_mut(len..len + segment) else { break };
            let Some(packet) = self.build_packet(now, ecn, slot, parity) else { break };
            len += packet;
            if packet < segment && (count > 0 || packet < full && !parity) {
                break;
            }
            segment = packet;
        }
        self.give_up_repairs(now);
        if len == 0 { Sent::Nothing } else { self.sent_over_path_in_use(len, segment.min(len), ecn) }
    }

    pub(super) fn has_frames(&self) -> bool {
        self.control.wants_to_send()
            || self.cids.wants_to_send()
            || self.confirmed && self.observed.as_ref().is_some_and(|observed| observed.wants_to_send())
            || self.may_send_data() && (self.streams.wants_control() || self.streams.wants_data())
            || self.secure.as_ref().is_some_and(|secure| secure.has_parity())
    }

    /// Whether a packet may and should be built now; notes when pacing stands in the way.
    fn wants_packet(&mut self, now: Instant, size: usize) -> bool {
        if !self.paths.in_use().allows(size as u64) {
            return false;
        }
        let has_frames = self.has_frames();
        let Some(secure) = &mut self.secure else { return false };
        // Packets that only acknowledge leave whatever the window says, as long as they can be remembered.
        if secure.acks.due(now) && secure.recovery.permit(now, 0) == Permit::Now {
            return true;
        }
        if !has_frames && !self.complete_blocks(now) && !self.insure(now) {
            return false;
        }
        let Some(secure) = &mut self.secure else { return false };
        let headroom = if self.streams.is_outranked(now) { HEADROOM.min(secure.recovery.cwnd() / 2) } else { 0 };
        match secure.recovery.permit(now, size as u64 + headroom) {
            Permit::Now => true,
            Permit::Paced(at) => {
                self.paced_until = Some(at);
                false
            }
            Permit::Congested | Permit::RingFull => false,
        }
    }

    /// There is nothing to send. Whether parity is, of blocks that wait for packets in vain.
    fn complete_blocks(&mut self, now: Instant) -> bool {
        let Some(secure) = &mut self.secure else { return false };
        secure.complete_blocks(now);
        secure.has_parity()
    }

    /// There is nothing to send. Whether copies of retransmissions fill the pause.
    fn insure(&mut self, now: Instant) -> bool {
        let Self { secure: Some(secure), streams, .. } = self else { return false };
        let context = LossContext { now, srtt: secure.recovery.srtt() };
        secure.recovery.set_app_limited(&mut |fate, record: &Record| {
            if let (Fate::Probe, Record::Stream(record)) = (fate, record) {
                streams.on_probe(context, record);
            }
        });
        self.has_frames()
    }

    /// Builds and seals one packet in `slot`, which may be as long as the path's datagrams: one with parity or one with
    /// anything else. `None` if no part had anything that fits.
    fn build_packet(&mut self, now: Instant, ecn: Ecn, slot: &mut [u8], parity: bool) -> Option<usize> {
        let may_send_data = self.may_send_data();
        let least = self.least_eliciting();
        let datagram = usize::from(self.stats.datagram_size);
        let cid = self.remote_cid();
        let secure = self.secure.as_deref_mut()?;
        let may_fly = secure.recovery.permit(now, slot.len() as u64) == Permit::Now;
        let reserve = if parity { 0 } else { secure.parity_reserve() };
        let usable = slot.len().min(datagram.saturating_sub(reserve));
        let slot = slot.get_mut(..usable)?;

        let (layout, mut w) = begin(&mut secure.recovery, &cid, slot)?;
        let Layout { pn, pn_len, payload_at, .. } = layout;
        secure.write_acks(now, &mut w);
        let after_acks = w.position();
        let retransmitted = self.streams.retransmitted();
        if parity && may_fly {
            secure.write_parity(pn, &mut w);
        } else if may_fly {
            let recovery = &mut secure.recovery;
            if let Some(observed) = self.observed.as_mut().filter(|_| self.confirmed) {
                observed.write(&mut w);
            }
            if secure.acks.wants_ping() {
                self.control.send_ping();
            }
            self.control.write(&mut w, &mut |record| recovery.record(Record::Control(record)));
            self.cids.write(&mut w, &mut |record| recovery.record(Record::Cid(record)));
            if may_send_data {
                let mut sink = |record| recovery.record(Record::Stream(record));
                self.streams.write_control(now, &mut w, &mut sink);
                self.streams.write_data(now, &mut w, &mut sink);
                if w.remaining() <= SLACK && self.streams.wants_data() {
                    let _ = w.zeros(w.remaining());
                }
            }
        }
        let eliciting = w.position() > after_acks;
        if eliciting && !parity {
            self.grease.write(&mut self.rng, &mut w);
        }
        if w.position() == 0 {
            secure.recovery.cancel();
            return None;
        }
        // Header protection samples the ciphertext from the fourth byte after the packet number's start.
        while pn_len + w.position() < 4 || eliciting && payload_at + w.position() + TAG_LEN < least {
            w.zeros(1).ok()?;
        }
        let end = payload_at + w.position();
        let len = end + TAG_LEN;
        let mut flags = if eliciting { Flags::DATA } else { Flags::ACK_ONLY };
        flags.retransmission = self.streams.retransmitted() > retransmitted;
        if eliciting && parity {
            self.stats.fec.parity_bytes_sent += len as u64;
        } else if eliciting {
            let room = datagram.saturating_sub(payload_at + TAG_LEN);
            let (transport, peer) = (&self.config.transport, self.peer.fec);
            let new = || peer.decodes().then(|| fec::Sender::new(transport, peer));
            let wish = self.streams.take_wish();
            flags.coded = secure.protect(now, pn, slot.get(payload_at..end)?, room, &wish, new);
        }
        self.seal(now, layout, slot.get_mut(..len)?, flags, ecn)?;
        Some(len)
    }

    /// Sends the farewell, once or in answer to a peer that goes on.
    fn transmit_farewell(&mut self, now: Instant, out: &mut [u8]) -> Sent {
        const ROOM: usize = 1200;
        if !self.paths.in_use().allows(ROOM as u64) {
            return Sent::Nothing;
        }
        let Some(slot) = out.get_mut(..ROOM) else { return Sent::NeedBuffer(ROOM) };
        let len = self.build_farewell(now, slot);
        if let Life::Closing { answer, .. } = &mut self.life {
            answer.sent();
        }
        self.tell_closed();
        match len {
            Some(len) => self.sent_over_path_in_use(len, len, Ecn::NotEct),
            None => Sent::Nothing,
        }
    }

    fn build_farewell(&mut self, now: Instant, slot: &mut [u8]) -> Option<usize> {
        let cid = self.remote_cid();
        let Life::Closing { farewell, .. } = &self.life else { return None };
        let secure = self.secure.as_deref_mut()?;
        let (layout, mut w) = begin(&mut secure.recovery, &cid, slot)?;
        // Whether or not an earlier packet said so already: a peer that is closing too must learn that all arrived.
        if let Some(record) = secure.acks.write(now, &mut w) {
            secure.recovery.record(Record::Ack(record));
        }
        farewell.write(&mut w);
        w.zeros(4).ok()?;
        let len = layout.payload_at + w.position() + TAG_LEN;
        self.seal(now, layout, slot.get_mut(..len)?, Flags::ACK_ONLY, Ecn::NotEct)?;
        Some(len)
    }
}

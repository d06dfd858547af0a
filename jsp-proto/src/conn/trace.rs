//! What an observed connection notes until the endpoint asks for it.
//!
//! A connection does not know its observer. What happens at one place is noted there, with a line; what can be read off
//! the connection is compared with the last time instead, and needs no line at all.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use super::export::Export;
use super::handshake::hello;
use super::{Connection, Path};
use crate::Ecn;
use crate::crypto::{Secrets, TAG_LEN};
use crate::log::Log;
use crate::observe::{Attention, HandshakePacket, Metrics, Milestone, Observation, Owner, Packet, Parameters};
use crate::recovery::Verdict;
use crate::stats::{DropReason, FecStats};
use crate::stream::StreamNote;
use crate::wire::Side;
use crate::wire::header::{ShortFlags, decode_long};

/// Bytes of frames that are kept for the observer; packets beyond are noted without them.
const FRAME_BYTES: usize = 1 << 18;

/// What is to be told; nothing, and no memory, if nobody observes.
#[derive(Default)]
pub(super) struct Trace(Option<Box<Inner>>);

struct Inner {
    notes: Log<Note>,
    /// Single packets are noted, too.
    packets: bool,
    /// The frames of the packets among the notes.
    frames: Vec<u8>,
    last: Snapshot,
    /// Secrets on their way out, if the program asked for that.
    export: Option<Export>,
}

struct Note {
    what: Observation<'static>,
    frames: Range<usize>,
}

/// What is compared with the last time.
#[derive(Clone, Copy, Default)]
struct Snapshot {
    path: Option<Path>,
    secured: bool,
    connected: bool,
    confirmed: bool,
    closed: bool,
    datagram: u16,
    /// The key phase, and how many updates the peer has taken part in.
    keys: (u64, u64),
    metrics: Metrics,
    congestion: &'static str,
    fec: FecStats,
}

impl Trace {
    pub(super) fn note(&mut self, what: impl FnOnce() -> Observation<'static>) {
        if let Some(inner) = &mut self.0 {
            inner.notes.push(|| Note { what: what(), frames: 0..0 });
        }
    }

    /// Keeps secrets for the observer, if it is to have them.
    pub(super) fn keep_secrets(&mut self, secrets: &Secrets) {
        if let Some(export) = self.0.as_mut().and_then(|inner| inner.export.as_mut()) {
            export.keep(secrets);
        }
    }

    /// A packet with short header is about to be sealed: `packet` is its header and its frames.
    pub(super) fn sent(&mut self, number: u64, payload_at: usize, packet: &[u8], ecn: Ecn) {
        if let Some(inner) = self.0.as_mut().filter(|inner| inner.packets) {
            let payload = payload_at..packet.len();
            inner.packet(number, packet, payload, packet.len() + TAG_LEN, ecn, Observation::PacketSent);
        }
    }

    /// A packet with short header was opened in `datagram`.
    pub(super) fn received(&mut self, number: u64, payload: &Range<usize>, datagram: &[u8], ecn: Ecn) {
        if let Some(inner) = self.0.as_mut().filter(|inner| inner.packets) {
            inner.packet(number, datagram, payload.clone(), datagram.len(), ecn, Observation::PacketReceived);
        }
    }

    /// A datagram of the handshake leaves.
    pub(super) fn handshake_sent(&mut self, side: Side, datagram: &[u8]) {
        if self.0.is_some()
            && let Ok(header) = decode_long(datagram, side)
        {
            let packet = HandshakePacket::new(header.ty, header.index, header.count, datagram.len());
            self.note(|| Observation::HandshakeSent(packet));
        }
    }
}

impl Inner {
    fn packet(
        &mut self,
        number: u64,
        packet: &[u8],
        payload: Range<usize>,
        bytes: usize,
        ecn: Ecn,
        what: fn(Packet<'static>) -> Observation<'static>,
    ) {
        let flags = ShortFlags::from_first_byte(packet.first().copied().unwrap_or_default());
        let payload = packet.get(payload).filter(|payload| self.frames.len() + payload.len() <= FRAME_BYTES);
        let from = self.frames.len();
        self.frames.extend_from_slice(payload.unwrap_or_default());
        let frames = from..self.frames.len();
        let packet = Packet::new(number, bytes, ecn, flags.key_phase, flags.fec);
        self.notes.push(|| Note { what: what(packet), frames });
    }

    fn tell(&mut self, tell: &mut dyn FnMut(&Observation<'_>)) {
        for Note { what, frames } in self.notes.drain().into_iter().flatten() {
            let frames = self.frames.get(frames).unwrap_or_default();
            match what {
                Observation::PacketSent(packet) => tell(&Observation::PacketSent(packet.with_frames(frames))),
                Observation::PacketReceived(packet) => tell(&Observation::PacketReceived(packet.with_frames(frames))),
                what => tell(&what),
            }
        }
        self.frames.clear();
        tell_missed(&mut self.notes, tell);
    }
}

impl Connection {
    /// Notes something for the observer, if there is one.
    pub(crate) fn observe(&mut self, what: impl FnOnce() -> Observation<'static>) {
        self.trace.note(what);
    }

    /// A datagram of the connection was dropped.
    pub(crate) fn on_dropped(&mut self, bytes: usize, reason: DropReason) {
        self.stats.datagrams_dropped += 1;
        self.observe(|| Observation::DatagramDropped { bytes, reason });
    }

    /// The connection is observed from its beginning, which is now.
    pub(crate) fn start_trace(&mut self, attention: Attention) {
        if attention == Attention::None {
            return;
        }
        let packets = attention == Attention::Packets;
        let last = Snapshot { datagram: self.stats.datagram_size, path: Some(self.path()), ..Snapshot::default() };
        let mut notes = Log::default();
        notes.start();
        let export = self.export();
        self.trace = Trace(Some(Box::new(Inner { notes, packets, frames: Vec::new(), last, export })));
        self.streams.log().start();
        let (side, path) = (self.side, self.path());
        let (local_cid, remote_cid) = (self.cids.local.first(), self.remote_cid());
        let params = Parameters::of(&hello::local_params(&self.config, side), side);
        self.observe(|| Observation::Started { side, path, local_cid, remote_cid });
        self.observe(|| Observation::Parameters { owner: Owner::Local, params });
    }

    /// The connection is not observed any more.
    pub(crate) fn stop_trace(&mut self) {
        self.trace = Trace(None);
        self.streams.log().stop();
        if let Some(secure) = &mut self.secure {
            secure.recovery.journal().stop();
        }
    }

    pub(crate) const fn is_traced(&self) -> bool {
        self.trace.0.is_some()
    }

    /// Tells what has happened since the last time.
    pub(crate) fn report(&mut self, tell: &mut dyn FnMut(&Observation<'_>)) {
        let Some(mut trace) = self.trace.0.take() else { return };
        trace.tell(tell);
        if let Some(export) = &mut trace.export {
            export.tell(self.server_key(), tell);
        }
        if let Some(secure) = self.secure.as_mut().filter(|_| trace.packets) {
            let journal = secure.recovery.journal();
            // The keys may be new.
            journal.start();
            journal.drain().into_iter().flatten().for_each(|verdict| tell(&settled(verdict)));
            tell_missed(journal, tell);
        }
        let streams = self.streams.log();
        streams.drain().into_iter().flatten().for_each(|note| tell(&stream(note)));
        tell_missed(streams, tell);
        let now = self.snapshot(&trace.last, trace.packets);
        now.tell_changes(&trace.last, tell);
        if let Some(error) = self.error.as_deref().filter(|_| now.closed && !trace.last.closed) {
            tell(&Observation::Closed(error));
        }
        trace.last = now;
        self.trace.0 = Some(trace);
    }

    fn snapshot(&self, last: &Snapshot, packets: bool) -> Snapshot {
        let mut fec = if packets { self.stats.fec } else { last.fec };
        let mut metrics = last.metrics;
        let mut congestion = last.congestion;
        if let Some(secure) = self.secure.as_ref().filter(|_| packets) {
            let recovery = &secure.recovery;
            if let Some(sender) = &secure.fec_tx {
                sender.add_stats(&mut fec);
            }
            congestion = recovery.congestion_state();
            metrics = Metrics {
                smoothed_rtt: recovery.srtt(),
                rtt_variation: recovery.rtt_var(),
                min_rtt: recovery.has_rtt().then(|| recovery.min_rtt()),
                latest_rtt: recovery.has_rtt().then(|| recovery.latest_rtt()),
                congestion_window: recovery.cwnd(),
                bytes_in_flight: recovery.bytes_in_flight(),
                pacing_rate: recovery.pacing_rate(),
                probe_timeouts: recovery.pto_count(),
            };
        }
        Snapshot {
            path: Some(self.path()),
            secured: last.secured || self.secure.is_some(),
            connected: last.connected || self.is_connected(),
            confirmed: self.confirmed,
            closed: self.error.is_some(),
            datagram: self.stats.datagram_size,
            keys: self.secure.as_ref().map_or(last.keys, |secure| (secure.keys.phase(), secure.keys.updates())),
            metrics,
            congestion,
            fec,
        }
    }
}

impl Snapshot {
    fn tell_changes(&self, last: &Self, tell: &mut dyn FnMut(&Observation<'_>)) {
        let milestones = [
            (self.secured && !last.secured, Milestone::Secured),
            (self.connected && !last.connected, Milestone::Connected),
            (self.confirmed && !last.confirmed, Milestone::Confirmed),
        ];
        for (_, milestone) in milestones.iter().filter(|(reached, _)| *reached) {
            tell(&Observation::Milestone(*milestone));
        }
        if let (Some(old), Some(new)) = (last.path, self.path)
            && old != new
        {
            tell(&Observation::PathUpdated { old, new });
        }
        if self.datagram != last.datagram {
            tell(&Observation::MtuUpdated { old: last.datagram, new: self.datagram });
        }
        let (phase, updates) = self.keys;
        if phase > last.keys.0 {
            // An update that the peer takes part in from the start is the peer's.
            let initiator = if updates < phase { Owner::Local } else { Owner::Remote };
            tell(&Observation::KeysUpdated { generation: phase, initiator });
        }
        let repaired = self.fec.repaired.saturating_sub(last.fec.repaired);
        if repaired > 0 {
            tell(&Observation::Repaired { packets: repaired });
        }
        let by_peer = self.fec.repaired_by_peer.saturating_sub(last.fec.repaired_by_peer);
        if by_peer > 0 {
            tell(&Observation::RepairedByPeer { packets: by_peer });
        }
        if self.congestion != last.congestion {
            tell(&Observation::CongestionStateUpdated { old: last.congestion, new: self.congestion });
        }
        if self.metrics != last.metrics {
            tell(&Observation::MetricsUpdated(self.metrics));
        }
    }
}

const fn settled(verdict: Verdict) -> Observation<'static> {
    match verdict {
        Verdict::Acked { first, last } => Observation::PacketsAcked { first, last },
        Verdict::Lost { number, bytes, cause } => Observation::PacketLost { number, bytes, cause },
    }
}

const fn stream(note: StreamNote) -> Observation<'static> {
    match note {
        StreamNote::Opened(sid) => Observation::StreamOpened(sid),
        StreamNote::Closed(sid) => Observation::StreamClosed(sid),
    }
}

fn tell_missed<T>(log: &mut Log<T>, tell: &mut dyn FnMut(&Observation<'_>)) {
    let count = log.take_missed();
    if count > 0 {
        tell(&Observation::Missed { count });
    }
}

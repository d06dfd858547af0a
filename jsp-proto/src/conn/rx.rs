//! Receiving: opens packets and hands their frames to the parts (specification sections 3.1 to 3.5).
//!
//! A packet is read twice. The first reading changes nothing: it finds frames that cannot be parsed, and data that a
//! bound does not let in; such a packet counts as not received. The second reading acts.

use alloc::boxed::Box;

use super::Connection;
use super::close::Life;
use super::control::ControlEvent;
use super::keys::{self, Unopened};
use super::migrate::Arrival;
use super::path::Place;
use super::secure::Verdict;
use crate::Ecn;
use crate::crypto::{Freshness, packet};
use crate::error::{TransportError, Violation};
use crate::event::Event;
use crate::fec::MAX_REPORTED;
use crate::stats::DropReason;
use crate::stream::Admit;
use crate::time::Instant;
use crate::wire::cursor::Reader;
use crate::wire::frame::Frame;
use crate::wire::header::{RESERVED_BIT, ShortFlags, decode_packet_number};
use crate::wire::params::{DEFAULT_PROTOCOL, ParamsContext, Protocols, decode_params};
use crate::wire::{Ack, FrameError, Side};

/// A fault in a packet, with the type of the frame that is to blame; 0 if none is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) violation: Violation,
    pub(super) frame_type: u64,
}

impl Fault {
    pub(super) fn of(frame: &Frame<'_>, violation: Violation) -> Self {
        Self { violation, frame_type: frame.type_code() }
    }
}

impl From<FrameError> for Fault {
    fn from(error: FrameError) -> Self {
        Self { violation: Violation::new(error.transport_error(), error.reason()), frame_type: error.frame_type() }
    }
}

/// What the first reading found.
pub(super) struct Survey {
    eliciting: bool,
    /// Nothing but PING and PADDING.
    empty: bool,
    /// Nothing but questions whether a path works, their answers, and what goes with them (RFC 9000 section 9.1).
    about_paths: bool,
    immediate: bool,
    pub(super) refused: bool,
}

/// An authentic packet, opened.
#[derive(Clone, Copy, Debug)]
struct Packet<'a> {
    pn: u64,
    /// Whether parity may protect it.
    protected: bool,
    payload: &'a [u8],
    place: Place,
    ecn: Ecn,
}

impl Connection {
    /// Takes a short-header datagram. An error says why it was dropped; it may have closed the connection.
    pub(crate) fn handle_packet(
        &mut self,
        now: Instant,
        arrival: Arrival<'_>,
        datagram: &mut [u8],
    ) -> Result<(), DropReason> {
        let outcome = self.open_and_read(now, arrival, datagram);
        match outcome {
            Ok(()) => {
                self.stats.datagrams_received += 1;
                self.stats.bytes_received += datagram.len() as u64;
            }
            Err(reason) => self.on_dropped(datagram.len(), reason),
        }
        outcome
    }

    pub(super) fn open_and_read(
        &mut self,
        now: Instant,
        arrival: Arrival<'_>,
        datagram: &mut [u8],
    ) -> Result<(), DropReason> {
        match &mut self.life {
            Life::Connecting | Life::Open | Life::Flushing(_) => {}
            Life::Closing { answer, .. } => {
                answer.on_packet();
                return Err(DropReason::Closed);
            }
            Life::Draining | Life::Over => return Err(DropReason::Closed),
        }
        if self.secure.is_none() {
            return self.keep_early(datagram);
        }
        // Forgeries from elsewhere are not worth opening one by one; what seems to come from the peer always is, or
        // whoever knows the connection id could silence it.
        if self.secure.as_ref().is_some_and(|secure| secure.failures.blocked(now))
            && !self.paths.is_in_use(&arrival.path)
        {
            return Err(DropReason::Aead);
        }
        let len = datagram.len() as u64;
        let latest = self.secure.as_ref().and_then(|secure| secure.replay.largest());
        let (pn, protected, payload) = self.open(now, datagram)?;
        let place = self.place(&arrival.path, len)?;
        self.addressed = arrival.cid;
        if self.side == Side::Server && !self.confirmed {
            self.confirm_as_server(now);
        }
        self.idle.since = now;
        self.idle.spoke = false;
        self.trace.received(pn, &payload, datagram, arrival.ecn);
        self.keep_alive.on_activity(now);
        if let Some(observed) = &mut self.observed {
            observed.on_packet(now);
        }
        let Some(payload) = datagram.get(payload) else { return Err(DropReason::Malformed) };
        match self.read(now, Packet { pn, protected, payload, place, ecn: arrival.ecn }) {
            Ok(Some(survey)) => {
                self.on_survey(now, &survey);
                // Older packets that come by a detour do not say where the peer is now.
                if !survey.about_paths && latest < Some(pn) {
                    self.follow(now, place, arrival.switches);
                }
                Ok(())
            }
            Ok(None) => Err(DropReason::Refused),
            Err(Fault { violation, frame_type }) => {
                self.fail(now, violation, frame_type);
                Ok(())
            }
        }
    }

    /// What a packet as a whole says about the peer.
    fn on_survey(&mut self, now: Instant, survey: &Survey) {
        if survey.eliciting
            && let Some(secure) = &self.secure
        {
            self.lull.on_packet(now, secure.recovery.pto_base());
        }
    }

    /// Keeps a datagram for when there are keys.
    fn keep_early(&mut self, datagram: &[u8]) -> Result<(), DropReason> {
        let fits = datagram.len() <= self.config.max_udp_payload();
        let client = self.client.as_mut().filter(|_| fits);
        client.map_or(Err(DropReason::TooEarly), |client| client.keep_early(datagram))
    }

    /// Removes protection. Gives the packet number, whether parity may protect the packet, and where the frames are.
    fn open(&mut self, now: Instant, datagram: &mut [u8]) -> Result<(u64, bool, core::ops::Range<usize>), DropReason> {
        let Some(secure) = self.secure.as_deref_mut() else { return Err(DropReason::TooEarly) };
        let pn_at = 1 + self.cids.local.first().len();
        let header = packet::unprotect(secure.keys.header(), datagram, pn_at).map_err(|_| DropReason::Malformed)?;
        let expected = secure.replay.largest().map_or(0, |largest| largest + 1);
        let pn = decode_packet_number(header.truncated_pn, header.pn_len, expected);
        let fresh = secure.replay.check(pn);
        let payload_at = pn_at + header.pn_len;
        let flags = ShortFlags::from_first_byte(header.first);
        let place = keys::Place { pn, payload_at, key_phase: flags.key_phase };
        let len = match secure.keys.open(now, datagram, place, || secure.recovery.pto_base()) {
            Ok(len) => len,
            Err(Unopened::Unasked) => {
                self.fail(now, Violation::new(TransportError::KEY_UPDATE, "a second update before an answer"), 0);
                return Err(DropReason::KeyPhase);
            }
            Err(failed) => {
                if secure.failures.on_failure(now) == Verdict::Close {
                    self.fail(now, Violation::new(TransportError::AEAD_LIMIT, "too many forged packets"), 0);
                }
                return Err(if failed == Unopened::Forged { DropReason::Aead } else { DropReason::KeyPhase });
            }
        };
        match fresh {
            Freshness::Fresh => {}
            Freshness::Duplicate => return Err(DropReason::Duplicate),
            Freshness::TooOld => return Err(DropReason::TooOld),
        }
        if header.first & RESERVED_BIT != 0 {
            self.fail(now, Violation::new(TransportError::PROTOCOL_VIOLATION, "reserved bit set"), 0);
            return Err(DropReason::Malformed);
        }
        Ok((pn, flags.fec, payload_at..payload_at + len))
    }

    /// Reads an authentic packet. `None` if it counts as not received.
    fn read(&mut self, now: Instant, packet: Packet<'_>) -> Result<Option<Survey>, Fault> {
        let Packet { pn, protected, payload, place, ecn } = packet;
        // What a repair could do for this packet is done already.
        let repaired = self.was_repaired(pn);
        let survey = self.survey(pn, payload, repaired)?;
        if survey.refused {
            self.streams.on_refused(now).map_err(|violation| Fault { violation, frame_type: 0 })?;
            return Ok(None);
        }
        if let Some(secure) = &mut self.secure {
            secure.replay.insert(pn);
            if survey.empty && survey.eliciting {
                self.stats.empty_packets_over_bound += u64::from(!secure.acks.on_empty_packet(now, pn, ecn));
            } else {
                secure.acks.on_packet(now, pn, survey.eliciting, ecn, survey.immediate);
            }
        }
        if ecn == Ecn::Ce {
            self.stats.ce_received += 1;
        }
        let mut reader = Reader::new(payload);
        while !reader.is_empty() {
            let frame = Frame::decode(&mut reader)?;
            if repaired && frame.acts_when_recovered() {
                continue;
            }
            match &frame {
                Frame::Parity(parity) => self.on_parity(now, pn, parity),
                Frame::PathChallenge(data) => {
                    let within = self.paths.on_challenge(now, place, *data);
                    self.stats.path_challenges_over_bound += u64::from(!within);
                }
                Frame::PathResponse(data) => self.on_path_response(now, place, *data),
                Frame::RetireCid { seq } => {
                    let retired = self.cids.local.on_retire(*seq, Some(&self.addressed));
                    retired.map_err(|violation| Fault::of(&frame, violation))?;
                }
                frame => self.act(now, frame).map_err(|violation| Fault::of(frame, violation))?,
            }
            if !self.life.is_live() {
                break;
            }
        }
        self.on_accepted(now, pn, protected.then_some(payload))?;
        self.finish_flush(now);
        Ok(Some(survey))
    }

    /// Reads a packet without acting on it. Of a packet that was `repaired` no stream frame will act.
    pub(super) fn survey(&self, pn: u64, payload: &[u8], repaired: bool) -> Result<Survey, Fault> {
        let mut survey = Survey { eliciting: false, empty: true, about_paths: true, immediate: false, refused: false };
        let mut repairs = 0;
        let mut reader = Reader::new(payload);
        if reader.is_empty() {
            let violation = Violation::new(TransportError::PROTOCOL_VIOLATION, "a packet without frames");
            return Err(Fault { violation, frame_type: 0 });
        }
        while !reader.is_empty() {
            let frame = Frame::decode(&mut reader)?;
            survey.eliciting |= frame.is_ack_eliciting();
            survey.empty &= matches!(frame, Frame::Ping | Frame::Padding { .. });
            survey.about_paths &= frame.is_about_paths();
            survey.immediate |= matches!(frame, Frame::ImmediateAck);
            if let Frame::Parity(parity) = &frame
                && parity.first(pn).is_none()
            {
                let violation = Violation::new(TransportError::FRAME_ENCODING, "parity block below packet 0");
                return Err(Fault::of(&frame, violation));
            }
            if let Frame::Recovered(ranges) = &frame {
                // Each costs a look at a packet that was sent; nobody has so many to tell of.
                repairs += ranges.iter().map(|range| range.end() - range.start() + 1).sum::<u64>();
                if repairs > MAX_REPORTED as u64 {
                    let violation = Violation::new(TransportError::PROTOCOL_VIOLATION, "too many repairs in a packet");
                    return Err(Fault::of(&frame, violation));
                }
            }
            if frame.is_stream_frame() && !repaired {
                let admit = self.streams.check(&frame).map_err(|violation| Fault::of(&frame, violation))?;
                survey.refused |= admit == Admit::Refuse;
            }
        }
        Ok(survey)
    }

    /// Hands one frame to the part it belongs to.
    pub(super) fn act(&mut self, now: Instant, frame: &Frame<'_>) -> Result<(), Violation> {
        match frame {
            Frame::Ack(ack) => self.on_ack(now, ack)?,
            Frame::Close(close) => self.on_farewell(now, close),
            Frame::Params(_) | Frame::HandshakeDone | Frame::NewToken(_) => self.on_control(now, frame)?,
            Frame::Ping => {
                if let Some(observed) = &mut self.observed {
                    observed.on_ping();
                }
            }
            Frame::ObservedAddr { seq, addr } => self.on_observed(now, *seq, *addr),
            Frame::AckFreq(_) => {
                // Only for peers that were told of a minimum delay.
                return Err(Violation::new(TransportError::PROTOCOL_VIOLATION, "ACK_FREQ was not offered"));
            }
            Frame::Recovered(ranges) => self.on_recovered(now, ranges)?,
            Frame::NewCid(frame) => self.on_new_cid(frame)?,
            Frame::RetireCid { seq } => self.cids.local.on_retire(*seq, None)?,
            frame if frame.is_stream_frame() => self.streams.on_frame(now, frame)?,
            // PADDING and IMMEDIATE_ACK have done their work; the rest was not asked for and does no harm.
            _ => {}
        }
        Ok(())
    }

    fn on_ack(&mut self, now: Instant, ack: &Ack<'_>) -> Result<(), Violation> {
        let confirmed = self.confirmed;
        let Some((recovery, mut writers)) = self.recovery_and_writers(now) else { return Ok(()) };
        let summary = recovery.on_ack(now, ack, confirmed, &mut |fate, record| writers.tell(fate, record));
        let delivered = writers.delivered;
        let violation = |_| Violation::new(TransportError::PROTOCOL_VIOLATION, "ACK of a packet that was not sent");
        let summary = summary.map_err(violation)?;
        let Self { secure: Some(secure), streams, .. } = self else { return Ok(()) };
        if let Some(largest) = summary.largest_newly_acked {
            secure.keys.on_acked(now, largest, || secure.recovery.pto_base());
        }
        streams.on_rtt(secure.recovery.srtt());
        streams.on_rate(secure.recovery.pacing_rate());
        secure.acks.set_rtt(secure.recovery.srtt());
        self.follow_mtu(now);
        self.give_up_repairs(now);
        if summary.newly_acked > 0 {
            self.suspect = false;
            self.confirm_as_client();
        }
        if delivered {
            self.extend_linger(now);
        }
        Ok(())
    }

    fn on_control(&mut self, now: Instant, frame: &Frame<'_>) -> Result<(), Violation> {
        match self.control.on_frame(frame)? {
            ControlEvent::Params(bytes) => self.on_server_params(now, bytes),
            ControlEvent::Confirmed => {
                self.confirm_as_client();
                Ok(())
            }
            ControlEvent::Token(token) => {
                self.on_token(token);
                Ok(())
            }
            ControlEvent::None => Ok(()),
        }
    }

    fn on_server_params(&mut self, now: Instant, bytes: &[u8]) -> Result<(), Violation> {
        let parameter = |_| Violation::new(TransportError::PARAMETER, "the server's parameters");
        let (params, extras) = decode_params(bytes, ParamsContext::ServerParams).map_err(parameter)?;
        let chosen = extras.app_protocols.and_then(|names| names.iter().next()).unwrap_or(DEFAULT_PROTOCOL);
        let offered = core::mem::take(&mut self.offered);
        if !Protocols::from_encoded(&offered).is_some_and(|names| names.iter().any(|name| name == chosen)) {
            return Err(Violation::new(
                TransportError::APP_PROTOCOL,
                "the server chose a protocol that was not offered",
            ));
        }
        self.protocol = Box::from(chosen);
        self.apply_peer_params(now, &params);
        self.params_due = None;
        // Not earlier: a program that opens streams at once should meet the real limits, not the floor.
        self.events.push_back(Event::Connected);
        if self.confirmed {
            self.events.push_back(Event::HandshakeConfirmed);
        }
        self.tell_tokens();
        Ok(())
    }
}

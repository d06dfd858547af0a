//! Repair of lost packets: what arrives goes to the receiving side of error correction, and what that computes is
//! processed here (specification sections 5.5, 13.17 and 13.20).
//!
//! A repaired packet is as authentic as those it was computed from. Frames that say something about their packet, or
//! about the path, do not act: that packet has not arrived.

use alloc::boxed::Box;

use super::Connection;
use super::rx::Fault;
use crate::config::bounds;
use crate::fec::{Receiver, Repaired, Workshop};
use crate::time::Instant;
use crate::wire::Frame;
use crate::wire::cursor::Reader;
use crate::wire::frame::Parity;

impl Connection {
    /// Whether a packet was repaired before it came.
    pub(super) fn was_repaired(&self, pn: u64) -> bool {
        self.secure.as_ref().and_then(|secure| secure.fec_rx.as_ref()).is_some_and(|fec| fec.was_recovered(pn))
    }

    /// Whether repairs are made at all.
    fn repairs(&self) -> bool {
        self.config.transport.fec_max_symbols > 0 && self.stats.fec.malformed < bounds::FEC_MALFORMED
    }

    /// Makes the receiving side of error correction when the peer first protects something.
    fn start_fec(&mut self, now: Instant) {
        let transport = &self.config.transport;
        if let Some(secure) = &mut self.secure
            && secure.fec_rx.is_none()
        {
            let (packets, bytes) = (transport.fec_max_symbols, transport.sizes.max);
            secure.fec_rx = Some(Box::new(Receiver::new(now, packets.into(), bytes.into())));
        }
    }

    /// Takes a PARITY frame of packet `pn`.
    pub(super) fn on_parity(&mut self, now: Instant, pn: u64, parity: &Parity<'_>) {
        self.stats.fec.parity_received += 1;
        if !self.repairs() {
            self.stats.fec.parity_unused += 1;
            return;
        }
        self.start_fec(now);
        let Some(secure) = self.secure.as_deref_mut() else { return };
        if let Some(fec) = &mut secure.fec_rx {
            fec.on_parity(now, pn, parity, &secure.replay, &mut self.stats.fec);
        }
    }

    /// A packet has been processed; `payload` is its content if parity may protect it. Repairs what is easily repaired.
    pub(super) fn on_accepted(&mut self, now: Instant, pn: u64, payload: Option<&[u8]>) -> Result<(), Fault> {
        self.stats.fec.sources_received += u64::from(payload.is_some());
        if !self.life.is_live() || !self.repairs() {
            return Ok(());
        }
        if payload.is_some() {
            self.start_fec(now);
        }
        let Some(fec) = self.secure.as_mut().and_then(|secure| secure.fec_rx.as_mut()) else { return Ok(()) };
        match payload {
            Some(payload) => fec.on_source(now, pn, payload, &mut self.stats.fec),
            None => fec.on_unprotected(pn, &mut self.stats.fec),
        }
        self.repair_simple(now)
    }

    /// Repairs all blocks whose repair takes next to nothing.
    fn repair_simple(&mut self, now: Instant) -> Result<(), Fault> {
        while let Some(fec) = self.secure.as_mut().and_then(|secure| secure.fec_rx.as_mut())
            && let Some(repaired) = fec.repair_simple(&mut self.stats.fec)
        {
            self.on_repaired(now, &repaired)?;
            if let Some(fec) = self.secure.as_mut().and_then(|secure| secure.fec_rx.as_mut()) {
                fec.give_back(repaired);
            }
        }
        Ok(())
    }

    /// Whether a repair waits that takes a decode.
    pub(crate) fn wants_decode(&self) -> bool {
        self.secure.as_ref().and_then(|secure| secure.fec_rx.as_ref()).is_some_and(|fec| fec.wants_decode())
    }

    /// Repairs one block by decoding. False if there was no need or no reason to, after all.
    pub(crate) fn decode(&mut self, now: Instant, workshop: &mut Workshop) -> bool {
        let Some(fec) = self.secure.as_mut().and_then(|secure| secure.fec_rx.as_mut()) else { return false };
        if fec.decode(now, workshop, &mut self.stats.fec).is_none() {
            return false;
        }
        match self.on_repaired(now, &workshop.repaired) {
            Ok(()) => self.finish_flush(now),
            Err(Fault { violation, frame_type }) => self.fail(now, violation, frame_type),
        }
        true
    }

    /// Processes the repaired packets of a block. If one of them makes no sense the parity was wrong, so none acts.
    fn on_repaired(&mut self, now: Instant, repaired: &Repaired) -> Result<(), Fault> {
        let is_sound =
            |(pn, payload): &(u64, Option<&[u8]>)| payload.is_some_and(|payload| is_well_formed(*pn, payload));
        let malformed = repaired.iter().filter(|source| !is_sound(source)).count();
        if malformed > 0 {
            self.stats.fec.malformed += malformed as u64;
            if !self.repairs() {
                self.free_fec();
            }
            return Ok(());
        }
        for (pn, payload) in repaired.iter() {
            let Some(payload) = payload else { continue };
            self.read_repaired(now, pn, payload)?;
            if !self.life.is_live() {
                break;
            }
        }
        Ok(())
    }

    /// Reads a repaired packet, which must be well-formed.
    fn read_repaired(&mut self, now: Instant, pn: u64, payload: &[u8]) -> Result<(), Fault> {
        if self.survey(pn, payload, false)?.refused {
            return self.streams.on_refused(now).map_err(|violation| Fault { violation, frame_type: 0 });
        }
        let mut reader = Reader::new(payload);
        while !reader.is_empty() && self.life.is_live() {
            let frame = Frame::decode(&mut reader)?;
            if frame.acts_when_recovered() {
                self.act(now, &frame).map_err(|violation| Fault::of(&frame, violation))?;
            }
        }
        if let Some(secure) = &mut self.secure
            && let Some(fec) = &mut secure.fec_rx
        {
            fec.on_processed(pn);
            secure.acks.expedite();
            self.stats.fec.repaired += 1;
        }
        Ok(())
    }

    /// Gives memory back that has not been used for a while.
    pub(super) fn rest_fec(&mut self, now: Instant) {
        if let Some(fec) = self.secure.as_mut().and_then(|secure| secure.fec_rx.as_mut()) {
            fec.on_timeout(now, &mut self.stats.fec);
        }
    }

    /// Forgets everything that repairs are made of.
    pub(super) fn free_fec(&mut self) {
        if let Some(fec) = self.secure.as_mut().and_then(|secure| secure.fec_rx.as_mut()) {
            fec.free(&mut self.stats.fec);
        }
    }
}

/// Whether a packet `pn` with this payload could have been sent.
fn is_well_formed(pn: u64, payload: &[u8]) -> bool {
    let mut reader = Reader::new(payload);
    while !reader.is_empty() {
        match Frame::decode(&mut reader) {
            Ok(Frame::Parity(parity)) if parity.first(pn).is_none() => return false,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    !payload.is_empty()
}

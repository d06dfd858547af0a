//! Error correction of what is sent: what the other parts of the connection have to do with it.

use alloc::boxed::Box;

use super::secure::Secure;
use super::{Connection, Record};
use crate::config::Wish;
use crate::error::{TransportError, Violation};
use crate::fec::{self, Conditions, Loss};
use crate::recovery::{FalseRepair, Recovery};
use crate::time::Instant;
use crate::wire::cursor::Writer;
use crate::wire::frame::AckRanges;

/// What the sender of parity has to know of the path.
pub(super) fn conditions(now: Instant, recovery: &Recovery<Record>) -> Conditions {
    let loss = recovery.path_loss();
    let (packets, lost) = (loss.packets, loss.lost);
    let loss = Loss { rate: loss.rate, variance: loss.variance, burst: loss.burst };
    Conditions { now, srtt: recovery.srtt(), loss, packets, lost }
}

impl Secure {
    /// Bytes at the end of a datagram that are to stay free for parity.
    pub(super) fn parity_reserve(&self) -> usize {
        self.fec_tx.as_ref().map_or(0, |fec| fec.reserve())
    }

    /// There is parity to send, as far as is known without looking at what has become of its packets.
    pub(super) fn has_parity(&self) -> bool {
        self.fec_tx.as_ref().is_some_and(|fec| fec.wants_to_send())
    }

    /// Whether the next packet is to be parity. `room` is what a packet holds.
    pub(super) fn parity_is_due(&mut self, now: Instant, room: usize) -> bool {
        if let Some(fec) = self.fec_tx.as_mut().filter(|fec| fec.wants_to_send()) {
            fec.drop_useless(&conditions(now, &self.recovery), room);
        }
        self.has_parity()
    }

    /// Writes parity into packet `pn`, if it fits.
    pub(super) fn write_parity(&mut self, pn: u64, w: &mut Writer<'_>) {
        if let Some(record) = self.fec_tx.as_mut().and_then(|fec| fec.write(pn, w)) {
            self.recovery.record(Record::Parity(record));
        }
    }

    /// Protects packet `pn`, if its data asks for it. `payload` is its content, `room` what a packet holds.
    pub(super) fn protect(
        &mut self,
        now: Instant,
        pn: u64,
        payload: &[u8],
        room: usize,
        wish: &Wish,
        new: impl FnOnce() -> Option<fec::Sender>,
    ) -> bool {
        if wish.is_none() {
            if let Some(fec) = &mut self.fec_tx {
                fec.pass();
            }
            return false;
        }
        // Most connections never protect anything.
        if self.fec_tx.is_none() {
            self.fec_tx = new().map(Box::new);
        }
        let Some(fec) = &mut self.fec_tx else { return false };
        let record = fec.protect(&conditions(now, &self.recovery), pn, payload, room, wish);
        if let Some(record) = record {
            self.recovery.record(Record::Source(record));
        }
        record.is_some()
    }

    /// Nothing follows for the moment: blocks that wait for packets in vain are closed.
    pub(super) fn complete_blocks(&mut self, now: Instant) {
        if let Some(fec) = self.fec_tx.as_mut().filter(|fec| fec.is_gathering()) {
            fec.on_pause(&conditions(now, &self.recovery));
        }
    }
}

impl Connection {
    /// The peer has repaired packets.
    pub(super) fn on_recovered(&mut self, now: Instant, ranges: &AckRanges<'_>) -> Result<(), Violation> {
        let Some((recovery, mut writers)) = self.recovery_and_writers(now) else { return Ok(()) };
        let result = recovery.on_repaired(now, ranges, &mut |fate, record| writers.tell(fate, record));
        if writers.delivered {
            self.extend_linger(now);
        }
        self.give_up_repairs(now);
        result.map(drop).map_err(|FalseRepair| {
            Violation::new(TransportError::PROTOCOL_VIOLATION, "RECOVERED of a packet that was not protected")
        })
    }

    /// Treats as lost what is not waited for any more.
    pub(super) fn give_up_repairs(&mut self, now: Instant) {
        let fec = self.secure.as_ref().and_then(|secure| secure.fec_tx.as_ref());
        if !fec.is_some_and(|fec| fec.has_released()) {
            return;
        }
        let Some((recovery, mut writers)) = self.recovery_and_writers(now) else { return };
        while let Some(pn) = writers.fec.as_mut().and_then(|fec| fec.next_released()) {
            recovery.release(pn, &mut |fate, record| writers.tell(fate, record));
        }
    }

    /// Does what error correction has to do at `now`.
    pub(super) fn on_correction_timeout(&mut self, now: Instant) {
        let Some(secure) = &mut self.secure else { return };
        if let Some(fec) = secure.fec_tx.as_mut().filter(|fec| fec.deadline().is_some_and(|at| at <= now)) {
            fec.on_timeout(&conditions(now, &secure.recovery));
            self.give_up_repairs(now);
        }
    }
}

//! Error correction of what is sent: what the other parts of the connection have to do with it.

use super::secure::Secure;
use super::{Connection, Record};
use crate::config::Wish;
use crate::error::{TransportError, Violation};
use crate::fec::{Conditions, Loss};
use crate::recovery::{FalseRepair, Fate, Recovery};
use crate::stream::LossContext;
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
    /// Whether the next packet is to be parity. `room` is what a packet holds.
    pub(super) fn parity_is_due(&mut self, now: Instant, room: usize) -> bool {
        if self.fec_tx.wants_to_send() {
            self.fec_tx.drop_useless(&conditions(now, &self.recovery), room);
        }
        self.fec_tx.wants_to_send()
    }

    /// Writes parity into packet `pn`, if it fits.
    pub(super) fn write_parity(&mut self, pn: u64, w: &mut Writer<'_>) {
        if let Some(record) = self.fec_tx.write(pn, w) {
            self.recovery.record(Record::Parity(record));
        }
    }

    /// Protects packet `pn`, if its data asks for it. `payload` is its content, `room` what a packet holds.
    pub(super) fn protect(&mut self, now: Instant, pn: u64, payload: &[u8], room: usize, wish: &Wish) -> bool {
        if wish.is_none() {
            self.fec_tx.pass();
            return false;
        }
        let record = self.fec_tx.protect(&conditions(now, &self.recovery), pn, payload, room, wish);
        if let Some(record) = record {
            self.recovery.record(Record::Source(record));
        }
        record.is_some()
    }
}

impl Connection {
    /// The peer has repaired packets.
    pub(super) fn on_recovered(&mut self, now: Instant, ranges: &AckRanges<'_>) -> Result<(), Violation> {
        let Self { secure: Some(secure), streams, control, cids, .. } = self else { return Ok(()) };
        let conditions = conditions(now, &secure.recovery);
        let fec = &mut secure.fec_tx;
        let result = secure.recovery.on_repaired(now, ranges, &mut |fate, record: &Record| match (fate, record) {
            (Fate::Repaired, Record::Stream(record)) => streams.on_acked(now, record),
            (Fate::Repaired, Record::Control(record)) => control.on_acked(*record),
            (Fate::Repaired, Record::Cid(record)) => cids.on_acked(*record),
            (Fate::Repaired, Record::Source(record)) => fec.on_source_repaired(*record),
            (Fate::Held, Record::Source(record)) => fec.on_source_lost(&conditions, *record),
            _ => {}
        });
        self.give_up_repairs(now);
        result.map(drop).map_err(|FalseRepair| {
            Violation::new(TransportError::PROTOCOL_VIOLATION, "RECOVERED of a packet that was not protected")
        })
    }

    /// Treats as lost what is not waited for any more.
    pub(super) fn give_up_repairs(&mut self, now: Instant) {
        let Self { secure: Some(secure), streams, control, cids, .. } = self else { return };
        let context = LossContext { now, srtt: secure.recovery.srtt() };
        while let Some(pn) = secure.fec_tx.next_released() {
            secure.recovery.release(pn, &mut |_, record: &Record| match record {
                Record::Stream(record) => streams.on_lost(context, record),
                Record::Control(record) => control.on_lost(*record),
                Record::Cid(record) => cids.on_lost(*record),
                _ => {}
            });
        }
    }

    /// Does what error correction has to do at `now`.
    pub(super) fn on_correction_timeout(&mut self, now: Instant) {
        let Some(secure) = &mut self.secure else { return };
        if secure.fec_tx.deadline().is_some_and(|at| at <= now) {
            let conditions = conditions(now, &secure.recovery);
            secure.fec_tx.on_timeout(&conditions);
            self.give_up_repairs(now);
        }
    }
}

//! What became of what sent packets carried: the part that wrote a frame is told.

use super::cids::Cids;
use super::control::Control;
use super::correct::conditions;
use super::{Connection, Record};
use crate::fec;
use crate::recovery::{Acks, Fate, Recovery};
use crate::stream::{LossContext, Streams};
use crate::time::Instant;

/// The parts that write frames.
pub(super) struct Writers<'c> {
    now: Instant,
    conditions: fec::Conditions,
    acks: &'c mut Acks,
    streams: &'c mut Streams,
    control: &'c mut Control,
    cids: &'c mut Cids,
    pub(super) fec: Option<&'c mut fec::Sender>,
    /// The peer has taken data.
    pub(super) delivered: bool,
}

impl Writers<'_> {
    /// Tells the part that wrote it what became of a frame.
    pub(super) fn tell(&mut self, fate: Fate, record: &Record) {
        let now = self.now;
        let context = LossContext { now, srtt: self.conditions.srtt };
        match (fate, record) {
            (Fate::Acked | Fate::Late | Fate::Repaired, Record::Stream(record)) => {
                self.delivered |= record.delivers();
                self.streams.on_acked(now, record);
            }
            (Fate::Lost, Record::Stream(record)) => self.streams.on_lost(context, record),
            (Fate::Probe, Record::Stream(record)) => self.streams.on_probe(context, record),
            (Fate::Acked | Fate::Late | Fate::Repaired, Record::Control(record)) => self.control.on_acked(*record),
            (Fate::Lost | Fate::Probe, Record::Control(record)) => self.control.on_lost(*record),
            (Fate::Acked | Fate::Late | Fate::Repaired, Record::Cid(record)) => self.cids.on_acked(*record),
            (Fate::Lost | Fate::Probe, Record::Cid(record)) => self.cids.on_lost(*record),
            // Of a packet that was repaired, the peer has not read the acknowledgements.
            (Fate::Acked | Fate::Late, Record::Ack(record)) => self.acks.on_acked(*record),
            (fate, Record::Source(record)) => self.tell_of_source(fate, *record),
            (Fate::Acked | Fate::Lost, Record::Parity(record)) => {
                if let Some(fec) = &mut self.fec {
                    fec.on_parity(&self.conditions, *record, fate == Fate::Acked);
                }
            }
            // Nobody asks.
            _ => {}
        }
    }

    fn tell_of_source(&mut self, fate: Fate, record: fec::SourceRecord) {
        let Some(fec) = &mut self.fec else { return };
        match fate {
            Fate::Acked => fec.on_source_acked(record, false),
            Fate::Late => fec.on_source_acked(record, true),
            Fate::Repaired => fec.on_source_repaired(record),
            Fate::Held => fec.on_source_lost(&self.conditions, record),
            Fate::Lost | Fate::Probe => {}
        }
    }
}

impl Connection {
    /// The memory of sent packets, and those who want to know what became of them.
    pub(super) fn recovery_and_writers(&mut self, now: Instant) -> Option<(&mut Recovery<Record>, Writers<'_>)> {
        let Self { secure: Some(secure), streams, control, cids, .. } = self else { return None };
        let conditions = conditions(now, &secure.recovery);
        let fec = secure.fec_tx.as_deref_mut();
        let acks = &mut secure.acks;
        Some((&mut secure.recovery, Writers { now, conditions, acks, streams, control, cids, fec, delivered: false }))
    }
}

//! Filling packets with data, and what becomes of it.

use super::send::{Fresh, Wrote};
use super::{LossContext, StreamRecord, Streams};
use crate::config::Wish;
use crate::slab::Key;
use crate::time::{Instant, nanos};
use crate::wire::Writer;

/// The packet is full.
struct PacketFull;

impl Streams {
    /// Some stream has data that may be sent, as far as credit goes.
    pub(crate) fn wants_data(&self) -> bool {
        !self.closed && self.sched.wants(self.send.credit())
    }

    /// Whether all that waits ranks below streams that were sent from lately.
    pub(crate) fn is_outranked(&self, now: Instant) -> bool {
        self.sched.is_outranked(now)
    }

    /// Fills the rest of a packet with data, by priority.
    pub(crate) fn write_data(&mut self, now: Instant, w: &mut Writer<'_>, sink: &mut dyn FnMut(StreamRecord)) {
        self.at(now);
        if self.closed {
            return;
        }
        let before = w.position();
        let mut first = None;
        loop {
            self.wake_waiting();
            let band = match first {
                None => self.sched.first_band(),
                Some(_) => self.sched.highest_band(),
            };
            let Some(band) = band else {
                if self.sched.wants(self.send.credit()) {
                    continue;
                }
                break;
            };
            first = Some(band);
            self.sched.note_served(self.now, band);
            if self.serve_lost(band, w, sink).is_err() || self.serve_fresh(band, w, sink).is_err() {
                break;
            }
        }
        if w.position() > before {
            self.sched.packet_done();
        }
    }

    /// What the data written since the last call asks of error correction.
    pub(crate) fn take_wish(&mut self) -> Wish {
        core::mem::replace(&mut self.wish, Wish::NONE)
    }

    /// Tries some of the streams again that lacked connection credit.
    fn wake_waiting(&mut self) {
        let mut woken = core::mem::take(&mut self.woken);
        self.sched.wake(self.send.credit(), &mut woken);
        for &key in &woken {
            self.settle(key);
        }
        self.woken = woken;
    }

    fn serve_lost(
        &mut self,
        band: usize,
        w: &mut Writer<'_>,
        sink: &mut dyn FnMut(StreamRecord),
    ) -> Result<(), PacketFull> {
        while let Some(key) = self.sched.front_lost(band) {
            let stream = self.slab.get_mut(key);
            let Some((half, own)) = stream.and_then(|stream| Some((stream.send.as_mut()?, stream.own))) else {
                self.sched.forget(key);
                continue;
            };
            let mut repeated = 0;
            let wrote = half.write_lost(self.now, key, &mut self.send, w, &mut |record| {
                if let StreamRecord::Bytes { length, .. } | StreamRecord::Message { length, .. } = record {
                    repeated = u64::from(length);
                }
                sink(record);
            });
            self.retransmitted += repeated;
            if matches!(wrote, Wrote::Frame(_)) {
                let fec = own.fec.unwrap_or(self.policy.fec);
                self.wish.add(fec, half.urgency.again, half.urgency.patience(self.now));
            }
            self.settle(key);
            if wrote == Wrote::Full {
                return Err(PacketFull);
            }
        }
        Ok(())
    }

    fn serve_fresh(
        &mut self,
        band: usize,
        w: &mut Writer<'_>,
        sink: &mut dyn FnMut(StreamRecord),
    ) -> Result<(), PacketFull> {
        while let Some(key) = self.sched.front_fresh(band) {
            let Some(stream) = self.slab.get_mut(key) else {
                self.sched.forget(key);
                continue;
            };
            if stream.deficit <= 0 {
                stream.deficit += self.sched.quantum(stream.priority);
            }
            if stream.deficit <= 0 {
                self.sched.rotate(band);
                continue;
            }
            let full = self.serve_one(key, w, sink);
            self.settle(key);
            let Some(stream) = self.slab.get_mut(key) else { continue };
            if self.sched.front_fresh(band) != Some(key) {
                // Nothing more to send: unused share is not saved up, debt is remembered.
                stream.deficit = stream.deficit.min(0);
            } else if stream.deficit <= 0 {
                self.sched.rotate(band);
            }
            full?;
        }
        Ok(())
    }

    /// Writes frames of one stream until its share is used up.
    fn serve_one(
        &mut self,
        key: Key,
        w: &mut Writer<'_>,
        sink: &mut dyn FnMut(StreamRecord),
    ) -> Result<(), PacketFull> {
        let Some(stream) = self.slab.get_mut(key) else { return Ok(()) };
        let Some(half) = &mut stream.send else { return Ok(()) };
        while stream.deficit > 0 && half.fresh(self.now, &mut self.send) == Fresh::Ready {
            match half.write_fresh(key, &mut self.send, &mut self.packer, w, sink) {
                Wrote::Frame(length) => {
                    stream.deficit -= i32::try_from(length).unwrap_or(i32::MAX);
                    let fec = stream.own.fec.unwrap_or(self.policy.fec);
                    self.wish.add(fec, half.urgency.again, half.urgency.patience(self.now));
                }
                Wrote::Full => return Err(PacketFull),
                Wrote::Nothing => break,
            }
        }
        Ok(())
    }

    /// The packet with this record was acknowledged.
    pub(crate) fn on_acked(&mut self, now: Instant, record: &StreamRecord) {
        self.at(now);
        let (key, pool) = (record_key(record), &mut self.send);
        let Some(key) = key else { return };
        let Some(half) = self.slab.get_mut(key).and_then(|stream| stream.send.as_mut()) else { return };
        match *record {
            StreamRecord::Bytes { offset, length, fin, .. } => half.on_acked(pool, offset, u64::from(length), fin),
            StreamRecord::Message { offset, length, .. } => half.on_acked(pool, offset, u64::from(length), false),
            StreamRecord::Skip { offset, .. } => half.on_skip_acked(offset),
            StreamRecord::Reset { orderly, .. } => half.on_reset_acked(orderly),
            _ => return,
        }
        self.settle(key);
        self.relieve();
    }

    /// The packet with this record was lost.
    pub(crate) fn on_lost(&mut self, context: LossContext, record: &StreamRecord) {
        self.resend(context, record, false);
    }

    /// The record is to be sent again in a probe, although nobody knows that it was lost. Best-effort data is not.
    pub(crate) fn on_probe(&mut self, context: LossContext, record: &StreamRecord) {
        self.resend(context, record, true);
    }

    fn resend(&mut self, context: LossContext, record: &StreamRecord, suspect: bool) {
        self.at(context.now);
        if self.closed {
            return;
        }
        let (key, offset, length, is_fin) = match *record {
            StreamRecord::Bytes { key, offset, length, fin } => (key, offset, length, fin),
            StreamRecord::Message { key, offset, length } => (key, offset, length, false),
            _ => return self.repeat_control(record),
        };
        let Some(half) = self.slab.get_mut(key).and_then(|stream| stream.send.as_mut()) else { return };
        let range = offset..offset + u64::from(length);
        half.on_lost(self.now, nanos(context.srtt), &mut self.send, range, is_fin, suspect);
        self.settle(key);
        self.relieve();
    }
}

const fn record_key(record: &StreamRecord) -> Option<Key> {
    match *record {
        StreamRecord::Bytes { key, .. }
        | StreamRecord::Message { key, .. }
        | StreamRecord::Skip { key, .. }
        | StreamRecord::Reset { key, .. } => Some(key),
        _ => None,
    }
}

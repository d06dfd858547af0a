//! The sending half of a stream: what was accepted, what is on its way, and how it ends.
//!
//! Accepted bytes stand in one ring at positions that only grow. On a stream of bytes the position is the offset on
//! the wire; if it is block-encoded they wait outside until they were cut into blocks. On a stream of messages the queue
//! translates. `acked` and `lost` are sets of wire offsets.

mod blocks;
mod message;
mod pool;

use alloc::boxed::Box;
use core::ops::Range;

use super::StreamRecord;
use super::api::{Delivery, MessageId, MessageOptions};
use super::limits::MESSAGE_OVERHEAD;
use super::lz4::Packer;
use super::pace::Pace;
use super::ring::Ring;
use super::state::{SendEvent, SendState};
use crate::config::Compression;
use crate::error::AppCode;
use crate::ranges::RangeSet;
use crate::slab::Key;
use crate::time::Instant;
use crate::wire::frame::{msg_header_len, stream_header_len, write_msg, write_stream};
use crate::wire::{StreamId, StreamKind, Writer};
use blocks::Blocks;
use message::{Fragment, Messages, Wire};
pub(super) use message::{Fresh, Urgency};
pub(super) use pool::{Outcomes, SendPool};

/// A fragment smaller than this is not started at the end of a packet, unless it is all there is.
const SMALLEST_FRAGMENT: usize = 32;

/// Nothing is cut for less room than this at the end of a packet: a little later there is more to make a block of.
const LEAST_ROOM: u64 = 64;
/// A block of one byte.
const SMALLEST_BLOCK: u64 = 2;

/// What an attempt to write data did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrote {
    /// One frame of this many bytes.
    Frame(usize),
    /// The packet has no room for another useful frame.
    Full,
    /// There is nothing to send.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fin {
    /// The end is not known, or its frame is not sent, or was lost.
    Unsent,
    Sent,
    Acked,
}

#[derive(Debug)]
enum Body {
    /// `blocks` if they are block-encoded.
    Bytes {
        fin: Fin,
        blocks: Option<Box<Blocks>>,
    },
    Messages(Box<Messages>),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Reset {
    pub(super) code: AppCode,
    pub(super) final_size: u64,
    pub(super) reliable_size: u64,
    acked: bool,
}

#[derive(Debug)]
pub(super) struct SendHalf {
    sid: StreamId,
    state: SendState,
    ring: Ring,
    /// Buffer positions kept.
    kept: Range<u64>,
    /// Wire offset of the next byte to be sent for the first time.
    next: u64,
    /// The peer's limit.
    limit: u64,
    acked: RangeSet,
    lost: RangeSet,
    body: Body,
    /// When to try to compress; `None` while compression is off.
    pace: Option<Pace>,
    /// The RESET_STREAM that ends the stream: an abandoned one, or a finished stream of messages.
    reset: Option<Box<Reset>>,
    pub(super) stopped: Option<AppCode>,
    /// Of the frame written last.
    pub(super) urgency: Urgency,
}

/// Puts bytes behind those that a ring holds.
fn append(ring: &mut Ring, kept: &mut Range<u64>, data: &[u8]) {
    let end = kept.end + data.len() as u64;
    ring.reserve(kept.clone(), end);
    ring.write(kept.end, data);
    kept.end = end;
}

/// Adds the parts of `range` that are not acknowledged to `lost`.
fn add_lost(lost: &mut RangeSet, acked: &RangeSet, range: Range<u64>) {
    for gap in acked.gaps(range) {
        lost.insert(gap);
    }
}

impl SendHalf {
    pub(super) fn new(sid: StreamId, limit: u64, delivery: Delivery) -> Self {
        let body = match sid.kind() {
            StreamKind::Bytes => Body::Bytes { fin: Fin::Unsent, blocks: None },
            StreamKind::Blocks => Body::Bytes { fin: Fin::Unsent, blocks: Some(Box::default()) },
            kind => Body::Messages(Box::new(Messages::new(sid, kind == StreamKind::Ordered, delivery))),
        };
        Self {
            sid,
            state: SendState::Open,
            ring: Ring::default(),
            kept: 0..0,
            next: 0,
            limit,
            acked: RangeSet::new(),
            lost: RangeSet::new(),
            body,
            pace: None,
            reset: None,
            stopped: None,
            urgency: Urgency::RELIABLE,
        }
    }

    pub(super) fn state(&self) -> SendState {
        self.state
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn reset_frame(&self) -> Option<Reset> {
        self.reset.as_deref().copied()
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> u64 {
        let queue = match &self.body {
            Body::Bytes { blocks, .. } => blocks.as_ref().map_or(0, |blocks| blocks.memory() as usize),
            Body::Messages(messages) => messages.memory(),
        };
        self.ring.capacity() + (queue + self.acked.memory() + self.lost.memory()) as u64
    }

    /// Bytes kept in the buffer.
    pub(super) fn buffered(&self) -> u64 {
        self.kept.end - self.kept.start + self.uncut()
    }

    /// Of these, bytes that wait to become blocks.
    fn uncut(&self) -> u64 {
        match &self.body {
            Body::Bytes { blocks: Some(blocks), .. } => blocks.len(),
            _ => 0,
        }
    }

    /// Something accepted awaits its outcome, or the end is not acknowledged.
    pub(super) fn is_busy(&self) -> bool {
        match self.state {
            SendState::Finished | SendState::Gone => false,
            SendState::Finishing | SendState::Resetting => true,
            SendState::Open => match &self.body {
                Body::Bytes { .. } => self.buffered() > 0,
                Body::Messages(messages) => !messages.is_empty() || !messages.skips_settled(),
            },
        }
    }

    /// The queue of messages, and the rest of what it changes.
    fn split<'a>(&'a mut self, pool: &'a mut SendPool) -> Option<(&'a mut Messages, Wire<'a>)> {
        let Body::Messages(messages) = &mut self.body else { return None };
        let Self { next, acked, lost, limit, .. } = self;
        Some((messages, Wire { next, limit: *limit, acked, lost, pool }))
    }

    // What the application does.

    /// Takes as many bytes as the bounds allow.
    pub(super) fn push_bytes(&mut self, pool: &mut SendPool, bound: u64, data: &[u8]) -> usize {
        let room = bound.saturating_sub(self.buffered()).min(pool.room());
        let taken = data.get(..data.len().min(usize::try_from(room).unwrap_or(usize::MAX))).unwrap_or(data);
        match &mut self.body {
            Body::Bytes { blocks: Some(blocks), .. } => blocks.push(taken),
            _ => append(&mut self.ring, &mut self.kept, taken),
        }
        pool.buffered += taken.len() as u64;
        taken.len()
    }

    /// Takes a message, or not. A message above the bound of the stream is taken when nothing else is in the way. What
    /// it takes up is known only once it was compressed, so room is asked for all of it.
    pub(super) fn push_message(
        &mut self,
        now: Instant,
        pool: &mut SendPool,
        packer: &mut Packer,
        bound: u64,
        data: &[u8],
        (id, options): (MessageId, MessageOptions),
    ) -> bool {
        let Ok(length) = u32::try_from(data.len()) else { return false };
        let charge = u64::from(length) + MESSAGE_OVERHEAD;
        let fits = self.buffered() + charge <= bound || self.kept.is_empty();
        let fits_connection = charge <= pool.room() || pool.buffered == 0;
        if !(fits && fits_connection) || (options.tracked && pool.outcomes.is_full()) {
            return false;
        }
        let position = self.kept.end;
        let pace = self.pace.as_mut().filter(|_| pool.peer_unpacks);
        let body = pace.and_then(|pace| packer.pack(pace, data));
        let length = (body.map_or(length, |body| body.len() as u32), body.is_some());
        let Some((messages, mut wire)) = self.split(pool) else { return false };
        messages.push(now, &mut wire, (id, options), position, length);
        append(&mut self.ring, &mut self.kept, body.unwrap_or(data));
        true
    }

    /// Whether what is sent is compressed from now on; false on a stream of bytes that is not block-encoded.
    pub(super) fn set_compression(&mut self, compression: Compression) -> bool {
        if matches!(self.body, Body::Bytes { blocks: None, .. }) {
            return false;
        }
        self.pace = match compression {
            Compression::Off => None,
            Compression::Adaptive | Compression::AdaptivePadded => {
                Some(self.pace.unwrap_or_default().padded(compression == Compression::AdaptivePadded))
            }
        };
        true
    }

    pub(super) fn finish(&mut self) -> bool {
        self.state.advance(SendEvent::Finish)
    }

    /// Gives the stream up; false if it is over already.
    pub(super) fn abandon(&mut self, pool: &mut SendPool, code: AppCode) -> bool {
        if !self.state.advance(SendEvent::Reset) {
            return false;
        }
        self.drop_data(pool);
        self.reset = Some(Box::new(Reset { code, final_size: self.next, reliable_size: 0, acked: false }));
        true
    }

    /// Forgets all data; tracked messages are lost.
    pub(super) fn drop_data(&mut self, pool: &mut SendPool) {
        if let Some((messages, mut wire)) = self.split(pool) {
            messages.abandon(&mut wire);
        } else {
            pool.buffered = pool.buffered.saturating_sub(self.buffered());
        }
        if let Body::Bytes { blocks: Some(blocks), .. } = &mut self.body {
            blocks.clear();
            // Of blocks that were cut and not sent.
            pool.credit_used = pool.credit_used.saturating_sub(self.kept.end.saturating_sub(self.next));
        }
        self.kept.start = self.kept.end;
        self.ring.free();
        self.acked.clear();
        self.lost.clear();
    }

    // What the network does.

    /// The peer's MAX_STREAM_DATA; true if it is news.
    pub(super) fn raise_limit(&mut self, limit: u64) -> bool {
        let news = limit > self.limit;
        self.limit = self.limit.max(limit);
        news
    }

    /// The peer's largest message became known.
    pub(super) fn drop_larger(&mut self, pool: &mut SendPool, max: u64) {
        if let Some((messages, mut wire)) = self.split(pool) {
            messages.drop_larger(max, &mut wire);
        }
    }

    pub(super) fn on_acked(&mut self, pool: &mut SendPool, offset: u64, length: u64, is_fin: bool) {
        if !self.state.has_data() {
            return;
        }
        if let Some((messages, mut wire)) = self.split(pool) {
            messages.on_acked(offset, length, &mut wire);
            return;
        }
        if let Body::Bytes { fin, .. } = &mut self.body
            && is_fin
        {
            *fin = Fin::Acked;
        }
        if offset + length > self.kept.start {
            self.acked.insert(offset.max(self.kept.start)..offset + length);
            self.lost.remove(offset..offset + length);
        }
        if let Some(first) = self.acked.first().filter(|first| first.start <= self.kept.start) {
            pool.buffered = pool.buffered.saturating_sub(first.end - self.kept.start);
            self.kept.start = first.end;
            self.acked.pop_first();
        }
    }

    /// `suspect`: not known to be lost, but to be sent again to make sure.
    pub(super) fn on_lost(
        &mut self,
        now: Instant,
        srtt: u64,
        pool: &mut SendPool,
        range: Range<u64>,
        is_fin: bool,
        suspect: bool,
    ) {
        if !self.state.has_data() {
            return;
        }
        if let Some((messages, mut wire)) = self.split(pool) {
            messages.on_lost(now, srtt, range.start, range.end - range.start, suspect, &mut wire);
            return;
        }
        if let Body::Bytes { fin: fin @ Fin::Sent, .. } = &mut self.body
            && is_fin
        {
            *fin = Fin::Unsent;
        }
        add_lost(&mut self.lost, &self.acked, range.start.max(self.kept.start)..range.end.max(self.kept.start));
    }

    pub(super) fn on_timeout(&mut self, now: Instant, pool: &mut SendPool) {
        if let Some((messages, mut wire)) = self.split(pool) {
            messages.on_timeout(now, &mut wire);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.body {
            Body::Messages(messages) if self.state.has_data() => messages.deadline(),
            _ => None,
        }
    }

    /// `orderly`: it was the reset that ends a finished stream of messages.
    pub(super) fn on_reset_acked(&mut self, orderly: bool) {
        if !orderly {
            self.state.advance(SendEvent::ResetAcked);
        } else if let Some(reset) = &mut self.reset {
            reset.acked = true;
        }
    }

    pub(super) fn on_skip_acked(&mut self, offset: u64) {
        if let Body::Messages(messages) = &mut self.body {
            messages.on_skip_acked(offset);
        }
    }

    /// True if the SKIP must be repeated.
    pub(super) fn on_skip_lost(&mut self, offset: u64) -> bool {
        match &mut self.body {
            Body::Messages(messages) if self.state.has_data() => messages.on_skip_lost(offset),
            _ => false,
        }
    }

    // What is to be sent.

    pub(super) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// What may be sent for the first time.
    pub(super) fn fresh(&mut self, now: Instant, pool: &mut SendPool) -> Fresh {
        if !self.state.has_data() {
            return Fresh::Nothing;
        }
        let finishing = self.state == SendState::Finishing;
        let Body::Bytes { fin, ref blocks } = self.body else {
            return self.split(pool).map_or(Fresh::Nothing, |(messages, mut wire)| messages.fresh(now, &mut wire));
        };
        let least = match blocks {
            // What is cut has its credit.
            Some(_) if self.next < self.kept.end => return Fresh::Ready,
            Some(blocks) if !blocks.is_empty() => SMALLEST_BLOCK,
            _ if self.next < self.kept.end => 1,
            _ => return if finishing && fin == Fin::Unsent { Fresh::Ready } else { Fresh::Nothing },
        };
        if self.next.saturating_add(least) > self.limit {
            Fresh::StreamBlocked
        } else if pool.credit() < least {
            Fresh::ConnectionBlocked(least)
        } else {
            Fresh::Ready
        }
    }

    /// Whether SKIP is due, given what stands in the way of sending.
    pub(super) fn skip_due(&self, blocked: bool, pool: &SendPool) -> bool {
        match &self.body {
            Body::Messages(messages) if self.state.has_data() => {
                messages.skip_due(blocked, self.state == SendState::Finishing, pool.stream_window)
            }
            _ => false,
        }
    }

    /// There are dead bytes that the peer was not told of.
    pub(super) fn has_dead(&self) -> bool {
        matches!(&self.body, Body::Messages(messages) if self.state.has_data() && messages.has_dead())
    }

    /// The offset for a SKIP frame: everything below is settled.
    pub(super) fn skip_offset(&self) -> Option<u64> {
        match &self.body {
            Body::Messages(messages) if self.state.has_data() => Some(messages.skip_offset(self.next)),
            _ => None,
        }
    }

    /// The SKIP frame was written.
    pub(super) fn announce_skip(&mut self) {
        let next = self.next;
        if let Body::Messages(messages) = &mut self.body {
            messages.announce_skip(next);
        }
    }

    /// Takes the next steps towards the end; true if a RESET_STREAM is to be sent.
    pub(super) fn progress(&mut self) -> bool {
        if self.kept.start < self.kept.end {
            self.trim();
        }
        if self.state != SendState::Finishing {
            return false;
        }
        match &self.body {
            Body::Bytes { fin, .. } => {
                if self.kept.is_empty() && *fin == Fin::Acked {
                    self.state.advance(SendEvent::AllAcked);
                    self.ring.free();
                }
                false
            }
            Body::Messages(messages) => {
                let Some(reset) = &self.reset else {
                    if !messages.is_all_sent() {
                        return false;
                    }
                    let (code, final_size) = (AppCode::ZERO, self.next);
                    self.reset = Some(Box::new(Reset { code, final_size, reliable_size: final_size, acked: false }));
                    return true;
                };
                if reset.acked && messages.is_empty() && !messages.has_dead() && messages.skips_settled() {
                    self.state.advance(SendEvent::AllAcked);
                    self.ring.free();
                }
                false
            }
        }
    }

    /// Whether [`cool`](Self::cool) is to be called in a while.
    pub(super) fn is_warm(&self) -> bool {
        let uncut = matches!(&self.body, Body::Bytes { blocks: Some(blocks), .. } if blocks.is_warm());
        self.ring.is_large() || uncut
    }

    /// Gives back the memory of rings that rest.
    pub(super) fn cool(&mut self) {
        self.ring.cool(self.kept.is_empty());
        if let Body::Bytes { blocks: Some(blocks), .. } = &mut self.body {
            blocks.cool();
        }
    }

    /// Lets go of buffer that belongs to settled messages.
    fn trim(&mut self) {
        if let Body::Messages(messages) = &self.body {
            self.kept.start = messages.start().unwrap_or(self.kept.end);
        }
    }

    /// Writes one frame of lost data.
    pub(super) fn write_lost(
        &mut self,
        now: Instant,
        key: Key,
        pool: &mut SendPool,
        w: &mut Writer<'_>,
        sink: &mut dyn FnMut(StreamRecord),
    ) -> Wrote {
        let (sid, remaining) = (self.sid, w.remaining());
        if let Some((messages, mut wire)) = self.split(pool) {
            let room = |offset, whole: u64| room_for(remaining, whole, |n| msg_header_len(sid, offset, n));
            let Some(fragment) = messages.cut_lost(now, &mut wire, room) else { return Wrote::Nothing };
            return self.write_fragment(key, fragment, w, sink);
        }
        let Some(range) = self.lost.first() else { return Wrote::Nothing };
        let room = room_for(remaining, range.end - range.start, |n| stream_header_len(sid, range.start, n));
        self.write_bytes(key, range.start, room, w, sink)
    }

    /// Writes one frame of new data, after [`fresh`](Self::fresh) said `Ready`.
    pub(super) fn write_fresh(
        &mut self,
        key: Key,
        pool: &mut SendPool,
        packer: &mut Packer,
        w: &mut Writer<'_>,
        sink: &mut dyn FnMut(StreamRecord),
    ) -> Wrote {
        let (sid, next, remaining) = (self.sid, self.next, w.remaining());
        if let Some((messages, mut wire)) = self.split(pool) {
            let whole = messages.rest_of_next();
            let room = room_for(remaining, whole, |n| msg_header_len(sid, next, n));
            if room == 0 {
                return Wrote::Full;
            }
            let Some(fragment) = messages.cut(room, &mut wire) else { return Wrote::Nothing };
            return self.write_fragment(key, fragment, w, sink);
        }
        let encoded = self.cut_blocks(pool, packer, remaining as u64);
        let granted = if encoded { u64::MAX } else { self.limit.saturating_sub(next).min(pool.credit()) };
        let whole = (self.kept.end - next).min(granted);
        let room = room_for(remaining, whole, |n| stream_header_len(sid, next, n));
        let wrote = self.write_bytes(key, next, room, w, sink);
        if matches!(wrote, Wrote::Frame(_)) {
            self.next = next + room as u64;
            if !encoded {
                pool.credit_used += room as u64;
            }
        }
        wrote
    }

    /// Cuts blocks until there are `room` bytes to send, if the stream is block-encoded.
    fn cut_blocks(&mut self, pool: &mut SendPool, packer: &mut Packer, room: u64) -> bool {
        let Self { ring, kept, next, limit, pace, body: Body::Bytes { blocks: Some(blocks), .. }, .. } = self else {
            return false;
        };
        while room >= LEAST_ROOM && kept.end - *next < room && !blocks.is_empty() {
            let credit = limit.saturating_sub(kept.end).min(pool.credit());
            let pace = pace.as_mut().filter(|_| pool.peer_unpacks);
            if !blocks.cut(credit, (ring, kept), pool, (packer, pace)) {
                break;
            }
        }
        true
    }

    fn write_bytes(
        &mut self,
        key: Key,
        offset: u64,
        length: usize,
        w: &mut Writer<'_>,
        sink: &mut dyn FnMut(StreamRecord),
    ) -> Wrote {
        let Body::Bytes { fin, blocks } = &mut self.body else { return Wrote::Nothing };
        let end = offset + length as u64;
        let is_last = end == self.kept.end && blocks.as_ref().is_none_or(|blocks| blocks.is_empty());
        let is_fin = self.state == SendState::Finishing && is_last && *fin != Fin::Acked;
        if length == 0 && !(is_fin && offset == self.kept.end) {
            return Wrote::Full;
        }
        let before = w.position();
        let Ok(slot) = write_stream(w, self.sid, offset, length, is_fin) else { return Wrote::Full };
        self.ring.copy(offset..end, slot);
        if is_fin {
            *fin = Fin::Sent;
        }
        self.lost.remove(offset..end);
        sink(StreamRecord::Bytes { key, offset, length: length as u16, fin: is_fin });
        Wrote::Frame(w.position() - before)
    }

    fn write_fragment(
        &mut self,
        key: Key,
        fragment: Fragment,
        w: &mut Writer<'_>,
        sink: &mut dyn FnMut(StreamRecord),
    ) -> Wrote {
        let Fragment { position, offset, length, bom, eom, packed, urgency } = fragment;
        if length == 0 {
            return Wrote::Full;
        }
        let before = w.position();
        let Ok(slot) = write_msg(w, self.sid, offset, length, bom, eom, bom && packed) else { return Wrote::Full };
        self.ring.copy(position..position + length as u64, slot);
        self.lost.remove(offset..offset + length as u64);
        self.urgency = urgency;
        sink(StreamRecord::Message { key, offset, length: length as u16 });
        Wrote::Frame(w.position() - before)
    }
}

/// How many of `whole` bytes fit `remaining` behind their header; 0 if it is not worth a frame.
fn room_for(remaining: usize, whole: u64, header: impl Fn(usize) -> usize) -> usize {
    let whole = usize::try_from(whole).unwrap_or(usize::MAX).min(usize::from(u16::MAX));
    let room = whole.min(remaining.saturating_sub(header(whole.min(remaining))));
    if room < whole.min(SMALLEST_FRAGMENT) { 0 } else { room }
}

//! Control frames: every one is a bit that says "the latest value is to be sent", never an entry in a list (row 32).

use super::queue::Queues;
use super::state::{RecvState, SendState};
use super::{Stream, StreamRecord, Streams};
use crate::slab::Key;
use crate::time::Instant;
use crate::wire::frame::{Blocked, Frame, ResetStream};
use crate::wire::{Full, StreamType, Writer};

// Bits of `Stream::control`, in the order in which they are written.
pub(super) const PRIORITY: u8 = 1;
pub(super) const RESET: u8 = 2;
pub(super) const STOP: u8 = 4;
pub(super) const SKIP: u8 = 8;
pub(super) const MAX_STREAM_DATA: u8 = 16;
pub(super) const BLOCKED: u8 = 32;

/// What the connection as a whole has to say, and which streams have something to say.
pub(super) struct Control {
    streams: Queues<1>,
    /// Stream types whose limit rose.
    pub(super) max_streams: u16,
    /// Stream types whose limit stopped an opening.
    pub(super) streams_blocked: u16,
    pub(super) data_blocked: bool,
}

impl Control {
    pub(super) const fn new() -> Self {
        Self { streams: Queues::new(), max_streams: 0, streams_blocked: 0, data_blocked: false }
    }

    pub(super) fn set(&mut self, key: Key, pending: bool) {
        if pending {
            self.streams.push_back(0, key);
        } else {
            self.streams.remove(key);
        }
    }

    pub(super) fn clear(&mut self) {
        while self.streams.pop_front(0).is_some() {}
        self.max_streams = 0;
        self.streams_blocked = 0;
        self.data_blocked = false;
    }
}

impl Streams {
    /// Some control frame is to be sent.
    pub(crate) fn wants_control(&self) -> bool {
        !self.closed
            && (self.recv.update_due
                || self.control.max_streams != 0
                || self.control.streams_blocked != 0
                || self.control.data_blocked
                || !self.control.streams.is_empty(0))
    }

    /// Writes control frames as far as they fit.
    pub(crate) fn write_control(&mut self, now: Instant, w: &mut Writer<'_>, sink: &mut dyn FnMut(StreamRecord)) {
        self.at(now);
        if self.closed || self.write_connection(w, sink).is_err() {
            return;
        }
        while let Some(key) = self.control.streams.front(0) {
            let Some(stream) = self.slab.get_mut(key) else { break };
            if write_stream_control(stream, key, w, sink).is_err() {
                return;
            }
            self.settle(key);
            if self.control.streams.front(0) == Some(key) {
                // Something new came up while the stream settled; it waits for its next turn.
                return;
            }
        }
    }

    fn write_connection(&mut self, w: &mut Writer<'_>, sink: &mut dyn FnMut(StreamRecord)) -> Result<(), Full> {
        if self.recv.update_due {
            put(&Frame::MaxData { limit: self.recv.window.granted() }, w)?;
            self.recv.update_due = false;
            sink(StreamRecord::MaxData);
        }
        while let Some(ty) = lowest_type(self.control.max_streams) {
            put(&Frame::MaxStreams { ty, limit: self.stream_limit(ty) }, w)?;
            self.control.max_streams &= self.control.max_streams - 1;
            sink(StreamRecord::MaxStreams(ty));
        }
        if self.control.data_blocked {
            put(&Frame::Blocked(Blocked::Data { limit: self.send.credit_limit }), w)?;
            self.control.data_blocked = false;
        }
        while let Some(ty) = lowest_type(self.control.streams_blocked) {
            put(&Frame::Blocked(Blocked::Streams { ty, limit: self.stream_limit(ty) }), w)?;
            self.control.streams_blocked &= self.control.streams_blocked - 1;
        }
        Ok(())
    }

    /// The frame was lost, or is to be sent again to make sure: its latest value is sent if it still matters.
    pub(super) fn repeat_control(&mut self, record: &StreamRecord) {
        let (key, bit) = match *record {
            StreamRecord::MaxData => return self.recv.update_due = true,
            StreamRecord::MaxStreams(ty) => return self.control.max_streams |= 1 << ty.as_usize(),
            StreamRecord::Skip { key, .. } => (key, SKIP),
            StreamRecord::Reset { key, .. } => (key, RESET),
            StreamRecord::Stop(key) => (key, STOP),
            StreamRecord::Priority(key) => (key, PRIORITY),
            StreamRecord::MaxStreamData(key) => (key, MAX_STREAM_DATA),
            StreamRecord::Bytes { .. } | StreamRecord::Message { .. } => return,
        };
        let Some(stream) = self.slab.get_mut(key) else { return };
        let repeat = match *record {
            StreamRecord::Skip { offset, .. } => stream.send.as_mut().is_some_and(|half| half.on_skip_lost(offset)),
            StreamRecord::Reset { .. } => stream.send.as_ref().is_some_and(|half| !half.state().is_over()),
            StreamRecord::Stop(_) => stream.recv.as_ref().is_some_and(|half| half.state() == RecvState::Stopped),
            StreamRecord::MaxStreamData(_) => stream.recv.as_ref().is_some_and(|half| half.state() == RecvState::Open),
            _ => true,
        };
        if repeat {
            stream.control |= bit;
            self.settle(key);
        }
    }
}

fn lowest_type(types: u16) -> Option<StreamType> {
    StreamType::new(types.trailing_zeros() as u8)
}

/// Writes a whole frame or nothing.
fn put(frame: &Frame<'_>, w: &mut Writer<'_>) -> Result<(), Full> {
    let before = w.position();
    frame.encode(w).inspect_err(|_| w.truncate(before))
}

fn write_stream_control(
    stream: &mut Stream,
    key: Key,
    w: &mut Writer<'_>,
    sink: &mut dyn FnMut(StreamRecord),
) -> Result<(), Full> {
    while stream.control != 0 {
        let bit = stream.control & stream.control.wrapping_neg();
        if let Some((frame, record)) = stream_frame(stream, key, bit) {
            put(&frame, w)?;
            if let Some(record) = record {
                sink(record);
            }
            if let Some(StreamRecord::Skip { .. }) = record
                && let Some(half) = &mut stream.send
            {
                half.announce_skip();
            }
        }
        stream.control &= !bit;
    }
    Ok(())
}

/// The frame for one bit, if it still means something.
fn stream_frame(stream: &Stream, key: Key, bit: u8) -> Option<(Frame<'static>, Option<StreamRecord>)> {
    let sid = stream.sid;
    let (frame, record) = match bit {
        PRIORITY => (Frame::StreamPriority { sid, priority: stream.priority }, Some(StreamRecord::Priority(key))),
        RESET => {
            let reset = stream.send.as_ref()?.reset_frame()?;
            let orderly = stream.send.as_ref()?.state() != SendState::Resetting;
            let frame = ResetStream {
                sid,
                code: reset.code.get(),
                final_size: reset.final_size,
                reliable_size: reset.reliable_size,
            };
            (Frame::ResetStream(frame), Some(StreamRecord::Reset { key, orderly }))
        }
        STOP => (Frame::StopSending { sid, code: stream.stop_code.get() }, Some(StreamRecord::Stop(key))),
        SKIP => {
            let offset = stream.send.as_ref()?.skip_offset()?;
            (Frame::Skip { sid, offset }, Some(StreamRecord::Skip { key, offset }))
        }
        MAX_STREAM_DATA => {
            let limit = stream.recv.as_ref()?.limit_to_send()?;
            (Frame::MaxStreamData { sid, limit }, Some(StreamRecord::MaxStreamData(key)))
        }
        BLOCKED => (Frame::Blocked(Blocked::Stream { sid, limit: stream.send.as_ref()?.limit() }), None),
        _ => return None,
    };
    Some((frame, record))
}

//! The frames of the peer.

use super::api::{DEFAULT_PRIORITY, Delivery};
use super::recv::{Arrival, RecvHalf};
use super::{OPENED, Own, STOPPED, Streams, control, has_messages};
use crate::error::{AppCode, TransportError, Violation};
use crate::slab::Key;
use crate::time::Instant;
use crate::wire::StreamId;
use crate::wire::frame::{Blocked, Frame, Msg, ResetStream, Stream as StreamFrame};

/// Whether a packet may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admit {
    /// Its frame fits the bounds.
    Yes,
    /// The packet is to be treated as if it had not arrived, and counted by [`Streams::on_refused`].
    Refuse,
}

const fn state_error(reason: &'static str) -> Violation {
    Violation::new(TransportError::STREAM_STATE, reason)
}

const fn protocol_error(reason: &'static str) -> Violation {
    Violation::new(TransportError::PROTOCOL_VIOLATION, reason)
}

fn stream_arrival<'a>(frame: &StreamFrame<'a>) -> Arrival<'a> {
    Arrival { offset: frame.offset, data: frame.data, fin: frame.fin, bom: false, packed: false, eom: false }
}

fn msg_arrival<'a>(frame: &Msg<'a>) -> Arrival<'a> {
    let Msg { offset, data, bom, eom, compressed, .. } = *frame;
    Arrival { offset, data, fin: false, bom, packed: compressed, eom }
}

impl Streams {
    /// The first of two passes over a packet: decides, before any frame acts, whether the bounds on gaps, message
    /// marks and partial messages leave room for it (rows 25 to 27). Other breaches show in the second pass.
    pub(crate) fn check(&self, frame: &Frame<'_>) -> Result<Admit, Violation> {
        let (sid, arrival) = match frame {
            Frame::Stream(frame) => (frame.sid, stream_arrival(frame)),
            Frame::Msg(frame) => (frame.sid, msg_arrival(frame)),
            _ => return Ok(Admit::Yes),
        };
        let half = self.map.get(&sid).and_then(|&key| self.slab.get(key)).and_then(|stream| stream.recv.as_ref());
        let fits = half.is_none_or(|half| half.admits(&self.recv, &arrival));
        Ok(if fits { Admit::Yes } else { Admit::Refuse })
    }

    /// Counts a packet that was refused; too many within a second end the connection.
    pub(crate) fn on_refused(&mut self, now: Instant) -> Result<(), Violation> {
        self.at(now);
        if self.refusals.add(self.now) {
            return Err(Violation::new(TransportError::BUFFER_EXCEEDED, "too many packets beyond the bounds"));
        }
        Ok(())
    }

    /// The second pass: the frame acts.
    pub(crate) fn on_frame(&mut self, now: Instant, frame: &Frame<'_>) -> Result<(), Violation> {
        self.at(now);
        if self.closed {
            return Ok(());
        }
        match *frame {
            Frame::Stream(ref frame) => self.on_stream(frame),
            Frame::Msg(ref frame) => self.on_msg(frame),
            Frame::ResetStream(ref frame) => self.on_reset_stream(frame),
            Frame::StopSending { sid, code } => self.on_stop_sending(sid, AppCode::new(code)),
            Frame::Skip { sid, offset } => self.on_skip(sid, offset),
            Frame::MaxData { limit } => {
                self.raise_data_limit(limit);
                Ok(())
            }
            Frame::MaxStreamData { sid, limit } => self.on_max_stream_data(sid, limit),
            Frame::MaxStreams { ty, limit } => {
                if ty.initiator() != self.side {
                    return Err(protocol_error("limit for streams that the sender opens itself"));
                }
                self.raise_stream_limit(ty, limit);
                Ok(())
            }
            Frame::Blocked(blocked) => self.on_blocked(blocked),
            Frame::StreamPriority { sid, priority } => self.on_priority(sid, priority),
            _ => Ok(()),
        }
    }

    /// The stream of a frame, opened if the peer may open it now; `None` if it is over.
    fn find_or_open(&mut self, sid: StreamId) -> Result<Option<Key>, Violation> {
        if let Some(&key) = self.map.get(&sid) {
            return Ok(Some(key));
        }
        let ty = sid.ty();
        let Some(count) = self.types.get(ty.as_usize()).copied() else { return Ok(None) };
        if sid.index() < count.opened {
            return Ok(None);
        }
        if sid.initiator() == self.side {
            return Err(state_error("a stream that was never opened"));
        }
        if sid.index() >= count.limit {
            return Err(Violation::new(TransportError::STREAM_LIMIT, "more streams than allowed"));
        }
        for index in count.opened..=sid.index() {
            let key = self.create(ty.id(index), DEFAULT_PRIORITY, Delivery::Reliable, Own::default());
            if let Some(stream) = self.slab.get_mut(key) {
                stream.events |= OPENED;
            }
            self.settle(key);
        }
        if let Some(count) = self.types.get_mut(ty.as_usize()) {
            count.opened = sid.index() + 1;
        }
        self.grant_streams(ty);
        Ok(self.map.get(&sid).copied())
    }

    /// The receiving half of the stream of a frame that only a sender of data sends.
    fn with_recv(
        &mut self,
        sid: StreamId,
        act: impl FnOnce(&mut RecvHalf, &mut super::RecvPool) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        if sid.is_uni() && sid.initiator() == self.side {
            return Err(state_error("data on a stream that only this side may send on"));
        }
        let Some(key) = self.find_or_open(sid)? else { return Ok(()) };
        if let Some(half) = self.slab.get_mut(key).and_then(|stream| stream.recv.as_mut()) {
            act(half, &mut self.recv)?;
        }
        self.settle(key);
        Ok(())
    }

    /// The stream of a frame that only a receiver of data sends.
    fn find_sending(&mut self, sid: StreamId) -> Result<Option<Key>, Violation> {
        if sid.is_uni() && sid.initiator() != self.side {
            return Err(state_error("feedback on a stream that only the peer may send on"));
        }
        self.find_or_open(sid)
    }

    fn on_stream(&mut self, frame: &StreamFrame<'_>) -> Result<(), Violation> {
        if has_messages(frame.sid) {
            return Err(protocol_error("STREAM on a stream of messages"));
        }
        self.with_recv(frame.sid, |half, pool| half.on_data(pool, stream_arrival(frame)))
    }

    fn on_msg(&mut self, frame: &Msg<'_>) -> Result<(), Violation> {
        if !has_messages(frame.sid) {
            return Err(protocol_error("MSG on a stream of bytes"));
        }
        if frame.compressed && !self.limits.unpacks {
            return Err(protocol_error("compressed message without an offer"));
        }
        self.with_recv(frame.sid, |half, pool| half.on_data(pool, msg_arrival(frame)))
    }

    fn on_reset_stream(&mut self, frame: &ResetStream) -> Result<(), Violation> {
        let (mut news, mut asked) = (false, false);
        let code = AppCode::new(frame.code);
        self.with_recv(frame.sid, |half, pool| {
            asked = half.is_stopped();
            news = half.on_reset(pool, code, frame.final_size, frame.reliable_size)?;
            Ok(())
        })?;
        if news && (asked || frame.reliable_size == frame.final_size) {
            return Ok(());
        }
        self.nuisance().map(|_| ())
    }

    fn on_skip(&mut self, sid: StreamId, offset: u64) -> Result<(), Violation> {
        if !has_messages(sid) {
            return Err(protocol_error("SKIP on a stream of bytes"));
        }
        self.with_recv(sid, |half, pool| half.on_skip(pool, offset))
    }

    fn on_stop_sending(&mut self, sid: StreamId, code: AppCode) -> Result<(), Violation> {
        let Some(key) = self.find_sending(sid)? else { return self.nuisance().map(|_| ()) };
        let Some(stream) = self.slab.get_mut(key) else { return Ok(()) };
        let news = stream.send.as_mut().is_some_and(|half| half.abandon(&mut self.send, code));
        if !news {
            // One stop per stream is paid for by opening the stream: giving up thousands at once is no nuisance.
            return self.nuisance().map(|_| ());
        }
        if let Some(half) = &mut stream.send {
            half.stopped = Some(code);
        }
        stream.control |= control::RESET;
        stream.events |= STOPPED;
        self.settle(key);
        self.relieve();
        Ok(())
    }

    fn on_max_stream_data(&mut self, sid: StreamId, limit: u64) -> Result<(), Violation> {
        let Some(key) = self.find_sending(sid)? else { return Ok(()) };
        let half = self.slab.get_mut(key).and_then(|stream| stream.send.as_mut());
        if half.is_some_and(|half| half.raise_limit(limit)) {
            self.settle(key);
        }
        Ok(())
    }

    /// Says nothing that credit does not say better; a peer that says it too often is a nuisance.
    fn on_blocked(&mut self, blocked: Blocked) -> Result<(), Violation> {
        if let Blocked::Stream { sid, .. } = blocked {
            self.with_recv(sid, |_, _| Ok(()))?;
        }
        self.nuisance().map(|_| ())
    }

    /// Opens a stream, or says how urgent the peer finds what this side sends on it.
    fn on_priority(&mut self, sid: StreamId, priority: u8) -> Result<(), Violation> {
        let exists = self.map.contains_key(&sid);
        let Some(key) = self.find_or_open(sid)? else { return Ok(()) };
        if exists && !self.nuisance()? {
            return Ok(());
        }
        let Some(stream) = self.slab.get_mut(key) else { return Ok(()) };
        if !stream.priority_chosen && stream.priority != priority {
            stream.priority = priority;
            self.sched.forget(key);
            self.settle(key);
        }
        Ok(())
    }

    /// Counts a frame that costs work and moves nothing (row 31); false if the peer is over its rate.
    fn nuisance(&mut self) -> Result<bool, Violation> {
        let within = self.nuisance.take(self.now);
        self.futile += u64::from(!within);
        if self.nuisance.far_over() {
            return Err(Violation::new(TransportError::EXCESSIVE_LOAD, "too many frames that move nothing"));
        }
        Ok(within)
    }
}

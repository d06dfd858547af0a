//! What the application does with streams.

use alloc::vec::Vec;

use super::api::{
    Delivery, MessageId, MessageOptions, OpenError, Recv, RecvError, RecvMessage, SendError, Slices, StreamOptions,
};
use super::lz4;
use super::recv::{Found, RecvHalf};
use super::send::SendHalf;
use super::state::SendState;
use super::{Own, Stream, Streams, control, has_messages};
use crate::config::{Compression, Fec};
use crate::error::AppCode;
use crate::slab::Key;
use crate::time::Instant;
use crate::wire::{StreamId, StreamKind, StreamType};

impl Streams {
    /// Opens a stream. The peer learns of it at once, before anything is written.
    pub(crate) fn open(&mut self, now: Instant, options: StreamOptions) -> Result<StreamId, OpenError> {
        self.at(now);
        if self.closed {
            return Err(OpenError::Closed);
        }
        let ty = self.type_of(options);
        if !has_messages(ty.id(0)) && options.delivery != Delivery::Reliable {
            return Err(OpenError::ModeNeedsMessages);
        }
        if options.fec.is_some_and(|fec| !fec.is_valid()) {
            return Err(OpenError::Fec);
        }
        let Some(count) = self.types.get_mut(ty.as_usize()) else { return Err(OpenError::Limit) };
        if count.opened >= count.limit {
            let bit = 1 << ty.as_usize();
            if self.wanted_types & bit == 0 && self.complaints.try_take(self.now) {
                self.control.streams_blocked |= bit;
            }
            self.wanted_types |= bit;
            return Err(OpenError::Limit);
        }
        let sid = ty.id(count.opened);
        count.opened += 1;
        let key = self.create(
            sid,
            options.priority,
            options.delivery,
            Own { fec: options.fec, compression: options.compression },
        );
        self.announce(key, control::PRIORITY);
        Ok(sid)
    }

    /// What these options open. Bytes that are to be compressed are block-encoded if the peer takes that.
    fn type_of(&self, options: StreamOptions) -> StreamType {
        let blocks = StreamType::of(StreamKind::Blocks, options.uni, self.side);
        let packs = options.compression.unwrap_or(self.policy.compression) != Compression::Off;
        if packs && options.kind == StreamKind::Bytes && self.send.peer_unpacks && self.stream_limit(blocks) > 0 {
            return blocks;
        }
        StreamType::of(options.kind, options.uni, self.side)
    }

    /// How many more streams of these options may be opened now.
    pub(crate) fn openable(&self, options: StreamOptions) -> u64 {
        if self.closed {
            return 0;
        }
        let ty = self.type_of(options);
        self.types.get(ty.as_usize()).map_or(0, |count| count.limit.saturating_sub(count.opened))
    }

    fn key(&self, sid: StreamId) -> Option<Key> {
        self.map.get(&sid).copied()
    }

    fn stream_mut(&mut self, sid: StreamId) -> Option<(Key, &mut Stream)> {
        let key = self.key(sid)?;
        Some((key, self.slab.get_mut(key)?))
    }

    fn announce(&mut self, key: Key, bits: u8) {
        if let Some(stream) = self.slab.get_mut(key) {
            stream.control |= bits;
        }
        self.settle(key);
    }

    /// The sending half, if it takes data of this kind.
    fn sending(&self, sid: StreamId, messages: bool) -> Result<Key, SendError> {
        if self.closed {
            return Err(SendError::Closed);
        }
        let key = self.key(sid).ok_or(SendError::UnknownStream)?;
        let stream = self.slab.get(key).ok_or(SendError::UnknownStream)?;
        let half = stream.send.as_ref().ok_or(SendError::WrongKind)?;
        if has_messages(sid) != messages {
            return Err(SendError::WrongKind);
        }
        match (half.state(), half.stopped) {
            (SendState::Open, _) => Ok(key),
            (_, Some(code)) => Err(SendError::Stopped(code)),
            (SendState::Finishing | SendState::Finished, _) => Err(SendError::Finished),
            (SendState::Resetting | SendState::Gone, _) => Err(SendError::Reset),
        }
    }

    /// Takes as many bytes as fit, at least one, or says `Blocked`. An empty slice is taken whole.
    pub(crate) fn send(&mut self, now: Instant, sid: StreamId, data: &[u8]) -> Result<usize, SendError> {
        self.at(now);
        let key = self.sending(sid, false)?;
        let bound = self.limits.stream_send_buffer;
        let Some(stream) = self.slab.get_mut(key) else { return Err(SendError::UnknownStream) };
        let Some(half) = &mut stream.send else { return Err(SendError::WrongKind) };
        let taken = half.push_bytes(&mut self.send, bound, data);
        stream.want_write = taken < data.len();
        self.settle(key);
        if taken == 0 && !data.is_empty() { Err(SendError::Blocked) } else { Ok(taken) }
    }

    /// Takes a message whole, or says why not.
    pub(crate) fn send_message(
        &mut self,
        now: Instant,
        sid: StreamId,
        data: &[u8],
        options: MessageOptions,
    ) -> Result<MessageId, SendError> {
        self.at(now);
        let key = self.sending(sid, true)?;
        if data.is_empty() {
            return Err(SendError::Empty);
        }
        if data.len() as u64 > self.send.max_message {
            return Err(SendError::TooLarge { max: self.send.max_message });
        }
        let id = MessageId(self.next_message);
        let bound = self.limits.stream_send_buffer;
        let Some(stream) = self.slab.get_mut(key) else { return Err(SendError::UnknownStream) };
        let Some(half) = &mut stream.send else { return Err(SendError::WrongKind) };
        let taken = half.push_message(self.now, &mut self.send, &mut self.packer, bound, data, (id, options));
        stream.want_write = !taken;
        self.next_message += u64::from(taken);
        self.settle(key);
        if taken { Ok(id) } else { Err(SendError::Blocked) }
    }

    /// The largest message that the peer accepts.
    pub(crate) fn max_message(&self) -> u64 {
        self.send.max_message
    }

    /// How many bytes a stream would take now; 0 if it takes none.
    pub(crate) fn send_capacity(&self, sid: StreamId) -> u64 {
        let half = self.key(sid).and_then(|key| self.slab.get(key)).and_then(|stream| stream.send.as_ref());
        half.filter(|half| half.state() == SendState::Open)
            .map_or(0, |half| self.limits.stream_send_buffer.saturating_sub(half.buffered()).min(self.send.room()))
    }

    fn with_send<T>(
        &mut self,
        sid: StreamId,
        act: impl FnOnce(&mut SendHalf, &mut super::SendPool) -> Result<T, SendError>,
        bits: u8,
    ) -> Result<T, SendError> {
        if self.closed {
            return Err(SendError::Closed);
        }
        let key = self.key(sid).ok_or(SendError::UnknownStream)?;
        let stream = self.slab.get_mut(key).ok_or(SendError::UnknownStream)?;
        let result = act(stream.send.as_mut().ok_or(SendError::WrongKind)?, &mut self.send);
        if result.is_ok() {
            stream.control |= bits;
        }
        self.settle(key);
        self.relieve();
        result
    }

    /// Says that nothing more will be sent. [`StreamEvent::Finished`](super::StreamEvent::Finished) follows when
    /// everything was acknowledged.
    pub(crate) fn finish(&mut self, sid: StreamId) -> Result<(), SendError> {
        let act = |half: &mut SendHalf, _: &mut super::SendPool| {
            if half.finish() {
                return Ok(());
            }
            match (half.state(), half.stopped) {
                (_, Some(code)) => Err(SendError::Stopped(code)),
                (SendState::Resetting | SendState::Gone, _) => Err(SendError::Reset),
                _ => Err(SendError::Finished),
            }
        };
        self.with_send(sid, act, 0)
    }

    /// Gives up what was not delivered yet and tells the peer the code.
    pub(crate) fn reset(&mut self, sid: StreamId, code: AppCode) -> Result<(), SendError> {
        let act = |half: &mut SendHalf, pool: &mut super::SendPool| {
            if half.abandon(pool, code) {
                return Ok(());
            }
            Err(half.stopped.map_or(SendError::Reset, SendError::Stopped))
        };
        self.with_send(sid, act, control::RESET)
    }

    /// Drops what was received and asks the peer to stop. Harmless when the stream is over.
    pub(crate) fn stop(&mut self, sid: StreamId, code: AppCode) -> Result<(), RecvError> {
        let key = self.key(sid).ok_or(RecvError::UnknownStream)?;
        let stream = self.slab.get_mut(key).ok_or(RecvError::UnknownStream)?;
        let half = stream.recv.as_mut().ok_or(RecvError::WrongKind)?;
        if half.stop(&mut self.recv) && !self.closed {
            stream.stop_code = code;
            stream.control |= control::STOP;
        }
        self.settle(key);
        Ok(())
    }

    /// Changes the priority, here and as a hint for the peer.
    pub(crate) fn set_priority(&mut self, sid: StreamId, priority: u8) -> Result<(), SendError> {
        let closed = self.closed;
        let (key, stream) = self.stream_mut(sid).ok_or(SendError::UnknownStream)?;
        stream.priority_chosen = true;
        if stream.priority != priority && !closed {
            stream.priority = priority;
            stream.control |= control::PRIORITY;
            self.sched.forget(key);
            self.settle(key);
        }
        Ok(())
    }

    /// Whether messages accepted from now on are compressed, or bytes of a block-encoded stream sent from now on.
    pub(crate) fn set_compression(&mut self, sid: StreamId, compression: Compression) -> Result<(), SendError> {
        let (_, stream) = self.stream_mut(sid).ok_or(SendError::UnknownStream)?;
        let half = stream.send.as_mut().ok_or(SendError::WrongKind)?;
        stream.own.compression = Some(compression);
        if half.set_compression(compression) { Ok(()) } else { Err(SendError::WrongKind) }
    }

    /// Error correction of what is sent from now on.
    pub(crate) fn set_fec(&mut self, sid: StreamId, fec: Fec) -> Result<(), SendError> {
        if !fec.is_valid() {
            return Err(SendError::Fec);
        }
        let (_, stream) = self.stream_mut(sid).ok_or(SendError::UnknownStream)?;
        if stream.send.is_none() {
            return Err(SendError::WrongKind);
        }
        stream.own.fec = Some(fec);
        Ok(())
    }

    /// The priority of a stream that is not over.
    pub(crate) fn priority(&self, sid: StreamId) -> Option<u8> {
        self.slab.get(self.key(sid)?).map(|stream| stream.priority)
    }

    /// Whether the stream exists: opened and not over on both sides.
    #[cfg(test)]
    pub(crate) fn exists(&self, sid: StreamId) -> bool {
        self.map.contains_key(&sid)
    }

    // Receiving.

    fn receiving(&self, sid: StreamId, messages: bool) -> Result<(Key, &RecvHalf), RecvError> {
        let key = self.key(sid).ok_or(RecvError::UnknownStream)?;
        let stream = self.slab.get(key).ok_or(RecvError::UnknownStream)?;
        let half = stream.recv.as_ref().ok_or(RecvError::WrongKind)?;
        if has_messages(sid) == messages { Ok((key, half)) } else { Err(RecvError::WrongKind) }
    }

    /// The read found nothing: the next arrival is told again.
    pub(super) fn rearm(&mut self, key: Key) {
        if let Some(stream) = self.slab.get_mut(key) {
            stream.told_readable = false;
        }
    }

    fn read(&mut self, key: Key, act: impl FnOnce(&mut RecvHalf, &mut super::RecvPool)) {
        if let Some(half) = self.slab.get_mut(key).and_then(|stream| stream.recv.as_mut()) {
            act(half, &mut self.recv);
        }
        self.settle(key);
    }

    /// Copies bytes out.
    pub(crate) fn recv(&mut self, sid: StreamId, out: &mut [u8]) -> Result<Recv, RecvError> {
        let (key, half) = self.receiving(sid, false)?;
        match half.find() {
            Found::Data { .. } | Found::Open | Found::Corrupt => {
                let half = self.slab.get_mut(key).and_then(|stream| stream.recv.as_mut());
                let read = half.map_or(Ok(0), |half| half.read_bytes(&mut self.recv, out, &mut self.spare));
                let length = read.map_err(|lz4::Corrupt| self.give_up_reading(key))?;
                self.settle(key);
                Ok(Recv::Data(length))
            }
            Found::Nothing => {
                self.rearm(key);
                Ok(Recv::Blocked)
            }
            Found::End(code) => {
                self.read(key, RecvHalf::end_reported);
                Ok(code.map_or(Recv::Finished, Recv::Reset))
            }
            Found::Stopped => Err(RecvError::Stopped),
        }
    }

    /// Expands the next block of a block-encoded stream if it is compressed, so that [`peek`](Self::peek) can show it.
    pub(crate) fn unpack_block(&mut self, sid: StreamId) -> Result<(), RecvError> {
        let (key, _) = self.receiving(sid, false)?;
        let half = self.slab.get_mut(key).and_then(|stream| stream.recv.as_mut());
        let opened = half.map_or(Ok(()), |half| half.open_block(&mut self.recv, &mut self.spare));
        opened.map_err(|lz4::Corrupt| self.give_up_reading(key))
    }

    /// The readable bytes in place, in two parts, or those of one block; both empty if there are none, and then
    /// [`recv`](Self::recv) says whether that is the end.
    pub(crate) fn peek(&mut self, sid: StreamId) -> Result<Slices<'_>, RecvError> {
        self.unpack_block(sid)?;
        let (key, half) = self.receiving(sid, false)?;
        match half.find() {
            Found::Data { start, end, .. } => Ok(self.receiving(sid, false)?.1.slices(start, end)),
            Found::Open => Ok(self.receiving(sid, false)?.1.open_slices()),
            Found::Nothing => {
                self.rearm(key);
                Ok((&[], &[]))
            }
            Found::End(_) => Ok((&[], &[])),
            Found::Corrupt | Found::Stopped => Err(RecvError::Stopped),
        }
    }

    /// Takes the first `n` bytes that [`peek`](Self::peek) showed, or as many as there are.
    pub(crate) fn consume(&mut self, sid: StreamId, n: usize) -> Result<(), RecvError> {
        self.unpack_block(sid)?;
        let (key, _) = self.receiving(sid, false)?;
        if let Some(half) = self.slab.get_mut(key).and_then(|stream| stream.recv.as_mut()) {
            half.consume_bytes(&mut self.recv, n as u64, &mut self.spare);
        }
        self.settle(key);
        Ok(())
    }

    /// Expands the next message if it is compressed, once, so that [`peek_message`](Self::peek_message) can show it.
    pub(crate) fn unpack_message(&mut self, sid: StreamId) -> Result<(), RecvError> {
        let (key, half) = self.receiving(sid, true)?;
        let Found::Data { start, end, packed } = half.find() else { return Ok(()) };
        if self.hold_message(key) || !packed {
            return Ok(());
        }
        if self.unpacked.shows(sid, start) {
            return Ok(());
        }
        let mut message = self.unpacked.take();
        let Some(half) = self.slab.get(key).and_then(|stream| stream.recv.as_ref()) else { return Ok(()) };
        let result = lz4::unpack(half.slices(start, end), self.recv.max_message, &mut message);
        result.map_err(|lz4::Corrupt| self.give_up_reading(key))?;
        self.unpacked.put(sid, start, message);
        Ok(())
    }

    /// Nothing that follows a message or block that cannot be expanded is shown.
    fn give_up_reading(&mut self, key: Key) -> RecvError {
        self.read(key, |half, pool| {
            half.stop(pool);
        });
        RecvError::Corrupt
    }

    /// The next message, in place unless it is compressed, in two parts; `None` if there is none, and then
    /// [`recv_message`](Self::recv_message) says whether that is the end.
    pub(crate) fn peek_message(&mut self, sid: StreamId) -> Result<Option<Slices<'_>>, RecvError> {
        self.unpack_message(sid)?;
        let (key, half) = self.receiving(sid, true)?;
        match half.find() {
            Found::Data { .. } if self.message_rate.as_ref().is_some_and(|rate| rate.holds(key)) => Ok(None),
            Found::Data { packed: true, .. } => Ok(Some((self.unpacked.message(), &[]))),
            Found::Data { start, end, .. } => Ok(Some(self.receiving(sid, true)?.1.slices(start, end))),
            Found::Nothing => {
                self.rearm(key);
                Ok(None)
            }
            Found::End(_) => Ok(None),
            Found::Open | Found::Corrupt | Found::Stopped => Err(RecvError::Stopped),
        }
    }

    /// Takes the message that [`peek_message`](Self::peek_message) showed.
    pub(crate) fn consume_message(&mut self, sid: StreamId) -> Result<(), RecvError> {
        let (key, half) = self.receiving(sid, true)?;
        if let Found::Data { start, packed, .. } = half.find() {
            if packed {
                self.unpacked.consumed(sid, start);
            }
            self.count_message();
        }
        self.read(key, RecvHalf::consume_message);
        Ok(())
    }

    /// Replaces the contents of `out` by the next message.
    pub(crate) fn recv_message(&mut self, sid: StreamId, out: &mut Vec<u8>) -> Result<RecvMessage, RecvError> {
        let (key, half) = self.receiving(sid, true)?;
        let found = half.find();
        if matches!(found, Found::Data { .. }) && self.hold_message(key) {
            return Ok(RecvMessage::Blocked);
        }
        let (key, half) = self.receiving(sid, true)?;
        match found {
            Found::Data { start, end, packed } => {
                let (head, tail) = half.slices(start, end);
                if packed {
                    let result = lz4::unpack((head, tail), self.recv.max_message, out);
                    result.map_err(|lz4::Corrupt| self.give_up_reading(key))?;
                    self.unpacked.consumed(sid, start);
                } else {
                    out.clear();
                    out.extend_from_slice(head);
                    out.extend_from_slice(tail);
                }
                self.count_message();
                self.read(key, RecvHalf::consume_message);
                Ok(RecvMessage::Message(out.len()))
            }
            Found::Nothing => {
                self.rearm(key);
                Ok(RecvMessage::Blocked)
            }
            Found::End(code) => {
                self.read(key, RecvHalf::end_reported);
                Ok(code.map_or(RecvMessage::Finished, RecvMessage::Reset))
            }
            Found::Open | Found::Corrupt | Found::Stopped => Err(RecvError::Stopped),
        }
    }
}

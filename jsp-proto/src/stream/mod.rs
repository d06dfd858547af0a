//! Streams of bytes and of messages: opening and closing, delivery, priorities and flow control (specification
//! section 4).
//!
//! [`Streams`] holds all streams of one connection. It writes its own frames into packets and takes the frames of the
//! peer; it knows nothing of packets beyond "this record was acknowledged" and "this record was lost".
//!
//! Every change to a stream ends in [`Streams::settle`], which brings the queues in line with the stream: what it wants
//! to send, what it has to tell, its next deadline, and whether it is over. All of these are queues in which a stream
//! stands at most once, so that no peer and no application can grow them beyond the number of streams.
//!
//! Deadlines: each stream knows the earliest deadline among its unsent messages, and stands in one binary heap with it.
//! An entry is not moved when the deadline moves out; it fires early, once, and is renewed. A stream of short-lived
//! messages so costs one heap operation per life time of a message rather than one per message.

mod api;
mod app;
mod block;
mod control;
mod flow;
mod limits;
mod lz4;
mod pace;
mod pad;
mod queue;
mod rate;
mod receive;
mod recv;
mod ring;
mod sched;
mod send;
mod settle;
mod state;
#[cfg(test)]
mod tests;
mod transmit;

use alloc::boxed::Box;
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::config::{Compression, Fec, Policy, Wish};
use crate::error::AppCode;
use crate::log::Log;
use crate::map::{KeyedHash, Map};
use crate::slab::{Key, Slab};
use crate::time::{Instant, earliest, nanos};
use crate::wire::params::{COMPRESSION_LZ4, FLOOR_MAX_DATA, FLOOR_MAX_STREAM_DATA, FLOOR_MAX_STREAMS, Params};
use crate::wire::{Side, StreamId, StreamKind, StreamType};

pub(crate) use api::StreamEvent;
pub use api::{
    Delivery, MessageId, MessageOptions, OpenError, Outcome, Recv, RecvError, RecvMessage, SendError, Slices,
    StreamOptions,
};
#[cfg(feature = "internals")]
pub(crate) use block::{Header, MAX_BLOCK};
use control::Control;
pub(crate) use flow::Pressure;
use flow::{RecvPool, Window};
pub(crate) use limits::Limits;
use limits::{Bucket, Lasting, Refusals};
pub(crate) use lz4::PackStats;
#[cfg(feature = "internals")]
pub(crate) use lz4::unpack;
use lz4::{Packer, Unpacked};
use queue::Queues;
use rate::MessageRate;
pub(crate) use receive::Admit;
use recv::RecvHalf;
use sched::Sched;
use send::{Outcomes, SendHalf, SendPool};

/// How long a large ring rests before its memory is given back, at least; nanoseconds.
const COOLING: u64 = 1_000_000_000;
/// Timers fire at most this often, nanoseconds.
const TIMER_STEP: u64 = 1_000_000;

/// What one frame carried: kept with the packet, and handed back when the packet is acknowledged or lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamRecord {
    /// A part of a stream of bytes.
    Bytes {
        /// The stream.
        key: Key,
        /// Where the part begins.
        offset: u64,
        /// Its length.
        length: u16,
        /// It is the last one.
        fin: bool,
    },
    /// A part of a message.
    Message {
        /// The stream.
        key: Key,
        /// Where the part begins.
        offset: u64,
        /// Its length.
        length: u16,
    },
    /// SKIP to this offset.
    Skip {
        /// The stream.
        key: Key,
        /// What was announced.
        offset: u64,
    },
    /// RESET_STREAM, and whether it was the orderly end.
    Reset {
        /// The stream.
        key: Key,
        /// Everything was promised.
        orderly: bool,
    },
    /// STOP_SENDING.
    Stop(Key),
    /// STREAM_PRIORITY.
    Priority(Key),
    /// MAX_STREAM_DATA.
    MaxStreamData(Key),
    /// MAX_DATA.
    MaxData,
    /// MAX_STREAMS.
    MaxStreams(StreamType),
}

const _: () = assert!(size_of::<StreamRecord>() <= 32);

impl StreamRecord {
    /// Whether it is a part of what the program gave to be delivered, or of the end of a stream.
    pub(crate) const fn delivers(&self) -> bool {
        matches!(self, Self::Bytes { .. } | Self::Message { .. } | Self::Skip { .. } | Self::Reset { .. })
    }
}

/// How a lost record is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LossContext {
    /// The time.
    pub(crate) now: Instant,
    /// Smoothed round-trip time: a message is sent again only if half of it fits before the deadline.
    pub(crate) srtt: core::time::Duration,
}

/// Counts for the application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamStats {
    /// Streams that exist now.
    pub(crate) open: u64,
    /// Bytes accepted for sending and not settled yet.
    pub(crate) send_buffered: u64,
    /// Credit left on the connection, bytes.
    pub(crate) send_credit: u64,
    /// Bytes written into packets again.
    pub(crate) retransmitted: u64,
    /// What compressing did.
    pub(crate) compression: PackStats,
    /// How often the rate of bytes began to hold credit back.
    pub(crate) credit_delays: u64,
    /// How often a reader of messages was told to wait by their rate.
    pub(crate) message_delays: u64,
    /// Frames that moved nothing, beyond their rate.
    pub(crate) futile: u64,
    /// Places of reset streams that were held back.
    pub(crate) places_delayed: u64,
}

// Bits of `Stream::events`, in the order in which they are told.
const OPENED: u8 = 1;
const STOPPED: u8 = 2;
const RESET: u8 = 4;
const READABLE: u8 = 8;
const WRITABLE: u8 = 16;
const FINISHED: u8 = 32;

/// Settings of a stream that the connection's policy does not change.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    fec: Option<Fec>,
    compression: Option<Compression>,
}

#[derive(Debug)]
struct Stream {
    sid: StreamId,
    priority: u8,
    /// The application chose the priority; hints of the peer do not count.
    priority_chosen: bool,
    /// Control frames to be sent, see `control`.
    control: u8,
    events: u8,
    /// Readable was told and not read to the end since.
    told_readable: bool,
    told_reset: bool,
    want_write: bool,
    was_blocked: bool,
    busy: bool,
    deficit: i32,
    /// When the valid entry in the timer heap fires, nanoseconds.
    timer: u64,
    stop_code: AppCode,
    own: Own,
    send: Option<SendHalf>,
    recv: Option<RecvHalf>,
}

impl Stream {
    /// Whether one of its rings is to be looked at in a while.
    fn is_warm(&self) -> bool {
        self.send.as_ref().is_some_and(SendHalf::is_warm) || self.recv.as_ref().is_some_and(RecvHalf::is_warm)
    }
}

/// The streams of one type.
#[derive(Clone, Copy, Debug, Default)]
struct TypeCount {
    /// How many were ever opened.
    opened: u64,
    /// How many may be opened.
    limit: u64,
    /// Opened by the peer: how many ended and gave their place back.
    returned: u64,
    /// Opened by the peer: places held back because the peer resets too many (row 29).
    deferred: u64,
}

const fn has_messages(sid: StreamId) -> bool {
    sid.kind().has_messages()
}

/// All streams of one connection.
pub(crate) struct Streams {
    side: Side,
    limits: Lasting,
    map: Map<StreamId, Key>,
    slab: Slab<Stream>,
    types: [TypeCount; 16],
    send: SendPool,
    recv: RecvPool,
    packer: Packer,
    unpacked: Unpacked,
    /// A buffer for the next block that is expanded.
    spare: Vec<u8>,
    policy: Policy,
    /// What the data written since [`take_wish`](Self::take_wish) asks of error correction.
    wish: Wish,
    /// The peer's initial limit per stream.
    peer_stream_data: u64,
    sched: Sched,
    control: Control,
    /// Streams with events to tell.
    events: Queues<1>,
    /// Types of which more streams may be opened after `OpenError::Limit`: asked for, and to be told.
    wanted_types: u16,
    available_types: u16,
    /// Streams that want to write when the connection's buffer has room.
    starved: Queues<1>,
    /// Streams with dead bytes that the peer was not told of.
    dead: Queues<1>,
    message_rate: Option<Box<MessageRate>>,
    timers: BinaryHeap<Reverse<(u64, u32, u32)>>,
    /// When to look for large rings that rest; `None` while there are no large ones.
    cool_at: Option<Instant>,
    woken: Vec<Key>,
    /// Streams with something not acknowledged.
    busy: usize,
    now: Instant,
    next_message: u64,
    retransmitted: u64,
    futile: u64,
    places_delayed: u64,
    closed: bool,
    churn: Bucket,
    nuisance: Bucket,
    complaints: Bucket,
    refusals: Refusals,
    log: Log<StreamNote>,
}

/// What is noted of streams for an observer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamNote {
    Opened(StreamId),
    Closed(StreamId),
}

impl Streams {
    /// No streams yet. Until the peer's parameters are known, sending keeps to the floor of specification section
    /// 2.10.
    pub(crate) fn new(side: Side, local: &Limits, hash: KeyedHash) -> Self {
        let limits = Lasting::of(local);
        let types = StreamType::ALL.map(|ty| {
            let limit = match ty.kind() {
                _ if ty.initiator() != side => limits.max_streams(ty),
                // It is not known yet whether the peer expands them.
                StreamKind::Blocks => 0,
                _ => FLOOR_MAX_STREAMS,
            };
            TypeCount { limit, ..TypeCount::default() }
        });
        Self {
            side,
            limits,
            map: Map::with_hasher(hash),
            slab: Slab::new(),
            types,
            send: SendPool {
                buffered: 0,
                bound: local.send_buffer,
                credit_used: 0,
                credit_limit: FLOOR_MAX_DATA,
                stream_window: FLOOR_MAX_STREAM_DATA,
                max_message: 64 << 10,
                peer_unpacks: false,
                max_queue_age: nanos(local.max_queue_age),
                best_effort_queue: local.best_effort_queue.max(1),
                outcomes: Outcomes::new(local.event_bound),
            },
            recv: RecvPool::new(local),
            packer: Packer::default(),
            unpacked: Unpacked::default(),
            spare: Vec::new(),
            policy: local.policy,
            wish: Wish::NONE,
            peer_stream_data: FLOOR_MAX_STREAM_DATA,
            sched: Sched::new(),
            control: Control::new(),
            events: Queues::new(),
            wanted_types: 0,
            available_types: 0,
            starved: Queues::new(),
            dead: Queues::new(),
            message_rate: local.rates.messages.map(|rate| Box::new(MessageRate::new(rate))),
            timers: BinaryHeap::new(),
            cool_at: None,
            woken: Vec::new(),
            busy: 0,
            now: Instant::ZERO,
            next_message: 0,
            retransmitted: 0,
            futile: 0,
            places_delayed: 0,
            closed: false,
            churn: Bucket::new(50, 200),
            nuisance: Bucket::new(200, 400),
            complaints: Bucket::new(20, 20),
            refusals: Refusals::default(),
            log: Log::default(),
        }
    }

    /// The peer's parameters arrived: limits rise.
    pub(crate) fn set_peer_params(&mut self, params: &Params) {
        self.peer_stream_data = self.peer_stream_data.max(params.initial_max_stream_data);
        self.send.stream_window = self.peer_stream_data;
        for ty in StreamType::ALL {
            let limit = params.initial_max_streams.get(ty.as_usize()).copied().unwrap_or(0);
            self.raise_stream_limit(ty, limit);
        }
        let shrunk = params.max_message_size < self.send.max_message;
        self.send.max_message = params.max_message_size;
        self.send.peer_unpacks = params.compression & COMPRESSION_LZ4 != 0;
        let keys: Vec<Key> = self.slab.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Some(half) = self.slab.get_mut(key).and_then(|stream| stream.send.as_mut()) {
                half.raise_limit(self.peer_stream_data);
                if shrunk {
                    half.drop_larger(&mut self.send, params.max_message_size);
                }
            }
            self.settle(key);
        }
        self.raise_data_limit(params.initial_max_data);
    }

    /// The round-trip time changed; windows grow by it.
    pub(crate) fn on_rtt(&mut self, srtt: core::time::Duration) {
        self.recv.set_srtt(srtt);
    }

    /// The estimate of the path's rate changed, bytes per second.
    pub(crate) fn on_rate(&mut self, rate: u64) {
        self.packer.on_rate(rate);
    }

    /// How short of memory the endpoint is. When it gets credit to give again, what was held back is granted.
    pub(crate) fn set_pressure(&mut self, pressure: Pressure) {
        let before = core::mem::replace(&mut self.recv.climate.pressure, pressure);
        if before != Pressure::NoCredit || pressure == before || self.closed {
            return;
        }
        let keys: Vec<Key> = self.slab.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Some(half) = self.slab.get_mut(key).and_then(|stream| stream.recv.as_mut()) {
                half.account(&mut self.recv);
            }
            self.settle(key);
        }
        self.recv.update();
    }

    /// Gives back the memory of everything that was received and not read, for a connection that is over.
    pub(crate) fn drop_unread(&mut self) {
        self.unpacked = Unpacked::default();
        self.spare = Vec::new();
        let keys: Vec<Key> = self.slab.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Some(half) = self.slab.get_mut(key).and_then(|stream| stream.recv.as_mut()) {
                half.stop(&mut self.recv);
            }
            self.settle(key);
        }
    }

    /// What streams do from now on that have no setting of their own.
    pub(crate) fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        for stream in self.slab.values_mut().filter(|stream| stream.own.compression.is_none()) {
            if let Some(half) = &mut stream.send {
                half.set_compression(policy.compression);
            }
        }
    }

    pub(crate) fn at(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.recv.climate.now = self.now;
    }

    fn raise_stream_limit(&mut self, ty: StreamType, limit: u64) {
        let Some(count) = self.types.get_mut(ty.as_usize()).filter(|_| ty.initiator() == self.side) else { return };
        if limit > count.limit {
            count.limit = limit;
            let bit = 1 << ty.as_usize();
            self.available_types |= self.wanted_types & bit;
            self.wanted_types &= !bit;
        }
    }

    fn raise_data_limit(&mut self, limit: u64) {
        self.send.credit_limit = self.send.credit_limit.max(limit);
    }

    /// What happened to streams, if somebody observes.
    pub(crate) const fn log(&mut self) -> &mut Log<StreamNote> {
        &mut self.log
    }

    fn create(&mut self, sid: StreamId, priority: u8, delivery: Delivery, own: Own) -> Key {
        let initiated = sid.initiator() == self.side;
        let mut window = Window::new(self.limits.max_stream_data, self.limits.max_stream_window);
        let whole = match sid.kind() {
            StreamKind::Bytes => 0,
            StreamKind::Ordered | StreamKind::Unordered => self.limits.max_message_size,
            StreamKind::Blocks => block::MAX_ENCODED,
        };
        if whole > 0 {
            window.carry(whole);
            self.recv.window.carry(whole);
        }
        let mut send = (initiated || !sid.is_uni()).then(|| SendHalf::new(sid, self.peer_stream_data, delivery));
        if let Some(half) = &mut send {
            half.set_compression(own.compression.unwrap_or(self.policy.compression));
        }
        let stream = Stream {
            sid,
            priority,
            priority_chosen: initiated,
            control: 0,
            events: 0,
            told_readable: false,
            told_reset: false,
            want_write: false,
            was_blocked: false,
            busy: false,
            deficit: 0,
            timer: u64::MAX,
            stop_code: AppCode::ZERO,
            own,
            send,
            recv: (!initiated || !sid.is_uni()).then(|| RecvHalf::new(sid.kind(), window)),
        };
        let key = self.slab.insert(stream);
        self.map.insert(sid, key);
        self.log.push(|| StreamNote::Opened(sid));
        key
    }

    // Events.

    /// Whether [`poll_event`](Self::poll_event) has something.
    pub(crate) fn has_events(&self) -> bool {
        self.available_types != 0 || !self.events.is_empty(0) || !self.send.outcomes.is_empty()
    }

    /// The next event. Outcomes come before the events of streams, so a stream's `Finished` comes last.
    pub(crate) fn poll_event(&mut self) -> Option<StreamEvent> {
        if self.available_types != 0 {
            let index = self.available_types.trailing_zeros();
            self.available_types &= self.available_types - 1;
            return StreamType::new(index as u8).map(StreamEvent::Available);
        }
        if let Some((sid, id, outcome)) = self.send.outcomes.pop() {
            self.relieve();
            return Some(StreamEvent::Outcome { sid, id, outcome });
        }
        let key = self.events.front(0)?;
        let stream = self.slab.get_mut(key)?;
        let bit = stream.events & stream.events.wrapping_neg();
        stream.events &= !bit;
        let sid = stream.sid;
        let event = match bit {
            OPENED => StreamEvent::Opened(sid),
            STOPPED => {
                StreamEvent::Stopped(sid, stream.send.as_ref().and_then(|half| half.stopped).unwrap_or_default())
            }
            RESET => {
                let half = stream.recv.as_mut()?;
                let code = half.reset_code().unwrap_or_default();
                half.end_reported(&mut self.recv);
                StreamEvent::Reset(sid, code)
            }
            READABLE => StreamEvent::Readable(sid),
            WRITABLE => StreamEvent::Writable(sid),
            _ => StreamEvent::Finished(sid),
        };
        self.settle(key);
        Some(event)
    }

    // Time.

    /// When [`on_timeout`](Self::on_timeout) has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let message = self.timers.peek().map(|Reverse((at, ..))| Instant::from_nanos(*at));
        let churn = self.types.iter().any(|count| count.deferred > 0).then(|| self.churn.next());
        let credit = self.recv.rate.as_ref().and_then(|rate| rate.due());
        let unread = self.message_rate.as_ref().and_then(|rate| rate.due());
        earliest(earliest(self.cool_at, credit), earliest(unread, earliest(message, churn)))
    }

    /// Gives up messages whose time is over, and returns places that were held back.
    pub(crate) fn on_timeout(&mut self, now: Instant) {
        self.at(now);
        while let Some(&Reverse((at, index, generation))) = self.timers.peek()
            && at <= self.now.as_nanos()
        {
            self.timers.pop();
            let key = Key { index, generation };
            let Some(stream) = self.slab.get_mut(key).filter(|stream| stream.timer == at) else { continue };
            stream.timer = u64::MAX;
            if let Some(half) = &mut stream.send {
                half.on_timeout(self.now, &mut self.send);
            }
            self.settle(key);
        }
        for ty in StreamType::ALL {
            while self.types.get(ty.as_usize()).is_some_and(|count| count.deferred > 0) && self.churn.try_take(self.now)
            {
                if let Some(count) = self.types.get_mut(ty.as_usize()) {
                    count.deferred -= 1;
                    count.returned += 1;
                }
            }
            self.grant_streams(ty);
        }
        if self.cool_at.is_some_and(|at| at <= self.now) {
            self.cool();
        }
        self.follow_rates();
        self.relieve();
    }

    /// Gives back the memory of large rings that rest. Looks again later if there are others.
    fn cool(&mut self) {
        self.packer.cool();
        let mut warm = self.packer.is_large();
        for stream in self.slab.values_mut() {
            if let Some(half) = &mut stream.send {
                half.cool();
            }
            if let Some(half) = &mut stream.recv {
                half.cool(&mut self.recv);
            }
            warm |= stream.is_warm();
        }
        self.cool_at = warm.then(|| self.now.plus_nanos(COOLING));
    }

    // Shutting down, and numbers.

    /// Everything accepted for sending is acknowledged or has its outcome, and so are the ends of finished streams.
    pub(crate) fn is_flushed(&self) -> bool {
        self.busy == 0
    }

    /// The connection is over: nothing more is sent, tracked messages that were on their way are lost. What was
    /// received may still be read.
    pub(crate) fn close_all(&mut self) {
        self.closed = true;
        if let Some(rate) = &mut self.message_rate {
            rate.end();
        }
        let keys: Vec<Key> = self.slab.iter().map(|(key, _)| key).collect();
        for key in keys {
            let Some(stream) = self.slab.get_mut(key) else { continue };
            if let Some(mut half) = stream.send.take() {
                half.drop_data(&mut self.send);
            }
            stream.control = 0;
            stream.want_write = false;
            self.busy -= usize::from(core::mem::take(&mut stream.busy));
            self.sched.forget(key);
            self.settle(key);
        }
        self.control.clear();
        self.timers.clear();
    }

    /// Some stream has data that the application has not read. Looks at every stream.
    pub(crate) fn has_unread(&self) -> bool {
        let unread = |half: &RecvHalf| matches!(half.find(), recv::Found::Data { .. } | recv::Found::Open);
        self.slab.iter().any(|(_, stream)| stream.recv.as_ref().is_some_and(unread))
    }

    /// Bytes of memory held. Looks at every stream.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        let halves = |stream: &Stream| {
            stream.send.as_ref().map_or(0, SendHalf::memory) + stream.recv.as_ref().map_or(0, RecvHalf::memory)
        };
        let streams: u64 = self.slab.iter().map(|(_, stream)| halves(stream)).sum();
        streams as usize + self.slab.capacity() * size_of::<Stream>() + self.sched.memory()
    }

    /// Bytes held for received data: rings, expanded blocks, and the compressed message that is shown. O(1).
    pub(crate) fn recv_memory(&self) -> u64 {
        self.recv.held + self.unpacked.memory() + self.spare.capacity() as u64
    }

    /// Bytes of data sent again so far.
    pub(crate) fn retransmitted(&self) -> u64 {
        self.retransmitted
    }

    /// Counts for the application.
    pub(crate) fn stats(&self) -> StreamStats {
        StreamStats {
            open: self.slab.len() as u64,
            send_buffered: self.send.buffered,
            send_credit: self.send.credit(),
            retransmitted: self.retransmitted,
            compression: self.packer.stats,
            credit_delays: self.recv.rate.as_ref().map_or(0, |rate| rate.delays()),
            message_delays: self.message_rate.as_ref().map_or(0, |rate| rate.delays()),
            futile: self.futile,
            places_delayed: self.places_delayed,
        }
    }
}

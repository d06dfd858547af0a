//! The queue of messages of a sending half.
//!
//! A message has its place in the buffer from the call that accepted it, and its place in the stream (wire offset) only
//! from its first fragment on: a message that expires before leaves no trace on the wire. Messages are sent in queue
//! order, so both kinds of places grow along the queue.

use alloc::collections::VecDeque;
use core::ops::Range;

use super::pool::SendPool;
use crate::ranges::RangeSet;
use crate::stream::api::{Delivery, MessageId, MessageOptions, Outcome};
use crate::stream::limits::{MESSAGE_OVERHEAD, SKIP_GAPS};
use crate::time::{Instant, nanos};
use crate::wire::StreamId;

const NEVER: u64 = u64::MAX;
const UNPLACED: u64 = u64::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Reliable,
    BestEffort,
    Timed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing of it was sent.
    Waiting,
    /// Some fragments were sent; credit for all of it is reserved.
    Begun,
    /// All of it was sent.
    Sent,
    /// It has its outcome.
    Over,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    id: MessageId,
    position: u64,
    /// Wire offset; `UNPLACED` until the message was begun or stepped over.
    offset: u64,
    /// Until when it is worth sending, nanoseconds; for best effort: until when it may wait.
    deadline: u64,
    length: u32,
    sent: u32,
    acked: u32,
    mode: Mode,
    stage: Stage,
    tracked: bool,
    /// `length` bytes that stand for more: a compressed body.
    packed: bool,
    fragmented: bool,
    /// Given up with bytes in the stream that will not be sent again.
    dead: bool,
}

impl Message {
    fn extent(&self) -> Range<u64> {
        self.offset..self.offset + u64::from(self.sent)
    }

    fn charge(&self) -> u64 {
        u64::from(self.length) + MESSAGE_OVERHEAD
    }

    fn urgency(&self) -> Urgency {
        Urgency { again: self.mode == Mode::Reliable, deadline: self.deadline }
    }
}

/// Dead bytes that the peer has not been told of, and what it has been told.
#[derive(Clone, Copy, Debug, Default)]
struct Skipping {
    /// Dead bytes below the lowest wanted offset since the last SKIP.
    bytes: u64,
    gaps: u32,
    /// The peer cannot go on without it.
    urgent: bool,
    announced: u64,
    acked: u64,
}

/// What may be sent for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stream) enum Fresh {
    Nothing,
    Ready,
    /// The stream's limit is in the way.
    StreamBlocked,
    /// The connection's limit is in the way; this much credit is needed.
    ConnectionBlocked(u64),
}

/// A fragment about to be written.
#[derive(Clone, Copy, Debug)]
pub(in crate::stream) struct Fragment {
    pub(in crate::stream) position: u64,
    pub(in crate::stream) offset: u64,
    pub(in crate::stream) length: usize,
    pub(in crate::stream) bom: bool,
    pub(in crate::stream) eom: bool,
    pub(in crate::stream) packed: bool,
    pub(in crate::stream) urgency: Urgency,
}

/// How long data is worth something, and whether it is sent again when it is lost.
#[derive(Clone, Copy, Debug)]
pub(in crate::stream) struct Urgency {
    pub(in crate::stream) again: bool,
    /// Nanoseconds.
    pub(in crate::stream) deadline: u64,
}

impl Urgency {
    pub(in crate::stream) const RELIABLE: Self = Self { again: true, deadline: NEVER };

    /// How long from now it is worth something, nanoseconds; the maximum for ever.
    pub(in crate::stream) fn patience(&self, now: Instant) -> u64 {
        if self.deadline == NEVER { NEVER } else { self.deadline.saturating_sub(now.as_nanos()) }
    }
}

#[derive(Debug)]
pub(in crate::stream) struct Messages {
    sid: StreamId,
    ordered: bool,
    delivery: Delivery,
    queue: VecDeque<Message>,
    /// How many messages have left the front of the queue, ever.
    popped: u64,
    /// Index of the first message that is not entirely sent.
    fresh: usize,
    waiting_best_effort: usize,
    /// No waiting best-effort message stands before this one (counted from the beginning of time).
    oldest_best_effort: u64,
    skipping: Skipping,
    /// Not later than any deadline of a message that a timer must watch, nanoseconds.
    earliest: u64,
}

/// The parts of a sending half that the queue changes.
pub(super) struct Wire<'a> {
    pub(super) next: &'a mut u64,
    pub(super) limit: u64,
    pub(super) acked: &'a mut RangeSet,
    pub(super) lost: &'a mut RangeSet,
    pub(super) pool: &'a mut SendPool,
}

impl Messages {
    pub(super) fn new(sid: StreamId, ordered: bool, delivery: Delivery) -> Self {
        Self {
            sid,
            ordered,
            delivery,
            queue: VecDeque::new(),
            popped: 0,
            fresh: 0,
            waiting_best_effort: 0,
            oldest_best_effort: 0,
            skipping: Skipping::default(),
            earliest: NEVER,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.queue.capacity() * size_of::<Message>() + size_of::<Self>()
    }

    pub(super) fn is_all_sent(&self) -> bool {
        self.fresh >= self.queue.len()
    }

    /// The earliest moment at which a message may have to be given up.
    pub(in crate::stream) fn deadline(&self) -> Option<Instant> {
        (self.earliest != NEVER).then(|| Instant::from_nanos(self.earliest))
    }

    /// The buffer position from which bytes are kept.
    pub(super) fn start(&self) -> Option<u64> {
        self.queue.front().map(|message| message.position)
    }

    /// The lowest offset that may still be sent again or acknowledged; everything below is settled.
    fn floor(&self, next: u64) -> u64 {
        self.queue.front().filter(|message| message.stage != Stage::Waiting).map_or(next, |message| message.offset)
    }

    pub(super) fn push(
        &mut self,
        now: Instant,
        wire: &mut Wire<'_>,
        (id, options): (MessageId, MessageOptions),
        position: u64,
        (length, packed): (u32, bool),
    ) {
        let MessageOptions { delivery, tracked } = options;
        let (mode, deadline) = match delivery.unwrap_or(self.delivery) {
            Delivery::Reliable => (Mode::Reliable, NEVER),
            Delivery::BestEffort => (Mode::BestEffort, now.plus_nanos(wire.pool.max_queue_age).as_nanos()),
            Delivery::PartiallyReliable { ttl } => (Mode::Timed, now.plus_nanos(nanos(ttl)).as_nanos()),
        };
        if mode == Mode::BestEffort {
            if self.waiting_best_effort >= wire.pool.best_effort_queue {
                self.drop_oldest(wire);
            }
            self.waiting_best_effort += 1;
        }
        if tracked {
            wire.pool.outcomes.expect();
        }
        let message = Message {
            id,
            position,
            offset: UNPLACED,
            deadline,
            length,
            sent: 0,
            acked: 0,
            mode,
            stage: Stage::Waiting,
            tracked,
            packed,
            fragmented: false,
            dead: false,
        };
        wire.pool.buffered += message.charge();
        self.queue.push_back(message);
        self.earliest = self.earliest.min(deadline);
    }

    /// Makes room in a full best-effort queue.
    fn drop_oldest(&mut self, wire: &mut Wire<'_>) {
        let from = (self.oldest_best_effort.saturating_sub(self.popped) as usize).max(self.fresh);
        let waits = |message: &Message| message.stage == Stage::Waiting && message.mode == Mode::BestEffort;
        if let Some(ahead) = self.queue.iter().skip(from).position(waits) {
            self.oldest_best_effort = self.popped + (from + ahead) as u64;
            self.give_up(from + ahead, Outcome::Expired, wire);
            self.settle_front(wire);
        }
    }

    /// What may be sent next. Steps over messages that were given up, and gives up those whose time is over.
    pub(super) fn fresh(&mut self, now: Instant, wire: &mut Wire<'_>) -> Fresh {
        let state = loop {
            let Some(message) = self.queue.get_mut(self.fresh) else { break Fresh::Nothing };
            match message.stage {
                Stage::Over | Stage::Sent => {
                    if message.sent == 0 {
                        message.offset = *wire.next;
                    }
                    self.fresh += 1;
                }
                Stage::Begun => {
                    if message.deadline > now.as_nanos() {
                        break Fresh::Ready;
                    }
                    self.give_up(self.fresh, Outcome::Expired, wire);
                }
                Stage::Waiting if message.deadline <= now.as_nanos() => {
                    self.give_up(self.fresh, Outcome::Expired, wire);
                }
                Stage::Waiting => {
                    let length = u64::from(message.length);
                    if wire.next.saturating_add(length) > wire.limit {
                        break Fresh::StreamBlocked;
                    }
                    if length > wire.pool.credit() {
                        break Fresh::ConnectionBlocked(length);
                    }
                    break Fresh::Ready;
                }
            }
        };
        self.settle_front(wire);
        state
    }

    /// Bytes of the next message that are still to be sent.
    pub(super) fn rest_of_next(&self) -> u64 {
        self.queue.get(self.fresh).map_or(0, |message| u64::from(message.length - message.sent))
    }

    /// Cuts the next fragment of at most `room` bytes. Only after [`fresh`](Self::fresh) said `Ready`.
    pub(super) fn cut(&mut self, room: usize, wire: &mut Wire<'_>) -> Option<Fragment> {
        let message = self.queue.get_mut(self.fresh)?;
        let bom = message.stage == Stage::Waiting;
        if bom {
            message.stage = Stage::Begun;
            message.offset = *wire.next;
            wire.pool.credit_used += u64::from(message.length);
            if message.mode == Mode::BestEffort {
                message.deadline = NEVER;
                self.waiting_best_effort -= 1;
            }
        }
        let length = room.min((message.length - message.sent) as usize);
        let position = message.position + u64::from(message.sent);
        let offset = *wire.next;
        message.sent += length as u32;
        *wire.next += length as u64;
        let eom = message.sent == message.length;
        message.fragmented |= !eom;
        if eom {
            message.stage = Stage::Sent;
            self.fresh += 1;
        }
        Some(Fragment { position, offset, length, bom, eom, packed: message.packed, urgency: message.urgency() })
    }

    /// The lowest lost fragment that is still worth sending, at most `room(offset)` bytes of it.
    pub(super) fn cut_lost(
        &mut self,
        now: Instant,
        wire: &mut Wire<'_>,
        room: impl Fn(u64, u64) -> usize,
    ) -> Option<Fragment> {
        loop {
            let range = wire.lost.first()?;
            let index = self.index_at(range.start);
            let Some(message) = index.and_then(|index| self.queue.get(index)).filter(|m| m.stage != Stage::Over) else {
                wire.lost.pop_first();
                continue;
            };
            if message.deadline <= now.as_nanos() {
                self.give_up(index?, Outcome::Expired, wire);
                self.settle_front(wire);
                continue;
            }
            let extent = message.extent();
            let whole = range.end.min(extent.end) - range.start;
            let length = room(range.start, whole).min(whole as usize);
            let end = range.start + length as u64;
            return Some(Fragment {
                position: message.position + (range.start - extent.start),
                offset: range.start,
                length,
                bom: range.start == extent.start,
                eom: end == extent.end && message.sent == message.length,
                packed: message.packed,
                urgency: message.urgency(),
            });
        }
    }

    pub(super) fn on_acked(&mut self, offset: u64, length: u64, wire: &mut Wire<'_>) {
        if offset < self.floor(*wire.next) {
            return;
        }
        let new = wire.acked.insert(offset..offset + length);
        wire.lost.remove(offset..offset + length);
        let Some(message) = self.index_at(offset).and_then(|index| self.queue.get_mut(index)) else { return };
        if message.stage == Stage::Over {
            return;
        }
        message.acked += new as u32;
        if message.acked == message.length {
            message.stage = Stage::Over;
            if message.tracked {
                wire.pool.outcomes.push(self.sid, message.id, Outcome::Acked);
            }
            self.settle_front(wire);
        }
    }

    /// A fragment was lost (`suspect` false), or is to be sent again to make sure (`suspect` true).
    pub(super) fn on_lost(
        &mut self,
        now: Instant,
        srtt: u64,
        offset: u64,
        length: u64,
        suspect: bool,
        wire: &mut Wire<'_>,
    ) {
        let range = offset..offset + length;
        if offset < self.floor(*wire.next) || wire.acked.contains_range(range.clone()) {
            return;
        }
        let Some(index) = self.index_at(offset) else { return };
        let Some(message) = self.queue.get(index).filter(|message| message.stage != Stage::Over) else { return };
        let in_time = now.plus_nanos(srtt / 2).as_nanos() < message.deadline;
        match message.mode {
            Mode::BestEffort if suspect => {}
            Mode::BestEffort => self.give_up(index, Outcome::Lost, wire),
            Mode::Timed if !in_time && suspect => {}
            Mode::Timed if !in_time => self.give_up(index, Outcome::Expired, wire),
            Mode::Reliable | Mode::Timed => super::add_lost(wire.lost, wire.acked, range),
        }
        self.settle_front(wire);
    }

    /// Gives up what is not worth sending any more.
    pub(super) fn on_timeout(&mut self, now: Instant, wire: &mut Wire<'_>) {
        if self.earliest > now.as_nanos() {
            return;
        }
        let mut earliest = NEVER;
        for index in self.fresh..self.queue.len() {
            let Some(message) = self.queue.get(index) else { break };
            if !matches!(message.stage, Stage::Waiting | Stage::Begun) {
                continue;
            }
            if message.deadline <= now.as_nanos() {
                self.give_up(index, Outcome::Expired, wire);
            } else {
                earliest = earliest.min(message.deadline);
            }
        }
        self.earliest = earliest;
        self.settle_front(wire);
    }

    /// Ends everything: the stream was reset or the connection is gone.
    pub(super) fn abandon(&mut self, wire: &mut Wire<'_>) {
        for index in 0..self.queue.len() {
            self.give_up(index, Outcome::Lost, wire);
        }
        self.fresh = self.queue.len();
        self.settle_front(wire);
        self.skipping = Skipping::default();
        self.earliest = NEVER;
    }

    /// The peer accepts less than was thought when these messages were taken. None of them is compressed: that needs
    /// the peer's word, which comes with what it accepts.
    pub(super) fn drop_larger(&mut self, max: u64, wire: &mut Wire<'_>) {
        for index in self.fresh..self.queue.len() {
            let too_large = |message: &&Message| message.stage == Stage::Waiting && u64::from(message.length) > max;
            if self.queue.get(index).filter(too_large).is_some() {
                self.give_up(index, Outcome::Lost, wire);
            }
        }
        self.settle_front(wire);
    }

    fn give_up(&mut self, index: usize, outcome: Outcome, wire: &mut Wire<'_>) {
        let Some(message) = self.queue.get_mut(index) else { return };
        match message.stage {
            Stage::Over => return,
            Stage::Waiting => {
                if message.mode == Mode::BestEffort {
                    self.waiting_best_effort -= 1;
                }
            }
            Stage::Begun | Stage::Sent => {
                wire.pool.credit_used -= u64::from(message.length - message.sent);
                wire.lost.remove(message.extent());
                message.dead = true;
            }
        }
        message.stage = Stage::Over;
        if message.tracked {
            wire.pool.outcomes.push(self.sid, message.id, outcome);
        }
    }

    /// Lets go of messages at the front that have their outcome.
    fn settle_front(&mut self, wire: &mut Wire<'_>) {
        while let Some(message) = self.queue.front().filter(|message| message.stage == Stage::Over).copied() {
            self.queue.pop_front();
            self.popped += 1;
            self.fresh = self.fresh.saturating_sub(1);
            wire.pool.buffered = wire.pool.buffered.saturating_sub(message.charge());
            if message.dead {
                self.skipping.bytes += u64::from(message.sent - message.acked);
                self.skipping.gaps += 1;
                self.skipping.urgent |= self.ordered || message.fragmented;
            }
        }
        wire.acked.trim_below(self.floor(*wire.next));
    }

    /// Index of the message that the byte at `offset` belongs to.
    fn index_at(&self, offset: u64) -> Option<usize> {
        // Messages without a place in the stream yet are at `UNPLACED`, above everything; messages that were stepped
        // over share their offset with the next one and have no bytes.
        let mut index = self.queue.partition_point(|message| message.offset <= offset).checked_sub(1)?;
        while self.queue.get(index)?.sent == 0 {
            index = index.checked_sub(1)?;
        }
        self.queue.get(index)?.extent().contains(&offset).then_some(index)
    }

    /// Whether the peer should be told of dead bytes now.
    pub(super) fn skip_due(&self, blocked: bool, finishing: bool, window: u64) -> bool {
        let Skipping { bytes, gaps, urgent, .. } = self.skipping;
        gaps > 0
            && (urgent || gaps >= SKIP_GAPS || bytes >= window / 4 || blocked || (finishing && self.queue.is_empty()))
    }

    pub(super) fn has_dead(&self) -> bool {
        self.skipping.gaps > 0
    }

    /// The offset to announce: everything below is settled.
    pub(super) fn skip_offset(&self, next: u64) -> u64 {
        self.floor(next).max(self.skipping.announced)
    }

    /// The offset was announced.
    pub(super) fn announce_skip(&mut self, next: u64) {
        let announced = self.skip_offset(next);
        self.skipping = Skipping { announced, acked: self.skipping.acked, ..Skipping::default() };
    }

    /// True if the lost SKIP was the latest one and must be repeated.
    pub(super) fn on_skip_lost(&mut self, offset: u64) -> bool {
        offset == self.skipping.announced && self.skipping.acked < offset
    }

    pub(super) fn on_skip_acked(&mut self, offset: u64) {
        self.skipping.acked = self.skipping.acked.max(offset);
    }

    /// No SKIP that matters is on its way.
    pub(super) fn skips_settled(&self) -> bool {
        !self.skipping.urgent && self.skipping.acked >= self.skipping.announced
    }
}

//! Bringing the queues in line with a stream after it changed.

use core::cmp::Reverse;

use super::send::Fresh;
use super::state::{RecvState, SendState};
use super::{COOLING, FINISHED, READABLE, RESET, Stream, StreamNote, Streams, TIMER_STEP, WRITABLE, control};
use crate::slab::Key;
use crate::wire::StreamType;

impl Streams {
    /// To be called after every change to a stream. Cost: O(1), apart from the messages that are let go of.
    pub(super) fn settle(&mut self, key: Key) {
        let blocked = self.settle_sending(key);
        let held = self.message_rate.as_ref().is_some_and(|rate| rate.holds(key));
        let Some(stream) = self.slab.get_mut(key) else { return };
        settle_receiving(stream, held);
        if self.cool_at.is_none() && (stream.is_warm() || self.packer.is_large()) {
            self.cool_at = Some(self.now.plus_nanos(COOLING));
        }
        if stream.events != 0 {
            self.events.push_back(0, key);
        } else {
            self.events.remove(key);
        }
        self.control.set(key, stream.control != 0);
        if blocked {
            self.announce_dead();
        }
        self.remove_if_over(key);
    }

    /// True if connection credit is in the way.
    fn settle_sending(&mut self, key: Key) -> bool {
        let Some(stream) = self.slab.get_mut(key) else { return false };
        let Some(half) = &mut stream.send else { return false };
        let was_finished = half.state() == SendState::Finished;
        let fresh = half.fresh(self.now, &mut self.send);
        if half.progress() {
            stream.control |= control::RESET;
        }
        let blocked = matches!(fresh, Fresh::StreamBlocked | Fresh::ConnectionBlocked(_));
        if half.skip_due(blocked, &self.send) {
            stream.control |= control::SKIP;
        }
        match fresh {
            Fresh::Ready => self.sched.set_ready(key, stream.priority),
            Fresh::ConnectionBlocked(need) => self.sched.set_waiting(key, stream.priority, need),
            Fresh::Nothing | Fresh::StreamBlocked => self.sched.set_idle(key),
        }
        self.sched.set_lost(key, stream.priority, half.has_lost());
        if half.has_dead() {
            self.dead.push_back(0, key);
        } else {
            self.dead.remove(key);
        }
        if blocked && !stream.was_blocked && self.complaints.try_take(self.now) {
            if fresh == Fresh::StreamBlocked {
                stream.control |= control::BLOCKED;
            } else {
                self.control.data_blocked = true;
            }
        }
        stream.was_blocked = blocked;
        if half.state() == SendState::Finished && !was_finished {
            stream.events |= FINISHED;
        }
        if stream.want_write {
            let half_free = half.buffered().saturating_mul(2) <= self.limits.stream_send_buffer;
            if !half.state().has_data() {
                stream.want_write = false;
            } else if half_free && self.send.is_relaxed() {
                stream.want_write = false;
                stream.events |= WRITABLE;
            } else if half_free {
                self.starved.push_back(0, key);
            }
        }
        let busy = half.is_busy();
        self.busy = self.busy + usize::from(busy) - usize::from(stream.busy);
        stream.busy = busy;
        if let Some(deadline) = half.deadline() {
            let at = deadline.max(self.now.plus_nanos(TIMER_STEP)).as_nanos();
            if at < stream.timer {
                stream.timer = at;
                self.timers.push(Reverse((at, key.index, key.generation)));
            }
        }
        matches!(fresh, Fresh::ConnectionBlocked(_))
    }

    /// Connection credit is in the way: every stream with dead bytes tells the peer, which gives their credit back.
    fn announce_dead(&mut self) {
        while let Some(key) = self.dead.pop_front(0) {
            if let Some(stream) = self.slab.get_mut(key) {
                stream.control |= control::SKIP;
                self.control.set(key, true);
            }
        }
    }

    /// The buffer of the connection may have room again.
    pub(super) fn relieve(&mut self) {
        while self.send.is_relaxed()
            && let Some(key) = self.starved.pop_front(0)
        {
            self.settle(key);
        }
    }

    fn remove_if_over(&mut self, key: Key) {
        let Some(stream) = self.slab.get(key) else { return };
        let sent = stream.send.as_ref().is_none_or(|half| half.state().is_over());
        let received = stream.recv.as_ref().is_none_or(|half| half.state() == RecvState::Done);
        if !(sent && received && stream.events == 0) {
            return;
        }
        let unclean = stream.recv.as_ref().is_some_and(|half| half.was_reset());
        let sid = stream.sid;
        self.busy -= usize::from(stream.busy);
        self.sched.forget(key);
        self.control.set(key, false);
        self.events.remove(key);
        self.starved.remove(key);
        self.dead.remove(key);
        if let Some(rate) = &mut self.message_rate {
            rate.forget(key);
        }
        self.map.remove(&sid);
        self.slab.remove(key);
        self.log.push(|| StreamNote::Closed(sid));
        if sid.initiator() != self.side {
            self.return_place(sid.ty(), unclean);
        }
    }

    /// A stream of the peer is over. Places of streams that the peer reset return at a bounded rate (row 29).
    fn return_place(&mut self, ty: StreamType, unclean: bool) {
        let granted = !unclean || self.churn.try_take(self.now);
        if let Some(count) = self.types.get_mut(ty.as_usize()) {
            if granted {
                count.returned += 1;
            } else {
                count.deferred += 1;
            }
        }
        self.places_delayed += u64::from(!granted);
        self.grant_streams(ty);
    }

    /// Lets the peer open more streams when half of its places are used up.
    pub(super) fn grant_streams(&mut self, ty: StreamType) {
        let initial = self.limits.max_streams(ty);
        let Some(count) = self.types.get_mut(ty.as_usize()).filter(|_| ty.initiator() != self.side) else { return };
        let target = (initial + count.returned).min(StreamType::MAX_STREAMS);
        if target > count.limit && count.limit - count.opened <= initial / 2 {
            count.limit = target;
            self.control.max_streams |= 1 << ty.as_usize();
        }
    }

    /// The limit on streams of a type, and how many were opened.
    pub(super) fn stream_limit(&self, ty: StreamType) -> u64 {
        self.types.get(ty.as_usize()).map_or(0, |count| count.limit)
    }
}

/// A stream that is `held` has a message that may not be read yet.
fn settle_receiving(stream: &mut Stream, held: bool) {
    let Some(half) = &mut stream.recv else { return };
    if core::mem::take(&mut half.update_due) {
        stream.control |= control::MAX_STREAM_DATA;
    }
    if half.reset_code().is_some() {
        stream.events &= !READABLE;
        if !stream.told_reset {
            stream.told_reset = true;
            stream.events |= RESET;
        }
    } else if !held && !stream.told_readable && half.is_readable() {
        stream.told_readable = true;
        stream.events |= READABLE;
    }
    if half.state() == RecvState::Done {
        stream.events &= !(READABLE | RESET);
    }
}

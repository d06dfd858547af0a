//! What handles and the driver share, and the way of an event to the tasks that wait for it.

use std::boxed::Box;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::vec::Vec;

use super::clock::Clock;
use super::logging;
use super::tokens::TokenStore;
use super::waiters::{Waiter, Waiters};
use crate::{AppCode, Conn, ConnId, ConnStats, ConnectionError, Endpoint, Event, IncomingId, Instant, MessageId};
use crate::{Outcome, PublicKey, Side, StreamId};

/// Connections that nobody has accepted yet and that are over already are kept up to this number, for what they brought.
const CLOSED_BACKLOG: usize = 256;

/// One endpoint behind one lock. The lock is held for calls into the state machine only, never for a system call.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(clock: Clock, local: SocketAddr, endpoint: Endpoint) -> Self {
        Self { clock, state: Mutex::new(State::new(local, endpoint)) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in the state machine is a defect, but no reason for all other tasks to panic as well.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes the driver for what this may have given it to do.
    pub(super) fn act<R>(&self, action: impl FnOnce(&mut State, Instant) -> R) -> R {
        let now = self.clock.now();
        let mut state = self.lock();
        let result = action(&mut state, now);
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        result
    }

    /// Waits until `ready` gives something, looking again whenever the waiters that `place` names are woken.
    pub(super) fn wait<T, P, C>(&self, place: P, ready: C) -> Wait<'_, P, C>
    where
        P: Fn(&mut State) -> Option<&mut Waiters>,
        C: FnMut(&mut State, Instant) -> Option<T>,
    {
        Wait { shared: self, place, ready, ticket: None }
    }
}

/// A cancel-safe wait; see [`Shared::wait`].
pub(super) struct Wait<'a, P: Fn(&mut State) -> Option<&mut Waiters>, C> {
    shared: &'a Shared,
    place: P,
    ready: C,
    ticket: Option<u64>,
}

impl<P: Fn(&mut State) -> Option<&mut Waiters>, C> Unpin for Wait<'_, P, C> {}

impl<T, P, C> Future for Wait<'_, P, C>
where
    P: Fn(&mut State) -> Option<&mut Waiters>,
    C: FnMut(&mut State, Instant) -> Option<T>,
{
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        // Dropped after the lock is given back; see `Waiters::register`.
        let (mut _replaced, mut driver) = (None, None);
        let now = this.shared.clock.now();
        let mut state = this.shared.lock();
        let result = (this.ready)(&mut state, now);
        if result.is_some() {
            driver = state.driver.take();
        } else if let Some(waiters) = (this.place)(&mut state) {
            _replaced = waiters.register(&mut this.ticket, cx.waker());
        }
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        result.map_or(Poll::Pending, Poll::Ready)
    }
}

impl<P: Fn(&mut State) -> Option<&mut Waiters>, C> Drop for Wait<'_, P, C> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let _waker = (self.place)(&mut self.shared.lock()).and_then(|waiters| waiters.remove(ticket));
        }
    }
}

/// Everything behind the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) endpoint: Endpoint,
    /// What the socket is bound to.
    pub(super) local: SocketAddr,
    pub(super) slots: HashMap<ConnId, Slot>,
    pub(super) tokens: TokenStore,
    /// The driver while it sleeps.
    pub(super) driver: Option<Waker>,
    /// Server connections that nobody has accepted yet, and clients that ask to be let in.
    pub(super) arrived: VecDeque<ConnId>,
    pub(super) asking: VecDeque<IncomingId>,
    pub(super) acceptors: Waiters,
    pub(super) askers: Waiters,
    /// Who waits for the driver to end.
    pub(super) enders: Waiters,
    /// Connections with a handle.
    pub(super) held: usize,
    /// Whether the endpoint takes new connections: it has handles and was not shut down.
    pub(super) open: bool,
    /// Whether the driver ends as soon as no connection is left.
    pub(super) ending: bool,
    /// Why nothing moves any more: the driver ended, with this text if something broke.
    pub(super) ended: Option<Box<str>>,
}

impl State {
    fn new(local: SocketAddr, endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            local,
            slots: HashMap::new(),
            tokens: TokenStore::default(),
            driver: None,
            arrived: VecDeque::new(),
            asking: VecDeque::new(),
            acceptors: Waiters::default(),
            askers: Waiters::default(),
            enders: Waiters::default(),
            held: 0,
            open: true,
            ending: false,
            ended: None,
        }
    }

    /// The socket is another one, bound to `local`.
    pub(super) fn rebind(&mut self, now: Instant, local: SocketAddr) {
        self.local = local;
        self.endpoint.rebind(now, Some(local).filter(|local| !local.ip().is_unspecified()));
    }

    /// The connection in the state machine and what the driver keeps for it.
    pub(super) fn connection(&mut self, now: Instant, id: ConnId) -> (Option<Conn<'_>>, Option<&mut Slot>) {
        (self.endpoint.conn(now, id), self.slots.get_mut(&id))
    }

    /// Begins to keep a connection that has a handle.
    pub(super) fn hold(&mut self, id: ConnId) {
        self.held += 1;
        self.slots.entry(id).or_default().owner = Owner::Handle;
    }

    /// The last handle of a connection is gone: what was accepted is delivered, then the connection ends.
    pub(super) fn release(&mut self, now: Instant, id: ConnId) {
        self.held = self.held.saturating_sub(1);
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.owner = Owner::Nobody;
            if slot.closed.is_some() {
                self.forget(now, id);
            } else if let Some(mut conn) = self.endpoint.conn(now, id) {
                conn.close(AppCode::ZERO, b"");
            }
        }
        self.end_if_unused(now);
    }

    /// No more connections are taken; those that wait to be accepted are closed.
    pub(super) fn stop_accepting(&mut self, now: Instant) {
        self.open = false;
        while let Some(id) = self.asking.pop_front() {
            self.endpoint.ignore(id);
        }
        while let Some(id) = self.arrived.pop_front() {
            self.hold(id);
            self.release(now, id);
        }
        self.end_if_unused(now);
    }

    fn end_if_unused(&mut self, now: Instant) {
        if !self.open && self.held == 0 && !self.ending {
            self.end(now, AppCode::ZERO);
        }
    }

    /// Closes all connections gracefully; the driver ends when that is done.
    pub(super) fn end(&mut self, now: Instant, code: AppCode) {
        self.ending = true;
        self.endpoint.shutdown(now, code);
    }

    /// Frees what is kept for a connection that is over and has no handles.
    fn forget(&mut self, now: Instant, id: ConnId) {
        if let Some(conn) = self.endpoint.conn(now, id) {
            conn.discard();
        }
        self.forget_slot(id);
    }

    /// Frees the slot unless somebody has yet to look at the outcome of a message.
    fn forget_slot(&mut self, id: ConnId) {
        let done = |slot: &Slot| slot.closed.is_some() && slot.owner != Owner::Handle && slot.tracked.is_empty();
        if self.slots.get(&id).is_some_and(done) {
            self.slots.remove(&id);
        }
    }

    /// Nobody waits for the outcome of this message any more.
    pub(super) fn untrack(&mut self, id: ConnId, message: MessageId) -> Option<Tracked> {
        let tracked = self.slots.get_mut(&id).and_then(|slot| slot.tracked.remove(&message));
        self.forget_slot(id);
        tracked
    }

    pub(super) fn on_incoming(&mut self, id: IncomingId, wake: &mut Vec<Waker>) {
        if !self.open {
            self.endpoint.ignore(id);
            return;
        }
        // Questions that ran out of time unanswered are forgotten here.
        while self.asking.front().is_some_and(|&oldest| self.endpoint.incoming(oldest).is_none()) {
            self.asking.pop_front();
        }
        self.asking.push_back(id);
        self.askers.wake(wake);
    }

    /// Brings an event to whoever waits for it. Wakers that must wait until everything pending was given to the
    /// socket go to `late`: their task may end the process.
    pub(super) fn on_event(
        &mut self,
        now: Instant,
        id: ConnId,
        event: Event,
        wake: &mut Vec<Waker>,
        late: &mut Vec<Waker>,
    ) {
        if !self.slots.contains_key(&id) {
            let is_new = self.endpoint.conn(now, id).is_some_and(|conn| conn.side() == Side::Server);
            if !is_new || event == Event::Closed {
                return self.forget(now, id);
            }
            self.slots.insert(id, Slot::default());
        }
        let Some(slot) = self.slots.get_mut(&id) else { return };
        match event {
            Event::Connected => {
                slot.connected = true;
                slot.changed.wake(wake);
                if slot.owner == Owner::Queue {
                    self.on_arrival(now, id, wake);
                }
            }
            Event::ServerKeyOffered => {
                let conn = self.endpoint.conn(now, id);
                slot.offered = conn.and_then(|conn| conn.offered_key().cloned());
                slot.changed.wake(wake);
            }
            Event::NewToken => self.tokens.collect(self.endpoint.conn(now, id)),
            Event::Closed => self.on_closed(now, id, wake, late),
            Event::StreamOpened(stream) => {
                slot.opened.push_back(stream);
                slot.streams.entry(stream).or_default();
                slot.stream_acceptors.wake(wake);
            }
            Event::StreamsAvailable(_) => slot.openers.wake(wake),
            Event::StreamReadable(stream) => {
                if let Some(stream) = slot.streams.get_mut(&stream) {
                    stream.reader.wake(wake);
                }
            }
            Event::StreamReset(stream, code) => {
                if let Some(stream) = slot.streams.get_mut(&stream) {
                    stream.reset = Some(code);
                    stream.reader.wake(wake);
                }
            }
            Event::StreamWritable(stream) => {
                if let Some(stream) = slot.streams.get_mut(&stream) {
                    stream.writer.wake(wake);
                }
            }
            Event::StreamFinished(stream) => {
                if let Some(stream) = slot.streams.get_mut(&stream) {
                    stream.delivered = true;
                    stream.writer.wake(wake);
                }
            }
            Event::StreamStopped(stream, code) => {
                if let Some(stream) = slot.streams.get_mut(&stream) {
                    stream.stopped = Some(code);
                    stream.writer.wake(wake);
                }
            }
            Event::MessageOutcome { id, outcome, .. } => {
                if let Some(tracked) = slot.tracked.get_mut(&id) {
                    tracked.outcome = Some(outcome);
                    tracked.waiter.wake(wake);
                }
            }
            _ => {}
        }
    }

    fn on_arrival(&mut self, now: Instant, id: ConnId, wake: &mut Vec<Waker>) {
        if !self.open {
            self.hold(id);
            return self.release(now, id);
        }
        self.arrived.push_back(id);
        self.acceptors.wake(wake);
    }

    fn on_closed(&mut self, now: Instant, id: ConnId, wake: &mut Vec<Waker>, late: &mut Vec<Waker>) {
        let conn = self.endpoint.conn(now, id);
        let (reason, stats) = conn.map_or((None, None), |conn| (conn.close_reason().cloned(), Some(conn.stats())));
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.stats = stats.unwrap_or(slot.stats);
        let reason = reason.unwrap_or_else(|| slot.end());
        slot.close(reason, wake, late);
        match slot.owner {
            Owner::Handle => {}
            Owner::Nobody => self.forget(now, id),
            Owner::Queue => {
                let waits = self.arrived.contains(&id);
                if !waits {
                    self.forget(now, id);
                } else if self.arrived.len() > CLOSED_BACKLOG {
                    self.arrived.retain(|&other| other != id);
                    self.forget(now, id);
                }
            }
        }
    }

    /// Nothing moves any more: tells everybody.
    pub(super) fn on_end(&mut self, reason: Option<Box<str>>, wake: &mut Vec<Waker>) {
        if self.ended.is_some() {
            return;
        }
        if let Some(reason) = &reason {
            logging::ended(reason);
        }
        let reason = reason.unwrap_or_else(|| Box::from("the endpoint was shut down"));
        self.open = false;
        self.ending = true;
        let mut late = Vec::new();
        for slot in self.slots.values_mut() {
            slot.close(ConnectionError::EndpointGone { reason: reason.clone() }, wake, &mut late);
        }
        wake.append(&mut late);
        self.ended = Some(reason);
        // Nothing is left to see, and handles may live for long.
        self.endpoint.set_observer(None);
        self.acceptors.wake(wake);
        self.askers.wake(wake);
        self.enders.wake(wake);
    }
}

/// Who answers for a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Owner {
    /// A server connection that nobody has accepted yet.
    #[default]
    Queue,
    /// There are handles.
    Handle,
    /// All handles are gone; it is being closed.
    Nobody,
}

/// What the driver keeps for one connection.
#[derive(Debug, Default)]
pub(super) struct Slot {
    owner: Owner,
    pub(super) connected: bool,
    pub(super) closed: Option<ConnectionError>,
    /// The code of a close that was begun here.
    pub(super) closing: AppCode,
    /// The server's key while the program is asked about it.
    pub(super) offered: Option<PublicKey>,
    /// The last counters, for after the end.
    pub(super) stats: ConnStats,
    /// Streams the peer opened and nobody has accepted yet.
    pub(super) opened: VecDeque<StreamId>,
    pub(super) streams: HashMap<StreamId, StreamSlot>,
    pub(super) tracked: HashMap<MessageId, Tracked>,
    /// Who waits for a change of the connection's own state.
    pub(super) changed: Waiters,
    pub(super) stream_acceptors: Waiters,
    /// Who waits to open a stream, of whatever type: waiting is rare, one crowd is enough.
    pub(super) openers: Waiters,
}

impl Slot {
    fn close(&mut self, reason: ConnectionError, wake: &mut Vec<Waker>, late: &mut Vec<Waker>) {
        self.closed.get_or_insert(reason);
        self.changed.wake(late);
        self.stream_acceptors.wake(wake);
        self.openers.wake(wake);
        for stream in self.streams.values_mut() {
            stream.reader.wake(wake);
            stream.writer.wake(wake);
        }
        for tracked in self.tracked.values_mut() {
            tracked.outcome.get_or_insert(Outcome::Lost);
            tracked.waiter.wake(wake);
        }
    }

    /// The code with which the peer stopped a stream.
    pub(super) fn stopped(&self, stream: StreamId) -> Option<AppCode> {
        self.streams.get(&stream)?.stopped
    }

    /// The code with which the peer reset a stream.
    pub(super) fn reset(&self, stream: StreamId) -> Option<AppCode> {
        self.streams.get(&stream)?.reset
    }

    /// Why the connection is of no use, for an operation that found out.
    pub(super) fn end(&self) -> ConnectionError {
        self.closed.clone().unwrap_or(ConnectionError::LocallyClosed { code: self.closing })
    }
}

/// What the driver keeps for one stream that has handles or waits to be accepted.
#[derive(Debug, Default)]
pub(super) struct StreamSlot {
    /// Handles: the sending half, the receiving half.
    pub(super) halves: u8,
    pub(super) reader: Waiter,
    pub(super) writer: Waiter,
    /// After finishing: the peer has everything.
    pub(super) delivered: bool,
    /// The peer wants no more.
    pub(super) stopped: Option<AppCode>,
    /// The peer gave up. The state machine may have forgotten the stream after saying so.
    pub(super) reset: Option<AppCode>,
}

/// A message whose fate somebody wants to know.
#[derive(Debug, Default)]
pub(super) struct Tracked {
    pub(super) outcome: Option<Outcome>,
    pub(super) waiter: Waiter,
}

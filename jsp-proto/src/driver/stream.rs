//! What the halves of all streams share: access to the stream and waiting for it.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::connection::ConnRef;
use super::state::{Slot, StreamSlot};
use super::waiters::Waiter;
use crate::{AppCode, Conn, ConnectionError, StreamId};

/// One half of a stream, kept alive by the handle that owns it.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) conn: Arc<ConnRef>,
    pub(super) stream: StreamId,
}

/// What an attempt on a stream came to.
pub(super) enum Attempt<T> {
    Done(T),
    /// Wait for the stream and try again.
    Blocked,
}

impl Half {
    pub(super) fn new(conn: Arc<ConnRef>, stream: StreamId) -> Self {
        Self { conn, stream }
    }

    /// Tries something on the connection; if it is blocked, waits where `place` says. Fails when the connection is
    /// over and `attempt` finds nothing left.
    pub(super) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        place: fn(&mut StreamSlot) -> &mut Waiter,
        attempt: impl FnOnce(&mut Conn<'_>, &mut Slot) -> Attempt<T>,
    ) -> Poll<Result<T, ConnectionError>> {
        let now = self.conn.shared.clock.now();
        // Dropped after the lock is given back: a waker may own a task that owns handles.
        let mut _replaced = None;
        let mut driver = None;
        let mut state = self.conn.shared.lock();
        let state_ref = &mut *state;
        let (conn, slot) = (state_ref.endpoint.conn(now, self.conn.id), state_ref.slots.get_mut(&self.conn.id));
        let Some(slot) = slot else {
            return Poll::Ready(Err(ConnectionError::LocallyClosed { code: AppCode::ZERO }));
        };
        let attempt = conn.map_or(Attempt::Blocked, |mut conn| attempt(&mut conn, slot));
        let result = match attempt {
            Attempt::Done(value) => {
                driver = state_ref.driver.take();
                Poll::Ready(Ok(value))
            }
            Attempt::Blocked => match &slot.closed {
                Some(reason) => Poll::Ready(Err(reason.clone())),
                None => {
                    let stream = slot.streams.entry(self.stream).or_default();
                    _replaced = place(stream).register(cx.waker());
                    Poll::Pending
                }
            },
        };
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        result
    }

    /// Does something on the connection if it is still known.
    pub(super) fn act<R>(&self, action: impl FnOnce(&mut Conn<'_>, &mut Slot) -> R) -> Option<R> {
        self.conn.shared.act(|state, now| {
            let (conn, slot) = state.connection(now, self.conn.id);
            Some(action(&mut conn?, slot?))
        })
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        let mut state = self.conn.shared.lock();
        let Some(slot) = state.slots.get_mut(&self.conn.id) else { return };
        let Some(stream) = slot.streams.get_mut(&self.stream) else { return };
        stream.halves = stream.halves.saturating_sub(1);
        let forgotten = if stream.halves == 0 { slot.streams.remove(&self.stream) } else { None };
        drop(state);
        // A waker may own a task that owns handles.
        drop(forgotten);
    }
}

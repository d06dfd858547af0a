//! The application's side of the receiving half.

use core::ops::Range;

use super::{Body, Complete, RecvHalf};
use crate::error::AppCode;
use crate::stream::flow::RecvPool;
use crate::stream::state::{RecvEvent, RecvState};

/// What a reader finds at the read position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stream) enum Found {
    /// Bytes, or one message.
    Data {
        /// Offset of the first byte.
        start: u64,
        /// Offset after the last byte.
        end: u64,
        /// It is a message that is compressed.
        packed: bool,
    },
    /// Nothing yet.
    Nothing,
    /// The end; a code if the peer reset the stream.
    End(Option<AppCode>),
    /// This side called `stop`.
    Stopped,
}

impl RecvHalf {
    /// What may be read now: all bytes up to the first gap, or one message.
    pub(in crate::stream) fn find(&self) -> Found {
        if self.stopped {
            return Found::Stopped;
        }
        match self.state {
            RecvState::Open | RecvState::Sized => {
                let ready = match &self.body {
                    Body::Bytes { base, received } => received
                        .first()
                        .filter(|first| first.start == *base)
                        .map(|Range { start, end }| Complete { start, end, packed: false }),
                    Body::Messages(segments) => segments.next(),
                };
                ready.map_or(Found::Nothing, |Complete { start, end, packed }| Found::Data { start, end, packed })
            }
            RecvState::Ended | RecvState::Done => Found::End(self.end.and_then(|end| end.code)),
            RecvState::Stopped => Found::Stopped,
        }
    }

    /// There is data or an orderly end that was not reported.
    pub(in crate::stream) fn is_readable(&self) -> bool {
        match self.find() {
            Found::Data { .. } => true,
            Found::End(code) => code.is_none() && self.state == RecvState::Ended,
            Found::Nothing | Found::Stopped => false,
        }
    }

    /// The bytes of `start..end`, in place.
    pub(in crate::stream) fn slices(&self, start: u64, end: u64) -> (&[u8], &[u8]) {
        self.ring.read(start..end)
    }

    /// The first `n` readable bytes were read.
    pub(in crate::stream) fn consume_bytes(&mut self, pool: &mut RecvPool, n: u64) {
        if let Body::Bytes { base, received } = &mut self.body
            && let Some(first) = received.first().filter(|first| first.start == *base)
        {
            *base = first.end.min(first.start.saturating_add(n));
            received.trim_below(*base);
            self.account(pool);
        }
    }

    /// The message that [`find`](Self::find) showed was read.
    pub(in crate::stream) fn consume_message(&mut self, pool: &mut RecvPool) {
        if let Body::Messages(segments) = &mut self.body {
            // Consuming joins done segments only; a breach of the rules was found when the bytes arrived.
            let _ = segments.consume_next();
            self.account(pool);
        }
    }

    /// The application was told of the end.
    pub(in crate::stream) fn end_reported(&mut self, pool: &mut RecvPool) {
        if self.state.advance(RecvEvent::Reported) {
            self.account(pool);
        }
    }

    /// Whether this side has asked the peer to stop.
    pub(in crate::stream) fn is_stopped(&self) -> bool {
        self.state == RecvState::Stopped
    }

    /// The application wants no more; true if the peer is to be told.
    pub(in crate::stream) fn stop(&mut self, pool: &mut RecvPool) -> bool {
        if !self.state.advance(RecvEvent::Stop) {
            return false;
        }
        self.stopped = true;
        self.account(pool);
        self.state == RecvState::Stopped
    }
}

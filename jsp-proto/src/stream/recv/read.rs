//! The application's side of the receiving half.

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
        /// It is a compressed message, or the body of a compressed block.
        packed: bool,
    },
    /// Bytes of a block that was expanded.
    Open,
    /// A block that cannot be expanded, or an end inside one.
    Corrupt,
    /// Nothing yet.
    Nothing,
    /// The end; a code if the peer reset the stream.
    End(Option<AppCode>),
    /// This side called `stop`.
    Stopped,
}

impl From<Complete> for Found {
    fn from(Complete { start, end, packed }: Complete) -> Self {
        Self::Data { start, end, packed }
    }
}

impl RecvHalf {
    /// What may be read now: all bytes up to the first gap, or one message.
    pub(in crate::stream) fn find(&self) -> Found {
        if self.stopped {
            return Found::Stopped;
        }
        match self.state {
            RecvState::Open | RecvState::Sized => match &self.body {
                Body::Bytes { base, received, blocks } => self.find_bytes(*base, received, blocks.as_deref()),
                Body::Messages(segments) => segments.next().map_or(Found::Nothing, Found::from),
            },
            RecvState::Ended | RecvState::Done => Found::End(self.end.and_then(|end| end.code)),
            RecvState::Stopped => Found::Stopped,
        }
    }

    /// There is data or an orderly end that was not reported.
    pub(in crate::stream) fn is_readable(&self) -> bool {
        match self.find() {
            Found::Data { .. } | Found::Open | Found::Corrupt => true,
            Found::End(code) => code.is_none() && self.state == RecvState::Ended,
            Found::Nothing | Found::Stopped => false,
        }
    }

    /// The bytes of `start..end`, in place.
    pub(in crate::stream) fn slices(&self, start: u64, end: u64) -> (&[u8], &[u8]) {
        self.ring.read(start..end)
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

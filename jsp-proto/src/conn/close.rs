//! The end of a connection: delivering what was accepted, saying goodbye, and staying quiet for a while
//! (specification section 3.8).

use alloc::boxed::Box;
use core::time::Duration;

use crate::config::bounds;
use crate::error::{AppCode, TransportError};
use crate::event::ConnectionError;
use crate::time::Instant;
use crate::wire::cursor::Writer;
use crate::wire::frame::{Close, Frame};

/// What a close tells the peer.
#[derive(Clone, Debug)]
pub(crate) enum Farewell {
    App { code: AppCode, reason: Box<[u8]> },
    Transport { error: TransportError, frame_type: u64, reason: &'static str },
}

impl Farewell {
    /// An application's close; the reason is cut to what the wire carries.
    pub(crate) fn app(code: AppCode, reason: &[u8]) -> Self {
        let cut = reason.len().min(bounds::REASON_LEN);
        Self::App { code, reason: Box::from(reason.get(..cut).unwrap_or_default()) }
    }

    pub(crate) fn as_error(&self) -> ConnectionError {
        match *self {
            Self::App { code, .. } => ConnectionError::LocallyClosed { code },
            Self::Transport { error, reason, .. } => ConnectionError::Protocol { error, reason },
        }
    }

    pub(crate) fn write(&self, w: &mut Writer<'_>) -> bool {
        let close = match self {
            Self::App { code, reason } => Close { error: code.get(), frame_type: None, reason },
            Self::Transport { error, frame_type, reason } => {
                Close { error: error.code(), frame_type: Some(*frame_type), reason: reason.as_bytes() }
            }
        };
        Frame::Close(close).encode(w).is_ok()
    }
}

/// Reads a peer's close.
pub(crate) fn peer_error(close: &Close<'_>) -> ConnectionError {
    let cut = close.reason.len().min(bounds::REASON_LEN);
    let reason = Box::from(close.reason.get(..cut).unwrap_or_default());
    match close.frame_type {
        None => ConnectionError::PeerClosed { code: AppCode::new(close.error), reason },
        Some(_) => ConnectionError::PeerError { error: TransportError::from_code(close.error), reason },
    }
}

/// Where a connection stands in its life.
#[derive(Debug)]
pub(crate) enum Life {
    /// A client without keys.
    Connecting,
    /// Data flows.
    Open,
    /// Data flows until everything accepted is delivered; then the farewell is sent.
    Flushing(Farewell),
    /// The farewell was sent and is repeated to a peer that goes on sending.
    Closing { farewell: Farewell, answer: Answer },
    /// The peer said farewell, or the connection broke: nothing is sent any more.
    Draining,
    /// Only data that was received and not read is left.
    Over,
}

impl Life {
    /// Whether data may still be sent and received.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Self::Connecting | Self::Open | Self::Flushing(_))
    }
}

/// Thins out the answers of a closing connection: after 1, 2, 4, 8... packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pending: bool,
    seen: u64,
    next: u64,
}

impl Answer {
    /// Starts with the farewell itself to be sent.
    pub(crate) const fn first() -> Self {
        Self { pending: true, seen: 0, next: 1 }
    }

    pub(crate) fn on_packet(&mut self) {
        self.seen += 1;
        if self.seen >= self.next {
            self.pending = true;
            self.next = self.next.saturating_mul(2);
        }
    }

    /// Time has passed; the farewell may have been lost.
    pub(crate) fn repeat(&mut self) {
        self.pending = true;
    }

    pub(crate) fn is_pending(self) -> bool {
        self.pending
    }

    pub(crate) fn sent(&mut self) {
        self.pending = false;
    }
}

/// Gives up a graceful close when the peer takes nothing more of what it is to deliver for too long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linger {
    /// When the close began, or the peer last took something.
    since: Instant,
    patience: Duration,
}

impl Linger {
    pub(crate) const fn new(now: Instant, patience: Duration) -> Self {
        Self { since: now, patience }
    }

    /// The peer took something.
    pub(crate) fn extend(&mut self, now: Instant) {
        self.since = self.since.max(now);
    }

    pub(crate) fn deadline(self) -> Instant {
        self.since + self.patience
    }

    /// The end of a close with this code that is given up now.
    pub(crate) fn undelivered(self, now: Instant, code: AppCode) -> ConnectionError {
        ConnectionError::Undelivered { code, after: (now - self.since).min(self.patience) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_get_rarer() {
        let mut answer = Answer::first();
        assert!(answer.is_pending());
        answer.sent();
        let mut sent = 0;
        for _ in 0..100 {
            answer.on_packet();
            if answer.is_pending() {
                sent += 1;
                answer.sent();
            }
        }
        assert_eq!(sent, 7);
    }

    #[test]
    fn a_long_reason_is_cut() {
        let Farewell::App { reason, .. } = Farewell::app(AppCode::ZERO, &[b'x'; 500]) else { panic!("app") };
        assert_eq!(reason.len(), 128);
    }
}

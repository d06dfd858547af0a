//! What an endpoint tells its caller, and how connections end.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use crate::crypto::KeyId;
use crate::error::{AppCode, TransportError};
use crate::stream::{MessageId, Outcome};
use crate::wire::{StreamId, StreamType};

/// Something that happened on a connection. Small and `Copy`; details are asked from [`Conn`](crate::Conn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Client: the server showed its key and the trust policy wants an answer:
    /// [`Conn::offered_key`](crate::Conn::offered_key), then [`trust_key`](crate::Conn::trust_key) or
    /// [`reject_key`](crate::Conn::reject_key).
    ServerKeyOffered,
    /// Client: somebody on the path says that the server holds another key than the pinned one. Not proven yet; the
    /// attempt goes on and ends in [`ConnectionError::PeerKeyMismatch`] unless the right server answers.
    PeerKeySuspect,
    /// Server: the connection exists and data may be written at once, to a client that has not proven itself yet.
    /// Given only when no client authentication is required.
    EarlyWritable,
    /// The connection carries data in both directions. A client has authenticated the server and knows its
    /// parameters; a server has proof that the client is there.
    Connected,
    /// Server: the client has proven its identity key or the pre-shared key.
    PeerAuthenticated,
    /// Both sides know that the handshake is complete.
    HandshakeConfirmed,
    /// Client: the server has sent an address token for a later connection: [`Conn::take_token`](crate::Conn::take_token).
    /// Given once until the tokens were taken.
    NewToken,
    /// The peer opened a stream.
    StreamOpened(StreamId),
    /// A stream has something to read: data, a message, its end or a reset.
    StreamReadable(StreamId),
    /// A stream that was blocked takes data again.
    StreamWritable(StreamId),
    /// Everything written to a finished stream has been acknowledged.
    StreamFinished(StreamId),
    /// The peer gave up its sending half; what was received before may still be read.
    StreamReset(StreamId, AppCode),
    /// The peer does not want what this side sends on the stream.
    StreamStopped(StreamId, AppCode),
    /// The one and final outcome of a tracked message.
    MessageOutcome {
        /// The stream it was sent on.
        stream: StreamId,
        /// What [`send_message`](crate::Conn::send_message) returned.
        id: MessageId,
        /// What became of it.
        outcome: Outcome,
    },
    /// After `OpenError::Limit`: streams of this type may be opened again.
    StreamsAvailable(StreamType),
    /// The connection goes over another path now, and this path has proven to work: [`Conn::path`](crate::Conn::path). A
    /// server's peer has moved; a client has [moved](crate::Conn::migrate).
    PathChanged,
    /// Nothing that was sent has been acknowledged for three probe timeouts in a row: the path is probably gone. Not an end:
    /// the connection goes on trying until the idle timeout, and tells again only after something got through. A program
    /// with another network may look there.
    PathSuspect,
    /// The peer says at which address it sees this side, for the first time or a new one:
    /// [`Conn::observed_address`](crate::Conn::observed_address).
    AddressObserved,
    /// The connection is over; [`Conn::close_reason`](crate::Conn::close_reason) says why. Data received before stays
    /// readable until it is read or the connection is [discarded](crate::Conn::discard).
    Closed,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionError {
    /// This side closed it.
    LocallyClosed {
        /// The code given to `close`.
        code: AppCode,
    },
    /// This side closed it, and not everything that was accepted for sending was delivered: the peer took nothing more
    /// of it for the [linger time](crate::ConfigBuilder::linger), or the program aborted the connection while the close
    /// was still delivering.
    Undelivered {
        /// The code given to `close`.
        code: AppCode,
        /// For how long the peer had taken nothing more.
        after: Duration,
    },
    /// The peer's application closed it.
    PeerClosed {
        /// The peer's code.
        code: AppCode,
        /// The peer's reason, at most 128 bytes, as it came.
        reason: Box<[u8]>,
    },
    /// The peer's protocol implementation closed it.
    PeerError {
        /// What the peer objects to.
        error: TransportError,
        /// The peer's reason, at most 128 bytes, as it came.
        reason: Box<[u8]>,
    },
    /// The peer broke the protocol and this side closed the connection.
    Protocol {
        /// What was broken.
        error: TransportError,
        /// In which way.
        reason: &'static str,
    },
    /// Nothing was heard from the peer for the negotiated idle timeout.
    IdleTimeout {
        /// The timeout that passed.
        after: Duration,
    },
    /// The peer has lost the connection, most likely because its program was restarted, and says so with the token it
    /// gave when the connection began. Nothing more of what was sent arrives.
    Reset,
    /// The peer never answered the handshake in a way that could be believed. Either nothing is there (wrong address,
    /// blocked UDP, a server that is down), or the server does not hold the key this client expects and is configured
    /// to stay silent, or the two hold different pre-shared keys.
    NoAnswer {
        /// How long the attempt lasted.
        after: Duration,
    },
    /// The server holds another key than the one this client trusts.
    PeerKeyMismatch {
        /// The trusted key's id.
        expected: KeyId,
        /// The id of the key that answered. Unauthenticated: whoever is on the path could have sent it.
        got: KeyId,
    },
    /// The application rejected the offered key.
    KeyRejected,
    /// The server refused the connection.
    Refused {
        /// The server's code.
        code: AppCode,
    },
    /// The server speaks no version this client knows.
    VersionMismatch,
    /// Nobody drives the endpoint any more. Given by the adapters, not by the state machine: the socket failed, or the
    /// runtime dropped the endpoint's task.
    EndpointGone {
        /// What happened.
        reason: Box<str>,
    },
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LocallyClosed { code } => write!(f, "closed by this side with code {code}"),
            Self::Undelivered { code, after } => write!(
                f,
                "closed by this side with code {code}, but not everything was delivered: the peer took nothing more \
                 for {after:?}"
            ),
            Self::PeerClosed { code, reason } => {
                write!(f, "closed by the peer with code {code}")?;
                write_reason(f, reason)
            }
            Self::PeerError { error, reason } => {
                write!(f, "the peer reported a protocol error, {error}")?;
                write_reason(f, reason)
            }
            Self::Protocol { error, reason } => write!(f, "the peer broke the protocol, {error}: {reason}"),
            Self::IdleTimeout { after } => write!(f, "idle timeout: nothing was heard for {after:?}"),
            Self::Reset => f.write_str("the peer has lost this connection, it was probably restarted"),
            Self::NoAnswer { after } => write!(
                f,
                "no answer within {after:?}: nothing listens there or UDP is blocked, or the server holds another \
                 key than the expected one and stays silent, or the pre-shared keys differ"
            ),
            Self::PeerKeyMismatch { expected, got } => write!(
                f,
                "the server's key is not the expected one: expected {expected}, got {got}; if the server changed its \
                 key, get the new one over a channel you trust and pin it"
            ),
            Self::KeyRejected => f.write_str("the offered server key was rejected"),
            Self::Refused { code } => write!(f, "the server refused the connection with code {code}"),
            Self::VersionMismatch => f.write_str("the server speaks no protocol version that this client knows"),
            Self::EndpointGone { reason } => write!(f, "the endpoint is gone: {reason}"),
        }
    }
}

impl core::error::Error for ConnectionError {}

fn write_reason(f: &mut fmt::Formatter<'_>, reason: &[u8]) -> fmt::Result {
    if reason.is_empty() {
        return Ok(());
    }
    f.write_str(": ")?;
    for chunk in reason.utf8_chunks() {
        for character in chunk.valid().chars().filter(|c| !c.is_control()) {
            write!(f, "{character}")?;
        }
        if !chunk.invalid().is_empty() {
            f.write_str("\u{fffd}")?;
        }
    }
    Ok(())
}

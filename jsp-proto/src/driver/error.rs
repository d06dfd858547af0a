//! Why an operation on a handle failed. Every error here is final for the operation that gave it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use super::state::Slot;
use crate::{AppCode, ConnectionError, StreamId};

/// Why a connection could not be established.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The attempt could not start: no trust is configured for a remote server, a bound is reached...
    Start(crate::ConnectError),
    /// The attempt failed: no answer, another key than the trusted one, refused...
    Connection(ConnectionError),
    /// The address could not be found, or the file of known hosts could not be used.
    Io(io::Error),
    /// Too many attempts have failed: the [`Breaker`](crate::Breaker) allows no other one so soon. Given by what
    /// reconnects, if it is not to wait.
    BackOff {
        /// For how long.
        after: Duration,
    },
}

/// Why a stream could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The options name another kind of stream than the method opens.
    WrongKind,
    /// Streams of bytes are always reliable; only messages can be otherwise.
    ModeNeedsMessages,
    /// [`Fec::On`](crate::Fec) has 1 to 64 packets and 1 to 32 parity packets per block.
    Fec,
    /// The connection is over.
    Connection(ConnectionError),
}

/// Why bytes could not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// This side has finished or reset the stream.
    Finished,
    /// The peer wants no more, with this code.
    Stopped(AppCode),
    /// The connection is over.
    Connection(ConnectionError),
}

/// Why a message was not accepted for sending.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// A message has at least one byte.
    Empty,
    /// The peer accepts messages of at most `max` bytes.
    TooLarge {
        /// The largest message in bytes.
        max: u64,
    },
    /// This side has finished or reset the stream.
    Finished,
    /// The peer wants no more, with this code.
    Stopped(AppCode),
    /// The connection is over.
    Connection(ConnectionError),
}

/// Why nothing could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// The peer gave up the stream, with this code.
    Reset(AppCode),
    /// This side has stopped the stream.
    Stopped,
    /// More than the given limit.
    TooLong,
    /// The connection is over.
    Connection(ConnectionError),
}

impl WriteError {
    /// Why a call on the sending half of `stream` failed.
    pub(super) fn new(error: crate::SendError, slot: &Slot, stream: StreamId) -> Self {
        match (error, slot.stopped(stream)) {
            (crate::SendError::Stopped(code), _) => Self::Stopped(code),
            (crate::SendError::Closed, _) => Self::Connection(slot.end()),
            (crate::SendError::UnknownStream, Some(code)) => Self::Stopped(code),
            _ => Self::Finished,
        }
    }
}

impl SendError {
    /// Why a call on the sending half of `stream` failed.
    pub(super) fn new(error: crate::SendError, slot: &Slot, stream: StreamId) -> Self {
        match error {
            crate::SendError::Empty => Self::Empty,
            crate::SendError::TooLarge { max } => Self::TooLarge { max },
            other => WriteError::new(other, slot, stream).into(),
        }
    }
}

impl From<WriteError> for SendError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Finished => Self::Finished,
            WriteError::Stopped(code) => Self::Stopped(code),
            WriteError::Connection(error) => Self::Connection(error),
        }
    }
}

pub(super) fn no_address() -> io::Error {
    io::Error::new(ErrorKind::AddrNotAvailable, "the name stands for no address that this socket can use")
}

pub(super) fn too_many_shards() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "an address has at most 256 shards")
}

/// The system's kind of error that comes nearest, for code that only knows `io::Error`.
fn kind(error: &ConnectionError) -> ErrorKind {
    match error {
        ConnectionError::LocallyClosed { .. } => ErrorKind::NotConnected,
        ConnectionError::PeerClosed { .. } | ConnectionError::PeerError { .. } | ConnectionError::Reset => {
            ErrorKind::ConnectionReset
        }
        ConnectionError::Protocol { .. } => ErrorKind::InvalidData,
        ConnectionError::Undelivered { .. }
        | ConnectionError::IdleTimeout { .. }
        | ConnectionError::NoAnswer { .. } => ErrorKind::TimedOut,
        ConnectionError::PeerKeyMismatch { .. } | ConnectionError::KeyRejected => ErrorKind::PermissionDenied,
        ConnectionError::Refused { .. } => ErrorKind::ConnectionRefused,
        ConnectionError::VersionMismatch => ErrorKind::Unsupported,
        ConnectionError::EndpointGone { .. } => ErrorKind::BrokenPipe,
    }
}

impl From<ConnectionError> for io::Error {
    fn from(error: ConnectionError) -> Self {
        Self::new(kind(&error), error)
    }
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Start(_) => Self::new(ErrorKind::InvalidInput, error),
            ConnectError::Connection(ref inner) => Self::new(kind(inner), error),
            ConnectError::Io(inner) => inner,
            ConnectError::BackOff { .. } => Self::new(ErrorKind::NotConnected, error),
        }
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        match &error {
            OpenError::Connection(inner) => Self::new(kind(inner), error),
            _ => Self::new(ErrorKind::InvalidInput, error),
        }
    }
}

impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        match &error {
            WriteError::Connection(inner) => Self::new(kind(inner), error),
            WriteError::Finished | WriteError::Stopped(_) => Self::new(ErrorKind::BrokenPipe, error),
        }
    }
}

impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        match &error {
            SendError::Connection(inner) => Self::new(kind(inner), error),
            SendError::Empty | SendError::TooLarge { .. } => Self::new(ErrorKind::InvalidInput, error),
            SendError::Finished | SendError::Stopped(_) => Self::new(ErrorKind::BrokenPipe, error),
        }
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match &error {
            ReadError::Connection(inner) => Self::new(kind(inner), error),
            ReadError::Reset(_) => Self::new(ErrorKind::ConnectionReset, error),
            ReadError::TooLong => Self::new(ErrorKind::InvalidData, error),
            ReadError::Stopped => Self::new(ErrorKind::NotConnected, error),
        }
    }
}

macro_rules! from_connection_error {
    ($($error:ident)*) => {
        $(impl From<ConnectionError> for $error {
            fn from(error: ConnectionError) -> Self {
                Self::Connection(error)
            }
        })*
    };
}

from_connection_error!(ConnectError OpenError WriteError SendError ReadError);

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => error.fmt(f),
            Self::Connection(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::BackOff { after } => {
                write!(f, "too many attempts to connect have failed; the next one is allowed in {after:?}")
            }
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongKind => f.write_str("the options name another kind of stream"),
            Self::ModeNeedsMessages => f.write_str("a stream of bytes can only be reliable"),
            Self::Fec => crate::OpenError::Fec.fmt(f),
            Self::Connection(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("this side has finished the stream"),
            Self::Stopped(code) => write!(f, "the peer stopped the stream with code {code}"),
            Self::Connection(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a message must have at least one byte"),
            Self::TooLarge { max } => write!(f, "the peer accepts messages of at most {max} bytes"),
            Self::Finished => f.write_str("this side has finished the stream"),
            Self::Stopped(code) => write!(f, "the peer stopped the stream with code {code}"),
            Self::Connection(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset(code) => write!(f, "the peer reset the stream with code {code}"),
            Self::Stopped => f.write_str("this side has stopped the stream"),
            Self::TooLong => f.write_str("the stream is longer than the given limit"),
            Self::Connection(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start(error) => error.source(),
            Self::Connection(error) => error.source(),
            Self::Io(error) => error.source(),
            Self::BackOff { .. } => None,
        }
    }
}

// The texts of these contain that of the connection's error already, so it is no source of its own.
impl std::error::Error for OpenError {}
impl std::error::Error for WriteError {}
impl std::error::Error for SendError {}
impl std::error::Error for ReadError {}

//! Why a frame cannot be read.

use core::fmt;

use crate::error::TransportError;
use crate::wire::cursor::Truncated;

/// Why a frame cannot be read. Every variant tells the frame's type; see [`frame_type`](Self::frame_type).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The packet ends within the frame. The type is 0 if it ends before the type does.
    Truncated(u64),
    /// No frame has this type.
    UnknownType(u64),
    /// The type is not encoded in the shortest way.
    NonMinimalType(u64),
    /// A field is out of its bounds; the text says which.
    Invalid(u64, &'static str),
    /// A STREAM without data and FIN, or a MSG without data (specification section 7, row 44).
    Empty(u64),
    /// An extension that is unknown here and must not be skipped (specification section 3.9).
    Extension(u64),
}

impl FrameError {
    /// The type of the frame.
    pub const fn frame_type(self) -> u64 {
        match self {
            Self::Truncated(ty)
            | Self::UnknownType(ty)
            | Self::NonMinimalType(ty)
            | Self::Invalid(ty, _)
            | Self::Empty(ty)
            | Self::Extension(ty) => ty,
        }
    }

    /// The code that the connection is closed with.
    pub const fn transport_error(self) -> TransportError {
        match self {
            Self::Empty(_) => TransportError::PROTOCOL_VIOLATION,
            _ => TransportError::FRAME_ENCODING,
        }
    }

    /// A short text for logs and for the reason of the CLOSE frame.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Truncated(_) => "frame is cut off",
            Self::UnknownType(_) => "unknown frame type",
            Self::NonMinimalType(_) => "frame type is not in its shortest form",
            Self::Invalid(_, reason) => reason,
            Self::Empty(_) => "frame carries no data",
            Self::Extension(_) => "unknown mandatory extension frame",
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame type {:#x}: {}", self.frame_type(), self.reason())
    }
}

impl core::error::Error for FrameError {}

/// What is wrong with a frame, seen from inside it: the type is added on the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Truncated,
    Unknown,
    Extension,
    Empty,
    Invalid(&'static str),
}

impl Fault {
    pub(super) const fn in_frame(self, ty: u64) -> FrameError {
        match self {
            Self::Truncated => FrameError::Truncated(ty),
            Self::Unknown => FrameError::UnknownType(ty),
            Self::Extension => FrameError::Extension(ty),
            Self::Empty => FrameError::Empty(ty),
            Self::Invalid(reason) => FrameError::Invalid(ty, reason),
        }
    }
}

impl From<Truncated> for Fault {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

//! The wire image: pure functions over byte slices, without state and without cryptography.
//!
//! Everything a peer can send passes through here first, so nothing in this module indexes, unwraps or allocates by
//! a number that a peer chose. Decoding borrows from the datagram; encoding writes into a slice of the caller.
//!
//! The section numbers in these comments are those of the protocol specification.

pub mod cursor;
pub mod frame;
pub mod header;
pub mod params;
pub mod reset;
pub mod stream_id;
pub mod varint;

#[cfg(test)]
pub(crate) mod testing;

pub use cursor::{Full, Reader, Truncated, Writer};
pub use frame::{Ack, AckRanges, EcnCounts, Frame, FrameError};
pub use header::{Cid, HeaderError, LongHeader, LongType};
pub use params::{Extras, Params, ParamsContext, ParamsError};
pub use stream_id::{StreamId, StreamKind, StreamType};

/// The two ends of a connection: who sent the first packet, and who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The end that opened the connection.
    Client,
    /// The end that was connected to.
    Server,
}

impl Side {
    /// The other end.
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

//! Fragments of a handshake message, as they stand inside a sealed long packet (specification section 2.4).

use super::HeaderError;
use crate::wire::cursor::{Full, Reader, Writer};

/// The most bytes a handshake message can have.
pub const MAX_MESSAGE: usize = 4600;

/// The most fragments a handshake message can be cut into.
pub const MAX_FRAGMENTS: usize = 4;

/// A piece of a handshake message: `u16 total || u16 offset || u16 len || data`, then padding up to the seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// Bytes of the whole message.
    pub total: u16,
    /// Where in the message this piece starts.
    pub offset: u16,
    /// The piece.
    pub data: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Bytes in front of the data.
    pub const HEADER_LEN: usize = 6;

    /// Reads the plaintext of a sealed packet. What follows the data is padding and not looked at.
    ///
    /// Guaranteed of the result: the message has at most [`MAX_MESSAGE`] bytes, the piece is not empty and lies
    /// within the message.
    pub fn decode(plaintext: &'a [u8]) -> Result<Self, HeaderError<'static>> {
        let mut r = Reader::new(plaintext);
        let total = r.u16()?;
        let offset = r.u16()?;
        let len = r.u16()?;
        let data = r.bytes(usize::from(len))?;
        let fits = usize::from(total) <= MAX_MESSAGE && offset.checked_add(len).is_some_and(|end| end <= total);
        if !fits || len == 0 {
            return Err(HeaderError::Fragment);
        }
        Ok(Self { total, offset, data })
    }

    /// Writes the fragment without padding.
    pub fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let len = u16::try_from(self.data.len()).map_err(|_| Full)?;
        if w.remaining() < Self::HEADER_LEN + self.data.len() {
            return Err(Full);
        }
        w.u16(self.total)?;
        w.u16(self.offset)?;
        w.u16(len)?;
        w.bytes(self.data)
    }
}

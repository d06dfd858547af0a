//! The long header of handshake packets (specification section 2.4).

use core::fmt;

use super::cid::Cid;
use super::fragment::MAX_FRAGMENTS;
use super::short::{FIXED_BIT, LONG_BIT};
use super::version::{VERSION, decode_invariants};
use crate::wire::cursor::{Full, Reader, Truncated, Writer};
use crate::wire::{Side, varint};

/// The longest address token a header can carry, in bytes.
pub const MAX_TOKEN: usize = 128;

/// The type of a long packet (specification section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LongType {
    /// CI, the client's handshake message.
    ClientInit = 0,
    /// SI, the server's handshake message.
    ServerInit = 1,
    /// RETRY, the server asks the client to prove its address.
    Retry = 2,
    /// KEYREQ from a client, KEYINFO from a server.
    Key = 3,
}

impl LongType {
    const fn from_first_byte(byte: u8) -> Self {
        match byte >> 4 & 0b11 {
            0 => Self::ClientInit,
            1 => Self::ServerInit,
            2 => Self::Retry,
            _ => Self::Key,
        }
    }

    /// Whether this side sends packets of this type.
    pub const fn is_sent_by(self, side: Side) -> bool {
        match self {
            Self::ClientInit => matches!(side, Side::Client),
            Self::ServerInit | Self::Retry => matches!(side, Side::Server),
            Self::Key => true,
        }
    }
}

/// A long header (specification section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongHeader<'a> {
    /// Who sent the packet. Only headers of clients have a token field.
    pub from: Side,
    /// The type.
    pub ty: LongType,
    /// How many packets the message was cut into, 1 to 4.
    pub count: u8,
    /// Which of them this is, below `count`.
    pub index: u8,
    /// Destination connection id.
    pub dcid: Cid,
    /// Source connection id.
    pub scid: Cid,
    /// Address token, empty if there is none; not on the wire if a server sends.
    pub token: &'a [u8],
    /// Where the sealed payload starts: all bytes before it are authenticated with it.
    pub payload_at: usize,
}

/// Why the header of a packet cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError<'a> {
    /// The datagram ends within the header.
    Truncated,
    /// The first byte is not that of a long header.
    NotLong,
    /// The fixed bit is zero.
    FixedBit,
    /// Another version of the protocol, or version 0: a version negotiation packet. The ids are read by the rules that
    /// hold for every version (RFC 8999).
    Version {
        /// The version field.
        version: u32,
        /// Destination connection id, up to 255 bytes.
        dcid: &'a [u8],
        /// Source connection id, up to 255 bytes.
        scid: &'a [u8],
    },
    /// The sender's side does not send packets of this type.
    Type,
    /// A connection id is longer than [`MAX_CID`](super::MAX_CID).
    CidLength,
    /// The token is longer than [`MAX_TOKEN`].
    TokenLength,
    /// The fragment's number or place is impossible.
    Fragment,
}

impl From<Truncated> for HeaderError<'_> {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

impl fmt::Display for HeaderError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the header is cut off"),
            Self::NotLong => f.write_str("not a long header"),
            Self::FixedBit => f.write_str("the fixed bit is zero"),
            Self::Version { version, .. } => {
                write!(f, "version {version:#010x} is not spoken here")
            }
            Self::Type => f.write_str("a packet type of the other side"),
            Self::CidLength => f.write_str("a connection id is too long"),
            Self::TokenLength => f.write_str("the token is too long"),
            Self::Fragment => f.write_str("the fragment is outside its message"),
        }
    }
}

impl core::error::Error for HeaderError<'_> {}

/// Whether the datagram starts with a long header of any version (RFC 8999).
pub fn is_long(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|byte| byte & LONG_BIT != 0)
}

/// The type in the first byte, if the datagram starts with a long header. Meaningful for this version only.
///
/// For sockets that are client and server at once: what a packet of type [`LongType::Key`] is depends on whom its
/// destination id belongs to (specification section 13.10), so this is asked before [`decode_long`].
pub fn long_type(datagram: &[u8]) -> Option<LongType> {
    let first = datagram.first()?;
    (first & LONG_BIT != 0).then(|| LongType::from_first_byte(*first))
}

/// Reads the header of a long packet that `from` sent.
pub fn decode_long(datagram: &[u8], from: Side) -> Result<LongHeader<'_>, HeaderError<'_>> {
    let first = *datagram.first().ok_or(HeaderError::Truncated)?;
    if first & LONG_BIT == 0 {
        return Err(HeaderError::NotLong);
    }
    let invariants = decode_invariants(datagram).ok_or(HeaderError::Truncated)?;
    if invariants.version != VERSION {
        let (version, dcid, scid) = (invariants.version, invariants.dcid, invariants.scid);
        return Err(HeaderError::Version { version, dcid, scid });
    }
    if first & FIXED_BIT == 0 {
        return Err(HeaderError::FixedBit);
    }
    let ty = LongType::from_first_byte(first);
    if !ty.is_sent_by(from) {
        return Err(HeaderError::Type);
    }
    let count = (first >> 2 & 0b11) + 1;
    let index = first & 0b11;
    if index >= count {
        return Err(HeaderError::Fragment);
    }
    let dcid = Cid::new(invariants.dcid).ok_or(HeaderError::CidLength)?;
    let scid = Cid::new(invariants.scid).ok_or(HeaderError::CidLength)?;
    let mut r = Reader::new(invariants.rest);
    let token = match from {
        Side::Client => decode_token(&mut r)?,
        Side::Server => &[],
    };
    let payload_at = datagram.len() - r.remaining();
    Ok(LongHeader { from, ty, count, index, dcid, scid, token, payload_at })
}

fn decode_token<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], HeaderError<'a>> {
    let len = r.varint()?;
    if len > MAX_TOKEN as u64 {
        return Err(HeaderError::TokenLength);
    }
    Ok(r.bytes(len as usize)?)
}

impl LongHeader<'_> {
    /// Bytes that [`encode`](Self::encode) writes.
    pub const fn encoded_len(&self) -> usize {
        let token = match self.from {
            Side::Client => varint::len(self.token.len() as u64) + self.token.len(),
            Side::Server => 0,
        };
        1 + 4 + 1 + self.dcid.len() + 1 + self.scid.len() + token
    }

    /// Writes the header. `payload_at` is not looked at: the payload starts where the header ends.
    pub fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        debug_assert!(self.count as usize <= MAX_FRAGMENTS && self.index < self.count);
        if w.remaining() < self.encoded_len() {
            return Err(Full);
        }
        let count_bits = self.count.wrapping_sub(1) & 0b11;
        w.u8(LONG_BIT | FIXED_BIT | (self.ty as u8) << 4 | count_bits << 2 | (self.index & 0b11))?;
        w.u32(VERSION)?;
        w.u8(self.dcid.len() as u8)?;
        w.bytes(self.dcid.as_slice())?;
        w.u8(self.scid.len() as u8)?;
        w.bytes(self.scid.as_slice())?;
        match self.from {
            Side::Client => w.length_prefixed(self.token),
            Side::Server => Ok(()),
        }
    }
}

//! Frames that steer the connection (specification section 4).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::decode_sid;
use super::error::Fault;
use crate::wire::cursor::{Full, Reader, Writer};
use crate::wire::header::Cid;
use crate::wire::stream_id::{StreamId, StreamType};

/// Bytes of a reason that are kept and sent; the rest is cut off (specification section 7, row 43).
pub const MAX_REASON: usize = 128;

/// The longest token of a NEW_TOKEN frame, in bytes (specification section 13.9).
pub const MAX_NEW_TOKEN: usize = 64;

/// A CLOSE or CLOSE_APP frame (specification section 3.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// The protocol's code in CLOSE (specification section 4.11), the application's in CLOSE_APP.
    pub error: u64,
    /// In CLOSE the type of the frame that was to blame, 0 if none was; `None` makes it CLOSE_APP.
    pub frame_type: Option<u64>,
    /// Text for people, at most [`MAX_REASON`] bytes, not necessarily UTF-8.
    pub reason: &'a [u8],
}

impl<'a> Close<'a> {
    pub(super) fn decode(r: &mut Reader<'a>, by_application: bool) -> Result<Self, Fault> {
        let error = r.varint()?;
        let frame_type = if by_application { None } else { Some(r.varint()?) };
        let reason = cut(r.length_prefixed()?);
        Ok(Self { error, frame_type, reason })
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.varint(self.error)?;
        if let Some(frame_type) = self.frame_type {
            w.varint(frame_type)?;
        }
        w.length_prefixed(cut(self.reason))
    }
}

fn cut(reason: &[u8]) -> &[u8] {
    reason.get(..MAX_REASON).unwrap_or(reason)
}

/// An ACK_FREQ frame: how often the peer should acknowledge (specification section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckFreq {
    /// The frame with the largest number wins.
    pub seq: u64,
    /// How many ack-eliciting packets may go unacknowledged.
    pub eliciting_threshold: u64,
    /// How long an acknowledgement may wait, in microseconds.
    pub max_ack_delay_us: u64,
    /// How far packets may be out of order before an acknowledgement goes out at once.
    pub reorder_threshold: u64,
}

impl AckFreq {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(Self {
            seq: r.varint()?,
            eliciting_threshold: r.varint()?,
            max_ack_delay_us: r.varint()?,
            reorder_threshold: r.varint()?,
        })
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.varint(self.seq)?;
        w.varint(self.eliciting_threshold)?;
        w.varint(self.max_ack_delay_us)?;
        w.varint(self.reorder_threshold)
    }
}

/// A NEW_CID frame: one more connection id for the peer to use (specification section 3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewCid {
    /// Sequence number of the id.
    pub seq: u64,
    /// Ids with smaller numbers than this are to be given up; at most `seq`.
    pub retire_prior_to: u64,
    /// The id, not empty.
    pub cid: Cid,
    /// The token of a stateless reset for this id.
    pub reset_token: [u8; 16],
}

impl NewCid {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, Fault> {
        let seq = r.varint()?;
        let retire_prior_to = r.varint()?;
        if retire_prior_to > seq {
            return Err(Fault::Invalid("connection id retires itself"));
        }
        let len = usize::from(r.u8()?);
        let cid = Cid::new(r.bytes(len)?).filter(|cid| !cid.is_empty());
        let cid = cid.ok_or(Fault::Invalid("length of a connection id"))?;
        Ok(Self { seq, retire_prior_to, cid, reset_token: r.array()? })
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.varint(self.seq)?;
        w.varint(self.retire_prior_to)?;
        w.u8(self.cid.len() as u8)?;
        w.bytes(self.cid.as_slice())?;
        w.bytes(&self.reset_token)
    }
}

/// A BLOCKED frame: the sender has data and lacks credit (specification section 4.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// By the limit of the connection.
    Data {
        /// The limit that was hit.
        limit: u64,
    },
    /// By the limit of a stream.
    Stream {
        /// The stream.
        sid: StreamId,
        /// The limit that was hit.
        limit: u64,
    },
    /// By the number of streams of a type.
    Streams {
        /// The type.
        ty: StreamType,
        /// The limit that was hit.
        limit: u64,
    },
}

impl Blocked {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, Fault> {
        match r.u8()? {
            0 => {
                // The id has no meaning here, and a field without meaning has one value.
                if r.varint()? != 0 {
                    return Err(Fault::Invalid("id in a BLOCKED frame for the connection"));
                }
                Ok(Self::Data { limit: r.varint()? })
            }
            1 => Ok(Self::Stream { sid: decode_sid(r)?, limit: r.varint()? }),
            2 => {
                let number = r.varint()?;
                let (ty, limit) = decode_stream_limit(number, r)?;
                Ok(Self::Streams { ty, limit })
            }
            _ => Err(Fault::Invalid("kind of a BLOCKED frame")),
        }
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let (kind, id, limit) = match self {
            Self::Data { limit } => (0, 0, limit),
            Self::Stream { sid, limit } => (1, sid.as_u64(), limit),
            Self::Streams { ty, limit } => (2, u64::from(ty.as_u8()), limit),
        };
        w.u8(kind)?;
        w.varint(id)?;
        w.varint(*limit)
    }
}

/// Reads a number of streams for the type with this number.
pub(super) fn decode_stream_limit(number: u64, r: &mut Reader<'_>) -> Result<(StreamType, u64), Fault> {
    let ty = u8::try_from(number).ok().and_then(StreamType::new).ok_or(Fault::Invalid("stream type"))?;
    let limit = r.varint()?;
    if limit > StreamType::MAX_STREAMS {
        return Err(Fault::Invalid("more streams than there are ids"));
    }
    Ok((ty, limit))
}

pub(super) fn decode_new_token<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], Fault> {
    let token = r.length_prefixed()?;
    if token.is_empty() || token.len() > MAX_NEW_TOKEN {
        return Err(Fault::Invalid("length of a token"));
    }
    Ok(token)
}

/// Reads `u8 4 or 6, ip, u16 port`.
pub(super) fn decode_addr(r: &mut Reader<'_>) -> Result<SocketAddr, Fault> {
    let ip = match r.u8()? {
        4 => IpAddr::V4(Ipv4Addr::from(r.array::<4>()?)),
        6 => IpAddr::V6(Ipv6Addr::from(r.array::<16>()?)),
        _ => return Err(Fault::Invalid("address family")),
    };
    Ok(SocketAddr::new(ip, r.u16()?))
}

/// Scope and flow label of an IPv6 address mean nothing to the peer and stay behind.
pub(super) fn encode_addr(addr: &SocketAddr, w: &mut Writer<'_>) -> Result<(), Full> {
    match addr.ip() {
        IpAddr::V4(ip) => {
            w.u8(4)?;
            w.bytes(&ip.octets())?;
        }
        IpAddr::V6(ip) => {
            w.u8(6)?;
            w.bytes(&ip.octets())?;
        }
    }
    w.u16(addr.port())
}

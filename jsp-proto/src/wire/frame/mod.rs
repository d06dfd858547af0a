//! Frames, the content of packets (specification section 4).
//!
//! A frame borrows from the packet it was read from. Reading is cheap, because every packet is read twice: once to
//! decide whether it may act, once to act.

mod ack;
mod control;
mod error;
mod parity;
mod stream;
#[cfg(test)]
mod tests;
pub mod types;

use core::net::SocketAddr;

use ack::decode_ranges;
pub use ack::{Ack, AckRanges, EcnCounts, MAX_RANGES_PARSED, MAX_RANGES_SENT, RangeIter, write_ack, write_recovered};
pub use control::{AckFreq, Blocked, Close, MAX_NEW_TOKEN, MAX_REASON, NewCid};
use error::Fault;
pub use error::FrameError;
pub use parity::{MAX_PARITY_HEADER, MAX_SPAN, MAX_SYMBOLS, Parity};
pub use stream::{Msg, ResetStream, Stream, msg_header_len, stream_header_len, write_msg, write_stream};

use super::cursor::{Full, Reader, Writer};
use super::stream_id::{StreamId, StreamType};
use super::varint;

/// One frame (specification section 4). Absent fields and bounds are checked when it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// PADDING: a run of `len` padding bytes.
    Padding {
        /// Bytes of the run, at least 1.
        len: usize,
    },
    /// PING.
    Ping,
    /// ACK or ACK_ECN.
    Ack(Ack<'a>),
    /// PARAMS: the server's parameters, still encoded (specification section 4.10).
    Params(&'a [u8]),
    /// HANDSHAKE_DONE.
    HandshakeDone,
    /// NEW_TOKEN: an address token for a later connection.
    NewToken(&'a [u8]),
    /// CLOSE or CLOSE_APP.
    Close(Close<'a>),
    /// IMMEDIATE_ACK.
    ImmediateAck,
    /// ACK_FREQ.
    AckFreq(AckFreq),
    /// OBSERVED_ADDR: the address the peer sees us at.
    ObservedAddr {
        /// Grows with every change.
        seq: u64,
        /// The address.
        addr: SocketAddr,
    },
    /// PATH_CHALLENGE.
    PathChallenge([u8; 8]),
    /// PATH_RESPONSE.
    PathResponse([u8; 8]),
    /// NEW_CID.
    NewCid(NewCid),
    /// RETIRE_CID.
    RetireCid {
        /// Sequence number of the id that is not used any more.
        seq: u64,
    },
    /// STREAM: bytes of a byte stream.
    Stream(Stream<'a>),
    /// RESET_STREAM.
    ResetStream(ResetStream),
    /// STOP_SENDING.
    StopSending {
        /// The stream.
        sid: StreamId,
        /// The application's reason.
        code: u64,
    },
    /// SKIP: bytes below `offset` that are missing will never come (specification section 4.5).
    Skip {
        /// The stream.
        sid: StreamId,
        /// The first offset that is not given up.
        offset: u64,
    },
    /// MAX_DATA: credit for all streams together.
    MaxData {
        /// The new limit.
        limit: u64,
    },
    /// MAX_STREAM_DATA: credit for one stream.
    MaxStreamData {
        /// The stream.
        sid: StreamId,
        /// The new limit.
        limit: u64,
    },
    /// MAX_STREAMS: how many streams of a type may be opened altogether.
    MaxStreams {
        /// The type.
        ty: StreamType,
        /// The new limit.
        limit: u64,
    },
    /// BLOCKED.
    Blocked(Blocked),
    /// STREAM_PRIORITY: opens a stream, and hints at its urgency.
    StreamPriority {
        /// The stream.
        sid: StreamId,
        /// Higher is more urgent.
        priority: u8,
    },
    /// MSG: bytes of a message stream.
    Msg(Msg<'a>),
    /// PARITY: a parity symbol (specification section 5.3).
    Parity(Parity<'a>),
    /// RECOVERED: packets that were repaired, not received.
    Recovered(AckRanges<'a>),
    /// A frame of an extension that is unknown here and may be skipped (specification section 3.9).
    Extension {
        /// The type, odd and at least 0x40.
        ty: u64,
        /// The content.
        body: &'a [u8],
    },
}

impl<'a> Frame<'a> {
    /// Whether the frame concerns streams or their credit.
    pub fn is_stream_frame(&self) -> bool {
        matches!(
            self,
            Self::Stream(_)
                | Self::Msg(_)
                | Self::ResetStream(_)
                | Self::StopSending { .. }
                | Self::Skip { .. }
                | Self::MaxData { .. }
                | Self::MaxStreamData { .. }
                | Self::MaxStreams { .. }
                | Self::Blocked(_)
                | Self::StreamPriority { .. }
        )
    }

    /// Reads one frame. After an error the reader's place means nothing.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, FrameError> {
        let ty = decode_type(r)?;
        Self::decode_body(ty, r).map_err(|fault| fault.in_frame(ty))
    }

    fn decode_body(ty: u64, r: &mut Reader<'a>) -> Result<Self, Fault> {
        Ok(match ty {
            types::PADDING => Self::Padding { len: r.skip_zeros() + 1 },
            types::PING => Self::Ping,
            types::ACK => Self::Ack(Ack::decode(r, false)?),
            types::ACK_ECN => Self::Ack(Ack::decode(r, true)?),
            types::PARAMS => Self::Params(r.length_prefixed()?),
            types::HANDSHAKE_DONE => Self::HandshakeDone,
            types::NEW_TOKEN => Self::NewToken(control::decode_new_token(r)?),
            types::CLOSE => Self::Close(Close::decode(r, false)?),
            types::CLOSE_APP => Self::Close(Close::decode(r, true)?),
            types::IMMEDIATE_ACK => Self::ImmediateAck,
            types::ACK_FREQ => Self::AckFreq(AckFreq::decode(r)?),
            types::OBSERVED_ADDR => Self::ObservedAddr { seq: r.varint()?, addr: control::decode_addr(r)? },
            types::PATH_CHALLENGE => Self::PathChallenge(r.array()?),
            types::PATH_RESPONSE => Self::PathResponse(r.array()?),
            types::NEW_CID => Self::NewCid(NewCid::decode(r)?),
            types::RETIRE_CID => Self::RetireCid { seq: r.varint()? },
            types::STREAM..=types::STREAM_LAST => Self::Stream(Stream::decode(ty, r)?),
            types::RESET_STREAM => Self::ResetStream(ResetStream::decode(r)?),
            types::STOP_SENDING => Self::StopSending { sid: decode_sid(r)?, code: r.varint()? },
            types::SKIP => Self::Skip { sid: decode_sid(r)?, offset: r.varint()? },
            types::MAX_DATA => Self::MaxData { limit: r.varint()? },
            types::MAX_STREAM_DATA => Self::MaxStreamData { sid: decode_sid(r)?, limit: r.varint()? },
            types::MAX_STREAMS => {
                let (ty, limit) = control::decode_stream_limit(r.u8()?.into(), r)?;
                Self::MaxStreams { ty, limit }
            }
            types::BLOCKED => Self::Blocked(Blocked::decode(r)?),
            types::STREAM_PRIORITY => Self::StreamPriority { sid: decode_sid(r)?, priority: r.u8()? },
            types::MSG..=types::MSG_LAST => Self::Msg(Msg::decode(ty, r)?),
            types::PARITY => Self::Parity(Parity::decode(r)?),
            types::RECOVERED => Self::Recovered(decode_ranges(r)?),
            types::EXTENSION.. => {
                if ty.is_multiple_of(2) {
                    return Err(Fault::Extension);
                }
                Self::Extension { ty, body: r.length_prefixed()? }
            }
            _ => return Err(Fault::Unknown),
        })
    }

    /// Writes the frame, or nothing of it if it does not fit.
    pub fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let start = w.position();
        self.encode_parts(w).inspect_err(|Full| w.truncate(start))
    }

    fn encode_parts(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        // These write their type themselves.
        match self {
            Self::Padding { len } => return w.zeros(*len),
            Self::Ack(ack) => return ack.encode(w),
            Self::Stream(stream) => return stream.encode(w),
            Self::Msg(msg) => return msg.encode(w),
            _ => w.varint(self.type_code())?,
        }
        match self {
            Self::Padding { .. } | Self::Ack(_) | Self::Stream(_) | Self::Msg(_) => Ok(()),
            Self::Ping | Self::HandshakeDone | Self::ImmediateAck => Ok(()),
            Self::Params(body) | Self::NewToken(body) | Self::Extension { body, .. } => w.length_prefixed(body),
            Self::Close(close) => close.encode(w),
            Self::AckFreq(ack_freq) => ack_freq.encode(w),
            Self::ObservedAddr { seq, addr } => {
                w.varint(*seq)?;
                control::encode_addr(addr, w)
            }
            Self::PathChallenge(data) | Self::PathResponse(data) => w.bytes(data),
            Self::NewCid(new_cid) => new_cid.encode(w),
            Self::RetireCid { seq: value } | Self::MaxData { limit: value } => w.varint(*value),
            Self::ResetStream(reset) => reset.encode(w),
            Self::StopSending { sid, code: value }
            | Self::Skip { sid, offset: value }
            | Self::MaxStreamData { sid, limit: value } => {
                w.varint(sid.as_u64())?;
                w.varint(*value)
            }
            Self::MaxStreams { ty, limit } => {
                w.u8(ty.as_u8())?;
                w.varint(*limit)
            }
            Self::Blocked(blocked) => blocked.encode(w),
            Self::StreamPriority { sid, priority } => {
                w.varint(sid.as_u64())?;
                w.u8(*priority)
            }
            Self::Parity(parity) => parity.encode(w),
            Self::Recovered(ranges) => ranges.encode(w),
        }
    }

    /// The type on the wire, with the flag bits of STREAM and MSG as [`encode`](Self::encode) writes them.
    pub fn type_code(&self) -> u64 {
        match self {
            Self::Padding { .. } => types::PADDING,
            Self::Ping => types::PING,
            Self::Ack(ack) if ack.ecn.is_some() => types::ACK_ECN,
            Self::Ack(_) => types::ACK,
            Self::Params(_) => types::PARAMS,
            Self::HandshakeDone => types::HANDSHAKE_DONE,
            Self::NewToken(_) => types::NEW_TOKEN,
            Self::Close(close) if close.frame_type.is_some() => types::CLOSE,
            Self::Close(_) => types::CLOSE_APP,
            Self::ImmediateAck => types::IMMEDIATE_ACK,
            Self::AckFreq(_) => types::ACK_FREQ,
            Self::ObservedAddr { .. } => types::OBSERVED_ADDR,
            Self::PathChallenge(_) => types::PATH_CHALLENGE,
            Self::PathResponse(_) => types::PATH_RESPONSE,
            Self::NewCid(_) => types::NEW_CID,
            Self::RetireCid { .. } => types::RETIRE_CID,
            Self::Stream(stream) => stream.type_code(),
            Self::ResetStream(_) => types::RESET_STREAM,
            Self::StopSending { .. } => types::STOP_SENDING,
            Self::Skip { .. } => types::SKIP,
            Self::MaxData { .. } => types::MAX_DATA,
            Self::MaxStreamData { .. } => types::MAX_STREAM_DATA,
            Self::MaxStreams { .. } => types::MAX_STREAMS,
            Self::Blocked(_) => types::BLOCKED,
            Self::StreamPriority { .. } => types::STREAM_PRIORITY,
            Self::Msg(msg) => msg.type_code(),
            Self::Parity(_) => types::PARITY,
            Self::Recovered(_) => types::RECOVERED,
            Self::Extension { ty, .. } => *ty,
        }
    }

    /// Whether the peer has to acknowledge a packet with this frame (specification section 4, column AE).
    pub const fn is_ack_eliciting(&self) -> bool {
        !matches!(self, Self::Padding { .. } | Self::Ack(_) | Self::Close(_) | Self::Recovered(_))
    }

    /// Whether a packet with nothing but such frames says no more than that a path is tried (RFC 9000 section 9.1).
    pub const fn is_about_paths(&self) -> bool {
        matches!(self, Self::Padding { .. } | Self::PathChallenge(_) | Self::PathResponse(_) | Self::NewCid(_))
    }

    /// Whether the frame acts when its packet was repaired and not received (specification section 4, column FEC).
    pub const fn acts_when_recovered(&self) -> bool {
        match self {
            Self::Params(_)
            | Self::HandshakeDone
            | Self::NewToken(_)
            | Self::AckFreq(_)
            | Self::NewCid(_)
            | Self::RetireCid { .. }
            | Self::Stream(_)
            | Self::ResetStream(_)
            | Self::StopSending { .. }
            | Self::Skip { .. }
            | Self::MaxData { .. }
            | Self::MaxStreamData { .. }
            | Self::MaxStreams { .. }
            | Self::Blocked(_)
            | Self::StreamPriority { .. }
            | Self::Msg(_) => true,
            Self::Padding { .. }
            | Self::Ping
            | Self::Ack(_)
            | Self::Close(_)
            | Self::ImmediateAck
            | Self::ObservedAddr { .. }
            | Self::PathChallenge(_)
            | Self::PathResponse(_)
            | Self::Parity(_)
            | Self::Recovered(_)
            | Self::Extension { .. } => false,
        }
    }
}

/// Frame types alone must be encoded in the shortest way (specification section 4).
fn decode_type(r: &mut Reader<'_>) -> Result<u64, FrameError> {
    let before = r.remaining();
    let ty = r.varint().map_err(|_| FrameError::Truncated(0))?;
    if before - r.remaining() != varint::len(ty) {
        return Err(FrameError::NonMinimalType(ty));
    }
    Ok(ty)
}

fn decode_sid(r: &mut Reader<'_>) -> Result<StreamId, Fault> {
    Ok(StreamId::from_wire(r.varint()?))
}

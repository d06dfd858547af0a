//! Frames of draft-ietf-quic-qlog-quic-events-04, and those of our own.

use std::string::String;

use serde_json::{Value, json};

use super::events::set;
use super::hex;
use crate::wire::frame::{Ack, AckRanges, Blocked, Close};
use crate::wire::{Frame, StreamType};

/// What acknowledgement delays count in, in milliseconds (specification section 4.1).
const DELAY_UNIT: f64 = 0.008;

pub(super) fn frame(frame: &Frame<'_>) -> Value {
    match frame {
        Frame::Padding { len } => json!({ "frame_type": "padding", "length": len, "payload_length": len }),
        Frame::Ping => json!({ "frame_type": "ping" }),
        Frame::Ack(frame) => ack(frame),
        Frame::HandshakeDone => json!({ "frame_type": "handshake_done" }),
        Frame::NewToken(token) => json!({ "frame_type": "new_token", "token": { "raw": { "length": token.len() } } }),
        Frame::Close(frame) => close(frame),
        Frame::PathChallenge(data) => json!({ "frame_type": "path_challenge", "data": hex(data) }),
        Frame::PathResponse(data) => json!({ "frame_type": "path_response", "data": hex(data) }),
        Frame::NewCid(new) => json!({
            "frame_type": "new_connection_id",
            "sequence_number": new.seq,
            "retire_prior_to": new.retire_prior_to,
            "connection_id": hex(new.cid.as_slice()),
        }),
        Frame::RetireCid { seq } => json!({ "frame_type": "retire_connection_id", "sequence_number": seq }),
        Frame::Stream(stream) => {
            let mut data = json!({
                "frame_type": "stream",
                "stream_id": stream.sid.as_u64(),
                "offset": stream.offset,
                "length": stream.data.len(),
            });
            if stream.fin {
                set(&mut data, "fin", true.into());
            }
            data
        }
        Frame::ResetStream(reset) => json!({
            "frame_type": "reset_stream",
            "stream_id": reset.sid.as_u64(),
            "error_code": short(reset.code),
            "final_size": reset.final_size,
        }),
        Frame::StopSending { sid, code } => {
            json!({ "frame_type": "stop_sending", "stream_id": sid.as_u64(), "error_code": short(*code) })
        }
        Frame::MaxData { limit } => json!({ "frame_type": "max_data", "maximum": limit }),
        Frame::MaxStreamData { sid, limit } => {
            json!({ "frame_type": "max_stream_data", "stream_id": sid.as_u64(), "maximum": limit })
        }
        Frame::MaxStreams { ty, limit } => {
            json!({ "frame_type": "max_streams", "stream_type": direction(*ty), "maximum": limit })
        }
        Frame::Blocked(frame) => blocked(frame),
        own => of_our_own(own),
    }
}

/// Frames that QUIC does not have.
fn of_our_own(frame: &Frame<'_>) -> Value {
    match frame {
        Frame::Params(params) => json!({ "frame_type": "jsp:params", "length": params.len() }),
        Frame::ImmediateAck => json!({ "frame_type": "jsp:immediate_ack" }),
        Frame::AckFreq(frame) => json!({ "frame_type": "jsp:ack_freq", "sequence_number": frame.seq }),
        Frame::ObservedAddr { seq, .. } => json!({ "frame_type": "jsp:observed_addr", "sequence_number": seq }),
        Frame::Skip { sid, offset } => {
            json!({ "frame_type": "jsp:skip", "stream_id": sid.as_u64(), "offset": offset })
        }
        Frame::StreamPriority { sid, priority } => {
            json!({ "frame_type": "jsp:stream_priority", "stream_id": sid.as_u64(), "priority": priority })
        }
        Frame::Msg(msg) => json!({
            "frame_type": "jsp:msg",
            "stream_id": msg.sid.as_u64(),
            "offset": msg.offset,
            "length": msg.data.len(),
            "begin": msg.bom,
            "end": msg.eom,
            "compressed": msg.bom && msg.compressed,
        }),
        Frame::Parity(parity) => json!({
            "frame_type": "jsp:parity",
            "back": parity.back,
            "span": parity.span,
            "sources": parity.mask.count_ones(),
            "index": parity.index,
            "class": parity.class,
        }),
        Frame::Recovered(repaired) => json!({ "frame_type": "jsp:recovered", "ranges": ranges(repaired) }),
        other => json!({ "frame_type": "unknown", "frame_type_value": other.type_code() }),
    }
}

fn ack(ack: &Ack<'_>) -> Value {
    let mut data = json!({
        "frame_type": "ack",
        "ack_delay": ack.delay as f64 * DELAY_UNIT,
        "acked_ranges": ranges(&ack.ranges),
    });
    if let Some(counts) = ack.ecn {
        set(&mut data, "ect0", counts.ect0.into());
        set(&mut data, "ect1", counts.ect1.into());
        set(&mut data, "ce", counts.ce.into());
    }
    data
}

/// The schema has 32 bits for codes of applications.
fn short(code: u64) -> u32 {
    u32::try_from(code).unwrap_or(u32::MAX)
}

/// Each as its first and last number, from below.
fn ranges(ranges: &AckRanges<'_>) -> Value {
    let mut list: std::vec::Vec<Value> = ranges.iter().map(|range| json!([range.start(), range.end()])).collect();
    list.reverse();
    list.into()
}

fn close(close: &Close<'_>) -> Value {
    let space = if close.frame_type.is_some() { "transport" } else { "application" };
    let mut data = json!({
        "frame_type": "connection_close",
        "error_space": space,
        "error_code_value": close.error,
        "reason": String::from_utf8_lossy(close.reason),
    });
    if let Some(ty) = close.frame_type {
        set(&mut data, "trigger_frame_type", ty.into());
    }
    data
}

fn blocked(blocked: &Blocked) -> Value {
    match blocked {
        Blocked::Data { limit } => json!({ "frame_type": "data_blocked", "limit": limit }),
        Blocked::Stream { sid, limit } => {
            json!({ "frame_type": "stream_data_blocked", "stream_id": sid.as_u64(), "limit": limit })
        }
        Blocked::Streams { ty, limit } => {
            json!({ "frame_type": "streams_blocked", "stream_type": direction(*ty), "limit": limit })
        }
    }
}

const fn direction(ty: StreamType) -> &'static str {
    if ty.is_uni() { "unidirectional" } else { "bidirectional" }
}

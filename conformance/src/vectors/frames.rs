//! Frames (specification section 4).

use jsp_proto::wire::frame::{Ack, AckRanges, Blocked, Close, Parity};
use jsp_proto::wire::{Frame, FrameError, Reader};
use serde_json::{Value, json};

use super::value::{Computed, Inputs, hex, number, written};
use super::wire::add_canonical;

/// `bytes` are one frame and nothing after it.
pub(super) fn frame(inputs: &Inputs<'_>) -> Computed {
    let bytes = inputs.bytes("bytes")?;
    let mut reader = Reader::new(&bytes);
    let frame = match Frame::decode(&mut reader) {
        Ok(frame) => frame,
        Err(error) => return Ok(refusal(error)),
    };
    if !reader.is_empty() {
        return Err(format!("{} bytes follow the frame", reader.remaining()));
    }
    let mut expected = fields(&frame);
    expected["type"] = number(Reader::new(&bytes).varint().map_err(|error| error.to_string())?);
    expected["ack_eliciting"] = json!(frame.is_ack_eliciting());
    expected["acts_when_repaired"] = json!(frame.acts_when_recovered());
    let again = written(|w| frame.encode(w))?;
    if Frame::decode(&mut Reader::new(&again)) != Ok(frame) {
        return Err("it is read differently once it is written again".into());
    }
    add_canonical(&mut expected, &bytes, &again);
    Ok(expected)
}

fn refusal(error: FrameError) -> Value {
    let name = match error {
        FrameError::Truncated(_) => "truncated",
        FrameError::UnknownType(_) => "unknown_type",
        FrameError::NonMinimalType(_) => "non_minimal_type",
        FrameError::Invalid(..) => "invalid",
        FrameError::Empty(_) => "empty",
        FrameError::Extension(_) => "extension",
    };
    let close = error.transport_error().code();
    json!({ "error": name, "frame_type": number(error.frame_type()), "close_code": close })
}

fn fields(frame: &Frame<'_>) -> Value {
    match frame {
        Frame::Padding { len } => json!({ "frame": "PADDING", "length": len }),
        Frame::Ping => json!({ "frame": "PING" }),
        Frame::Ack(ack) => acknowledgement(ack),
        Frame::Params(params) => json!({ "frame": "PARAMS", "parameters": hex(params) }),
        Frame::HandshakeDone => json!({ "frame": "HANDSHAKE_DONE" }),
        Frame::NewToken(token) => json!({ "frame": "NEW_TOKEN", "token": hex(token) }),
        Frame::Close(close) => closing(close),
        Frame::ImmediateAck => json!({ "frame": "IMMEDIATE_ACK" }),
        Frame::AckFreq(frequency) => json!({
            "frame": "ACK_FREQ",
            "seq": number(frequency.seq),
            "eliciting_threshold": number(frequency.eliciting_threshold),
            "max_ack_delay_us": number(frequency.max_ack_delay_us),
            "reorder_threshold": number(frequency.reorder_threshold),
        }),
        Frame::ObservedAddr { seq, addr } => {
            json!({ "frame": "OBSERVED_ADDR", "seq": number(*seq), "address": addr.to_string() })
        }
        Frame::PathChallenge(data) => json!({ "frame": "PATH_CHALLENGE", "data": hex(data) }),
        Frame::PathResponse(data) => json!({ "frame": "PATH_RESPONSE", "data": hex(data) }),
        Frame::NewCid(new) => json!({
            "frame": "NEW_CID",
            "seq": number(new.seq),
            "retire_prior_to": number(new.retire_prior_to),
            "cid": hex(new.cid.as_slice()),
            "reset_token": hex(&new.reset_token),
        }),
        Frame::RetireCid { seq } => json!({ "frame": "RETIRE_CID", "seq": number(*seq) }),
        Frame::Parity(parity) => parity_fields(parity),
        Frame::Recovered(recovered) => json!({ "frame": "RECOVERED", "ranges": ranges(recovered) }),
        Frame::Extension { body, .. } => json!({ "frame": "extension", "body": hex(body) }),
        _ => stream_fields(frame),
    }
}

fn stream_fields(frame: &Frame<'_>) -> Value {
    match frame {
        Frame::Stream(stream) => json!({
            "frame": "STREAM",
            "sid": number(stream.sid.as_u64()),
            "offset": number(stream.offset),
            "fin": stream.fin,
            "data": hex(stream.data),
        }),
        Frame::Msg(msg) => json!({
            "frame": "MSG",
            "sid": number(msg.sid.as_u64()),
            "offset": number(msg.offset),
            "bom": msg.bom,
            "eom": msg.eom,
            "compressed": msg.compressed,
            "data": hex(msg.data),
        }),
        Frame::ResetStream(reset) => json!({
            "frame": "RESET_STREAM",
            "sid": number(reset.sid.as_u64()),
            "code": number(reset.code),
            "final_size": number(reset.final_size),
            "reliable_size": number(reset.reliable_size),
        }),
        Frame::StopSending { sid, code } => {
            json!({ "frame": "STOP_SENDING", "sid": number(sid.as_u64()), "code": number(*code) })
        }
        Frame::Skip { sid, offset } => {
            json!({ "frame": "SKIP", "sid": number(sid.as_u64()), "offset": number(*offset) })
        }
        Frame::MaxData { limit } => json!({ "frame": "MAX_DATA", "limit": number(*limit) }),
        Frame::MaxStreamData { sid, limit } => {
            json!({ "frame": "MAX_STREAM_DATA", "sid": number(sid.as_u64()), "limit": number(*limit) })
        }
        Frame::MaxStreams { ty, limit } => {
            json!({ "frame": "MAX_STREAMS", "stream_type": ty.as_u8(), "limit": number(*limit) })
        }
        Frame::Blocked(Blocked::Data { limit }) => {
            json!({ "frame": "BLOCKED", "by": "data", "limit": number(*limit) })
        }
        Frame::Blocked(Blocked::Stream { sid, limit }) => {
            json!({ "frame": "BLOCKED", "by": "stream", "sid": number(sid.as_u64()), "limit": number(*limit) })
        }
        Frame::Blocked(Blocked::Streams { ty, limit }) => {
            json!({ "frame": "BLOCKED", "by": "streams", "stream_type": ty.as_u8(), "limit": number(*limit) })
        }
        Frame::StreamPriority { sid, priority } => {
            json!({ "frame": "STREAM_PRIORITY", "sid": number(sid.as_u64()), "priority": priority })
        }
        _ => unreachable!("not about streams"),
    }
}

fn ranges(ranges: &AckRanges<'_>) -> Vec<Value> {
    ranges.iter().map(|range| json!([number(*range.start()), number(*range.end())])).collect()
}

fn acknowledgement(ack: &Ack<'_>) -> Value {
    let mut fields = json!({ "frame": "ACK", "delay": number(ack.delay), "ranges": ranges(&ack.ranges) });
    if let Some(counts) = ack.ecn {
        fields["frame"] = json!("ACK_ECN");
        fields["ecn"] = json!([number(counts.ect0), number(counts.ect1), number(counts.ce)]);
    }
    fields
}

fn closing(close: &Close<'_>) -> Value {
    let mut fields = json!({ "frame": "CLOSE_APP", "code": number(close.error), "reason": hex(close.reason) });
    if let Some(ty) = close.frame_type {
        fields["frame"] = json!("CLOSE");
        fields["frame_type"] = number(ty);
    }
    fields
}

/// `sources` are the places of the packets in the block's span.
fn parity_fields(parity: &Parity<'_>) -> Value {
    let sources: Vec<_> = (0..parity.span).filter(|place| parity.mask >> place & 1 == 1).collect();
    json!({
        "frame": "PARITY",
        "back": number(parity.back),
        "span": parity.span,
        "sources": sources,
        "j": parity.index,
        "class": parity.class,
        "r": parity.planned,
        "symbol": hex(parity.symbol),
    })
}

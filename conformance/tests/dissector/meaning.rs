//! What packets mean, as JSON; `conformance/vectors/trace/README.md` says how it is to be read.

use std::collections::VecDeque;
use std::net::IpAddr;

use jsp_proto::Side;
use jsp_proto::internals::crypto::{InitialKeys, KeyId};
use jsp_proto::internals::wire::frame::{Blocked, Msg, Parity, Stream};
use jsp_proto::internals::wire::header::{Fragment, decode_long};
use jsp_proto::internals::wire::{AckRanges, Frame, FrameError, LongHeader, LongType, Reader};
use jsp_proto::observe::Packet;
use serde_json::{Map, Value, json};

use crate::session::{Datagram, key};

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("digits");
    (0..text.len()).step_by(2).map(digit).collect()
}

/// The frames of a plaintext.
pub(crate) fn of_plaintext(bytes: &[u8]) -> Result<Vec<Value>, FrameError> {
    let mut reader = Reader::new(bytes);
    let mut all = Vec::new();
    while !reader.is_empty() {
        all.push(of_frame(&Frame::decode(&mut reader)?));
    }
    Ok(all)
}

/// A packet with frames, as far as its sender's observer knows it.
pub(crate) fn of_packet(packet: &Packet<'_>) -> Value {
    json!({
        "type": "1-RTT",
        "number": packet.number,
        "phase": u8::from(packet.key_phase),
        "fec": packet.coded,
        "frames": packet.frames.iter().map(|frame| of_frame(&frame)).collect::<Vec<_>>(),
    })
}

/// All datagrams in the order in which they were sent; `sent` are the packets with frames of the client and the server.
pub(crate) fn of_session(datagrams: &[Datagram], mut sent: [VecDeque<Value>; 2]) -> Vec<Value> {
    let mut phases = [0u64; 2];
    let mut dcids: Vec<Vec<u8>> = Vec::new();
    let meaning = datagrams.iter().map(|datagram| {
        let side = usize::from(datagram.sender == Side::Server);
        let mut packet = if datagram.bytes[0] & 0x80 != 0 {
            of_long(datagram, &mut dcids)
        } else {
            let mut packet = sent[side].pop_front().expect("the sender knows of it");
            // The bit is all that is sent; the phase counts.
            if packet["phase"] != phases[side] % 2 {
                phases[side] += 1;
            }
            packet["phase"] = phases[side].into();
            packet["dcid"] = hex(&datagram.bytes[1..9]).into();
            packet
        };
        packet["sender"] = if datagram.sender == Side::Client { "client" } else { "server" }.into();
        let nanos = datagram.at.as_nanos();
        let mut line = json!({
            "time": format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000),
            "from": datagram.from.to_string(),
            "to": datagram.to.to_string(),
            "packet": packet,
        });
        if datagram.lost {
            line["lost"] = true.into();
        }
        line
    });
    let meaning = meaning.collect();
    assert!(sent.iter().all(VecDeque::is_empty), "packets that were sealed and not sent");
    meaning
}

/// A packet of the handshake. `dcids` are the ids to which the client has sent such packets so far.
fn of_long(datagram: &Datagram, dcids: &mut Vec<Vec<u8>>) -> Value {
    let header = decode_long(&datagram.bytes, datagram.sender).expect("a long header");
    let ty = match (header.ty, datagram.sender) {
        (LongType::ClientInit, _) => "CI",
        (LongType::ServerInit, _) => "SI",
        (LongType::Retry, _) => "RETRY",
        (LongType::Key, Side::Client) => "KEYREQ",
        (LongType::Key, Side::Server) => "KEYINFO",
    };
    let mut packet = json!({
        "type": ty,
        "count": header.count,
        "index": header.index,
        "dcid": hex(header.dcid.as_slice()),
        "scid": hex(header.scid.as_slice()),
    });
    if datagram.sender == Side::Client {
        packet["token"] = hex(header.token).into();
        dcids.push(header.dcid.as_slice().to_vec());
    }
    let plain = unseal(&header, datagram, dcids);
    if ty == "KEYREQ" {
        assert!(plain.iter().all(|byte| *byte == 0), "padding");
    } else if header.ty == LongType::Retry {
        packet["retry_token"] = hex(&plain).into();
    } else {
        let fragment = Fragment::decode(&plain).expect("a fragment");
        let (total, offset) = (fragment.total, fragment.offset);
        packet["fragment"] = json!({ "total": total, "offset": offset, "data": hex(fragment.data) });
    }
    packet
}

fn unseal(header: &LongHeader<'_>, datagram: &Datagram, dcids: &[Vec<u8>]) -> Vec<u8> {
    let key_id: KeyId = key().public().key_id();
    let open = |dcid: &Vec<u8>| {
        let keys = InitialKeys::new(&key_id, dcid);
        let key = match datagram.sender {
            Side::Client => keys.client(header.ty),
            Side::Server => keys.server(header.ty, header.scid.as_slice()),
        };
        let mut bytes = datagram.bytes.clone();
        key.open_datagram(header.index, &mut bytes, header.payload_at).ok().map(|plain| plain.to_vec())
    };
    dcids.iter().rev().find_map(open).expect("sealed under the server's key id")
}

fn of_frame(frame: &Frame<'_>) -> Value {
    let (ty, value) = match frame {
        Frame::Padding { len } => ("PADDING", json!({ "len": len })),
        Frame::Ping => ("PING", json!({})),
        Frame::Ack(ack) => {
            let mut value = ranges(&ack.ranges);
            value["delay"] = ack.delay.into();
            if let Some(ecn) = ack.ecn {
                value["ect0"] = ecn.ect0.into();
                value["ect1"] = ecn.ect1.into();
                value["ce"] = ecn.ce.into();
            }
            (if ack.ecn.is_some() { "ACK_ECN" } else { "ACK" }, value)
        }
        Frame::Params(body) => ("PARAMS", json!({ "params": hex(body) })),
        Frame::HandshakeDone => ("HANDSHAKE_DONE", json!({})),
        Frame::NewToken(token) => ("NEW_TOKEN", json!({ "token": hex(token) })),
        Frame::Close(close) => {
            let mut value = json!({ "error": close.error, "reason": hex(close.reason) });
            if let Some(frame_type) = close.frame_type {
                value["frame_type"] = frame_type.into();
            }
            (if close.frame_type.is_some() { "CLOSE" } else { "CLOSE_APP" }, value)
        }
        Frame::ImmediateAck => ("IMMEDIATE_ACK", json!({})),
        Frame::AckFreq(freq) => {
            let value = json!({
                "seq": freq.seq,
                "eliciting_threshold": freq.eliciting_threshold,
                "max_ack_delay_us": freq.max_ack_delay_us,
                "reorder_threshold": freq.reorder_threshold,
            });
            ("ACK_FREQ", value)
        }
        Frame::ObservedAddr { seq, addr } => {
            // The dissector does not shorten zeros.
            let ip = match addr.ip() {
                IpAddr::V6(ip) => ip.segments().map(|part| format!("{part:x}")).join(":"),
                ip => ip.to_string(),
            };
            ("OBSERVED_ADDR", json!({ "seq": seq, "ip": ip, "port": addr.port() }))
        }
        Frame::PathChallenge(data) => ("PATH_CHALLENGE", json!({ "data": hex(data) })),
        Frame::PathResponse(data) => ("PATH_RESPONSE", json!({ "data": hex(data) })),
        Frame::NewCid(new) => {
            let (cid, token) = (hex(new.cid.as_slice()), hex(&new.reset_token));
            let value =
                json!({ "seq": new.seq, "retire_prior_to": new.retire_prior_to, "cid": cid, "reset_token": token });
            ("NEW_CID", value)
        }
        Frame::RetireCid { seq } => ("RETIRE_CID", json!({ "seq": seq })),
        Frame::Parity(parity) => ("PARITY", of_parity(parity)),
        Frame::Recovered(list) => ("RECOVERED", ranges(list)),
        Frame::Extension { ty, body } => ("EXTENSION", json!({ "code": ty, "body": hex(body) })),
        frame => of_stream_frame(frame),
    };
    let mut all = Map::from_iter([("type".to_owned(), Value::from(ty))]);
    if let Value::Object(fields) = value {
        all.extend(fields);
    }
    all.into()
}

/// Frames about streams.
fn of_stream_frame(frame: &Frame<'_>) -> (&'static str, Value) {
    match frame {
        Frame::Stream(Stream { sid, offset, fin, data }) => {
            ("STREAM", json!({ "sid": sid.as_u64(), "offset": offset, "fin": fin, "data": hex(data) }))
        }
        Frame::Msg(Msg { sid, offset, bom, eom, compressed, data }) => {
            let value = json!({
                "sid": sid.as_u64(), "offset": offset, "bom": bom, "eom": eom, "compressed": compressed,
                "data": hex(data),
            });
            ("MSG", value)
        }
        Frame::ResetStream(reset) => {
            let value = json!({
                "sid": reset.sid.as_u64(), "code": reset.code, "final_size": reset.final_size,
                "reliable_size": reset.reliable_size,
            });
            ("RESET_STREAM", value)
        }
        Frame::StopSending { sid, code } => ("STOP_SENDING", json!({ "sid": sid.as_u64(), "code": code })),
        Frame::Skip { sid, offset } => ("SKIP", json!({ "sid": sid.as_u64(), "offset": offset })),
        Frame::MaxData { limit } => ("MAX_DATA", json!({ "limit": limit })),
        Frame::MaxStreamData { sid, limit } => ("MAX_STREAM_DATA", json!({ "sid": sid.as_u64(), "limit": limit })),
        Frame::MaxStreams { ty, limit } => ("MAX_STREAMS", json!({ "stream_type": ty.as_u8(), "limit": limit })),
        Frame::Blocked(blocked) => {
            let (kind, id, limit) = match *blocked {
                Blocked::Data { limit } => (0, 0, limit),
                Blocked::Stream { sid, limit } => (1, sid.as_u64(), limit),
                Blocked::Streams { ty, limit } => (2, ty.as_u8().into(), limit),
            };
            ("BLOCKED", json!({ "kind": kind, "id": id, "limit": limit }))
        }
        Frame::StreamPriority { sid, priority } => {
            ("STREAM_PRIORITY", json!({ "sid": sid.as_u64(), "priority": priority }))
        }
        other => panic!("no name for {other:?}"),
    }
}

fn ranges(ranges: &AckRanges<'_>) -> Value {
    let list: Vec<_> = ranges.iter().map(|range| [*range.start(), *range.end()]).collect();
    json!({ "largest": ranges.largest(), "ranges": list })
}

fn of_parity(parity: &Parity<'_>) -> Value {
    let mask = parity.mask.to_le_bytes();
    json!({
        "back": parity.back,
        "span": parity.span,
        "mask": hex(&mask[..usize::from(parity.span).div_ceil(8)]),
        "index": parity.index,
        "class": parity.class,
        "planned": parity.planned,
        "symbol": hex(parity.symbol),
    })
}

//! The part of the qlog schema that this project writes, as a table, and a check of traces against it.
//!
//! From the CDDL of draft-ietf-quic-qlog-quic-events-04 (sections 3 to 7 and appendix A) and of the main schema that goes
//! with it, qlog 0.3. Fields that are not in the table are refused
//! unless they begin with `jsp:`: the schema allows fields of one's own.

use std::fmt::Write;

use serde_json::{Map, Value};

/// The type of a value.
#[derive(Clone, Copy)]
enum Ty {
    /// A whole number of so many bits.
    Uint(u32),
    Float,
    Text,
    Hex,
    Bool,
    /// One of these words.
    Word(&'static [&'static str]),
    Object(&'static [Field]),
    /// Any fields.
    Details,
    /// At least so many.
    List(usize, &'static Ty),
    Frame,
    /// Or null.
    Maybe(&'static Ty),
}

struct Field {
    name: &'static str,
    required: bool,
    ty: Ty,
}

const fn must(name: &'static str, ty: Ty) -> Field {
    Field { name, required: true, ty }
}

const fn may(name: &'static str, ty: Ty) -> Field {
    Field { name, required: false, ty }
}

const U8: Ty = Ty::Uint(8);
const U16: Ty = Ty::Uint(16);
const U32: Ty = Ty::Uint(32);
const U64: Ty = Ty::Uint(64);
const OWNER: Ty = Ty::Word(&["local", "remote"]);
const DIRECTION: Ty = Ty::Word(&["unidirectional", "bidirectional"]);
const SPACE: Ty = Ty::Word(&["initial", "handshake", "application_data"]);
const FRAMES: Ty = Ty::List(0, &Ty::Frame);

/// RawInfo (main schema).
const RAW: Ty = Ty::Object(&[may("length", U64), may("payload_length", U64), may("data", Ty::Hex)]);
/// PacketHeader.
const HEADER: Ty = Ty::Object(&[
    must(
        "packet_type",
        Ty::Word(&[
            "initial",
            "handshake",
            "0RTT",
            "1RTT",
            "retry",
            "version_negotiation",
            "stateless_reset",
            "unknown",
        ]),
    ),
    may("packet_number", U64),
    may("flags", U8),
    may("length", U16),
    may("version", Ty::Hex),
    may("scil", U8),
    may("dcil", U8),
    may("scid", Ty::Hex),
    may("dcid", Ty::Hex),
]);
/// ConnectionState.
const STATE: Ty = Ty::Word(&[
    "attempted",
    "peer_validated",
    "handshake_started",
    "early_write",
    "handshake_complete",
    "handshake_confirmed",
    "closing",
    "draining",
    "closed",
]);
const PATH: Ty = Ty::Object(&[must("local", Ty::Maybe(&Ty::Text)), must("remote", Ty::Text)]);

/// The first record: QlogFileSeq, TraceSeq, CommonFields and VantagePoint.
const FILE: &[Field] = &[
    must("qlog_format", Ty::Word(&["JSON-SEQ"])),
    must("qlog_version", Ty::Word(&["0.3"])),
    may("title", Ty::Text),
    may("description", Ty::Text),
    must(
        "trace",
        Ty::Object(&[
            may(
                "common_fields",
                Ty::Object(&[
                    may("time_format", Ty::Word(&["absolute", "delta", "relative"])),
                    may("reference_time", Ty::Float),
                    may("protocol_type", Ty::List(1, &Ty::Text)),
                    may("group_id", Ty::Text),
                ]),
            ),
            may(
                "vantage_point",
                Ty::Object(&[
                    may("name", Ty::Text),
                    must("type", Ty::Word(&["client", "server", "network", "unknown"])),
                ]),
            ),
        ]),
    ),
];

/// Event (main schema).
const EVENT: &[Field] = &[must("time", Ty::Float), must("name", Ty::Text), must("data", Ty::Details)];

const PACKET: &[Field] = &[
    must("header", HEADER),
    may("frames", FRAMES),
    may("is_coalesced", Ty::Bool),
    may("raw", RAW),
    may("datagram_id", U32),
    may("is_mtu_probe_packet", Ty::Bool),
];

/// The data of each event.
const EVENTS: &[(&str, &[Field])] = &[
    (
        "connectivity:connection_started",
        &[
            may("ip_version", Ty::Word(&["v4", "v6"])),
            must("src_ip", Ty::Text),
            must("dst_ip", Ty::Text),
            may("protocol", Ty::Text),
            may("src_port", U16),
            may("dst_port", U16),
            may("src_cid", Ty::Hex),
            may("dst_cid", Ty::Hex),
        ],
    ),
    (
        "connectivity:connection_closed",
        &[
            may("owner", OWNER),
            may("connection_code", U32),
            may("application_code", U32),
            may("internal_code", U32),
            may("reason", Ty::Text),
            may(
                "trigger",
                Ty::Word(&[
                    "clean",
                    "handshake_timeout",
                    "idle_timeout",
                    "error",
                    "stateless_reset",
                    "version_mismatch",
                    "application",
                ]),
            ),
        ],
    ),
    ("connectivity:connection_state_updated", &[may("old", STATE), must("new", STATE)]),
    ("connectivity:mtu_updated", &[may("old", U16), must("new", U16), may("done", Ty::Bool)]),
    (
        "transport:parameters_set",
        &[
            may("owner", OWNER),
            may("max_idle_timeout", U64),
            may("max_udp_payload_size", U32),
            may("ack_delay_exponent", U16),
            may("max_ack_delay", U16),
            may("active_connection_id_limit", U32),
            may("initial_max_data", U64),
            may("initial_max_stream_data_bidi_local", U64),
            may("initial_max_stream_data_bidi_remote", U64),
            may("initial_max_stream_data_uni", U64),
            may("initial_max_streams_bidi", U64),
            may("initial_max_streams_uni", U64),
        ],
    ),
    ("transport:packet_sent", PACKET),
    ("transport:packet_received", PACKET),
    (
        "transport:packet_dropped",
        &[
            may("header", HEADER),
            may("raw", RAW),
            may("datagram_id", U32),
            may("details", Ty::Details),
            may(
                "trigger",
                Ty::Word(&[
                    "internal_error",
                    "rejected",
                    "unsupported",
                    "invalid",
                    "connection_unknown",
                    "decryption_failure",
                    "general",
                ]),
            ),
        ],
    ),
    ("transport:packets_acked", &[may("packet_number_space", SPACE), may("packet_numbers", Ty::List(1, &U64))]),
    (
        "transport:stream_state_updated",
        &[
            must("stream_id", U64),
            may("stream_type", DIRECTION),
            must("new", Ty::Word(&["idle", "open", "closed", "destroyed"])),
        ],
    ),
    (
        "recovery:metrics_updated",
        &[
            may("min_rtt", Ty::Float),
            may("smoothed_rtt", Ty::Float),
            may("latest_rtt", Ty::Float),
            may("rtt_variance", Ty::Float),
            may("pto_count", U16),
            may("congestion_window", U64),
            may("bytes_in_flight", U64),
            may("ssthresh", U64),
            may("packets_in_flight", U64),
            may("pacing_rate", U64),
        ],
    ),
    (
        "recovery:congestion_state_updated",
        &[may("old", Ty::Text), must("new", Ty::Text), may("trigger", Ty::Word(&["persistent_congestion", "ECN"]))],
    ),
    (
        "recovery:loss_timer_updated",
        &[
            may("timer_type", Ty::Word(&["ack", "pto"])),
            may("packet_number_space", SPACE),
            must("event_type", Ty::Word(&["set", "expired", "cancelled"])),
            may("delta", Ty::Float),
        ],
    ),
    (
        "recovery:packet_lost",
        &[
            may("header", HEADER),
            may("frames", FRAMES),
            may("is_mtu_probe_packet", Ty::Bool),
            may("trigger", Ty::Word(&["reordering_threshold", "time_threshold", "pto_expired"])),
        ],
    ),
    // Our own.
    ("jsp:packets_repaired", &[must("count", U64), must("owner", OWNER)]),
    ("jsp:path_updated", &[must("old", PATH), must("new", PATH)]),
    ("jsp:path_validated", &[must("local", Ty::Maybe(&Ty::Text)), must("remote", Ty::Text)]),
    ("jsp:keys_updated", &[must("generation", U64), must("trigger", Ty::Word(&["local_update", "remote_update"]))]),
    ("jsp:events_missed", &[must("count", U64)]),
];

/// The fields of each frame, `frame_type` aside.
const FRAME: &[(&str, &[Field])] = &[
    ("padding", &[may("length", U32), must("payload_length", U32)]),
    ("ping", &[]),
    (
        "ack",
        &[
            may("ack_delay", Ty::Float),
            may("acked_ranges", Ty::List(1, &Ty::List(1, &U64))),
            may("ect1", U64),
            may("ect0", U64),
            may("ce", U64),
        ],
    ),
    ("reset_stream", &[must("stream_id", U64), must("error_code", U32), must("final_size", U64)]),
    ("stop_sending", &[must("stream_id", U64), must("error_code", U32)]),
    ("new_token", &[must("token", Ty::Object(&[may("raw", RAW)]))]),
    (
        "stream",
        &[must("stream_id", U64), must("offset", U64), must("length", U64), may("fin", Ty::Bool), may("raw", RAW)],
    ),
    ("max_data", &[must("maximum", U64)]),
    ("max_stream_data", &[must("stream_id", U64), must("maximum", U64)]),
    ("max_streams", &[must("stream_type", DIRECTION), must("maximum", U64)]),
    ("data_blocked", &[must("limit", U64)]),
    ("stream_data_blocked", &[must("stream_id", U64), must("limit", U64)]),
    ("streams_blocked", &[must("stream_type", DIRECTION), must("limit", U64)]),
    (
        "new_connection_id",
        &[must("sequence_number", U32), must("retire_prior_to", U32), must("connection_id", Ty::Hex)],
    ),
    ("retire_connection_id", &[must("sequence_number", U32)]),
    ("path_challenge", &[may("data", Ty::Hex)]),
    ("path_response", &[may("data", Ty::Hex)]),
    (
        "connection_close",
        &[
            may("error_space", Ty::Word(&["transport", "application"])),
            may("error_code", U32),
            may("error_code_value", U64),
            may("reason", Ty::Text),
            may("trigger_frame_type", U64),
        ],
    ),
    ("handshake_done", &[]),
    ("unknown", &[must("frame_type_value", U64), may("raw", RAW)]),
    // Our own: QuicFrame is any object, and names of one's own are prefixed.
    ("jsp:params", &[must("length", U64)]),
    ("jsp:immediate_ack", &[]),
    ("jsp:ack_freq", &[must("sequence_number", U64)]),
    ("jsp:observed_addr", &[must("sequence_number", U64)]),
    ("jsp:skip", &[must("stream_id", U64), must("offset", U64)]),
    ("jsp:stream_priority", &[must("stream_id", U64), must("priority", U8)]),
    (
        "jsp:msg",
        &[
            must("stream_id", U64),
            must("offset", U64),
            must("length", U64),
            must("begin", Ty::Bool),
            must("end", Ty::Bool),
            must("compressed", Ty::Bool),
        ],
    ),
    ("jsp:parity", &[must("back", U64), must("span", U8), must("sources", U8), must("index", U8), must("class", U8)]),
    ("jsp:recovered", &[must("ranges", Ty::List(1, &Ty::List(2, &U64)))]),
];

/// Takes a JSON text sequence apart and checks every record of it. Gives the header and the events.
pub(crate) fn check(trace: &[u8]) -> Result<(Value, Vec<Value>), String> {
    let text = std::str::from_utf8(trace).map_err(|error| error.to_string())?;
    let records = text.strip_prefix('\x1e').ok_or("the sequence does not begin with a separator")?;
    let mut records = records.split('\x1e').map(|record| {
        let record = record.strip_suffix('\n').ok_or_else(|| format!("a record without its end: {record}"))?;
        serde_json::from_str::<Value>(record).map_err(|error| format!("{error}: {record}"))
    });
    let header = records.next().ok_or("an empty sequence")??;
    object("", FILE, &header)?;
    let mut events = Vec::new();
    let mut latest = 0.0;
    for event in records {
        let event = event?;
        check_event(&event).map_err(|error| format!("event {}: {error}: {event}", events.len()))?;
        let time = event["time"].as_f64().unwrap_or(-1.0);
        if time < latest {
            return Err(format!("time goes back from {latest}: {event}"));
        }
        latest = time;
        events.push(event);
    }
    Ok((header, events))
}

pub(crate) fn check_event(event: &Value) -> Result<(), String> {
    object("", EVENT, event)?;
    let name = event["name"].as_str().unwrap_or_default();
    let (_, fields) = EVENTS.iter().find(|(known, _)| *known == name).ok_or_else(|| format!("unknown event {name}"))?;
    object("data", fields, &event["data"])
}

fn object(at: &str, fields: &[Field], value: &Value) -> Result<(), String> {
    let Value::Object(value) = value else { return Err(format!("{at}: not an object")) };
    for field in fields {
        match value.get(field.name) {
            Some(value) => typed(&format!("{at}.{}", field.name), field.ty, value)?,
            None if field.required => return Err(format!("{at}.{}: missing", field.name)),
            None => {}
        }
    }
    let known = |name: &str| name.starts_with("jsp:") || fields.iter().any(|field| field.name == name);
    match value.keys().find(|name| !known(name)) {
        Some(name) => Err(format!("{at}.{name}: not in the schema")),
        None => Ok(()),
    }
}

fn typed(at: &str, ty: Ty, value: &Value) -> Result<(), String> {
    let fits = match ty {
        Ty::Uint(bits) => value.as_u64().is_some_and(|number| bits == 64 || number >> bits == 0),
        Ty::Float => value.is_number(),
        Ty::Text => value.is_string(),
        Ty::Hex => value.as_str().is_some_and(|text| {
            text.len().is_multiple_of(2) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        }),
        Ty::Bool => value.is_boolean(),
        Ty::Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Ty::Object(fields) => return object(at, fields, value),
        Ty::Details => value.is_object(),
        Ty::List(least, ty) => {
            let list = value.as_array().filter(|list| list.len() >= least);
            let list = list.ok_or_else(|| format!("{at}: not a list of {least} or more"))?;
            return list.iter().try_for_each(|value| typed(at, *ty, value));
        }
        Ty::Frame => return frame(at, value),
        Ty::Maybe(_) if value.is_null() => true,
        Ty::Maybe(ty) => return typed(at, *ty, value),
    };
    if fits { Ok(()) } else { Err(format!("{at}: wrong type: {value}")) }
}

fn frame(at: &str, value: &Value) -> Result<(), String> {
    let ty = value["frame_type"].as_str().ok_or_else(|| format!("{at}: a frame without type"))?;
    let (_, fields) = FRAME.iter().find(|(known, _)| *known == ty).ok_or_else(|| format!("{at}: frame {ty}"))?;
    let rest: Map<String, Value> =
        value.as_object().into_iter().flatten().filter(|(name, _)| *name != "frame_type").map(own).collect();
    let mut place = at.to_string();
    let _ = write!(place, ".{ty}");
    object(&place, fields, &Value::Object(rest))
}

fn own((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

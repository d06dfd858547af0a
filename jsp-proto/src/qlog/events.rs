//! Events of draft-ietf-quic-qlog-quic-events-04, and those of our own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::string::{String, ToString};

use serde_json::{Map, Value, json};

use super::{frames, hex, millis};
use crate::observe::{HandshakePacket, LossCause, Metrics, Milestone, Owner, Packet, Parameters, Timer};
use crate::wire::header::LongType;
use crate::wire::{Cid, StreamId};
use crate::{ConnectionError, DropReason, Ecn, Observation, Path};

/// Name and data of the event; `None` if it is not written.
pub(super) fn event(what: &Observation<'_>) -> Option<(&'static str, Value)> {
    Some(match what {
        Observation::Started { path, local_cid, remote_cid, .. } => {
            ("connectivity:connection_started", started(path, local_cid, remote_cid))
        }
        Observation::Parameters { owner, params } => ("transport:parameters_set", parameters(*owner, params)),
        Observation::Milestone(milestone) => ("connectivity:connection_state_updated", state(*milestone)),
        Observation::HandshakeSent(packet) => ("transport:packet_sent", handshake(packet)),
        Observation::HandshakeReceived(packet) => ("transport:packet_received", handshake(packet)),
        Observation::PacketSent(sent) => ("transport:packet_sent", packet(sent)),
        Observation::PacketReceived(received) => ("transport:packet_received", packet(received)),
        Observation::DatagramDropped { bytes, reason } => ("transport:packet_dropped", dropped(*bytes, *reason)),
        Observation::PacketsAcked { first, last } => ("transport:packets_acked", acked(*first, *last)),
        Observation::PacketLost { number, cause, .. } => ("recovery:packet_lost", lost(*number, *cause)),
        Observation::MetricsUpdated(values) => ("recovery:metrics_updated", metrics(values)),
        Observation::CongestionStateUpdated { old, new } => {
            let data = if old.is_empty() { json!({ "new": new }) } else { json!({ "old": old, "new": new }) };
            ("recovery:congestion_state_updated", data)
        }
        Observation::TimerExpired(timer) => ("recovery:loss_timer_updated", expired(*timer)),
        Observation::StreamOpened(sid) => ("transport:stream_state_updated", stream(*sid, "open")),
        Observation::StreamClosed(sid) => ("transport:stream_state_updated", stream(*sid, "destroyed")),
        Observation::KeysUpdated { generation, initiator } => {
            let trigger = match initiator {
                Owner::Local => "local_update",
                Owner::Remote => "remote_update",
            };
            ("jsp:keys_updated", json!({ "generation": generation, "trigger": trigger }))
        }
        Observation::PathUpdated { old, new } => {
            ("jsp:path_updated", json!({ "old": path_of(old), "new": path_of(new) }))
        }
        Observation::PathValidated(path) => ("jsp:path_validated", path_of(path)),
        Observation::MtuUpdated { old, new } => ("connectivity:mtu_updated", json!({ "old": old, "new": new })),
        Observation::Repaired { packets } => ("jsp:packets_repaired", json!({ "count": packets, "owner": "local" })),
        Observation::RepairedByPeer { packets } => {
            ("jsp:packets_repaired", json!({ "count": packets, "owner": "remote" }))
        }
        Observation::Closed(error) => ("connectivity:connection_closed", closed(error)),
        // These files are made to be passed on.
        Observation::Secret { .. } => return None,
        Observation::Missed { count } => ("jsp:events_missed", json!({ "count": count })),
        Observation::Forgotten => ("connectivity:connection_state_updated", json!({ "new": "closed" })),
    })
}

fn started(path: &Path, local: &Cid, remote: &Cid) -> Value {
    let source = path.local.unwrap_or_else(|| unspecified(path.remote));
    let mut data = json!({
        "ip_version": if path.remote.is_ipv4() { "v4" } else { "v6" },
        "src_ip": source.ip().to_string(),
        "dst_ip": path.remote.ip().to_string(),
        "protocol": "JSP",
        "src_port": source.port(),
        "dst_port": path.remote.port(),
        "src_cid": hex(local.as_slice()),
    });
    if !remote.is_empty() {
        set(&mut data, "dst_cid", hex(remote.as_slice()).into());
    }
    data
}

/// For an address of this side that is not known: the schema asks for one.
fn unspecified(remote: SocketAddr) -> SocketAddr {
    let ip = match remote {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, 0)
}

fn path_of(path: &Path) -> Value {
    json!({ "local": path.local.map(|local| local.to_string()), "remote": path.remote.to_string() })
}

fn parameters(owner: Owner, params: &Parameters) -> Value {
    json!({
        "owner": owner_name(owner),
        "max_idle_timeout": params.max_idle_timeout.as_millis() as u64,
        "max_udp_payload_size": params.max_udp_payload,
        "max_ack_delay": params.max_ack_delay.as_millis() as u64,
        "initial_max_data": params.max_data,
        "initial_max_stream_data_bidi_local": params.max_stream_data,
        "initial_max_stream_data_bidi_remote": params.max_stream_data,
        "initial_max_stream_data_uni": params.max_stream_data,
        "initial_max_streams_bidi": params.max_streams_bidi,
        "initial_max_streams_uni": params.max_streams_uni,
    })
}

const fn owner_name(owner: Owner) -> &'static str {
    match owner {
        Owner::Local => "local",
        Owner::Remote => "remote",
    }
}

fn state(milestone: Milestone) -> Value {
    let new = match milestone {
        Milestone::Secured => "handshake_started",
        Milestone::Connected => "handshake_complete",
        Milestone::Confirmed => "handshake_confirmed",
    };
    json!({ "new": new })
}

fn handshake(packet: &HandshakePacket) -> Value {
    let ty = match packet.ty {
        LongType::ClientInit => "initial",
        LongType::ServerInit => "handshake",
        LongType::Retry => "retry",
        LongType::Key => "unknown",
    };
    json!({
        "header": { "packet_type": ty, "packet_number": packet.index },
        "raw": { "length": packet.bytes },
        "jsp:packets": packet.count,
    })
}

fn header(number: u64) -> Value {
    json!({ "packet_type": "1RTT", "packet_number": number })
}

fn packet(packet: &Packet<'_>) -> Value {
    let frames: Value = packet.frames.iter().map(|frame| frames::frame(&frame)).collect();
    let mut data = json!({
        "header": header(packet.number),
        "raw": { "length": packet.bytes, "payload_length": packet.frames.len() },
        "frames": frames,
    });
    if packet.coded {
        set(&mut data, "jsp:coded", true.into());
    }
    if packet.key_phase {
        set(&mut data, "jsp:key_phase", 1.into());
    }
    if packet.ecn != Ecn::NotEct {
        let ecn = match packet.ecn {
            Ecn::NotEct => "Not-ECT",
            Ecn::Ect0 => "ECT(0)",
            Ecn::Ect1 => "ECT(1)",
            Ecn::Ce => "CE",
        };
        set(&mut data, "jsp:ecn", ecn.into());
    }
    data
}

fn dropped(bytes: usize, reason: DropReason) -> Value {
    let trigger = match reason {
        DropReason::Version => "unsupported",
        DropReason::UnknownConnection => "connection_unknown",
        DropReason::Seal | DropReason::InnerSeal | DropReason::Aead | DropReason::KeyPhase => "decryption_failure",
        DropReason::Empty | DropReason::Malformed | DropReason::Unexpected => "invalid",
        DropReason::HandshakeLimit | DropReason::AnswerLimit | DropReason::Refused => "rejected",
        _ => "general",
    };
    json!({ "raw": { "length": bytes }, "trigger": trigger, "details": { "reason": reason.name() } })
}

fn acked(first: u64, last: u64) -> Value {
    json!({ "packet_number_space": "application_data", "packet_numbers": (first..=last).collect::<Value>() })
}

fn lost(number: u64, cause: LossCause) -> Value {
    let trigger = match cause {
        LossCause::Reordering => "reordering_threshold",
        LossCause::Time => "time_threshold",
    };
    json!({ "header": header(number), "trigger": trigger })
}

fn metrics(metrics: &Metrics) -> Value {
    let mut data = json!({
        "smoothed_rtt": millis(metrics.smoothed_rtt),
        "rtt_variance": millis(metrics.rtt_variation),
        "pto_count": metrics.probe_timeouts,
        "congestion_window": metrics.congestion_window,
        "bytes_in_flight": metrics.bytes_in_flight,
        "pacing_rate": metrics.pacing_rate.saturating_mul(8),
    });
    if let Some(rtt) = metrics.min_rtt {
        set(&mut data, "min_rtt", millis(rtt).into());
    }
    if let Some(rtt) = metrics.latest_rtt {
        set(&mut data, "latest_rtt", millis(rtt).into());
    }
    data
}

fn expired(timer: Timer) -> Value {
    let timer = match timer {
        Timer::Loss => "ack",
        Timer::Probe => "pto",
    };
    json!({ "timer_type": timer, "packet_number_space": "application_data", "event_type": "expired" })
}

fn stream(sid: StreamId, new: &str) -> Value {
    let direction = if sid.is_uni() { "unidirectional" } else { "bidirectional" };
    json!({ "stream_id": sid.as_u64(), "stream_type": direction, "new": new })
}

fn closed(error: &ConnectionError) -> Value {
    let (owner, code, trigger) = match error {
        ConnectionError::LocallyClosed { code } => ("local", Some(("application_code", code.get())), "clean"),
        ConnectionError::PeerClosed { code, .. } => ("remote", Some(("application_code", code.get())), "clean"),
        ConnectionError::PeerError { error, .. } => ("remote", Some(("connection_code", error.code())), "error"),
        ConnectionError::Protocol { error, .. } => ("local", Some(("connection_code", error.code())), "error"),
        ConnectionError::Refused { code } => ("remote", Some(("application_code", code.get())), "application"),
        ConnectionError::KeyRejected => ("local", None, "application"),
        ConnectionError::IdleTimeout { .. } => ("local", None, "idle_timeout"),
        ConnectionError::Undelivered { code, .. } => ("local", Some(("application_code", code.get())), "error"),
        ConnectionError::Reset => ("remote", None, "stateless_reset"),
        ConnectionError::NoAnswer { .. } => ("local", None, "handshake_timeout"),
        ConnectionError::VersionMismatch => ("remote", None, "version_mismatch"),
        ConnectionError::PeerKeyMismatch { .. } | ConnectionError::EndpointGone { .. } => ("local", None, "error"),
    };
    let mut data = json!({ "owner": owner, "reason": error.to_string(), "trigger": trigger });
    if let Some((name, code)) = code {
        // The schema has 32 bits for it; larger ones are QUIC's and ours alone.
        match u32::try_from(code) {
            Ok(code) => set(&mut data, name, code.into()),
            Err(_) => set(&mut data, "jsp:code", code.into()),
        }
    }
    data
}

/// Adds a field to an object.
pub(super) fn set(data: &mut Value, name: &str, value: Value) {
    if let Value::Object(fields) = data {
        let fields: &mut Map<String, Value> = fields;
        fields.insert(name.to_string(), value);
    }
}

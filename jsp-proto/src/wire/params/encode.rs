//! Writing parameters (specification section 4.10).

use super::{DEFAULT_MAX_STREAMS, Extras, Params, ParamsContext, id};
use crate::wire::cursor::{Full, Writer};
use crate::wire::stream_id::StreamType;
use crate::wire::{Side, varint};

/// Writes a set of parameters in ascending order of their ids. Numbers that are the default are left out, and so is
/// everything that has no place in this context.
pub fn encode_params(
    params: &Params,
    extras: &Extras<'_>,
    context: ParamsContext,
    w: &mut Writer<'_>,
) -> Result<(), Full> {
    let start = w.position();
    let result = match context {
        ParamsContext::P2 => extras.refuse.map_or(Ok(()), |code| number(id::REFUSE, code, w)),
        ParamsContext::P1 | ParamsContext::ServerParams => encode_all(params, extras, context, w),
    };
    result.inspect_err(|Full| w.truncate(start))
}

fn encode_all(params: &Params, extras: &Extras<'_>, context: ParamsContext, w: &mut Writer<'_>) -> Result<(), Full> {
    let d = Params::default();
    let from_server = context == ParamsContext::ServerParams;
    unless_default(id::MAX_IDLE_TIMEOUT, params.max_idle_timeout_ms, d.max_idle_timeout_ms, w)?;
    unless_default(id::MAX_UDP_PAYLOAD, params.max_udp_payload, d.max_udp_payload, w)?;
    unless_default(id::INITIAL_MAX_DATA, params.initial_max_data, d.initial_max_data, w)?;
    unless_default(id::INITIAL_MAX_STREAM_DATA, params.initial_max_stream_data, d.initial_max_stream_data, w)?;
    max_streams(params, context.sender(), w)?;
    unless_default(id::MAX_ACK_DELAY, params.max_ack_delay_ms, d.max_ack_delay_ms, w)?;
    unless_default(id::MAX_MESSAGE_SIZE, params.max_message_size, d.max_message_size, w)?;
    unless_default(id::ACTIVE_CID_LIMIT, params.active_cid_limit, d.active_cid_limit, w)?;
    unless_default(id::FEC_MAX_SYMBOLS, params.fec_max_symbols, d.fec_max_symbols, w)?;
    unless_default(id::FEC_SCHEMES, params.fec_schemes, d.fec_schemes, w)?;
    unless_default(id::COMPRESSION, params.compression, d.compression, w)?;
    unless_default(id::FLAGS, params.flags, d.flags, w)?;
    if let Some(min_ack_delay) = params.min_ack_delay_us {
        number(id::MIN_ACK_DELAY, min_ack_delay, w)?;
    }
    bytes(id::APP_PROTOCOLS, extras.app_protocols.map(|list| list.as_encoded()), w)?;
    bytes(id::VERSION_INFO, extras.version_info, w)?;
    bytes(id::SUITES, extras.suites, w)?;
    if from_server {
        bytes(id::RESET_TOKEN, params.reset_token.as_ref().map(<[u8; 16]>::as_slice), w)?;
    } else {
        bytes(id::CLIENT_KEY_ID, extras.client_key_id.map(<[u8; 32]>::as_slice), w)?;
        bytes(id::CLIENT_KEY, extras.client_key, w)?;
        bytes(id::PSK_ID, extras.psk_id, w)?;
        bytes(id::APP_TOKEN, extras.app_token, w)?;
    }
    match extras.grease {
        Some((id, value)) => bytes(id, Some(value), w),
        None => Ok(()),
    }
}

fn unless_default(id: u64, value: u64, default: u64, w: &mut Writer<'_>) -> Result<(), Full> {
    if value == default { Ok(()) } else { number(id, value, w) }
}

fn number(id: u64, value: u64, w: &mut Writer<'_>) -> Result<(), Full> {
    w.varint(id)?;
    w.varint(varint::len(value) as u64)?;
    w.varint(value)
}

fn bytes(id: u64, value: Option<&[u8]>, w: &mut Writer<'_>) -> Result<(), Full> {
    let Some(value) = value else { return Ok(()) };
    w.varint(id)?;
    w.length_prefixed(value)
}

/// Lists the types that the peer opens and whose limit is not the default.
fn max_streams(params: &Params, sender: Side, w: &mut Writer<'_>) -> Result<(), Full> {
    let listed = || {
        let limits = StreamType::ALL.into_iter().zip(params.initial_max_streams);
        limits.filter(move |(ty, limit)| ty.initiator() != sender && *limit != DEFAULT_MAX_STREAMS)
    };
    let len: usize = listed().map(|(_, limit)| 1 + varint::len(limit)).sum();
    if len == 0 {
        return Ok(());
    }
    w.varint(id::INITIAL_MAX_STREAMS)?;
    w.varint(len as u64)?;
    for (ty, limit) in listed() {
        w.u8(ty.as_u8())?;
        w.varint(limit)?;
    }
    Ok(())
}

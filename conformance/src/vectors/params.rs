//! Parameters (specification section 4.10).

use jsp_proto::wire::ParamsError;
use jsp_proto::wire::params::{Extras, Params, ParamsContext, decode_params, encode_params};
use serde_json::{Value, json};

use super::value::{Computed, Inputs, hex, hex_list, number, written};
use super::wire::add_canonical;

/// `bytes` are a set of parameters in `context`: P1, P2 or PARAMS.
pub(super) fn params(inputs: &Inputs<'_>) -> Computed {
    let context = match inputs.text("context")? {
        "P1" => ParamsContext::P1,
        "P2" => ParamsContext::P2,
        "PARAMS" => ParamsContext::ServerParams,
        _ => return Err("inputs.context: none of P1, P2 and PARAMS".into()),
    };
    let bytes = inputs.bytes("bytes")?;
    let (params, extras) = match decode_params(&bytes, context) {
        Ok(read) => read,
        Err(error) => return Ok(refusal(error)),
    };
    let mut expected = numbers(&params);
    add_extras(&mut expected, &extras);
    let again = written(|w| encode_params(&params, &extras, context, w))?;
    if decode_params(&again, context) != Ok((params.clone(), extras)) {
        return Err("they are read differently once they are written again".into());
    }
    add_canonical(&mut expected, &bytes, &again);
    Ok(expected)
}

fn refusal(error: ParamsError) -> Value {
    let (name, id) = match error {
        ParamsError::Truncated => ("truncated", None),
        ParamsError::TooMany => ("too_many", None),
        ParamsError::TwoClientKeys => ("two_client_keys", None),
        ParamsError::Order(id) => ("order", Some(id)),
        ParamsError::Malformed(id) => ("malformed", Some(id)),
        ParamsError::Range(id) => ("range", Some(id)),
        ParamsError::Misplaced(id) => ("misplaced", Some(id)),
    };
    let mut refusal = json!({ "error": name });
    if let Some(id) = id {
        refusal["parameter"] = number(id);
    }
    refusal
}

fn numbers(params: &Params) -> Value {
    let mut fields = json!({
        "max_idle_timeout_ms": number(params.max_idle_timeout_ms),
        "max_udp_payload": number(params.max_udp_payload),
        "initial_max_data": number(params.initial_max_data),
        "initial_max_stream_data": number(params.initial_max_stream_data),
        "initial_max_streams": params.initial_max_streams.map(number),
        "max_ack_delay_ms": number(params.max_ack_delay_ms),
        "max_message_size": number(params.max_message_size),
        "active_cid_limit": number(params.active_cid_limit),
        "fec_max_symbols": number(params.fec_max_symbols),
        "fec_schemes": number(params.fec_schemes),
        "compression": number(params.compression),
        "flags": number(params.flags),
    });
    if let Some(min_ack_delay) = params.min_ack_delay_us {
        fields["min_ack_delay_us"] = number(min_ack_delay);
    }
    if let Some(token) = params.reset_token {
        fields["reset_token"] = json!(hex(&token));
    }
    fields
}

fn add_extras(fields: &mut Value, extras: &Extras<'_>) {
    if let Some(protocols) = extras.app_protocols {
        let names: Vec<_> = protocols.iter().collect();
        fields["app_protocols"] = json!(hex_list(&names));
    }
    let texts = [
        ("version_info", extras.version_info),
        ("suites", extras.suites),
        ("client_key_id", extras.client_key_id.map(<[u8; 32]>::as_slice)),
        ("client_key", extras.client_key),
        ("psk_id", extras.psk_id),
        ("app_token", extras.app_token),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            fields[name] = json!(hex(value));
        }
    }
    if let Some(code) = extras.refuse {
        fields["refuse"] = number(code);
    }
}

//! Headers and numbers (specification sections 2.4, 3.1, 3.3, 3.8 and 4).

use jsp_proto::wire::header::{
    Fragment, HeaderError, ShortFlags, decode_long, decode_packet_number, decode_version_negotiation,
    encode_version_negotiation, first_byte, packet_number_len,
};
use jsp_proto::wire::{LongType, Reader, StreamId, StreamKind, varint as limits};
use serde_json::{Value, json};

use super::value::{Computed, Inputs, hex, number, side_name, written};

/// `bytes` are one variable-length integer.
pub(super) fn varint(inputs: &Inputs<'_>) -> Computed {
    let bytes = inputs.bytes("bytes")?;
    let mut reader = Reader::new(&bytes);
    let Ok(value) = reader.varint() else { return Ok(json!({ "error": "truncated" })) };
    if !reader.is_empty() {
        return Err(format!("{} bytes follow the number", reader.remaining()));
    }
    let mut expected = json!({ "value": number(value) });
    add_canonical(&mut expected, &bytes, &written(|w| w.varint(value))?);
    Ok(expected)
}

/// The way this protocol writes what was read, if it differs from what was read.
pub(super) fn add_canonical(expected: &mut Value, read: &[u8], written: &[u8]) {
    if read != written {
        expected["canonical"] = json!(hex(written));
    }
}

pub(super) fn stream_id(inputs: &Inputs<'_>) -> Computed {
    let id = inputs.number("id")?;
    if id > limits::MAX {
        return Err("inputs.id: above 2^62-1".into());
    }
    let id = StreamId::from_wire(id);
    let kind = match id.kind() {
        StreamKind::Bytes => "bytes",
        StreamKind::Ordered => "ordered_messages",
        StreamKind::Unordered => "unordered_messages",
        StreamKind::Blocks => "blocks",
    };
    Ok(json!({
        "index": number(id.index()),
        "kind": kind,
        "unidirectional": id.is_uni(),
        "initiator": side_name(id.initiator()),
        "type": id.ty().as_u8(),
    }))
}

/// `datagram` is a header and what follows it.
pub(super) fn long_header(inputs: &Inputs<'_>) -> Computed {
    let (from, datagram) = (inputs.side("from")?, inputs.bytes("datagram")?);
    let header = match decode_long(&datagram, from) {
        Ok(header) => header,
        Err(error) => return Ok(json!({ "error": header_error(&error) })),
    };
    let (read, payload) = datagram.split_at(header.payload_at);
    let ty = match header.ty {
        LongType::ClientInit => "CI",
        LongType::ServerInit => "SI",
        LongType::Retry => "RETRY",
        LongType::Key => "KEY",
    };
    let mut expected = json!({
        "type": ty,
        "fragments": header.count,
        "fragment": header.index,
        "dcid": hex(header.dcid.as_slice()),
        "scid": hex(header.scid.as_slice()),
        "token": hex(header.token),
        "payload": hex(payload),
    });
    add_canonical(&mut expected, read, &written(|w| header.encode(w))?);
    Ok(expected)
}

fn header_error(error: &HeaderError<'_>) -> &'static str {
    match error {
        HeaderError::Truncated => "truncated",
        HeaderError::NotLong => "not_long",
        HeaderError::FixedBit => "fixed_bit",
        HeaderError::Version { .. } => "version",
        HeaderError::Type => "type",
        HeaderError::CidLength => "cid_length",
        HeaderError::TokenLength => "token_length",
        HeaderError::Fragment => "fragment",
    }
}

/// `plaintext` is what a sealed handshake packet holds.
pub(super) fn fragment(inputs: &Inputs<'_>) -> Computed {
    let plaintext = inputs.bytes("plaintext")?;
    let fragment = match Fragment::decode(&plaintext) {
        Ok(fragment) => fragment,
        Err(error) => return Ok(json!({ "error": header_error(&error) })),
    };
    let padding = &plaintext[Fragment::HEADER_LEN + fragment.data.len()..];
    let (total, offset, data) = (fragment.total, fragment.offset, hex(fragment.data));
    Ok(json!({ "total": total, "offset": offset, "data": data, "padding": hex(padding) }))
}

/// The answer to a packet of another version, whose ids are `dcid` and `scid`.
pub(super) fn version_negotiation(inputs: &Inputs<'_>) -> Computed {
    let (dcid, scid) = (inputs.bytes("dcid")?, inputs.bytes("scid")?);
    let reserved = u32::from_be_bytes(inputs.array("reserved_version")?);
    if reserved & 0x0f0f_0f0f != 0x0a0a_0a0a {
        return Err("inputs.reserved_version: not of the form ?a?a?a?a".into());
    }
    let packet = written(|w| encode_version_negotiation(&scid, &dcid, reserved, w))?;
    let read = decode_version_negotiation(&packet).ok_or("it cannot be read again")?;
    let versions: Vec<_> = read.versions().map(|version| hex(&version.to_be_bytes())).collect();
    Ok(json!({ "packet": hex(&packet), "versions": versions }))
}

pub(super) fn short_header(inputs: &Inputs<'_>) -> Computed {
    let flags = ShortFlags {
        fec: inputs.flag("fec")?,
        key_phase: inputs.flag("key_phase")?,
        pn_len: inputs.small("packet_number_length")?,
    };
    if !(1..=4).contains(&flags.pn_len) {
        return Err("inputs.packet_number_length: not 1 to 4".into());
    }
    let byte = first_byte(flags, inputs.flag("random_bit")?);
    if ShortFlags::from_first_byte(byte) != flags {
        return Err(format!("the first byte {byte:02x} is read differently"));
    }
    Ok(json!({ "first_byte": hex(&[byte]) }))
}

/// How a sender cuts a packet number whose peer has acknowledged everything up to `largest_acknowledged`, or nothing.
pub(super) fn packet_number_encoding(inputs: &Inputs<'_>) -> Computed {
    let pn = inputs.number("packet_number")?;
    let acked = inputs.optional("largest_acknowledged", Inputs::number)?;
    let len = packet_number_len(pn, acked);
    Ok(json!({ "length": len, "bytes": hex(&pn.to_be_bytes()[8 - len..]) }))
}

/// What a receiver makes of the bytes that has authenticated packets up to `largest_received`, or none.
pub(super) fn packet_number_decoding(inputs: &Inputs<'_>) -> Computed {
    let bytes = inputs.bytes("bytes")?;
    if !(1..=4).contains(&bytes.len()) {
        return Err("inputs.bytes: not 1 to 4 bytes".into());
    }
    let truncated = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let expected = inputs.optional("largest_received", Inputs::number)?.map_or(0, |largest| largest.saturating_add(1));
    Ok(json!({ "packet_number": number(decode_packet_number(truncated, bytes.len(), expected)) }))
}

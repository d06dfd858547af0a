//! Tokens (specification sections 2.9 and 3.8).

use std::net::Ipv6Addr;

use jsp_proto::internals::crypto::token::{ResetKey, TokenKey, TokenSecret};
use jsp_proto::wire::reset::{encode_reset, reset_len, token_of};
use serde_json::json;

use super::handshake::minted;
use super::value::{Computed, Inputs, hex};

/// The id and the token of a RETRY or KEYINFO; the server's ids are `cid_length` bytes long.
pub(super) fn retry_token(inputs: &Inputs<'_>) -> Computed {
    let (scid, token) = minted(inputs, &inputs.cid("odcid")?, inputs.small("cid_length")?)?;
    Ok(json!({ "retry_scid": hex(&scid), "token": hex(&token) }))
}

/// Whether a server takes `token` in a packet to `dcid` at second `now`.
pub(super) fn retry_token_check(inputs: &Inputs<'_>) -> Computed {
    let key = TokenKey::new(inputs.array("token_key")?);
    let (token, dcid) = (inputs.bytes("token")?, inputs.cid("dcid")?);
    let now = u32::from_be_bytes(inputs.array("now")?);
    let proven = key.verify_retry(&token, &dcid, inputs.address("client_ip16_port")?, now);
    Ok(proven.map_or(json!({ "error": "token" }), |odcid| json!({ "odcid": hex(odcid) })))
}

/// A token for a later connection; `plain` is the second of issue and the address.
pub(super) fn new_token(inputs: &Inputs<'_>) -> Computed {
    let key = TokenKey::new(inputs.array("token_key")?).new_token_key();
    let plain: [u8; 20] = inputs.array("plain")?;
    let (issued, mut ip) = (u32::from_be_bytes([plain[0], plain[1], plain[2], plain[3]]), [0; 16]);
    ip.copy_from_slice(&plain[4..]);
    let token = key.seal(inputs.array("nonce")?, issued, Ipv6Addr::from(ip).to_canonical());
    Ok(json!({ "key": hex(key.as_bytes()), "token": hex(&token) }))
}

/// Whether a server takes `token` from a client at `client_ip16` at second `now`; tokens live `lifetime` seconds.
pub(super) fn new_token_check(inputs: &Inputs<'_>) -> Computed {
    let key = TokenKey::new(inputs.array("token_key")?).new_token_key();
    let ip = Ipv6Addr::from(inputs.array::<16>("client_ip16")?).to_canonical();
    let now = u32::from_be_bytes(inputs.array("now")?);
    let opened = key.open(&inputs.bytes("token")?, ip, now, inputs.small("lifetime")?);
    Ok(opened.map_or(
        json!({ "error": "token" }),
        |token| json!({ "nonce": hex(&token.nonce), "issued": hex(&token.issued.to_be_bytes()) }),
    ))
}

/// The keys of a period that follow from a shared secret.
pub(super) fn token_keys(inputs: &Inputs<'_>) -> Computed {
    let key = TokenSecret::new(inputs.array("secret")?).key(inputs.number("period")?);
    Ok(json!({ "token_key": hex(key.as_bytes()), "new_token_key": hex(key.new_token_key().as_bytes()) }))
}

/// The stateless reset token of `cid`; with `random`, the reset that ends with it, and how long the answer to one byte
/// more may be.
pub(super) fn reset(inputs: &Inputs<'_>) -> Computed {
    let token = ResetKey::new(inputs.array("reset_key")?).reset_token(&inputs.cid("cid")?);
    let mut expected = json!({ "token": hex(&token) });
    if let Some(random) = inputs.optional("random", Inputs::bytes)? {
        if random.first().is_none_or(|first| first & 0xc0 != 0x40) {
            return Err("inputs.random: does not begin with the bits 01".into());
        }
        let mut packet = [&random[..], &[0; 16]].concat();
        if reset_len(packet.len() + 1) != Some(packet.len()) {
            return Err("inputs.random: too short for a reset".into());
        }
        encode_reset(&token, &mut packet);
        if token_of(&packet) != Some(&token) {
            return Err("the reset is not recognised".into());
        }
        expected["packet"] = json!(hex(&packet));
    }
    Ok(expected)
}

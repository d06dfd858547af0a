//! Static keys and their names (specification sections 1.3 and 2.4).

use jsp_proto::internals::crypto::kem::{PublicKey, SecretKey};
use jsp_proto::internals::crypto::key_id::{KeyId, KeyIdError};
use serde_json::json;

use super::value::{Computed, Inputs, hex};

/// The public key of a seed, and its names.
pub(super) fn static_key(inputs: &Inputs<'_>) -> Computed {
    let key = SecretKey::from_seed(inputs.array("seed")?);
    let id = key.public().key_id();
    Ok(json!({
        "public_key": hex(key.public().as_bytes()),
        "key_id": hex(id.as_bytes()),
        "text": id.to_string(),
    }))
}

/// Whether bytes are a public key; `error` is `invalid_key` if they are not.
pub(super) fn public_key(inputs: &Inputs<'_>) -> Computed {
    Ok(match PublicKey::from_bytes(&inputs.bytes("public_key")?) {
        Ok(key) => json!({ "key_id": hex(key.key_id().as_bytes()) }),
        Err(_) => json!({ "error": "invalid_key" }),
    })
}

/// What a text names; `canonical` is the way it is printed, if that differs.
pub(super) fn key_id_text(inputs: &Inputs<'_>) -> Computed {
    let text = inputs.text("text")?;
    let id: KeyId = match text.parse() {
        Ok(id) => id,
        Err(error) => return Ok(json!({ "error": reason(error)? })),
    };
    let mut expected = json!({ "key_id": hex(id.as_bytes()) });
    if id.to_string() != text {
        expected["canonical"] = json!(id.to_string());
    }
    Ok(expected)
}

fn reason(error: KeyIdError) -> Result<&'static str, String> {
    Ok(match error {
        KeyIdError::Prefix => "prefix",
        KeyIdError::Length => "length",
        KeyIdError::Character => "character",
        KeyIdError::Trailing => "trailing",
        other => return Err(format!("an error without a name here: {other}")),
    })
}

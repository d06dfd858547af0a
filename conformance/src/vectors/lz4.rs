//! Compressed messages and block-encoded streams (specification sections 4.6 and 4.12).
//!
//! What a body stands for is fixed; how a sender compresses is not. So these cases are about reading.

use jsp_proto::internals::lz4;
use serde_json::json;

use super::value::{Computed, Inputs, hex};

/// The message that a compressed body stands for, for a receiver that takes at most `max_message_size` bytes.
pub(super) fn message(inputs: &Inputs<'_>) -> Computed {
    let message = lz4::message(&inputs.bytes("body")?, inputs.number("max_message_size")?);
    Ok(message.map_or(json!({ "error": "corrupt" }), |message| json!({ "message": hex(&message) })))
}

/// The bytes that a whole block-encoded stream stands for.
pub(super) fn blocks(inputs: &Inputs<'_>) -> Computed {
    let content = lz4::blocks(&inputs.bytes("stream")?);
    Ok(content.map_or(json!({ "error": "corrupt" }), |content| json!({ "content": hex(&content) })))
}

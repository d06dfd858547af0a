//! Keys that are changed while they are in use: those of connections, and those of a server's address tokens.

use std::time::Duration;

use jsp_proto::{ConfigBuilder, Conn};

use crate::config::{JspConfig, set};
use crate::conn::with_conn;
use crate::endpoint::{Inner, JspEndpoint, with};
use crate::memory::{copied, copied_if_any};
use crate::policy::switch;
use crate::status::{JspError, of_key_update};

/// Bytes of `token_key`, `token_secret` and `reset_key`.
pub const JSP_KEY_LEN: usize = 32;

/// Changes the keys of both directions of a connection, beside the updates that happen by themselves
/// (`key_update_packets`). Poll afterwards. `key_updates` of `JspConnStats` counts it when the peer has followed.
///
/// Errors, with which nothing has changed: `JSP_ERROR_NOT_CONFIRMED` before `JSP_EVENT_HANDSHAKE_CONFIRMED`;
/// `JSP_ERROR_KEY_UPDATE_PENDING`; `JSP_ERROR_CLOSED`; `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `endpoint` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_update_keys(endpoint: *mut JspEndpoint, now_ns: u64, connection: u64) -> JspError {
    let work = |mut conn: Conn<'_>| conn.update_keys().map_err(of_key_update);
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Replaces the keys of address tokens, `JSP_KEY_LEN` bytes each: `current` makes them, and those of `previous`, which may
/// be `NULL`, are accepted as well. For servers that hand out their keys by means of their own; from now on no key takes
/// its turn by itself. To be called at all servers of an address, first with the new key as `previous`, then with it as
/// `current`: then none gets a token whose key it does not know yet.
///
/// # Safety
/// `endpoint` is a handle that was not freed; `current` may be read for that many bytes, and `previous` unless `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_endpoint_set_token_keys(
    endpoint: *mut JspEndpoint,
    current: *const u8,
    previous: *const u8,
) -> JspError {
    let work = |endpoint: &mut Inner| {
        // SAFETY: the caller's promise.
        let current = unsafe { copied(current) }?;
        // SAFETY: the caller's promise.
        endpoint.proto.set_token_keys(current, unsafe { copied_if_any(previous) });
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, work) }
}

/// Applies what is said about keys and tokens.
///
/// # Safety
/// As the fields say.
pub(crate) unsafe fn secrets(mut builder: ConfigBuilder, given: &JspConfig) -> Result<ConfigBuilder, JspError> {
    // SAFETY: the caller's promise.
    if let Some(key) = unsafe { copied_if_any(given.token_key) } {
        builder = builder.token_key(key);
    }
    // SAFETY: the caller's promise.
    if let Some(secret) = unsafe { copied_if_any(given.token_secret) } {
        builder = builder.token_secret(secret);
    }
    // SAFETY: the caller's promise.
    if let Some(key) = unsafe { copied_if_any(given.reset_key) } {
        builder = builder.reset_key(key);
    }
    builder = set(builder, given.token_rotation_ns, |b, ns| b.token_rotation(Duration::from_nanos(ns)));
    builder = set(builder, given.token_lifetime_ns, |b, ns| b.token_lifetime(Duration::from_nanos(ns)));
    if let Some(hand_out) = switch(given.new_tokens)? {
        builder = builder.new_tokens(hand_out);
    }
    builder = set(builder, given.key_update_packets, |b, packets| b.key_update_packets(packets));
    Ok(set(builder, given.key_update_age_ns, |b, ns| b.key_update_age(Duration::from_nanos(ns))))
}

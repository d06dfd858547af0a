//! Connections of an endpoint, named by their ids.

use std::ffi::c_char;

use jsp_proto::{AppCode, Congestion, Conn, ConnId, ConnectionError, Instant, Side};

use crate::address::JspAddress;
use crate::config::congestion;
use crate::endpoint::{Inner, JspEndpoint, with};
use crate::keys::JSP_KEY_ID_TEXT;
use crate::memory::{Sized32, bytes, bytes_mut, copy_out, put, put_text, write};
use crate::policy::network;
use crate::status::{
    JSP_ERROR_INVALID_ARGUMENT, JSP_ERROR_NO_CONNECTION, JSP_ERROR_NOT_CONNECTED, JSP_ERROR_WRONG_STATE, JspError,
    Outcome, of_end,
};
use crate::time::nanos;

/// Bytes of the reason that a peer may give for closing.
pub const JSP_REASON_LEN: usize = 128;

impl Inner {
    /// The connection with this id.
    pub(crate) fn conn(&mut self, now_ns: u64, id: u64) -> Result<Conn<'_>, JspError> {
        self.proto.conn(Instant::from_nanos(now_ns), ConnId::from_u64(id)).ok_or(JSP_ERROR_NO_CONNECTION)
    }
}

/// Works with a connection behind a handle.
///
/// # Safety
/// `endpoint` is `NULL` or a handle that was not freed.
pub(crate) unsafe fn with_conn(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    work: impl FnOnce(Conn<'_>) -> Outcome,
) -> JspError {
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, |endpoint| work(endpoint.conn(now_ns, connection)?)) }
}

/// As [`with_conn`], at the latest time that the endpoint was told: for looking at a connection.
///
/// # Safety
/// As [`with_conn`].
pub(crate) unsafe fn look(
    endpoint: *mut JspEndpoint,
    connection: u64,
    work: impl FnOnce(Conn<'_>) -> Outcome,
) -> JspError {
    // SAFETY: the caller's promise. A time in the past counts as the latest.
    unsafe { with_conn(endpoint, 0, connection, work) }
}

/// What a connection is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JspConnInfo {
    /// `sizeof(JspConnInfo)`.
    pub size: u32,
    /// 1 if this side accepted it, 0 if it connected.
    pub is_server: u32,
    /// 1 from `JSP_EVENT_CONNECTED` on.
    pub is_connected: u32,
    /// 1 from `JSP_EVENT_CLOSED` on.
    pub is_closed: u32,
    /// The peer's address.
    pub remote: JspAddress,
    /// The id of the key that the peer has proven to hold, with a zero byte at its end; empty if none.
    pub peer_key_id: [c_char; JSP_KEY_ID_TEXT],
    /// Zero.
    pub reserved: [u8; 6],
    /// The largest message that the peer accepts.
    pub max_message_size: u64,
}

// SAFETY: a `u32` first; numbers take any bits.
unsafe impl Sized32 for JspConnInfo {
    const FIRST: usize = size_of::<Self>();
}

/// Why a connection ended.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JspCloseReason {
    /// `sizeof(JspCloseReason)`.
    pub size: u32,
    /// One of the errors from `JSP_ERROR_LOCALLY_CLOSED` on.
    pub error: JspError,
    /// The application's code for `..._CLOSED`, `..._UNDELIVERED` and `..._REFUSED`, the protocol's for `..._PEER_ERROR` and
    /// `..._PROTOCOL`, otherwise 0.
    pub code: u64,
    /// For `JSP_ERROR_IDLE_TIMEOUT`, `JSP_ERROR_NO_ANSWER` and `JSP_ERROR_UNDELIVERED`: the time that passed.
    pub after_ns: u64,
    /// Bytes of `reason`.
    pub reason_len: u32,
    /// What the peer gave as a reason, as it came.
    pub reason: [u8; JSP_REASON_LEN],
    /// For `JSP_ERROR_KEY_MISMATCH`: the trusted key's id, with a zero byte at its end.
    pub expected_key_id: [c_char; JSP_KEY_ID_TEXT],
    /// For `JSP_ERROR_KEY_MISMATCH`: the id of the key that answered. Not proven: whoever is on the path could have
    /// sent it.
    pub found_key_id: [c_char; JSP_KEY_ID_TEXT],
}

// SAFETY: a `u32` first; numbers take any bits.
unsafe impl Sized32 for JspCloseReason {
    const FIRST: usize = size_of::<Self>();
}

fn fixed_text(text: &str) -> [c_char; JSP_KEY_ID_TEXT] {
    let mut out = [0; JSP_KEY_ID_TEXT];
    for (slot, byte) in out.iter_mut().take(JSP_KEY_ID_TEXT - 1).zip(text.bytes()) {
        *slot = byte as c_char;
    }
    out
}

/// Tells what a connection is. Before it is connected some of it is not known.
///
/// Errors: `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `info` may be written for as many bytes as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_info(
    endpoint: *mut JspEndpoint,
    connection: u64,
    info: *mut JspConnInfo,
) -> JspError {
    let work = |conn: Conn<'_>| {
        let value = JspConnInfo {
            size: 0,
            is_server: u32::from(conn.side() == Side::Server),
            is_connected: u32::from(conn.is_connected()),
            is_closed: u32::from(conn.is_closed()),
            remote: conn.path().map(|path| path.remote).into(),
            peer_key_id: conn.peer_key_id().map_or([0; JSP_KEY_ID_TEXT], |id| fixed_text(&id.to_string())),
            reserved: [0; 6],
            max_message_size: conn.max_message_size(),
        };
        // SAFETY: the caller's promise.
        unsafe { write(info, &value) }
    };
    // SAFETY: the caller's promise.
    unsafe { look(endpoint, connection, work) }
}

/// Why a connection ended.
///
/// Errors: `JSP_ERROR_WRONG_STATE` if it has not; `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `reason` may be written for as many bytes as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_close_reason(
    endpoint: *mut JspEndpoint,
    connection: u64,
    reason: *mut JspCloseReason,
) -> JspError {
    let work = |conn: Conn<'_>| {
        let end = conn.close_reason().ok_or(JSP_ERROR_WRONG_STATE)?;
        let (error, code) = of_end(end);
        let mut value = JspCloseReason {
            size: 0,
            error,
            code,
            after_ns: 0,
            reason_len: 0,
            reason: [0; JSP_REASON_LEN],
            expected_key_id: [0; JSP_KEY_ID_TEXT],
            found_key_id: [0; JSP_KEY_ID_TEXT],
        };
        let given: &[u8] = match end {
            ConnectionError::PeerClosed { reason, .. } | ConnectionError::PeerError { reason, .. } => reason,
            ConnectionError::Protocol { reason, .. } => reason.as_bytes(),
            _ => b"",
        };
        for (slot, &byte) in value.reason.iter_mut().zip(given) {
            *slot = byte;
        }
        value.reason_len = given.len().min(JSP_REASON_LEN) as u32;
        match end {
            ConnectionError::PeerKeyMismatch { expected, got } => {
                value.expected_key_id = fixed_text(&expected.to_string());
                value.found_key_id = fixed_text(&got.to_string());
            }
            ConnectionError::IdleTimeout { after }
            | ConnectionError::NoAnswer { after }
            | ConnectionError::Undelivered { after, .. } => {
                value.after_ns = nanos(*after);
            }
            _ => {}
        }
        // SAFETY: the caller's promise.
        unsafe { write(reason, &value) }
    };
    // SAFETY: the caller's promise.
    unsafe { look(endpoint, connection, work) }
}

/// Why a connection ended, in words for people, with a zero byte at the end. `*len` is the length without it. 640 bytes
/// are always enough.
///
/// Errors: `JSP_ERROR_WRONG_STATE` if it has not; `JSP_ERROR_BUFFER_TOO_SMALL`; `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `out` may be written for `capacity` bytes, and `len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_close_text(
    endpoint: *mut JspEndpoint,
    connection: u64,
    out: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> JspError {
    let work = |conn: Conn<'_>| {
        let text = conn.close_reason().ok_or(JSP_ERROR_WRONG_STATE)?.to_string();
        // SAFETY: the caller's promise.
        unsafe { put(len, text.len()) }?;
        // SAFETY: the caller's promise.
        unsafe { put_text(&text, out, capacity) }
    };
    // SAFETY: the caller's promise.
    unsafe { look(endpoint, connection, work) }
}

/// The application protocol that both sides speak.
///
/// Errors: `JSP_ERROR_BUFFER_TOO_SMALL`, with the length in `*len`; `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `out` may be written for `capacity` bytes, and `len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_protocol(
    endpoint: *mut JspEndpoint,
    connection: u64,
    out: *mut u8,
    capacity: usize,
    len: *mut usize,
) -> JspError {
    let work = |conn: Conn<'_>| {
        // SAFETY: the caller's promise.
        unsafe { copy_out([conn.protocol(), b""], out, capacity, len) }
    };
    // SAFETY: the caller's promise.
    unsafe { look(endpoint, connection, work) }
}

/// Fills `out` with `len` bytes that only both sides of this connection know, for the purpose that `label` and `context`
/// name. Both sides get the same bytes.
///
/// Errors: `JSP_ERROR_NOT_CONNECTED`, also if label, context or length are out of their bounds;
/// `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `label` and `context` may be read for their lengths, `out` written for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_export_key(
    endpoint: *mut JspEndpoint,
    connection: u64,
    label: *const u8,
    label_len: usize,
    context: *const u8,
    context_len: usize,
    out: *mut u8,
    len: usize,
) -> JspError {
    let work = |conn: Conn<'_>| {
        // SAFETY: the caller's promise.
        let label = unsafe { bytes(label, label_len) }?;
        // SAFETY: the caller's promise.
        let context = unsafe { bytes(context, context_len) }?;
        // SAFETY: the caller's promise.
        let out = unsafe { bytes_mut(out, len) }?;
        conn.export_key(label, context, out).map_err(|_| JSP_ERROR_NOT_CONNECTED)
    };
    // SAFETY: the caller's promise.
    unsafe { look(endpoint, connection, work) }
}

/// The key that a server offers to a client with `JSP_TRUST_ASK`.
///
/// Errors: `JSP_ERROR_WRONG_STATE` if none is offered; `JSP_ERROR_BUFFER_TOO_SMALL`, with the length in `*len`
/// (`JSP_PUBLIC_KEY_LEN`); `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `out` may be written for `capacity` bytes, and `len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_offered_key(
    endpoint: *mut JspEndpoint,
    connection: u64,
    out: *mut u8,
    capacity: usize,
    len: *mut usize,
) -> JspError {
    let work = |conn: Conn<'_>| {
        let key = conn.offered_key().ok_or(JSP_ERROR_WRONG_STATE)?;
        // SAFETY: the caller's promise.
        unsafe { copy_out([key.as_bytes(), b""], out, capacity, len) }
    };
    // SAFETY: the caller's promise.
    unsafe { look(endpoint, connection, work) }
}

/// Trusts the offered key: the handshake goes on.
///
/// Errors: `JSP_ERROR_WRONG_STATE` if none is offered; `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `endpoint` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_trust_key(endpoint: *mut JspEndpoint, now_ns: u64, connection: u64) -> JspError {
    let work = |mut conn: Conn<'_>| {
        conn.offered_key().ok_or(JSP_ERROR_WRONG_STATE)?;
        conn.trust_key();
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Rejects the offered key: the connection ends with `JSP_ERROR_KEY_REJECTED`.
///
/// Errors: `JSP_ERROR_WRONG_STATE` if none is offered; `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `endpoint` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_reject_key(endpoint: *mut JspEndpoint, now_ns: u64, connection: u64) -> JspError {
    let work = |mut conn: Conn<'_>| {
        conn.offered_key().ok_or(JSP_ERROR_WRONG_STATE)?;
        conn.reject_key();
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Goes on with this controller, `JSP_CONGESTION_...`, which starts from nothing. It decides how fast this side sends.
///
/// Errors: `JSP_ERROR_INVALID_ARGUMENT` for another number; `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `endpoint` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_set_congestion(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    controller: u32,
) -> JspError {
    let work = |mut conn: Conn<'_>| {
        conn.set_congestion(congestion(controller)?);
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Goes on sending this many bytes of datagrams per second, whatever is lost. For private links that carry nothing else:
/// anywhere else it takes the path from all others and may bring it to a standstill.
///
/// Errors: `JSP_ERROR_INVALID_ARGUMENT` for 0; `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `endpoint` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_set_fixed_rate_without_congestion_control(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    bytes_per_second: u64,
) -> JspError {
    let work = |mut conn: Conn<'_>| {
        if bytes_per_second == 0 {
            return Err(JSP_ERROR_INVALID_ARGUMENT);
        }
        conn.set_congestion(Congestion::FixedRateWithoutCongestionControl { bytes_per_second });
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Tells what network the device is on, `JSP_NETWORK_...`: streams without compression or error correction of their own do
/// from now on what suits it.
///
/// Errors: `JSP_ERROR_INVALID_ARGUMENT` for another number; `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `endpoint` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_set_network(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    network: u32,
) -> JspError {
    let work = |mut conn: Conn<'_>| {
        conn.set_network(self::network(network)?);
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Closes a connection after everything accepted for sending was delivered. `code` and `reason`, at most
/// `JSP_REASON_LEN` bytes, reach the peer's application. `JSP_EVENT_CLOSED` follows; the reason is then
/// `JSP_ERROR_LOCALLY_CLOSED`, or `JSP_ERROR_UNDELIVERED` if the peer did not take everything. Closing again does
/// nothing.
///
/// Errors: `JSP_ERROR_INVALID_ARGUMENT` for a longer reason; `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `reason` may be read for `reason_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_close(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    code: u64,
    reason: *const u8,
    reason_len: usize,
) -> JspError {
    let work = |mut conn: Conn<'_>| {
        // SAFETY: the caller's promise.
        conn.close(AppCode::new(code), unsafe { short_reason(reason, reason_len) }?);
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Closes a connection at once, whatever is on its way. Otherwise as `jsp_conn_close`.
///
/// # Safety
/// `reason` may be read for `reason_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_abort(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    code: u64,
    reason: *const u8,
    reason_len: usize,
) -> JspError {
    let work = |mut conn: Conn<'_>| {
        // SAFETY: the caller's promise.
        conn.abort(AppCode::new(code), unsafe { short_reason(reason, reason_len) }?);
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// # Safety
/// As [`bytes`].
unsafe fn short_reason<'a>(reason: *const u8, len: usize) -> Result<&'a [u8], JspError> {
    // SAFETY: the caller's promise.
    match unsafe { bytes(reason, len) }? {
        reason if reason.len() <= JSP_REASON_LEN => Ok(reason),
        _ => Err(JSP_ERROR_INVALID_ARGUMENT),
    }
}

/// Forgets a connection that is over with everything that was not read of it. One that is not over is aborted. Its id is
/// of no more use.
///
/// Errors: `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `endpoint` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_discard(endpoint: *mut JspEndpoint, now_ns: u64, connection: u64) -> JspError {
    let work = |conn: Conn<'_>| {
        conn.discard();
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

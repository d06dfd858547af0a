//! Clients that ask to be let in.

use std::ffi::c_char;

use jsp_proto::{Accept, AppCode, Incoming, IncomingId, Instant};

use crate::address::JspAddress;
use crate::endpoint::{Inner, JspEndpoint, with};
use crate::keys::{JSP_KEY_ID_TEXT, JSP_PUBLIC_KEY_LEN, public_key};
use crate::memory::{JspBytes, Sized32, bytes, copied, copy_out, put_text, read, write};
use crate::status::{JSP_ERROR_INCOMING_GONE, JSP_ERROR_WRONG_STATE, JspError};

/// What a client that asks to be let in tells. It is encrypted to the server's key but proves nothing yet: a recorded
/// first message can be replayed. Decide without side effects, and act when the connection is there.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JspIncoming {
    /// `sizeof(JspIncoming)`.
    pub size: u32,
    /// 1 if the client has proven that it receives at its address.
    pub is_validated: u32,
    /// The client's address.
    pub remote: JspAddress,
    /// 1 if the client offers to prove an identity key: `jsp_incoming_key_id`.
    pub has_key_id: u32,
    /// 1 if the client sent that key: `jsp_incoming_key`.
    pub has_key: u32,
    /// Bytes of the id of the pre-shared key that the client offers to prove; 0: none. `jsp_incoming_psk_id`.
    pub psk_id_len: u32,
    /// Bytes of what its application sent. `jsp_incoming_app_token`.
    pub app_token_len: u32,
}

// SAFETY: a `u32` first; numbers take any bits.
unsafe impl Sized32 for JspIncoming {
    const FIRST: usize = size_of::<Self>();
}

/// How to accept a client.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JspAccept {
    /// `sizeof(JspAccept)`.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// The client's identity key, `JSP_PUBLIC_KEY_LEN` bytes, which it then has to prove; `NULL`: none.
    pub client_key: *const u8,
    /// The pre-shared key, 32 bytes, that the client's id stands for; `NULL`: none.
    pub psk: *const u8,
    /// The application protocol, one of those that the client offers; empty: the first configured one.
    pub protocol: JspBytes,
}

// SAFETY: a `u32` first; numbers and pointers take any bits.
unsafe impl Sized32 for JspAccept {
    const FIRST: usize = size_of::<Self>();
}

impl Inner {
    fn incoming(&self, id: u64) -> Result<Incoming<'_>, JspError> {
        self.proto.incoming(IncomingId::from_u64(id)).ok_or(JSP_ERROR_INCOMING_GONE)
    }
}

/// What a client tells that asks to be let in; `client` is from `JSP_EVENT_INCOMING`.
///
/// Errors: `JSP_ERROR_INCOMING_GONE`.
///
/// # Safety
/// `info` may be written for as many bytes as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_incoming_info(
    endpoint: *mut JspEndpoint,
    client: u64,
    info: *mut JspIncoming,
) -> JspError {
    let work = |endpoint: &mut Inner| {
        let incoming = endpoint.incoming(client)?;
        let value = JspIncoming {
            size: 0,
            is_validated: u32::from(incoming.is_address_validated()),
            remote: incoming.remote_address().into(),
            has_key_id: u32::from(incoming.client_key_id().is_some()),
            has_key: u32::from(incoming.client_key().is_some()),
            psk_id_len: incoming.psk_id().map_or(0, |id| id.len() as u32),
            app_token_len: incoming.app_token().len() as u32,
        };
        // SAFETY: the caller's promise.
        unsafe { write(info, &value) }
    };
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, work) }
}

/// The id of the identity key that the client offers to prove, with a zero byte at its end, into `out`
/// (`JSP_KEY_ID_TEXT` bytes).
///
/// Errors: `JSP_ERROR_WRONG_STATE` if it offers none; `JSP_ERROR_INCOMING_GONE`.
///
/// # Safety
/// `out` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_incoming_key_id(endpoint: *mut JspEndpoint, client: u64, out: *mut c_char) -> JspError {
    let work = |endpoint: &mut Inner| {
        let id = endpoint.incoming(client)?.client_key_id().ok_or(JSP_ERROR_WRONG_STATE)?;
        // SAFETY: the caller's promise.
        unsafe { put_text(&id.to_string(), out, JSP_KEY_ID_TEXT) }
    };
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, work) }
}

/// The identity key that the client sent.
///
/// Errors: `JSP_ERROR_WRONG_STATE` if it sent none; `JSP_ERROR_BUFFER_TOO_SMALL`; `JSP_ERROR_INCOMING_GONE`.
///
/// # Safety
/// `out` may be written for `capacity` bytes, and `len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_incoming_key(
    endpoint: *mut JspEndpoint,
    client: u64,
    out: *mut u8,
    capacity: usize,
    len: *mut usize,
) -> JspError {
    let work = |endpoint: &mut Inner| {
        let key = endpoint.incoming(client)?.client_key().ok_or(JSP_ERROR_WRONG_STATE)?;
        // SAFETY: the caller's promise.
        unsafe { copy_out([key.as_bytes(), b""], out, capacity, len) }
    };
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, work) }
}

/// The id of the pre-shared key that the client offers to prove.
///
/// Errors: `JSP_ERROR_WRONG_STATE` if it offers none; `JSP_ERROR_BUFFER_TOO_SMALL`; `JSP_ERROR_INCOMING_GONE`.
///
/// # Safety
/// `out` may be written for `capacity` bytes, and `len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_incoming_psk_id(
    endpoint: *mut JspEndpoint,
    client: u64,
    out: *mut u8,
    capacity: usize,
    len: *mut usize,
) -> JspError {
    let work = |endpoint: &mut Inner| {
        let id = endpoint.incoming(client)?.psk_id().ok_or(JSP_ERROR_WRONG_STATE)?;
        // SAFETY: the caller's promise.
        unsafe { copy_out([id, b""], out, capacity, len) }
    };
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, work) }
}

/// What the client's application wants the server's to see; empty if nothing.
///
/// Errors: `JSP_ERROR_BUFFER_TOO_SMALL`; `JSP_ERROR_INCOMING_GONE`.
///
/// # Safety
/// `out` may be written for `capacity` bytes, and `len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_incoming_app_token(
    endpoint: *mut JspEndpoint,
    client: u64,
    out: *mut u8,
    capacity: usize,
    len: *mut usize,
) -> JspError {
    let work = |endpoint: &mut Inner| {
        let token = endpoint.incoming(client)?.app_token();
        // SAFETY: the caller's promise.
        unsafe { copy_out([token, b""], out, capacity, len) }
    };
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, work) }
}

/// Lets a client in; `accept` may be `NULL` for what the configuration says. `JSP_EVENT_CONNECTED` follows when it is in.
///
/// Errors: `JSP_ERROR_INCOMING_GONE`, `JSP_ERROR_INVALID_KEY`.
///
/// # Safety
/// `accept` is `NULL`, or it and what it points to may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_incoming_accept(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    client: u64,
    accept: *const JspAccept,
) -> JspError {
    let work = |endpoint: &mut Inner| {
        // SAFETY: the caller's promise.
        let accept = unsafe { acceptance(accept) }?;
        let accepted = endpoint.proto.accept(Instant::from_nanos(now_ns), IncomingId::from_u64(client), accept);
        accepted.map_err(|_| JSP_ERROR_INCOMING_GONE)
    };
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, work) }
}

/// # Safety
/// As the fields say.
unsafe fn acceptance(accept: *const JspAccept) -> Result<Accept, JspError> {
    let mut result = Accept::new();
    if accept.is_null() {
        return Ok(result);
    }
    // SAFETY: the caller's promise.
    let given = unsafe { read(accept) }?;
    if !given.client_key.is_null() {
        // SAFETY: the caller's promise.
        result = result.client_key(public_key(unsafe { bytes(given.client_key, JSP_PUBLIC_KEY_LEN) }?)?);
    }
    if !given.psk.is_null() {
        // SAFETY: the caller's promise.
        result = result.psk(unsafe { copied(given.psk) }?);
    }
    // SAFETY: the caller's promise.
    let protocol = unsafe { bytes(given.protocol.data, given.protocol.len) }?;
    Ok(if protocol.is_empty() { result } else { result.protocol(protocol) })
}

/// Tells a client that it is not wanted, with a code of the application.
///
/// Errors: `JSP_ERROR_INCOMING_GONE`.
///
/// # Safety
/// `endpoint` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_incoming_refuse(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    client: u64,
    code: u64,
) -> JspError {
    let work = |endpoint: &mut Inner| {
        let id = IncomingId::from_u64(client);
        endpoint.proto.refuse(Instant::from_nanos(now_ns), id, AppCode::new(code)).map_err(|_| JSP_ERROR_INCOMING_GONE)
    };
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, work) }
}

/// Stays silent to a client, which then runs into its timeout.
///
/// # Safety
/// `endpoint` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_incoming_ignore(endpoint: *mut JspEndpoint, client: u64) -> JspError {
    let work = |endpoint: &mut Inner| {
        endpoint.proto.ignore(IncomingId::from_u64(client));
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, work) }
}

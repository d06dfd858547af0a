//! The endpoint: one UDP socket's connections, without the socket.

use std::num::NonZeroU16;
use std::sync::Arc;

use jsp_proto::driver::TokenStore;
use jsp_proto::{AppCode, Config, ConnId, Ecn, Endpoint, Entropy, Instant, Path, RecvMeta};

use crate::address::JspAddress;
use crate::config::{JspClientConfig, JspConfig, client_config, endpoint_config};
use crate::guard::{Guarded, catch, handle};
use crate::memory::{bytes_mut, check, copied, elements, put, read, write};
use crate::poll::{JspEvent, JspPoll, fill};
use crate::status::{JSP_ERROR_INVALID_ARGUMENT, JspError, Outcome, of_connect};

/// The state machine of one UDP socket: any number of connections, as client, server or both. Owns no socket, reads no
/// clock, starts no thread; no call blocks. Used by one thread at a time.
///
/// Time is a count of nanoseconds, `now_ns`, from an origin that the program chooses, such as a monotonic clock. It may
/// repeat or go back; then the latest one counts.
#[derive(Debug)]
pub struct JspEndpoint(pub(crate) Guarded<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) proto: Endpoint,
    /// An event for which the last poll had no room.
    held: Option<JspEvent>,
    /// Address tokens for later connections.
    tokens: TokenStore,
}

impl JspEndpoint {
    /// For programs in Rust that hand an endpoint to code in C.
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        let proto = Endpoint::new(Arc::new(config), Entropy::new(seed));
        Self(Guarded::new(Inner { proto, held: None, tokens: TokenStore::default() }))
    }

    /// Works with the state machine itself, between two calls of C.
    ///
    /// # Errors
    /// `JSP_ERROR_BUSY`, `JSP_ERROR_POISONED`, `JSP_ERROR_PANIC`.
    pub fn with<T>(&self, work: impl FnOnce(&mut Endpoint) -> T) -> Result<T, JspError> {
        let mut result = None;
        let error = self.0.enter(|endpoint| {
            result = Some(work(&mut endpoint.proto));
            Ok(())
        });
        result.ok_or(error)
    }
}

impl Inner {
    /// # Safety
    /// As for [`fill`].
    unsafe fn fill(&mut self, now: Instant, room: &mut JspPoll) -> Outcome {
        // SAFETY: the caller's promise.
        unsafe { fill(&mut self.proto, &mut self.held, &mut self.tokens, now, room) }
    }
}

/// Works with the endpoint behind a handle.
///
/// # Safety
/// `endpoint` is `NULL` or a handle that was not freed.
pub(crate) unsafe fn with(endpoint: *const JspEndpoint, work: impl FnOnce(&mut Inner) -> Outcome) -> JspError {
    // SAFETY: the caller's promise.
    match unsafe { handle(endpoint) } {
        Ok(endpoint) => endpoint.0.enter(work),
        Err(error) => error,
    }
}

/// Makes an endpoint. `config` may be `NULL` for a client with the defaults. `seed`, `JSP_SEED_LEN` bytes, is all the
/// randomness it ever uses: `jsp_random`, new for every endpoint. Equal seeds and calls give equal datagrams, and two
/// endpoints with one seed betray each other's secrets.
///
/// `*out` is the program's to free with `jsp_endpoint_free`.
///
/// Errors: `JSP_ERROR_INVALID_ARGUMENT`, `JSP_ERROR_STRUCT_SIZE`.
///
/// # Safety
/// `config` and what it points to may be read, `seed` too; `out` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_endpoint_new(
    config: *const JspConfig,
    seed: *const u8,
    out: *mut *mut JspEndpoint,
) -> JspError {
    catch(|| {
        check(out)?;
        // SAFETY: the caller's promise.
        let config: Config = unsafe { endpoint_config(config) }?;
        // SAFETY: the caller's promise.
        let seed = unsafe { copied(seed) }?;
        // SAFETY: the caller's promise.
        unsafe { put(out, Box::into_raw(Box::new(JspEndpoint::new(config, seed)))) }
    })
}

/// Frees an endpoint; `NULL` does nothing. Sends nothing: call `jsp_endpoint_shutdown` and go on until
/// `jsp_endpoint_is_idle` to take leave. An endpoint that another thread uses at this moment is leaked instead.
///
/// # Safety
/// `endpoint` is `NULL` or a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_endpoint_free(endpoint: *mut JspEndpoint) {
    // SAFETY: the caller's promise.
    let is_free = unsafe { handle(endpoint) }.is_ok_and(|endpoint| !endpoint.0.is_busy());
    if is_free {
        catch(|| {
            // SAFETY: it was made by `Box::into_raw` and nobody uses it.
            drop(unsafe { Box::from_raw(endpoint) });
            Ok(())
        });
    }
}

/// A received datagram, or several of one size: bytes `offset` to `offset + len` of a buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JspDatagram {
    /// Where it begins in the buffer.
    pub offset: usize,
    /// Its bytes.
    pub len: usize,
    /// Bytes of each datagram where the system joined several (GRO); only the last may be shorter. 0: one datagram.
    pub stride: usize,
    /// Where it came from.
    pub remote: JspAddress,
    /// The address it was sent to, where the program knows it; otherwise `JSP_FAMILY_NONE`.
    pub local: JspAddress,
    /// The ECN bits of the IP header, 0 to 3; 0 where the program does not know them.
    pub ecn: u8,
    /// Zero.
    pub reserved: [u8; 7],
}

/// Gives received datagrams to the endpoint. They are decrypted where they lie: the buffer's content is of no use
/// afterwards. Whatever a peer may have sent is no error: it is dropped and counted. Poll afterwards.
///
/// Errors: `JSP_ERROR_INVALID_ARGUMENT` if a datagram lies outside the buffer or has no address; those before it were
/// taken.
///
/// # Safety
/// `buffer` may be read and written for `buffer_len` bytes, `datagrams` read for `datagrams_len` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_endpoint_receive(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    buffer: *mut u8,
    buffer_len: usize,
    datagrams: *const JspDatagram,
    datagrams_len: usize,
) -> JspError {
    let work = |endpoint: &mut Inner| {
        // SAFETY: the caller's promise.
        let buffer = unsafe { bytes_mut(buffer, buffer_len) }?;
        // SAFETY: the caller's promise.
        for datagram in unsafe { elements(datagrams, datagrams_len) }? {
            let end = datagram.offset.checked_add(datagram.len).ok_or(JSP_ERROR_INVALID_ARGUMENT)?;
            let bytes = buffer.get_mut(datagram.offset..end).ok_or(JSP_ERROR_INVALID_ARGUMENT)?;
            let stride = if datagram.stride < datagram.len { datagram.stride } else { 0 };
            let stride = u16::try_from(stride).map_err(|_| JSP_ERROR_INVALID_ARGUMENT)?;
            let meta = RecvMeta {
                path: Path { local: datagram.local.get()?, remote: datagram.remote.required()? },
                ecn: Ecn::from_bits(datagram.ecn),
                stride: NonZeroU16::new(stride),
            };
            endpoint.proto.handle_datagram(Instant::from_nanos(now_ns), meta, bytes);
        }
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, work) }
}

/// Takes out what the endpoint has: datagrams to send and events, until the program's room is full or there is nothing
/// more. Call it after everything else and when the time has come; `poll->wake_at_ns` says when that is.
///
/// Errors: `JSP_ERROR_BUFFER_TOO_SMALL` if the buffer holds no datagram of the largest size.
///
/// # Safety
/// `poll` and what it points to are as its fields say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_endpoint_poll(endpoint: *mut JspEndpoint, now_ns: u64, poll: *mut JspPoll) -> JspError {
    let work = |endpoint: &mut Inner| {
        // SAFETY: the caller's promise.
        let mut room = unsafe { read(poll) }?;
        // SAFETY: the caller's promise.
        unsafe { endpoint.fill(Instant::from_nanos(now_ns), &mut room) }?;
        // SAFETY: the caller's promise.
        unsafe { write(poll, &room) }
    };
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, work) }
}

/// Begins to connect to the server at `remote`. How that ends is an event: `JSP_EVENT_CONNECTED` or `JSP_EVENT_CLOSED`.
/// `client` may be `NULL` for a server on the loopback address. `*connection` names the connection from now on. An address
/// token of an earlier connection of the endpoint to the same pinned key and address is used, if there is one.
///
/// Errors: `JSP_ERROR_TRUST_REQUIRED`, `JSP_ERROR_INVALID_KEY`, `JSP_ERROR_INVALID_KEY_ID`, `JSP_ERROR_TOO_LARGE`,
/// `JSP_ERROR_TOO_MANY_CONNECTIONS`, `JSP_ERROR_SHUTTING_DOWN`, `JSP_ERROR_INVALID_ARGUMENT`.
///
/// # Safety
/// `remote`, `client` and what it points to may be read; `connection` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_endpoint_connect(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    remote: *const JspAddress,
    client: *const JspClientConfig,
    connection: *mut u64,
) -> JspError {
    let work = |endpoint: &mut Inner| {
        check(connection)?;
        // SAFETY: the caller's promise.
        let remote = unsafe { crate::memory::read_only(remote) }?.required()?;
        // SAFETY: the caller's promise.
        let client = unsafe { client_config(client) }?;
        let client = endpoint.tokens.equip(remote, &client).unwrap_or(client);
        let connected = endpoint.proto.connect(Instant::from_nanos(now_ns), Path::to(remote), &client);
        let id: ConnId = connected.map_err(|error| of_connect(&error))?;
        // SAFETY: the caller's promise.
        unsafe { put(connection, id.as_u64()) }
    };
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, work) }
}

/// Takes no more connections, and closes all with `code` after delivering what was accepted for sending. Go on until
/// `jsp_endpoint_is_idle`.
///
/// # Safety
/// `endpoint` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_endpoint_shutdown(endpoint: *mut JspEndpoint, now_ns: u64, code: u64) -> JspError {
    let work = |endpoint: &mut Inner| {
        endpoint.proto.shutdown(Instant::from_nanos(now_ns), AppCode::new(code));
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, work) }
}

/// Sets `*idle` to 1 if no connection is left but such as are over and wait to be read empty, otherwise to 0.
///
/// # Safety
/// `idle` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_endpoint_is_idle(endpoint: *mut JspEndpoint, idle: *mut u32) -> JspError {
    let work = |endpoint: &mut Inner| {
        let is_idle = endpoint.held.is_none() && endpoint.proto.is_idle();
        // SAFETY: the caller's promise.
        unsafe { put(idle, u32::from(is_idle)) }
    };
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, work) }
}

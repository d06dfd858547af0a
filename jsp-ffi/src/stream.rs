//! Streams of bytes and of messages, named by their ids.

use std::mem::offset_of;
use std::time::Duration;

use jsp_proto::{AppCode, Conn, Delivery, MessageOptions, Recv, RecvMessage, StreamId, StreamOptions};

use crate::conn::with_conn;
use crate::endpoint::JspEndpoint;
use crate::memory::{Sized32, bytes, bytes_mut, check, copy_out, put, read};
use crate::policy::{compression, fec};
use crate::status::{
    JSP_ERROR_END, JSP_ERROR_INVALID_ARGUMENT, JSP_ERROR_RESET, JSP_ERROR_WOULD_BLOCK, JspError, of_open, of_recv,
    of_send,
};

/// How a message is delivered.
pub type JspDeliveryMode = u32;
/// Sent again until it arrives.
pub const JSP_DELIVERY_MODE_RELIABLE: JspDeliveryMode = 0;
/// Sent once.
pub const JSP_DELIVERY_MODE_BEST_EFFORT: JspDeliveryMode = 1;
/// Sent, and sent again, as long as it can still arrive within its time.
pub const JSP_DELIVERY_MODE_PARTIALLY_RELIABLE: JspDeliveryMode = 2;

/// A stream of bytes, reliable and ordered.
pub const JSP_STREAM_BYTES: u32 = 0;
/// A stream of messages, delivered in the order in which they were sent.
pub const JSP_STREAM_ORDERED_MESSAGES: u32 = 1;
/// A stream of messages, each delivered as soon as it is complete.
pub const JSP_STREAM_UNORDERED_MESSAGES: u32 = 2;

/// What kind of stream to open. All zeros, with `size` set, is a bidirectional stream of bytes of priority 128, compressed
/// and corrected as the connection says.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JspStreamOptions {
    /// `sizeof(JspStreamOptions)`.
    pub size: u32,
    /// `JSP_STREAM_...`. The ids of streams carry it in bits 2 and 3; there 3 is a stream of bytes opened with
    /// compression.
    pub kind: u32,
    /// Not 0: only this side sends. Bit 1 of the ids.
    pub uni: u32,
    /// How its messages are delivered unless one says otherwise. Streams of bytes are reliable.
    pub mode: JspDeliveryMode,
    /// For `JSP_DELIVERY_MODE_PARTIALLY_RELIABLE`: how long a message is worth sending, from the call that took it.
    pub ttl_ns: u64,
    /// Not 0: `priority` counts.
    pub has_priority: u32,
    /// 0 to 255, higher is more urgent; 128 without `has_priority`.
    pub priority: u32,
    /// `JSP_COMPRESSION_...` of what this side sends.
    pub compression: u32,
    /// `JSP_FEC_...`: error correction of what this side sends.
    pub fec: u32,
    /// For `JSP_FEC_ON`: packets per block, 1 to 64. Otherwise 0.
    pub fec_sources: u32,
    /// For `JSP_FEC_ON`: parity packets per block, 1 to 32. Otherwise 0.
    pub fec_parity: u32,
}

// SAFETY: a `u32` first; numbers take any bits.
unsafe impl Sized32 for JspStreamOptions {
    const FIRST: usize = offset_of!(Self, compression);
}

/// How one message is sent.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JspMessageOptions {
    /// `sizeof(JspMessageOptions)`.
    pub size: u32,
    /// Not 0: `mode` and `ttl_ns` count instead of the stream's.
    pub has_mode: u32,
    /// `JSP_DELIVERY_MODE_...`.
    pub mode: JspDeliveryMode,
    /// Not 0: exactly one `JSP_EVENT_MESSAGE_OUTCOME` reports what became of it. At most 1024 such messages may be under
    /// way; beyond that sending is `JSP_ERROR_WOULD_BLOCK`.
    pub tracked: u32,
    /// For `JSP_DELIVERY_MODE_PARTIALLY_RELIABLE`: how long the message is worth sending.
    pub ttl_ns: u64,
}

// SAFETY: a `u32` first; numbers take any bits.
unsafe impl Sized32 for JspMessageOptions {
    const FIRST: usize = size_of::<Self>();
}

/// The delivery that two fields stand for.
pub(crate) fn delivery(mode: JspDeliveryMode, ttl_ns: u64) -> Result<Delivery, JspError> {
    match mode {
        JSP_DELIVERY_MODE_RELIABLE => Ok(Delivery::Reliable),
        JSP_DELIVERY_MODE_BEST_EFFORT => Ok(Delivery::BestEffort),
        JSP_DELIVERY_MODE_PARTIALLY_RELIABLE if ttl_ns > 0 => {
            Ok(Delivery::PartiallyReliable { ttl: Duration::from_nanos(ttl_ns) })
        }
        _ => Err(JSP_ERROR_INVALID_ARGUMENT),
    }
}

/// # Safety
/// `options` is `NULL` or may be read.
unsafe fn stream_options(options: *const JspStreamOptions) -> Result<StreamOptions, JspError> {
    if options.is_null() {
        return Ok(StreamOptions::bytes());
    }
    // SAFETY: the caller's promise.
    let given = unsafe { read(options) }?;
    let mut options = match given.kind {
        JSP_STREAM_BYTES => StreamOptions::bytes(),
        JSP_STREAM_ORDERED_MESSAGES => StreamOptions::ordered_messages(),
        JSP_STREAM_UNORDERED_MESSAGES => StreamOptions::unordered_messages(),
        _ => return Err(JSP_ERROR_INVALID_ARGUMENT),
    };
    if given.uni != 0 {
        options = options.uni();
    }
    if given.has_priority != 0 {
        options = options.priority(u8::try_from(given.priority).map_err(|_| JSP_ERROR_INVALID_ARGUMENT)?);
    }
    if let Some(compression) = compression(given.compression)? {
        options = options.compression(compression);
    }
    if let Some(fec) = fec(given.fec, given.fec_sources, given.fec_parity)? {
        options = options.fec(fec);
    }
    Ok(options.delivery(delivery(given.mode, given.ttl_ns)?))
}

/// # Safety
/// `options` is `NULL` or may be read.
unsafe fn message_options(options: *const JspMessageOptions) -> Result<MessageOptions, JspError> {
    let mut result = MessageOptions::new();
    if options.is_null() {
        return Ok(result);
    }
    // SAFETY: the caller's promise.
    let given = unsafe { read(options) }?;
    if given.has_mode != 0 {
        result = result.delivery(delivery(given.mode, given.ttl_ns)?);
    }
    Ok(if given.tracked != 0 { result.tracked() } else { result })
}

/// Opens a stream; `options` may be `NULL` for a bidirectional stream of bytes. The peer learns of it at once.
///
/// Errors: `JSP_ERROR_STREAM_LIMIT` (`JSP_EVENT_STREAMS_AVAILABLE` follows), `JSP_ERROR_MODE_NEEDS_MESSAGES`,
/// `JSP_ERROR_CLOSED`, `JSP_ERROR_NO_CONNECTION`, `JSP_ERROR_INVALID_ARGUMENT`.
///
/// # Safety
/// `options` is `NULL` or may be read; `stream` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_stream_open(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    options: *const JspStreamOptions,
    stream: *mut u64,
) -> JspError {
    let work = |mut conn: Conn<'_>| {
        check(stream)?;
        // SAFETY: the caller's promise.
        let id = conn.open(unsafe { stream_options(options) }?).map_err(of_open)?;
        // SAFETY: the caller's promise.
        unsafe { put(stream, id.as_u64()) }
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Writes to a stream of bytes as much as there is room for; `*written` says how much that was.
///
/// Errors: `JSP_ERROR_WOULD_BLOCK` if there is no room (`JSP_EVENT_STREAM_WRITABLE` follows), `JSP_ERROR_FINISHED`,
/// `JSP_ERROR_STOPPED`, `JSP_ERROR_RESET`, `JSP_ERROR_WRONG_KIND`, `JSP_ERROR_NO_STREAM`, `JSP_ERROR_CLOSED`,
/// `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `data` may be read for `len` bytes; `written` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_stream_send(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    stream: u64,
    data: *const u8,
    len: usize,
    written: *mut usize,
) -> JspError {
    let work = |mut conn: Conn<'_>| {
        check(written)?;
        // SAFETY: the caller's promise.
        let data = unsafe { bytes(data, len) }?;
        let taken = conn.send(StreamId::from_wire(stream), data).map_err(of_send)?;
        // SAFETY: the caller's promise.
        unsafe { put(written, taken) }
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Sends a message on a stream of messages: all of it or nothing. `options` may be `NULL`. `message`, unless `NULL`,
/// gets its number, which `JSP_EVENT_MESSAGE_OUTCOME` repeats.
///
/// Errors: `JSP_ERROR_EMPTY_MESSAGE`, `JSP_ERROR_MESSAGE_TOO_LARGE` (`max_message_size` of `jsp_conn_info`), and those of
/// `jsp_stream_send`.
///
/// # Safety
/// `data` may be read for `len` bytes, `options` is `NULL` or may be read, `message` is `NULL` or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_stream_send_message(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    stream: u64,
    data: *const u8,
    len: usize,
    options: *const JspMessageOptions,
    message: *mut u64,
) -> JspError {
    let work = |mut conn: Conn<'_>| {
        // SAFETY: the caller's promise.
        let data = unsafe { bytes(data, len) }?;
        // SAFETY: the caller's promise.
        let options = unsafe { message_options(options) }?;
        if !message.is_null() {
            check(message)?;
        }
        let id = conn.send_message(StreamId::from_wire(stream), data, options).map_err(of_send)?;
        if message.is_null() {
            return Ok(());
        }
        // SAFETY: the caller's promise.
        unsafe { put(message, id.get()) }
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Says that this side sends no more on the stream. `JSP_EVENT_STREAM_FINISHED` follows when all is delivered.
///
/// Errors: as `jsp_stream_send`.
///
/// # Safety
/// `endpoint` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_stream_finish(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    stream: u64,
) -> JspError {
    let work = |mut conn: Conn<'_>| conn.finish(StreamId::from_wire(stream)).map_err(of_send);
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Gives up sending on the stream; the peer learns the code.
///
/// Errors: as `jsp_stream_send`.
///
/// # Safety
/// `endpoint` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_stream_reset(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    stream: u64,
    code: u64,
) -> JspError {
    let work = |mut conn: Conn<'_>| conn.reset(StreamId::from_wire(stream), AppCode::new(code)).map_err(of_send);
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Tells the peer to send no more on the stream; what arrived and was not read is dropped. Saying it again does nothing.
///
/// Errors: `JSP_ERROR_WRONG_KIND`, `JSP_ERROR_NO_STREAM`, `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `endpoint` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_stream_stop(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    stream: u64,
    code: u64,
) -> JspError {
    let work = |mut conn: Conn<'_>| conn.stop(StreamId::from_wire(stream), AppCode::new(code)).map_err(of_recv);
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Changes the priority of a stream, 0 to 255.
///
/// Errors: `JSP_ERROR_INVALID_ARGUMENT`, and those of `jsp_stream_send`.
///
/// # Safety
/// `endpoint` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_stream_set_priority(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    stream: u64,
    priority: u32,
) -> JspError {
    let work = |mut conn: Conn<'_>| {
        let priority = u8::try_from(priority).map_err(|_| JSP_ERROR_INVALID_ARGUMENT)?;
        conn.set_priority(StreamId::from_wire(stream), priority).map_err(of_send)
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Changes the compression of what this side sends on a stream from now on, `JSP_COMPRESSION_...` but not the default.
/// For streams that the peer opened, too.
///
/// Errors: `JSP_ERROR_INVALID_ARGUMENT`; `JSP_ERROR_WRONG_KIND` for a stream of bytes that was opened without compression
/// or on which this side does not send; `JSP_ERROR_NO_STREAM`, `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `endpoint` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_stream_set_compression(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    stream: u64,
    compression: u32,
) -> JspError {
    let work = |mut conn: Conn<'_>| {
        let compression = self::compression(compression)?.ok_or(JSP_ERROR_INVALID_ARGUMENT)?;
        conn.set_compression(StreamId::from_wire(stream), compression).map_err(of_send)
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Changes the error correction of what this side sends on a stream from now on, `JSP_FEC_...` but not the default.
/// `sources` and `parity` are 1 to 64 and 1 to 32 with `JSP_FEC_ON`, otherwise 0. For streams that the peer opened, too.
///
/// Errors: `JSP_ERROR_INVALID_ARGUMENT`; `JSP_ERROR_WRONG_KIND` if this side does not send on it; `JSP_ERROR_NO_STREAM`,
/// `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `endpoint` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_stream_set_fec(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    stream: u64,
    fec: u32,
    sources: u32,
    parity: u32,
) -> JspError {
    let work = |mut conn: Conn<'_>| {
        let fec = self::fec(fec, sources, parity)?.ok_or(JSP_ERROR_INVALID_ARGUMENT)?;
        conn.set_fec(StreamId::from_wire(stream), fec).map_err(of_send)
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// How many bytes a stream would take now; a message counts 32 bytes more than it has.
///
/// Errors: `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `bytes` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_stream_send_capacity(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    stream: u64,
    bytes: *mut u64,
) -> JspError {
    let work = |conn: Conn<'_>| {
        // SAFETY: the caller's promise.
        unsafe { put(bytes, conn.send_capacity(StreamId::from_wire(stream))) }
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Reads what there is of a stream of bytes, at most `capacity`; `*len` says how much that was.
///
/// Errors: `JSP_ERROR_WOULD_BLOCK` if there is nothing yet (`JSP_EVENT_STREAM_READABLE` follows), `JSP_ERROR_END` at the
/// regular end, `JSP_ERROR_RESET` if the peer gave up (`JSP_EVENT_STREAM_RESET` has its code), `JSP_ERROR_STOPPED`,
/// `JSP_ERROR_WRONG_KIND`, `JSP_ERROR_NO_STREAM`, `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `out` may be written for `capacity` bytes, and `len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_stream_recv(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    stream: u64,
    out: *mut u8,
    capacity: usize,
    len: *mut usize,
) -> JspError {
    let work = |mut conn: Conn<'_>| {
        check(len)?;
        // SAFETY: the caller's promise.
        let out = unsafe { bytes_mut(out, capacity) }?;
        match conn.recv(StreamId::from_wire(stream), out).map_err(of_recv)? {
            // SAFETY: the caller's promise.
            Recv::Data(read) => unsafe { put(len, read) },
            Recv::Blocked => Err(JSP_ERROR_WOULD_BLOCK),
            Recv::Finished => Err(JSP_ERROR_END),
            Recv::Reset(_) => Err(JSP_ERROR_RESET),
        }
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Receives the next message of a stream of messages; `*len` says how long it is.
///
/// Errors: `JSP_ERROR_BUFFER_TOO_SMALL`, with the message's length in `*len` and the message still there; otherwise as
/// `jsp_stream_recv`.
///
/// # Safety
/// `out` may be written for `capacity` bytes, and `len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_stream_recv_message(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    stream: u64,
    out: *mut u8,
    capacity: usize,
    len: *mut usize,
) -> JspError {
    let work = |mut conn: Conn<'_>| {
        check(len)?;
        let stream = StreamId::from_wire(stream);
        match conn.peek_message(stream).map_err(of_recv)? {
            Some((first, second)) => {
                // SAFETY: the caller's promise.
                unsafe { copy_out([first, second], out, capacity, len) }?;
                conn.consume_message(stream).map_err(of_recv)
            }
            // Only the end, or nothing yet, is left to be told; neither writes to the buffer.
            None => match conn.recv_message(stream, &mut Vec::new()).map_err(of_recv)? {
                RecvMessage::Finished => Err(JSP_ERROR_END),
                RecvMessage::Reset(_) => Err(JSP_ERROR_RESET),
                RecvMessage::Message(_) | RecvMessage::Blocked => Err(JSP_ERROR_WOULD_BLOCK),
            },
        }
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

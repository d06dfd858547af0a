//! A connection for programs that want ten lines.

use std::ffi::c_char;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jsp_mio::{AppCode, ClientConfig, Config, ConnId, Delivery};
use jsp_proto::driver::system;

use super::channel::{Class, Mode};
use super::link::{Deadline, Link, State, deadline};
use super::settings::Settings;
use super::target::{any_address, resolve};
use crate::config::{JspClientConfig, client_config};
use crate::guard::{catch, share};
use crate::keys::{JSP_KEY_ID_TEXT, parse_key_id};
use crate::memory::{bytes, bytes_mut, check, put, put_text, text};
use crate::stats::JspConnStats;
use crate::status::{
    JSP_ERROR_CLOSED, JSP_ERROR_INVALID_ARGUMENT, JSP_ERROR_LOCALLY_CLOSED, JSP_ERROR_NOT_CONNECTED, JSP_ERROR_OK,
    JSP_ERROR_POISONED, JSP_ERROR_SYSTEM, JSP_ERROR_WOULD_BLOCK, JSP_ERROR_WRONG_STATE, JspError, Outcome, of_connect,
};
use crate::stream::{
    JSP_DELIVERY_MODE_BEST_EFFORT, JSP_DELIVERY_MODE_PARTIALLY_RELIABLE, JSP_DELIVERY_MODE_RELIABLE, JspDeliveryMode,
};

/// How long a message of `JSP_DELIVERY_MODE_PARTIALLY_RELIABLE` is worth sending unless the program says otherwise.
const TTL: Duration = Duration::from_secs(1);

/// A connection with a socket and a thread of its own, whose calls block. Any number of threads may use it at once; only
/// `jsp_connection_free` must be the last call.
#[derive(Debug)]
pub struct JspConnection {
    stage: Mutex<Stage>,
    ttl: Mutex<Duration>,
    settings: Mutex<Settings>,
}

#[derive(Debug)]
enum Stage {
    /// Made, and told whom to trust.
    New(ClientConfig),
    /// Knows where to.
    Bound(ClientConfig, Vec<SocketAddr>, Arc<Link>),
    /// A thread is inside `jsp_connection_handshake`.
    Connecting,
    Open(Arc<Link>, ConnId),
}

impl JspConnection {
    /// The handle of a connection that is there.
    pub(super) fn open(link: Arc<Link>, id: ConnId) -> *mut Self {
        Box::into_raw(Box::new(Self::at(Stage::Open(link, id))))
    }

    fn at(stage: Stage) -> Self {
        Self { stage: Mutex::new(stage), ttl: Mutex::new(TTL), settings: Mutex::default() }
    }

    fn stage(&self) -> Result<MutexGuard<'_, Stage>, JspError> {
        self.stage.lock().map_err(|_| JSP_ERROR_POISONED)
    }

    /// The connection, if the handshake is done.
    pub(super) fn link(&self) -> Result<(Arc<Link>, ConnId), JspError> {
        match &*self.stage()? {
            Stage::Open(link, id) => Ok((link.clone(), *id)),
            _ => Err(JSP_ERROR_NOT_CONNECTED),
        }
    }

    /// Changes the settings, while there is no socket that has them.
    pub(super) fn prepare(&self, change: impl FnOnce(&mut Settings)) -> Outcome {
        let stage = self.stage()?;
        let Stage::New(_) = *stage else { return Err(JSP_ERROR_WRONG_STATE) };
        change(&mut *self.settings.lock().map_err(|_| JSP_ERROR_POISONED)?);
        Ok(())
    }

    fn settings(&self) -> Result<Settings, JspError> {
        Ok(self.settings.lock().map_err(|_| JSP_ERROR_POISONED)?.clone())
    }

    fn ttl(&self) -> Result<Duration, JspError> {
        Ok(*self.ttl.lock().map_err(|_| JSP_ERROR_POISONED)?)
    }
}

/// Why a connection is over, if it is.
pub(super) fn ended(state: &mut State, id: ConnId) -> Result<(), JspError> {
    match state.channels.get(&id) {
        Some(channel) => channel.end.as_ref().map_or(Ok(()), |(error, _)| Err(*error)),
        None => Err(JSP_ERROR_CLOSED),
    }
}

/// Makes a connection that is not connected yet; the program's to free with `jsp_connection_free`. Next:
/// `jsp_connection_connect`.
#[unsafe(no_mangle)]
pub extern "C" fn jsp_connection_new() -> *mut JspConnection {
    Box::into_raw(Box::new(JspConnection::at(Stage::New(ClientConfig::new()))))
}

/// Pins the server's key by its id, `jsp1-` and 52 letters and digits. Before `jsp_connection_handshake`; the address
/// may carry it too.
///
/// Errors: `JSP_ERROR_INVALID_KEY_ID`, `JSP_ERROR_WRONG_STATE`.
///
/// # Safety
/// `key_id` ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_connection_pin(connection: *mut JspConnection, key_id: *const c_char) -> JspError {
    let work = |connection: &JspConnection| {
        // SAFETY: the caller's promise.
        let id = unsafe { parse_key_id(key_id) }?;
        set_client(connection, ClientConfig::fingerprints([id]))
    };
    // SAFETY: the caller's promise.
    unsafe { share(connection, work) }
}

/// Sets everything about the outgoing connection: trust, an identity, a pre-shared key, a token. Before
/// `jsp_connection_handshake`.
///
/// Errors: as `jsp_endpoint_connect`; `JSP_ERROR_WRONG_STATE`.
///
/// # Safety
/// `client` and what it points to may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_connection_configure(
    connection: *mut JspConnection,
    client: *const JspClientConfig,
) -> JspError {
    let work = |connection: &JspConnection| {
        // SAFETY: the caller's promise.
        set_client(connection, unsafe { client_config(client) }?)
    };
    // SAFETY: the caller's promise.
    unsafe { share(connection, work) }
}

fn set_client(connection: &JspConnection, client: ClientConfig) -> Outcome {
    match &mut *connection.stage()? {
        Stage::New(old) | Stage::Bound(old, ..) => *old = client,
        _ => return Err(JSP_ERROR_WRONG_STATE),
    }
    Ok(())
}

/// Resolves `HOST:PORT`, or `HOST:PORT#jsp1-...` with the server's key id, and binds a socket. Without a pinned key only
/// servers on the loopback address can be reached. Next: `jsp_connection_handshake`.
///
/// Errors: `JSP_ERROR_ADDRESS`, `JSP_ERROR_INVALID_KEY_ID`, `JSP_ERROR_SYSTEM`, `JSP_ERROR_WRONG_STATE`.
///
/// # Safety
/// `address` ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_connection_connect(connection: *mut JspConnection, address: *const c_char) -> JspError {
    let work = |connection: &JspConnection| {
        // SAFETY: the caller's promise.
        let (addresses, pin) = resolve(unsafe { text(address) }?)?;
        let mut stage = connection.stage()?;
        let Stage::New(client) = &*stage else { return Err(JSP_ERROR_WRONG_STATE) };
        let client = pin.map_or_else(|| client.clone(), |pin| ClientConfig::fingerprints([pin]));
        let link = bind(addresses[0], connection.settings()?.config(addresses.len())?)?;
        *stage = Stage::Bound(client, addresses, link);
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { share(connection, work) }
}

/// A socket that reaches `remote`, and its thread.
fn bind(remote: SocketAddr, config: Config) -> Result<Arc<Link>, JspError> {
    let socket = system::bind(any_address(remote)).map_err(|_| JSP_ERROR_SYSTEM)?;
    Link::start(socket, config, false).map_err(|_| JSP_ERROR_SYSTEM)
}

/// Connects, and blocks until that is done: at most about 10 s, or the `handshake_timeout_ns` of
/// `jsp_connection_set_config`.
///
/// Errors: why it failed, from `JSP_ERROR_NO_ANSWER`, `JSP_ERROR_KEY_MISMATCH`, `JSP_ERROR_REFUSED`,
/// `JSP_ERROR_TRUST_REQUIRED` and others; `JSP_ERROR_WRONG_STATE` without `jsp_connection_connect`. After a failure the
/// handle can only be freed.
///
/// # Safety
/// `connection` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_connection_handshake(connection: *mut JspConnection) -> JspError {
    let work = |connection: &JspConnection| {
        let stage = std::mem::replace(&mut *connection.stage()?, Stage::Connecting);
        let (client, addresses, link) = match stage {
            Stage::Bound(client, addresses, link) => (client, addresses, link),
            other => {
                *connection.stage()? = other;
                return Err(JSP_ERROR_WRONG_STATE);
            }
        };
        let (link, id) = reach(&client, &addresses, link, &connection.settings()?)?;
        *connection.stage()? = Stage::Open(link, id);
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { share(connection, work) }
}

/// Tries one address after the other.
fn reach(
    client: &ClientConfig,
    addresses: &[SocketAddr],
    first: Arc<Link>,
    settings: &Settings,
) -> Result<(Arc<Link>, ConnId), JspError> {
    let mut bound = Some(first);
    let mut failure = JSP_ERROR_NOT_CONNECTED;
    for &address in addresses {
        let link = match bound.take() {
            Some(link) => link,
            None => bind(address, settings.config(addresses.len())?)?,
        };
        match attempt(&link, client, address) {
            Ok(id) => return Ok((link, id)),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn attempt(link: &Link, client: &ClientConfig, address: SocketAddr) -> Result<ConnId, JspError> {
    let id = link.with(|state| {
        let id = state.endpoint.connect(address, client).map_err(|error| of_connect(&error))?;
        state.channels.entry(id).or_default();
        Ok(id)
    })?;
    // The state machine gives up by itself.
    link.wait(None, |state| {
        ended(state, id)?;
        Ok(state.channels.get(&id).is_some_and(|channel| channel.is_connected).then_some(id))
    })
}

/// A number that both sides of a connection know and nobody else: the first 8 bytes, big endian, of the exported key
/// with the label `session id` and no context. 0 without a connection.
///
/// # Safety
/// `connection` is `NULL` or a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_connection_session_id(connection: *const JspConnection) -> u64 {
    let mut id = [0; 8];
    let work = |connection: &JspConnection| {
        let (link, conn) = connection.link()?;
        link.with(|state| {
            let conn = state.endpoint.conn(conn).ok_or(JSP_ERROR_CLOSED)?;
            conn.export_key(b"session id", b"", &mut id).map_err(|_| JSP_ERROR_NOT_CONNECTED)
        })
    };
    // SAFETY: the caller's promise.
    match unsafe { share(connection, work) } {
        JSP_ERROR_OK => u64::from_be_bytes(id),
        _ => 0,
    }
}

/// A stream of messages with a priority, 0 to 255, higher is more urgent, and a mode. `*stream` is its number.
///
/// There is one such stream for each priority and mode: opening it again gives the same number and costs nothing, and
/// there is nothing to close. `JSP_DELIVERY_MODE_RELIABLE` keeps the order of its messages; in the other modes each
/// message is delivered when it is there.
///
/// Errors: `JSP_ERROR_INVALID_ARGUMENT`, `JSP_ERROR_NOT_CONNECTED`, and why the connection is over.
///
/// # Safety
/// `stream` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_connection_open_stream(
    connection: *mut JspConnection,
    priority: u8,
    mode: JspDeliveryMode,
    stream: *mut u32,
) -> JspError {
    let work = |connection: &JspConnection| {
        check(stream)?;
        let delivery = match mode {
            JSP_DELIVERY_MODE_RELIABLE => Mode::Reliable,
            JSP_DELIVERY_MODE_BEST_EFFORT => Mode::BestEffort,
            JSP_DELIVERY_MODE_PARTIALLY_RELIABLE => Mode::PartiallyReliable,
            _ => return Err(JSP_ERROR_INVALID_ARGUMENT),
        };
        let (link, id) = connection.link()?;
        link.with(|state| ended(state, id))?;
        // SAFETY: the caller's promise.
        unsafe { put(stream, Class { delivery, priority }.number()) }
    };
    // SAFETY: the caller's promise.
    unsafe { share(connection, work) }
}

/// For how long messages of `JSP_DELIVERY_MODE_PARTIALLY_RELIABLE` are worth sending, from the call that sends them:
/// 1 s unless set. 0 is not allowed.
///
/// Errors: `JSP_ERROR_INVALID_ARGUMENT`.
///
/// # Safety
/// `connection` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_connection_set_ttl(connection: *mut JspConnection, ttl_ms: u32) -> JspError {
    let work = |connection: &JspConnection| {
        if ttl_ms == 0 {
            return Err(JSP_ERROR_INVALID_ARGUMENT);
        }
        *connection.ttl.lock().map_err(|_| JSP_ERROR_POISONED)? = Duration::from_millis(ttl_ms.into());
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { share(connection, work) }
}

/// Sends a message on a stream of `jsp_connection_open_stream`, or on one that a message came from. Blocks while there
/// is no room. What was sent is on its way even if the program does nothing more.
///
/// Errors: `JSP_ERROR_EMPTY_MESSAGE`, `JSP_ERROR_MESSAGE_TOO_LARGE`, `JSP_ERROR_NO_STREAM`, `JSP_ERROR_STOPPED`,
/// `JSP_ERROR_NOT_CONNECTED`, and why the connection is over.
///
/// # Safety
/// `data` may be read for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_connection_send(
    connection: *mut JspConnection,
    stream: u32,
    data: *const u8,
    len: usize,
) -> JspError {
    let work = |connection: &JspConnection| {
        // SAFETY: the caller's promise.
        let mut data = unsafe { bytes(data, len) }?;
        let (link, id) = connection.link()?;
        let ttl = connection.ttl()?;
        let delivery = |mode| match mode {
            Mode::Reliable => Delivery::Reliable,
            Mode::BestEffort => Delivery::BestEffort,
            Mode::PartiallyReliable => Delivery::PartiallyReliable { ttl },
        };
        link.wait(None, |state| {
            ended(state, id)?;
            let (Some(mut conn), Some(channel)) = state.both(id) else { return Err(JSP_ERROR_CLOSED) };
            loop {
                match channel.send(&mut conn, stream, data, delivery) {
                    Ok(sent) if sent < data.len() => data = data.get(sent..).unwrap_or_default(),
                    Ok(_) => return Ok(Some(())),
                    Err(JSP_ERROR_WOULD_BLOCK) => return Ok(None),
                    Err(error) => return Err(error),
                }
            }
        })
    };
    // SAFETY: the caller's promise.
    unsafe { share(connection, work) }
}

/// Receives the next message of any stream. `*stream`, unless `NULL`, is the number of the stream it came from: an answer
/// goes there. Blocks for at most `timeout_ms`; a negative number: for as long as it takes. Bytes of a peer's stream of
/// bytes come in pieces.
///
/// Up to 1024 messages or 1 MiB wait for the program; then the peer is held back. A program that never receives holds
/// nobody back: what it does not want is discarded, and if it does receive later, `JSP_ERROR_DISCARDED` says so once.
///
/// Errors: `JSP_ERROR_TIMEOUT`; `JSP_ERROR_BUFFER_TOO_SMALL`, with the length in `*len` and the message still there;
/// `JSP_ERROR_DISCARDED`; `JSP_ERROR_NOT_CONNECTED`; why the connection is over, after everything was received.
///
/// # Safety
/// `stream` is `NULL` or may be written, `out` may be written for `capacity` bytes, and `len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_connection_recv(
    connection: *mut JspConnection,
    stream: *mut u32,
    out: *mut u8,
    capacity: usize,
    len: *mut usize,
    timeout_ms: i64,
) -> JspError {
    let work = |connection: &JspConnection| {
        check(len)?;
        // SAFETY: the caller's promise.
        let out = unsafe { bytes_mut(out, capacity) }?;
        let (link, id) = connection.link()?;
        let mut length = 0;
        let received = link.wait(give_up(timeout_ms), |state| {
            let (conn, channel) = state.both(id);
            let channel = channel.ok_or(JSP_ERROR_CLOSED)?;
            match channel.receive(conn, out, &mut length)? {
                None => ended(state, id).map(|()| None),
                number => Ok(number),
            }
        });
        // The length is told when the buffer is too small, too.
        // SAFETY: the caller's promise.
        unsafe { put(len, length) }?;
        let number = received?;
        if stream.is_null() {
            return Ok(());
        }
        // SAFETY: the caller's promise.
        unsafe { put(stream, number) }
    };
    // SAFETY: the caller's promise.
    unsafe { share(connection, work) }
}

/// What a timeout in milliseconds means.
pub(super) fn give_up(timeout_ms: i64) -> Deadline {
    u64::try_from(timeout_ms).ok().and_then(|ms| deadline(Duration::from_millis(ms)))
}

/// Delivers everything that was sent, closes the connection, and blocks until that is done or the peer has taken nothing
/// more for 10 s. Messages that are there can still be received. Closing again gives the same answer.
///
/// Errors: `JSP_ERROR_UNDELIVERED` if the peer did not take everything; why the connection was over otherwise, so that
/// something may not have been delivered; `JSP_ERROR_NOT_CONNECTED`.
///
/// # Safety
/// `connection` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_connection_close(connection: *mut JspConnection) -> JspError {
    let work = |connection: &JspConnection| {
        let (link, id) = connection.link()?;
        link.with(|state| {
            if let Some(mut conn) = state.endpoint.conn(id) {
                conn.close(AppCode::ZERO, b"");
            }
            Ok(())
        })?;
        // The state machine gives up by itself.
        let end = link.wait(None, |state| match ended(state, id) {
            Ok(()) => Ok(None),
            Err(error) => Ok(Some(error)),
        })?;
        if end == JSP_ERROR_LOCALLY_CLOSED { Ok(()) } else { Err(end) }
    };
    // SAFETY: the caller's promise.
    unsafe { share(connection, work) }
}

/// Why the connection is over, in words for people, with a zero byte at the end; 640 bytes are always enough.
///
/// Errors: `JSP_ERROR_WRONG_STATE` if it is not over; `JSP_ERROR_BUFFER_TOO_SMALL`, with the length in `*len`;
/// `JSP_ERROR_NOT_CONNECTED`.
///
/// # Safety
/// `out` may be written for `capacity` bytes, and `len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_connection_close_text(
    connection: *mut JspConnection,
    out: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> JspError {
    let work = |connection: &JspConnection| {
        let (link, id) = connection.link()?;
        let text = link.with(|state| {
            let end = state.channels.get(&id).and_then(|channel| channel.end.as_ref());
            end.map(|(_, text)| text.clone()).ok_or(JSP_ERROR_WRONG_STATE)
        })?;
        // SAFETY: the caller's promise.
        unsafe { put(len, text.len()) }?;
        // SAFETY: the caller's promise.
        unsafe { put_text(&text, out, capacity) }
    };
    // SAFETY: the caller's promise.
    unsafe { share(connection, work) }
}

/// The id of the key that the peer has proven to hold, with a zero byte at its end, into `out` (`JSP_KEY_ID_TEXT`
/// bytes).
///
/// Errors: `JSP_ERROR_WRONG_STATE` if it has proven none; `JSP_ERROR_NOT_CONNECTED`.
///
/// # Safety
/// `out` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_connection_peer_key_id(connection: *const JspConnection, out: *mut c_char) -> JspError {
    let work = |connection: &JspConnection| {
        let (link, id) = connection.link()?;
        let key_id =
            link.with(|state| state.endpoint.conn(id).ok_or(JSP_ERROR_CLOSED).map(|conn| conn.peer_key_id()))?;
        // SAFETY: the caller's promise.
        unsafe { put_text(&key_id.ok_or(JSP_ERROR_WRONG_STATE)?.to_string(), out, JSP_KEY_ID_TEXT) }
    };
    // SAFETY: the caller's promise.
    unsafe { share(connection, work) }
}

/// The connection in numbers.
///
/// Errors: `JSP_ERROR_NOT_CONNECTED`, `JSP_ERROR_CLOSED`.
///
/// # Safety
/// `stats` may be written for as many bytes as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_connection_stats(connection: *const JspConnection, stats: *mut JspConnStats) -> JspError {
    let work = |connection: &JspConnection| {
        let (link, id) = connection.link()?;
        let value = link.with(|state| state.endpoint.conn(id).ok_or(JSP_ERROR_CLOSED).map(|conn| conn.stats()))?;
        // SAFETY: the caller's promise.
        unsafe { crate::memory::write(stats, &JspConnStats::from(&value)) }
    };
    // SAFETY: the caller's promise.
    unsafe { share(connection, work) }
}

/// Frees a connection; `NULL` does nothing. One that was not closed is closed in the background, and delivers what was
/// sent as long as the process lives.
///
/// # Safety
/// `connection` is `NULL` or a handle that was not freed, and no other call uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_connection_free(connection: *mut JspConnection) {
    catch(|| {
        if connection.is_null() {
            return Ok(());
        }
        // SAFETY: it was made by `Box::into_raw`, and the caller's promise.
        let connection = unsafe { Box::from_raw(connection) };
        let (link, id) = connection.link()?;
        link.with(|state| {
            state.forget(id);
            Ok(())
        })
    });
}

//! A server for programs that want ten lines.

use std::ffi::c_char;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jsp_mio::{AppCode, Config, KeyFetch, SecretKey};
use jsp_proto::driver::system;

use super::connection::{JspConnection, give_up};
use super::link::{Link, deadline};
use super::target::resolve;
use crate::address::JSP_ADDRESS_TEXT;
use crate::guard::{catch, share};
use crate::keys::JSP_KEY_ID_TEXT;
use crate::memory::{check, copied, put, put_text, text};
use crate::status::{JSP_ERROR_CLOSED, JSP_ERROR_INVALID_ARGUMENT, JSP_ERROR_POISONED, JSP_ERROR_SYSTEM, JspError};

/// How long closing a listener may take.
const CLOSE: Duration = Duration::from_secs(15);

/// A server with a socket and a thread of its own, whose calls block. Any number of threads may use it at once; only
/// `jsp_listener_free` must be the last call.
#[derive(Debug)]
pub struct JspListener {
    link: Mutex<Option<Arc<Link>>>,
    address: SocketAddr,
    key_id: String,
}

impl JspListener {
    fn link(&self) -> Result<Arc<Link>, JspError> {
        self.link.lock().map_err(|_| JSP_ERROR_POISONED)?.clone().ok_or(JSP_ERROR_CLOSED)
    }
}

/// Binds `HOST:PORT` (port 0: the system chooses) and serves clients there. `seed`, `JSP_SEED_LEN` bytes that nobody else
/// may know, makes the server's key and so its key id, which clients pin; `NULL`: a new key. `*listener` is the program's
/// to free with `jsp_listener_free`.
///
/// Errors: `JSP_ERROR_ADDRESS`, `JSP_ERROR_SYSTEM`.
///
/// # Safety
/// `address` ends with a zero byte, `seed` is `NULL` or may be read, `listener` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_listener_new(
    address: *const c_char,
    seed: *const u8,
    listener: *mut *mut JspListener,
) -> JspError {
    catch(|| {
        check(listener)?;
        // SAFETY: the caller's promise.
        let (addresses, _) = resolve(unsafe { text(address) }?)?;
        let seed = if seed.is_null() {
            system::random_seed().map_err(|_| JSP_ERROR_SYSTEM)?
        } else {
            // SAFETY: the caller's promise.
            unsafe { copied(seed) }?
        };
        let key = SecretKey::from_seed(seed);
        let key_id = key.public().key_id().to_string();
        let config = Config::builder().server_key(key).key_fetch(KeyFetch::Open).build();
        let config = config.map_err(|_| JSP_ERROR_INVALID_ARGUMENT)?;
        let socket = system::bind_first(addresses).map_err(|_| JSP_ERROR_SYSTEM)?;
        let address = socket.local_addr().map_err(|_| JSP_ERROR_SYSTEM)?;
        let link = Link::start(socket, config, true).map_err(|_| JSP_ERROR_SYSTEM)?;
        let made = Box::new(JspListener { link: Mutex::new(Some(link)), address, key_id });
        // SAFETY: the caller's promise.
        unsafe { put(listener, Box::into_raw(made)) }
    })
}

/// The address it is bound to, as text with a zero byte at its end, into `out` (`JSP_ADDRESS_TEXT` bytes).
///
/// # Safety
/// `out` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_listener_address(listener: *const JspListener, out: *mut c_char) -> JspError {
    let work = |listener: &JspListener| {
        // SAFETY: the caller's promise.
        unsafe { put_text(&listener.address.to_string(), out, JSP_ADDRESS_TEXT) }
    };
    // SAFETY: the caller's promise.
    unsafe { share(listener, work) }
}

/// The id of its key, which clients pin, with a zero byte at its end, into `out` (`JSP_KEY_ID_TEXT` bytes).
///
/// # Safety
/// `out` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_listener_key_id(listener: *const JspListener, out: *mut c_char) -> JspError {
    let work = |listener: &JspListener| {
        // SAFETY: the caller's promise.
        unsafe { put_text(&listener.key_id, out, JSP_KEY_ID_TEXT) }
    };
    // SAFETY: the caller's promise.
    unsafe { share(listener, work) }
}

/// The next client's connection, the program's to free with `jsp_connection_free`. Blocks for at most `timeout_ms`; a
/// negative number: for as long as it takes.
///
/// Errors: `JSP_ERROR_TIMEOUT`; `JSP_ERROR_CLOSED` after `jsp_listener_close`.
///
/// # Safety
/// `connection` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_listener_accept(
    listener: *mut JspListener,
    timeout_ms: i64,
    connection: *mut *mut JspConnection,
) -> JspError {
    let work = |listener: &JspListener| {
        check(connection)?;
        let link = listener.link()?;
        let id = link.wait(give_up(timeout_ms), |state| match state.arrived.pop_front() {
            Some(id) => Ok(Some(id)),
            None if state.listens => Ok(None),
            None => Err(JSP_ERROR_CLOSED),
        })?;
        // SAFETY: the caller's promise.
        unsafe { put(connection, JspConnection::open(link, id)) }
    };
    // SAFETY: the caller's promise.
    unsafe { share(listener, work) }
}

/// Takes no more clients, delivers everything that was sent on its connections, closes them, and blocks until that is
/// done: at most about 15 s. Its address is free when every connection is freed, too.
///
/// Errors: `JSP_ERROR_TIMEOUT`; `JSP_ERROR_CLOSED` if it is closed already.
///
/// # Safety
/// `listener` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_listener_close(listener: *mut JspListener) -> JspError {
    let work = |listener: &JspListener| {
        let link = listener.link.lock().map_err(|_| JSP_ERROR_POISONED)?.take().ok_or(JSP_ERROR_CLOSED)?;
        link.with(|state| {
            state.endpoint.shutdown(AppCode::ZERO);
            state.stop_listening();
            Ok(())
        })?;
        link.wait(deadline(CLOSE), |state| Ok(state.endpoint.is_idle().then_some(())))
    };
    // SAFETY: the caller's promise.
    unsafe { share(listener, work) }
}

/// Frees a listener; `NULL` does nothing. Takes no more clients; connections that were accepted go on.
///
/// # Safety
/// `listener` is `NULL` or a handle that was not freed, and no other call uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_listener_free(listener: *mut JspListener) {
    catch(|| {
        if listener.is_null() {
            return Ok(());
        }
        // SAFETY: it was made by `Box::into_raw`, and the caller's promise.
        let listener = unsafe { Box::from_raw(listener) };
        listener.link()?.with(|state| {
            state.stop_listening();
            Ok(())
        })
    });
}

//! What keeps a connection without traffic alive, and where the peer sees this side.

use std::time::Duration;

use jsp_proto::{AppState, Conn, KeepAlive};

use crate::address::JspAddress;
use crate::conn::with_conn;
use crate::endpoint::JspEndpoint;
use crate::memory::check;
use crate::status::{JSP_ERROR_INVALID_ARGUMENT, JspError};

/// As the profile says, which is `JSP_KEEP_ALIVE_OFF` without one.
pub const JSP_KEEP_ALIVE_DEFAULT: u32 = 0;
/// A connection without traffic ends after the idle timeout.
pub const JSP_KEEP_ALIVE_OFF: u32 = 1;
/// A PING after each `keep_alive_interval_ns` of silence, or half the idle timeout if that is less; up to a fifth sooner,
/// together with other datagrams.
pub const JSP_KEEP_ALIVE_EVERY: u32 = 2;
/// A PING as seldom as the path allows, which is found out: after 25 to 115 s of silence.
pub const JSP_KEEP_ALIVE_ADAPTIVE: u32 = 3;

/// The program is in use.
pub const JSP_APP_FOREGROUND: u32 = 0;
/// The program runs unseen: keepalive half as often, no search for larger datagrams, no `JSP_FEC_AUTO` on streams without
/// a setting of their own.
pub const JSP_APP_BACKGROUND: u32 = 1;
/// The device sleeps: no keepalive. The connection lives on as long as the idle timeout allows.
pub const JSP_APP_SLEEP: u32 = 2;

/// How connections are kept alive, if that is said.
pub(crate) fn keep_alive(number: u32, interval_ns: u64) -> Result<Option<KeepAlive>, JspError> {
    let keep_alive = match number {
        JSP_KEEP_ALIVE_EVERY => return Ok(Some(KeepAlive::Every(Duration::from_nanos(interval_ns)))),
        JSP_KEEP_ALIVE_DEFAULT => None,
        JSP_KEEP_ALIVE_OFF => Some(KeepAlive::Off),
        JSP_KEEP_ALIVE_ADAPTIVE => Some(KeepAlive::Adaptive),
        _ => return Err(JSP_ERROR_INVALID_ARGUMENT),
    };
    // A number that would be ignored is a mistake.
    if interval_ns == 0 { Ok(keep_alive) } else { Err(JSP_ERROR_INVALID_ARGUMENT) }
}

/// Tells what the device does, `JSP_APP_...`. When it wakes up from `JSP_APP_SLEEP` a PING goes out at once.
///
/// Errors: `JSP_ERROR_INVALID_ARGUMENT` for another number; `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `endpoint` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_set_app_state(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    state: u32,
) -> JspError {
    let work = |mut conn: Conn<'_>| {
        conn.set_app_state(match state {
            JSP_APP_FOREGROUND => AppState::Foreground,
            JSP_APP_BACKGROUND => AppState::Background,
            JSP_APP_SLEEP => AppState::Sleep,
            _ => return Err(JSP_ERROR_INVALID_ARGUMENT),
        });
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// The address at which the peer sees this side, after `JSP_EVENT_ADDRESS_OBSERVED`; no address (family 0) before. Only
/// `JSP_KEEP_ALIVE_ADAPTIVE` asks the peer for it.
///
/// Errors: `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `endpoint` is a handle that was not freed; `out` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_observed_address(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    out: *mut JspAddress,
) -> JspError {
    let work = |conn: Conn<'_>| {
        check(out)?;
        // SAFETY: the caller's promise.
        unsafe { out.write(conn.observed_address().into()) };
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_what_their_names_say() {
        assert_eq!(keep_alive(JSP_KEEP_ALIVE_DEFAULT, 0), Ok(None));
        assert_eq!(keep_alive(JSP_KEEP_ALIVE_OFF, 0), Ok(Some(KeepAlive::Off)));
        assert_eq!(keep_alive(JSP_KEEP_ALIVE_ADAPTIVE, 0), Ok(Some(KeepAlive::Adaptive)));
        assert_eq!(keep_alive(JSP_KEEP_ALIVE_EVERY, 2_000_000_000), Ok(Some(KeepAlive::Every(Duration::from_secs(2)))));
        for (number, interval) in [(4, 0), (JSP_KEEP_ALIVE_ADAPTIVE, 1), (JSP_KEEP_ALIVE_DEFAULT, 1)] {
            assert_eq!(keep_alive(number, interval), Err(JSP_ERROR_INVALID_ARGUMENT));
        }
    }
}

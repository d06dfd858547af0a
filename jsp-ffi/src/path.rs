//! Connections that go over other paths, and what is agreed about that beforehand.

use jsp_proto::{ConfigBuilder, Conn, Instant, LoadBalancing};

use crate::address::JspAddress;
use crate::config::JspConfig;
use crate::conn::with_conn;
use crate::endpoint::{Inner, JspEndpoint, with};
use crate::memory::read_only;
use crate::policy::switch;
use crate::status::{JSP_ERROR_INVALID_ARGUMENT, JspError, of_migrate};

/// Bytes of the longest server id in connection ids.
pub const JSP_SERVER_ID_LEN: usize = 7;

/// The program goes on with another socket, bound to `local`, `NULL` or without an address where that is not known or is
/// the unspecified address. All connections that this endpoint has made go over it from now on and lose nothing, while
/// those it has accepted are lost, because their clients know the old address only. For a device that has changed its
/// network, or whose socket has failed. Poll afterwards; `JSP_EVENT_PATH_CHANGED` says for each connection that the new
/// socket works.
///
/// Errors: `JSP_ERROR_INVALID_ARGUMENT` if `local` is no address.
///
/// # Safety
/// `endpoint` is a handle that was not freed; `local` is `NULL` or may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_endpoint_rebind(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    local: *const JspAddress,
) -> JspError {
    let work = |endpoint: &mut Inner| {
        let local = if local.is_null() {
            None
        } else {
            // SAFETY: the caller's promise.
            unsafe { read_only(local) }?.get()?
        };
        endpoint.proto.rebind(Instant::from_nanos(now_ns), local.filter(|local| !local.ip().is_unspecified()));
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, work) }
}

/// Client: moves the connection to another address of this host, `local`, on which the program has a socket too:
/// `JspTransmit` says from now on from which address each datagram goes, and `JspDatagram` must say to which one it came.
/// The server follows. `JSP_EVENT_PATH_CHANGED` says that the new path works; if it does not, the connection goes back to
/// the old one after three probe timeouts. If the old socket is gone, use `jsp_endpoint_rebind`.
///
/// Errors, with which the connection stays where it is: `JSP_ERROR_NOT_A_CLIENT`; `JSP_ERROR_NOT_CONNECTED` before
/// `JSP_EVENT_HANDSHAKE_CONFIRMED` and after the end; `JSP_ERROR_MIGRATION_FORBIDDEN`; `JSP_ERROR_NO_CONNECTION_ID`;
/// `JSP_ERROR_INVALID_ARGUMENT` without an address; `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `endpoint` is a handle that was not freed; `local` may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_migrate(
    endpoint: *mut JspEndpoint,
    now_ns: u64,
    connection: u64,
    local: *const JspAddress,
) -> JspError {
    let work = |mut conn: Conn<'_>| {
        // SAFETY: the caller's promise.
        let local = unsafe { read_only(local) }?.required()?;
        conn.migrate(local).map_err(of_migrate)
    };
    // SAFETY: the caller's promise.
    unsafe { with_conn(endpoint, now_ns, connection, work) }
}

/// Applies what is said about paths and about what is seen on them.
pub(crate) fn paths(mut builder: ConfigBuilder, given: &JspConfig) -> Result<ConfigBuilder, JspError> {
    if let Some(allow) = switch(given.allow_migration)? {
        builder = builder.allow_migration(allow);
    }
    if let Some(on) = switch(given.grease)? {
        builder = builder.grease(on);
    }
    let id = given.load_balancing_server_id.get(..usize::from(given.load_balancing_server_id_len));
    match (id.ok_or(JSP_ERROR_INVALID_ARGUMENT)?, given.load_balancing_rotation) {
        ([], 0) => Ok(builder),
        (id, rotation) => {
            let rotation = u8::try_from(rotation).map_err(|_| JSP_ERROR_INVALID_ARGUMENT)?;
            Ok(builder.load_balancing(LoadBalancing::new(rotation, id)))
        }
    }
}

//! Another socket under a connection.

use std::net::SocketAddr;

use jsp_proto::Side;

use super::connection::{JspConnection, ended};
use super::link::State;
use crate::guard::share;
use crate::status::{JSP_ERROR_CLOSED, JSP_ERROR_NOT_A_CLIENT, JSP_ERROR_SYSTEM, JspError, Outcome};

/// Goes on with a new socket, bound as the one before but to a port that the system chooses: for a device that has
/// changed its network. Nothing is lost, and other threads may send and receive meanwhile.
///
/// Errors: `JSP_ERROR_NOT_A_CLIENT` for a connection of a listener; `JSP_ERROR_SYSTEM`, and the old socket stays;
/// `JSP_ERROR_NOT_CONNECTED`; why the connection is over.
///
/// # Safety
/// `connection` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_connection_rebind(connection: *mut JspConnection) -> JspError {
    let work = |connection: &JspConnection| {
        let (link, id) = connection.link()?;
        link.with(|state| {
            ended(state, id)?;
            match state.endpoint.conn(id).ok_or(JSP_ERROR_CLOSED)?.side() {
                Side::Client => rebind(state),
                Side::Server => Err(JSP_ERROR_NOT_A_CLIENT),
            }
        })
    };
    // SAFETY: the caller's promise.
    unsafe { share(connection, work) }
}

fn rebind(state: &mut State) -> Outcome {
    let local = SocketAddr::new(state.endpoint.local_address().ip(), 0);
    state.endpoint.rebind(local).map_err(|_| JSP_ERROR_SYSTEM)?;
    state.watch().map_err(|_| JSP_ERROR_SYSTEM)
}

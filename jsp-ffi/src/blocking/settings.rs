//! What a program may set for a connection before it is made.

use std::time::Duration;

use jsp_mio::{Config, ConfigBuilder};
use jsp_proto::KeepAlive;

use super::connection::JspConnection;
use crate::config::{JspConfig, endpoint_builder};
use crate::guard::share;
use crate::memory::read;
use crate::status::{JSP_ERROR_INVALID_ARGUMENT, JspError};

/// How long an attempt to connect lasts unless the program says otherwise, over all addresses that a name stands for.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The settings of the endpoint that a connection brings.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    builder: ConfigBuilder,
    handshake: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { builder: Config::builder(), handshake: HANDSHAKE }
    }
}

impl Settings {
    /// The configuration for one of so many addresses, which gets its share of the time.
    pub(super) fn config(&self, addresses: usize) -> Result<Config, JspError> {
        let handshake = self.handshake / u32::try_from(addresses).unwrap_or(u32::MAX);
        self.builder.clone().handshake_timeout(handshake).build().map_err(|_| JSP_ERROR_INVALID_ARGUMENT)
    }
}

/// Sets everything about the connection's endpoint: timeouts, windows, rates, key updates, keepalive. Before
/// `jsp_connection_connect`; what `jsp_connection_set_keep_alive` has set before is forgotten. `config` may be `NULL` for
/// the defaults; it must not have a `server_seed`.
///
/// Errors: `JSP_ERROR_INVALID_ARGUMENT`, `JSP_ERROR_STRUCT_SIZE`, `JSP_ERROR_WRONG_STATE`.
///
/// # Safety
/// `config` and what it points to may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_connection_set_config(
    connection: *mut JspConnection,
    config: *const JspConfig,
) -> JspError {
    let work = |connection: &JspConnection| {
        let mut settings = Settings::default();
        if !config.is_null() {
            // SAFETY: the caller's promise.
            let given = unsafe { read(config) }?;
            if !given.server_seed.is_null() {
                return Err(JSP_ERROR_INVALID_ARGUMENT);
            }
            if given.handshake_timeout_ns > 0 {
                settings.handshake = Duration::from_nanos(given.handshake_timeout_ns);
            }
            // SAFETY: the caller's promise.
            settings.builder = unsafe { endpoint_builder(config) }?;
            settings.config(1)?;
        }
        connection.prepare(|now| *now = settings)
    };
    // SAFETY: the caller's promise.
    unsafe { share(connection, work) }
}

/// Keeps the connection alive while nothing is sent: a PING after so many seconds of silence, or after half the idle
/// timeout if that is less. 0: no PING, and a connection without traffic ends after 30 s, which is the default. Before
/// `jsp_connection_connect`. One side's setting is enough for both.
///
/// Errors: `JSP_ERROR_WRONG_STATE`.
///
/// # Safety
/// `connection` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_connection_set_keep_alive(connection: *mut JspConnection, seconds: u32) -> JspError {
    let work = |connection: &JspConnection| {
        let keep_alive = match seconds {
            0 => KeepAlive::Off,
            _ => KeepAlive::Every(Duration::from_secs(seconds.into())),
        };
        connection.prepare(|settings| settings.builder = settings.builder.clone().keep_alive(keep_alive))
    };
    // SAFETY: the caller's promise.
    unsafe { share(connection, work) }
}

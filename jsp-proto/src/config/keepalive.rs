//! How a connection without traffic stays usable (specification section 6.6).

use core::time::Duration;

use super::{ConfigBuilder, ConfigError, check};

/// Whether a connection without traffic sends a PING now and then, so that neither side gives it up and the devices on
/// the path (NATs, firewalls) do not forget it.
///
/// The interval is never more than half of the idle timeout. A PING may leave up to a fifth of the interval sooner,
/// together with another datagram of the endpoint, or later, when the program aligns wake-ups
/// ([`Output::Idle`](crate::Output::Idle)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeepAlive {
    /// No PING: a connection without traffic ends after the idle timeout.
    #[default]
    Off,
    /// After so much silence, at least 1 s.
    Every(Duration),
    /// As seldom as the path allows: after 25 s of silence, then, as long as the peer still sees the same address
    /// afterwards, after 40, 60, 90 and 115 s. What was too long for a network is remembered for it.
    Adaptive,
}

/// What the device does, as far as the program knows; see [`Conn::set_app_state`](crate::Conn::set_app_state).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppState {
    /// The program is in use: everything as configured.
    #[default]
    Foreground,
    /// The program runs unseen: keepalive half as often, no search for larger datagrams, and no error correction on
    /// streams without a setting of their own.
    Background,
    /// The device sleeps: no keepalive at all. The connection lives on as long as the idle timeout allows.
    Sleep,
}

impl KeepAlive {
    pub(super) fn check(self) -> Result<(), ConfigError> {
        let fine = !matches!(self, Self::Every(interval) if interval < Duration::from_secs(1));
        check(fine, "keep_alive is at least 1 s")
    }
}

impl ConfigBuilder {
    /// Whether connections without traffic are kept alive. One side's setting is enough. Default: [`KeepAlive::Off`].
    pub fn keep_alive(mut self, keep_alive: KeepAlive) -> Self {
        self.config.transport.keep_alive = keep_alive;
        self
    }
}

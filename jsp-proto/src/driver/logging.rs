//! What endpoints say through `tracing` (feature `tracing`), under the target `jsp`. Without the feature, nothing.
//!
//! | level | what |
//! | --- | --- |
//! | `warn` | the socket refuses datagrams, a bound keeps clients out, the endpoint's task ended early; the first time, the second, the fourth and so on |
//! | `info` | a connection is established; it ends, and why |
//! | `debug` | the steps of handshakes, keys, paths, datagram sizes, probe timeouts |
//! | `trace` | each packet, loss and drop, and what recovery makes of them |

use std::boxed::Box;
use std::io;
use std::sync::Arc;

use crate::{Config, Endpoint, Entropy, Observer};

#[cfg(feature = "tracing")]
pub use observer::TracingObserver;

/// The socket refuses to send; `count` times until now.
pub(super) fn refused_by_socket(count: u64, error: &io::Error) {
    #[cfg(feature = "tracing")]
    if count.is_power_of_two() {
        tracing::warn!(target: "jsp", count, %error, "the socket refuses datagrams; they are lost");
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (count, error);
}

/// The endpoint's task has ended because something broke.
pub(super) fn ended(reason: &str) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "jsp", reason, "the endpoint has ended");
    #[cfg(not(feature = "tracing"))]
    let _ = reason;
}

#[cfg(feature = "tracing")]
mod observer {
    use tracing::{Level, debug, enabled, info, trace, warn};

    use crate::observe::{Milestone, Observation, Timer};
    use crate::{ConnId, DropReason, Instant, Observer};

    /// Gives what happens to the `tracing` subscriber, under the target `jsp`.
    ///
    /// The endpoints of the adapters have one whenever a subscriber wants events of this target at the time they are
    /// made; programs with a loop of their own give it to [`Endpoint::set_observer`](crate::Endpoint::set_observer).
    #[derive(Debug)]
    pub struct TracingObserver {
        packets: bool,
        /// Clients that a bound has kept out.
        kept_out: u64,
    }

    impl TracingObserver {
        /// An observer for what the subscriber of this thread wants now; `None` if that is nothing.
        pub fn new() -> Option<Self> {
            let packets = enabled!(target: "jsp", Level::TRACE);
            enabled!(target: "jsp", Level::INFO).then_some(Self { packets, kept_out: 0 })
        }
    }

    impl Observer for TracingObserver {
        fn observe(&mut self, _: Instant, conn: ConnId, what: &Observation<'_>) {
            match what {
                Observation::Milestone(Milestone::Connected) => info!(target: "jsp", ?conn, "connected"),
                Observation::Closed(reason) => info!(target: "jsp", ?conn, %reason, "closed"),
                Observation::Started { side, path, .. } => {
                    debug!(target: "jsp", ?conn, ?side, remote = %path.remote, "started");
                }
                Observation::PathUpdated { old, new } => {
                    debug!(target: "jsp", ?conn, old = %old.remote, new = %new.remote, "another path");
                }
                Observation::PathValidated(path) => {
                    debug!(target: "jsp", ?conn, remote = %path.remote, "the path is proven");
                }
                Observation::TimerExpired(Timer::Probe) => debug!(target: "jsp", ?conn, "probe timeout"),
                Observation::Milestone(_)
                | Observation::Parameters { .. }
                | Observation::HandshakeSent(_)
                | Observation::HandshakeReceived(_)
                | Observation::KeysUpdated { .. }
                | Observation::MtuUpdated { .. } => debug!(target: "jsp", ?conn, ?what),
                what => trace!(target: "jsp", ?conn, ?what),
            }
        }

        fn observe_stray(&mut self, _: Instant, what: &Observation<'_>) {
            trace!(target: "jsp", ?what);
            if let Observation::DatagramDropped {
                reason: DropReason::HandshakeLimit | DropReason::AnswerLimit, ..
            } = what
            {
                self.kept_out += 1;
                if self.kept_out.is_power_of_two() {
                    warn!(target: "jsp", count = self.kept_out, "a bound on handshakes keeps clients out");
                }
            }
        }

        fn wants_packets(&self) -> bool {
            self.packets
        }
    }
}

/// Somebody who sees what happens.
type Observed = Box<dyn Observer>;

/// What an endpoint of the driver shows: what `tracing` wants, and what the program wants.
pub(super) fn with_tracing(observer: Option<Observed>) -> Option<Observed> {
    #[cfg(feature = "tracing")]
    if let Some(tracing) = TracingObserver::new() {
        return Some(match observer {
            Some(observer) => Box::new((tracing, observer)),
            None => Box::new(tracing),
        });
    }
    observer
}

/// An endpoint without a socket, as [`Endpoint::new`] makes it; what happens in it goes to `tracing`, with that feature.
pub fn state_machine(config: Arc<Config>, entropy: Entropy) -> Endpoint {
    let mut endpoint = Endpoint::new(config, entropy);
    endpoint.set_observer(with_tracing(None));
    endpoint
}

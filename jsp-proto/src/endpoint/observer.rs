//! The way of what happens to whoever wants to see it.

use alloc::boxed::Box;

use super::{ConnId, Endpoint};
use crate::conn::Connection;
use crate::observe::Observation;
use crate::slab::Key;
use crate::time::Instant;

/// Sees what happens inside an [`Endpoint`]: packets, losses, round-trip times, keys, paths, as they happen and in their
/// order. Events tell a program what to do; this tells people what went on.
///
/// An endpoint without an observer pays a branch per packet. With one it copies the frames of each packet and calls the
/// observer before the call that made them happen returns, so what the observer does delays the endpoint.
///
/// ```
/// use jsp_proto::{Config, ConnId, Endpoint, Entropy, Instant, Observation, Observer};
///
/// /// Prints what is lost.
/// struct Losses;
///
/// impl Observer for Losses {
///     fn observe(&mut self, now: Instant, conn: ConnId, what: &Observation<'_>) {
///         if let Observation::PacketLost { number, .. } = what {
///             println!("{now:?} {conn:?} packet {number} is lost");
///         }
///     }
/// }
///
/// let mut endpoint = Endpoint::new(Config::default().into(), Entropy::new([7; 32]));
/// endpoint.set_observer(Some(Box::new(Losses)));
/// ```
pub trait Observer: Send {
    /// Something happened to a connection. `now` never decreases.
    fn observe(&mut self, now: Instant, conn: ConnId, what: &Observation<'_>);

    /// Something happened that belongs to no connection: a datagram of nobody, or of a client that is not let in, was
    /// dropped. Does nothing unless it is written.
    fn observe_stray(&mut self, now: Instant, what: &Observation<'_>) {
        let _ = (now, what);
    }
}

impl Endpoint {
    /// Shows from now on to `observer` what happens; `None` ends that. Connections that began before are not shown, so
    /// set it at the start.
    pub fn set_observer(&mut self, observer: Option<Box<dyn Observer>>) {
        self.replace_observer(observer);
    }

    /// As [`set_observer`](Self::set_observer); gives the one before.
    pub(crate) fn replace_observer(&mut self, observer: Option<Box<dyn Observer>>) -> Option<Box<dyn Observer>> {
        let keys: alloc::vec::Vec<Key> = self.connections.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Some(entry) = self.connections.get_mut(key) {
                entry.connection.stop_trace();
            }
        }
        core::mem::replace(&mut self.observer, observer)
    }

    /// Shows what belongs to no connection.
    pub(super) fn observe_stray(&mut self, what: &Observation<'_>) {
        if let Some(observer) = &mut self.observer {
            observer.observe_stray(self.now, what);
        }
    }
}

/// Shows what has happened to a connection since the last time.
#[inline]
pub(super) fn report(observer: &mut Option<Box<dyn Observer>>, now: Instant, key: Key, connection: &mut Connection) {
    if let Some(observer) = observer {
        connection.report(&mut |what| observer.observe(now, ConnId(key), what));
    }
}

/// Shows the rest, and that nothing more comes.
pub(super) fn report_end(
    observer: &mut Option<Box<dyn Observer>>,
    now: Instant,
    key: Key,
    connection: &mut Connection,
) {
    report(observer, now, key, connection);
    if let Some(observer) = observer
        && connection.is_traced()
    {
        observer.observe(now, ConnId(key), &Observation::Forgotten);
    }
}

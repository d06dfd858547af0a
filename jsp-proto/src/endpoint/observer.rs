//! The way of what happens to whoever wants to see it.

use alloc::boxed::Box;

use super::{ConnId, Endpoint};
use crate::conn::Connection;
use crate::observe::{Attention, Observation};
use crate::slab::Key;
use crate::time::Instant;

/// Sees what happens inside an [`Endpoint`]: packets, losses, round-trip times, keys, paths, as they happen and in their
/// order. Events tell a program what to do; this tells people what went on.
///
/// An endpoint without an observer pays a branch per packet. With one that [wants packets](Self::wants_packets) it copies
/// the frames of each. The observer is called before the call that made things happen returns, so what it does delays
/// the endpoint. Several observers are one as a pair.
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

    /// Whether single packets are of interest: those sent, received, acknowledged, lost and repaired, and the state of
    /// recovery after them. Asked when a connection begins; without them only handshakes, paths, keys, drops and
    /// endings are noted. True unless it is written.
    fn wants_packets(&self) -> bool {
        true
    }
}

impl<O: Observer + ?Sized> Observer for Box<O> {
    fn observe(&mut self, now: Instant, conn: ConnId, what: &Observation<'_>) {
        (**self).observe(now, conn, what);
    }

    fn observe_stray(&mut self, now: Instant, what: &Observation<'_>) {
        (**self).observe_stray(now, what);
    }

    fn wants_packets(&self) -> bool {
        (**self).wants_packets()
    }
}

/// Both see the same, the first one first.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn observe(&mut self, now: Instant, conn: ConnId, what: &Observation<'_>) {
        self.0.observe(now, conn, what);
        self.1.observe(now, conn, what);
    }

    fn observe_stray(&mut self, now: Instant, what: &Observation<'_>) {
        self.0.observe_stray(now, what);
        self.1.observe_stray(now, what);
    }

    fn wants_packets(&self) -> bool {
        self.0.wants_packets() || self.1.wants_packets()
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

    /// What is to be noted of connections that begin now.
    pub(super) fn attention(&self) -> Attention {
        match &self.observer {
            None => Attention::None,
            Some(observer) if observer.wants_packets() => Attention::Packets,
            Some(_) => Attention::Connections,
        }
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

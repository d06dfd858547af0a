//! What a connection does about silence: PINGs that keep it alive, and a word to the program when nothing gets through
//! (specification section 6.6).

use alloc::boxed::Box;
use core::net::SocketAddr;
use core::time::Duration;

use super::Connection;
use super::observed::{Heard, Observed};
use crate::config::{AppState, Fec, Network, Policy};
use crate::event::Event;
use crate::time::Instant;

/// Probe timeouts in a row after which the path is suspected to be gone.
const SUSPICION: u32 = 3;

impl Connection {
    /// When a PING is due to keep the connection alive.
    pub(crate) fn keep_alive_at(&self) -> Option<Instant> {
        self.keep_alive.deadline(self.idle.timeout).filter(|_| self.confirmed && self.life.is_live())
    }

    /// By how much it may be early or late.
    pub(crate) fn keep_alive_slack(&self) -> Duration {
        self.keep_alive.slack(self.idle.timeout)
    }

    /// Sends a PING, if it is due.
    pub(super) fn keep_alive(&mut self, now: Instant) {
        if self.keep_alive_at().is_some_and(|at| at <= now) {
            self.ping_to_live(now);
        }
    }

    /// Sends a PING that is not due yet, if it need not wait. Whether it does.
    pub(crate) fn keep_alive_early(&mut self, now: Instant) -> bool {
        let early = self.keep_alive_at().is_some_and(|at| at <= now + self.keep_alive_slack());
        if early {
            self.ping_to_live(now);
        }
        early
    }

    fn ping_to_live(&mut self, now: Instant) {
        self.keep_alive.on_ping(now);
        self.control.send_ping();
        self.stats.keep_alive_pings += 1;
    }

    /// Streams without a setting of their own do from now on what suits this network.
    pub(crate) fn set_network(&mut self, network: Network) {
        self.keep_alive.set_place(network, self.path().local.map(|local| local.ip()));
        self.apply_policy();
    }

    /// The connection goes over another path: what was learned of the old one's network holds there only.
    pub(super) fn keep_alive_elsewhere(&mut self) {
        let path = self.path();
        if let Some(observed) = &mut self.observed {
            observed.set(path.remote);
        }
        self.keep_alive.set_place(self.keep_alive.network(), path.local.map(|local| local.ip()));
    }

    pub(crate) fn set_app_state(&mut self, now: Instant, state: AppState) {
        if self.keep_alive.set_state(state) && self.confirmed && self.life.is_live() {
            self.ping_to_live(now);
        }
        if let Some(secure) = &mut self.secure {
            secure.recovery.mtu_mut().pause(state != AppState::Foreground);
        }
        self.apply_policy();
    }

    fn apply_policy(&mut self) {
        let mut policy = Policy::for_network(self.keep_alive.network(), self.config.transport.policy);
        if self.keep_alive.state() != AppState::Foreground && policy.fec == Fec::Auto {
            policy.fec = Fec::Off;
        }
        self.streams.set_policy(policy);
    }

    pub(super) fn observed_mut(&mut self, now: Instant) -> &mut Observed {
        let remote = self.path().remote;
        self.observed.get_or_insert_with(|| Box::new(Observed::new(now, remote)))
    }

    /// The peer says at which address it sees this side.
    pub(super) fn on_observed(&mut self, now: Instant, seq: u64, address: SocketAddr) {
        let heard = self.observed_mut(now).on_frame(now, seq, address);
        match heard {
            Heard::Flood => self.stats.address_reports_over_bound += 1,
            Heard::First | Heard::Changed => self.tell_once(Event::AddressObserved),
            Heard::Nothing | Heard::Same => {}
        }
        if matches!(heard, Heard::Same | Heard::Changed) {
            self.keep_alive.on_observed(heard == Heard::Changed);
        }
    }

    pub(crate) fn observed_address(&self) -> Option<SocketAddr> {
        self.observed.as_ref()?.ours()
    }

    /// Tells the program, once, when nothing gets through any more.
    pub(super) fn suspect_path(&mut self) {
        let silent =
            self.secure.as_ref().is_some_and(|secure| secure.recovery.pto_count() >= SUSPICION) && self.confirmed;
        if silent && !core::mem::replace(&mut self.suspect, true) {
            self.tell_once(Event::PathSuspect);
        }
    }

    /// Queues an event, unless it is in the queue already.
    pub(super) fn tell_once(&mut self, event: Event) {
        if !self.events.contains(&event) {
            self.events.push_back(event);
        }
    }
}

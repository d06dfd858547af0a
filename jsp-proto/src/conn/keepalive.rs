//! When a connection without traffic sends a PING, and how seldom the path lets it (specification section 6.6).
//!
//! Devices on the path forget who talks to whom after a silence that nobody tells. The search waits longer and longer
//! before a PING; the peer's answer says whether it still sees the same address.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use crate::config::{AppState, KeepAlive, Network, bounds};
use crate::time::{Instant, nanos};

const SECOND: u64 = 1_000_000_000;
/// Silences to try, nanoseconds.
const STEPS: [u64; 5] = [25 * SECOND, 40 * SECOND, 60 * SECOND, 90 * SECOND, 115 * SECOND];
/// A PING may be so much of its interval early or late: one in so many.
const SLACK: u64 = 5;

/// Where a device is: what one network forgets early, another one does not.
type Place = (Network, Option<IpAddr>);

/// The keepalive of one connection.
#[derive(Debug)]
pub(crate) struct KeepAlives {
    setting: KeepAlive,
    state: AppState,
    /// When something came in, or something was sent that needs an answer.
    since: Instant,
    /// The silence that is tried or has proved short enough, of [`STEPS`].
    step: usize,
    /// The first silence that was too long here.
    too_long: usize,
    place: Place,
    /// What was too long elsewhere. The latest [`bounds::NETWORKS_REMEMBERED`].
    known: Vec<(Place, usize)>,
    /// A PING is under way after this silence.
    tested: Option<u64>,
}

impl KeepAlives {
    pub(crate) fn new(now: Instant, setting: KeepAlive, local: Option<IpAddr>) -> Self {
        Self {
            setting,
            state: AppState::Foreground,
            since: now,
            step: 0,
            too_long: STEPS.len(),
            place: (Network::Unknown, local),
            known: Vec::new(),
            tested: None,
        }
    }

    /// Something came in, or something was sent that needs an answer.
    pub(crate) fn on_activity(&mut self, now: Instant) {
        self.since = now;
    }

    pub(crate) fn state(&self) -> AppState {
        self.state
    }

    /// The device does something else. Whether a PING should leave at once: it has woken up.
    pub(crate) fn set_state(&mut self, state: AppState) -> bool {
        let before = core::mem::replace(&mut self.state, state);
        self.tested = None;
        before == AppState::Sleep && state != AppState::Sleep
    }

    pub(crate) fn network(&self) -> Network {
        self.place.0
    }

    /// The device is on another network, or has another address there.
    pub(crate) fn set_place(&mut self, network: Network, local: Option<IpAddr>) {
        let place = (network, local);
        if place != self.place {
            self.place = place;
            self.tested = None;
            self.step = 0;
            self.too_long = self.known.iter().find(|(at, _)| *at == place).map_or(STEPS.len(), |(_, step)| *step);
        }
    }

    /// The silence after which a PING is due, with this idle timeout; zero for none.
    fn interval(&self, idle: Duration) -> Option<u64> {
        let interval = match self.setting {
            KeepAlive::Off => return None,
            KeepAlive::Every(interval) => nanos(interval),
            KeepAlive::Adaptive => STEPS.get(self.step).copied()?,
        };
        let interval = match self.state {
            AppState::Foreground => interval,
            AppState::Background => interval.saturating_mul(2),
            AppState::Sleep => return None,
        };
        Some(if idle.is_zero() { interval } else { interval.min(nanos(idle) / 2) }.max(1))
    }

    /// When a PING is due at the latest, if nothing happens.
    pub(crate) fn deadline(&self, idle: Duration) -> Option<Instant> {
        self.interval(idle).map(|interval| self.since.plus_nanos(interval))
    }

    /// By how much it may be early or late.
    pub(crate) fn slack(&self, idle: Duration) -> Duration {
        Duration::from_nanos(self.interval(idle).unwrap_or(0) / SLACK)
    }

    /// A PING leaves to keep the connection alive.
    pub(crate) fn on_ping(&mut self, now: Instant) {
        self.tested = Some(now.nanos_since(self.since));
        self.since = now;
    }

    /// The peer says which address it sees; `changed`: it is not the one it saw before.
    pub(crate) fn on_observed(&mut self, changed: bool) {
        let Some(silence) = self.tested.take() else { return };
        let Some(tried) = STEPS.get(self.step).copied().filter(|_| self.setting == KeepAlive::Adaptive) else { return };
        if !changed {
            // What left early says less than it was to say.
            if silence >= tried - tried / SLACK && self.step + 1 < self.too_long {
                self.step += 1;
            }
        } else if silence <= tried + tried / SLACK {
            self.too_long = self.step.max(1);
            self.step = self.step.saturating_sub(1);
            self.remember();
        }
    }

    fn remember(&mut self) {
        self.known.retain(|(place, _)| *place != self.place);
        if self.known.len() >= bounds::NETWORKS_REMEMBERED {
            self.known.remove(0);
        }
        self.known.push((self.place, self.too_long));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(900);

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * SECOND)
    }

    fn adaptive() -> KeepAlives {
        KeepAlives::new(at(0), KeepAlive::Adaptive, None)
    }

    fn interval(alive: &KeepAlives) -> Option<u64> {
        alive.interval(IDLE).map(|interval| interval / SECOND)
    }

    /// Lets PINGs leave when they are due, over a NAT that forgets after `forgets` seconds of silence.
    fn run(alive: &mut KeepAlives, forgets: u64, pings: usize) {
        for _ in 0..pings {
            let silence = interval(alive).unwrap();
            alive.on_ping(alive.deadline(IDLE).unwrap());
            alive.on_observed(silence > forgets);
        }
    }

    #[test]
    fn the_interval_is_what_was_asked_for_and_at_most_half_the_idle_timeout() {
        let every = |seconds| KeepAlives::new(at(0), KeepAlive::Every(Duration::from_secs(seconds)), None);
        let mut alive = every(20);
        assert_eq!(alive.deadline(IDLE), Some(at(20)));
        assert_eq!(alive.deadline(Duration::from_secs(30)), Some(at(15)));
        assert_eq!(alive.deadline(Duration::ZERO), Some(at(20)));
        assert_eq!(alive.slack(IDLE), Duration::from_secs(4));
        alive.on_activity(at(7));
        assert_eq!(alive.deadline(IDLE), Some(at(27)));
        assert!(!alive.set_state(AppState::Background));
        assert_eq!(alive.deadline(IDLE), Some(at(47)));
        assert_eq!(alive.deadline(Duration::from_secs(60)), Some(at(37)));
        assert!(!alive.set_state(AppState::Sleep));
        assert_eq!((alive.deadline(IDLE), alive.slack(IDLE)), (None, Duration::ZERO));
        assert!(alive.set_state(AppState::Foreground));
        assert_eq!(KeepAlives::new(at(0), KeepAlive::Off, None).deadline(IDLE), None);
    }

    #[test]
    fn the_search_stays_below_what_the_network_forgets() {
        for (forgets, found) in [(20, 25), (30, 25), (40, 40), (60, 60), (61, 60), (100, 90), (300, 115)] {
            let mut alive = adaptive();
            run(&mut alive, forgets, 10);
            assert_eq!(interval(&alive), Some(found), "{forgets}");
        }
    }

    #[test]
    fn what_was_too_long_is_remembered_for_the_network() {
        let mut alive = adaptive();
        alive.set_place(Network::Cellular, None);
        run(&mut alive, 50, 10);
        assert_eq!(interval(&alive), Some(40));
        alive.set_place(Network::Wifi, None);
        assert_eq!(interval(&alive), Some(25), "another one");
        run(&mut alive, 1000, 10);
        assert_eq!(interval(&alive), Some(115));
        alive.set_place(Network::Cellular, None);
        for pings in 0..5 {
            assert!(interval(&alive) <= Some(40), "after {pings} more it tries what was too long");
            run(&mut alive, 1000, 1);
        }
        let address = |host| Some(IpAddr::from([10, 0, 0, host]));
        for host in 0..20 {
            alive.set_place(Network::Wifi, address(host));
            run(&mut alive, 30, 3);
        }
        assert_eq!(alive.known.len(), bounds::NETWORKS_REMEMBERED);
    }

    #[test]
    fn answers_that_say_nothing_about_the_silence_change_nothing() {
        let mut alive = adaptive();
        alive.on_observed(true);
        alive.on_observed(false);
        alive.on_ping(at(10));
        alive.on_observed(false);
        assert_eq!(interval(&alive), Some(25), "the PING left early");
        alive.on_ping(at(35));
        alive.on_observed(false);
        assert_eq!(interval(&alive), Some(40));
        alive.set_state(AppState::Background);
        alive.on_ping(at(115));
        alive.on_observed(true);
        assert_eq!(interval(&alive), Some(80), "twice the silence was too long, not the silence");
    }
}

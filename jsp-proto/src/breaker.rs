//! When to try again: a circuit breaker for programs that reconnect.
//!
//! A pure state machine like everything else here: it takes the time and random numbers, and never waits itself.

use core::fmt;
use core::time::Duration;

use crate::config::{ConfigError, check};
use crate::event::ConnectionError;
use crate::time::{Instant, nanos};

/// How a [`Breaker`] judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    failures: u32,
    base: Duration,
    max: Duration,
    probes: u32,
    settled_after: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures: 3,
            base: Duration::from_millis(500),
            max: Duration::from_secs(60),
            probes: 1,
            settled_after: Duration::from_secs(5),
        }
    }
}

impl BreakerConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// So many failures in a row open the breaker, 1 to 1000. Default: 3.
    #[must_use]
    pub const fn failures(mut self, failures: u32) -> Self {
        self.failures = failures;
        self
    }

    /// How long it stays open: a random time between half of `base` and all of it, and twice as much each time that the
    /// probes fail, up to `max`. `base` is 1 ms or more, `max` at least `base` and at most a day. Default: 500 ms, 60 s.
    #[must_use]
    pub const fn backoff(mut self, base: Duration, max: Duration) -> Self {
        (self.base, self.max) = (base, max);
        self
    }

    /// So many attempts at once may find out whether it works again, 1 to 100. Default: 1.
    #[must_use]
    pub const fn probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }

    /// A connection that lasts for less counts as a failure, if it was not this side that closed it. At most a day.
    /// Default: 5 s.
    #[must_use]
    pub const fn settled_after(mut self, time: Duration) -> Self {
        self.settled_after = time;
        self
    }

    fn check(&self) -> Result<(), ConfigError> {
        const DAY: Duration = Duration::from_secs(86_400);
        check((1..=1000).contains(&self.failures), "failures of a breaker are 1 to 1000")?;
        check((1..=100).contains(&self.probes), "probes of a breaker are 1 to 100")?;
        check(self.base >= Duration::from_millis(1), "the base of a back-off is at least 1 ms")?;
        check((self.base..=DAY).contains(&self.max), "the maximum of a back-off is its base to a day")?;
        check(self.settled_after <= DAY, "a connection settles within a day")
    }
}

/// What a failure says about the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// It may work later: no answer, a refusal, a socket error...
    Passing,
    /// Trying again does not help before somebody changes something: another key than the trusted one, a key that the
    /// program rejected, no common version.
    Lasting,
}

impl Failure {
    /// What the end of an attempt or of a connection says; `None` if this side wanted it.
    pub const fn of(error: &ConnectionError) -> Option<Self> {
        match error {
            ConnectionError::LocallyClosed { .. } | ConnectionError::Undelivered { .. } => None,
            ConnectionError::PeerKeyMismatch { .. }
            | ConnectionError::KeyRejected
            | ConnectionError::VersionMismatch => Some(Self::Lasting),
            _ => Some(Self::Passing),
        }
    }
}

/// Leave for one attempt. It is handed back with what came of it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the breaker waits to hear what came of the attempt"]
pub struct Permit {
    era: u64,
}

/// The breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAt {
    /// When the next attempt is allowed. If probes are on their way it may be sooner: when one of them is back.
    pub at: Instant,
}

impl fmt::Display for RetryAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many attempts to connect have failed; the next one has to wait")
    }
}

impl core::error::Error for RetryAt {}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { since: Instant, out: u32 },
}

/// Keeps a client from pressing a server that does not answer, and a thousand clients from coming back at one moment.
///
/// *Closed*, it lets every attempt through. After some failures in a row it *opens*: nothing goes through for a random
/// time, which doubles whenever it was in vain. Then it is *half open*: a bounded number of attempts go through; the first
/// that succeeds closes it, one that fails opens it again. A [lasting failure](Failure::Lasting) opens it at once, for the
/// longest time.
///
/// A connection that ends soon is a failure too, so that a server that takes connections and drops them is no better than
/// one that does not answer. A time that goes back counts as one that stands still.
///
/// ```
/// use jsp_proto::{Breaker, BreakerConfig, ConnectionError, Failure, Instant};
/// use std::time::Duration;
///
/// let mut breaker = Breaker::new(BreakerConfig::new().failures(1))?;
/// let now = Instant::ZERO;
/// let permit = breaker.allows(now).expect("it begins closed");
/// breaker.failed(now, permit, Failure::Passing, u64::MAX);
/// let wait = breaker.allows(now).expect_err("open").at - now;
/// assert!(wait > Duration::from_millis(250) && wait <= Duration::from_millis(500));
/// let permit = breaker.allows(now + wait).expect("half open");
/// breaker.succeeded(now + wait, permit);
/// # Ok::<(), jsp_proto::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Breaker {
    config: BreakerConfig,
    state: State,
    /// Failures in a row, and how often it opened since it last worked for a while.
    failures: u32,
    opened: u32,
    /// When the latest connection began, until it has settled or ended.
    young_since: Option<Instant>,
    /// Changes with the state: what comes of older permits is no news.
    era: u64,
    now: Instant,
}

impl Breaker {
    /// A breaker that is closed.
    ///
    /// # Errors
    /// [`ConfigError`] names the first setting that is out of its bounds.
    pub fn new(config: BreakerConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let state = State::Closed;
        Ok(Self { config, state, failures: 0, opened: 0, young_since: None, era: 0, now: Instant::ZERO })
    }

    /// Asks for leave to connect. The permit goes back by [`succeeded`](Self::succeeded), [`failed`](Self::failed) or
    /// [`cancelled`](Self::cancelled). Probes of which nothing is heard for the longest back-off are replaced.
    ///
    /// # Errors
    /// [`RetryAt`] says when to ask again.
    pub fn allows(&mut self, now: Instant) -> Result<Permit, RetryAt> {
        self.at(now);
        match &mut self.state {
            State::Closed => {}
            State::Open { until } if self.now < *until => return Err(RetryAt { at: *until }),
            State::Open { .. } => self.enter(State::HalfOpen { since: self.now, out: 1 }),
            State::HalfOpen { out, .. } if *out < self.config.probes => *out += 1,
            State::HalfOpen { since, .. } => {
                let at = *since + self.config.max;
                if self.now < at {
                    return Err(RetryAt { at });
                }
                self.enter(State::HalfOpen { since: self.now, out: 1 });
            }
        }
        Ok(Permit { era: self.era })
    }

    /// The attempt succeeded: the breaker is closed. Tell it by [`ended`](Self::ended) when the connection is over.
    pub fn succeeded(&mut self, now: Instant, permit: Permit) {
        let Permit { .. } = permit;
        self.at(now);
        self.young_since = Some(self.now);
        if !matches!(self.state, State::Closed) {
            self.enter(State::Closed);
        }
    }

    /// The attempt failed. `random` is any uniformly random number.
    pub fn failed(&mut self, now: Instant, permit: Permit, failure: Failure, random: u64) {
        self.at(now);
        if permit.era == self.era {
            self.fail(failure, random);
        }
    }

    /// The attempt was given up before anything came of it.
    pub fn cancelled(&mut self, permit: Permit) {
        if let State::HalfOpen { out, .. } = &mut self.state
            && permit.era == self.era
        {
            *out = out.saturating_sub(1);
        }
    }

    /// The latest connection is over, for this reason: a failure if it did not last. `random` is any uniformly random
    /// number.
    pub fn ended(&mut self, now: Instant, error: &ConnectionError, random: u64) {
        self.at(now);
        if self.young_since.take().is_some()
            && matches!(self.state, State::Closed)
            && let Some(failure) = Failure::of(error)
        {
            self.fail(failure, random);
        }
    }

    /// Whether attempts go through as they come. Not so while it is open, and while it is half open.
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    fn at(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.young_since.is_some_and(|since| self.now - since >= self.config.settled_after) {
            (self.young_since, self.failures, self.opened) = (None, 0, 0);
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.era += 1;
    }

    fn fail(&mut self, failure: Failure, random: u64) {
        self.failures = self.failures.saturating_add(1);
        let tried = matches!(self.state, State::HalfOpen { .. });
        let wait = match failure {
            Failure::Lasting => nanos(self.config.max),
            Failure::Passing if tried || self.failures >= self.config.failures => self.backoff(random),
            Failure::Passing => return,
        };
        self.opened = self.opened.saturating_add(1);
        self.enter(State::Open { until: self.now.plus_nanos(wait) });
    }

    /// Nanoseconds to wait: between half and all of what doubles.
    fn backoff(&self, random: u64) -> u64 {
        let factor = 1u64.checked_shl(self.opened).unwrap_or(u64::MAX);
        let whole = nanos(self.config.base).saturating_mul(factor).min(nanos(self.config.max));
        let half = whole / 2;
        half + ((u128::from(whole - half) * u128::from(random)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn breaker(config: BreakerConfig) -> Breaker {
        Breaker::new(config).expect("valid")
    }

    fn fail(breaker: &mut Breaker, now: Instant, random: u64) {
        let permit = breaker.allows(now).expect("allowed");
        breaker.failed(now, permit, Failure::Passing, random);
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_waits_twice_as_long_each_time() {
        let mut breaker = breaker(BreakerConfig::new().backoff(SECOND, SECOND * 5));
        let mut now = at(0);
        fail(&mut breaker, now, 0);
        fail(&mut breaker, now, 0);
        assert!(breaker.is_closed());
        fail(&mut breaker, now, u64::MAX);
        for expected in [1, 2, 4, 5, 5] {
            assert!(!breaker.is_closed());
            let wait = breaker.allows(now).expect_err("open").at - now;
            assert!(wait <= SECOND * expected && wait > SECOND * expected - Duration::from_millis(1), "{wait:?}");
            now += wait;
            fail(&mut breaker, now, u64::MAX);
        }
        // The least that it waits is half.
        now = breaker.allows(now).expect_err("open").at;
        fail(&mut breaker, now, 0);
        assert_eq!(breaker.allows(now), Err(RetryAt { at: now + SECOND * 5 / 2 }));
    }

    #[test]
    fn a_success_closes_it_and_one_that_lasts_makes_it_forget() {
        let mut breaker = breaker(BreakerConfig::new());
        (0..3).for_each(|_| fail(&mut breaker, at(0), u64::MAX));
        let permit = breaker.allows(at(500)).expect("half open");
        breaker.succeeded(at(600), permit);
        assert!(breaker.is_closed());
        // It did not last, so that the next failure is one more in the row.
        breaker.ended(at(700), &ConnectionError::IdleTimeout { after: SECOND }, u64::MAX);
        let wait = breaker.allows(at(700)).expect_err("open").at - at(700);
        assert!(wait > Duration::from_millis(999), "{wait:?}");
        let permit = breaker.allows(at(2000)).expect("half open");
        breaker.succeeded(at(2000), permit);
        breaker.ended(at(7000), &ConnectionError::IdleTimeout { after: SECOND }, 0);
        fail(&mut breaker, at(7000), 0);
        fail(&mut breaker, at(7000), 0);
        assert!(breaker.is_closed());
        fail(&mut breaker, at(7000), 0);
        assert_eq!(breaker.allows(at(7000)), Err(RetryAt { at: at(7250) }));
    }

    #[test]
    fn what_cannot_be_helped_opens_it_at_once_and_the_own_end_does_not() {
        let mut breaker = breaker(BreakerConfig::new().failures(1));
        let permit = breaker.allows(at(0)).expect("closed");
        breaker.succeeded(at(0), permit);
        breaker.ended(at(1), &ConnectionError::LocallyClosed { code: crate::AppCode::ZERO }, 0);
        assert!(breaker.is_closed());
        let permit = breaker.allows(at(1)).expect("closed");
        let failure = Failure::of(&ConnectionError::KeyRejected).expect("a failure");
        breaker.failed(at(1), permit, failure, 0);
        assert_eq!(breaker.allows(at(2)), Err(RetryAt { at: at(60_001) }));
        let refused = ConnectionError::Refused { code: crate::AppCode::ZERO };
        assert_eq!(Failure::of(&refused), Some(Failure::Passing));
    }

    #[test]
    fn news_of_old_attempts_changes_nothing_but_a_success() {
        let mut breaker = breaker(BreakerConfig::new().failures(2).probes(2));
        let mut old: Vec<Permit> = (0..4).map(|_| breaker.allows(at(0)).expect("closed")).collect();
        for _ in 0..3 {
            breaker.failed(at(0), old.pop().expect("left"), Failure::Passing, 0);
        }
        assert_eq!(breaker.allows(at(0)), Err(RetryAt { at: at(250) }));
        let (one, two) = (breaker.allows(at(250)).expect("one"), breaker.allows(at(250)).expect("two"));
        assert!(breaker.allows(at(250)).is_err());
        breaker.cancelled(one);
        let three = breaker.allows(at(250)).expect("in its place");
        breaker.failed(at(250), two, Failure::Passing, 0);
        breaker.failed(at(250), three, Failure::Passing, 0);
        assert_eq!(breaker.allows(at(250)), Err(RetryAt { at: at(750) }));
        breaker.succeeded(at(251), old.pop().expect("left"));
        assert!(breaker.is_closed());
    }

    #[test]
    fn settings_have_bounds() {
        let config = BreakerConfig::new();
        for wrong in [
            config.failures(0),
            config.failures(1001),
            config.probes(0),
            config.probes(101),
            config.backoff(Duration::ZERO, SECOND),
            config.backoff(SECOND * 2, SECOND),
            config.backoff(SECOND, SECOND * 86_401),
            config.settled_after(SECOND * 86_401),
        ] {
            assert!(Breaker::new(wrong).is_err(), "{wrong:?}");
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Ask,
        Succeed(usize),
        Fail(usize, bool, u64),
        Cancel(usize),
        End(u64),
        Time(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let which = any::<usize>();
        prop_oneof![
            6 => Just(Step::Ask),
            1 => which.prop_map(Step::Succeed),
            4 => (which, prop::bool::weighted(0.05), any::<u64>()).prop_map(|(w, l, r)| Step::Fail(w, l, r)),
            1 => which.prop_map(Step::Cancel),
            1 => any::<u64>().prop_map(Step::End),
            4 => (-2_000i64..9_000).prop_map(Step::Time),
        ]
    }

    proptest! {
        #[test]
        fn probes_and_waits_keep_their_bounds(
            steps in prop::collection::vec(step(), 1..200), failures in 1u32..5, probes in 1u32..4,
        ) {
            let (base, max) = (SECOND, SECOND * 30);
            let mut breaker = breaker(BreakerConfig::new().failures(failures).probes(probes).backoff(base, max));
            let mut now = 100_000i64;
            let mut out: Vec<(Permit, bool)> = Vec::new();
            for step in steps {
                let time = at(now as u64);
                let pick = |which: usize, len: usize| which.checked_rem(len);
                match step {
                    Step::Ask => {
                        let before = breaker.is_closed();
                        match breaker.allows(time) {
                            Ok(permit) if before => out.push((permit, false)),
                            Ok(permit) => {
                                out.push((permit, true));
                                let era = breaker.era;
                                let probes_out = out.iter().filter(|(permit, probe)| *probe && permit.era == era);
                                prop_assert!(probes_out.count() <= probes as usize);
                            }
                            Err(RetryAt { at: until }) => {
                                prop_assert!(!before);
                                prop_assert!(until > breaker.now);
                                prop_assert!(until <= breaker.now + max);
                            }
                        }
                    }
                    Step::Succeed(which) => if let Some(index) = pick(which, out.len()) {
                        breaker.succeeded(time, out.swap_remove(index).0);
                        prop_assert!(breaker.is_closed());
                    },
                    Step::Fail(which, lasting, random) => if let Some(index) = pick(which, out.len()) {
                        let (permit, _) = out.swap_remove(index);
                        let news = permit.era == breaker.era;
                        let failure = if lasting { Failure::Lasting } else { Failure::Passing };
                        breaker.failed(time, permit, failure, random);
                        if news && !breaker.is_closed() {
                            let wait = breaker.allows(time).expect_err("open").at - breaker.now;
                            prop_assert!(wait >= base / 2 && wait <= max, "{wait:?}");
                        }
                    },
                    Step::Cancel(which) => if let Some(index) = pick(which, out.len()) {
                        breaker.cancelled(out.swap_remove(index).0);
                    },
                    Step::End(random) => breaker.ended(time, &ConnectionError::IdleTimeout { after: SECOND }, random),
                    Step::Time(millis) => now = (now + millis).max(0),
                }
            }
        }
    }
}

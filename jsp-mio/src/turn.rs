//! How much an endpoint does at a time.

use std::time::Duration;

/// How much one [turn](crate::Endpoint::turn) may take, in time, in datagrams, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    time: Option<Duration>,
    datagrams: usize,
}

impl Budget {
    /// No limit: a turn ends when nothing is left to do.
    pub const UNLIMITED: Self = Self { time: None, datagrams: usize::MAX };

    /// So much time inside the endpoint; what the program does with an event is not counted. A step that is expected
    /// to take longer than what is left waits for the next turn, whose first step is always done.
    pub const fn time(time: Duration) -> Self {
        Self { time: Some(time), datagrams: usize::MAX }
    }

    /// So many datagrams, sent and received together. The first step of a turn is always done.
    pub const fn datagrams(datagrams: usize) -> Self {
        Self { time: None, datagrams }
    }

    /// The same, with a limit of datagrams too.
    pub const fn and_datagrams(self, datagrams: usize) -> Self {
        Self { datagrams, ..self }
    }
}

/// A turn under way: what is left of its [`Budget`]. Made by [`Endpoint::turn`](crate::Endpoint::turn).
#[derive(Debug)]
pub struct Turn {
    budget: Budget,
    spent: Duration,
    moved: usize,
    steps: usize,
}

impl Turn {
    pub(crate) fn new(budget: Budget) -> Self {
        Self { budget, spent: Duration::ZERO, moved: 0, steps: 0 }
    }

    /// Time spent inside the endpoint so far.
    pub fn spent(&self) -> Duration {
        self.spent
    }

    /// Datagrams sent and received so far.
    pub fn datagrams(&self) -> usize {
        self.moved
    }

    /// Whether there is a limit of time, so that steps should be small.
    pub(crate) fn is_timed(&self) -> bool {
        self.budget.time.is_some()
    }

    /// Datagrams that the budget still allows.
    pub(crate) fn datagrams_left(&self) -> usize {
        self.budget.datagrams.saturating_sub(self.moved)
    }

    /// Whether a step that takes `expected` fits.
    pub(crate) fn fits(&self, expected: Duration) -> bool {
        self.steps == 0
            || self.datagrams_left() > 0 && self.budget.time.is_none_or(|limit| self.spent + expected <= limit)
    }

    pub(crate) fn spend(&mut self, time: Duration, datagrams: usize) {
        self.spent += time;
        self.moved += datagrams;
        self.steps += 1;
    }
}

/// The kinds of steps, by what they cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// One system call that receives.
    Receive,
    /// Some datagrams for the state machine.
    Deliver,
    /// A datagram of a handshake for the state machine, perhaps with public-key work.
    Handshake,
    /// The result of public-key work that was done elsewhere.
    Job,
    /// The next thing the state machine wants; if that is one datagram, with the system call that sends it.
    Poll,
    /// The same with a batch of datagrams.
    PollBatch,
}

/// What steps are expected to take, from what they took: a mean and a mean deviation of each kind.
#[derive(Debug)]
pub(crate) struct Costs([Cost; 6]);

#[derive(Clone, Copy, Debug)]
struct Cost {
    mean: u64,
    deviation: u64,
}

impl Costs {
    /// Guesses on the safe side.
    pub(crate) fn new() -> Self {
        let micros = |mean: u64| Cost { mean: mean * 1000, deviation: mean * 250 };
        Self([micros(10), micros(10), micros(500), micros(50), micros(10), micros(20)])
    }

    /// What a step will hardly exceed.
    pub(crate) fn expect(&self, step: Step) -> Duration {
        Duration::from_nanos(self.0[step as usize].expect())
    }

    pub(crate) fn note(&mut self, step: Step, took: Duration) {
        self.0[step as usize].note(took);
    }
}

impl Cost {
    fn expect(&self) -> u64 {
        self.mean + 4 * self.deviation
    }

    fn note(&mut self, took: Duration) {
        // A step that was interrupted by another program says little; counted in full it would stop everything.
        let took = (took.as_nanos() as u64).min(4 * self.expect());
        self.deviation = (3 * self.deviation + self.mean.abs_diff(took)) / 4;
        self.mean = (7 * self.mean + took) / 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_always_done() {
        let mut turn = Turn::new(Budget::time(Duration::ZERO).and_datagrams(0));
        assert!(turn.fits(Duration::from_secs(1)));
        turn.spend(Duration::from_nanos(1), 0);
        assert!(!turn.fits(Duration::ZERO));
    }

    #[test]
    fn a_step_that_does_not_fit_waits() {
        let mut turn = Turn::new(Budget::time(Duration::from_micros(200)));
        turn.spend(Duration::from_micros(150), 3);
        assert!(turn.fits(Duration::from_micros(50)));
        assert!(!turn.fits(Duration::from_micros(51)));
        let mut turn = Turn::new(Budget::datagrams(2));
        turn.spend(Duration::ZERO, 2);
        assert!(!turn.fits(Duration::ZERO));
    }

    #[test]
    fn expectations_follow_what_steps_take_and_survive_an_interruption() {
        let mut costs = Costs::new();
        for _ in 0..200 {
            costs.note(Step::Deliver, Duration::from_micros(2));
        }
        let usual = costs.expect(Step::Deliver);
        assert!(usual < Duration::from_micros(3), "{usual:?}");
        costs.note(Step::Deliver, Duration::from_millis(50));
        assert!(costs.expect(Step::Deliver) < Duration::from_micros(20), "{:?}", costs.expect(Step::Deliver));
        for _ in 0..200 {
            costs.note(Step::Deliver, Duration::from_micros(2));
        }
        assert!(costs.expect(Step::Deliver) < Duration::from_micros(3));
        for _ in 0..20 {
            costs.note(Step::Deliver, Duration::from_micros(100));
        }
        assert!(costs.expect(Step::Deliver) > Duration::from_micros(90), "{:?}", costs.expect(Step::Deliver));
    }
}

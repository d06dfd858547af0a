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
    /// How many of each kind were done.
    steps: [u32; KINDS],
}

impl Turn {
    pub(crate) fn new(budget: Budget) -> Self {
        Self { budget, spent: Duration::ZERO, moved: 0, steps: [0; KINDS] }
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
        self.steps == [0; KINDS]
            || self.datagrams_left() > 0 && self.budget.time.is_none_or(|limit| self.spent + expected <= limit)
    }

    /// Whether a step of this kind was done in this turn already.
    fn has_done(&self, step: Step) -> bool {
        self.steps[step as usize] > 0
    }

    pub(crate) fn spend(&mut self, step: Step, time: Duration, datagrams: usize) {
        self.spent += time;
        self.moved += datagrams;
        self.steps[step as usize] += 1;
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

const KINDS: usize = 6;

/// What steps are expected to take, from what they took. The first of a kind in a turn is counted for itself: it finds
/// the caches cold and takes several times as long as the next.
#[derive(Debug)]
pub(crate) struct Costs {
    first: [Cost; KINDS],
    next: [Cost; KINDS],
}

/// A mean and a mean deviation, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Cost {
    mean: u64,
    deviation: u64,
}

impl Costs {
    /// Guesses on the safe side.
    pub(crate) fn new() -> Self {
        let micros = |mean: u64| Cost { mean: mean * 1000, deviation: mean * 250 };
        let guesses = [micros(20), micros(20), micros(500), micros(50), micros(20), micros(40)];
        Self { first: guesses, next: guesses }
    }

    /// What a step will hardly exceed.
    pub(crate) fn expect(&self, turn: &Turn, step: Step) -> Duration {
        let costs = if turn.has_done(step) { &self.next } else { &self.first };
        Duration::from_nanos(costs[step as usize].expect())
    }

    /// Learns what a step took, before the turn counts it.
    pub(crate) fn note(&mut self, turn: &Turn, step: Step, took: Duration) {
        self.of(turn, step).note(took);
    }

    /// A step was put off for what it is expected to take. What is never done is never measured: without this one
    /// interruption could put off a kind of steps for good.
    pub(crate) fn put_off(&mut self, turn: &Turn, step: Step) {
        self.of(turn, step).relax();
    }

    fn of(&mut self, turn: &Turn, step: Step) -> &mut Cost {
        let costs = if turn.has_done(step) { &mut self.next } else { &mut self.first };
        &mut costs[step as usize]
    }
}

impl Cost {
    fn expect(&self) -> u64 {
        self.mean + 6 * self.deviation
    }

    fn note(&mut self, took: Duration) {
        // A step that was interrupted by another program says little; counted in full it would stop everything.
        let took = (took.as_nanos() as u64).min(2 * self.expect());
        self.deviation = (3 * self.deviation + self.mean.abs_diff(took)) / 4;
        self.mean = (7 * self.mean + took) / 8;
    }

    fn relax(&mut self) {
        self.deviation -= self.deviation / 4;
        self.mean -= self.mean / 32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_always_done() {
        let mut turn = Turn::new(Budget::time(Duration::ZERO).and_datagrams(0));
        assert!(turn.fits(Duration::from_secs(1)));
        turn.spend(Step::Poll, Duration::from_nanos(1), 0);
        assert!(!turn.fits(Duration::ZERO));
    }

    #[test]
    fn a_step_that_does_not_fit_waits() {
        let mut turn = Turn::new(Budget::time(Duration::from_micros(200)));
        turn.spend(Step::Poll, Duration::from_micros(150), 3);
        assert!(turn.fits(Duration::from_micros(50)));
        assert!(!turn.fits(Duration::from_micros(51)));
        let mut turn = Turn::new(Budget::datagrams(2));
        turn.spend(Step::Poll, Duration::ZERO, 2);
        assert!(!turn.fits(Duration::ZERO));
    }

    #[test]
    fn the_first_step_of_a_kind_is_expected_to_cost_what_first_ones_cost() {
        let mut costs = Costs::new();
        for _ in 0..100 {
            let mut turn = Turn::new(Budget::UNLIMITED);
            for micros in [50, 2, 2] {
                costs.note(&turn, Step::Deliver, Duration::from_micros(micros));
                turn.spend(Step::Deliver, Duration::from_micros(micros), 1);
            }
        }
        let mut turn = Turn::new(Budget::UNLIMITED);
        assert!(costs.expect(&turn, Step::Deliver) > Duration::from_micros(45));
        turn.spend(Step::Receive, Duration::from_micros(1), 0);
        assert!(costs.expect(&turn, Step::Deliver) > Duration::from_micros(45), "another kind");
        turn.spend(Step::Deliver, Duration::from_micros(1), 0);
        assert!(costs.expect(&turn, Step::Deliver) < Duration::from_micros(4));
    }

    #[test]
    fn what_is_put_off_is_tried_again() {
        let mut costs = Costs::new();
        let mut turn = Turn::new(Budget::time(Duration::from_micros(200)));
        turn.spend(Step::Receive, Duration::from_micros(50), 0);
        costs.note(&turn, Step::Poll, Duration::from_secs(1));
        costs.note(&turn, Step::Poll, Duration::from_secs(1));
        costs.note(&turn, Step::Poll, Duration::from_secs(1));
        assert!(!turn.fits(costs.expect(&turn, Step::Poll)));
        let puts_off = (0..).take_while(|_| {
            costs.put_off(&turn, Step::Poll);
            !turn.fits(costs.expect(&turn, Step::Poll))
        });
        assert!((1..30).contains(&puts_off.count()));
    }

    #[test]
    fn expectations_follow_what_steps_take_and_survive_an_interruption() {
        let mut cost = Costs::new().next[Step::Deliver as usize];
        let mut note = |micros, times| {
            for _ in 0..times {
                cost.note(Duration::from_micros(micros));
            }
            cost.expect() / 1000
        };
        assert!((2..4).contains(&note(2, 200)));
        assert!((2..20).contains(&note(50_000, 1)), "an interruption does not count in full");
        assert!((2..4).contains(&note(2, 200)));
        assert!((90..500).contains(&note(100, 20)), "a lasting change does");
    }
}

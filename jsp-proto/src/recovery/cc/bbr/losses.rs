//! How much the path loses whatever is sent, and when it loses more.
//!
//! Sending is cut into trials of about a round trip; what was lost of a trial is known a good round trip after its
//! end. A trial sent slower than the path delivers cannot have caused its losses: they are the background. A trial
//! sent at full rate that lost more than the background explains is suspected of congestion.

use alloc::collections::VecDeque;

use crate::math::sqrt;

/// A trial has at least so many packets, or chance would speak.
const MIN_PACKETS: u64 = 16;
/// Packets over which the background is averaged; older ones fade.
const MEMORY: f64 = 600.0;
/// The latest trials of the background: the best of them is what may be made up for.
const LATEST: usize = 4;
/// Loss above the background that is tolerated without a queue, as a share of what was sent (draft section 2.7,
/// BBR.LossThresh), and the fewest lost packets that count.
const TOLERANCE: f64 = 0.02;
const MIN_LOST: f64 = 3.0;
/// The same while a queue is seen.
const TOLERANCE_IN_QUEUE: f64 = 0.005;
const MIN_LOST_IN_QUEUE: f64 = 1.5;
/// Standard deviations of what the background explains that count as chance.
const DEVIATIONS: f64 = 3.0;
/// The most that can be background. A path that loses more does not carry what it did.
const MAX_BACKGROUND: f64 = 0.5;
/// Trials that wait for their verdict.
const PENDING: usize = 4;

/// How fast a trial is sent, compared with what the path delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Slower.
    Below,
    /// As fast, or faster.
    Full,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    /// Its first packet number.
    first: u64,
    sent: u64,
    lost: u64,
    pace: Pace,
    /// A queue was seen before the verdict.
    queue: bool,
}

/// What became of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) pace: Pace,
    /// The share of its packets that was lost.
    pub(super) loss: f64,
    /// More was lost than the background explains.
    pub(super) excess: bool,
    pub(super) ground: Ground,
}

/// The lost packets that a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ground {
    /// The first packet of the trial, and the first after it.
    first: u64,
    end: u64,
    lost: u64,
}

impl Ground {
    /// A packet called lost has arrived. Whether none of the losses is left.
    pub(super) fn on_late(&mut self, pn: u64) -> bool {
        let counts = (self.first..self.end).contains(&pn) && self.lost > 0;
        self.lost -= u64::from(counts);
        counts && self.lost == 0
    }
}

/// The losses of one path.
#[derive(Debug)]
pub(super) struct Losses {
    trials: VecDeque<Trial>,
    /// Packets sent and lost in trials that show the background, fading.
    sent: f64,
    lost: f64,
    /// The share that the latest of these trials lost, with a standard deviation on top.
    latest: [f64; LATEST],
}

impl Losses {
    pub(super) fn new() -> Self {
        let mut trials = VecDeque::with_capacity(PENDING + 1);
        trials.push_back(Trial { first: 0, sent: 0, lost: 0, pace: Pace::Full, queue: false });
        Self { trials, sent: 0.0, lost: 0.0, latest: [1.0; LATEST] }
    }

    /// A packet left.
    pub(super) fn on_sent(&mut self) {
        if let Some(trial) = self.trials.back_mut() {
            trial.sent += 1;
        }
    }

    /// A packet was called lost.
    pub(super) fn on_lost(&mut self, pn: u64) {
        if let Some(trial) = self.trial_of(pn) {
            trial.lost += 1;
        }
    }

    /// A packet called lost has arrived.
    pub(super) fn on_late(&mut self, pn: u64) {
        if let Some(trial) = self.trial_of(pn) {
            trial.lost = trial.lost.saturating_sub(1);
        }
    }

    fn trial_of(&mut self, pn: u64) -> Option<&mut Trial> {
        self.trials.iter_mut().rev().find(|trial| trial.first <= pn)
    }

    /// A queue is seen.
    pub(super) fn on_queue(&mut self) {
        self.trials.iter_mut().for_each(|trial| trial.queue = true);
    }

    /// A trial begins with packet `next`, unless the running one goes at the same pace and is too short to judge.
    pub(super) fn begin(&mut self, next: u64, pace: Pace) {
        let trial = Trial { first: next, sent: 0, lost: 0, pace, queue: false };
        if let Some(running) = self.trials.back_mut() {
            if running.sent == 0 {
                *running = trial;
                return;
            }
            if running.pace == pace && running.sent < MIN_PACKETS {
                return;
            }
        }
        if self.trials.len() > PENDING {
            self.trials.pop_front();
        }
        self.trials.push_back(trial);
    }

    /// The verdict on the oldest trial, if it is over and the losses of all packets below `settled` are known.
    pub(super) fn conclude(&mut self, settled: u64) -> Option<Verdict> {
        let end = self.trials.get(1).map(|second| second.first).filter(|&end| end <= settled)?;
        let trial = self.trials.pop_front()?;
        let (sent, lost) = (trial.sent as f64, trial.lost as f64);
        let background = self.background();
        let (tolerance, least) =
            if trial.queue { (TOLERANCE_IN_QUEUE, MIN_LOST_IN_QUEUE) } else { (TOLERANCE, MIN_LOST) };
        let chance = DEVIATIONS * sqrt(sent * background * (1.0 - background));
        let excess = lost > (sent * (background + tolerance) + chance).max(least);
        if trial.pace == Pace::Below && !trial.queue && lost <= MAX_BACKGROUND * sent {
            self.learn(sent, lost);
        }
        let ground = Ground { first: trial.first, end, lost: trial.lost };
        Some(Verdict { pace: trial.pace, loss: lost / sent.max(1.0), excess, ground })
    }

    fn learn(&mut self, sent: f64, lost: f64) {
        let room = (MEMORY - sent).max(0.0);
        let kept = room / self.sent.max(room).max(1.0);
        self.sent = self.sent * kept + sent;
        self.lost = self.lost * kept + lost;
        // A trial that another pace has cut short may well have lost nothing by chance.
        if sent >= MIN_PACKETS as f64 {
            let [a, b, c, _] = self.latest;
            self.latest = [(lost + sqrt(lost)) / sent, a, b, c];
        }
    }

    /// The share of packets that is lost whatever is sent, 0 to 0.5.
    pub(super) fn background(&self) -> f64 {
        // One packet more, so that the first losses of a short history do not weigh all too much.
        (self.lost / (self.sent + 1.0)).min(MAX_BACKGROUND)
    }

    /// The share of packets that may be sent on top to make up for it, 0 to 0.5. A queue that others fill loses
    /// packets in bursts, a medium in every trial: therefore the trial that lost least decides.
    pub(super) fn made_up_for(&self) -> f64 {
        self.latest.iter().copied().fold(self.background(), f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Runs trials of `sent` packets each of which loses `lost`, and tells the last verdict.
    fn run(losses: &mut Losses, next: &mut u64, trials: &[(Pace, u64, u64)]) -> Option<Verdict> {
        let mut verdict = None;
        for &(pace, sent, lost) in trials {
            losses.begin(*next, pace);
            for pn in *next..*next + sent {
                losses.on_sent();
                if pn - *next < lost {
                    losses.on_lost(pn);
                }
            }
            *next += sent;
            losses.begin(*next, pace);
            verdict = losses.conclude(*next);
        }
        verdict
    }

    #[test]
    fn what_is_lost_below_the_rate_is_background() {
        let (mut losses, mut next) = (Losses::new(), 0);
        let verdict = run(&mut losses, &mut next, &[(Pace::Full, 100, 10)]).unwrap();
        assert!(verdict.excess && losses.background() == 0.0);
        run(&mut losses, &mut next, &[(Pace::Below, 100, 10); 8]);
        assert!((losses.background() - 0.1).abs() < 0.005, "{}", losses.background());
        assert!((losses.made_up_for() - losses.background()).abs() < 1e-9);
        let within = run(&mut losses, &mut next, &[(Pace::Full, 100, 20)]).unwrap();
        assert!(!within.excess && (within.loss - 0.2).abs() < 1e-9);
        assert!(run(&mut losses, &mut next, &[(Pace::Full, 100, 22)]).unwrap().excess);
    }

    #[test]
    fn one_clean_trial_is_enough_not_to_make_up() {
        let (mut losses, mut next) = (Losses::new(), 0);
        run(&mut losses, &mut next, &[(Pace::Below, 100, 8); 4]);
        run(&mut losses, &mut next, &[(Pace::Below, 100, 0)]);
        assert!(losses.background() > 0.05 && losses.made_up_for() == 0.0);
        run(&mut losses, &mut next, &[(Pace::Below, 100, 8); 4]);
        run(&mut losses, &mut next, &[(Pace::Full, 100, 8), (Pace::Below, 15, 0), (Pace::Full, 100, 8)]);
        assert!(losses.made_up_for() > 0.05, "too short to tell");
    }

    #[test]
    fn a_queue_and_more_than_half_teach_nothing() {
        let (mut losses, mut next) = (Losses::new(), 0);
        run(&mut losses, &mut next, &[(Pace::Below, 100, 51); 4]);
        assert_eq!(losses.background(), 0.0);
        losses.begin(next, Pace::Below);
        (0..100).for_each(|_| losses.on_sent());
        (next..next + 2).for_each(|pn| losses.on_lost(pn));
        losses.on_queue();
        losses.begin(next + 100, Pace::Full);
        let verdict = losses.conclude(next + 100).unwrap();
        assert!(verdict.excess && losses.background() == 0.0, "two are many in a queue");
    }

    #[test]
    fn late_packets_were_not_lost_and_short_trials_are_joined() {
        let mut losses = Losses::new();
        losses.begin(0, Pace::Below);
        (0..10).for_each(|_| losses.on_sent());
        (0..5).for_each(|pn| losses.on_lost(pn));
        losses.begin(10, Pace::Below);
        (0..10).for_each(|_| losses.on_sent());
        (0..5).for_each(|pn| losses.on_late(pn));
        losses.begin(20, Pace::Below);
        assert_eq!(losses.conclude(19), None);
        let ground = Ground { first: 0, end: 20, lost: 0 };
        assert_eq!(losses.conclude(20), Some(Verdict { pace: Pace::Below, loss: 0.0, excess: false, ground }));
    }

    #[test]
    fn the_ground_is_gone_when_all_of_it_has_arrived() {
        let (mut losses, mut next) = (Losses::new(), 100);
        let mut ground = run(&mut losses, &mut next, &[(Pace::Full, 50, 2)]).unwrap().ground;
        assert!(!ground.on_late(99) && !ground.on_late(150) && !ground.on_late(100));
        assert!(ground.on_late(149));
        assert!(!ground.on_late(149));
    }

    proptest! {
        /// Whatever is reported: shares stay shares, and memory stays bounded.
        #[test]
        fn shares_stay_in_bounds(steps in prop::collection::vec((0u8..6, 0u64..500), 1..400)) {
            let mut losses = Losses::new();
            let mut next = 0;
            for (step, value) in steps {
                match step {
                    0 => (0..value).for_each(|_| { losses.on_sent(); next += 1; }),
                    1 => losses.on_lost(value),
                    2 => losses.on_late(value),
                    3 => losses.begin(next, if value % 2 == 0 { Pace::Below } else { Pace::Full }),
                    4 => _ = losses.conclude(next.saturating_sub(value)),
                    _ => losses.on_queue(),
                }
                prop_assert!((0.0..=MAX_BACKGROUND).contains(&losses.background()));
                prop_assert!((0.0..=MAX_BACKGROUND).contains(&losses.made_up_for()));
                prop_assert!(losses.trials.len() <= PENDING + 1);
            }
        }
    }
}

//! Congestion control by a model of the path, of the BBRv3 family (draft-ietf-ccwg-bbr; specification section 6.3).
//!
//! The model is two numbers: the *bandwidth*, the highest delivery rate of the last two cycles, and the *floor*, the
//! smallest round-trip time of the last 5 to 10 seconds. Sending is paced at the bandwidth times the gain of the
//! [`Phase`], and what is in flight is held near the product of the two. A cycle of 6 to 9 round trips drains
//! (`Down`), cruises, refills and probes for more (`Up`); without a glimpse of the floor for 5 s the path is emptied
//! for 200 ms (`ProbeRtt`). So far this is the draft.
//!
//! # Losses
//!
//! The draft takes 2 % of loss in a round trip for congestion. Here losses alone are none. They count with evidence:
//!
//! 1. **A queue.** All round-trip times of a round are above the floor by a quarter of it, at least 4 ms, and by the
//!    time of three packets, *and* more was lost than the background explains by 0.5 % and three standard deviations.
//! 2. **ECN marks.**
//! 3. **Loss that grows with what is sent.** More was lost of a round at full rate than the background explains by
//!    2 % and three standard deviations, without a queue. That is a suspicion, and it is put to the test: the next
//!    round is sent below the rate of the path. If that loses less than half as much it was congestion (a policer, a
//!    queue of a few packets); if not, the medium has become worse, and the background is learned anew.
//!
//! The *background* is what is lost while less is sent than the path delivers: in `Drain`, `Down` and `ProbeRtt`, when
//! the application has little to send, and in `Startup` as long as the delivery rate keeps up with the sending rate.
//! Rounds with a queue, and rounds that lose more than half, teach nothing. It is averaged over 600 packets. Outside
//! of `Down` the pacing rate and the window are raised by it, so that the path stays full behind the losses, but by no
//! more than the best of the last four trials lost.
//!
//! On paths whose round trip is shorter than the pauses of the programs at its ends, the window lasts for 10 ms.
//!
//! On congestion the rate is bounded to what the round delivered, at least 70 % of before, until the next probe; what
//! is in flight is bounded to 70 %, but not below one bandwidth-delay product. That bound is raised with every
//! further cycle, by one packet, two, four...
//!
//! # A path that changes
//!
//! When round-trip times are above twice the floor, and 12 ms above it, and the delivery rate has fallen below nine
//! tenths over a round trip, or below half over eight acknowledgements, the rate that is measured replaces the
//! bandwidth at once. Either there is a long queue, which drains then; or the path has become longer. If the floor is
//! not seen again within 250 ms the path is emptied to find out, and if it was longer the bandwidth from before is
//! believed again.
//!
//! # Where it fails
//!
//! - Beside many loss-based flows it takes more than its share of a queue shorter than a bandwidth-delay product:
//!   their losses are fewer than it tolerates without a queue.
//! - A medium that loses only when it is used at full rate looks like a policer, and gets what a policer lets through.
//! - The background is a mean. Losses in bursts longer than a round trip are congestion or nothing, by chance.
//! - Flows below about one packet per round trip hold the smallest window, four packets, whatever the queue.
//! - A peer that acknowledges what it did not get, or marks what was not marked, gets a rate that is not the path's;
//!   skipped packet numbers catch the first.

mod change;
mod congestion;
mod floor;
mod losses;
mod model;
mod phase;
mod round;
#[cfg(test)]
mod tests;

use super::super::rate::{duration, rate_of, volume};
use super::{AckSample, Controller, LossSample, initial_window};
use crate::time::Instant;
use change::Doubt;
use congestion::{Bounds, Suspicion};
use floor::FloorProbe;
use losses::{Ground, Losses, Pace};
use model::{Bandwidth, Floor};
use phase::Phase;
use round::{Recent, Round};

/// The smallest window in datagrams (draft section 2.7, BBR.MinPipeCwnd).
const MIN_WINDOW: u64 = 4;
/// Growth per round in percent below which the path seems full, and rounds that have to agree (draft section 5.3.1.2).
const FULL_GROWTH: u64 = 125;
const FULL_ROUNDS: u32 = 3;
/// Growth per round in percent that keeps a probe going.
const PROBE_GROWTH: u64 = 110;
/// Round trips of a cycle: this, and up to three more so that flows do not probe in step.
const CYCLE: u32 = 6;
/// Round trips after which the older half of the bandwidth's memory goes, if no probe comes first.
const MEMORY: u32 = 12;
/// Round trips after which a queue that was to drain has answered.
const PATIENCE: u32 = 4;
/// What its round-trip time has to fall to, in percent, to be this flow's own.
const YIELD: u64 = 95;
/// Round-trip times vary by this without a queue, in nanoseconds: both ends are programs on busy machines.
const JITTER: u64 = 4_000_000;
/// What is in flight lasts at least this long, in nanoseconds.
const PAUSES: u64 = 10_000_000;
/// Pacing stays below the estimate by this, in percent (draft section 2.5).
const MARGIN: u64 = 1;

/// The model-based controller of one path.
#[derive(Debug)]
pub(crate) struct Bbr {
    segment: u64,
    random: u64,
    phase: Phase,
    /// Rounds since the phase began, since the cycle began, and since the bandwidth last forgot something.
    phase_rounds: u32,
    cycle_rounds: u32,
    memory_rounds: u32,
    /// Rounds of this cycle.
    cycle: u32,
    bandwidth: Bandwidth,
    floor: Floor,
    losses: Losses,
    round: Round,
    recent: Recent,
    srtt: u64,
    /// The path has been full once.
    full: bool,
    /// The rate that a round has to pass to show growth, and for how many rounds it did not.
    full_rate: u64,
    full_rounds: u32,
    /// The longest round-trip time at the beginning of `Down`, in nanoseconds.
    drained_from: u64,
    /// Bounds after congestion, until the next probe.
    short: Option<Bounds>,
    /// The most that may be in flight; grows again with every probe, by `long_step`.
    long: u64,
    long_step: u64,
    /// Both bounds as they were before the last congestion, while it may prove spurious: the losses it rests on.
    before: Option<(Option<Bounds>, u64, Ground)>,
    suspicion: Option<Suspicion>,
    doubt: Option<Doubt>,
    probe: Option<FloorProbe>,
    cwnd: u64,
    /// The application had nothing to send at some time of this round, and of the last one.
    idle: bool,
    was_idle: bool,
    /// The delivery rate grew in the last round as fast as it was asked to.
    keeps_up: bool,
}

impl Bbr {
    /// A controller for datagrams of at most `max_datagram` bytes. `random` keeps flows from probing in step.
    pub(crate) fn new(max_datagram: u16, random: u64) -> Self {
        Self {
            segment: u64::from(max_datagram).max(1),
            random: random | 1,
            phase: Phase::Startup,
            phase_rounds: 0,
            cycle_rounds: 0,
            memory_rounds: 0,
            cycle: CYCLE,
            bandwidth: Bandwidth::default(),
            floor: Floor::new(),
            losses: Losses::new(),
            round: Round::default(),
            recent: Recent::default(),
            srtt: 0,
            full: false,
            full_rate: 0,
            full_rounds: 0,
            drained_from: 0,
            short: None,
            long: u64::MAX,
            long_step: 0,
            before: None,
            suspicion: None,
            doubt: None,
            probe: None,
            cwnd: initial_window(max_datagram).max(MIN_WINDOW * u64::from(max_datagram)),
            idle: false,
            was_idle: false,
            keeps_up: false,
        }
    }

    // ---- the model

    fn min_window(&self) -> u64 {
        MIN_WINDOW * self.segment
    }

    /// The rate that is believed in, bytes per second.
    fn rate(&self) -> u64 {
        let most = self.bandwidth.get();
        self.short.map_or(most, |short| most.min(short.rate))
    }

    /// What has to be sent for so much to arrive.
    fn with_losses(&self, arriving: u64) -> u64 {
        (arriving as f64 / (1.0 - self.losses.made_up_for())) as u64
    }

    /// What keeps the path busy when it is in flight, times `gain` percent.
    fn bdp(&self, gain: u64) -> u64 {
        let bytes = match self.floor.get() {
            Some(floor) => self.with_losses(volume(self.rate(), floor)),
            None => self.cwnd,
        };
        bytes.saturating_mul(gain) / 100
    }

    /// Bytes that batching on the way to the wire needs in the window: two packets or a millisecond.
    fn quantum(&self) -> u64 {
        (2 * self.segment).max(volume(self.rate(), 1_000_000))
    }

    /// Whether this round-trip time, the smallest of several, speaks of a queue. A few packets stand in line at every
    /// bottleneck.
    fn is_queue(&self, rtt: Option<u64>) -> bool {
        let floor = self.floor.get().unwrap_or(u64::MAX);
        rtt.is_some_and(|rtt| rtt > floor.saturating_add(self.queue_margin(floor)))
    }

    fn is_long_queue(&self, rtt: Option<u64>) -> bool {
        let floor = self.floor.get().unwrap_or(u64::MAX);
        let margin = floor.max(2 * JITTER).saturating_add(self.queue_margin(floor));
        rtt.is_some_and(|rtt| rtt > floor.saturating_add(margin))
    }

    fn queue_margin(&self, floor: u64) -> u64 {
        (floor / 4).max(JITTER).saturating_add(duration(3 * self.segment, self.bandwidth.get()))
    }

    /// What may be in flight without a queue worth the name.
    fn drained(&self) -> u64 {
        self.bdp(100).max(volume(self.rate(), JITTER))
    }

    fn pace(&self) -> Pace {
        let below = match self.phase {
            Phase::Drain | Phase::Down | Phase::ProbeRtt => true,
            Phase::Startup => self.keeps_up,
            Phase::Cruise | Phase::Refill | Phase::Up => false,
        };
        if below || self.was_idle { Pace::Below } else { Pace::Full }
    }

    // ---- the phases

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.phase_rounds = 0;
        match phase {
            Phase::Down => self.begin_cycle(),
            Phase::Refill => self.lift_bounds(),
            Phase::Up => self.full_rate = self.bandwidth.get(),
            Phase::ProbeRtt => self.probe = Some(FloorProbe { began: None, rtt: None }),
            Phase::Startup | Phase::Drain | Phase::Cruise => {}
        }
    }

    fn begin_cycle(&mut self) {
        self.drained_from = 0;
        self.cycle_rounds = 0;
        // Xorshift: enough to keep flows out of step.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.cycle = CYCLE + (self.random % 4) as u32;
    }

    /// A probe asks anew: the short bounds go, the long one moves twice as far as with the probe before.
    fn lift_bounds(&mut self) {
        self.short = None;
        self.before = None;
        self.long = self.long.saturating_add(self.long_step);
        self.long_step = self.long_step.saturating_mul(2);
        if self.long > self.bdp(300) {
            self.long = u64::MAX;
        }
        self.forget_older_half();
    }

    fn forget_older_half(&mut self) {
        self.memory_rounds = 0;
        self.bandwidth.next_cycle();
    }

    /// A round trip has ended.
    fn on_round(&mut self, ack: &AckSample) {
        let mut round = core::mem::replace(&mut self.round, Round { end: ack.next_pn, ..Round::default() });
        round.queue = self.is_queue(round.rtt);
        // Startup may last as long as the application likes.
        self.phase_rounds = self.phase_rounds.saturating_add(1);
        self.cycle_rounds = self.cycle_rounds.saturating_add(1);
        self.memory_rounds += 1;
        if self.memory_rounds > MEMORY {
            self.forget_older_half();
        }
        self.was_idle = core::mem::take(&mut self.idle);
        self.keeps_up = round.rate >= self.full_rate.saturating_mul(FULL_GROWTH) / 100;
        if round.queue {
            self.losses.on_queue();
        }
        let congested = self.judge(ack, &round);
        if !self.full {
            self.judge_fullness(&round, congested);
        }
        self.follow(ack.now, &round);
        self.advance(&round, congested);
    }

    /// Moves on to the next phase, if this round was the last of the running one.
    fn advance(&mut self, round: &Round, congested: bool) {
        match self.phase {
            Phase::Startup if self.full => self.enter(Phase::Drain),
            Phase::Down | Phase::Cruise if self.cycle_rounds >= self.cycle => self.enter(Phase::Refill),
            // What was sent before this phase is acknowledged during its first rounds.
            Phase::Down if self.phase_rounds <= 2 => {
                self.drained_from = self.drained_from.max(round.rtt.unwrap_or(0));
            }
            // A queue that does not yield is not of this flow's making.
            Phase::Down
                if self.phase_rounds >= PATIENCE && round.rtt.unwrap_or(0) >= self.drained_from / 100 * YIELD =>
            {
                self.enter(Phase::Cruise);
            }
            Phase::Refill => self.enter(Phase::Up),
            Phase::Up => {
                let grows = round.rate >= self.full_rate.saturating_mul(PROBE_GROWTH) / 100;
                if grows {
                    self.full_rate = round.rate;
                }
                if congested || round.queue || self.phase_rounds >= 2 && !grows {
                    self.enter(Phase::Down);
                }
            }
            _ => {}
        }
    }

    /// Startup is over when the rate has stopped growing, or when a queue says so.
    fn judge_fullness(&mut self, round: &Round, congested: bool) {
        if round.app_limited && !congested {
            return;
        }
        if self.keeps_up {
            self.full_rate = round.rate;
            self.full_rounds = 0;
        } else {
            self.full_rounds += 1;
        }
        self.full = congested || self.full_rounds >= FULL_ROUNDS || round.queue && self.full_rounds >= 1;
    }

    /// What need not wait for the end of the round.
    fn react(&mut self, ack: &AckSample) {
        match self.phase {
            Phase::Startup if self.full_rounds >= 1 && self.is_queue(self.recent.rtt()) => {
                self.full = true;
                self.enter(Phase::Drain);
            }
            Phase::Up if self.phase_rounds >= 1 && self.is_queue(self.recent.rtt()) => self.enter(Phase::Down),
            Phase::Drain if ack.in_flight <= self.drained() => {
                self.begin_cycle();
                self.enter(Phase::Cruise);
            }
            Phase::Down if self.phase_rounds >= 1 && ack.in_flight <= self.drained() => self.enter(Phase::Cruise),
            _ => {}
        }
    }

    // ---- the answer

    fn update_window(&mut self, ack: &AckSample) {
        let target = self.bdp(self.phase.window_gain()).saturating_add(3 * self.quantum());
        // Where the round trip is shorter than the pauses of the two programs, those have to be covered.
        let target = target.max(volume(self.rate(), PAUSES));
        let grown = self.cwnd.saturating_add(ack.bytes);
        if self.full {
            self.cwnd = grown.min(target);
        } else if self.cwnd < target {
            // Losses without a queue do not hold up the start. Where no round-trip time is known the target is no bound,
            // and only what arrives may count: a peer that hides it would get ever more for a packet or two.
            let lost = if self.floor.get().is_some() { ack.lost } else { 0 };
            self.cwnd = grown.saturating_add(lost);
        }
        let short = self.short.map_or(u64::MAX, |short| short.in_flight);
        let emptying = if self.phase == Phase::ProbeRtt { self.floor_window() } else { u64::MAX };
        self.cwnd = self.cwnd.min(self.long).min(short).min(emptying).max(self.min_window());
    }
}

impl Controller for Bbr {
    fn on_sent(&mut self) {
        self.losses.on_sent();
    }

    fn on_ack(&mut self, ack: &AckSample) {
        self.srtt = ack.srtt;
        if let Some(rtt) = ack.rtt {
            if self.floor.on_sample(ack.now, rtt) && self.phase != Phase::ProbeRtt {
                self.doubt = None;
            }
            self.round.rtt = Some(self.round.rtt.map_or(rtt, |least| least.min(rtt)));
        }
        if let Some(sample) = &ack.rate {
            self.bandwidth.on_sample(sample);
            self.round.rate = self.round.rate.max(sample.rate);
            self.round.delivered = self.round.delivered.max(sample.delivered);
            self.round.app_limited |= sample.app_limited;
        }
        if let Some(rtt) = ack.rtt
            && self.recent.on_sample(rtt, ack.rate.map_or(u64::MAX, |sample| sample.rate))
        {
            self.follow_at_once(ack.now);
        }
        let (phase, ends) = (self.phase, ack.largest >= self.round.end);
        if ends {
            self.on_round(ack);
        }
        self.react(ack);
        self.probe_floor(ack);
        if ends || self.phase != phase {
            self.losses.begin(ack.next_pn, self.pace());
        }
        self.update_window(ack);
    }

    fn on_packet_lost(&mut self, pn: u64) {
        self.losses.on_lost(pn);
    }

    fn on_packet_late(&mut self, pn: u64) {
        self.losses.on_late(pn);
        if let Some((short, long, ground)) = &mut self.before
            && ground.on_late(pn)
        {
            (self.short, self.long) = (*short, *long);
            self.before = None;
        }
    }

    fn on_loss(&mut self, sample: &LossSample) {
        // Nothing came through for several probe timeouts. The model stays, but the way back to it is a slow start.
        if sample.persistent {
            self.cwnd = self.min_window();
        }
    }

    fn on_ce(&mut self, _now: Instant, _marked: u64) {
        self.round.ce = true;
    }

    /// Congestion events of the recovery layer are not what is judged here: see `on_packet_late`.
    fn on_spurious(&mut self, _now: Instant) {}

    fn on_mtu(&mut self, max_datagram: u16) {
        self.segment = u64::from(max_datagram).max(1);
        self.cwnd = self.cwnd.max(self.min_window());
    }

    fn set_app_limited(&mut self) {
        self.idle = true;
    }

    fn cwnd(&self) -> u64 {
        self.cwnd
    }

    fn pacing_rate(&self) -> Option<u64> {
        let rate = self.rate();
        if rate == 0 {
            return None;
        }
        let rate = if self.phase.makes_up_for_losses() { self.with_losses(rate) } else { rate };
        let paced = rate.saturating_mul(self.phase.pacing_gain() * (100 - MARGIN)) / 10_000;
        // The rate is that of the round before: in Startup the window has grown since. And one slow sample must not
        // stop the sender: the smallest window may leave once per round trip.
        let window = if self.phase == Phase::Startup { self.cwnd / 4 * 5 } else { self.min_window() };
        Some(paced.max(rate_of(window, self.srtt)))
    }

    fn background_loss(&self) -> f64 {
        self.losses.background()
    }

    fn in_slow_start(&self) -> bool {
        self.phase == Phase::Startup
    }

    fn state(&self) -> &'static str {
        self.phase.name()
    }
}

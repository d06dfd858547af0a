//! BBR version 1, as in draft-cardwell-iccrg-bbr-congestion-control-00, without its reaction to losses.

use std::collections::VecDeque;
use std::time::Duration;

use jsp_proto::Instant;

use super::super::super::rng::Rng;
use super::{Acked, Control, INITIAL_WINDOW};

const HIGH_GAIN: f64 = 2.885;
const CYCLE: [f64; 8] = [1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
const BANDWIDTH_ROUNDS: u64 = 10;
const MIN_RTT_LASTS: Duration = Duration::from_secs(10);
const PROBE_RTT_TIME: Duration = Duration::from_millis(200);
const MIN_WINDOW: f64 = 4.0;
/// The pipe is full when the bandwidth has not grown by a quarter for three rounds.
const FULL_GROWTH: f64 = 1.25;
const FULL_ROUNDS: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Startup,
    Drain,
    ProbeBandwidth,
    ProbeRtt,
}

#[derive(Debug)]
pub(super) struct BbrV1 {
    rng: Rng,
    mode: Mode,
    window: f64,
    rate: f64,
    /// The largest delivery rates of the last rounds, falling.
    bandwidths: VecDeque<(u64, f64)>,
    min_rtt: Duration,
    min_rtt_at: Instant,
    round: u64,
    /// A round is over when something arrives that was sent after so many had been delivered.
    round_ends: u64,
    full_bandwidth: f64,
    full_rounds: u32,
    is_full: bool,
    phase: usize,
    phase_since: Instant,
    /// The window is small until then, and for a round.
    probe_rtt_until: Option<Instant>,
    probe_rtt_round: bool,
    window_before: f64,
}

impl BbrV1 {
    pub(super) fn new(rng: Rng) -> Self {
        Self {
            rng,
            mode: Mode::Startup,
            window: INITIAL_WINDOW,
            // It takes the round trip for a millisecond as long as it has not seen one.
            rate: HIGH_GAIN * INITIAL_WINDOW * 1000.0,
            bandwidths: VecDeque::new(),
            min_rtt: Duration::MAX,
            min_rtt_at: Instant::ZERO,
            round: 0,
            round_ends: 0,
            full_bandwidth: 0.0,
            full_rounds: 0,
            is_full: false,
            phase: 0,
            phase_since: Instant::ZERO,
            probe_rtt_until: None,
            probe_rtt_round: false,
            window_before: 0.0,
        }
    }

    fn bandwidth(&self) -> f64 {
        self.bandwidths.front().map_or(0.0, |(_, rate)| *rate)
    }

    fn gains(&self) -> (f64, f64) {
        match self.mode {
            Mode::Startup => (HIGH_GAIN, HIGH_GAIN),
            Mode::Drain => (1.0 / HIGH_GAIN, HIGH_GAIN),
            Mode::ProbeBandwidth => (CYCLE[self.phase], 2.0),
            Mode::ProbeRtt => (1.0, 1.0),
        }
    }

    /// So many times what the path holds.
    fn inflight(&self, gain: f64) -> f64 {
        // Two datagrams at once are what acknowledgements of every second one make.
        const QUANTUM: f64 = 2.0;
        if self.min_rtt == Duration::MAX {
            return INITIAL_WINDOW;
        }
        gain * self.bandwidth() * self.min_rtt.as_secs_f64() + 3.0 * QUANTUM
    }

    fn measure_bandwidth(&mut self, rate: f64) {
        while self.bandwidths.back().is_some_and(|(_, other)| *other <= rate) {
            self.bandwidths.pop_back();
        }
        self.bandwidths.push_back((self.round, rate));
        while self.bandwidths.front().is_some_and(|(round, _)| round + BANDWIDTH_ROUNDS <= self.round) {
            self.bandwidths.pop_front();
        }
    }

    fn probe_bandwidth(&mut self, now: Instant) {
        self.mode = Mode::ProbeBandwidth;
        // Any phase but the one that drains.
        self.phase = (CYCLE.len() - self.rng.below(CYCLE.len() as u64 - 1) as usize) % CYCLE.len();
        self.phase_since = now;
    }

    fn next_phase(&mut self, ack: &Acked) {
        let lasted = ack.now - self.phase_since > self.min_rtt;
        let before = ack.in_flight_before as f64;
        let gain = CYCLE[self.phase];
        let over = if gain > 1.0 {
            lasted && (ack.losses || before >= self.inflight(gain))
        } else {
            lasted || (gain < 1.0 && before <= self.inflight(1.0))
        };
        if over {
            (self.phase, self.phase_since) = ((self.phase + 1) % CYCLE.len(), ack.now);
        }
    }

    fn check_full(&mut self) {
        if self.bandwidth() >= self.full_bandwidth * FULL_GROWTH {
            (self.full_bandwidth, self.full_rounds) = (self.bandwidth(), 0);
        } else {
            self.full_rounds += 1;
            self.is_full |= self.full_rounds >= FULL_ROUNDS;
        }
    }

    fn probe_rtt(&mut self, ack: &Acked, round_start: bool) {
        let Some(until) = self.probe_rtt_until else {
            if ack.in_flight as f64 <= MIN_WINDOW {
                self.probe_rtt_until = Some(ack.now + PROBE_RTT_TIME);
                self.probe_rtt_round = false;
                self.round_ends = ack.delivered;
            }
            return;
        };
        self.probe_rtt_round |= round_start;
        if self.probe_rtt_round && ack.now > until {
            self.min_rtt_at = ack.now;
            self.window = self.window.max(self.window_before);
            if self.is_full {
                self.probe_bandwidth(ack.now);
            } else {
                self.mode = Mode::Startup;
            }
        }
    }
}

impl Control for BbrV1 {
    fn acked(&mut self, ack: &Acked) {
        if self.min_rtt == Duration::MAX {
            self.rate = HIGH_GAIN * INITIAL_WINDOW / ack.rtt.as_secs_f64().max(1e-6);
        }
        let round_start = ack.delivered_when_sent >= self.round_ends;
        if round_start {
            self.round += 1;
            self.round_ends = ack.delivered;
        }
        if let Some(rate) = ack.rate {
            self.measure_bandwidth(rate);
        }
        if self.mode == Mode::ProbeBandwidth {
            self.next_phase(ack);
        }
        if round_start && !self.is_full {
            self.check_full();
        }
        if self.mode == Mode::Startup && self.is_full {
            self.mode = Mode::Drain;
        }
        if self.mode == Mode::Drain && ack.in_flight as f64 <= self.inflight(1.0) {
            self.probe_bandwidth(ack.now);
        }
        let expired = ack.now > self.min_rtt_at + MIN_RTT_LASTS;
        if ack.rtt <= self.min_rtt || expired {
            (self.min_rtt, self.min_rtt_at) = (ack.rtt, ack.now);
        }
        if expired && self.mode != Mode::ProbeRtt {
            (self.mode, self.window_before, self.probe_rtt_until) = (Mode::ProbeRtt, self.window, None);
        }
        if self.mode == Mode::ProbeRtt {
            self.probe_rtt(ack, round_start);
        }

        let (pacing, gain) = self.gains();
        let rate = pacing * self.bandwidth();
        if rate > 0.0 && (self.is_full || rate > self.rate) {
            self.rate = rate;
        }
        let target = self.inflight(gain);
        let grown = self.window + ack.newly as f64;
        if self.is_full {
            self.window = grown.min(target);
        } else if self.window < target || (ack.delivered as f64) < INITIAL_WINDOW {
            self.window = grown;
        }
        self.window = self.window.max(MIN_WINDOW);
        if self.mode == Mode::ProbeRtt {
            self.window = self.window.min(MIN_WINDOW);
        }
    }

    fn lost(&mut self) {}

    fn timeout(&mut self) {
        if self.mode != Mode::ProbeRtt {
            self.window_before = self.window;
        }
        self.window = 1.0;
    }

    fn window(&self) -> f64 {
        self.window
    }

    fn rate(&self) -> Option<f64> {
        Some(self.rate)
    }
}

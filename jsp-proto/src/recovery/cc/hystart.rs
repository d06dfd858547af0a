//! HyStart++: leaving slow start when the round trips grow, before packets are lost (RFC 9406).

use super::AckSample;

/// Bounds of the round-trip increase that counts as a queue, in nanoseconds (RFC 9406 section 4.3).
const MIN_RTT_THRESH: u64 = 4_000_000;
const MAX_RTT_THRESH: u64 = 16_000_000;
const MIN_RTT_DIVISOR: u64 = 8;
/// Samples a round needs before its minimum is trusted.
const N_RTT_SAMPLE: u32 = 8;
/// How much slower conservative slow start grows.
const CSS_GROWTH_DIVISOR: u64 = 4;
/// Rounds of conservative slow start before congestion avoidance.
const CSS_ROUNDS: u32 = 5;

/// What slow start does with one ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Grow by the acknowledged bytes divided by this.
    Grow(u64),
    /// Leave slow start.
    Exit,
}

/// The state of RFC 9406 section 4.2. The limit L is infinite because sending is paced.
#[derive(Clone, Copy, Debug)]
pub(super) struct HyStart {
    /// Packet number whose acknowledgement ends the current round.
    round_end: Option<u64>,
    last_min: u64,
    current_min: u64,
    samples: u32,
    css: Option<Css>,
}

/// Conservative slow start.
#[derive(Clone, Copy, Debug)]
struct Css {
    baseline: u64,
    rounds: u32,
}

impl HyStart {
    pub(super) const fn new() -> Self {
        Self { round_end: None, last_min: u64::MAX, current_min: u64::MAX, samples: 0, css: None }
    }

    /// Takes one ACK of the slow-start phase.
    pub(super) fn on_ack(&mut self, ack: &AckSample) -> Step {
        if let Some(rtt) = ack.rtt {
            self.current_min = self.current_min.min(rtt);
            self.samples = self.samples.saturating_add(1);
        }
        self.judge();
        if self.round_end.is_none_or(|end| ack.largest >= end) && self.next_round(ack.next_pn) {
            return Step::Exit;
        }
        Step::Grow(if self.css.is_some() { CSS_GROWTH_DIVISOR } else { 1 })
    }

    /// Enters conservative slow start when the round's minimum rose, leaves it when it fell again.
    fn judge(&mut self) {
        if self.samples < N_RTT_SAMPLE || self.current_min == u64::MAX {
            return;
        }
        if let Some(css) = self.css {
            if self.current_min < css.baseline {
                self.css = None;
            }
        } else if self.last_min != u64::MAX {
            let margin = (self.last_min / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESH, MAX_RTT_THRESH);
            if self.current_min >= self.last_min.saturating_add(margin) {
                self.css = Some(Css { baseline: self.current_min, rounds: 0 });
            }
        }
    }

    /// Starts a round; true when conservative slow start has lasted long enough.
    fn next_round(&mut self, next_pn: u64) -> bool {
        self.round_end = Some(next_pn);
        self.last_min = self.current_min;
        self.current_min = u64::MAX;
        self.samples = 0;
        match &mut self.css {
            Some(css) => {
                css.rounds += 1;
                css.rounds >= CSS_ROUNDS
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::ack;
    use super::*;

    const MS: u64 = 1_000_000;

    /// Plays one round of `acks` packets with the given round-trip time; returns the last step.
    fn round(hystart: &mut HyStart, pn: &mut u64, acks: u64, rtt_ms: u64) -> Step {
        let end = *pn + acks;
        let mut step = Step::Grow(1);
        while *pn < end {
            step = hystart.on_ack(&crate::recovery::cc::AckSample {
                largest: *pn,
                next_pn: end,
                rtt: Some(rtt_ms * MS),
                ..ack(0, 1200)
            });
            if step == Step::Exit {
                break;
            }
            *pn += 1;
        }
        step
    }

    #[test]
    fn steady_round_trips_keep_doubling() {
        let (mut hystart, mut pn) = (HyStart::new(), 0);
        for _ in 0..20 {
            assert_eq!(round(&mut hystart, &mut pn, 10, 50), Step::Grow(1));
        }
    }

    #[test]
    fn a_growing_queue_slows_then_ends_slow_start() {
        let (mut hystart, mut pn) = (HyStart::new(), 0);
        round(&mut hystart, &mut pn, 10, 40);
        round(&mut hystart, &mut pn, 10, 40);
        // One eighth of 40 ms is 5 ms: 44 is still fine, 45 is not.
        assert_eq!(round(&mut hystart, &mut pn, 10, 44), Step::Grow(1));
        assert_eq!(round(&mut hystart, &mut pn, 10, 50), Step::Grow(4));
        let mut rounds = 0;
        while round(&mut hystart, &mut pn, 10, 52) != Step::Exit {
            rounds += 1;
            assert!(rounds < 10);
        }
        assert!((CSS_ROUNDS - 2..=CSS_ROUNDS).contains(&rounds), "{rounds}");
    }

    #[test]
    fn jitter_that_goes_away_resumes_doubling() {
        let (mut hystart, mut pn) = (HyStart::new(), 0);
        round(&mut hystart, &mut pn, 10, 40);
        round(&mut hystart, &mut pn, 10, 40);
        assert_eq!(round(&mut hystart, &mut pn, 10, 60), Step::Grow(4));
        assert_eq!(round(&mut hystart, &mut pn, 10, 41), Step::Grow(1));
    }

    #[test]
    fn few_samples_decide_nothing() {
        let (mut hystart, mut pn) = (HyStart::new(), 0);
        for rtt in [40, 40, 80, 160] {
            assert_eq!(round(&mut hystart, &mut pn, 7, rtt), Step::Grow(1));
        }
    }
}

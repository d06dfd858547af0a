//! CUBIC (RFC 9438) with HyStart++ (RFC 9406) and undo of spurious congestion events (RFC 9438 section 4.9).

use super::hystart::{HyStart, Step};
use super::{AckSample, Controller, LossSample, initial_window, minimum_window};
use crate::time::Instant;

/// The constant C of RFC 9438 section 5, in segments per second cubed.
const C: f64 = 0.4;
/// The multiplicative decrease factor of RFC 9438 section 4.6.
const BETA: f64 = 0.7;
/// Additive increase that makes CUBIC as fast as Reno (RFC 9438 section 4.3).
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// A CUBIC controller. Windows are bytes, kept as `f64` so that small increments add up.
#[derive(Debug)]
pub(crate) struct Cubic {
    segment: u16,
    hystart: HyStart,
    state: State,
    /// The state before the latest congestion event, while it may still prove spurious.
    before: Option<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    window: f64,
    threshold: f64,
    /// Window before the last reduction, lowered by fast convergence.
    w_max: f64,
    /// Window before the last reduction as it was.
    prior: f64,
    epoch: Option<Epoch>,
    /// Packets sent up to here belong to the last congestion event and do not grow the window.
    recovery_until: Option<Instant>,
}

/// One stretch of congestion avoidance.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    start: Instant,
    /// Seconds until the curve is back at `w_max`.
    k: f64,
    /// What Reno would have reached.
    w_est: f64,
    last_ack: Instant,
}

impl Cubic {
    /// A controller for datagrams of at most `max_datagram` bytes, in slow start.
    pub(crate) fn new(max_datagram: u16) -> Self {
        let state = State {
            window: initial_window(max_datagram) as f64,
            threshold: f64::INFINITY,
            w_max: 0.0,
            prior: 0.0,
            epoch: None,
            recovery_until: None,
        };
        Self { segment: max_datagram.max(1), hystart: HyStart::new(), state, before: None }
    }

    fn segment(&self) -> f64 {
        f64::from(self.segment)
    }

    fn floor(&self) -> f64 {
        minimum_window(self.segment) as f64
    }

    /// Multiplicative decrease with fast convergence (RFC 9438 sections 4.6 and 4.7).
    fn reduce(&mut self, now: Instant) {
        let floor = self.floor();
        let state = &mut self.state;
        state.prior = state.window;
        state.w_max = if state.window < state.w_max { state.window * (1.0 + BETA) / 2.0 } else { state.window };
        state.threshold = (state.window * BETA).max(floor);
        state.window = state.threshold;
        state.epoch = None;
        state.recovery_until = Some(now);
    }

    fn slow_start(&mut self, ack: &AckSample) {
        match self.hystart.on_ack(ack) {
            Step::Grow(divisor) => {
                let grown = self.state.window + (ack.bytes / divisor) as f64;
                self.state.window = grown.min(self.state.threshold.max(self.state.window));
            }
            Step::Exit => self.state.threshold = self.state.window,
        }
    }

    /// RFC 9438 sections 4.2 to 4.5.
    fn congestion_avoidance(&mut self, ack: &AckSample) {
        let segment = self.segment();
        let state = &mut self.state;
        let epoch = state.epoch.get_or_insert_with(|| {
            if state.w_max < state.window {
                state.w_max = state.window;
            }
            let k = cbrt((state.w_max - state.window) / (C * segment));
            Epoch { start: ack.now, k, w_est: state.window, last_ack: ack.now }
        });
        epoch.last_ack = ack.now;
        let since = seconds(ack.now.nanos_since(epoch.start)) - epoch.k;
        let curve = |t: f64| C * segment * t * t * t + state.w_max;

        let alpha = if epoch.w_est >= state.prior { 1.0 } else { ALPHA };
        epoch.w_est += alpha * segment * ack.bytes as f64 / state.window;
        if curve(since) < epoch.w_est {
            state.window = state.window.max(epoch.w_est);
        } else {
            let target = curve(since + seconds(ack.srtt)).clamp(state.window, 1.5 * state.window);
            state.window += (target - state.window) * (ack.bytes as f64 / state.window).min(1.0);
        }
    }

    /// Time during which the application sent little does not count on the curve (RFC 9438 section 5.8).
    fn stand_still(&mut self, now: Instant) {
        if let Some(epoch) = &mut self.state.epoch {
            epoch.start = epoch.start.plus_nanos(now.nanos_since(epoch.last_ack));
            epoch.last_ack = now;
        }
    }
}

impl Controller for Cubic {
    fn on_ack(&mut self, ack: &AckSample) {
        if self.state.recovery_until.is_some_and(|until| ack.largest_sent_at <= until) {
            return;
        }
        // A window that was not half used says nothing about the path (RFC 9002 section 7.8).
        if ack.app_limited || ack.prior_in_flight < self.cwnd() / 2 {
            return self.stand_still(ack.now);
        }
        if self.in_slow_start() { self.slow_start(ack) } else { self.congestion_avoidance(ack) }
    }

    fn on_loss(&mut self, loss: &LossSample) {
        if loss.new_event {
            self.before = Some(self.state);
            self.reduce(loss.now);
        }
        if loss.persistent {
            self.before = None;
            self.state.window = self.floor();
            self.state.epoch = None;
            self.state.recovery_until = Some(loss.now);
            self.hystart = HyStart::new();
        }
    }

    fn on_ce(&mut self, now: Instant, _marked: u64) {
        self.before = None;
        self.reduce(now);
    }

    fn on_spurious(&mut self, _now: Instant) {
        if let Some(before) = self.before.take()
            && before.window > self.state.window
        {
            self.state = State { epoch: None, ..before };
        }
    }

    fn on_mtu(&mut self, max_datagram: u16) {
        self.segment = max_datagram.max(1);
        self.state.window = self.state.window.max(self.floor());
    }

    fn cwnd(&self) -> u64 {
        self.state.window as u64
    }

    fn in_slow_start(&self) -> bool {
        self.state.window < self.state.threshold
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// The cube root of a number that is not negative; `core` has none. Newton's method from an estimate that divides
/// the exponent by three; five steps reach full precision.
fn cbrt(x: f64) -> f64 {
    if x <= 0.0 || !x.is_finite() {
        return 0.0;
    }
    let mut y = f64::from_bits(x.to_bits() / 3 + 0x2a9f_7893_0000_0000);
    for _ in 0..5 {
        y = (2.0 * y + x / (y * y)) / 3.0;
    }
    y
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ack, loss};
    use super::*;

    const SEGMENT: u16 = 1200;
    const MS: u64 = 1_000_000;

    /// One round trip in which the whole window is acknowledged, packet by packet.
    fn round(cubic: &mut Cubic, now: &mut u64, rtt: u64) {
        let packets = cubic.cwnd() / u64::from(SEGMENT);
        for i in 0..packets {
            let at = *now + rtt * i / packets;
            cubic.on_ack(&AckSample {
                largest_sent_at: Instant::from_nanos(at - rtt),
                prior_in_flight: cubic.cwnd(),
                srtt: rtt,
                rtt: Some(rtt),
                ..ack(at, SEGMENT.into())
            });
        }
        *now += rtt;
    }

    fn reduced(window: u64) -> (Cubic, u64) {
        let mut cubic = Cubic::new(SEGMENT);
        cubic.state.window = window as f64;
        let now = 1_000 * MS;
        cubic.on_loss(&loss(now, true));
        (cubic, now + 50 * MS + 1)
    }

    #[test]
    fn cube_roots() {
        for x in [0.001, 0.5, 1.0, 27.0, 1e6, 123_456.789, 1e15] {
            assert!((cbrt(x) - x.cbrt()).abs() < 1e-12 * x.cbrt(), "{x}");
        }
        assert_eq!((cbrt(0.0), cbrt(-8.0), cbrt(f64::NAN)), (0.0, 0.0, 0.0));
    }

    #[test]
    fn slow_start_doubles_per_round_trip() {
        let (mut cubic, mut now) = (Cubic::new(SEGMENT), 1_000 * MS);
        assert_eq!(cubic.cwnd(), 12_000);
        round(&mut cubic, &mut now, 50 * MS);
        assert_eq!(cubic.cwnd(), 24_000);
    }

    /// The window follows W_cubic(t) = C (t - K)^3 + W_max: back at W_max after K seconds, flat there, convex after.
    #[test]
    fn the_curve_of_rfc_9438() {
        let segments = 1000.0;
        let (mut cubic, mut now) = reduced(1_200_000);
        assert_eq!(cubic.cwnd(), 840_000);
        let start = now;
        let k = (segments * 0.3 / 0.4f64).cbrt();
        for _ in 0..((k * 2.0 * 20.0) as u64) {
            round(&mut cubic, &mut now, 50 * MS);
            let t = seconds(now - start) - k;
            let expected = 0.4 * t * t * t + segments;
            let actual = cubic.cwnd() as f64 / 1200.0;
            assert!((actual / expected - 1.0).abs() < 0.02, "t = {t}: {actual} instead of {expected}");
        }
    }

    #[test]
    fn small_windows_grow_at_least_like_reno() {
        let (mut cubic, mut now) = reduced(24_000);
        let start = cubic.cwnd();
        for _ in 0..20 {
            round(&mut cubic, &mut now, 5 * MS);
        }
        let reno = start as f64 + 20.0 * ALPHA * 1200.0;
        assert!(cubic.cwnd() as f64 > 0.9 * reno, "{} against {reno}", cubic.cwnd());
    }

    #[test]
    fn fast_convergence_gives_up_room() {
        let (mut cubic, now) = reduced(1_200_000);
        cubic.on_loss(&loss(now, true));
        assert_eq!(cubic.cwnd(), 588_000);
        assert_eq!(cubic.state.w_max, 840_000.0 * 0.85);
    }

    #[test]
    fn a_spurious_event_is_undone_once() {
        let (mut cubic, _) = reduced(1_200_000);
        cubic.on_spurious(Instant::ZERO);
        assert_eq!(cubic.cwnd(), 1_200_000);
        cubic.on_spurious(Instant::ZERO);
        assert_eq!(cubic.cwnd(), 1_200_000);
        cubic.on_ce(Instant::ZERO, 1);
        cubic.on_spurious(Instant::ZERO);
        assert_eq!(cubic.cwnd(), 840_000);
    }

    #[test]
    fn persistent_congestion_goes_to_the_minimum_and_is_not_undone() {
        let (mut cubic, now) = reduced(1_200_000);
        cubic.on_loss(&LossSample { persistent: true, ..loss(now, true) });
        assert_eq!(cubic.cwnd(), 2_400);
        cubic.on_spurious(Instant::ZERO);
        assert_eq!(cubic.cwnd(), 2_400);
        assert!(cubic.in_slow_start());
    }

    #[test]
    fn no_growth_without_use() {
        let mut cubic = Cubic::new(SEGMENT);
        let limited = AckSample { app_limited: true, prior_in_flight: 12_000, ..ack(1_000 * MS, 1200) };
        cubic.on_ack(&limited);
        cubic.on_ack(&AckSample { app_limited: false, prior_in_flight: 5_999, ..limited });
        assert_eq!(cubic.cwnd(), 12_000);
        cubic.on_ack(&AckSample { app_limited: false, ..limited });
        assert_eq!(cubic.cwnd(), 13_200);
    }

    #[test]
    fn a_pause_does_not_jump_up_the_curve() {
        let (mut cubic, mut now) = reduced(1_200_000);
        round(&mut cubic, &mut now, 50 * MS);
        let before = cubic.cwnd();
        now += 60_000 * MS;
        let sent = Instant::from_nanos(now - 50 * MS);
        cubic.on_ack(&AckSample { app_limited: true, largest_sent_at: sent, ..ack(now, 1200) });
        round(&mut cubic, &mut now, 50 * MS);
        assert!(cubic.cwnd() < before + before / 20, "{before} -> {}", cubic.cwnd());
    }
}

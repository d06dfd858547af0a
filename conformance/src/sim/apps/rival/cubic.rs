//! CUBIC (RFC 9438).

use jsp_proto::Instant;

use super::{Acked, Control, INITIAL_WINDOW};

const C: f64 = 0.4;
const BETA: f64 = 0.7;
const MIN_WINDOW: f64 = 2.0;

#[derive(Debug)]
pub(super) struct Cubic {
    window: f64,
    slow_start_up_to: f64,
    /// The window before the last loss.
    max: f64,
    epoch: Option<Epoch>,
}

/// One time of growth between two losses.
#[derive(Debug)]
struct Epoch {
    since: Instant,
    /// Where the cubic function is flat, and how many seconds it takes to get there.
    origin: f64,
    k: f64,
    /// The window that Reno would have.
    reno: f64,
}

impl Epoch {
    fn new(now: Instant, window: f64, max: f64) -> Self {
        let origin = max.max(window);
        Self { since: now, origin, k: cube_root((origin - window) / C), reno: window }
    }

    fn window(&self, seconds: f64) -> f64 {
        let seconds = seconds - self.k;
        C * seconds * seconds * seconds + self.origin
    }
}

/// By Newton's method: `f64::cbrt` differs between platforms, and a run must not.
fn cube_root(x: f64) -> f64 {
    if x <= 0.0 { 0.0 } else { (0..60).fold(x.max(1.0), |root, _| root - (root - x / (root * root)) / 3.0) }
}

impl Cubic {
    pub(super) fn new() -> Self {
        Self { window: INITIAL_WINDOW, slow_start_up_to: f64::INFINITY, max: 0.0, epoch: None }
    }
}

impl Control for Cubic {
    fn acked(&mut self, ack: &Acked) {
        let newly = ack.newly as f64;
        if ack.recovering || ack.losses {
            return;
        }
        if self.window < self.slow_start_up_to {
            self.window += newly;
            return;
        }
        let epoch = self.epoch.get_or_insert_with(|| Epoch::new(ack.now, self.window, self.max));
        let seconds = (ack.now - epoch.since).as_secs_f64();
        let per_round = if epoch.reno < self.max { 3.0 * (1.0 - BETA) / (1.0 + BETA) } else { 1.0 };
        epoch.reno += per_round * newly / self.window;
        if epoch.window(seconds) < epoch.reno {
            self.window = self.window.max(epoch.reno);
        } else {
            let target = epoch.window(seconds + ack.smoothed_rtt.as_secs_f64()).clamp(self.window, 1.5 * self.window);
            self.window += (target - self.window) / self.window * newly;
        }
    }

    fn lost(&mut self) {
        // Less than last time: somebody else needs room, so leave more of it.
        self.max = if self.window < self.max { self.window * (1.0 + BETA) / 2.0 } else { self.window };
        self.window = (self.window * BETA).max(MIN_WINDOW);
        self.slow_start_up_to = self.window;
        self.epoch = None;
    }

    fn timeout(&mut self) {
        self.slow_start_up_to = (self.window * BETA).max(MIN_WINDOW);
        (self.window, self.max) = (1.0, 0.0);
        self.epoch = None;
    }

    fn window(&self) -> f64 {
        self.window
    }

    fn rate(&self) -> Option<f64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cube_roots() {
        for root in [0.0, 0.01, 0.5, 1.0, 2.0, 10.0, 1_000.0] {
            assert!((cube_root(root * root * root) - root).abs() <= root * 1e-12, "{root}");
        }
    }

    #[test]
    fn the_window_comes_back_to_its_old_size_after_k() {
        let epoch = Epoch::new(Instant::ZERO, 70.0, 100.0);
        assert!((epoch.k - 75.0_f64.cbrt()).abs() < 1e-9);
        assert!((epoch.window(0.0) - 70.0).abs() < 1e-9 && (epoch.window(epoch.k) - 100.0).abs() < 1e-9);
    }
}

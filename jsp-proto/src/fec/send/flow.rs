//! How packets come: how many within the time a block may take, and in what bursts.

use crate::time::Instant;

/// Weight of the latest sample, one in so many.
const MEMORY: f64 = 4.0;

/// Counts packets that are to be protected.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flow {
    window_from: Option<Instant>,
    in_window: u32,
    /// Packets within one delay, on average; 0 before the first sample.
    per_delay: f64,
    /// The sender had nothing to send since the last packet.
    paused: bool,
    burst_from: Option<Instant>,
    /// Packets since the last pause.
    burst: u32,
    /// From the beginning of one burst to the beginning of the next, nanoseconds, on average; 0 before the first.
    gap: f64,
}

impl Flow {
    /// A packet is sent, of those that may wait for `delay` nanoseconds.
    pub(super) fn on_packet(&mut self, now: Instant, delay: u64) {
        match self.window_from {
            Some(from) if now.nanos_since(from) < delay => self.in_window = self.in_window.saturating_add(1),
            Some(_) => {
                blend(&mut self.per_delay, f64::from(self.in_window));
                (self.window_from, self.in_window) = (Some(now), 1);
            }
            None => (self.window_from, self.in_window) = (Some(now), 1),
        }
        if !core::mem::take(&mut self.paused) {
            self.burst = self.burst.saturating_add(1);
            return;
        }
        if let Some(from) = self.burst_from {
            blend(&mut self.gap, now.nanos_since(from) as f64);
        }
        (self.burst_from, self.burst) = (Some(now), 1);
    }

    /// There is nothing to send.
    pub(super) fn on_pause(&mut self) {
        self.paused = true;
    }

    /// Packets that may be expected within one delay, at least 1.
    pub(super) fn per_delay(&self) -> usize {
        let count = self.per_delay.max(f64::from(self.in_window));
        (count + 0.5) as usize
    }

    /// Packets since the last pause.
    pub(super) fn burst(&self) -> u32 {
        self.burst
    }

    /// When the next burst begins, as far as can be told.
    pub(super) fn next_burst(&self) -> Option<Instant> {
        (self.gap > 0.0).then(|| self.burst_from.map(|from| from.plus_nanos(self.gap as u64))).flatten()
    }
}

fn blend(average: &mut f64, sample: f64) {
    *average = if *average == 0.0 { sample } else { *average + (sample - *average) / MEMORY };
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * MS)
    }

    #[test]
    fn a_steady_flow_is_counted_per_delay() {
        for (interval, expected) in [(1, 20), (5, 4), (10, 2), (20, 1), (50, 1)] {
            let mut flow = Flow::default();
            for ms in (0..2000).step_by(interval) {
                flow.on_packet(at(ms), 20 * MS);
                flow.on_pause();
            }
            assert_eq!(flow.per_delay(), expected, "{interval} ms");
            assert_eq!(flow.burst(), 1);
        }
    }

    #[test]
    fn bursts_and_the_time_between_them() {
        let mut flow = Flow::default();
        for ms in (0..2000).step_by(100) {
            (0..14).for_each(|_| flow.on_packet(at(ms), 20 * MS));
            assert_eq!(flow.burst(), 14);
            flow.on_pause();
        }
        assert_eq!(flow.per_delay(), 14);
        assert_eq!(flow.next_burst(), Some(at(2000)));
    }
}

//! What the acknowledgements of one round trip, and of the last few moments, have shown.

/// One round trip, counted by packet numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Round {
    /// The packet whose acknowledgement ends it.
    pub(super) end: u64,
    /// The smallest round-trip time in nanoseconds.
    pub(super) rtt: Option<u64>,
    /// The highest delivery rate in bytes per second.
    pub(super) rate: u64,
    /// The most bytes delivered over one sample of the rate.
    pub(super) delivered: u64,
    /// A sample shows the application's rate instead of the path's.
    pub(super) app_limited: bool,
    /// Packets came marked.
    pub(super) ce: bool,
    /// A queue was there all the time; known at the end.
    pub(super) queue: bool,
}

/// The last few samples: what cannot wait for the end of a round trip, without trusting a single packet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recent {
    /// The group that is being collected.
    least_rtt: u64,
    most_rate: u64,
    count: u32,
    /// The group before it: its smallest round-trip time and its highest rate.
    complete: Option<(u64, u64)>,
}

impl Recent {
    /// Samples in a group.
    const GROUP: u32 = 8;

    /// Takes a round-trip time and the delivery rate that came with it. True if that completes a group.
    pub(super) fn on_sample(&mut self, rtt: u64, rate: u64) -> bool {
        self.least_rtt = if self.count == 0 { rtt } else { self.least_rtt.min(rtt) };
        self.most_rate = self.most_rate.max(rate);
        self.count += 1;
        let complete = self.count >= Self::GROUP;
        if complete {
            *self = Self { complete: Some((self.least_rtt, self.most_rate)), ..Self::default() };
        }
        complete
    }

    /// The smallest round-trip time of the last complete group, in nanoseconds.
    pub(super) fn rtt(&self) -> Option<u64> {
        self.complete.map(|(rtt, _)| rtt)
    }

    /// The highest rate of the last complete group, in bytes per second.
    pub(super) fn rate(&self) -> Option<u64> {
        self.complete.map(|(_, rate)| rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_tells_its_extremes() {
        let mut recent = Recent::default();
        for sample in 1..8 {
            assert!(!recent.on_sample(50 - sample, sample));
        }
        assert_eq!(recent.rtt(), None);
        assert!(recent.on_sample(70, 3));
        assert_eq!((recent.rtt(), recent.rate()), (Some(43), Some(7)));
        (0..8).for_each(|_| _ = recent.on_sample(90, 1));
        assert_eq!((recent.rtt(), recent.rate()), (Some(90), Some(1)));
    }
}

//! What the controller is doing, and how fast it sends meanwhile (draft-ietf-ccwg-bbr section 5.3).

/// A phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Doubles what is in flight every round trip until the path is full.
    Startup,
    /// Empties the queue that Startup made.
    Drain,
    /// Sends less than the path delivers: drains the queue of the last probe, and shows what is lost even so.
    Down,
    /// Sends at the rate of the path.
    Cruise,
    /// Fills the path before probing.
    Refill,
    /// Sends faster, to see whether the path carries more.
    Up,
    /// Empties the path to see its round-trip time without a queue.
    ProbeRtt,
}

impl Phase {
    /// Its name for logs.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Drain => "drain",
            Self::Down => "probe_bw_down",
            Self::Cruise => "probe_bw_cruise",
            Self::Refill => "probe_bw_refill",
            Self::Up => "probe_bw_up",
            Self::ProbeRtt => "probe_rtt",
        }
    }

    /// How fast to send, in percent of the path's rate.
    pub(super) const fn pacing_gain(self) -> u64 {
        match self {
            Self::Startup => 277,
            Self::Drain => 50,
            Self::Down => 90,
            Self::Cruise | Self::Refill | Self::ProbeRtt => 100,
            Self::Up => 125,
        }
    }

    /// How much may be in flight, in percent of the bandwidth-delay product. Half as much again covers delayed and
    /// lost acknowledgements; twice, as in the draft, takes more than its share of a queue that others fill.
    pub(super) const fn window_gain(self) -> u64 {
        match self {
            Self::Startup | Self::Drain => 200,
            Self::Down | Self::Cruise | Self::Refill => 150,
            Self::Up => 175,
            Self::ProbeRtt => 50,
        }
    }

    /// Whether losses are made up for by sending more. Not where the background is measured.
    pub(super) const fn makes_up_for_losses(self) -> bool {
        !matches!(self, Self::Down)
    }
}

//! What streams do to what they send, beside delivering it: error correction and compression.

/// Forward error correction of what this side sends on a stream (specification section 5).
///
/// Packets with data of the stream are gathered in blocks, and parity packets follow each block. The peer repairs lost
/// packets from any packets of the block that arrive, as many as it had data packets: without a round trip, and for
/// data that is never sent again, too. Parity is extra traffic. It counts against the congestion window like all
/// packets, and a repaired packet counts as lost for congestion control: correction repairs delivery, it does not buy
/// bandwidth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fec {
    /// No parity. Data is repaired by sending it again, or not at all.
    #[default]
    Off,
    /// As much parity as the loss that is measured asks for, and none on a clean path. It aims at
    /// [`fec_target`](crate::ConfigBuilder::fec_target), within
    /// [`fec_max_overhead`](crate::ConfigBuilder::fec_max_overhead).
    Auto,
    /// Always `parity` parity packets after `sources` packets, or sooner when the latest packet would have to wait too
    /// long ([`fec_max_delay`](crate::ConfigBuilder::fec_max_delay)). For paths whose loss is known; the bound on
    /// overhead does not apply.
    On {
        /// Packets per block, 1 to 64.
        sources: u8,
        /// Parity packets per block, 1 to 32.
        parity: u8,
    },
}

impl Fec {
    /// Whether the numbers are in their bounds.
    pub(crate) const fn is_valid(self) -> bool {
        match self {
            Self::Off | Self::Auto => true,
            Self::On { sources, parity } => sources >= 1 && sources <= 64 && parity >= 1 && parity <= 32,
        }
    }
}

/// Whether what is sent on a stream is compressed (specification section 4.12).
///
/// Compression needs the peer's consent, [`ConfigBuilder::accept_compressed`](crate::ConfigBuilder::accept_compressed);
/// without it data is sent as it is. The receiver reads the same either way.
///
/// Messages are compressed one by one. Bytes are compressed in blocks of up to 16 KiB, each of what is there when a
/// packet has room for it: nothing waits for a block to fill, so that bytes that are written slowly and in small pieces
/// hardly become fewer. A stream of bytes must be opened with compression; later it can be turned off and on again. No
/// message or block refers to another one.
///
/// Encryption does not hide lengths, and the length of compressed data depends on what it says. **Never compress data in
/// which a secret stands beside text that an attacker chooses**: from the lengths of many such messages or blocks the
/// secret can be guessed, byte by byte (the attacks CRIME and BREACH). Since each is compressed for itself, it tells
/// nothing about another one. [`AdaptivePadded`](Self::AdaptivePadded) makes guessing slower, not impossible.
///
/// When it is tried:
///
/// * A message or block of 256 bytes or more is sent as an LZ4 block if that is smaller by at least 32 bytes and a tenth.
/// * After four such attempts in a row that failed, 2, 4, and so on up to 1024 messages or blocks are sent without one,
///   until one succeeds. On a stream whose latest attempts saved less than a tenth on average, the first that fails
///   counts as the fourth.
/// * Nothing is tried while the path is estimated to carry more than 2 Gbit/s: there compressing takes longer than what
///   it saves on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Data is sent as it is.
    #[default]
    Off,
    /// Data is sent as LZ4 blocks where that pays.
    Adaptive,
    /// As [`Adaptive`](Self::Adaptive), and what is compressed is padded to a multiple of 64 bytes, at the cost of 32 bytes
    /// on average: its length tells an observer less about it. What is sent as it is keeps its length.
    AdaptivePadded,
}

/// The network a device is on, as far as the program knows. It decides about correction and compression of streams that
/// have no setting of their own; see [`Conn::set_network`](crate::Conn::set_network).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Network {
    /// As configured.
    #[default]
    Unknown,
    /// Clean and not metered: neither correction nor compression.
    Ethernet,
    /// Lossy and not metered: correction as the loss asks for it, no compression.
    Wifi,
    /// Lossy and metered: correction as the loss asks for it, and compression where it pays.
    Cellular,
}

/// What streams do that have no setting of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) fec: Fec,
    pub(crate) compression: Compression,
}

impl Policy {
    /// What suits a network, if it is known.
    pub(crate) const fn for_network(network: Network, configured: Self) -> Self {
        match network {
            Network::Unknown => configured,
            Network::Ethernet => Self { fec: Fec::Off, compression: Compression::Off },
            Network::Wifi => Self { fec: Fec::Auto, compression: Compression::Off },
            Network::Cellular => Self { fec: Fec::Auto, compression: Compression::Adaptive },
        }
    }
}

/// What the data in one packet asks of error correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Some of it follows the measured loss.
    pub(crate) auto: bool,
    /// Packets and parity packets per block that some of it insists on; `(64, 0)` for none.
    pub(crate) fixed: (u8, u8),
    /// Some of it is not sent again when it is lost, or hardly in time.
    pub(crate) once: bool,
    /// Some of it is sent again when it is lost.
    pub(crate) again: bool,
    /// Until the first of it is worth nothing, nanoseconds.
    pub(crate) patience: u64,
}

impl Wish {
    /// Nothing.
    pub(crate) const NONE: Self = Self { auto: false, fixed: (64, 0), once: false, again: false, patience: u64::MAX };

    /// Whether there is anything to correct.
    pub(crate) const fn is_none(&self) -> bool {
        !self.auto && self.fixed.1 == 0
    }

    /// Adds data of a stream with this setting: `again` if it is sent again when it is lost, worth something for
    /// `patience` nanoseconds.
    pub(crate) fn add(&mut self, fec: Fec, again: bool, patience: u64) {
        match fec {
            Fec::Off => return,
            Fec::Auto => self.auto = true,
            Fec::On { sources, parity } => {
                self.fixed = (self.fixed.0.min(sources), self.fixed.1.max(parity));
            }
        }
        self.again |= again;
        self.once |= !again;
        self.patience = self.patience.min(patience);
    }

    /// Adds what `other` asks for.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.auto |= other.auto;
        self.fixed = (self.fixed.0.min(other.fixed.0), self.fixed.1.max(other.fixed.1));
        self.once |= other.once;
        self.again |= other.again;
        self.patience = self.patience.min(other.patience);
    }
}

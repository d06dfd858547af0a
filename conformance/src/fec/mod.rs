//! Forward error correction measured in the [simulator](crate::sim): what arrives, how late, and at what price, in
//! virtual time and the same in every run.
//!
//! `cargo run --release -p jsp-conformance -- fec-table` prints it all as Markdown tables. Tests call the measuring
//! functions themselves:
//!
//! ```
//! use jsp_conformance::cc::Path;
//! use jsp_conformance::fec::{Flow, Mode};
//! use jsp_proto::Config;
//! use std::time::Duration;
//!
//! let path = Path::new(100_000_000, Duration::from_millis(40), 0.1);
//! let second = Duration::from_secs(1);
//! let measured = Flow::new(path, Mode::Arq, 1000, 200, Config::builder).count(second, 400).run(1);
//! assert_eq!(measured.delivered(), 1.0);
//! assert!(measured.millis(50.0) < 21.0 && measured.millis(99.0) > 60.0);
//! ```
//!
//! What all parts share: datagrams of 1200 bytes (the default), the default congestion controller unless a part says
//! otherwise, windows and buffers that hold nobody back ([`Path::room`](crate::cc::Path::room)), and loss in both
//! directions. Bytes sent count the headers of IP and UDP.

pub mod cases;
pub mod exact;
pub mod fixed;
pub mod flow;
mod measured;
mod report;

use std::fmt;
use std::str::FromStr;

use jsp_proto::Fec;

use crate::cc::trusted;

pub use flow::Flow;
pub use measured::Measured;
pub use report::{Options, Part, run};

/// How messages are kept from getting lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They are sent again, without parity.
    Arq,
    /// Not at all.
    None,
    /// So many parity packets after so many packets.
    Fixed(u8, u8),
    /// As much parity as the measured loss asks for.
    Auto,
}

impl Mode {
    /// The setting of the stream.
    pub fn fec(self) -> Fec {
        match self {
            Self::Arq | Self::None => Fec::Off,
            Self::Fixed(sources, parity) => Fec::On { sources, parity },
            Self::Auto => Fec::Auto,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arq => f.pad("arq"),
            Self::None => f.pad("none"),
            Self::Fixed(sources, parity) => f.pad(&format!("{sources}+{parity}")),
            Self::Auto => f.pad("auto"),
        }
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let fixed = || {
            let (sources, parity) = name.split_once('+')?;
            let (sources, parity) = (sources.parse().ok()?, parity.parse().ok()?);
            ((1..=64).contains(&sources) && (1..=32).contains(&parity)).then_some(Self::Fixed(sources, parity))
        };
        match name {
            "arq" => Ok(Self::Arq),
            "none" => Ok(Self::None),
            "auto" => Ok(Self::Auto),
            _ => fixed().ok_or_else(|| "the modes are arq, none, auto, and for example 10+2".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_have_names() {
        for mode in [Mode::Arq, Mode::None, Mode::Fixed(10, 2), Mode::Auto] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!("20+8".parse(), Ok(Mode::Fixed(20, 8)));
        for wrong in ["", "10", "0+1", "65+1", "10+33", "on"] {
            assert!(wrong.parse::<Mode>().is_err(), "{wrong}");
        }
    }
}

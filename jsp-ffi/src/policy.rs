//! What is done to data beside delivering it: error correction and compression, and the profiles that bring both.

use jsp_proto::{Compression, Config, ConfigBuilder, Fec, Network};

use crate::status::{JSP_ERROR_INVALID_ARGUMENT, JspError};

/// As the connection does; for a connection as the profile says.
pub const JSP_SWITCH_DEFAULT: u32 = 0;
/// Yes.
pub const JSP_SWITCH_ON: u32 = 1;
/// No.
pub const JSP_SWITCH_OFF: u32 = 2;

/// Streams do as the connection, connections as the profile says, which is `JSP_COMPRESSION_OFF` without one.
pub const JSP_COMPRESSION_DEFAULT: u32 = 0;
/// Data is sent as it is.
pub const JSP_COMPRESSION_OFF: u32 = 1;
/// Messages, and streams of bytes in blocks of up to 16 KiB, are sent as LZ4 blocks where that pays and the peer takes
/// them (`accept_compressed`). A stream of bytes must be opened with it.
///
/// Encryption does not hide lengths. Never compress data in which a secret stands beside text that an attacker chooses:
/// from the lengths of many such messages the secret can be guessed.
pub const JSP_COMPRESSION_ADAPTIVE: u32 = 2;
/// The same, and what is compressed is padded to a multiple of 64 bytes, so that its length tells less.
pub const JSP_COMPRESSION_ADAPTIVE_PADDED: u32 = 3;

/// Streams do as the connection, connections as the profile says, which is `JSP_FEC_OFF` without one.
pub const JSP_FEC_DEFAULT: u32 = 0;
/// No parity. What is lost is sent again, or not at all.
pub const JSP_FEC_OFF: u32 = 1;
/// As much parity as the loss that is measured asks for, and none on a clean path.
pub const JSP_FEC_AUTO: u32 = 2;
/// Always so many parity packets for so many packets.
pub const JSP_FEC_ON: u32 = 3;

/// For `fec_max_symbols`: packets of peers are not repaired, and peers send no parity.
pub const JSP_FEC_NO_SYMBOLS: u32 = 0xffff_ffff;

/// As configured.
pub const JSP_NETWORK_UNKNOWN: u32 = 0;
/// Clean and not metered: neither correction nor compression.
pub const JSP_NETWORK_ETHERNET: u32 = 1;
/// Lossy and not metered: `JSP_FEC_AUTO`, no compression.
pub const JSP_NETWORK_WIFI: u32 = 2;
/// Lossy and metered: `JSP_FEC_AUTO` and `JSP_COMPRESSION_ADAPTIVE`.
pub const JSP_NETWORK_CELLULAR: u32 = 3;

/// The defaults that stand at the fields.
pub const JSP_PROFILE_DEFAULT: u32 = 0;
/// For phones and other devices on networks that lose packets, change and are metered: `JSP_FEC_AUTO` with an overhead of
/// up to 100 %, `JSP_COMPRESSION_ADAPTIVE` in both directions, `JSP_KEEP_ALIVE_ADAPTIVE`, an idle timeout of 15 minutes.
pub const JSP_PROFILE_MOBILE: u32 = 1;
/// For games, calls and control, where a late message is worth nothing: `JSP_FEC_AUTO` with an overhead of up to 100 %,
/// acknowledgements within 10 ms, best-effort messages that wait to be sent for 50 ms at most.
pub const JSP_PROFILE_LOW_LATENCY: u32 = 2;
/// For large transfers, where only the rate counts: receive windows that start at 4 MiB and grow to 64 MiB per connection
/// and 32 MiB per stream, send buffers of 64 MiB and 32 MiB.
pub const JSP_PROFILE_BULK: u32 = 3;

/// The settings that a profile begins with.
pub(crate) fn profile(number: u32) -> Result<ConfigBuilder, JspError> {
    match number {
        JSP_PROFILE_DEFAULT => Ok(Config::builder()),
        JSP_PROFILE_MOBILE => Ok(Config::mobile()),
        JSP_PROFILE_LOW_LATENCY => Ok(Config::low_latency()),
        JSP_PROFILE_BULK => Ok(Config::bulk()),
        _ => Err(JSP_ERROR_INVALID_ARGUMENT),
    }
}

/// Yes or no, if it is said.
pub(crate) fn switch(number: u32) -> Result<Option<bool>, JspError> {
    match number {
        JSP_SWITCH_DEFAULT => Ok(None),
        JSP_SWITCH_ON => Ok(Some(true)),
        JSP_SWITCH_OFF => Ok(Some(false)),
        _ => Err(JSP_ERROR_INVALID_ARGUMENT),
    }
}

/// A compression, if there is one of its own.
pub(crate) fn compression(number: u32) -> Result<Option<Compression>, JspError> {
    match number {
        JSP_COMPRESSION_DEFAULT => Ok(None),
        JSP_COMPRESSION_OFF => Ok(Some(Compression::Off)),
        JSP_COMPRESSION_ADAPTIVE => Ok(Some(Compression::Adaptive)),
        JSP_COMPRESSION_ADAPTIVE_PADDED => Ok(Some(Compression::AdaptivePadded)),
        _ => Err(JSP_ERROR_INVALID_ARGUMENT),
    }
}

/// Error correction, if there is one of its own. Whether the numbers are in their bounds is decided elsewhere.
pub(crate) fn fec(number: u32, sources: u32, parity: u32) -> Result<Option<Fec>, JspError> {
    let fec = match number {
        JSP_FEC_ON => {
            let short = |number: u32| u8::try_from(number).map_err(|_| JSP_ERROR_INVALID_ARGUMENT);
            return Ok(Some(Fec::On { sources: short(sources)?, parity: short(parity)? }));
        }
        JSP_FEC_DEFAULT => None,
        JSP_FEC_OFF => Some(Fec::Off),
        JSP_FEC_AUTO => Some(Fec::Auto),
        _ => return Err(JSP_ERROR_INVALID_ARGUMENT),
    };
    // Numbers that would be ignored are a mistake.
    if (sources, parity) == (0, 0) { Ok(fec) } else { Err(JSP_ERROR_INVALID_ARGUMENT) }
}

/// The network with a number of the header.
pub(crate) fn network(number: u32) -> Result<Network, JspError> {
    match number {
        JSP_NETWORK_UNKNOWN => Ok(Network::Unknown),
        JSP_NETWORK_ETHERNET => Ok(Network::Ethernet),
        JSP_NETWORK_WIFI => Ok(Network::Wifi),
        JSP_NETWORK_CELLULAR => Ok(Network::Cellular),
        _ => Err(JSP_ERROR_INVALID_ARGUMENT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_what_their_names_say() {
        assert_eq!(fec(JSP_FEC_DEFAULT, 0, 0), Ok(None));
        assert_eq!(fec(JSP_FEC_AUTO, 0, 0), Ok(Some(Fec::Auto)));
        assert_eq!(fec(JSP_FEC_ON, 10, 2), Ok(Some(Fec::On { sources: 10, parity: 2 })));
        for (number, sources, parity) in [(4, 0, 0), (JSP_FEC_ON, 256, 1), (JSP_FEC_AUTO, 1, 0), (JSP_FEC_OFF, 0, 1)] {
            assert_eq!(fec(number, sources, parity), Err(JSP_ERROR_INVALID_ARGUMENT));
        }
        assert_eq!(compression(JSP_COMPRESSION_OFF), Ok(Some(Compression::Off)));
        assert_eq!(compression(4), Err(JSP_ERROR_INVALID_ARGUMENT));
        assert_eq!(switch(JSP_SWITCH_OFF), Ok(Some(false)));
        assert!(switch(3).is_err() && network(4).is_err() && profile(4).is_err());
        assert_eq!(network(JSP_NETWORK_CELLULAR), Ok(Network::Cellular));
    }
}

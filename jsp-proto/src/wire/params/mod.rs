//! Transport parameters (specification section 4.10): `{varint id, varint length, value}`, ascending unique ids.
//!
//! The client's stand in its handshake message (P1), the server's in a PARAMS frame; what the server says inside its
//! handshake message (P2) is empty or a refusal.

mod decode;
mod encode;
mod protocols;
#[cfg(test)]
mod tests;

pub use decode::{ParamsError, decode_params};
pub use encode::encode_params;
pub use protocols::{DEFAULT_PROTOCOL, Protocols, encode_protocols};

use super::Side;
use super::stream_id::{StreamKind, StreamType};

/// The most bytes of parameters that are looked at (specification section 7, row 42).
pub const MAX_ENCODED: usize = 2048;
/// The most parameters that are looked at (specification section 7, row 42).
pub const MAX_ENTRIES: usize = 64;
/// The longest identifier of a pre-shared key, in bytes.
pub const MAX_PSK_ID: usize = 64;
/// The longest token for the application, in bytes.
pub const MAX_APP_TOKEN: usize = 512;
/// Bytes of a client's static public key.
pub const CLIENT_KEY_LEN: usize = 1216;

/// The least `initial_max_data` (specification section 2.10), and what may be used before the peer's parameters.
pub const FLOOR_MAX_DATA: u64 = 16384;
/// The least `initial_max_stream_data` (specification section 2.10), and what may be used of each stream before the
/// peer's parameters.
pub const FLOOR_MAX_STREAM_DATA: u64 = 8192;
/// The least `initial_max_streams` of every type but the block-encoded ones (specification section 2.10), and how many
/// may be opened before the peer's parameters.
pub const FLOOR_MAX_STREAMS: u64 = 4;
/// What `initial_max_streams` is for a type that is not listed (specification section 13.11).
pub const DEFAULT_MAX_STREAMS: u64 = 100;

/// Bit of [`Params::flags`]: the peer must not migrate.
pub const FLAG_NO_MIGRATION: u64 = 1 << 0;
/// Bit of [`Params::flags`]: the fixed bit of short headers may be random.
pub const FLAG_GREASE_FIXED_BIT: u64 = 1 << 1;
/// Bit of [`Params::flags`]: the sender wants OBSERVED_ADDR frames.
pub const FLAG_OBSERVED_ADDR: u64 = 1 << 2;
/// Bit of [`Params::fec_schemes`]: XOR, class 1.
pub const FEC_XOR: u64 = 1 << 0;
/// Bit of [`Params::fec_schemes`]: Reed-Solomon, the classes above 1.
pub const FEC_REED_SOLOMON: u64 = 1 << 1;
/// Bit of [`Params::compression`]: LZ4 blocks.
pub const COMPRESSION_LZ4: u64 = 1 << 0;

/// Where a set of parameters stands: this decides which are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamsContext {
    /// The client's, in its handshake message.
    P1,
    /// What the server says in its handshake message: nothing, or a refusal.
    P2,
    /// The server's, in a PARAMS frame.
    ServerParams,
}

impl ParamsContext {
    /// Who sends these parameters.
    pub const fn sender(self) -> Side {
        match self {
            Self::P1 => Side::Client,
            Self::P2 | Self::ServerParams => Side::Server,
        }
    }
}

/// The parameters of a connection that are numbers. The default is what holds for parameters that are not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// 01: silence after which the connection ends, in milliseconds; 0 means never.
    pub max_idle_timeout_ms: u64,
    /// 02: the largest UDP payload the sender of the parameter accepts, 1200 to 65527.
    pub max_udp_payload: u64,
    /// 03: credit for all streams together, at least 16384.
    pub initial_max_data: u64,
    /// 04: credit for each stream, at least 8192.
    pub initial_max_stream_data: u64,
    /// 05: how many streams of each type the receiver of the parameter may open, by [`StreamType::as_usize`]; at least
    /// 4. The entries of types that the sender of the parameter opens mean nothing.
    pub initial_max_streams: [u64; 16],
    /// 06: how long an acknowledgement may wait, in milliseconds, at most 1000.
    pub max_ack_delay_ms: u64,
    /// 07: the largest message accepted, at most 16 MiB and at most either credit.
    pub max_message_size: u64,
    /// 08: how many connection ids are kept, 2 to 8.
    pub active_cid_limit: u64,
    /// 09: how many source symbols are kept, at most 256; 0 means no forward error correction.
    pub fec_max_symbols: u64,
    /// 0a: bitmap of the schemes understood.
    pub fec_schemes: u64,
    /// 0b: bitmap of the compressions understood.
    pub compression: u64,
    /// 0c: bitmap of wishes.
    pub flags: u64,
    /// 0d: the shortest delay of acknowledgements that can be asked for, in microseconds; absent: ACK_FREQ is not
    /// understood.
    pub min_ack_delay_us: Option<u64>,
    /// 15: the server's token of a stateless reset for its first connection id.
    pub reset_token: Option<[u8; 16]>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            max_idle_timeout_ms: 30_000,
            max_udp_payload: 1472,
            initial_max_data: 65_536,
            initial_max_stream_data: 65_536,
            initial_max_streams: [DEFAULT_MAX_STREAMS; 16],
            max_ack_delay_ms: 25,
            max_message_size: 65_536,
            active_cid_limit: 4,
            fec_max_symbols: 128,
            fec_schemes: FEC_XOR | FEC_REED_SOLOMON,
            compression: 0,
            flags: 0,
            min_ack_delay_us: None,
            reset_token: None,
        }
    }
}

impl Params {
    /// The first number that no receiver would accept, as the id of its parameter; `None` if all are sound.
    ///
    /// `sender` is whose parameters these are.
    pub fn out_of_range(&self, sender: Side) -> Option<u64> {
        // A message must fit the credit, or it could never be sent whole (specification section 13.13).
        let message_room = self.initial_max_data.min(self.initial_max_stream_data);
        let min_ack_delay_fits =
            self.min_ack_delay_us.is_none_or(|us| us <= self.max_ack_delay_ms.saturating_mul(1000));
        let checks = [
            (id::MAX_UDP_PAYLOAD, (1200..=65_527).contains(&self.max_udp_payload)),
            (id::INITIAL_MAX_DATA, self.initial_max_data >= FLOOR_MAX_DATA),
            (id::INITIAL_MAX_STREAM_DATA, self.initial_max_stream_data >= FLOOR_MAX_STREAM_DATA),
            (id::INITIAL_MAX_STREAMS, self.streams_in_range(sender)),
            (id::MAX_ACK_DELAY, self.max_ack_delay_ms <= 1000),
            (id::MAX_MESSAGE_SIZE, self.max_message_size <= message_room.min(16 << 20)),
            (id::ACTIVE_CID_LIMIT, (2..=8).contains(&self.active_cid_limit)),
            (id::FEC_MAX_SYMBOLS, self.fec_max_symbols <= 256),
            (id::MIN_ACK_DELAY, min_ack_delay_fits),
        ];
        checks.iter().find(|(_, sound)| !sound).map(|(id, _)| *id)
    }

    fn streams_in_range(&self, sender: Side) -> bool {
        StreamType::ALL.iter().zip(self.initial_max_streams).all(|(ty, limit)| {
            // Block-encoded streams exist only for receivers that can decompress, so there the floor is zero.
            let floor = if ty.kind() == StreamKind::Blocks { 0 } else { FLOOR_MAX_STREAMS };
            ty.initiator() == sender || (floor..=StreamType::MAX_STREAMS).contains(&limit)
        })
    }
}

/// The parameters that are bytes, borrowed from where they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras<'a> {
    /// 10: application protocols: the client's offer, or the one that the server chose. Absent:
    /// [`DEFAULT_PROTOCOL`].
    pub app_protocols: Option<Protocols<'a>>,
    /// 11: the chosen version and the available ones, each a big-endian `u32`.
    pub version_info: Option<&'a [u8]>,
    /// 12: cipher suites, each a big-endian `u16`.
    pub suites: Option<&'a [u8]>,
    /// 20: the id of the client's static key. Never together with `client_key`.
    pub client_key_id: Option<&'a [u8; 32]>,
    /// 21: the client's static key itself, [`CLIENT_KEY_LEN`] bytes.
    pub client_key: Option<&'a [u8]>,
    /// 22: which pre-shared key to mix in, at most [`MAX_PSK_ID`] bytes.
    pub psk_id: Option<&'a [u8]>,
    /// 24: bytes for the server's application, at most [`MAX_APP_TOKEN`].
    pub app_token: Option<&'a [u8]>,
    /// 30: the server refuses the connection for this reason (P2 only).
    pub refuse: Option<u64>,
    /// A parameter that nobody knows, written to keep peers tolerant; its id must come from [`grease_id`]. Never set
    /// by reading.
    pub grease: Option<(u64, &'a [u8])>,
}

/// An id that is reserved for greasing (specification section 3.9), `31 * N + 27`, made from a random number.
///
/// It is larger than every id of this version, so it is written last.
pub const fn grease_id(random: u64) -> u64 {
    (random % (1 << 16) + 1) * 31 + 27
}

/// The ids of the parameters (specification section 4.10).
pub(crate) mod id {
    pub(crate) const MAX_IDLE_TIMEOUT: u64 = 0x01;
    pub(crate) const MAX_UDP_PAYLOAD: u64 = 0x02;
    pub(crate) const INITIAL_MAX_DATA: u64 = 0x03;
    pub(crate) const INITIAL_MAX_STREAM_DATA: u64 = 0x04;
    pub(crate) const INITIAL_MAX_STREAMS: u64 = 0x05;
    pub(crate) const MAX_ACK_DELAY: u64 = 0x06;
    pub(crate) const MAX_MESSAGE_SIZE: u64 = 0x07;
    pub(crate) const ACTIVE_CID_LIMIT: u64 = 0x08;
    pub(crate) const FEC_MAX_SYMBOLS: u64 = 0x09;
    pub(crate) const FEC_SCHEMES: u64 = 0x0a;
    pub(crate) const COMPRESSION: u64 = 0x0b;
    pub(crate) const FLAGS: u64 = 0x0c;
    pub(crate) const MIN_ACK_DELAY: u64 = 0x0d;
    pub(crate) const APP_PROTOCOLS: u64 = 0x10;
    pub(crate) const VERSION_INFO: u64 = 0x11;
    pub(crate) const SUITES: u64 = 0x12;
    pub(crate) const RESET_TOKEN: u64 = 0x15;
    pub(crate) const CLIENT_KEY_ID: u64 = 0x20;
    pub(crate) const CLIENT_KEY: u64 = 0x21;
    pub(crate) const PSK_ID: u64 = 0x22;
    pub(crate) const APP_TOKEN: u64 = 0x24;
    pub(crate) const REFUSE: u64 = 0x30;
}

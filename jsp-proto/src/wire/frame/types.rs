//! The numbers of the frame types (specification section 4).

/// PADDING.
pub const PADDING: u64 = 0x00;
/// PING.
pub const PING: u64 = 0x01;
/// ACK.
pub const ACK: u64 = 0x02;
/// ACK with ECN counts.
pub const ACK_ECN: u64 = 0x03;
/// PARAMS.
pub const PARAMS: u64 = 0x04;
/// HANDSHAKE_DONE.
pub const HANDSHAKE_DONE: u64 = 0x05;
/// NEW_TOKEN.
pub const NEW_TOKEN: u64 = 0x06;
/// CLOSE: the protocol ends the connection.
pub const CLOSE: u64 = 0x07;
/// CLOSE_APP: the application ends the connection.
pub const CLOSE_APP: u64 = 0x08;
/// IMMEDIATE_ACK.
pub const IMMEDIATE_ACK: u64 = 0x09;
/// ACK_FREQ.
pub const ACK_FREQ: u64 = 0x0a;
/// OBSERVED_ADDR.
pub const OBSERVED_ADDR: u64 = 0x0b;
/// PATH_CHALLENGE.
pub const PATH_CHALLENGE: u64 = 0x0c;
/// PATH_RESPONSE.
pub const PATH_RESPONSE: u64 = 0x0d;
/// NEW_CID.
pub const NEW_CID: u64 = 0x0e;
/// RETIRE_CID.
pub const RETIRE_CID: u64 = 0x0f;
/// STREAM without flags; the types up to [`STREAM_LAST`] are STREAM with flags.
pub const STREAM: u64 = 0x10;
/// STREAM with every flag.
pub const STREAM_LAST: u64 = 0x17;
/// Flag of STREAM: the stream ends with this frame.
pub const STREAM_FIN: u64 = 0x01;
/// Flag of STREAM: the length is given; without it the data reaches to the end of the packet.
pub const STREAM_LEN: u64 = 0x02;
/// Flag of STREAM: the offset is given; without it it is 0.
pub const STREAM_OFF: u64 = 0x04;
/// RESET_STREAM.
pub const RESET_STREAM: u64 = 0x18;
/// STOP_SENDING.
pub const STOP_SENDING: u64 = 0x19;
/// SKIP.
pub const SKIP: u64 = 0x1a;
/// MAX_DATA.
pub const MAX_DATA: u64 = 0x1b;
/// MAX_STREAM_DATA.
pub const MAX_STREAM_DATA: u64 = 0x1c;
/// MAX_STREAMS.
pub const MAX_STREAMS: u64 = 0x1d;
/// BLOCKED.
pub const BLOCKED: u64 = 0x1e;
/// STREAM_PRIORITY.
pub const STREAM_PRIORITY: u64 = 0x1f;
/// MSG without flags; the types up to [`MSG_LAST`] are MSG with flags.
pub const MSG: u64 = 0x20;
/// MSG with every flag.
pub const MSG_LAST: u64 = 0x2f;
/// Flag of MSG: the length is given; without it the data reaches to the end of the packet.
pub const MSG_LEN: u64 = 0x01;
/// Flag of MSG: a message begins with this frame.
pub const MSG_BOM: u64 = 0x02;
/// Flag of MSG: a message ends with this frame.
pub const MSG_EOM: u64 = 0x04;
/// Flag of MSG: the message that begins here is compressed.
pub const MSG_Z: u64 = 0x08;
/// PARITY.
pub const PARITY: u64 = 0x30;
/// RECOVERED.
pub const RECOVERED: u64 = 0x31;
/// The first type of extensions; these carry their length, and unknown odd ones are skipped.
pub const EXTENSION: u64 = 0x40;

/// An odd extension type to be sent as grease (specification section 3.9), made from a random number.
pub const fn grease(random: u64) -> u64 {
    // Two-byte types only: grease should stay cheap.
    EXTENSION + (random % 0x1fe0) * 2 + 1
}

//! Codes that cross the wire when a connection or a stream ends.

use core::fmt;

/// A code chosen by the application for closing, resetting, stopping or refusing: 0 to 2^62-1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppCode(u64);

impl AppCode {
    /// No particular reason.
    pub const ZERO: Self = Self(0);

    /// Takes a code; values above 2^62-1 do not fit the wire and become 2^62-1.
    pub const fn new(code: u64) -> Self {
        if code > crate::wire::varint::MAX { Self(crate::wire::varint::MAX) } else { Self(code) }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<u32> for AppCode {
    fn from(code: u32) -> Self {
        Self(u64::from(code))
    }
}

impl fmt::Display for AppCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why the protocol itself closed a connection (specification section 4.11).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransportError(u64);

macro_rules! transport_errors {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        impl TransportError {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// The name the specification gives to this code, if it has one.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

transport_errors! {
    /// An orderly end.
    NO_ERROR = 0x00,
    /// The peer ran into a defect of its own.
    INTERNAL = 0x01,
    /// The server does not want the connection.
    REFUSED = 0x02,
    /// More data than the credit allowed.
    FLOW_CONTROL = 0x03,
    /// More streams than the limit allowed.
    STREAM_LIMIT = 0x04,
    /// A frame that the stream's state or direction does not allow.
    STREAM_STATE = 0x05,
    /// A stream's final size changed or was exceeded.
    FINAL_SIZE = 0x06,
    /// A frame that cannot be parsed.
    FRAME_ENCODING = 0x07,
    /// Parameters that are malformed or out of bounds.
    PARAMETER = 0x08,
    /// More connection ids than the limit allowed.
    CID_LIMIT = 0x09,
    /// Anything else that the specification forbids.
    PROTOCOL_VIOLATION = 0x0a,
    /// A bound on buffered gaps was exceeded again and again.
    BUFFER_EXCEEDED = 0x0c,
    /// Key updates out of order.
    KEY_UPDATE = 0x0d,
    /// Too many packets failed authentication.
    AEAD_LIMIT = 0x0e,
    /// No path to the peer is left.
    NO_VIABLE_PATH = 0x0f,
    /// The peer makes more work than the bounds allow.
    EXCESSIVE_LOAD = 0x10,
    /// A message above the receiver's maximum.
    MESSAGE_TOO_LARGE = 0x11,
    /// A compressed message that cannot be expanded within its bounds.
    COMPRESSION = 0x12,
    /// Authentication was required and did not happen.
    ACCESS_DENIED = 0x13,
    /// No application protocol in common.
    APP_PROTOCOL = 0x14,
}

impl TransportError {
    /// A code as read from the wire; unknown codes are kept.
    pub const fn from_code(code: u64) -> Self {
        Self(code)
    }

    /// The number on the wire.
    pub const fn code(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "code {:#x}", self.0),
        }
    }
}

/// What a peer did that ends the connection: the code it is told and a short reason for both logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) error: TransportError,
    pub(crate) reason: &'static str,
}

impl Violation {
    pub(crate) const fn new(error: TransportError, reason: &'static str) -> Self {
        Self { error, reason }
    }
}

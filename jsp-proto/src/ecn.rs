//! Explicit congestion notification: the two bits of the IP header (RFC 3168).

/// The ECN field of a datagram's IP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// The sender does not take part, or the platform does not tell.
    #[default]
    NotEct,
    /// ECN-capable transport, code point 0: what JSP sends.
    Ect0,
    /// ECN-capable transport, code point 1 (L4S).
    Ect1,
    /// Congestion experienced: a router marked the datagram instead of dropping it.
    Ce,
}

impl Ecn {
    /// The two bits as they stand in the IP header.
    pub const fn bits(self) -> u8 {
        match self {
            Self::NotEct => 0b00,
            Self::Ect1 => 0b01,
            Self::Ect0 => 0b10,
            Self::Ce => 0b11,
        }
    }

    /// Reads the low two bits of `bits`.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 0b11 {
            0b01 => Self::Ect1,
            0b10 => Self::Ect0,
            0b11 => Self::Ce,
            _ => Self::NotEct,
        }
    }
}

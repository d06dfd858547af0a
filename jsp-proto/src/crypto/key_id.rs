//! The 32-byte name of a static key (specification sections 1.3 and 2.4).

use core::fmt;
use core::str::FromStr;

/// The SHA-256 fingerprint of a static public key. Printed as `jsp1-` and 52 letters and digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);

const PREFIX: &str = "jsp1-";
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// 256 bits in groups of five: 51 full ones and one bit.
const ENCODED: usize = 52;

impl KeyId {
    /// Stands for "no key known": seals the key fetch of a client that holds nothing.
    pub const ZERO: Self = Self([0; 32]);

    /// Takes the 32 bytes of a fingerprint.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the fingerprint.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        for digit in 0..ENCODED {
            let (byte, bit) = (digit * 5 / 8, digit * 5 % 8);
            let high = self.0.get(byte).copied().unwrap_or(0);
            let low = self.0.get(byte + 1).copied().unwrap_or(0);
            let five = u16::from_be_bytes([high, low]) >> (11 - bit) & 31;
            fmt::Write::write_char(f, char::from(DIGITS[usize::from(five)]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyIdError {
    /// It does not begin with `jsp1-`.
    Prefix,
    /// There are not exactly 52 characters after the prefix.
    Length,
    /// A character is none of `a` to `z` and `2` to `7`.
    Character,
    /// The last character carries bits beyond the 256th.
    Trailing,
}

impl fmt::Display for KeyIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefix => "a key id begins with jsp1-",
            Self::Length => "a key id has 52 characters after jsp1-",
            Self::Character => "a key id has only the letters a to z and the digits 2 to 7",
            Self::Trailing => "the last character of the key id is wrong",
        })
    }
}

impl core::error::Error for KeyIdError {}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        let (prefix, digits) = text.as_bytes().split_at_checked(PREFIX.len()).ok_or(KeyIdError::Prefix)?;
        if !prefix.eq_ignore_ascii_case(PREFIX.as_bytes()) {
            return Err(KeyIdError::Prefix);
        }
        if digits.len() != ENCODED {
            return Err(KeyIdError::Length);
        }
        let mut id = [0; 32];
        let mut out = id.iter_mut();
        let mut bits = 0u32;
        let mut held = 0;
        for digit in digits {
            let value = match digit.to_ascii_lowercase() {
                letter @ b'a'..=b'z' => letter - b'a',
                number @ b'2'..=b'7' => number - b'2' + 26,
                _ => return Err(KeyIdError::Character),
            };
            bits = bits << 5 | u32::from(value);
            held += 5;
            if held >= 8 {
                held -= 8;
                if let Some(byte) = out.next() {
                    *byte = (bits >> held) as u8;
                }
                bits &= (1 << held) - 1;
            }
        }
        if bits != 0 {
            return Err(KeyIdError::Trailing);
        }
        Ok(Self(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use proptest::prelude::*;

    #[test]
    fn prints_rfc_4648_base32() {
        // base32("7f4aa412...8ec2d") as Python's base64 module prints it, in lower case and without padding.
        let id =
            KeyId::new(crate::crypto::tests::hex32("7f4aa4125996cb37bc2406f84e6a099e0ae5635e5db7702690b272626328ec2d"));
        assert_eq!(id.to_string(), "jsp1-p5fkieszs3ftppbea34e42qjtyfoky26lw3xajuqwjzgeyzi5qwq");
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
    }

    #[test]
    fn says_what_is_wrong() {
        let good = KeyId::ZERO.to_string();
        assert_eq!(good.parse(), Ok(KeyId::ZERO));
        assert_eq!("".parse::<KeyId>(), Err(KeyIdError::Prefix));
        assert_eq!(good.replace("jsp1", "jsp2").parse::<KeyId>(), Err(KeyIdError::Prefix));
        assert_eq!(good[..56].parse::<KeyId>(), Err(KeyIdError::Length));
        assert_eq!((good.clone() + "a").parse::<KeyId>(), Err(KeyIdError::Length));
        assert_eq!(good.replace("-a", "-1").parse::<KeyId>(), Err(KeyIdError::Character));
        assert_eq!((String::from(&good[..56]) + "b").parse::<KeyId>(), Err(KeyIdError::Trailing));
    }

    proptest! {
        #[test]
        fn text_round_trip(bytes: [u8; 32]) {
            let id = KeyId::new(bytes);
            let text = id.to_string();
            prop_assert_eq!(text.len(), PREFIX.len() + ENCODED);
            prop_assert_eq!(text.parse(), Ok(id));
        }
    }
}

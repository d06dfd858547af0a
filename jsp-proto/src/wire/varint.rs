//! Variable-length integers (specification section 4; RFC 9000 section 16).
//!
//! Reading and writing them is the business of [`Reader::varint`](super::cursor::Reader::varint) and
//! [`Writer::varint`](super::cursor::Writer::varint).

/// The largest value a variable-length integer can hold: 2^62-1.
pub const MAX: u64 = (1 << 62) - 1;

/// The number of bytes of the shortest encoding of `value`: 1, 2, 4 or 8.
///
/// Values above [`MAX`] have no encoding; 8 is returned for them.
pub const fn len(value: u64) -> usize {
    if value < 1 << 6 {
        1
    } else if value < 1 << 14 {
        2
    } else if value < 1 << 30 {
        4
    } else {
        8
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::cursor::{Reader, Truncated, Writer};
    use crate::wire::testing::{any_varint, hex, written};

    #[test]
    fn samples_of_rfc_9000_appendix_a_1() {
        let samples =
            [("c2197c5eff14e88c", 151_288_809_941_952_652), ("9d7f3e7d", 494_878_333), ("7bbd", 15_293), ("25", 37)];
        for (digits, value) in samples {
            let bytes = hex(digits);
            assert_eq!(Reader::new(&bytes).varint(), Ok(value));
            assert_eq!(written(|w| w.varint(value)), bytes);
            assert_eq!(len(value), bytes.len());
        }
        // Readable, although 37 has a shorter form.
        assert_eq!(Reader::new(&hex("4025")).varint(), Ok(37));
    }

    #[test]
    fn edges_of_every_length() {
        for (value, bytes) in [(63, 1), (64, 2), (16383, 2), (16384, 4), ((1 << 30) - 1, 4), (1 << 30, 8), (MAX, 8)] {
            assert_eq!(len(value), bytes, "{value}");
            assert_eq!(written(|w| w.varint(value)).len(), bytes, "{value}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(value in any_varint()) {
            let bytes = written(|w| w.varint(value));
            prop_assert_eq!(bytes.len(), len(value));
            let mut r = Reader::new(&bytes);
            prop_assert_eq!(r.varint(), Ok(value));
            prop_assert!(r.is_empty());
            for cut in 0..bytes.len() {
                let mut r = Reader::new(&bytes[..cut]);
                prop_assert_eq!(r.varint(), Err(Truncated));
                prop_assert_eq!(r.position(), 0);
                let mut small = [0; 8];
                let mut w = Writer::new(&mut small[..cut]);
                prop_assert!(w.varint(value).is_err());
                prop_assert_eq!(w.position(), 0);
            }
        }
    }
}

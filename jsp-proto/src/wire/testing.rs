//! What the tests of this layer share.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::cursor::{Full, Writer};
use super::varint;

/// Bytes from hexadecimal digits.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).expect("a hexadecimal digit") as u8;
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "an odd number of digits");
    pairs.iter().map(|[high, low]| digit(high) << 4 | digit(low)).collect()
}

/// What `write` wrote into a large buffer.
pub(crate) fn written(write: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>) -> Vec<u8> {
    let mut buffer = [0xee; 8192];
    let mut w = Writer::new(&mut buffer);
    write(&mut w).expect("the buffer is large enough");
    w.written().to_vec()
}

/// Integers of every encoded length, the edges more often.
pub(crate) fn any_varint() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..=63u64,
        0..=16383u64,
        0..=(1u64 << 30) - 1,
        0..=varint::MAX,
        prop::sample::select(&[0, 63, 64, 16383, 16384, (1 << 30) - 1, 1 << 30, varint::MAX][..]),
    ]
}

/// Bytes that live until the end of the test run, so that what borrows from them can be generated.
pub(crate) fn any_bytes(len: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = &'static [u8]> {
    prop::collection::vec(any::<u8>(), len).prop_map(|bytes| &*bytes.leak())
}

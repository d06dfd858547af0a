//! Helpers and known answers for this layer's tests.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

pub(crate) mod vectors;

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).unwrap() as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

pub(crate) fn hex_array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

pub(crate) fn hex32(text: &str) -> [u8; 32] {
    hex_array(text)
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    to_hex(&super::hash(&[bytes]))
}

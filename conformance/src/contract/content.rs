//! What is sent, so that everything received tells whether it is right.

use crate::sim::apps::{check_content, fill_content};

/// A message that carries its number and, after it, content that follows from the number.
pub(super) fn message(number: u64, len: usize) -> Vec<u8> {
    let mut message = bytes(number, len.max(8));
    message[..8].copy_from_slice(&number.to_le_bytes());
    message
}

/// The number of a message. Panics unless the rest of it is right.
pub(super) fn number(message: &[u8]) -> u64 {
    let (number, content) = message.split_first_chunk().expect("a message has a number");
    let number = u64::from_le_bytes(*number);
    check_content(number, 8, content);
    number
}

/// The first bytes of the content of this seed.
pub(super) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fill_content(seed, 0, &mut bytes);
    bytes
}

/// Panics unless these are the first bytes of the content of this seed.
pub(super) fn check_bytes(seed: u64, bytes: &[u8]) {
    check_content(seed, 0, bytes);
}

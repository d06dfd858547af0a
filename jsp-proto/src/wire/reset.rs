//! The layout of a stateless reset (specification sections 3.8 and 13.22): it looks like a short packet, and its last
//! 16 bytes are the token of the connection id it answers.

use super::header::{FIXED_BIT, LONG_BIT};

/// Bytes of a reset token.
pub const TOKEN_LEN: usize = 16;

/// The shortest reset that is sent.
pub const MIN_RESET: usize = 30;

/// The shortest datagram in which a token is looked for: a first byte, four bytes to look random, a token.
const MIN_LOOK: usize = 1 + 4 + TOKEN_LEN;

/// How long a reset that answers a datagram of `trigger` bytes is; `None` if there must be no answer.
///
/// One byte less than the trigger, so that two endpoints that both lost their state fall silent.
pub const fn reset_len(trigger: usize) -> Option<usize> {
    if trigger > MIN_RESET { Some(trigger - 1) } else { None }
}

/// Makes a reset of `datagram`, which the caller has filled with random bytes. Nothing happens to a datagram that is
/// too short for a reset.
pub fn encode_reset(token: &[u8; TOKEN_LEN], datagram: &mut [u8]) {
    if datagram.len() < MIN_RESET {
        return;
    }
    if let Some(first) = datagram.first_mut() {
        *first = *first & !LONG_BIT | FIXED_BIT;
    }
    if let Some(last) = datagram.last_chunk_mut() {
        *last = *token;
    }
}

/// The bytes that are a token if this datagram is a reset; `None` if it cannot be one.
///
/// To be compared in constant time or looked up by a keyed hash.
pub fn token_of(datagram: &[u8]) -> Option<&[u8; TOKEN_LEN]> {
    let first = datagram.first()?;
    if first & LONG_BIT != 0 || datagram.len() < MIN_LOOK {
        return None;
    }
    datagram.last_chunk()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_like_a_short_packet_and_ends_with_the_token() {
        let token = [7; 16];
        let mut datagram = [0xff; 42];
        encode_reset(&token, &mut datagram);
        assert_eq!(datagram[0], 0x7f);
        assert_eq!(datagram[1..26], [0xff; 25]);
        assert_eq!(token_of(&datagram), Some(&token));
        datagram[0] |= 0x80;
        assert_eq!(token_of(&datagram), None);
    }

    #[test]
    fn two_resets_in_a_row_get_shorter_and_end() {
        let mut len = 1200;
        let mut answers = 0;
        while let Some(shorter) = reset_len(len) {
            assert!((MIN_RESET..len).contains(&shorter));
            len = shorter;
            answers += 1;
        }
        assert_eq!((len, answers), (30, 1170));
        let mut short = [1; 29];
        encode_reset(&[0; 16], &mut short);
        assert_eq!(short, [1; 29]);
        assert_eq!(token_of(&[0x40; 20]), None);
        assert_eq!(token_of(&[]), None);
    }
}

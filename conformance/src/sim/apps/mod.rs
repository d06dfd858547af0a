//! Small programs to run on a [`Sim`]: bulk transfer, timed messages, echo, latency figures, flows to compete with.
//!
//! They serve tests: what must not happen (wrong bytes, a message delivered twice, a connection that breaks while they
//! work) makes them panic with a text that says what it was.

mod bulk;
mod echo;
mod latency;
mod message;
mod rival;

pub use bulk::{BulkReceiver, BulkSender};
pub use echo::Echo;
pub use latency::Latencies;
pub(crate) use latency::nearest_rank;
pub use message::{MessageSink, MessageSource};
pub use rival::{Rival, RivalKind};

use super::rng::mix;
use super::{App, Happening, Sim};

/// An app that nobody waits for.
#[derive(Debug)]
pub struct Background<A>(pub A);

impl<A: App> App for Background<A> {
    fn start(&mut self, sim: &mut Sim) {
        self.0.start(sim);
    }

    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        self.0.on(sim, happening);
    }
}

/// An app that is never done: a run with it lasts until its limit.
#[derive(Clone, Copy, Debug)]
pub struct Forever;

impl App for Forever {
    fn on(&mut self, _sim: &mut Sim, _happening: &Happening) {}

    fn done(&self) -> bool {
        false
    }
}

/// Writes the bytes `offset..` of the endless content that belongs to `seed`.
pub fn fill_content(seed: u64, mut offset: u64, mut out: &mut [u8]) {
    while !out.is_empty() {
        let word = mix(seed ^ mix(offset / 8)).to_le_bytes();
        let word = &word[(offset % 8) as usize..];
        let (head, tail) = out.split_at_mut(word.len().min(out.len()));
        head.copy_from_slice(&word[..head.len()]);
        offset += head.len() as u64;
        out = tail;
    }
}

/// Panics at the first of `bytes` that is not the content of `seed` at `offset`.
pub fn check_content(seed: u64, offset: u64, bytes: &[u8]) {
    let mut expected = [0; 1024];
    for (index, chunk) in bytes.chunks(expected.len()).enumerate() {
        let at = offset + (index * expected.len()) as u64;
        let expected = &mut expected[..chunk.len()];
        fill_content(seed, at, expected);
        if let Some(wrong) = chunk.iter().zip(&*expected).position(|(a, b)| a != b) {
            panic!("content {seed}: byte {} is {:#04x}, not {:#04x}", at + wrong as u64, chunk[wrong], expected[wrong]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_the_same_in_any_pieces() {
        let mut whole = [0; 3_000];
        fill_content(5, 3, &mut whole);
        for step in [1, 7, 8, 1_000] {
            for (index, chunk) in whole.chunks(step).enumerate() {
                check_content(5, 3 + (index * step) as u64, chunk);
            }
        }
    }

    #[test]
    #[should_panic(expected = "content 5: byte 2010 is")]
    fn a_wrong_byte_is_named() {
        let mut bytes = [0; 3_000];
        fill_content(5, 10, &mut bytes);
        bytes[2_000] ^= 1;
        check_content(5, 10, &bytes);
    }
}

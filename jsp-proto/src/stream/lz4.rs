//! LZ4 (specification section 4.12): a message, or a piece of a stream of bytes, as `varint raw_len || block`, each for
//! itself.
//!
//! Owns the work space of the sending side. What arrives is expanded when it is read, into
//! the reader's buffer, so that unread data never takes more memory than it took on the wire.

use alloc::boxed::Box;
use alloc::vec::Vec;

use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};

use super::api::Slices;
use super::pace::Pace;
use super::pad::lengthened;
use crate::wire::{Reader, StreamId, Writer, varint};

/// Shorter messages are sent as they are.
const SHORTEST: usize = 256;
/// Less is not worth the receiver's work, bytes; nor is less than a tenth.
const LEAST_SAVING: usize = 32;
/// What is compressed and padded is a multiple of this, bytes.
const BUCKET: usize = 64;
/// Above this rate, 2 Gbit/s, compressing takes longer than what it saves on the way; bytes per second.
const FASTEST: u64 = 250_000_000;
/// A work space above this size is given back when it has not been used for a while, bytes.
const KEPT: usize = 256 << 10;

/// What compressing has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PackStats {
    /// Messages and pieces tried.
    pub(crate) tried: u64,
    /// Those that became small enough.
    pub(crate) packed: u64,
    /// Bytes of these before.
    pub(crate) before: u64,
    /// Bytes of these after.
    pub(crate) after: u64,
}

/// The work space of a connection. Takes no memory before its first use.
#[derive(Default)]
pub(super) struct Packer {
    table: Option<Box<CompressTable>>,
    out: Vec<u8>,
    longer: Vec<u8>,
    /// The path is too fast for it.
    rests: bool,
    /// Used since [`cool`](Self::cool) last looked.
    used: bool,
    pub(super) stats: PackStats,
}

impl Packer {
    /// The path's rate, bytes per second.
    pub(super) fn on_rate(&mut self, rate: u64) {
        self.rests = rate > FASTEST;
    }

    /// The body that stands for `message`; `None` if it is to be sent as it is.
    pub(super) fn pack(&mut self, pace: &mut Pace, message: &[u8]) -> Option<&[u8]> {
        if self.rests || message.len() < SHORTEST || !pace.is_due() {
            return None;
        }
        self.used = true;
        self.stats.tried += 1;
        let header = varint::len(message.len() as u64);
        let room = header + get_maximum_output_size(message.len());
        if self.out.len() < room {
            self.out.resize(room, 0);
        }
        let (start, block) = self.out.split_at_mut_checked(header)?;
        Writer::new(start).varint(message.len() as u64).ok()?;
        let table = self.table.get_or_insert_with(|| Box::new(CompressTable::small()));
        let packed = header + compress_into_with_table(message, block, table).ok()?;
        pace.tried(message.len(), packed);
        let extra = if pace.padded { packed.next_multiple_of(BUCKET) - packed } else { 0 };
        if message.len().saturating_sub(packed + extra) < LEAST_SAVING.max(message.len() / 10) {
            pace.miss();
            return None;
        }
        pace.hit();
        let body = if extra == 0 {
            self.out.get(..packed)?
        } else {
            self.longer.clear();
            self.longer.extend_from_slice(self.out.get(..header)?);
            lengthened(message, self.out.get(header..packed)?, extra, &mut self.longer)?;
            &self.longer
        };
        self.stats.packed += 1;
        self.stats.before += message.len() as u64;
        self.stats.after += body.len() as u64;
        Some(body)
    }

    /// Whether the work space is so large that it is to be given back once it rests.
    pub(super) fn is_large(&self) -> bool {
        self.out.capacity().max(self.longer.capacity()) > KEPT
    }

    /// To be called now and then: gives a large work space back that was not used since the last call.
    pub(super) fn cool(&mut self) {
        if !core::mem::take(&mut self.used) && self.is_large() {
            self.out = Vec::new();
            self.longer = Vec::new();
        }
    }
}

/// The compressed message that is being looked at in place.
#[derive(Default)]
pub(super) struct Unpacked {
    message: Vec<u8>,
    /// Where it came from: offsets of a stream and ids of streams are never used again.
    of: Option<(StreamId, u64)>,
}

impl Unpacked {
    /// Whether it is the one that begins here.
    pub(super) fn shows(&self, sid: StreamId, start: u64) -> bool {
        self.of == Some((sid, start))
    }

    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    /// The buffer, to be filled and given back by [`put`](Self::put).
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.of = None;
        core::mem::take(&mut self.message)
    }

    pub(super) fn put(&mut self, sid: StreamId, start: u64, message: Vec<u8>) {
        *self = Self { message, of: Some((sid, start)) };
    }

    /// The message that begins here was read. A large buffer is given back.
    pub(super) fn consumed(&mut self, sid: StreamId, start: u64) {
        if self.shows(sid, start) {
            self.of = None;
            if self.message.capacity() > KEPT {
                self.message = Vec::new();
            }
        }
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> u64 {
        self.message.capacity() as u64
    }
}

/// A body that does not expand to what it says, or says what no receiver would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corrupt;

/// Whether a block of `encoded` bytes may stand for `length` bytes, of which a receiver takes `max`.
pub(super) const fn may_expand(length: u64, max: u64, encoded: u64) -> bool {
    length > 0 && length <= max && length <= encoded.saturating_mul(255).saturating_add(64)
}

/// Replaces the contents of `out` by the message of at most `max` bytes that a body stands for. The body says how long
/// that is; a lie is found before memory is taken for it, or when the block does not fill it exactly.
pub(crate) fn unpack((head, tail): Slices<'_>, max: u64, out: &mut Vec<u8>) -> Result<(), Corrupt> {
    out.clear();
    let mut start = [0; 8];
    let known = head.iter().chain(tail).zip(&mut start).map(|(from, to)| *to = *from).count();
    let mut reader = Reader::new(start.get(..known).unwrap_or_default());
    let length = reader.varint().map_err(|_| Corrupt)?;
    let header = reader.position();
    let (head, tail) = match head.get(header..) {
        Some(head) => (head, tail),
        None => (&[][..], tail.get(header - head.len()..).unwrap_or_default()),
    };
    let block_length = head.len() + tail.len();
    if !may_expand(length, max, block_length as u64) {
        return Err(Corrupt);
    }
    let length = length as usize;
    let filled = if tail.is_empty() || head.is_empty() {
        out.resize(length, 0);
        decompress_into(if tail.is_empty() { head } else { tail }, out)
    } else {
        // The block lies in two pieces: it is joined behind the place of the message.
        out.resize(length, 0);
        out.extend_from_slice(head);
        out.extend_from_slice(tail);
        let (message, block) = out.split_at_mut_checked(length).ok_or(Corrupt)?;
        decompress_into(block, message)
    };
    out.truncate(length);
    if filled.ok() == Some(length) {
        return Ok(());
    }
    out.clear();
    Err(Corrupt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Drbg, Entropy};
    use alloc::vec;
    use proptest::prelude::*;

    const MAX: u64 = 1 << 20;

    fn random(seed: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        Drbg::new(&Entropy::new([seed; 32])).fill(&mut bytes);
        bytes
    }

    fn packed(message: &[u8]) -> Vec<u8> {
        Packer::default().pack(&mut Pace::default(), message).expect("it compresses").to_vec()
    }

    /// Expands the body wherever it is cut in two, into a buffer that holds something else.
    fn expand(body: &[u8], max: u64) -> Result<Vec<u8>, Corrupt> {
        let mut result = None;
        for cut in [0, 1, 2, 3, body.len() / 2, body.len()] {
            let mut out = vec![0xaa; 5000];
            let found = unpack(body.split_at(cut.min(body.len())), max, &mut out).map(|()| out);
            assert_eq!(*result.get_or_insert_with(|| found.clone()), found, "cut at {cut}");
        }
        result.expect("some cuts")
    }

    /// A body that says it stands for `length` bytes.
    fn body(length: u64, block: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 8 + block.len()];
        let mut w = Writer::new(&mut bytes);
        w.varint(length).and_then(|()| w.bytes(block)).unwrap();
        w.written().to_vec()
    }

    #[test]
    fn what_compresses_comes_back() {
        for length in [256, 257, 1000, 16_383, 16_384, 65_534, 65_535, 65_536, 300_000, 1 << 20] {
            for message in [vec![0; length], b"the same words again, ".iter().copied().cycle().take(length).collect()] {
                let body = packed(&message);
                assert!(body.len() < length / 4, "{length} became {}", body.len());
                assert_eq!(expand(&body, length as u64), Ok(message));
                assert_eq!(expand(&body, length as u64 - 1), Err(Corrupt), "above the maximum");
            }
        }
    }

    #[test]
    fn short_messages_and_small_savings_are_not_worth_it() {
        let mut packer = Packer::default();
        assert_eq!(packer.pack(&mut Pace::default(), &[0; 255]), None);
        assert_eq!((packer.stats.tried, packer.out.capacity()), (0, 0));
        assert!(packer.pack(&mut Pace::default(), &[0; 256]).is_some());
        // So many zeros in random bytes that nearly the least is saved, and a little more.
        for (length, least) in [(300, 32), (1000, 100)] {
            let mut saved = Vec::new();
            for zeros in 0..200 {
                let mut message = random(1, length);
                message[50..50 + zeros].fill(0);
                let raw = message.len();
                saved.extend(packer.pack(&mut Pace::default(), &message).map(|body| raw - body.len()));
            }
            assert_eq!(saved.first(), Some(&least));
        }
    }

    #[test]
    fn tries_that_fail_grow_rare() {
        let (mut packer, mut pace) = (Packer::default(), Pace::default());
        let hopeless = random(2, 1000);
        let mut tries = Vec::new();
        for n in 0..5000 {
            let before = packer.stats.tried;
            assert_eq!(packer.pack(&mut pace, &hopeless), None);
            if packer.stats.tried > before {
                tries.push(n);
            }
        }
        let waits: Vec<_> = tries.windows(2).map(|pair| pair[1] - pair[0] - 1).collect();
        assert_eq!(waits, [0, 0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024, 1024]);
        // One that succeeds ends the pause; but the stream has to earn its four tries.
        for (hits, tries) in [(1, 2), (9, 4)] {
            (0..100).for_each(|_| pace.tried(1000, 1000));
            for _ in 0..hits {
                let missed = (0..=1024).take_while(|_| packer.pack(&mut pace, &[0; 1000]).is_none()).count();
                assert!(missed <= 1024);
            }
            let tried = packer.stats.tried;
            for _ in 0..tries + 2 {
                packer.pack(&mut pace, &hopeless);
            }
            assert_eq!(packer.stats.tried - tried, tries);
        }
    }

    #[test]
    fn fast_paths_are_left_alone() {
        let (mut packer, mut pace) = (Packer::default(), Pace::default());
        for (rate, packs) in [(0, true), (FASTEST + 1, false), (FASTEST, true)] {
            packer.on_rate(rate);
            assert_eq!(packer.pack(&mut pace, &[0; 1000]).is_some(), packs, "{rate}");
        }
        assert_eq!(packer.stats.tried, 2);
    }

    #[test]
    fn padded_bodies_come_in_few_lengths() {
        let (mut packer, mut pace) = (Packer::default(), Pace::default().padded(true));
        let mut lengths = Vec::new();
        for zeros in 0..900 {
            let mut message = random(1, 1000);
            message[50..50 + zeros].fill(0);
            let mut fresh = pace;
            if let Some(body) = packer.pack(&mut fresh, &message) {
                assert_eq!(body.len() % BUCKET, 0);
                assert!(body.len() <= 900);
                assert_eq!(expand(body, MAX), Ok(message));
                lengths.push(body.len());
            }
        }
        assert!(lengths.len() > 700 && lengths.is_sorted_by(|a, b| a >= b));
        lengths.dedup();
        assert!(lengths.len() <= 900 / BUCKET, "{lengths:?}");
        // Not worth it once it is padded.
        let mut message = random(2, 300);
        message[..44].fill(0);
        assert!(packer.pack(&mut Pace::default(), &message).is_some());
        assert!(packer.pack(&mut pace, &message).is_none());
    }

    #[test]
    fn a_lie_about_the_length_is_found() {
        let message = vec![7; 1000];
        let good = packed(&message);
        let block = &good[varint::len(1000)..];
        assert_eq!(expand(&body(1000, block), MAX), Ok(message));
        for wrong in [0, 1, 999, 1001, 2000, varint::MAX] {
            assert_eq!(expand(&body(wrong, block), MAX), Err(Corrupt), "{wrong}");
        }
    }

    #[test]
    fn no_block_gives_more_than_255_times_its_length() {
        let mut out = Vec::new();
        let bound = 255 * 100 + 64;
        assert_eq!(unpack((&body(bound + 1, &[0xff; 100]), &[]), u64::MAX, &mut out), Err(Corrupt));
        assert_eq!(out.capacity(), 0, "found before memory was taken");
        assert_eq!(unpack((&body(bound, &[0xff; 100]), &[]), u64::MAX, &mut out), Err(Corrupt));
        assert!(out.capacity() as u64 >= bound);
        let mut out = Vec::new();
        assert_eq!(unpack((&body(1001, &[0xff; 100]), &[]), 1000, &mut out), Err(Corrupt));
        assert_eq!(out.capacity(), 0);
        // The best there is stays within the bound.
        for length in [256, 4096, 65_536, 1 << 24] {
            assert_eq!(expand(&packed(&vec![0; length]), 1 << 24).map(|message| message.len()), Ok(length));
        }
    }

    #[test]
    fn broken_blocks_are_found() {
        let message: Vec<u8> = b"some words and some more words ".iter().copied().cycle().take(2000).collect();
        let good = packed(&message);
        for length in 0..good.len() {
            assert_eq!(expand(&good[..length], MAX), Err(Corrupt), "cut to {length}");
        }
        for more in [&[0][..], &[0, 0], &[0, 0, 0], &[0x10, 1], &[1; 20]] {
            assert_eq!(expand(&[&good, more].concat(), MAX), Err(Corrupt), "and {more:?}");
        }
        // A literal, and a match at offset 0, before the start, or beyond the end.
        for block in [&[0x10, 7, 0, 0, 0][..], &[0x10, 7, 2, 0, 0], &[0x1f, 7, 1, 0, 200, 0], &[0xff; 40], &[]] {
            assert_eq!(expand(&body(5, block), MAX), Err(Corrupt), "{block:?}");
        }
        assert_eq!(expand(&body(5, &[0x10, 7, 1, 0, 0]), MAX), Ok(vec![7; 5]), "the same without the mistake");
    }

    #[test]
    fn a_large_work_space_is_given_back_when_it_rests() {
        let mut packer = Packer::default();
        packer.pack(&mut Pace::default(), &vec![0; 1 << 20]).expect("it compresses");
        packer.cool();
        assert!(packer.is_large(), "used since the last look");
        packer.cool();
        assert!(!packer.is_large());
        packer.pack(&mut Pace::default(), &[0; 1000]).expect("it compresses");
        packer.cool();
        packer.cool();
        assert!(packer.out.capacity() > 0);
    }

    proptest! {
        #[test]
        fn any_message_comes_back(words in proptest::collection::vec("[a-f]{1,9}|[0-9]{2}", 80..2000), noise: u8, size in 0usize..3000) {
            let message = [words.concat().into_bytes(), random(noise, size)].concat();
            let mut packer = Packer::default();
            if let Some(body) = packer.pack(&mut Pace::default(), &message) {
                prop_assert!(body.len() + 32 <= message.len());
                prop_assert_eq!(expand(body, message.len() as u64), Ok(message));
            }
        }

        #[test]
        fn no_body_is_a_danger(length in 0u64..5000, block in proptest::collection::vec(any::<u8>(), 0..200)) {
            for block in [&block[..], &[&[0x10, 7, 1, 0][..], &block].concat()] {
                if let Ok(message) = expand(&body(length, block), MAX) {
                    prop_assert_eq!(message.len() as u64, length);
                }
            }
        }
    }
}

//! Turns the bytes of a fuzzer into choices. Every input means something: where it ends, every further choice is zero.

use jsp_proto::internals::wire::varint;

/// The numbers at which something changes: lengths of encodings, windows, limits.
const EDGES: [u64; 16] = [
    0,
    1,
    63,
    64,
    255,
    1199,
    8192,
    16_383,
    16_384,
    65_536,
    1 << 20,
    (1 << 30) - 1,
    1 << 30,
    1 << 32,
    1 << 58,
    varint::MAX,
];

/// Choices, one after the other.
#[derive(Clone, Debug)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Starts at the first byte.
    pub const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Whether nothing is left to choose from.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A byte.
    pub fn u8(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Two bytes, most significant first.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// Four bytes, most significant first.
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    /// `N` bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.u8())
    }

    /// Yes or no.
    pub fn flag(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    /// A number below `bound`, which is at most 65,536 and not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let number = if bound <= 256 { usize::from(self.u8()) } else { usize::from(self.u16()) };
        number % bound
    }

    /// A number that fits a variable-length integer; small ones and those near an edge are likely.
    pub fn number(&mut self) -> u64 {
        let kind = self.u8();
        match kind {
            0..128 => u64::from(kind),
            128..192 => EDGES[usize::from(kind % 16)].saturating_add(u64::from(kind / 16 % 4)).min(varint::MAX),
            192..224 => EDGES[usize::from(kind % 16)].saturating_sub(1 + u64::from(kind / 16 % 2)),
            224..240 => u64::from(self.u16()),
            240..248 => u64::from(self.u32()),
            _ => u64::from_be_bytes(self.array()) & varint::MAX,
        }
    }

    /// At most `most` of the bytes that are left.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// A length, at most `most`, and as many bytes, if they are there.
    pub fn chunk(&mut self, most: usize) -> &'a [u8] {
        let length = self.below(most.min(65_535) + 1);
        self.bytes(length)
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

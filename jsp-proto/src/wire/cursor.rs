//! Bounds-checked reading and writing over byte slices.

use core::fmt;

use super::varint;

/// The bytes ended before the value did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes end too early")
    }
}

impl core::error::Error for Truncated {}

/// The value does not fit in what is left of the buffer; nothing of it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the buffer is full")
    }
}

impl core::error::Error for Full {}

/// Reads values one after the other. A read that fails does not move.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, total: bytes.len() }
    }

    /// Bytes not yet read.
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything was read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes already read.
    pub const fn position(&self) -> usize {
        self.total - self.rest.len()
    }

    /// The next byte, without reading it.
    pub fn peek_u8(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Reads `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or(Truncated)?;
        self.rest = rest;
        Ok(*array)
    }

    /// Reads one byte.
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        let (first, rest) = self.rest.split_first().ok_or(Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    /// Reads two bytes, most significant first.
    pub fn u16(&mut self) -> Result<u16, Truncated> {
        self.array().map(u16::from_be_bytes)
    }

    /// Reads four bytes, most significant first.
    pub fn u32(&mut self) -> Result<u32, Truncated> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads eight bytes, most significant first.
    pub fn u64(&mut self) -> Result<u64, Truncated> {
        self.array().map(u64::from_be_bytes)
    }

    /// Reads a variable-length integer (specification section 4). Longer encodings than needed are accepted.
    pub fn varint(&mut self) -> Result<u64, Truncated> {
        match self.peek_u8().ok_or(Truncated)? >> 6 {
            0 => self.u8().map(u64::from),
            1 => self.u16().map(|v| u64::from(v) & 0x3fff),
            2 => self.u32().map(|v| u64::from(v) & 0x3fff_ffff),
            _ => self.u64().map(|v| v & varint::MAX),
        }
    }

    /// Reads `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Truncated> {
        let (bytes, rest) = self.rest.split_at_checked(n).ok_or(Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Reads a length as a variable-length integer and then that many bytes.
    pub fn length_prefixed(&mut self) -> Result<&'a [u8], Truncated> {
        let mut ahead = self.clone();
        let n = usize::try_from(ahead.varint()?).map_err(|_| Truncated)?;
        let bytes = ahead.bytes(n)?;
        *self = ahead;
        Ok(bytes)
    }

    /// Reads everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// Reads zero bytes up to the first other byte or the end and tells how many there were.
    pub fn skip_zeros(&mut self) -> usize {
        let zeros = self.rest.iter().position(|&byte| byte != 0).unwrap_or(self.rest.len());
        self.rest = self.rest.get(zeros..).unwrap_or_default();
        zeros
    }
}

/// Writes values one after the other into a slice. A write that does not fit writes nothing.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    position: usize,
}

impl<'a> Writer<'a> {
    /// Starts at the first byte; the whole slice may be filled.
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, position: 0 }
    }

    /// Bytes written.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Bytes that still fit.
    pub const fn remaining(&self) -> usize {
        self.buffer.len() - self.position
    }

    /// What was written so far.
    pub fn written(&self) -> &[u8] {
        self.buffer.get(..self.position).unwrap_or_default()
    }

    /// Takes back everything after `position`; a position that was not reached yet changes nothing.
    pub fn truncate(&mut self, position: usize) {
        self.position = self.position.min(position);
    }

    /// Reserves `n` bytes for the caller to fill. Their content is whatever the buffer held before.
    pub fn slot(&mut self, n: usize) -> Result<&mut [u8], Full> {
        let end = self.position.checked_add(n).ok_or(Full)?;
        let slot = self.buffer.get_mut(self.position..end).ok_or(Full)?;
        self.position = end;
        Ok(slot)
    }

    /// Writes `bytes`.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.slot(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// Writes `n` zero bytes.
    pub fn zeros(&mut self, n: usize) -> Result<(), Full> {
        self.slot(n)?.fill(0);
        Ok(())
    }

    /// Writes one byte.
    pub fn u8(&mut self, value: u8) -> Result<(), Full> {
        self.bytes(&[value])
    }

    /// Writes two bytes, most significant first.
    pub fn u16(&mut self, value: u16) -> Result<(), Full> {
        self.bytes(&value.to_be_bytes())
    }

    /// Writes four bytes, most significant first.
    pub fn u32(&mut self, value: u32) -> Result<(), Full> {
        self.bytes(&value.to_be_bytes())
    }

    /// Writes eight bytes, most significant first.
    pub fn u64(&mut self, value: u64) -> Result<(), Full> {
        self.bytes(&value.to_be_bytes())
    }

    /// Writes the shortest encoding of a variable-length integer (specification section 4).
    ///
    /// A value above [`varint::MAX`] is a defect of the caller; it is written as that maximum.
    pub fn varint(&mut self, value: u64) -> Result<(), Full> {
        debug_assert!(value <= varint::MAX, "no variable-length integer holds {value}");
        let value = value.min(varint::MAX);
        match varint::len(value) {
            1 => self.u8(value as u8),
            2 => self.u16(value as u16 | 0x4000),
            4 => self.u32(value as u32 | 0x8000_0000),
            _ => self.u64(value | 0xc000_0000_0000_0000),
        }
    }

    /// Writes the length of `bytes` as a variable-length integer and then `bytes`.
    pub fn length_prefixed(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let start = self.position;
        self.varint(bytes.len() as u64)?;
        self.bytes(bytes).inspect_err(|Full| self.position = start)
    }

    /// Replaces a byte that was written earlier; a position that was not reached yet changes nothing.
    pub fn replace_u8(&mut self, position: usize, value: u8) {
        if position < self.position
            && let Some(byte) = self.buffer.get_mut(position)
        {
            *byte = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_move_only_when_they_succeed() {
        let mut r = Reader::new(&[1, 2, 3, 0x03, 9, 9]);
        assert_eq!((r.u8(), r.u16()), (Ok(1), Ok(0x0203)));
        assert_eq!(r.u32(), Err(Truncated));
        assert_eq!(r.array::<4>(), Err(Truncated));
        assert_eq!(r.bytes(usize::MAX), Err(Truncated));
        assert_eq!(r.length_prefixed(), Err(Truncated));
        assert_eq!((r.position(), r.remaining(), r.peek_u8()), (3, 3, Some(3)));
        assert_eq!(r.bytes(1), Ok(&[3][..]));
        assert_eq!(r.rest(), [9, 9]);
        assert_eq!((r.position(), r.remaining(), r.is_empty(), r.peek_u8()), (6, 0, true, None));
        assert_eq!(r.u8(), Err(Truncated));
    }

    #[test]
    fn zeros_are_counted_up_to_something_else() {
        let mut r = Reader::new(&[0, 0, 5, 0]);
        assert_eq!((r.skip_zeros(), r.position()), (2, 2));
        assert_eq!((r.skip_zeros(), r.u8(), r.skip_zeros()), (0, Ok(5), 1));
        assert_eq!((r.skip_zeros(), r.is_empty()), (0, true));
    }

    #[test]
    fn writes_are_whole_or_nothing() {
        let mut buffer = [0xff; 8];
        let mut w = Writer::new(&mut buffer);
        w.u16(0x0102).unwrap();
        assert_eq!(w.u64(0), Err(Full));
        assert_eq!(w.bytes(&[0; 7]), Err(Full));
        assert_eq!(w.length_prefixed(&[0; 6]), Err(Full));
        assert_eq!(w.slot(usize::MAX).err(), Some(Full));
        assert_eq!((w.position(), w.remaining()), (2, 6));
        w.length_prefixed(&[7, 8]).unwrap();
        w.slot(1).unwrap().fill(9);
        w.zeros(2).unwrap();
        assert_eq!(w.written(), [1, 2, 2, 7, 8, 9, 0, 0]);
        assert_eq!(w.u8(0), Err(Full));
        w.truncate(100);
        assert_eq!(w.position(), 8);
        w.replace_u8(1, 0xaa);
        w.truncate(3);
        w.replace_u8(3, 0xbb);
        assert_eq!(w.written(), [1, 0xaa, 2]);
        assert_eq!(buffer, [1, 0xaa, 2, 7, 8, 9, 0, 0]);
    }
}

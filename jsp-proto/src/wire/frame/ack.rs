//! ACK and RECOVERED: lists of packet number ranges (specification sections 4.1 and 5.6).

use core::fmt;
use core::ops::RangeInclusive;

use super::error::Fault;
use super::types;
use crate::wire::cursor::{Full, Reader, Writer};
use crate::wire::varint;

/// The most ranges a sender puts into one frame (specification section 4.1).
pub const MAX_RANGES_SENT: usize = 32;

/// The most ranges a receiver looks at; further ones are ignored (specification section 4.1).
pub const MAX_RANGES_PARSED: usize = 64;

/// ECN counts of an ACK: packets received so far with each mark (specification section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EcnCounts {
    /// Packets marked ECT(0).
    pub ect0: u64,
    /// Packets marked ECT(1).
    pub ect1: u64,
    /// Packets marked as having met congestion.
    pub ce: u64,
}

impl EcnCounts {
    const fn encoded_len(&self) -> usize {
        varint::len(self.ect0) + varint::len(self.ect1) + varint::len(self.ce)
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(Self { ect0: r.varint()?, ect1: r.varint()?, ce: r.varint()? })
    }

    fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.varint(self.ect0)?;
        w.varint(self.ect1)?;
        w.varint(self.ce)
    }
}

/// An ACK or ACK_ECN frame (specification section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// How long the largest packet waited for this frame, in units of 8 microseconds.
    pub delay: u64,
    /// The acknowledged packets.
    pub ranges: AckRanges<'a>,
    /// The counts, if the receiver sees the marks.
    pub ecn: Option<EcnCounts>,
}

impl<'a> Ack<'a> {
    pub(super) fn decode(r: &mut Reader<'a>, with_ecn: bool) -> Result<Self, Fault> {
        let largest = r.varint()?;
        let delay = r.varint()?;
        let ranges = decode_ranges_below(largest, r)?;
        let ecn = if with_ecn { Some(EcnCounts::decode(r)?) } else { None };
        Ok(Self { delay, ranges, ecn })
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let written = write_ack_limited(w, self.delay, self.ranges.bounds(), self.ecn, MAX_RANGES_PARSED)?;
        self.ranges.all_written(written)
    }
}

/// Ranges of packet numbers, largest first, never empty (specification section 4.1).
///
/// They were checked when the frame was read: every number is between 0 and 2^62-1.
#[derive(Clone, Copy)]
pub struct AckRanges<'a> {
    largest: u64,
    first_smallest: u64,
    /// The encoded pairs of gap and length of the ranges after the first.
    pairs: &'a [u8],
}

impl<'a> AckRanges<'a> {
    /// One range alone.
    pub const fn single(range: RangeInclusive<u64>) -> Self {
        Self { largest: *range.end(), first_smallest: *range.start(), pairs: &[] }
    }

    /// The largest number of all ranges.
    pub const fn largest(&self) -> u64 {
        self.largest
    }

    /// The ranges from the largest to the smallest, at most [`MAX_RANGES_PARSED`] of them.
    pub fn iter(&self) -> RangeIter<'a> {
        RangeIter {
            next: Some((self.first_smallest, self.largest)),
            pairs: Reader::new(self.pairs),
            left: MAX_RANGES_PARSED,
        }
    }

    fn bounds(&self) -> impl Iterator<Item = (u64, u64)> + use<'a> {
        self.iter().map(|range| (*range.start(), *range.end()))
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.varint(self.largest)?;
        let written = write_ranges(w, self.bounds(), 0, MAX_RANGES_PARSED)?;
        self.all_written(written)
    }

    /// A frame that is written as a value keeps all of its ranges; only the writers for ranges in use may leave out some.
    fn all_written(&self, written: usize) -> Result<(), Full> {
        if written == self.iter().count() { Ok(()) } else { Err(Full) }
    }
}

impl PartialEq for AckRanges<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for AckRanges<'_> {}

impl fmt::Debug for AckRanges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Iterator over [`AckRanges`].
#[derive(Clone, Debug)]
pub struct RangeIter<'a> {
    next: Option<(u64, u64)>,
    pairs: Reader<'a>,
    left: usize,
}

impl Iterator for RangeIter<'_> {
    type Item = RangeInclusive<u64>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (smallest, largest) = self.next.take()?;
        // An error means the end here: whatever could be wrong was found when the frame was read.
        self.next = next_range(smallest, &mut self.pairs).ok();
        Some(smallest..=largest)
    }
}

/// Reads the range below the one that starts at `smallest` (RFC 9000 section 19.3.1).
fn next_range(smallest: u64, r: &mut Reader<'_>) -> Result<(u64, u64), Fault> {
    let gap = r.varint()?;
    let len = r.varint()?;
    // A gap of 0 stands for one missing number.
    let largest = smallest.checked_sub(gap).and_then(|n| n.checked_sub(2));
    let bounds = largest.and_then(|largest| Some((largest.checked_sub(len)?, largest)));
    bounds.ok_or(Fault::Invalid("packet number range below zero"))
}

/// Reads `largest, range_count, first_range, {gap, len}*`, the content of RECOVERED.
pub(super) fn decode_ranges<'a>(r: &mut Reader<'a>) -> Result<AckRanges<'a>, Fault> {
    let largest = r.varint()?;
    decode_ranges_below(largest, r)
}

fn decode_ranges_below<'a>(largest: u64, r: &mut Reader<'a>) -> Result<AckRanges<'a>, Fault> {
    let count = r.varint()?;
    let first_len = r.varint()?;
    let Some(first_smallest) = largest.checked_sub(first_len) else {
        return Err(Fault::Invalid("packet number range below zero"));
    };
    let mut ahead = r.clone();
    let mut smallest = first_smallest;
    // Each turn reads at least two bytes or fails, so the packet bounds the work and not `count`.
    for _ in 0..count {
        (smallest, _) = next_range(smallest, &mut ahead)?;
    }
    let pairs = r.bytes(ahead.position() - r.position())?;
    Ok(AckRanges { largest, first_smallest, pairs })
}

/// Writes an ACK, or ACK_ECN if there are counts, with as many ranges as fit, at most [`MAX_RANGES_SENT`].
///
/// `ranges` are (first, last) pairs, largest first, with at least one number missing between two of them. Returns how
/// many were written: at least one, or zero and no frame if there are none. `delay` is in units of 8 microseconds.
pub fn write_ack(
    w: &mut Writer<'_>,
    delay: u64,
    ranges: impl IntoIterator<Item = (u64, u64)>,
    ecn: Option<EcnCounts>,
) -> Result<usize, Full> {
    write_ack_limited(w, delay, ranges, ecn, MAX_RANGES_SENT)
}

fn write_ack_limited(
    w: &mut Writer<'_>,
    delay: u64,
    ranges: impl IntoIterator<Item = (u64, u64)>,
    ecn: Option<EcnCounts>,
    limit: usize,
) -> Result<usize, Full> {
    let mut ranges = ranges.into_iter().peekable();
    let Some((_, largest)) = ranges.peek().copied() else {
        return Ok(0);
    };
    all_or_nothing(w, |w| {
        w.varint(if ecn.is_some() { types::ACK_ECN } else { types::ACK })?;
        w.varint(largest)?;
        w.varint(delay)?;
        let reserve = ecn.as_ref().map_or(0, EcnCounts::encoded_len);
        let written = write_ranges(w, ranges, reserve, limit)?;
        if let Some(counts) = ecn {
            counts.encode(w)?;
        }
        Ok(written)
    })
}

/// Writes a RECOVERED frame with as many ranges as fit; `ranges` and the result are as for [`write_ack`].
pub fn write_recovered(w: &mut Writer<'_>, ranges: impl IntoIterator<Item = (u64, u64)>) -> Result<usize, Full> {
    let mut ranges = ranges.into_iter().peekable();
    let Some((_, largest)) = ranges.peek().copied() else {
        return Ok(0);
    };
    all_or_nothing(w, |w| {
        w.varint(types::RECOVERED)?;
        w.varint(largest)?;
        write_ranges(w, ranges, 0, MAX_RANGES_SENT)
    })
}

fn all_or_nothing<T>(w: &mut Writer<'_>, write: impl FnOnce(&mut Writer<'_>) -> Result<T, Full>) -> Result<T, Full> {
    let start = w.position();
    let result = write(w);
    if result.is_err() {
        w.truncate(start);
    }
    result
}

/// Writes `range_count, first_range, {gap, len}*` and leaves `reserve` bytes free.
fn write_ranges(
    w: &mut Writer<'_>,
    ranges: impl Iterator<Item = (u64, u64)>,
    reserve: usize,
    limit: usize,
) -> Result<usize, Full> {
    debug_assert!(limit <= 64, "the count is put in later and must stay one byte");
    let count_at = w.position();
    w.u8(0)?;
    let mut smallest = None;
    let mut written: u8 = 0;
    for (first, last) in ranges.take(limit) {
        debug_assert!(first <= last);
        let len = last.saturating_sub(first);
        match smallest {
            None => w.varint(len)?,
            Some(above) => {
                let Some(gap) = u64::checked_sub(above, last).and_then(|n| n.checked_sub(2)) else {
                    debug_assert!(false, "ranges must descend and not touch");
                    break;
                };
                if w.remaining() < reserve + varint::len(gap) + varint::len(len) {
                    break;
                }
                w.varint(gap)?;
                w.varint(len)?;
            }
        }
        smallest = Some(first);
        written += 1;
    }
    if w.remaining() < reserve {
        return Err(Full);
    }
    w.replace_u8(count_at, written.saturating_sub(1));
    Ok(usize::from(written))
}

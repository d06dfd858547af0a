//! What has arrived of a message stream: ordered segments of bytes with the message boundaries between them.
//!
//! A segment is *live* (bytes of one message that may still be delivered) or *done* (consumed or dead). Neighbours are
//! merged unless a message boundary lies between them, so a live segment never holds bytes of two messages. Below
//! `base` everything is done. Memory follows the number of segments, never the number of bytes.

use alloc::collections::VecDeque;

/// Bytes `start..end` of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    start: u64,
    end: u64,
    /// A message begins at `start`.
    bom: bool,
    /// The message that begins at `start` is compressed.
    packed: bool,
    /// A message ends at `end`. On a done segment `false` means unknown.
    eom: bool,
    done: bool,
}

impl Segment {
    fn len(&self) -> u64 {
        self.end - self.start
    }

    fn is_complete(&self) -> bool {
        !self.done && self.bom && self.eom
    }

    fn is_partial(&self) -> bool {
        !self.done && self.bom && !self.eom
    }
}

/// What one MSG frame carries, without the bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) bom: bool,
    /// The message that begins here is compressed. Means nothing without `bom`.
    pub(super) packed: bool,
    pub(super) eom: bool,
}

/// A complete message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Complete {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) packed: bool,
}

/// How a peer broke the rules of boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// A byte after the end of a message does not begin one.
    MissingStart,
    /// More bytes without a boundary than a message may have.
    TooLarge,
}

/// The bounds that apply to one arriving frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) gaps: u64,
    pub(super) marks: u64,
    /// Partial messages that may still be opened on the connection.
    pub(super) partial: u64,
}

#[derive(Debug)]
pub(super) struct Segments {
    list: VecDeque<Segment>,
    base: u64,
    /// A message ends at `base`, so the next byte must begin one.
    base_eom: bool,
    ordered: bool,
    /// Done bytes above `base`.
    overhang: u64,
    gaps: u64,
    partial: u64,
    /// Unordered only: where complete messages start, in the order in which they became complete.
    ready: VecDeque<u64>,
}

impl Segments {
    pub(super) fn new(ordered: bool) -> Self {
        Self {
            list: VecDeque::new(),
            base: 0,
            base_eom: true,
            ordered,
            overhang: 0,
            gaps: 0,
            partial: 0,
            ready: VecDeque::new(),
        }
    }

    /// Everything below is done.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// The end of the highest segment.
    pub(super) fn top(&self) -> u64 {
        self.list.back().map_or(self.base, |segment| segment.end)
    }

    pub(super) fn overhang(&self) -> u64 {
        self.overhang
    }

    /// Messages whose start has arrived and whose end, or something between, has not.
    pub(super) fn partial(&self) -> u64 {
        self.partial
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.list.capacity() * size_of::<Segment>() + self.ready.capacity() * size_of::<u64>()
    }

    /// Whether the frame fits the bounds. Does not change anything.
    ///
    /// Whatever the bounds, a frame that touches the low edge of the lowest gap is taken, and so is one without which
    /// there would be nothing to read and nothing to wait for.
    pub(super) fn admits(&self, piece: Piece, bounds: Bounds) -> bool {
        let start = piece.start.max(self.base);
        piece.end <= start || self.within(start, piece, bounds) || self.fills_lowest_gap(start)
    }

    fn within(&self, start: u64, piece: Piece, bounds: Bounds) -> bool {
        let appends = start == self.top();
        let opens_partial = piece.bom && !piece.eom && self.covering(start).is_none();
        if opens_partial && bounds.partial == 0 && !(appends && self.list.is_empty()) {
            return false;
        }
        if self.list.len() as u64 >= bounds.marks && self.next().is_some() {
            return false;
        }
        appends || self.gaps < bounds.gaps || self.touches(start, piece.end)
    }

    fn fills_lowest_gap(&self, start: u64) -> bool {
        let mut edge = self.base;
        for segment in &self.list {
            if segment.start > edge {
                return start <= edge;
            }
            edge = segment.end;
        }
        false
    }

    fn first_ending_after(&self, offset: u64) -> usize {
        match self.list.back() {
            Some(last) if last.end <= offset => self.list.len(),
            _ => self.list.partition_point(|segment| segment.end <= offset),
        }
    }

    fn covering(&self, offset: u64) -> Option<Segment> {
        self.list.get(self.first_ending_after(offset)).filter(|segment| segment.start <= offset).copied()
    }

    /// Whether the range overlaps or touches a segment, so that it adds no gap.
    fn touches(&self, start: u64, end: u64) -> bool {
        let index = self.first_ending_after(start);
        self.list.get(index).is_some_and(|segment| segment.start <= end)
            || index.checked_sub(1).and_then(|index| self.list.get(index)).map_or(self.base, |before| before.end)
                == start
    }

    /// Notes what a frame carries. Bytes that were there already keep their segment.
    pub(super) fn insert(&mut self, piece: Piece, max_message: u64) -> Result<(), Broken> {
        let start = piece.start.max(self.base);
        let bom = piece.bom && start == piece.start;
        let mut at = start;
        while at < piece.end {
            let index = self.first_ending_after(at);
            let next = self.list.get(index).copied();
            if let Some(next) = next.filter(|next| next.start <= at) {
                at = next.end;
                continue;
            }
            let end = next.map_or(piece.end, |next| next.start.min(piece.end));
            let eom = piece.eom && end == piece.end;
            let bom = bom && at == start;
            let new = Segment { start: at, end, bom, packed: bom && piece.packed, eom, done: false };
            self.place(index, new);
            self.settle(index)?;
            // What was done above may have followed at once.
            at = end.max(self.base);
        }
        match self.covering(start) {
            Some(segment) if !segment.done && segment.len() > max_message => Err(Broken::TooLarge),
            _ => Ok(()),
        }
    }

    /// Bytes below `limit` that are not here will never come. `limit` is a boundary of messages: a message that reaches
    /// it unfinished was given up there.
    pub(super) fn skip(&mut self, limit: u64) -> Result<(), Broken> {
        let mut at = self.base;
        while at < limit {
            let index = self.first_ending_after(at);
            let next = self.list.get(index).copied();
            if let Some(next) = next.filter(|next| next.start <= at) {
                at = next.end;
                continue;
            }
            let end = next.map_or(limit, |next| next.start.min(limit));
            self.place(index, Segment { start: at, end, bom: false, packed: false, eom: false, done: true });
            self.settle(index)?;
            // What was done above may have followed at once.
            at = end.max(self.base);
        }
        self.cut_off(limit)
    }

    /// No message goes on across `limit`.
    fn cut_off(&mut self, limit: u64) -> Result<(), Broken> {
        let Some(last) = limit.checked_sub(1) else { return Ok(()) };
        let index = self.first_ending_after(last);
        let reaches = |segment: &&Segment| segment.end == limit && !segment.done && !segment.eom;
        if self.list.get(index).filter(reaches).is_some() {
            self.finish(index);
            self.settle(index)?;
        }
        Ok(())
    }

    /// The stream ends at `end`: drops what lies above, and the unfinished message that reaches it.
    pub(super) fn end_at(&mut self, end: u64) -> Result<(), Broken> {
        while let Some(last) = self.list.back().copied().filter(|last| last.end > end) {
            self.forget(last);
            self.list.pop_back();
            let below = self.top();
            if last.start > below {
                self.gaps = self.gaps.saturating_sub(1);
            }
            if last.start < end {
                // What is left of a message that reaches above the end can never be complete.
                let index = self.list.len();
                self.place(index, Segment { end, eom: false, done: true, ..last });
                self.settle(index)?;
                break;
            }
        }
        let list = &self.list;
        self.ready.retain(|&start| {
            list.binary_search_by_key(&start, |segment| segment.start)
                .is_ok_and(|index| list.get(index).is_some_and(Segment::is_complete))
        });
        self.seal(end)
    }

    /// The byte at `end` will never come: an unfinished message that reaches it is dead.
    pub(super) fn seal(&mut self, end: u64) -> Result<(), Broken> {
        if self.top() == end { self.cut_off(end) } else { Ok(()) }
    }

    /// The next message to deliver.
    pub(super) fn next(&self) -> Option<Complete> {
        let segment = if self.ordered {
            *self.list.front().filter(|first| first.start == self.base && first.is_complete())?
        } else {
            self.covering(*self.ready.front()?)?
        };
        let Segment { start, end, packed, .. } = segment;
        Some(Complete { start, end, packed })
    }

    /// The message that `next` names was consumed.
    pub(super) fn consume_next(&mut self) -> Result<(), Broken> {
        let Some(Complete { start, .. }) = self.next() else { return Ok(()) };
        self.ready.pop_front();
        let index = self.first_ending_after(start);
        self.finish(index);
        self.settle(index)
    }

    /// Forgets all segments; everything below `base` is done.
    pub(super) fn clear(&mut self, base: u64) {
        *self = Self { base, ..Self::new(self.ordered) };
    }

    fn count(&mut self, segment: Segment) {
        self.partial += u64::from(segment.is_partial());
        if segment.done {
            self.overhang += segment.len();
        }
        if segment.is_complete() && !self.ordered {
            self.ready.push_back(segment.start);
        }
    }

    fn forget(&mut self, segment: Segment) {
        self.partial = self.partial.saturating_sub(u64::from(segment.is_partial()));
        if segment.done {
            self.overhang = self.overhang.saturating_sub(segment.len());
        }
    }

    /// Puts a new segment between its neighbours.
    fn place(&mut self, index: usize, segment: Segment) {
        let before = index.checked_sub(1).and_then(|index| self.list.get(index)).map_or(self.base, |before| before.end);
        let after = self.list.get(index).map(|after| after.start);
        let old = after.is_some_and(|after| after > before);
        let low = segment.start > before;
        let high = after.is_some_and(|after| after > segment.end);
        self.gaps = (self.gaps + u64::from(low) + u64::from(high)).saturating_sub(u64::from(old));
        self.list.insert(index, segment);
        self.count(segment);
    }

    fn finish(&mut self, index: usize) {
        let Some(segment) = self.list.get_mut(index) else { return };
        let old = *segment;
        segment.done = true;
        let new = *segment;
        self.forget(old);
        self.count(new);
    }

    /// Applies the rules of boundaries around a segment that changed, as far as they reach.
    fn settle(&mut self, mut index: usize) -> Result<(), Broken> {
        loop {
            if self.boundary(index + 1)? {
                continue;
            }
            if !self.boundary(index)? {
                return Ok(());
            }
            index = index.saturating_sub(1);
        }
    }

    /// Applies the rule of the boundary below segment `index`; true if something changed.
    fn boundary(&mut self, index: usize) -> Result<bool, Broken> {
        let Some(right) = self.list.get(index).copied() else { return Ok(false) };
        let Some(left_index) = index.checked_sub(1) else { return self.boundary_at_base(right) };
        let Some(left) = self.list.get(left_index).copied() else { return Ok(false) };
        if left.end != right.start {
            return Ok(false);
        }
        match (left.done, right.done) {
            (true, true) => self.merge(left_index, left, right),
            (false, false) if left.eom && !right.bom => return Err(Broken::MissingStart),
            (true, false) if !right.bom => {
                if left.eom {
                    return Err(Broken::MissingStart);
                }
                self.finish(index);
            }
            (false, false) if !left.eom && !right.bom => self.merge(left_index, left, right),
            // The message on the left was abandoned.
            (false, _) if !left.eom => self.finish(left_index),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn boundary_at_base(&mut self, first: Segment) -> Result<bool, Broken> {
        if first.start != self.base {
            return Ok(false);
        }
        if first.done {
            self.forget(first);
            self.list.pop_front();
            self.base = first.end;
            self.base_eom = first.eom;
            return Ok(true);
        }
        if first.bom {
            return Ok(false);
        }
        if self.base_eom {
            return Err(Broken::MissingStart);
        }
        self.finish(0);
        Ok(true)
    }

    fn merge(&mut self, left_index: usize, left: Segment, right: Segment) {
        self.forget(left);
        self.forget(right);
        let merged = Segment { end: right.end, eom: right.eom, ..left };
        self.list.remove(left_index + 1);
        if let Some(slot) = self.list.get_mut(left_index) {
            *slot = merged;
        }
        self.count(merged);
    }
}

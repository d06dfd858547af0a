//! The receiving half of a stream: what arrived, what may be read, and what credit that gives back.
//!
//! Bytes are copied once, from the packet into the stream's ring, so a packet is never kept alive by a stream. How
//! much a peer can make this side hold is bounded by the windows (bytes), and by [`RecvHalf::admits`] (gaps, message
//! marks, partial messages).

mod blocks;
mod read;
mod segments;

use alloc::boxed::Box;

use super::flow::{Pressure, RecvPool, Window};
use super::limits::{BYTES_PER_GAP, BYTES_PER_MARK, MAX_GAPS, MIN_MARKS, MIN_PARTIAL};
use super::ring::Ring;
use super::state::{RecvEvent, RecvState};
use crate::error::{AppCode, TransportError, Violation};
use crate::ranges::RangeSet;
use crate::wire::StreamKind;
use blocks::Blocks;
pub(super) use read::Found;
use segments::{Bounds, Broken, Complete, Piece, Segments};

/// Where one frame's bytes go, and what its flags say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    pub(super) offset: u64,
    pub(super) data: &'a [u8],
    /// STREAM: the stream ends here.
    pub(super) fin: bool,
    /// MSG: a message begins here.
    pub(super) bom: bool,
    /// MSG: the message that begins here is compressed.
    pub(super) packed: bool,
    /// MSG: a message ends here.
    pub(super) eom: bool,
}

impl Arrival<'_> {
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.data.len() as u64)
    }

    /// The part up to `end`.
    fn piece(&self, end: u64, eom: bool) -> Piece {
        Piece { start: self.offset, end, bom: self.bom, packed: self.packed, eom }
    }
}

/// How the end of the stream was announced.
#[derive(Clone, Copy, Debug)]
struct End {
    final_size: u64,
    /// Bytes from here on were given up by the sender.
    promised: u64,
    /// `None` for an orderly end.
    code: Option<AppCode>,
}

#[derive(Debug)]
enum Body {
    /// `received` is what arrived above `base`, the read position; `blocks` if it is block-encoded.
    Bytes {
        base: u64,
        received: RangeSet,
        blocks: Option<Box<Blocks>>,
    },
    Messages(Box<Segments>),
}

/// This half's share of the connection's accounts, kept so that it can be corrected by differences.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    released: u64,
    overhang: u64,
    partial: u64,
    held: u64,
}

#[derive(Debug)]
pub(super) struct RecvHalf {
    state: RecvState,
    stopped: bool,
    /// MAX_STREAM_DATA is to be sent.
    pub(super) update_due: bool,
    ring: Ring,
    body: Body,
    window: Window,
    highest: u64,
    share: Share,
    end: Option<End>,
}

impl From<Broken> for Violation {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::MissingStart => Self::new(TransportError::PROTOCOL_VIOLATION, "no message start after an end"),
            Broken::TooLarge => Self::new(TransportError::MESSAGE_TOO_LARGE, "message above the maximum"),
        }
    }
}

impl RecvHalf {
    pub(super) fn new(kind: StreamKind, window: Window) -> Self {
        let body = match kind {
            StreamKind::Bytes => Body::Bytes { base: 0, received: RangeSet::new(), blocks: None },
            StreamKind::Blocks => Body::Bytes { base: 0, received: RangeSet::new(), blocks: Some(Box::default()) },
            StreamKind::Ordered => Body::Messages(Box::new(Segments::new(true))),
            StreamKind::Unordered => Body::Messages(Box::new(Segments::new(false))),
        };
        Self {
            state: RecvState::Open,
            stopped: false,
            update_due: false,
            ring: Ring::default(),
            body,
            window,
            highest: 0,
            share: Share::default(),
            end: None,
        }
    }

    pub(super) fn state(&self) -> RecvState {
        self.state
    }

    /// The sender gave up a part of the stream.
    pub(super) fn was_reset(&self) -> bool {
        self.end.is_some_and(|end| end.code.is_some())
    }

    /// The code of the reset that ended the stream, once nothing is left to read.
    pub(super) fn reset_code(&self) -> Option<AppCode> {
        self.end.filter(|_| self.state == RecvState::Ended)?.code
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> u64 {
        let body = match &self.body {
            Body::Bytes { received, blocks, .. } => {
                received.memory() + blocks.as_ref().map_or(0, |blocks| blocks.memory() as usize)
            }
            Body::Messages(segments) => segments.memory() + size_of::<Segments>(),
        };
        self.ring.capacity() + body as u64
    }

    /// The limit to announce, unless the peer needs none any more.
    pub(super) fn limit_to_send(&self) -> Option<u64> {
        (self.state == RecvState::Open).then(|| self.window.granted())
    }

    /// Everything below is consumed or dead.
    fn base(&self) -> u64 {
        match &self.body {
            Body::Bytes { base, .. } => *base,
            Body::Messages(segments) => segments.base(),
        }
    }

    /// Above this nothing has arrived.
    fn top(&self) -> u64 {
        match &self.body {
            Body::Bytes { base, received, .. } => received.last().map_or(*base, |last| last.end),
            Body::Messages(segments) => segments.top(),
        }
    }

    /// Whether the bounds on gaps, marks and partial messages leave room for the frame (rows 25 to 27).
    pub(super) fn admits(&self, pool: &RecvPool, arrival: &Arrival<'_>) -> bool {
        if !self.state.keeps_data() {
            return true;
        }
        let end = arrival.end();
        match &self.body {
            Body::Bytes { base, received, .. } => {
                let start = arrival.offset.max(*base);
                let gaps = MAX_GAPS.max(self.window.size() / BYTES_PER_GAP);
                if end <= start || (received.len_with(start..end) as u64) <= gaps {
                    return true;
                }
                let low_edge = received.first().filter(|first| first.start == *base).map_or(*base, |first| first.end);
                start <= low_edge
            }
            Body::Messages(segments) => {
                let size = self.window.size();
                let bounds = Bounds {
                    gaps: MAX_GAPS.max(size / BYTES_PER_GAP),
                    marks: MIN_MARKS.max(size / BYTES_PER_MARK),
                    partial: MIN_PARTIAL.max(pool.window.size() / BYTES_PER_GAP).saturating_sub(pool.partial),
                };
                segments.admits(arrival.piece(end, arrival.eom), bounds)
            }
        }
    }

    /// Takes the data of a STREAM or MSG frame.
    pub(super) fn on_data(&mut self, pool: &mut RecvPool, arrival: Arrival<'_>) -> Result<(), Violation> {
        let end = arrival.end();
        let wrong = match self.end {
            Some(known) => end > known.final_size || (arrival.fin && end != known.final_size),
            None => arrival.fin && end < self.highest,
        };
        if wrong {
            return Err(Violation::new(TransportError::FINAL_SIZE, "final size changed or exceeded"));
        }
        self.raise_highest(pool, end)?;
        if self.state.keeps_data() {
            self.store(pool.max_message, arrival)?;
        }
        if arrival.fin && self.end.is_none() {
            self.end = Some(End { final_size: end, promised: end, code: None });
            self.state.advance(RecvEvent::SizeKnown);
        }
        self.account(pool);
        Ok(())
    }

    /// Flow control counts by the highest offset.
    fn raise_highest(&mut self, pool: &mut RecvPool, end: u64) -> Result<(), Violation> {
        let more = end.saturating_sub(self.highest);
        if more == 0 {
            return Ok(());
        }
        if end > self.window.granted() {
            return Err(Violation::new(TransportError::FLOW_CONTROL, "stream limit exceeded"));
        }
        if pool.received.saturating_add(more) > pool.window.granted() {
            return Err(Violation::new(TransportError::FLOW_CONTROL, "connection limit exceeded"));
        }
        pool.received += more;
        if let Some(rate) = &mut pool.rate {
            rate.on_bytes(pool.climate.now, more);
        }
        self.highest = end;
        self.window.touch(pool.climate.now);
        pool.window.touch(pool.climate.now);
        Ok(())
    }

    fn store(&mut self, max_message: u64, arrival: Arrival<'_>) -> Result<(), Violation> {
        let promised = self.end.map_or(u64::MAX, |end| end.promised);
        let base = self.base();
        let start = arrival.offset.max(base);
        let end = arrival.end().min(promised);
        if end <= start {
            return Ok(());
        }
        let known_below = (start - arrival.offset) as usize;
        let Some(data) = arrival.data.get(known_below..(end - arrival.offset) as usize) else { return Ok(()) };
        self.ring.reserve(base..self.top(), end);
        self.ring.write(start, data);
        match &mut self.body {
            Body::Bytes { received, .. } => {
                received.insert(start..end);
            }
            Body::Messages(segments) => {
                let eom = arrival.eom && end == arrival.end();
                segments.insert(arrival.piece(end, eom), max_message)?;
                segments.seal(promised)?;
            }
        }
        Ok(())
    }

    /// RESET_STREAM; true if it changed anything. On a message stream a reset with code 0 that promises everything is
    /// the orderly end. The size alone would not do: a stream that is given up before anything was sent has none.
    pub(super) fn on_reset(
        &mut self,
        pool: &mut RecvPool,
        code: AppCode,
        final_size: u64,
        reliable_size: u64,
    ) -> Result<bool, Violation> {
        let known = self.end;
        if known.map_or(final_size < self.highest, |end| end.final_size != final_size) {
            return Err(Violation::new(TransportError::FINAL_SIZE, "final size changed or exceeded"));
        }
        self.raise_highest(pool, final_size)?;
        if matches!(self.state, RecvState::Ended | RecvState::Done)
            || known.is_some_and(|end| reliable_size >= end.promised)
        {
            return Ok(false);
        }
        let complete = reliable_size == final_size && code == AppCode::ZERO;
        let orderly = complete && matches!(self.body, Body::Messages(_));
        let promised = reliable_size.max(self.base());
        self.end = Some(End { final_size, promised, code: (!orderly).then_some(code) });
        if self.state.keeps_data() {
            match &mut self.body {
                Body::Bytes { received, .. } => {
                    received.remove(promised..u64::MAX);
                }
                Body::Messages(segments) => segments.end_at(promised)?,
            }
        }
        self.state.advance(RecvEvent::SizeKnown);
        self.account(pool);
        Ok(true)
    }

    /// SKIP on a stream of messages (specification section 4.5). It counts as data up to `offset`.
    pub(super) fn on_skip(&mut self, pool: &mut RecvPool, offset: u64) -> Result<(), Violation> {
        if self.end.is_some_and(|end| offset > end.final_size) {
            return Err(Violation::new(TransportError::FINAL_SIZE, "skip beyond the final size"));
        }
        self.raise_highest(pool, offset)?;
        let promised = self.end.map_or(u64::MAX, |end| end.promised);
        if self.state.keeps_data()
            && let Body::Messages(segments) = &mut self.body
        {
            segments.skip(offset.min(promised))?;
            segments.seal(promised)?;
        }
        self.account(pool);
        Ok(())
    }

    /// Whether [`cool`](Self::cool) is to be called in a while.
    pub(super) fn is_warm(&self) -> bool {
        self.ring.is_large()
    }

    /// Gives back the memory of a ring that rests.
    pub(super) fn cool(&mut self, pool: &mut RecvPool) {
        let before = self.ring.capacity();
        self.ring.cool(self.top() == self.base());
        let freed = before - self.ring.capacity();
        pool.held = pool.held.saturating_sub(freed);
        self.share.held = self.share.held.saturating_sub(freed);
    }

    /// Brings state, memory and the connection's accounts in line after a change, and grants credit when it is time.
    pub(super) fn account(&mut self, pool: &mut RecvPool) {
        self.skip_padding();
        if self.state == RecvState::Sized && self.end.is_some_and(|end| self.is_drained(end)) {
            self.state.advance(RecvEvent::Drained);
        }
        let new = if self.state.keeps_data() {
            self.live_share(pool.climate.pressure > Pressure::None)
        } else {
            self.final_share()
        };
        let old = core::mem::replace(&mut self.share, new);
        pool.released += new.released.saturating_sub(old.released);
        pool.overhang = (pool.overhang + new.overhang).saturating_sub(old.overhang);
        pool.partial = (pool.partial + new.partial).saturating_sub(old.partial);
        pool.held = (pool.held + new.held).saturating_sub(old.held);
        if self.state == RecvState::Open {
            let before = self.window.size();
            self.update_due |= self.window.update(new.released, new.overhang, pool.climate);
            if self.window.size() > before {
                pool.keep_ahead_of(self.window.size());
            }
        }
        pool.update();
    }

    /// Nothing is left to be read. A regular end inside a block is no end: reading tells that it is corrupt.
    fn is_drained(&self, end: End) -> bool {
        let inside = matches!(&self.body, Body::Bytes { blocks: Some(blocks), .. } if blocks.is_inside());
        self.base() >= end.promised && !(inside && end.code.is_none())
    }

    fn live_share(&mut self, pressed: bool) -> Share {
        let given_up = self.end.map_or(0, |end| end.final_size - end.promised);
        let (base, overhang, partial, open) = match &self.body {
            Body::Bytes { base, blocks, .. } => (*base, 0, 0, blocks.as_ref().map_or(0, |blocks| blocks.memory())),
            Body::Messages(segments) => (segments.base(), segments.overhang(), segments.partial(), 0),
        };
        if pressed && self.ring.is_large() && self.top() == base {
            self.ring.free();
        }
        Share { released: base + overhang + given_up, overhang, partial, held: self.ring.capacity() + open }
    }

    /// Nothing is kept any more: all that arrived, or all there is, counts as released.
    fn final_share(&mut self) -> Share {
        let released = self.end.map_or(self.highest, |end| end.final_size);
        self.ring.free();
        match &mut self.body {
            Body::Bytes { base, received, blocks } => {
                *base = released;
                *received = RangeSet::new();
                if let Some(blocks) = blocks {
                    **blocks = Blocks::default();
                }
            }
            Body::Messages(segments) => segments.clear(released),
        }
        Share { released, ..Share::default() }
    }
}

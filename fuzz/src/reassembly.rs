//! Pieces of streams in any order, with overlaps and gaps, against a model that keeps a flag per byte.

use jsp_proto::internals::wire::frame::{Msg, Stream};
use jsp_proto::internals::wire::{Frame, StreamKind};
use jsp_proto::{DropReason, Recv, RecvMessage, Side, StreamId};

use crate::input::Input;
use crate::sealed::Sealed;

/// The most bytes of a stream: within the window.
const MOST: usize = 40_000;

/// What was sent of one stream, and what was read.
struct Model {
    sid: StreamId,
    content: Vec<u8>,
    arrived: Vec<bool>,
    /// Where the messages end. One entry for bytes.
    ends: Vec<usize>,
    /// Messages that were read, in the order in which they came; bytes as one message.
    read: Vec<Vec<u8>>,
    /// Nothing below is waited for.
    skipped: usize,
    fin: bool,
    over: bool,
}

impl Model {
    fn new(input: &mut Input<'_>) -> Self {
        let kind = [StreamKind::Bytes, StreamKind::Ordered, StreamKind::Unordered][input.below(3)];
        let sid = StreamId::new(0, kind, input.flag(), Side::Client);
        let mut ends = Vec::new();
        let mut end = 0;
        for _ in 0..if kind.has_messages() { input.below(20) + 1 } else { 1 } {
            end += input.below(4000) + 1;
            if !kind.has_messages() {
                end += input.below(36_000);
            }
            if end <= MOST {
                ends.push(end);
            }
        }
        let len = ends.last().copied().unwrap_or_default();
        let content = (0..len).map(|at| ((at * 31) ^ (at >> 8) ^ (at >> 3)) as u8).collect();
        Self { sid, content, arrived: vec![false; len], ends, read: Vec::new(), skipped: 0, fin: false, over: false }
    }

    fn messages(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(self.ends.iter().copied())
    }

    /// The frames for a part of the stream: one per message that it touches.
    fn frames(&self, start: usize, end: usize) -> Vec<Frame<'_>> {
        let mut frames = Vec::new();
        for (first, last) in self.messages() {
            let (from, to) = (start.max(first), end.min(last));
            if from >= to {
                continue;
            }
            let (sid, offset, data) = (self.sid, from as u64, &self.content[from..to]);
            frames.push(if self.sid.kind().has_messages() {
                Frame::Msg(Msg { sid, offset, bom: from == first, eom: to == last, compressed: false, data })
            } else {
                Frame::Stream(Stream { sid, offset, fin: false, data })
            });
        }
        frames
    }

    /// The messages that must have come out by now; of bytes, all up to the first gap.
    fn expected(&self) -> Vec<Vec<u8>> {
        let complete = |first: usize, last: usize| self.arrived[first..last].iter().all(|arrived| *arrived);
        match self.sid.kind() {
            StreamKind::Unordered => {
                let messages = self.messages().filter(|(first, last)| complete(*first, *last));
                messages.map(|(first, last)| self.content[first..last].to_vec()).collect()
            }
            StreamKind::Ordered => {
                let mut messages = Vec::new();
                for (first, last) in self.messages() {
                    if complete(first, last) {
                        messages.push(self.content[first..last].to_vec());
                    } else if last > self.skipped {
                        break;
                    }
                }
                messages
            }
            _ => {
                let prefix = self.arrived.iter().take_while(|arrived| **arrived).count();
                vec![self.content[..prefix].to_vec()]
            }
        }
    }

    fn send(&mut self, sealed: &mut Sealed, start: usize, len: usize) {
        let end = start.saturating_add(len).min(self.content.len());
        let refused = sealed.endpoint.stats().dropped(DropReason::Refused);
        let frames = self.frames(start, end);
        if frames.is_empty() {
            return;
        }
        sealed.send(&frames);
        let refusals = sealed.endpoint.stats().dropped(DropReason::Refused) - refused;
        // What was given up stays given up, although it may come all the same.
        if refusals == 0 {
            for at in start.max(self.skipped)..end {
                self.arrived[at] = true;
            }
        }
    }

    /// Gives up what is missing in front of a message.
    fn skip(&mut self, sealed: &mut Sealed, message: usize) {
        let Some((offset, _)) = self.messages().nth(message) else { return };
        sealed.send(&[Frame::Skip { sid: self.sid, offset: offset as u64 }]);
        self.skipped = self.skipped.max(offset);
    }

    fn finish(&mut self, sealed: &mut Sealed) {
        let (sid, offset) = (self.sid, self.content.len() as u64);
        if !sid.kind().has_messages() {
            sealed.send(&[Frame::Stream(Stream { sid, offset, fin: true, data: &[] })]);
            self.fin = true;
        }
    }

    fn read(&mut self, sealed: &mut Sealed, mut most: usize, size: usize) {
        let Some(mut conn) = sealed.conn() else { return };
        let mut buffer = vec![0; size.max(1)];
        while most > 0 && !self.over {
            most -= 1;
            if self.sid.kind().has_messages() {
                let mut message = Vec::new();
                match conn.recv_message(self.sid, &mut message) {
                    Ok(RecvMessage::Message(len)) => {
                        assert_eq!(len, message.len());
                        self.read.push(message);
                    }
                    Ok(RecvMessage::Blocked) | Err(_) => break,
                    Ok(end) => panic!("{end:?}"),
                }
                continue;
            }
            match conn.recv(self.sid, &mut buffer) {
                Ok(Recv::Data(len)) => {
                    self.read.resize(1, Vec::new());
                    self.read[0].extend_from_slice(&buffer[..len]);
                }
                Ok(Recv::Finished) => self.over = true,
                Ok(Recv::Blocked) | Err(_) => break,
                Ok(end) => panic!("{end:?}"),
            }
        }
        sealed.drain();
    }

    /// What was read is what the model says, no more and no less.
    fn check(&mut self) {
        let mut expected = self.expected();
        expected.retain(|message| !message.is_empty());
        if self.sid.kind() == StreamKind::Unordered {
            expected.sort();
            self.read.sort();
        }
        if self.read != expected {
            let lengths = |messages: &[Vec<u8>]| messages.iter().map(Vec::len).collect::<Vec<_>>();
            panic!("read {:?} instead of {:?} on {:?}", lengths(&self.read), lengths(&expected), self.sid);
        }
        assert!(!self.over || (self.fin && expected.concat() == self.content));
    }
}

/// Sends pieces as the input says, and reads now and then.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut sealed = Sealed::new(Side::Server);
    let mut model = Model::new(&mut input);
    for _ in 0..200 {
        if input.is_empty() || model.content.is_empty() {
            break;
        }
        let len = model.content.len();
        match input.below(16) {
            0 => model.read(&mut sealed, input.below(8), 1000),
            1 => model.read(&mut sealed, 1, input.below(5000)),
            2 => sealed.pass_round_trip(),
            3 => model.finish(&mut sealed),
            4 if model.sid.kind().has_messages() => model.skip(&mut sealed, input.below(20)),
            5 => model.send(&mut sealed, input.below(len), 1),
            6 => model.send(&mut sealed, input.below(len), 8000),
            _ => model.send(&mut sealed, input.below(len), input.below(1300) + 1),
        }
        assert!(sealed.is_open(), "{:?}", sealed.end);
        sealed.check_bounds();
    }
    model.read(&mut sealed, usize::MAX, 4096);
    if !model.content.is_empty() {
        model.check();
    }
    sealed.finish();
}

//! Acknowledgements of every kind while the endpoint sends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jsp_proto::internals::wire::frame::{Ack, AckRanges, EcnCounts, write_ack};
use jsp_proto::internals::wire::{Frame, Reader, Writer};
use jsp_proto::{Event, MessageOptions, Outcome, SendError, Side, StreamId, StreamOptions, TransportError};

use crate::input::Input;
use crate::make;
use crate::sealed::Sealed;

/// What the peer knows of what the endpoint sent.
#[derive(Default)]
struct Model {
    /// How many of the endpoint's packets were looked at.
    seen: usize,
    sent: BTreeSet<u64>,
    /// The peer said that it has these, or that it can repair them.
    told: BTreeSet<u64>,
    /// Which bytes of the stream of messages each packet carries.
    carries: BTreeMap<u64, Vec<(u64, u64)>>,
    /// Where the tracked messages lie in the stream.
    messages: Vec<(u64, u64)>,
    events: usize,
}

impl Model {
    fn follow(&mut self, sealed: &Sealed, stream: StreamId) {
        for (pn, payload) in &sealed.packets[self.seen..] {
            assert!(self.sent.insert(*pn), "packet {pn} again");
            let mut r = Reader::new(payload);
            while let Ok(frame) = Frame::decode(&mut r) {
                if let Frame::Msg(msg) = frame
                    && msg.sid == stream
                {
                    let part = (msg.offset, msg.offset + msg.data.len() as u64);
                    self.carries.entry(*pn).or_default().push(part);
                }
            }
        }
        self.seen = sealed.packets.len();
    }

    fn is_told(&self, (mut start, end): (u64, u64)) -> bool {
        let mut parts: Vec<_> = self.told.iter().filter_map(|pn| self.carries.get(pn)).flatten().collect();
        parts.sort_unstable();
        for (from, to) in parts {
            if *from <= start {
                start = start.max(*to);
            }
        }
        start >= end
    }

    /// A message counts as delivered only if the peer said so of each of its bytes.
    fn check(&mut self, sealed: &Sealed) {
        for event in &sealed.events[self.events..] {
            if let Event::MessageOutcome { id, outcome: Outcome::Acked, .. } = event {
                let place = self.messages[id.get() as usize];
                assert!(self.is_told(place), "message {} was not acknowledged", id.get());
            }
        }
        self.events = sealed.events.len();
    }
}

/// Plays the input's script.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut sealed = Sealed::new(if input.flag() { Side::Server } else { Side::Client });
    let Ok(stream) = sealed.conn().expect("open").open(StreamOptions::ordered_messages()) else { return };
    let mut model = Model::default();
    model.follow(&sealed, stream);
    for _ in 0..128 {
        if input.is_empty() || !sealed.is_open() {
            break;
        }
        step(&mut sealed, &mut model, stream, &mut input);
        model.follow(&sealed, stream);
        model.check(&sealed);
        let Some(conn) = sealed.conn() else { break };
        let stats = conn.stats();
        assert!(stats.bytes_in_flight <= stats.bytes_sent && stats.packets_lost <= stats.packets_sent);
        assert!(stats.packets_lost_spuriously <= stats.packets_lost);
        assert!(stats.congestion_window > 0 && stats.pacing_rate > 0);
    }
    sealed.finish();
}

fn step(sealed: &mut Sealed, model: &mut Model, stream: StreamId, input: &mut Input<'_>) {
    match input.below(8) {
        0 | 1 => send(sealed, model, stream, input.below(4000) + 1),
        2 => sealed.pass(Duration::from_millis(input.number().min(5_000))),
        3 => sealed.pass_round_trip(),
        4 => {
            let subset = input.array::<8>();
            let last = model.sent.last().copied().unwrap_or_default();
            let chosen = |pn: &u64| subset[(pn / 8 % 8) as usize] >> (pn % 8) & 1 == 1;
            let known: Vec<u64> = model.sent.range(last.saturating_sub(63)..).copied().filter(chosen).collect();
            acknowledge(sealed, model, &known, input);
        }
        5 => {
            let all: Vec<u64> = model.sent.iter().copied().collect();
            acknowledge(sealed, model, &all, input);
        }
        kind => {
            let near = model.sent.last().copied().unwrap_or_default();
            let (first, last) = make::range(input, near);
            say(sealed, model, first, last, kind == 6, input);
        }
    }
}

fn send(sealed: &mut Sealed, model: &mut Model, stream: StreamId, len: usize) {
    let Some(mut conn) = sealed.conn() else { return };
    match conn.send_message(stream, &vec![b'm'; len], MessageOptions::new().tracked()) {
        Ok(id) => {
            assert_eq!(id.get() as usize, model.messages.len());
            let start = model.messages.last().map_or(0, |(_, end)| *end);
            model.messages.push((start, start + len as u64));
        }
        Err(error) => assert!(matches!(error, SendError::Blocked | SendError::Closed), "{error}"),
    }
    sealed.drain();
}

/// Acknowledges packets that were sent, at least the newest 32 runs of them.
fn acknowledge(sealed: &mut Sealed, model: &mut Model, numbers: &[u64], input: &mut Input<'_>) {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for pn in numbers.iter().rev() {
        match ranges.last_mut() {
            Some((first, _)) if *first == pn + 1 => *first = *pn,
            _ => ranges.push((*pn, *pn)),
        }
    }
    ranges.truncate(32);
    if ranges.is_empty() {
        return;
    }
    for (first, last) in &ranges {
        model.told.extend(*first..=*last);
    }
    let counts = EcnCounts { ect0: input.number(), ect1: 0, ce: input.number() };
    let (delay, marked) = (input.number(), input.flag());
    let mut payload = vec![0; 2000];
    let mut w = Writer::new(&mut payload);
    let written = write_ack(&mut w, delay, ranges, marked.then_some(counts));
    assert!(written.is_ok());
    let payload = w.written().to_vec();
    sealed.send_bytes(&payload);
    assert!(sealed.is_open(), "acknowledged what was sent: {:?}", sealed.end);
}

/// Acknowledges a range, or says that it could be repaired, whatever was sent.
fn say(sealed: &mut Sealed, model: &mut Model, first: u64, last: u64, received: bool, input: &mut Input<'_>) {
    let sent = model.sent.range(first..=last).count() as u64;
    let all_sent = sent == last - first + 1;
    let known: Vec<u64> = model.sent.range(first..=last).copied().collect();
    model.told.extend(known);
    let ranges = AckRanges::single(first..=last);
    let frame =
        if received { Frame::Ack(Ack { delay: input.number(), ranges, ecn: None }) } else { Frame::Recovered(ranges) };
    sealed.send(&[frame]);
    let violation = sealed.violation();
    if received && all_sent {
        assert!(sealed.is_open(), "acknowledged what was sent: {:?}", sealed.end);
    } else if received || !sealed.is_open() {
        assert_eq!(violation, Some(TransportError::PROTOCOL_VIOLATION), "{first} to {last}");
    }
}

//! Makes frames: each can be read, and says what no honest peer would say.

use std::net::{IpAddr, SocketAddr};

use jsp_proto::internals::wire::frame::{
    Ack, AckFreq, AckRanges, Blocked, Close, EcnCounts, Msg, NewCid, Parity, ResetStream, Stream,
};
use jsp_proto::internals::wire::{Cid, Frame, StreamId, StreamType, varint};

use crate::input::Input;

/// Content for frames that need some.
static FILL: [u8; 2048] = [0x61; 2048];

/// A stream, most often one of the first of its type.
pub fn stream(input: &mut Input<'_>) -> StreamId {
    let ty = StreamType::ALL[input.below(16)];
    let index = if input.u8() < 224 { input.below(4) as u64 } else { input.number() };
    ty.id(index)
}

/// Content: some of the input, or more of something else.
fn content<'a>(input: &mut Input<'a>, room: usize) -> &'a [u8] {
    if input.flag() { input.chunk(room.min(64)) } else { &FILL[..input.below(room.min(1200)) + 1] }
}

/// A range of packet numbers around `near`.
pub fn range(input: &mut Input<'_>, near: u64) -> (u64, u64) {
    let end = if input.flag() { near.saturating_sub(input.number()) } else { input.number() };
    (end.saturating_sub(input.number()), end)
}

fn stream_frame<'a>(input: &mut Input<'a>, room: usize) -> Frame<'a> {
    let (sid, fin) = (stream(input), input.flag());
    let data = content(input, room);
    let offset = input.number().min(varint::MAX - data.len() as u64);
    Frame::Stream(Stream { sid, offset, fin: fin || data.is_empty(), data })
}

fn msg_frame<'a>(input: &mut Input<'a>, room: usize) -> Frame<'a> {
    let (sid, bits) = (stream(input), input.u8());
    let data = content(input, room);
    let data = if data.is_empty() { &FILL[..1] } else { data };
    let offset = input.number().min(varint::MAX - data.len() as u64);
    let (bom, eom, compressed) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
    Frame::Msg(Msg { sid, offset, bom, eom, compressed, data })
}

fn parity_frame<'a>(input: &mut Input<'a>) -> Frame<'a> {
    let span = input.below(128) as u8 + 1;
    let last = 1u128 << (span - 1);
    let mut mask = (u128::from_le_bytes(input.array()) & (last | (last - 1))) | 1 | last;
    while mask.count_ones() > 64 {
        mask &= !(1 << (127 - (mask & !last).leading_zeros()));
    }
    let class = 1 << input.below(6);
    let planned = input.below(usize::from(class)) as u8 + 1;
    let index = input.below(usize::from(planned)) as u8;
    let back = if input.flag() { input.number() } else { 0 }.max(u64::from(span));
    let symbol = content(input, 1200);
    let symbol = if symbol.len() < 2 { &FILL[..2] } else { &symbol[..symbol.len() / 2 * 2] };
    Frame::Parity(Parity { back, span, mask, index, class, planned, symbol })
}

fn new_cid(input: &mut Input<'_>) -> NewCid {
    let seq = input.number();
    let retire_prior_to = if input.flag() { input.number().min(seq) } else { 0 };
    let (len, byte) = (input.below(16) + 1, input.u8());
    NewCid { seq, retire_prior_to, cid: Cid::new(&vec![byte; len]).expect("short"), reset_token: [byte; 16] }
}

fn limit(input: &mut Input<'_>) -> u64 {
    input.number().min(StreamType::MAX_STREAMS)
}

fn address(input: &mut Input<'_>) -> SocketAddr {
    let ip = if input.flag() { IpAddr::from(input.array::<16>()) } else { IpAddr::from(input.array::<4>()) };
    SocketAddr::new(ip, input.u16())
}

/// A frame of at most about `room` bytes. `sent` is about how many packets the receiver has sent.
pub fn frame<'a>(input: &mut Input<'a>, room: usize, sent: u64) -> Frame<'a> {
    match input.below(32) {
        0..6 => stream_frame(input, room),
        6..12 => msg_frame(input, room),
        12 => Frame::Padding { len: input.below(room) + 1 },
        13 => Frame::Ping,
        14 | 15 => {
            let (first, last) = range(input, sent);
            let mut count = || input.number();
            let ecn = EcnCounts { ect0: count(), ect1: count(), ce: count() };
            let (delay, with) = (input.number(), input.flag());
            Frame::Ack(Ack { delay, ranges: AckRanges::single(first..=last), ecn: with.then_some(ecn) })
        }
        16 => Frame::Params(input.chunk(64)),
        17 => Frame::HandshakeDone,
        18 => Frame::NewToken(&FILL[..input.below(64) + 1]),
        19 => {
            let frame_type = input.flag().then(|| input.number());
            Frame::Close(Close { error: input.number(), frame_type, reason: input.chunk(16) })
        }
        20 => {
            let mut number = || input.number();
            let (seq, eliciting_threshold) = (number(), number());
            let (max_ack_delay_us, reorder_threshold) = (number(), number());
            Frame::AckFreq(AckFreq { seq, eliciting_threshold, max_ack_delay_us, reorder_threshold })
        }
        21 => Frame::ObservedAddr { seq: input.number(), addr: address(input) },
        22 if input.flag() => Frame::PathChallenge(input.array()),
        22 => Frame::PathResponse(input.array()),
        23 if input.flag() => Frame::RetireCid { seq: input.number() },
        23 => Frame::NewCid(new_cid(input)),
        24 => {
            let (sid, code, final_size) = (stream(input), input.number(), input.number());
            let reliable_size = input.number().min(final_size);
            Frame::ResetStream(ResetStream { sid, code, final_size, reliable_size })
        }
        25 => Frame::StopSending { sid: stream(input), code: input.number() },
        26 => Frame::Skip { sid: stream(input), offset: input.number() },
        27 => match input.below(3) {
            0 => Frame::MaxData { limit: input.number() },
            1 => Frame::MaxStreamData { sid: stream(input), limit: input.number() },
            _ => Frame::MaxStreams { ty: StreamType::ALL[input.below(16)], limit: limit(input) },
        },
        28 => Frame::Blocked(match input.below(3) {
            0 => Blocked::Data { limit: input.number() },
            1 => Blocked::Stream { sid: stream(input), limit: input.number() },
            _ => Blocked::Streams { ty: StreamType::ALL[input.below(16)], limit: limit(input) },
        }),
        29 if input.flag() => Frame::ImmediateAck,
        29 => Frame::StreamPriority { sid: stream(input), priority: input.u8() },
        30 => parity_frame(input),
        _ if input.flag() => {
            let (first, last) = range(input, sent);
            Frame::Recovered(AckRanges::single(first..=last))
        }
        _ => Frame::Extension { ty: 0x41 + 2 * (input.number() >> 8), body: input.chunk(16) },
    }
}

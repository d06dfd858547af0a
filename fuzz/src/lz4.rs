//! Compressed messages: what a peer makes of them, against a decoder of our own, and what the endpoint makes.

use std::time::Duration;

use jsp_proto::internals::wire::frame::Msg;
use jsp_proto::internals::wire::{Frame, Reader, StreamKind, Writer, varint};
use jsp_proto::{Compression, MessageOptions, RecvError, RecvMessage, Side, StreamId, StreamOptions, TransportError};

use crate::input::Input;
use crate::sealed::{STREAM_WINDOW, Sealed};

/// The largest message that the endpoint takes.
const MAX_MESSAGE: u64 = 65_536;

/// Expands an LZ4 block as its format says, byte by byte; `None` if it is broken or makes more than `most` bytes.
fn expand(block: &[u8], most: usize) -> Option<Vec<u8>> {
    let (mut input, mut out) = (block.iter().copied(), Vec::new());
    let more = |input: &mut dyn Iterator<Item = u8>, nibble: u8| {
        let mut length = usize::from(nibble);
        let mut last = if nibble == 15 { 255 } else { nibble };
        while last == 255 {
            last = input.next()?;
            length += usize::from(last);
        }
        Some(length)
    };
    loop {
        let token = input.next()?;
        let literals = more(&mut input, token >> 4)?;
        if literals > input.len() || out.len() + literals > most {
            return None;
        }
        out.extend(input.by_ref().take(literals));
        if input.len() == 0 {
            return Some(out);
        }
        let offset = usize::from(u16::from_le_bytes([input.next()?, input.next()?]));
        let length = more(&mut input, token & 15)? + 4;
        let from = out.len().checked_sub(offset).filter(|_| offset > 0)?;
        if out.len() + length > most {
            return None;
        }
        (from..from + length).for_each(|at| out.push(out[at]));
    }
}

/// What a body stands for.
fn unpack(body: &[u8], most: u64) -> Option<Vec<u8>> {
    let mut r = Reader::new(body);
    let length = r.varint().ok().filter(|length| (1..=most).contains(length))?;
    expand(r.rest(), length as usize).filter(|message| message.len() as u64 == length)
}

/// Sends the input as the body of a compressed message, or lets the endpoint compress it.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.below(3) {
        0 => received(input.rest(), &mut Input::new(&[])),
        1 => {
            // A block that is at least begun rightly: the length that it claims, and what it expands to.
            let raw = plain(&mut input);
            let mut body = vec![0; 8];
            let mut w = Writer::new(&mut body);
            w.varint(raw.len() as u64).expect("room");
            let header = w.position();
            body.truncate(header);
            body.extend(lz4_flex::block::compress(&raw));
            let (at, with) = (input.below(body.len()), input.u8());
            body[at] ^= with;
            if with == 0 {
                assert_eq!(unpack(&body, MAX_MESSAGE), Some(raw));
            }
            received(&body, &mut input);
        }
        _ => sent(&plain(&mut input)),
    }
}

/// Something to compress: pieces of the input, each some times in a row.
fn plain(input: &mut Input<'_>) -> Vec<u8> {
    let mut plain = vec![input.u8()];
    while !input.is_empty() && plain.len() < 20_000 {
        let times = input.below(64) + 1;
        let piece = input.chunk(64);
        (0..times).for_each(|_| plain.extend_from_slice(piece));
    }
    plain
}

fn received(body: &[u8], input: &mut Input<'_>) {
    let body = &body[..body.len().min(STREAM_WINDOW as usize)];
    if body.is_empty() {
        return;
    }
    let mut sealed = Sealed::new(Side::Server);
    let sid = StreamId::new(0, StreamKind::Ordered, true, Side::Client);
    let mut at = 0;
    while at < body.len() {
        let len = (body.len() - at).min(if input.is_empty() { 1300 } else { input.below(1300) + 1 });
        let (data, offset, eom) = (&body[at..at + len], at as u64, at + len == body.len());
        sealed.send(&[Frame::Msg(Msg { sid, offset, bom: at == 0, eom, compressed: at == 0, data })]);
        at += len;
    }
    assert!(sealed.is_open(), "{:?}", sealed.end);
    let expected = unpack(body, MAX_MESSAGE);
    let looked = input.flag();
    let mut conn = sealed.conn().expect("open");
    if looked {
        let found = conn.peek_message(sid).map(|found| found.map(|(head, tail)| [head, tail].concat()));
        assert_eq!(found, expected.clone().map(Some).ok_or(RecvError::Corrupt));
    }
    let mut message = Vec::new();
    match (conn.recv_message(sid, &mut message), expected) {
        (Ok(RecvMessage::Message(len)), Some(expected)) => {
            assert!(len == message.len() && message == expected, "expanded to something else");
        }
        (Err(error), None) => {
            assert!(looked || error == RecvError::Corrupt, "{error}");
            sealed.drain();
            sealed.pass(Duration::from_millis(1));
            assert_eq!(sealed.violation(), Some(TransportError::COMPRESSION));
        }
        (found, expected) => panic!("{found:?} instead of {:?} bytes", expected.map(|message| message.len())),
    }
    sealed.check_bounds();
    sealed.finish();
}

fn sent(message: &[u8]) {
    let mut sealed = Sealed::new(Side::Server);
    let mut conn = sealed.conn().expect("open");
    let options = StreamOptions::ordered_messages().compression(Compression::Adaptive);
    let stream = conn.open(options).expect("the first stream");
    conn.send_message(stream, message, MessageOptions::new()).expect("an empty buffer");
    for _ in 0..100 {
        sealed.pass_round_trip();
        sealed.acknowledge();
    }
    let mut arrived: Vec<Option<u8>> = Vec::new();
    let (mut packed, mut ends) = (false, false);
    for (_, payload) in &sealed.packets {
        let mut r = Reader::new(payload);
        while let Ok(frame) = Frame::decode(&mut r) {
            let Frame::Msg(msg) = frame else { continue };
            assert!(msg.sid == stream && msg.offset <= varint::MAX);
            (packed, ends) = (packed | (msg.bom && msg.compressed), ends | msg.eom);
            let end = msg.offset as usize + msg.data.len();
            arrived.resize(end.max(arrived.len()), None);
            for (slot, byte) in arrived[msg.offset as usize..end].iter_mut().zip(msg.data) {
                assert!(slot.is_none_or(|known| known == *byte), "sent again as something else");
                *slot = Some(*byte);
            }
        }
    }
    let body: Vec<u8> = arrived.into_iter().collect::<Option<_>>().expect("the whole message");
    assert!(ends && (!packed || body.len() < message.len()));
    let again = if packed { unpack(&body, MAX_MESSAGE) } else { Some(body) };
    assert!(again.as_deref() == Some(message), "compressed to something else");
    sealed.finish();
}

//! Frames as they stand in packets.

use jsp_proto::TransportError;
use jsp_proto::internals::wire::frame::{MAX_RANGES_PARSED, MAX_REASON, MAX_SPAN, MAX_SYMBOLS};
use jsp_proto::internals::wire::{Frame, FrameError, Reader, Writer, varint};

/// Reads the bytes as the content of a packet. Each frame is written again and means the same.
pub fn run(data: &[u8]) {
    let mut r = Reader::new(data);
    while !r.is_empty() {
        let at = r.position();
        match Frame::decode(&mut r) {
            Ok(frame) => {
                assert!(r.position() > at, "a frame has a type");
                one(&frame, &data[at..r.position()]);
            }
            Err(error) => {
                let expected = match error {
                    FrameError::Empty(_) => TransportError::PROTOCOL_VIOLATION,
                    _ => TransportError::FRAME_ENCODING,
                };
                assert_eq!(error.transport_error(), expected);
                assert!(!error.reason().is_empty() && error.frame_type() <= varint::MAX);
                return;
            }
        }
    }
}

fn one(frame: &Frame<'_>, bytes: &[u8]) {
    bounds(frame);
    let mut buffer = vec![0; bytes.len() + 16];
    let mut w = Writer::new(&mut buffer);
    frame.encode(&mut w).expect("at most a length more than it was");
    let encoded = w.written().to_vec();
    let mut r = Reader::new(&encoded);
    assert_eq!(Frame::decode(&mut r).as_ref(), Ok(frame));
    assert!(r.is_empty(), "nothing but the frame");
    // What was read from its own writing is written in the same way.
    let mut again = vec![0; encoded.len()];
    let mut w = Writer::new(&mut again);
    frame.encode(&mut w).expect("as long as it was");
    assert_eq!(w.written(), encoded);
    if !matches!(frame, Frame::Padding { .. }) {
        assert_eq!(Reader::new(&encoded).varint(), Ok(frame.type_code()));
    }
    // A frame that does not fit leaves nothing behind.
    let mut small = vec![0; encoded.len() - 1];
    let mut w = Writer::new(&mut small);
    assert!(frame.encode(&mut w).is_err() && w.position() == 0);
}

/// What decoding promises of what it gives.
fn bounds(frame: &Frame<'_>) {
    match frame {
        Frame::Padding { len } => assert!(*len > 0),
        Frame::Ack(ack) => ranges(ack.ranges.largest(), ack.ranges.iter()),
        Frame::Recovered(recovered) => ranges(recovered.largest(), recovered.iter()),
        Frame::Close(close) => assert!(close.reason.len() <= MAX_REASON),
        Frame::NewCid(new) => assert!(!new.cid.is_empty() && new.retire_prior_to <= new.seq),
        Frame::Stream(stream) => assert!(stream.offset + stream.data.len() as u64 <= varint::MAX),
        Frame::Msg(msg) => {
            assert!(!msg.data.is_empty() && msg.offset + msg.data.len() as u64 <= varint::MAX);
        }
        Frame::ResetStream(reset) => assert!(reset.reliable_size <= reset.final_size),
        Frame::MaxStreams { limit, .. } => assert!(*limit <= 1 << 58),
        Frame::Parity(parity) => {
            assert!((1..=MAX_SPAN).contains(&parity.span) && parity.back >= u64::from(parity.span));
            assert!((1..=MAX_SYMBOLS).contains(&parity.sources()) && parity.mask & 1 == 1);
            assert!(parity.index < parity.planned && parity.planned <= parity.class && parity.class <= 32);
            assert!(!parity.symbol.is_empty() && parity.symbol.len() % 2 == 0);
        }
        Frame::Extension { ty, .. } => assert!(*ty >= 0x40 && ty % 2 == 1),
        _ => {}
    }
}

fn ranges(largest: u64, ranges: impl Iterator<Item = std::ops::RangeInclusive<u64>>) {
    let (mut below, mut count) = (varint::MAX + 3, 0);
    for range in ranges {
        assert!(range.start() <= range.end() && *range.end() + 2 <= below, "sorted, with a gap between two");
        assert!(count > 0 || *range.end() == largest);
        (below, count) = (*range.start(), count + 1);
    }
    assert!((1..=MAX_RANGES_PARSED).contains(&count));
}

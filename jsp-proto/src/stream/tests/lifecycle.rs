//! Opening, finishing, resetting, stopping, limits, events.

use super::*;
use alloc::vec::Vec;

#[test]
fn an_opened_stream_is_seen_without_a_write() {
    let mut pair = Pair::new();
    let now = pair.now;
    let sid = pair.client().open(now, StreamOptions::bytes().priority(200)).unwrap();
    pair.settle();
    assert_eq!(pair.events(1), [StreamEvent::Opened(sid)]);
    assert_eq!(pair.server().priority(sid), Some(200));
    assert_eq!(pair.server().send(now, sid, b"hello"), Ok(5));
    pair.settle();
    assert_eq!(pair.events(0), [StreamEvent::Readable(sid)]);
}

#[test]
fn opening_a_later_stream_opens_the_earlier_ones() {
    let mut pair = Pair::new();
    let now = pair.now;
    let sids: Vec<_> = (0..3).map(|_| pair.client().open(now, StreamOptions::bytes()).unwrap()).collect();
    pair.inject(&Frame::StreamPriority { sid: sids[2], priority: 1 }).unwrap();
    assert_eq!(pair.events(1), sids.iter().map(|&sid| StreamEvent::Opened(sid)).collect::<Vec<_>>());
    assert_eq!(pair.server().priority(sids[1]), Some(128));
}

#[test]
fn both_directions_finish_and_the_stream_is_forgotten() {
    let mut pair = Pair::new();
    let now = pair.now;
    let sid = pair.client().open(now, StreamOptions::bytes()).unwrap();
    pair.client().send(now, sid, b"question").unwrap();
    pair.client().finish(sid).unwrap();
    assert!(!pair.client().is_flushed());
    pair.settle();
    assert!(pair.client().is_flushed());
    assert_eq!(pair.events(0), [StreamEvent::Finished(sid)]);
    let mut got = Vec::new();
    assert!(read_all(pair.server(), sid, &mut got, 3));
    assert_eq!(got, b"question");
    assert_eq!(pair.server().recv(sid, &mut [0; 4]), Ok(Recv::Finished), "the end is told again");
    pair.server().finish(sid).unwrap();
    pair.settle();
    assert!(read_all(pair.client(), sid, &mut got, 3));
    let _ = (pair.events(0), pair.events(1));
    assert!(!pair.client().exists(sid) && !pair.server().exists(sid));
    assert_eq!(pair.client().recv(sid, &mut []), Err(RecvError::UnknownStream));
    assert_eq!(pair.client().send(now, sid, b"x"), Err(SendError::UnknownStream));
    // Frames for a stream that is over are ignored.
    pair.inject(&Frame::MaxStreamData { sid, limit: 1 << 30 }).unwrap();
    pair.inject(&Frame::StreamPriority { sid, priority: 0 }).unwrap();
    assert!(pair.events(1).is_empty());
}

#[test]
fn a_reset_is_told_once_and_drops_what_was_unread() {
    let mut pair = Pair::new();
    let now = pair.now;
    let sid = pair.client().open(now, StreamOptions::bytes().uni()).unwrap();
    pair.client().send(now, sid, &[7; 5000]).unwrap();
    pair.settle();
    pair.client().reset(sid, AppCode::new(9)).unwrap();
    assert_eq!(pair.client().send(now, sid, b"x"), Err(SendError::Reset));
    pair.settle();
    assert_eq!(pair.events(1), [StreamEvent::Opened(sid), StreamEvent::Reset(sid, AppCode::new(9))]);
    assert!(!pair.server().exists(sid) && !pair.client().exists(sid));
    assert_eq!(pair.server().recv.released, 5000);
    assert_eq!(pair.server().recv_memory(), 0);
    assert_eq!(pair.client().stats().send_buffered, 0);
}

#[test]
fn large_buffers_are_given_back_when_the_stream_rests() {
    const LEN: usize = 300 << 10;
    let limits = Limits { max_stream_data: 1 << 20, max_data: 1 << 20, ..Limits::default() };
    let mut pair = Pair::with(limits);
    let now = pair.now;
    let sid = pair.client().open(now, StreamOptions::bytes()).unwrap();
    let mut buffer = vec![0; LEN];
    let mut round = |pair: &mut Pair| {
        let now = pair.now;
        assert_eq!(pair.client().send(now, sid, &[7; LEN]), Ok(LEN));
        pair.settle();
        assert_eq!(pair.server().recv(sid, &mut buffer), Ok(Recv::Data(LEN)));
        pair.settle();
    };
    round(&mut pair);
    let held = pair.server().recv_memory();
    assert!(held >= LEN as u64, "empty, but in use");
    pair.wait(1100);
    round(&mut pair);
    pair.wait(1100);
    assert_eq!(pair.server().recv_memory(), held, "still in use");
    pair.wait(1100);
    assert_eq!(pair.server().recv_memory(), 0);
    assert!(pair.client().memory() < LEN);
    assert!(pair.ends.iter().all(|end| end.deadline().is_none()), "nothing is left to look at");
}

#[test]
fn stopping_makes_the_peer_reset() {
    let mut pair = Pair::new();
    let now = pair.now;
    let sid = pair.client().open(now, StreamOptions::bytes()).unwrap();
    pair.client().send(now, sid, &[7; 200_000]).unwrap();
    pair.exchange();
    pair.server().stop(sid, AppCode::new(4)).unwrap();
    assert_eq!(pair.server().recv(sid, &mut [0; 9]), Err(RecvError::Stopped));
    pair.settle();
    assert_eq!(pair.events(0), [StreamEvent::Stopped(sid, AppCode::new(4))]);
    assert_eq!(pair.client().send(now, sid, b"x"), Err(SendError::Stopped(AppCode::new(4))));
    assert!(pair.client().is_flushed());
    let (received, released) = (pair.server().recv.received, pair.server().recv.released);
    assert_eq!(received, released);
}

#[test]
fn a_reset_promises_what_lies_below_its_reliable_size() {
    let mut pair = Pair::new();
    let sid = StreamId::new(0, crate::wire::StreamKind::Bytes, true, Side::Client);
    let reset = crate::wire::frame::ResetStream { sid, code: 3, final_size: 100, reliable_size: 4 };
    pair.inject(&Frame::ResetStream(reset)).unwrap();
    assert_eq!(pair.server().recv.released, 96, "what was given up is dead at once");
    assert_eq!(pair.server().recv(sid, &mut [0; 9]), Ok(Recv::Blocked));
    pair.inject(&Frame::Stream(crate::wire::frame::Stream { sid, offset: 0, fin: false, data: b"12345" })).unwrap();
    let mut buffer = [0; 9];
    assert_eq!(pair.server().recv(sid, &mut buffer), Ok(Recv::Data(4)));
    assert_eq!(pair.server().recv(sid, &mut buffer), Ok(Recv::Reset(AppCode::new(3))));
    assert_eq!(pair.server().recv.released, 100);
}

#[test]
fn a_reset_of_messages_before_anything_was_sent_is_no_orderly_end() {
    let mut pair = Pair::new();
    let now = pair.now;
    let sid = pair.client().open(now, StreamOptions::ordered_messages()).unwrap();
    pair.client().send_message(now, sid, b"never leaves", MessageOptions::new()).unwrap();
    pair.client().reset(sid, AppCode::new(99)).unwrap();
    pair.settle();
    assert_eq!(pair.server().recv_message(sid, &mut Vec::new()), Ok(RecvMessage::Reset(AppCode::new(99))));
}

#[test]
fn places_return_when_streams_end() {
    let limits = Limits { max_streams: 4, ..Limits::default() };
    let mut pair = Pair::with(limits);
    let mut opened = 0;
    for _ in 0..50 {
        let now = pair.now;
        match pair.client().open(now, StreamOptions::bytes().uni()) {
            Ok(sid) => {
                opened += 1;
                pair.client().finish(sid).unwrap();
            }
            Err(error) => {
                assert_eq!(error, OpenError::Limit);
                pair.settle();
                for event in pair.events(1) {
                    if let StreamEvent::Readable(sid) = event {
                        assert_eq!(pair.server().recv(sid, &mut [0; 1]), Ok(Recv::Finished));
                    }
                }
                pair.settle();
                assert!(pair.events(0).iter().any(|event| matches!(event, StreamEvent::Available(_))));
            }
        }
    }
    assert!(opened > 30);
    assert!(pair.server().slab.len() <= 4);
}

#[test]
fn the_peers_resets_return_places_at_a_bounded_rate() {
    let mut pair = Pair::new();
    let mut opened = 0;
    for _ in 0..40 {
        while let Ok(sid) = {
            let now = pair.now;
            pair.client().open(now, StreamOptions::bytes().uni())
        } {
            opened += 1;
            pair.client().reset(sid, AppCode::ZERO).unwrap();
        }
        pair.now += Duration::from_micros(10);
        for _ in 0..3 {
            for from in [0, 1] {
                while pair.transmit(from) {}
            }
            for index in 0..pair.flying.len() {
                pair.deliver(index);
                pair.acknowledge(index);
            }
            pair.flying.clear();
            let _ = (pair.events(0), pair.events(1));
        }
    }
    assert!((300..=320).contains(&opened), "{opened}");
    assert!(pair.server().deadline().is_some());
    for _ in 0..60 {
        pair.wait(20);
    }
    pair.settle();
    let now = pair.now;
    assert!(pair.client().openable(StreamOptions::bytes().uni()) >= 50);
    assert!(pair.client().open(now, StreamOptions::bytes().uni()).is_ok());
}

#[test]
fn a_full_buffer_blocks_and_tells_when_half_is_free() {
    let limits = Limits { stream_send_buffer: 10_000, send_buffer: 15_000, ..Limits::default() };
    let mut pair = Pair::with(limits);
    let now = pair.now;
    let first = pair.client().open(now, StreamOptions::bytes()).unwrap();
    let second = pair.client().open(now, StreamOptions::ordered_messages()).unwrap();
    assert_eq!(pair.client().send(now, first, &[1; 20_000]), Ok(10_000));
    assert_eq!(pair.client().send(now, first, b"x"), Err(SendError::Blocked));
    assert_eq!(pair.client().send_message(now, second, &[1; 6000], MessageOptions::new()), Err(SendError::Blocked));
    assert!(pair.events(0).is_empty());
    pair.settle();
    let mut events = pair.events(0);
    events.sort_by_key(|event| alloc::format!("{event:?}"));
    assert_eq!(events, [StreamEvent::Writable(first), StreamEvent::Writable(second)]);
    assert!(pair.client().send_message(now, second, &[1; 6000], MessageOptions::new()).is_ok());
}

#[test]
fn readable_is_told_once_until_read_to_the_end() {
    let mut pair = Pair::new();
    let now = pair.now;
    let sid = pair.client().open(now, StreamOptions::bytes()).unwrap();
    for _ in 0..3 {
        pair.client().send(now, sid, b"ab").unwrap();
        pair.settle();
    }
    assert_eq!(pair.events(1), [StreamEvent::Opened(sid), StreamEvent::Readable(sid)]);
    assert_eq!(pair.server().peek(sid).unwrap().0, b"ababab");
    pair.server().consume(sid, 5).unwrap();
    pair.client().send(now, sid, b"c").unwrap();
    pair.settle();
    assert!(pair.events(1).is_empty());
    pair.server().consume(sid, 2).unwrap();
    assert_eq!(pair.server().peek(sid), Ok((&[][..], &[][..])));
    pair.client().send(now, sid, b"d").unwrap();
    pair.settle();
    assert_eq!(pair.events(1), [StreamEvent::Readable(sid)]);
}

#[test]
fn after_close_received_data_stays_readable() {
    let mut pair = Pair::new();
    let now = pair.now;
    let sid = pair.client().open(now, StreamOptions::bytes()).unwrap();
    let messages = pair.client().open(now, StreamOptions::unordered_messages()).unwrap();
    pair.client().send(now, sid, b"kept").unwrap();
    pair.settle();
    let id = pair.client().send_message(now, messages, b"m", MessageOptions::new().tracked()).unwrap();
    pair.client().close_all();
    pair.server().close_all();
    assert_eq!(pair.events(0), [StreamEvent::Outcome { sid: messages, id, outcome: Outcome::Lost }]);
    assert!(pair.client().is_flushed() && !pair.client().wants_control() && !pair.client().wants_data());
    assert_eq!(pair.client().open(now, StreamOptions::bytes()), Err(OpenError::Closed));
    assert!(pair.server().has_unread());
    let mut buffer = [0; 9];
    assert_eq!(pair.server().recv(sid, &mut buffer), Ok(Recv::Data(4)));
    assert!(!pair.server().has_unread());
}

#[test]
fn ten_thousand_idle_streams_stay_small() {
    let limits = Limits { max_streams: 10_000, ..Limits::default() };
    let mut pair = Pair::with(limits);
    let now = pair.now;
    for _ in 0..10_000 {
        pair.client().open(now, StreamOptions::bytes()).unwrap();
    }
    pair.settle();
    assert_eq!(pair.events(1).len(), 10_000);
    let each = (pair.server().memory() / 10_000, size_of::<Stream>());
    assert!(each.0 < 1024 && each.1 <= 480, "{each:?}");
    assert!(!pair.server().wants_control() && !pair.server().wants_data());
}

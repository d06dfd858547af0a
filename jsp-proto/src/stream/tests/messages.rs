//! Delivery modes, deadlines, SKIP and boundaries, one rule each.

use super::*;
use crate::wire::StreamKind;
use crate::wire::frame::Msg;
use alloc::vec::Vec;

const TTL: Delivery = Delivery::PartiallyReliable { ttl: Duration::from_millis(100) };

fn open(pair: &mut Pair, options: StreamOptions) -> StreamId {
    let now = pair.now;
    let sid = pair.client().open(now, options).unwrap();
    pair.settle();
    let _ = pair.events(1);
    sid
}

fn send(pair: &mut Pair, sid: StreamId, data: &[u8], delivery: Delivery) -> MessageId {
    let now = pair.now;
    pair.client().send_message(now, sid, data, MessageOptions::new().delivery(delivery).tracked()).unwrap()
}

fn outcomes(pair: &mut Pair) -> Vec<(MessageId, Outcome)> {
    let outcome = |event| match event {
        StreamEvent::Outcome { id, outcome, .. } => Some((id, outcome)),
        _ => None,
    };
    pair.events(0).into_iter().filter_map(outcome).collect()
}

fn received(pair: &mut Pair, sid: StreamId) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    read_messages(pair.server(), sid, &mut messages);
    messages
}

fn lose_all(pair: &mut Pair) {
    for index in 0..pair.flying.len() {
        pair.lose(index);
    }
    pair.flying.clear();
}

fn frames_of(pair: &Pair) -> Vec<&'static str> {
    let name = |frame: &Frame<'_>| match frame {
        Frame::Msg(_) => "MSG",
        Frame::Skip { .. } => "SKIP",
        Frame::ResetStream(_) => "RESET",
        _ => "other",
    };
    pair.flying.iter().flat_map(|packet| decode(&packet.bytes).iter().map(name).collect::<Vec<_>>()).collect()
}

#[test]
fn a_lost_best_effort_message_is_not_sent_again() {
    let mut pair = Pair::new();
    let sid = open(&mut pair, StreamOptions::unordered_messages());
    let lost = send(&mut pair, sid, b"gone", Delivery::BestEffort);
    pair.transmit(0);
    lose_all(&mut pair);
    assert!(!pair.transmit(0), "an unordered stream needs no SKIP for one small gap");
    let kept = send(&mut pair, sid, b"here", Delivery::BestEffort);
    pair.settle();
    assert_eq!(outcomes(&mut pair), [(lost, Outcome::Lost), (kept, Outcome::Acked)]);
    assert_eq!(received(&mut pair, sid), [b"here"]);
}

#[test]
fn an_ordered_stream_steps_over_a_lost_message() {
    let mut pair = Pair::new();
    let sid = open(&mut pair, StreamOptions::ordered_messages());
    send(&mut pair, sid, b"gone", Delivery::BestEffort);
    pair.transmit(0);
    send(&mut pair, sid, b"here", Delivery::BestEffort);
    pair.transmit(0);
    pair.deliver(1);
    assert!(received(&mut pair, sid).is_empty(), "the hole is in the way");
    pair.lose(0);
    pair.acknowledge(1);
    pair.flying.clear();
    pair.transmit(0);
    assert_eq!(frames_of(&pair), ["SKIP"]);
    pair.deliver(0);
    assert_eq!(received(&mut pair, sid), [b"here"]);
    pair.lose(0);
    pair.flying.clear();
    pair.transmit(0);
    assert_eq!(frames_of(&pair), ["SKIP"], "SKIP is reliable");
    assert!(!pair.client().is_flushed());
    pair.acknowledge(0);
    assert!(pair.client().is_flushed());
}

#[test]
fn skip_stays_below_what_is_still_wanted() {
    let mut pair = Pair::new();
    let sid = open(&mut pair, StreamOptions::ordered_messages());
    for (data, delivery) in [(b"keep", Delivery::Reliable), (b"gone", Delivery::BestEffort)] {
        send(&mut pair, sid, data, delivery);
        pair.transmit(0);
    }
    pair.lose(1);
    pair.flying.truncate(1);
    assert!(!pair.transmit(0), "the reliable message is still on its way");
    pair.lose(0);
    pair.flying.clear();
    pair.settle();
    assert_eq!(received(&mut pair, sid), [b"keep"]);
    assert_eq!(pair.server().recv.released, 8);
}

#[test]
fn an_expired_message_leaves_no_trace() {
    let mut pair = Pair::new();
    let sid = open(&mut pair, StreamOptions::ordered_messages());
    let timed = send(&mut pair, sid, &[1; 500], TTL);
    let aged = send(&mut pair, sid, &[2; 500], Delivery::BestEffort);
    let kept = send(&mut pair, sid, b"kept", Delivery::Reliable);
    assert!(pair.client().deadline().is_some());
    pair.wait(110);
    assert_eq!(outcomes(&mut pair), [(timed, Outcome::Expired), (aged, Outcome::Expired)]);
    pair.settle();
    assert_eq!(outcomes(&mut pair), [(kept, Outcome::Acked)]);
    assert_eq!(pair.server().recv.received, 4, "what expired never got a place in the stream");
    pair.wait(200);
    assert_eq!(pair.client().deadline(), None);
}

#[test]
fn a_timed_message_is_sent_again_only_if_it_can_arrive_in_time() {
    for (wait, again) in [(10, true), (85, false)] {
        let mut pair = Pair::new();
        let sid = open(&mut pair, StreamOptions::unordered_messages());
        let id = send(&mut pair, sid, b"timed", TTL);
        pair.transmit(0);
        pair.wait(wait);
        lose_all(&mut pair);
        pair.settle();
        let outcome = if again { Outcome::Acked } else { Outcome::Expired };
        assert_eq!(outcomes(&mut pair), [(id, outcome)]);
        assert_eq!(received(&mut pair, sid).len(), usize::from(again));
    }
}

#[test]
fn the_next_message_takes_the_place_of_what_was_never_sent() {
    let mut pair = Pair::new();
    let sid = open(&mut pair, StreamOptions::unordered_messages());
    let cut = send(&mut pair, sid, &[1; 5000], TTL);
    pair.transmit(0);
    let used = pair.client().send.credit_used;
    pair.wait(150);
    assert_eq!(outcomes(&mut pair), [(cut, Outcome::Expired)]);
    assert!(pair.client().send.credit_used < used, "the reservation was given back");
    send(&mut pair, sid, b"next", Delivery::Reliable);
    pair.settle();
    assert_eq!(received(&mut pair, sid), [b"next"]);
    let (received, released) = (pair.server().recv.received, pair.server().recv.released);
    assert!(received < 1300 && received == released && pair.server().recv.partial == 0);
}

#[test]
fn a_full_best_effort_queue_drops_the_oldest() {
    let limits = Limits { best_effort_queue: 3, ..Limits::default() };
    let mut pair = Pair::with(limits);
    let sid = open(&mut pair, StreamOptions::unordered_messages().delivery(Delivery::BestEffort));
    let ids: Vec<_> = (0..5u8).map(|n| send(&mut pair, sid, &[n], Delivery::BestEffort)).collect();
    assert_eq!(outcomes(&mut pair), [(ids[0], Outcome::Expired), (ids[1], Outcome::Expired)]);
    pair.settle();
    assert_eq!(received(&mut pair, sid), [[2], [3], [4]]);
}

#[test]
fn a_message_begins_only_when_credit_covers_all_of_it() {
    let limits = Limits { max_data: 10_000, max_stream_data: 10_000, max_message_size: 8000, ..Limits::default() };
    let mut pair = Pair::with(limits);
    let first = open(&mut pair, StreamOptions::unordered_messages());
    let second = open(&mut pair, StreamOptions::unordered_messages());
    send(&mut pair, first, &[1; 7000], Delivery::Reliable);
    send(&mut pair, second, &[2; 7000], Delivery::Reliable);
    while pair.transmit(0) {}
    let begun: Vec<_> = pair
        .flying
        .iter()
        .flat_map(|packet| {
            decode(&packet.bytes)
                .iter()
                .filter_map(|frame| match frame {
                    Frame::Msg(msg) => Some(msg.sid),
                    _ => None,
                })
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(begun.iter().all(|&sid| sid == first), "half of each would block both");
    pair.settle();
    assert_eq!(received(&mut pair, first).len(), 1);
    pair.settle();
    assert_eq!(received(&mut pair, second).len(), 1);
}

#[test]
fn lost_bytes_return_their_credit_by_skip_when_blocked() {
    let limits = Limits { max_data: 4000, max_stream_data: 4000, max_message_size: 1000, ..Limits::default() };
    let mut pair = Pair::with(limits);
    let sid = open(&mut pair, StreamOptions::unordered_messages().delivery(Delivery::BestEffort));
    for _ in 0..100 {
        send(&mut pair, sid, &[1; 900], Delivery::BestEffort);
        while pair.transmit(0) {}
        lose_all_data(&mut pair);
        pair.exchange();
        let _ = outcomes(&mut pair);
    }
    assert!(pair.server().recv.received > 20_000, "{}", pair.server().recv.received);
}

/// Loses every packet that carries a message and delivers the others.
fn lose_all_data(pair: &mut Pair) {
    for index in 0..pair.flying.len() {
        if decode(&pair.flying[index].bytes).iter().any(|frame| matches!(frame, Frame::Msg(_))) {
            pair.lose(index);
        } else {
            pair.deliver(index);
            pair.acknowledge(index);
        }
    }
    pair.flying.clear();
}

#[test]
fn many_small_gaps_are_told_by_skip() {
    let mut pair = Pair::new();
    let sid = open(&mut pair, StreamOptions::unordered_messages());
    for count in 1..=32 {
        send(&mut pair, sid, b"x", Delivery::BestEffort);
        pair.transmit(0);
        lose_all(&mut pair);
        assert_eq!(pair.client().wants_control(), count == 32);
    }
}

#[test]
fn a_clean_end_tells_of_dead_bytes_first() {
    let mut pair = Pair::new();
    let sid = open(&mut pair, StreamOptions::unordered_messages().uni());
    send(&mut pair, sid, b"gone", Delivery::BestEffort);
    pair.transmit(0);
    pair.client().finish(sid).unwrap();
    lose_all(&mut pair);
    pair.settle();
    let mut messages = Vec::new();
    assert_eq!(read_messages(pair.server(), sid, &mut messages), Some(RecvMessage::Finished));
    assert!(pair.events(0).contains(&StreamEvent::Finished(sid)));
}

#[test]
fn tracked_messages_are_bounded() {
    let limits = Limits { event_bound: 2, ..Limits::default() };
    let mut pair = Pair::with(limits);
    let sid = open(&mut pair, StreamOptions::unordered_messages());
    send(&mut pair, sid, b"1", Delivery::Reliable);
    send(&mut pair, sid, b"2", Delivery::Reliable);
    let now = pair.now;
    let tracked = MessageOptions::new().tracked();
    assert_eq!(pair.client().send_message(now, sid, b"3", tracked), Err(SendError::Blocked));
    pair.settle();
    let events = pair.events(0);
    assert_eq!(events.len(), 3);
    assert_eq!(events[2], StreamEvent::Writable(sid));
    assert!(pair.client().send_message(now, sid, b"3", tracked).is_ok());
}

#[test]
fn what_may_not_be_sent_is_refused() {
    let mut pair = Pair::new();
    let sid = open(&mut pair, StreamOptions::ordered_messages());
    let bytes = open(&mut pair, StreamOptions::bytes());
    let now = pair.now;
    let plain = MessageOptions::new();
    let client = pair.client();
    assert_eq!(client.send_message(now, sid, b"", plain), Err(SendError::Empty));
    let max = client.send.max_message;
    let large = alloc::vec![0; max as usize + 1];
    assert_eq!(client.send_message(now, sid, &large, plain), Err(SendError::TooLarge { max }));
    assert_eq!(client.send_message(now, bytes, b"x", plain), Err(SendError::WrongKind));
    assert_eq!(client.send(now, sid, b"x"), Err(SendError::WrongKind));
    let timed = StreamOptions::bytes().delivery(TTL);
    assert_eq!(client.open(now, timed), Err(OpenError::ModeNeedsMessages));
    client.finish(sid).unwrap();
    assert_eq!(client.send_message(now, sid, b"x", plain), Err(SendError::Finished));
    assert_eq!(client.finish(sid), Err(SendError::Finished));
}

#[test]
fn a_probe_repeats_reliable_data_only() {
    let mut pair = Pair::new();
    let sid = open(&mut pair, StreamOptions::unordered_messages());
    for delivery in [Delivery::Reliable, Delivery::BestEffort] {
        send(&mut pair, sid, b"data", delivery);
    }
    pair.transmit(0);
    let records = pair.flying[0].records.clone();
    let context = LossContext { now: pair.now, srtt: SRTT };
    for record in &records {
        pair.client().on_probe(context, record);
    }
    pair.transmit(0);
    assert_eq!(pair.flying[1].records.len(), 1);
    assert!(outcomes(&mut pair).is_empty());
    pair.deliver(1);
    pair.deliver(0);
    pair.acknowledge(0);
    pair.acknowledge(1);
    assert_eq!(outcomes(&mut pair).len(), 2);
    assert_eq!(received(&mut pair, sid).len(), 2);
}

#[test]
fn fragments_arrive_in_any_order_and_nothing_comes_after_a_skip() {
    let mut pair = Pair::new();
    let sid = StreamId::new(0, StreamKind::Unordered, true, Side::Client);
    let msg = |offset, bom, eom, data| Frame::Msg(Msg { sid, offset, bom, eom, compressed: false, data });
    pair.inject(&msg(4, false, true, b"efgh")).unwrap();
    pair.inject(&msg(8, true, false, b"ij")).unwrap();
    assert!(received(&mut pair, sid).is_empty());
    pair.inject(&msg(0, true, false, b"abcd")).unwrap();
    assert_eq!(received(&mut pair, sid), [b"abcdefgh"]);
    pair.inject(&msg(20, true, false, b"uv")).unwrap();
    pair.inject(&Frame::Skip { sid, offset: 20 }).unwrap();
    pair.inject(&msg(10, false, true, b"kl")).unwrap();
    assert!(received(&mut pair, sid).is_empty(), "its fragment came after the skip");
    pair.inject(&msg(22, false, true, b"w")).unwrap();
    assert_eq!(received(&mut pair, sid), [b"uvw"]);
    assert_eq!(pair.server().recv.released, 23);
}

#[test]
fn dead_bytes_of_one_stream_do_not_block_another() {
    let limits = Limits { max_data: 4000, max_message_size: 1000, max_window: 4000, ..Limits::default() };
    let mut pair = Pair::with(limits);
    let sid = open(&mut pair, StreamOptions::unordered_messages());
    let bytes = open(&mut pair, StreamOptions::bytes());
    for _ in 0..2 {
        send(&mut pair, sid, &[1; 900], Delivery::BestEffort);
        pair.transmit(0);
    }
    lose_all(&mut pair);
    assert!(!pair.client().wants_control(), "1800 bytes of this stream's window are not worth a SKIP");
    let now = pair.now;
    pair.client().send(now, bytes, &[2; 5000]).unwrap();
    while pair.transmit(0) {}
    assert!(frames_of(&pair).contains(&"SKIP"), "of the connection's they are");
    pair.settle();
    let mut got = Vec::new();
    for _ in 0..9 {
        read_all(pair.server(), bytes, &mut got, 500);
        pair.settle();
    }
    assert_eq!(got.len(), 5000);
}

#[test]
fn what_a_probe_brought_over_is_not_sent_a_third_time() {
    let mut pair = Pair::new();
    let sid = open(&mut pair, StreamOptions::bytes());
    let now = pair.now;
    pair.client().send(now, sid, &[1; 3000]).unwrap();
    while pair.transmit(0) {}
    let context = LossContext { now, srtt: SRTT };
    let second = pair.flying[1].records.clone();
    pair.client().on_probe(context, &second[0]);
    pair.transmit(0);
    let probe = pair.flying.len() - 1;
    pair.deliver(probe);
    pair.acknowledge(probe);
    pair.lose(1);
    assert!(!pair.client().wants_data());
}

//! Bands are strict, weights are shares, nobody starves.

use super::*;
use alloc::vec::Vec;

const BULK: usize = 2_000_000;

fn roomy() -> Limits {
    Limits {
        max_data: 64 << 20,
        max_stream_data: 64 << 20,
        max_window: 64 << 20,
        max_stream_window: 64 << 20,
        send_buffer: 64 << 20,
        stream_send_buffer: 64 << 20,
        ..Limits::default()
    }
}

fn bulk(pair: &mut Pair, priority: u8) -> StreamId {
    let now = pair.now;
    let sid = pair.client().open(now, StreamOptions::bytes().uni().priority(priority)).unwrap();
    assert_eq!(pair.client().send(now, sid, &alloc::vec![0; BULK]), Ok(BULK));
    sid
}

/// Bytes sent per stream, and the streams each packet began with.
fn send_packets(pair: &mut Pair, count: usize) -> (Vec<(StreamId, usize)>, Vec<StreamId>) {
    let (mut totals, mut firsts) = (Vec::<(StreamId, usize)>::new(), Vec::new());
    for _ in 0..count {
        pair.transmit(0);
        let packet = pair.flying.pop().unwrap();
        for (index, frame) in decode(&packet.bytes).iter().filter(|f| matches!(f, Frame::Stream(_))).enumerate() {
            let Frame::Stream(frame) = frame else { continue };
            if index == 0 {
                firsts.push(frame.sid);
            }
            match totals.iter_mut().find(|(sid, _)| *sid == frame.sid) {
                Some((_, total)) => *total += frame.data.len(),
                None => totals.push((frame.sid, frame.data.len())),
            }
        }
    }
    (totals, firsts)
}

fn total(totals: &[(StreamId, usize)], sid: StreamId) -> usize {
    totals.iter().find(|(other, _)| *other == sid).map_or(0, |(_, total)| *total)
}

#[test]
fn weights_are_shares_within_five_percent() {
    for weights in [[0u8, 31], [3, 15], [7, 0], [0, 0]] {
        let mut pair = Pair::with(roomy());
        let sids = weights.map(|weight| bulk(&mut pair, 128 + weight));
        let (totals, _) = send_packets(&mut pair, 1500);
        let sums = sids.map(|sid| total(&totals, sid) as f64);
        let share = sums[0] / (sums[0] + sums[1]);
        let fair = f64::from(weights[0] + 1) / f64::from(weights[0] + weights[1] + 2);
        assert!((share / fair - 1.0).abs() < 0.05, "{weights:?}: {share} instead of {fair}");
    }
}

#[test]
fn bands_are_strict_except_every_sixteenth_packet_in_turn() {
    let mut pair = Pair::with(roomy());
    let sids = [bulk(&mut pair, 10), bulk(&mut pair, 100), bulk(&mut pair, 255)];
    pair.transmit(0);
    pair.flying.clear();
    let (_, firsts) = send_packets(&mut pair, 16 * 20);
    let count = |sid| firsts.iter().filter(|&&first| first == sid).count();
    assert_eq!(sids.map(count), [10, 10, 300]);
    for window in firsts.windows(32) {
        assert!(window.contains(&sids[0]) || window.contains(&sids[1]));
    }
}

#[test]
fn lost_data_goes_before_new_data_of_its_band_and_after_higher_bands() {
    let mut pair = Pair::with(roomy());
    let low = bulk(&mut pair, 128);
    pair.transmit(0);
    pair.lose(0);
    pair.flying.clear();
    let other = bulk(&mut pair, 128);
    let high = bulk(&mut pair, 255);
    let (_, firsts) = send_packets(&mut pair, 1);
    assert_eq!(firsts, [high]);
    pair.client().reset(high, AppCode::ZERO).unwrap();
    let (_, firsts) = send_packets(&mut pair, 1);
    assert_eq!(firsts, [low], "and not {other:?}");
}

#[test]
fn small_streams_share_a_packet() {
    let mut pair = Pair::with(roomy());
    let now = pair.now;
    for n in 0..20u8 {
        let sid = pair.client().open(now, StreamOptions::unordered_messages()).unwrap();
        pair.client().send_message(now, sid, &[n; 20], MessageOptions::new()).unwrap();
    }
    pair.transmit(0);
    assert!(!pair.transmit(0));
}

#[test]
fn streams_without_connection_credit_take_turns_when_it_comes() {
    let limits = Limits {
        max_data: 3000,
        max_window: 3000,
        max_stream_data: 3000,
        max_message_size: 2000,
        max_streams: 400,
        ..Limits::default()
    };
    let mut pair = Pair::with(limits);
    let now = pair.now;
    let mut sids = Vec::new();
    for _ in 0..300 {
        let sid = pair.client().open(now, StreamOptions::unordered_messages()).unwrap();
        pair.client().send_message(now, sid, &[1; 1000], MessageOptions::new()).unwrap();
        sids.push(sid);
    }
    let mut got = Vec::new();
    for _ in 0..1000 {
        pair.exchange();
        for &sid in &sids {
            read_messages(pair.server(), sid, &mut got);
        }
        if got.len() == 300 {
            break;
        }
    }
    assert_eq!(got.len(), 300);
    assert!(!pair.client().wants_data());
}

#[test]
fn a_change_of_priority_takes_effect_at_once() {
    let mut pair = Pair::with(roomy());
    let sids = [bulk(&mut pair, 0), bulk(&mut pair, 128)];
    pair.client().set_priority(sids[0], 255).unwrap();
    pair.transmit(0);
    pair.deliver(0);
    assert!(decode(&pair.flying[0].bytes).iter().all(|f| !matches!(f, Frame::Stream(f) if f.sid != sids[0])));
    assert_eq!(pair.server().priority(sids[0]), Some(255));
}

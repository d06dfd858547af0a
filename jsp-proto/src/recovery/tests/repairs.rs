//! Packets that the peer may repair: held when they are lost, and what ends that.

use super::*;
use crate::wire::frame::write_recovered;

fn protect(recovery: &mut Recovery<u64>, ms: u64) -> u64 {
    let pn = recovery.begin();
    recovery.record(pn);
    recovery.commit(at(ms), SIZE, Flags { coded: true, ..Flags::DATA }, recovery.ecn());
    pn
}

fn repaired(recovery: &mut Recovery<u64>, ms: u64, pns: &[u64]) -> (Result<AckSummary, FalseRepair>, Fates) {
    let mut set = RangeSet::new();
    for &pn in pns {
        set.insert_one(pn);
    }
    let mut buffer = [0; 1200];
    let mut w = Writer::new(&mut buffer);
    write_recovered(&mut w, set.iter().rev().map(|range| (range.start, range.end - 1))).unwrap();
    let written = w.written().to_vec();
    let Ok(Frame::Recovered(ranges)) = Frame::decode(&mut Reader::new(&written)) else { panic!("no RECOVERED") };
    let mut fates = Vec::new();
    let result = recovery.on_repaired(at(ms), &ranges, &mut |fate, record| fates.push((fate, *record)));
    (result, fates)
}

fn released(recovery: &mut Recovery<u64>, pn: u64) -> Fates {
    let mut fates = Vec::new();
    recovery.release(pn, &mut |fate, record| fates.push((fate, *record)));
    fates
}

/// A measured connection with packet 1 protected and held.
fn held() -> Recovery<u64> {
    let mut recovery = measured();
    protect(&mut recovery, 100);
    send_all(&mut recovery, &[100; 3]);
    let (summary, fates) = acked(&mut recovery, 180, &[2, 3, 4]);
    assert_eq!((summary.lost_packets, fates[3]), (1, (Fate::Held, 1)));
    assert_eq!((recovery.lost_packets(), recovery.bytes_in_flight()), (1, 0));
    recovery
}

#[test]
fn congestion_control_does_not_wait_for_a_repair() {
    let mut recovery = measured();
    let before = recovery.cwnd();
    protect(&mut recovery, 100);
    send_all(&mut recovery, &[100; 3]);
    acked(&mut recovery, 180, &[2, 3, 4]);
    assert!(recovery.cwnd() < before);
}

#[test]
fn a_held_packet_is_released_once() {
    let mut recovery = held();
    assert_eq!(released(&mut recovery, 1), [(Fate::Lost, 1)]);
    assert_eq!(released(&mut recovery, 1), []);
    assert_eq!(acked(&mut recovery, 200, &[1]).1, [(Fate::Late, 1)]);
}

#[test]
fn a_held_packet_is_repaired_once() {
    let mut recovery = held();
    assert_eq!(repaired(&mut recovery, 200, &[1]).1, [(Fate::Repaired, 1)]);
    assert_eq!(repaired(&mut recovery, 201, &[1]).1, []);
    assert_eq!(released(&mut recovery, 1), []);
    assert_eq!(recovery.lost_packets(), 1);
    // Then it arrives after all.
    assert_eq!(acked(&mut recovery, 202, &[1]).1, [(Fate::Late, 1)]);
    assert_eq!(acked(&mut recovery, 203, &[1]).1, []);
}

#[test]
fn a_released_packet_may_still_be_repaired() {
    let mut recovery = held();
    released(&mut recovery, 1);
    assert_eq!(repaired(&mut recovery, 200, &[1]).1, [(Fate::Repaired, 1)]);
}

#[test]
fn a_repair_is_the_news_of_a_loss() {
    let mut recovery = measured();
    let before = recovery.cwnd();
    recovery.set_app_limited(&mut |_, _| ());
    protect(&mut recovery, 100);
    protect(&mut recovery, 100);
    let (summary, fates) = repaired(&mut recovery, 180, &[1, 2]);
    let summary = summary.unwrap();
    assert_eq!((summary.lost_packets, summary.lost_bytes), (2, 2400));
    assert_eq!(fates, [(Fate::Held, 1), (Fate::Repaired, 1), (Fate::Held, 2), (Fate::Repaired, 2)]);
    assert!(recovery.cwnd() < before);
    assert_eq!((recovery.bytes_in_flight(), recovery.deadline()), (0, None));
    assert_eq!(recovery.path_loss().lost, 2);
    // Both were only late: the reduction is undone.
    acked(&mut recovery, 185, &[1, 2]);
    assert_eq!((recovery.cwnd(), recovery.path_loss().lost), (before, 0));
}

#[test]
fn what_was_acknowledged_needs_no_repair() {
    let mut recovery = measured();
    protect(&mut recovery, 100);
    acked(&mut recovery, 180, &[1]);
    assert_eq!(repaired(&mut recovery, 181, &[1]), (Ok(AckSummary::default()), Vec::new()));
}

#[test]
fn false_repairs_are_refused() {
    let mut recovery = measured();
    protect(&mut recovery, 100);
    send(&mut recovery, 100);
    assert_eq!(repaired(&mut recovery, 180, &[2]).0, Err(FalseRepair), "it was not protected");
    assert_eq!(repaired(&mut recovery, 180, &[3]).0, Err(FalseRepair), "it was not sent");
    let mut skipping = with_ring(64);
    skipping.skip_at = 1;
    protect(&mut skipping, 0);
    protect(&mut skipping, 0);
    assert_eq!(repaired(&mut skipping, 180, &[1]).0, Err(FalseRepair), "it was left out on purpose");
}

#[test]
fn a_held_packet_is_not_forgotten_for_want_of_room() {
    let mut recovery = with_ring(16);
    recovery.skip_at = u64::MAX;
    protect(&mut recovery, 0);
    send_all(&mut recovery, &[0; 3]);
    acked(&mut recovery, 80, &[1, 2, 3]);
    while recovery.permit(at(90), 0) == Permit::Now {
        send(&mut recovery, 90);
        assert!(recovery.sent_packets() < 100);
        let newest = recovery.sent_packets() - 1;
        acked(&mut recovery, 170, &[newest]);
    }
    assert_eq!(recovery.permit(at(100), 0), Permit::RingFull);
    assert_eq!(released(&mut recovery, 0), [(Fate::Lost, 0)]);
    assert_eq!(recovery.permit(at(100), 0), Permit::Now);
}

#[test]
fn what_is_lost_in_search_of_the_rate_does_not_count_as_loss_of_the_path() {
    let mut recovery = measured();
    protect(&mut recovery, 100);
    repaired(&mut recovery, 180, &[1]).0.unwrap();
    assert_eq!((recovery.lost_packets(), recovery.path_loss().lost), (1, 0));
}

//! Recovery as a whole, driven by hand-made ACKs and instants.

mod properties;
mod repairs;
mod resending;

use super::*;
use crate::entropy::Entropy;
use crate::wire::frame::write_ack;
use crate::wire::{Ack, EcnCounts, Frame, Reader, Writer};
use alloc::format;
use alloc::vec::Vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

const MS: u64 = 1_000_000;
const SIZE: u16 = 1200;
type Fates = Vec<(Fate, u64)>;

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * MS)
}

fn with_ring(ring: usize) -> Recovery<u64> {
    let settings = Settings { ring, ..Settings::new(SIZE, Box::new(Cubic::new(SIZE))) };
    Recovery::new(at(0), settings, Drbg::new(&Entropy::new([3; 32])))
}

impl Recovery<u64> {
    /// Slots and records there is memory for.
    fn memory(&self) -> usize {
        self.sent.memory()
    }
}

/// A connection that skips no numbers.
fn plain() -> Recovery<u64> {
    let mut recovery = with_ring(MAX_RING);
    recovery.skip_at = u64::MAX;
    recovery
}

/// Sends a packet with its own number as the record.
fn send(recovery: &mut Recovery<u64>, ms: u64) -> u64 {
    let pn = recovery.begin();
    recovery.record(pn);
    recovery.commit(at(ms), SIZE, Flags::DATA, recovery.ecn());
    pn
}

/// Sends one packet at each time.
fn send_all(recovery: &mut Recovery<u64>, times: &[u64]) {
    for &ms in times {
        send(recovery, ms);
    }
}

/// A connection with a measured round trip of 80 ms; packet 0 is acknowledged at 80 ms.
fn measured() -> Recovery<u64> {
    let mut recovery = plain();
    send(&mut recovery, 0);
    assert_eq!(acked(&mut recovery, 80, &[0]).1, [(Fate::Acked, 0)]);
    assert_eq!(recovery.srtt(), Duration::from_millis(80));
    recovery
}

fn try_ack(
    recovery: &mut Recovery<u64>,
    ms: u64,
    pns: &[u64],
    ecn: Option<EcnCounts>,
) -> (Result<AckSummary, AckViolation>, Fates) {
    let mut set = RangeSet::new();
    for &pn in pns {
        set.insert_one(pn);
    }
    let mut buffer = [0; 1200];
    let mut w = Writer::new(&mut buffer);
    write_ack(&mut w, 0, set.iter().rev().map(|range| (range.start, range.end - 1)), ecn).unwrap();
    let written = w.written().to_vec();
    let Ok(Frame::Ack(ack)) = Frame::decode(&mut Reader::new(&written)) else { panic!("no ACK") };
    on_ack(recovery, ms, &ack)
}

fn on_ack(recovery: &mut Recovery<u64>, ms: u64, ack: &Ack<'_>) -> (Result<AckSummary, AckViolation>, Fates) {
    let mut fates = Vec::new();
    let result = recovery.on_ack(at(ms), ack, true, &mut |fate, record| fates.push((fate, *record)));
    (result, fates)
}

fn acked(recovery: &mut Recovery<u64>, ms: u64, pns: &[u64]) -> (AckSummary, Fates) {
    let ecn = EcnCounts { ect0: recovery.sent_packets().min(10), ect1: 0, ce: 0 };
    let (result, fates) = try_ack(recovery, ms, pns, Some(ecn));
    (result.unwrap(), fates)
}

fn timeout(recovery: &mut Recovery<u64>, ms: u64) -> (Timeout, Fates) {
    let mut fates = Vec::new();
    (recovery.on_timeout(at(ms), &mut |fate, record| fates.push((fate, *record))), fates)
}

#[test]
fn lost_by_three_later_packets() {
    let mut recovery = measured();
    (1..=5).for_each(|i| assert_eq!(send(&mut recovery, 100), i));
    assert_eq!(acked(&mut recovery, 180, &[3]).1, [(Fate::Acked, 3)]);
    let (summary, fates) = acked(&mut recovery, 181, &[3, 4]);
    assert_eq!(fates, [(Fate::Acked, 4), (Fate::Lost, 1)]);
    assert_eq!((summary.lost_packets, summary.lost_bytes, recovery.bytes_in_flight()), (1, 1200, 2400));
    assert_eq!(recovery.cwnd(), 13_200 * 7 / 10, "one congestion event");
    acked(&mut recovery, 182, &[3, 4, 5]);
    assert_eq!(recovery.cwnd(), 13_200 * 7 / 10);
}

#[test]
fn a_skipped_number_does_not_count_as_overtaking() {
    let mut recovery = measured();
    recovery.skip_at = 3;
    let pns: Vec<u64> = (0..4).map(|_| send(&mut recovery, 100)).collect();
    assert_eq!(pns, [1, 2, 4, 5]);
    assert_eq!(acked(&mut recovery, 180, &[2, 4]).0.lost_packets, 0);
    assert_eq!(acked(&mut recovery, 181, &[2, 4, 5]).0.lost_packets, 1);
}

#[test]
fn lost_by_time() {
    let mut recovery = measured();
    send(&mut recovery, 100);
    send(&mut recovery, 100);
    acked(&mut recovery, 180, &[2]);
    assert_eq!(recovery.deadline(), Some(at(190)));
    assert_eq!(timeout(&mut recovery, 189), (Timeout::Nothing, Vec::new()));
    assert_eq!(timeout(&mut recovery, 190), (Timeout::Lost, alloc::vec![(Fate::Lost, 1)]));
    assert_eq!((recovery.deadline(), recovery.bytes_in_flight()), (None, 0));
}

#[test]
fn a_spurious_loss_raises_the_thresholds_and_undoes_the_reduction() {
    let mut recovery = measured();
    send_all(&mut recovery, &[100; 6]);
    let before = recovery.cwnd();
    assert_eq!(acked(&mut recovery, 180, &[5, 6]).0.lost_packets, 3);
    assert!(recovery.cwnd() < before);
    assert_eq!(acked(&mut recovery, 182, &[1, 2, 5, 6]).1, [(Fate::Late, 2), (Fate::Late, 1)]);
    assert!(recovery.cwnd() < before, "3 is still missing");
    let (summary, fates) = acked(&mut recovery, 183, &[1, 2, 3, 4, 5, 6]);
    assert_eq!((summary.late_packets, fates), (1, alloc::vec![(Fate::Acked, 4), (Fate::Late, 3)]));
    assert!(recovery.cwnd() >= before);
    assert_eq!((recovery.thresholds.packets(), recovery.late_packets()), (6, 3));
    // Now five later packets are no loss yet.
    let first = send(&mut recovery, 190);
    send_all(&mut recovery, &[190; 5]);
    assert_eq!(acked(&mut recovery, 270, &(first + 1..first + 6).collect::<Vec<_>>()).0.lost_packets, 0);
    assert!(recovery.deadline().is_some());
}

#[test]
fn probe_timeouts_double_and_reset() {
    let mut recovery = measured();
    for _ in 0..3 {
        send(&mut recovery, 100);
    }
    // 80 + 4 * 40 + 25 ms.
    assert_eq!(recovery.pto(), Duration::from_millis(265));
    assert_eq!(recovery.deadline(), Some(at(365)));
    let probed = alloc::vec![(Fate::Probe, 1), (Fate::Probe, 2)];
    assert_eq!(timeout(&mut recovery, 365), (Timeout::Probe, probed.clone()));
    assert_eq!((recovery.probes_pending(), recovery.pto_count()), (2, 1));
    assert_eq!(recovery.deadline(), Some(at(365 + 530)));
    assert_eq!(recovery.permit(at(365), 1 << 40), Permit::Now, "probes pass the window");
    let probe = send(&mut recovery, 366);
    assert_eq!(recovery.deadline(), Some(at(366 + 530)));
    send(&mut recovery, 366);
    assert_eq!((recovery.probes_pending(), recovery.bytes_in_flight()), (0, 6000));
    assert_eq!(timeout(&mut recovery, 896), (Timeout::Probe, probed));
    assert_eq!(recovery.deadline(), Some(at(896 + 1060)));
    acked(&mut recovery, 900, &[probe]);
    assert_eq!((recovery.pto_count(), recovery.probes_pending()), (0, 0));
    // 896 ms of silence end with everything before the probe lost.
    assert_eq!(recovery.lost_packets(), 3);
}

#[test]
fn probe_timeouts_stop_doubling_at_three_seconds() {
    let mut recovery = measured();
    send(&mut recovery, 100);
    for _ in 0..20 {
        let due = recovery.deadline().unwrap().as_nanos() / MS;
        assert_eq!(timeout(&mut recovery, due).0, Timeout::Probe);
        send(&mut recovery, due);
        assert!(recovery.pto() <= Duration::from_secs(3));
    }
    assert_eq!(recovery.pto(), Duration::from_secs(3));
}

/// Packet 1 at 100 ms and packet 3 at 1000 ms are lost, with more than three probe timeouts of 265 ms in between;
/// packet 2 was sent between them.
#[test]
fn persistent_congestion() {
    for (between, persistent) in [(&[][..], true), (&[2][..], false)] {
        let mut recovery = measured();
        send_all(&mut recovery, &[100, 500, 1000, 1001, 1001, 1001]);
        let (summary, fates) = acked(&mut recovery, 1100, &[&[4, 5, 6], between].concat());
        assert_eq!((summary.persistent, fates.len()), (persistent, 6));
        assert_eq!(recovery.cwnd() == 2 * u64::from(SIZE), persistent);
        assert_eq!(recovery.min_rtt(), Duration::from_millis(if persistent { 99 } else { 80 }));
    }
}

#[test]
fn impossible_acks_change_nothing() {
    let mut recovery = measured();
    recovery.skip_at = 3;
    for _ in 0..4 {
        send(&mut recovery, 100);
    }
    let before = format!("{recovery:?}");
    for (pns, violation) in [
        (&[1u64, 2, 6][..], AckViolation::Unsent),
        (&[1, 3, 5], AckViolation::Skipped),
        (&[1, 2, 3, 4, 5], AckViolation::Skipped),
    ] {
        let (result, fates) = try_ack(&mut recovery, 150, pns, None);
        assert_eq!((result, fates), (Err(violation), Vec::new()));
        assert_eq!(format!("{recovery:?}"), before);
    }
    assert_eq!(acked(&mut recovery, 180, &[1, 2, 4, 5]).0.newly_acked, 4);
}

#[test]
fn about_one_number_per_window_is_left_out() {
    let mut recovery = with_ring(MAX_RING);
    let mut last = 0;
    for i in 0..5000 {
        last = send(&mut recovery, i);
    }
    // The window is 10 packets.
    assert!((350..650).contains(&(last - 4999)), "{}", last - 4999);
    assert!(recovery.skipped.len() <= MAX_SKIPPED);
}

#[test]
fn a_full_ring_refuses_and_lost_packets_make_room() {
    let mut recovery = with_ring(16);
    recovery.skip_at = u64::MAX;
    let mut sent = 0;
    while recovery.permit(at(0), 0) == Permit::Now {
        send(&mut recovery, 0);
        sent += 1;
    }
    assert_eq!((sent, recovery.permit(at(0), 0)), (15, Permit::RingFull));
    acked(&mut recovery, 80, &[5]);
    // 0 to 2 are lost and remembered, but they give way.
    assert_eq!(recovery.permit(at(80), 0), Permit::Now);
}

#[test]
fn the_window_and_the_pacer_hold_back() {
    let mut recovery = plain();
    for _ in 0..10 {
        assert_eq!(recovery.permit(at(0), 1200), Permit::Now);
        send(&mut recovery, 0);
    }
    assert_eq!(recovery.permit(at(0), 1200), Permit::Congested);
    acked(&mut recovery, 80, &(0..10).collect::<Vec<_>>());
    assert_eq!(recovery.cwnd(), 24_000);
    while recovery.permit(at(80), 1200) == Permit::Now {
        send(&mut recovery, 80);
    }
    let Permit::Paced(next) = recovery.permit(at(80), 1200) else { panic!("paced") };
    assert!(next > at(80) && recovery.permit(next, 1200) == Permit::Now);
}

#[test]
fn the_window_does_not_grow_for_an_idle_application() {
    let mut recovery = measured();
    let before = recovery.cwnd();
    for i in 0..20 {
        recovery.set_app_limited(&mut |_, _| ());
        let pn = send(&mut recovery, 100 + 100 * i);
        acked(&mut recovery, 180 + 100 * i, &[pn]);
    }
    assert_eq!(recovery.cwnd(), before);
}

#[test]
fn ce_is_one_congestion_event_per_round_trip() {
    let mut recovery = measured();
    let counts = |ect0, ce| Some(EcnCounts { ect0, ect1: 0, ce });
    send_all(&mut recovery, &[100; 6]);
    let before = recovery.cwnd();
    let (result, _) = try_ack(&mut recovery, 180, &[1, 2], counts(2, 1));
    assert_eq!(result.unwrap().ce, 1);
    let reduced = recovery.cwnd();
    assert_eq!(reduced, before * 7 / 10);
    assert_eq!(try_ack(&mut recovery, 181, &[1, 2, 3, 4], counts(2, 3)).0.unwrap().ce, 2);
    assert_eq!((recovery.cwnd(), recovery.is_ecn_capable()), (reduced, true));
    let pn = send(&mut recovery, 182);
    assert_eq!(try_ack(&mut recovery, 262, &[1, 2, 3, 4, 5, 6, pn], counts(4, 4)).0.unwrap().ce, 1);
    assert!(recovery.cwnd() < reduced);
}

/// Four thousand packets at once take memory; a second after the last, only a small window's worth stays.
#[test]
fn the_memory_of_a_burst_goes_back_when_the_sender_rests() {
    let mut recovery = plain();
    assert_eq!((recovery.memory(), recovery.rest_at()), (0, None));
    for round in 0..3 {
        let from = recovery.sent.next_pn();
        let begin = 10_000 * round;
        send_all(&mut recovery, &[begin; 4000]);
        assert!(recovery.memory() >= 8000);
        let pns: Vec<u64> = (from..from + 4000).collect();
        acked(&mut recovery, begin + 80, &pns[..3999]);
        assert_eq!(recovery.rest_at(), None, "something is still in flight");
        acked(&mut recovery, begin + 81, &pns[3999..]);
        assert_eq!(recovery.rest_at(), Some(at(begin + 1000)));
        let held = recovery.memory();
        send_all(&mut recovery, &[begin + 900; 4000]);
        assert_eq!(recovery.memory(), held, "a sender in full flow allocates nothing");
        acked(&mut recovery, begin + 980, &(from + 4000..from + 8000).collect::<Vec<_>>());
        assert_eq!(recovery.rest_at(), Some(at(begin + 1900)));
        recovery.rest();
        assert!(recovery.memory() <= 1024, "{}", recovery.memory());
        assert_eq!(recovery.rest_at(), None);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Send {
        count: u8,
        kind: u8,
        records: u8,
    },
    Cancel,
    /// Acknowledges the newest numbers where the bit is set.
    Ack(u64),
    Wait(u16),
    Deadline,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1u8..6, 0u8..8, 0u8..4).prop_map(|(count, kind, records)| Op::Send { count, kind, records }),
        1 => Just(Op::Cancel),
        4 => any::<u64>().prop_map(Op::Ack),
        2 => (0u16..400).prop_map(Op::Wait),
        2 => Just(Op::Deadline),
    ]
}

/// What the model knows of one record.
#[derive(Default)]
struct Known {
    verdict: Option<Fate>,
    late: bool,
}

/// Drives a [`Recovery`] and keeps the books beside it.
struct Books {
    recovery: Recovery<u64>,
    records: BTreeMap<u64, Known>,
    /// Size in flight and first record of each packet number.
    packets: BTreeMap<u64, (u64, u64)>,
    next_record: u64,
    now: u64,
}

impl Books {
    fn new() -> Self {
        let (records, packets) = (BTreeMap::new(), BTreeMap::new());
        Self { recovery: with_ring(MAX_RING), records, packets, next_record: 0, now: 1 }
    }

    fn send(&mut self, kind: u8, records: u8) {
        let flags = if kind == 0 { Flags::ACK_ONLY } else { Flags::DATA };
        let size = 100 + u16::from(kind);
        let pn = self.recovery.begin();
        let in_flight = if flags.in_flight { u64::from(size) } else { 0 };
        self.packets.insert(pn, (in_flight, self.next_record));
        for _ in 0..=records {
            self.recovery.record(self.next_record);
            self.records.insert(self.next_record, Known::default());
            self.next_record += 1;
        }
        self.recovery.commit(at(self.now), size, flags, self.recovery.ecn());
    }

    fn ack(&mut self, pns: &[u64]) {
        if pns.is_empty() {
            return;
        }
        let (result, fates) = try_ack(&mut self.recovery, self.now, pns, None);
        assert!(result.is_ok());
        self.book(fates);
    }

    fn fire(&mut self) {
        if let Some(deadline) = self.recovery.deadline() {
            self.now = self.now.max(deadline.as_nanos().div_ceil(MS));
            let (_, fates) = timeout(&mut self.recovery, self.now);
            self.book(fates);
            assert!(self.recovery.deadline().is_none_or(|next| next > at(self.now)), "would spin");
        }
    }

    fn book(&mut self, fates: Fates) {
        for (fate, record) in fates {
            let known = self.records.get_mut(&record).expect("a record that was never committed");
            match fate {
                Fate::Probe => assert_eq!(known.verdict, None),
                Fate::Late => {
                    assert_eq!((known.verdict, known.late), (Some(Fate::Lost), false));
                    known.late = true;
                }
                verdict => assert_eq!(known.verdict.replace(verdict), None, "two verdicts"),
            }
        }
        let open = |record: &u64| self.records.get(record).is_some_and(|known| known.verdict.is_none());
        let in_flight: u64 = self.packets.values().filter(|(_, record)| open(record)).map(|(size, _)| size).sum();
        assert_eq!(self.recovery.bytes_in_flight(), in_flight);
    }
}

proptest! {
    /// Whatever is acknowledged, lost and late: no record is forgotten or gets two verdicts, the bytes in flight are
    /// those of the packets without a verdict, and no timer fires in vain.
    #[test]
    fn books_balance(ops in prop::collection::vec(op(), 1..80)) {
        let mut books = Books::new();
        for op in ops {
            match op {
                Op::Send { count, kind, records } => (0..count).for_each(|_| books.send(kind, records)),
                Op::Cancel => {
                    books.recovery.begin();
                    books.recovery.record(u64::MAX);
                    books.recovery.cancel();
                }
                Op::Ack(bits) => {
                    let newest = books.packets.keys().rev().take(64).enumerate();
                    let pns: Vec<u64> = newest.filter(|(i, _)| bits >> i & 1 == 1).map(|(_, &pn)| pn).collect();
                    books.ack(&pns);
                }
                Op::Wait(ms) => books.now += u64::from(ms),
                Op::Deadline => books.fire(),
            }
        }
        let all: Vec<u64> = books.packets.keys().copied().collect();
        // Ranges of at most 64 in one frame: from the oldest to the newest.
        for chunk in all.chunks(16) {
            books.ack(chunk);
        }
        prop_assert!(books.records.values().all(|known| known.verdict.is_some()));
        prop_assert_eq!((books.recovery.bytes_in_flight(), books.recovery.deadline()), (0, None));
    }
}

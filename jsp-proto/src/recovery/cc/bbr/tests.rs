//! The controller on a path made of a few numbers: a bottleneck, a queue, a medium that loses. All of recovery is
//! real; the peer acknowledges every packet at once, and the application always has something to send.

use super::super::super::{Flags, Permit, Recovery, Settings};
use super::*;
use crate::ecn::Ecn;
use crate::entropy::{Drbg, Entropy};
use crate::ranges::RangeSet;
use crate::wire::frame::write_ack;
use crate::wire::{EcnCounts, Frame, Reader, Writer};
use alloc::boxed::Box;
use alloc::vec::Vec;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

const MS: u64 = 1_000_000;
const SIZE: u16 = 1200;
const PACKET: u64 = SIZE as u64;
/// 10 Mbit/s in bytes per second, and a floor of 40 ms: 42 packets in flight.
const RATE: u64 = 1_250_000;
const FLOOR: u64 = 40 * MS;

/// A controller that can be looked into.
#[derive(Debug)]
struct Watched(Arc<Mutex<Bbr>>);

impl Watched {
    fn bbr(&self) -> std::sync::MutexGuard<'_, Bbr> {
        self.0.lock().unwrap()
    }
}

impl Controller for Watched {
    fn on_sent(&mut self) {
        self.bbr().on_sent();
    }
    fn on_ack(&mut self, sample: &AckSample) {
        self.bbr().on_ack(sample);
    }
    fn on_packet_lost(&mut self, pn: u64) {
        self.bbr().on_packet_lost(pn);
    }
    fn on_loss(&mut self, sample: &LossSample) {
        self.bbr().on_loss(sample);
    }
    fn on_packet_late(&mut self, pn: u64) {
        self.bbr().on_packet_late(pn);
    }
    fn on_ce(&mut self, now: Instant, marked: u64) {
        self.bbr().on_ce(now, marked);
    }
    fn on_spurious(&mut self, now: Instant) {
        self.bbr().on_spurious(now);
    }
    fn on_mtu(&mut self, max_datagram: u16) {
        self.bbr().on_mtu(max_datagram);
    }
    fn cwnd(&self) -> u64 {
        self.bbr().cwnd()
    }
    fn pacing_rate(&self) -> Option<u64> {
        self.bbr().pacing_rate()
    }
    fn background_loss(&self) -> f64 {
        self.bbr().background_loss()
    }
    fn in_slow_start(&self) -> bool {
        self.bbr().in_slow_start()
    }
}

/// A path, and a sender on it.
struct Path {
    recovery: Recovery<u64>,
    bbr: Arc<Mutex<Bbr>>,
    random: Drbg,
    now: u64,
    /// The bottleneck: bytes per second, bytes that may wait, and when the last of them will have left.
    rate: u64,
    buffer: u64,
    free_at: u64,
    floor: u64,
    /// Share of the packets that are lost behind the bottleneck.
    loss: f64,
    /// What a policer in front lets through, in bytes per second, and its tokens.
    policer: Option<u64>,
    tokens: u64,
    filled_at: u64,
    /// Every packet that leaves is marked.
    marks: bool,
    /// Each n-th packet arrives later by so many nanoseconds.
    late: Option<(u64, u64)>,
    /// Packets by the time their acknowledgement comes, and whether they are marked.
    on_the_way: BTreeSet<(u64, u64, bool)>,
    received: RangeSet,
    counts: EcnCounts,
    sent_bytes: u64,
    arrived_bytes: u64,
    /// When each phase began.
    phases: Vec<(u64, Phase)>,
}

impl Path {
    fn new(seed: u8) -> Self {
        let bbr = Arc::new(Mutex::new(Bbr::new(SIZE, u64::from(seed))));
        let settings = Settings::new(SIZE, Box::new(Watched(Arc::clone(&bbr))));
        Self {
            recovery: Recovery::new(Instant::ZERO, settings, Drbg::new(&Entropy::new([seed; 32]))),
            bbr,
            random: Drbg::new(&Entropy::new([seed ^ 0xff; 32])),
            now: 0,
            rate: RATE,
            buffer: 100_000,
            free_at: 0,
            floor: FLOOR,
            loss: 0.0,
            policer: None,
            tokens: 30 * PACKET,
            filled_at: 0,
            marks: false,
            late: None,
            on_the_way: BTreeSet::new(),
            received: RangeSet::new(),
            counts: EcnCounts { ect0: 0, ect1: 0, ce: 0 },
            sent_bytes: 0,
            arrived_bytes: 0,
            phases: alloc::vec![(0, Phase::Startup)],
        }
    }

    fn bbr(&self) -> std::sync::MutexGuard<'_, Bbr> {
        self.bbr.lock().unwrap()
    }

    fn instant(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    fn phase(&self) -> Phase {
        self.bbr().phase
    }

    /// Nanoseconds that a packet would wait at the bottleneck.
    fn queue(&self) -> u64 {
        self.free_at.saturating_sub(self.now)
    }

    fn polices(&mut self) -> bool {
        let Some(rate) = self.policer else { return false };
        self.tokens = (self.tokens + volume(rate, self.now - self.filled_at)).min(30 * PACKET);
        self.filled_at = self.now;
        let passes = self.tokens >= PACKET;
        self.tokens -= if passes { PACKET } else { 0 };
        !passes
    }

    fn send(&mut self) {
        let pn = self.recovery.begin();
        self.recovery.record(pn);
        let ecn = self.recovery.ecn();
        self.recovery.commit(self.instant(), SIZE, Flags::DATA, ecn);
        self.sent_bytes += PACKET;
        if self.polices() || volume(self.rate, self.queue()) + PACKET > self.buffer {
            return;
        }
        self.free_at = self.free_at.max(self.now) + duration(PACKET, self.rate);
        let chance = self.random.below(1 << 32) as f64 / (1u64 << 32) as f64;
        if chance < self.loss {
            return;
        }
        // Some of them so late that they never come.
        let late = self.late.map_or(0, |(each, by)| if pn.is_multiple_of(each) { by } else { 0 });
        self.on_the_way.insert((self.free_at + self.floor + late, pn, self.marks && ecn == Ecn::Ect0));
    }

    fn arrive(&mut self, pn: u64, marked: bool) {
        self.received.insert_one(pn);
        while self.received.len() > 40 {
            self.received.pop_first();
        }
        self.arrived_bytes += PACKET;
        if marked {
            self.counts.ce += 1;
        } else if self.recovery.ecn() == Ecn::Ect0 || self.counts.ect0 < 10 {
            self.counts.ect0 += 1;
        }
        let mut buffer = [0; 1200];
        let mut w = Writer::new(&mut buffer);
        let ranges = self.received.iter().rev().map(|range| (range.start, range.end - 1));
        write_ack(&mut w, 0, ranges, Some(self.counts)).unwrap();
        let written = w.written().to_vec();
        let Ok(Frame::Ack(ack)) = Frame::decode(&mut Reader::new(&written)) else { panic!("no ACK") };
        self.recovery.on_ack(Instant::from_nanos(self.now), &ack, true, &mut |_, _| ()).unwrap();
    }

    /// Lets time pass until `end`.
    fn run_until(&mut self, end: u64) {
        loop {
            let mut paced = u64::MAX;
            loop {
                match self.recovery.permit(self.instant(), PACKET) {
                    Permit::Now => self.send(),
                    Permit::Paced(at) => {
                        paced = at.as_nanos();
                        break;
                    }
                    Permit::Congested | Permit::RingFull => break,
                }
            }
            let arrival = self.on_the_way.first().map_or(u64::MAX, |&(at, ..)| at);
            let deadline = self.recovery.deadline().map_or(u64::MAX, Instant::as_nanos);
            let next = paced.min(arrival).min(deadline);
            if next >= end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            if arrival <= self.now {
                let (_, pn, marked) = self.on_the_way.pop_first().unwrap();
                self.arrive(pn, marked);
            } else if deadline <= self.now {
                self.recovery.on_timeout(self.instant(), &mut |_, _| ());
            }
            let phase = self.phase();
            if self.phases.last().is_some_and(|&(_, last)| last != phase) {
                self.phases.push((self.now, phase));
            }
        }
    }

    fn run(&mut self, ms: u64) {
        self.run_until(self.now + ms * MS);
    }

    /// Shares of the bottleneck's rate that are sent, and that arrive, over so many milliseconds.
    fn measure(&mut self, ms: u64) -> (f64, f64) {
        let (sent, arrived) = (self.sent_bytes, self.arrived_bytes);
        self.run(ms);
        let full = volume(self.rate, ms * MS) as f64;
        ((self.sent_bytes - sent) as f64 / full, (self.arrived_bytes - arrived) as f64 / full)
    }

    fn began(&self, phase: Phase) -> Option<u64> {
        self.phases.iter().find(|(_, began)| *began == phase).map(|&(at, _)| at)
    }
}

#[test]
fn startup_finds_the_rate_and_drain_empties_the_queue() {
    for seed in 1..10 {
        let mut path = Path::new(seed);
        path.run(1_000);
        let (drain, cruise) = (path.began(Phase::Drain).unwrap(), path.began(Phase::Cruise).unwrap());
        // From 10 packets to 42 are three doublings; a round that brings no more ends it.
        assert!(drain < 9 * FLOOR, "{} ms", drain / MS);
        assert!(cruise < drain + 4 * FLOOR, "{} ms", cruise / MS);
        let rate = path.bbr().bandwidth.get();
        assert!((RATE * 95 / 100..=RATE * 105 / 100).contains(&rate), "{rate}");
        let mut path = Path::new(seed);
        path.run_until(cruise + MS);
        assert!(path.queue() < FLOOR / 8, "{} ms of queue", path.queue() / MS);
    }
}

#[test]
fn a_clean_path_is_full_and_its_queue_short() {
    let mut path = Path::new(1);
    path.run(2_000);
    let (sent, arrived) = path.measure(20_000);
    assert!(arrived > 0.93 && sent < arrived + 0.02, "{sent} {arrived}");
    let mut waits = 0;
    for _ in 0..1_000 {
        path.run(7);
        waits += path.queue();
    }
    assert!(waits / 1_000 < FLOOR / 4, "{} ms on average", waits / 1_000 / MS);
    for phase in [Phase::Refill, Phase::Up, Phase::Down, Phase::Cruise] {
        assert!(path.began(phase).is_some(), "{phase:?}");
    }
}

#[test]
fn random_loss_does_not_reduce_the_rate_and_is_learned() {
    for (seed, loss) in [(1, 0.02), (2, 0.05), (3, 0.1), (4, 0.1), (5, 0.2)] {
        let mut path = Path::new(seed);
        path.loss = loss;
        path.run(5_000);
        let (sent, arrived) = path.measure(15_000);
        assert!(arrived > (1.0 - loss) * 0.9, "{arrived} arrived and {sent} sent with {loss} lost");
        let learned = path.bbr().background_loss();
        assert!((learned - loss).abs() < 0.02, "{learned} instead of {loss}");
    }
}

/// What is sent above the policer's rate is dropped, without a queue. On a path of a hundred megabits.
#[test]
fn a_policer_is_not_a_lossy_medium() {
    for seed in 1..5 {
        let mut path = Path::new(seed);
        path.rate = 10 * RATE;
        path.buffer = 1_000_000;
        path.policer = Some(RATE);
        path.run(10_000);
        let (sent, arrived) = path.measure(20_000);
        assert!(10.0 * sent < 1.1, "{} times what is let through", 10.0 * sent);
        assert!(10.0 * arrived > 0.75, "{} of what is let through", 10.0 * arrived);
    }
}

#[test]
fn marks_reduce() {
    let mut path = Path::new(1);
    path.run(3_000);
    while path.phase() != Phase::Cruise {
        path.run(1);
    }
    assert!(path.recovery.is_ecn_capable() && path.bbr().short.is_none());
    let in_flight = path.recovery.cwnd();
    path.marks = true;
    // A packet that is marked now, its acknowledgement, and the end of its round.
    path.run(2 * FLOOR / MS + 20);
    assert!(path.bbr().short.is_some());
    assert!(path.recovery.cwnd() < in_flight * 9 / 10, "{} of {in_flight}", path.recovery.cwnd());
    // As long as everything is marked, probes add nothing to what is in flight.
    let bdp = volume(RATE, FLOOR);
    for _ in 0..3_000 {
        path.run(1);
        assert!(path.recovery.cwnd() < bdp * 13 / 10, "{} of {bdp}", path.recovery.cwnd());
    }
    path.marks = false;
    path.run(3_000);
    let (_, arrived) = path.measure(5_000);
    assert!(arrived > 0.9, "{arrived} without marks");
}

#[test]
fn a_longer_path_keeps_its_bandwidth() {
    for seed in 1..5 {
        let mut path = Path::new(seed);
        path.run(5_000);
        path.floor = 3 * FLOOR;
        path.run(3_000);
        let (_, arrived) = path.measure(5_000);
        assert!(arrived > 0.85, "{arrived}");
        let floor = path.bbr().floor.get().unwrap();
        assert!((3 * FLOOR..3 * FLOOR + FLOOR / 2).contains(&floor), "{} ms", floor / MS);
    }
}

#[test]
fn a_slower_path_is_followed() {
    for seed in 1..5 {
        let mut path = Path::new(seed);
        path.run(5_000);
        path.rate = RATE / 5;
        // A full queue lasts 400 ms now, and so does a sample of the rate: the first part of the way takes about one
        // such round trip, the rest a few.
        let follows = |path: &mut Path, rate: u64| {
            let from = path.now;
            while path.now < from + 3_000 * MS && path.bbr().rate() >= rate {
                path.run(1);
            }
            (path.now - from) / MS
        };
        let (half, rest) = (follows(&mut path, RATE / 2), follows(&mut path, RATE / 5 * 115 / 100));
        assert!(half <= 500 && rest <= 1_500, "{half} and {rest} ms");
        path.run(3_000);
        let (sent, arrived) = path.measure(10_000);
        assert!(arrived > 0.85 && sent < 1.05, "{sent} {arrived}");
    }
}

/// Three seconds in which nothing comes through, and then everything again.
#[test]
fn persistent_loss_leaves_the_smallest_window_and_acknowledgements_restore_it() {
    let mut path = Path::new(1);
    path.run(5_000);
    let before = path.recovery.cwnd();
    path.loss = 1.0;
    path.run(3_000);
    path.loss = 0.0;
    let mut least = u64::MAX;
    for _ in 0..4_000 {
        path.run(1);
        least = least.min(path.recovery.cwnd());
    }
    // The acknowledgement that tells of the loss opens the window by its own packet.
    assert!(least <= (MIN_WINDOW + 1) * PACKET, "{least}");
    assert!(path.recovery.cwnd() > before * 2 / 3, "{} of {before}", path.recovery.cwnd());
    let (_, arrived) = path.measure(5_000);
    assert!(arrived > 0.9, "{arrived}");
}

/// While the path is probed everything arrives 30 ms later, as behind a queue, and each eighth packet so much later
/// still that it is called lost. If it never comes that is congestion; if it comes nothing has happened.
#[test]
fn spurious_losses_do_not_reduce() {
    for (by, late) in [(120 * MS, true), (u64::MAX / 2, false)] {
        let mut path = Path::new(1);
        path.run(3_000);
        while path.phase() != Phase::Refill {
            path.run(1);
        }
        path.floor = FLOOR + 30 * MS;
        path.late = Some((8, by));
        path.run(120);
        path.late = None;
        let mut reduced = false;
        for _ in 0..400 {
            path.run(1);
            reduced |= path.bbr().short.is_some();
        }
        assert!(path.recovery.lost_packets() > 5);
        assert_eq!((path.recovery.late_packets() > 5, reduced), (late, !late));
    }
}

/// What proves wrong after the verdict is undone; other late packets undo nothing.
#[test]
fn a_reduction_without_ground_is_undone() {
    for (late, undone) in [(&[100u64, 101, 102, 103][..], true), (&[100, 101, 102][..], false), (&[99; 9][..], false)] {
        let mut bbr = Bbr::new(SIZE, 1);
        bbr.bandwidth.reset(RATE);
        bbr.losses.begin(100, Pace::Full);
        (0..50).for_each(|_| bbr.losses.on_sent());
        (100..104).for_each(|pn| bbr.on_packet_lost(pn));
        bbr.losses.begin(150, Pace::Full);
        let verdict = bbr.losses.conclude(150).unwrap();
        assert!(verdict.excess);
        bbr.reduce(&Round::default(), Some(verdict.ground));
        assert!(bbr.short.is_some() && bbr.long < u64::MAX);
        bbr.on_spurious(Instant::ZERO);
        late.iter().for_each(|&pn| bbr.on_packet_late(pn));
        assert_eq!((bbr.short.is_none(), bbr.long == u64::MAX), (undone, undone));
    }
}

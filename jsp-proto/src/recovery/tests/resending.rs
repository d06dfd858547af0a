//! What is sent again: lost retransmissions, probes, insurance; and what a changed controller inherits.

use super::*;

/// A controller of which all that matters here is given.
#[derive(Debug)]
struct Given {
    window: u64,
    background: f64,
}

impl Controller for Given {
    fn on_ack(&mut self, _sample: &cc::AckSample) {}
    fn on_loss(&mut self, _sample: &cc::LossSample) {}
    fn on_ce(&mut self, _now: Instant, _marked: u64) {}
    fn on_spurious(&mut self, _now: Instant) {}
    fn on_mtu(&mut self, _max_datagram: u16) {}
    fn cwnd(&self) -> u64 {
        self.window
    }
    fn background_loss(&self) -> f64 {
        self.background
    }
    fn in_slow_start(&self) -> bool {
        false
    }
}

fn given(packets: u64, background: f64) -> Recovery<u64> {
    let mut recovery = measured();
    recovery.set_controller(Box::new(Given { window: packets * u64::from(SIZE), background }));
    recovery
}

fn resend(recovery: &mut Recovery<u64>, ms: u64) -> u64 {
    let pn = recovery.begin();
    recovery.record(pn);
    recovery.commit(at(ms), SIZE, Flags { retransmission: true, ..Flags::DATA }, recovery.ecn());
    pn
}

/// What is shown when the application has nothing more to send.
fn insured(recovery: &mut Recovery<u64>) -> Fates {
    let mut fates = Vec::new();
    recovery.set_app_limited(&mut |fate, record| fates.push((fate, *record)));
    fates
}

/// A retransmission is a packet like any other: three later ones that arrive give it away, a round trip after it left
/// and long before the probe timeout of 265 ms.
#[test]
fn a_lost_retransmission_is_found_by_later_packets() {
    let mut recovery = measured();
    send_all(&mut recovery, &[100; 4]);
    assert_eq!(acked(&mut recovery, 180, &[2, 3, 4]).1[3], (Fate::Lost, 1));
    for (ms, again) in [(181, 5), (262, 9), (343, 13)] {
        assert_eq!(resend(&mut recovery, ms), again);
        send_all(&mut recovery, &[ms; 3]);
        let (summary, fates) = acked(&mut recovery, ms + 80, &[again + 1, again + 2, again + 3]);
        assert_eq!((summary.lost_packets, fates[3]), (1, (Fate::Lost, again)));
        assert_eq!((recovery.pto_count(), recovery.bytes_in_flight()), (0, 0));
    }
}

/// One packet leaves every 5 ms and nine of ten are lost. What arrives keeps the probe timeout from passing, and
/// from growing; only silence doubles it.
#[test]
fn the_probe_timeout_backs_off_in_silence_only() {
    let mut recovery = given(1000, 0.0);
    let mut newest = 0;
    for ms in (100..3000).step_by(5) {
        newest = send(&mut recovery, ms);
        if newest % 10 == 0 && newest > 20 {
            acked(&mut recovery, ms, &[newest - 16]);
        }
        if recovery.deadline().is_some_and(|due| due <= at(ms)) {
            assert_eq!(timeout(&mut recovery, ms).0, Timeout::Lost);
        }
        assert_eq!((recovery.pto(), recovery.pto_count()), (recovery.pto_base(), 0));
    }
    assert!(recovery.lost_packets() > 400);
    let mut silences = 0;
    while silences < 3 {
        let due = recovery.deadline().unwrap().as_nanos().div_ceil(MS);
        silences += u32::from(timeout(&mut recovery, due).0 == Timeout::Probe);
        assert_eq!((recovery.pto(), recovery.pto_count()), (recovery.pto_base() * (1 << silences), silences));
    }
    acked(&mut recovery, 9000, &[newest]);
    assert_eq!((recovery.pto(), recovery.pto_count()), (recovery.pto_base(), 0));
}

/// A full bucket of ten packets: two probes of them pass the window, and the other eight are what pacing has left.
#[test]
fn probes_carry_data_count_in_flight_and_are_paced_for() {
    let mut recovery = measured();
    recovery.set_controller(Box::new(Fixed::new(SIZE, 1_000_000, 80 * MS)));
    send_all(&mut recovery, &[100, 100, 100]);
    let due = recovery.deadline().unwrap().as_nanos() / MS;
    assert_eq!(timeout(&mut recovery, due), (Timeout::Probe, alloc::vec![(Fate::Probe, 1), (Fate::Probe, 2)]));
    let mut left = 0;
    while recovery.permit(at(due), SIZE.into()) == Permit::Now {
        assert_eq!(recovery.permit(at(due), 1 << 40) == Permit::Now, left < 2, "past the window");
        send(&mut recovery, due);
        left += 1;
    }
    assert_eq!((left, recovery.bytes_in_flight()), (10, 13 * u64::from(SIZE)));
}

#[test]
fn a_changed_controller_keeps_what_is_in_flight() {
    let mut recovery = measured();
    send_all(&mut recovery, &[100; 7]);
    for controller in [
        Box::new(Bbr::new(SIZE, 1)) as Box<dyn Controller>,
        Box::new(Fixed::new(SIZE, 1_000_000, MS)),
        Box::new(Cubic::new(SIZE)),
    ] {
        recovery.set_controller(controller);
        assert_eq!(recovery.bytes_in_flight(), 7 * u64::from(SIZE));
    }
    // Ten packets of window, seven of them taken.
    send_all(&mut recovery, &[101; 3]);
    assert_eq!(recovery.permit(at(200), SIZE.into()), Permit::Congested);
    acked(&mut recovery, 200, &(1..=10).collect::<Vec<_>>());
    assert_eq!((recovery.bytes_in_flight(), recovery.deadline()), (0, None));
}

/// Packet 1, lost under the old controller, arrives after all. That says nothing about packet 7.
#[test]
fn losses_of_the_old_controller_undo_nothing_of_the_new_one() {
    let mut recovery = measured();
    send_all(&mut recovery, &[100; 4]);
    assert_eq!(acked(&mut recovery, 180, &[2, 3, 4]).0.lost_packets, 1);
    recovery.set_controller(Box::new(Cubic::new(SIZE)));
    send_all(&mut recovery, &[181; 4]);
    assert_eq!(acked(&mut recovery, 261, &[6, 7, 8]).0.lost_packets, 1);
    let reduced = recovery.cwnd();
    assert_eq!(reduced, 12_000 * 7 / 10);
    assert_eq!(acked(&mut recovery, 262, &[1, 2, 3, 4]).0.late_packets, 1);
    assert_eq!(recovery.cwnd(), reduced);
}

#[test]
fn retransmissions_are_shown_once_more_where_the_path_loses() {
    let mut recovery = given(100, INSURED_LOSS);
    send(&mut recovery, 100);
    let first = resend(&mut recovery, 100);
    send(&mut recovery, 100);
    let second = resend(&mut recovery, 100);
    let shown = alloc::vec![(Fate::Probe, first), (Fate::Probe, second)];
    assert_eq!(insured(&mut recovery), shown);
    // These are the copies: they are not shown in turn.
    resend(&mut recovery, 101);
    resend(&mut recovery, 101);
    assert_eq!(insured(&mut recovery), []);
    let third = resend(&mut recovery, 102);
    assert_eq!(insured(&mut recovery), [(Fate::Probe, third)]);
    assert_eq!(insured(&mut recovery), []);
    // What has arrived meanwhile needs no copy.
    let fourth = resend(&mut recovery, 103);
    let fifth = resend(&mut recovery, 103);
    acked(&mut recovery, 183, &[fourth]);
    assert_eq!(insured(&mut recovery), [(Fate::Probe, fifth)]);
}

#[test]
fn nothing_is_shown_where_the_path_loses_little() {
    let mut recovery = given(100, INSURED_LOSS * 0.99);
    resend(&mut recovery, 100);
    assert_eq!(insured(&mut recovery), []);
}

/// A window without room for a datagram is not limited by the application; the copy waits for room.
#[test]
fn nothing_is_shown_while_the_window_is_full() {
    let mut recovery = given(3, 0.5);
    let first = resend(&mut recovery, 100);
    send_all(&mut recovery, &[100; 2]);
    assert_eq!(insured(&mut recovery), []);
    acked(&mut recovery, 180, &[first + 1, first + 2]);
    assert_eq!(insured(&mut recovery), [(Fate::Probe, first)]);
}

/// No copy was shown, because the retransmission had arrived: the next one is no copy.
#[test]
fn a_retransmission_after_one_that_needed_no_copy_is_insured() {
    let mut recovery = given(100, 0.1);
    let first = resend(&mut recovery, 100);
    acked(&mut recovery, 180, &[first]);
    assert_eq!(insured(&mut recovery), []);
    let second = resend(&mut recovery, 181);
    assert_eq!(insured(&mut recovery), [(Fate::Probe, second)]);
}

//! Forward error correction repairs what it promises, at the promised price, measured in the simulator.
//!
//! The thresholds are those of the tables in `conformance/FEC.md`, with fewer seeds.

use std::time::Duration;

use jsp_conformance::fec::cases::{DEADLINE, SMALL, WARM_UP, clean, deadline, sparse_best_effort, sparse_reliable};
use jsp_conformance::fec::fixed::{self, Comparison};
use jsp_conformance::fec::{Flow, Measured, Mode};
use jsp_proto::Delivery;

const SECOND: Duration = Duration::from_secs(1);

/// Several seeds of a flow together, each of so many messages.
fn measure(flow: Flow, seeds: u64, count: u64) -> Measured {
    let flow = flow.count(WARM_UP, count);
    let runs: Vec<_> = (0..seeds).map(|seed| flow.run(seed)).collect();
    let measured = Measured::all(&runs);
    assert!(measured.broken.0 == 0 && measured.refused == 0 && measured.refused_repairs == 0, "{flow:?}");
    measured
}

#[test]
fn few_reliable_messages_are_hardly_late() {
    for (loss, p99, cost) in [(0.05, 42.0, 2.2), (0.1, 50.0, 2.4), (0.2, 80.0, 3.3)] {
        let measured = measure(sparse_reliable(loss, Mode::Auto), 5, 1000);
        assert_eq!(measured.delivered(), 1.0);
        let [own_p99, own_cost] = [measured.millis(99.0), measured.cost()];
        assert!(own_p99 <= p99 && own_cost <= cost, "{loss}: p99 {own_p99:.1} ms, {own_cost:.3} bytes per byte");
    }
}

#[test]
fn few_best_effort_messages_arrive() {
    // Few seeds pay up to 0.05 more or less.
    for (loss, share, packets) in [(0.05, 0.99, 1.3), (0.1, 0.985, 1.4), (0.2, 0.985, 1.7)] {
        let measured = measure(sparse_best_effort(loss, Mode::Auto), 5, 1000);
        let (delivered, own) = (measured.delivered(), measured.packets_per_message());
        assert!(delivered >= share && own <= packets, "{loss}: {delivered:.4} delivered, {own:.3} datagrams each");
    }
}

#[test]
fn messages_with_a_deadline_are_in_time() {
    let measured = measure(deadline(0.05, Mode::Auto), 5, 1000);
    assert!(measured.within(DEADLINE) >= 0.995, "{}", measured.within(DEADLINE));
}

#[test]
fn a_clean_path_costs_nothing() {
    for (delivery, per_second) in [(Delivery::BestEffort, 1000), (Delivery::Reliable, 20)] {
        let bytes = |mode| {
            let measured = clean(delivery, mode, SMALL, per_second, 10).run(0);
            assert_eq!(measured.delivered(), 1.0);
            measured.bytes as f64
        };
        let more = bytes(Mode::Auto) / bytes(Mode::None) - 1.0;
        assert!(more < 0.001, "{delivery:?}, {per_second} per second: {more}");
    }
}

/// What a fixed code leaves is what the binomial distribution says.
fn agrees(sources: u8, parity: u8) {
    for loss in [0.05, 0.2] {
        let measured = measure(fixed::flow(sources, parity, loss, 0), 1, 10_000);
        let compared = Comparison::new(sources, parity, loss, &measured);
        assert!(compared.distance().abs() <= 4.0, "{sources}+{parity} {loss}: {compared:?} {}", compared.distance());
    }
}

#[test]
fn blocks_of_ten_leave_what_theory_says() {
    for parity in [1, 2, 4] {
        agrees(10, parity);
    }
}

#[test]
fn short_and_long_blocks_leave_what_theory_says() {
    for (sources, parity) in [(1, 1), (4, 1), (4, 2), (20, 8)] {
        agrees(sources, parity);
    }
}

/// As many lost packets as there is parity, on average, is too many: 2 of 12 is not "up to 20 %".
#[test]
fn ten_and_two_do_not_repair_a_loss_of_a_fifth() {
    let measured = measure(fixed::flow(10, 2, 0.2, 0), 1, 10_000);
    let left = 1.0 - measured.delivered();
    assert!((0.12..0.15).contains(&left), "{left}");
}

/// Latency is worth the parity: the slowest in a hundred come a round trip earlier than if they were sent again.
#[test]
fn repair_is_faster_than_sending_again() {
    let [arq, auto] = [Mode::Arq, Mode::Auto].map(|mode| measure(sparse_reliable(0.05, mode), 3, 1000));
    let gained = arq.latencies.percentile(99.0).saturating_sub(auto.latencies.percentile(99.0));
    assert!(gained >= SECOND / 50, "{gained:?}");
}

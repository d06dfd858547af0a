//! Congestion controllers keep what they promise, measured in the simulator.

use std::time::Duration;

use jsp_conformance::cc::{Path, fairness, goodput, messages, queue};
use jsp_conformance::sim::apps::RivalKind;
use jsp_conformance::sim::{Bottleneck, seeds};
use jsp_proto::Congestion;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const CUBIC: Congestion = Congestion::Cubic;

/// A transfer of four seconds of the link at 10 Mbit/s and 40 ms.
fn transfer(seed: u64, loss: f64) -> goodput::Bulk {
    goodput::bulk(seed, CUBIC, &Path::new(10_000_000, MS * 40, loss), 5_000_000, SECOND * 120)
}

#[test]
fn cubic_fills_a_clean_path() {
    let bulk = transfer(0, 0.0);
    assert!(bulk.finished && bulk.goodput() > 1.1 && bulk.cost() < 1.1, "{bulk:?}");
    assert_eq!(bulk, transfer(0, 0.0), "two runs with one seed differ");
}

#[test]
fn cubic_sends_again_only_what_was_lost() {
    seeds("cubic_sends_again_only_what_was_lost", 0..5, |seed| {
        let bulk = transfer(seed, 0.05);
        assert!(bulk.finished && bulk.closed.is_none() && bulk.cost() < 1.15, "{bulk:?}");
    });
}

#[test]
fn messages_on_a_clean_path_wait_for_nothing() {
    let messages = messages::messages(0, CUBIC, &Path::new(100_000_000, MS * 40, 0.0));
    assert!(messages.complete() && messages.refused == 0);
    assert!(messages.latencies.percentile(100.0) < MS * 21, "{}", messages.latencies);
}

#[test]
fn cubic_hardly_overruns_a_queue_of_one_bandwidth_delay_product() {
    let bottleneck = Bottleneck::new(queue::RATE).drop_tail(queue::bdps(1.0));
    let steady = queue::steady(0, CUBIC, bottleneck, 0.0);
    assert!(steady.dropped < 0.01 && steady.goodput > 0.9, "{steady:?}");
}

#[test]
fn cubic_shares_with_cubic() {
    seeds("cubic_shares_with_cubic", 0..2, |seed| {
        let contest = fairness::Contest { kind: RivalKind::Cubic, rivals: 1, buffer: 1.0, start: Duration::ZERO };
        let shares = fairness::contest(seed, CUBIC, &contest);
        assert!((0.5..2.0).contains(&shares.own) && shares.used > 0.95, "{shares:?}");
    });
}

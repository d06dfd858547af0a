//! Congestion controllers keep what they promise, measured in the simulator.
//!
//! The thresholds are those of the tables in `conformance/CONGESTION.md`, with room for single seeds where the tables
//! have medians.

use std::time::Duration;

use jsp_conformance::cc::{Path, apps, change, fairness, goodput, median, messages, queue};
use jsp_conformance::sim::apps::RivalKind;
use jsp_conformance::sim::{Bottleneck, Host, Sim, seeds};
use jsp_proto::{ClientConfig, Congestion, SecretKey};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const CUBIC: Congestion = Congestion::Cubic;
const BBR: Congestion = Congestion::Bbr;

/// The link on which the other transports were measured.
fn lossy(loss: f64) -> Path {
    Path::new(100_000_000, MS * 40, loss)
}

/// A transfer of four seconds of the link at 10 Mbit/s and 40 ms.
fn transfer(seed: u64, congestion: Congestion, loss: f64) -> goodput::Bulk {
    goodput::bulk(seed, congestion, &Path::new(10_000_000, MS * 40, loss), 5_000_000, SECOND * 120)
}

fn contest(seed: u64, congestion: Congestion, rivals: usize, buffer: f64) -> fairness::Shares {
    let contest = fairness::Contest { kind: RivalKind::Cubic, rivals, buffer, start: Duration::ZERO };
    fairness::contest(seed, congestion, &contest)
}

mod bbr {
    use super::*;

    #[test]
    fn is_the_default() {
        assert_eq!(Congestion::default(), BBR);
    }

    #[test]
    fn fills_a_path_that_loses_packets_at_the_price_of_the_losses() {
        for (loss, least, most) in [(0.0, 10.0, 1.08), (0.05, 9.8, 1.15), (0.1, 9.5, 1.25), (0.2, 8.5, 1.4)] {
            let bulk = goodput::bulk(1, BBR, &lossy(loss), 20_000_000, SECOND * 10);
            assert!(bulk.finished && bulk.goodput() >= least && bulk.cost() <= most, "{loss}: {bulk:?}");
        }
    }

    #[test]
    fn fills_slow_and_long_paths() {
        for (rate, rtt, len) in
            [(1_000_000, 10, 1_000_000), (1_000_000, 300, 1_000_000), (100_000_000, 300, 20_000_000)]
        {
            let path = Path::new(rate, MS * rtt, 0.1);
            let bulk = goodput::bulk(1, BBR, &path, len, SECOND * 60);
            // A long path at a high rate is all start.
            let least = if rate == 1_000_000 { 0.8 } else { 0.25 };
            assert!(bulk.finished && bulk.goodput() >= least * rate as f64 / 8e6, "{rate} {rtt}: {bulk:?}");
            assert!(bulk.cost() < 1.3, "{rate} {rtt}: {bulk:?}");
        }
    }

    #[test]
    fn messages_are_late_by_one_round_trip_when_lost() {
        for (loss, most) in [(0.05, 66.0), (0.1, 76.0), (0.2, 125.0)] {
            let p99 = median((0..5).map(|seed| {
                let messages = messages::messages(seed, BBR, &lossy(loss));
                assert!(messages.complete() && messages.refused == 0);
                messages.latencies.percentile(99.0).as_secs_f64() * 1e3
            }));
            assert!(p99 <= most, "{loss}: {p99}");
        }
    }

    #[test]
    fn makes_no_standing_queue() {
        let tail = |buffer| Bottleneck::new(queue::RATE).drop_tail(queue::bdps(buffer));
        let deep = queue::steady(0, BBR, tail(4.0), 0.0);
        assert!(deep.median_delay <= 0.5 && deep.goodput > 0.95 && deep.dropped == 0.0, "{deep:?}");
        let lossy = queue::steady(0, BBR, tail(1.0), 0.02);
        assert!(lossy.median_delay <= 0.5 && lossy.goodput > 0.92 && lossy.dropped < 0.01, "{lossy:?}");
    }

    #[test]
    fn listens_to_marks_and_to_managed_queues() {
        let marking = queue::steady(0, BBR, Bottleneck::new(queue::RATE).mark_above(queue::bdps(0.25)), 0.0);
        assert!(marking.goodput > 0.9 && marking.high_delay < 0.3 && marking.marked < 0.05, "{marking:?}");
        let codel = queue::steady(0, BBR, Bottleneck::new(queue::RATE).codel(), 0.0);
        assert!(codel.goodput > 0.9 && codel.dropped < 0.01, "{codel:?}");
    }

    #[test]
    fn shares_with_cubic() {
        for (rivals, buffer) in [(1, 1.0), (1, 4.0), (4, 1.0), (4, 4.0)] {
            let runs: Vec<_> = (0..3).map(|seed| contest(seed, BBR, rivals, buffer)).collect();
            let mut own: Vec<_> = runs.iter().map(|shares| shares.own).collect();
            own.sort_by(f64::total_cmp);
            assert!((0.5..=2.0).contains(&own[1]) && own[2] <= 2.5, "{rivals} {buffer}: {runs:?}");
            assert!(runs.iter().all(|run| run.smallest >= 0.5 && run.used > 0.95), "{rivals} {buffer}: {runs:?}");
        }
    }

    /// How soon is a matter of chance: which flow looks for room first.
    #[test]
    fn two_flows_converge() {
        for buffer in [1.0, 4.0] {
            let runs: Vec<_> = (0..3).map(|seed| fairness::convergence(seed, BBR, 2, SECOND * 5, buffer)).collect();
            assert!(runs.iter().all(|run| run.last() >= 0.9), "{buffer}: {runs:?}");
            let mut times: Vec<_> = runs.iter().map(|run| run.reached().expect("it converges")).collect();
            times.sort();
            assert!(times[1] <= SECOND * 12 && times[2] <= SECOND * 60, "{buffer}: {times:?}");
        }
    }

    #[test]
    fn follows_a_rate_that_falls_and_rises() {
        let change = change::rate(0, BBR);
        assert!(change.drained.is_some_and(|time| time <= SECOND), "{change:?}");
        assert!(change.slow > 0.9 && change.risen.is_some_and(|time| time <= SECOND * 3), "{change:?}");
    }

    #[test]
    fn a_path_that_gets_longer_is_no_queue() {
        let change = change::delay(0, BBR);
        assert!(change.before > 0.9 && change.longer > 0.5 && change.shorter > 0.9, "{change:?}");
    }

    #[test]
    fn a_policer_is_no_lossy_medium() {
        for burst in [30_000, 500_000] {
            let policed = change::policer(0, BBR, burst);
            assert!(policed.goodput > 0.9 && policed.lost < 0.05, "{burst}: {policed:?}");
        }
    }

    #[test]
    fn a_radio_link_and_lost_acknowledgements_do_no_harm() {
        let wireless = change::wireless(0, BBR);
        assert!(wireless.goodput > 0.9 && wireless.lost < 0.01, "{wireless:?}");
        let lost_acks = change::lost_acks(0, BBR);
        assert!(lost_acks.goodput > 0.9 && lost_acks.lost < 0.01, "{lost_acks:?}");
    }

    /// A program that serves its endpoint every 15 ms: what was missed is sent at once, but no more than that.
    #[test]
    fn a_slow_loop_costs_little() {
        let mut overflowed: Vec<_> = (0..3).map(slow_loop).collect();
        overflowed.sort_by(f64::total_cmp);
        assert!(overflowed[1] < 0.03 && overflowed[2] < 0.04, "{overflowed:?}");
    }

    /// The share of the packets that did not fit the queue.
    fn slow_loop(seed: u64) -> f64 {
        let path = lossy(0.0);
        let mut sim = Sim::new(seed);
        let config = || path.config(BBR);
        let key = SecretKey::from_seed([5; 32]);
        let trusted = ClientConfig::pinned(key.public().clone());
        let server = sim.add(config().server_key(key).build().unwrap());
        let client = sim.add_host(Host::new(config().build().unwrap()).tick(MS * 15));
        sim.link(client, server, path.link());
        let (conn, _) = sim.establish(client, server, &trusted, SECOND).unwrap().unwrap();
        let mut source = apps::Source::new(client, conn, 20_000_000);
        let mut sink = apps::Sink::new(server);
        let began = sim.now();
        assert!(sim.run(SECOND * 3, &mut [&mut source, &mut sink]), "{} bytes in 3 s", sink.received());
        let stats = sim.link_stats(client, server);
        let time = sink.finished().unwrap() - began;
        assert!(time < MS * 2600, "{time:?} {stats:?}");
        stats.overflowed as f64 / stats.sent as f64
    }

    #[test]
    fn a_sender_that_had_little_to_send_wakes_up() {
        let wake = change::wake(0, BBR);
        assert!(wake.is_some_and(|time| time < SECOND), "{wake:?}");
    }

    /// One packet in a second: what is lost is sent again within a few round trips, not when the next one is due.
    #[test]
    fn a_trickle_is_not_held_up() {
        let latencies = change::trickle(0, BBR, 0.1);
        assert!(latencies.percentile(50.0) < MS * 21 && latencies.percentile(100.0) < MS * 400, "{latencies}");
    }
}

mod cubic {
    use super::*;

    #[test]
    fn fills_a_clean_path() {
        let bulk = transfer(0, CUBIC, 0.0);
        assert!(bulk.finished && bulk.goodput() > 1.1 && bulk.cost() < 1.1, "{bulk:?}");
        assert_eq!(bulk, transfer(0, CUBIC, 0.0), "two runs with one seed differ");
    }

    #[test]
    fn sends_again_only_what_was_lost() {
        seeds("sends_again_only_what_was_lost", 0..5, |seed| {
            let bulk = transfer(seed, CUBIC, 0.05);
            assert!(bulk.finished && bulk.closed.is_none() && bulk.cost() < 1.2, "{bulk:?}");
        });
    }

    #[test]
    fn messages_on_a_clean_path_wait_for_nothing() {
        let messages = messages::messages(0, CUBIC, &lossy(0.0));
        assert!(messages.complete() && messages.refused == 0);
        assert!(messages.latencies.percentile(100.0) < MS * 21, "{}", messages.latencies);
    }

    #[test]
    fn hardly_overruns_a_queue_of_one_bandwidth_delay_product() {
        let bottleneck = Bottleneck::new(queue::RATE).drop_tail(queue::bdps(1.0));
        let steady = queue::steady(0, CUBIC, bottleneck, 0.0);
        assert!(steady.dropped < 0.01 && steady.goodput > 0.9, "{steady:?}");
    }

    #[test]
    fn shares_with_cubic() {
        let shares = contest(0, CUBIC, 1, 1.0);
        assert!((0.5..2.0).contains(&shares.own) && shares.used > 0.95, "{shares:?}");
    }
}

mod fixed {
    use super::*;

    #[test]
    fn sends_at_its_rate_whatever_is_lost() {
        let congestion = Congestion::FixedRateWithoutCongestionControl { bytes_per_second: 1_000_000 };
        for loss in [0.0, 0.2] {
            let bulk = transfer(0, congestion, loss);
            let expected = (1.0 - loss) * 0.95;
            assert!(bulk.finished && (bulk.goodput() - expected).abs() < 0.1 * expected, "{loss}: {bulk:?}");
        }
    }
}

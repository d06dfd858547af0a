//! Messages: in time beside a bulk transfer, and each with one outcome.

mod support;

use std::sync::Mutex;
use std::time::Duration;

use jsp_conformance::sim::apps::{Background, BulkReceiver, BulkSender, Latencies, MessageSink, MessageSource};
use jsp_conformance::sim::{App, Link, seeds};
use jsp_proto::{AppCode, ConnId, Delivery, Outcome, StreamOptions};
use support::{MS, Pair, SECOND, pinned};

const ROUND_TRIP: Duration = Duration::from_millis(80);

fn connected(seed: u64, data: Link, acks: Link) -> (Pair, ConnId, ConnId) {
    let mut pair = Pair::new(seed, acks);
    let limit = SECOND * 20;
    let ends = pair.sim.establish(pair.client, pair.server, &pinned(), limit).expect("an attempt");
    let (client, server) = ends.expect("a connection");
    pair.sim.link_one_way(pair.client, pair.server, data);
    (pair, client, server)
}

fn path() -> Link {
    Link::with_delay(ROUND_TRIP / 2).rate(10_000_000).queue(100_000)
}

/// 2000 reliable messages of 200 bytes, 20 a second, over ten seeds.
#[test]
fn urgent_messages_overtake_a_bulk_transfer() {
    let all = Mutex::new(Latencies::new());
    seeds("urgent_messages_overtake_a_bulk_transfer", 0..10, |seed| {
        let (mut pair, conn, _) = connected(seed, path().loss(0.05), path());
        let endless = 1 << 30;
        let bulk = BulkSender::new(pair.client, conn, seed, endless).options(StreamOptions::bytes().priority(0));
        let mut bulk = Background(bulk);
        let mut bulk_end = Background(BulkReceiver::new(pair.server, seed, endless));
        let urgent = StreamOptions::unordered_messages().priority(255);
        let mut source = MessageSource::new(pair.client, conn, 200, 200, MS * 50).stream(urgent);
        let mut sink = MessageSink::new(pair.server, 200);
        let apps: &mut [&mut dyn App] = &mut [&mut bulk, &mut bulk_end, &mut source, &mut sink];
        assert!(pair.sim.run(SECOND * 30, apps), "{} of 200 messages arrived", sink.received());
        assert_eq!(source.refused(), 0);
        // Otherwise the messages would have had the link to themselves.
        assert!(bulk_end.0.received() > 2_500_000, "bulk: {}", bulk_end.0.received());
        all.lock().expect("no panic").merge(sink.latencies());
    });
    let all = all.into_inner().expect("no panic");
    println!("{all}");
    // One in a hundred is lost once while a probe for bandwidth has made a queue.
    assert!(all.percentile(99.0) < ROUND_TRIP * 4, "{all}");
    assert!(all.percentile(50.0) < ROUND_TRIP, "{all}");
}

/// Every tracked message has one outcome (a second one makes the source panic); what is acknowledged has arrived.
fn check_outcomes(name: &str, delivery: Delivery, stream: StreamOptions) {
    seeds(name, 0..20, |seed| {
        let path = || Link::with_delay(MS * 20).rate(1_000_000).queue(50_000);
        let (mut pair, conn, _) = connected(seed, path().loss(0.1), path().loss(0.1));
        let count = 500;
        // 2 kB every 10 ms are more than the link carries, so that messages wait, too.
        let mut source =
            MessageSource::new(pair.client, conn, count, 2_000, MS * 10).stream(stream.delivery(delivery)).tracked();
        let mut sink = Background(MessageSink::new(pair.server, 0));
        assert!(pair.sim.run(SECOND * 60, &mut [&mut source, &mut sink]), "an outcome is missing");
        // An ordered message may still wait for the news that an earlier one will not come.
        pair.sim.run_until(SECOND * 5, |sim, happening| {
            sink.on(sim, happening);
            false
        });
        let [acked, lost, expired] = [Outcome::Acked, Outcome::Lost, Outcome::Expired].map(|o| source.outcomes(o));
        let received = sink.0.received();
        let figures = format!("{acked} acked, {lost} lost, {expired} expired, {received} received");
        assert_eq!((acked + lost + expired) as u64, source.sent(), "{figures}");
        assert!(acked > 10 && lost + expired > 0, "{figures}");
        assert!(received >= acked as u64 && received <= source.sent(), "{figures}");
    });
}

#[test]
fn best_effort_messages_have_one_outcome() {
    check_outcomes("best_effort_messages_have_one_outcome", Delivery::BestEffort, StreamOptions::unordered_messages());
}

#[test]
fn partially_reliable_messages_have_one_outcome() {
    check_outcomes(
        "partially_reliable_messages_have_one_outcome",
        Delivery::PartiallyReliable { ttl: MS * 150 },
        StreamOptions::unordered_messages(),
    );
}

#[test]
fn ordered_messages_may_expire_too() {
    check_outcomes(
        "ordered_messages_may_expire_too",
        Delivery::PartiallyReliable { ttl: MS * 150 },
        StreamOptions::ordered_messages(),
    );
}

#[test]
fn reliable_messages_all_arrive() {
    seeds("reliable_messages_all_arrive", 0..20, |seed| {
        let path = || Link::with_delay(MS * 20).rate(10_000_000).queue(100_000).loss(0.1);
        let (mut pair, conn, _) = connected(seed, path(), path());
        for (ordered, size, count) in [(true, 100, 100), (false, 100, 100), (true, 5_000, 100), (false, 60_000, 20)] {
            let stream = if ordered { StreamOptions::ordered_messages() } else { StreamOptions::unordered_messages() };
            let mut source = MessageSource::new(pair.client, conn, count, size, MS * 5).stream(stream).tracked();
            let mut sink = MessageSink::new(pair.server, count);
            assert!(pair.sim.run(SECOND * 600, &mut [&mut source, &mut sink]), "{} arrived", sink.received());
            assert_eq!((source.refused(), source.outcomes(Outcome::Acked) as u64), (0, count));
        }
    });
}

/// What has no outcome when the connection ends gets one then.
#[test]
fn an_abort_settles_every_message() {
    seeds("an_abort_settles_every_message", 0..20, |seed| {
        let (mut pair, conn, _) = connected(seed, path().loss(0.2), path());
        let mut source = MessageSource::new(pair.client, conn, 1_000, 1_000, MS).tracked();
        let mut sink = Background(MessageSink::new(pair.server, 0));
        assert!(!pair.sim.run(MS * 300, &mut [&mut source, &mut sink]), "too early to be done");
        pair.sim.conn(pair.client, conn).expect("open").abort(AppCode::new(7), b"enough");
        assert!(pair.sim.resume(SECOND, &mut [&mut source]), "an outcome is missing");
        let settled = source.outcomes(Outcome::Acked) + source.outcomes(Outcome::Lost);
        assert_eq!(settled as u64, source.sent());
        assert!(source.outcomes(Outcome::Lost) > 0);
    });
}

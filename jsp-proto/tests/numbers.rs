//! What a connection tells of itself: its numbers, and what its streams allow.

mod support;

use jsp_conformance::sim::apps::{BulkReceiver, BulkSender};
use jsp_conformance::sim::{Link, seeds};
use jsp_proto::{AppCode, ConnId, ConnStats, StreamOptions};
use support::{MS, Pair, SECOND, pinned};

const LEN: u64 = 1 << 20;

fn stats(pair: &mut Pair, conn: ConnId) -> ConnStats {
    pair.sim.conn(pair.client, conn).map(|conn| conn.stats()).expect("the connection")
}

#[test]
fn a_lossy_transfer_in_numbers() {
    seeds("a_lossy_transfer_in_numbers", 0..20, |seed| {
        let link = || Link::with_delay(MS * 10).rate(100_000_000).queue(128 * 1024);
        for (link, lossy) in [(link().loss(0.05), true), (link().queue(8 << 20), false)] {
            let mut pair = Pair::new(seed, link);
            let conn = pair.sim.connect(pair.client, pair.server, &pinned()).expect("an attempt");
            let mut sender = BulkSender::new(pair.client, conn, seed, LEN);
            let mut receiver = BulkReceiver::new(pair.server, seed, LEN);
            assert!(pair.sim.run(SECOND * 60, &mut [&mut sender, &mut receiver]));
            let stats = stats(&mut pair, conn);
            assert!(stats.packets_sent > LEN / 1472 && stats.packets_sent <= stats.datagrams_sent, "{stats:?}");
            assert_eq!(stats.packets_lost > 0, lossy, "{stats:?}");
            assert_eq!(stats.bytes_retransmitted > 0, lossy, "{stats:?}");
            // A tenth is lost, half of it to the queue, and what is sent again at the end leaves twice: over seeds about
            // a fifth is sent again, at most two fifths.
            assert!(stats.bytes_retransmitted < LEN / 2, "{stats:?}");
            assert!(stats.min_rtt >= Some(MS * 20) && stats.latest_rtt >= stats.min_rtt, "{stats:?}");
            assert!(stats.rtt_variation < stats.rtt && stats.pacing_rate > 0, "{stats:?}");
            assert!(stats.send_credit > 0, "{stats:?}");
        }
    });
}

#[test]
fn what_a_stream_allows() {
    let mut pair = Pair::new(1, Link::with_delay(MS * 10));
    let ends = pair.sim.establish(pair.client, pair.server, &pinned(), SECOND * 10).expect("an attempt");
    let (client, _) = ends.expect("no loss");
    let mut conn = pair.sim.conn(pair.client, client).expect("open");
    let options = StreamOptions::bytes().priority(7);
    assert_eq!(conn.openable(options), 100);
    let stream = conn.open(options).expect("a stream");
    assert_eq!((conn.openable(options), conn.openable(options.uni()), conn.priority(stream)), (99, 100, Some(7)));
    conn.set_priority(stream, 9).expect("it is open");
    assert_eq!(conn.priority(stream), Some(9));
    assert_eq!(conn.send_capacity(stream), 4 << 20);
    assert_eq!(conn.send(stream, &[0; 1000]), Ok(1000));
    assert_eq!(conn.send_capacity(stream), (4 << 20) - 1000);
    assert_eq!((conn.stats().streams_open, conn.stats().send_buffered), (1, 1000));
    conn.finish(stream).expect("it is open");
    assert_eq!(conn.send_capacity(stream), 0);
    pair.sim.run_for(SECOND);
    let mut conn = pair.sim.conn(pair.client, client).expect("open");
    assert_eq!((conn.stats().send_buffered, conn.stats().packets_lost), (0, 0));
    conn.abort(AppCode::ZERO, b"");
    assert_eq!((conn.openable(options), conn.stats().streams_open <= 1), (0, true));
}

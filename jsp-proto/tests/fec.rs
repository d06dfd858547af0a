//! Error correction of what is sent.

mod support;

use jsp_conformance::sim::apps::{BulkReceiver, BulkSender};
use jsp_conformance::sim::{Link, seeds};
use jsp_proto::{Config, Fec};
use support::{MS, Pair, SECOND, pinned, server_config};

#[test]
fn bytes_arrive_with_any_correction() {
    seeds("bytes_arrive_with_any_correction", 0..20, |seed| {
        for fec in [Fec::Auto, Fec::On { sources: 10, parity: 2 }, Fec::On { sources: 1, parity: 1 }] {
            let link = Link::with_delay(MS * 10).rate(100_000_000).queue(128 * 1024).loss(0.05);
            let len = 1 << 20;
            let client = Config::builder().fec(fec).fec_max_overhead(100);
            let mut pair = Pair::with(seed, link, server_config(), client);
            let conn = pair.sim.connect(pair.client, pair.server, &pinned()).expect("a connection attempt");
            let mut sender = BulkSender::new(pair.client, conn, seed, len);
            let mut receiver = BulkReceiver::new(pair.server, seed, len);
            let done = pair.sim.run(SECOND * 60, &mut [&mut sender, &mut receiver]);
            let stats = pair.sim.conn(pair.client, conn).map(|conn| conn.stats());
            assert!(done, "{fec:?}: {} bytes written, {} received: {stats:?}", sender.written(), receiver.received());
            if seed == 0 {
                std::eprintln!(
                    "{fec:?} {:?} {:?}",
                    pair.sim.now(),
                    stats.map(|stats| (stats.fec, stats.packets_lost, stats.bytes_retransmitted))
                );
            }
        }
    });
}

//! The search for the largest datagram that a path carries, and what happens when it carries less (specification section
//! 6.4).

mod support;

use jsp_conformance::sim::apps::{BulkReceiver, BulkSender};
use jsp_conformance::sim::{Link, Tapped, seeds};
use jsp_proto::{Config, ConfigBuilder, Congestion, ConnId, ConnStats, Fec};
use support::{MS, Pair, SECOND, pinned, server_config};

/// A transfer of `len` bytes from the client, without an end.
struct Transfer {
    pair: Pair,
    conn: ConnId,
    sender: BulkSender,
    receiver: BulkReceiver,
}

impl Transfer {
    fn new(seed: u64, link: Link, client: ConfigBuilder, len: u64) -> Self {
        let mut pair = Pair::with(seed, link, server_config(), client);
        let (conn, _) = pair.establish(&pinned());
        let sender = BulkSender::new(pair.client, conn, seed, len);
        let receiver = BulkReceiver::new(pair.server, seed, len);
        Self { pair, conn, sender, receiver }
    }

    fn stats(&mut self) -> ConnStats {
        self.pair.sim.conn(self.pair.client, self.conn).expect("known").stats()
    }

    fn finish(&mut self) {
        assert!(self.pair.sim.run(SECOND * 60, &mut [&mut self.sender, &mut self.receiver]), "{:?}", self.stats());
    }

    /// Transfers everything, and gives the client's numbers.
    fn run(mut self) -> ConnStats {
        self.finish();
        self.stats()
    }
}

fn path(mtu: usize) -> Link {
    Link::with_delay(MS * 10).rate(100_000_000).queue(256 * 1024).mtu(mtu)
}

#[test]
fn the_largest_size_that_passes_is_found() {
    for (mtu, found, probes) in [
        (1200, 1200, 3),
        (1279, 1200, 3),
        (1400, 1400, 2 + 3),
        (1472, 1472, 3 + 3),
        (5000, 4000, 4 + 3),
        (8972, 8972, 5),
        (9000, 8972, 5),
    ] {
        let link = Link::with_delay(MS * 10).rate(100_000_000).mtu(mtu);
        let stats = Transfer::new(1, link, Config::builder(), 3 << 20).run();
        assert_eq!((stats.datagram_size, stats.mtu_probes_sent), (found, probes), "{mtu}");
        assert_eq!((stats.packets_lost, stats.probe_timeouts, stats.mtu_black_holes), (0, 0, 0), "{mtu}: {stats:?}");
    }
}

#[test]
fn either_side_and_the_program_limit_the_search() {
    let sizes = |client: ConfigBuilder| Transfer::new(1, path(9000), client, 3 << 20).run().datagram_size;
    assert_eq!(sizes(Config::builder().max_udp_payload(1460)), 1460);
    assert_eq!(sizes(Config::builder().max_udp_payload(65_527)), 8972, "the server's default");
    assert_eq!(sizes(Config::builder().mtu_discovery(false)), 1200);
    assert_eq!(sizes(Config::builder().mtu_discovery(false).initial_mtu(4000)), 4000);
    let mut pair = Pair::with(1, path(9000), server_config().max_udp_payload(1300), Config::builder());
    let (conn, _) = pair.establish(&pinned());
    pair.assert_usable(conn);
    let mut sender = BulkSender::new(pair.client, conn, 2, 1 << 20);
    let mut receiver = BulkReceiver::new(pair.server, 2, 1 << 20);
    assert!(pair.sim.run(SECOND * 60, &mut [&mut sender, &mut receiver]));
    assert_eq!(pair.sim.conn(pair.client, conn).expect("open").stats().datagram_size, 1300);
}

/// A connection that says little has no use for large datagrams, and is not woken for them.
#[test]
fn small_messages_and_silence_cause_no_probe() {
    let mut pair = Pair::new(1, path(9000));
    let (conn, _) = pair.establish(&pinned());
    for _ in 0..20 {
        let mut client = pair.sim.conn(pair.client, conn).expect("open");
        let stream = client.open(jsp_proto::StreamOptions::unordered_messages().uni()).expect("allowed");
        client.send_message(stream, &[1; 400], jsp_proto::MessageOptions::new()).expect("accepted");
        pair.sim.run_for(SECOND);
    }
    assert_eq!(pair.sim.conn(pair.client, conn).expect("open").stats().mtu_probes_sent, 0);
}

/// The path carries less from one moment to the next: data stalls for a bounded time, and all of it arrives.
#[test]
fn a_path_that_shrinks_costs_a_bounded_stall() {
    seeds("a_path_that_shrinks_costs_a_bounded_stall", 0..5, |seed| {
        for (before, controller) in [(1472, Congestion::Bbr), (9000, Congestion::Bbr), (9000, Congestion::Cubic)] {
            let client = Config::builder().congestion(controller);
            let mut transfer = Transfer::new(seed, path(before), client, 8 << 20);
            let Transfer { pair, sender, receiver, .. } = &mut transfer;
            pair.sim.run(MS * 400, &mut [sender, receiver]);
            let sent = receiver.received();
            assert!(transfer.stats().datagram_size >= 1472);
            let Transfer { pair, sender, receiver, .. } = &mut transfer;
            pair.sim.link(pair.client, pair.server, path(1250));
            pair.sim.resume(SECOND * 2, &mut [sender, receiver]);
            assert!(receiver.received() > sent + (1 << 20), "seed {seed}: {} after {sent}", receiver.received());
            pair.sim.resume(SECOND * 60, &mut [sender, receiver]);
            assert_eq!(receiver.received(), 8 << 20);
            let stats = transfer.stats();
            assert_eq!((stats.datagram_size, stats.mtu_black_holes), (1200, 1), "seed {seed}: {stats:?}");
        }
    });
}

/// Losses by chance are no black hole.
#[test]
fn random_loss_hardly_ever_makes_datagrams_small() {
    let results = (0..40).map(|seed| Transfer::new(seed, path(1472).loss(0.05), Config::builder(), 2 << 20).run());
    let (holes, small) = results.fold((0, 0), |(holes, small), stats| {
        (holes + stats.mtu_black_holes, small + u32::from(stats.datagram_size < 1472))
    });
    assert!(holes <= 1 && small <= 3, "{holes} black holes, {small} too small");
}

/// Where nothing but probes is lost, no controller learns of a loss.
#[test]
fn lost_probes_say_nothing_of_congestion() {
    for controller in [Congestion::Bbr, Congestion::Cubic] {
        let client = Config::builder().congestion(controller);
        let link = Link::with_delay(MS * 10).rate(20_000_000).mtu(1200);
        let mut transfer = Transfer::new(1, link, client, 4 << 20);
        let Transfer { pair, sender, receiver, conn } = &mut transfer;
        pair.sim.run(MS, &mut [sender, receiver]);
        let mut windows = Vec::new();
        for _ in 0..100 {
            pair.sim.resume(MS * 5, &mut [sender, receiver]);
            windows.push(pair.sim.conn(pair.client, *conn).expect("open").stats().congestion_window);
        }
        // The model of the other one lowers its window by itself.
        assert!(controller == Congestion::Bbr || windows.is_sorted(), "{windows:?}");
        let stats = transfer.stats();
        assert_eq!((stats.mtu_probes_sent, stats.packets_lost, stats.fec.loss_ppm), (3, 0, 0), "{controller:?}");
    }
}

/// Blocks of error correction go with one size of datagrams; a change in the middle of one loses nothing.
#[test]
fn error_correction_follows_the_size() {
    seeds("error_correction_follows_the_size", 0..5, |seed| {
        let fec = Fec::On { sources: 10, parity: 2 };
        let link = |mtu| path(mtu).loss(0.03);
        let mut transfer = Transfer::new(seed, link(9000), Config::builder().fec(fec), 8 << 20);
        let Transfer { pair, sender, receiver, .. } = &mut transfer;
        pair.sim.run(MS * 400, &mut [sender, receiver]);
        assert!(transfer.stats().datagram_size >= 4000, "seed {seed}: {:?}", transfer.stats());
        let Transfer { pair, sender, receiver, .. } = &mut transfer;
        pair.sim.link(pair.client, pair.server, link(1300));
        assert!(pair.sim.resume(SECOND * 60, &mut [sender, receiver]), "seed {seed}");
        let stats = transfer.stats();
        assert!(stats.fec.repaired_by_peer > 10 && stats.datagram_size <= 1280, "seed {seed}: {stats:?}");
    });
}

/// A probe is a datagram of its own, and all others keep to the size that is known to pass.
#[test]
fn only_probes_exceed_the_size() {
    use std::cell::Cell;
    use std::rc::Rc;
    let mut transfer = Transfer::new(1, path(1300), Config::builder(), 2 << 20);
    let long = Rc::new(Cell::new(0));
    let counter = long.clone();
    let from = transfer.pair.client;
    transfer.pair.sim.tap(move |passing, bytes| {
        if passing.from == from && bytes.len() > 1280 {
            assert_eq!(bytes.len(), 1400);
            counter.set(counter.get() + 1);
        }
        Tapped::Pass
    });
    transfer.finish();
    assert_eq!((long.get(), transfer.stats().datagram_size), (3, 1280));
}

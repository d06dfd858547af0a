//! Error correction of what is sent: what the peer is told, what it may claim, and what the program reads.

mod support;

use jsp_conformance::sim::apps::{BulkReceiver, BulkSender};
use jsp_conformance::sim::{Link, seeds};
use jsp_proto::internals::wire::frame::Parity;
use jsp_proto::internals::wire::{Ack, AckRanges, Frame, Reader};
use jsp_proto::{
    Config, Delivery, Event, Fec, FecStats, MessageOptions, Outcome, StreamId, StreamOptions, TransportError,
};
use support::scene::Scene;
use support::{MS, Pair, SECOND, pinned, server_config};

/// The server sends to a peer that keeps no rule.
trait Sends {
    fn open(&mut self, fec: Fec) -> StreamId;
    /// Sends this many messages of 500 bytes, each tracked, and lets them arrive.
    fn messages(&mut self, stream: StreamId, count: usize);
    /// The numbers of the packets that carried messages, in order.
    fn carriers(&self) -> Vec<u64>;
    fn outcomes(&mut self) -> Vec<Outcome>;
    fn fec(&mut self) -> FecStats;
    fn retransmitted(&mut self) -> u64;
}

impl Sends for Scene {
    fn open(&mut self, fec: Fec) -> StreamId {
        let options = StreamOptions::unordered_messages().uni().fec(fec);
        self.sim.conn(self.server, self.victim).expect("open").open(options).expect("allowed")
    }

    fn messages(&mut self, stream: StreamId, count: usize) {
        for number in 0..count {
            let mut conn = self.sim.conn(self.server, self.victim).expect("open");
            conn.send_message(stream, &[number as u8; 500], MessageOptions::new().tracked()).expect("accepted");
            self.run(MS);
        }
        self.run(MS * 15);
    }

    fn carriers(&self) -> Vec<u64> {
        let carries = |payload: &[u8]| {
            let mut reader = Reader::new(payload);
            let mut found = false;
            while !reader.is_empty() {
                found |= matches!(Frame::decode(&mut reader), Ok(Frame::Msg(_)));
            }
            found
        };
        self.peer.packets.iter().filter(|(_, payload)| carries(payload)).map(|(pn, _)| *pn).collect()
    }

    fn outcomes(&mut self) -> Vec<Outcome> {
        let (server, victim) = (self.server, self.victim);
        let mut outcomes = Vec::new();
        self.sim.run_until(MS * 200, |_, happening| {
            if let Some((conn, Event::MessageOutcome { outcome, .. })) = happening.event_at(server)
                && conn == victim
            {
                outcomes.push(outcome);
            }
            false
        });
        outcomes
    }

    fn fec(&mut self) -> FecStats {
        self.sim.conn(self.server, self.victim).expect("open").stats().fec
    }

    fn retransmitted(&mut self) -> u64 {
        self.sim.conn(self.server, self.victim).expect("open").stats().bytes_retransmitted
    }
}

fn ack(range: core::ops::RangeInclusive<u64>) -> Frame<'static> {
    Frame::Ack(Ack { delay: 0, ranges: AckRanges::single(range), ecn: None })
}

fn recovered(pn: u64) -> Frame<'static> {
    Frame::Recovered(AckRanges::single(pn..=pn))
}

const PAIRS: Fec = Fec::On { sources: 2, parity: 1 };

/// A block that is full is followed by its parity, which the peer can compute the packets from.
#[test]
fn parity_is_the_sum_of_its_packets() {
    let mut scene = Scene::new();
    let stream = scene.open(PAIRS);
    scene.messages(stream, 2);
    let carriers = scene.carriers();
    let (pn, frame) = (scene.peer.packets.iter())
        .find_map(|(pn, payload)| match Frame::decode(&mut Reader::new(payload)) {
            Ok(Frame::Parity(parity)) => Some((*pn, parity)),
            _ => None,
        })
        .expect("parity");
    let Parity { index, class, planned, mask, symbol, .. } = frame;
    assert_eq!((index, class, planned), (0, 1, 1));
    assert_eq!((frame.first(pn), mask.count_ones()), (Some(carriers[0]), 2));
    let mut sum = vec![0; symbol.len()];
    for (pn, payload) in &scene.peer.packets {
        if carriers.contains(pn) {
            let head = (payload.len() as u16).to_be_bytes();
            head.iter().chain(payload).zip(&mut sum).for_each(|(byte, sum)| *sum ^= byte);
        }
    }
    assert_eq!(sum, symbol);
    let stats = scene.fec();
    assert_eq!((stats.sources_sent, stats.parity_sent, stats.block_sources, stats.block_parity), (2, 1, 2, 1));
}

/// Telling of repairs makes work for each number: a packet tells of 256 at most, in however many frames.
#[test]
fn repairs_are_told_of_in_measure() {
    for (frames, error) in [(256, None), (257, Some(TransportError::PROTOCOL_VIOLATION))] {
        let mut scene = Scene::new();
        let stream = scene.open(PAIRS);
        scene.messages(stream, 2);
        let carrier = scene.carriers()[0];
        let told: Vec<_> = (0..frames).map(|_| recovered(carrier)).collect();
        scene.send(&told);
        match error {
            Some(error) => scene.assert_closed(error),
            None => scene.assert_alive(),
        }
    }
}

/// A packet that the peer says it has repaired is done, although nobody acknowledged it. It was lost all the same.
#[test]
fn what_the_peer_has_repaired_is_not_sent_again() {
    let mut scene = Scene::new();
    let stream = scene.open(PAIRS);
    scene.messages(stream, 2);
    let carriers = scene.carriers();
    let newest = scene.peer.packets.last().expect("some").0;
    let before = scene.peer.packets[0].0..=carriers[0] - 1;
    scene.send(&[ack(before)]);
    scene.run(MS * 15);
    let lost = scene.sim.conn(scene.server, scene.victim).expect("open").stats().packets_lost;
    scene.send(&[ack(carriers[0] + 1..=newest), recovered(carriers[0])]);
    assert_eq!(scene.outcomes(), [Outcome::Acked, Outcome::Acked]);
    assert_eq!((scene.fec().repaired_by_peer, scene.fec().unrepaired, scene.retransmitted()), (1, 0, 0));
    let stats = scene.sim.conn(scene.server, scene.victim).expect("open").stats();
    assert_eq!(stats.packets_lost, lost + 1);
    // Said again, it changes nothing; and the packet may still come.
    scene.send(&[recovered(carriers[0])]);
    scene.send(&[ack(carriers[0]..=newest)]);
    scene.run(MS * 50);
    assert_eq!(scene.fec().repaired_by_peer, 1);
    scene.assert_alive();
}

/// A peer that stays silent about a repair gets the data a round trip and a quarter later.
#[test]
fn what_the_peer_does_not_repair_is_sent_again() {
    let mut scene = Scene::new();
    let stream = scene.open(Fec::On { sources: 4, parity: 1 });
    scene.messages(stream, 4);
    let carriers = scene.carriers();
    let newest = scene.peer.packets.last().expect("some").0;
    scene.send(&[ack(carriers[0] + 1..=newest)]);
    scene.run(MS * 11);
    assert_eq!(scene.retransmitted(), 0, "it is held");
    scene.run(MS * 100);
    assert!(scene.retransmitted() >= 500);
    assert_eq!(scene.fec().unrepaired, 1);
}

#[test]
fn a_repair_of_what_was_never_sent_closes() {
    let mut scene = Scene::new();
    let stream = scene.open(PAIRS);
    scene.messages(stream, 2);
    scene.send(&[recovered(10_000)]);
    scene.assert_closed(TransportError::PROTOCOL_VIOLATION);
}

#[test]
fn a_repair_of_what_was_not_protected_closes() {
    let mut scene = Scene::new();
    let stream = scene.open(Fec::Off);
    scene.messages(stream, 2);
    let unprotected = scene.carriers()[0];
    scene.send(&[recovered(unprotected)]);
    scene.assert_closed(TransportError::PROTOCOL_VIOLATION);
}

/// Whatever the setting, a reliable transfer is complete, and what is held for a repair never stays behind.
#[test]
fn bytes_arrive_with_any_correction() {
    seeds("bytes_arrive_with_any_correction", 0..20, |seed| {
        let settings = [
            Fec::Auto,
            Fec::On { sources: 10, parity: 2 },
            Fec::On { sources: 1, parity: 1 },
            Fec::On { sources: 64, parity: 32 },
        ];
        for fec in settings {
            let link = Link::with_delay(MS * 10).rate(100_000_000).queue(128 * 1024).loss(0.05);
            let client = Config::builder().fec(fec).fec_max_overhead(100);
            let mut pair = Pair::with(seed, link, server_config(), client);
            let conn = pair.sim.connect(pair.client, pair.server, &pinned()).expect("a connection attempt");
            let len = 1 << 20;
            let mut sender = BulkSender::new(pair.client, conn, seed, len);
            let mut receiver = BulkReceiver::new(pair.server, seed, len);
            let done = pair.sim.run(SECOND * 60, &mut [&mut sender, &mut receiver]);
            assert!(done, "{fec:?}: {} bytes written, {} received", sender.written(), receiver.received());
            let stats = pair.sim.conn(pair.client, conn).expect("known").stats().fec;
            assert!(stats.repaired_by_peer > 0, "{fec:?}: {stats:?}");
        }
    });
}

/// Networks decide about streams that have no setting of their own, at once.
#[test]
fn the_network_decides_about_streams_without_a_setting() {
    use jsp_proto::Network;
    let protected = |network: Network, own: Option<Fec>| {
        let mut pair = Pair::with(1, Link::with_delay(MS * 10).loss(0.1), server_config(), Config::mobile());
        let (client, _) = pair.sim.establish(pair.client, pair.server, &pinned(), SECOND * 5).unwrap().unwrap();
        let mut options = StreamOptions::unordered_messages().uni().delivery(Delivery::BestEffort);
        if let Some(fec) = own {
            options = options.fec(fec);
        }
        let stream = pair.sim.conn(pair.client, client).unwrap().open(options).unwrap();
        pair.sim.conn(pair.client, client).unwrap().set_network(network);
        for _ in 0..2000 {
            let mut conn = pair.sim.conn(pair.client, client).unwrap();
            let _ = conn.send_message(stream, &[7; 500], MessageOptions::new());
            pair.sim.run_for(MS);
        }
        pair.sim.conn(pair.client, client).unwrap().stats().fec.sources_sent > 0
    };
    assert!(protected(Network::Unknown, None), "as configured");
    assert!(!protected(Network::Ethernet, None));
    assert!(protected(Network::Wifi, None) && protected(Network::Cellular, None));
    assert!(protected(Network::Ethernet, Some(Fec::Auto)));
    assert!(!protected(Network::Cellular, Some(Fec::Off)));
}

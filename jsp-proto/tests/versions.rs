//! Version negotiation: what a server tells clients of other versions, and what a client makes of being told
//! (specification section 3.8, row 47 of section 7; RFC 8999).

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jsp_conformance::sim::{Happening, Host, Link, NodeId, Sim, Tapped};
use jsp_proto::internals::wire::Writer;
use jsp_proto::internals::wire::header::{
    VERSION, decode_invariants, decode_version_negotiation, encode_version_negotiation,
};
use jsp_proto::{
    Config, ConnectionError, DropReason, Endpoint, Entropy, Event, Instant, Output, Path, RecvMeta, RetryPolicy, Shard,
};
use support::{MS, Pair, SECOND, pinned, server_config};

const ONE_WAY: Duration = Duration::from_millis(10);

/// The first datagram of a client that speaks this version.
fn hello(version: u32, dcid: &[u8], scid: &[u8], len: usize) -> Vec<u8> {
    let mut datagram = vec![0xc7];
    datagram.extend_from_slice(&version.to_be_bytes());
    for id in [dcid, scid] {
        datagram.push(id.len() as u8);
        datagram.extend_from_slice(id);
    }
    datagram.resize(len, 0x55);
    datagram
}

/// What a server of these versions answers to this datagram.
fn negotiation(datagram: &[u8], versions: &[u32]) -> Vec<u8> {
    let asked = decode_invariants(datagram).expect("a long header");
    let mut answer = vec![0; 600];
    let mut w = Writer::new(&mut answer);
    encode_version_negotiation(asked.scid, asked.dcid, 0, &mut w).expect("room");
    let len = w.position() - 8;
    answer.truncate(len);
    versions.iter().for_each(|version| answer.extend_from_slice(&version.to_be_bytes()));
    answer
}

struct Scene {
    sim: Sim,
    raw: NodeId,
    node: NodeId,
}

impl Scene {
    fn new(config: Config) -> Self {
        let mut sim = Sim::new(1);
        let node = sim.add(config);
        let raw = sim.add_host(Host::raw());
        sim.link(raw, node, Link::with_delay(ONE_WAY));
        Self { sim, raw, node }
    }

    fn answers(&mut self, datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let to = self.sim.address(self.node);
        datagrams.iter().for_each(|datagram| self.sim.send_raw(self.raw, to, datagram.clone()));
        let mut answers = Vec::new();
        self.sim.run_until(SECOND, |_, happening| {
            if let Happening::Datagram { bytes, .. } = happening {
                answers.push(bytes.clone());
            }
            false
        });
        answers
    }
}

#[test]
fn a_server_names_its_version_to_clients_of_others() {
    let mut scene = Scene::new(server_config().build().expect("valid"));
    let ids: [&[u8]; 4] = [&[], &[7; 8], &[8; 20], &[9; 255]];
    let mut reserved = Vec::new();
    for version in [1, 0x6b33_43cf, 0x4a53_5002, 0x1a2a_3a4a] {
        for dcid in ids {
            for scid in ids {
                let answers = scene.answers(&[hello(version, dcid, scid, 1200)]);
                let [answer] = &answers[..] else { panic!("{} answers", answers.len()) };
                let packet = decode_version_negotiation(answer).expect("version negotiation");
                assert_eq!((packet.dcid, packet.scid), (scid, dcid));
                let versions: Vec<u32> = packet.versions().collect();
                let [VERSION, grease] = versions[..] else { panic!("{versions:x?}") };
                assert_eq!(grease & 0x0f0f_0f0f, 0x0a0a_0a0a);
                reserved.push(grease);
            }
        }
    }
    reserved.dedup();
    assert!(reserved.len() > 50, "the reserved version is another one each time");
    assert_eq!(scene.sim.endpoint(scene.node).stats().version_negotiations_sent, 64);
}

#[test]
fn what_is_short_or_a_negotiation_itself_gets_no_answer() {
    let mut scene = Scene::new(server_config().build().expect("valid"));
    let datagrams = [hello(1, &[7; 8], &[8; 8], 1199), hello(0, &[7; 8], &[8; 8], 1203), hello(1, &[7; 255], &[], 100)];
    assert_eq!(scene.answers(&datagrams), [[0; 0]; 0]);
    let stats = *scene.sim.endpoint(scene.node).stats();
    assert_eq!((stats.dropped(DropReason::Version), stats.dropped(DropReason::UnknownConnection)), (1, 1));
    assert_eq!(stats.dropped(DropReason::Malformed), 1, "the last is cut off");

    let mut scene = Scene::new(Config::default());
    assert_eq!(scene.answers(&[hello(1, &[7; 8], &[8; 8], 1200)]), [[0; 0]; 0], "who accepts nobody says nothing");
    assert_eq!(scene.sim.endpoint(scene.node).stats().dropped(DropReason::Version), 1);
}

/// Row 47 of the table in specification section 7.
#[test]
fn a_hundred_are_told_in_a_second() {
    let mut scene = Scene::new(server_config().build().expect("valid"));
    assert_eq!(scene.answers(&vec![hello(1, &[7; 8], &[8; 8], 1200); 150]).len(), 100);
    let stats = *scene.sim.endpoint(scene.node).stats();
    assert_eq!((stats.version_negotiations_sent, stats.dropped(DropReason::AnswerLimit)), (100, 50));
    assert_eq!(scene.answers(&vec![hello(1, &[7; 8], &[8; 8], 1200); 150]).len(), 100);
}

/// A client and a raw host in the place of its server, which answers each datagram of the client with these.
fn attempt(answer: impl Fn(&[u8]) -> Vec<Vec<u8>>) -> (ConnectionError, Duration, Sim, NodeId) {
    let mut scene = Scene::new(Config::default());
    let (raw, node) = (scene.raw, scene.node);
    let conn = scene.sim.connect(node, raw, &pinned()).expect("an attempt");
    let closed = scene.sim.run_until(SECOND * 60, |sim, happening| {
        if let Happening::Datagram { from, bytes, .. } = happening {
            answer(bytes).into_iter().for_each(|answer| sim.send_raw(raw, *from, answer));
        }
        happening.event_of(node, conn) == Some(Event::Closed)
    });
    assert!(closed.is_some(), "the attempt ends");
    let after = scene.sim.now() - Instant::ZERO;
    let reason = scene.sim.conn(node, conn).and_then(|conn| conn.close_reason().cloned()).expect("a reason");
    (reason, after, scene.sim, node)
}

#[test]
fn a_client_waits_for_its_deadline_before_it_believes_that_the_version_is_not_spoken() {
    let (reason, after, ..) = attempt(|asked| vec![negotiation(asked, &[1, 0x1a2a_3a4a])]);
    assert_eq!((reason, after), (ConnectionError::VersionMismatch, SECOND * 10));
}

#[test]
fn a_client_ignores_what_contradicts_itself_or_answers_nothing() {
    type Forgery = fn(&[u8]) -> Vec<u8>;
    let forgeries: [(Forgery, DropReason); 5] = [
        (|asked| negotiation(asked, &[1, VERSION]), DropReason::Version),
        (|asked| negotiation(asked, &[]), DropReason::Malformed),
        (|asked| [negotiation(asked, &[1]), vec![7]].concat(), DropReason::Malformed),
        // The id that the client sent to is not echoed.
        (|asked| negotiation(&[&asked[..6], &[!asked[6]], &asked[7..]].concat(), &[1]), DropReason::Unexpected),
        // To an id that is nobody's.
        (
            |asked| negotiation(&[&asked[..15], &[!asked[15]], &asked[16..]].concat(), &[1]),
            DropReason::UnknownConnection,
        ),
    ];
    for (number, (forgery, dropped)) in forgeries.into_iter().enumerate() {
        let (reason, _, mut sim, node) = attempt(|asked| vec![forgery(asked)]);
        assert_eq!(reason, ConnectionError::NoAnswer { after: SECOND * 10 }, "forgery {number}");
        let stats = *sim.endpoint(node).stats();
        assert_eq!(stats.dropped(dropped), stats.datagrams_received, "forgery {number}: {stats:?}");
    }
}

/// Somebody beside the path answers first; the server is there, and speaks this version.
#[test]
fn forged_negotiation_does_not_keep_a_client_from_its_server() {
    for retry in [RetryPolicy::Never, RetryPolicy::Always] {
        let mut pair = Pair::with(1, Link::with_delay(ONE_WAY), server_config().retry(retry), Config::builder());
        let (client, server) = (pair.client, pair.server);
        let mut forged = Vec::new();
        pair.sim.tap(move |passing, bytes| {
            if passing.from == client && bytes[0] & 0x80 != 0 {
                forged.push(negotiation(bytes, &[1]));
            } else if passing.from == server {
                // All that it has come in front of what the server says.
                let mut datagrams = std::mem::take(&mut forged);
                datagrams.push(bytes.clone());
                return Tapped::Replace(datagrams);
            }
            Tapped::Pass
        });
        let (conn, _) = pair.establish(&pinned());
        pair.sim.untap();
        pair.assert_usable(conn);
    }
}

/// A server that has answered once speaks this version, even if nothing more comes of it.
#[test]
fn after_an_answer_that_opened_negotiation_means_nothing() {
    for forged_first in [false, true] {
        let config = server_config().retry(RetryPolicy::Always);
        let mut pair = Pair::with(1, Link::with_delay(ONE_WAY), config, Config::builder());
        let (client, server) = (pair.client, pair.server);
        let mut negotiations = Vec::new();
        let mut retried = false;
        pair.sim.tap(move |passing, bytes| {
            if passing.from == client {
                negotiations.push(negotiation(bytes, &[1]));
                // The second message, with a token, gets lost.
                return if retried { Tapped::Drop } else { Tapped::Pass };
            }
            if passing.from == server && !retried {
                retried = true;
                let mut datagrams = std::mem::take(&mut negotiations);
                datagrams.insert(if forged_first { datagrams.len() } else { 0 }, bytes.clone());
                return Tapped::Replace(datagrams);
            }
            Tapped::Pass
        });
        let conn = pair.connect(&pinned());
        assert_eq!(pair.fails(conn), ConnectionError::NoAnswer { after: SECOND * 10 }, "first: {forged_first}");
        let ignored = pair.sim.endpoint(client).stats().dropped(DropReason::Version);
        assert_eq!(ignored, if forged_first { 0 } else { 3 });
    }
}

/// The answer of a server may arrive at another shard than the one that asked.
#[test]
fn negotiation_finds_the_shard_that_asked() {
    let mut shards: Vec<Endpoint> = (0..3)
        .map(|index| {
            let config = Config::builder().shard(Shard::new(index, 3, [5; 16])).build().expect("valid");
            Endpoint::new(Arc::new(config), Entropy::new([index; 32]))
        })
        .collect();
    let now = Instant::ZERO;
    let path = Path::to(SocketAddr::from(([192, 0, 2, 1], 443)));
    let conn = shards[2].connect(now, path, &pinned()).expect("an attempt");
    let mut buffer = vec![0; 2000];
    let Output::Transmit(transmit) = shards[2].poll(now, &mut buffer) else { panic!("it asks") };
    let mut answer = negotiation(transmit.payload, &[1]);
    let meta = RecvMeta::single(path);
    assert_eq!(shards[0].handle_datagram(now, meta, &mut answer).foreign, 1);
    assert_eq!(shards[0].owner(&answer), Some(2));
    assert_eq!(shards[2].handle_datagram(now, meta, &mut answer).accepted, 1);
    let (deadline, mut buffer) = (now + SECOND * 10, vec![0; 2000]);
    let mut at = now;
    while shards[2].conn(at, conn).expect("known").close_reason().is_none() && at <= deadline {
        if let Output::Idle { wake_at, .. } = shards[2].poll(at, &mut buffer) {
            at = wake_at.expect("an attempt has a deadline").max(at + MS);
        }
    }
    let conn = shards[2].conn(at, conn).expect("not read");
    assert_eq!(conn.close_reason(), Some(&ConnectionError::VersionMismatch));
}

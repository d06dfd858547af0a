//! The bounds that strangers can press against: rows 1 to 15 and 53 of the table in specification section 7. At each
//! bound the endpoint does what the row says, and an honest connection beside it goes on. Which other tests reach
//! them is listed in `bounds_table/proofs.rs`.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use jsp_conformance::peer::{Hello, answer_flight, params};
use jsp_conformance::sim::{Host, Link, NodeId, Sim};
use jsp_proto::config::bounds::{Bounds, KEY_IDS_TRIED};
use jsp_proto::internals::crypto::initial::{Layout, build_flight};
use jsp_proto::internals::crypto::token::TokenKey;
use jsp_proto::internals::crypto::{InitialKeys, KeyId};
use jsp_proto::internals::wire::StreamKind;
use jsp_proto::internals::wire::frame::Stream;
use jsp_proto::internals::wire::header::{LongHeader, LongType};
use jsp_proto::internals::wire::params::{Extras, Params, ParamsContext, Protocols};
use jsp_proto::internals::wire::{Cid, Frame, StreamId};
use jsp_proto::{
    AppCode, ClientConfig, Config, ConfigBuilder, ConnId, DropReason, KemJobs, KeyFetch, Path, Recv, RecvMeta,
    RetryPolicy, SecretKey, Side,
};
use support::hostile::Hostile;
use support::{MS, SECOND, assert_usable, bounds, other_key, pinned, server_config, server_key};

const ONE_WAY: Duration = Duration::from_millis(10);
const TOKEN_KEY: [u8; 32] = [7; 32];

/// A server with an honest connection, and strangers that speak to it from anywhere.
struct Scene {
    sim: Sim,
    server: NodeId,
    client: NodeId,
    honest: ConnId,
}

impl Scene {
    fn new(config: ConfigBuilder) -> Self {
        let mut sim = Sim::new(1);
        let server = sim.add(config.build().expect("valid"));
        let client = sim.add(Config::default());
        sim.default_link(Link::with_delay(ONE_WAY));
        sim.link(client, server, Link::with_delay(ONE_WAY));
        let (honest, _) = sim.establish(client, server, &pinned(), SECOND * 5).expect("an attempt").expect("connected");
        sim.run_for(SECOND * 11);
        Self { sim, server, client, honest }
    }

    fn with(change: impl FnOnce(&mut Bounds)) -> Self {
        Self::new(server_config().bounds(bounds(change)))
    }

    /// Lets the server hear a datagram from this address, and act on it.
    fn hear(&mut self, from: SocketAddr, datagrams: &[Vec<u8>]) {
        for datagram in datagrams {
            self.sim.inject(from, self.server, Duration::ZERO, datagram.clone());
        }
        self.sim.run_for(Duration::from_micros(10));
    }

    fn started(&mut self) -> u64 {
        self.sim.endpoint(self.server).stats().handshakes_started
    }

    fn retries(&mut self) -> u64 {
        self.sim.endpoint(self.server).stats().retries_sent
    }

    fn dropped(&mut self, reason: DropReason) -> u64 {
        self.sim.endpoint(self.server).stats().dropped(reason)
    }

    /// The honest connection is as alive as ever.
    fn assert_unharmed(&mut self) {
        assert_usable(&mut self.sim, self.client, self.server, self.honest);
    }
}

/// An address of its own network for each number.
fn network(number: u64) -> SocketAddr {
    SocketAddr::from(([172, 16 + (number >> 8) as u8, number as u8, 1], 9))
}

/// An address of one and the same network.
fn neighbour(number: u64) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number as u8], 1000 + (number >> 8) as u16))
}

fn hello(number: u64) -> Hello {
    Hello::new(server_key().public(), number)
}

#[test]
fn row_01_malformed_datagrams_are_dropped_and_counted() {
    let mut scene = Scene::with(|_| {});
    let good = hello(1).datagrams;
    let mut garbage: Vec<Vec<u8>> = Vec::new();
    for len in [1, 2, 5, 9, 20, 21, 22, 40, 1199, 1200, 1472] {
        for first in [0x00, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xc4, 0xd0, 0xe0, 0xf0, 0xff] {
            garbage.push([vec![first], vec![0xee; len - 1]].concat());
        }
        garbage.push(good[0][..len.min(1199)].to_vec());
    }
    garbage.push(vec![0xc0; Config::default().max_udp_payload() + 1]);
    let before = *scene.sim.endpoint(scene.server).stats();
    let count = garbage.len() as u64;
    scene.hear(network(1), &garbage);
    let after = *scene.sim.endpoint(scene.server).stats();
    // What could be of a lost connection or of another version is answered, within bounds of their own.
    let answered = after.resets_sent + after.version_negotiations_sent;
    assert_eq!((after.resets_sent, after.version_negotiations_sent), (10, 14));
    assert_eq!(after.dropped_total() - before.dropped_total(), count - answered, "each is dropped for one reason");
    assert_eq!(after.datagrams_received - before.datagrams_received, count);
    assert_eq!(after.datagrams_sent - before.datagrams_sent, answered, "nothing else is answered");
    assert_eq!(scene.started(), 1);
    scene.assert_unharmed();
}

#[test]
fn row_02_a_fragment_under_an_unknown_key_is_dropped_after_the_seal() {
    let mut scene = Scene::with(|_| {});
    let strange = Hello::new(&other_key(), 1).datagrams;
    let before = scene.sim.endpoint(scene.server).stats().seal_openings;
    scene.hear(network(1), &strange);
    assert_eq!(scene.dropped(DropReason::Seal), 3);
    assert_eq!(scene.sim.endpoint(scene.server).stats().seal_openings - before, 3);
    assert_eq!(scene.started(), 1);
    scene.assert_unharmed();
    // A request for the key may be sealed under the zero id as well, if the server is open.
    let mut scene = Scene::new(server_config().key_fetch(KeyFetch::Open));
    let before = scene.sim.endpoint(scene.server).stats().seal_openings;
    scene.hear(network(1), &[sealed_request(&other_key().key_id(), 1)]);
    let tried = scene.sim.endpoint(scene.server).stats().seal_openings - before;
    assert_eq!(tried, KEY_IDS_TRIED as u64);
    scene.assert_unharmed();
}

#[test]
fn row_03_seals_of_strangers_have_a_budget_and_first_fragments_one_of_their_own() {
    let limits = bounds(|bounds| (bounds.seal_openings_per_second, bounds.seal_opening_burst) = (10, 10));
    let config = server_config().retry(RetryPolicy::Never).key_fetch(KeyFetch::Open).bounds(limits);
    let mut scene = Scene::new(config);
    let before = scene.sim.endpoint(scene.server).stats().seal_openings;
    for number in 0..10 {
        let strange = Hello::new(&other_key(), number).datagrams;
        scene.hear(network(number), &strange[1..]);
    }
    // Second and third fragments have used up theirs.
    assert_eq!((scene.dropped(DropReason::Seal), scene.dropped(DropReason::SealLimit)), (10, 10));
    // First ones have not, and neither have requests, which try two keys.
    for number in 0..3 {
        let request = sealed_request(&other_key().key_id(), number);
        scene.hear(network(number), &[request]);
    }
    let infos = scene.sim.endpoint(scene.server).stats().key_infos_sent;
    scene.hear(network(20), &hello(20).datagrams[..1]);
    for number in 30..40 {
        scene.hear(network(number), &hello(number).datagrams[..1]);
    }
    assert_eq!(infos, 3, "unopenable requests are answered by an open server");
    assert_eq!(scene.dropped(DropReason::SealLimit), 10 + 7);
    let opened = scene.sim.endpoint(scene.server).stats().seal_openings;
    assert_eq!(opened - before, 10 + 10);
    // Who has proven its address needs none of it.
    let from = network(50);
    let proven = with_token(&mut scene, &TOKEN_KEY, hello(50), from);
    scene.hear(from, &proven.datagrams);
    assert_eq!(scene.started(), 1, "a token of a stranger's key");
    scene.assert_unharmed();
}

#[test]
fn row_03_a_token_needs_no_budget() {
    let limits = bounds(|bounds| (bounds.seal_openings_per_second, bounds.seal_opening_burst) = (1, 3));
    let mut scene = Scene::new(server_config().token_key(TOKEN_KEY).bounds(limits));
    for number in 0..9 {
        scene.hear(network(number), &Hello::new(&other_key(), number).datagrams);
    }
    let (opened, dropped) =
        (scene.sim.endpoint(scene.server).stats().seal_openings, scene.dropped(DropReason::SealLimit));
    let from = network(50);
    let proven = with_token(&mut scene, &TOKEN_KEY, hello(50), from);
    scene.hear(from, &proven.datagrams);
    assert_eq!((scene.started(), scene.dropped(DropReason::SealLimit)), (2, dropped));
    assert_eq!(scene.sim.endpoint(scene.server).stats().seal_openings, opened);
    scene.assert_unharmed();
}

#[test]
fn row_03_where_seals_are_scarce_clients_prove_their_address_and_need_none() {
    let limits = bounds(|bounds| (bounds.seal_openings_per_second, bounds.seal_opening_burst) = (20, 20));
    let mut scene = Scene::with(|bounds| *bounds = limits);
    // One that has begun, and whose other fragments would now be left unopened.
    let stuck = hello(1);
    scene.hear(network(1), &stuck.datagrams[..1]);
    for number in 0..6 {
        scene.hear(network(number), &Hello::new(&other_key(), number).datagrams[1..]);
    }
    assert_eq!((scene.retries(), scene.dropped(DropReason::SealLimit)), (0, 0));
    scene.hear(network(1), &stuck.datagrams);
    assert_eq!(scene.retries(), 1);
    let (conn, _) =
        scene.sim.establish(scene.client, scene.server, &pinned(), SECOND * 4).expect("attempt").expect("up");
    assert_eq!((scene.retries(), scene.dropped(DropReason::SealLimit)), (2, 0));
    assert_usable(&mut scene.sim, scene.client, scene.server, conn);
    scene.sim.run_for(MS * 1_100);
    scene.hear(network(2), &hello(2).datagrams);
    assert_eq!((scene.retries(), scene.started()), (2, 3), "the flood is over");
}

/// A client that has begun without its token, and shows it when seals are scarce: the attempt that it gives up counts no
/// more.
#[test]
fn row_03_an_attempt_that_is_replaced_is_not_counted_twice() {
    let limits = bounds(|bounds| (bounds.seal_openings_per_second, bounds.seal_opening_burst) = (20, 20));
    let mut scene = Scene::new(server_config().token_key(TOKEN_KEY).bounds(limits));
    let from = network(1);
    let proven = with_token(&mut scene, &TOKEN_KEY, hello(1), from);
    let bare = proven.without_token();
    scene.hear(from, &bare[..1]);
    assert_eq!(scene.sim.endpoint(scene.server).pending_clients(), 1);
    for number in 0..6 {
        scene.hear(network(number), &Hello::new(&other_key(), number).datagrams[1..]);
    }
    scene.hear(from, &proven.datagrams[..1]);
    assert_eq!(scene.sim.endpoint(scene.server).pending_clients(), 1);
    scene.sim.run_for(SECOND * 10);
    assert_eq!(scene.sim.endpoint(scene.server).pending_clients(), 0);
}

/// A hello that brings a token of a server with this key.
fn with_token(scene: &mut Scene, key: &[u8; 32], hello: Hello, from: SocketAddr) -> Hello {
    let key = TokenKey::new(*key);
    let (odcid, issued) = (hello.dcid, (scene.sim.now().as_nanos() / 1_000_000_000) as u32);
    let rscid = Cid::new(&key.retry_cid(issued, odcid.as_slice(), from)[..8]).expect("eight bytes");
    let token = key.retry_token(issued, odcid.as_slice(), rscid.as_slice(), from).expect("a token");
    hello.again(odcid, rscid, token.as_bytes())
}

/// A request for a key by a client that knows this key id.
fn sealed_request(id: &KeyId, number: u64) -> Vec<u8> {
    let (ty, dcid) = (LongType::Key, Cid::new(&(number | 1 << 61).to_be_bytes()).expect("eight bytes"));
    let header = LongHeader { from: Side::Client, ty, count: 1, index: 0, dcid, scid: dcid, token: &[], payload_at: 0 };
    let seal = InitialKeys::new(id, dcid.as_slice()).client(ty);
    build_flight(&header, &seal, &[], Layout::Padded).expect("it fits").remove(0)
}

#[test]
fn row_04_many_strangers_under_way_make_the_others_prove_their_address() {
    let mut scene = Scene::with(|bounds| bounds.tokenless_handshakes = 4);
    // Two that are being reassembled and two that are half-open.
    for number in 0..4 {
        let hello = hello(number);
        let fragments = if number % 2 == 0 { 1 } else { 3 };
        scene.hear(network(number), &hello.datagrams[..fragments]);
    }
    assert_eq!((scene.started(), scene.retries()), (3, 0));
    scene.hear(network(5), &hello(5).datagrams);
    assert_eq!((scene.started(), scene.retries(), scene.dropped(DropReason::Token)), (3, 1, 2));
    // Whoever was let in goes on.
    scene.hear(network(0), &hello(0).datagrams[1..]);
    assert_eq!((scene.started(), scene.retries()), (4, 1));
    // Who proves its address gets in, and leaves the strangers' places alone.
    let (conn, _) =
        scene.sim.establish(scene.client, scene.server, &pinned(), SECOND * 4).expect("attempt").expect("up");
    assert_eq!((scene.started(), scene.retries()), (5, 2));
    assert_usable(&mut scene.sim, scene.client, scene.server, conn);
    // When they are gone, nobody has to prove anything.
    scene.sim.run_for(SECOND * 7);
    scene.hear(network(6), &hello(6).datagrams);
    assert_eq!((scene.started(), scene.retries()), (6, 2));
    scene.assert_unharmed();
}

#[test]
fn row_04_strangers_per_second_are_bounded_by_attempts_not_by_fragments() {
    let mut scene = Scene::with(|bounds| (bounds.tokenless_per_second, bounds.tokenless_burst) = (1, 3));
    for number in 0..3 {
        // Whatever is repeated, and whatever does not open, costs nothing.
        scene.hear(network(number), &Hello::new(&other_key(), number).datagrams);
        scene.hear(network(number), &hello(number).datagrams);
        scene.hear(network(number), &hello(number).datagrams);
    }
    assert_eq!((scene.started(), scene.retries()), (4, 0));
    scene.hear(network(3), &hello(3).datagrams);
    assert_eq!((scene.started(), scene.retries()), (4, 1));
    scene.sim.run_for(MS * 1_010);
    scene.hear(network(4), &hello(4).datagrams);
    scene.hear(network(5), &hello(5).datagrams);
    assert_eq!((scene.started(), scene.retries()), (5, 2));
    scene.assert_unharmed();
}

#[test]
fn row_05_one_network_gets_its_share_of_key_infos() {
    let limits = bounds(|bounds| bounds.key_infos_per_prefix = 3);
    let mut scene = Scene::new(server_config().key_fetch(KeyFetch::Open).bounds(limits));
    for number in 0..10 {
        scene.hear(neighbour(number), &[sealed_request(&KeyId::ZERO, number)]);
    }
    let infos = |scene: &mut Scene| scene.sim.endpoint(scene.server).stats().key_infos_sent;
    assert_eq!((infos(&mut scene), scene.dropped(DropReason::AnswerLimit)), (3, 7));
    scene.hear(network(1), &[sealed_request(&KeyId::ZERO, 11)]);
    assert_eq!(infos(&mut scene), 4, "other networks are not concerned");
    scene.sim.run_for(MS * 340);
    scene.hear(neighbour(1), &[sealed_request(&KeyId::ZERO, 12)]);
    scene.hear(neighbour(2), &[sealed_request(&KeyId::ZERO, 13)]);
    assert_eq!(infos(&mut scene), 5, "three per second");
    scene.assert_unharmed();
}

#[test]
fn row_13_one_network_has_a_share_of_the_connections() {
    let mut scene = Scene::with(|bounds| bounds.connections_per_prefix = 3);
    let connect = |scene: &mut Scene| scene.sim.establish(scene.client, scene.server, &pinned(), SECOND * 4);
    let second = connect(&mut scene).expect("attempt").expect("up");
    connect(&mut scene).expect("attempt").expect("up");
    let started = scene.started();
    assert_eq!(connect(&mut scene), Ok(None), "the fourth gets no answer");
    assert_eq!(scene.started(), started, "and costs no key exchange");
    // Other networks are not concerned.
    scene.hear(network(1), &hello(1).datagrams);
    assert_eq!(scene.started(), started + 1);
    // A connection that is over makes room. Until then the fourth has given up.
    scene.sim.run_for(SECOND * 7);
    scene.sim.conn(scene.client, second.0).expect("open").close(AppCode::ZERO, b"");
    scene.sim.run_for(SECOND * 2);
    connect(&mut scene).expect("attempt").expect("up");
    scene.assert_unharmed();
}

#[test]
fn row_13_places_are_not_given_twice_while_keys_are_computed() {
    let limits = bounds(|bounds| (bounds.connections, bounds.connections_per_prefix) = (4, 2));
    let mut scene = Scene::new(server_config().kem_jobs(KemJobs::HandedOut).bounds(limits));
    for number in 0..3 {
        scene.hear(neighbour(number), &hello(number).datagrams);
        scene.hear(network(number), &hello(10 + number).datagrams);
    }
    assert_eq!(scene.started(), 7, "all were begun while there was room");
    scene.sim.run_for(MS * 10);
    assert_eq!(scene.sim.endpoint(scene.server).connections(), 4);
    scene.assert_unharmed();
}

#[test]
fn row_06_one_network_has_a_share_of_the_reassembly() {
    let mut scene = Scene::with(|bounds| bounds.reassembly_per_prefix = 4);
    for number in 0..4 {
        scene.hear(neighbour(number), &hello(number).datagrams[..1]);
    }
    assert_eq!((scene.retries(), scene.dropped(DropReason::HandshakeLimit)), (0, 0));
    // The fifth has to prove its address, so the share cannot lock anybody out.
    let fifth = hello(5);
    scene.hear(neighbour(5), &fifth.datagrams);
    assert_eq!((scene.retries(), scene.dropped(DropReason::HandshakeLimit)), (1, 2));
    // Other networks are not concerned.
    scene.hear(network(1), &hello(6).datagrams);
    assert_eq!(scene.started(), 2);
    scene.assert_unharmed();
}

#[test]
fn row_06_a_neighbour_with_a_token_gets_in_where_the_share_is_used_up() {
    let mut scene = Scene::with(|bounds| bounds.reassembly_per_prefix = 4);
    let near = scene.sim.address(scene.client).ip();
    for number in 0..4u16 {
        scene.hear(SocketAddr::new(near, 100 + number), &hello(number.into()).datagrams[..1]);
    }
    let (conn, _) =
        scene.sim.establish(scene.client, scene.server, &pinned(), SECOND * 4).expect("attempt").expect("up");
    assert_eq!(scene.retries(), 1);
    assert_usable(&mut scene.sim, scene.client, scene.server, conn);
}

#[test]
fn row_06_a_full_table_keeps_the_proven_and_drops_the_new_strangers() {
    let mut scene = Scene::with(|bounds| bounds.reassembly_entries = 4);
    let first = hello(0);
    for number in 0..4 {
        scene.hear(network(number), &hello(number).datagrams[..1]);
    }
    let dropped = scene.dropped(DropReason::HandshakeLimit);
    scene.hear(network(5), &hello(5).datagrams);
    assert_eq!(scene.dropped(DropReason::HandshakeLimit), dropped + 3);
    assert_eq!(scene.started(), 1);
    scene.hear(network(0), &first.datagrams[1..]);
    assert_eq!(scene.started(), 2, "what was there first is still there");
    scene.assert_unharmed();
}

#[test]
fn row_06_a_proven_client_takes_the_place_of_the_oldest_stranger() {
    let config = server_config().token_key(TOKEN_KEY).bounds(bounds(|bounds| bounds.reassembly_entries = 4));
    let mut scene = Scene::new(config);
    let strangers: Vec<Hello> = (0..4).map(hello).collect();
    for (number, hello) in strangers.iter().enumerate() {
        scene.hear(network(number as u64), &hello.datagrams[..1]);
    }
    let from = network(9);
    let proven = with_token(&mut scene, &TOKEN_KEY, hello(9), from);
    scene.hear(from, &proven.datagrams);
    assert_eq!(scene.started(), 2);
    // The oldest is gone, the others are not.
    scene.hear(network(0), &strangers[0].datagrams[1..]);
    assert_eq!(scene.started(), 2);
    for number in 1..4 {
        scene.hear(network(number), &strangers[number as usize].datagrams[1..]);
    }
    assert_eq!(scene.started(), 5);
    scene.assert_unharmed();
}

#[test]
fn row_07_fragments_are_kept_for_five_seconds() {
    for (wait, kept) in [(MS * 4_990, true), (MS * 5_010, false)] {
        let mut scene = Scene::with(|_| {});
        let hello = hello(1);
        scene.hear(network(1), &hello.datagrams[..2]);
        scene.sim.run_for(wait);
        scene.hear(network(1), &hello.datagrams[2..]);
        assert_eq!(scene.started(), if kept { 2 } else { 1 }, "after {wait:?}");
        scene.assert_unharmed();
    }
}

#[test]
fn row_08_half_open_connections_are_bounded_for_all_and_freed_after_five_seconds() {
    let mut scene = Scene::with(|bounds| bounds.half_open = 3);
    for number in 0..3 {
        scene.hear(network(number), &hello(number).datagrams);
    }
    assert_eq!((scene.started(), scene.sim.endpoint(scene.server).connections()), (4, 4));
    scene.hear(network(4), &hello(4).datagrams);
    assert_eq!((scene.started(), scene.sim.endpoint(scene.server).connections()), (4, 4));
    assert_eq!(scene.dropped(DropReason::HandshakeLimit), 1, "only the completion is dropped");
    scene.assert_unharmed();
    scene.sim.run_for(SECOND * 7);
    assert_eq!(scene.sim.endpoint(scene.server).connections(), 1);
    scene.hear(network(5), &hello(5).datagrams);
    assert_eq!(scene.started(), 5);
    scene.assert_unharmed();
}

#[test]
fn row_08_half_open_connections_of_one_network_are_bounded_and_a_token_helps() {
    // Those without a token fill their share for all networks, too; it is not the share of those with one.
    let mut scene = Scene::with(|bounds| (bounds.half_open, bounds.half_open_per_prefix) = (3, 3));
    let near = scene.sim.address(scene.client).ip();
    for number in 0..3u16 {
        scene.hear(SocketAddr::new(near, 100 + number), &hello(number.into()).datagrams);
    }
    assert_eq!((scene.started(), scene.retries()), (4, 0));
    scene.hear(SocketAddr::new(near, 99), &hello(99).datagrams[..1]);
    assert_eq!((scene.started(), scene.retries()), (4, 1));
    let (conn, _) =
        scene.sim.establish(scene.client, scene.server, &pinned(), SECOND * 4).expect("attempt").expect("up");
    assert_eq!(scene.retries(), 2);
    assert_usable(&mut scene.sim, scene.client, scene.server, conn);
    // Those who were confirmed in the meantime, or gave up, make room.
    scene.sim.run_for(SECOND * 6);
    scene.hear(SocketAddr::new(near, 98), &hello(98).datagrams);
    assert_eq!((scene.started(), scene.retries()), (6, 2));
    scene.assert_unharmed();
}

#[test]
fn row_09_handshakes_per_second_are_bounded_and_the_fragments_stay() {
    let mut scene = Scene::with(|bounds| (bounds.kem_jobs_per_second, bounds.kem_burst) = (1, 3));
    let all: Vec<Hello> = (0..5).map(hello).collect();
    for (number, hello) in all.iter().enumerate() {
        scene.hear(network(number as u64), &hello.datagrams);
    }
    assert_eq!(scene.started(), 4, "three more than the honest client");
    // One more each second, for any repeated fragment of it.
    scene.sim.run_for(MS * 1_010);
    scene.hear(network(3), &all[3].datagrams[2..]);
    scene.hear(network(4), &all[4].datagrams[2..]);
    assert_eq!(scene.started(), 5);
    scene.sim.run_for(MS * 1_010);
    scene.hear(network(4), &all[4].datagrams[..1]);
    assert_eq!(scene.started(), 6);
    scene.assert_unharmed();
}

#[test]
fn row_10_tombstones_are_bounded_and_a_replay_costs_nothing_while_there_is_one() {
    let config = server_config();
    let mut scene = Scene::new(config.bounds(bounds(|bounds| bounds.tombstones = 2)));
    // Refused: what is left of each is a tombstone.
    let p1 = |number| {
        let extras = Extras { app_protocols: Protocols::from_encoded(b"\x01x"), ..Extras::default() };
        Hello::with_p1(server_key().public(), number, &params(&Params::default(), &extras, ParamsContext::P1))
    };
    let all: Vec<Hello> = (0..3).map(p1).collect();
    for (number, hello) in all.iter().enumerate() {
        scene.hear(network(number as u64), &hello.datagrams);
    }
    assert_eq!(scene.started(), 4);
    // The latest two are remembered.
    for number in [1, 2] {
        scene.hear(network(number), &all[number as usize].datagrams);
    }
    assert_eq!(scene.started(), 4);
    // The first was forgotten for the third, and its replay costs a key exchange again.
    scene.hear(network(0), &all[0].datagrams);
    assert_eq!(scene.started(), 5);
    // After five seconds they all are.
    scene.sim.run_for(MS * 5_010);
    scene.hear(network(2), &all[2].datagrams);
    assert_eq!(scene.started(), 6);
    scene.assert_unharmed();
}

#[test]
fn row_10_a_message_that_fails_inside_is_not_opened_twice_and_four_end_the_attempt() {
    for failures in [3, 4] {
        let mut scene = Scene::with(|_| {});
        // The same ids, and a message for another key inside: the seal opens, the message does not.
        for number in 0..failures {
            let message = Hello::new(&other_key(), 77 + number).message();
            let broken = hello(1).flight_of(server_key().public().key_id(), &message);
            scene.hear(network(1), &broken);
            assert_eq!((scene.started(), scene.dropped(DropReason::InnerSeal)), (2 + number, 1 + number));
            scene.hear(network(1), &broken);
            assert_eq!(scene.started(), 2 + number, "the same bytes are not tried again");
        }
        // Somebody who injects fragments under a client's ids has to do so four times to end its attempt.
        scene.hear(network(1), &hello(1).datagrams);
        let alive = failures < 4;
        assert_eq!(scene.started(), 1 + failures + u64::from(alive));
        assert_eq!(scene.sim.endpoint(scene.server).connections(), 1 + usize::from(alive));
        scene.assert_unharmed();
    }
}

#[test]
fn row_14_a_client_tries_eight_forged_answers_per_probe_timeout() {
    let mut sim = Sim::new(1);
    let client = sim.add(Config::default());
    let raw = sim.add_host(Host::raw());
    sim.link(client, raw, Link::with_delay(ONE_WAY));
    let conn = sim.connect(client, raw, &pinned()).expect("an attempt");
    let (server, genuine) = Hostile::accept(&mut sim, raw, &server_key());
    let hello = sim.endpoint(client).stats().datagrams_sent;
    assert_eq!(hello, 3);
    // Whoever knows the key id can seal an answer that looks right from outside.
    for number in 0..9u8 {
        let forged = server.forged_answer(&server_key().public().key_id(), number);
        server.send_raw(&mut sim, &forged);
    }
    server.send_raw(&mut sim, &genuine);
    sim.run_for(MS * 100);
    let stats = *sim.endpoint(client).stats();
    assert_eq!(stats.dropped(DropReason::InnerSeal), 10, "eight tried, the rest ignored");
    assert!(!sim.conn(client, conn).expect("still trying").is_closed());
    // After the next probe timeout the genuine answer counts again.
    sim.run_for(MS * 600);
    server.send_raw(&mut sim, &genuine);
    sim.run_for(MS * 100);
    let id = sim.conn(client, conn).expect("open").peer_key_id();
    assert_eq!(id, Some(server_key().public().key_id()));
    assert!(sim.conn(client, conn).expect("open").stats().handshake_time.is_some());
}

#[test]
fn row_15_a_client_keeps_four_early_packets() {
    let mut sim = Sim::new(1);
    let client = sim.add(Config::default());
    let raw = sim.add_host(Host::raw());
    sim.link(client, raw, Link::with_delay(ONE_WAY));
    let conn = sim.connect(client, raw, &pinned()).expect("an attempt");
    let (mut server, answer) = Hostile::accept(&mut sim, raw, &server_key());
    let sid = StreamId::new(0, StreamKind::Bytes, true, Side::Server);
    for number in 0..6 {
        let data = [number as u8; 100];
        server.send(&mut sim, &[Frame::Stream(Stream { sid, offset: number * 100, fin: false, data: &data })]);
    }
    sim.run_for(ONE_WAY * 2);
    assert_eq!(sim.endpoint(client).stats().dropped(DropReason::TooEarly), 2);
    server.send_raw(&mut sim, &answer);
    sim.run_for(ONE_WAY * 4);
    let mut out = [0; 1000];
    let read = sim.conn(client, conn).expect("open").recv(sid, &mut out);
    assert_eq!(read, Ok(Recv::Data(400)), "the first four and no more");
}

#[test]
fn row_53_empty_and_self_addressed_datagrams_are_counted_and_dropped() {
    let mut scene = Scene::with(|_| {});
    scene.hear(network(1), &vec![Vec::new(); 100]);
    assert_eq!(scene.dropped(DropReason::Empty), 100);
    let (now, own) = (scene.sim.now(), scene.sim.address(scene.server));
    let meta = RecvMeta::single(Path { local: Some(own), remote: own });
    for mut datagram in hello(1).datagrams {
        let received = scene.sim.endpoint(scene.server).handle_datagram(now, meta, &mut datagram);
        assert_eq!((received.dropped, received.accepted, received.replied), (1, 0, 0));
    }
    assert_eq!(scene.dropped(DropReason::Empty), 103);
    scene.assert_unharmed();
}

/// The answers to strangers that need no state have a budget of their own, and leave the honest alone.
#[test]
fn row_05_stateless_answers_have_a_budget() {
    let limits = bounds(|bounds| (bounds.retries_per_second, bounds.key_infos_per_second) = (5, 3));
    let config = server_config().key_fetch(KeyFetch::Open).retry(RetryPolicy::Always).bounds(limits);
    let mut scene = Scene::new(config);
    let retries = scene.retries();
    for number in 0..20 {
        scene.hear(network(number), &hello(number).datagrams[..1]);
        scene.hear(network(number), &Hello::new(&other_key(), number).datagrams[..1]);
    }
    assert_eq!(scene.retries() - retries, 5);
    assert_eq!(scene.sim.endpoint(scene.server).stats().key_infos_sent, 3);
    assert_eq!(scene.dropped(DropReason::AnswerLimit), 32);
    scene.sim.run_for(SECOND);
    let trust = ClientConfig::pinned(server_key().public().clone());
    scene.sim.establish(scene.client, scene.server, &trust, SECOND * 5).expect("attempt").expect("up");
    scene.assert_unharmed();
}

#[test]
fn a_client_endpoint_answers_nobody() {
    let mut sim = Sim::new(1);
    let client = sim.add(Config::default());
    let raw = sim.add_host(Host::raw());
    sim.link(client, raw, Link::with_delay(ONE_WAY));
    let to = sim.address(client);
    let key = SecretKey::from_seed([3; 32]);
    for datagram in Hello::new(key.public(), 1).datagrams {
        sim.send_raw(raw, to, datagram);
    }
    let flight = answer_flight(&KeyId::ZERO, hello(1).dcid, hello(1).scid, hello(1).dcid, &[1; 1500]);
    for datagram in flight {
        sim.send_raw(raw, to, datagram);
    }
    sim.run_for(SECOND);
    let stats = *sim.endpoint(client).stats();
    assert_eq!((stats.datagrams_sent, stats.dropped(DropReason::Unexpected)), (0, 3));
    assert_eq!(stats.dropped(DropReason::UnknownConnection), 2);
}

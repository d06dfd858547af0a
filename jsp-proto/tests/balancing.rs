//! Connection ids that load balancers read: every datagram of a connection reaches the server that has it
//! (specification section 3.7; draft-ietf-quic-load-balancers, ids in clear).

mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use jsp_conformance::sim::Rng;
use jsp_proto::internals::wire::header::{decode_invariants, is_long};
use jsp_proto::{
    ClientConfig, Config, ConfigBuilder, DropReason, Endpoint, Entropy, KeyFetch, LoadBalancing, RetryPolicy,
};
use support::site::{Site, World, alone, client_address, hash, site};
use support::{pinned, server_config, server_key};

const ROTATION: u8 = 5;
const SERVERS: [&[u8]; 2] = [&[0xaa, 1, 2], &[0xaa, 1, 3]];

/// The server that an id names, read as the draft says, and by nothing else that is known here.
fn named(id: &[u8]) -> Option<usize> {
    let (first, rest) = id.split_first()?;
    if first >> 5 != ROTATION || rest.len() < usize::from(first & 0x1f) {
        return None;
    }
    SERVERS.iter().position(|server| rest.starts_with(server))
}

/// What a balancer did.
#[derive(Default)]
struct Seen {
    /// By the id of a datagram, or by chance.
    named: u64,
    unnamed: u64,
    /// Datagrams with short headers that name nobody.
    lost: u64,
    /// Where first messages with a token went, by client.
    tokens: BTreeMap<SocketAddr, usize>,
}

/// Two servers behind a load balancer. Whom an id does not name goes anywhere, but a flight stays together.
fn balanced(config: impl Fn() -> ConfigBuilder, seen: Rc<RefCell<Seen>>) -> Site {
    let servers = SERVERS.map(|server_id| {
        let config = config().load_balancing(LoadBalancing::new(ROTATION, server_id)).token_key([9; 32]);
        Endpoint::new(Arc::new(config.build().expect("valid")), Entropy::new([server_id[2]; 32]))
    });
    let kernel = move |datagram: &[u8], from| {
        let mut seen = seen.borrow_mut();
        let long = decode_invariants(datagram);
        let id = long.map_or_else(|| &datagram[1..], |invariants| invariants.dcid);
        if let Some(server) = named(id) {
            seen.named += 1;
            if long.is_some() {
                seen.tokens.insert(from, server);
            }
            return server;
        }
        seen.unnamed += 1;
        seen.lost += u64::from(long.is_none());
        let salt = id.iter().fold(0, |sum, byte| sum * 31 + u64::from(*byte));
        hash(from, salt) as usize % 2
    };
    Site { shards: servers.into(), kernel: Box::new(kernel), handed: 0 }
}

fn converse(config: impl Fn() -> ConfigBuilder, trust: &ClientConfig) -> (World, Rc<RefCell<Seen>>) {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let mut world = World::new(alone(Config::builder()), balanced(config, seen.clone()));
    for number in 0..100 {
        world.connect(0, client_address(number), trust);
    }
    world.run(World::quiet);
    world.say();
    world.run(World::quiet);
    // Two of the three datagrams of a first message without a token find nobody.
    world.may_drop.push(DropReason::Token);
    world.finish();
    (world, seen)
}

#[test]
fn a_balancer_finds_the_server_of_every_connection() {
    let (world, seen) = converse(server_config, &pinned());
    let accepted = [0, 1].map(|server| world.accepted.values().filter(|at| **at == server).count());
    assert!(accepted[0] + accepted[1] == 100 && accepted[0] > 20 && accepted[1] > 20, "{accepted:?}");
    let seen = seen.borrow();
    assert_eq!((seen.lost, seen.unnamed), (0, 300), "three datagrams of each first message");
    assert!(seen.named > 400, "{}", seen.named);
}

#[test]
fn a_balancer_brings_a_client_back_to_the_server_that_sent_its_retry_or_key() {
    for by_fingerprint in [false, true] {
        let fingerprint = ClientConfig::fingerprints([server_key().public().key_id()]);
        let trust = if by_fingerprint { fingerprint } else { pinned() };
        let config = || server_config().retry(RetryPolicy::Always).key_fetch(KeyFetch::KnownFingerprint);
        let (world, seen) = converse(config, &trust);
        let stats = [0, 1].map(|server| *world.servers.shards[server].stats());
        for stats in &stats {
            let asked = stats.retries_sent + stats.key_infos_sent;
            assert!(asked > 20, "both are in use");
            assert_eq!(stats.handshakes_started, asked, "who asked a client was asked by it");
        }
        assert_eq!(seen.borrow().tokens, world.accepted);
        assert_eq!(seen.borrow().lost, 0);
    }
}

#[test]
fn shards_of_a_server_work_behind_a_balancer() {
    let mut rng = Rng::new(3);
    // Whatever the server's id, the system sprays what belongs to connections.
    let kernel =
        move |datagram: &[u8], from| if is_long(datagram) { hash(from, 3) as usize % 4 } else { rng.below(4) as usize };
    let config = || server_config().load_balancing(LoadBalancing::new(0, &[1; 7]));
    let mut world = World::new(alone(Config::builder()), site(config, 4, 7, Box::new(kernel)));
    for number in 0..200 {
        world.connect(0, client_address(number), &pinned());
    }
    world.run(World::quiet);
    world.finish();
    assert_eq!(world.named, world.accepted, "every connection is at the shard that its id names");
    assert!(world.servers.foreign() > 200);
}

/// A datagram to an id that cannot be a server's own gets neither a connection nor a stateless reset.
#[test]
fn ids_of_another_server_are_dropped_without_an_answer() {
    let server = LoadBalancing::new(ROTATION, SERVERS[0]);
    let mut world = World::new(alone(Config::builder()), alone(server_config().load_balancing(server)));
    let to = world.server_address;
    for (number, server) in (0..).zip(SERVERS) {
        let id = [&[ROTATION << 5 | 11][..], server, &[7; 8]].concat();
        let datagram = [&[0x40][..], &id, &[1; 60]].concat();
        world.servers.hear(world.now, to, client_address(number), datagram);
    }
    world.servers.hear(world.now, to, client_address(9), vec![0x40; 100]);
    assert_eq!((world.servers.resets(), world.servers.dropped(DropReason::UnknownConnection)), (1, 2));
}

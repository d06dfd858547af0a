//! Several endpoints behind one address: every connection lives at the shard that its id names, whatever the system
//! does with the datagrams afterwards.

mod support;

use jsp_conformance::sim::{Rng, seeds};
use jsp_proto::internals::wire::header::{LongType, decode_long, is_long, long_type};
use jsp_proto::{ClientConfig, Config, DropReason, KeyFetch, RetryPolicy, Side};
use support::site::{World, alone, client_address, hash, site};
use support::{MS, bounds, pinned, server_config, server_key};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fickle {
    /// A 4-tuple stays at its shard.
    Never,
    /// 1-RTT datagrams go anywhere.
    Always,
    /// In the middle of the connections every 4-tuple moves to another shard.
    Once,
}

fn many(fickle: Fickle, count: u16, connections: u32, seed: u64) {
    let n = u64::from(count);
    let moved = std::rc::Rc::new(std::cell::Cell::new(false));
    let mut rng = Rng::new(seed);
    let has_moved = moved.clone();
    let kernel = move |datagram: &[u8], from| {
        let shard = hash(from, seed) % n;
        let chosen = match fickle {
            Fickle::Always if !is_long(datagram) => rng.below(n),
            Fickle::Once if has_moved.get() => (shard + 1 + hash(from, !seed) % (n - 1).max(1)) % n,
            _ => shard,
        };
        chosen as usize
    };
    // More clients at once than an adaptive server takes without a token.
    let config = || {
        let limits = bounds(|bounds| (bounds.kem_jobs_per_second, bounds.kem_burst) = (1 << 30, 1 << 30));
        server_config().retry(RetryPolicy::Never).bounds(limits)
    };
    let mut world = World::new(alone(Config::builder()), site(config, count, seed as u8, Box::new(kernel)));
    let trust = pinned();
    for number in 0..connections {
        world.connect(0, client_address(number), &trust);
        if number % 20 == 19 {
            world.run_for(MS);
        }
    }
    world.run(World::quiet);
    let settled = world.servers.foreign();
    moved.set(true);
    world.say();
    world.run(World::quiet);
    world.finish();

    assert_eq!(world.accepted.len(), connections as usize, "all were accepted");
    assert!(world.dialogs.values().all(|dialog| dialog.echoed == 2));
    let foreign = world.servers.foreign();
    match fickle {
        _ if n == 1 => assert_eq!(foreign, 0),
        Fickle::Never => assert_eq!(foreign, 0),
        Fickle::Always => {
            let expected = world.short_to_server * (n - 1) / n;
            assert!((expected * 9 / 10..=expected * 11 / 10).contains(&foreign), "{foreign} of about {expected}");
        }
        Fickle::Once => assert!(settled == 0 && foreign >= u64::from(connections) * 2, "{settled}, then {foreign}"),
    }
    if n > 1 {
        assert_eq!(world.named, world.accepted, "every connection is at the shard that its id names");
    }
    let mut shares = vec![0; usize::from(count)];
    world.accepted.values().for_each(|shard| shares[*shard] += 1);
    assert!(shares.iter().all(|share| share * 2 > connections / u32::from(count)), "{shares:?}");
}

// Ten thousand connections in all.

#[test]
fn connections_of_four_shards_are_each_at_its_own() {
    many(Fickle::Never, 4, 2_000, 1);
}

#[test]
fn connections_survive_a_system_that_sprays_their_datagrams() {
    many(Fickle::Always, 4, 4_000, 2);
}

#[test]
fn connections_survive_a_system_that_deals_them_out_anew() {
    many(Fickle::Once, 4, 4_000, 3);
}

#[test]
fn any_number_of_shards() {
    seeds("any_number_of_shards", 0..9, |seed| {
        let fickle = [Fickle::Never, Fickle::Always, Fickle::Once][seed as usize % 3];
        let count = [1, 2, 7][seed as usize / 3 % 3];
        many(fickle, count, 500, seed + 100);
    });
}

/// A first message belongs to the shard where it arrives, and so does its repetition with a token: shards that share
/// the token key accept each other's.
#[test]
fn a_retry_may_be_answered_at_another_shard() {
    let kernel = |datagram: &[u8], _| {
        if !is_long(datagram) {
            return 1;
        }
        let header = decode_long(datagram, Side::Client).expect("of a client");
        if header.token.is_empty() { 0 } else { 1 }
    };
    let config = || server_config().retry(RetryPolicy::Always);
    let mut world = World::new(alone(Config::builder()), site(config, 3, 4, Box::new(kernel)));
    for number in 0..20 {
        world.connect(0, client_address(number), &pinned());
    }
    world.run(World::quiet);
    // Two of the three datagrams of a first message without a token find nobody.
    world.may_drop.push(DropReason::Token);
    world.finish();
    let stats: Vec<_> = world.servers.shards.iter().map(|shard| *shard.stats()).collect();
    assert_eq!([stats[0].retries_sent, stats[1].retries_sent, stats[2].retries_sent], [20, 0, 0]);
    let started = [stats[0].handshakes_started, stats[1].handshakes_started, stats[2].handshakes_started];
    assert_eq!(started, [0, 20, 0]);
    assert!(world.accepted.values().all(|shard| *shard == 1));
    assert_eq!(world.servers.foreign(), 0);
}

/// Shards connect as well. All that the server sends, RETRY, KEYINFO, its answer and 1-RTT datagrams, may arrive at
/// another shard than the one that connects.
#[test]
fn answers_to_a_client_reach_its_shard() {
    for (by_fingerprint, retry) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut rng = Rng::new(5);
        let kernel = move |_: &[u8], _| rng.below(3) as usize;
        let mut server = server_config();
        if retry {
            server = server.retry(RetryPolicy::Always);
        }
        let mut world = World::new(site(Config::builder, 3, 6, Box::new(kernel)), alone(server));
        let fingerprint = ClientConfig::fingerprints([server_key().public().key_id()]);
        let trust = if by_fingerprint { fingerprint } else { pinned() };
        for number in 0..60 {
            world.connect(number as usize % 3, client_address(number), &trust);
        }
        world.run(World::quiet);
        // The server sees first messages without a token, as in the test above.
        world.may_drop.push(DropReason::Token);
        world.finish();
        let foreign = world.clients.foreign();
        assert!(foreign > 60, "{foreign}");
        assert!(world.clients.shards.iter().all(|shard| shard.stats().datagrams_foreign > 0));
        let stats = *world.servers.shards[0].stats();
        assert_eq!(
            (stats.retries_sent, stats.key_infos_sent),
            match (by_fingerprint, retry) {
                (false, false) => (0, 0),
                (false, true) => (60, 0),
                // The token of a KEYINFO is as good as that of a RETRY.
                (true, _) => (0, 60),
            }
        );
    }
}

/// A key request to an id that looks like another shard's is answered there; an endpoint that is asked by nobody else
/// than strangers hands nothing over twice.
#[test]
fn key_requests_are_answered_whatever_their_id_looks_like() {
    let mut rng = Rng::new(8);
    let kernel = move |_: &[u8], _| rng.below(256) as usize;
    let config = || server_config().key_fetch(KeyFetch::Open);
    let mut world = World::new(alone(Config::builder()), site(config, 256, 7, Box::new(kernel)));
    for number in 0..2_000 {
        world.connect(0, client_address(number), &ClientConfig::danger_accept_any());
    }
    // Only the requests and their answers: hellos do not meet at a shard with this kernel.
    world.poll();
    let requests: Vec<_> = world.under_way.drain(..).collect();
    assert_eq!(requests.len(), 2_000);
    for (_, at_server, from, to, datagram) in requests {
        assert!(at_server && long_type(&datagram) == Some(LongType::Key));
        world.servers.hear(world.now, to, from, datagram);
    }
    let answered: u64 = world.servers.shards.iter().map(|shard| shard.stats().key_infos_sent).sum();
    assert_eq!(answered, 2_000);
    // One in 256 is expected: eight, with a deviation of three.
    assert!((1..=25).contains(&world.servers.handed), "{}", world.servers.handed);
}

/// Strangers that guess ids, or know one of a connection that is over, cannot make shards send datagrams to and fro.
#[test]
fn guessed_ids_are_dropped_where_they_arrive_and_old_ones_at_their_shard() {
    let mut rng = Rng::new(9);
    let kernel = move |_: &[u8], _| rng.below(4) as usize;
    let mut world = World::new(alone(Config::builder()), site(server_config, 4, 8, Box::new(kernel)));
    let mut rng = Rng::new(10);
    let (to, from) = (world.server_address, client_address(1));
    let mut guess = |len: usize, first: u8| {
        let mut datagram: Vec<u8> = (0..len).map(|_| rng.u64() as u8).collect();
        datagram[0] = first;
        datagram
    };
    const GUESSES: u64 = 100_000;
    for _ in 0..GUESSES {
        let datagram = guess(40, 0x40);
        world.servers.hear(world.now, to, from, datagram);
    }
    // 4 in 65,536 pass for an id, of which one in four arrives where it would belong.
    let handed = world.servers.handed;
    assert!(handed <= 20, "{handed}, 5 are expected");
    // Those that look as if the shard had issued them are answered by a reset, as long as that is not too often.
    let answered = world.servers.resets();
    assert!(answered <= 20, "{answered}, 6 are expected");
    assert_eq!(world.servers.dropped(DropReason::UnknownConnection), GUESSES - answered);
    assert_eq!(world.servers.foreign(), handed);

    // An id that a shard has issued, of a connection that is over.
    let over = (0..).map(|_| guess(40, 0x40)).find(|datagram| world.servers.issuer(datagram).is_some());
    let over = over.expect("one in 16,384");
    for _ in 0..1_000 {
        world.servers.hear(world.now, to, from, over.clone());
    }
    let repeated = world.servers.handed - handed;
    assert!((650..850).contains(&repeated), "{repeated}, 750 are expected");
    // All at the shard that issued it, which tells a network ten times in a second.
    let told = world.servers.resets() - answered;
    assert!((1..=10).contains(&told), "{told}");
    assert_eq!(world.servers.dropped(DropReason::AnswerLimit), 1_000 - told);
    let answered = answered + told;

    // The same in long headers of the kinds that only servers send.
    for first in 0..=255u8 {
        let mut datagram = guess(200, first | 0x80);
        datagram[1..5].copy_from_slice(&jsp_proto::internals::wire::header::VERSION.to_be_bytes());
        datagram[5] = 8;
        datagram[6..14].copy_from_slice(&over[1..9]);
        world.servers.hear(world.now, to, from, datagram);
    }
    let stats: u64 = world.servers.shards.iter().map(|shard| shard.stats().dropped_total()).sum();
    assert_eq!(stats + answered, GUESSES + 1_000 + 256, "all were dropped or answered somewhere");
}

/// A datagram for a live connection that a stranger sends to the wrong shard does no harm at the right one.
#[test]
fn forged_datagrams_that_were_handed_over_leave_the_connection_alone() {
    let kernel = |datagram: &[u8], from| if is_long(datagram) || from == client_address(0) { 0 } else { 1 };
    let mut world = World::new(alone(Config::builder()), site(server_config, 2, 9, Box::new(kernel)));
    world.connect(0, client_address(0), &pinned());
    let mut forged = None;
    world.run(|world| {
        let short = world.under_way.iter().find(|(_, at_server, .., datagram)| *at_server && !is_long(datagram));
        forged = forged.take().or_else(|| short.map(|(.., datagram)| datagram.clone()));
        world.quiet()
    });
    let mut forged = forged.expect("the client sends");
    let end = forged.len() - 1;
    forged[end] ^= 1;
    for _ in 0..100 {
        let to = world.server_address;
        world.servers.hear(world.now, to, client_address(1), forged.clone());
    }
    assert_eq!(world.servers.handed, 100);
    assert_eq!(world.servers.shards[0].stats().dropped_total(), 100);
    world.may_drop.extend([DropReason::Aead, DropReason::Duplicate]);
    world.say();
    world.run(World::quiet);
    world.finish();
}

#[test]
fn an_endpoint_alone_has_no_foreign_datagrams() {
    let mut world = World::new(alone(Config::builder()), alone(server_config()));
    let datagram = [vec![0x40], vec![7; 40]].concat();
    let to = world.server_address;
    world.servers.hear(world.now, to, client_address(1), datagram);
    assert_eq!(world.servers.foreign(), 0);
    assert_eq!((world.servers.resets(), world.servers.dropped(DropReason::UnknownConnection)), (1, 0));
    world.clients.hear(world.now, client_address(1), to, [vec![0x40], vec![7; 40]].concat());
    assert_eq!((world.clients.resets(), world.clients.dropped(DropReason::UnknownConnection)), (0, 1));
}

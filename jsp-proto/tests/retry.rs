//! Address tokens, losses around them, handed-out key exchanges, replayed handshakes and the limit on what an unproven
//! address is sent.

mod support;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jsp_conformance::peer::Hello;
use jsp_conformance::sim::{Happening, Link, Sim, Tapped, seeds};
use jsp_proto::internals::crypto::token::TokenKey;
use jsp_proto::internals::wire::header::{Cid, decode_long};
use jsp_proto::{
    Accept, AcceptPolicy, ClientConfig, Config, ConnId, DropReason, Event, Instant, Job, KemJobs, KeyFetch,
    RetryPolicy, SecretKey, Side, StreamOptions,
};
use support::bare::{Bare, address, retried};
use support::hostile::Hostile;
use support::{MS, Pair, SECOND, bounds, pinned, server_config, server_key};

const ROUND_TRIP: Duration = Duration::from_millis(40);
const TOKEN_KEY: [u8; 32] = [7; 32];

fn link() -> Link {
    Link::with_delay(ROUND_TRIP / 2)
}

fn always(seed: u64) -> Pair {
    let server = server_config().retry(RetryPolicy::Always).token_key(TOKEN_KEY);
    Pair::with(seed, link(), server, Config::builder())
}

/// When the client was connected.
fn connected(pair: &mut Pair, trust: &ClientConfig) -> (ConnId, Instant) {
    let conn = pair.connect(trust);
    let client = pair.client;
    let up = pair.sim.run_until(SECOND * 30, |_, happening| {
        happening.event_of(client, conn).inspect(|event| assert_ne!(*event, Event::Closed)) == Some(Event::Connected)
    });
    assert!(up.is_some(), "no connection");
    (conn, pair.sim.now())
}

#[test]
fn retry_takes_two_round_trips_and_no_work_for_the_first() {
    let mut pair = always(1);
    let (conn, at) = connected(&mut pair, &pinned());
    assert_eq!(at, Instant::ZERO + ROUND_TRIP * 2);
    let stats = *pair.sim.endpoint(pair.server).stats();
    assert_eq!((stats.retries_sent, stats.handshakes_started), (1, 1));
    // Two of the first three fragments found nobody: nothing was stored for them.
    assert_eq!(stats.dropped(DropReason::Token), 2);
    pair.assert_usable(conn);
}

/// Every subset of the client's first seven datagrams with every subset of the server's first three: RETRY, each
/// fragment of either hello, and the answer are lost in turn and together.
#[test]
fn retry_comes_up_whatever_is_lost_first() {
    seeds("retry_comes_up_whatever_is_lost_first", 0..1024, |seed| {
        // Five losses in a row of the datagrams that draw and carry the RETRY take longer than the client tries.
        if (seed & 0b11_1100_1001).count_ones() > 4 {
            return;
        }
        let mut pair = always(seed);
        pair.sim.link_one_way(pair.client, pair.server, link().drop_mask(seed & 127));
        pair.sim.link_one_way(pair.server, pair.client, link().drop_mask(seed >> 7));
        let (conn, at) = connected(&mut pair, &pinned());
        assert!(at < Instant::ZERO + SECOND * 10, "connected at {at:?}");
        pair.assert_usable(conn);
    });
}

#[test]
fn one_second_makes_one_retry() {
    let mut server = Bare::new(server_config().retry(RetryPolicy::Always));
    let hello = Hello::new(server_key().public(), 1);
    let first = server.hear(address(1, 9), &hello.datagrams[..1]);
    server.now += MS * 900;
    let second = server.hear(address(1, 9), &hello.datagrams[..1]);
    assert_eq!(first.len(), 1);
    assert_eq!(first, second, "two copies of one packet get one answer");
    assert_eq!(first[0].len(), 69);
    server.now += MS * 200;
    let third = server.hear(address(1, 9), &hello.datagrams[..1]);
    let scid = |datagram: &[u8]| decode_long(datagram, Side::Server).expect("a long header").scid;
    assert_ne!(scid(&first[0]), scid(&third[0]), "another second, another id");
    assert_ne!(first, server.hear(address(1, 10), &hello.datagrams[..1]));
    assert_eq!((server.started(), server.endpoint.connections()), (0, 0));
    // The other fragments get no answer.
    assert!(server.hear(address(1, 9), &hello.datagrams[1..]).is_empty());
}

#[test]
fn a_token_is_good_for_its_address_its_id_and_ten_seconds() {
    let (here, other_host, other_port) = (address(1, 9), address(2, 9), address(1, 10));
    for (from, wait, good) in [
        (here, Duration::ZERO, true),
        (here, SECOND * 10, true),
        (here, SECOND * 11, false),
        (other_host, Duration::ZERO, false),
        (other_port, Duration::ZERO, false),
    ] {
        let mut server = Bare::new(server_config().retry(RetryPolicy::Always));
        let hello = Hello::new(server_key().public(), 1);
        let retry = server.hear(here, &hello.datagrams).remove(0);
        let second = retried(hello, &retry);
        server.now += wait;
        let answer = server.hear(from, &second.datagrams);
        assert_eq!(server.started(), u64::from(good), "{from} after {wait:?}");
        // A token that is no good gets a new RETRY, once, and no work.
        assert_eq!(answer.len(), if good { 2 } else { 1 }, "{from} after {wait:?}");
        assert_eq!(answer[0].len(), if good { 1200 } else { 69 });
        assert_eq!(server.endpoint.connections(), usize::from(good));
    }
}

/// A token that says it is one of this server's and is not must not even reach the key exchange, whatever the policy.
#[test]
fn a_forged_token_is_worth_less_than_none() {
    let mut server = Bare::new(server_config().retry(RetryPolicy::Never));
    let hello = Hello::new(server_key().public(), 1);
    let odcid = hello.dcid;
    let rscid = Cid::new(&[0x33; 8]).expect("eight bytes");
    let foreign = TokenKey::new([1; 32]);
    let token = foreign.retry_token(1, odcid.as_slice(), rscid.as_slice(), address(1, 9)).expect("a token");
    let second = hello.again(odcid, rscid, token.as_bytes());
    let answer = server.hear(address(1, 9), &second.datagrams);
    assert_eq!((answer.len(), answer[0].len(), server.started()), (1, 69, 0));
}

#[test]
fn a_clock_that_is_ahead_is_tolerated_for_two_seconds() {
    let (key, here) = (TokenKey::new(TOKEN_KEY), address(1, 9));
    for (ahead, good) in [(2, true), (3, false)] {
        let mut server = Bare::new(server_config().retry(RetryPolicy::Always).token_key(TOKEN_KEY));
        let hello = Hello::new(server_key().public(), 1);
        let (odcid, issued) = (hello.dcid, 1 + ahead);
        let rscid = key.retry_cid(issued, odcid.as_slice(), here);
        let rscid = Cid::new(&rscid[..8]).expect("eight bytes");
        let token = key.retry_token(issued, odcid.as_slice(), rscid.as_slice(), here).expect("a token");
        server.hear(here, &hello.again(odcid, rscid, token.as_bytes()).datagrams);
        assert_eq!(server.started(), u64::from(good), "{ahead} s ahead");
    }
}

/// A server whose tokens never verify: every token is stale by the time the client brings it.
#[test]
fn a_client_follows_three_retries_and_no_more() {
    // A round trip longer than a token lives.
    let server = server_config().retry(RetryPolicy::Always);
    let slow = Link::with_delay(SECOND * 6);
    let client = Config::builder().handshake_timeout(SECOND * 400).initial_rtt(SECOND * 13);
    let mut pair = Pair::with(1, slow, server, client);
    let tokens = Rc::new(RefCell::new(std::collections::BTreeSet::new()));
    let seen = tokens.clone();
    let from = pair.client;
    pair.sim.tap(move |passing, bytes| {
        if passing.from == from
            && let Ok(header) = decode_long(bytes, Side::Client)
        {
            seen.borrow_mut().insert(header.token.to_vec());
        }
        Tapped::Pass
    });
    let conn = pair.connect(&pinned());
    pair.fails(conn);
    let stats = *pair.sim.endpoint(pair.server).stats();
    assert!(stats.retries_sent > 3, "the server goes on asking: {}", stats.retries_sent);
    assert_eq!(stats.handshakes_started, 0);
    assert_eq!(tokens.borrow().len(), 4, "the first hello and three retries");
}

#[test]
fn handed_out_jobs_may_be_slow() {
    for time in [MS, MS * 300, SECOND * 2] {
        let server = server_config().kem_jobs(KemJobs::HandedOut).build().expect("valid");
        let mut sim = Sim::new(1);
        let server = sim.add_host(jsp_conformance::sim::Host::new(server).job_time(time));
        let client = sim.add(Config::default());
        sim.link(client, server, link());
        let (conn, _) = sim.establish(client, server, &pinned(), SECOND * 9).expect("an attempt").expect("connected");
        // Two jobs in a row: opening the hello, and sealing the answer.
        let least = Instant::ZERO + time * 2 + ROUND_TRIP;
        assert!(sim.now() >= least && sim.now() <= least + ROUND_TRIP, "{time:?}: {:?}", sim.now());
        assert_eq!(sim.endpoint(server).stats().handshakes_started, 1, "the repeated hello waits for the job");
        support::assert_usable(&mut sim, client, server, conn);
    }
}

/// A server that hands its jobs out, and what a test does with them.
fn jobs_of(server: &mut Bare) -> Vec<Job> {
    std::iter::from_fn(|| server.endpoint.take_job()).collect()
}

#[test]
fn a_dropped_job_is_made_up_for_when_the_client_asks_again() {
    let mut server = Bare::new(server_config().kem_jobs(KemJobs::HandedOut));
    let hello = Hello::new(server_key().public(), 1);
    server.hear(address(1, 9), &hello.datagrams);
    drop(jobs_of(&mut server));
    server.now += SECOND * 4;
    server.hear(address(1, 9), &hello.datagrams);
    assert!(jobs_of(&mut server).is_empty(), "the job may still come back");
    server.now += SECOND * 2;
    server.drain();
    server.hear(address(1, 9), &hello.datagrams);
    for _ in 0..2 {
        for job in jobs_of(&mut server) {
            let now = server.now;
            server.endpoint.job_done(now, job.run());
        }
    }
    assert_eq!(server.drain().len(), 2, "answer and parameters");
    assert_eq!(server.endpoint.connections(), 1);
}

#[test]
fn dropped_jobs_do_not_use_up_the_queue() {
    let bounds = bounds(|bounds| bounds.kem_queue = 4);
    let mut server = Bare::new(server_config().kem_jobs(KemJobs::HandedOut).bounds(bounds));
    for round in 0..5 {
        for number in 0..4 {
            let hello = Hello::new(server_key().public(), round * 4 + number);
            server.hear(address(round as u8, 9 + number as u16), &hello.datagrams);
        }
        let jobs = jobs_of(&mut server);
        assert_eq!(jobs.len(), 4, "round {round}");
        // With four under way there is no room for a fifth, in whatever state they are.
        let hello = Hello::new(server_key().public(), 1000 + round);
        server.hear(address(round as u8, 99), &hello.datagrams);
        let done: Vec<_> = jobs.into_iter().map(Job::run).collect();
        server.hear(address(round as u8, 99), &hello.datagrams);
        assert!(jobs_of(&mut server).is_empty());
        drop(done);
        server.now += SECOND * 6;
        server.drain();
    }
}

#[test]
fn late_results_find_nobody() {
    let mut server = Bare::new(server_config().kem_jobs(KemJobs::HandedOut));
    let hello = Hello::new(server_key().public(), 1);
    server.hear(address(1, 9), &hello.datagrams);
    let late = jobs_of(&mut server).remove(0);
    server.now += SECOND * 6;
    server.drain();
    let now = server.now;
    server.endpoint.job_done(now, late.run());
    assert!(jobs_of(&mut server).is_empty(), "nothing follows from a result that came too late");
    // And the second half, for the same client's next attempt.
    server.hear(address(1, 9), &hello.datagrams);
    let opened = jobs_of(&mut server).remove(0).run();
    server.endpoint.job_done(now, opened);
    let late = jobs_of(&mut server).remove(0).run();
    server.now += SECOND * 6;
    server.drain();
    let now = server.now;
    server.endpoint.job_done(now, late);
    assert!(server.drain().is_empty());
    assert_eq!(server.endpoint.connections(), 0);
}

/// The client's datagrams up to the moment it is connected, and the pair after that.
fn recorded(config: jsp_proto::ConfigBuilder, trust: &ClientConfig, accept: &Accept) -> (Pair, Vec<Vec<u8>>) {
    let mut pair = Pair::with(1, link(), config, Config::builder());
    let flight = Rc::new(RefCell::new(Vec::new()));
    let (copy, client) = (flight.clone(), pair.client);
    pair.sim.tap(move |passing, bytes| {
        if passing.from == client {
            copy.borrow_mut().push(bytes.clone());
        }
        Tapped::Pass
    });
    let conn = pair.connect(trust);
    pair.sim.run_until(SECOND * 5, |sim, happening| {
        if let Happening::Incoming { node, id } = happening {
            let now = sim.now();
            sim.endpoint(*node).accept(now, *id, accept.clone()).expect("just reported");
        }
        happening.event_of(client, conn) == Some(Event::HandshakeConfirmed)
    });
    pair.sim.untap();
    (pair, flight.take())
}

#[test]
fn a_replay_from_the_same_address_costs_no_key_exchange_and_gets_no_answer() {
    let (mut pair, flight) = recorded(server_config(), &pinned(), &Accept::new());
    let (source, server) = (pair.sim.address(pair.client), pair.server);
    pair.sim.run_for(SECOND);
    let before = (pair.sim.endpoint(server).stats().handshakes_started, pair.sim.link_stats(server, pair.client).sent);
    for round in 0..30 {
        for datagram in &flight {
            pair.sim.inject(source, server, MS * 100 * round, datagram.clone());
        }
    }
    pair.sim.run_for(SECOND * 4);
    let after = (pair.sim.endpoint(server).stats().handshakes_started, pair.sim.link_stats(server, pair.client).sent);
    assert_eq!(before, (1, before.1));
    assert_eq!(before, after);
    assert_eq!(pair.sim.endpoint(server).connections(), 1);
}

#[test]
fn a_replay_from_elsewhere_never_makes_a_client() {
    let identity = Arc::new(SecretKey::from_seed([3; 32]));
    let accept = Accept::new().client_key(identity.public().clone()).psk([9; 32]);
    let config = server_config().accept(AcceptPolicy::Ask);
    let trust = pinned().identity(identity).psk(b"x", [9; 32]);
    let (mut pair, flight) = recorded(config, &trust, &accept);
    let server = pair.server;
    // At once, and after everything about the first attempt was forgotten.
    for pause in [MS, SECOND * 30] {
        pair.sim.run_for(pause);
        let source: SocketAddr = "203.0.113.5:7".parse().expect("an address");
        for datagram in &flight {
            pair.sim.inject(source, server, MS, datagram.clone());
        }
        let mut asked = 0;
        pair.sim.run_until(SECOND * 20, |sim, happening| {
            if let Happening::Incoming { id, .. } = happening {
                asked += 1;
                let now = sim.now();
                // The program cannot know better, and accepts.
                sim.endpoint(server).accept(now, *id, accept.clone()).expect("just reported");
            }
            if let Some((_, event)) = happening.event_at(server) {
                assert!(!matches!(event, Event::Connected | Event::PeerAuthenticated), "after {pause:?}");
            }
            false
        });
        assert_eq!(asked, 1);
        assert_eq!(pair.sim.endpoint(server).stats().connections_confirmed, 1, "the honest one");
    }
}

/// The server's outbound bytes towards an address never exceed three times what it got from there, until the address
/// is proven by a packet that only its holder can have made.
#[test]
fn an_unproven_address_gets_at_most_three_times_what_it_sent() {
    seeds("an_unproven_address_gets_at_most_three_times_what_it_sent", 0..150, |seed| {
        let open = if seed % 2 == 0 { KeyFetch::Open } else { KeyFetch::KnownFingerprint };
        let mut pair = Pair::with(seed, link(), server_config().key_fetch(open), Config::builder());
        let (client, server) = (pair.client, pair.server);
        let loss = [0.0, 0.2, 0.5][seed as usize % 3];
        let corrupt = if open == KeyFetch::Open { 0.2 } else { 0.0 };
        pair.sim.link(client, server, link().loss(loss).duplicate(0.1).corrupt(corrupt));
        // The client is cut off before its first 1-RTT packet, so its address stays unproven for ever.
        pair.sim.tap(
            move |passing, bytes| {
                if passing.from == client && bytes[0] & 0x80 == 0 { Tapped::Drop } else { Tapped::Pass }
            },
        );
        pair.connect(&pinned());
        let end = pair.sim.now() + SECOND * 12;
        while let Some(happening) = pair.sim.next(end) {
            // A program that would write a lot, as early as it may.
            if let Some((conn, Event::EarlyWritable)) = happening.event_at(server) {
                let mut conn = pair.sim.conn(server, conn).expect("just reported");
                let stream = conn.open(StreamOptions::bytes().uni()).expect("the first stream");
                conn.send(stream, &[7; 100_000]).expect("room");
            }
            let arrived = pair.sim.link_stats(client, server).delivered_bytes;
            let out = pair.sim.link_stats(server, client).sent_bytes;
            assert!(out <= 3 * arrived, "{out} B out, {arrived} B in");
        }
        let out = pair.sim.link_stats(server, client).sent_bytes;
        assert!(loss > 0.0 || out > 5_000, "nothing was tried: {out}");
    });
}

#[test]
fn a_token_allows_ten_datagrams_and_one_for_each_received() {
    let mut pair = always(1);
    let (client, server) = (pair.client, pair.server);
    pair.sim.tap(
        move |passing, bytes| {
            if passing.from == client && bytes[0] & 0x80 == 0 { Tapped::Drop } else { Tapped::Pass }
        },
    );
    pair.connect(&pinned());
    let mut hellos = 0;
    let end = pair.sim.now() + SECOND * 20;
    while let Some(happening) = pair.sim.next(end) {
        if let Some((conn, Event::EarlyWritable)) = happening.event_at(server) {
            let mut conn = pair.sim.conn(server, conn).expect("just reported");
            let stream = conn.open(StreamOptions::bytes().uni()).expect("the first stream");
            conn.send(stream, &[7; 100_000]).expect("room");
        }
        hellos = pair.sim.link_stats(client, server).delivered;
    }
    // Three datagrams came without a token and were worth one RETRY.
    let sent = pair.sim.link_stats(server, client).sent;
    assert!(sent > 10, "the limit was reached: {sent}");
    assert!(sent <= 1 + 10 + (hellos - 3), "{sent} datagrams for {hellos}");
}

#[test]
fn tokens_of_one_cluster_are_good_everywhere() {
    let config = || server_config().retry(RetryPolicy::Always).token_key(TOKEN_KEY);
    let (mut one, mut two, mut stranger) =
        (Bare::new(config()), Bare::new(config()), Bare::new(config().token_key([8; 32])));
    let hello = Hello::new(server_key().public(), 1);
    let retry = one.hear(address(1, 9), &hello.datagrams).remove(0);
    let second = retried(hello, &retry);
    two.hear(address(1, 9), &second.datagrams);
    assert_eq!(two.started(), 1);
    stranger.hear(address(1, 9), &second.datagrams);
    assert_eq!(stranger.started(), 0);
}

/// The helper itself: what it sends is a connection to the server.
#[test]
fn the_hostile_peer_speaks_the_protocol() {
    let mut pair = Pair::new(1, link());
    let node = pair.sim.add_host(jsp_conformance::sim::Host::raw());
    pair.sim.link(node, pair.server, link());
    let mut peer = Hostile::connect(&mut pair.sim, node, pair.server, server_key().public());
    peer.send(&mut pair.sim, &[jsp_proto::internals::wire::Frame::Ping]);
    peer.run(&mut pair.sim, MS * 200);
    assert!(peer.is_acked(0));
    assert_eq!(pair.sim.endpoint(pair.server).stats().connections_confirmed, 1);
}

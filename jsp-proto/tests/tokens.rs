//! Address tokens for later connections, and the keys of all address tokens: how a client gets one, what it is good for,
//! and for whom.

mod support;

use std::time::Duration;

use jsp_conformance::peer::{Hello, params};
use jsp_conformance::sim::{Host, Link, NodeId, Sim, Tapped, seeds};
use jsp_proto::internals::crypto::token::TokenKey;
use jsp_proto::internals::wire::Frame;
use jsp_proto::internals::wire::params::{Extras, Params, ParamsContext, Protocols};
use jsp_proto::{Config, ConfigBuilder, ConnId, EndpointStats, Event, Instant, RetryPolicy, StreamOptions};
use support::bare::{Bare, address, retried};
use support::hostile::Hostile;
use support::{MS, Pair, SECOND, bounds, pinned, server_config, server_key};

const ROUND_TRIP: Duration = Duration::from_millis(40);
const TOKEN_KEY: [u8; 32] = [7; 32];
const DAY: u32 = 86_400;

fn link() -> Link {
    Link::with_delay(ROUND_TRIP / 2)
}

fn always() -> ConfigBuilder {
    server_config().retry(RetryPolicy::Always).token_key(TOKEN_KEY)
}

/// A token of the server with the usual key.
fn token(number: u8, issued: u32, host: u8) -> Vec<u8> {
    let key = TokenKey::new(TOKEN_KEY).new_token_key();
    key.seal([number; 12], issued, address(host, 0).ip()).to_vec()
}

/// A hello that brings a token from an earlier connection.
fn hello(number: u64, token: &[u8]) -> Hello {
    let hello = Hello::new(server_key().public(), number);
    let dcid = hello.dcid;
    hello.again(dcid, dcid, token)
}

/// Connects with a token if there is one, waits for the next token, and says how long the connection took.
fn visit(sim: &mut Sim, client: NodeId, server: NodeId, token: Option<&[u8]>) -> (ConnId, Duration, Vec<u8>) {
    let trust = token.map_or_else(pinned, |token| pinned().token(token));
    let (began, conn) = (sim.now(), sim.connect(client, server, &trust).expect("an attempt"));
    let mut took = None;
    let up = sim.run_until(SECOND * 60, |sim, happening| match happening.event_of(client, conn) {
        Some(Event::Connected) => {
            took = Some(sim.now() - began);
            false
        }
        event => event == Some(Event::NewToken),
    });
    assert!(up.is_some(), "no token");
    let token = sim.conn(client, conn).expect("open").take_token().expect("just reported");
    (conn, took.expect("connected"), token.to_vec())
}

fn stats(sim: &mut Sim, node: NodeId) -> EndpointStats {
    *sim.endpoint(node).stats()
}

// ---- how a client gets one

#[test]
fn every_client_gets_one_token_whatever_is_lost() {
    seeds("every_client_gets_one_token_whatever_is_lost", 0..100, |seed| {
        let loss = [0.0, 0.1, 0.3][seed as usize % 3];
        let patient = Config::builder().handshake_timeout(SECOND * 60);
        let mut pair = Pair::with(seed, link().loss(loss).duplicate(0.1), server_config(), patient);
        let (conn, _, token) = visit(&mut pair.sim, pair.client, pair.server, None);
        assert_eq!((token.len(), token[0]), (49, 2));
        let mut more = 0;
        pair.sim.run_until(SECOND * 5, |_, happening| {
            more += usize::from(happening.event_of(pair.client, conn) == Some(Event::NewToken));
            false
        });
        assert_eq!(more, 0, "copies are no news");
        assert_eq!(pair.sim.conn(pair.client, conn).expect("open").take_token(), None);
        assert_eq!(stats(&mut pair.sim, pair.server).tokens_issued, 1);
    });
}

#[test]
fn a_server_may_keep_its_tokens_to_itself() {
    let mut pair = Pair::with(1, link(), server_config().new_tokens(false), Config::builder());
    let (conn, _) = pair.establish(&pinned());
    pair.sim.run_for(SECOND);
    assert_eq!(pair.sim.conn(pair.client, conn).expect("open").take_token(), None);
    assert_eq!(stats(&mut pair.sim, pair.server).tokens_issued, 0);
}

#[test]
fn row_41_a_client_keeps_the_newest_four_tokens() {
    let mut sim = Sim::new(1);
    let (client, raw) = (sim.add(Config::default()), sim.add_host(Host::raw()));
    sim.link(client, raw, link());
    let conn = sim.connect(client, raw, &pinned()).expect("an attempt");
    let (mut server, answer) = Hostile::accept(&mut sim, raw, &server_key());
    server.send_raw(&mut sim, &answer);
    let extras = Extras { app_protocols: Protocols::from_encoded(b"\x03jsp"), ..Extras::default() };
    let granted = params(&Params::default(), &extras, ParamsContext::ServerParams);
    server.send(&mut sim, &[Frame::Params(&granted)]);
    for number in 0..100 {
        server.send(&mut sim, &[Frame::NewToken(&[number; 64])]);
    }
    let mut told = 0;
    sim.run_until(SECOND, |_, happening| {
        told += usize::from(happening.event_of(client, conn) == Some(Event::NewToken));
        false
    });
    assert_eq!(told, 1);
    let mut conn = sim.conn(client, conn).expect("open");
    let kept: Vec<u8> = std::iter::from_fn(|| conn.take_token()).map(|token| token[0]).collect();
    assert_eq!(kept, [99, 98, 97, 96]);
}

// ---- what it is good for

#[test]
fn a_token_saves_the_round_trip_once() {
    let mut pair = Pair::with(1, link(), always(), Config::builder());
    let (client, server) = (pair.client, pair.server);
    let (_, took, first) = visit(&mut pair.sim, client, server, None);
    assert_eq!((took, stats(&mut pair.sim, server).retries_sent), (ROUND_TRIP * 2, 1));
    let (conn, took, second) = visit(&mut pair.sim, client, server, Some(&first));
    assert_eq!((took, stats(&mut pair.sim, server).retries_sent), (ROUND_TRIP, 1));
    assert_ne!(first, second);
    pair.assert_usable(conn);
    // Again: at once, and after the attempt is forgotten.
    for (retries, pause) in [(2, MS), (3, SECOND * 20), (4, SECOND * 100_000)] {
        pair.sim.run_for(pause);
        let (conn, took, _) = visit(&mut pair.sim, client, server, Some(&first));
        assert_eq!((took, stats(&mut pair.sim, server).retries_sent), (ROUND_TRIP * 2, retries));
        pair.assert_usable(conn);
    }
    let stats = stats(&mut pair.sim, server);
    // One token of the first kind for each RETRY, and one of the second.
    assert_eq!((stats.tokens_issued, stats.tokens_accepted), (5, 5));
    assert_eq!(stats.tokens_rejected, 3 * 3, "three datagrams each");
}

#[test]
fn row_11_a_token_is_good_for_its_ip_and_a_day() {
    let at = 1_000_000;
    for (host, later, good) in [(1, 0, true), (1, DAY, true), (1, DAY + 1, false), (2, 0, false)] {
        let mut server = Bare::new(always().unix_time_at_origin(u64::from(at) - 1));
        server.now += SECOND * later;
        let hello = hello(1, &token(1, at, 1));
        // Any port will do.
        let answer = server.hear(address(host, 77), &hello.datagrams);
        assert_eq!(server.started(), u64::from(good), "host {host}, {later} s later");
        assert_eq!(answer[0].len(), if good { 1200 } else { 69 });
        let (accepted, rejected) = if good { (1, 0) } else { (0, 3) };
        let stats = server.endpoint.stats();
        assert_eq!((stats.tokens_accepted, stats.tokens_rejected), (accepted, rejected));
    }
}

#[test]
fn a_token_of_another_key_or_a_changed_one_is_none() {
    let good = token(1, 1, 1);
    let foreign = TokenKey::new([8; 32]).new_token_key().seal([1; 12], 1, address(1, 0).ip()).to_vec();
    let changed = (0..good.len()).map(|at| {
        let mut token = good.clone();
        token[at] ^= 4;
        token
    });
    for bad in changed.chain([foreign, good[..48].to_vec(), [&good[..], &[0]].concat(), vec![2], vec![9; 128]]) {
        let mut server = Bare::new(always());
        let answer = server.hear(address(1, 77), &hello(1, &bad).datagrams);
        assert_eq!((server.started(), answer.len(), answer[0].len()), (0, 1, 69), "{bad:?}");
    }
}

/// What it costs to be taken for nobody: at a quiet server nothing but the privileges of a proven address.
#[test]
fn a_bad_token_counts_as_none_and_leaves_the_policy_to_decide() {
    let mut server = Bare::new(server_config().token_key(TOKEN_KEY));
    server.hear(address(2, 77), &hello(1, &token(1, 1, 1)).datagrams);
    assert_eq!((server.started(), server.endpoint.stats().tokens_rejected), (1, 1), "then the attempt is known");
    assert_eq!(server.endpoint.stats().tokens_accepted, 0);
    let limits = bounds(|bounds| bounds.tokenless_handshakes = 0);
    let mut server = Bare::new(server_config().token_key(TOKEN_KEY).bounds(limits));
    let answer = server.hear(address(2, 77), &hello(1, &token(1, 1, 1)).datagrams);
    assert_eq!((server.started(), answer.len()), (0, 1));
    server.hear(address(1, 77), &hello(2, &token(1, 1, 1)).datagrams);
    assert_eq!(server.started(), 1, "a good one is as good as a retry token");
}

#[test]
fn an_attempt_may_repeat_its_token_as_often_as_it_repeats_itself() {
    let mut server = Bare::new(always());
    let hello = hello(1, &token(1, 1, 1));
    let mut sent = 0;
    for datagram in hello.datagrams.iter().chain(&hello.datagrams).rev() {
        for _ in 0..3 {
            sent += server.hear(address(1, 77), std::slice::from_ref(datagram)).len();
        }
    }
    server.now += SECOND;
    sent += server.hear(address(1, 77), &hello.datagrams).len();
    let stats = server.endpoint.stats();
    assert_eq!((stats.handshakes_started, stats.retries_sent, stats.tokens_rejected), (1, 0, 0));
    assert_eq!(server.endpoint.connections(), 1);
    assert!(sent >= 3, "the answer, the parameters, and the answer again: {sent}");
}

#[test]
fn a_token_is_not_used_up_by_work_that_is_left_out() {
    let limits = bounds(|bounds| (bounds.kem_jobs_per_second, bounds.kem_burst) = (1, 1));
    let mut server = Bare::new(always().bounds(limits));
    server.hear(address(1, 77), &hello(1, &token(1, 1, 1)).datagrams);
    let second = hello(2, &token(2, 1, 1));
    server.hear(address(1, 78), &second.datagrams);
    assert_eq!((server.started(), server.endpoint.stats().tokens_accepted), (1, 2), "no key exchange is left for it");
    // All of it is forgotten, and the client comes back.
    server.now += SECOND * 6;
    server.drain();
    server.hear(address(1, 78), &second.datagrams);
    assert_eq!((server.started(), server.endpoint.stats().retries_sent), (2, 0));
}

#[test]
fn two_attempts_at_once_do_not_share_a_token() {
    let mut server = Bare::new(always());
    let (first, second) = (hello(1, &token(1, 1, 1)), hello(2, &token(1, 1, 1)));
    assert!(server.hear(address(1, 77), &first.datagrams[..2]).is_empty());
    // The other gets RETRY, and so it does when the first has used the token up.
    let retry = server.hear(address(1, 78), &second.datagrams);
    assert_eq!((server.started(), retry.len(), retry[0].len()), (0, 1, 69));
    server.hear(address(1, 77), &first.datagrams[2..]);
    assert_eq!(server.started(), 1);
    assert_eq!(server.hear(address(1, 78), &second.datagrams).len(), 1);
    assert_eq!(server.started(), 1);
    server.hear(address(1, 78), &retried(second, &retry[0]).datagrams);
    assert_eq!(server.started(), 2);
}

#[test]
fn a_replayed_flight_costs_no_key_exchange() {
    let mut server = Bare::new(always());
    let hello = hello(1, &token(1, 1, 1));
    server.hear(address(1, 77), &hello.datagrams);
    for port in 78..98 {
        server.now += SECOND;
        let answer = server.hear(address(1, port), &hello.datagrams);
        // The half-open connection may speak as well.
        assert!(answer.iter().any(|datagram| datagram.len() == 69), "port {port}");
    }
    assert_eq!((server.started(), server.endpoint.stats().retries_sent), (1, 20));
}

#[test]
fn row_12_an_earlier_token_allows_ten_datagrams_and_one_for_each_received() {
    let mut pair = Pair::with(1, link(), always(), Config::builder());
    let (client, server) = (pair.client, pair.server);
    let (_, _, token) = visit(&mut pair.sim, client, server, None);
    pair.sim.run_for(SECOND * 40);
    assert_eq!(pair.sim.endpoint(server).connections(), 0);
    let (before, heard) = (pair.sim.link_stats(server, client), pair.sim.link_stats(client, server).delivered);
    pair.sim.tap(
        move |passing, bytes| {
            if passing.from == client && bytes[0] & 0x80 == 0 { Tapped::Drop } else { Tapped::Pass }
        },
    );
    pair.sim.connect(client, server, &pinned().token(&token)).expect("an attempt");
    let end = pair.sim.now() + SECOND * 20;
    while let Some(happening) = pair.sim.next(end) {
        if let Some((conn, Event::EarlyWritable)) = happening.event_at(server) {
            let mut conn = pair.sim.conn(server, conn).expect("just reported");
            let stream = conn.open(StreamOptions::bytes().uni()).expect("the first stream");
            conn.send(stream, &[7; 100_000]).expect("room");
        }
    }
    let sent = pair.sim.link_stats(server, client).sent - before.sent;
    let heard = pair.sim.link_stats(client, server).delivered - heard;
    assert!(sent >= 10, "the limit was reached: {sent}");
    // The client goes on after the five seconds of the half-open connection, without a token by then.
    assert!(sent <= 10 + heard, "{sent} datagrams for {heard}");
}

// ---- clocks

/// Row 55: a clock that was set back makes tokens of the future, one that was set forward old ones. Neither is worth
/// anything, and neither keeps a client out.
#[test]
fn row_55_a_clock_that_jumps_costs_a_round_trip() {
    let now = 1_000_000;
    for (jump, good) in
        [(-100_000i64, false), (-3, false), (-2, true), (0, true), (10, true), (11, false), (100_000, false)]
    {
        let server = |time: i64| Bare::new(always().unix_time_at_origin((time - 1) as u64));
        let mut before = server(now);
        let first = Hello::new(server_key().public(), 1);
        let retry = before.hear(address(1, 9), &first.datagrams).remove(0);
        // The same server after a restart, or another one of its cluster.
        let mut after = server(now + jump);
        let second = retried(first, &retry);
        let answer = after.hear(address(1, 9), &second.datagrams);
        assert_eq!(after.started(), u64::from(good), "{jump} s");
        if !good {
            let third = retried(second, &answer[0]);
            after.hear(address(1, 9), &third.datagrams);
            assert_eq!(after.started(), 1, "{jump} s: asked again, it gets in");
        }
    }
    for (jump, good) in [(-3, false), (-2, true), (86_400, true), (86_401, false)] {
        let mut after = Bare::new(always().unix_time_at_origin((now + jump - 1) as u64));
        after.hear(address(1, 9), &hello(1, &token(1, now as u32, 1)).datagrams);
        assert_eq!(after.started(), u64::from(good), "{jump} s");
    }
}

// ---- keys

/// Two servers of one cluster and a client, all with this setting of the servers.
fn cluster(config: impl Fn() -> ConfigBuilder) -> (Sim, NodeId, [NodeId; 2]) {
    let mut sim = Sim::new(1);
    let client = sim.add(Config::default());
    let servers = [(); 2].map(|()| sim.add(config().build().expect("valid")));
    sim.default_link(link());
    (sim, client, servers)
}

#[test]
fn servers_that_share_a_secret_accept_each_others_tokens_before_and_after_the_turn_of_the_key() {
    let config = || server_config().retry(RetryPolicy::Always).token_secret([3; 32]).token_rotation(SECOND * 100);
    let (mut sim, client, [one, two]) = cluster(config);
    for (pause, good) in [(SECOND, true), (SECOND * 99, true), (SECOND * 101, true), (SECOND * 201, false)] {
        // The beginning of a period.
        let period = sim.now().as_nanos() / 100_000_000_000;
        sim.run_for(Instant::from_nanos((period + 1) * 100_000_000_000) - sim.now());
        let (_, _, token) = visit(&mut sim, client, one, None);
        sim.run_for(pause);
        let (_, took, _) = visit(&mut sim, client, two, Some(&token));
        assert_eq!(took, ROUND_TRIP * if good { 1 } else { 2 }, "{pause:?} later");
    }
}

#[test]
fn retry_tokens_survive_the_turn_of_the_key() {
    let config = || server_config().retry(RetryPolicy::Always).token_secret([3; 32]).token_rotation(SECOND * 100);
    let (mut one, mut two, mut stranger) =
        (Bare::new(config()), Bare::new(config()), Bare::new(config().token_secret([4; 32])));
    (one.now, two.now) = (Instant::ZERO + SECOND * 99, Instant::ZERO + SECOND * 105);
    stranger.now = one.now;
    let retry = one.hear(address(1, 9), &Hello::new(server_key().public(), 1).datagrams).remove(0);
    let second = retried(Hello::new(server_key().public(), 1), &retry);
    // At the same server, whose key has taken its turn, and at the other.
    one.now = two.now;
    for server in [&mut one, &mut two] {
        server.hear(address(1, 9), &second.datagrams);
        assert_eq!(server.started(), 1);
    }
    stranger.hear(address(1, 9), &second.datagrams);
    assert_eq!(stranger.started(), 0);
    // A server whose clock is two seconds ahead uses the next key already.
    (one.now, two.now) = (Instant::ZERO + SECOND * 201, Instant::ZERO + SECOND * 199);
    let retry = one.hear(address(1, 9), &Hello::new(server_key().public(), 2).datagrams).remove(0);
    let second = retried(Hello::new(server_key().public(), 2), &retry);
    two.hear(address(1, 9), &second.datagrams);
    assert_eq!(two.started(), 2);
}

#[test]
fn a_server_alone_changes_its_key_every_day() {
    let mut pair = Pair::with(1, link(), server_config().retry(RetryPolicy::Always), Config::builder());
    let day = SECOND * DAY;
    pair.sim.run_for(day - SECOND * 60);
    let (_, _, token) = visit(&mut pair.sim, pair.client, pair.server, None);
    pair.sim.run_for(SECOND * 120);
    let (_, took, token) = visit(&mut pair.sim, pair.client, pair.server, Some(&token));
    assert_eq!(took, ROUND_TRIP, "from yesterday");
    pair.sim.run_for(day * 2);
    let (_, took, _) = visit(&mut pair.sim, pair.client, pair.server, Some(&token));
    assert_eq!(took, ROUND_TRIP * 2);
}

#[test]
fn a_cluster_may_hand_out_its_keys_itself() {
    let (mut sim, client, servers) = cluster(always);
    let [one, two] = servers;
    let (_, _, token) = visit(&mut sim, client, one, None);
    for server in servers {
        sim.endpoint(server).set_token_keys([9; 32], Some(TOKEN_KEY));
    }
    let (_, took, token) = visit(&mut sim, client, two, Some(&token));
    assert_eq!(took, ROUND_TRIP, "of the key before");
    let (_, took, token) = visit(&mut sim, client, one, Some(&token));
    assert_eq!(took, ROUND_TRIP, "of the present key");
    for server in servers {
        sim.endpoint(server).set_token_keys([10; 32], None);
    }
    let (_, took, _) = visit(&mut sim, client, two, Some(&token));
    assert_eq!(took, ROUND_TRIP * 2);
}

/// A stranger cannot tell where a token of the second kind comes from, nor two of them apart.
#[test]
fn tokens_of_one_client_have_nothing_in_common() {
    let mut pair = Pair::new(1, link());
    let tokens: Vec<_> = (0..4).map(|_| visit(&mut pair.sim, pair.client, pair.server, None).2).collect();
    for (at, one) in tokens.iter().enumerate() {
        for two in &tokens[at + 1..] {
            let equal = one.iter().zip(two).skip(1).filter(|(a, b)| a == b).count();
            assert!(equal < 5, "{equal} bytes");
        }
    }
}

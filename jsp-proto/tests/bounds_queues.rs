//! The bounds on what waits inside an endpoint: answers to strangers, clients that the program has not decided about,
//! and its own connections. Rows without a number of the table in `config::bounds`, and row 13 of specification
//! section 7 as far as it concerns a client.

mod support;

use jsp_conformance::peer::Hello;
use jsp_conformance::sim::{Host, Link, Sim};
use jsp_proto::{AcceptPolicy, AppCode, ClientConfig, Config, ConnectError, DropReason, KeyFetch, Output, RetryPolicy};
use support::bare::{Bare, address};
use support::hostile::Hostile;
use support::{MS, SECOND, assert_usable, bounds, pinned, server_config, server_key};

fn hello(number: u64) -> Hello {
    Hello::new(server_key().public(), number)
}

#[test]
fn answers_to_strangers_wait_in_a_bounded_queue() {
    let limits = bounds(|bounds| bounds.stateless_queue = 4);
    let mut server = Bare::new(server_config().retry(RetryPolicy::Always).bounds(limits));
    for round in 1..=3 {
        // None leaves before all have come in.
        let hellos: Vec<_> = (0..10).map(|number| hello(round * 10 + number).datagrams.remove(0)).collect();
        let answers = server.hear(address(1, 9), &hellos);
        assert_eq!(answers.len(), 4);
        let stats = server.endpoint.stats();
        assert_eq!((stats.retries_sent, stats.dropped(DropReason::AnswerLimit)), (4 * round, 6 * round));
    }
    // Resets and version negotiation wait in the same one.
    let mut other = hello(99).datagrams.remove(0);
    other[1] ^= 1;
    let mut mixed = vec![vec![0x40; 60]; 3];
    mixed.extend(vec![other; 3]);
    assert_eq!(server.hear(address(1, 9), &mixed).len(), 4);
    let stats = server.endpoint.stats();
    assert_eq!((stats.resets_sent, stats.version_negotiations_sent), (3, 1));
}

/// Clients that the endpoint asks the program about.
fn asked(server: &mut Bare, numbers: core::ops::Range<u64>) -> usize {
    for number in numbers {
        for mut datagram in hello(number).datagrams {
            let meta = jsp_proto::RecvMeta::single(jsp_proto::Path::to(address(number as u8, 9)));
            server.endpoint.handle_datagram(server.now, meta, &mut datagram);
        }
    }
    let (mut buffer, mut asked) = (vec![0; 1500], 0);
    loop {
        match server.endpoint.poll(server.now, &mut buffer) {
            Output::Incoming(_) => asked += 1,
            Output::Idle { .. } => return asked,
            _ => {}
        }
    }
}

#[test]
fn clients_that_nobody_has_decided_about_are_bounded_and_leave_after_five_seconds() {
    let limits = bounds(|bounds| bounds.undecided = 3);
    let mut server = Bare::new(server_config().accept(AcceptPolicy::Ask).bounds(limits));
    assert_eq!(asked(&mut server, 0..5), 3);
    assert_eq!(server.endpoint.stats().dropped(DropReason::HandshakeLimit), 2);
    assert_eq!(server.endpoint.connections(), 0);
    server.now += MS * 4_900;
    assert_eq!(asked(&mut server, 5..6), 0);
    server.now += MS * 200;
    server.drain();
    // Those whom nobody answered are forgotten, and there is room for others.
    assert_eq!(asked(&mut server, 6..11), 3);
}

#[test]
fn row_13_a_client_endpoint_has_so_many_connections_and_no_more() {
    let mut sim = Sim::new(1);
    let limits = bounds(|bounds| bounds.connections = 2);
    let client = sim.add(Config::builder().bounds(limits).build().expect("valid"));
    let raw = sim.add_host(Host::raw());
    sim.link(client, raw, Link::with_delay(MS));
    let first = sim.connect(client, raw, &pinned()).expect("the first");
    sim.connect(client, raw, &pinned()).expect("the second");
    assert_eq!(sim.connect(client, raw, &pinned()), Err(ConnectError::TooManyConnections));
    sim.conn(client, first).expect("connecting").abort(AppCode::ZERO, b"");
    sim.run_for(SECOND);
    sim.conn(client, first).into_iter().for_each(|conn| conn.discard());
    sim.run_for(SECOND);
    sim.connect(client, raw, &pinned()).expect("there is room again");
}

/// Of a server that says everything twice, a client that has no key yet takes the first key and no other.
#[test]
fn a_client_takes_a_key_once() {
    let mut sim = Sim::new(1);
    let server = sim.add(server_config().key_fetch(KeyFetch::Open).build().expect("valid"));
    let client = sim.add(Config::default());
    sim.link(client, server, Link::with_delay(MS * 10).duplicate(1.0));
    let trust = ClientConfig::danger_accept_any();
    let (conn, _) = sim.establish(client, server, &trust, SECOND * 5).expect("an attempt").expect("connected");
    let infos = sim.endpoint(server).stats().key_infos_sent;
    assert!(infos > 1, "{infos}");
    let stats = *sim.endpoint(client).stats();
    assert!(stats.dropped(DropReason::Unexpected) > 0, "{stats:?}");
    assert_eq!(sim.endpoint(server).stats().handshakes_started, 1);
    assert_usable(&mut sim, client, server, conn);
}

/// Whoever knows the key's id can begin answers and leave them unfinished.
#[test]
fn a_client_puts_four_answers_together_at_once() {
    for (others, kept) in [(3, true), (4, false)] {
        let mut sim = Sim::new(1);
        let client = sim.add(Config::default());
        let raw = sim.add_host(Host::raw());
        sim.link(client, raw, Link::with_delay(MS));
        let conn = sim.connect(client, raw, &pinned()).expect("an attempt");
        let (server, genuine) = Hostile::accept(&mut sim, raw, &server_key());
        let answer = |number| server.forged_answer_of(&server_key().public().key_id(), number, 1900);
        for number in 0..=others {
            server.send_raw(&mut sim, &answer(number)[..1]);
        }
        // An answer that is complete is tried.
        server.send_raw(&mut sim, &answer(0)[1..]);
        sim.run_for(MS * 10);
        let tried = sim.endpoint(client).stats().dropped(DropReason::InnerSeal);
        assert_eq!(tried, u64::from(kept), "beside {others} others");
        server.send_raw(&mut sim, &genuine);
        sim.run_for(MS * 10);
        assert!(sim.conn(client, conn).expect("open").stats().handshake_time.is_some());
    }
}

//! The bounds on what waits inside an endpoint: answers to strangers, clients that the program has not decided about,
//! and its own connections. Rows without a number of the table in `config::bounds`, and row 13 of specification
//! section 7 as far as it concerns a client.

mod support;

use jsp_conformance::sim::{Host, Link, Sim};
use jsp_proto::{AcceptPolicy, AppCode, Config, ConnectError, DropReason, Output, RetryPolicy};
use support::bare::{Bare, address};
use support::hostile::Hello;
use support::{MS, SECOND, bounds, pinned, server_config, server_key};

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

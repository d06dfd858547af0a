//! What a turn may take, and that everybody gets on under it.

mod common;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use common::{PATIENCE, bind, client, drain, echo, exchange, fill, join, key, messages, say, server, trust, turns};
use jsp_mio::proto::Event as On;
use jsp_mio::{Budget, Config, ConfigBuilder, Endpoint, Event, StreamOptions};

const SIZE: usize = 300_000;

/// One turn; what it moved according to itself and to the counters of the state machine.
fn turn(endpoint: &mut Endpoint, budget: Budget, mut handle: impl FnMut(&mut Endpoint, Event)) -> (usize, u64) {
    let counted = |endpoint: &Endpoint| endpoint.stats().datagrams_sent + endpoint.stats().datagrams_received;
    let before = counted(endpoint);
    let mut turn = endpoint.turn(budget);
    while let Some(event) = endpoint.next(&mut turn).expect("a socket that works") {
        handle(endpoint, event);
    }
    (turn.datagrams(), counted(endpoint) - before)
}

#[test]
fn a_budget_of_datagrams_spreads_the_work_over_turns() {
    // Datagrams as large as may be sent, and smaller ones, of which a buffer would hold more.
    spread(|config| config.max_udp_payload(1400).initial_mtu(1400));
    spread(|config| config);
}

fn spread(set: fn(ConfigBuilder) -> ConfigBuilder) {
    for budget in [1, 2, 3, 7, 16] {
        let (mut client, mut server) = (bind(set(Config::builder())), bind(set(Config::builder().server_key(key()))));
        let (id, _) = join(&mut client, &mut server);
        let stream = client.conn(id).expect("connected").open(StreamOptions::bytes()).expect("allowed");
        assert_eq!(fill(&mut client, id, stream, SIZE), SIZE);
        assert_eq!(client.timeout(), Some(Duration::ZERO), "there is work");

        let (mut received, mut used_up) = ([0; 2], 0);
        let start = Instant::now();
        while received[1] < SIZE {
            // Both ends are under the budget: one for what it sends, the other for what it receives.
            for (end, endpoint) in [&mut client, &mut server].into_iter().enumerate() {
                let (moved, counted) = turn(endpoint, Budget::datagrams(budget), |endpoint, event| {
                    if let Event::Connection(id, On::StreamReadable(stream)) = event {
                        received[end] += drain(endpoint, id, stream);
                    }
                });
                assert!(moved <= budget, "{moved} datagrams in a turn of {budget}");
                assert_eq!(moved as u64, counted, "every datagram counts");
                if moved == budget {
                    assert_eq!(endpoint.timeout(), Some(Duration::ZERO), "there may be work left");
                    used_up += 1;
                }
            }
            assert!(start.elapsed() < PATIENCE, "{received:?} of {SIZE} bytes with {budget} datagrams a turn");
        }
        assert_eq!(received, [0, SIZE]);
        assert!(used_up >= SIZE / 1500 / budget, "{used_up} turns used all of {budget} datagrams");

        // When nothing is left the next turn is far away.
        let is_idle =
            |endpoint: &Endpoint| endpoint.timeout().is_none_or(|timeout| timeout > Duration::from_millis(100));
        while !is_idle(&client) || !is_idle(&server) {
            turn(&mut client, Budget::datagrams(budget), |_, _| {});
            turn(&mut server, Budget::datagrams(budget), |_, _| {});
            assert!(start.elapsed() < PATIENCE, "never idle: {:?}, {:?}", client.timeout(), server.timeout());
        }
    }
}

#[test]
fn a_budget_of_nothing_makes_progress_all_the_same() {
    for nothing in [Budget::datagrams(0), Budget::time(Duration::ZERO), Budget::time(Duration::ZERO).and_datagrams(0)] {
        let (mut client, mut server) = (client(), server());
        client.connect(server.local_address(), &trust()).expect("a server to connect to");
        let sent = vec![7; 20_000];
        let received = turns("an echo", &mut [&mut client, &mut server], &[nothing; 2], |end, endpoint, event| {
            match event {
                Some(Event::Connection(id, On::Connected)) if end == 0 => drop(say(endpoint, id, &sent)),
                Some(Event::Connection(id, On::StreamReadable(stream))) if end == 1 => echo(endpoint, id, stream),
                Some(Event::Connection(id, On::StreamReadable(stream))) => {
                    return ControlFlow::Break(messages(endpoint, id, stream));
                }
                _ => {}
            }
            ControlFlow::Continue(())
        });
        assert_eq!(received, [sent]);
        for endpoint in [&client, &server] {
            assert!(endpoint.stats().dropped_total() == 0, "{:?}", endpoint.stats());
        }
    }
}

#[test]
fn a_turn_of_nothing_moves_one_datagram_at_most() {
    let (mut client, mut server) = (client(), server());
    let (id, _) = join(&mut client, &mut server);
    let stream = client.conn(id).expect("connected").open(StreamOptions::bytes()).expect("allowed");
    fill(&mut client, id, stream, SIZE);
    for endpoint in [&mut client, &mut server] {
        for nothing in [Budget::datagrams(0), Budget::time(Duration::ZERO)] {
            for _ in 0..50 {
                let (moved, counted) = turn(endpoint, nothing, |_, _| {});
                assert!(moved <= if nothing == Budget::datagrams(0) { 1 } else { 4 }, "{moved} datagrams");
                assert_eq!(moved as u64, counted);
            }
        }
    }
}

/// Bulk data to one client and from it, beside messages to and fro with another, through one server that may move a
/// few datagrams a turn. None of the three ever ends, and all get on. The window is small: what a client has sent waits
/// in the socket, behind what others have.
#[test]
fn nobody_starves_under_a_small_budget() {
    const BYTES: usize = 500_000;
    const ECHOES: usize = 100;
    let window = 64 << 10;
    let config = Config::builder().server_key(key()).receive_window(window, window).max_receive_window(window, window);
    let (mut bulk, mut chat, mut server) = (client(), client(), bind(config));
    let (bulk_id, to_bulk) = join(&mut bulk, &mut server);
    let (chat_id, _) = join(&mut chat, &mut server);
    let bytes = StreamOptions::bytes().uni();
    let up = bulk.conn(bulk_id).expect("connected").open(bytes).expect("allowed");
    let down = server.conn(to_bulk).expect("connected").open(bytes).expect("allowed");
    fill(&mut bulk, bulk_id, up, usize::MAX);
    fill(&mut server, to_bulk, down, usize::MAX);
    say(&mut chat, chat_id, &[0; 100]);

    let (mut bytes_up, mut bytes_down, mut echoes) = (0, 0, 0);
    let mut ends = [&mut server, &mut bulk, &mut chat];
    turns("all together", &mut ends, &[Budget::datagrams(4)], |end, endpoint, event| {
        match event {
            Some(Event::Connection(id, On::StreamReadable(stream))) if stream == up => {
                bytes_up += drain(endpoint, id, stream);
            }
            Some(Event::Connection(id, On::StreamReadable(stream))) if stream == down => {
                bytes_down += drain(endpoint, id, stream);
            }
            Some(Event::Connection(id, On::StreamReadable(stream))) => {
                echoes += usize::from(end == 2);
                echo(endpoint, id, stream);
            }
            Some(Event::Connection(id, On::StreamWritable(stream))) => {
                fill(endpoint, id, stream, usize::MAX);
            }
            _ => {}
        }
        let all = bytes_up >= BYTES && bytes_down >= BYTES && echoes >= ECHOES;
        if all { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    println!("{echoes} echoes, {bytes_up} bytes up, {bytes_down} bytes down");
}

/// A turn that is over early says what it has done.
#[test]
fn turns_know_what_they_have_spent() {
    let (mut client, mut server) = (client(), server());
    let (id, _) = join(&mut client, &mut server);
    say(&mut client, id, b"one datagram");
    let mut turn = client.turn(Budget::time(Duration::from_secs(1)));
    assert_eq!((turn.datagrams(), turn.spent()), (0, Duration::ZERO));
    while client.next(&mut turn).expect("a socket that works").is_some() {}
    assert!(turn.datagrams() >= 1 && turn.spent() > Duration::ZERO, "{turn:?}");
    assert!(turn.spent() < PATIENCE);
    exchange(&mut client, id, &mut server, b"and goes on");
}

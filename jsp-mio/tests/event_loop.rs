//! Endpoints in a caller's poll, in none at all and in [`jsp_mio::run`], and how they end.

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::{PATIENCE, bind, client, closed, echo, exchange, join, key, messages, reason, say, server, trust, until};
use jsp_mio::mio::{Events, Poll, Token, Waker};
use jsp_mio::proto::Event as On;
use jsp_mio::{
    AppCode, Budget, Config, ConnectError, ConnectionError, Endpoint, Event, MessageOptions, StreamOptions, run,
};

const SERVER: Token = Token(7);
const CLIENT: Token = Token(8);
const WAKER: Token = Token(9);

/// Polls once, no longer than the endpoints allow, tells them what is ready and hands on their events.
fn poll_once(
    poll: &mut Poll,
    ends: &mut [(Token, &mut Endpoint)],
    mut handle: impl FnMut(Token, &mut Endpoint, Event),
) -> Vec<Token> {
    let mut ready = Events::with_capacity(16);
    let timeout = ends.iter().filter_map(|(_, endpoint)| endpoint.timeout()).min();
    let start = Instant::now();
    poll.poll(&mut ready, Some(timeout.unwrap_or(PATIENCE).min(PATIENCE))).expect("a poll that works");
    assert!(start.elapsed() < PATIENCE, "nothing is ready");
    for (token, endpoint) in ends {
        ready.iter().filter(|event| event.token() == *token).for_each(|event| endpoint.on_ready(event));
        let mut turn = endpoint.turn(Budget::UNLIMITED);
        while let Some(event) = endpoint.next(&mut turn).expect("a socket that works") {
            handle(*token, endpoint, event);
        }
    }
    ready.iter().map(|event| event.token()).collect()
}

#[test]
fn endpoints_share_a_poll_with_each_other_and_a_waker() {
    let (mut client, mut server) = (client(), server());
    let mut poll = Poll::new().expect("a poll");
    client.register(poll.registry(), CLIENT).expect("a free token");
    server.register(poll.registry(), SERVER).expect("a free token");
    let waker = Arc::new(Waker::new(poll.registry(), WAKER).expect("a waker"));

    let id = client.connect(server.local_address(), &trust()).expect("a server to connect to");
    let (mut echoes, mut woken, mut waking) = (0, false, Some(waker.clone()));
    while echoes < 100 || !woken {
        let ready =
            poll_once(&mut poll, &mut [(CLIENT, &mut client), (SERVER, &mut server)], |token, endpoint, event| match (
                token, event,
            ) {
                (CLIENT, Event::Connection(id, On::Connected)) => drop(say(endpoint, id, b"again")),
                (CLIENT, Event::Connection(id, On::StreamReadable(stream))) => {
                    echoes += 1;
                    echo(endpoint, id, stream);
                }
                (SERVER, Event::Connection(id, On::StreamReadable(stream))) => echo(endpoint, id, stream),
                _ => {}
            });
        if echoes >= 50
            && let Some(waker) = waking.take()
        {
            let wake = waker.clone();
            thread::spawn(move || wake.wake().expect("a poll that is there")).join().expect("no panic");
        }
        woken |= ready.contains(&WAKER);
    }

    client.deregister(poll.registry()).expect("registered");
    server.deregister(poll.registry()).expect("registered");
    exchange(&mut client, id, &mut server, b"asked every turn");
    let mut ready = Events::with_capacity(16);
    poll.poll(&mut ready, Some(Duration::ZERO)).expect("a poll that works");
    assert!(ready.iter().all(|event| event.token() == WAKER), "nobody watches them any more: {ready:?}");
}

/// mio tells of a change only; what was there before the endpoint was registered must not be overlooked.
#[test]
fn what_arrived_before_registering_is_found() {
    let (mut client, mut server) = (client(), server());
    let (id, _) = join(&mut client, &mut server);
    for round in 0..3 {
        say(&mut client, id, &[round]);
        client.flush().expect("a socket that works");
        let mut poll = Poll::new().expect("a poll");
        server.register(poll.registry(), SERVER).expect("a free token");
        let mut found = Vec::new();
        while found.is_empty() {
            poll_once(&mut poll, &mut [(SERVER, &mut server)], |_, endpoint, event| {
                if let Event::Connection(id, On::StreamReadable(stream)) = event {
                    found = messages(endpoint, id, stream);
                }
            });
        }
        assert_eq!(found, [[round]]);
        server.deregister(poll.registry()).expect("registered");
    }
}

#[test]
fn an_endpoint_that_is_never_registered_works_when_asked() {
    let (mut client, mut server) = (client(), server());
    let (id, _) = join(&mut client, &mut server);
    for round in 0..50_usize {
        exchange(&mut client, id, &mut server, &vec![round as u8; 1 + 1000 * round]);
    }
}

#[test]
fn run_returns_what_the_handler_breaks_with_and_sends_its_last_words() {
    let (mut client, mut server) = (client(), server());
    client.connect(server.local_address(), &trust()).expect("a server to connect to");
    let running = thread::spawn(move || {
        let value = run(&mut server, |server, event| match event {
            Event::Connection(id, On::Connected) => {
                say(server, id, b"last words");
                ControlFlow::Break(42)
            }
            _ => ControlFlow::Continue(()),
        });
        // From here on nobody serves the endpoint, but its socket is there.
        (value.expect("a socket that works"), server)
    });
    let words = until("the last words", &mut [&mut client], |_, client, event| match event {
        Event::Connection(id, On::StreamReadable(stream)) => ControlFlow::Break(messages(client, id, stream)),
        _ => ControlFlow::Continue(()),
    });
    assert_eq!(words, [b"last words"]);
    let (value, mut server) = running.join().expect("no panic");
    assert_eq!(value, 42);

    // It can be run again.
    client.shutdown(AppCode::new(5));
    let ending = thread::spawn(move || go_idle(&mut client));
    let why = run(&mut server, |server, event| match event {
        Event::Connection(id, On::Closed) => ControlFlow::Break(reason(server, id)),
        _ => ControlFlow::Continue(()),
    });
    assert!(matches!(why, Ok(ConnectionError::PeerClosed { code, .. }) if code == AppCode::new(5)), "{why:?}");
    ending.join().expect("no panic");
}

/// Goes on until everything is delivered and said.
fn go_idle(endpoint: &mut Endpoint) {
    let start = Instant::now();
    while !endpoint.is_idle() {
        let mut turn = endpoint.turn(Budget::UNLIMITED);
        while endpoint.next(&mut turn).expect("a socket that works").is_some() {}
        assert!(start.elapsed() < PATIENCE, "never idle");
    }
}

#[test]
fn an_endpoint_that_is_dropped_says_nothing() {
    let after = Duration::from_millis(300);
    let (mut client, mut server) = (client(), bind(Config::builder().server_key(key()).idle_timeout(after)));
    let (_, id) = join(&mut client, &mut server);
    drop(client);
    // There is nobody any more to take this, and that is no error of the socket.
    say(&mut server, id, b"are you there?");
    let why = closed(&mut [&mut server], 0);
    assert_eq!(why, ConnectionError::IdleTimeout { after });
}

#[test]
fn shutdown_delivers_everything_first() {
    let (mut client, mut server) = (client(), server());
    let (id, _) = join(&mut client, &mut server);
    let stream = say(&mut client, id, &[0; 10_000]);
    for number in 1..200 {
        let mut connection = client.conn(id).expect("connected");
        connection.send_message(stream, &[number; 10_000], MessageOptions::new()).expect("room");
    }
    client.shutdown(AppCode::new(3));
    assert!(!client.is_idle());
    assert_eq!(client.connect(server.local_address(), &trust()).err(), Some(ConnectError::ShuttingDown));
    let mut received = Vec::new();
    let why = until("the end", &mut [&mut client, &mut server], |end, endpoint, event| {
        let Event::Connection(id, event) = event else { return ControlFlow::Continue(()) };
        match event {
            On::StreamReadable(stream) => received.extend(messages(endpoint, id, stream)),
            On::Closed if end == 1 => return ControlFlow::Break(reason(endpoint, id)),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    assert!(matches!(why, ConnectionError::PeerClosed { code, .. } if code == AppCode::new(3)), "{why}");
    assert_eq!(received.len(), 200);
    assert!(received.iter().zip(0..).all(|(message, number)| message == &[number; 10_000]));
    go_idle(&mut client);
    assert_eq!(client.connections(), 0);
}

#[test]
fn events_that_flush_comes_upon_are_given_by_next() {
    let mut client = client();
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let mut attempt = || client.connect(nobody.local_addr().expect("bound"), &trust()).expect("valid");
    let ids = [attempt(), attempt(), attempt()];
    client.flush().expect("a socket that works");
    let mut turn = client.turn(Budget::UNLIMITED);
    assert_eq!(client.next(&mut turn).expect("a socket that works"), None);
    assert_ne!(client.timeout(), Some(Duration::ZERO));

    for id in ids {
        client.conn(id).expect("on its way").abort(AppCode::ZERO, b"");
    }
    client.flush().expect("a socket that works");
    // They are work left, and cost nothing.
    let mut turn = client.turn(Budget::datagrams(0));
    for id in ids {
        assert_eq!(client.timeout(), Some(Duration::ZERO));
        assert_eq!(client.next(&mut turn).expect("a socket that works"), Some(Event::Connection(id, On::Closed)));
    }
    assert_eq!(turn.datagrams(), 0);
    assert_eq!(client.next(&mut turn).expect("a socket that works"), None);
}

/// Flushing is enough: nothing else of the sender moves.
#[test]
fn flush_sends_without_a_turn() {
    let (mut client, mut server) = (client(), server());
    let (id, _) = join(&mut client, &mut server);
    say(&mut client, id, b"at once");
    client.flush().expect("a socket that works");
    let found = until("the message", &mut [&mut server], |_, endpoint, event| match event {
        Event::Connection(id, On::StreamReadable(stream)) => ControlFlow::Break(messages(endpoint, id, stream)),
        _ => ControlFlow::Continue(()),
    });
    assert_eq!(found, [b"at once"]);
}

/// The system tells a connected socket that nobody listens at the other end; so it does others on some systems.
#[test]
fn a_peer_that_is_gone_is_no_error_of_the_socket() {
    let gone = {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.local_addr().expect("bound")
    };
    let after = Duration::from_millis(300);
    let config = || Config::builder().handshake_timeout(after).initial_rtt(Duration::from_millis(10));
    let mut ends = vec![bind(config())];
    if cfg!(target_os = "linux") {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.connect(gone).expect("an address");
        ends.push(Endpoint::from_socket(socket, config().build().expect("valid")).expect("a socket"));
    }
    for mut client in ends {
        client.connect(gone, &trust()).expect("valid");
        assert_eq!(closed(&mut [&mut client], 0), ConnectionError::NoAnswer { after });
        assert!(client.stats().datagrams_sent > 1, "it tried again");
    }
}

/// What a peer that is gone leaves behind does not disturb the others.
#[test]
fn the_connections_beside_a_peer_that_is_gone_go_on() {
    let (mut first, mut second, mut server) = (client(), client(), server());
    let (_, gone) = join(&mut first, &mut server);
    let (id, _) = join(&mut second, &mut server);
    drop(first);
    let mut connection = server.conn(gone).expect("nobody said it is over");
    let stream = connection.open(StreamOptions::bytes()).expect("allowed");
    common::fill(&mut server, gone, stream, 1 << 20);
    for _ in 0..20 {
        exchange(&mut second, id, &mut server, b"still here");
    }
}

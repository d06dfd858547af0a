//! Losses on purpose.

mod common;

use std::net::UdpSocket;
use std::ops::ControlFlow;
use std::time::Duration;

use common::{bind, closed, drain, fill, join, key, messages, trust, turns, until};
use jsp_mio::proto::Event as On;
use jsp_mio::{Budget, Config, ConnectionError, Endpoint, Event, Loss, MessageOptions, StreamOptions};

/// How many datagrams of each of `attempts` clients arrive at a socket that never answers, so that nothing of what is
/// sent depends on time.
fn arrivals(loss: Option<Loss>, attempts: usize) -> Vec<usize> {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let marker = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let to = silent.local_addr().expect("bound");
    silent.set_read_timeout(Some(common::PATIENCE)).expect("a time");
    let minute = Duration::from_secs(60);
    let mut client = bind(Config::builder().initial_rtt(minute).handshake_timeout(10 * minute));
    client.set_loss(loss);
    let mut one = || {
        client.connect(to, &trust()).expect("valid");
        client.flush().expect("a socket that works");
        // What was sent before it on this machine arrives before it.
        marker.send_to(b"end", to).expect("a socket that works");
        let mut buffer = [0; 2048];
        std::iter::from_fn(|| (silent.recv(&mut buffer).expect("the marker") != 3).then_some(())).count()
    };
    (0..attempts).map(|_| one()).collect()
}

#[test]
fn a_seed_loses_the_same_datagrams_again() {
    let all = arrivals(None, 100);
    let each = all[0];
    assert!(each > 0 && all.iter().all(|&count| count == each), "{all:?}");
    let some = arrivals(Some(Loss::per_mille(300, 1)), 100);
    let lost = 100 * each - some.iter().sum::<usize>();
    assert!((100 * each * 2 / 10..100 * each * 4 / 10).contains(&lost), "{lost} of {}", 100 * each);
    assert_eq!(some, arrivals(Some(Loss::per_mille(300, 1)), 100), "the same seed");
    assert_ne!(some, arrivals(Some(Loss::per_mille(300, 2)), 100), "another seed");
    assert_eq!(all, arrivals(Some(Loss::per_mille(0, 1)), 100), "no losses");
}

/// A round-trip time of this machine, so that losses in the handshake are found out soon.
fn pair(set: impl Fn(&mut Endpoint, u64)) -> [Endpoint; 2] {
    let config = || Config::builder().initial_rtt(Duration::from_millis(10));
    let mut ends = [bind(config()), bind(config().server_key(key()))];
    for (endpoint, seed) in ends.iter_mut().zip(1..) {
        set(endpoint, seed);
    }
    ends
}

#[test]
fn what_is_reliable_arrives_all_the_same() {
    const MESSAGES: u32 = 300;
    const BYTES: usize = 300_000;
    let [mut client, mut server] = pair(|endpoint, seed| endpoint.set_loss(Some(Loss::per_mille(100, seed))));
    let (id, _) = join(&mut client, &mut server);
    let mut connection = client.conn(id).expect("connected");
    let stream = connection.open(StreamOptions::ordered_messages().uni()).expect("allowed");
    let bulk = connection.open(StreamOptions::bytes().uni()).expect("allowed");
    for number in 0..MESSAGES {
        let message = [&number.to_be_bytes()[..], &[0; 500]].concat();
        connection.send_message(stream, &message, MessageOptions::new()).expect("room");
    }
    assert_eq!(fill(&mut client, id, bulk, BYTES), BYTES);
    let (mut numbers, mut bytes) = (Vec::new(), 0);
    until("everything", &mut [&mut client, &mut server], |_, endpoint, event| {
        match event {
            Event::Connection(id, On::StreamReadable(readable)) if readable == stream => {
                let arrived = messages(endpoint, id, stream);
                numbers.extend(arrived.iter().map(|message| u32::from_be_bytes([0, 1, 2, 3].map(|at| message[at]))));
            }
            Event::Connection(id, On::StreamReadable(readable)) if readable == bulk => {
                bytes += drain(endpoint, id, bulk);
            }
            _ => {}
        }
        let done = numbers.len() as u32 == MESSAGES && bytes == BYTES;
        if done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(numbers.into_iter().eq(0..MESSAGES), "in order");
    let (sent, arrived) = (client.stats().datagrams_sent, server.stats().datagrams_received);
    assert!(sent > arrived, "{arrived} of {sent} datagrams arrived");
}

#[test]
fn where_all_is_lost_nobody_answers() {
    let after = Duration::from_millis(300);
    let [_, mut server] = pair(|_, _| {});
    let mut client = bind(Config::builder().initial_rtt(Duration::from_millis(10)).handshake_timeout(after));
    client.set_loss(Some(Loss::per_mille(1000, 1)));
    client.connect(server.local_address(), &trust()).expect("valid");
    assert_eq!(closed(&mut [&mut client, &mut server], 0), ConnectionError::NoAnswer { after });
    assert!(client.stats().datagrams_sent > 1, "it tried again");
    assert_eq!(server.stats().datagrams_received, 0);
}

#[test]
fn losses_can_end() {
    let [mut client, mut server] = pair(|_, _| {});
    client.set_loss(Some(Loss::per_mille(1000, 1)));
    let id = client.connect(server.local_address(), &trust()).expect("valid");
    let mut sent = 0;
    let connected =
        turns("connecting", &mut [&mut client, &mut server], &[Budget::UNLIMITED; 2], |end, endpoint, event| {
            match event {
                // The first two rounds are lost.
                None if end == 0 && sent < 3 => {
                    sent = endpoint.stats().datagrams_sent;
                    if sent >= 3 {
                        endpoint.set_loss(None);
                    }
                }
                Some(Event::Connection(id, On::Connected)) if end == 0 => return ControlFlow::Break(id),
                _ => {}
            }
            ControlFlow::Continue(())
        });
    assert_eq!(connected, id);
    assert!(sent >= 3, "not before");
}

//! What the tests share: servers and clients on the loopback address, and a bound on every wait.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use jsp_mio::proto::{Event as On, Recv, RecvMessage, SendError};
use jsp_mio::{
    Budget, ClientConfig, Config, ConfigBuilder, ConnId, ConnectionError, Endpoint, Event, MessageOptions, SecretKey,
    StreamId, StreamOptions,
};

/// Nothing may take longer. Long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn key() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

pub(crate) fn trust() -> ClientConfig {
    ClientConfig::pinned(key().public().clone())
}

pub(crate) fn bind(config: ConfigBuilder) -> Endpoint {
    Endpoint::bind(([127, 0, 0, 1], 0).into(), config.build().expect("a valid configuration")).expect("a free port")
}

pub(crate) fn server() -> Endpoint {
    bind(Config::builder().server_key(key()))
}

pub(crate) fn client() -> Endpoint {
    bind(Config::builder())
}

/// Gives every endpoint a turn after the other until `handle` breaks, which is told whose event it is.
pub(crate) fn until<T>(
    what: &str,
    ends: &mut [&mut Endpoint],
    mut handle: impl FnMut(usize, &mut Endpoint, Event) -> ControlFlow<T>,
) -> T {
    turns(what, ends, &[], |end, endpoint, event| match event {
        Some(event) => handle(end, endpoint, event),
        None => ControlFlow::Continue(()),
    })
}

/// As [`until`], with a budget for each of the first endpoints; `None` tells that a turn is over.
pub(crate) fn turns<T>(
    what: &str,
    ends: &mut [&mut Endpoint],
    budgets: &[Budget],
    mut handle: impl FnMut(usize, &mut Endpoint, Option<Event>) -> ControlFlow<T>,
) -> T {
    let start = Instant::now();
    loop {
        for (end, endpoint) in ends.iter_mut().enumerate() {
            let mut turn = endpoint.turn(budgets.get(end).copied().unwrap_or(Budget::UNLIMITED));
            loop {
                let event = endpoint.next(&mut turn).expect("a socket that works");
                if let ControlFlow::Break(value) = handle(end, endpoint, event) {
                    return value;
                }
                if event.is_none() {
                    break;
                }
            }
        }
        assert!(start.elapsed() < PATIENCE, "{what} took longer than {PATIENCE:?}");
        thread::yield_now();
    }
}

/// Connects the client to the server; the connection as each of them sees it.
pub(crate) fn join(client: &mut Endpoint, server: &mut Endpoint) -> (ConnId, ConnId) {
    client.connect(server.local_address(), &trust()).expect("a server to connect to");
    let mut ids = [None; 2];
    until("connecting", &mut [client, server], |end, _, event| {
        if let Event::Connection(id, On::Connected) = event {
            ids[end] = Some(id);
        }
        match ids {
            [Some(client), Some(server)] => ControlFlow::Break((client, server)),
            _ => ControlFlow::Continue(()),
        }
    })
}

/// Opens a stream of messages and sends the first.
pub(crate) fn say(endpoint: &mut Endpoint, id: ConnId, message: &[u8]) -> StreamId {
    let mut connection = endpoint.conn(id).expect("connected");
    let stream = connection.open(StreamOptions::ordered_messages()).expect("allowed");
    connection.send_message(stream, message, MessageOptions::new()).expect("room");
    stream
}

/// All messages that can be read now.
pub(crate) fn messages(endpoint: &mut Endpoint, id: ConnId, stream: StreamId) -> Vec<Vec<u8>> {
    let (mut message, mut all) = (Vec::new(), Vec::new());
    while let Some(mut connection) = endpoint.conn(id)
        && let Ok(RecvMessage::Message(_)) = connection.recv_message(stream, &mut message)
    {
        all.push(message.clone());
    }
    all
}

/// Sends back all messages that can be read now.
pub(crate) fn echo(endpoint: &mut Endpoint, id: ConnId, stream: StreamId) {
    for message in messages(endpoint, id, stream) {
        let mut connection = endpoint.conn(id).expect("connected");
        connection.send_message(stream, &message, MessageOptions::new()).expect("room");
    }
}

/// Sends a message back and forth once.
pub(crate) fn exchange(client: &mut Endpoint, id: ConnId, server: &mut Endpoint, message: &[u8]) {
    let stream = say(client, id, message);
    let echoed = until("an echo", &mut [client, server], |end, endpoint, event| {
        match event {
            Event::Connection(of, On::StreamReadable(stream)) if end == 1 => echo(endpoint, of, stream),
            Event::Connection(of, On::StreamReadable(readable)) if (of, readable) == (id, stream) => {
                return ControlFlow::Break(messages(endpoint, of, stream));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    assert_eq!(echoed, [message]);
}

/// Writes zeros as long as there is room; how many.
pub(crate) fn fill(endpoint: &mut Endpoint, id: ConnId, stream: StreamId, limit: usize) -> usize {
    let (zeros, mut sent) = ([0; 16 << 10], 0);
    let Some(mut connection) = endpoint.conn(id) else { return 0 };
    while sent < limit {
        match connection.send(stream, &zeros[..zeros.len().min(limit - sent)]) {
            Ok(count) => sent += count,
            Err(SendError::Blocked) => break,
            Err(error) => panic!("{error}"),
        }
    }
    sent
}

/// Reads and forgets bytes; how many.
pub(crate) fn drain(endpoint: &mut Endpoint, id: ConnId, stream: StreamId) -> usize {
    let (mut buffer, mut read) = (vec![0; 64 << 10], 0);
    let Some(mut connection) = endpoint.conn(id) else { return 0 };
    while let Ok(Recv::Data(count)) = connection.recv(stream, &mut buffer) {
        read += count;
    }
    read
}

pub(crate) fn reason(endpoint: &mut Endpoint, id: ConnId) -> ConnectionError {
    endpoint.conn(id).and_then(|connection| connection.close_reason().cloned()).expect("just closed")
}

/// Waits until the connection is over, and says why.
pub(crate) fn closed(ends: &mut [&mut Endpoint], whose: usize) -> ConnectionError {
    until("an end", ends, |end, endpoint, event| match event {
        Event::Connection(id, On::Closed) if end == whose => ControlFlow::Break(reason(endpoint, id)),
        _ => ControlFlow::Continue(()),
    })
}

//! Sends the lines of its standard input to an echo server and prints what comes back.
//! Run: `cargo run -p jsp-mio --example mio_echo_client -- 127.0.0.1:4433 jsp1-...`
//!
//! Reading standard input blocks the only thread there is, and the connection with it: after 30 s without a line it is
//! over. A program that waits for long gives such waiting a thread and wakes its loop by a `mio::Waker`.
use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::ops::ControlFlow;

use jsp_mio::proto::{Event as On, RecvMessage, SendError};
use jsp_mio::{AppCode, ClientConfig, Config, ConnId, Endpoint, Event, MessageOptions, StreamId, StreamOptions, run};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:4433".to_owned());
    // The key id that the server printed. Without one only servers on the loopback address can be reached.
    let trust = match arguments.next() {
        Some(id) => {
            let id = id.parse().map_err(|error| format!("{error}: give the key id that the server printed"))?;
            ClientConfig::fingerprints([id])
        }
        None => ClientConfig::new(),
    };
    let (mut client, id) = connect(&address, &trust)?;
    let opened = client.conn(id).ok_or("the connection is over")?.open(StreamOptions::ordered_messages());
    let stream = opened?;
    for line in std::io::stdin().lines().map_while(|line| line.ok()).filter(|line| !line.is_empty()) {
        println!("{}", String::from_utf8_lossy(&exchange(&mut client, id, stream, line.as_bytes())?));
    }
    let Some(mut connection) = client.conn(id) else { return Ok(()) };
    connection.close(AppCode::ZERO, b"bye");
    run(&mut client, |_, event| match event {
        Event::Connection(of, On::Closed) if of == id => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })?;
    Ok(())
}

/// Connects to the first address of that name that answers.
fn connect(address: &str, trust: &ClientConfig) -> Result<(Endpoint, ConnId)> {
    let mut failure = "the name has no address".to_owned();
    for remote in address.to_socket_addrs().map_err(|error| format!("{address}: {error}: give HOST:PORT"))? {
        let local: SocketAddr = match remote {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let mut client = Endpoint::bind(local, Config::default())?;
        let id = client.connect(remote, trust)?;
        let connected = run(&mut client, |client, event| match event {
            Event::Connection(_, On::Connected) => ControlFlow::Break(Ok(())),
            Event::Connection(id, On::Closed) => ControlFlow::Break(Err(why(client, id))),
            _ => ControlFlow::Continue(()),
        })?;
        match connected {
            Ok(()) => return Ok((client, id)),
            Err(reason) => failure = reason,
        }
    }
    Err(format!("cannot connect to {address}: {failure}").into())
}

/// Sends one message and waits for one.
fn exchange(client: &mut Endpoint, id: ConnId, stream: StreamId, line: &[u8]) -> Result<Vec<u8>> {
    let (mut sent, mut echo) = (false, Vec::new());
    loop {
        let mut connection = client.conn(id).ok_or("the connection is over")?;
        if !sent {
            sent = match connection.send_message(stream, line, MessageOptions::new()) {
                Ok(_) => true,
                Err(SendError::Blocked) => false,
                Err(SendError::TooLarge { max }) => {
                    return Err(format!("the server takes lines of at most {max} bytes: shorten this one").into());
                }
                Err(error) => return Err(error.into()),
            };
        }
        match connection.recv_message(stream, &mut echo)? {
            RecvMessage::Message(_) => return Ok(echo),
            RecvMessage::Blocked => {}
            _ => return Err("the server ended the stream".into()),
        }
        run(client, |client, event| match event {
            Event::Connection(_, On::StreamReadable(_) | On::StreamWritable(_)) => ControlFlow::Break(Ok(())),
            Event::Connection(id, On::Closed) => ControlFlow::Break(Err(why(client, id))),
            _ => ControlFlow::Continue(()),
        })??;
    }
}

fn why(client: &mut Endpoint, id: ConnId) -> String {
    let reason = client.conn(id).and_then(|connection| connection.close_reason().map(ToString::to_string));
    reason.unwrap_or_else(|| "the connection is over".to_owned())
}

//! Echoes whatever it is sent, to many clients in one thread.
//! Run: `cargo run -p jsp-mio --example mio_echo_server -- 127.0.0.1:4433`
use std::collections::HashMap;
use std::error::Error;
use std::io::ErrorKind;
use std::net::ToSocketAddrs;
use std::ops::ControlFlow;

use jsp_mio::mio::{Events, Poll, Token};
use jsp_mio::proto::{Event as On, Recv, RecvMessage, SendError};
use jsp_mio::{AppCode, Budget, Config, Conn, ConnId, Endpoint, Event, KeyFetch, MessageOptions, SecretKey, StreamId};

const JSP: Token = Token(0);
/// Bytes read at a time.
const PIECE: usize = 64 << 10;

/// What was read of each stream and could not be sent yet: at most one piece, so that a client that does not read its
/// echo cannot fill the memory.
type Held = HashMap<(ConnId, StreamId), Vec<u8>>;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4433".to_owned());
    // A real server keeps the seed in a file that only it can read, and clients pin the key for good.
    let key = SecretKey::from_seed(jsp_mio::random_seed()?);
    let id = key.public().key_id();
    // Open: clients may fetch the key and look at its id, so that the id is all they need to be told.
    let config = Config::builder().server_key(key).key_fetch(KeyFetch::Open).build()?;
    let found = address.to_socket_addrs().map_err(|error| format!("{address}: {error}: give IP:PORT"))?.next();
    let bound = Endpoint::bind(found.ok_or("the name stands for no address: give IP:PORT")?, config);
    let mut server = bound.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("listening on {}, key {id}", server.local_address());

    let mut poll = Poll::new()?;
    let mut ready = Events::with_capacity(64);
    server.register(poll.registry(), JSP)?;
    let mut held = Held::new();
    loop {
        match poll.poll(&mut ready, server.timeout()) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        // Other sources of the program have tokens of their own.
        ready.iter().filter(|event| event.token() == JSP).for_each(|event| server.on_ready(event));
        // A program with other work to do gives a budget here.
        let mut turn = server.turn(Budget::UNLIMITED);
        while let Some(event) = server.next(&mut turn)? {
            serve(&mut server, event, &mut held);
        }
    }
}

fn serve(server: &mut Endpoint, event: Event, held: &mut Held) {
    let Event::Connection(id, event) = event else { return };
    let Some(mut connection) = server.conn(id) else { return };
    match event {
        On::StreamOpened(stream) if stream.is_uni() => {
            let _ = connection.stop(stream, AppCode::ZERO);
        }
        On::StreamOpened(stream) => {
            held.insert((id, stream), Vec::new());
        }
        // `StreamReadable` comes once until all was read: who stops for want of room goes on at `StreamWritable`.
        On::StreamReadable(stream) | On::StreamWritable(stream) | On::StreamReset(stream, _) => {
            if let Some(piece) = held.get_mut(&(id, stream))
                && echo(&mut connection, stream, piece).is_break()
            {
                held.remove(&(id, stream));
            }
        }
        On::StreamStopped(stream, code) => {
            let _ = connection.stop(stream, code);
            held.remove(&(id, stream));
        }
        On::Closed => {
            println!("{:?} left", connection.close_reason());
            connection.discard();
            held.retain(|(of, _), _| *of != id);
        }
        _ => {}
    }
}

/// Sends back what there is to read, as far as there is room. Breaks at the end of the stream.
fn echo(connection: &mut Conn<'_>, stream: StreamId, piece: &mut Vec<u8>) -> ControlFlow<()> {
    let messages = stream.kind().has_messages();
    loop {
        while !piece.is_empty() {
            let sent = if messages {
                connection.send_message(stream, piece, MessageOptions::new()).map(|_| piece.len())
            } else {
                connection.send(stream, piece)
            };
            match sent {
                Ok(sent) => drop(piece.drain(..sent)),
                Err(SendError::Blocked) => return ControlFlow::Continue(()),
                Err(_) => {
                    let _ = connection.stop(stream, AppCode::ZERO);
                    return ControlFlow::Break(());
                }
            }
        }
        let is_there = if messages {
            connection.recv_message(stream, piece).map(|found| match found {
                RecvMessage::Message(_) => Some(true),
                RecvMessage::Blocked => Some(false),
                _ => None,
            })
        } else {
            piece.resize(PIECE, 0);
            let found = connection.recv(stream, piece);
            piece.truncate(if let Ok(Recv::Data(len)) = found { len } else { 0 });
            found.map(|found| match found {
                Recv::Data(_) => Some(true),
                Recv::Blocked => Some(false),
                _ => None,
            })
        };
        match is_there {
            Ok(Some(true)) => {}
            Ok(Some(false)) => return ControlFlow::Continue(()),
            Ok(None) | Err(_) => {
                let _ = connection.finish(stream);
                return ControlFlow::Break(());
            }
        }
    }
}

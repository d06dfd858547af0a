//! `jsp serve` and `jsp recv`.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use jsp_tokio::{Connection, MessageReceiver, RecvStream, SendStream, Stream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::args::{Recv, Serve};
use crate::failure::{Failure, Result};
use crate::files::Folder;
use crate::net;
use crate::term::{bytes, duration, plain, printable, rate, say};
use crate::transfer::{self, hex};

pub(crate) async fn serve(args: &Serve) -> Result<()> {
    check_folder(&args.out)?;
    let uses = ["ping", "send FILE"];
    let endpoint = net::listen(&args.listen, args.transport, &[net::ECHO, net::FILE], &uses).await?;
    run(endpoint, &args.out, None).await
}

pub(crate) async fn recv(args: &Recv) -> Result<()> {
    check_folder(&args.out)?;
    let endpoint = net::listen(&args.listen, args.transport, &[net::FILE], &["send FILE"]).await?;
    run(endpoint, &args.out, args.once.then(|| Arc::new(Notify::new()))).await
}

fn check_folder(folder: &Path) -> Result<()> {
    match folder.is_dir() {
        true => Ok(()),
        false => Err(Failure::new(format!("{} is no folder", folder.display())).hint("Make it first: mkdir -p ...")),
    }
}

/// Serves until the process is to end, or, with `once`, until a file has arrived.
async fn run(endpoint: jsp_tokio::Endpoint, folder: &Path, once: Option<Arc<Notify>>) -> Result<()> {
    say!("files go to {}", folder.display());
    let folder: Arc<Path> = folder.into();
    let mut connections = JoinSet::new();
    let arrived = once.clone().unwrap_or_default();
    let mut interrupted = pin!(net::interrupted());
    loop {
        tokio::select! {
            connection = endpoint.accept() => match connection {
                Some(connection) => drop(connections.spawn(attend(connection, folder.clone(), once.clone()))),
                None => return Err(Failure::new("the socket failed")),
            },
            Some(_) = connections.join_next() => {}
            () = arrived.notified() => break,
            () = &mut interrupted => break,
        }
    }
    net::shut_down(&endpoint).await;
    Ok(())
}

async fn attend(connection: Connection, folder: Arc<Path>, once: Option<Arc<Notify>>) {
    let peer = connection.remote_address().map_or_else(|| "?".into(), |remote| plain(remote).to_string());
    let protocol = connection.protocol();
    say!(
        "{peer} connected, protocol {}, handshake {}",
        printable(&String::from_utf8_lossy(&protocol)),
        handshake(&connection)
    );
    let mut streams = JoinSet::new();
    let end = loop {
        tokio::select! {
            stream = connection.accept_stream() => match stream {
                Ok(Some(Stream::Bytes(to, from))) if protocol == net::FILE => {
                    let once = once.clone();
                    streams.spawn(take_file(peer.clone(), (to, from), folder.clone(), once));
                }
                Ok(Some(stream)) => drop(streams.spawn(echo(stream))),
                Ok(None) => break None,
                Err(error) => break Some(error),
            },
            Some(_) = streams.join_next() => {}
        }
    };
    while streams.join_next().await.is_some() {}
    let end = end.or_else(|| connection.close_reason());
    say!("{peer} gone: {}", end.map_or_else(|| "closed".into(), |end| end.to_string()));
}

fn handshake(connection: &Connection) -> String {
    connection.stats().handshake_time.map_or_else(|| "unknown".into(), duration)
}

async fn take_file(peer: String, stream: (SendStream, RecvStream), folder: Arc<Path>, once: Option<Arc<Notify>>) {
    let mut place = Folder::new(&folder);
    let begun = Instant::now();
    match transfer::receive(stream, &mut place, |_, _| {}).await {
        Ok((header, receipt)) => {
            let pace = rate(header.size as f64 / begun.elapsed().as_secs_f64());
            let path = folder.join(&receipt.saved_as);
            say!("{peer} sent {}, {}, {pace}, sha256 {}", path.display(), bytes(header.size), hex(&receipt.hash));
            if let Some(once) = once {
                once.notify_one();
            }
        }
        Err(failure) => {
            let part = place.part().map(|part| format!("; {} removed", part.display()));
            say!("{peer} file failed: {}{}", failure.text, part.unwrap_or_default());
        }
    }
}

/// Gives back what comes, in kind. Errors end the stream; the peer knows why.
async fn echo(stream: Stream) {
    match stream {
        Stream::Bytes(to, from) => drop(echo_bytes(to, from).await),
        Stream::Messages(stream) => {
            let (mut to, mut from) = stream.split();
            let mut message = Vec::new();
            while let Ok(Some(_)) = from.recv_into(&mut message).await {
                let Ok(()) = to.send(&message).await else { break };
            }
        }
        Stream::BytesUni(mut from) => {
            let mut buffer = vec![0; 64 << 10];
            while matches!(from.read(&mut buffer).await, Ok(1..)) {}
        }
        Stream::MessagesUni(from) => swallow(from).await,
        _ => {}
    }
}

pub(crate) async fn swallow(mut from: MessageReceiver) {
    let mut message = Vec::new();
    while let Ok(Some(_)) = from.recv_into(&mut message).await {}
}

async fn echo_bytes(mut to: SendStream, mut from: RecvStream) -> Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer).await? {
            0 => return Ok(to.finish()?),
            read => to.write_all(&buffer[..read]).await?,
        }
    }
}

//! `jsp chat`: a connection with the protocol `jsp-chat/1`, on it one stream of ordered messages, opened by the
//! client. Each message is a line, `name: text` in UTF-8. The listener passes every line on to all the others.

use std::pin::pin;
use std::sync::Arc;

use jsp_tokio::{AppCode, Connection, MessageReceiver, MessageSender, Stream};
use tokio::sync::{broadcast, mpsc};

use crate::args::{Chat, Transport};
use crate::failure::{Failure, Result};
use crate::net;
use crate::term::{plain, printable, say, tell};

/// Bytes of a line.
const MAX_LINE: usize = 4096;
/// Lines kept for somebody who reads slowly; older ones are skipped.
const BACKLOG: usize = 256;

pub(crate) async fn chat(args: &Chat) -> Result<()> {
    match &args.target {
        Some(target) => {
            let (_endpoint, connection) = net::connect(target, &args.trust, Transport::default(), net::CHAT).await?;
            tell!("connected to {}; Ctrl-D ends", net::describe(&connection));
            talk(&connection, &args.name).await
        }
        None => host(args).await,
    }
}

/// Lines from the standard input. On a thread of its own, because that input cannot be awaited everywhere.
fn lines() -> mpsc::Receiver<String> {
    let (to, from) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(std::result::Result::ok) {
            if !line.is_empty() && to.blocking_send(line).is_err() {
                return;
            }
        }
    });
    from
}

fn speak(name: &str, line: &str) -> String {
    let mut said = format!("{name}: {line}");
    while said.len() > MAX_LINE {
        said.pop();
    }
    said
}

async fn talk(connection: &Connection, name: &str) -> Result<()> {
    let (mut to, mut from) = connection.open_messages().await?.split();
    let mut lines = lines();
    let mut interrupted = pin!(net::interrupted());
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(line) => to.send(speak(name, &line).as_bytes()).await?,
                None => break,
            },
            message = from.recv() => match message? {
                Some(message) => say!("{}", printable(&String::from_utf8_lossy(&message))),
                None => {
                    tell!("the other side has ended the chat");
                    break;
                }
            },
            () = &mut interrupted => break,
        }
    }
    Ok(connection.close(AppCode::ZERO, b"bye").await?)
}

async fn host(args: &Chat) -> Result<()> {
    let endpoint = net::listen(&args.listen, Transport::default(), &[net::CHAT], &["chat"]).await?;
    let (round, mut heard) = broadcast::channel::<(usize, Arc<str>)>(BACKLOG);
    let mut lines = lines();
    let mut input = true;
    let mut guests = 0;
    let mut interrupted = pin!(net::interrupted());
    loop {
        tokio::select! {
            connection = endpoint.accept() => {
                let Some(connection) = connection else { return Err(Failure::new("the socket failed")) };
                guests += 1;
                tokio::spawn(guest(connection, guests, round.clone()));
            }
            line = lines.recv(), if input => match line {
                Some(line) => drop(round.send((0, speak(&args.name, &line).into()))),
                // Without an input, as a service, the round goes on until Ctrl-C.
                None => input = false,
            },
            Ok((from, line)) = heard.recv() => if from != 0 {
                say!("{line}");
            },
            () = &mut interrupted => break,
        }
    }
    net::shut_down(&endpoint).await;
    Ok(())
}

/// Passes lines between one guest and the round.
async fn guest(connection: Connection, number: usize, round: broadcast::Sender<(usize, Arc<str>)>) {
    let peer = connection.remote_address().map_or_else(|| "?".into(), |remote| plain(remote).to_string());
    let Ok(Some(Stream::Messages(stream))) = connection.accept_stream().await else { return };
    tell!("{peer} joined");
    let (to, from) = stream.split();
    let hears = round.subscribe();
    tokio::select! {
        () = listen_to(from, number, &round) => {}
        () = pass_on(to, number, hears) => {}
    }
    tell!("{peer} left");
}

async fn listen_to(mut from: MessageReceiver, number: usize, round: &broadcast::Sender<(usize, Arc<str>)>) {
    while let Ok(Some(message)) = from.recv().await {
        let line = printable(&String::from_utf8_lossy(&message));
        let _ = round.send((number, line.into()));
    }
}

async fn pass_on(mut to: MessageSender, number: usize, mut round: broadcast::Receiver<(usize, Arc<str>)>) {
    loop {
        match round.recv().await {
            Ok((from, line)) if from != number => {
                let Ok(()) = to.send(line.as_bytes()).await else { return };
            }
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

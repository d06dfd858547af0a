//! `jsp perf`: a connection with the protocol `jsp-perf/1`. The client opens streams and says what it wants:
//!
//! * bytes, first byte `i`: the server answers with one byte, 1 if it is a debug build
//! * bytes, first byte `u`: the server reads to the end, then answers with the count in 8 bytes, big-endian
//! * bytes, first byte `d` and a count in 8 bytes: the server sends that many bytes
//! * messages: the server sends each one back

use std::pin::pin;
use std::time::{Duration, Instant};

use jsp_tokio::{AppCode, Connection, RecvStream, SendStream, Stream};
use tokio::io::AsyncReadExt;

use crate::address::Target;
use crate::args::{PerfClient, PerfServer};
use crate::effects;
use crate::failure::{Context, Failure, Result};
use crate::net;
use crate::proxy::Proxy;
use crate::stats::Times;
use crate::term::{BOLD, Progress, RESET, bytes, duration, rate, say, tell};

const CHUNK: usize = 256 << 10;
const DEBUG: bool = cfg!(debug_assertions);

fn refuse_debug(allowed: bool) -> Result<()> {
    if DEBUG && !allowed {
        return Err(Failure::new("this is a debug build; its figures would say nothing about the library")
            .hint("Build it with --release, for example: cargo run --release -- perf ...\nOr give --allow-debug to see them all the same."));
    }
    Ok(())
}

pub(crate) async fn server(args: &PerfServer) -> Result<()> {
    refuse_debug(args.allow_debug)?;
    let endpoint = net::listen(&args.listen, args.transport, &[net::PERF], &["perf client"]).await?;
    let mut interrupted = pin!(net::interrupted());
    loop {
        tokio::select! {
            connection = endpoint.accept() => match connection {
                Some(connection) => drop(tokio::spawn(attend(connection))),
                None => return Err(Failure::new("the socket failed")),
            },
            () = &mut interrupted => break,
        }
    }
    net::shut_down(&endpoint).await;
    Ok(())
}

async fn attend(connection: Connection) {
    say!("{} connected", net::describe(&connection));
    while let Ok(Some(stream)) = connection.accept_stream().await {
        tokio::spawn(async move {
            match stream {
                Stream::Bytes(to, from) => drop(bulk(to, from).await),
                Stream::Messages(mut stream) => {
                    let mut message = Vec::new();
                    while let Ok(Some(_)) = stream.recv_into(&mut message).await {
                        let Ok(()) = stream.send(&message).await else { break };
                    }
                }
                _ => {}
            }
        });
    }
    if let Some(reason) = connection.close_reason() {
        say!("gone: {reason}");
    }
}

async fn bulk(mut to: SendStream, mut from: RecvStream) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    match from.read_u8().await? {
        b'i' => to.write_all(&[u8::from(DEBUG)]).await?,
        b'u' => {
            let mut count = 0u64;
            loop {
                match from.read(&mut buffer).await? {
                    0 => break,
                    read => count += read as u64,
                }
            }
            to.write_all(&count.to_be_bytes()).await?;
        }
        b'd' => {
            let mut left = from.read_u64().await?;
            while left > 0 {
                let some = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                to.write_all(&buffer[..some]).await?;
                left -= some as u64;
            }
        }
        _ => to.reset(AppCode::new(1)),
    }
    let _ = to.finish();
    Ok(())
}

pub(crate) async fn client(args: &PerfClient) -> Result<()> {
    refuse_debug(args.allow_debug)?;
    let proxy = impaired(args).await?;
    let target = match &proxy {
        Some(proxy) => Target { host: proxy.address.to_string(), key: args.target.key.clone() },
        None => args.target.clone(),
    };
    let (_endpoint, connection) = net::connect(&target, &args.trust, args.transport, net::PERF).await?;
    tell!("connected to {}", net::describe(&connection));
    let (mut to, mut from) = connection.open_bi().await?;
    to.write_all(b"i").await?;
    let debug_server = from.read_u8().await? != 0;
    if debug_server && !args.allow_debug {
        return Err(Failure::new("the server is a debug build; its figures would say nothing about the library"));
    }
    if DEBUG || debug_server {
        say!("DEBUG BUILD: these are not the figures of the library");
    }
    if let Some(time) = connection.stats().handshake_time {
        say!("handshake  {BOLD}{}{RESET}, X-Wing (X25519 + ML-KEM-768)", duration(time));
    }
    let measured = async {
        let times = latency(&connection, args).await?;
        if let Some(sum) = times.sum() {
            let [p50, p99, max] = sum.high();
            let size = bytes(args.message_size.into());
            say!(
                "latency    {BOLD}p50 {p50}{RESET}, p99 {p99}, max {max}: {} messages of {size}, there and back",
                times.len()
            );
        }
        let time = upload(&connection, args.size).await?;
        say!("upload     {BOLD}{}{RESET}: {} in {}", pace(args.size, time), bytes(args.size), duration(time));
        let time = download(&connection, args.size).await?;
        say!("download   {BOLD}{}{RESET}: {} in {}", pace(args.size, time), bytes(args.size), duration(time));
        Result::Ok(())
    };
    tokio::select! {
        measured = measured => measured?,
        () = net::interrupted() => return Err(Failure::new("interrupted")),
    }
    let stats = connection.stats();
    say!("path       rtt {}, {} packets lost", duration(stats.rtt), stats.packets_lost);
    for (name, line) in effects::lines(&stats, None) {
        say!("{name:<11} {line}");
    }
    let _ = connection.close(AppCode::ZERO, b"").await;
    Ok(())
}

/// A proxy in front of the server, if the network is to be bad.
async fn impaired(args: &PerfClient) -> Result<Option<Proxy>> {
    if !args.network.is_given() {
        return Ok(None);
    }
    let host = &args.target.host;
    let mut found = tokio::net::lookup_host(host).await.context(|| format!("cannot find {host}"))?;
    // Elsewhere the proxy's address would vouch for a server that nothing is known of.
    let local = found.find(|address| address.is_ipv4() && address.ip().is_loopback());
    let server = local.ok_or_else(|| {
        Failure::usage("a bad network can only be made on this machine: the server's address must be 127.0.0.1")
    })?;
    let [there, back] = args.network.impairments();
    let proxy = Proxy::start(server, there, back, args.network.seed)?;
    say!("network    a proxy {}", args.network.described());
    Ok(Some(proxy))
}

fn pace(size: u64, time: Duration) -> String {
    rate(size as f64 / time.as_secs_f64())
}

async fn latency(connection: &Connection, args: &PerfClient) -> Result<Times> {
    let mut stream = connection.open_messages().await?;
    let message = vec![0; args.message_size as usize];
    let mut echo = Vec::new();
    let mut times = Times::default();
    for _ in 0..args.messages {
        let begun = Instant::now();
        stream.send(&message).await?;
        if stream.recv_into(&mut echo).await?.is_none() {
            return Err(Failure::new("the server ended the stream of messages"));
        }
        times.add(begun.elapsed());
    }
    Ok(times)
}

/// From the first byte to the server's word that it has the last.
async fn upload(connection: &Connection, size: u64) -> Result<Duration> {
    let (mut to, mut from) = connection.open_bi().await?;
    let buffer = vec![0; CHUNK];
    let mut progress = Progress::new("upload", size);
    let begun = Instant::now();
    to.write_all(b"u").await?;
    let mut done = 0;
    while done < size {
        let some = buffer.len().min(usize::try_from(size - done).unwrap_or(usize::MAX));
        to.write_all(&buffer[..some]).await?;
        done += some as u64;
        progress.set(done);
    }
    to.finish()?;
    let count = from.read_u64().await?;
    if count != size {
        return Err(Failure::new(format!("the server got {count} of {size} bytes")));
    }
    Ok(begun.elapsed())
}

async fn download(connection: &Connection, size: u64) -> Result<Duration> {
    let (mut to, mut from) = connection.open_bi().await?;
    let mut buffer = vec![0; CHUNK];
    let mut progress = Progress::new("download", size);
    let begun = Instant::now();
    let mut wish = vec![b'd'];
    wish.extend_from_slice(&size.to_be_bytes());
    to.write_all(&wish).await?;
    to.finish()?;
    let mut done = 0;
    loop {
        match from.read(&mut buffer).await? {
            0 => break,
            read => done += read as u64,
        }
        progress.set(done);
    }
    if done != size {
        return Err(Failure::new(format!("{done} of {size} bytes came")));
    }
    Ok(begun.elapsed())
}

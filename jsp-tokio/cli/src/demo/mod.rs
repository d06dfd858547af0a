//! `jsp demo`: client, server and a bad network in one process, and a report of what happened.

mod content;
mod messages;
mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jsp_tokio::{AppCode, ClientConfig, Connection, Endpoint, FecStats, Stream, StreamOptions};
use tokio::io::AsyncRead;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::args::Demo;
use crate::failure::{Context, Failure, Result};
use crate::proxy::Proxy;
use crate::term::{Progress, duration, say};
use crate::transfer::{self, Header, Receipt};
use crate::{keys, net, observe};
use content::{Generated, Nowhere};
use messages::Tally;

/// The file is less urgent than the messages.
const FILE_PRIORITY: u8 = 64;
/// The usual network: percent of the datagrams lost, and milliseconds of delay, each way.
const LOSS: f64 = 2.0;
const DELAY: f64 = 20.0;
/// How long stragglers may take when the file has crossed.
const STRAGGLERS: Duration = Duration::from_secs(20);

pub(crate) async fn demo(args: &Demo) -> Result<()> {
    let run = async {
        match &args.file {
            Some(path) => {
                let file = tokio::fs::File::open(path).await.context(|| format!("cannot open {}", path.display()))?;
                let meta = file.metadata().await?;
                if !meta.is_file() {
                    return Err(Failure::new(format!("{} is no ordinary file", path.display())));
                }
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                run(args, Header { name, size: meta.len() }, file).await
            }
            None => {
                let (name, content) = match args.transport.compress {
                    true => ("generated words", Generated::words(args.network.seed)),
                    false => ("generated content", Generated::new(args.network.seed)),
                };
                run(args, Header { name: name.into(), size: args.size }, content).await
            }
        }
    };
    tokio::select! {
        done = run => done,
        () = net::interrupted() => Err(Failure::new("interrupted")),
    }
}

async fn run(args: &Demo, header: Header, mut content: impl AsyncRead + Unpin) -> Result<()> {
    let key = keys::generate()?;
    let id = key.public().key_id();
    let trust = ClientConfig::pinned(key.public().clone()).protocols(&[net::FILE]);
    let server =
        Endpoint::bind("127.0.0.1:0", net::server_config(args.transport.handling(), key, &[net::FILE]).build()?)
            .await?;
    observe::watch(&server)?;
    let network = args.network.or(LOSS, DELAY);
    let [there, back] = network.impairments();
    let proxy = Proxy::start(server.local_address(), there, back, network.seed)?;
    say!("{}", report::scene(args, network, &header));
    if cfg!(debug_assertions) {
        say!("debug build: it is slower than the library is");
    }

    let tally = Arc::new(Tally::new());
    let progress = Progress::new("file", header.size);
    let serving = tokio::spawn(serve(server.clone(), tally.clone(), progress));
    let config = args.transport.config().build()?;
    let client = Endpoint::bind("127.0.0.1:0", config).await?;
    observe::watch(&client)?;
    let connection = client.connect(proxy.address, &trust).await?;
    if let Some(time) = connection.stats().handshake_time {
        say!("handshake    {}: {}", duration(time), report::KEY_EXCHANGE);
        say!("             server key {id}, pinned");
    }

    let (sent, time) = cross(&connection, &header, &mut content, &tally).await?;
    // The counters now: the close is another matter.
    let (stats, proxied) = (connection.stats(), proxy.counts());
    let closed = timeout(STRAGGLERS, connection.close(AppCode::ZERO, b"done")).await;
    closed.map_err(|_| Failure::new("the connection did not close in time"))??;
    let received = timeout(STRAGGLERS, serving).await.map_err(|_| Failure::new("the server did not end in time"))?;
    let (received, corrected) = received.map_err(|error| Failure::new(format!("the server failed: {error}")))??;
    tokio::join!(client.shutdown(), server.shutdown());
    report::Findings { size: header.size, sent, received, time, tally: &tally, stats, corrected, proxied }.print()
}

/// The client: the file, and the messages beside it. Gives what the sender knows, and how long the file took, from its
/// first byte to the receiver's word that it has the last.
async fn cross(
    connection: &Connection,
    header: &Header,
    content: &mut (impl AsyncRead + Unpin),
    tally: &Arc<Tally>,
) -> Result<(Receipt, Duration)> {
    let stop = Arc::new(Notify::new());
    let talking = tokio::spawn(messages::talk(connection.clone(), tally.clone(), stop.clone()));
    let begun = Instant::now();
    let stream = connection.open_bi_with(StreamOptions::bytes().priority(FILE_PRIORITY)).await?;
    let sent = transfer::send(stream, header, content, |_| {}).await?;
    let time = begun.elapsed();
    stop.notify_one();
    match timeout(STRAGGLERS, talking).await {
        Ok(Ok(talked)) => talked.map(|()| (sent, time)),
        Ok(Err(error)) => Err(Failure::new(format!("the messages failed: {error}"))),
        Err(_) => Err(Failure::new("some messages had no outcome in time")),
    }
}

/// The server: takes the file and counts the messages until the client closes. Gives what it knows of the file, and of
/// repairs.
async fn serve(server: Endpoint, tally: Arc<Tally>, progress: Progress) -> Result<(Receipt, FecStats)> {
    let connection = server.accept().await.ok_or_else(|| Failure::new("the server's socket failed"))?;
    let mut progress = Some(progress);
    let mut file = None;
    let mut listening = JoinSet::new();
    while let Some(stream) = connection.accept_stream().await? {
        match (stream, progress.take()) {
            (Stream::Bytes(to, from), Some(mut progress)) => {
                file = Some(tokio::spawn(async move {
                    transfer::receive((to, from), &mut Nowhere, |_, done| progress.set(done)).await
                }));
            }
            (Stream::MessagesUni(from), unused) => {
                progress = unused;
                listening.spawn(messages::listen(from, tally.clone()));
            }
            (_, unused) => progress = unused,
        }
    }
    listening.join_all().await;
    let file = file.ok_or_else(|| Failure::new("the file did not arrive"))?;
    let received = file.await.map_err(|error| Failure::new(format!("the receiver failed: {error}")))?;
    received.map(|(_, receipt)| (receipt, connection.stats().fec))
}

//! The server and its clients.

use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jsp_tokio::{ClientConfig, Config, Connection, Endpoint, PublicKey, RecvStream, SecretKey, Stream};
use tokio::runtime::Runtime;

use super::children::{Failure, hex, resources, unhex, word};

const CLIENTS: usize = 4;

/// One thread for everything that the process does.
fn runtime() -> Result<Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

/// Takes what clients upload. Each line of input is answered by the counters.
pub(crate) fn server() -> Result<(), Failure> {
    let runtime = runtime()?;
    let taken = Arc::new(AtomicU64::new(0));
    let endpoint = runtime.block_on(async {
        let key = SecretKey::from_seed(jsp_tokio::random_seed()?);
        let identity = hex(key.public().as_bytes());
        let endpoint = Endpoint::bind("127.0.0.1:0", Config::builder().server_key(key).build()?).await?;
        println!("{} {identity}", endpoint.local_address());
        let (accepting, taken) = (endpoint.clone(), taken.clone());
        tokio::spawn(async move {
            while let Some(connection) = accepting.accept().await {
                tokio::spawn(serve(connection, taken.clone()));
            }
        });
        Ok::<_, Failure>(endpoint)
    })?;
    for line in std::io::stdin().lock().lines() {
        line?;
        println!("{}", report(&endpoint, taken.load(Ordering::Relaxed)));
    }
    std::process::exit(0)
}

/// Bytes taken, then datagrams, RETRY packets, handshakes, seals, rejected tokens, CPU seconds, drops by reason.
fn report(endpoint: &Endpoint, taken: u64) -> String {
    let stats = endpoint.stats();
    let counters = [
        taken,
        stats.datagrams_received,
        stats.retries_sent,
        stats.handshakes_started,
        stats.seal_openings,
        stats.tokens_rejected,
    ];
    let counters = counters.map(|counter| counter as f64).into_iter().chain([resources().1]);
    let all = counters.chain(stats.drops().map(|(_, count)| count as f64));
    all.map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}

async fn serve(connection: Connection, taken: Arc<AtomicU64>) {
    while let Ok(Some(stream)) = connection.accept_stream().await {
        if let Stream::Bytes(_, recv) | Stream::BytesUni(recv) = stream {
            tokio::spawn(take(recv, taken.clone()));
        }
    }
}

async fn take(mut recv: RecvStream, taken: Arc<AtomicU64>) {
    let mut buffer = vec![0; 256 << 10];
    while let Ok(count @ 1..) = recv.read(&mut buffer).await {
        taken.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// Clients that upload without end, except between the lines `pause` and `resume`. Each line of input is answered by how
/// many are connected, the packets they sent, those that were lost, and the CPU seconds they took.
pub(crate) fn clients() -> Result<(), Failure> {
    let runtime = runtime()?;
    let address = word("--address").ok_or("no address")?;
    let trust = ClientConfig::pinned(PublicKey::from_bytes(&unhex(&word("--key").ok_or("no key")?)?)?);
    let mut connections = Vec::new();
    let paused = Arc::new(AtomicBool::new(false));
    for _ in 0..CLIENTS {
        connections.push(runtime.block_on(upload(&address, &trust, paused.clone()))?);
    }
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        match line?.as_str() {
            "pause" => paused.store(true, Ordering::Relaxed),
            "resume" => paused.store(false, Ordering::Relaxed),
            _ => {}
        }
        let alive = connections.iter().filter(|connection| connection.close_reason().is_none()).count();
        let stats = connections.iter().map(|connection| connection.stats());
        let (sent, lost) =
            stats.fold((0, 0), |(sent, lost), stats| (sent + stats.packets_sent, lost + stats.packets_lost));
        println!("{alive} {sent} {lost} {}", resources().1);
    }
    std::process::exit(0)
}

async fn upload(address: &str, trust: &ClientConfig, paused: Arc<AtomicBool>) -> Result<Connection, Failure> {
    let endpoint = Endpoint::bind("127.0.0.1:0", Config::default()).await?;
    let connection = endpoint.connect(address, trust).await?;
    let mut send = connection.open_uni().await?;
    tokio::spawn(async move {
        // The end of the connection shows in the number of those that live.
        while send.write_all(&[7; 64 << 10]).await.is_ok() {
            while paused.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
    Ok(connection)
}

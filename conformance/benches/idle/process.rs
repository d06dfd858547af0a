//! Two processes with real sockets: one endpoint each, all connections between the two.

use std::io::BufRead;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jsp_tokio::proto::KeepAlive;
use jsp_tokio::proto::config::bounds::Bounds;
use jsp_tokio::{ClientConfig, Config, ConfigBuilder, Connection, Endpoint, PublicKey, SecretKey};

use super::children::{Child, Failure, flag, hex, resources, unhex, word};

const KEEP_ALIVE: Duration = Duration::from_secs(20);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections that are being made at once.
const TOGETHER: usize = 32;

type Connections = Arc<Mutex<Vec<Connection>>>;

/// One host in the place of thousands: the bounds on networks and on strangers are in the way.
fn config() -> ConfigBuilder {
    let mut bounds = Bounds::default();
    bounds.connections_per_prefix = u32::MAX;
    bounds.tokenless_per_second = u32::MAX;
    bounds.kem_jobs_per_second = u32::MAX;
    bounds.kem_burst = u32::MAX;
    Config::builder().bounds(bounds).idle_timeout(IDLE_TIMEOUT)
}

/// A process of the bench. Each line of its input is answered: `connect` when all connections are made, anything else by
/// the process's memory and CPU time and the number of connections that live.
pub(crate) fn child(role: &str, connections: usize) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let held = Connections::default();
    let (endpoint, target) = runtime.block_on(async {
        if role == "server" {
            let key = SecretKey::from_seed(jsp_tokio::random_seed()?);
            let identity = hex(key.public().as_bytes());
            let endpoint = Endpoint::bind("127.0.0.1:0", config().server_key(key).build()?).await?;
            println!("{} {identity}", endpoint.local_address());
            tokio::spawn(accept(endpoint.clone(), held.clone()));
            return Ok((endpoint, None));
        }
        let address = word("--address").ok_or("no address")?;
        let key = PublicKey::from_bytes(&unhex(&word("--key").ok_or("no key")?)?)?;
        let endpoint =
            Endpoint::bind("127.0.0.1:0", config().keep_alive(KeepAlive::Every(KEEP_ALIVE)).build()?).await?;
        println!("ready");
        Ok::<_, Failure>((endpoint, Some((address, ClientConfig::pinned(key)))))
    })?;
    for line in std::io::stdin().lock().lines() {
        if line? == "connect"
            && let Some((address, trust)) = &target
        {
            runtime.block_on(connect(&endpoint, address, trust, connections, &held))?;
        }
        let (memory, cpu) = resources();
        let connections = held.lock().map_err(|_| "a task has panicked")?;
        let alive = connections.iter().filter(|connection| connection.close_reason().is_none()).count();
        println!("{memory} {cpu} {alive}");
    }
    // All ends at once: saying farewell ten thousand times is not what is measured.
    std::process::exit(0)
}

async fn accept(endpoint: Endpoint, held: Connections) {
    while let Some(connection) = endpoint.accept().await {
        if let Ok(mut held) = held.lock() {
            held.push(connection);
        }
    }
}

async fn connect(
    endpoint: &Endpoint,
    address: &str,
    trust: &ClientConfig,
    connections: usize,
    held: &Connections,
) -> Result<(), Failure> {
    let mut made = 0;
    while made < connections {
        let share = TOGETHER.min(connections - made);
        let attempts: Vec<_> = (0..share)
            .map(|_| {
                let (endpoint, address, trust) = (endpoint.clone(), address.to_owned(), trust.clone());
                tokio::spawn(async move { endpoint.connect(address, &trust).await })
            })
            .collect();
        for attempt in attempts {
            let connection = attempt.await??;
            held.lock().map_err(|_| "a task has panicked")?.push(connection);
        }
        made += share;
        if made % 1024 == 0 {
            eprint!("\rconnected: {made}");
        }
    }
    eprint!("\r");
    Ok(())
}

/// Prints what so many connections cost two processes over so many seconds.
pub(crate) fn measure(connections: usize, seconds: usize) -> Result<(), Failure> {
    let words = ["--connections".to_owned(), connections.to_string()];
    let mut server = Child::start("server", &words)?;
    let ready = server.line()?;
    let (address, key) = ready.split_once(' ').ok_or("the server is not ready")?;
    let more = ["--address", address, "--key", key].map(str::to_owned);
    let mut client = Child::start("client", &[&words[..], &more[..]].concat())?;
    client.line()?;
    let mut ends = [("client", client), ("server", server)];

    let empty = ask(&mut ends)?;
    let started = Instant::now();
    ends[0].1.ask("connect")?;
    println!("connected in {:.1} s", started.elapsed().as_secs_f64());
    std::thread::sleep(Duration::from_secs(if flag("--quick") { 2 } else { 5 }));
    let before = ask(&mut ends)?;
    let started = Instant::now();
    std::thread::sleep(Duration::from_secs(seconds as u64));
    let after = ask(&mut ends)?;
    let elapsed = started.elapsed().as_secs_f64();

    for (index, (name, _)) in ends.iter().enumerate() {
        let each = (after[index][0] - empty[index][0]) / connections as f64 / 1024.0;
        let cpu = (after[index][1] - before[index][1]) / elapsed * 100.0;
        println!("process, {name}: {each:.1} KiB per connection (target: at most 20)");
        println!("process, {name}: {cpu:.2} % of a core over {elapsed:.0} s (target: less than 5)");
        let alive = after[index][2];
        println!("process, {name}: {alive} of {connections} connections alive");
        if alive != connections as f64 {
            return Err("connections were lost".into());
        }
    }
    Ok(())
}

fn ask(ends: &mut [(&str, Child); 2]) -> Result<[Vec<f64>; 2], Failure> {
    let [client, server] = ends;
    Ok([client.1.numbers("report")?, server.1.numbers("report")?])
}

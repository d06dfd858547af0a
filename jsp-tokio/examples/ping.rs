//! Round trips of 64 bytes over the loopback interface, beside those of bare UDP sockets on the same runtime.
//! Run: `cargo run --release -p jsp-tokio --example ping`
use std::time::{Duration, Instant};

use jsp_tokio::{AppCode, ClientConfig, Config, Endpoint, SecretKey, Stream};
use tokio::net::UdpSocket;

const ROUNDS: usize = 20_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if cfg!(debug_assertions) {
        println!("built without --release: the figures say little");
    }
    print("bare UDP", udp().await?);
    print("JSP messages", jsp().await?);
    Ok(())
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    println!("{what:14} p50 {:?}, p99 {:?}", times[times.len() / 2], times[times.len() * 99 / 100]);
}

async fn udp() -> std::io::Result<Vec<Duration>> {
    let (server, client) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    client.connect(server.local_addr()?).await?;
    let echo = tokio::spawn(async move {
        let mut buffer = [0; 64];
        while let Ok((len, from)) = server.recv_from(&mut buffer).await {
            let _ = server.send_to(&buffer[..len], from).await;
        }
    });
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        client.send(&[7; 64]).await?;
        client.recv(&mut [0; 64]).await?;
        times.push(start.elapsed());
    }
    echo.abort();
    Ok(times)
}

async fn jsp() -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
    let key = SecretKey::from_seed(jsp_tokio::random_seed()?);
    let trust = ClientConfig::pinned(key.public().clone());
    let server = Endpoint::bind("127.0.0.1:0", Config::builder().server_key(key).build()?).await?;
    let address = server.local_address();
    tokio::spawn(async move {
        let connection = server.accept().await.expect("open");
        let Ok(Some(Stream::Messages(mut stream))) = connection.accept_stream().await else { return };
        let mut buffer = Vec::new();
        while let Ok(Some(_)) = stream.recv_into(&mut buffer).await {
            stream.send(&buffer).await.expect("open");
        }
    });
    let client = Endpoint::bind("127.0.0.1:0", Config::default()).await?;
    let connection = client.connect(address, &trust).await?;
    let mut stream = connection.open_messages().await?;
    let (mut times, mut buffer) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        stream.send(&[7; 64]).await?;
        stream.recv_into(&mut buffer).await?;
        times.push(start.elapsed());
    }
    connection.close(AppCode::ZERO, b"").await?;
    Ok(times)
}

//! A server that is killed and comes back: its clients learn it by a stateless reset, long before their idle timeout,
//! and come back without a stampede.

mod common;

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{key, trust, within};
use jsp_tokio::{BreakerConfig, Config, Connection, ConnectionError, Endpoint, Reconnector, Stream};
use tokio::sync::{mpsc, oneshot};

const CLIENTS: usize = 40;
const RESET_KEY: [u8; 32] = [5; 32];

/// Runs this program as the server at an address, as a process that can be killed.
fn server(address: SocketAddr) -> Child {
    Command::new(std::env::current_exe().expect("known"))
        .args(["--exact", "child_that_serves", "--ignored", "--nocapture"])
        .env("JSP_TEST_ADDRESS", address.to_string())
        .stdout(Stdio::null())
        .spawn()
        .expect("a process")
}

#[tokio::test]
#[ignore = "runs as a child process of another test"]
async fn child_that_serves() {
    let Ok(address) = std::env::var("JSP_TEST_ADDRESS") else { return };
    let config = Config::builder().server_key(key(1)).reset_key(RESET_KEY).build().expect("valid");
    let endpoint = Endpoint::bind(address, config).await.expect("the port is free");
    while let Some(connection) = endpoint.accept().await {
        tokio::spawn(async move {
            while let Ok(Some(Stream::Bytes(mut send, mut recv))) = connection.accept_stream().await {
                let mut buffer = [0; 1000];
                while let Ok(read @ 1..) = recv.read(&mut buffer).await {
                    if send.write_all(&buffer[..read]).await.is_err() {
                        break;
                    }
                }
            }
        });
    }
}

/// The next connection, however often it takes.
async fn connected(reconnector: &Reconnector) -> Connection {
    loop {
        match reconnector.connection().await {
            Ok(connection) => return connection,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Says something again and again and hears it back, until the connection is over; tells `heard` of the first answer.
async fn talk(connection: &Connection, heard: impl FnOnce()) -> ConnectionError {
    let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
    let (mut heard, mut buffer) = (Some(heard), [0; 5]);
    while send.write_all(b"hello").await.is_ok() && matches!(recv.read(&mut buffer).await, Ok(1..)) {
        if let Some(heard) = heard.take() {
            heard();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    connection.closed().await
}

/// Connects, talks until the server is killed, and comes back. Gives when it has learned of the end and when it was back.
async fn live_through_a_restart(reconnector: Reconnector, up: mpsc::Sender<()>) -> (Instant, Instant) {
    let first = connected(&reconnector).await;
    let reason = talk(&first, move || up.try_send(()).expect("room for all")).await;
    let learned = Instant::now();
    assert_eq!(reason, ConnectionError::Reset);
    let again = connected(&reconnector).await;
    let (back, answered) = oneshot::channel();
    tokio::select! {
        reason = talk(&again, move || back.send(Instant::now()).expect("somebody waits")) => panic!("lost again: {reason}"),
        back = answered => (learned, back.expect("an answer")),
    }
}

#[tokio::test]
async fn clients_of_a_server_that_is_killed_learn_it_and_come_back() {
    let reserved = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = reserved.local_addr().expect("bound");
    drop(reserved);
    let mut child = server(address);
    let client = Endpoint::bind("127.0.0.1:0", Config::default()).await.expect("a free port");
    let breaker = || BreakerConfig::new().failures(1).backoff(Duration::from_millis(100), Duration::from_millis(400));
    let (up, mut ups) = mpsc::channel(CLIENTS);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let reconnector = Reconnector::new(&client, [address], trust(), breaker()).expect("valid");
            tokio::spawn(live_through_a_restart(reconnector, up.clone()))
        })
        .collect();
    for _ in 0..CLIENTS {
        within("connecting", 30, ups.recv()).await.expect("a client");
    }
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    let mut child = server(address);
    let restarted = Instant::now();
    let mut times = Vec::new();
    for client in clients {
        times.push(within("coming back", 40, client).await.expect("no panic"));
    }
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    let last = |of: fn(&(Instant, Instant)) -> Instant| times.iter().map(of).max().map(|at| at - restarted);
    let (learned, back) = (last(|times| times.0), last(|times| times.1));
    println!("the last of {CLIENTS} clients learned it after {learned:?} and was back after {back:?}");
    // Ten resets per second go to one network. The idle timeout would take 30 s.
    assert!(learned < Some(Duration::from_secs(15)), "{learned:?}");
}

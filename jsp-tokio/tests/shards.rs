//! Several endpoints on one address, with the kernel's own choice of the socket.
#![cfg(target_os = "linux")]

mod common;

use std::io::ErrorKind;
use std::num::NonZeroUsize;

use common::{client_with, key, trust, within};
use jsp_tokio::proto::DropReason;
use jsp_tokio::{AppCode, Config, Connection, ConnectionError, Endpoint, MessageStream, Stream};
use tokio::task::JoinSet;

fn count(shards: usize) -> NonZeroUsize {
    NonZeroUsize::new(shards).expect("at least one")
}

async fn bind(shards: usize) -> Vec<Endpoint> {
    let config = Config::builder().server_key(key(1)).build().expect("valid");
    let shards = Endpoint::bind_shards("127.0.0.1:0", config, count(shards)).await.expect("a free port");
    for shard in &shards {
        assert_eq!(shard.local_address(), shards[0].local_address());
        tokio::spawn(echo(shard.clone()));
    }
    shards
}

/// Sends back every message on every stream of every connection.
async fn echo(endpoint: Endpoint) {
    while let Some(connection) = endpoint.accept().await {
        tokio::spawn(async move {
            while let Ok(Some(Stream::Messages(mut stream))) = connection.accept_stream().await {
                while let Ok(Some(message)) = stream.recv().await {
                    if stream.send(&message).await.is_err() {
                        break;
                    }
                }
            }
        });
    }
}

async fn ask(stream: &mut MessageStream, text: &[u8]) {
    stream.send(text).await.expect("open");
    assert_eq!(stream.recv().await.expect("open").as_deref(), Some(text));
}

async fn connect(client: &Endpoint, shards: &[Endpoint]) -> (Connection, MessageStream) {
    let connection = client.connect(shards[0].local_address(), &trust()).await.expect("the server is there");
    let mut stream = connection.open_messages().await.expect("open");
    ask(&mut stream, b"hello").await;
    (connection, stream)
}

fn confirmed(shards: &[Endpoint]) -> Vec<u64> {
    shards.iter().map(|shard| shard.stats().connections_confirmed).collect()
}

fn foreign(shards: &[Endpoint]) -> u64 {
    shards.iter().map(|shard| shard.stats().datagrams_foreign).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_spread_over_the_shards_and_all_work() {
    const SOCKETS: usize = 64;
    const EACH: usize = 10;
    let shards = bind(4).await;
    let mut clients = JoinSet::new();
    for _ in 0..SOCKETS {
        let shards = shards.clone();
        clients.spawn(async move {
            let client = client_with(|config| config).await;
            let mut held = Vec::new();
            for _ in 0..EACH {
                let (connection, mut stream) = connect(&client, &shards).await;
                ask(&mut stream, &[7; 5_000]).await;
                held.push((connection, stream));
            }
            (client, held)
        });
    }
    let clients = within("all connections", 120, clients.join_all()).await;
    let spread = confirmed(&shards);
    assert_eq!(spread.iter().sum::<u64>(), (SOCKETS * EACH) as u64);
    assert!(spread.iter().all(|connections| *connections > 0), "{spread:?}");
    assert_eq!(foreign(&shards), 0, "the kernel keeps a socket's datagrams together");
    for shard in &shards {
        assert_eq!(shard.stats().dropped(DropReason::UnknownConnection), 0);
    }
    let mut endings = JoinSet::new();
    for (client, held) in clients {
        endings.spawn(async move {
            client.shutdown().await;
            for (connection, _) in held {
                let reason = connection.closed().await;
                assert_eq!(reason, ConnectionError::LocallyClosed { code: AppCode::ZERO });
            }
        });
    }
    within("the shutdown of the clients", 30, endings.join_all()).await;
    for shard in &shards {
        assert_eq!(shard.handovers_dropped(), 0);
        within("a shutdown", 30, shard.shutdown()).await;
        assert!(shard.accept().await.is_none());
    }
}

/// When a socket is closed the kernel deals most of the others' datagrams out anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_of_the_others_outlive_a_shard() {
    let shards = bind(4).await;
    let mut held = Vec::new();
    for _ in 0..40 {
        let client = client_with(|config| config).await;
        let before = confirmed(&shards);
        let (connection, stream) = within("connecting", 10, connect(&client, &shards)).await;
        let after = confirmed(&shards);
        let home = before.iter().zip(&after).position(|(before, after)| before < after).expect("at one of them");
        held.push((home, client, connection, stream));
    }
    assert_eq!(foreign(&shards), 0);
    within("the shutdown of one", 30, shards[0].shutdown()).await;
    let (lost, mut kept): (Vec<_>, Vec<_>) = held.into_iter().partition(|(home, ..)| *home == 0);
    assert!(!kept.is_empty());
    for (_, _, connection, _) in lost {
        within("the end", 10, connection.closed()).await;
    }
    for round in 0..5 {
        for (.., stream) in &mut kept {
            within("an answer", 10, ask(stream, &[round; 3_000])).await;
        }
    }
    assert!(foreign(&shards) > 0, "some were delivered elsewhere");
    // New ones find a shard too.
    for _ in 0..20 {
        let client = client_with(|config| config).await;
        within("connecting", 10, connect(&client, &shards)).await;
    }
    for (_, _, connection, _) in kept {
        within("closing", 10, connection.close(AppCode::ZERO, b"")).await.expect("delivered");
    }
    for shard in &shards {
        assert_eq!(shard.handovers_dropped(), 0);
        within("a shutdown", 30, shard.shutdown()).await;
    }
}

#[tokio::test]
async fn an_address_in_use_is_not_shared_with_strangers() {
    let shards = bind(3).await;
    let address = shards[0].local_address();
    for number in [1, 2] {
        let error = Endpoint::bind_shards(address, Config::default(), count(number)).await.expect_err("in use");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }
    let alone = bind(1).await;
    let error = Endpoint::bind_shards(alone[0].local_address(), Config::default(), count(2)).await.expect_err("in use");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let error = Endpoint::bind_shards("127.0.0.1:0", Config::default(), count(257)).await.expect_err("too many");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn both_families_share_an_address() {
    let config = Config::builder().server_key(key(1)).build().expect("valid");
    let Ok(shards) = Endpoint::bind_shards("[::]:0", config, count(2)).await else { return };
    let server = tokio::spawn({
        let [one, two] = [shards[0].clone(), shards[1].clone()];
        async move {
            tokio::select! { connection = one.accept() => connection, connection = two.accept() => connection }
        }
    });
    let client = client_with(|config| config).await;
    let port = shards[0].local_address().port();
    within("connecting", 10, client.connect(("127.0.0.1", port), &trust())).await.expect("connected");
    assert!(within("accepting", 10, server).await.expect("no panic").is_some());
}

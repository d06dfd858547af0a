//! Clients whose sockets are replaced while data flows: nothing is lost, whichever way it flows and however many shards
//! the server has.

mod common;

use std::num::NonZeroUsize;

use common::{Pair, client_with, key, pair, pattern, trust, within};
use jsp_tokio::{Config, Connection, Endpoint, Stream};
use tokio::io::AsyncReadExt;

const TOTAL: u64 = 12_000_000;
const MOVES: u64 = 4;
const PIECE: usize = 64 << 10;

async fn send_all(connection: Connection) {
    let mut send = connection.open_uni().await.expect("a stream");
    let mut at = 0;
    while at < TOTAL {
        let piece = pattern(at, PIECE.min((TOTAL - at) as usize));
        send.write_all(&piece).await.expect("the connection lives");
        at += piece.len() as u64;
    }
    send.finish().expect("it is open");
    send.delivered().await.expect("all arrives");
}

/// Receives all, and gives `endpoint` another socket a few times meanwhile.
async fn receive_all(connection: Connection, endpoint: Endpoint) {
    let Ok(Some(Stream::BytesUni(mut recv))) = connection.accept_stream().await else { panic!("a stream") };
    let (mut at, mut moved, mut buffer) = (0, 0, vec![0; PIECE]);
    loop {
        let read = recv.read(&mut buffer).await.expect("the connection lives");
        if read == 0 {
            break;
        }
        assert!(buffer[..read] == pattern(at, read), "the bytes at {at}");
        at += read as u64;
        if at > (moved + 1) * TOTAL / (MOVES + 1) {
            moved += 1;
            let before = endpoint.local_address();
            endpoint.rebind("127.0.0.1:0").await.expect("a free port");
            // The address is known as soon as the driver has taken the socket.
            while endpoint.local_address() == before {
                tokio::task::yield_now().await;
            }
        }
    }
    assert_eq!((at, moved), (TOTAL, MOVES));
}

#[tokio::test]
async fn an_upload_survives_another_socket() {
    let Pair { client, server, client_endpoint, server_endpoint: _open } = pair().await;
    let sending = tokio::spawn(send_all(client.clone()));
    within("the upload", 30, receive_all(server, client_endpoint)).await;
    within("the acknowledgements", 10, sending).await.expect("no panic");
}

#[tokio::test]
async fn a_download_survives_another_socket() {
    let Pair { client, server, client_endpoint, server_endpoint: _open } = pair().await;
    let sending = tokio::spawn(send_all(server.clone()));
    within("the download", 30, receive_all(client.clone(), client_endpoint)).await;
    within("the acknowledgements", 10, sending).await.expect("no panic");
    assert!(server.stats().path_changes >= 1, "{:?}", server.stats());
}

#[tokio::test]
async fn an_endpoint_that_has_ended_takes_no_socket() {
    let client = client_with(|config| config).await;
    within("the end", 10, client.shutdown()).await;
    let error = client.rebind("127.0.0.1:0").await.expect_err("it has ended");
    assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
}

/// Echoes what comes in on every stream of every connection.
async fn serve(endpoint: Endpoint) {
    while let Some(connection) = endpoint.accept().await {
        tokio::spawn(async move {
            while let Ok(Some(Stream::Bytes(mut send, mut recv))) = connection.accept_stream().await {
                let mut buffer = vec![0; PIECE];
                while let Ok(read @ 1..) = recv.read(&mut buffer).await {
                    send.write_all(&buffer[..read]).await.expect("the connection lives");
                }
                send.finish().expect("it is open");
            }
        });
    }
}

/// Another port means another shard, as the system sees it: each packet is brought to the shard that has the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_sharded_server_change_their_ports_under_load() {
    const CLIENTS: u64 = 16;
    const ROUNDS: u64 = 12;
    let config = Config::builder().server_key(key(1)).build().expect("valid");
    let shards = Endpoint::bind_shards("127.0.0.1:0", config, NonZeroUsize::new(4).expect("4")).await;
    let shards = shards.expect("a free port");
    let address = shards[0].local_address();
    shards.iter().for_each(|shard| drop(tokio::spawn(serve(shard.clone()))));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            tokio::spawn(async move {
                let endpoint = client_with(|config| config).await;
                let connection = endpoint.connect(address, &trust()).await.expect("the server is there");
                let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
                for round in 0..ROUNDS {
                    let sent = pattern(number * 1000 + round, 20_000);
                    send.write_all(&sent).await.expect("the connection lives");
                    if round % 3 == 2 {
                        endpoint.rebind("127.0.0.1:0").await.expect("a free port");
                    }
                    let mut echo = vec![0; sent.len()];
                    recv.read_exact(&mut echo).await.expect("the connection lives");
                    assert!(echo == sent, "client {number}, round {round}");
                }
                connection.close(jsp_tokio::AppCode::ZERO, b"").await.expect("delivered");
            })
        })
        .collect();
    for client in clients {
        within("a client", 60, client).await.expect("no panic");
    }
    let stats: Vec<_> = shards.iter().map(|shard| shard.stats()).collect();
    let foreign: u64 = stats.iter().map(|stats| stats.datagrams_foreign).sum();
    assert!(foreign > 0, "no packet came to the wrong shard: {stats:?}");
    assert_eq!(shards.iter().map(|shard| shard.handovers_dropped()).sum::<u64>(), 0);
}

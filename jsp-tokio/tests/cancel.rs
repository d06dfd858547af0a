//! A hundred thousand cancelled reads lose and tear nothing.

mod common;

use std::sync::Arc;

use common::{Pair, Random, pair, within};
use jsp_tokio::{AppCode, Stream, StreamOptions};
use tokio::sync::Semaphore;
use tokio::task::yield_now;

const CANCELLED: u64 = 100_000;
/// One message per this many cancelled reads, so that reads are cancelled at every stage of a message's arrival.
const PER_MESSAGE: u64 = 64;
const SIZE: usize = 64 << 10;

/// A message whose every part tells its number.
fn message(number: u64, into: &mut Vec<u8>) {
    into.clear();
    into.extend((0..SIZE as u64 / 8).flat_map(|at| (number << 32 | at).to_le_bytes()));
}

#[tokio::test]
async fn random_cancellation_of_recv() {
    let Pair { client, server, .. } = pair().await;
    let due = Arc::new(Semaphore::new(0));
    let permits = due.clone();
    let send = tokio::spawn(async move {
        let mut sender = client.open_messages_uni(StreamOptions::ordered_messages().uni()).await.expect("open");
        let mut buffer = Vec::new();
        let mut sent = 0;
        while let Ok(permit) = permits.acquire().await {
            permit.forget();
            message(sent, &mut buffer);
            sender.send(&buffer).await.expect("open");
            sent += 1;
        }
        sender.finish().expect("open");
        client.close(AppCode::ZERO, b"").await.expect("delivered");
        sent
    });

    let Ok(Some(Stream::MessagesUni(mut receiver))) = server.accept_stream().await else { panic!("a stream") };
    let mut random = Random(7);
    let mut expected = Vec::new();
    let (mut cancelled, mut received) = (0, 0);
    let ended = within("the cancelled reads", 60, async {
        loop {
            let patience = random.below(3);
            tokio::select! {
                biased;
                found = receiver.recv() => match found.expect("no error") {
                    Some(found) => {
                        message(received, &mut expected);
                        assert!(found == expected, "message {received} is lost or torn");
                        received += 1;
                    }
                    None => break,
                },
                () = async { for _ in 0..patience { yield_now().await } } => {
                    cancelled += 1;
                    if cancelled % PER_MESSAGE == 0 && cancelled < CANCELLED {
                        due.add_permits(1);
                    }
                    if cancelled == CANCELLED {
                        due.close();
                    }
                }
            }
        }
    });
    ended.await;
    assert!(cancelled >= CANCELLED, "{cancelled}");
    assert_eq!(received, within("the sender", 10, send).await.expect("no panic"));
    assert!(received > 100, "{received}");
}

#[tokio::test]
async fn cancelled_accepts_and_reads_of_bytes_lose_nothing() {
    let Pair { client, server, .. } = pair().await;
    let send = tokio::spawn(async move {
        for number in 0..50u8 {
            let mut stream = client.open_uni().await.expect("open");
            stream.write_all(&[number; 5000]).await.expect("open");
        }
        client.close(AppCode::ZERO, b"").await.expect("delivered");
    });
    let mut random = Random(11);
    let mut streams = 0u8;
    within("reading", 30, async {
        loop {
            let patience = random.below(3);
            let found = tokio::select! {
                biased;
                found = server.accept_stream() => found.expect("closed in the ordinary way"),
                () = async { for _ in 0..patience { yield_now().await } } => continue,
            };
            let Some(Stream::BytesUni(mut stream)) = found else { break };
            let mut bytes = Vec::new();
            let mut buffer = [0; 700];
            loop {
                let patience = random.below(3);
                tokio::select! {
                    biased;
                    read = stream.read(&mut buffer) => match read.expect("no error") {
                        0 => break,
                        read => bytes.extend_from_slice(&buffer[..read]),
                    },
                    () = async { for _ in 0..patience { yield_now().await } } => {}
                }
            }
            assert_eq!(bytes, [streams; 5000]);
            streams += 1;
        }
    })
    .await;
    assert_eq!(streams, 50);
    within("the sender", 10, send).await.expect("no panic");
}

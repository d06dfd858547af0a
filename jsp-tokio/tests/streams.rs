//! Streams of bytes and messages on real sockets: content, order, back-pressure, numbers.

mod common;

use std::time::Duration;

use common::{Pair, client_with, pair, pair_with, pattern, server_with, trust, within};
use futures_util::{SinkExt, StreamExt};
use jsp_tokio::{
    AppCode, Compression, Delivery, MessageOptions, MessageOutcome, ReadError, SendError, Stream, StreamOptions,
    WriteError,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn bytes_go_both_ways_through_tokios_traits() {
    bytes_go_both_ways(&pair().await).await;
}

#[tokio::test]
async fn compressed_bytes_do_too() {
    let pair = pair_with(|config| config.accept_compressed(true).compression(Compression::Adaptive)).await;
    bytes_go_both_ways(&pair).await;
    for stats in [pair.client.stats(), pair.server.stats()] {
        assert!(stats.messages_compressed > 0 && stats.bytes_sent < 3 << 20, "{stats:?}");
    }
}

async fn bytes_go_both_ways(Pair { client, server, .. }: &Pair) {
    let server = server.clone();
    let echo = tokio::spawn(async move {
        let Ok(Some(Stream::Bytes(mut send, mut recv))) = server.accept_stream().await else { panic!("a stream") };
        let copied = tokio::io::copy(&mut recv, &mut send).await.expect("copied");
        send.shutdown().await.expect("open");
        within("delivery", 10, send.delivered()).await.expect("read");
        copied
    });
    let (mut send, mut recv) = client.open_bi().await.expect("open");
    let sent = pattern(0, 3 << 20);
    let write = async {
        AsyncWriteExt::write_all(&mut send, &sent).await.expect("open");
        send.shutdown().await.expect("open");
    };
    let mut received = Vec::new();
    let read = AsyncReadExt::read_to_end(&mut recv, &mut received);
    let ((), read) = within("the echo", 30, async { tokio::join!(write, read) }).await;
    read.expect("read");
    assert!(received == sent, "all bytes in order");
    assert_eq!(within("the server", 10, echo).await.expect("no panic"), sent.len() as u64);
}

#[tokio::test]
async fn messages_keep_their_bounds_and_their_order() {
    let Pair { client, server, .. } = pair().await;
    let (sender, mut receiver) = client.open_messages().await.expect("open").split();
    let echo = tokio::spawn(async move {
        let Ok(Some(Stream::Messages(stream))) = server.accept_stream().await else { panic!("a stream") };
        let (sender, receiver) = stream.split();
        // The whole echo, as combinators.
        receiver.map(|message| Ok::<_, SendError>(message.expect("a message"))).forward(sender).await.expect("sent");
        server
    });
    let sizes = [1usize, 2, 1199, 1200, 1201, 5000, 65_535, 65_536];
    let send = async move {
        let mut sender = sender;
        for size in sizes {
            sender.send(&pattern(size as u64, size)).await.expect("open");
        }
        SinkExt::<Vec<u8>>::close(&mut sender).await.expect("open");
    };
    let receive = async {
        let mut buffer = Vec::new();
        for size in sizes {
            assert_eq!(receiver.recv_into(&mut buffer).await, Ok(Some(size)));
            assert!(buffer == pattern(size as u64, size));
        }
        assert_eq!(receiver.recv().await, Ok(None));
        assert_eq!(receiver.recv().await, Ok(None), "the end stays");
    };
    within("the echo", 20, async { tokio::join!(send, receive) }).await;
    within("the server", 10, echo).await.expect("no panic");
}

#[tokio::test]
async fn what_cannot_be_sent_says_why() {
    let Pair { client, server, .. } = pair().await;
    let mut stream = client.open_messages().await.expect("open");
    assert_eq!(stream.send(b"").await, Err(SendError::Empty));
    assert_eq!(stream.send(&[0; 65_537]).await, Err(SendError::TooLarge { max: 65_536 }));
    stream.finish().expect("open");
    stream.finish().expect("twice changes nothing");
    assert_eq!(stream.send(b"late").await, Err(SendError::Finished));
    assert!(client.open_messages_with(StreamOptions::bytes()).await.is_err());

    let (mut send, _recv) = client.open_bi().await.expect("open");
    let mut accepted = Vec::new();
    let Ok(Some(Stream::Bytes(reply, mut recv))) = within("accepting", 5, async {
        accepted.push(server.accept_stream().await);
        server.accept_stream().await
    })
    .await
    else {
        panic!("a stream")
    };
    recv.stop(AppCode::new(5));
    assert_eq!(recv.read(&mut [0; 8]).await, Err(ReadError::Stopped));
    let stopped = within("being stopped", 5, async {
        loop {
            if let Err(error) = send.write_all(&[0; 1000]).await {
                break error;
            }
        }
    });
    assert_eq!(stopped.await, WriteError::Stopped(AppCode::new(5)));
    let (_send, mut recv) = (send, _recv);
    let mut reply = reply;
    reply.reset(AppCode::new(6));
    assert_eq!(within("the reset", 5, recv.read(&mut [0; 8])).await, Err(ReadError::Reset(AppCode::new(6))));

    within("closing", 10, server.close(AppCode::ZERO, b"")).await.expect("delivered");
    let error = within("noticing", 5, async {
        client.closed().await;
        client.open_bi().await.expect_err("closed")
    })
    .await;
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_tracked_message_has_one_outcome() {
    let Pair { client, server, .. } = pair().await;
    let mut stream = client.open_messages().await.expect("open");
    let outcome = stream.send_with(b"tracked", MessageOptions::new()).await.expect("open");
    assert_eq!(within("the outcome", 5, outcome).await, MessageOutcome::Acked);
    let Ok(Some(Stream::Messages(mut peer))) = server.accept_stream().await else { panic!("a stream") };
    assert_eq!(peer.recv().await.expect("open").as_deref(), Some(&b"tracked"[..]));

    // An outcome survives its handles: the message is delivered by the graceful close.
    let outcome = stream.send_with(b"last", MessageOptions::new()).await.expect("open");
    drop((stream, client));
    assert_eq!(within("the outcome", 15, outcome).await, MessageOutcome::Acked);
    assert_eq!(peer.recv().await.expect("delivered").as_deref(), Some(&b"last"[..]));
    assert_eq!(within("the end", 5, peer.recv()).await, Ok(None));
}

#[tokio::test]
async fn what_arrived_before_the_end_is_read_after_it() {
    let Pair { client, server, .. } = pair().await;
    let mut full = client.open_uni().await.expect("open");
    full.write_all(b"data").await.expect("open");
    full.finish().expect("open");
    let mut empty = client.open_uni().await.expect("open");
    empty.finish().expect("open");
    let mut reset = client.open_uni().await.expect("open");
    reset.reset(AppCode::new(4));
    let cut = client.open_uni().await.expect("open");
    within("closing", 10, client.close(AppCode::ZERO, b"")).await.expect("delivered");
    within("the close", 10, server.closed()).await;
    let mut ends = Vec::new();
    while let Ok(Some(Stream::BytesUni(mut recv))) = server.accept_stream().await {
        ends.push(recv.read_to_end(10).await);
    }
    assert_eq!(ends[..3], [Ok(b"data".to_vec()), Ok(Vec::new()), Err(ReadError::Reset(AppCode::new(4)))]);
    assert!(matches!(ends[3..], [Err(ReadError::Connection(_))]), "{ends:?}");
    drop(cut);
}

#[tokio::test]
async fn large_messages_need_no_reliability() {
    let Pair { client, server, .. } = pair().await;
    let options = StreamOptions::unordered_messages().uni().delivery(Delivery::BestEffort);
    let mut sender = client.open_messages_uni(options).await.expect("open");
    sender.send(&pattern(0, 20_000)).await.expect("open");
    let Ok(Some(Stream::MessagesUni(mut receiver))) = server.accept_stream().await else { panic!("a stream") };
    let message = within("the message", 5, receiver.recv()).await.expect("open").expect("not the end");
    assert!(message == pattern(0, 20_000), "whole");
}

#[tokio::test]
async fn a_slow_reader_holds_the_sender_back() {
    const WINDOW: u64 = 256 << 10;
    const BUFFER: u64 = 512 << 10;
    let limits = |config: jsp_tokio::ConfigBuilder| {
        config
            .receive_window(WINDOW, WINDOW)
            .max_receive_window(WINDOW, WINDOW)
            .send_buffer(BUFFER, BUFFER)
            .max_message_size(WINDOW / 4)
    };
    let Pair { client, server, .. } = pair_with(limits).await;
    let mut send = client.open_uni().await.expect("open");
    let chunk = pattern(0, 16 << 10);
    let mut accepted = 0u64;
    // Half a second without progress on the loopback interface is standing still.
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(500), send.write(&chunk)).await {
        accepted += written.expect("open") as u64;
        assert!(accepted <= 2 * (WINDOW + BUFFER), "nothing holds the sender back: {accepted}");
    }
    assert!(accepted >= WINDOW, "{accepted}");
    assert!(server.stats().receive_memory <= 2 * WINDOW, "{}", server.stats().receive_memory);

    let Ok(Some(Stream::BytesUni(mut recv))) = server.accept_stream().await else { panic!("a stream") };
    let finish = tokio::spawn(async move {
        for _ in 0..64 {
            send.write_all(&chunk).await.expect("open");
        }
        send.finish().expect("open");
        within("delivery", 20, send.delivered()).await.expect("read");
        client
    });
    let all = within("reading on", 20, recv.read_to_end(usize::MAX >> 1)).await.expect("the end");
    assert_eq!(all.len() as u64, accepted + 64 * (16 << 10));
    within("the sender", 10, finish).await.expect("no panic");
}

#[tokio::test]
async fn ten_thousand_streams_at_once() {
    const STREAMS: u64 = 10_000;
    let Pair { client, server, .. } = pair_with(|config| config.max_streams(STREAMS)).await;
    let serve = tokio::spawn(async move {
        let mut streams = Vec::new();
        while streams.len() < STREAMS as usize {
            let Ok(Some(Stream::Messages(stream))) = server.accept_stream().await else { panic!("a stream") };
            streams.push(stream);
        }
        // All are open at this moment.
        for stream in &mut streams {
            let message = stream.recv().await.expect("open").expect("a message");
            stream.send(&message).await.expect("open");
        }
        server.closed().await;
    });
    let mut streams = Vec::new();
    for number in 0..STREAMS {
        let mut stream = within("opening", 20, client.open_messages()).await.expect("open");
        within("sending", 20, stream.send(&number.to_be_bytes())).await.expect("open");
        streams.push(stream);
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        let message = within("the echo", 20, stream.recv()).await.expect("open");
        assert_eq!(message.as_deref(), Some(&(number as u64).to_be_bytes()[..]));
    }
    drop(streams);
    within("closing", 20, client.close(AppCode::ZERO, b"")).await.expect("delivered");
    within("the server", 10, serve).await.expect("no panic");
}

#[tokio::test]
async fn ten_thousand_streams_under_a_limit_of_a_hundred() {
    let Pair { client, server, .. } = pair().await;
    let serve = tokio::spawn(async move {
        let mut sum = 0;
        for _ in 0..10_000 {
            let Ok(Some(Stream::BytesUni(mut recv))) = server.accept_stream().await else { panic!("a stream") };
            let bytes = recv.read_to_end(8).await.expect("the end");
            sum += u64::from_be_bytes(bytes.try_into().expect("8 bytes"));
        }
        server.closed().await;
        sum
    });
    for number in 0..10_000u64 {
        let mut send = within("opening", 10, client.open_uni()).await.expect("open");
        send.write_all(&number.to_be_bytes()).await.expect("open");
    }
    within("closing", 20, client.close(AppCode::ZERO, b"")).await.expect("delivered");
    assert_eq!(within("the server", 10, serve).await.expect("no panic"), 9_999 * 10_000 / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_connections_on_many_threads() {
    let server = server_with(|config| config).await;
    let address = server.local_address();
    let serve = tokio::spawn(async move {
        while let Some(connection) = server.accept().await {
            tokio::spawn(async move {
                while let Ok(Some(Stream::Messages(mut stream))) = connection.accept_stream().await {
                    tokio::spawn(async move {
                        let mut buffer = Vec::new();
                        while let Ok(Some(_)) = stream.recv_into(&mut buffer).await {
                            stream.send(&buffer).await.expect("open");
                        }
                    });
                }
            });
        }
    });
    let client = client_with(|config| config).await;
    let clients: Vec<_> = (0..16u64)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                let connection = client.connect(address, &trust()).await.expect("the server");
                let streams: Vec<_> = (0..8)
                    .map(|_| {
                        let connection = connection.clone();
                        tokio::spawn(async move {
                            let mut stream = connection.open_messages().await.expect("open");
                            for round in 0..100 {
                                let sent = pattern(number * round, 1 + (round as usize * 37) % 3000);
                                stream.send(&sent).await.expect("open");
                                assert!(stream.recv().await.expect("open") == Some(sent));
                            }
                        })
                    })
                    .collect();
                for stream in streams {
                    stream.await.expect("no panic");
                }
                connection.close(AppCode::ZERO, b"").await.expect("delivered");
            })
        })
        .collect();
    for client in clients {
        within("a client", 30, client).await.expect("no panic");
    }
    serve.abort();
}

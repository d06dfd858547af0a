//! Streams through the traits that smol's own types have, on real sockets.

mod common;

use common::{Pair, pair, pattern, within};
use futures_util::{SinkExt, StreamExt};
use jsp_smol::{AppCode, ReadError, SendError, Stream, WriteError};
use smol::future::{or, poll_once, yield_now, zip};
use smol::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn bytes_go_both_ways_through_the_traits() {
    smol::block_on(async {
        let Pair { client, server, .. } = pair().await;
        let echo = smol::spawn(async move {
            let Ok(Some(Stream::Bytes(mut send, mut recv))) = server.accept_stream().await else { panic!("a stream") };
            let copied = smol::io::copy(&mut recv, &mut send).await.expect("copied");
            send.close().await.expect("open");
            within("delivery", 10, send.delivered()).await.expect("read");
            copied
        });
        let (mut send, mut recv) = client.open_bi().await.expect("open");
        let sent = pattern(0, 3 << 20);
        let write = async {
            AsyncWriteExt::write_all(&mut send, &sent).await.expect("open");
            send.flush().await.expect("open");
            send.close().await.expect("open");
            send.close().await.expect("closing twice changes nothing");
            let late = AsyncWriteExt::write(&mut send, b"late").await.expect_err("closed");
            assert_eq!(late.kind(), std::io::ErrorKind::BrokenPipe);
        };
        let mut received = Vec::new();
        let read = AsyncReadExt::read_to_end(&mut recv, &mut received);
        let ((), read) = within("the echo", 30, zip(write, read)).await;
        assert_eq!(read.expect("read"), sent.len());
        assert!(received == sent, "all bytes in order");
        assert_eq!(within("the server", 10, echo).await, sent.len() as u64);
    });
}

#[test]
fn errors_keep_their_meaning_through_the_traits() {
    smol::block_on(async {
        let Pair { client, server, .. } = pair().await;
        let (mut send, mut recv) = client.open_bi().await.expect("open");
        let Ok(Some(Stream::Bytes(mut reply, mut request))) = within("the stream", 5, server.accept_stream()).await
        else {
            panic!("a stream")
        };
        reply.reset(AppCode::new(6));
        let error = within("the reset", 5, AsyncReadExt::read(&mut recv, &mut [0; 8])).await.expect_err("reset");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        let inner = error.downcast::<ReadError>().expect("the error itself");
        assert_eq!(inner, ReadError::Reset(AppCode::new(6)));

        request.stop(AppCode::new(5));
        let stopped = within("being stopped", 5, async {
            loop {
                if let Err(error) = AsyncWriteExt::write(&mut send, &[0; 1000]).await {
                    break error;
                }
            }
        });
        let inner = stopped.await.downcast::<WriteError>().expect("the error itself");
        assert_eq!(inner, WriteError::Stopped(AppCode::new(5)));
    });
}

#[test]
fn messages_are_a_stream_and_a_sink() {
    smol::block_on(async {
        let Pair { client, server, .. } = pair().await;
        let (mut sender, mut receiver) = client.open_messages().await.expect("open").split();
        let echo = smol::spawn(async move {
            let Ok(Some(Stream::Messages(stream))) = server.accept_stream().await else { panic!("a stream") };
            let (sender, receiver) = stream.split();
            // The whole echo, as combinators.
            receiver
                .map(|message| Ok::<_, SendError>(message.expect("a message")))
                .forward(sender)
                .await
                .expect("sent");
            server
        });
        let sizes = [1usize, 2, 1199, 1200, 1201, 5000, 65_535, 65_536];
        let send = async move {
            for size in sizes {
                SinkExt::send(&mut sender, pattern(size as u64, size)).await.expect("open");
            }
            SinkExt::<Vec<u8>>::close(&mut sender).await.expect("open");
        };
        let receive = async {
            for size in sizes {
                let message = smol::stream::StreamExt::next(&mut receiver).await.expect("not the end").expect("open");
                assert!(message == pattern(size as u64, size));
            }
            assert!(StreamExt::next(&mut receiver).await.is_none());
        };
        within("the echo", 20, zip(send, receive)).await;
        within("the server", 10, echo).await;
    });
}

#[test]
fn a_cancelled_read_loses_nothing() {
    const MESSAGES: usize = 300;
    smol::block_on(async {
        let Pair { client, server, .. } = pair().await;
        let mut sender = client.open_messages().await.expect("open");
        let Ok(Some(Stream::Messages(mut receiver))) = within("the stream", 5, server.accept_stream()).await else {
            panic!("a stream")
        };
        // Nothing was sent, so this one waits, and is dropped.
        assert!(poll_once(receiver.recv()).await.is_none());
        let send = smol::spawn(async move {
            for number in 0..MESSAGES {
                sender.send(&pattern(number as u64, 1 + number * 20)).await.expect("open");
            }
            sender
        });
        within("all messages", 20, async {
            let mut next = 0;
            while next < MESSAGES {
                let received = async { Some(receiver.recv().await.expect("open").expect("not the end")) };
                let other = async {
                    yield_now().await;
                    None
                };
                if let Some(message) = or(received, other).await {
                    assert!(message == pattern(next as u64, 1 + next * 20), "message {next}");
                    next += 1;
                }
            }
        })
        .await;
        within("the sender", 5, send).await;
    });
}

#[test]
fn a_cancelled_accept_or_open_loses_no_stream() {
    const STREAMS: usize = 200;
    smol::block_on(async {
        let Pair { client, server, .. } = pair().await;
        assert!(poll_once(server.accept_stream()).await.is_none());
        // More than the peer's limit at once: opening waits and is cancelled too.
        let open = smol::spawn(async move {
            for _ in 0..STREAMS {
                let mut send = loop {
                    let opened = async { Some(client.open_uni().await.expect("open")) };
                    let other = async {
                        yield_now().await;
                        None
                    };
                    if let Some(send) = or(opened, other).await {
                        break send;
                    }
                };
                send.write_all(b"here").await.expect("open");
            }
            client.close(AppCode::ZERO, b"").await.expect("delivered");
        });
        within("all streams", 30, async {
            let mut seen = 0;
            loop {
                let accepted = async { Some(server.accept_stream().await.expect("an ordinary end")) };
                let other = async {
                    yield_now().await;
                    None
                };
                match or(accepted, other).await {
                    Some(Some(Stream::BytesUni(mut recv))) => {
                        assert_eq!(recv.read_to_end(10).await.expect("the end"), b"here");
                        seen += 1;
                    }
                    Some(Some(other)) => panic!("{other:?}"),
                    Some(None) => break,
                    None => {}
                }
            }
            assert_eq!(seen, STREAMS);
        })
        .await;
        within("the opener", 10, open).await;
    });
}

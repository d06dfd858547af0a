//! The works: the same for every peer, over the streams of bytes that all have.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{Failure, Peer, cpu};

/// What is written to and read from a stream at once.
const CHUNK: usize = 64 << 10;
/// The size of a ping and of its answer.
const PING: usize = 64;
/// Round trips before those that count.
const WARM_UP: u64 = 200;
/// Handshakes under way at once.
const ATTEMPTS: usize = 4;

/// The server's side of every work; the stream's first byte names it.
pub(crate) async fn answer(mut send: impl AsyncWrite + Unpin, mut recv: impl AsyncRead + Unpin) -> Result<(), Failure> {
    if recv.read_u8().await? == b'b' {
        let mut chunk = vec![0; CHUNK];
        while recv.read(&mut chunk).await? > 0 {}
        send.write_all(&[0]).await?;
    } else {
        let mut ping = [0; PING];
        while recv.read_exact(&mut ping).await.is_ok() {
            send.write_all(&ping).await?;
        }
    }
    send.shutdown().await?;
    Ok(())
}

/// Sends `bytes` and waits until the server's program has read them all.
pub(crate) async fn bulk<P: Peer>(peer: &P, bytes: u64) -> Result<(), Failure> {
    let connection = peer.connect().await?;
    let (mut send, mut recv) = P::open(&connection).await?;
    let chunk = vec![7; CHUNK];
    let (start, cpu_before) = (Instant::now(), cpu());
    send.write_all(b"b").await?;
    let mut left = bytes;
    while left > 0 {
        let len = left.min(CHUNK as u64) as usize;
        send.write_all(&chunk[..len]).await?;
        left -= len as u64;
    }
    send.shutdown().await?;
    recv.read_u8().await?;
    println!("seconds {}\ncpu {}", start.elapsed().as_secs_f64(), cpu() - cpu_before);
    P::close(connection);
    Ok(())
}

/// One ping at a time, `count` times.
pub(crate) async fn ping<P: Peer>(peer: &P, count: u64) -> Result<(), Failure> {
    let connection = peer.connect().await?;
    let (mut send, mut recv) = P::open(&connection).await?;
    send.write_all(b"p").await?;
    let mut times = Vec::with_capacity(count as usize);
    let mut ping = [7; PING];
    let mut cpu_before = 0.0;
    for round in 0..WARM_UP + count {
        if round == WARM_UP {
            cpu_before = cpu();
        }
        let start = Instant::now();
        send.write_all(&ping).await?;
        recv.read_exact(&mut ping).await?;
        if round >= WARM_UP {
            times.push(start.elapsed());
        }
    }
    let used = cpu() - cpu_before;
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    println!("p50 {}\np99 {}\ncpu {used}", at(0.5), at(0.99));
    P::close(connection);
    Ok(())
}

/// Connects and closes for a while, [`ATTEMPTS`] at once.
pub(crate) async fn handshakes<P: Peer>(peer: &P, duration: Duration) -> Result<(), Failure> {
    let (start, cpu_before) = (Instant::now(), cpu());
    let worker = || async {
        let mut count = 0u64;
        while start.elapsed() < duration {
            P::close(peer.connect().await?);
            count += 1;
        }
        Ok::<_, Failure>(count)
    };
    const { assert!(ATTEMPTS == 4) };
    let counts = tokio::try_join!(worker(), worker(), worker(), worker())?;
    let count = counts.0 + counts.1 + counts.2 + counts.3;
    println!("seconds {}\ncpu {}\ncount {count}", start.elapsed().as_secs_f64(), cpu() - cpu_before);
    Ok(())
}

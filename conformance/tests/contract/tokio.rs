//! The contract on jsp-tokio.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pub(crate) use jsp_tokio as adapter;
use jsp_tokio::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};

#[path = "asynchronous.rs"]
mod asynchronous;

/// An endpoint of jsp-tokio.
pub(crate) type Tokio = asynchronous::Asynchronous;

const NAME: &str = "tokio";

/// A runtime for one endpoint, whose task runs on a thread of its own.
struct Executor(Runtime);

impl Executor {
    fn new() -> Self {
        Self(Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime"))
    }

    fn run<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }
}

fn poll_write(stream: &mut SendStream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    AsyncWrite::poll_write(Pin::new(stream), cx, bytes)
}

fn poll_close(stream: &mut SendStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    AsyncWrite::poll_shutdown(Pin::new(stream), cx)
}

fn poll_read(stream: &mut RecvStream, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    ready!(AsyncRead::poll_read(Pin::new(stream), cx, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

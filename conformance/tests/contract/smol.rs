//! The contract on jsp-smol.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(crate) use jsp_smol as adapter;
use jsp_smol::{RecvStream, SendStream};
use smol::io::{AsyncRead, AsyncWrite};

#[path = "asynchronous.rs"]
mod asynchronous;

/// An endpoint of jsp-smol.
pub(crate) type Smol = asynchronous::Asynchronous;

const NAME: &str = "smol";

/// The global executor, whose one thread drives all endpoints.
struct Executor;

impl Executor {
    fn new() -> Self {
        Self
    }

    fn run<F: Future>(&self, future: F) -> F::Output {
        smol::block_on(future)
    }
}

fn poll_write(stream: &mut SendStream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    AsyncWrite::poll_write(Pin::new(stream), cx, bytes)
}

fn poll_close(stream: &mut SendStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    AsyncWrite::poll_close(Pin::new(stream), cx)
}

fn poll_read(stream: &mut RecvStream, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    AsyncRead::poll_read(Pin::new(stream), cx, buffer)
}

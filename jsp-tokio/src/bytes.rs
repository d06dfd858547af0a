//! Streams of bytes as tokio's `AsyncRead` and `AsyncWrite`.

use std::io;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use jsp_proto::driver::{self, ReadError, WriteError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The sending half of a stream of bytes: [`AsyncWrite`], and through deref the methods of [`driver::SendStream`].
///
/// `flush` has nothing to do, `shutdown` [finishes](driver::SendStream::finish) the stream. So does dropping it: the
/// peer reads everything that was written, then the end. To give up instead, call
/// [`reset`](driver::SendStream::reset).
#[derive(Debug)]
pub struct SendStream {
    inner: driver::SendStream,
}

/// The receiving half of a stream of bytes: [`AsyncRead`], and through deref the methods of [`driver::RecvStream`].
///
/// Dropping it before the end was read tells the peer to stop sending.
#[derive(Debug)]
pub struct RecvStream {
    inner: driver::RecvStream,
}

// The methods that tokio's extension traits have too are repeated here, so that they mean the same whether those
// traits are in scope or not.
impl SendStream {
    pub(crate) fn new(inner: driver::SendStream) -> Self {
        Self { inner }
    }

    /// Writes some of `bytes` and says how many. Waits while the stream's buffer is full.
    ///
    /// Cancel safe: if the future is dropped before it completes nothing was written.
    ///
    /// # Errors
    /// [`WriteError`] when the stream takes no more.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<usize, WriteError> {
        self.inner.write(bytes).await
    }

    /// Writes all of `bytes`.
    ///
    /// Not cancel safe: if the future is dropped some of `bytes` may have been written.
    ///
    /// # Errors
    /// [`WriteError`] when the stream takes no more.
    pub async fn write_all(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.inner.write_all(bytes).await
    }
}

impl RecvStream {
    pub(crate) fn new(inner: driver::RecvStream) -> Self {
        Self { inner }
    }

    /// Reads into `buffer` and says how much; 0 at the end of the stream.
    ///
    /// Cancel safe: if the future is dropped before it completes nothing was read.
    ///
    /// # Errors
    /// [`ReadError`] when there is no regular end. What was received before is read first.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        self.inner.read(buffer).await
    }

    /// Reads to the end of the stream, at most `limit` bytes.
    ///
    /// Not cancel safe: what was read is lost with the future.
    ///
    /// # Errors
    /// [`ReadError::TooLong`] when the stream has more than `limit` bytes, otherwise as [`read`](Self::read).
    pub async fn read_to_end(&mut self, limit: usize) -> Result<Vec<u8>, ReadError> {
        self.inner.read_to_end(limit).await
    }
}

impl AsyncWrite for SendStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().inner.poll_write(cx, bytes).map_err(io::Error::from)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_mut().inner.finish().map_err(io::Error::from))
    }
}

impl AsyncRead for RecvStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(self.get_mut().inner.poll_read(cx, buffer.initialize_unfilled()))?;
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl Deref for SendStream {
    type Target = driver::SendStream;

    fn deref(&self) -> &driver::SendStream {
        &self.inner
    }
}

impl DerefMut for SendStream {
    fn deref_mut(&mut self) -> &mut driver::SendStream {
        &mut self.inner
    }
}

impl Deref for RecvStream {
    type Target = driver::RecvStream;

    fn deref(&self) -> &driver::RecvStream {
        &self.inner
    }
}

impl DerefMut for RecvStream {
    fn deref_mut(&mut self) -> &mut driver::RecvStream {
        &mut self.inner
    }
}

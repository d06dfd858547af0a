//! Streams of bytes.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec::Vec;

use futures_io::{AsyncRead, AsyncWrite};

use super::error::{ReadError, WriteError};
use super::stream::{Attempt, Half};
use crate::{AppCode, Compression, ConnectionError, Fec, Recv, RecvError, SendError, StreamId};

/// The sending half of a stream of bytes. Also a [`futures_io::AsyncWrite`].
///
/// Dropping it [finishes](Self::finish) the stream: the peer reads everything that was written, then the end. To give
/// up instead, call [`reset`](Self::reset).
#[derive(Debug)]
pub struct SendStream {
    half: Half,
}

impl SendStream {
    pub(super) fn new(half: Half) -> Self {
        Self { half }
    }

    /// The stream's id.
    pub fn id(&self) -> StreamId {
        self.half.stream
    }

    /// Writes some of `bytes` and says how many. Waits while the stream's buffer is full.
    ///
    /// Cancel safe: if the future is dropped before it completes nothing was written.
    ///
    /// # Errors
    /// [`WriteError`] when the stream takes no more.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<usize, WriteError> {
        poll_fn(|cx| self.poll_write(cx, bytes)).await
    }

    /// Writes all of `bytes`.
    ///
    /// Not cancel safe: if the future is dropped some of `bytes` may have been written.
    ///
    /// # Errors
    /// [`WriteError`] when the stream takes no more.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), WriteError> {
        while !bytes.is_empty() {
            let written = self.write(bytes).await?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// As [`write`](Self::write), for implementing traits of runtimes.
    ///
    /// # Errors
    /// [`WriteError`] when the stream takes no more.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, WriteError>> {
        let stream = self.half.stream;
        let written = self.half.poll(
            cx,
            |slot| &mut slot.writer,
            |conn, slot| match conn.send(stream, bytes) {
                Ok(0) if !bytes.is_empty() => Attempt::Blocked,
                Ok(written) => Attempt::Done(Ok(written)),
                Err(SendError::Blocked) => Attempt::Blocked,
                Err(error) => Attempt::Done(Err(WriteError::new(error, slot, stream))),
            },
        );
        written.map(|written| written?)
    }

    /// Says that nothing more will be written. What was written is still delivered; [`delivered`](Self::delivered)
    /// waits for that. Finishing twice changes nothing.
    ///
    /// # Errors
    /// [`WriteError`] when the stream was reset or stopped or the connection is over.
    pub fn finish(&mut self) -> Result<(), WriteError> {
        self.half.finish()
    }

    /// After [`finish`](Self::finish): waits until the peer's transport has everything. Cancel safe.
    ///
    /// # Errors
    /// [`WriteError`] when that will not happen.
    pub async fn delivered(&mut self) -> Result<(), WriteError> {
        self.half.delivered().await
    }

    /// Gives the stream up: the peer reads `code` instead of what it has not received yet.
    pub fn reset(&mut self, code: AppCode) {
        self.half.reset(code);
    }

    /// Whether what is sent from now on is compressed; mind the warning at [`Compression`]. Does nothing on a stream that
    /// was opened without compression.
    pub fn set_compression(&mut self, compression: Compression) {
        self.half.set_compression(compression);
    }

    /// Error correction of what is sent from now on.
    ///
    /// # Errors
    /// [`SendError::Fec`](crate::SendError) if [`Fec::On`] is out of its bounds, others when the stream is over.
    pub fn set_fec(&mut self, fec: Fec) -> Result<(), SendError> {
        self.half.set_fec(fec)
    }

    /// Changes the stream's priority, 0 to 255, higher is more urgent.
    pub fn set_priority(&mut self, priority: u8) {
        self.half.set_priority(priority);
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        // On a stream that was reset, stopped or finished already this changes nothing.
        let _ = self.finish();
    }
}

/// The receiving half of a stream of bytes. Also a [`futures_io::AsyncRead`].
///
/// Dropping it before the end was read tells the peer to stop sending.
#[derive(Debug)]
pub struct RecvStream {
    half: Half,
    /// The end as it was read; nothing more will come.
    end: Option<Result<(), ReadError>>,
}

impl RecvStream {
    pub(super) fn new(half: Half) -> Self {
        Self { half, end: None }
    }

    /// The stream's id.
    pub fn id(&self) -> StreamId {
        self.half.stream
    }

    /// Reads into `buffer` and says how much; 0 at the end of the stream.
    ///
    /// Cancel safe: if the future is dropped before it completes nothing was read.
    ///
    /// # Errors
    /// [`ReadError`] when there is no regular end. What was received before is read first.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        poll_fn(|cx| self.poll_read(cx, buffer)).await
    }

    /// Reads to the end of the stream, at most `limit` bytes.
    ///
    /// Not cancel safe: what was read is lost with the future.
    ///
    /// # Errors
    /// [`ReadError::TooLong`] when the stream has more than `limit` bytes, otherwise as [`read`](Self::read).
    pub async fn read_to_end(&mut self, limit: usize) -> Result<Vec<u8>, ReadError> {
        const STEP: usize = 64 << 10;
        let mut bytes = Vec::new();
        loop {
            let start = bytes.len();
            // One byte more than allowed tells a stream that is too long from one that ends at the limit.
            let step = STEP.min(limit.saturating_sub(start).saturating_add(1));
            bytes.resize(start + step, 0);
            let read = self.read(bytes.get_mut(start..).unwrap_or_default()).await?;
            bytes.truncate(start + read);
            if read == 0 {
                return Ok(bytes);
            }
            if bytes.len() > limit {
                return Err(ReadError::TooLong);
            }
        }
    }

    /// As [`read`](Self::read), for implementing traits of runtimes.
    ///
    /// # Errors
    /// [`ReadError`] when there is no regular end.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize, ReadError>> {
        if let Some(end) = &self.end {
            return Poll::Ready(end.clone().map(|()| 0));
        }
        let stream = self.half.stream;
        let mut reason = None;
        let read = self.half.poll(
            cx,
            |slot| &mut slot.reader,
            |conn, slot| match (conn.recv(stream, buffer), slot.reset(stream)) {
                (Ok(Recv::Blocked), _) => Attempt::Blocked,
                (Err(RecvError::UnknownStream), Some(code)) => Attempt::Done(Ok(Recv::Reset(code))),
                (Err(RecvError::Corrupt), _) => {
                    reason = conn.close_reason().cloned();
                    Attempt::Done(Err(RecvError::Corrupt))
                }
                (found, _) => Attempt::Done(found),
            },
        );
        let end = match read {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(Ok(Recv::Data(read)))) => return Poll::Ready(Ok(read)),
            Poll::Ready(Ok(Err(RecvError::Corrupt))) => Err(reason.map_or(ReadError::Stopped, ReadError::from)),
            Poll::Ready(Ok(found)) => end_of(found.map(|found| match found {
                Recv::Reset(code) => Err(ReadError::Reset(code)),
                _ => Ok(()),
            })),
            Poll::Ready(Err(error)) => Err(error.into()),
        };
        self.end = Some(end.clone());
        Poll::Ready(end.map(|()| 0))
    }

    /// Tells the peer to stop sending, with a code. What was received and not read is discarded.
    pub fn stop(&mut self, code: AppCode) {
        self.end.get_or_insert(Err(ReadError::Stopped));
        self.half.stop(code);
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        if self.end.is_none() {
            self.half.stop(AppCode::ZERO);
        }
    }
}

impl AsyncWrite for SendStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Self::poll_write(self.get_mut(), cx, bytes).map_err(io::Error::from)
    }

    /// What was written is on its way without further ado.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// [Finishes](SendStream::finish) the stream.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_mut().finish().map_err(io::Error::from))
    }
}

impl AsyncRead for RecvStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Self::poll_read(self.get_mut(), cx, buffer).map_err(io::Error::from)
    }
}

/// The end of a stream as a read reports it. A stream the core has forgotten was stopped by this side: its regular
/// end would have been kept by the handle.
pub(super) fn end_of(found: Result<Result<(), ReadError>, RecvError>) -> Result<(), ReadError> {
    found.unwrap_or(Err(ReadError::Stopped))
}

impl Half {
    pub(super) fn finish(&self) -> Result<(), WriteError> {
        let finished = self.act(|conn, slot| match conn.finish(self.stream) {
            Ok(()) | Err(SendError::Finished) => Ok(()),
            Err(error) => Err(WriteError::new(error, slot, self.stream)),
        });
        finished.unwrap_or(Err(WriteError::Connection(self.end())))
    }

    pub(super) async fn delivered(&self) -> Result<(), WriteError> {
        let delivered = poll_fn(|cx| {
            self.poll(
                cx,
                |slot| &mut slot.writer,
                |_, slot| {
                    let Some(stream) = slot.streams.get(&self.stream) else { return Attempt::Blocked };
                    match stream.stopped {
                        _ if stream.delivered => Attempt::Done(Ok(())),
                        Some(code) => Attempt::Done(Err(WriteError::Stopped(code))),
                        None => Attempt::Blocked,
                    }
                },
            )
        });
        delivered.await?
    }

    pub(super) fn reset(&self, code: AppCode) {
        self.act(|conn, _| conn.reset(self.stream, code));
    }

    pub(super) fn stop(&self, code: AppCode) {
        self.act(|conn, _| conn.stop(self.stream, code));
    }

    pub(super) fn set_compression(&self, compression: Compression) {
        self.act(|conn, _| conn.set_compression(self.stream, compression));
    }

    pub(super) fn set_fec(&self, fec: Fec) -> Result<(), SendError> {
        self.act(|conn, _| conn.set_fec(self.stream, fec)).unwrap_or(Err(SendError::Closed))
    }

    pub(super) fn set_priority(&self, priority: u8) {
        self.act(|conn, _| conn.set_priority(self.stream, priority));
    }

    pub(super) fn end(&self) -> ConnectionError {
        let state = self.conn.shared.lock();
        state.slots.get(&self.conn.id).map_or(ConnectionError::LocallyClosed { code: AppCode::ZERO }, |slot| slot.end())
    }
}

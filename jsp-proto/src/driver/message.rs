//! Streams of messages.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::vec::Vec;

use super::bytes::end_of;
use super::error::{ReadError, SendError, WriteError};
use super::state::{Shared, Tracked};
use super::stream::{Attempt, Half};
use crate::{
    AppCode, Compression, ConnId, Fec, MessageId, MessageOptions, Outcome as Fate, RecvError, RecvMessage, StreamId,
};

/// The sending half of a stream of messages. Also a [`futures_sink::Sink`] of anything that gives bytes.
///
/// Dropping it [finishes](Self::finish) the stream: the peer gets every message that was accepted, as their delivery
/// says, then the end.
#[derive(Debug)]
pub struct MessageSender {
    half: Half,
    /// A message that the sink took and the stream has not accepted yet.
    waiting: Option<Vec<u8>>,
}

impl MessageSender {
    pub(super) fn new(half: Half) -> Self {
        Self { half, waiting: None }
    }

    /// The stream's id.
    pub fn id(&self) -> StreamId {
        self.half.stream
    }

    /// Sends a message as the stream delivers. Returns when it was accepted, which waits while the buffer is full.
    ///
    /// Cancel safe: if the future is dropped before it completes nothing of the message was accepted; a message is
    /// accepted whole or not at all.
    ///
    /// # Errors
    /// [`SendError`] when the message cannot be sent.
    pub async fn send(&mut self, message: &[u8]) -> Result<(), SendError> {
        poll_fn(|cx| self.poll_send(cx, message)).await
    }

    /// Sends a message in its own way and gives a future of what becomes of it. Otherwise as [`send`](Self::send).
    ///
    /// # Errors
    /// [`SendError`] when the message cannot be sent.
    pub async fn send_with(&mut self, message: &[u8], options: MessageOptions) -> Result<Outcome, SendError> {
        let options = options.tracked();
        let id = poll_fn(|cx| self.poll_accept(cx, message, options)).await?;
        Ok(Outcome { shared: self.half.conn.shared.clone(), conn: self.half.conn.id, message: id })
    }

    /// As [`send`](Self::send), without waiting: `Ok(false)` when the buffer is full.
    ///
    /// # Errors
    /// [`SendError`] when the message cannot be sent.
    pub fn try_send(&mut self, message: &[u8], options: MessageOptions) -> Result<bool, SendError> {
        if self.waiting.is_some() {
            return Ok(false);
        }
        let sent = self.half.act(|conn, slot| match conn.send_message(self.half.stream, message, options) {
            Ok(_) => Ok(true),
            Err(crate::SendError::Blocked) => Ok(false),
            Err(error) => Err(SendError::new(error, slot, self.half.stream)),
        });
        sent.unwrap_or_else(|| Err(SendError::Connection(self.half.end())))
    }

    /// As [`send`](Self::send), for implementing traits of runtimes.
    ///
    /// # Errors
    /// [`SendError`] when the message cannot be sent.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        self.poll_accept(cx, message, MessageOptions::new()).map_ok(|_| ())
    }

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
        message: &[u8],
        options: MessageOptions,
    ) -> Poll<Result<MessageId, SendError>> {
        ready!(self.poll_waiting(cx))?;
        self.half.poll_send(cx, message, options)
    }

    /// Moves the message of the sink on.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if let Some(message) = &self.waiting {
            let accepted = ready!(self.half.poll_send(cx, message, MessageOptions::new()));
            self.waiting = None;
            accepted?;
        }
        Poll::Ready(Ok(()))
    }

    /// Says that no more messages follow. Finishing twice changes nothing.
    ///
    /// # Errors
    /// [`WriteError`] when the stream was reset or stopped or the connection is over.
    pub fn finish(&mut self) -> Result<(), WriteError> {
        self.half.finish()
    }

    /// After [`finish`](Self::finish): waits until the peer's transport has everything that is delivered reliably.
    /// Cancel safe.
    ///
    /// # Errors
    /// [`WriteError`] when that will not happen.
    pub async fn delivered(&mut self) -> Result<(), WriteError> {
        self.half.delivered().await
    }

    /// Gives the stream up, with messages that were not delivered yet.
    pub fn reset(&mut self, code: AppCode) {
        self.half.reset(code);
    }

    /// Whether messages sent from now on are compressed; mind the warning at [`Compression`].
    pub fn set_compression(&mut self, compression: Compression) {
        self.half.set_compression(compression);
    }

    /// Error correction of what is sent from now on.
    ///
    /// # Errors
    /// [`SendError::Fec`](crate::SendError) if [`Fec::On`] is out of its bounds, others when the stream is over.
    pub fn set_fec(&mut self, fec: Fec) -> Result<(), crate::SendError> {
        self.half.set_fec(fec)
    }

    /// Changes the stream's priority, 0 to 255, higher is more urgent.
    pub fn set_priority(&mut self, priority: u8) {
        self.half.set_priority(priority);
    }
}

impl Drop for MessageSender {
    fn drop(&mut self) {
        // On a stream that was reset, stopped or finished already this changes nothing.
        let _ = self.finish();
    }
}

impl Half {
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        message: &[u8],
        options: MessageOptions,
    ) -> Poll<Result<MessageId, SendError>> {
        let accepted = self.poll(
            cx,
            |slot| &mut slot.writer,
            |conn, slot| match conn.send_message(self.stream, message, options) {
                Ok(id) => {
                    if options.tracked {
                        slot.tracked.insert(id, Tracked::default());
                    }
                    Attempt::Done(Ok(id))
                }
                Err(crate::SendError::Blocked) => Attempt::Blocked,
                Err(error) => Attempt::Done(Err(SendError::new(error, slot, self.stream))),
            },
        );
        accepted.map(|accepted| accepted?)
    }
}

impl<M: AsRef<[u8]>> futures_sink::Sink<M> for MessageSender {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.get_mut().poll_waiting(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: M) -> Result<(), SendError> {
        let this = self.get_mut();
        if !this.try_send(message.as_ref(), MessageOptions::new())? {
            this.waiting = Some(message.as_ref().to_vec());
        }
        Ok(())
    }

    /// Ready when the stream has accepted everything. To know that the peer has it, see
    /// [`delivered`](MessageSender::delivered).
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.get_mut().poll_waiting(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let this = self.get_mut();
        ready!(this.poll_waiting(cx))?;
        Poll::Ready(this.finish().map_err(SendError::from))
    }
}

/// A future of what becomes of a message. Dropping it loses interest, not the message.
#[derive(Debug)]
#[must_use = "drop it to ignore what becomes of the message"]
pub struct Outcome {
    shared: Arc<Shared>,
    conn: ConnId,
    message: MessageId,
}

impl Outcome {
    /// The message that this is about.
    pub fn message(&self) -> MessageId {
        self.message
    }
}

impl Future for Outcome {
    type Output = Fate;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Fate> {
        let mut _replaced = None;
        let mut state = self.shared.lock();
        let tracked = state.slots.get_mut(&self.conn).and_then(|slot| slot.tracked.get_mut(&self.message));
        // A message that is not known any more went down with its connection.
        let Some(tracked) = tracked else { return Poll::Ready(Fate::Lost) };
        match tracked.outcome {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                _replaced = tracked.waiter.register(cx.waker());
                Poll::Pending
            }
        }
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        let _tracked = self.shared.lock().untrack(self.conn, self.message);
    }
}

/// The receiving half of a stream of messages. Also a [`futures_core::Stream`] of messages.
///
/// Dropping it before the end was read tells the peer to stop sending.
#[derive(Debug)]
pub struct MessageReceiver {
    half: Half,
    /// The end as it was read; nothing more will come.
    end: Option<Result<(), ReadError>>,
}

impl MessageReceiver {
    pub(super) fn new(half: Half) -> Self {
        Self { half, end: None }
    }

    /// The stream's id.
    pub fn id(&self) -> StreamId {
        self.half.stream
    }

    /// The next message; `None` at the end of the stream.
    ///
    /// Cancel safe: if the future is dropped before it completes no message was taken. A message is never torn.
    ///
    /// # Errors
    /// [`ReadError`] when there is no regular end. Messages that were received before are given first.
    pub async fn recv(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// As [`recv`](Self::recv), into a buffer that can be used again: what `message` held is replaced by the next
    /// message. `None` at the end of the stream, otherwise the message's length.
    ///
    /// Cancel safe, as `recv`.
    ///
    /// # Errors
    /// As for `recv`.
    pub async fn recv_into(&mut self, message: &mut Vec<u8>) -> Result<Option<usize>, ReadError> {
        poll_fn(|cx| self.poll_recv_into(cx, message)).await
    }

    /// As [`recv`](Self::recv), for implementing traits of runtimes.
    ///
    /// # Errors
    /// As for `recv`.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Vec<u8>>, ReadError>> {
        let mut message = Vec::new();
        self.poll_recv_into(cx, &mut message).map_ok(|found| found.map(|_| message))
    }

    /// As [`recv_into`](Self::recv_into), for implementing traits of runtimes.
    ///
    /// # Errors
    /// As for `recv`.
    pub fn poll_recv_into(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut Vec<u8>,
    ) -> Poll<Result<Option<usize>, ReadError>> {
        if let Some(end) = &self.end {
            return Poll::Ready(end.clone().map(|()| None));
        }
        let stream = self.half.stream;
        message.clear();
        let mut reason = None;
        let found = self.half.poll(
            cx,
            |slot| &mut slot.reader,
            |conn, slot| match (conn.recv_message(stream, message), slot.reset(stream)) {
                (Ok(RecvMessage::Blocked), _) => Attempt::Blocked,
                (Err(RecvError::UnknownStream), Some(code)) => Attempt::Done(Ok(RecvMessage::Reset(code))),
                (Err(RecvError::Corrupt), _) => {
                    reason = conn.close_reason().cloned();
                    Attempt::Done(Err(RecvError::Corrupt))
                }
                (found, _) => Attempt::Done(found),
            },
        );
        let end = match found {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(Ok(RecvMessage::Message(len)))) => return Poll::Ready(Ok(Some(len))),
            Poll::Ready(Ok(Err(RecvError::Corrupt))) => Err(reason.map_or(ReadError::Stopped, ReadError::from)),
            Poll::Ready(Ok(found)) => end_of(found.map(|found| match found {
                RecvMessage::Reset(code) => Err(ReadError::Reset(code)),
                _ => Ok(()),
            })),
            Poll::Ready(Err(error)) => Err(error.into()),
        };
        self.end = Some(end.clone());
        Poll::Ready(end.map(|()| None))
    }

    /// Tells the peer to stop sending, with a code. What was received and not read is discarded.
    pub fn stop(&mut self, code: AppCode) {
        self.end.get_or_insert(Err(ReadError::Stopped));
        self.half.stop(code);
    }
}

impl Drop for MessageReceiver {
    fn drop(&mut self) {
        if self.end.is_none() {
            self.half.stop(AppCode::ZERO);
        }
    }
}

impl futures_core::Stream for MessageReceiver {
    type Item = Result<Vec<u8>, ReadError>;

    /// Gives the messages, then an error once if there was no regular end, then `None`.
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.end.is_some() {
            return Poll::Ready(None);
        }
        this.poll_recv(cx).map(Result::transpose)
    }
}

/// Messages in both directions.
#[derive(Debug)]
pub struct MessageStream {
    sender: MessageSender,
    receiver: MessageReceiver,
}

impl MessageStream {
    pub(super) fn new(sender: MessageSender, receiver: MessageReceiver) -> Self {
        Self { sender, receiver }
    }

    /// The stream's id.
    pub fn id(&self) -> StreamId {
        self.sender.id()
    }

    /// As [`MessageSender::send`].
    ///
    /// # Errors
    /// [`SendError`] when the message cannot be sent.
    pub async fn send(&mut self, message: &[u8]) -> Result<(), SendError> {
        self.sender.send(message).await
    }

    /// As [`MessageSender::send_with`].
    ///
    /// # Errors
    /// [`SendError`] when the message cannot be sent.
    pub async fn send_with(&mut self, message: &[u8], options: MessageOptions) -> Result<Outcome, SendError> {
        self.sender.send_with(message, options).await
    }

    /// As [`MessageReceiver::recv`].
    ///
    /// # Errors
    /// [`ReadError`] when there is no regular end.
    pub async fn recv(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        self.receiver.recv().await
    }

    /// As [`MessageReceiver::recv_into`].
    ///
    /// # Errors
    /// [`ReadError`] when there is no regular end.
    pub async fn recv_into(&mut self, message: &mut Vec<u8>) -> Result<Option<usize>, ReadError> {
        self.receiver.recv_into(message).await
    }

    /// As [`MessageSender::finish`].
    ///
    /// # Errors
    /// [`WriteError`] when the stream was reset or stopped or the connection is over.
    pub fn finish(&mut self) -> Result<(), WriteError> {
        self.sender.finish()
    }

    /// The two directions, to be used by two tasks.
    pub fn split(self) -> (MessageSender, MessageReceiver) {
        (self.sender, self.receiver)
    }

    /// The two directions, borrowed.
    pub fn parts(&mut self) -> (&mut MessageSender, &mut MessageReceiver) {
        (&mut self.sender, &mut self.receiver)
    }
}

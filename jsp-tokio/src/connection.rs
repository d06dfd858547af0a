//! Connections: the streams of bytes dressed for tokio.

use std::ops::Deref;

use jsp_proto::driver::{self, MessageReceiver, MessageStream, OpenError};
use jsp_proto::{ConnectionError, StreamOptions};

use crate::bytes::{RecvStream, SendStream};

/// A connection to a peer. Cheap to clone; all clones are the same connection. It derefs to the runtime-free
/// [`driver::Connection`], which has the rest of its methods: streams of messages, `close`, `closed`, `stats`...
///
/// When the last clone and the last stream handle are dropped, everything that was accepted for sending is still
/// delivered, as long as the runtime runs, and then the connection is closed with code 0. Await
/// [`close`](driver::Connection::close) to know that it was delivered.
#[derive(Clone, Debug)]
pub struct Connection {
    inner: driver::Connection,
}

/// A stream that the peer opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stream {
    /// Bytes in both directions.
    Bytes(SendStream, RecvStream),
    /// Bytes from the peer.
    BytesUni(RecvStream),
    /// Messages in both directions.
    Messages(MessageStream),
    /// Messages from the peer.
    MessagesUni(MessageReceiver),
}

impl Connection {
    pub(crate) fn new(inner: driver::Connection) -> Self {
        Self { inner }
    }

    /// Opens a stream of bytes in both directions. The peer sees it at once, before anything is written.
    ///
    /// Waits while the peer's limit of streams is reached. Cancel safe.
    ///
    /// # Errors
    /// [`OpenError::Connection`] when the connection is over.
    pub async fn open_bi(&self) -> Result<(SendStream, RecvStream), OpenError> {
        let (send, recv) = self.inner.open_bi().await?;
        Ok((SendStream::new(send), RecvStream::new(recv)))
    }

    /// As [`open_bi`](Self::open_bi), with a priority of its own.
    ///
    /// # Errors
    /// As for `open_bi`; [`OpenError::WrongKind`] unless the options are for bytes in both directions.
    pub async fn open_bi_with(&self, options: StreamOptions) -> Result<(SendStream, RecvStream), OpenError> {
        let (send, recv) = self.inner.open_bi_with(options).await?;
        Ok((SendStream::new(send), RecvStream::new(recv)))
    }

    /// Opens a stream of bytes to the peer. The peer sees it at once, before anything is written.
    ///
    /// Waits while the peer's limit of streams is reached. Cancel safe.
    ///
    /// # Errors
    /// [`OpenError::Connection`] when the connection is over.
    pub async fn open_uni(&self) -> Result<SendStream, OpenError> {
        self.inner.open_uni().await.map(SendStream::new)
    }

    /// As [`open_uni`](Self::open_uni), with a priority of its own.
    ///
    /// # Errors
    /// As for `open_uni`; [`OpenError::WrongKind`] unless the options are for bytes in one direction.
    pub async fn open_uni_with(&self, options: StreamOptions) -> Result<SendStream, OpenError> {
        self.inner.open_uni_with(options).await.map(SendStream::new)
    }

    /// The next stream that the peer opened. `Ok(None)` when the connection was closed in the ordinary way and all its
    /// streams were accepted.
    ///
    /// Cancel safe: a stream is given to exactly one call that completes.
    ///
    /// # Errors
    /// Why the connection ended otherwise.
    pub async fn accept_stream(&self) -> Result<Option<Stream>, ConnectionError> {
        Ok(self.inner.accept_stream().await?.and_then(|stream| match stream {
            driver::Stream::Bytes(send, recv) => Some(Stream::Bytes(SendStream::new(send), RecvStream::new(recv))),
            driver::Stream::BytesUni(recv) => Some(Stream::BytesUni(RecvStream::new(recv))),
            driver::Stream::Messages(stream) => Some(Stream::Messages(stream)),
            driver::Stream::MessagesUni(stream) => Some(Stream::MessagesUni(stream)),
            _ => None,
        }))
    }
}

impl Deref for Connection {
    type Target = driver::Connection;

    fn deref(&self) -> &driver::Connection {
        &self.inner
    }
}

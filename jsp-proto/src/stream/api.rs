//! The types an application sees: what a stream is, how its data is delivered, and what it reports.

use core::fmt;
use core::time::Duration;

use crate::config::{Compression, Fec};
use crate::error::AppCode;
use crate::wire::{StreamId, StreamKind, StreamType};

/// Received bytes in place, in two parts: the second is empty unless they wrap around the end of the buffer.
pub type Slices<'a> = (&'a [u8], &'a [u8]);

/// What becomes of a message that the network loses or delays (specification section 4.7).
///
/// This is the sender's policy. The receiver sees only which messages arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// Sent again until it arrives.
    #[default]
    Reliable,
    /// Sent once. Dropped if it waits longer than 100 ms for its first byte to be sent, or when more than 1024 such
    /// messages wait in one stream (the oldest goes first). One lost packet loses the message, unless error
    /// correction ([`Fec`]) repairs it.
    BestEffort,
    /// Sent, and sent again, as long as it can still arrive in time.
    PartiallyReliable {
        /// How long the message is worth sending, counted from the call that accepted it.
        ttl: Duration,
    },
}

/// What kind of stream to open, and how it behaves. `Copy`; each method returns the changed options.
///
/// Streams are bidirectional, reliable and of priority 128 unless told otherwise, and corrected and compressed as the
/// [`Config`](crate::Config) and [`Conn::set_network`](crate::Conn::set_network) say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    pub(crate) kind: StreamKind,
    pub(crate) uni: bool,
    pub(crate) delivery: Delivery,
    pub(crate) compression: Option<Compression>,
    pub(crate) fec: Option<Fec>,
    pub(crate) priority: u8,
}

impl StreamOptions {
    const fn new(kind: StreamKind) -> Self {
        let delivery = Delivery::Reliable;
        Self { kind, uni: false, delivery, compression: None, fec: None, priority: DEFAULT_PRIORITY }
    }

    /// A reliable, ordered stream of bytes.
    pub const fn bytes() -> Self {
        Self::new(StreamKind::Bytes)
    }

    /// A stream of messages that are delivered in the order they were sent.
    pub const fn ordered_messages() -> Self {
        Self::new(StreamKind::Ordered)
    }

    /// A stream of messages that are delivered as soon as each is complete.
    pub const fn unordered_messages() -> Self {
        Self::new(StreamKind::Unordered)
    }

    /// Only the side that opens the stream may send on it.
    pub const fn uni(mut self) -> Self {
        self.uni = true;
        self
    }

    /// How messages are delivered unless a message says otherwise. Streams of bytes are always reliable: opening one
    /// with another delivery is [`OpenError::ModeNeedsMessages`].
    pub const fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// Whether what this side sends is compressed; mind the warning at [`Compression`].
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Forward error correction of what this side sends. [`Fec::On`] out of its bounds is [`OpenError::Fec`].
    pub const fn fec(mut self, fec: Fec) -> Self {
        self.fec = Some(fec);
        self
    }

    /// 0 to 255, higher is more urgent, 128 unless set. The top three bits choose one of eight bands; a band is
    /// served before all lower ones, except that every 16th packet goes to a lower band. Inside a band the low five
    /// bits, plus one, are the stream's share (specification section 4.8).
    pub const fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }
}

/// The priority of a stream that nobody gave one.
pub(crate) const DEFAULT_PRIORITY: u8 = 128;

/// How one message is sent. `Copy`; each method returns the changed options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageOptions {
    pub(crate) delivery: Option<Delivery>,
    pub(crate) tracked: bool,
}

impl MessageOptions {
    /// As the stream delivers, not tracked.
    pub const fn new() -> Self {
        Self { delivery: None, tracked: false }
    }

    /// Delivers this message in its own way instead of the stream's.
    pub const fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = Some(delivery);
        self
    }

    /// Reports what became of the message by exactly one [`Event::MessageOutcome`](crate::Event::MessageOutcome).
    ///
    /// At most 1024 tracked messages may await their outcome at once; beyond that sending gives
    /// [`SendError::Blocked`].
    pub const fn tracked(mut self) -> Self {
        self.tracked = true;
        self
    }
}

/// Names a message that was accepted for sending; unique within its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub(crate) u64);

impl MessageId {
    /// The number, counting from 0 in the order in which the connection accepted its messages.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What became of a tracked message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The peer's transport has the whole message.
    Acked,
    /// Given up after at least a part was sent or because the stream or the connection ended. It may still have
    /// arrived.
    Lost,
    /// Its time ran out, or a newer one displaced it in the queue, before it could arrive.
    Expired,
}

/// Why a stream could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The peer's limit of streams of this type is reached. [`Event::StreamsAvailable`](crate::Event::StreamsAvailable) follows.
    Limit,
    /// Only streams of messages can be other than reliable.
    ModeNeedsMessages,
    /// [`Fec::On`] has 1 to 64 packets and 1 to 32 parity packets per block.
    Fec,
    /// The connection is closed.
    Closed,
}

/// Why nothing was accepted for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// No such stream, or it is over.
    UnknownStream,
    /// Bytes for a stream of messages or the reverse, or the peer's one-way stream.
    WrongKind,
    /// This side has called `finish` already.
    Finished,
    /// The peer asked for an end with this code, and the stream was reset.
    Stopped(AppCode),
    /// This side has reset the stream.
    Reset,
    /// A message must have at least one byte.
    Empty,
    /// The message is larger than the peer accepts.
    TooLarge {
        /// The largest message the peer accepts, in bytes.
        max: u64,
    },
    /// The buffer is full, or too many tracked messages await their outcome. [`Event::StreamWritable`](crate::Event::StreamWritable) follows.
    Blocked,
    /// [`Fec::On`] has 1 to 64 packets and 1 to 32 parity packets per block.
    Fec,
    /// The connection is closed.
    Closed,
}

/// Why nothing could be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// No such stream, or it is over and its end has been reported.
    UnknownStream,
    /// Bytes from a stream of messages or the reverse, or this side's own one-way stream.
    WrongKind,
    /// This side has called `stop`, or found data to be [`Corrupt`](Self::Corrupt).
    Stopped,
    /// The next message or bytes are compressed and do not expand to what the peer says. This closes the connection with
    /// [`TransportError::COMPRESSION`](crate::TransportError::COMPRESSION) and drops what the stream still had.
    Corrupt,
}

/// What a read of bytes found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recv {
    /// This many bytes were read.
    Data(usize),
    /// Nothing yet. [`Event::StreamReadable`](crate::Event::StreamReadable) follows.
    Blocked,
    /// The peer finished the stream and everything was read.
    Finished,
    /// The peer reset the stream with this code, and what it still promised was read.
    Reset(AppCode),
}

/// What a read of a message found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvMessage {
    /// One message of this many bytes was read.
    Message(usize),
    /// Nothing yet. [`Event::StreamReadable`](crate::Event::StreamReadable) follows.
    Blocked,
    /// The peer finished the stream and every message was read.
    Finished,
    /// The peer reset the stream with this code.
    Reset(AppCode),
}

/// Something that happened to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum StreamEvent {
    /// The peer opened this stream.
    Opened(StreamId),
    /// There is something to read, be it the end. Not repeated until a read returned `Blocked`.
    Readable(StreamId),
    /// A send that returned `Blocked` may be tried again.
    Writable(StreamId),
    /// After `finish`: the peer's transport has everything that this side sent reliably.
    Finished(StreamId),
    /// The peer reset its side of the stream; nothing is left to read.
    Reset(StreamId, AppCode),
    /// The peer wants no more data on this stream. The sending side was reset with the same code.
    Stopped(StreamId, AppCode),
    /// What became of a tracked message.
    Outcome {
        /// The stream the message was sent on; it may be over by now.
        sid: StreamId,
        /// The message.
        id: MessageId,
        /// Its fate.
        outcome: Outcome,
    },
    /// More streams of this type may be opened, after [`OpenError::Limit`].
    Available(StreamType),
}

macro_rules! error_texts {
    ($($error:ident { $($pattern:pat => $text:literal),* $(,)? })*) => {
        $(
            impl fmt::Display for $error {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(match self { $($pattern => $text),* })
                }
            }

            impl core::error::Error for $error {}
        )*
    };
}

error_texts! {
    OpenError {
        Self::Limit => "the peer's limit of streams of this type is reached",
        Self::ModeNeedsMessages => "a stream of bytes can only be reliable",
        Self::Fec => "error correction with 0, or more than 64 packets or 32 parity packets, per block",
        Self::Closed => "the connection is closed",
    }
    SendError {
        Self::UnknownStream => "no such stream",
        Self::WrongKind => "the stream does not take this kind of data from this side",
        Self::Finished => "the stream is finished",
        Self::Stopped(_) => "the peer stopped the stream",
        Self::Reset => "the stream was reset",
        Self::Empty => "a message must have at least one byte",
        Self::TooLarge { .. } => "the message is larger than the peer accepts",
        Self::Blocked => "the send buffer is full",
        Self::Fec => "error correction with 0, or more than 64 packets or 32 parity packets, per block",
        Self::Closed => "the connection is closed",
    }
    RecvError {
        Self::UnknownStream => "no such stream",
        Self::WrongKind => "the stream does not give this kind of data to this side",
        Self::Stopped => "this side stopped the stream",
        Self::Corrupt => "compressed data does not expand to what the peer says",
    }
}

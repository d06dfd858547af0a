//! What a caller sees of a connection: a few shared streams, numbers for them, and a queue of messages.

use std::collections::{HashMap, VecDeque};

use jsp_mio::{AppCode, Conn, Delivery, MessageOptions, StreamId, StreamOptions};
use jsp_proto::{OpenError, Recv, RecvMessage, SendError};

use crate::status::{
    JSP_ERROR_BUFFER_TOO_SMALL, JSP_ERROR_DISCARDED, JSP_ERROR_EMPTY_MESSAGE, JSP_ERROR_NO_STREAM,
    JSP_ERROR_WOULD_BLOCK, JspError, of_open, of_send,
};

/// Messages that wait for the program at most, and their bytes.
const INBOX: usize = 1024;
const INBOX_BYTES: usize = 1 << 20;
/// Bytes of a peer's stream of bytes that are received at a time.
const PIECE: usize = 64 << 10;
/// The first number of a stream that the peer opened. Below are those of shared streams, by mode and priority.
const PEERS: u32 = 1 << 16;

/// A mode and a priority: what makes a shared stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Class {
    pub(super) delivery: Mode,
    pub(super) priority: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    Reliable = 0,
    BestEffort = 1,
    PartiallyReliable = 2,
}

impl Class {
    /// The number that programs know it by.
    pub(super) fn number(self) -> u32 {
        1 + (self.delivery as u32) * 256 + u32::from(self.priority)
    }

    fn of_number(number: u32) -> Option<Self> {
        let index = number.checked_sub(1)?;
        let delivery = match index / 256 {
            0 => Mode::Reliable,
            1 => Mode::BestEffort,
            2 => Mode::PartiallyReliable,
            _ => return None,
        };
        Some(Self { delivery, priority: (index % 256) as u8 })
    }

    fn options(self, delivery: Delivery) -> StreamOptions {
        let options = match self.delivery {
            Mode::Reliable => StreamOptions::ordered_messages(),
            // Order would make a message wait for one that never comes.
            Mode::BestEffort | Mode::PartiallyReliable => StreamOptions::unordered_messages(),
        };
        options.delivery(delivery).priority(self.priority)
    }
}

/// The state of one connection between the thread and the callers.
#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) is_connected: bool,
    /// Why the connection is over, and in words.
    pub(super) end: Option<(JspError, String)>,
    shared: HashMap<u32, StreamId>,
    /// Streams that the peer opened, by number, and the numbers of all streams.
    peers: HashMap<u32, StreamId>,
    numbers: HashMap<StreamId, u32>,
    next_peer: u32,
    inbox: VecDeque<(u32, Vec<u8>)>,
    inbox_bytes: usize,
    /// Streams that have something to read for which there was no room.
    waiting: VecDeque<StreamId>,
    /// Whether the program has ever asked for a message. Until then it may be one that only sends.
    receives: bool,
    discarded: u64,
}

impl Channel {
    /// Sends a message, or some of it on a stream of bytes, and says how much was taken.
    pub(super) fn send(
        &mut self,
        conn: &mut Conn<'_>,
        number: u32,
        data: &[u8],
        delivery: impl Fn(Mode) -> Delivery,
    ) -> Result<usize, JspError> {
        if data.is_empty() {
            return Err(JSP_ERROR_EMPTY_MESSAGE);
        }
        if let Some(&stream) = self.peers.get(&number) {
            let sent = if stream.kind().has_messages() {
                conn.send_message(stream, data, MessageOptions::new()).map(|_| data.len())
            } else {
                conn.send(stream, data)
            };
            return sent.map_err(of_send);
        }
        let class = Class::of_number(number).ok_or(JSP_ERROR_NO_STREAM)?;
        let delivery = delivery(class.delivery);
        loop {
            let stream = self.stream(conn, class, delivery)?;
            match conn.send_message(stream, data, MessageOptions::new().delivery(delivery)) {
                Ok(_) => return Ok(data.len()),
                // The peer did not want this stream any more; the next one is another matter.
                Err(SendError::UnknownStream | SendError::Finished | SendError::Reset | SendError::Stopped(_)) => {
                    self.shared.remove(&number);
                    let _ = conn.stop(stream, AppCode::ZERO);
                }
                Err(error) => return Err(of_send(error)),
            }
        }
    }

    /// The stream that a class shares, opened when it is first needed.
    fn stream(&mut self, conn: &mut Conn<'_>, class: Class, delivery: Delivery) -> Result<StreamId, JspError> {
        if let Some(&stream) = self.shared.get(&class.number()) {
            return Ok(stream);
        }
        let stream = conn.open(class.options(delivery)).map_err(|error| match error {
            OpenError::Limit => JSP_ERROR_WOULD_BLOCK,
            error => of_open(error),
        })?;
        self.shared.insert(class.number(), stream);
        self.numbers.insert(stream, class.number());
        Ok(stream)
    }

    /// Gives a number to a stream that the peer opened.
    pub(super) fn on_opened(&mut self, stream: StreamId) {
        let number = PEERS + self.next_peer % (u32::MAX - PEERS);
        self.next_peer = self.next_peer.wrapping_add(1);
        self.peers.insert(number, stream);
        self.numbers.insert(stream, number);
    }

    /// The peer wants no more of what is sent on a stream.
    pub(super) fn on_stopped(&mut self, stream: StreamId) {
        self.shared.retain(|_, shared| *shared != stream);
    }

    /// Takes what a stream has to read, as far as there is room.
    pub(super) fn pull(&mut self, conn: &mut Conn<'_>, stream: StreamId) {
        loop {
            let is_full = self.inbox.len() >= INBOX || self.inbox_bytes >= INBOX_BYTES;
            if is_full && self.receives {
                if !self.waiting.contains(&stream) {
                    self.waiting.push_back(stream);
                }
                return;
            }
            match next(conn, stream) {
                Next::Data(data) if is_full => {
                    drop(data);
                    self.discarded += 1;
                }
                Next::Data(data) => {
                    let number = self.numbers.get(&stream).copied().unwrap_or(0);
                    self.inbox_bytes += data.len();
                    self.inbox.push_back((number, data));
                }
                Next::Nothing => return,
                Next::End => {
                    self.on_read_to_end(conn, stream);
                    return;
                }
            }
        }
    }

    /// Nothing more comes on a stream. One that the peer opened ends in this direction too: nobody would end it else.
    fn on_read_to_end(&mut self, conn: &mut Conn<'_>, stream: StreamId) {
        let Some(number) = self.numbers.remove(&stream) else { return };
        if self.peers.remove(&number).is_some() && !stream.is_uni() {
            let _ = conn.finish(stream);
        }
    }

    /// The next message, into `out`; its stream's number and its length.
    pub(super) fn receive(
        &mut self,
        conn: Option<Conn<'_>>,
        out: &mut [u8],
        len: &mut usize,
    ) -> Result<Option<u32>, JspError> {
        self.receives = true;
        if std::mem::take(&mut self.discarded) > 0 {
            return Err(JSP_ERROR_DISCARDED);
        }
        let Some((number, data)) = self.inbox.front() else { return Ok(None) };
        let number = *number;
        *len = data.len();
        out.get_mut(..data.len()).ok_or(JSP_ERROR_BUFFER_TOO_SMALL)?.copy_from_slice(data);
        self.inbox_bytes -= data.len();
        self.inbox.pop_front();
        if let Some(mut conn) = conn {
            for stream in std::mem::take(&mut self.waiting) {
                self.pull(&mut conn, stream);
            }
        }
        Ok(Some(number))
    }
}

enum Next {
    Data(Vec<u8>),
    Nothing,
    End,
}

/// What a stream has to read: a message, or a piece of its bytes.
fn next(conn: &mut Conn<'_>, stream: StreamId) -> Next {
    let mut data = Vec::new();
    if !stream.kind().has_messages() {
        data.resize(PIECE, 0);
        return match conn.recv(stream, &mut data) {
            Ok(Recv::Data(len)) => {
                data.truncate(len);
                Next::Data(data)
            }
            Ok(Recv::Blocked) => Next::Nothing,
            Ok(Recv::Finished | Recv::Reset(_)) | Err(_) => Next::End,
        };
    }
    match conn.recv_message(stream, &mut data) {
        Ok(RecvMessage::Message(_)) => Next::Data(data),
        Ok(RecvMessage::Blocked) => Next::Nothing,
        Ok(RecvMessage::Finished | RecvMessage::Reset(_)) | Err(_) => Next::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_number_of_its_own() {
        for delivery in [Mode::Reliable, Mode::BestEffort, Mode::PartiallyReliable] {
            for priority in 0..=255 {
                let class = Class { delivery, priority };
                assert!((1..PEERS).contains(&class.number()));
                assert_eq!(Class::of_number(class.number()), Some(class));
            }
        }
        assert_eq!(Class::of_number(0), None);
        assert_eq!(Class::of_number(769), None);
    }
}

//! What one end has sent, and what of it the other end has read.

use std::collections::BTreeMap;

use jsp_proto::{
    Conn, Delivery, MessageId, MessageOptions, Outcome, Recv, RecvMessage, SendError, StreamId, StreamKind,
};

/// A message that was accepted for sending.
struct Message {
    content: Vec<u8>,
    reliable: bool,
    id: MessageId,
    tracked: bool,
    outcome: Option<Outcome>,
    read: bool,
}

/// One direction of a stream.
#[derive(Default)]
struct Lane {
    bytes: Vec<u8>,
    /// Bytes that were read.
    read: usize,
    messages: Vec<Message>,
    /// In an ordered stream: the place of the last message that was read, plus one.
    next: usize,
    finished: bool,
    /// The reader saw the end.
    over: bool,
    /// One side gave the stream up: what was sent need not arrive.
    given_up: bool,
    acknowledged: bool,
}

/// One direction of the connection.
#[derive(Default)]
pub(super) struct Ledger {
    lanes: BTreeMap<StreamId, Lane>,
    /// Makes every message another one.
    count: u32,
    aborted: bool,
}

/// How a message is sent: as the stream does if it is not said, and whether its outcome is to be told.
pub(super) type How = (Option<Delivery>, bool);

/// Compressible, and different for every number.
fn content(number: u32, len: usize) -> Vec<u8> {
    let start = number.to_be_bytes();
    start.into_iter().chain((0..).map(|at: u32| ((at ^ number) >> 4) as u8)).take(len).collect()
}

impl Ledger {
    /// Sends on a stream; of messages, in this way.
    pub(super) fn send(&mut self, conn: &mut Conn<'_>, stream: StreamId, len: usize, (delivery, tracked): How) {
        let content = content(self.count, len);
        let lane = self.lanes.entry(stream).or_default();
        if !stream.kind().has_messages() {
            if let Ok(sent) = conn.send(stream, &content) {
                assert!(sent <= len && (sent > 0 || len == 0) && !lane.finished);
                lane.bytes.extend_from_slice(&content[..sent]);
                self.count += 1;
            }
            return;
        }
        let options = delivery.map_or(MessageOptions::new(), |delivery| MessageOptions::new().delivery(delivery));
        match conn.send_message(stream, &content, if tracked { options.tracked() } else { options }) {
            Ok(id) => {
                assert!(len > 0 && !lane.finished);
                let reliable = delivery == Some(Delivery::Reliable);
                lane.messages.push(Message { content, reliable, id, tracked, outcome: None, read: false });
                self.count += 1;
            }
            Err(error) => assert!(error != SendError::Empty || len == 0),
        }
    }

    pub(super) fn finish(&mut self, conn: &mut Conn<'_>, stream: StreamId) {
        if conn.finish(stream).is_ok() {
            self.lanes.entry(stream).or_default().finished = true;
        }
    }

    pub(super) fn give_up(&mut self, stream: StreamId) {
        self.lanes.entry(stream).or_default().given_up = true;
    }

    pub(super) fn abort(&mut self) {
        self.aborted = true;
    }

    pub(super) fn finished_sending(&mut self, stream: StreamId) {
        let lane = self.lanes.entry(stream).or_default();
        assert!(lane.finished && !lane.acknowledged);
        lane.acknowledged = true;
    }

    pub(super) fn outcome(&mut self, id: MessageId, outcome: Outcome) {
        let messages = self.lanes.values_mut().flat_map(|lane| &mut lane.messages);
        let message = messages.into_iter().find(|message| message.id == id).expect("a message that was sent");
        assert!(message.tracked && message.outcome.is_none(), "one outcome of each that is tracked");
        message.outcome = Some(outcome);
    }

    /// Reads as the other end, at most so often.
    pub(super) fn read(&mut self, conn: &mut Conn<'_>, stream: StreamId, most: usize) {
        let lane = self.lanes.entry(stream).or_default();
        let mut buffer = vec![0; 3000];
        for _ in 0..most {
            let more = if stream.kind().has_messages() {
                lane.read_message(conn, stream)
            } else {
                lane.read_bytes(conn, stream, &mut buffer)
            };
            if !more {
                break;
            }
        }
    }

    /// Everything had time to arrive over a good network, and was read.
    pub(super) fn settle(&mut self) {
        for (stream, lane) in self.lanes.iter_mut().filter(|(_, lane)| !lane.given_up) {
            if self.aborted {
                continue;
            }
            assert_eq!(lane.read, lane.bytes.len(), "bytes of {stream:?}");
            let missing = lane.messages.iter().filter(|message| message.reliable && !message.read).count();
            assert_eq!(missing, 0, "reliable messages of {stream:?}");
            let open = lane.messages.iter().filter(|message| message.tracked && message.outcome.is_none()).count();
            assert_eq!(open, 0, "outcomes of {stream:?}");
            assert!(!lane.finished || lane.over, "the end of {stream:?}");
            for message in &lane.messages {
                assert!(message.outcome != Some(Outcome::Acked) || message.read, "it says that it arrived");
            }
        }
    }
}

impl Lane {
    fn read_bytes(&mut self, conn: &mut Conn<'_>, stream: StreamId, buffer: &mut [u8]) -> bool {
        match conn.recv(stream, buffer) {
            Ok(Recv::Data(len)) => {
                let expected = self.bytes.get(self.read..self.read + len);
                assert!(expected == Some(&buffer[..len]), "other bytes on {stream:?}");
                assert!(!self.over);
                self.read += len;
                true
            }
            Ok(Recv::Finished) => {
                assert!(self.finished && self.read == self.bytes.len(), "{stream:?} ends early");
                self.over = true;
                false
            }
            Ok(Recv::Reset(_)) => {
                assert!(self.given_up, "nobody has reset {stream:?}");
                false
            }
            Ok(Recv::Blocked) | Err(_) => false,
        }
    }

    fn read_message(&mut self, conn: &mut Conn<'_>, stream: StreamId) -> bool {
        let mut read = Vec::new();
        match conn.recv_message(stream, &mut read) {
            Ok(RecvMessage::Message(len)) => {
                assert!(len == read.len() && !self.over);
                let from = if stream.kind() == StreamKind::Ordered { self.next } else { 0 };
                let mut unread = self.messages.iter_mut().enumerate().skip(from);
                let found = unread.find(|(_, message)| !message.read && message.content == read);
                let Some((place, message)) = found else { panic!("{stream:?}: not sent, twice or out of order") };
                message.read = true;
                self.next = place + 1;
                true
            }
            Ok(RecvMessage::Finished) => {
                assert!(self.finished, "{stream:?} ends early");
                let missing = self.messages.iter().any(|message| message.reliable && !message.read);
                assert!(!missing, "{stream:?} ends without all");
                self.over = true;
                false
            }
            Ok(RecvMessage::Reset(_)) => {
                assert!(self.given_up, "nobody has reset {stream:?}");
                false
            }
            Ok(RecvMessage::Blocked) | Err(_) => false,
        }
    }
}

//! Frames of the connection itself that must arrive once: the server's parameters and the confirmation
//! (specification sections 2.10 and 4). Each is a slot, never a queue.

use alloc::boxed::Box;

use super::token::Tokens;
use crate::error::{TransportError, Violation};
use crate::wire::Side;
use crate::wire::cursor::Writer;
use crate::wire::frame::Frame;

/// What a sent packet carried for this part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlRecord {
    Params,
    HandshakeDone,
    /// The token with this number.
    Token(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Idle,
    Pending,
    InFlight,
    Done,
}

impl Slot {
    fn request(&mut self) {
        if *self == Self::Idle {
            *self = Self::Pending;
        }
    }

    fn on_lost(&mut self) {
        if *self == Self::InFlight {
            *self = Self::Pending;
        }
    }
}

/// The control part of a connection.
pub(crate) struct Control {
    side: Side,
    params_bytes: Box<[u8]>,
    params: Slot,
    handshake_done: Slot,
    params_received: bool,
    ping: bool,
    pub(super) tokens: Tokens,
}

/// What a received control frame means to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlEvent<'a> {
    /// The server's parameters, for the first time.
    Params(&'a [u8]),
    /// The server considers the handshake complete.
    Confirmed,
    /// An address token for a later connection.
    Token(&'a [u8]),
    /// Nothing to do.
    None,
}

impl Control {
    pub(crate) fn client() -> Self {
        Self::new(Side::Client, Box::default(), Slot::Done)
    }

    /// A server's part, which sends `params` as soon as it may.
    pub(crate) fn server(params: Box<[u8]>) -> Self {
        Self::new(Side::Server, params, Slot::Pending)
    }

    fn new(side: Side, params_bytes: Box<[u8]>, params: Slot) -> Self {
        Self {
            side,
            params_bytes,
            params,
            handshake_done: Slot::Idle,
            params_received: false,
            ping: false,
            tokens: Tokens::default(),
        }
    }

    pub(crate) fn send_handshake_done(&mut self) {
        self.handshake_done.request();
    }

    /// Asks for one PING, so that the next packet is acknowledged.
    pub(crate) fn send_ping(&mut self) {
        self.ping = true;
    }

    pub(crate) fn wants_to_send(&self) -> bool {
        self.params == Slot::Pending || self.handshake_done == Slot::Pending || self.ping || self.tokens.wants_to_send()
    }

    /// Writes what is pending and fits. Returns whether anything was written.
    pub(crate) fn write(&mut self, w: &mut Writer<'_>, sink: &mut dyn FnMut(ControlRecord)) -> bool {
        let before = w.position();
        if self.params == Slot::Pending && Frame::Params(&self.params_bytes).encode(w).is_ok() {
            self.params = Slot::InFlight;
            sink(ControlRecord::Params);
        }
        if self.handshake_done == Slot::Pending && Frame::HandshakeDone.encode(w).is_ok() {
            self.handshake_done = Slot::InFlight;
            sink(ControlRecord::HandshakeDone);
        }
        if let Some(number) = self.tokens.write(w) {
            sink(ControlRecord::Token(number));
        }
        // Any other frame of this packet that is acknowledged does the PING's work.
        if self.ping && (w.position() != before || Frame::Ping.encode(w).is_ok()) {
            self.ping = false;
        }
        w.position() != before
    }

    pub(crate) fn on_acked(&mut self, record: ControlRecord) {
        match record {
            ControlRecord::Params => (self.params, self.params_bytes) = (Slot::Done, Box::default()),
            ControlRecord::HandshakeDone => self.handshake_done = Slot::Done,
            ControlRecord::Token(number) => self.tokens.on_acked(number),
        }
    }

    pub(crate) fn on_lost(&mut self, record: ControlRecord) {
        match record {
            ControlRecord::Params => self.params.on_lost(),
            ControlRecord::HandshakeDone => self.handshake_done.on_lost(),
            ControlRecord::Token(number) => self.tokens.on_lost(number),
        }
    }

    /// Takes a frame of this part. Only a server sends them, and its parameters only once.
    pub(crate) fn on_frame<'a>(&mut self, frame: &Frame<'a>) -> Result<ControlEvent<'a>, Violation> {
        if self.side == Side::Server {
            return Err(Violation::new(TransportError::PROTOCOL_VIOLATION, "a frame that only a server sends"));
        }
        match *frame {
            Frame::Params(bytes) if !self.params_received => {
                self.params_received = true;
                Ok(ControlEvent::Params(bytes))
            }
            Frame::HandshakeDone => Ok(ControlEvent::Confirmed),
            Frame::NewToken(token) => Ok(ControlEvent::Token(token)),
            // A repetition of the parameters is a retransmission.
            _ => Ok(ControlEvent::None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(control: &mut Control) -> alloc::vec::Vec<ControlRecord> {
        let mut buffer = [0; 100];
        let mut records = alloc::vec::Vec::new();
        control.write(&mut Writer::new(&mut buffer), &mut |record| records.push(record));
        records
    }

    #[test]
    fn a_lost_slot_is_sent_again_and_an_acked_one_never() {
        let mut control = Control::server(Box::from([1, 2, 3]));
        control.send_handshake_done();
        assert_eq!(written(&mut control), [ControlRecord::Params, ControlRecord::HandshakeDone]);
        assert!(!control.wants_to_send());
        control.on_lost(ControlRecord::Params);
        assert_eq!(written(&mut control), [ControlRecord::Params]);
        control.on_acked(ControlRecord::Params);
        control.on_lost(ControlRecord::Params);
        control.on_acked(ControlRecord::HandshakeDone);
        control.send_handshake_done();
        assert!(!control.wants_to_send());
    }

    #[test]
    fn a_server_takes_no_server_frames() {
        assert!(Control::server(Box::default()).on_frame(&Frame::HandshakeDone).is_err());
        let mut client = Control::client();
        assert_eq!(client.on_frame(&Frame::Params(&[7])), Ok(ControlEvent::Params(&[7])));
        assert_eq!(client.on_frame(&Frame::Params(&[7])), Ok(ControlEvent::None));
        assert_eq!(client.on_frame(&Frame::HandshakeDone), Ok(ControlEvent::Confirmed));
    }
}

//! The program at the endpoint of a [`Sealed`] connection: opens streams, sends, and reads what comes, as bits say.

use jsp_proto::{Compression, Event, Fec, MessageOptions, Recv, RecvMessage, StreamId, StreamOptions};

use crate::sealed::Sealed;

/// What the program does.
#[derive(Debug)]
pub struct App {
    reads: bool,
    sends: bool,
    seen: usize,
    buffer: Vec<u8>,
}

impl App {
    /// Bit 0: it sends; bit 1: it does not read.
    pub fn new(bits: u8) -> Self {
        Self { sends: bits & 1 != 0, reads: bits & 2 == 0, seen: 0, buffer: vec![0; 4096] }
    }

    /// Opens a stream of each kind and sends on it.
    pub fn start(&mut self, sealed: &mut Sealed) {
        let Some(mut conn) = sealed.conn().filter(|_| self.sends) else { return };
        if let Ok(stream) = conn.open(StreamOptions::bytes().compression(Compression::Adaptive)) {
            let _ = conn.send(stream, &[b'x'; 9000]);
        }
        for options in [StreamOptions::ordered_messages().fec(Fec::Auto), StreamOptions::unordered_messages()] {
            if let Ok(stream) = conn.open(options) {
                let _ = conn.send_message(stream, &[b'y'; 3000], MessageOptions::new().tracked());
            }
        }
        sealed.drain();
    }

    /// Reacts to what has happened.
    pub fn turn(&mut self, sealed: &mut Sealed) {
        while let Some(event) = sealed.events.get(self.seen).copied() {
            self.seen += 1;
            match event {
                Event::StreamReadable(stream) if self.reads => self.read(sealed, stream),
                Event::StreamOpened(stream) if self.sends && !stream.is_uni() => {
                    let Some(mut conn) = sealed.conn() else { return };
                    if stream.kind().has_messages() {
                        let _ = conn.send_message(stream, b"a message", MessageOptions::new());
                    } else {
                        let _ = conn.send(stream, b"some bytes");
                    }
                    let _ = conn.finish(stream);
                }
                _ => {}
            }
        }
        sealed.drain();
    }

    fn read(&mut self, sealed: &mut Sealed, stream: StreamId) {
        let Some(mut conn) = sealed.conn() else { return };
        if stream.kind().has_messages() {
            while let Ok(RecvMessage::Message(len)) = conn.recv_message(stream, &mut self.buffer) {
                assert!(len > 0 && len == self.buffer.len());
            }
        } else {
            self.buffer.resize(4096, 0);
            while let Ok(Recv::Data(len)) = conn.recv(stream, &mut self.buffer) {
                assert!(len > 0);
            }
        }
    }
}

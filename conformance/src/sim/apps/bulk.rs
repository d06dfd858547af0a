//! One long byte stream whose content follows from a seed.

use jsp_proto::{ConnId, Event, OpenError, Recv, SendError, StreamId, StreamOptions};

use super::super::{App, Happening, NodeId, Sim};
use super::{check_content, fill_content};

const CHUNK: usize = 16 * 1024;

/// Opens a byte stream, writes the content of its seed as fast as it is taken, and finishes the stream.
/// Done when the peer has acknowledged everything.
#[derive(Debug)]
pub struct BulkSender {
    node: NodeId,
    conn: ConnId,
    options: StreamOptions,
    seed: u64,
    len: u64,
    written: u64,
    stream: Option<StreamId>,
    acknowledged: bool,
}

impl BulkSender {
    /// Sends `len` bytes over this connection of this host once it is connected.
    pub fn new(node: NodeId, conn: ConnId, seed: u64, len: u64) -> Self {
        let options = StreamOptions::bytes();
        Self { node, conn, options, seed, len, written: 0, stream: None, acknowledged: false }
    }

    /// Opens the stream with these options.
    #[must_use]
    pub fn options(mut self, options: StreamOptions) -> Self {
        self.options = options;
        self
    }

    /// Bytes the connection has taken so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    fn write(&mut self, sim: &mut Sim) {
        let Some(mut conn) = sim.conn(self.node, self.conn) else { panic!("the sender's connection is gone") };
        if !conn.is_connected() {
            return;
        }
        let stream = match self.stream {
            Some(stream) => stream,
            None => match conn.open(self.options) {
                Ok(stream) => *self.stream.insert(stream),
                Err(OpenError::Limit) => return,
                Err(error) => panic!("cannot open a stream: {error}"),
            },
        };
        let mut chunk = [0; CHUNK];
        while self.written < self.len {
            let chunk = &mut chunk[..CHUNK.min((self.len - self.written) as usize)];
            fill_content(self.seed, self.written, chunk);
            match conn.send(stream, chunk) {
                Ok(0) | Err(SendError::Blocked) => return,
                Ok(taken) => self.written += taken as u64,
                Err(error) => panic!("cannot send: {error}"),
            }
        }
        conn.finish(stream).unwrap_or_else(|error| panic!("cannot finish: {error}"));
    }
}

impl App for BulkSender {
    fn start(&mut self, sim: &mut Sim) {
        self.write(sim);
    }

    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        match happening.event_of(self.node, self.conn) {
            Some(Event::Connected | Event::StreamsAvailable(_)) if self.stream.is_none() => self.write(sim),
            Some(Event::StreamWritable(stream)) if Some(stream) == self.stream && self.written < self.len => {
                self.write(sim);
            }
            Some(Event::StreamFinished(stream)) if Some(stream) == self.stream => self.acknowledged = true,
            Some(Event::Closed) if !self.acknowledged => {
                let reason = sim.conn(self.node, self.conn).and_then(|conn| conn.close_reason().cloned());
                panic!("closed after {} of {} bytes were written: {reason:?}", self.written, self.len);
            }
            _ => {}
        }
    }

    fn done(&self) -> bool {
        self.acknowledged
    }
}

/// Reads every byte stream that peers open on one host, and compares it with the content of a seed, byte by byte.
/// Done when as many streams as expected have ended.
#[derive(Debug)]
pub struct BulkReceiver {
    node: NodeId,
    seed: u64,
    len: u64,
    expected: usize,
    finished: usize,
    streams: Vec<Reading>,
}

#[derive(Debug)]
struct Reading {
    id: (ConnId, StreamId),
    read: u64,
    ended: bool,
}

impl BulkReceiver {
    /// Expects one stream with `len` bytes of the content of `seed`.
    pub fn new(node: NodeId, seed: u64, len: u64) -> Self {
        Self { node, seed, len, expected: 1, finished: 0, streams: Vec::new() }
    }

    /// Expects this many streams, all with the same content.
    #[must_use]
    pub fn streams(mut self, expected: usize) -> Self {
        self.expected = expected;
        self
    }

    /// Bytes read so far, of all streams.
    pub fn received(&self) -> u64 {
        self.streams.iter().map(|stream| stream.read).sum()
    }

    fn read(&mut self, sim: &mut Sim, id: ConnId, stream: StreamId) {
        let index = self.streams.iter().position(|reading| reading.id == (id, stream));
        let index = index.unwrap_or_else(|| {
            self.streams.push(Reading { id: (id, stream), read: 0, ended: false });
            self.streams.len() - 1
        });
        let reading = &mut self.streams[index];
        if reading.ended {
            return;
        }
        let Some(mut conn) = sim.conn(self.node, id) else { panic!("the receiver's connection is gone") };
        let mut chunk = [0; CHUNK];
        loop {
            match conn.recv(stream, &mut chunk) {
                Ok(Recv::Data(len)) => {
                    check_content(self.seed, reading.read, &chunk[..len]);
                    reading.read += len as u64;
                }
                Ok(Recv::Blocked) => return,
                Ok(Recv::Finished) => {
                    assert_eq!(reading.read, self.len, "the stream ended early or late");
                    reading.ended = true;
                    self.finished += 1;
                    return;
                }
                other => panic!("after {} bytes: {other:?}", reading.read),
            }
        }
    }
}

impl App for BulkReceiver {
    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        if let Some((conn, Event::StreamReadable(stream))) = happening.event_at(self.node)
            && !stream.kind().has_messages()
        {
            self.read(sim, conn, stream);
        }
    }

    fn done(&self) -> bool {
        self.finished >= self.expected
    }
}

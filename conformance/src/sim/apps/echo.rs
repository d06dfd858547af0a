//! A server that sends back what it gets.

use std::collections::BTreeMap;

use jsp_proto::{Conn, ConnId, Event, MessageOptions, Recv, RecvError, RecvMessage, SendError, StreamId};

use super::super::{App, Happening, NodeId, Sim};

/// Sends everything that arrives on streams opened by peers of one host back on the same stream: bytes as bytes,
/// messages as messages, the end as the end. Reads on only when the peer takes its answer. Always done.
#[derive(Debug)]
pub struct Echo {
    node: NodeId,
    waiting: BTreeMap<(ConnId, StreamId), Vec<u8>>,
    echoed: u64,
}

impl Echo {
    /// Echoes on this host.
    pub fn new(node: NodeId) -> Self {
        Self { node, waiting: BTreeMap::new(), echoed: 0 }
    }

    /// Bytes sent back so far.
    pub fn echoed(&self) -> u64 {
        self.echoed
    }

    fn pump(&mut self, sim: &mut Sim, id: ConnId, stream: StreamId) {
        let Some(mut conn) = sim.conn(self.node, id) else { return };
        if stream.is_uni() {
            return;
        }
        let waiting = self.waiting.entry((id, stream)).or_default();
        loop {
            if !waiting.is_empty() {
                match write(&mut conn, stream, waiting) {
                    Ok(0) | Err(SendError::Blocked) => return,
                    Ok(taken) => {
                        self.echoed += taken as u64;
                        waiting.drain(..taken);
                        continue;
                    }
                    // The peer does not want the answer any more.
                    Err(_) => break,
                }
            }
            match read(&mut conn, stream, waiting) {
                Ok(Next::Data) => {}
                Ok(Next::Nothing) => return,
                Ok(Next::End) => {
                    // It may have been finished or reset before.
                    _ = conn.finish(stream);
                    break;
                }
                Err(_) => break,
            }
        }
        self.waiting.remove(&(id, stream));
    }
}

enum Next {
    Data,
    Nothing,
    End,
}

fn is_bytes(stream: StreamId) -> bool {
    !stream.kind().has_messages()
}

fn write(conn: &mut Conn<'_>, stream: StreamId, bytes: &[u8]) -> Result<usize, SendError> {
    if is_bytes(stream) {
        conn.send(stream, bytes)
    } else {
        conn.send_message(stream, bytes, MessageOptions::default()).map(|_| bytes.len())
    }
}

fn read(conn: &mut Conn<'_>, stream: StreamId, into: &mut Vec<u8>) -> Result<Next, RecvError> {
    if is_bytes(stream) {
        let mut chunk = [0; 4096];
        return Ok(match conn.recv(stream, &mut chunk)? {
            Recv::Data(len) => {
                into.extend_from_slice(&chunk[..len]);
                Next::Data
            }
            Recv::Blocked => Next::Nothing,
            _ => Next::End,
        });
    }
    Ok(match conn.recv_message(stream, into)? {
        RecvMessage::Message(_) => Next::Data,
        RecvMessage::Blocked => Next::Nothing,
        _ => Next::End,
    })
}

impl App for Echo {
    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        let event = happening.event_at(self.node);
        if let Some((conn, Event::StreamReadable(stream) | Event::StreamWritable(stream))) = event {
            self.pump(sim, conn, stream);
        }
    }
}

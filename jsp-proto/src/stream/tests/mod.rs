//! Two ends joined by a pipe in memory that loses, reorders and duplicates packets.

mod blocks;
mod compression;
mod delivery;
mod lifecycle;
mod messages;
mod scheduling;
mod violations;

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::*;
use crate::entropy::{Drbg, Entropy};
use crate::error::Violation;
use crate::wire::frame::Frame;
use crate::wire::{Reader, Writer};

pub(super) const SRTT: Duration = Duration::from_millis(40);

pub(super) fn hash() -> KeyedHash {
    KeyedHash::new(&mut Drbg::new(&Entropy::new([3; 32])))
}

pub(super) fn params_of(limits: &Limits) -> Params {
    Params {
        initial_max_data: limits.max_data,
        initial_max_stream_data: limits.max_stream_data,
        initial_max_streams: [limits.max_streams; 16],
        max_message_size: limits.max_message_size,
        compression: if limits.unpacks { COMPRESSION_LZ4 } else { 0 },
        ..Params::default()
    }
}

pub(super) struct Packet {
    pub(super) from: usize,
    pub(super) bytes: Vec<u8>,
    pub(super) records: Vec<StreamRecord>,
    /// Delivered at least once, so it may be acknowledged.
    pub(super) arrived: bool,
    /// The sender has heard of it, one way or the other.
    pub(super) resolved: bool,
}

/// Client (0) and server (1), and the packets between them.
pub(super) struct Pair {
    pub(super) ends: [Streams; 2],
    pub(super) now: Instant,
    pub(super) flying: Vec<Packet>,
    pub(super) packet_size: usize,
    grants: [(u64, u64); 2],
}

impl Pair {
    pub(super) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(super) fn with(limits: Limits) -> Self {
        let mut ends = [Side::Client, Side::Server].map(|side| Streams::new(side, &limits, hash()));
        for end in &mut ends {
            end.set_peer_params(&params_of(&limits));
            // Limits below the floor make small tests possible.
            end.send.credit_limit = limits.max_data;
            end.peer_stream_data = limits.max_stream_data;
            end.send.stream_window = limits.max_stream_data;
            end.on_rtt(SRTT);
        }
        let now = Instant::from_nanos(1_000_000_000);
        Self { ends, now, flying: Vec::new(), packet_size: 1200, grants: [(0, 0); 2] }
    }

    pub(super) fn client(&mut self) -> &mut Streams {
        &mut self.ends[0]
    }

    pub(super) fn server(&mut self) -> &mut Streams {
        &mut self.ends[1]
    }

    pub(super) fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        for end in &mut self.ends {
            if end.deadline().is_some_and(|at| at <= self.now) {
                end.on_timeout(self.now);
                assert!(end.deadline().is_none_or(|at| at > self.now), "a timer fired and stayed");
            }
        }
    }

    /// Lets one end fill a packet; false if it had nothing to send.
    pub(super) fn transmit(&mut self, from: usize) -> bool {
        let mut buffer = vec![0; self.packet_size];
        let mut w = Writer::new(&mut buffer);
        let mut records = Vec::new();
        let end = &mut self.ends[from];
        let wanted = end.wants_control() || end.wants_data();
        end.write_control(self.now, &mut w, &mut |record| records.push(record));
        end.write_data(self.now, &mut w, &mut |record| records.push(record));
        let bytes = w.written().to_vec();
        assert!(wanted || bytes.is_empty(), "wrote without wanting to");
        if bytes.is_empty() {
            return false;
        }
        self.flying.push(Packet { from, bytes, records, arrived: false, resolved: false });
        true
    }

    /// Hands the packet to the other end; it stays in flight.
    pub(super) fn deliver(&mut self, index: usize) {
        let packet = &self.flying[index];
        let to = 1 - packet.from;
        let frames = decode(&packet.bytes);
        let end = &mut self.ends[to];
        if frames.iter().any(|frame| end.check(frame) == Ok(Admit::Refuse)) {
            end.on_refused(self.now).expect("refusals stay below the bound");
            return;
        }
        for frame in &frames {
            end.on_frame(self.now, frame).expect("an honest peer breaks nothing");
        }
        self.check_credit(to);
        self.flying[index].arrived = true;
    }

    /// Limits never fall, and what is held stays below the window.
    fn check_credit(&mut self, index: usize) {
        let end = &self.ends[index];
        let stats = (end.recv.window.granted(), end.recv.released);
        assert!(stats.0 >= self.grants[index].0 && stats.1 >= self.grants[index].1, "credit went back");
        assert!(end.recv.received <= end.recv.window.granted());
        assert!(end.recv.released <= end.recv.received);
        assert!(end.recv.received - end.recv.released <= end.recv.window.size());
        self.grants[index] = stats;
        let [a, b] = &self.ends;
        for (sender, receiver) in [(a, b), (b, a)] {
            assert!(sender.send.credit_used <= sender.send.credit_limit);
            assert!(sender.send.credit_limit <= receiver.recv.window.granted());
        }
    }

    pub(super) fn acknowledge(&mut self, index: usize) {
        let packet = &mut self.flying[index];
        if !core::mem::replace(&mut packet.resolved, true) {
            for record in &packet.records {
                self.ends[packet.from].on_acked(self.now, record);
            }
        }
    }

    pub(super) fn lose(&mut self, index: usize) {
        let packet = &mut self.flying[index];
        if !core::mem::replace(&mut packet.resolved, true) {
            for record in &packet.records {
                self.ends[packet.from].on_lost(LossContext { now: self.now, srtt: SRTT }, record);
            }
        }
    }

    /// One round trip without loss; false if nobody had anything to send.
    pub(super) fn exchange(&mut self) -> bool {
        let mut active = false;
        for from in [0, 1] {
            for _ in 0..64 {
                if !self.transmit(from) {
                    break;
                }
                active = true;
            }
        }
        for index in 0..self.flying.len() {
            self.deliver(index);
            if self.flying[index].arrived {
                self.acknowledge(index);
            } else {
                self.lose(index);
            }
        }
        self.flying.clear();
        self.wait(20);
        active
    }

    /// Exchanges until nobody has anything to send.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            if !self.exchange() {
                return;
            }
        }
        panic!("never came to rest");
    }

    pub(super) fn events(&mut self, end: usize) -> Vec<StreamEvent> {
        core::iter::from_fn(|| self.ends[end].poll_event()).collect()
    }

    /// Hands frames made by hand to the server.
    pub(super) fn inject(&mut self, frame: &Frame<'_>) -> Result<(), Violation> {
        let mut buffer = vec![0; 70_000];
        let mut w = Writer::new(&mut buffer);
        frame.encode(&mut w).unwrap();
        let bytes = w.written().to_vec();
        for frame in decode(&bytes) {
            self.ends[1].on_frame(self.now, &frame)?;
        }
        Ok(())
    }
}

pub(super) fn decode(bytes: &[u8]) -> Vec<Frame<'_>> {
    let mut r = Reader::new(bytes);
    let mut frames = Vec::new();
    while !r.is_empty() {
        frames.push(Frame::decode(&mut r).expect("frames decode"));
    }
    frames
}

/// Reads what there is of a stream of bytes; true at the end.
pub(super) fn read_all(end: &mut Streams, sid: StreamId, into: &mut Vec<u8>, step: usize) -> bool {
    let mut buffer = vec![0; step];
    loop {
        match end.recv(sid, &mut buffer) {
            Ok(Recv::Data(length)) => into.extend_from_slice(&buffer[..length]),
            Ok(Recv::Finished) => return true,
            Ok(Recv::Blocked) => return false,
            other => panic!("{other:?}"),
        }
    }
}

/// Reads the messages there are.
pub(super) fn read_messages(end: &mut Streams, sid: StreamId, into: &mut Vec<Vec<u8>>) -> Option<RecvMessage> {
    let mut buffer = Vec::new();
    loop {
        match end.recv_message(sid, &mut buffer) {
            Ok(RecvMessage::Message(length)) => {
                assert_eq!(length, buffer.len());
                into.push(buffer.clone());
            }
            Ok(RecvMessage::Blocked) => return None,
            Ok(end) => return Some(end),
            Err(_) => return None,
        }
    }
}

//! The contract of `Endpoint`: calls in any order and any number, datagrams in any order or not at all, clocks that
//! jump forth and back. The same bytes arrive, nothing panics, and nobody is asked to wake up in the past.

mod support;

use std::sync::Arc;
use std::time::Duration;

use jsp_conformance::sim::apps::{check_content, fill_content};
use jsp_proto::{Config, ConnId, Endpoint, Entropy, Event, Instant, Output, Path, Recv, RecvMeta, SendError, StreamId};
use jsp_proto::{SendError as Refused, StreamOptions};
use proptest::prelude::*;
use support::{SECOND, pinned, server_config};

/// Bytes that each side sends.
const LEN: u64 = 30_000;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Polls this many times with a buffer of this size.
    Poll {
        side: usize,
        times: u8,
        buffer: usize,
    },
    /// Hands over a datagram on its way to `side`, and keeps a copy of it if told to.
    Deliver {
        side: usize,
        which: usize,
        keep: bool,
    },
    Lose {
        side: usize,
        which: usize,
    },
    /// Flips a bit of a copy of a datagram and hands that over.
    Corrupt {
        side: usize,
        which: usize,
        bit: usize,
    },
    Garbage {
        side: usize,
        len: usize,
    },
    Write {
        side: usize,
        len: usize,
    },
    Read {
        side: usize,
        len: usize,
    },
    Look {
        side: usize,
    },
    Forward {
        micros: u64,
    },
    Back {
        micros: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let side = 0..2usize;
    let which = any::<usize>();
    prop_oneof![
        8 => (side.clone(), 1..20u8, prop_oneof![1 => 0..1500usize, 3 => Just(1500), 3 => Just(16_000)])
            .prop_map(|(side, times, buffer)| Step::Poll { side, times, buffer }),
        12 => (side.clone(), which, prop::bool::weighted(0.1))
            .prop_map(|(side, which, keep)| Step::Deliver { side, which, keep }),
        2 => (side.clone(), which).prop_map(|(side, which)| Step::Lose { side, which }),
        1 => (side.clone(), which, any::<usize>())
            .prop_map(|(side, which, bit)| Step::Corrupt { side, which, bit }),
        1 => (side.clone(), 0..1500usize).prop_map(|(side, len)| Step::Garbage { side, len }),
        4 => (side.clone(), 1..8_000usize).prop_map(|(side, len)| Step::Write { side, len }),
        4 => (side.clone(), 1..8_000usize).prop_map(|(side, len)| Step::Read { side, len }),
        1 => side.prop_map(|side| Step::Look { side }),
        4 => prop_oneof![0..1_000u64, 0..50_000u64, 0..3_000_000u64].prop_map(|micros| Step::Forward { micros }),
        1 => (0..5_000_000u64).prop_map(|micros| Step::Back { micros }),
    ]
}

struct Party {
    endpoint: Endpoint,
    address: std::net::SocketAddr,
    conn: Option<ConnId>,
    connected: bool,
    own: Option<StreamId>,
    written: u64,
    finished: bool,
    peers: Option<StreamId>,
    read: u64,
    ended: bool,
    wake_at: Option<Instant>,
    /// On the way to this party.
    inbox: Vec<Vec<u8>>,
}

impl Party {
    fn new(config: Config, seed: u8, port: u16) -> Self {
        Self {
            endpoint: Endpoint::new(Arc::new(config), Entropy::new([seed; 32])),
            address: ([10, 0, 0, seed], port).into(),
            conn: None,
            connected: false,
            own: None,
            written: 0,
            finished: false,
            peers: None,
            read: 0,
            ended: false,
            wake_at: None,
            inbox: Vec::new(),
        }
    }

    /// Writes up to `len` bytes of this side's content.
    fn write(&mut self, now: Instant, content: u64, len: usize) {
        let (Some(id), true, false) = (self.conn, self.connected, self.finished) else { return };
        let mut conn = self.endpoint.conn(now, id).expect("open");
        let stream = *self.own.get_or_insert_with(|| conn.open(StreamOptions::bytes()).expect("below the limit"));
        let mut bytes = vec![0; len.min((LEN - self.written) as usize)];
        fill_content(content, self.written, &mut bytes);
        match conn.send(stream, &bytes) {
            Ok(taken) => self.written += taken as u64,
            Err(Refused::Blocked) => {}
            Err(error) => panic!("{error}"),
        }
        if self.written == LEN {
            conn.finish(stream).expect("not finished");
            self.finished = true;
            assert_eq!(conn.send(stream, b"more"), Err(SendError::Finished));
        }
    }

    /// Reads up to `len` bytes of the peer's content.
    fn read(&mut self, now: Instant, content: u64, len: usize) {
        let (Some(id), Some(stream), false) = (self.conn, self.peers, self.ended) else { return };
        let mut buffer = vec![0; len];
        match self.endpoint.conn(now, id).expect("open").recv(stream, &mut buffer) {
            Ok(Recv::Data(len)) => {
                check_content(content, self.read, &buffer[..len]);
                self.read += len as u64;
            }
            Ok(Recv::Blocked) => {}
            Ok(Recv::Finished) => {
                assert_eq!(self.read, LEN);
                self.ended = true;
            }
            other => panic!("{other:?}"),
        }
    }

    fn event(&mut self, conn: ConnId, event: Event) {
        match event {
            Event::Connected => {
                assert!(self.conn.is_none_or(|known| known == conn), "a second connection");
                (self.conn, self.connected) = (Some(conn), true);
            }
            Event::EarlyWritable => self.conn = Some(conn),
            Event::StreamOpened(stream) => self.peers = Some(stream),
            Event::Closed => {
                let reason = self.endpoint.conn(Instant::ZERO, conn).and_then(|conn| conn.close_reason().cloned());
                panic!("closed: {reason:?}");
            }
            _ => {}
        }
    }

    fn done(&self) -> bool {
        self.finished && self.ended
    }
}

struct World {
    parties: [Party; 2],
    now: Instant,
    latest: Instant,
}

impl World {
    fn new() -> Self {
        let patient = SECOND * 3600;
        let client = Config::builder().handshake_timeout(patient).idle_timeout(patient).build().expect("valid");
        let server = server_config().idle_timeout(patient).build().expect("valid");
        let mut parties = [Party::new(client, 1, 1000), Party::new(server, 2, 2000)];
        let path = Path { local: Some(parties[0].address), remote: parties[1].address };
        let conn = parties[0].endpoint.connect(Instant::ZERO, path, &pinned()).expect("a connection attempt");
        parties[0].conn = Some(conn);
        Self { parties, now: Instant::ZERO, latest: Instant::ZERO }
    }

    /// Polls once. False: the endpoint is idle, or needs a larger buffer.
    fn poll(&mut self, side: usize, buffer: &mut [u8]) -> bool {
        let party = &mut self.parties[side];
        match party.endpoint.poll(self.now, buffer) {
            Output::Event(conn, event) => party.event(conn, event),
            Output::Transmit(transmit) => {
                let datagrams: Vec<_> = transmit.payload.chunks(transmit.segment).map(<[u8]>::to_vec).collect();
                self.parties[1 - side].inbox.extend(datagrams);
            }
            Output::NeedBuffer { len } => {
                assert!(len > buffer.len(), "{len} bytes are there");
                return false;
            }
            Output::Idle { wake_at, .. } => {
                assert!(wake_at.is_none_or(|at| at > self.now), "at {:?} it wants to wake at {wake_at:?}", self.now);
                party.wake_at = wake_at;
                return false;
            }
            other => panic!("{other:?}"),
        }
        true
    }

    fn deliver(&mut self, side: usize, mut bytes: Vec<u8>) {
        let remote = self.parties[1 - side].address;
        let party = &mut self.parties[side];
        let path = Path { local: Some(party.address), remote };
        party.endpoint.handle_datagram(self.now, RecvMeta::single(path), &mut bytes);
    }

    fn apply(&mut self, step: Step) {
        let pick = |inbox: &Vec<Vec<u8>>, which: usize| which.checked_rem(inbox.len());
        match step {
            Step::Poll { side, times, buffer } => {
                let mut buffer = vec![0; buffer];
                let _ = (0..times).all(|_| self.poll(side, &mut buffer));
            }
            Step::Deliver { side, which, keep } => {
                let inbox = &mut self.parties[side].inbox;
                let Some(at) = pick(inbox, which) else { return };
                let bytes = if keep { inbox[at].clone() } else { inbox.remove(at) };
                self.deliver(side, bytes);
            }
            Step::Lose { side, which } => {
                let inbox = &mut self.parties[side].inbox;
                if let Some(at) = pick(inbox, which) {
                    inbox.remove(at);
                }
            }
            Step::Corrupt { side, which, bit } => {
                let inbox = &self.parties[side].inbox;
                let Some(at) = pick(inbox, which) else { return };
                let mut bytes = inbox[at].clone();
                let bit = bit % (bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
                self.deliver(side, bytes);
            }
            Step::Garbage { side, len } => {
                let mut bytes = vec![0; len];
                fill_content(len as u64, 0, &mut bytes);
                self.deliver(side, bytes);
            }
            Step::Write { side, len } => self.parties[side].write(self.now, side as u64, len),
            Step::Read { side, len } => self.parties[side].read(self.now, 1 - side as u64, len),
            Step::Look { side } => {
                let party = &mut self.parties[side];
                assert!(party.endpoint.conn(self.now, ConnId::from_u64(u64::MAX)).is_none());
                if let Some(conn) = party.conn.and_then(|id| party.endpoint.conn(self.now, id)) {
                    let _ = (conn.stats(), conn.is_connected(), conn.path());
                }
                assert!(party.endpoint.take_job().is_none());
            }
            Step::Forward { micros } => {
                self.now += Duration::from_micros(micros);
                // A server forgets a client that it did not hear from for five seconds; that is not tested here.
                if !self.parties.iter().all(|party| party.connected) {
                    self.now = self.now.min(Instant::ZERO + SECOND);
                }
            }
            Step::Back { micros } => self.now = self.now - Duration::from_micros(micros),
        }
        self.latest = self.latest.max(self.now);
    }

    /// From here on everything is done properly, and both sides must get all of their bytes.
    fn finish(&mut self) {
        self.now = self.latest;
        let mut buffer = vec![0; 16_000];
        for _ in 0..20_000 {
            for side in 0..2 {
                for bytes in std::mem::take(&mut self.parties[side].inbox) {
                    self.deliver(side, bytes);
                }
                self.parties[side].write(self.now, side as u64, LEN as usize);
                for _ in 0..4 {
                    self.parties[side].read(self.now, 1 - side as u64, LEN as usize);
                }
                while self.poll(side, &mut buffer) {}
            }
            if self.parties.iter().all(Party::done) {
                return;
            }
            if self.parties.iter().all(|party| party.inbox.is_empty()) {
                let wake = self.parties.iter().filter_map(|party| party.wake_at).min();
                self.now = wake.expect("somebody wants to go on");
            }
        }
        let progress = self.parties.each_ref().map(|party| (party.connected, party.written, party.read));
        panic!("no end in sight: {progress:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_calls_delivers_the_same_bytes(steps in prop::collection::vec(step(), 0..300)) {
        let mut world = World::new();
        for step in steps {
            world.apply(step);
        }
        world.finish();
    }
}

//! The fragments of both handshake messages, repeated, reordered, cut and changed, to a real server and a real client.

use std::time::Duration;

use jsp_proto::internals::crypto::{InitialKeys, TAG_LEN};
use jsp_proto::internals::wire::header::{Fragment, LongHeader, LongType, decode_long, is_long};
use jsp_proto::internals::wire::{Side, Writer};
use jsp_proto::{Endpoint, Instant, Output, Path, RecvMeta};

use crate::input::Input;
use crate::sealed::{beginning, endpoint, long_packets, peer_address, pinned, recipe, server_key};

/// An endpoint that waits for a handshake message.
struct Waiting {
    side: Side,
    endpoint: Endpoint,
    now: Instant,
    /// Bytes that it got and that it sent.
    got: usize,
    said: usize,
    answered: bool,
    /// Each honest fragment was handed in as it was.
    whole: Vec<bool>,
    /// Nothing was handed in that an honest peer could not have sent.
    honest: bool,
}

impl Waiting {
    fn new(side: Side) -> Self {
        let mut endpoint = endpoint(side);
        if side == Side::Client {
            endpoint.connect(beginning(), Path::to(peer_address()), &pinned()).expect("an attempt");
            long_packets(&mut endpoint);
        }
        let whole = vec![false; recipe(side).datagrams.len()];
        Self { side, endpoint, now: beginning(), got: 0, said: 0, answered: false, whole, honest: true }
    }

    fn hand(&mut self, datagram: &[u8]) {
        self.got += datagram.len();
        let meta = RecvMeta::single(Path::to(peer_address()));
        self.endpoint.handle_datagram(self.now, meta, &mut datagram.to_vec());
        self.drain();
    }

    fn drain(&mut self) -> Option<Instant> {
        let mut buffer = [0; 16_000];
        loop {
            match self.endpoint.poll(self.now, &mut buffer) {
                Output::Transmit(transmit) => {
                    self.said += transmit.payload.len();
                    let header = decode_long(transmit.payload, Side::Server);
                    self.answered |= match self.side {
                        Side::Server => header.is_ok_and(|header| header.ty == LongType::ServerInit),
                        // With the keys it goes on to packets of the connection.
                        Side::Client => !is_long(transmit.payload),
                    };
                    if self.side == Side::Server {
                        assert!(self.said <= 3 * self.got, "{} bytes for {}", self.said, self.got);
                    }
                }
                Output::Event(..) => {}
                Output::Idle { wake_at, .. } => {
                    assert!(wake_at.is_none_or(|at| at > self.now));
                    return wake_at;
                }
                output => panic!("{output:?}"),
            }
        }
    }

    /// Opens one of the honest datagrams: its header and what it carries.
    fn open(&self, number: usize) -> (Vec<u8>, Vec<u8>) {
        let mut datagram = recipe(self.side).datagrams[number].clone();
        let header = decode_long(&datagram, self.side.peer()).expect("sound");
        let (index, at) = (header.index, header.payload_at);
        let seal = self.seal(&header);
        let head = datagram[..at].to_vec();
        let plain = seal.open_datagram(index, &mut datagram, at).expect("its own").to_vec();
        (head, plain)
    }

    fn seal(&self, header: &LongHeader<'_>) -> jsp_proto::internals::crypto::initial::SealKey {
        let server = server_key().public().key_id();
        match self.side {
            Side::Server => InitialKeys::new(&server, header.dcid.as_slice()).client(header.ty),
            Side::Client => {
                // The client's first id is what it sent its hello to; the answer is sealed for that.
                let dcid = crate::handshake_fragments::first_dcid();
                InitialKeys::new(&server, dcid.as_slice()).server(header.ty, header.scid.as_slice())
            }
        }
    }

    /// Seals an honest fragment again after the input has changed it.
    fn reseal(&mut self, number: usize, input: &mut Input<'_>) {
        let (head, plain) = self.open(number);
        let fragment = Fragment::decode(&plain).expect("its own");
        let (total, offset, mut data) = (fragment.total, fragment.offset, fragment.data.to_vec());
        let start = input.below(data.len());
        let len = input.below(data.len() - start) + 1;
        let change = input.u8();
        data[start] ^= change;
        let total = if input.u8() & 7 == 7 { input.u16() % 4601 } else { total };
        let (offset, data) = (offset + start as u16, &data[start..start + len]);
        // An index stands for one piece of one message: an honest peer cuts its message in one way.
        self.honest &= change == 0 && total == fragment.total && len == fragment.data.len();
        let mut datagram = head.clone();
        datagram.resize(1200, 0);
        let mut w = Writer::new(&mut datagram[head.len()..1200 - TAG_LEN]);
        Fragment { total, offset, data }.encode(&mut w).expect("it fits");
        let header = decode_long(&head, self.side.peer()).expect("sound");
        self.seal(&header).seal_datagram(header.index, &mut datagram, head.len()).expect("room");
        self.hand(&datagram);
    }

    fn change(&mut self, number: usize, input: &mut Input<'_>) {
        let mut datagram = recipe(self.side).datagrams[number].clone();
        let at = usize::from(input.u16()) % datagram.len();
        match input.below(3) {
            0 => datagram[at] ^= 1 << input.below(8),
            1 => datagram.truncate(at),
            _ => datagram.extend_from_slice(input.chunk(64)),
        }
        if datagram == recipe(self.side).datagrams[number] {
            self.whole[number] = true;
        }
        // The first bits are not sealed: a changed header may make it another attempt, or one that asks for an answer.
        self.honest &= !is_long(&datagram) || at > 60;
        self.hand(&datagram);
    }
}

/// The id to which the client sends its hello.
fn first_dcid() -> jsp_proto::internals::wire::Cid {
    static ID: std::sync::OnceLock<jsp_proto::internals::wire::Cid> = std::sync::OnceLock::new();
    *ID.get_or_init(|| {
        let mut client = endpoint(Side::Client);
        client.connect(beginning(), Path::to(peer_address()), &pinned()).expect("an attempt");
        decode_long(&long_packets(&mut client)[0], Side::Client).expect("a hello").dcid
    })
}

/// Hands in the fragments as the input says. If each came once as it was and nobody lied, the handshake completes.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut waiting = Waiting::new(if input.flag() { Side::Client } else { Side::Server });
    let count = waiting.whole.len();
    let mut time = Duration::ZERO;
    for _ in 0..64 {
        if input.is_empty() {
            break;
        }
        let number = input.below(count);
        match input.below(8) {
            0..4 => {
                waiting.whole[number] = true;
                waiting.hand(&recipe(waiting.side).datagrams[number]);
            }
            4 => {
                time += Duration::from_millis(u64::from(input.u8()) * 16);
                waiting.now = beginning() + time;
                waiting.drain();
            }
            5 => waiting.reseal(number, &mut input),
            _ => waiting.change(number, &mut input),
        }
        assert!(waiting.endpoint.connections() <= 2 && waiting.endpoint.pending_clients() <= 64);
    }
    // What was put together is forgotten after five seconds, and a client gives up after ten.
    if waiting.whole.iter().all(|whole| *whole) && waiting.honest && time < Duration::from_secs(4) {
        assert!(waiting.answered, "every fragment came, and nobody answers");
    }
    // Everything that was begun ends.
    for _ in 0..10_000 {
        let Some(wake) = waiting.drain() else { break };
        waiting.now = wake;
    }
    assert!(waiting.endpoint.is_idle() && waiting.endpoint.pending_clients() == 0);
}

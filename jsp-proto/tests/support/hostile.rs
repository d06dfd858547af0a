//! A peer that holds real keys and keeps no rule: it completes a handshake and then sends whatever frames a test wants.
//! Built from the lower layers alone, so that nothing in it behaves well by accident.

use std::net::SocketAddr;
use std::time::Duration;

use jsp_conformance::sim::{Happening, NodeId, Sim};
use jsp_proto::internals::crypto::initial::{Layout, build_flight};
use jsp_proto::internals::crypto::packet::{Secret, unprotect};
use jsp_proto::internals::crypto::{
    ClientHelloState, ClientKem, InitialKeys, KeyId, Offered, PacketKeys, PublicKey, SecretKey, Secrets, TAG_LEN,
    server_open,
};
use jsp_proto::internals::wire::header::{
    Cid, Fragment, LongHeader, LongType, ShortFlags, decode_long, decode_packet_number, first_byte,
};
use jsp_proto::internals::wire::params::{Extras, Params, ParamsContext, encode_params};
use jsp_proto::internals::wire::{Frame, Reader, Writer};
use jsp_proto::{Side, TransportError};

/// Encoded parameters.
pub fn params(params: &Params, extras: &Extras<'_>, context: ParamsContext) -> Vec<u8> {
    let mut bytes = vec![0; 4000];
    let mut w = Writer::new(&mut bytes);
    encode_params(params, extras, context, &mut w).expect("they fit");
    let len = w.position();
    bytes.truncate(len);
    bytes
}

/// These frames as the content of a packet.
pub fn encode(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut payload = vec![0; 4000];
    let mut w = Writer::new(&mut payload);
    frames.iter().for_each(|frame| frame.encode(&mut w).expect("it fits"));
    let len = w.position();
    payload.truncate(len);
    payload
}

/// The first flight of a client.
pub struct Hello {
    pub dcid: Cid,
    pub scid: Cid,
    pub datagrams: Vec<Vec<u8>>,
    server: KeyId,
    kem: ClientKem,
    state: ClientHelloState,
}

impl Hello {
    /// A hello for the holder of `key`, different for every `number`, with the usual parameters.
    pub fn new(key: &PublicKey, number: u64) -> Self {
        Self::with_p1(key, number, &params(&Params::default(), &Extras::default(), ParamsContext::P1))
    }

    pub fn with_p1(key: &PublicKey, number: u64, p1: &[u8]) -> Self {
        let mut seed = [0x5a; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let mut coins = [0xa5; 64];
        coins[..8].copy_from_slice(&number.to_be_bytes());
        let kem = ClientKem::new(key, seed, coins).expect("a sound key");
        let dcid = Cid::new(&(number | 1 << 63).to_be_bytes()).expect("eight bytes");
        let scid = Cid::new(&(number | 1 << 62).to_be_bytes()).expect("eight bytes");
        Self::cut(kem, dcid, dcid, scid, &[], p1)
    }

    /// The same key material in a hello that follows a RETRY from `scid` with this token.
    pub fn again(self, odcid: Cid, dcid: Cid, token: &[u8]) -> Self {
        let p1 = params(&Params::default(), &Extras::default(), ParamsContext::P1);
        Self::cut(self.kem, odcid, dcid, self.scid, token, &p1)
    }

    fn cut(kem: ClientKem, odcid: Cid, dcid: Cid, scid: Cid, token: &[u8], p1: &[u8]) -> Self {
        let (message, state) = kem.hello(odcid.as_slice(), dcid.as_slice(), scid.as_slice(), p1);
        let server = kem.server_key().key_id();
        let ty = LongType::ClientInit;
        let seal = InitialKeys::new(&server, dcid.as_slice()).client(ty);
        let header = LongHeader { from: Side::Client, ty, count: 1, index: 0, dcid, scid, token, payload_at: 0 };
        let datagrams = build_flight(&header, &seal, &message, Layout::Hello).expect("it fits");
        Self { dcid, scid, datagrams, server, kem, state }
    }

    /// The message that the flight carries.
    pub fn message(&self) -> Vec<u8> {
        let seal = InitialKeys::new(&self.server, self.dcid.as_slice()).client(LongType::ClientInit);
        let mut message = Vec::new();
        for datagram in &self.datagrams {
            let mut datagram = datagram.clone();
            let header = decode_long(&datagram, Side::Client).expect("its own");
            let (index, at) = (header.index, header.payload_at);
            let plain = seal.open_datagram(index, &mut datagram, at).expect("its own");
            message.extend_from_slice(Fragment::decode(plain).expect("its own").data);
        }
        message
    }

    /// Another message under the ids of this flight, sealed for the server with key `server`.
    pub fn flight_of(&self, server: KeyId, message: &[u8]) -> Vec<Vec<u8>> {
        let ty = LongType::ClientInit;
        let seal = InitialKeys::new(&server, self.dcid.as_slice()).client(ty);
        let (dcid, scid) = (self.dcid, self.scid);
        let header = LongHeader { from: Side::Client, ty, count: 1, index: 0, dcid, scid, token: &[], payload_at: 0 };
        build_flight(&header, &seal, message, Layout::Hello).expect("it fits")
    }

    /// Opens an answer of the server: header and plain payload.
    pub fn open<'d>(&self, datagram: &'d mut [u8]) -> Option<(LongType, Cid, &'d [u8])> {
        open_answer(&self.server, &self.dcid, datagram)
    }
}

fn open_answer<'d>(server: &KeyId, dcid: &Cid, datagram: &'d mut [u8]) -> Option<(LongType, Cid, &'d [u8])> {
    let header = decode_long(datagram, Side::Server).ok()?;
    let (ty, scid, index, at) = (header.ty, header.scid, header.index, header.payload_at);
    let seal = InitialKeys::new(server, dcid.as_slice()).server(ty, scid.as_slice());
    let plain = seal.open_datagram(index, datagram, at).ok()?;
    Some((ty, scid, plain))
}

/// Puts fragments in the order of their offsets together; `None` while some are missing.
fn assemble(fragments: &[(u16, u16, Vec<u8>)]) -> Option<Vec<u8>> {
    let total = usize::from(fragments.first()?.0);
    let mut message = vec![None; total];
    for (_, offset, data) in fragments {
        for (slot, byte) in message.iter_mut().skip(usize::from(*offset)).zip(data) {
            *slot = Some(*byte);
        }
    }
    message.into_iter().collect()
}

/// A raw host with the keys of a connection.
pub struct Hostile {
    pub node: NodeId,
    /// The id to which the client sent its hello.
    first_dcid: Cid,
    peer: SocketAddr,
    local: Cid,
    remote: Cid,
    tx: PacketKeys,
    /// Of all key phases so far and the next one.
    rx: Vec<PacketKeys>,
    /// The secret that follows the one of `tx`, and that of the last of `rx`.
    secrets: (Secret, Secret),
    /// The key phase it sends in, counted from 0.
    pub phase: usize,
    /// The key phase of the packet of the peer that came in last.
    pub heard: usize,
    /// Packets of the peer, opened: number and payload.
    pub packets: Vec<(u64, Vec<u8>)>,
    pub next_pn: u64,
    largest: Option<u64>,
}

impl Hostile {
    /// Connects a raw host to a server, with the usual parameters.
    pub fn connect(sim: &mut Sim, node: NodeId, server: NodeId, key: &PublicKey) -> Self {
        let hello = Hello::new(key, node_number(node));
        Self::connect_with(sim, node, server, &hello)
    }

    /// Connects a raw host to a server with this hello.
    pub fn connect_with(sim: &mut Sim, node: NodeId, server: NodeId, hello: &Hello) -> Self {
        let peer = sim.address(server);
        for datagram in &hello.datagrams {
            sim.send_raw(node, peer, datagram.clone());
        }
        let mut fragments = Vec::new();
        let mut early = Vec::new();
        let mut answer = None;
        sim.run_until(Duration::from_secs(1), |_, happening| {
            let Happening::Datagram { node: at, bytes, .. } = happening else { return false };
            let mut bytes = bytes.clone();
            if *at != node {
                return false;
            }
            match hello.open(&mut bytes) {
                Some((LongType::ServerInit, scid, plain)) => {
                    let fragment = Fragment::decode(plain).expect("a fragment");
                    fragments.push((fragment.total, fragment.offset, fragment.data.to_vec()));
                    answer = assemble(&fragments).map(|message| (scid, message));
                }
                _ => early.push(bytes),
            }
            answer.is_some()
        });
        let (scid, message) = answer.expect("an answer");
        let established = hello.state.finish(&hello.kem, scid.as_slice(), &message, Offered::default());
        let established = established.expect("the right server");
        assert_eq!(established.refused, None);
        let mut this = Self::new(node, Side::Client, peer, hello.scid, scid, &established.secrets);
        early.into_iter().for_each(|bytes| this.on_datagram(bytes));
        this
    }

    /// Waits as a server for the hello of a client, for at most a second, and answers it if told to.
    pub fn accept(sim: &mut Sim, node: NodeId, key: &SecretKey) -> (Self, Vec<Vec<u8>>) {
        let mut fragments = Vec::new();
        let mut found = None;
        sim.run_until(Duration::from_secs(1), |_, happening| {
            let Happening::Datagram { node: at, from, bytes, .. } = happening else { return false };
            if *at != node {
                return false;
            }
            let mut bytes = bytes.clone();
            let header = decode_long(&bytes, Side::Client).expect("a hello");
            let (dcid, scid, index, payload_at) = (header.dcid, header.scid, header.index, header.payload_at);
            let seal = InitialKeys::new(&key.public().key_id(), dcid.as_slice()).client(LongType::ClientInit);
            let plain = seal.open_datagram(index, &mut bytes, payload_at).expect("sealed for this key");
            let fragment = Fragment::decode(plain).expect("a fragment");
            fragments.push((fragment.total, fragment.offset, fragment.data.to_vec()));
            found = assemble(&fragments).map(|message| (*from, dcid, scid, message));
            found.is_some()
        });
        let (peer, dcid, client_cid, message) = found.expect("a whole hello");
        let opened = server_open(key, dcid.as_slice(), dcid.as_slice(), client_cid.as_slice(), &message);
        let local = Cid::new(&[0x77; 8]).expect("eight bytes");
        let sealed = opened.expect("it opens").seal(local.as_slice(), &[3; 64], None, None, None, &[]);
        let (answer, secrets) = sealed.expect("an answer");
        let flight = answer_flight(&key.public().key_id(), dcid, client_cid, local, &answer);
        let this = Self::new(node, Side::Server, peer, local, client_cid, &secrets);
        (Self { first_dcid: dcid, ..this }, flight)
    }

    fn new(node: NodeId, side: Side, peer: SocketAddr, local: Cid, remote: Cid, secrets: &Secrets) -> Self {
        let (tx, rx) = match side {
            Side::Client => (&secrets.client, &secrets.server),
            Side::Server => (&secrets.server, &secrets.client),
        };
        let secrets = (tx.next(), rx.next());
        let (tx, rx) = (PacketKeys::from_secret(tx), PacketKeys::from_secret(rx));
        let next = rx.updated(&secrets.1);
        Self {
            node,
            first_dcid: Cid::default(),
            peer,
            local,
            remote,
            tx,
            rx: vec![rx, next],
            secrets,
            phase: 0,
            heard: 0,
            packets: Vec::new(),
            next_pn: 0,
            largest: None,
        }
    }

    /// As a server: an answer to the client's hello that is sealed rightly and made up inside, different for every
    /// number.
    pub fn forged_answer(&self, server: &KeyId, number: u8) -> Vec<Vec<u8>> {
        self.forged_answer_of(server, number, 1137)
    }

    /// [`forged_answer`](Self::forged_answer) with a message of so many bytes.
    pub fn forged_answer_of(&self, server: &KeyId, number: u8, len: usize) -> Vec<Vec<u8>> {
        let scid = Cid::new(&[number; 8]).expect("eight bytes");
        let mut message = vec![number; len];
        message[0] = 0;
        answer_flight(server, self.first_dcid, self.remote, scid, &message)
    }

    /// Packets are sealed in the next key phase from now on, whether or not that is allowed.
    pub fn update_keys(&mut self) {
        let (tx, rx) = &mut self.secrets;
        self.tx = self.tx.updated(tx);
        (*tx, *rx) = (tx.next(), rx.next());
        self.rx.push(self.rx[0].updated(rx));
        self.phase += 1;
    }

    /// Seals these bytes as the content of the next packet.
    pub fn seal(&mut self, payload: &[u8]) -> Vec<u8> {
        self.seal_as(payload, false, self.phase)
    }

    /// Seals these bytes as the content of the next packet, which claims to be of the other key phase.
    pub fn seal_in_the_wrong_phase(&mut self, payload: &[u8]) -> Vec<u8> {
        self.seal_as(payload, false, self.phase + 1)
    }

    /// Seals these bytes as the content of the next packet, one that parity may protect.
    pub fn seal_protected(&mut self, payload: &[u8]) -> Vec<u8> {
        self.seal_as(payload, true, self.phase)
    }

    fn seal_as(&mut self, payload: &[u8], fec: bool, phase: usize) -> Vec<u8> {
        self.seal_under(payload, ShortFlags { fec, key_phase: phase % 2 == 1, pn_len: 4 }, 0)
    }

    /// Seals these bytes as the content of the next packet, under a header with these flags and the bits of `more`.
    pub fn seal_under(&mut self, payload: &[u8], flags: ShortFlags, more: u8) -> Vec<u8> {
        let pn = self.next_pn;
        self.next_pn += 1;
        let cid = self.remote.as_slice();
        let pn_at = 1 + cid.len();
        let mut packet = vec![first_byte(flags, false) | more];
        packet.extend_from_slice(cid);
        packet.resize(pn_at + flags.pn_len, 0);
        packet.extend_from_slice(payload);
        packet.extend_from_slice(&[0; TAG_LEN]);
        self.tx.seal(&mut packet, pn_at, flags.pn_len, pn);
        packet
    }

    /// Sends a packet with these bytes as content.
    pub fn send_bytes(&mut self, sim: &mut Sim, payload: &[u8]) {
        let packet = self.seal(payload);
        sim.send_raw(self.node, self.peer, packet);
    }

    /// Sends a packet with these frames.
    pub fn send(&mut self, sim: &mut Sim, frames: &[Frame<'_>]) {
        self.send_bytes(sim, &encode(frames));
    }

    /// Sends datagrams as they are.
    pub fn send_raw(&self, sim: &mut Sim, datagrams: &[Vec<u8>]) {
        for datagram in datagrams {
            sim.send_raw(self.node, self.peer, datagram.clone());
        }
    }

    /// Lets time pass and takes in what the peer sends.
    pub fn run(&mut self, sim: &mut Sim, time: Duration) {
        let mut received = Vec::new();
        sim.run_until(time, |_, happening| {
            if let Happening::Datagram { node, bytes, .. } = happening
                && *node == self.node
            {
                received.push(bytes.clone());
            }
            false
        });
        received.into_iter().for_each(|bytes| self.on_datagram(bytes));
    }

    fn on_datagram(&mut self, mut bytes: Vec<u8>) {
        if bytes.first().is_none_or(|byte| byte & 0x80 != 0) {
            return;
        }
        let pn_at = 1 + self.local.len();
        let Ok(header) = unprotect(self.rx[0].header(), &mut bytes, pn_at) else { return };
        let expected = self.largest.map_or(0, |largest| largest + 1);
        let pn = decode_packet_number(header.truncated_pn, header.pn_len, expected);
        let at = pn_at + header.pn_len;
        let odd = usize::from(ShortFlags::from_first_byte(header.first).key_phase);
        let mut of_the_bit = self.rx.iter().enumerate().rev().filter(|(phase, _)| phase % 2 == odd);
        let opened = of_the_bit.find_map(|(phase, keys)| {
            let mut bytes = bytes.clone();
            let len = keys.open(&mut bytes, at, pn).ok()?;
            Some((phase, bytes[at..at + len].to_vec()))
        });
        if let Some((phase, payload)) = opened {
            self.heard = phase;
            self.largest = self.largest.max(Some(pn));
            self.packets.push((pn, payload));
        }
    }

    /// All frames of the peer so far.
    pub fn frames(&self) -> Vec<Frame<'_>> {
        let mut frames = Vec::new();
        for (_, payload) in &self.packets {
            let mut reader = Reader::new(payload);
            while !reader.is_empty() {
                frames.push(Frame::decode(&mut reader).expect("the peer sends sound frames"));
            }
        }
        frames
    }

    /// Whether the peer acknowledged this packet.
    pub fn is_acked(&self, pn: u64) -> bool {
        self.frames().iter().any(|frame| match frame {
            Frame::Ack(ack) => ack.ranges.iter().any(|range| range.contains(&pn)),
            _ => false,
        })
    }

    /// The error with which the peer has closed, if it did.
    pub fn closed_with(&self) -> Option<TransportError> {
        self.frames().iter().find_map(|frame| match frame {
            Frame::Close(close) => Some(TransportError::from_code(close.error)),
            _ => None,
        })
    }
}

/// A server's answer in datagrams; `message` may be anything.
pub fn answer_flight(server: &KeyId, dcid: Cid, client: Cid, scid: Cid, message: &[u8]) -> Vec<Vec<u8>> {
    let ty = LongType::ServerInit;
    let seal = InitialKeys::new(server, dcid.as_slice()).server(ty, scid.as_slice());
    let header =
        LongHeader { from: Side::Server, ty, count: 1, index: 0, dcid: client, scid, token: &[], payload_at: 0 };
    build_flight(&header, &seal, message, Layout::Padded).expect("it fits")
}

fn node_number(node: NodeId) -> u64 {
    node.to_string().bytes().fold(1, |number, byte| number * 256 + u64::from(byte)) & 0xffff_ffff
}

//! A live connection of a real endpoint to a peer that holds the real keys and keeps no rule: what a fuzzer makes gets
//! behind the packet protection. There is no network; time goes on when the peer lets it.
//!
//! Endpoints are functions of their seed and of what they are given, so that the peer's half of the handshake is worked
//! out once per process and repeated word for word.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jsp_proto::internals::crypto::initial::{Layout, build_flight};
use jsp_proto::internals::crypto::packet::{Secret, unprotect};
use jsp_proto::internals::crypto::{
    ClientKem, InitialKeys, Offered, PacketKeys, SecretKey, Secrets, TAG_LEN, server_open,
};
use jsp_proto::internals::wire::header::{
    Cid, Fragment, LongHeader, LongType, MAX_CID, ShortFlags, decode_long, decode_packet_number, first_byte, is_long,
};
use jsp_proto::internals::wire::params::{COMPRESSION_LZ4, Extras, Params, ParamsContext, encode_params};
use jsp_proto::internals::wire::{Frame, Reader, Writer};
use jsp_proto::{
    ClientConfig, Config, ConfigBuilder, Conn, ConnId, ConnectionError, Endpoint, Entropy, Event, Instant, Output,
    Path, RecvMeta, Side, TransportError,
};

/// One way between the two ends takes this long.
const ONE_WAY: Duration = Duration::from_millis(10);
/// More outputs of an endpoint without time going on are a livelock.
const MOST_OUTPUTS: usize = 100_000;
/// How often time stops on the way to a later time: timers may be many.
const MOST_STOPS: usize = 300;
/// What the endpoint grants: little, so that limits are met.
pub const STREAM_WINDOW: u64 = 64 << 10;
/// [`STREAM_WINDOW`] for all streams together.
pub const WINDOW: u64 = 128 << 10;

/// The server's key; expanded once.
pub fn server_key() -> &'static Arc<SecretKey> {
    static KEY: OnceLock<Arc<SecretKey>> = OnceLock::new();
    KEY.get_or_init(|| Arc::new(SecretKey::from_seed([1; 32])))
}

/// The address of the peer.
pub fn peer_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], 777))
}

fn builder() -> ConfigBuilder {
    let builder = Config::builder().receive_window(WINDOW, STREAM_WINDOW).max_receive_window(WINDOW, STREAM_WINDOW);
    builder.accept_compressed(true).max_streams(16)
}

/// The configuration of the endpoint on this side.
pub fn config(side: Side) -> &'static Arc<Config> {
    static CONFIGS: OnceLock<[Arc<Config>; 2]> = OnceLock::new();
    let configs = CONFIGS.get_or_init(|| {
        [builder(), builder().server_key(server_key().clone())].map(|builder| Arc::new(builder.build().expect("valid")))
    });
    &configs[usize::from(side == Side::Server)]
}

/// An endpoint that has seen nothing yet.
pub fn endpoint(side: Side) -> Endpoint {
    Endpoint::new(config(side).clone(), Entropy::new([5; 32]))
}

/// When everything begins.
pub fn beginning() -> Instant {
    Instant::from_nanos(1_000_000_000)
}

/// Trust in the server's key.
pub fn pinned() -> ClientConfig {
    ClientConfig::pinned(server_key().public().clone())
}

/// The peer's part of a handshake.
#[derive(Debug)]
pub struct Recipe {
    /// What it sends.
    pub datagrams: Vec<Vec<u8>>,
    /// The secrets for what the peer sends, and for what it receives.
    secrets: ([u8; 32], [u8; 32]),
    /// The ids of the peer and of the endpoint.
    pub local: Cid,
    /// See `local`.
    pub remote: Cid,
}

/// The peer's part of a handshake with the endpoint of this side.
pub fn recipe(side: Side) -> &'static Recipe {
    static SERVER: OnceLock<Recipe> = OnceLock::new();
    static CLIENT: OnceLock<Recipe> = OnceLock::new();
    match side {
        Side::Server => SERVER.get_or_init(|| against_server(ours(Side::Client, &params(ParamsContext::P1)))),
        Side::Client => CLIENT.get_or_init(against_client),
    }
}

/// The peer's parameters.
fn params(context: ParamsContext) -> Vec<u8> {
    let params = Params { compression: COMPRESSION_LZ4, ..Params::default() };
    let mut bytes = vec![0; 1000];
    let mut w = Writer::new(&mut bytes);
    encode_params(&params, &Extras::default(), context, &mut w).expect("they fit");
    w.written().to_vec()
}

fn ours(side: Side, p1: &[u8]) -> (ClientKem, Cid, Cid, Vec<u8>) {
    assert_eq!(side, Side::Client);
    let kem = ClientKem::new(server_key().public(), [0x5a; 32], [0xa5; 64]).expect("a sound key");
    let (dcid, scid) = (Cid::new(&[0xd1; 8]).expect("short"), Cid::new(&[0xc1; 8]).expect("short"));
    (kem, dcid, scid, p1.to_vec())
}

fn against_server((kem, dcid, scid, p1): (ClientKem, Cid, Cid, Vec<u8>)) -> Recipe {
    let (message, state) = kem.hello(dcid.as_slice(), dcid.as_slice(), scid.as_slice(), &p1);
    let ty = LongType::ClientInit;
    let seal = InitialKeys::new(&server_key().public().key_id(), dcid.as_slice()).client(ty);
    let header = LongHeader { from: Side::Client, ty, count: 1, index: 0, dcid, scid, token: &[], payload_at: 0 };
    let datagrams = build_flight(&header, &seal, &message, Layout::Hello).expect("it fits");
    let mut server = endpoint(Side::Server);
    for datagram in &datagrams {
        server.handle_datagram(beginning(), RecvMeta::single(Path::to(peer_address())), &mut datagram.clone());
    }
    let (_, remote, message) = assemble(&long_packets(&mut server), dcid, Side::Server);
    let established = state.finish(&kem, remote.as_slice(), &message, Offered::default()).expect("the right server");
    let Secrets { client, server, .. } = &established.secrets;
    Recipe { datagrams, secrets: (*client.as_bytes(), *server.as_bytes()), local: scid, remote }
}

fn against_client() -> Recipe {
    let mut client = endpoint(Side::Client);
    client.connect(beginning(), Path::to(peer_address()), &pinned()).expect("an attempt");
    let packets = long_packets(&mut client);
    let dcid = decode_long(&packets[0], Side::Client).expect("a hello").dcid;
    let (dcid, remote, message) = assemble(&packets, dcid, Side::Client);
    let opened = server_open(server_key(), dcid.as_slice(), dcid.as_slice(), remote.as_slice(), &message);
    let local = Cid::new(&[0x77; 8]).expect("short");
    let sealed = opened.expect("for this key").seal(local.as_slice(), &[3; 64], None, None, None, &[]);
    let (answer, Secrets { client, server, .. }) = sealed.expect("an answer");
    let ty = LongType::ServerInit;
    let seal = InitialKeys::new(&server_key().public().key_id(), dcid.as_slice()).server(ty, local.as_slice());
    let header =
        LongHeader { from: Side::Server, ty, count: 1, index: 0, dcid: remote, scid: local, token: &[], payload_at: 0 };
    let datagrams = build_flight(&header, &seal, &answer, Layout::Padded).expect("it fits");
    Recipe { datagrams, secrets: (*server.as_bytes(), *client.as_bytes()), local, remote }
}

/// The long packets that the endpoint sends now.
pub fn long_packets(endpoint: &mut Endpoint) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; 65_536];
    let mut packets = Vec::new();
    loop {
        match endpoint.poll(beginning(), &mut buffer) {
            Output::Transmit(transmit) => {
                let datagrams = transmit.payload.chunks(transmit.segment);
                packets.extend(datagrams.filter(|datagram| is_long(datagram)).map(<[u8]>::to_vec));
            }
            Output::Idle { .. } => return packets,
            _ => {}
        }
    }
}

/// Puts the fragments that `from` has sent together. Gives the ids and the message.
fn assemble(packets: &[Vec<u8>], first_dcid: Cid, from: Side) -> (Cid, Cid, Vec<u8>) {
    let keys = InitialKeys::new(&server_key().public().key_id(), first_dcid.as_slice());
    let (mut message, mut ids) = (Vec::new(), None);
    for packet in packets {
        let mut packet = packet.clone();
        let LongHeader { ty, dcid, scid, index, payload_at, .. } = decode_long(&packet, from).expect("sound");
        let seal = match from {
            Side::Client => keys.client(ty),
            Side::Server => keys.server(ty, scid.as_slice()),
        };
        let plain = seal.open_datagram(index, &mut packet, payload_at).expect("sealed for this connection");
        let fragment = Fragment::decode(plain).expect("sound");
        let offset = usize::from(fragment.offset);
        message.resize(usize::from(fragment.total), 0);
        message[offset..offset + fragment.data.len()].copy_from_slice(fragment.data);
        ids = Some((dcid, scid));
    }
    let (dcid, scid) = ids.expect("some packets");
    (dcid, scid, message)
}

/// These frames as the content of a packet.
pub fn encode(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut payload = vec![0; 66_000];
    let mut w = Writer::new(&mut payload);
    frames.iter().for_each(|frame| frame.encode(&mut w).expect("it fits"));
    w.written().to_vec()
}

/// Both ends: the endpoint, and what the peer knows.
pub struct Sealed {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The time.
    pub now: Instant,
    /// Its connection.
    pub id: ConnId,
    /// Whose endpoint it is.
    pub side: Side,
    /// What has happened to the connection.
    pub events: Vec<Event>,
    /// Why it ended, if it did.
    pub end: Option<ConnectionError>,
    /// What the endpoint sent: number and payload.
    pub packets: Vec<(u64, Vec<u8>)>,
    /// The number of the peer's next packet.
    pub next_pn: u64,
    /// Where the peer's packets come from.
    pub from: SocketAddr,
    /// Numbers of the peer's packets that were handed in.
    handed: BTreeSet<u64>,
    /// How many datagrams the endpoint has accepted.
    taken: u16,
    /// How many those were at the last key update.
    updated_at: Option<u16>,
    /// The endpoint cannot open the peer's packets any more.
    unheard: bool,
    /// How many of the endpoint's packets were searched for questions.
    answered: usize,
    acked: BTreeSet<u64>,
    tx: PacketKeys,
    rx: Vec<PacketKeys>,
    secrets: (Secret, Secret),
    phase: usize,
    largest: Option<u64>,
    buffer: Vec<u8>,
}

impl Sealed {
    /// Connects an endpoint of this side.
    pub fn new(side: Side) -> Self {
        let Recipe { datagrams, secrets, .. } = recipe(side);
        let mut endpoint = endpoint(side);
        let path = Path::to(peer_address());
        let mut id = ConnId::from_u64(0);
        if side == Side::Client {
            id = endpoint.connect(beginning(), path, &pinned()).expect("an attempt");
            long_packets(&mut endpoint);
        }
        let (tx, rx) = (Secret::new(secrets.0), Secret::new(secrets.1));
        let secrets = (tx.next(), rx.next());
        let (tx, rx) = (PacketKeys::from_secret(&tx), PacketKeys::from_secret(&rx));
        let next = rx.updated(&secrets.1);
        let mut this = Self {
            endpoint,
            now: beginning(),
            id,
            side,
            events: Vec::new(),
            end: None,
            packets: Vec::new(),
            next_pn: 0,
            from: peer_address(),
            handed: BTreeSet::new(),
            taken: 0,
            updated_at: None,
            unheard: false,
            answered: 0,
            acked: BTreeSet::new(),
            tx,
            rx: vec![rx, next],
            secrets,
            phase: 0,
            largest: None,
            buffer: vec![0; 65_536],
        };
        datagrams.iter().for_each(|datagram| this.hand(&mut datagram.clone()));
        this.drain();
        match side {
            Side::Server => this.send(&[Frame::Ping]),
            Side::Client => {
                let params = params(ParamsContext::ServerParams);
                this.send(&[Frame::Params(&params), Frame::HandshakeDone]);
            }
        }
        assert!(this.events.contains(&Event::Connected), "{:?} {:?}", this.events, this.end);
        this
    }

    /// The connection, while there is one.
    pub fn conn(&mut self) -> Option<Conn<'_>> {
        self.endpoint.conn(self.now, self.id)
    }

    /// Packets are sealed in the next key phase from now on, whether or not that is allowed.
    pub fn update_keys(&mut self) {
        // Of two updates in a row nobody hears of the first: the packets after them mean nothing.
        self.unheard |= self.updated_at == Some(self.taken);
        self.updated_at = Some(self.taken);
        let (tx, rx) = &mut self.secrets;
        self.tx = self.tx.updated(tx);
        (*tx, *rx) = (tx.next(), rx.next());
        self.rx.push(self.rx[0].updated(rx));
        self.phase += 1;
    }

    /// Seals these bytes as the content of the next packet, one that parity may protect if `fec`.
    pub fn seal(&mut self, payload: &[u8], fec: bool) -> Vec<u8> {
        let flags = ShortFlags { fec, key_phase: self.phase % 2 == 1, pn_len: 4 };
        let pn = self.next_pn;
        self.next_pn += 1;
        let cid = recipe(self.side).remote;
        let pn_at = 1 + cid.len();
        let mut packet = vec![first_byte(flags, false)];
        packet.extend_from_slice(cid.as_slice());
        packet.resize(pn_at + flags.pn_len, 0);
        packet.extend_from_slice(payload);
        packet.extend_from_slice(&[0; TAG_LEN]);
        self.tx.seal(&mut packet, pn_at, flags.pn_len, pn);
        packet
    }

    /// Hands a sealed packet with this number in, and takes what the endpoint says to it.
    pub fn deliver(&mut self, pn: u64, packet: &[u8]) {
        self.handed.insert(pn);
        self.hand(&mut packet.to_vec());
        self.drain();
    }

    /// Sends a packet with these bytes as content.
    pub fn send_bytes(&mut self, payload: &[u8]) {
        let pn = self.next_pn;
        let packet = self.seal(payload, false);
        self.deliver(pn, &packet);
    }

    /// Sends a packet with these frames.
    pub fn send(&mut self, frames: &[Frame<'_>]) {
        self.send_bytes(&encode(frames));
    }

    /// Acknowledges everything that was received.
    pub fn acknowledge(&mut self) {
        let Some(largest) = self.largest else { return };
        let numbers: BTreeSet<u64> = self.packets.iter().map(|(pn, _)| *pn).collect();
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for pn in numbers.into_iter().rev() {
            match ranges.last_mut() {
                Some((first, _)) if *first == pn + 1 => *first = pn,
                _ => ranges.push((pn, pn)),
            }
        }
        assert_eq!(ranges.first().map(|(_, last)| *last), Some(largest));
        let mut payload = vec![0; 1000];
        let mut w = Writer::new(&mut payload);
        let written = jsp_proto::internals::wire::frame::write_ack(&mut w, 0, ranges, None);
        assert!(written.is_ok_and(|count| count > 0));
        let payload = w.written().to_vec();
        self.send_bytes(&payload);
    }

    fn hand(&mut self, datagram: &mut [u8]) {
        let meta = RecvMeta::single(Path::to(self.from));
        self.taken += self.endpoint.handle_datagram(self.now, meta, datagram).accepted;
        self.look();
    }

    fn look(&mut self) {
        let end = self.endpoint.conn(self.now, self.id).and_then(|conn| conn.close_reason().cloned());
        if self.end.is_none() {
            self.end = end;
        }
    }

    /// Takes everything that the endpoint has to say now. Gives the time at which it has more.
    pub fn drain(&mut self) -> Option<Instant> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut wake = None;
        for count in 0.. {
            assert!(count < MOST_OUTPUTS, "the endpoint goes on and on");
            match self.endpoint.poll(self.now, &mut buffer) {
                Output::Transmit(transmit) => {
                    assert!(transmit.segment > 0 && !transmit.payload.is_empty());
                    for datagram in transmit.payload.chunks(transmit.segment) {
                        self.receive(datagram);
                    }
                }
                Output::Event(id, event) => {
                    if event == Event::Connected {
                        self.id = id;
                    }
                    self.events.push(event);
                    self.look();
                }
                Output::NeedBuffer { len } => panic!("{len} bytes are more than any datagram has"),
                Output::Incoming(_) => unreachable!("not configured"),
                Output::Idle { wake_at, .. } => {
                    assert!(wake_at.is_none_or(|at| at > self.now), "it wants to be woken in the past");
                    wake = wake_at;
                    break;
                }
            }
        }
        self.buffer = buffer;
        wake
    }

    /// Lets so much time pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..MOST_STOPS {
            match self.drain() {
                Some(wake) if wake < end => self.now = wake,
                _ => break,
            }
        }
        self.now = end;
        self.drain();
    }

    /// Lets a round trip pass.
    pub fn pass_round_trip(&mut self) {
        self.pass(ONE_WAY * 2);
    }

    fn receive(&mut self, datagram: &[u8]) {
        if is_long(datagram) {
            return;
        }
        // The peer may have given out other ids, of any length. What opens with none of them, a stateless reset for
        // example, is none of the connection's packets.
        let usual = recipe(self.side).local.len();
        let opened = std::iter::once(usual).chain(1..=MAX_CID).find_map(|cid| self.open(datagram, 1 + cid));
        let Some((pn, payload)) = opened else { return };
        self.largest = self.largest.max(Some(pn));
        self.check(&payload);
        self.packets.push((pn, payload));
    }

    /// Opens a packet whose number begins at `pn_at`.
    fn open(&self, datagram: &[u8], pn_at: usize) -> Option<(u64, Vec<u8>)> {
        let mut bytes = datagram.to_vec();
        let header = unprotect(self.rx[0].header(), &mut bytes, pn_at).ok()?;
        let expected = self.largest.map_or(0, |largest| largest + 1);
        let pn = decode_packet_number(header.truncated_pn, header.pn_len, expected);
        let at = pn_at + header.pn_len;
        self.rx.iter().rev().find_map(|keys| {
            let mut bytes = bytes.clone();
            let len = keys.open(&mut bytes, at, pn).ok()?;
            Some((pn, bytes[at..at + len].to_vec()))
        })
    }

    /// What the endpoint sends is sound, and it acknowledges nothing that it did not receive.
    fn check(&mut self, payload: &[u8]) {
        let mut r = Reader::new(payload);
        assert!(!r.is_empty(), "a packet without frames");
        while !r.is_empty() {
            let frame = Frame::decode(&mut r).expect("the endpoint sends sound frames");
            let Frame::Ack(ack) = frame else { continue };
            for range in ack.ranges.iter() {
                let known: Vec<u64> = self.handed.range(range.clone()).copied().collect();
                assert_eq!(known.len() as u64, range.end() - range.start() + 1, "{range:?} was not received");
                self.acked.extend(known);
            }
        }
    }

    /// Whether the endpoint has acknowledged this packet of the peer.
    pub fn is_acked(&self, pn: u64) -> bool {
        self.acked.contains(&pn)
    }

    /// Whether the connection goes on.
    pub fn is_open(&self) -> bool {
        self.end.is_none()
    }

    /// The error for which the endpoint has ended the connection.
    pub fn violation(&self) -> Option<TransportError> {
        match &self.end {
            Some(ConnectionError::Protocol { error, .. }) => Some(*error),
            _ => None,
        }
    }

    /// What must hold whatever the peer did: memory is bounded, and a connection that goes on answers.
    pub fn finish(mut self) {
        self.check_bounds();
        self.from = peer_address();
        self.unheard |= self.updated_at == Some(self.taken);
        let mut asked = Vec::new();
        // As long as an address is not proven, little is said to it.
        for _ in 0..3 {
            self.pass_round_trip();
            self.answer_challenges();
            asked.push(self.next_pn);
            self.send(&[Frame::Ping, Frame::ImmediateAck, Frame::Padding { len: 1100 }]);
        }
        self.pass(Duration::from_millis(200));
        let heard = asked.iter().any(|pn| self.is_acked(*pn));
        assert!(heard || self.unheard || !self.is_open(), "the connection does not answer");
        // Long after everything has ended nothing is left.
        self.pass(Duration::from_secs(3600));
        assert!(!self.is_open(), "nobody speaks any more");
        assert_eq!(self.drain(), None);
        assert!(self.endpoint.is_idle());
    }

    /// Answers what the endpoint asks to see whether a path works.
    fn answer_challenges(&mut self) {
        let mut answers = Vec::new();
        for (_, payload) in self.packets.iter().skip(self.answered) {
            let mut r = Reader::new(payload);
            while let Ok(frame) = Frame::decode(&mut r) {
                if let Frame::PathChallenge(data) = frame {
                    answers.push(data);
                }
            }
        }
        self.answered = self.packets.len();
        answers.into_iter().for_each(|data| self.send(&[Frame::PathResponse(data)]));
    }

    /// What a peer may make the endpoint hold.
    pub fn check_bounds(&mut self) {
        let Some(conn) = self.conn() else { return };
        let stats = conn.stats();
        assert!(stats.receive_memory <= 4 * WINDOW, "{} bytes for what was received", stats.receive_memory);
        assert!(stats.streams_open <= 16 * 16 * 2, "{} streams", stats.streams_open);
    }
}

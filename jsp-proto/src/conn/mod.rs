//! One connection: a handful of parts, each of which writes its own frames and is told what became of them.
//!
//! This module owns the parts and their order; [`rx`] takes datagrams apart and hands frames to the parts, [`tx`] asks
//! the parts for frames and seals them, [`life`] moves the connection from its first datagram to its last. The endpoint
//! above knows addresses and connection ids of everybody; a connection knows only its own.

mod alive;
mod cids;
mod close;
mod control;
mod correct;
mod export;
pub(crate) mod grease;
pub(crate) mod handshake;
mod keepalive;
mod keys;
mod life;
mod migrate;
mod mtu;
mod observed;
mod path;
mod probe;
mod records;
mod repair;
mod report;
mod reset;
mod rx;
mod seal;
mod secure;
#[cfg(test)]
mod tests;
mod token;
mod trace;
mod tx;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

pub(crate) use cids::Issued;
use cids::{CidRecord, Cids, LocalCids, RemoteCids};
use close::{Life, Linger};
use control::{Control, ControlRecord};
use grease::Grease;
use handshake::client::ClientHandshake;
pub use handshake::client::ConnectError;
use handshake::hello;
use handshake::server::ServerHandshake;
use keepalive::KeepAlives;
pub use keys::KeyUpdateError;
pub(crate) use migrate::Arrival;
pub use migrate::MigrateError;
use observed::Observed;
pub use path::Path;
use path::{PathState, Paths};
use probe::Lull;
use secure::Secure;
use trace::Trace;
pub(crate) use tx::Sent;

use crate::config::{ClientConfig, Config, Congestion};
use crate::crypto::{KeyId, Secrets};
use crate::entropy::Drbg;
use crate::error::{TransportError, Violation};
use crate::event::{ConnectionError, Event};
use crate::fec;
use crate::map::KeyedHash;
use crate::observe::{Attention, Observation, Owner, Parameters};
use crate::recovery::AckRecord;
use crate::stats::ConnStats;
use crate::stream::{Limits, Pressure, StreamRecord, Streams};
use crate::time::Instant;
use crate::wire::header::LongHeader;
use crate::wire::params::{FLAG_NO_MIGRATION, FLAG_OBSERVED_ADDR};
use crate::wire::{Cid, Params, Side};

/// What one frame of a sent packet carried, for the part that wrote it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Record {
    Ack(AckRecord),
    Stream(StreamRecord),
    Control(ControlRecord),
    Cid(CidRecord),
    Source(fec::SourceRecord),
    Parity(fec::ParityRecord),
}

/// Why a connection wants to be polled at a certain time. Told to the caller, who may align wake-ups that are not
/// urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wake {
    /// Nothing is pending.
    Never,
    /// The handshake repeats itself or is given up.
    Handshake,
    /// An acknowledgement is due.
    Ack,
    /// Packets may have to be declared lost, or a probe is due.
    Loss,
    /// The pacer lets the next packets go.
    Pacing,
    /// Lost packets can be repaired, when the [bound](crate::config::bounds) on repairs allows the next one.
    Repair,
    /// A message expires, or credit is due.
    Stream,
    /// A block of error correction is to be completed, or a repair is waited for no longer.
    Correction,
    /// A PING keeps the connection alive.
    Keepalive,
    /// The connection has been silent for too long.
    Idle,
    /// Memory of a burst that is over goes back.
    Rest,
    /// A path has not proved yet that it works.
    Path,
    /// A closing connection is over.
    Close,
    /// Bookkeeping of the endpoint: lifetimes of half-open clients.
    Endpoint,
}

/// What a new server connection is made of, beside its addresses.
pub(crate) struct ServerStart {
    pub(crate) path: Path,
    pub(crate) local_cid: Cid,
    pub(crate) remote_cid: Cid,
    /// The client's datagrams so far: their bytes and number.
    pub(crate) received: (u64, u64),
    pub(crate) token: bool,
    pub(crate) secrets: Secrets,
    pub(crate) answer: Vec<Vec<u8>>,
    pub(crate) peer_params: Params,
    pub(crate) params: Box<[u8]>,
    pub(crate) protocol: Box<[u8]>,
    /// The client's key, if it has to prove one.
    pub(crate) client_key: Option<KeyId>,
    /// Whether the client has to prove a key or a pre-shared key.
    pub(crate) authenticates: bool,
    pub(crate) attention: Attention,
}

/// A connection.
pub(crate) struct Connection {
    side: Side,
    config: Arc<Config>,
    life: Life,
    confirmed: bool,
    paths: Paths,
    cids: Cids,
    /// The id to which the peer addressed its latest packet, and the one in use when this side last followed it.
    addressed: Cid,
    followed_cid: Cid,
    /// The client is to show the server from where it sends.
    nudge: bool,
    lull: Lull,
    /// What the peer says of itself.
    peer: Peer,
    client: Option<Box<ClientHandshake>>,
    server: Option<Box<ServerHandshake>>,
    secure: Option<Box<Secure>>,
    /// Client: the server has proven its key, and must send its parameters until then.
    params_due: Option<(Instant, Duration)>,
    streams: Streams,
    control: Control,
    grease: Grease,
    /// The connection's own events. Each kind is given once, so the queue is bounded.
    events: VecDeque<Event>,
    error: Option<Box<ConnectionError>>,
    told_closed: bool,
    /// The program has heard of this connection.
    known: bool,
    discarded: bool,
    idle: Idle,
    keep_alive: KeepAlives,
    /// Since one side has wanted to know at which address it is seen.
    observed: Option<Box<Observed>>,
    /// The program was told that nothing gets through.
    suspect: bool,
    linger: Option<Linger>,
    close_at: Option<Instant>,
    /// When the farewell is said again.
    repeat_at: Option<Instant>,
    paced_until: Option<Instant>,
    peer_key: Option<KeyId>,
    /// Server: the client must prove itself before it gets application data.
    authenticates: bool,
    protocol: Box<[u8]>,
    /// Client: the encoded list of protocols it offered, until the server has chosen.
    offered: Box<[u8]>,
    rng: Drbg,
    congestion: Congestion,
    stats: ConnStats,
    started: Instant,
    trace: Trace,
}

/// What the peer says of itself, as far as it is needed again.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    /// The largest datagram it accepts.
    max_datagram: u16,
    /// How many connection ids it keeps; 0 until it has said so.
    active_cid_limit: u64,
    /// It wants its clients to stay where they are.
    forbids_migration: bool,
    /// What it can repair.
    fec: fec::Capability,
}

/// Silence on a connection (RFC 9000 section 10.1).
#[derive(Clone, Copy, Debug)]
struct Idle {
    timeout: Duration,
    since: Instant,
    /// An ack-eliciting packet was sent since the last one came in: only the first counts as activity.
    spoke: bool,
}

impl Connection {
    /// Begins a client's connection.
    pub(crate) fn client(
        now: Instant,
        config: &Arc<Config>,
        client: &ClientConfig,
        path: Path,
        mut rng: Drbg,
        hash: KeyedHash,
    ) -> Result<Self, ConnectError> {
        let handshake = ClientHandshake::new(now, config, client, path.remote, &mut rng)?;
        let local_cid = handshake.scid();
        let control = Control::client();
        let path = PathState::chosen(path);
        let mut connection = Self::new(now, Side::Client, config, (path, local_cid), control, rng, hash);
        connection.offered = hello::protocol_list(&client.protocols).into_boxed_slice();
        connection.client = Some(Box::new(handshake));
        Ok(connection)
    }

    /// Makes a server's connection to a client that was accepted.
    pub(crate) fn server(now: Instant, config: &Arc<Config>, start: ServerStart, rng: Drbg, hash: KeyedHash) -> Self {
        let (bytes, datagrams) = start.received;
        let path = PathState::unproven(start.path, bytes, datagrams, start.token);
        let control = Control::server(start.params);
        let mut connection = Self::new(now, Side::Server, config, (path, start.local_cid), control, rng, hash);
        connection.life = Life::Open;
        connection.paths.in_use_mut().cid = Some(connection.cids.remote.start(start.remote_cid));
        connection.protocol = start.protocol;
        connection.peer_key = start.client_key;
        connection.authenticates = start.authenticates;
        connection.start_trace(start.attention);
        connection.server = Some(Box::new(ServerHandshake::new(now, start.answer)));
        connection.secure = Some(connection.secure_from(now, &start.secrets, None));
        connection.apply_peer_params(now, &start.peer_params);
        if !start.authenticates {
            connection.events.push_back(Event::EarlyWritable);
        }
        connection
    }

    fn new(
        now: Instant,
        side: Side,
        config: &Arc<Config>,
        (path, local_cid): (PathState, Cid),
        control: Control,
        rng: Drbg,
        hash: KeyedHash,
    ) -> Self {
        let local = path.path.local;
        let stats = ConnStats { datagram_size: config.initial_datagram(), ..ConnStats::default() };
        Self {
            side,
            config: config.clone(),
            life: Life::Connecting,
            confirmed: false,
            paths: Paths::new(now, side, path),
            cids: Cids { local: LocalCids::new(now, local_cid), remote: RemoteCids::default() },
            addressed: local_cid,
            followed_cid: local_cid,
            nudge: false,
            lull: Lull::default(),
            peer: Peer::default(),
            client: None,
            server: None,
            secure: None,
            params_due: None,
            streams: Streams::new(side, &limits(config), hash),
            control,
            grease: Grease::new(config),
            events: VecDeque::new(),
            error: None,
            told_closed: false,
            known: side == Side::Client,
            discarded: false,
            idle: Idle { timeout: config.transport.idle_timeout, since: now, spoke: false },
            keep_alive: KeepAlives::new(now, config.transport.keep_alive, local.map(|local| local.ip())),
            observed: None,
            suspect: false,
            linger: None,
            close_at: None,
            repeat_at: None,
            paced_until: None,
            peer_key: None,
            authenticates: false,
            protocol: Box::default(),
            offered: Box::default(),
            rng,
            congestion: config.transport.congestion,
            stats,
            started: now,
            trace: Trace::default(),
        }
    }

    /// The ids under which datagrams of this connection may come in.
    pub(crate) fn local_cids(&self) -> impl Iterator<Item = Cid> + '_ {
        self.cids.local.iter()
    }

    /// Whether the endpoint is to make another id for this connection.
    pub(crate) fn wants_cid(&mut self, now: Instant) -> bool {
        self.life.is_live() && self.cids.local.wants(now)
    }

    /// The endpoint has made an id.
    pub(crate) fn issue_cid(&mut self, issued: Issued) {
        self.cids.local.issue(issued);
    }

    /// The next id that the endpoint may forget.
    pub(crate) fn pop_retired_cid(&mut self) -> Option<Cid> {
        self.cids.local.pop_retired()
    }

    /// The id by which the peer is addressed.
    fn remote_cid(&self) -> Cid {
        self.paths.in_use().cid.unwrap_or_default().cid
    }

    pub(crate) fn path(&self) -> Path {
        self.paths.in_use().path
    }

    /// Both sides are known to be there: the peer gets ids for other paths.
    fn supply_cids(&mut self) {
        if self.confirmed {
            self.cids.local.supply(self.peer.active_cid_limit);
        }
    }

    pub(crate) fn side(&self) -> Side {
        self.side
    }

    pub(crate) fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// Whether this is a server's connection that the client has not confirmed.
    pub(crate) fn is_half_open(&self) -> bool {
        self.server.is_some()
    }

    /// Bytes of received data held.
    pub(crate) fn receive_memory(&self) -> u64 {
        let fec = self.secure.as_ref().and_then(|secure| secure.fec_rx.as_ref());
        self.streams.recv_memory() + fec.map_or(0, |fec| fec.memory() as u64)
    }

    /// How short of memory the endpoint is.
    pub(crate) fn set_pressure(&mut self, pressure: Pressure) {
        self.streams.set_pressure(pressure);
        if let Some(fec) = self.secure.as_mut().and_then(|secure| secure.fec_rx.as_mut()) {
            fec.set_stores(pressure == Pressure::None);
        }
    }

    /// Gives up the connection and what it received and nobody read, because the endpoint is out of memory.
    pub(crate) fn shed(&mut self, now: Instant) {
        self.fail(now, Violation::new(TransportError::EXCESSIVE_LOAD, "too much unread data"), 0);
        self.streams.drop_unread();
    }

    /// Compressed data of the peer, which came in frames of this type, cannot be expanded.
    pub(crate) fn fail_to_unpack(&mut self, now: Instant, frame: u64) {
        self.fail(now, Violation::new(TransportError::COMPRESSION, "compressed data that does not expand"), frame);
    }

    /// Takes the peer's parameters.
    fn apply_peer_params(&mut self, now: Instant, params: &Params) {
        let sender = self.side.peer();
        self.observe(|| Observation::Parameters { owner: Owner::Remote, params: Parameters::of(params, sender) });
        let theirs = Duration::from_millis(params.max_idle_timeout_ms);
        let ours = self.config.transport.idle_timeout;
        self.idle.timeout = match (ours.is_zero(), theirs.is_zero()) {
            (true, _) => theirs,
            (_, true) => ours,
            _ => ours.min(theirs),
        };
        self.peer = Peer {
            max_datagram: u16::try_from(params.max_udp_payload).unwrap_or(u16::MAX),
            active_cid_limit: params.active_cid_limit,
            forbids_migration: params.flags & FLAG_NO_MIGRATION != 0,
            fec: fec::Capability::of(params),
        };
        self.cids.remote.set_first_token(params.reset_token);
        self.supply_cids();
        if let Some(secure) = &mut self.secure {
            secure.recovery.set_peer_max_ack_delay(Duration::from_millis(params.max_ack_delay_ms));
        }
        self.grease.on_peer_params(params);
        self.search_mtu(now, params.max_udp_payload);
        if params.flags & FLAG_OBSERVED_ADDR != 0 {
            self.observed_mut(now).want();
        }
        self.streams.set_peer_params(params);
    }

    /// Whether application data may be sent to this peer now.
    fn may_send_data(&self) -> bool {
        self.confirmed || !self.authenticates
    }

    /// The next event, the connection's own before those of streams.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            // The end comes last: outcomes and data that precede it are told first.
            if event != Event::Closed || !self.streams.has_events() {
                self.known = true;
                return Some(event);
            }
            self.events.push_front(event);
        }
        // A server's program learns of the connection by `Connected` or `EarlyWritable`, never by a stream of it.
        if !self.known {
            return None;
        }
        self.streams.poll_event().map(life::stream_event)
    }

    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty() || self.known && self.streams.has_events()
    }
}

/// What the stream part grants and allows.
fn limits(config: &Config) -> Limits {
    let transport = &config.transport;
    Limits {
        max_data: transport.receive_window,
        max_stream_data: transport.stream_receive_window,
        max_streams: transport.max_streams,
        max_message_size: transport.max_message_size,
        unpacks: transport.accept_compressed,
        max_stream_window: transport.max_stream_receive_window,
        max_window: transport.max_receive_window,
        send_buffer: transport.send_buffer,
        stream_send_buffer: transport.stream_send_buffer,
        max_queue_age: transport.max_queue_age,
        policy: transport.policy,
        rates: transport.rates,
        ..Limits::default()
    }
}

/// A header that does not borrow its datagram; a server's has no token to lose.
fn detached(header: &LongHeader<'_>) -> LongHeader<'static> {
    LongHeader {
        from: header.from,
        ty: header.ty,
        count: header.count,
        index: header.index,
        dcid: header.dcid,
        scid: header.scid,
        token: &[],
        payload_at: header.payload_at,
    }
}

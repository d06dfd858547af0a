//! Batches between a socket and the state machine, without a lock, a waker or a runtime.

use std::array;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::vec;
use std::vec::Vec;

use super::socket::{Datagrams, Outgoing, Socket};
use crate::{ConnId, Ecn, Endpoint, Event, IncomingId, Instant, Output, Path, RecvMeta};

/// How many receive buffers one system call may fill.
pub const BATCH: usize = 8;
/// The size of each: the largest batch of datagrams that a kernel coalesces.
const SLOT: usize = 65_536;
/// No batch that is given out is larger.
const OUTBOX: usize = 65_536;

/// What the state machine wants next.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Something happened on a connection.
    Event(ConnId, Event),
    /// A client asks to be let in.
    Incoming(IncomingId),
    /// Datagrams lie in the pump: call [`Pump::flush`] before the next step.
    Send,
    /// Nothing until then, or until something arrives or is asked for.
    Idle {
        /// When to step again.
        wake_at: Option<Instant>,
    },
}

/// The buffers between one socket and one [`Endpoint`]. Allocates once.
#[derive(Debug)]
pub struct Pump {
    local: SocketAddr,
    inbox: Vec<u8>,
    received: [Datagrams; BATCH],
    filled: usize,
    datagram: usize,
    outbox: Vec<u8>,
    outgoing: Option<Pending>,
    send_errors: u64,
}

/// A batch in the outbox that the socket has not taken yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    path: Path,
    ecn: Ecn,
    segment: usize,
    sent: usize,
    len: usize,
}

impl Pump {
    /// Buffers for a socket bound to `local` and an endpoint whose datagrams have at most `max_udp_payload` bytes.
    pub fn new(local: SocketAddr, max_udp_payload: usize) -> Self {
        Self {
            local,
            inbox: vec![0; BATCH * SLOT],
            received: [Datagrams::EMPTY; BATCH],
            filled: 0,
            datagram: max_udp_payload.max(1),
            outbox: vec![0; OUTBOX.max(max_udp_payload)],
            outgoing: None,
            send_errors: 0,
        }
    }

    /// Receives one batch into the pump; [`deliver`](Self::deliver) hands it on.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there. Anything else means that the socket is of no more use: errors that only
    /// speak of some peer are swallowed.
    pub fn receive<S: Socket + ?Sized>(&mut self, socket: &mut S) -> io::Result<()> {
        let mut slots = self.inbox.chunks_exact_mut(SLOT);
        let mut buffers: [IoSliceMut<'_>; BATCH] =
            array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
        self.filled = 0;
        match socket.try_recv(&mut buffers, &mut self.received) {
            Ok(count) => self.filled = count.min(BATCH),
            Err(error) if speaks_of_a_peer(error.kind()) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Hands the received batch to the state machine.
    pub fn deliver(&mut self, endpoint: &mut Endpoint, now: Instant) {
        let filled = self.received.iter().take(self.filled);
        for (slot, datagrams) in self.inbox.chunks_exact_mut(SLOT).zip(filled) {
            let Some(bytes) = slot.get_mut(..datagrams.len) else { continue };
            let stride = u16::try_from(datagrams.stride).ok().and_then(NonZeroU16::new);
            let local = datagrams.to.map(|ip| SocketAddr::new(ip.to_canonical(), self.local.port()));
            let meta = RecvMeta {
                path: Path { local, remote: canonical(datagrams.from) },
                ecn: datagrams.ecn,
                stride: stride.filter(|stride| usize::from(stride.get()) < datagrams.len),
            };
            endpoint.handle_datagram(now, meta, bytes);
        }
        self.filled = 0;
    }

    /// Asks the state machine for its next output. While datagrams wait for the socket the answer is `Send`.
    pub fn step(&mut self, endpoint: &mut Endpoint, now: Instant, max_segments: usize) -> Step {
        if self.outgoing.is_some() {
            return Step::Send;
        }
        let batch = (OUTBOX / self.datagram).clamp(1, max_segments.max(1)) * self.datagram;
        let whole = self.outbox.len();
        let out = self.outbox.get_mut(..batch.min(whole)).unwrap_or_default();
        match endpoint.poll(now, out) {
            Output::Event(id, event) => Step::Event(id, event),
            Output::Incoming(id) => Step::Incoming(id),
            Output::Transmit(transmit) => {
                let len = transmit.payload.len();
                let segment = transmit.segment.clamp(1, len.max(1));
                self.outgoing = Some(Pending { path: transmit.path, ecn: transmit.ecn, segment, sent: 0, len });
                Step::Send
            }
            Output::NeedBuffer { len } => {
                // Cannot happen while the buffer holds one datagram of the configured size; growing keeps it true.
                self.datagram = self.datagram.max(len);
                self.outbox.resize(whole.max(len), 0);
                Step::Idle { wake_at: Some(now) }
            }
            Output::Idle { wake_at, .. } => Step::Idle { wake_at },
        }
    }

    /// Gives the datagrams in the pump to the socket. A datagram that the socket refuses for another reason than a
    /// full buffer is lost, as it might be on the network, and counted.
    ///
    /// # Errors
    /// `WouldBlock` when the socket takes nothing now; call again when it is writable.
    pub fn flush<S: Socket + ?Sized>(&mut self, socket: &mut S) -> io::Result<()> {
        while let Some(pending) = &mut self.outgoing {
            let Some(rest) = self.outbox.get(pending.sent..pending.len).filter(|rest| !rest.is_empty()) else {
                self.outgoing = None;
                break;
            };
            let batch = pending.segment.saturating_mul(socket.max_segments().max(1)).min(rest.len());
            let payload = rest.get(..batch).unwrap_or(rest);
            let outgoing = Outgoing {
                to: in_family_of(self.local, pending.path.remote),
                from: pending.path.local.map(|from| in_family_of(self.local, from).ip()),
                ecn: pending.ecn,
                segment: pending.segment,
                payload,
            };
            let segments_before = socket.max_segments();
            match socket.try_send(&outgoing) {
                Ok(()) => pending.sent += batch,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                // The socket has just found out that it cannot segment; the same bytes go out one by one.
                Err(_) if socket.max_segments() < segments_before => {}
                Err(_) => {
                    self.send_errors += 1;
                    pending.sent += batch;
                }
            }
        }
        Ok(())
    }

    /// Batches that the socket refused and that therefore count as lost.
    pub fn send_errors(&self) -> u64 {
        self.send_errors
    }
}

/// A socket of IPv6 speaks of IPv4 in mapped addresses.
fn in_family_of(socket: SocketAddr, address: SocketAddr) -> SocketAddr {
    match (socket, address.ip()) {
        (SocketAddr::V6(_), IpAddr::V4(ip)) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        _ => address,
    }
}

/// The other way round. Other addresses stay as they are, with the scope of a link-local one.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Some systems report at the next receive that an earlier datagram met nobody. That says nothing about the socket.
fn speaks_of_a_peer(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionAborted
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::Interrupted
    )
}

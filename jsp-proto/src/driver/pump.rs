//! Batches between a socket and the state machine, without a lock, a waker or a runtime.

use std::array;
use std::fmt;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;
use std::vec;
use std::vec::Vec;

use super::logging::refused_by_socket;
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
        /// When to step again. A wake-up that may be late by a second or more falls on a full second.
        wake_at: Option<Instant>,
    },
}

/// The buffers between one socket and one [`Endpoint`]. Allocates once.
pub struct Pump {
    local: SocketAddr,
    inbox: Vec<u8>,
    received: [Datagrams; BATCH],
    /// Slots that hold something, the one that is delivered next, and how much of it is delivered already.
    filled: usize,
    slot: usize,
    delivered: usize,
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

impl fmt::Debug for Pump {
    /// Without the buffers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump")
            .field("local", &self.local)
            .field("has_received", &self.has_received())
            .field("unsent", &self.unsent())
            .field("send_errors", &self.send_errors)
            .finish_non_exhaustive()
    }
}

impl Pump {
    /// Buffers for a socket bound to `local` and an endpoint whose datagrams have at most `max_udp_payload` bytes.
    pub fn new(local: SocketAddr, max_udp_payload: usize) -> Self {
        Self {
            local,
            inbox: vec![0; BATCH * SLOT],
            received: [Datagrams::EMPTY; BATCH],
            filled: 0,
            slot: 0,
            delivered: 0,
            outbox: vec![0; OUTBOX.max(max_udp_payload)],
            outgoing: None,
            send_errors: 0,
        }
    }

    /// The socket is another one from now on, bound to `local`.
    pub fn set_local(&mut self, local: SocketAddr) {
        self.local = local;
    }

    /// Receives one batch into at most `slots` buffers of the pump; [`deliver`](Self::deliver) hands it on. What was
    /// received before must have been delivered.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there. Anything else means that the socket is of no more use: errors that only
    /// speak of some peer are swallowed.
    pub fn receive<S: Socket + ?Sized>(&mut self, socket: &mut S, slots: usize) -> io::Result<()> {
        debug_assert!(!self.has_received(), "datagrams are lost");
        let mut inbox = self.inbox.chunks_exact_mut(SLOT);
        let mut buffers: [IoSliceMut<'_>; BATCH] =
            array::from_fn(|_| IoSliceMut::new(inbox.next().unwrap_or_default()));
        let slots = slots.clamp(1, BATCH);
        (self.filled, self.slot, self.delivered) = (0, 0, 0);
        match socket.try_recv(buffers.get_mut(..slots).unwrap_or_default(), &mut self.received) {
            Ok(count) => self.filled = count.min(slots),
            Err(error) if speaks_of_a_peer(error.kind()) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether there are datagrams to [`deliver`](Self::deliver).
    pub fn has_received(&self) -> bool {
        self.slot < self.filled
    }

    /// Whether the last batch was so coalesced that its buffers hold more than a handful of datagrams each. So will the
    /// next one, most likely.
    pub fn receives_in_bulk(&self) -> bool {
        self.received.iter().take(self.filled).any(|datagrams| datagrams.len / 8 > datagrams.stride)
    }

    /// Whether the next datagram to deliver belongs to a handshake: some of these cost a hundred times as much as any
    /// other.
    pub fn has_received_handshake(&self) -> bool {
        self.has_received() && self.inbox.get(self.slot * SLOT + self.delivered).is_some_and(|first| first & 0x80 != 0)
    }

    /// Hands received datagrams to the state machine, about `limit` of them, and says how many.
    pub fn deliver(&mut self, endpoint: &mut Endpoint, now: Instant, limit: usize) -> usize {
        self.deliver_sharded(endpoint, now, limit, &mut |_, _, _| {})
    }

    /// As [`deliver`](Self::deliver), for one of several shards: gives each datagram that belongs to another one to
    /// `hand_over`, with the number of that shard.
    pub fn deliver_sharded(
        &mut self,
        endpoint: &mut Endpoint,
        now: Instant,
        limit: usize,
        hand_over: &mut dyn FnMut(u8, RecvMeta, &[u8]),
    ) -> usize {
        let mut count = 0;
        while count < limit
            && let Some(datagrams) = self.received.get(self.slot).filter(|_| self.slot < self.filled)
        {
            let stride = datagrams.stride.clamp(1, datagrams.len.max(1));
            let rest = datagrams.len.saturating_sub(self.delivered);
            let len = stride.saturating_mul(limit - count).min(rest);
            let start = self.slot * SLOT + self.delivered;
            let Some(bytes) = self.inbox.get_mut(start..start + len) else {
                // A socket that claims more than it was given room for.
                (self.slot, self.delivered) = (self.slot + 1, 0);
                continue;
            };
            let local = datagrams.to.map(|ip| SocketAddr::new(ip.to_canonical(), self.local.port()));
            let meta = RecvMeta {
                path: Path { local, remote: canonical(datagrams.from) },
                ecn: datagrams.ecn,
                stride: u16::try_from(stride).ok().and_then(NonZeroU16::new).filter(|_| stride < len),
            };
            if endpoint.handle_datagram(now, meta, bytes).foreign > 0 {
                sort_out(endpoint, meta, bytes, hand_over);
            }
            count += len.div_ceil(stride).max(1);
            self.delivered += len;
            if self.delivered >= datagrams.len {
                (self.slot, self.delivered) = (self.slot + 1, 0);
            }
        }
        count
    }

    /// Asks the state machine for its next output, of at most `max_segments` datagrams. While datagrams wait for the
    /// socket the answer is `Send`.
    pub fn step(&mut self, endpoint: &mut Endpoint, now: Instant, max_segments: usize) -> Step {
        if self.outgoing.is_some() {
            return Step::Send;
        }
        match endpoint.poll_batch(now, &mut self.outbox, max_segments) {
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
                self.outbox.resize(self.outbox.len().max(len), 0);
                Step::Idle { wake_at: Some(now) }
            }
            Output::Idle { wake_at, slack, .. } => Step::Idle { wake_at: wake_at.map(|at| align(at, slack)) },
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
                Err(error) => {
                    self.send_errors += 1;
                    refused_by_socket(self.send_errors, &error);
                    pending.sent += batch;
                }
            }
        }
        Ok(())
    }

    /// Datagrams that lie in the pump until [`flush`](Self::flush) has given them to the socket.
    pub fn unsent(&self) -> usize {
        self.outgoing.map_or(0, |pending| (pending.len - pending.sent).div_ceil(pending.segment))
    }

    /// Batches that the socket refused and that therefore count as lost.
    pub fn send_errors(&self) -> u64 {
        self.send_errors
    }
}

/// Wake-ups that may be late by a second or more fall on full seconds, those of other connections and endpoints too.
fn align(at: Instant, slack: Duration) -> Instant {
    const SECOND: u64 = 1_000_000_000;
    let aligned = at.as_nanos().checked_next_multiple_of(SECOND).filter(|_| slack.as_secs() > 0);
    aligned.map_or(at, Instant::from_nanos)
}

/// Gives each datagram of a received batch that belongs to another shard to `hand_over`, as a single one.
fn sort_out(endpoint: &Endpoint, meta: RecvMeta, bytes: &[u8], hand_over: &mut dyn FnMut(u8, RecvMeta, &[u8])) {
    let stride = meta.stride.map_or(bytes.len(), |stride| usize::from(stride.get())).max(1);
    for datagram in bytes.chunks(stride) {
        if let Some(shard) = endpoint.owner(datagram) {
            hand_over(shard, RecvMeta { stride: None, ..meta }, datagram);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wake_ups_that_can_wait_fall_on_full_seconds() {
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        for (wake, slack, aligned) in [(1500, 4000, 2000), (2000, 4000, 2000), (1500, 999, 1500), (1500, 0, 1500)] {
            assert_eq!(align(at(wake), Duration::from_millis(slack)), at(aligned));
        }
    }
}

//! What adapters ask of the operating system, whatever the runtime (feature `system`): UDP sockets and randomness.
//!
//! An adapter adds only when to call: its runtime's readiness. Segmentation, coalescing, congestion marks and the
//! addresses of packets come from `quinn-udp`, which knows the systems.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::vec::Vec;

use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSockRef, UdpSocketState, is_msg_size_err};
use socket2::{Domain, Protocol, Type};

use super::pump::BATCH;
use super::socket::{Datagrams, Outgoing};
use crate::Ecn;

/// What is asked of the system for each direction. It may give less (`net.core.rmem_max` and `wmem_max` on Linux).
const SOCKET_BUFFER: usize = 4 << 20;

/// 32 random bytes from the operating system, for example for a new [`SecretKey`](crate::SecretKey).
///
/// # Errors
/// When the system has no randomness to give.
pub fn random_seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}

/// Binds a UDP socket. The unspecified IPv6 address serves IPv4 too, where the system can.
///
/// # Errors
/// What the system says.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = new_socket(address)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Binds the first of `addresses` that can be bound.
///
/// # Errors
/// What the system says about the last one; `AddrNotAvailable` if there is none.
pub fn bind_first(addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<UdpSocket> {
    first(addresses, bind)
}

/// Binds `shards` UDP sockets to the first of `addresses` where that works, for [`shards`](super::shards): the system
/// shares the datagrams of the address out among them by a hash of both ends' addresses. With port 0 the system chooses
/// one port for all. All are bound when this returns, so that none gets what belongs to a later one.
///
/// The first is bound without sharing: a port that another process has is in use. Later, processes of the same user may
/// join with `SO_REUSEPORT`, and would get a part of the datagrams.
///
/// # Errors
/// What the system says about the last address; `AddrNotAvailable` if there is none, `InvalidInput` for more than
/// [`Shard::MAX`](crate::Shard::MAX) shards, `Unsupported` for more than one where the system cannot share an address.
pub fn bind_shards(
    addresses: impl IntoIterator<Item = SocketAddr>,
    shards: NonZeroUsize,
) -> io::Result<Vec<UdpSocket>> {
    if shards.get() > usize::from(crate::Shard::MAX) {
        return Err(super::error::too_many_shards());
    }
    first(addresses, |address| bind_all(address, shards.get()))
}

fn bind_all(address: SocketAddr, shards: usize) -> io::Result<Vec<UdpSocket>> {
    let first = bind(address)?;
    if shards == 1 {
        return Ok(std::vec![first]);
    }
    share_address(&socket2::SockRef::from(&first))?;
    let address = first.local_addr()?;
    let mut sockets = Vec::with_capacity(shards);
    sockets.push(first);
    for _ in 1..shards {
        let socket = new_socket(address)?;
        share_address(&socket)?;
        socket.bind(&address.into())?;
        sockets.push(socket.into());
    }
    Ok(sockets)
}

#[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin", target_os = "nuttx"))))]
fn share_address(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(all(
    unix,
    not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin", target_os = "nuttx"))
)))]
fn share_address(_: &socket2::Socket) -> io::Result<()> {
    let text =
        "this system cannot share the datagrams of one address among sockets: use one shard, or one port for each";
    Err(io::Error::new(io::ErrorKind::Unsupported, text))
}

fn first<T>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut failure = None;
    for address in addresses {
        match bind(address) {
            Ok(bound) => return Ok(bound),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(super::error::no_address))
}

fn new_socket(address: SocketAddr) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        // Not every system can serve both families with one socket; IPv6 alone is then what was asked for.
        let _ = socket.set_only_v6(false);
    }
    Ok(socket)
}

/// The system calls of a [`Socket`](super::Socket) on any UDP socket that the standard library knows.
#[derive(Debug)]
pub struct UdpIo {
    state: UdpSocketState,
}

impl UdpIo {
    /// Prepares a bound socket: it will not block, and has large buffers and all offloads that the system knows. Also
    /// gives its address.
    ///
    /// # Errors
    /// When the socket's options cannot be set.
    pub fn new(socket: &UdpSocket) -> io::Result<(Self, SocketAddr)> {
        let state = UdpSocketState::new(socket.into())?;
        let options = socket2::SockRef::from(socket);
        // Smaller buffers cost speed, not correctness: what the system refuses is left as it is.
        let _ = options.set_recv_buffer_size(SOCKET_BUFFER.max(options.recv_buffer_size()?));
        let _ = options.set_send_buffer_size(SOCKET_BUFFER.max(options.send_buffer_size()?));
        Ok((Self { state }, socket.local_addr()?))
    }

    /// [`Socket::try_recv`](super::Socket::try_recv).
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, otherwise what the system says.
    pub fn recv<'s, S>(
        &self,
        socket: &'s S,
        buffers: &mut [IoSliceMut<'_>],
        received: &mut [Datagrams],
    ) -> io::Result<usize>
    where
        UdpSockRef<'s>: From<&'s S>,
    {
        let mut metas = [RecvMeta::default(); BATCH];
        let count = self.state.recv(socket.into(), buffers, &mut metas)?;
        for (datagrams, meta) in received.iter_mut().zip(metas.iter().take(count)) {
            *datagrams = Datagrams {
                from: meta.addr,
                to: meta.dst_ip,
                ecn: from_system(meta.ecn),
                len: meta.len,
                stride: meta.stride,
            };
        }
        Ok(count)
    }

    /// [`Socket::try_send`](super::Socket::try_send).
    ///
    /// # Errors
    /// `WouldBlock` when the system's buffer is full, otherwise what the system says. Datagrams that are too long for the
    /// network interface are no error: they are lost, as they might be further on.
    pub fn send<'s, S>(&self, socket: &'s S, outgoing: &Outgoing<'_>) -> io::Result<()>
    where
        UdpSockRef<'s>: From<&'s S>,
    {
        let transmit = Transmit {
            destination: outgoing.to,
            ecn: to_system(outgoing.ecn),
            contents: outgoing.payload,
            segment_size: (outgoing.segment < outgoing.payload.len()).then_some(outgoing.segment),
            src_ip: outgoing.from,
        };
        match self.state.try_send(socket.into(), &transmit) {
            // Too long for the interface, as a router might have found it too long for the next link. The socket does not
            // let the system fragment it, so that the search for the largest datagram learns the truth.
            Err(error) if is_msg_size_err(&error) => Ok(()),
            sent => sent,
        }
    }

    /// [`Socket::max_segments`](super::Socket::max_segments).
    pub fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }
}

fn from_system(ecn: Option<EcnCodepoint>) -> Ecn {
    match ecn {
        None => Ecn::NotEct,
        Some(EcnCodepoint::Ect0) => Ecn::Ect0,
        Some(EcnCodepoint::Ect1) => Ecn::Ect1,
        Some(EcnCodepoint::Ce) => Ecn::Ce,
    }
}

fn to_system(ecn: Ecn) -> Option<EcnCodepoint> {
    match ecn {
        Ecn::NotEct => None,
        Ecn::Ect0 => Some(EcnCodepoint::Ect0),
        Ecn::Ect1 => Some(EcnCodepoint::Ect1),
        Ecn::Ce => Some(EcnCodepoint::Ce),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A datagram that no interface carries is lost; neither the socket nor its segmentation suffers.
    #[test]
    fn a_datagram_that_is_too_long_is_lost_and_nothing_else() {
        let (from, to) = (bind(([127, 0, 0, 1], 0).into()).unwrap(), bind(([127, 0, 0, 1], 0).into()).unwrap());
        let (sender, _) = UdpIo::new(&from).unwrap();
        let (receiver, address) = UdpIo::new(&to).unwrap();
        let (segments, content) = (sender.max_segments(), std::vec![7; 65_527]);
        for payload in [&content[..], &content[..1200]] {
            let segment = payload.len();
            let outgoing = Outgoing { to: address, from: None, ecn: Ecn::NotEct, segment, payload };
            sender.send(&from, &outgoing).expect("sent or lost");
        }
        assert_eq!(sender.max_segments(), segments);
        let mut buffer = std::vec![0; 65_536];
        let mut received = [Datagrams::EMPTY];
        let arrived = (0..1_000_000).any(|_| {
            std::thread::yield_now();
            receiver.recv(&to, &mut [IoSliceMut::new(&mut buffer)], &mut received).is_ok_and(|count| count == 1)
        });
        assert!(arrived);
        assert_eq!(received[0].len, 1200);
    }

    /// What the search for the largest datagram relies on.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_does_not_fragment() {
        let socket = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let state = UdpSocketState::new((&socket).into()).unwrap();
        assert!(!state.may_fragment());
    }
}

//! A UDP socket that mio watches, and losses on purpose.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use jsp_proto::driver::system::UdpIo;
use jsp_proto::driver::{Datagrams, Outgoing, Socket};
use mio::net::UdpSocket;

/// Datagrams that are lost on purpose, to see how a program takes it: which of those that an endpoint sends is a
/// function of the seed alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    per_mille: u16,
    state: u64,
}

impl Loss {
    /// Loses `per_mille` of a thousand datagrams, at random and independent of each other.
    pub const fn per_mille(per_mille: u16, seed: u64) -> Self {
        Self { per_mille, state: seed }
    }

    /// Whether the next datagram is lost (SplitMix64).
    fn strikes(&mut self) -> bool {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % 1000 < u64::from(self.per_mille)
    }
}

/// The socket of an endpoint.
#[derive(Debug)]
pub(crate) struct MioSocket {
    pub(crate) socket: UdpSocket,
    io: UdpIo,
    pub(crate) loss: Option<Loss>,
}

impl MioSocket {
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<(Self, SocketAddr)> {
        let (io, local) = UdpIo::new(&socket)?;
        Ok((Self { socket: UdpSocket::from_std(socket), io, loss: None }, local))
    }
}

impl Socket for MioSocket {
    fn try_recv(&mut self, buffers: &mut [IoSliceMut<'_>], received: &mut [Datagrams]) -> io::Result<usize> {
        self.socket.try_io(|| self.io.recv(&self.socket, buffers, received))
    }

    fn try_send(&mut self, outgoing: &Outgoing<'_>) -> io::Result<()> {
        if self.loss.as_mut().is_some_and(Loss::strikes) {
            return Ok(());
        }
        self.socket.try_io(|| self.io.send(&self.socket, outgoing))
    }

    fn max_segments(&self) -> usize {
        // Each datagram is lost or not for itself.
        if self.loss.is_some() { 1 } else { self.io.max_segments() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_as_many_as_asked_for_and_the_same_for_the_same_seed() {
        let losses = |seed| {
            let mut loss = Loss::per_mille(100, seed);
            (0..10_000).filter(|_| loss.strikes()).collect::<Vec<u32>>()
        };
        assert!((900..1100).contains(&losses(1).len()), "{}", losses(1).len());
        assert_eq!(losses(1), losses(1));
        assert_ne!(losses(1), losses(2));
        assert!(!Loss::per_mille(0, 1).strikes());
        assert!(Loss::per_mille(1000, 1).strikes());
    }
}

//! Smol's readiness and timer: all that a runtime has to give to the driver.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use jsp_proto::driver::system::UdpIo;
use jsp_proto::driver::{Datagrams, Outgoing, Reactor, Socket, Work};
use smol::{Async, Timer};

/// A UDP socket on smol. Its readiness and its timer come from the reactor that all of smol's executors share.
#[derive(Debug)]
pub(crate) struct SmolSocket {
    socket: Async<UdpSocket>,
    io: UdpIo,
    timer: Timer,
    /// What the timer is set to; `None` when it has rung.
    alarm: Option<Instant>,
}

impl SmolSocket {
    /// Takes over a bound socket.
    pub(crate) fn new(socket: UdpSocket) -> io::Result<(Self, SocketAddr)> {
        let (io, local) = UdpIo::new(&socket)?;
        Ok((Self { socket: Async::new(socket)?, io, timer: Timer::never(), alarm: None }, local))
    }
}

impl Socket for SmolSocket {
    fn try_recv(&mut self, buffers: &mut [IoSliceMut<'_>], received: &mut [Datagrams]) -> io::Result<usize> {
        self.io.recv(self.socket.get_ref(), buffers, received)
    }

    fn try_send(&mut self, outgoing: &Outgoing<'_>) -> io::Result<()> {
        self.io.send(self.socket.get_ref(), outgoing)
    }

    fn max_segments(&self) -> usize {
        self.io.max_segments()
    }
}

impl Reactor for SmolSocket {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_readable(cx)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_writable(cx)
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        if self.alarm != Some(at) {
            self.alarm = Some(at);
            self.timer.set_at(at);
        }
        let rung = Pin::new(&mut self.timer).poll(cx).map(drop);
        if rung.is_ready() {
            // Smol's timers ring once.
            self.alarm = None;
        }
        rung
    }

    fn offload(&mut self, work: Work) {
        smol::unblock(work).detach();
    }
}

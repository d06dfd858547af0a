//! Tokio's readiness and timer: all that a runtime has to give to the driver.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use jsp_proto::driver::system::UdpIo;
use jsp_proto::driver::{Datagrams, Outgoing, Reactor, Socket, Work};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, Sleep, sleep_until};

/// A UDP socket on tokio.
#[derive(Debug)]
pub(crate) struct TokioSocket {
    socket: UdpSocket,
    io: UdpIo,
    timer: Pin<Box<Sleep>>,
    /// What the timer is set to.
    alarm: std::time::Instant,
}

impl TokioSocket {
    /// Takes over a bound socket. Must be called on a runtime with I/O and time enabled.
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<(Self, SocketAddr)> {
        let (io, local) = UdpIo::new(&socket)?;
        let alarm = std::time::Instant::now();
        let timer = Box::pin(sleep_until(Instant::from_std(alarm)));
        Ok((Self { socket: UdpSocket::from_std(socket)?, io, timer, alarm }, local))
    }
}

impl Socket for TokioSocket {
    fn try_recv(&mut self, buffers: &mut [IoSliceMut<'_>], received: &mut [Datagrams]) -> io::Result<usize> {
        self.socket.try_io(Interest::READABLE, || self.io.recv(&self.socket, buffers, received))
    }

    fn try_send(&mut self, outgoing: &Outgoing<'_>) -> io::Result<()> {
        self.socket.try_io(Interest::WRITABLE, || self.io.send(&self.socket, outgoing))
    }

    fn max_segments(&self) -> usize {
        self.io.max_segments()
    }
}

impl Reactor for TokioSocket {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_recv_ready(cx)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_send_ready(cx)
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, at: std::time::Instant) -> Poll<()> {
        if at != self.alarm {
            self.alarm = at;
            self.timer.as_mut().reset(Instant::from_std(at));
        }
        self.timer.as_mut().poll(cx)
    }

    fn offload(&mut self, work: Work) {
        tokio::task::spawn_blocking(work);
    }
}

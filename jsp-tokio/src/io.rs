//! System calls and tokio's readiness and timer: all that a runtime has to give to the driver.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use jsp_proto::Ecn;
use jsp_proto::driver::{BATCH, Datagrams, Outgoing, Reactor, Socket, Work};
use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, Sleep, sleep_until};

/// What is asked of the system for each direction. It may give less (`net.core.rmem_max` and `wmem_max` on Linux).
const SOCKET_BUFFER: usize = 4 << 20;

/// A UDP socket on tokio, with segmentation, coalescing and congestion marks where the system has them.
#[derive(Debug)]
pub(crate) struct TokioSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    timer: Pin<Box<Sleep>>,
    /// What the timer is set to.
    alarm: std::time::Instant,
}

impl TokioSocket {
    /// Takes over a bound socket. Must be called on a runtime with I/O and time enabled.
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<(Self, SocketAddr)> {
        let state = UdpSocketState::new((&socket).into())?;
        let options = socket2::SockRef::from(&socket);
        // Smaller buffers cost speed, not correctness: what the system refuses is left as it is.
        let _ = options.set_recv_buffer_size(SOCKET_BUFFER.max(options.recv_buffer_size()?));
        let _ = options.set_send_buffer_size(SOCKET_BUFFER.max(options.send_buffer_size()?));
        let local = socket.local_addr()?;
        let alarm = std::time::Instant::now();
        let timer = Box::pin(sleep_until(Instant::from_std(alarm)));
        Ok((Self { socket: UdpSocket::from_std(socket)?, state, timer, alarm }, local))
    }
}

impl Socket for TokioSocket {
    fn try_recv(&mut self, buffers: &mut [IoSliceMut<'_>], received: &mut [Datagrams]) -> io::Result<usize> {
        let mut metas = [RecvMeta::default(); BATCH];
        let count =
            self.socket.try_io(Interest::READABLE, || self.state.recv((&self.socket).into(), buffers, &mut metas))?;
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

    fn try_send(&mut self, outgoing: &Outgoing<'_>) -> io::Result<()> {
        let transmit = Transmit {
            destination: outgoing.to,
            ecn: to_system(outgoing.ecn),
            contents: outgoing.payload,
            segment_size: (outgoing.segment < outgoing.payload.len()).then_some(outgoing.segment),
            src_ip: outgoing.from,
        };
        self.socket.try_io(Interest::WRITABLE, || self.state.try_send((&self.socket).into(), &transmit))
    }

    fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
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

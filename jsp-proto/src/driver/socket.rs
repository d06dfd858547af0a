//! What an adapter implements: a socket, and for asynchronous runtimes when it is ready.

use std::boxed::Box;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use crate::Ecn;

/// Datagrams of one sender that one receive buffer was filled with.
#[derive(Clone, Copy, Debug)]
pub struct Datagrams {
    /// The sender.
    pub from: SocketAddr,
    /// The address they were sent to, where the system tells.
    pub to: Option<IpAddr>,
    /// Their congestion mark.
    pub ecn: Ecn,
    /// Bytes in the buffer.
    pub len: usize,
    /// Bytes of each datagram; the last may be shorter. At least `len` if there is only one.
    pub stride: usize,
}

impl Datagrams {
    /// A value to be overwritten.
    pub const EMPTY: Self = Self {
        from: SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0),
        to: None,
        ecn: Ecn::NotEct,
        len: 0,
        stride: 0,
    };
}

/// Datagrams to one receiver.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The receiver, in the address family of the socket.
    pub to: SocketAddr,
    /// The address to send from; `None` leaves the choice to the system.
    pub from: Option<IpAddr>,
    /// The congestion mark to send with.
    pub ecn: Ecn,
    /// Bytes of each datagram; the last may be shorter.
    pub segment: usize,
    /// The bytes, of at most [`Socket::max_segments`] datagrams.
    pub payload: &'a [u8],
}

/// A UDP socket that never blocks.
pub trait Socket {
    /// Fills some of `buffers` from the first on, describes each in `received`, and says how many.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, otherwise what the system says.
    fn try_recv(&mut self, buffers: &mut [IoSliceMut<'_>], received: &mut [Datagrams]) -> io::Result<usize>;

    /// Sends all of `outgoing` or nothing.
    ///
    /// # Errors
    /// `WouldBlock` when the system's buffer is full, otherwise what the system says.
    fn try_send(&mut self, outgoing: &Outgoing<'_>) -> io::Result<()>;

    /// How many datagrams one call of `try_send` may carry. May fall to 1 when the system turns out not to be able.
    fn max_segments(&self) -> usize {
        1
    }
}

/// Work that may run on any thread.
pub type Work = Box<dyn FnOnce() + Send>;

/// A socket inside an asynchronous runtime, and the runtime's timer.
pub trait Reactor: Socket {
    /// Ready when `try_recv` should be tried again after it gave `WouldBlock`.
    ///
    /// # Errors
    /// When the runtime has stopped serving the socket.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when `try_send` should be tried again after it gave `WouldBlock`.
    ///
    /// # Errors
    /// When the runtime has stopped serving the socket.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when `at` has passed. Each call replaces the time of the last one.
    fn poll_timer(&mut self, cx: &mut Context<'_>, at: std::time::Instant) -> Poll<()>;

    /// Runs costly work beside the driver, if the runtime has a place for that. Called only with
    /// [`KemJobs::HandedOut`](crate::KemJobs).
    fn offload(&mut self, work: Work) {
        work();
    }
}

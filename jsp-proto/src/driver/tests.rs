//! The driver on sockets that live in memory: what a real one does too rarely to wait for.

mod shards;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::string::ToString;
use std::task::{Context, Poll, Waker};
use std::vec::Vec;

use super::{Connection, Datagrams, Driver, Endpoint, Outgoing, Reactor, Socket, Stream, endpoint};
use crate::{AppCode, ClientConfig, Config, ConnectionError, Ecn, Entropy, RetryPolicy, SecretKey};

/// One of the two ends of a cable.
struct Plug {
    address: SocketAddr,
    cable: Rc<RefCell<Cable>>,
}

#[derive(Default)]
struct Cable {
    under_way: VecDeque<(SocketAddr, Vec<u8>)>,
    /// Sends that are refused for now.
    full: usize,
    /// Segments that one send may carry, and whether the system claims more than it can.
    segments: usize,
    pretends: bool,
    broken: bool,
}

impl Socket for Plug {
    fn try_recv(&mut self, buffers: &mut [IoSliceMut<'_>], received: &mut [Datagrams]) -> io::Result<usize> {
        let mut cable = self.cable.borrow_mut();
        if cable.broken {
            return Err(io::Error::new(ErrorKind::PermissionDenied, "pulled out"));
        }
        let at = cable.under_way.iter().position(|(to, _)| *to == self.address).ok_or(ErrorKind::WouldBlock)?;
        let (_, bytes) = cable.under_way.remove(at).ok_or(ErrorKind::WouldBlock)?;
        buffers[0][..bytes.len()].copy_from_slice(&bytes);
        let from = address(3 - self.address.port());
        received[0] = Datagrams { from, to: None, ecn: Ecn::NotEct, len: bytes.len(), stride: bytes.len() };
        Ok(1)
    }

    fn try_send(&mut self, outgoing: &Outgoing<'_>) -> io::Result<()> {
        let mut cable = self.cable.borrow_mut();
        if cable.full > 0 {
            cable.full -= 1;
            return Err(ErrorKind::WouldBlock.into());
        }
        if outgoing.payload.len() > outgoing.segment && cable.pretends {
            (cable.pretends, cable.segments) = (false, 1);
            return Err(io::Error::other("no segmentation"));
        }
        for datagram in outgoing.payload.chunks(outgoing.segment) {
            cable.under_way.push_back((outgoing.to, datagram.to_vec()));
        }
        Ok(())
    }

    fn max_segments(&self) -> usize {
        self.cable.borrow().segments.max(1)
    }
}

impl Reactor for Plug {
    fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_writable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    #[allow(clippy::disallowed_methods, reason = "the driver is where time enters; the core never reads a clock")]
    fn poll_timer(&mut self, _: &mut Context<'_>, at: std::time::Instant) -> Poll<()> {
        if at <= std::time::Instant::now() { Poll::Ready(()) } else { Poll::Pending }
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Two endpoints and their drivers, polled by hand.
struct World {
    cable: Rc<RefCell<Cable>>,
    endpoints: [Endpoint; 2],
    drivers: [Pin<std::boxed::Box<Driver<Plug>>>; 2],
}

impl World {
    fn new() -> Self {
        Self::with(RetryPolicy::Adaptive)
    }

    fn with(retry: RetryPolicy) -> Self {
        let cable = Rc::new(RefCell::new(Cable { segments: 16, ..Cable::default() }));
        let server = Config::builder().server_key(SecretKey::from_seed([1; 32])).retry(retry).build().expect("valid");
        let plug = |port| Plug { address: address(port), cable: cable.clone() };
        let (a, a_driver) = endpoint(server, Entropy::new([1; 32]), address(1), plug(1));
        let (b, b_driver) = endpoint(Config::default(), Entropy::new([2; 32]), address(2), plug(2));
        let drivers = [std::boxed::Box::pin(a_driver), std::boxed::Box::pin(b_driver)];
        Self { cable: cable.clone(), endpoints: [a, b], drivers }
    }

    /// Runs everything until `future` is ready.
    fn run<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut cx = Context::from_waker(Waker::noop());
        let mut future = pin!(future);
        for _ in 0..100_000 {
            for driver in &mut self.drivers {
                let _ = driver.as_mut().poll(&mut cx);
            }
            if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
                return value;
            }
        }
        panic!("it never happens")
    }

    fn connect(&mut self) -> (Connection, Connection) {
        let trust = ClientConfig::pinned(SecretKey::from_seed([1; 32]).public().clone());
        let [server, client] = self.endpoints.clone();
        let connecting = client.connect(address(1), &trust).expect("begun");
        let client = self.run(connecting.established(|_| false)).expect("connected");
        (client, self.run(async move { server.accept().await }).expect("open"))
    }

    /// Sends 200 kB from the client to the server.
    fn transfer(&mut self) {
        let (client, server) = self.connect();
        let sent: Vec<u8> = (0..200_000u32).map(|at| at as u8).collect();
        let copy = sent.clone();
        let received = self.run(async move {
            let mut send = client.open_uni().await.expect("open");
            send.write_all(&copy).await.expect("room");
            send.finish().expect("open");
            let Ok(Some(Stream::BytesUni(mut recv))) = server.accept_stream().await else { panic!("a stream") };
            recv.read_to_end(1 << 20).await.expect("the end")
        });
        assert!(received == sent);
    }
}

#[test]
fn the_second_connection_to_a_server_brings_the_token_of_the_first() {
    let mut world = World::with(RetryPolicy::Always);
    for visit in 1..=3 {
        // To receive something is to have received the token, which was sent before.
        world.transfer();
        let stats = world.endpoints[0].stats();
        assert_eq!((stats.retries_sent, stats.tokens_accepted), (1, visit), "only the first had to prove its address");
    }
}

#[test]
fn a_broken_socket_ends_everything_with_its_error() {
    let mut world = World::new();
    let (client, server) = world.connect();
    let waiting = server.clone();
    world.cable.borrow_mut().broken = true;
    let reason = world.run(async move { waiting.closed().await });
    let ConnectionError::EndpointGone { reason } = &reason else { panic!("{reason}") };
    assert!(reason.contains("pulled out"), "{reason}");
    assert!(world.run(async move { server.open_uni().await }).is_err());
    let [endpoint, other] = world.endpoints.clone();
    assert!(world.run(async move { endpoint.accept().await }).is_none());
    let closed = client.closed();
    assert!(matches!(world.run(closed), ConnectionError::EndpointGone { .. }));
    let refused = other.connect(address(1), &ClientConfig::new()).expect_err("gone");
    assert!(refused.to_string().contains("pulled out"), "{refused}");
}

#[test]
fn a_full_socket_loses_nothing() {
    let mut world = World::new();
    world.cable.borrow_mut().full = 20;
    world.transfer();
    assert_eq!(world.cable.borrow().full, 0);
}

#[test]
fn segments_go_one_by_one_when_the_system_cannot() {
    let mut world = World::new();
    world.cable.borrow_mut().pretends = true;
    world.transfer();
    assert_eq!(world.cable.borrow().segments, 1, "it was tried");
}

#[test]
fn dropping_the_handles_ends_the_drivers() {
    let mut world = World::new();
    let (client, server) = world.connect();
    let closing = client.close(AppCode::new(1), b"");
    world.run(closing).expect("delivered");
    let [a, b] = world.endpoints.clone();
    let ended = async move {
        a.shutdown().await;
        b.shutdown().await;
    };
    drop((client, server));
    let mut cx = Context::from_waker(Waker::noop());
    let mut ended = pin!(ended);
    let mut running = [true; 2];
    while ended.as_mut().poll(&mut cx).is_pending() {
        for (driver, running) in world.drivers.iter_mut().zip(&mut running) {
            *running = *running && driver.as_mut().poll(&mut cx).is_pending();
        }
    }
    assert_eq!(running, [false; 2]);
}

//! Several drivers behind one address, with a system that gives datagrams to whichever socket it likes.

use std::boxed::Box;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::vec::Vec;

use super::super::{Connection, Datagrams, Driver, Endpoint, Outgoing, Reactor, Socket, Stream, endpoint, shards};
use super::address;
use crate::{AppCode, ClientConfig, Config, DropReason, Ecn, Entropy, SecretKey};

const SERVER: u16 = 1;
const SHARDS: usize = 3;

/// A socket: the port of its address, and which of those there it is.
type Place = (u16, usize);

/// Where the system brings a datagram for the server's address.
#[derive(Clone, Copy)]
enum Kernel {
    /// Where the port of the client says.
    Steady,
    /// There as long as the header is long, else anywhere.
    Sprays,
    /// All to one.
    To(usize),
}

struct Net {
    kernel: Kernel,
    sprayed: usize,
    arrived: BTreeMap<Place, VecDeque<(SocketAddr, Vec<u8>)>>,
    readers: BTreeMap<Place, Waker>,
    timers: BTreeMap<Place, (std::time::Instant, Waker)>,
}

impl Net {
    fn socket(&mut self, from: u16, to: u16, datagram: &[u8]) -> Place {
        let steady = usize::from(from) % SHARDS;
        let index = match self.kernel {
            _ if to != SERVER => 0,
            Kernel::To(index) => index,
            Kernel::Sprays if datagram[0] & 0x80 == 0 => {
                self.sprayed += 1;
                self.sprayed % SHARDS
            }
            Kernel::Steady | Kernel::Sprays => steady,
        };
        (to, index)
    }
}

struct Plug {
    place: Place,
    net: Rc<RefCell<Net>>,
}

impl Socket for Plug {
    fn try_recv(&mut self, buffers: &mut [IoSliceMut<'_>], received: &mut [Datagrams]) -> io::Result<usize> {
        let mut net = self.net.borrow_mut();
        let queue = net.arrived.entry(self.place).or_default();
        let (from, mut bytes) = queue.pop_front().ok_or(ErrorKind::WouldBlock)?;
        let stride = bytes.len();
        // As receive offload does: equal datagrams of one sender in one buffer.
        while queue.front().is_some_and(|(other, more)| *other == from && more.len() == stride && bytes.len() < 20_000)
        {
            bytes.extend(queue.pop_front().into_iter().flat_map(|(_, more)| more));
        }
        buffers[0][..bytes.len()].copy_from_slice(&bytes);
        received[0] = Datagrams { from, to: None, ecn: Ecn::NotEct, len: bytes.len(), stride };
        Ok(1)
    }

    fn try_send(&mut self, outgoing: &Outgoing<'_>) -> io::Result<()> {
        let mut net = self.net.borrow_mut();
        for datagram in outgoing.payload.chunks(outgoing.segment) {
            let to = net.socket(self.place.0, outgoing.to.port(), datagram);
            net.arrived.entry(to).or_default().push_back((address(self.place.0), datagram.to_vec()));
            if let Some(reader) = net.readers.remove(&to) {
                reader.wake();
            }
        }
        Ok(())
    }

    fn max_segments(&self) -> usize {
        8
    }
}

impl Reactor for Plug {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.net.borrow_mut().readers.insert(self.place, cx.waker().clone());
        Poll::Pending
    }

    fn poll_writable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    #[allow(clippy::disallowed_methods, reason = "the driver is where time enters; the core never reads a clock")]
    fn poll_timer(&mut self, cx: &mut Context<'_>, at: std::time::Instant) -> Poll<()> {
        if at <= std::time::Instant::now() {
            return Poll::Ready(());
        }
        self.net.borrow_mut().timers.insert(self.place, (at, cx.waker().clone()));
        Poll::Pending
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Flag {
    fn is_up(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A driver as a task: polled when it was woken, and not otherwise.
struct Task {
    place: Place,
    driver: Option<Pin<Box<Driver<Plug>>>>,
    woken: Arc<Flag>,
}

impl Task {
    fn run(&mut self) {
        let waker = Waker::from(self.woken.clone());
        if self.woken.0.swap(false, Ordering::Relaxed)
            && let Some(driver) = &mut self.driver
            && driver.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        {
            self.driver = None;
        }
    }
}

struct World {
    net: Rc<RefCell<Net>>,
    servers: Vec<Endpoint>,
    tasks: Vec<Task>,
}

impl World {
    fn new(kernel: Kernel) -> Self {
        let (arrived, readers, timers) = Default::default();
        let net = Rc::new(RefCell::new(Net { kernel, sprayed: 0, arrived, readers, timers }));
        let config = Config::builder().server_key(SecretKey::from_seed([1; 32])).build().expect("valid");
        let plug = |index| (address(SERVER), Plug { place: (SERVER, index), net: net.clone() });
        let shards = shards(config, Entropy::new([1; 32]), (0..SHARDS).map(plug).collect()).expect("few");
        let mut world = Self { net: net.clone(), servers: Vec::new(), tasks: Vec::new() };
        for (index, (endpoint, driver)) in shards.into_iter().enumerate() {
            world.servers.push(endpoint);
            world.spawn((SERVER, index), driver);
        }
        world
    }

    fn spawn(&mut self, place: Place, driver: Driver<Plug>) {
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        self.tasks.push(Task { place, driver: Some(Box::pin(driver)), woken });
    }

    fn client(&mut self, port: u16) -> Endpoint {
        let plug = Plug { place: (port, 0), net: self.net.clone() };
        let (endpoint, driver) = endpoint(Config::default(), Entropy::new([port as u8; 32]), address(port), plug);
        self.spawn((port, 0), driver);
        endpoint
    }

    fn task(&mut self, place: Place) -> &mut Task {
        self.tasks.iter_mut().find(|task| task.place == place).expect("spawned")
    }

    /// Runs whoever was woken until nobody is.
    fn settle(&mut self) {
        while self.tasks.iter().any(|task| task.driver.is_some() && task.woken.is_up()) {
            self.tasks.iter_mut().for_each(Task::run);
        }
    }

    /// Runs everything until `future` is ready.
    #[allow(clippy::disallowed_methods, reason = "the driver is where time enters; the core never reads a clock")]
    fn run<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let begun = std::time::Instant::now();
        while begun.elapsed().as_secs() < 60 {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return value;
            }
            self.settle();
            let now = std::time::Instant::now();
            self.net.borrow_mut().timers.retain(|_, (at, waker)| {
                if *at <= now {
                    waker.wake_by_ref();
                }
                *at > now
            });
            std::thread::yield_now();
        }
        panic!("it never happens")
    }

    /// Connects from `port` and accepts at the shard where the first message arrives.
    fn connect(&mut self, client: &Endpoint, shard: usize) -> (Connection, Connection) {
        let trust = ClientConfig::pinned(SecretKey::from_seed([1; 32]).public().clone());
        let connecting = client.connect(address(SERVER), &trust).expect("begun");
        let connection = self.run(connecting.established(|_| false)).expect("connected");
        let server = self.servers[shard].clone();
        (connection, self.run(async move { server.accept().await }).expect("open"))
    }

    /// Sends `len` bytes one way.
    fn transfer(&mut self, from: &Connection, to: &Connection, len: u32) {
        let sent: Vec<u8> = (0..len).map(|at| (at ^ at >> 8) as u8).collect();
        let received = self.run(async {
            let mut send = from.open_uni().await.expect("open");
            send.write_all(&sent).await.expect("room");
            send.finish().expect("open");
            let Ok(Some(Stream::BytesUni(mut recv))) = to.accept_stream().await else { panic!("a stream") };
            recv.read_to_end(1 << 20).await.expect("the end")
        });
        assert!(received == sent);
    }

    fn foreign(&self) -> u64 {
        self.servers.iter().map(|server| server.stats().datagrams_foreign).sum()
    }
}

#[test]
fn drivers_bring_each_others_datagrams_home() {
    for (kernel, misled) in [(Kernel::Steady, false), (Kernel::Sprays, true)] {
        let mut world = World::new(kernel);
        for port in 10..16 {
            let endpoint = world.client(port);
            let (client, server) = world.connect(&endpoint, usize::from(port) % SHARDS);
            world.transfer(&client, &server, 100_000);
            world.transfer(&server, &client, 100_000);
            let closing = client.close(AppCode::ZERO, b"");
            world.run(closing).expect("delivered");
            world.run(endpoint.shutdown());
        }
        assert_eq!(world.foreign() > 0, misled);
        for server in &world.servers {
            let stats = server.stats();
            assert_eq!((stats.connections_confirmed, stats.dropped(DropReason::UnknownConnection)), (2, 0));
            assert_eq!(server.handovers_dropped(), 0);
        }
        let servers = world.servers.clone();
        for server in servers {
            world.run(server.shutdown());
        }
    }
}

/// Nothing else than the shard to which a datagram came wakes the one whose it is.
#[test]
fn a_handed_over_datagram_wakes_its_shard() {
    let mut world = World::new(Kernel::Steady);
    let endpoint = world.client(10);
    let (client, server) = world.connect(&endpoint, 1);
    world.transfer(&client, &server, 10);
    world.settle();
    world.net.borrow_mut().kernel = Kernel::To(2);
    let mut send = world.run(client.open_uni()).expect("open");
    world.run(async { send.write_all(b"hello").await }).expect("room");
    world.task((10, 0)).run();
    assert!(!world.task((SERVER, 1)).woken.is_up());
    assert!(world.task((SERVER, 2)).woken.is_up());
    world.task((SERVER, 2)).run();
    assert!(world.task((SERVER, 1)).woken.is_up(), "somebody has brought something");
    world.task((SERVER, 1)).run();
    let mut accepting = pin!(server.accept_stream());
    assert!(accepting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready(), "it has arrived");
    assert_eq!(world.servers[2].stats().datagrams_foreign, 1);
    assert_eq!(world.servers[1].stats().datagrams_foreign, 0);
}

#[test]
fn what_belongs_to_a_shard_that_has_ended_is_dropped_and_counted() {
    let mut world = World::new(Kernel::Steady);
    let endpoints = [world.client(9), world.client(10)];
    let (orphan, _server) = world.connect(&endpoints[0], 0);
    let (client, server) = world.connect(&endpoints[1], 1);
    world.task((SERVER, 0)).driver = None;
    world.net.borrow_mut().kernel = Kernel::To(2);
    let mut send = world.run(orphan.open_uni()).expect("open");
    world.run(async { send.write_all(b"hello").await }).expect("room");
    world.transfer(&client, &server, 50_000);
    assert!(world.servers[0].handovers_dropped() > 0);
    assert_eq!(world.servers[1].handovers_dropped(), 0);
}

/// A flood of datagrams for a shard that does not get to run is dropped at the bound.
#[test]
fn a_shard_that_sleeps_is_brought_so_much_and_no_more() {
    let mut world = World::new(Kernel::Steady);
    let endpoint = world.client(10);
    let (client, server) = world.connect(&endpoint, 1);
    world.transfer(&client, &server, 10);
    world.settle();
    world.net.borrow_mut().kernel = Kernel::To(2);
    let mut send = world.run(client.open_uni()).expect("open");
    world.run(async { send.write_all(b"hello").await }).expect("room");
    world.task((10, 0)).run();
    let queue = world.net.borrow_mut().arrived.remove(&(SERVER, 2)).expect("sent");
    let (from, datagram) = queue.front().cloned().expect("sent");
    let flood = (0..5_000).map(|_| (from, datagram.clone())).collect();
    world.net.borrow_mut().arrived.insert((SERVER, 2), flood);
    world.task((SERVER, 2)).woken.0.store(true, Ordering::Relaxed);
    while world.task((SERVER, 2)).woken.is_up() {
        world.task((SERVER, 2)).run();
    }
    assert_eq!(world.servers[2].stats().datagrams_foreign, 5_000);
    assert_eq!(world.servers[1].handovers_dropped(), 5_000 - 1024);
    let before = world.servers[1].stats().datagrams_received;
    world.task((SERVER, 1)).run();
    assert_eq!(world.servers[1].stats().datagrams_received - before, 1024);
    // Copies of one datagram: the first was good, and the connection goes on.
    assert_eq!(world.servers[1].stats().dropped(DropReason::Duplicate), 1023);
    world.transfer(&server, &client, 20_000);
}

#[test]
fn more_shards_than_numbers_are_refused() {
    let net = World::new(Kernel::Steady).net;
    let plugs = |count| (0..count).map(|index| (address(SERVER), Plug { place: (SERVER, index), net: net.clone() }));
    let made = |count| {
        let made = shards(Config::default(), Entropy::new([3; 32]), plugs(count).collect());
        made.map(|shards| shards.len()).map_err(|error| error.kind())
    };
    assert_eq!(made(257), Err(ErrorKind::InvalidInput));
    assert_eq!((made(0), made(3)), (Ok(0), Ok(3)));
}

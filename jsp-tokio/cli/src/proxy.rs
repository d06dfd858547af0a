//! A bad network in user space: a UDP proxy that delays, loses and slows datagrams, each direction in its own way.
//!
//! [`Link`] decides about one direction and knows neither sockets nor clocks: with the same seed and the same calls it
//! decides the same. [`Proxy`] is two links with two sockets around them.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// What a bottleneck queues before it drops.
const QUEUE: Duration = Duration::from_millis(100);
/// Datagrams taken from a socket before the other one has its turn.
const TURN: usize = 64;

/// What happens to the datagrams of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Impairment {
    /// Share of datagrams that are lost at random, 0 to 1.
    pub(crate) loss: f64,
    /// Datagrams lost in a row on average (Gilbert's model); each is lost for itself without one. With short bursts no
    /// more than `burst / (burst + 1)` can be lost.
    pub(crate) burst: Option<f64>,
    pub(crate) delay: Duration,
    /// Bottleneck in bytes per second, with a queue of 100 ms.
    pub(crate) rate: Option<f64>,
}

/// What happened to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) datagrams: u64,
    pub(crate) bytes: u64,
    /// Lost at random.
    pub(crate) lost: u64,
    /// Dropped because the queue of the bottleneck was full.
    pub(crate) overflowed: u64,
}

/// One direction.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    impairment: Impairment,
    random: SplitMix,
    /// The latest datagram was lost in a burst.
    is_bad: bool,
    /// When the bottleneck has sent everything it took.
    free_at: Duration,
    pub(crate) counts: Counts,
}

impl Link {
    pub(crate) fn new(impairment: Impairment, seed: u64) -> Self {
        Self { impairment, random: SplitMix(seed), is_bad: false, free_at: Duration::ZERO, counts: Counts::default() }
    }

    /// A datagram of `len` bytes enters at `now`. When it comes out; `None` if it does not.
    pub(crate) fn offer(&mut self, now: Duration, len: usize) -> Option<Duration> {
        self.counts.datagrams += 1;
        self.counts.bytes += len as u64;
        if self.loses() {
            self.counts.lost += 1;
            return None;
        }
        let mut sent = now;
        if let Some(rate) = self.impairment.rate {
            let start = self.free_at.max(now);
            if start - now > QUEUE {
                self.counts.overflowed += 1;
                return None;
            }
            sent = start + Duration::from_secs_f64(len as f64 / rate);
            self.free_at = sent;
        }
        Some(sent + self.impairment.delay)
    }

    /// Drawn for each datagram, so that the fate of the n-th depends on nothing but the seed.
    fn loses(&mut self) -> bool {
        let (drawn, loss) = (self.random.unit(), self.impairment.loss);
        let Some(burst) = self.impairment.burst.filter(|_| loss < 1.0) else { return drawn < loss };
        // A burst goes on so often that it has its length, and begins so often that this makes the share.
        self.is_bad = drawn < if self.is_bad { 1.0 - 1.0 / burst } else { loss / (burst * (1.0 - loss)) };
        self.is_bad
    }
}

/// A small generator whose numbers never change between versions (Steele, Lea, Flood: SplitMix64). Not for secrets.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, not including, 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The proxy in front of one server, for one client at a time. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Where clients send to.
    pub(crate) address: SocketAddr,
    links: Arc<Mutex<[Link; 2]>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts on a free port of the loopback address.
    pub(crate) fn start(
        server: SocketAddr,
        to_server: Impairment,
        to_client: Impairment,
        seed: u64,
    ) -> io::Result<Self> {
        let front = socket()?;
        let back = socket()?;
        let address = front.local_addr()?;
        // Different seeds, or both directions would lose the same datagrams.
        let links = [Link::new(to_server, seed), Link::new(to_client, !seed)];
        let links = Arc::new(Mutex::new(links));
        let task = tokio::spawn(Pump::new(server, links.clone()).run(front, back));
        Ok(Self { address, links, task })
    }

    /// What happened so far, to the server and to the client.
    pub(crate) fn counts(&self) -> [Counts; 2] {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        [links[0].counts, links[1].counts]
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn socket() -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    // What the system grants of it keeps bursts from being lost in front of the proxy, where nobody counts them.
    let options = socket2::SockRef::from(&socket);
    let _ = options.set_recv_buffer_size(8 << 20);
    let _ = options.set_send_buffer_size(8 << 20);
    UdpSocket::from_std(socket)
}

struct Pump {
    server: SocketAddr,
    client: Option<SocketAddr>,
    links: Arc<Mutex<[Link; 2]>>,
    /// Datagrams on their way, by direction, soonest first: a link never reorders.
    queues: [VecDeque<(Instant, Vec<u8>)>; 2],
    spare: Vec<Vec<u8>>,
    origin: Instant,
    buffer: Vec<u8>,
}

impl Pump {
    fn new(server: SocketAddr, links: Arc<Mutex<[Link; 2]>>) -> Self {
        let queues = [VecDeque::new(), VecDeque::new()];
        Self { server, client: None, links, queues, spare: Vec::new(), origin: Instant::now(), buffer: vec![0; 65_536] }
    }

    async fn run(mut self, front: UdpSocket, back: UdpSocket) {
        loop {
            self.deliver(0, &back, Some(self.server)).await;
            self.deliver(1, &front, self.client).await;
            let next = self.queues.iter().filter_map(|queue| Some(queue.front()?.0)).min();
            let due = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = front.readable() => self.take(0, &front),
                _ = back.readable() => self.take(1, &back),
                () = due => {}
            }
        }
    }

    /// Takes what has arrived, a turn's worth. An error of a UDP socket is about a datagram sent before: that one is
    /// lost, as in any network.
    fn take(&mut self, direction: usize, socket: &UdpSocket) {
        for _ in 0..TURN {
            let (len, from) = match socket.try_recv_from(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => continue,
            };
            if direction == 0 {
                self.client = Some(from);
            } else if from != self.server {
                continue;
            }
            let now = self.origin.elapsed();
            let due = self.links.lock().unwrap_or_else(PoisonError::into_inner)[direction].offer(now, len);
            if let Some(due) = due {
                let mut datagram = self.spare.pop().unwrap_or_default();
                datagram.clear();
                datagram.extend_from_slice(&self.buffer[..len]);
                self.queues[direction].push_back((self.origin + due, datagram));
            }
        }
    }

    /// Sends what is due.
    async fn deliver(&mut self, direction: usize, socket: &UdpSocket, to: Option<SocketAddr>) {
        let now = Instant::now();
        while let Some((at, datagram)) = self.queues[direction].pop_front() {
            if at > now {
                self.queues[direction].push_front((at, datagram));
                return;
            }
            if let Some(to) = to {
                let _ = socket.send_to(&datagram, to).await;
            }
            self.spare.push(datagram);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn fates(seed: u64, loss: f64, count: usize) -> Vec<bool> {
        let mut link = Link::new(Impairment { loss, ..Impairment::default() }, seed);
        (0..count).map(|_| link.offer(Duration::ZERO, 1200).is_some()).collect()
    }

    #[test]
    fn a_seed_decides_which_datagrams_are_lost() {
        assert_eq!(fates(7, 0.1, 1000), fates(7, 0.1, 1000));
        assert_ne!(fates(7, 0.1, 1000), fates(8, 0.1, 1000));
        assert!(fates(7, 0.0, 1000).iter().all(|&through| through));
        assert!(fates(7, 1.0, 1000).iter().all(|&through| !through));
        let lost = fates(7, 0.02, 100_000).iter().filter(|&&through| !through).count();
        assert!((1800..2200).contains(&lost), "{lost}");
    }

    #[test]
    fn bursts_have_their_length_and_their_share() {
        for (loss, burst) in [(0.02, 1.0), (0.02, 4.0), (0.1, 3.0), (0.4, 10.0)] {
            let impairment = Impairment { loss, burst: Some(burst), ..Impairment::default() };
            let mut link = Link::new(impairment, 5);
            let lost: Vec<bool> = (0..400_000).map(|_| link.offer(Duration::ZERO, 1200).is_none()).collect();
            let count = lost.iter().filter(|&&lost| lost).count() as f64;
            let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count() as f64;
            assert!((count / 400_000.0 / loss - 1.0).abs() < 0.1, "{loss} {burst}: {count}");
            assert!((count / bursts / burst - 1.0).abs() < 0.1, "{loss} {burst}: {}", count / bursts);
        }
        let all = Impairment { loss: 1.0, burst: Some(3.0), ..Impairment::default() };
        let mut link = Link::new(all, 1);
        assert!((0..1000).all(|_| link.offer(Duration::ZERO, 1200).is_none()));
    }

    #[test]
    fn delay_and_bottleneck() {
        let impairment = Impairment { delay: 20 * MS, rate: Some(1_000_000.0), ..Impairment::default() };
        let mut link = Link::new(impairment, 1);
        assert_eq!(link.offer(5 * MS, 1000), Some(26 * MS));
        assert_eq!(link.offer(5 * MS, 1000), Some(27 * MS));
        assert_eq!(link.offer(50 * MS, 1000), Some(71 * MS));
        let through = (0..1000).filter(|_| link.offer(100 * MS, 1000).is_some()).count();
        assert_eq!(through, 101);
        assert_eq!(link.counts, Counts { datagrams: 1003, bytes: 1_003_000, lost: 0, overflowed: 899 });
    }

    #[tokio::test]
    async fn datagrams_cross_both_ways() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
        let client = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
        let clean = Impairment { delay: 5 * MS, ..Impairment::default() };
        let proxy = Proxy::start(server.local_addr().expect("bound"), clean, clean, 1).expect("started");
        let begun = Instant::now();
        client.send_to(b"there", proxy.address).await.expect("sent");
        let mut buffer = [0; 16];
        let (len, from) = server.recv_from(&mut buffer).await.expect("received");
        assert_eq!(&buffer[..len], b"there");
        server.send_to(b"back", from).await.expect("sent");
        let (len, from) = client.recv_from(&mut buffer).await.expect("received");
        assert_eq!((&buffer[..len], from), (&b"back"[..], proxy.address));
        assert!(begun.elapsed() >= 10 * MS);
        assert_eq!(proxy.counts().map(|counts| counts.datagrams), [1, 1]);
    }
}

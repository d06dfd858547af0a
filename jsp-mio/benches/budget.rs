//! How well a turn keeps to its budget of time: `cargo bench -p jsp-mio --bench budget`.
//!
//! A server in a loop of 500 frames a second gets a fixed time per frame. Another thread gives it more to do than fits:
//! bulk data in both directions and an endless sequence of handshakes. Once the public-key work of the handshakes is
//! handed out and runs in what the frame leaves over, once it runs inside the turn.
//!
//! Printed for each budget: what a turn took as a share of the budget, by the thread's CPU clock and by the wall clock
//! (which counts interruptions by other programs too), the share of turns that took more than 110 %, and how much was
//! done meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jsp_mio::proto::{Event as On, Recv};
use jsp_mio::{
    AppCode, Budget, ClientConfig, Config, ConnId, Endpoint, Event, KemJobs, PublicKey, SecretKey, StreamId,
    StreamOptions,
};
use rustix::time::{ClockId, clock_gettime};

const FRAME: Duration = Duration::from_millis(2);
const WARM_UP: usize = 500;
const FRAMES: usize = 2500;

fn main() {
    println!("{FRAMES} turns each; share of the budget that a turn took");
    println!(
        "budget  public-key work   CPU: p50    p99  p99.9    max  >110%   wall: p50    p99  >110%   MB/s  handshakes/s"
    );
    for micros in [100, 200, 500, 1000] {
        for jobs in [KemJobs::HandedOut, KemJobs::Inline] {
            let done = play(Duration::from_micros(micros), jobs);
            let place = if jobs == KemJobs::HandedOut { "handed out" } else { "in the turn" };
            let [cpu, wall] = [&done.cpu, &done.wall];
            println!(
                "{micros:>4} us  {place:<16} {:>10.2} {:>6.2} {:>6.2} {:>6.2} {:>6.2}  {:>10.2} {:>6.2} {:>6.2} {:>6.1} {:>13.0}",
                at(cpu, 0.5),
                at(cpu, 0.99),
                at(cpu, 0.999),
                at(cpu, 1.0),
                over(cpu),
                at(wall, 0.5),
                at(wall, 0.99),
                over(wall),
                done.megabytes / done.seconds,
                done.handshakes / done.seconds,
            );
        }
    }
}

/// What came of a run: shares of the budget, sorted.
struct Done {
    cpu: Vec<f64>,
    wall: Vec<f64>,
    megabytes: f64,
    handshakes: f64,
    seconds: f64,
}

fn at(shares: &[f64], quantile: f64) -> f64 {
    shares[((shares.len() - 1) as f64 * quantile).round() as usize]
}

/// Percent of the turns that took more than 110 % of their budget.
fn over(shares: &[f64]) -> f64 {
    shares.iter().filter(|&&share| share > 1.1).count() as f64 * 100.0 / shares.len() as f64
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn play(limit: Duration, jobs: KemJobs) -> Done {
    let key = SecretKey::from_seed([1; 32]);
    let public = key.public().clone();
    let config = Config::builder().server_key(key).kem_jobs(jobs).build().expect("valid");
    let mut server = Server::new(Endpoint::bind(([127, 0, 0, 1], 0).into(), config).expect("loopback"));
    let address = server.endpoint.local_address();
    let stop = Arc::new(AtomicBool::new(false));
    let load = thread::spawn({
        let stop = stop.clone();
        move || load(address, public, &stop)
    });

    let (mut cpu, mut wall) = (Vec::with_capacity(FRAMES), Vec::with_capacity(FRAMES));
    let mut began = Instant::now();
    let mut before = (0, 0);
    let mut next = Instant::now();
    for frame in 0..WARM_UP + FRAMES {
        if frame == WARM_UP {
            began = Instant::now();
            before = (server.bytes, server.handshakes);
        }
        let (by_cpu, by_wall) = server.turn(limit);
        if frame >= WARM_UP {
            cpu.push(by_cpu.as_secs_f64() / limit.as_secs_f64());
            wall.push(by_wall.as_secs_f64() / limit.as_secs_f64());
        }
        next = (next + FRAME).max(Instant::now());
        while let Some(job) = server.endpoint.take_job() {
            server.endpoint.job_done(job.run());
            if Instant::now() + FRAME / 4 > next {
                break;
            }
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let seconds = began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    load.join().expect("the load runs");
    cpu.sort_by(f64::total_cmp);
    wall.sort_by(f64::total_cmp);
    let megabytes = (server.bytes - before.0) as f64 / 1e6;
    Done { cpu, wall, megabytes, handshakes: (server.handshakes - before.1) as f64, seconds }
}

struct Server {
    endpoint: Endpoint,
    buffer: Vec<u8>,
    data: Vec<u8>,
    bytes: usize,
    handshakes: usize,
}

impl Server {
    fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, buffer: vec![0; 65_536], data: vec![7; 65_536], bytes: 0, handshakes: 0 }
    }

    /// One turn, and what it took inside the endpoint by the CPU clock and by the wall clock.
    fn turn(&mut self, limit: Duration) -> (Duration, Duration) {
        let mut cpu = Duration::ZERO;
        let mut turn = self.endpoint.turn(Budget::time(limit));
        loop {
            let before = thread_cpu();
            let event = self.endpoint.next(&mut turn).expect("the socket works");
            cpu += thread_cpu() - before;
            match event {
                Some(Event::Connection(_, On::Connected)) => self.handshakes += 1,
                Some(Event::Connection(
                    id,
                    On::StreamOpened(stream) | On::StreamReadable(stream) | On::StreamWritable(stream),
                )) => self.bytes += exchange(&mut self.endpoint, id, stream, &mut self.buffer, &self.data),
                Some(_) => {}
                None => return (cpu, turn.spent()),
            }
        }
    }
}

/// Reads what is there and writes what fits, and says how much that was.
fn exchange(endpoint: &mut Endpoint, id: ConnId, stream: StreamId, buffer: &mut [u8], data: &[u8]) -> usize {
    let Some(mut peer) = endpoint.conn(id) else { return 0 };
    let mut moved = 0;
    while let Ok(Recv::Data(len)) = peer.recv(stream, buffer) {
        moved += len;
    }
    moved + peer.send(stream, data).unwrap_or(0)
}

/// Bulk data both ways over one connection, and one short connection after the other.
fn load(address: std::net::SocketAddr, public: PublicKey, stop: &AtomicBool) {
    let trust = ClientConfig::pinned(public);
    let mut client = Endpoint::bind(([127, 0, 0, 1], 0).into(), Config::default()).expect("loopback");
    let bulk = client.connect(address, &trust).expect("can begin");
    client.connect(address, &trust).expect("can begin");
    let (mut buffer, data) = (vec![0; 65_536], vec![7; 65_536]);
    while !stop.load(Ordering::Relaxed) {
        let mut turn = client.turn(Budget::time(Duration::from_millis(1)));
        while let Some(event) = client.next(&mut turn).expect("the socket works") {
            let Event::Connection(id, event) = event else { continue };
            let Some(mut server) = client.conn(id) else { continue };
            match event {
                On::Connected if id == bulk => {
                    let stream = server.open(StreamOptions::bytes()).expect("allowed");
                    exchange(&mut client, id, stream, &mut buffer, &data);
                }
                On::Connected => server.abort(AppCode::ZERO, b""),
                On::Closed if id == bulk => panic!("closed: {:?}", server.close_reason()),
                On::Closed => drop(client.connect(address, &trust).expect("can begin")),
                On::StreamReadable(stream) | On::StreamWritable(stream) => {
                    exchange(&mut client, id, stream, &mut buffer, &data);
                }
                _ => {}
            }
        }
        thread::sleep(Duration::from_micros(100));
    }
}

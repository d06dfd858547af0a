//! One end of a measurement: a server or a client of JetStreamProto or of a rival, as a process of its own.
//!
//! `rivals PEER server` prints `ready ADDRESS IDENTITY`, then for each line it reads the CPU seconds used so far, and
//! ends with its input. `rivals PEER WORK AMOUNT ADDRESS IDENTITY` does one work and prints its figures. The bench
//! `rivals` of jsp-conformance runs both and compares.
#![forbid(unsafe_code)]

mod jsp;
mod quinn;
mod work;

use std::error::Error;
use std::io::BufRead;
use std::net::SocketAddr;
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncWrite};

/// The size of datagrams, in bytes of UDP payload.
const DATAGRAM: u16 = 1452;
/// Receive windows, send buffers: enough never to be in the way on the loopback.
const WINDOW: u32 = 8 << 20;
/// What the sockets ask the system for, in each direction.
const SOCKET_BUFFER: usize = 4 << 20;

type Failure = Box<dyn Error + Send + Sync>;

/// A transport under measurement.
trait Peer: Sized {
    type Connection;
    type Send: AsyncWrite + Unpin;
    type Recv: AsyncRead + Unpin;

    /// Serves until the process ends. `ready` is told the address and what a client needs to trust this server.
    async fn serve(ready: impl FnOnce(SocketAddr, &[u8])) -> Result<(), Failure>;
    /// A client that trusts `identity` and nothing else.
    async fn client(server: SocketAddr, identity: &[u8]) -> Result<Self, Failure>;
    async fn connect(&self) -> Result<Self::Connection, Failure>;
    async fn open(connection: &Self::Connection) -> Result<(Self::Send, Self::Recv), Failure>;
    /// Tells the peer and does not wait.
    fn close(connection: Self::Connection);
}

/// CPU seconds that this process has used, in the kernel too.
fn cpu() -> f64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(f64::NAN, |usage| {
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        micros as f64 / 1e6
    })
}

/// A core for each end, where there are two.
fn pin(core: usize) {
    let mut set = CpuSet::new();
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > core) && set.set(core).is_ok() {
        // Not being allowed to costs accuracy only.
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

/// A bound socket with the buffers that both peers get.
fn socket() -> std::io::Result<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    let options = socket2::SockRef::from(&socket);
    options.set_recv_buffer_size(SOCKET_BUFFER)?;
    options.set_send_buffer_size(SOCKET_BUFFER)?;
    Ok(socket)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Result<Vec<u8>, Failure> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)).collect()
}

async fn run<P: Peer>(words: &[&str]) -> Result<(), Failure> {
    if words == ["server"] {
        pin(0);
        std::thread::spawn(|| {
            for _ in std::io::stdin().lock().lines() {
                println!("{}", cpu());
            }
            std::process::exit(0);
        });
        return P::serve(|address, identity| println!("ready {address} {}", hex(identity))).await;
    }
    let &[work, amount, address, identity] = words else { return Err("what is to be done?".into()) };
    pin(1);
    let peer = P::client(address.parse()?, &unhex(identity)?).await?;
    let amount: u64 = amount.parse()?;
    match work {
        "bulk" => work::bulk(&peer, amount).await,
        "ping" => work::ping(&peer, amount).await,
        "handshakes" => work::handshakes(&peer, Duration::from_millis(amount)).await,
        other => Err(format!("unknown work {other}").into()),
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match words.split_first() {
        Some((&"jsp", rest)) => runtime.block_on(run::<jsp::Jsp>(rest)),
        Some((&"quinn", rest)) => runtime.block_on(run::<quinn::Quinn>(rest)),
        _ => Err("usage: rivals jsp|quinn server|bulk|ping|handshakes ...".into()),
    }
}

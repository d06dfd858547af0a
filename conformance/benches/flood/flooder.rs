//! Who floods: so many datagrams per second to the server, or to a socket that drops them.

use std::io::BufRead;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jsp_proto::internals::crypto::InitialKeys;
use jsp_proto::internals::crypto::initial::{Layout, build_flight};
use jsp_proto::internals::wire::{Cid, LongHeader, LongType};
use jsp_proto::{KeyId, PublicKey, Side};

use super::children::{Failure, flag, number, unhex, word};

/// Messages that are made in advance and sent over and over, each time from another address. Together with the number of
/// addresses, with which they have no divisor in common, they make millions of attempts of which none repeats another.
const MESSAGES: usize = 8192;
/// Addresses, each in a network of its own.
const SOURCES: u8 = 199;
/// A first message of a client has more than two full datagrams.
const MESSAGE: usize = 2400;
const STEP: Duration = Duration::from_millis(1);

const ALONE: u8 = 0;
const NEUTRAL: u8 = 1;
const FLOOD: u8 = 2;

struct Shared {
    phase: AtomicU8,
    sent: AtomicU64,
}

/// Lines of input are the names of phases; each is answered by the number of datagrams sent so far.
pub(crate) fn run() -> Result<(), Failure> {
    let server: SocketAddr = word("--address").ok_or("no address")?.parse()?;
    let key = PublicKey::from_bytes(&unhex(&word("--key").ok_or("no key")?)?)?.key_id();
    let messages = (0..MESSAGES).map(|number| message(&key, number)).collect::<Result<Vec<_>, _>>()?;
    let sockets = (1..=SOURCES).map(|net| UdpSocket::bind((std::net::Ipv4Addr::new(127, 0, net, 1), 0)));
    let sockets = sockets.collect::<Result<Vec<_>, _>>()?;
    let sink = UdpSocket::bind("127.0.0.1:0")?;
    let neutral = sink.local_addr()?;
    std::thread::spawn(move || drop_all(&sink));
    let shared = Arc::new(Shared { phase: AtomicU8::new(ALONE), sent: AtomicU64::new(0) });
    let (theirs, rate) = (shared.clone(), number("--rate", 50_000) as f64);
    std::thread::spawn(move || send(&theirs, &sockets, &messages, [neutral, server], rate));
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        match line?.as_str() {
            "alone" => shared.phase.store(ALONE, Ordering::Relaxed),
            "neutral" => shared.phase.store(NEUTRAL, Ordering::Relaxed),
            "flood" | "flood only" => shared.phase.store(FLOOD, Ordering::Relaxed),
            _ => {}
        }
        println!("{}", shared.sent.load(Ordering::Relaxed));
    }
    std::process::exit(0)
}

/// The datagrams of a message that looks like a client's first one from outside of its inner seal.
fn message(key: &KeyId, number: usize) -> Result<Vec<Vec<u8>>, Failure> {
    let mut state = number as u64 + 1;
    let mut content = vec![0; MESSAGE];
    for chunk in content.chunks_mut(8) {
        let bytes = super::random::next(&mut state).to_le_bytes();
        chunk.copy_from_slice(&bytes[..chunk.len()]);
    }
    let (dcid, scid) = content.split_at(8);
    let cid = |bytes: &[u8]| Cid::new(bytes).ok_or("a connection id has up to 16 bytes");
    let (dcid, scid) = (cid(dcid)?, cid(&scid[..8])?);
    let header = LongHeader {
        from: Side::Client,
        ty: LongType::ClientInit,
        count: 1,
        index: 0,
        dcid,
        scid,
        token: &[],
        payload_at: 0,
    };
    let seal = InitialKeys::new(key, dcid.as_slice()).client(LongType::ClientInit);
    let mut datagrams = build_flight(&header, &seal, &content, Layout::Hello)?;
    if !flag("--whole") {
        datagrams.truncate(1);
    }
    Ok(datagrams)
}

/// Takes all that is there every millisecond, as a busy server would: no wake-up for each datagram.
fn drop_all(sink: &UdpSocket) {
    let mut buffer = [0; 2048];
    if sink.set_nonblocking(true).is_err() {
        return;
    }
    loop {
        while sink.recv(&mut buffer).is_ok() {}
        std::thread::sleep(STEP);
    }
}

fn send(
    shared: &Shared,
    sockets: &[UdpSocket],
    messages: &[Vec<Vec<u8>>],
    [neutral, server]: [SocketAddr; 2],
    rate: f64,
) {
    let mut pairs = messages.iter().cycle().zip(sockets.iter().cycle());
    let mut last = Instant::now();
    let mut due = 0.0;
    loop {
        let now = Instant::now();
        let target = match shared.phase.load(Ordering::Relaxed) {
            NEUTRAL => Some(neutral),
            FLOOD => Some(server),
            _ => None,
        };
        // What could not be sent for want of a processor is made up for, up to 20 ms of it.
        due = (due + (now - last).as_secs_f64() * rate).min(rate / 50.0);
        last = now;
        let Some(target) = target else {
            due = 0.0;
            std::thread::sleep(STEP);
            continue;
        };
        let mut sent = 0;
        while sent < due as u64 {
            let Some((message, socket)) = pairs.next() else { return };
            for datagram in message {
                // A full buffer loses datagrams, as a network would.
                let _ = socket.send_to(datagram, target);
                sent += 1;
            }
        }
        due -= sent as f64;
        shared.sent.fetch_add(sent, Ordering::Relaxed);
        std::thread::sleep(STEP);
    }
}

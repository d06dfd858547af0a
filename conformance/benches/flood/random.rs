//! Random datagrams at an endpoint in memory: none may cost memory that stays.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jsp_proto::{ClientConfig, Config, ConnId, Endpoint, Entropy, Event, Instant, KeepAlive, Output, Path, RecvMeta};
use jsp_proto::{DropReason, SecretKey};

use super::children::{Failure, print_machine};
use super::counting::{for_party, held};

const SERVER: usize = 2;
const GROWTH: i64 = 1 << 20;
/// Virtual time between two datagrams: a million per second.
const STEP: Duration = Duration::from_micros(1);
/// Datagrams between two turns of the real client.
const TURN: usize = 256;
/// Where the destination connection id of a long header begins, behind its length.
const DCID: usize = 6;

/// The next number of a simple generator (splitmix64): the same datagrams in every run.
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

struct World {
    now: Instant,
    server: Endpoint,
    client: Endpoint,
    id: Option<ConnId>,
    addresses: [SocketAddr; 2],
    /// The beginnings of the client's latest long and short packets: what an observer has seen.
    long: Vec<u8>,
    short: Vec<u8>,
    buffer: Vec<u8>,
    connected: bool,
}

impl World {
    fn new() -> Result<Self, Failure> {
        let key = Arc::new(SecretKey::from_seed([9; 32]));
        let trust = ClientConfig::pinned(key.public().clone());
        let addresses = [([10, 0, 0, 1], 4433).into(), ([10, 0, 0, 2], 4433).into()];
        let config = || Config::builder().keep_alive(KeepAlive::Every(Duration::from_secs(1)));
        let server = Arc::new(config().server_key(key).build()?);
        let server = for_party(SERVER, || Endpoint::new(server, Entropy::new([2; 32])));
        let mut client = Endpoint::new(Arc::new(config().build()?), Entropy::new([1; 32]));
        let path = Path { local: Some(addresses[0]), remote: addresses[1] };
        let id = Some(client.connect(Instant::ZERO, path, &trust)?);
        let (long, short, buffer) = (Vec::new(), Vec::new(), vec![0; 2048]);
        Ok(Self { now: Instant::ZERO, server, client, id, addresses, long, short, buffer, connected: false })
    }

    /// Lets client and server say what they have to say to each other. What the server answers to others is dropped.
    fn turn(&mut self) {
        loop {
            let mut quiet = true;
            loop {
                match self.client.poll_batch(self.now, &mut self.buffer, 1) {
                    Output::Transmit(transmit) => {
                        quiet = false;
                        let mut bytes = transmit.payload.to_vec();
                        let seen = if bytes[0] & 0x80 == 0 { &mut self.short } else { &mut self.long };
                        seen.clear();
                        seen.extend(bytes.iter().take(32));
                        let meta = RecvMeta::single(Path { local: Some(self.addresses[1]), remote: self.addresses[0] });
                        for_party(SERVER, || self.server.handle_datagram(self.now, meta, &mut bytes));
                    }
                    Output::Idle { .. } => break,
                    _ => {}
                }
            }
            loop {
                match for_party(SERVER, || self.server.poll_batch(self.now, &mut self.buffer, 1)) {
                    Output::Transmit(transmit) if transmit.path.remote == self.addresses[0] => {
                        quiet = false;
                        let mut bytes = transmit.payload.to_vec();
                        let meta = RecvMeta::single(Path { local: Some(self.addresses[0]), remote: self.addresses[1] });
                        self.client.handle_datagram(self.now, meta, &mut bytes);
                    }
                    Output::Event(_, Event::Connected) => self.connected = true,
                    Output::Idle { .. } => break,
                    _ => {}
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        while self.now < until {
            self.now += Duration::from_millis(1);
            self.turn();
        }
    }

    /// Throws one datagram at the server.
    fn throw(&mut self, state: &mut u64, bytes: &mut [u8; 1500]) {
        let kind = next(state);
        let len = (kind >> 32) as usize % 1501;
        for chunk in bytes[..len].chunks_mut(8) {
            chunk.copy_from_slice(&next(state).to_le_bytes()[..chunk.len()]);
        }
        match kind % 1024 {
            // A known version, connection ids of lengths that are in their bounds, and no token.
            0..256 => {
                begin(&mut bytes[..len], &self.long, DCID);
                if kind & 256 << 4 != 0 {
                    // The only fragment of its message.
                    bytes[0] &= 0xf0;
                }
                let scid = DCID + self.long.get(DCID - 1).map_or(0, |&len| usize::from(len));
                if let Some(place) = bytes[..len].get_mut(scid) {
                    *place = 8;
                }
                if let Some(no_token) = bytes[..len].get_mut(scid + 9) {
                    *no_token = 0;
                }
            }
            // As a packet of the connection, from anywhere.
            256 => begin(&mut bytes[..len], &self.short, 1 + 8),
            // A short header to nobody.
            257..512 if len > 0 => bytes[0] &= 0x7f,
            _ => {}
        }
        let number = next(state);
        let from = Ipv4Addr::from(number as u32);
        let remote = if kind % 1024 == 256 && number & 1 == 0 {
            self.addresses[0]
        } else {
            SocketAddr::from((from, (number >> 32) as u16))
        };
        let meta = RecvMeta::single(Path { local: Some(self.addresses[1]), remote });
        let (server, now) = (&mut self.server, self.now);
        for_party(SERVER, || server.handle_datagram(now, meta, &mut bytes[..len]));
    }
}

/// Lets the datagram begin like another one.
fn begin(bytes: &mut [u8], like: &[u8], count: usize) {
    for (byte, like) in bytes.iter_mut().zip(like).take(count) {
        *byte = *like;
    }
}

/// Throws so many and prints what became of them.
pub(crate) fn measure(datagrams: usize) -> Result<(), Failure> {
    let mut world = World::new()?;
    world.run(Duration::from_secs(5));
    if !world.connected {
        return Err("the client did not connect".into());
    }
    let before = held(SERVER);
    let stats_before = *world.server.stats();
    let (mut state, mut bytes, mut most) = (1, [0; 1500], before);
    let mut spent = Duration::ZERO;
    let mut thrown = 0;
    while thrown < datagrams {
        let share = TURN.min(datagrams - thrown);
        let start = std::time::Instant::now();
        for _ in 0..share {
            world.now += STEP;
            world.throw(&mut state, &mut bytes);
        }
        spent += start.elapsed();
        thrown += share;
        world.turn();
        most = most.max(held(SERVER));
    }
    world.run(Duration::from_secs(30));
    let growth = held(SERVER) - before;
    println!(
        "{datagrams} random datagrams: {:.0} per second, making them included",
        thrown as f64 / spent.as_secs_f64()
    );
    println!("memory of the server: {before} bytes before, {} more at most, {growth} more afterwards", most - before);
    let stats = world.server.stats();
    for ((reason, count), (_, already)) in stats.drops().zip(stats_before.drops()) {
        if count > already {
            println!("  dropped, {}: {}", DropReason::name(reason), count - already);
        }
    }
    for (name, count) in [
        ("RETRY packets", stats.retries_sent - stats_before.retries_sent),
        ("resets", stats.resets_sent - stats_before.resets_sent),
        ("version negotiations", stats.version_negotiations_sent - stats_before.version_negotiations_sent),
        ("seals opened", stats.seal_openings - stats_before.seal_openings),
    ] {
        println!("  {name}: {count}");
    }
    let alive =
        world.id.and_then(|id| world.client.conn(world.now, id)).is_some_and(|conn| conn.close_reason().is_none());
    println!("connection alive: {alive}, {} connections at the server", world.server.connections());
    print_machine();
    if !alive || world.server.connections() != 1 {
        return Err("the connection was lost".into());
    }
    if growth > GROWTH {
        return Err("memory has grown by more than 1 MiB".into());
    }
    Ok(())
}

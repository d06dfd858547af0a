//! The state machine alone: two endpoints in memory and in virtual time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jsp_proto::config::bounds::Bounds;
use jsp_proto::{ClientConfig, Config, Endpoint, Entropy, Event, Instant, Output, Path, RecvMeta, SecretKey};

use super::counting::{for_party, held, pieces};

const CLIENT: usize = 1;
const SERVER: usize = 2;
/// Handshakes begun per tick of a millisecond of virtual time: below the bounds of the server.
const PER_TICK: usize = 1;
const ONE_WAY: Duration = Duration::from_millis(10);

struct End {
    party: usize,
    address: SocketAddr,
    endpoint: Endpoint,
    arriving: VecDeque<(Instant, Vec<u8>)>,
    connected: usize,
}

impl End {
    fn new(party: usize, config: Config) -> Self {
        let endpoint = for_party(party, || Endpoint::new(Arc::new(config), Entropy::new([party as u8; 32])));
        let address = SocketAddr::from(([10, 0, 0, party as u8], 4433));
        Self { party, address, endpoint, arriving: VecDeque::new(), connected: 0 }
    }

    /// Takes what has arrived and gives what is to be sent.
    fn turn(&mut self, now: Instant, from: SocketAddr, buffer: &mut [u8], out: &mut VecDeque<(Instant, Vec<u8>)>) {
        while self.arriving.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, mut bytes)) = self.arriving.pop_front() else { break };
            let path = Path { local: Some(self.address), remote: from };
            let endpoint = &mut self.endpoint;
            for_party(self.party, || endpoint.handle_datagram(now, RecvMeta::single(path), &mut bytes));
        }
        loop {
            let endpoint = &mut self.endpoint;
            match for_party(self.party, || endpoint.poll_batch(now, buffer, 1)) {
                Output::Transmit(transmit) => out.push_back((now + ONE_WAY, transmit.payload.to_vec())),
                Output::Event(_, Event::Connected) => self.connected += 1,
                Output::Idle { .. } => return,
                _ => {}
            }
        }
    }
}

/// Connects so many and prints what each of them holds once all is quiet.
pub(crate) fn measure(connections: usize) {
    let key = Arc::new(SecretKey::from_seed([9; 32]));
    let trust = ClientConfig::pinned(key.public().clone());
    let quiet = Duration::from_secs(3600);
    // One network of so many clients is what the bounds on networks are for.
    let mut bounds = Bounds::default();
    bounds.connections_per_prefix = u32::MAX;
    bounds.tokenless_per_second = u32::MAX;
    let server = Config::builder().server_key(key).idle_timeout(quiet).bounds(bounds).build().expect("valid");
    let client = Config::builder().idle_timeout(quiet).handshake_timeout(quiet).build().expect("valid");
    let mut ends = [End::new(CLIENT, client), End::new(SERVER, server)];
    let before = [held(CLIENT), held(SERVER)];
    let mut buffer = vec![0; 65_536];
    let (mut now, mut begun) = (Instant::ZERO, 0);
    let addresses = [ends[0].address, ends[1].address];
    let mut quiet_for = Duration::ZERO;
    while ends.iter().any(|end| end.connected < connections) || quiet_for < Duration::from_secs(30) {
        let tick = Duration::from_millis(if begun < connections { 1 } else { 10 });
        now += tick;
        for _ in 0..PER_TICK.min(connections - begun) {
            let path = Path { local: Some(addresses[0]), remote: addresses[1] };
            let endpoint = &mut ends[0].endpoint;
            for_party(CLIENT, || endpoint.connect(now, path, &trust)).expect("a connection attempt");
            begun += 1;
        }
        let [client, server] = &mut ends;
        client.turn(now, addresses[1], &mut buffer, &mut server.arriving);
        server.turn(now, addresses[0], &mut buffer, &mut client.arriving);
        let done = ends.iter().all(|end| end.connected >= connections);
        quiet_for += if done { tick } else { Duration::ZERO };
        assert!(now.as_nanos() < 600_000_000_000, "{} of {connections} are connected", ends[1].connected);
    }
    for (end, before) in ends.iter().zip(before) {
        let each = (held(end.party) - before) as f64 / connections as f64;
        let name = if end.party == CLIENT { "client" } else { "server" };
        println!("state machine, {name}: {each:.0} bytes per connection (target: at most 8192)");
        let of_each = pieces(end.party, connections as i64 / 4).into_iter();
        let of_each = of_each.map(|(size, count)| format!("{size} x {:.1}", count as f64 / connections as f64));
        println!("  pieces of memory: {}", of_each.collect::<Vec<_>>().join(", "));
    }
}

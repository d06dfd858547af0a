//! A blocking loop over mio allocates nothing per tick in steady state: a server and a client on real sockets, in one
//! thread, with messages of every kind and bytes both ways.

#[path = "support/counting.rs"]
mod counting;

use std::time::Duration;

use counting::{allocations, inside, print_places};
use jsp_mio::proto::{Event as On, Recv, RecvMessage, SendError};
use jsp_mio::{
    Budget, ClientConfig, Config, ConnId, Delivery, Endpoint, Event, Loss, MessageOptions, SecretKey, StreamId,
    StreamOptions,
};

/// What the server sends in a tick, and how much more it does while buffers grow to their size.
const SNAPSHOT: usize = 20_000;
const BYTES: usize = 8_000;
const WARM_UP_FACTOR: usize = 3;
const WARM_UP: usize = 600;
const TICKS: usize = 600;

struct Side {
    endpoint: Endpoint,
    connection: Option<ConnId>,
    message: Vec<u8>,
    bytes: Vec<u8>,
    received: [usize; 2],
}

impl Side {
    fn new(config: Config) -> Self {
        let endpoint = Endpoint::bind(([127, 0, 0, 1], 0).into(), config).expect("loopback");
        Self { endpoint, connection: None, message: Vec::new(), bytes: vec![0; 65_536], received: [0; 2] }
    }

    fn turn(&mut self, budget: Budget) {
        let mut turn = self.endpoint.turn(budget);
        while let Some(event) = self.endpoint.next(&mut turn).expect("the socket works") {
            let Event::Connection(id, event) = event else { continue };
            let Some(mut peer) = self.endpoint.conn(id) else { continue };
            match event {
                On::Connected => self.connection = Some(id),
                On::StreamReadable(stream) => {
                    while let Ok(RecvMessage::Message(_)) = peer.recv_message(stream, &mut self.message) {
                        self.received[0] += 1;
                    }
                    while let Ok(Recv::Data(len)) = peer.recv(stream, &mut self.bytes) {
                        self.received[1] += len;
                    }
                }
                On::Closed => panic!("closed: {:?}", peer.close_reason()),
                _ => {}
            }
        }
    }

    fn open(&mut self, options: StreamOptions) -> StreamId {
        let id = self.connection.expect("connected");
        self.endpoint.conn(id).expect("connected").open(options).expect("within the limits")
    }

    fn send(&mut self, stream: StreamId, message: &[u8]) {
        let mut peer = self.endpoint.conn(self.connection.expect("connected")).expect("connected");
        match peer.send_message(stream, message, MessageOptions::new()) {
            Ok(_) | Err(SendError::Blocked) => {}
            Err(error) => panic!("cannot send: {error}"),
        }
    }

    /// Writes what there is room for, and says how much that was.
    fn write(&mut self, stream: StreamId, bytes: &[u8]) -> usize {
        let mut peer = self.endpoint.conn(self.connection.expect("connected")).expect("connected");
        match peer.send(stream, bytes) {
            Ok(written) => written,
            Err(SendError::Blocked) => 0,
            Err(error) => panic!("cannot write: {error}"),
        }
    }
}

/// Plays with so many datagrams of a thousand lost, and allows so many allocations after the warm-up.
fn holds(loss: Option<u16>, allowed: u64) {
    let key = SecretKey::from_seed([1; 32]);
    let trust = ClientConfig::pinned(key.public().clone());
    let mut server = Side::new(Config::builder().server_key(key).build().expect("valid"));
    let mut client = Side::new(Config::default());
    let address = server.endpoint.local_address();
    client.endpoint.connect(address, &trust).expect("can begin");
    while server.connection.is_none() || client.connection.is_none() {
        server.turn(Budget::UNLIMITED);
        client.turn(Budget::UNLIMITED);
    }
    server.endpoint.set_loss(loss.map(|per_mille| Loss::per_mille(per_mille, 1)));
    client.endpoint.set_loss(loss.map(|per_mille| Loss::per_mille(per_mille, 2)));
    let unreliable = StreamOptions::unordered_messages().delivery(Delivery::BestEffort);
    let streams = [server.open(unreliable), server.open(StreamOptions::ordered_messages())];
    let upload = client.open(StreamOptions::bytes());

    let data = vec![7; SNAPSHOT * WARM_UP_FACTOR];
    let mut tick = |factor: usize| {
        server.send(streams[0], &data[..SNAPSHOT * factor]);
        server.send(streams[1], &data[..100 * factor]);
        let mut bytes = &data[..BYTES * factor];
        // After a loss the window may be full for longer than four turns take.
        for turns in 0.. {
            if turns >= 4 && bytes.is_empty() {
                break;
            }
            bytes = &bytes[client.write(upload, bytes)..];
            inside(|| server.turn(Budget::time(Duration::from_millis(1))));
            inside(|| client.turn(Budget::time(Duration::from_millis(1))));
        }
    };
    (0..WARM_UP).for_each(|_| tick(WARM_UP_FACTOR));
    (0..WARM_UP).for_each(|_| tick(1));
    let count = allocations(|| (0..TICKS).for_each(|_| tick(1)));
    if count > allowed {
        print_places();
    }
    assert!(client.received[0] > TICKS && server.received[1] > TICKS * BYTES, "little moved: {:?}", client.received);
    assert!(count <= allowed, "{count} allocations in {TICKS} ticks");
}

#[test]
fn a_tick_allocates_nothing() {
    holds(None, 0);
}

/// On a real clock a stall may be longer than any before, and a buffer grows once more to hold what waits; the
/// simulator shows that nothing else allocates. Some 150 datagrams are lost in that time; that each of them allocates
/// is what must not be.
#[test]
fn a_tick_with_loss_allocates_only_for_the_longest_stall_so_far() {
    holds(Some(10), 50);
}

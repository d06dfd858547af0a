//! What a connection makes of packets that an honest peer would not send.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::{Arrival, Connection, Path, ServerStart};
use crate::Ecn;
use crate::bucket::Bucket;
use crate::config::{Config, bounds};
use crate::crypto::packet::{PacketKeys, Secret};
use crate::crypto::{Prk, Secrets, TAG_LEN};
use crate::entropy::{Drbg, Entropy};
use crate::map::KeyedHash;
use crate::observe::Attention;
use crate::time::Instant;
use crate::wire::cursor::Writer;
use crate::wire::frame::Frame;
use crate::wire::header::{ShortFlags, first_byte};
use crate::wire::{Cid, Params};

const SECOND: Duration = Duration::from_secs(1);

/// A server's connection and the keys of its client.
struct Server {
    connection: Connection,
    keys: PacketKeys,
    pn: u64,
    cid: Cid,
    now: Instant,
}

impl Server {
    fn new() -> Self {
        let now = Instant::ZERO + SECOND;
        let remote: SocketAddr = "192.0.2.1:4433".parse().expect("an address");
        let cid = Cid::new(&[7; 8]).expect("a connection id");
        let start = ServerStart {
            path: Path::to(remote),
            local_cid: cid,
            remote_cid: cid,
            received: (1200, 1),
            token: true,
            secrets: Secrets {
                client: Secret::new([1; 32]),
                server: Secret::new([2; 32]),
                exporter: Prk::new([3; 32]),
            },
            answer: Vec::new(),
            peer_params: Params::default(),
            params: Box::default(),
            protocol: Box::from(*b"jsp"),
            client_key: None,
            authenticates: false,
            attention: Attention::None,
        };
        let mut rng = Drbg::new(&Entropy::new([4; 32]));
        let hash = KeyedHash::new(&mut rng);
        let connection = Connection::server(now, &Arc::new(Config::default()), start, rng, hash);
        Self { connection, keys: PacketKeys::from_secret(&Secret::new([1; 32])), pn: 0, cid, now }
    }

    /// Takes a packet of the client with these frames.
    fn receive(&mut self, frames: &[Frame<'_>]) {
        let mut datagram = vec![0; 200];
        datagram[0] = first_byte(ShortFlags { fec: false, key_phase: false, pn_len: 4 }, false);
        datagram[1..9].copy_from_slice(self.cid.as_slice());
        let mut w = Writer::new(&mut datagram[13..]);
        for frame in frames {
            frame.encode(&mut w).expect("room");
        }
        let len = 13 + w.position() + TAG_LEN;
        datagram.truncate(len);
        self.keys.seal(&mut datagram, 9, 4, self.pn);
        self.pn += 1;
        let mut switches = Bucket::new(self.now, 1, 1);
        let arrival = Arrival {
            cid: self.connection.cids.local.first(),
            path: self.connection.path(),
            ecn: Ecn::NotEct,
            switches: &mut switches,
        };
        self.connection.handle_packet(self.now, arrival, &mut datagram).expect("an authentic packet");
    }

    /// Datagrams that leave now.
    fn transmit(&mut self) -> usize {
        let mut buffer = [0; 1472];
        core::iter::from_fn(|| match self.connection.poll_transmit(self.now, &mut buffer, usize::MAX) {
            super::Sent::Datagrams { .. } => Some(()),
            _ => None,
        })
        .count()
    }
}

/// A flood of packets that carry nothing: at most a hundred per second are answered at once.
#[test]
fn empty_packets_beyond_the_bound_wait_for_their_acknowledgement() {
    let mut server = Server::new();
    server.receive(&[Frame::Ping]);
    server.transmit();
    let most = u64::from(bounds::EMPTY_PACKETS_PER_SECOND);
    let mut answers = 0;
    for _ in 0..900 {
        server.receive(&[Frame::Ping, Frame::Padding { len: 20 }]);
        answers += server.transmit() as u64;
        server.now += Duration::from_millis(1);
        server.connection.on_timeout(server.now);
    }
    assert_eq!(server.connection.stats().empty_packets_over_bound, 901 - most);
    // Every second one, then one per delay of 25 ms.
    assert!((most / 2..=most + 900 / 25 + 1).contains(&answers), "{answers}");
    // Packets that carry something are acknowledged as ever.
    server.receive(&[Frame::Ping, Frame::PathChallenge([5; 8])]);
    assert_eq!(server.connection.stats().empty_packets_over_bound, 901 - most);
    server.transmit();
    server.now += SECOND;
    server.receive(&[Frame::Ping]);
    assert_eq!((server.transmit(), server.connection.stats().empty_packets_over_bound), (1, 901 - most));
}

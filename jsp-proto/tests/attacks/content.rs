//! Attacks on what the endpoint does with content and with time: compression that gives secrets away, datagrams of
//! nothing and of noise, a clock that goes back (specification sections 4.12 and 7).

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use jsp_conformance::sim::apps::{BulkReceiver, BulkSender};
use jsp_conformance::sim::{Link, Rng, Tapped};
use jsp_proto::internals::wire::header::VERSION;
use jsp_proto::{Compression, Config, DropReason, Instant, MessageOptions, Path, RecvMeta, StreamOptions};

use crate::support::scene::{ONE_WAY, Scene};
use crate::support::site::{World, alone, client_address};
use crate::support::{MS, Pair, SECOND, pinned, server_config};

/// Bytes on the wire, and bytes of the compressed message, for `probe` when it follows `secret`.
fn cost_after(secret: &[u8], probe: &[u8], options: StreamOptions) -> (u64, u64) {
    let server = server_config().accept_compressed(true);
    let mut pair = Pair::with(1, Link::with_delay(ONE_WAY), server, Config::builder());
    let (up, _) = pair.establish(&pinned());
    let (client, server) = (pair.client, pair.server);
    let options = options.compression(Compression::Adaptive);
    let stream = pair.sim.conn(client, up).expect("alive").open(options).expect("the first");
    let mut say = |content: &[u8]| {
        let mut conn = pair.sim.conn(client, up).expect("alive");
        if stream.kind().has_messages() {
            conn.send_message(stream, content, MessageOptions::new()).expect("room");
        } else {
            assert_eq!(conn.send(stream, content), Ok(content.len()));
        }
        pair.sim.run_for(SECOND);
        let stats = pair.sim.conn(client, up).expect("alive").stats();
        assert_eq!(stats.packets_lost, 0);
        (pair.sim.link_stats(client, server).sent_bytes, stats.bytes_after_compression)
    };
    let before = say(secret);
    let after = say(probe);
    assert!(after.1 > before.1, "it is compressed");
    (after.0 - before.0, after.1 - before.1)
}

/// CRIME: somebody who can have messages of his own sent learns from their length nothing about those of others.
#[test]
fn crime_probe() {
    let text =
        |cookie: &str| format!("GET /account HTTP/1.1\r\nCookie: session={cookie}\r\n\r\n").repeat(8).into_bytes();
    let guess = text("7f3a9c");
    for options in [StreamOptions::ordered_messages(), StreamOptions::unordered_messages(), StreamOptions::bytes()] {
        let costs: Vec<_> =
            ["7f3a9c", "7f3a9d", "7f0b1e", "1d4e8b"].map(|secret| cost_after(&text(secret), &guess, options)).into();
        assert!(costs.windows(2).all(|pair| pair[0] == pair[1]), "{costs:?}");
        // The length does depend on the message itself: the measure is fine enough to see a difference.
        let other = cost_after(&guess, &format!("{:?}", (0..200).collect::<Vec<_>>()).into_bytes(), options);
        assert_ne!(costs[0], other);
    }
}

/// Datagrams without content, and from the server's own address, in the middle of a transfer (CVE-2026-11352).
#[test]
fn empty_datagram_flood() {
    let mut pair = Pair::new(1, Link::with_delay(ONE_WAY).rate(20_000_000).queue(100_000));
    let (up, _) = pair.establish(&pinned());
    let (client, server) = (pair.client, pair.server);
    let sources = [pair.sim.address(client), pair.sim.address(server), SocketAddr::from(([198, 18, 1, 1], 9))];
    let mut transfer = |flood: u64| {
        let mut sender = BulkSender::new(client, up, 1, 1 << 20);
        let mut receiver = BulkReceiver::new(server, 1, 1 << 20);
        let began = pair.sim.now();
        pair.sim.run(Duration::ZERO, &mut [&mut sender, &mut receiver]);
        let mut sent = 0;
        while !pair.sim.resume(MS, &mut [&mut sender, &mut receiver]) {
            for number in 0..flood {
                let source = sources[(number % 3) as usize];
                let content = if source == sources[1] { vec![0x45; 60] } else { Vec::new() };
                pair.sim.inject(source, server, Duration::ZERO, content);
                sent += 1;
            }
            assert!(pair.sim.now() < began + SECOND * 10);
        }
        pair.sim.run_for(MS);
        let stats = *pair.sim.endpoint(server).stats();
        assert_eq!(stats.dropped(DropReason::Empty), sent);
        pair.sim.now() - began
    };
    let quiet = transfer(0);
    let flooded = transfer(300);
    assert!(flooded <= quiet + MS * 100, "{quiet:?} became {flooded:?}");
    assert_eq!(pair.sim.endpoint(server).connections(), 1);
}

/// A clock that is set back, by a little and by a lot, stops no connection and lets new ones in.
#[test]
fn clock_set_back() {
    for back in [MS, SECOND, SECOND * 3_600] {
        let mut world = World::new(alone(Config::builder()), alone(server_config()));
        world.now = Instant::ZERO + SECOND * 10_000;
        world.connect(0, client_address(1), &pinned());
        world.run(World::quiet);
        world.run_for(SECOND);
        world.now = Instant::ZERO + (SECOND * 10_001).saturating_sub(back);
        world.say();
        world.run(World::quiet);
        world.connect(0, client_address(2), &pinned());
        world.run(|world| world.quiet() && world.dialogs.len() == 2);
        world.say();
        world.run(World::quiet);
        // Timers wait until it is as late as it was; whoever has something to say does not.
        world.now = world.now.max(Instant::ZERO + SECOND * 10_002);
        let count = world.dialogs.len();
        world.close();
        world.run(|world| world.server_closed == count && world.dialogs.values().all(|dialog| dialog.over));
        world.run_for(SECOND * 8);
        for site in [&world.clients, &world.servers] {
            assert!(site.shards[0].is_idle(), "back by {back:?}");
        }
    }
}

/// A million datagrams of noise of all lengths from everywhere, a third of them with a header that leads a step further:
/// each is counted once, none leaves anything behind, and few are answered.
#[test]
fn a_million_random_datagrams() {
    const COUNT: u64 = 1_000_000;
    let mut scene = Scene::new();
    let (id, server, from) = (Rc::new(RefCell::new(Vec::new())), scene.server, scene.client);
    let seen = id.clone();
    scene.sim.tap(move |passing, bytes| {
        if passing.from == from && bytes[0] & 0x80 == 0 {
            *seen.borrow_mut() = bytes[1..9].to_vec();
        }
        Tapped::Pass
    });
    scene.assert_alive();
    scene.sim.untap();
    let id = id.take();
    let memory = |scene: &mut Scene| scene.sim.conn(server, scene.victim).expect("alive").stats().receive_memory;
    let (before, held) = (*scene.sim.endpoint(server).stats(), memory(&mut scene));
    let mut rng = Rng::new(8);
    let mut noise = vec![0; 1 << 20];
    noise.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&rng.array::<8>()));
    let (mut accepted, mut replied, mut dropped) = (0, 0, 0);
    for number in 0..COUNT {
        let (len, at) = (rng.below(1501) as usize, rng.below((1 << 20) - 1600) as usize);
        let mut datagram = noise[at..at + len].to_vec();
        match number % 9 {
            0 if len > 9 => datagram[1..9].copy_from_slice(&id),
            1 if len > 24 => {
                // Behind the version: two ids of 8 bytes with their lengths, no token.
                datagram[0] |= 0xc0;
                datagram[1..5].copy_from_slice(&VERSION.to_be_bytes());
                (datagram[5], datagram[14], datagram[23]) = (8, 8, 0);
            }
            2 if len > 6 => {
                datagram[0] |= 0xc0;
                datagram[1..5].copy_from_slice(&VERSION.to_be_bytes());
            }
            _ => {}
        }
        let [a, b, c, d, e, f] = rng.array();
        // Not where the hosts of the simulation are.
        let source = SocketAddr::from(([a & 0x3f | 0x80, b, c, d], u16::from_be_bytes([e, f]).max(1)));
        let now = scene.sim.now();
        let heard = scene.sim.endpoint(server).handle_datagram(now, RecvMeta::single(Path::to(source)), &mut datagram);
        assert_eq!(heard.accepted + heard.replied + heard.dropped, 1, "{heard:?}");
        (accepted, replied) = (accepted + u64::from(heard.accepted), replied + u64::from(heard.replied));
        dropped += u64::from(heard.dropped);
        if number % 1_000 == 0 {
            scene.sim.run_for(MS * 100);
            let endpoint = scene.sim.endpoint(server);
            assert_eq!((endpoint.connections(), endpoint.pending_clients()), (2, 0));
            // One word each from both who are connected, or they would time out.
            let pn = scene.peer.next_pn;
            scene.send(&[jsp_proto::internals::wire::Frame::Ping]);
            if number % 100_000 == 0 {
                scene.run(MS * 100);
                assert!(scene.peer.is_acked(pn));
                scene.assert_honest_unharmed();
            }
            scene.peer.packets.clear();
        }
    }
    let after = *scene.sim.endpoint(server).stats();
    assert_eq!((accepted, accepted + replied + dropped), (0, COUNT));
    assert_eq!(after.dropped_total() - before.dropped_total(), dropped);
    let answers = after.resets_sent + after.version_negotiations_sent + after.retries_sent + after.key_infos_sent
        - before.resets_sent;
    assert!(replied > 0 && answers <= replied, "{answers} answers, {replied} to be answered");
    // A hundred of either kind in a second, for a hundred seconds.
    assert!(replied <= 2 * 100 * 102, "{replied}");
    assert_eq!(after.handshakes_started, before.handshakes_started);
    assert_eq!(memory(&mut scene), held);
    scene.assert_alive();
}

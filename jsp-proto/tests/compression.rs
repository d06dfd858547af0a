//! Compressed messages over a network, and a peer that sends broken ones.

mod support;

use jsp_conformance::sim::apps::fill_content;
use jsp_conformance::sim::{Host, Link, Sim, seeds};
use jsp_proto::internals::wire::frame::Msg;
use jsp_proto::internals::wire::{Frame, StreamKind};
use jsp_proto::{
    Compression, Config, ConfigBuilder, ConnId, ConnStats, ConnectionError, Event, MessageOptions, RecvError,
    RecvMessage, SendError, Side, StreamId, StreamOptions, TransportError,
};
use support::hostile::Hostile;
use support::{MS, Pair, SECOND, assert_usable, pinned, server_config, server_key};

fn link() -> Link {
    Link::with_delay(MS * 20).rate(20_000_000).queue(100_000)
}

fn accepting() -> ConfigBuilder {
    server_config().accept_compressed(true)
}

/// The `n`-th message: words, noise, or one inside the other, of 1 byte to 64 KiB.
fn message(n: usize) -> Vec<u8> {
    let length = [1, 100, 255, 256, 300, 1_000, 1_180, 1_300, 5_000, 20_000, 65_000, 65_536][n % 12];
    let mut bytes: Vec<u8> = format!("line {n}: nothing new; ").into_bytes().into_iter().cycle().take(length).collect();
    match n % 3 {
        0 => {}
        1 => fill_content(n as u64, 0, &mut bytes),
        _ => fill_content(n as u64, 0, &mut bytes[length / 3..length / 2]),
    }
    bytes
}

/// Sends what `make` makes from client to server; gives what arrived and the sender's numbers.
fn transfer(
    (pair, client, server): (&mut Pair, ConnId, ConnId),
    options: StreamOptions,
    (count, make): (usize, fn(usize) -> Vec<u8>),
) -> (Vec<Vec<u8>>, ConnStats) {
    let (from, to) = (pair.client, pair.server);
    let stream = pair.sim.conn(from, client).expect("open").open(options).expect("the first stream");
    let (mut next, mut arrived, mut buffer) = (0, Vec::new(), Vec::new());
    pair.sim.run_until(SECOND * 600, |sim, _| {
        let mut conn = sim.conn(from, client).expect("open");
        while next < count {
            match conn.send_message(stream, &make(next), MessageOptions::new()) {
                Ok(_) => next += 1,
                Err(error) => {
                    assert_eq!(error, SendError::Blocked);
                    break;
                }
            }
        }
        let mut conn = sim.conn(to, server).expect("open");
        while let Ok(RecvMessage::Message(_)) = conn.recv_message(stream, &mut buffer) {
            arrived.push(buffer.clone());
        }
        arrived.len() == count
    });
    (arrived, pair.sim.conn(from, client).expect("open").stats())
}

#[test]
fn compressed_messages_arrive_whole() {
    seeds("compressed_messages_arrive_whole", 0..10, |seed| {
        for ordered in [true, false] {
            let options = if ordered { StreamOptions::ordered_messages() } else { StreamOptions::unordered_messages() };
            let link = link().loss(0.05).reorder(0.05, MS * 5).duplicate(0.02);
            let mut pair = Pair::with(seed, link, accepting(), Config::builder());
            let (client, server) = pair.establish(&pinned());
            let options = options.compression(Compression::Adaptive);
            let (mut arrived, stats) = transfer((&mut pair, client, server), options, (120, message));
            let mut sent: Vec<_> = (0..120).map(message).collect();
            if !ordered {
                arrived.sort();
                sent.sort();
            }
            assert!(arrived == sent, "{} messages arrived, not all as they were", arrived.len());
            assert!((30..stats.compressions_tried).contains(&stats.messages_compressed), "{stats:?}");
            assert!(stats.bytes_after_compression < stats.bytes_before_compression / 2, "{stats:?}");
        }
    });
}

#[test]
fn nothing_is_compressed_unless_both_sides_say_so() {
    let asked = StreamOptions::ordered_messages().compression(Compression::Adaptive);
    for (server, options) in [(accepting(), StreamOptions::ordered_messages()), (server_config(), asked)] {
        let mut pair = Pair::with(1, link(), server, Config::builder());
        let (client, server) = pair.establish(&pinned());
        let (arrived, stats) = transfer((&mut pair, client, server), options, (24, message));
        assert!(arrived == (0..24).map(message).collect::<Vec<_>>());
        assert_eq!((stats.compressions_tried, stats.messages_compressed, stats.bytes_before_compression), (0, 0, 0));
    }
}

#[test]
fn noise_is_seldom_tried() {
    let noise = |n: usize| {
        let mut bytes = vec![0; 1000];
        fill_content(n as u64, 0, &mut bytes);
        bytes
    };
    let mut pair = Pair::with(1, link(), accepting(), Config::builder());
    let (client, server) = pair.establish(&pinned());
    let options = StreamOptions::ordered_messages().compression(Compression::Adaptive);
    let (arrived, stats) = transfer((&mut pair, client, server), options, (3000, noise));
    assert_eq!(arrived.len(), 3000);
    // The first four, and one after each pause of 2, 4, ... 512 and 1024 messages.
    assert_eq!((stats.compressions_tried, stats.messages_compressed), (14, 0));
}

/// What a hostile client gets for a compressed message with this body, read in this way.
fn close_of(server: ConfigBuilder, body: &[u8], peek: bool) -> Option<TransportError> {
    let mut sim = Sim::new(1);
    let server = sim.add(server.build().expect("valid"));
    let honest = sim.add(Config::default());
    let raw = sim.add_host(Host::raw());
    for node in [honest, raw] {
        sim.link(node, server, Link::with_delay(MS * 10));
    }
    let (other, _) = sim.establish(honest, server, &pinned(), SECOND * 5).expect("an attempt").expect("connected");
    let mut peer = Hostile::connect(&mut sim, raw, server, server_key().public());
    let sid = StreamId::new(0, StreamKind::Unordered, true, Side::Client);
    peer.send(&mut sim, &[Frame::Msg(Msg { sid, offset: 0, bom: true, eom: true, compressed: true, data: body })]);
    let readable = |event| matches!(event, Event::StreamReadable(_) | Event::Closed);
    let event =
        sim.run_until(SECOND, |_, happening| happening.event_at(server).is_some_and(|(_, event)| readable(event)));
    let (victim, _) = event.and_then(|happening| happening.event_at(server)).expect("it arrives");
    let mut conn = sim.conn(server, victim).expect("still known");
    let read =
        if peek { conn.peek_message(sid).map(|_| ()) } else { conn.recv_message(sid, &mut Vec::new()).map(|_| ()) };
    let reason = conn.close_reason().cloned();
    if read == Err(RecvError::Corrupt) {
        assert!(matches!(reason, Some(ConnectionError::Protocol { .. })), "{reason:?}");
        assert_eq!(conn.recv_message(sid, &mut Vec::new()), Err(RecvError::Stopped));
    }
    peer.run(&mut sim, MS * 50);
    assert_usable(&mut sim, honest, server, other);
    peer.closed_with()
}

#[test]
fn a_message_that_does_not_expand_closes() {
    // 5 bytes of 7, as they should be; then wrong in each way, and a bomb of 16 MiB.
    let good: &[u8] = &[5, 0x10, 7, 1, 0, 0];
    let bomb: Vec<u8> = [&[0x81, 0, 0, 0, 0x1f, 7, 1, 0][..], &[0xff; 1000]].concat();
    let bad: [&[u8]; 6] =
        [&[4, 0x10, 7, 1, 0, 0], &[6, 0x10, 7, 1, 0, 0], &good[..4], &[5, 0x10, 7, 1, 0, 0, 9], &[0, 0], &bomb];
    for peek in [false, true] {
        assert_eq!(close_of(accepting(), good, peek), None);
        for body in bad {
            assert_eq!(close_of(accepting(), body, peek), Some(TransportError::COMPRESSION), "{body:?}");
        }
    }
    assert_eq!(close_of(server_config(), good, false), Some(TransportError::PROTOCOL_VIOLATION));
}

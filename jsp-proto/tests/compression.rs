//! Compressed messages and bytes over a network, and a peer that sends broken ones.

mod support;

use jsp_conformance::sim::apps::fill_content;
use jsp_conformance::sim::{Host, Link, Sim, seeds};
use jsp_proto::internals::wire::frame::{Msg, Stream};
use jsp_proto::internals::wire::{Frame, StreamKind};
use jsp_proto::{
    Compression, Config, ConfigBuilder, Conn, ConnId, ConnStats, ConnectionError, Event, MessageOptions, Recv,
    RecvError, RecvMessage, SendError, Side, StreamId, StreamOptions, TransportError,
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

/// Sends `data` from client to server on a stream of bytes with these options, written and read in pieces; gives the
/// sender's numbers.
fn transfer_bytes(
    (pair, client, server): (&mut Pair, ConnId, ConnId),
    options: StreamOptions,
    data: &[u8],
) -> (StreamId, ConnStats) {
    let (from, to) = (pair.client, pair.server);
    let stream = pair.sim.conn(from, client).expect("open").open(options).expect("the first stream");
    let (mut next, mut arrived, mut buffer, mut ended) = (0, Vec::new(), vec![0; 10_000], false);
    pair.sim.run_until(SECOND * 600, |sim, _| {
        let mut conn = sim.conn(from, client).expect("open");
        while next < data.len() {
            match conn.send(stream, &data[next..data.len().min(next + 7000)]) {
                Ok(taken) => next += taken,
                Err(error) => {
                    assert_eq!(error, SendError::Blocked);
                    break;
                }
            }
            if next == data.len() {
                conn.finish(stream).expect("open");
            }
        }
        let mut conn = sim.conn(to, server).expect("open");
        while !ended {
            match conn.recv(stream, &mut buffer) {
                Ok(Recv::Data(length)) => arrived.extend_from_slice(&buffer[..length]),
                Ok(Recv::Finished) => ended = true,
                _ => break,
            }
        }
        ended
    });
    assert!(ended && arrived == data, "{} of {} bytes arrived", arrived.len(), data.len());
    (stream, pair.sim.conn(from, client).expect("open").stats())
}

#[test]
fn compressed_bytes_arrive_whole() {
    let data: Vec<u8> = (0..150).flat_map(message).collect();
    seeds("compressed_bytes_arrive_whole", 0..10, |seed| {
        let link = link().loss(0.05).reorder(0.05, MS * 5).duplicate(0.02);
        let policy = Config::builder().compression(Compression::Adaptive);
        let mut pair = Pair::with(seed, link, accepting(), policy);
        let (client, server) = pair.establish(&pinned());
        let (stream, stats) = transfer_bytes((&mut pair, client, server), StreamOptions::bytes(), &data);
        assert_eq!(stream.kind(), StreamKind::Blocks);
        assert!((30..stats.compressions_tried).contains(&stats.messages_compressed), "{stats:?}");
        assert!(stats.bytes_after_compression < stats.bytes_before_compression / 2, "{stats:?}");
    });
}

#[test]
fn bytes_are_compressed_only_if_both_sides_say_so() {
    let asked = StreamOptions::bytes().compression(Compression::Adaptive);
    let data: Vec<u8> = (0..24).flat_map(message).collect();
    for (server, options) in [(accepting(), StreamOptions::bytes()), (server_config(), asked)] {
        let mut pair = Pair::with(1, link(), server, Config::builder());
        let (client, server) = pair.establish(&pinned());
        let (stream, stats) = transfer_bytes((&mut pair, client, server), options, &data);
        assert_eq!(stream.kind(), StreamKind::Bytes);
        assert_eq!((stats.compressions_tried, stats.messages_compressed), (0, 0));
    }
}

/// What a hostile client gets for these frames on `sid`, read in this way.
fn close_of(server: ConfigBuilder, sid: StreamId, frames: &[Frame<'_>], peek: bool) -> Option<TransportError> {
    let mut sim = Sim::new(1);
    let server = sim.add(server.build().expect("valid"));
    let honest = sim.add(Config::default());
    let raw = sim.add_host(Host::raw());
    for node in [honest, raw] {
        sim.link(node, server, Link::with_delay(MS * 10));
    }
    let (other, _) = sim.establish(honest, server, &pinned(), SECOND * 5).expect("an attempt").expect("connected");
    let mut peer = Hostile::connect(&mut sim, raw, server, server_key().public());
    peer.send(&mut sim, frames);
    let readable = |event| matches!(event, Event::StreamReadable(_) | Event::Closed);
    let event =
        sim.run_until(SECOND, |_, happening| happening.event_at(server).is_some_and(|(_, event)| readable(event)));
    let (victim, _) = event.and_then(|happening| happening.event_at(server)).expect("it arrives");
    let mut conn = sim.conn(server, victim).expect("still known");
    let read = |conn: &mut Conn<'_>| match (sid.kind().has_messages(), peek) {
        (true, true) => conn.peek_message(sid).map(|_| ()),
        (true, false) => conn.recv_message(sid, &mut Vec::new()).map(|_| ()),
        (false, true) => conn.peek(sid).map(|_| ()),
        (false, false) => conn.recv(sid, &mut [0; 9]).map(|_| ()),
    };
    let result = read(&mut conn);
    let reason = conn.close_reason().cloned();
    if result == Err(RecvError::Corrupt) {
        assert!(matches!(reason, Some(ConnectionError::Protocol { .. })), "{reason:?}");
        assert!(matches!(read(&mut conn), Err(RecvError::Stopped | RecvError::UnknownStream)));
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
    let sid = StreamId::new(0, StreamKind::Unordered, true, Side::Client);
    let close_of = |server, data, peek| {
        let message = Msg { sid, offset: 0, bom: true, eom: true, compressed: true, data };
        close_of(server, sid, &[Frame::Msg(message)], peek)
    };
    for peek in [false, true] {
        assert_eq!(close_of(accepting(), good, peek), None);
        for body in bad {
            assert_eq!(close_of(accepting(), body, peek), Some(TransportError::COMPRESSION), "{body:?}");
        }
    }
    assert_eq!(close_of(server_config(), good, false), Some(TransportError::PROTOCOL_VIOLATION));
}

#[test]
fn a_block_that_does_not_expand_closes() {
    // A block of 5 bytes of 7; then wrong lengths, broken LZ4, more than there may be, a bomb, and ends inside a block.
    let good: &[u8] = &[11, 5, 0x10, 7, 1, 0, 0];
    let bomb: Vec<u8> = [&[0x47, 0xd1, 0x80, 1, 0, 0, 0x1f, 7, 1, 0][..], &[0xff; 1000]].concat();
    let late: Vec<u8> = [good, &[11, 6, 0x10, 7, 1, 0, 0]].concat();
    let bad: [(&[u8], bool); 9] = [
        (&[11, 4, 0x10, 7, 1, 0, 0], false),
        (&[11, 6, 0x10, 7, 1, 0, 0], false),
        (&[11, 0, 0x10, 7, 1, 0, 0], false),
        (&[9, 5, 0x10, 7, 2, 0], false),
        (&[0x80, 2, 0, 2, 1, 2, 3], false),
        (&bomb, false),
        (&good[..4], true),
        (&[10, 1, 2], true),
        (&[0x40], true),
    ];
    let sid = StreamId::new(0, StreamKind::Blocks, true, Side::Client);
    let frame = |data, fin| Frame::Stream(Stream { sid, offset: 0, fin, data });
    for peek in [false, true] {
        for fin in [false, true] {
            assert_eq!(close_of(accepting(), sid, &[frame(good, fin)], peek), None);
        }
        for (data, fin) in bad {
            let close = close_of(accepting(), sid, &[frame(data, fin)], peek);
            assert_eq!(close, Some(TransportError::COMPRESSION), "{data:?}");
        }
    }
    assert_eq!(close_of(accepting(), sid, &[frame(&late, false)], false), None, "what is before it is read first");
    assert_eq!(close_of(server_config(), sid, &[frame(good, false)], false), Some(TransportError::STREAM_LIMIT));
}

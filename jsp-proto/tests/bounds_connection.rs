//! The bounds that an authenticated peer can press against: rows 16 to 28, 42 to 44 and 49 to 52 of the table in
//! specification section 7. At each bound the endpoint does what the row says, and an honest connection beside it goes
//! on. Which other tests reach them is listed in `bounds_table/proofs.rs`.

mod support;

use jsp_conformance::peer::{Hello, params};
use jsp_conformance::sim::apps::{BulkReceiver, BulkSender};
use jsp_conformance::sim::{Host, Link, NodeId, Sim};
use jsp_proto::internals::wire::frame::{Close, Msg, Stream};
use jsp_proto::internals::wire::params::{Extras, Params, ParamsContext, Protocols};
use jsp_proto::internals::wire::{Ack, AckRanges, Frame, StreamId, StreamKind};
use jsp_proto::{
    AppCode, ClientConfig, Config, ConnId, ConnectionError, Delivery, DropReason, Event, MessageOptions, Outcome,
    SendError, Side, StreamOptions, TransportError,
};
use support::hostile::Hostile;
use support::scene::{ONE_WAY, Scene};
use support::{MS, SECOND, pinned, server_config, server_key};

fn bytes_stream(index: u64) -> StreamId {
    StreamId::new(index, StreamKind::Bytes, true, Side::Client)
}

fn message_stream(index: u64) -> StreamId {
    StreamId::new(index, StreamKind::Unordered, true, Side::Client)
}

fn data(sid: StreamId, offset: u64, data: &[u8]) -> Frame<'_> {
    Frame::Stream(Stream { sid, offset, fin: false, data })
}

fn ack(range: core::ops::RangeInclusive<u64>) -> Frame<'static> {
    Frame::Ack(Ack { delay: 0, ranges: AckRanges::single(range), ecn: None })
}

#[test]
fn row_16_forged_packets_are_counted_and_after_too_many_dropped_unopened() {
    let mut scene = Scene::new();
    let mut forged = scene.peer.seal(&[1; 40]);
    scene.peer.next_pn -= 1;
    *forged.last_mut().expect("a tag") ^= 1;
    let elsewhere = "198.51.100.9:9".parse().expect("an address");
    for _ in 0..10_100 {
        scene.sim.inject(elsewhere, scene.server, ONE_WAY, forged.clone());
    }
    // Within the second in which it is deaf to others, even a genuine packet from elsewhere is not opened.
    let packet = scene.peer.seal(&[1; 40]);
    scene.sim.inject(elsewhere, scene.server, ONE_WAY, packet);
    scene.run(MS * 100);
    assert_eq!(scene.dropped(DropReason::Aead), 10_101);
    // But its peer is heard all the time.
    scene.assert_alive();
    scene.run(SECOND);
    let packet = scene.peer.seal(&[1; 40]);
    scene.sim.inject(elsewhere, scene.server, ONE_WAY, packet);
    scene.run(MS * 100);
    assert_eq!(scene.dropped(DropReason::Aead), 10_101);
    assert_eq!(scene.sim.conn(scene.server, scene.victim).expect("alive").stats().path_changes, 1);
}

#[test]
fn row_17_old_and_repeated_packets_are_dropped() {
    let mut scene = Scene::new();
    let repeated = scene.peer.seal(&[1]);
    for _ in 0..5 {
        scene.peer.send_raw(&mut scene.sim, std::slice::from_ref(&repeated));
    }
    scene.run(MS * 50);
    assert_eq!(scene.dropped(DropReason::Duplicate), 4);
    let late = scene.peer.seal(&[1]);
    let in_time = scene.peer.seal(&[1]);
    // The window reaches 2048 numbers back from the largest.
    scene.peer.next_pn += 2046;
    scene.send(&[Frame::Ping]);
    scene.peer.send_raw(&mut scene.sim, &[late, in_time]);
    scene.run(MS * 50);
    assert_eq!(scene.dropped(DropReason::TooOld), 1);
    scene.assert_alive();
}

#[test]
fn row_18_acknowledgements_name_the_latest_ranges_only() {
    let mut scene = Scene::new();
    for _ in 0..200 {
        scene.send(&[Frame::Ping]);
        scene.peer.next_pn += 1;
        scene.run(MS);
    }
    scene.run(MS * 100);
    let most = scene.peer.frames().into_iter().map(|frame| match frame {
        Frame::Ack(ack) => ack.ranges.iter().count(),
        _ => 0,
    });
    assert_eq!(most.max(), Some(32));
    scene.assert_alive();
}

#[test]
fn row_19_an_acknowledgement_of_what_was_never_sent_closes() {
    let mut scene = Scene::new();
    scene.send(&[ack(1_000..=1_000)]);
    scene.run(MS * 20);
    scene.assert_closed(TransportError::PROTOCOL_VIOLATION);
    let mut scene = Scene::new();
    scene.send(&[ack(0..=(1 << 62) - 1)]);
    scene.run(MS * 20);
    scene.assert_closed(TransportError::PROTOCOL_VIOLATION);
}

#[test]
fn row_20_an_optimistic_acknowledger_meets_a_number_that_was_left_out() {
    let mut scene = Scene::new();
    let mut next = 0;
    let (server, victim) = (scene.server, scene.victim);
    let stream = {
        let mut conn = scene.sim.conn(server, victim).expect("open");
        conn.open(StreamOptions::bytes().uni()).expect("the first stream")
    };
    for _ in 0..500 {
        let mut conn = scene.sim.conn(server, victim).expect("kept to be read");
        let _ = conn.send(stream, &[7; 10_000]);
        scene.run(MS * 2);
        // It never looks at what comes and claims all numbers below the largest.
        let largest = scene.peer.packets.iter().map(|(pn, _)| *pn).max().unwrap_or(0);
        if largest > next {
            scene.send(&[
                ack(0..=largest),
                Frame::MaxData { limit: 1 << 40 },
                Frame::MaxStreamData { sid: stream, limit: 1 << 40 },
            ]);
            next = largest;
        }
        if scene.peer.closed_with().is_some() {
            break;
        }
    }
    scene.assert_closed(TransportError::PROTOCOL_VIOLATION);
}

/// Such a peer fills the memory of sent packets with ACKs. Then one is due, and cannot be sent.
#[test]
fn row_22_a_peer_that_acknowledges_nothing_does_not_make_the_endpoint_spin() {
    let mut scene = Scene::new();
    let limit = Frame::MaxData { limit: 1 << 20 };
    for _ in 0..59_700 {
        scene.send(&[limit]);
        // Each packet leaves a gap, and is worth an ACK at once.
        scene.peer.next_pn += 1;
        scene.run(MS / 50);
        scene.peer.packets.clear();
    }
    scene.run(MS * 30);
    let packets_sent = |scene: &mut Scene| {
        let conn = scene.sim.conn(scene.server, scene.victim).expect("open");
        conn.stats().packets_sent
    };
    // From here on without gaps or pauses: every second ACK waits for its delay. An endpoint that spins ends the test.
    for _ in 0..200 {
        scene.send(&[limit]);
        scene.run(MS * 10);
        scene.send(&[limit]);
        scene.run(MS * 40);
    }
    let before = packets_sent(&mut scene);
    scene.send(&[limit]);
    scene.run(MS * 100);
    assert_eq!(packets_sent(&mut scene), before, "the bound is reached");
    scene.assert_honest_unharmed();
}

#[test]
fn row_23_memory_of_unread_data_is_bounded_over_all_connections() {
    const MEMORY: u64 = 800 << 10;
    let limits = support::bounds(|bounds| bounds.receive_memory = MEMORY);
    let mut scene = Scene::with(server_config().bounds(limits).receive_window(1 << 20, 300 << 10));
    // An honest client leaves a little unread as well.
    let (client, server, honest) = (scene.client, scene.server, scene.honest);
    let mut conn = scene.sim.conn(client, honest).expect("open");
    let stream = conn.open(StreamOptions::bytes().uni()).expect("the first stream");
    conn.send(stream, &[1; 100_000]).expect("room");
    scene.run(SECOND);
    // The other one fills all the credit it can get, and nobody reads.
    let block = [7; 1100];
    let mut worst = 0;
    'fill: for index in 0..4 {
        for offset in (0..250_000).step_by(1100) {
            scene.send(&[data(bytes_stream(index), offset, &block)]);
            if offset % 22_000 == 0 {
                scene.run(MS);
            }
            let held = scene.sim.conn(server, scene.victim).map_or(0, |conn| conn.stats().receive_memory);
            worst = worst.max(held);
            if scene.peer.closed_with().is_some() {
                break 'fill;
            }
        }
        scene.run(MS * 50);
    }
    assert!(worst > MEMORY / 2 && worst <= MEMORY, "{worst}");
    assert!(matches!(scene.reason(), Some(ConnectionError::Protocol { error: TransportError::EXCESSIVE_LOAD, .. })));
    scene.assert_closed(TransportError::EXCESSIVE_LOAD);
    let left = scene.sim.conn(server, scene.victim).map_or(0, |conn| conn.stats().receive_memory);
    assert_eq!(left, 0, "its memory is given back");
}

#[test]
fn row_23_credit_that_was_held_back_for_want_of_memory_is_granted_when_there_is_some() {
    const LEN: u64 = 1_400_000;
    const WINDOW: u64 = 512 << 10;
    // The hostile connection will hold a MiB: above nine tenths, below all.
    let limits = support::bounds(|bounds| bounds.receive_memory = 1_150_000);
    let mut scene = Scene::with(server_config().bounds(limits).receive_window(1 << 20, WINDOW));
    let (client, server, honest) = (scene.client, scene.server, scene.honest);
    let block = [7; 1100];
    for index in 0..2 {
        for offset in (0..WINDOW - 1100).step_by(1100) {
            scene.send(&[data(bytes_stream(index), offset, &block)]);
            if offset % 22_000 == 0 {
                scene.run(MS);
            }
        }
    }
    scene.run(MS * 50);
    assert_eq!(scene.sim.conn(server, scene.victim).expect("open").stats().receive_memory, 1 << 20);
    // The honest one's program reads at once, and still gets no more than its first window through.
    let mut sender = BulkSender::new(client, honest, 5, LEN);
    let mut receiver = BulkReceiver::new(server, 5, LEN);
    assert!(!scene.sim.run(SECOND * 5, &mut [&mut sender, &mut receiver]));
    assert_eq!(receiver.received(), WINDOW);
    // Then memory becomes free.
    scene.sim.conn(server, scene.victim).expect("open").discard();
    assert!(scene.sim.resume(SECOND * 5, &mut [&mut sender, &mut receiver]), "stuck at {}", receiver.received());
}

#[test]
fn row_24_more_data_than_the_credit_closes() {
    let config = || server_config().receive_window(128 << 10, 64 << 10).max_message_size(1000);
    // One stream's credit, exactly and by one byte more.
    for (offset, fine) in [((64 << 10) - 1, true), (64 << 10, false)] {
        let mut scene = Scene::with(config());
        scene.send(&[data(bytes_stream(0), offset, b"x")]);
        scene.run(MS * 20);
        if fine { scene.assert_alive() } else { scene.assert_closed(TransportError::FLOW_CONTROL) }
    }
    // The connection's, over three streams.
    let mut scene = Scene::with(config());
    for index in 0..2 {
        scene.send(&[data(bytes_stream(index), (64 << 10) - 1, b"x")]);
    }
    scene.run(MS * 20);
    scene.assert_alive();
    scene.send(&[data(bytes_stream(2), 0, b"x")]);
    scene.run(MS * 20);
    scene.assert_closed(TransportError::FLOW_CONTROL);
}

#[test]
fn rows_25_to_27_packets_that_would_open_too_many_gaps_count_as_not_received() {
    let byte = |n: u64| (bytes_stream(0), n * 2);
    for messages in [false, true] {
        let mut scene = Scene::new();
        let frame = |n: u64| {
            let (sid, offset) = byte(n);
            if messages {
                // Each the middle of a message of its own.
                Frame::Msg(Msg {
                    sid: message_stream(0),
                    offset: 2 * n + 1,
                    bom: false,
                    eom: false,
                    compressed: false,
                    data: b"x",
                })
            } else {
                data(sid, offset + 1, b"x")
            }
        };
        let mut refused = None;
        for n in 0..1_000 {
            let pn = scene.peer.next_pn;
            scene.send(&[frame(n)]);
            scene.run(ONE_WAY);
            if refused.is_none() && scene.dropped(DropReason::Refused) > 0 {
                refused = Some((n, pn));
                break;
            }
        }
        let (count, pn) = refused.expect("some are refused");
        assert!((64..=1_000).contains(&count), "{count}");
        scene.run(MS * 100);
        assert!(!scene.peer.is_acked(pn), "it counts as not received");
        assert!(scene.peer.is_acked(pn - 1));
        scene.assert_alive();
        // Doing so on and on ends the connection.
        for n in 0..1_100 {
            scene.send(&[frame(2_000 + n)]);
        }
        scene.run(MS * 100);
        scene.assert_closed(TransportError::BUFFER_EXCEEDED);
    }
}

#[test]
fn row_28_one_stream_too_many_closes() {
    for (index, fine) in [(99, true), (100, false)] {
        let mut scene = Scene::new();
        scene.send(&[data(bytes_stream(index), 0, b"x")]);
        scene.run(MS * 20);
        if fine { scene.assert_alive() } else { scene.assert_closed(TransportError::STREAM_LIMIT) }
    }
}

/// A client, and the hostile server it is connected to.
fn hostile_server() -> (Sim, NodeId, ConnId, Hostile) {
    let mut sim = Sim::new(1);
    // Large datagrams, so that parameters above the bound fit into one.
    let client = sim.add(Config::builder().max_udp_payload(4000).build().expect("valid"));
    let raw = sim.add_host(Host::raw());
    sim.link(client, raw, Link::with_delay(ONE_WAY).mtu(4000));
    let conn = sim.connect(client, raw, &pinned()).expect("an attempt");
    let (peer, answer) = Hostile::accept(&mut sim, raw, &server_key());
    peer.send_raw(&mut sim, &answer);
    (sim, client, conn, peer)
}

#[test]
fn row_42_parameters_out_of_bounds_close_the_connection() {
    let entries = |count: u64| -> Vec<u8> {
        (0..count).flat_map(|n| [0x40 | ((n + 64) >> 8) as u8, (n + 64) as u8, 0]).collect()
    };
    let long = |len: u16| [&[0x40, 0x50][..], &(0x4000 | len).to_be_bytes(), &vec![0; len.into()]].concat();
    let sound = params(&Params::default(), &Extras::default(), ParamsContext::ServerParams);
    for (what, body, fine) in [
        ("none", sound, true),
        ("64 entries", entries(64), true),
        ("65 entries", entries(65), false),
        ("one twice", [entries(1), entries(1)].concat(), false),
        ("2048 bytes", long(2044), true),
        ("2049 bytes", long(2045), false),
        ("cut off", vec![0x01, 0x08], false),
        ("a payload below 1200", vec![0x02, 0x02, 0x44, 0xaf], false),
    ] {
        let (mut sim, client, conn, mut peer) = hostile_server();
        peer.send(&mut sim, &[Frame::Params(&body)]);
        peer.run(&mut sim, MS * 100);
        let conn = sim.conn(client, conn).expect("kept to be asked");
        assert_eq!(conn.is_connected() && !conn.is_closed(), fine, "{what}: {:?}", conn.close_reason());
        assert_eq!(peer.closed_with(), (!fine).then_some(TransportError::PARAMETER), "{what}");
    }
    // Those of a client, sealed in its hello, get no answer at all.
    let mut scene = Scene::new();
    let raw = scene.peer.node;
    let to = scene.sim.address(scene.server);
    for (number, p1) in [entries(65), [entries(1), entries(1)].concat(), vec![0x01, 0x08]].into_iter().enumerate() {
        for datagram in Hello::with_p1(server_key().public(), 100 + number as u64, &p1).datagrams {
            scene.sim.send_raw(raw, to, datagram);
        }
    }
    let sent = scene.sim.endpoint(scene.server).stats().datagrams_sent;
    scene.run(MS * 100);
    assert_eq!(scene.sim.endpoint(scene.server).stats().datagrams_sent, sent);
    assert_eq!(scene.sim.endpoint(scene.server).connections(), 2);
    scene.assert_alive();
}

#[test]
fn a_server_may_only_choose_a_protocol_that_was_offered() {
    for (list, fine) in [(&b"\x03jsp"[..], true), (b"\x05chess", false)] {
        let (mut sim, client, conn, mut peer) = hostile_server();
        let extras = Extras { app_protocols: Protocols::from_encoded(list), ..Extras::default() };
        let body = params(&Params::default(), &extras, ParamsContext::ServerParams);
        peer.send(&mut sim, &[Frame::Params(&body)]);
        peer.run(&mut sim, MS * 100);
        assert_eq!(peer.closed_with(), (!fine).then_some(TransportError::APP_PROTOCOL));
        assert_eq!(sim.conn(client, conn).expect("kept to be asked").is_connected(), fine);
    }
}

#[test]
fn row_42_parameters_count_once() {
    let (mut sim, client, conn, mut peer) = hostile_server();
    let first = params(
        &Params { initial_max_data: 1 << 20, ..Params::default() },
        &Extras::default(),
        ParamsContext::ServerParams,
    );
    peer.send(&mut sim, &[Frame::Params(&first)]);
    // A repetition is a retransmission, whatever it says.
    peer.send(&mut sim, &[Frame::Params(&[0xff; 9])]);
    peer.run(&mut sim, MS * 100);
    let conn = sim.conn(client, conn).expect("open");
    assert!(conn.is_connected() && !conn.is_closed(), "{:?}", conn.close_reason());
}

#[test]
fn row_43_a_long_reason_is_cut() {
    let mut scene = Scene::new();
    // Written by hand: the codec would cut it on the way out.
    let payload = [&[0x08, 0x07, 0x44, 0x00][..], &[b'x'; 1024]].concat();
    assert!(matches!(
        Frame::decode(&mut jsp_proto::internals::wire::Reader::new(&payload)),
        Ok(Frame::Close(Close { error: 7, frame_type: None, .. }))
    ));
    scene.peer.send_bytes(&mut scene.sim, &payload);
    scene.run(MS * 20);
    match scene.reason() {
        Some(ConnectionError::PeerClosed { code, reason }) => {
            assert_eq!((code, reason.len()), (AppCode::new(7), 128));
        }
        other => panic!("{other:?}"),
    }
    scene.assert_honest_unharmed();
}

#[test]
fn row_44_frames_that_say_nothing_close() {
    let sid = bytes_stream(0).as_u64() as u8;
    let messages = message_stream(0).as_u64() as u8;
    for (what, payload) in [
        // Without a length they reach to the end of the packet, which is here.
        ("an empty STREAM", vec![0x10, sid]),
        ("an empty MSG", vec![0x26, messages, 0]),
        ("no frame at all", vec![]),
    ] {
        let mut scene = Scene::new();
        scene.peer.send_bytes(&mut scene.sim, &payload);
        scene.run(MS * 20);
        let told = scene.reason();
        assert!(
            matches!(told, Some(ConnectionError::Protocol { error: TransportError::PROTOCOL_VIOLATION, .. })),
            "{what}: {told:?}"
        );
        scene.assert_closed(TransportError::PROTOCOL_VIOLATION);
    }
}

#[test]
fn row_49_the_send_buffer_blocks_and_tells_when_there_is_room() {
    let client = Config::builder().send_buffer(50_000, 20_000);
    let mut pair = support::Pair::with(1, Link::with_delay(ONE_WAY), server_config(), client);
    // Nothing leaves before the handshake, so the bounds are met exactly.
    let conn = pair.connect(&ClientConfig::pinned(server_key().public().clone()));
    let mut open = pair.sim.conn(pair.client, conn).expect("open");
    let streams: Vec<_> = (0..3).map(|_| open.open(StreamOptions::bytes().uni()).expect("below the floor")).collect();
    assert_eq!(open.send(streams[0], &[0; 100_000]), Ok(20_000));
    assert_eq!(open.send(streams[0], b"x"), Err(SendError::Blocked));
    assert_eq!(open.send(streams[1], &[0; 100_000]), Ok(20_000));
    assert_eq!(open.send(streams[2], &[0; 100_000]), Ok(10_000));
    assert_eq!(open.send(streams[2], b"x"), Err(SendError::Blocked));
    let mut writable = std::collections::BTreeSet::new();
    let client = pair.client;
    pair.sim.run_until(SECOND * 5, |_, happening| {
        if let Some(Event::StreamWritable(sid)) = happening.event_of(client, conn) {
            writable.insert(sid);
        }
        writable.len() == 3
    });
    // The second was told that not everything was taken, so it is told as well.
    assert_eq!(writable.into_iter().collect::<Vec<_>>(), streams);
}

#[test]
fn row_50_the_best_effort_queue_drops_its_oldest() {
    let mut pair = support::Pair::new(1, Link::with_delay(ONE_WAY));
    let conn = pair.connect(&ClientConfig::pinned(server_key().public().clone()));
    let mut open = pair.sim.conn(pair.client, conn).expect("open");
    let stream = open.open(StreamOptions::unordered_messages().uni().delivery(Delivery::BestEffort)).expect("one");
    let first = open.send_message(stream, b"first", MessageOptions::new().tracked()).expect("room");
    for _ in 0..1_023 {
        open.send_message(stream, b"x", MessageOptions::new()).expect("room");
    }
    // The 1025th takes the place of the first.
    open.send_message(stream, b"x", MessageOptions::new()).expect("the oldest gives way");
    let client = pair.client;
    let told = pair
        .sim
        .run_until(MS, |_, happening| matches!(happening.event_of(client, conn), Some(Event::MessageOutcome { .. })));
    let event = told.and_then(|happening| happening.event_of(client, conn));
    assert_eq!(event, Some(Event::MessageOutcome { stream, id: first, outcome: Outcome::Expired }));
}

#[test]
fn row_52_silent_and_closing_connections_are_freed() {
    let mut scene = Scene::with(server_config().idle_timeout(SECOND * 3));
    scene.run(SECOND * 4);
    let reason = scene.reason();
    assert!(matches!(reason, None | Some(ConnectionError::IdleTimeout { .. })), "{reason:?}");
    scene.run(SECOND * 2);
    assert_eq!(scene.sim.endpoint(scene.server).connections(), 0, "the silent ones are gone");

    // A closing connection answers a peer that goes on ever more rarely, and ends after three probe timeouts.
    let mut scene = Scene::new();
    scene.send(&[Frame::HandshakeDone]);
    scene.run(MS * 21);
    let sent = scene.peer.packets.len();
    for _ in 0..100 {
        scene.send(&[Frame::Ping]);
    }
    scene.run(MS * 50);
    let answers = scene.peer.packets.len() - sent;
    assert!((1..=8).contains(&answers), "{answers} answers to a hundred packets");
    // It never acknowledged anything, so the probe timeout is that of a round trip of 200 ms.
    scene.run(SECOND * 3);
    assert_eq!(scene.sim.endpoint(scene.server).connections(), 1);
    scene.send(&[Frame::Ping]);
    // Too short for a stateless reset.
    let unknown = scene.dropped(DropReason::UnknownConnection);
    scene.run(MS * 50);
    assert_eq!(scene.dropped(DropReason::UnknownConnection), unknown + 1);
    scene.assert_honest_unharmed();
}

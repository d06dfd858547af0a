//! The bounds on streams coming and going, and on frames that cost work and move nothing: rows 29 to 32, 45 and 48 of
//! the table in specification section 7, and those on credit before the peer's parameters. At each bound the endpoint
//! does what the row says, and an honest connection beside it goes on.

mod support;

use std::time::Duration;

use jsp_conformance::peer::params;
use jsp_conformance::sim::{Host, Link, Sim};
use jsp_proto::config::bounds as table;
use jsp_proto::internals::wire::frame::{Blocked, ResetStream, Stream};
use jsp_proto::internals::wire::params::{Extras, Params, ParamsContext};
use jsp_proto::internals::wire::{Ack, AckRanges, Frame, StreamId, StreamKind, StreamType};
use jsp_proto::{Config, ConnStats, DropReason, OpenError, Recv, Side, StreamOptions, TransportError};
use support::hostile::Hostile;
use support::scene::{ONE_WAY, Scene};
use support::{MS, SECOND, pinned, server_key};

fn uni(index: u64) -> StreamId {
    StreamId::new(index, StreamKind::Bytes, true, Side::Client)
}

fn both_ways(index: u64) -> StreamId {
    StreamId::new(index, StreamKind::Bytes, false, Side::Client)
}

/// A stream that the peer gives up before it has sent anything of what it promised.
fn reset(sid: StreamId) -> Frame<'static> {
    Frame::ResetStream(ResetStream { sid, code: 7, final_size: 1, reliable_size: 0 })
}

fn ended(sid: StreamId) -> Frame<'static> {
    Frame::Stream(Stream { sid, offset: 0, fin: true, data: b"x" })
}

fn stats(scene: &mut Scene) -> ConnStats {
    scene.sim.conn(scene.server, scene.victim).expect("open").stats()
}

/// How many streams of the type of `uni` the server lets the peer open.
fn limit(peer: &Hostile) -> u64 {
    let ours = StreamType::of(StreamKind::Bytes, true, Side::Client);
    let limits = peer.frames().into_iter().filter_map(|frame| match frame {
        Frame::MaxStreams { ty, limit } if ty == ours => Some(limit),
        _ => None,
    });
    limits.max().unwrap_or(table::STREAMS_PER_TYPE)
}

/// Acknowledges every packet that came since the last time, each by its own number: some are left out.
fn acknowledge(sim: &mut Sim, peer: &mut Hostile, from: &mut usize) {
    let acks: Vec<Frame<'_>> = peer.packets[*from..]
        .iter()
        .map(|(pn, _)| Frame::Ack(Ack { delay: 0, ranges: AckRanges::single(*pn..=*pn), ecn: None }))
        .collect();
    *from = peer.packets.len();
    for some in acks.chunks(50) {
        peer.send(sim, some);
    }
}

/// Opens as many streams as it may, and brings each to its `end`, for so many rounds of 50 ms.
fn churn(scene: &mut Scene, rounds: u32, end: impl Fn(StreamId) -> Frame<'static>) -> u64 {
    let mut opened = 0;
    for _ in 0..rounds {
        let most = limit(&scene.peer);
        let frames: Vec<_> = (opened..most).map(|index| end(uni(index))).collect();
        for some in frames.chunks(100) {
            scene.send(some);
        }
        scene.run(MS * 50);
        for index in opened..most {
            let mut conn = scene.sim.conn(scene.server, scene.victim).expect("open");
            while let Ok(Recv::Data(_)) = conn.recv(uni(index), &mut [0; 10]) {}
        }
        opened = most;
    }
    opened
}

#[test]
fn row_29_places_of_streams_that_the_peer_resets_come_back_at_a_bounded_rate() {
    let mut scene = Scene::new();
    let opened = churn(&mut scene, 40, reset);
    // A hundred from the start, two hundred at once, fifty in each of two seconds and as many more as are granted in
    // one go.
    assert!((300..=450).contains(&opened), "{opened}");
    assert!(stats(&mut scene).stream_places_delayed > 0);
    let delayed = scene.run_and_count(SECOND * 5);
    assert!(delayed >= 40, "places come back when it waits: {delayed}");
    scene.assert_alive();

    // Whoever ends its streams in order has as many as it can use.
    let mut scene = Scene::new();
    let opened = churn(&mut scene, 40, ended);
    assert!(opened > 1000, "{opened}");
    assert_eq!(stats(&mut scene).stream_places_delayed, 0);
    scene.assert_alive();
}

impl Scene {
    /// How far the limit on streams rises in this time.
    fn run_and_count(&mut self, time: Duration) -> u64 {
        let before = limit(&self.peer);
        self.run(time);
        limit(&self.peer) - before
    }
}

/// All streams below the latest of their type are open or over, so that no list of closed ones is needed.
#[test]
fn row_30_streams_that_are_over_cost_no_memory_and_do_not_come_back() {
    let mut scene = Scene::new();
    let opened = churn(&mut scene, 20, ended);
    assert!(opened > 500, "{opened}");
    let held = stats(&mut scene);
    assert_eq!((held.streams_open, held.receive_memory), (0, 0));
    let late: Vec<_> = (0..opened).flat_map(|index| [ended(uni(index)), reset(uni(index))]).collect();
    for some in late.chunks(100).take(6) {
        let pn = scene.peer.next_pn;
        scene.send(some);
        scene.run(MS * 50);
        assert!(scene.peer.is_acked(pn));
    }
    let held = stats(&mut scene);
    assert_eq!((held.streams_open, held.receive_memory), (0, 0));
    // Numbers that it leaves out are opened with the one that follows.
    scene.send(&[ended(uni(opened + 49))]);
    scene.run(MS * 50);
    assert_eq!(stats(&mut scene).streams_open, 50);
    scene.assert_alive();
}

#[test]
fn row_31_frames_that_move_nothing_are_ignored_and_too_many_close() {
    let sid = both_ways(0);
    for (what, frame) in [
        ("STOP_SENDING", Frame::StopSending { sid, code: 0 }),
        ("RESET_STREAM", reset(sid)),
        ("BLOCKED", Frame::Blocked(Blocked::Data { limit: 0 })),
        ("STREAM_PRIORITY", Frame::StreamPriority { sid, priority: 9 }),
    ] {
        let mut scene = Scene::new();
        // The first one of each kind says something.
        scene.send(&[Frame::StreamPriority { sid, priority: 1 }, Frame::StopSending { sid, code: 0 }, reset(sid)]);
        scene.run(SECOND * 3);
        assert_eq!(stats(&mut scene).futile_frames_over_bound, 0, "{what}");
        let send = |scene: &mut Scene, count: usize| {
            let all = vec![frame; count];
            all.chunks(100).for_each(|some| scene.send(some));
            scene.run(ONE_WAY * 2);
        };
        send(&mut scene, 500);
        assert_eq!(stats(&mut scene).futile_frames_over_bound, 100, "{what}");
        scene.assert_alive();
        scene.run(SECOND * 3);
        send(&mut scene, 400);
        assert_eq!(stats(&mut scene).futile_frames_over_bound, 100, "{what}, at a rate that is allowed");
        send(&mut scene, 3_900);
        assert_eq!(scene.reason(), None, "{what}");
        send(&mut scene, 200);
        scene.assert_closed(TransportError::EXCESSIVE_LOAD);
    }
}

#[test]
fn row_31_priorities_beyond_the_rate_change_nothing() {
    let mut scene = Scene::new();
    let sid = both_ways(0);
    let priority = |priority| Frame::StreamPriority { sid, priority };
    let seen = |scene: &mut Scene| scene.sim.conn(scene.server, scene.victim).expect("open").priority(sid);
    scene.send(&[priority(1)]);
    scene.send(&vec![priority(2); 400]);
    scene.send(&[priority(3)]);
    scene.run(ONE_WAY * 2);
    assert_eq!(seen(&mut scene), Some(2));
    scene.run(SECOND);
    scene.send(&[priority(3)]);
    scene.run(ONE_WAY * 2);
    assert_eq!(seen(&mut scene), Some(3));
    scene.assert_alive();
}

#[test]
fn row_32_only_the_latest_value_of_a_control_frame_is_sent() {
    let mut scene = Scene::new();
    let (server, victim) = (scene.server, scene.victim);
    let sid = {
        let mut conn = scene.sim.conn(server, victim).expect("open");
        let sid = conn.open(StreamOptions::bytes()).expect("one");
        for round in 0..1000u32 {
            conn.set_priority(sid, (round % 251) as u8).expect("open");
        }
        sid
    };
    scene.run(MS * 30);
    let told = |scene: &Scene| -> Vec<u8> {
        let frames = scene.peer.frames().into_iter();
        frames
            .filter_map(|frame| if let Frame::StreamPriority { priority, .. } = frame { Some(priority) } else { None })
            .collect()
    };
    assert_eq!(told(&scene), [(999 % 251) as u8]);
    // What is sent in place of a lost one is the latest as well: all are acknowledged but the first.
    let mut first = scene.peer.packets.len();
    scene.sim.conn(server, victim).expect("open").set_priority(sid, 77).expect("open");
    for _ in 0..4 {
        scene.sim.conn(server, victim).expect("open").send(sid, &[7; 10]).expect("room");
        scene.run(MS * 30);
    }
    acknowledge(&mut scene.sim, &mut scene.peer, &mut first);
    scene.run(MS * 100);
    assert_eq!(told(&scene), [(999 % 251) as u8, 77, 77]);
    scene.assert_alive();
}

/// A peer that unblocks a stream byte by byte does not hear each time that it is blocked again.
#[test]
fn blocked_is_said_twenty_times_a_second() {
    let mut scene = Scene::new();
    let (server, victim) = (scene.server, scene.victim);
    let mut conn = scene.sim.conn(server, victim).expect("open");
    let sid = conn.open(StreamOptions::bytes().uni()).expect("one");
    conn.send(sid, &[7; 100_000]).expect("room");
    scene.send(&[Frame::MaxData { limit: 1 << 40 }]);
    let mut acked = 0;
    let said = |scene: &Scene| {
        let frames = scene.peer.frames().into_iter();
        frames.filter(|frame| matches!(frame, Frame::Blocked(Blocked::Stream { .. }))).count()
    };
    for _ in 0..100 {
        scene.run(MS * 30);
        acknowledge(&mut scene.sim, &mut scene.peer, &mut acked);
    }
    assert_eq!(said(&scene), 1, "the first window is used up");
    for limit in 65_537..65_537 + 500 {
        scene.send(&[Frame::MaxStreamData { sid, limit }]);
        scene.run(MS * 2);
        acknowledge(&mut scene.sim, &mut scene.peer, &mut acked);
    }
    scene.run(MS * 50);
    let said = said(&scene);
    // Twenty at once, and twenty more in that second.
    assert!((20..=45).contains(&said), "{said} of 500");
    scene.assert_alive();
}

#[test]
fn row_45_packets_that_carry_nothing_are_counted_and_acknowledged_late() {
    let mut scene = Scene::new();
    scene.run(SECOND);
    let before = scene.peer.packets.len();
    for _ in 0..900 {
        scene.send(&[Frame::Ping, Frame::Padding { len: 20 }]);
        scene.run(MS);
    }
    let over = stats(&mut scene).empty_packets_over_bound;
    let expected = 900 - u64::from(table::EMPTY_PACKETS_PER_SECOND);
    assert!((expected - 11..=expected).contains(&over), "{over}, and ten are under way");
    // Every second one, then one per delay of 25 ms.
    let answers = scene.peer.packets.len() - before;
    assert!((50..=50 + 900 / 25 + 5).contains(&answers), "{answers} answers");
    scene.assert_alive();
}

#[test]
fn row_48_acknowledgements_at_once_are_granted_once_per_eighth_of_a_round_trip() {
    let mut scene = Scene::new();
    acknowledge(&mut scene.sim, &mut scene.peer, &mut 0);
    scene.run(MS * 50);
    let round_trip = stats(&mut scene).rtt;
    assert!(stats(&mut scene).latest_rtt.is_some());
    for _ in 0..400 {
        scene.send(&[Frame::ImmediateAck, Frame::MaxData { limit: 1 }]);
        scene.run(MS);
    }
    scene.run(ONE_WAY);
    let over = stats(&mut scene).ack_requests_over_bound;
    let granted = 400 - over;
    let most = (MS * 400).as_micros() / (round_trip / 8).as_micros() + 1;
    assert!((2..=most as u64).contains(&granted), "{granted} granted in 400 ms, round trip {round_trip:?}");
    scene.assert_alive();
}

#[test]
fn row_35_questions_about_a_path_beyond_the_rate_are_counted() {
    let mut scene = Scene::new();
    let asked = |scene: &mut Scene, count: u8| {
        let frames: Vec<_> = (0..count).map(|number| Frame::PathChallenge([number; 8])).collect();
        scene.send(&frames);
        scene.run(MS * 50);
        stats(scene).path_challenges_over_bound
    };
    let at_once = table::PATH_RESPONSES_PER_SECOND as u8;
    assert_eq!(asked(&mut scene, at_once), 0);
    assert_eq!(asked(&mut scene, 50), 50);
    scene.run(SECOND);
    assert_eq!(asked(&mut scene, at_once + 5), 55);
    let answers = scene.peer.frames().iter().filter(|frame| matches!(frame, Frame::PathResponse(_))).count();
    assert_eq!(answers, 2, "the latest of each time");
    scene.assert_alive();
}

/// What a client may do before it knows the server's parameters.
#[test]
fn before_the_servers_parameters_sending_and_opening_keep_to_the_floor() {
    let mut sim = Sim::new(1);
    let client = sim.add(Config::default());
    let raw = sim.add_host(Host::raw());
    sim.link(client, raw, Link::with_delay(ONE_WAY));
    let conn = sim.connect(client, raw, &pinned()).expect("an attempt");
    let mut open = sim.conn(client, conn).expect("open");
    assert_eq!(open.stats().send_credit, table::FLOOR_MAX_DATA);
    let streams: Vec<_> = (0..table::FLOOR_MAX_STREAMS)
        .map(|_| open.open(StreamOptions::bytes().uni()).expect("below the floor"))
        .collect();
    assert_eq!(open.open(StreamOptions::bytes().uni()), Err(OpenError::Limit));
    open.send(streams[0], &[7; 50_000]).expect("it may wait");
    let (mut peer, answer) = Hostile::accept(&mut sim, raw, &server_key());
    peer.send_raw(&mut sim, &answer);
    let mut acked = 0;
    let received = |peer: &Hostile, sid: StreamId| {
        let frames = peer.frames().into_iter().filter_map(|frame| match frame {
            Frame::Stream(frame) if frame.sid == sid => Some(frame.offset + frame.data.len() as u64),
            _ => None,
        });
        frames.max().unwrap_or(0)
    };
    let mut exchange = |sim: &mut Sim, peer: &mut Hostile| {
        for _ in 0..30 {
            peer.run(sim, MS * 30);
            acknowledge(sim, peer, &mut acked);
        }
    };
    exchange(&mut sim, &mut peer);
    assert_eq!(received(&peer, streams[0]), table::FLOOR_MAX_STREAM_DATA);
    for sid in &streams[1..] {
        sim.conn(client, conn).expect("open").send(*sid, &[7; 50_000]).expect("it may wait");
    }
    exchange(&mut sim, &mut peer);
    let each: Vec<u64> = streams.iter().map(|sid| received(&peer, *sid)).collect();
    assert_eq!(each.iter().sum::<u64>(), table::FLOOR_MAX_DATA, "{each:?}");
    // The parameters raise all three.
    let body = params(&Params::default(), &Extras::default(), ParamsContext::ServerParams);
    peer.send(&mut sim, &[Frame::Params(&body)]);
    exchange(&mut sim, &mut peer);
    let all: u64 = streams.iter().map(|sid| received(&peer, *sid)).sum();
    assert_eq!(all, Params::default().initial_max_data);
    assert!(sim.conn(client, conn).expect("open").open(StreamOptions::bytes().uni()).is_ok());
    assert_eq!(sim.endpoint(client).stats().dropped(DropReason::Aead), 0);
}

//! Attacks with packets: recorded ones, changed ones, and ones at the edges of what a packet may be (specification
//! sections 3.1 to 3.6).

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use jsp_conformance::sim::{Link, NodeId, Sim, Tapped};
use jsp_proto::internals::wire::Frame;
use jsp_proto::internals::wire::header::ShortFlags;
use jsp_proto::{AppCode, Config, DropReason, Event, RetryPolicy, TransportError};

use crate::support::scene::{ONE_WAY, Scene};
use crate::support::{MS, Pair, SECOND, pinned, server_config};
use jsp_conformance::peer::encode;

fn elsewhere() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 1], 9000))
}

/// What passed between two hosts: whether to the server, and the bytes.
type Record = Vec<(bool, Vec<u8>)>;

/// Records what passes between the two hosts until the tap is taken off.
fn record(pair: &mut Pair) -> Rc<RefCell<Record>> {
    let log = Rc::new(RefCell::new(Record::new()));
    let (copies, server) = (log.clone(), pair.server);
    pair.sim.tap(move |passing, bytes| {
        copies.borrow_mut().push((passing.to == server, bytes.clone()));
        Tapped::Pass
    });
    log
}

/// Sends everything again, packet by packet, each side's from `source` or from the other side, and checks that neither
/// program hears of it.
fn replay(sim: &mut Sim, (client, server): (NodeId, NodeId), record: &Record, source: Option<SocketAddr>) {
    for (number, (to_server, datagram)) in (1..).zip(record) {
        let (from, to) = if *to_server { (client, server) } else { (server, client) };
        let source = source.unwrap_or_else(|| sim.address(from));
        sim.inject(source, to, MS * number, datagram.clone());
    }
    sim.run_until(MS * record.len() as u32 + SECOND * 8, |_, happening| {
        for node in [client, server] {
            let told = happening.event_at(node).map(|(_, event)| event);
            // A half-open connection that comes of a replayed hello may end again.
            let nothing = matches!(told, None | Some(Event::EarlyWritable | Event::Closed));
            assert!(nothing, "{node} was told of {told:?}");
        }
        false
    });
}

/// A whole connection, replayed while it lives and after it is over, from the addresses of both sides and from elsewhere.
#[test]
fn a_recorded_connection() {
    for retry in [RetryPolicy::Never, RetryPolicy::Always] {
        let mut pair = Pair::with(1, Link::with_delay(ONE_WAY), server_config().retry(retry), Config::builder());
        let (client, server) = (pair.client, pair.server);
        let log = record(&mut pair);
        let (up, down) = pair.establish(&pinned());
        pair.assert_usable(up);
        pair.sim.run_for(SECOND);
        pair.sim.untap();
        let recorded = log.take();
        assert!(recorded.len() > 10);
        let remote = pair.sim.address(client);
        let started = |pair: &mut Pair| pair.sim.endpoint(server).stats().handshakes_started;
        let before = started(&mut pair);
        for source in [None, Some(elsewhere())] {
            replay(&mut pair.sim, (client, server), &recorded, source);
            assert_eq!(pair.sim.endpoint(server).connections(), 1, "{retry:?} from {source:?}");
            let conn = pair.sim.conn(server, down).expect("alive");
            assert_eq!(conn.path().expect("a path").remote, remote);
            assert_eq!((conn.stats().path_changes, conn.is_closed()), (0, false));
            assert!(pair.sim.endpoint(server).stats().dropped(DropReason::Duplicate) > 0);
            pair.assert_usable(up);
        }
        pair.sim.conn(client, up).expect("alive").close(AppCode::ZERO, b"");
        pair.sim.run_for(SECOND * 10);
        assert_eq!(pair.sim.endpoint(server).connections(), 0);
        for source in [None, Some(elsewhere())] {
            replay(&mut pair.sim, (client, server), &recorded, source);
            assert_eq!(pair.sim.endpoint(server).connections(), 0, "{retry:?} from {source:?}");
        }
        assert_eq!(pair.sim.endpoint(server).stats().connections_confirmed, 1);
        // A replayed hello is work once per place it comes from, if nobody asks for a proof of address.
        assert!(started(&mut pair) - before <= 3, "{} key exchanges", started(&mut pair) - before);
        let (again, _) = pair.establish(&pinned());
        pair.assert_usable(again);
    }
}

/// Packets of four key phases, replayed when the next one is in use.
#[test]
fn packets_replayed_across_phases() {
    let mut pair = Pair::new(1, Link::with_delay(ONE_WAY));
    let (client, server) = (pair.client, pair.server);
    let (up, down) = pair.establish(&pinned());
    pair.sim.run_for(SECOND);
    let log = record(&mut pair);
    for phase in 0..4 {
        assert_eq!(pair.sim.conn(client, up).expect("alive").stats().key_phase, phase);
        pair.assert_usable(up);
        pair.sim.run_for(SECOND * 4);
        pair.sim.conn(client, up).expect("alive").update_keys().expect("it is time");
        pair.assert_usable(up);
        // Nothing is under way any more, and the keys of the phase before are there still.
        pair.sim.run_for(MS * 50);
        let recent = log.borrow().clone();
        for (_, datagram) in recent.iter().filter(|(to_server, _)| *to_server) {
            pair.sim.inject(elsewhere(), server, MS, datagram.clone());
        }
        pair.sim.run_for(MS * 100);
        let conn = pair.sim.conn(server, down).expect("alive");
        assert_eq!((conn.stats().path_changes, conn.is_closed()), (0, false));
    }
    pair.sim.untap();
    let recorded = log.take();
    for source in [None, Some(elsewhere())] {
        replay(&mut pair.sim, (client, server), &recorded, source);
        for (node, conn) in [(client, up), (server, down)] {
            let stats = pair.sim.conn(node, conn).expect("alive").stats();
            assert_eq!((stats.key_phase, stats.path_changes), (4, 0));
        }
        pair.assert_usable(up);
    }
    let stats = *pair.sim.endpoint(server).stats();
    let known = [DropReason::Duplicate, DropReason::KeyPhase, DropReason::Aead, DropReason::TooOld];
    let replayed: u64 = known.map(|reason| stats.dropped(reason)).iter().sum();
    let sent = recorded.iter().filter(|(to_server, _)| *to_server).count() as u64;
    assert!(replayed >= 2 * sent, "{replayed} dropped of {sent}");
}

/// CVE-2016-2181: the numbers of packets that do not open move nothing.
#[test]
fn a_packet_number_far_ahead_with_a_bad_tag() {
    let mut scene = Scene::new();
    let next = scene.peer.next_pn;
    // Some that come late, but in time for the window.
    let late: Vec<_> = (0..20).map(|_| (scene.peer.next_pn, scene.peer.seal(&encode(&[Frame::Ping])))).collect();
    for jump in [100, 2_047, 2_048, 5_000, 1 << 20, (1 << 31) - 100] {
        scene.peer.next_pn = next + jump;
        let mut forged = scene.peer.seal(&encode(&[Frame::Ping]));
        *forged.last_mut().expect("a tag") ^= 1;
        scene.peer.send_raw(&mut scene.sim, &[forged]);
    }
    scene.run(MS * 50);
    assert_eq!(scene.dropped(DropReason::Aead), 6);
    scene.peer.next_pn = next + 20;
    for (_, packet) in &late {
        scene.peer.send_raw(&mut scene.sim, std::slice::from_ref(packet));
    }
    scene.run(MS * 100);
    assert!(late.iter().all(|(pn, _)| scene.peer.is_acked(*pn)), "all of them are taken");
    assert_eq!((scene.dropped(DropReason::TooOld), scene.dropped(DropReason::Duplicate)), (0, 0));
    scene.assert_alive();
}

/// The sample that hides a packet's number lies behind four bytes of number and content: the smallest packets that have
/// one are taken, and nothing that is shorter is looked at.
#[test]
fn packets_around_the_smallest_size() {
    const SMALLEST: usize = 1 + 8 + 4 + 16;
    let mut scene = Scene::new();
    for pn_len in 1..=4 {
        let flags = ShortFlags { fec: false, key_phase: false, pn_len };
        let pn = scene.peer.next_pn;
        let packet = scene.peer.seal_under(&vec![1; (4 - pn_len).max(1)], flags, 0);
        assert_eq!(packet.len(), SMALLEST + usize::from(pn_len == 4));
        let before = scene.sim.endpoint(scene.server).stats().dropped_total();
        for len in 0..packet.len() {
            scene.peer.send_raw(&mut scene.sim, &[packet[..len].to_vec()]);
        }
        scene.run(MS * 100);
        assert!(!scene.peer.is_acked(pn));
        let dropped = scene.sim.endpoint(scene.server).stats().dropped_total() - before;
        assert_eq!(dropped, packet.len() as u64, "each is counted");
        scene.peer.send_raw(&mut scene.sim, &[packet]);
        scene.run(MS * 100);
        assert!(scene.peer.is_acked(pn), "the whole packet is good, with a number of {pn_len} bytes");
    }
    scene.assert_alive();
    // Without any content a packet is as long, and a violation.
    scene.peer.send_bytes(&mut scene.sim, &[]);
    scene.run(MS * 50);
    scene.assert_closed(TransportError::PROTOCOL_VIOLATION);
}

/// A bit that must be zero counts only when the packet is authentic, so that nobody on the path can end a connection.
#[test]
fn a_reserved_bit() {
    const RESERVED: u8 = 0x10;
    let flags = ShortFlags { fec: false, key_phase: false, pn_len: 4 };
    let mut scene = Scene::new();
    // Set on the path: the mask of the header is a sum.
    for bit in [0x10, 0x18, 0x1f] {
        let mut changed = scene.peer.seal(&encode(&[Frame::Ping]));
        changed[0] ^= bit;
        scene.peer.send_raw(&mut scene.sim, &[changed]);
    }
    let mut forged = scene.peer.seal_under(&encode(&[Frame::Ping]), flags, RESERVED);
    *forged.last_mut().expect("a tag") ^= 1;
    scene.peer.send_raw(&mut scene.sim, &[forged]);
    scene.run(MS * 50);
    scene.assert_alive();
    // Set by the peer.
    let packet = scene.peer.seal_under(&encode(&[Frame::Ping]), flags, RESERVED);
    scene.peer.send_raw(&mut scene.sim, &[packet]);
    scene.run(MS * 50);
    scene.assert_closed(TransportError::PROTOCOL_VIOLATION);
}

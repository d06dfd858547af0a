use super::*;
use crate::config::{Fec, Transport};
use crate::wire::Reader;
use crate::wire::frame::Parity;

const MS: u64 = 1_000_000;
const CAPACITY: usize = 1162;
const RTT: u64 = 40;

/// A sender at work: packets get numbers, parity is written at once.
struct Rig {
    sender: Sender,
    now: u64,
    pn: u64,
    loss: f64,
    sources: Vec<SourceRecord>,
    parity: Vec<(ParityRecord, u64, u8, u8)>,
}

fn wish(fec: Fec, again: bool) -> Wish {
    let mut wish = Wish::NONE;
    wish.add(fec, again, u64::MAX);
    wish
}

const FIXED: Fec = Fec::On { sources: 4, parity: 2 };

impl Rig {
    fn new(change: impl FnOnce(&mut Transport)) -> Self {
        let mut transport = Transport { fec_max_overhead: 100, ..Transport::default() };
        change(&mut transport);
        let peer = Capability::of(&Params { fec_max_symbols: 128, ..Params::default() });
        let sender = Sender::new(&transport, peer);
        Self { sender, now: 0, pn: 0, loss: 0.0, sources: Vec::new(), parity: Vec::new() }
    }

    fn conditions(&self) -> Conditions {
        Conditions {
            now: Instant::from_nanos(self.now),
            srtt: Duration::from_millis(RTT),
            loss: Loss { rate: self.loss, variance: 0.0, burst: 1.0 / (1.0 - self.loss) },
            packets: 1000,
            lost: (1000.0 * self.loss) as u64,
        }
    }

    /// Sends a packet of data; whether it is protected.
    fn send(&mut self, len: usize, wish: &Wish) -> bool {
        let pn = self.pn;
        self.pn += 1;
        let payload = alloc::vec![pn as u8; len];
        let record = self.sender.protect(&self.conditions(), pn, &payload, CAPACITY, wish);
        self.sources.extend(record);
        record.is_some()
    }

    /// Sends all parity there is; how many packets.
    fn flush(&mut self) -> usize {
        let before = self.parity.len();
        let mut buffer = [0; 1200];
        loop {
            let mut w = Writer::new(&mut buffer);
            self.sender.drop_useless(&self.conditions(), CAPACITY);
            let Some(record) = self.sender.write(self.pn, &mut w) else { break };
            let frame = Frame::decode(&mut Reader::new(w.written()));
            let Ok(Frame::Parity(Parity { back, index, class, .. })) = frame else { panic!("{frame:?}") };
            self.parity.push((record, self.pn - back, index, class));
            self.pn += 1;
        }
        self.parity.len() - before
    }

    fn lose(&mut self, source: usize) {
        self.sender.on_source_lost(&self.conditions(), self.sources[source]);
    }

    fn released(&mut self) -> Vec<u64> {
        core::iter::from_fn(|| self.sender.next_released()).collect()
    }

    fn wait(&mut self, ms: u64) {
        self.now += ms * MS;
        self.sender.on_timeout(&self.conditions());
    }

    /// Everything but these sources is acknowledged.
    fn acknowledge_except(&mut self, lost: &[usize]) {
        for (index, record) in self.sources.clone().into_iter().enumerate() {
            if !lost.contains(&index) {
                self.sender.on_source_acked(record, false);
            }
        }
    }
}

#[test]
fn a_full_block_is_followed_by_its_parity() {
    let mut rig = Rig::new(|_| ());
    for len in [100, 200, 300] {
        assert!(rig.send(len, &wish(FIXED, true)));
        assert!(!rig.sender.wants_to_send());
    }
    assert!(rig.send(400, &wish(FIXED, true)));
    assert_eq!(rig.flush(), 2);
    let first = rig.parity[0];
    assert_eq!((first.1, first.2), (0, 0));
    assert_eq!(rig.parity[1].2, 1);
}

#[test]
fn a_block_that_is_cut_short_gets_its_share() {
    let mut rig = Rig::new(|_| ());
    rig.send(100, &wish(FIXED, true));
    rig.wait(19);
    assert_eq!(rig.flush(), 0);
    rig.wait(1);
    assert_eq!(rig.flush(), 1);
    // The only packet of a block is repaired by its copy.
    assert_eq!(rig.parity[0].3, 1);
    assert!(rig.sender.deadline().is_none());
}

#[test]
fn auto_keeps_silent_on_a_clean_path_and_follows_the_loss() {
    let mut rig = Rig::new(|_| ());
    let auto = wish(Fec::Auto, false);
    for _ in 0..100 {
        assert!(!rig.send(1000, &auto));
        rig.wait(1);
    }
    assert_eq!(rig.sender.reserve(), 0);
    let mut overheads = Vec::new();
    for loss in [0.01, 0.05, 0.2] {
        rig.loss = loss;
        let (sources, parity) = (rig.sources.len(), rig.parity.len());
        for _ in 0..2000 {
            rig.send(1000, &auto);
            rig.flush();
            rig.wait(1);
        }
        overheads.push((rig.parity.len() - parity) as f64 / (rig.sources.len() - sources) as f64);
    }
    assert!(overheads[0] < overheads[1] && overheads[1] < overheads[2], "{overheads:?}");
    assert!((0.05..=0.15).contains(&overheads[0]) && (0.6..=0.9).contains(&overheads[2]), "{overheads:?}");
    rig.loss = 0.0005;
    rig.send(1000, &auto);
    rig.wait(9_000);
    assert!(rig.send(1000, &auto));
    rig.wait(2_000);
    assert!(!rig.send(1000, &auto));
}

#[test]
fn the_cap_on_overhead_holds() {
    let mut rig = Rig::new(|transport| transport.fec_max_overhead = 30);
    rig.loss = 0.3;
    for _ in 0..2000 {
        rig.send(1000, &wish(Fec::Auto, false));
        rig.flush();
        rig.wait(1);
    }
    assert!(rig.parity.len() * 10 <= rig.sources.len() * 3, "{} {}", rig.parity.len(), rig.sources.len());
    assert!(rig.parity.len() * 10 > rig.sources.len() * 2, "{} {}", rig.parity.len(), rig.sources.len());
}

#[test]
fn a_lost_packet_waits_for_its_repair() {
    let mut rig = Rig::new(|_| ());
    (0..4).for_each(|_| assert!(rig.send(100, &wish(FIXED, true))));
    rig.flush();
    rig.lose(1);
    assert!(rig.released().is_empty());
    rig.sender.on_source_repaired(rig.sources[1]);
    rig.acknowledge_except(&[1]);
    rig.wait(1000);
    assert!(rig.released().is_empty());
    assert_eq!(rig.sender.blocks.len(), 0);
}

#[test]
fn a_repair_that_is_not_reported_is_not_waited_for_long() {
    let mut rig = Rig::new(|_| ());
    (0..4).for_each(|_| assert!(rig.send(100, &wish(FIXED, true))));
    rig.flush();
    rig.lose(1);
    rig.wait(49);
    assert!(rig.released().is_empty());
    rig.wait(1);
    assert_eq!(rig.released(), [1]);
    assert!(rig.sender.deadline().is_none());
    // And less long once it is known what became of all parity.
    (0..4).for_each(|_| assert!(rig.send(100, &wish(FIXED, true))));
    rig.flush();
    rig.lose(5);
    for index in [2, 3] {
        rig.sender.on_parity(&rig.conditions(), rig.parity[index].0, true);
    }
    rig.wait(9);
    assert!(rig.released().is_empty());
    rig.wait(1);
    assert_eq!(rig.released(), [7]);
}

#[test]
fn what_cannot_be_repaired_is_sent_again_at_once() {
    let mut rig = Rig::new(|_| ());
    (0..4).for_each(|_| assert!(rig.send(100, &wish(FIXED, false))));
    rig.flush();
    rig.lose(0);
    rig.lose(1);
    assert!(rig.released().is_empty());
    rig.sender.on_parity(&rig.conditions(), rig.parity[0].0, false);
    assert_eq!(rig.released(), [0, 1]);
}

#[test]
fn one_more_parity_symbol_instead_of_several_packets() {
    let mut rig = Rig::new(|_| ());
    (0..4).for_each(|_| assert!(rig.send(100, &wish(FIXED, true))));
    rig.flush();
    rig.lose(0);
    rig.lose(1);
    rig.lose(3);
    assert!(rig.released().is_empty());
    assert_eq!(rig.flush(), 1);
    assert_eq!((rig.parity[2].2, rig.parity[2].3), (2, 4));
    // That was the last resort.
    rig.sender.on_parity(&rig.conditions(), rig.parity[2].0, false);
    assert_eq!(rig.released(), [0, 1, 3]);
}

#[test]
fn a_loss_closes_its_block() {
    let mut rig = Rig::new(|_| ());
    (0..3).for_each(|_| assert!(rig.send(100, &wish(FIXED, true))));
    rig.lose(0);
    assert_eq!(rig.flush(), 2);
    assert!(rig.released().is_empty());
}

#[test]
fn parity_that_nobody_needs_is_not_sent() {
    let mut rig = Rig::new(|_| ());
    (0..4).for_each(|_| assert!(rig.send(100, &wish(FIXED, true))));
    rig.acknowledge_except(&[]);
    assert_eq!(rig.flush(), 0);
    assert_eq!(rig.sender.blocks.len(), 0);
}

#[test]
fn a_probe_timeout_ends_all_waiting() {
    let mut rig = Rig::new(|_| ());
    (0..8).for_each(|_| assert!(rig.send(100, &wish(FIXED, true))));
    rig.flush();
    rig.lose(0);
    rig.lose(5);
    rig.sender.release_all();
    let mut released = rig.released();
    released.sort_unstable();
    assert_eq!(released, [0, 5]);
    assert_eq!(rig.sender.holding, 0);
}

#[test]
fn a_full_datagram_has_no_room_for_parity_and_the_next_ones_leave_some() {
    let mut rig = Rig::new(|_| ());
    assert!(!rig.send(CAPACITY, &wish(FIXED, true)));
    assert_eq!(rig.sender.reserve(), RESERVE);
    assert!(rig.send(CAPACITY - RESERVE, &wish(FIXED, true)));
    rig.wait(20);
    assert_eq!(rig.flush(), 1);
    (0..DISENGAGE).for_each(|_| rig.sender.pass());
    assert_eq!(rig.sender.reserve(), 0);
}

#[test]
fn a_peer_that_repairs_nothing_gets_nothing() {
    let mut rig = Rig::new(|_| ());
    rig.sender.peer = Capability::of(&Params { fec_max_symbols: 0, ..Params::default() });
    assert!(!rig.send(100, &wish(FIXED, true)));
    rig.sender.peer = Capability::of(&Params { fec_schemes: FEC_XOR, fec_max_symbols: 128, ..Params::default() });
    (0..4).for_each(|_| assert!(rig.send(100, &wish(FIXED, true))));
    assert_eq!(rig.flush(), 1);
    assert_eq!(rig.parity[0].3, 1);
}

#[test]
fn the_span_of_a_block_is_bounded() {
    let mut rig = Rig::new(|_| ());
    rig.send(100, &wish(FIXED, true));
    rig.pn += 127;
    rig.send(100, &wish(FIXED, true));
    assert_eq!(rig.flush(), 1);
    assert_eq!(rig.parity[0].1, 0);
}

#[test]
fn bursts_are_spread_over_several_blocks() {
    let mut rig = Rig::new(|_| ());
    for _ in 0..200 {
        rig.send(1000, &wish(FIXED, false));
        rig.flush();
        rig.wait(1);
    }
    let blocks: usize = rig.parity.len();
    assert!(blocks >= 98, "{blocks}");
    let mut conditions = rig.conditions();
    conditions.loss = Loss { rate: 0.05, variance: 0.0, burst: 3.0 };
    let mut masks = Vec::new();
    for _ in 0..48 {
        let pn = rig.pn;
        rig.pn += 1;
        conditions.now = Instant::from_nanos(rig.now);
        rig.sender.protect(&conditions, pn, &[1; 100], CAPACITY, &wish(FIXED, false));
        let mut buffer = [0; 1200];
        let mut w = Writer::new(&mut buffer);
        while rig.sender.write(rig.pn, &mut w).is_some() {
            rig.pn += 1;
        }
        let mut reader = Reader::new(w.written());
        while !reader.is_empty() {
            let Ok(Frame::Parity(parity)) = Frame::decode(&mut reader) else { panic!("no parity") };
            masks.push(parity.mask);
        }
        rig.now += MS;
    }
    let adjacent = masks.iter().filter(|&&mask| mask & (mask >> 1) != 0).count();
    assert!(masks.len() >= 16 && adjacent * 4 < masks.len(), "{adjacent} of {}", masks.len());
}

#[test]
fn forgotten_blocks_lose_nothing() {
    let mut rig = Rig::new(|_| ());
    let copies = wish(Fec::On { sources: 1, parity: 1 }, true);
    let many = gather::MAX_BLOCKS + 50;
    (0..many).for_each(|_| assert!(rig.send(100, &copies)));
    assert_eq!(rig.sender.blocks.len(), gather::MAX_BLOCKS);
    (0..many).for_each(|index| rig.lose(index));
    rig.flush();
    rig.wait(1000);
    let mut released = rig.released();
    released.sort_unstable();
    let expected: Vec<u64> = rig.sources.iter().map(|record| record.pn).collect();
    assert_eq!(released, expected);
    assert_eq!(rig.sender.holding, 0);
}

#[test]
fn on_a_short_path_reliable_data_is_sent_again_and_not_protected() {
    let mut rig = Rig::new(|_| ());
    rig.loss = 0.1;
    let mut near = rig.conditions();
    near.srtt = Duration::from_millis(2);
    let mut protects = |wish: &Wish| {
        rig.pn += 1;
        rig.sender.protect(&near, rig.pn, &[1; 100], CAPACITY, wish).is_some()
    };
    assert!(!protects(&wish(Fec::Auto, true)));
    assert!(protects(&wish(Fec::Auto, false)));
    assert!(protects(&wish(FIXED, true)));
}

#[test]
fn memory_goes_back_when_nothing_is_protected_for_a_while() {
    let mut rig = Rig::new(|_| ());
    for _ in 0..100 {
        rig.send(1000, &wish(FIXED, true));
        rig.flush();
    }
    rig.acknowledge_except(&[]);
    assert!(!rig.sender.spare_symbols.is_empty());
    assert_eq!(rig.sender.rest_at(), Some(Instant::from_nanos(REST)));
    rig.sender.rest();
    assert_eq!((rig.sender.rest_at(), rig.sender.spare_symbols.len(), rig.sender.spare_sources.len()), (None, 0, 0));
    assert!(rig.send(1000, &wish(FIXED, true)));
}

#[test]
fn rare_bursts_do_not_cost_more_than_they_are_worth() {
    let mut rig = Rig::new(|_| ());
    let mut conditions = rig.conditions();
    conditions.loss = Loss { rate: 0.01, variance: 0.0, burst: 5.0 };
    (conditions.packets, conditions.lost) = (2000, 20);
    let auto = wish(Fec::Auto, false);
    for _ in 0..2000 {
        conditions.now = Instant::from_nanos(rig.now);
        rig.sender.protect(&conditions, rig.pn, &[1; 1000], CAPACITY, &auto);
        rig.pn += 1;
        rig.flush();
        rig.now += MS;
    }
    // A block of 20 would need 16 for its target.
    assert!((380..=500).contains(&rig.parity.len()), "{}", rig.parity.len());
}

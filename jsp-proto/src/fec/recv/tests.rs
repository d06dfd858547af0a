mod props;

use alloc::vec;

use super::*;
use crate::fec::code::{Encoder, Sources, payload_of};

const N: usize = 16;
const SYMBOL: usize = 102;

fn at(ms: u64) -> Instant {
    Instant::from_nanos(1_000_000_000 + ms * 1_000_000)
}

fn payload(pn: u64) -> Vec<u8> {
    vec![pn as u8; 100 - pn as usize % 7]
}

/// A receiver, the window of what has come, and what was counted.
struct Scene {
    receiver: Receiver,
    replay: ReplayWindow,
    stats: FecStats,
    workshop: Workshop,
}

impl Scene {
    fn new() -> Self {
        let receiver = Receiver::new(at(0), N, SYMBOL);
        Self { receiver, replay: ReplayWindow::new(), stats: FecStats::default(), workshop: Workshop::new() }
    }

    /// A protected packet comes.
    fn source_at(&mut self, ms: u64, pn: u64) {
        self.replay.insert(pn);
        self.receiver.on_source(at(ms), pn, &payload(pn), &mut self.stats);
    }

    fn sources(&mut self, pns: impl IntoIterator<Item = u64>) {
        pns.into_iter().for_each(|pn| self.source_at(0, pn));
    }

    fn plain(&mut self, pn: u64) {
        self.replay.insert(pn);
        self.receiver.on_unprotected(pn, &mut self.stats);
    }

    /// The parity `index` of the block of these packets comes, in packet 1000.
    fn parity_at(&mut self, ms: u64, pns: &[u64], class: u8, index: u8) {
        let (first, last) = (pns[0], *pns.last().unwrap());
        let mut block = Sources::new();
        pns.iter().for_each(|&pn| block.push(&payload(pn)));
        let mut symbols = Vec::new();
        let len = Encoder::new().encode(&block, class, &mut symbols).unwrap();
        let symbol = symbols.chunks_exact(len).nth(index.into()).unwrap();
        let mask = pns.iter().fold(0, |mask, pn| mask | 1 << (pn - first));
        let span = (last - first + 1) as u8;
        let parity = Parity { back: 1000 - first, span, mask, index, class, planned: class, symbol };
        self.take(ms, &parity);
    }

    fn take(&mut self, ms: u64, parity: &Parity<'_>) {
        self.receiver.on_parity(at(ms), 1000, parity, &self.replay, &mut self.stats);
    }

    fn parity(&mut self, pns: &[u64], class: u8, index: u8) {
        self.parity_at(0, pns, class, index);
    }

    /// Repairs of class 1, checked and processed.
    fn repaired(&mut self) -> Vec<u64> {
        let mut pns = Vec::new();
        while let Some(repaired) = self.receiver.repair_simple(&mut self.stats) {
            pns.extend(check(&repaired));
            self.receiver.give_back(repaired);
        }
        pns.iter().for_each(|&pn| self.receiver.on_processed(pn));
        pns
    }

    fn decoded(&mut self, ms: u64) -> Vec<u64> {
        let mut pns = Vec::new();
        while self.receiver.wants_decode() {
            if self.receiver.decode(at(ms), &mut self.workshop, &mut self.stats).is_some() {
                pns.extend(check(&self.workshop.repaired));
            }
        }
        pns.iter().for_each(|&pn| self.receiver.on_processed(pn));
        pns
    }

    fn blocks(&self) -> usize {
        self.receiver.blocks.len()
    }
}

fn check(repaired: &Repaired) -> Vec<u64> {
    let check = |(pn, found): (u64, Option<&[u8]>)| {
        assert_eq!(found, Some(payload(pn).as_slice()), "packet {pn}");
        pn
    };
    repaired.iter().map(check).collect()
}

#[test]
fn one_lost_packet_is_repaired_by_the_sum() {
    let mut scene = Scene::new();
    scene.sources([10, 11, 13]);
    scene.parity(&[10, 11, 12, 13], 1, 0);
    assert_eq!(scene.repaired(), [12]);
    assert!(scene.receiver.was_recovered(12) && !scene.receiver.was_recovered(13));
    assert_eq!((scene.blocks(), scene.stats.parity_unused), (0, 0));
    // The same again finds nothing missing.
    scene.parity(&[10, 11, 12, 13], 1, 0);
    assert_eq!((scene.blocks(), scene.stats.parity_unused), (0, 1));
}

#[test]
fn sources_that_come_after_the_parity_count() {
    let mut scene = Scene::new();
    scene.parity(&[10, 11, 12], 1, 0);
    assert!(scene.repaired().is_empty());
    scene.sources([12]);
    assert!(scene.repaired().is_empty());
    scene.sources([10]);
    assert_eq!(scene.repaired(), [11]);
    // Everything comes by itself.
    scene.parity(&[20, 21, 22], 2, 0);
    scene.sources([20, 21, 22]);
    assert_eq!((scene.blocks(), scene.stats.parity_unused, scene.stats.repairs_refused), (0, 1, 0));
}

#[test]
fn a_lone_packet_is_repaired_from_its_parity() {
    let mut scene = Scene::new();
    scene.parity(&[10], 1, 0);
    assert_eq!(scene.repaired(), [10]);
}

#[test]
fn several_lost_packets_are_repaired_by_the_code() {
    let mut scene = Scene::new();
    let block: Vec<u64> = (10..20).collect();
    scene.sources(block.iter().copied().filter(|pn| ![11, 14, 19].contains(pn)));
    for index in [3, 3, 0] {
        scene.parity(&block, 4, index);
        assert!(scene.decoded(0).is_empty());
    }
    assert_eq!(scene.stats.parity_unused, 1, "the same symbol twice");
    scene.parity(&block, 4, 2);
    scene.parity(&block, 4, 1);
    assert!(scene.repaired().is_empty(), "not for nothing");
    assert_eq!(scene.decoded(0), [11, 14, 19]);
    assert_eq!((scene.blocks(), scene.stats.parity_unused), (0, 2), "one more than needed");
}

#[test]
fn interleaved_blocks_are_repaired() {
    let mut scene = Scene::new();
    scene.sources([10, 12, 13, 15]);
    scene.parity(&[10, 12, 14], 1, 0);
    scene.parity(&[11, 13, 15], 1, 0);
    assert_eq!(scene.repaired(), [14, 11]);
}

#[test]
fn a_block_of_which_a_packet_came_unprotected_is_dropped() {
    let mut scene = Scene::new();
    scene.parity(&[10, 11, 12], 1, 0);
    scene.plain(13);
    assert_eq!(scene.blocks(), 1);
    scene.plain(11);
    assert_eq!((scene.blocks(), scene.stats.parity_unused), (0, 1));
    scene.parity(&[10, 11, 12], 1, 0);
    assert_eq!((scene.blocks(), scene.stats.parity_unused), (0, 2));
}

#[test]
fn a_block_with_a_packet_longer_than_its_symbols_is_dropped() {
    let mut scene = Scene::new();
    let short = |scene: &mut Scene| {
        let parity = Parity { back: 990, span: 2, mask: 3, index: 0, class: 1, planned: 1, symbol: &[1; 20] };
        scene.take(0, &parity);
    };
    short(&mut scene);
    assert_eq!(scene.blocks(), 1);
    scene.sources([10]);
    assert_eq!((scene.blocks(), scene.stats.parity_unused), (0, 1));
    short(&mut scene);
    assert_eq!((scene.blocks(), scene.stats.parity_unused), (0, 2));
}

#[test]
fn parity_that_differs_for_the_same_packets_is_dropped() {
    let mut scene = Scene::new();
    scene.sources([10]);
    scene.parity(&[10, 11, 12], 2, 0);
    scene.parity(&[10, 11, 12], 4, 1);
    scene.parity(&[10, 11, 12, 13], 2, 1);
    scene.parity(&[12, 13], 2, 1);
    let parity = Parity { back: 990, span: 3, mask: 7, index: 1, class: 2, planned: 2, symbol: &[0; 2] };
    scene.take(0, &parity);
    assert_eq!((scene.blocks(), scene.stats.parity_unused), (1, 4));
    scene.parity(&[10, 11, 12], 2, 1);
    assert_eq!(scene.decoded(0), [11, 12]);
}

#[test]
fn symbols_longer_than_any_datagram_are_dropped() {
    let mut scene = Scene::new();
    let symbol = [0; SYMBOL + 2];
    let parity = Parity { back: 990, span: 1, mask: 1, index: 0, class: 1, planned: 1, symbol: &symbol };
    scene.take(0, &parity);
    assert_eq!((scene.blocks(), scene.stats.parity_unused), (0, 1));
}

#[test]
fn a_block_is_forgotten_after_a_second() {
    let mut scene = Scene::new();
    scene.parity_at(0, &[10, 11], 1, 0);
    scene.parity_at(500, &[20, 21], 1, 0);
    scene.source_at(999, 10);
    assert_eq!((scene.blocks(), scene.repaired()), (2, vec![11]));
    scene.source_at(1499, 40);
    assert_eq!(scene.blocks(), 1);
    scene.source_at(1500, 20);
    assert_eq!((scene.blocks(), scene.stats.parity_unused, scene.stats.repairs_refused), (0, 1, 0));
    // One that was ready and had to wait is a repair refused.
    scene.parity_at(2000, &[50], 2, 0);
    assert!(scene.receiver.wants_decode());
    assert!(scene.decoded(3000).is_empty());
    assert_eq!((scene.blocks(), scene.stats.repairs_refused), (0, 1));
}

#[test]
fn a_block_is_forgotten_when_many_newer_packets_came() {
    let mut scene = Scene::new();
    scene.parity(&[10, 11], 1, 0);
    scene.sources(100..100 + 2 * N as u64 - 1);
    assert_eq!(scene.blocks(), 1);
    scene.sources([200]);
    assert_eq!((scene.blocks(), scene.stats.parity_unused), (0, 1));
}

#[test]
fn a_block_is_forgotten_with_the_first_of_its_packets() {
    let mut scene = Scene::new();
    scene.sources([10]);
    scene.parity(&[10, 11], 1, 0);
    scene.sources(12..11 + N as u64);
    assert_eq!(scene.blocks(), 1);
    scene.sources([11 + N as u64]);
    assert_eq!(scene.blocks(), 0);
    // Later parity finds the packet gone, and not missing.
    scene.parity(&[10, 11], 1, 0);
    assert_eq!((scene.blocks(), scene.stats.parity_unused), (0, 2));
}

#[test]
fn the_oldest_block_gives_way() {
    let mut scene = Scene::new();
    for block in 0..100 {
        let first = 10 + 3 * block;
        scene.parity(&[first, first + 1], 1, 0);
        assert!(scene.blocks() <= bounds::FEC_BLOCKS);
    }
    assert_eq!(scene.stats.parity_unused, 100 - 8);
    scene.sources([10 + 3 * 92, 10 + 3 * 91]);
    assert_eq!(scene.repaired(), [10 + 3 * 92 + 1]);
}

#[test]
fn parity_symbols_are_bounded() {
    let mut scene = Scene::new();
    let blocks: Vec<Vec<u64>> = (0..3).map(|block| (0..32).map(|place| 100 * block + place).collect()).collect();
    for (block, pns) in blocks.iter().enumerate() {
        for index in 0..N as u8 - 4 {
            scene.parity(pns, 32, index);
            assert!(scene.receiver.symbols() <= N);
        }
        assert_eq!(scene.blocks(), 1, "{block}");
    }
    // One block alone cannot have more either.
    (0..32).for_each(|index| scene.parity(&blocks[2], 32, index));
    assert_eq!((scene.receiver.symbols(), scene.blocks()), (N, 1));
    assert!(scene.receiver.memory() <= 2 * N * (SYMBOL + 64), "{}", scene.receiver.memory());
}

#[test]
fn without_memory_nothing_is_stored() {
    let mut scene = Scene::new();
    scene.sources([10]);
    scene.parity(&[10, 11, 12], 1, 0);
    let memory = scene.receiver.memory();
    scene.receiver.set_stores(false);
    scene.sources([20]);
    scene.parity(&[20, 21], 1, 0);
    assert_eq!((scene.blocks(), scene.receiver.memory()), (1, memory));
    scene.sources([11]);
    assert_eq!((scene.blocks(), scene.repaired()), (0, vec![]), "a source that was not kept ends its block");
    scene.receiver.set_stores(true);
    scene.parity(&[20, 21], 1, 0);
    assert_eq!((scene.blocks(), scene.stats.parity_unused), (0, 3));
}

#[test]
fn memory_is_given_back_two_seconds_after_the_last_packet() {
    let mut scene = Scene::new();
    assert_eq!((scene.receiver.deadline(), scene.receiver.memory()), (None, 0));
    scene.source_at(0, 10);
    scene.parity_at(500, &[10, 11], 1, 0);
    assert_eq!(scene.repaired(), [11]);
    assert_eq!(scene.receiver.deadline(), Some(at(2500)));
    scene.receiver.on_timeout(at(2499), &mut scene.stats);
    assert!(scene.receiver.memory() > 200);
    scene.receiver.on_timeout(at(2500), &mut scene.stats);
    assert_eq!((scene.receiver.deadline(), scene.receiver.memory()), (None, 0));
    assert!(scene.receiver.was_recovered(11), "a late original still finds that it was repaired");
    scene.source_at(9000, 20);
    scene.parity_at(9000, &[20, 21], 1, 0);
    assert_eq!(scene.repaired(), [21]);
}

#[test]
fn in_steady_state_no_memory_is_taken() {
    let mut scene = Scene::new();
    let mut held = None;
    for round in 0..60 {
        let first = 10 + round * 6;
        let block: Vec<u64> = (first..first + 6).collect();
        scene.sources([first, first + 2, first + 5]);
        (0..3).for_each(|index| scene.parity(&block, 4, index));
        assert_eq!(scene.decoded(10 * round), [first + 1, first + 3, first + 4]);
        if round >= 10 {
            assert_eq!(*held.get_or_insert(scene.receiver.memory()), scene.receiver.memory());
        }
    }
}

#[test]
fn garbage_is_told_from_symbols() {
    let mut scene = Scene::new();
    scene.sources([10]);
    let parity = Parity { back: 990, span: 2, mask: 3, index: 0, class: 1, planned: 1, symbol: &[0xff; SYMBOL] };
    scene.take(0, &parity);
    let repaired = scene.receiver.repair_simple(&mut scene.stats).unwrap();
    assert_eq!(repaired.iter().collect::<Vec<_>>(), [(11, None)]);
    assert_eq!(payload_of(&[0xff; SYMBOL]), None);
}

#[test]
fn decodes_are_bounded_and_sums_are_not() {
    let mut scene = Scene::new();
    for block in 0..30 {
        scene.parity(&[10 + block], 2, 0);
        scene.parity(&[100 + block], 1, 0);
        assert_eq!(scene.repaired(), [100 + block]);
        let expected = if block < 20 { vec![10 + block] } else { vec![] };
        assert_eq!(scene.decoded(0), expected);
    }
    assert_eq!((scene.stats.repairs_refused, scene.stats.parity_unused, scene.blocks()), (10, 10, 0));
    scene.parity_at(5, &[90], 2, 1);
    assert_eq!(scene.decoded(5), [90]);
}

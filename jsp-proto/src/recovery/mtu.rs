//! The search for the largest datagram that a path carries (RFC 8899, specification section 6.4).
//!
//! Starts from a size that is known to get through, and tries larger ones, one at a time: a probe that is acknowledged
//! raises the size, and three lost in a row end the search. Sizes that got through once may cease to: then datagrams
//! fall back to the first size. Owns no timer that wakes anybody: what is due happens with the next traffic.

use crate::time::Instant;

/// Sizes that networks are made for, in bytes of UDP payload: the least that IPv6 carries, tunnels, Ethernet, and jumbo
/// frames. The limit of the connection is tried, too.
const CANDIDATES: usize = 5;
const IPV4: [u16; CANDIDATES] = [1280, 1400, 1472, 4000, 8972];
const IPV6: [u16; CANDIDATES] = [1280, 1400, 1452, 4000, 8952];
/// Losses in a row of one size that end the search.
const LOSSES: u8 = 3;
/// Rounds in which everything large was lost, and probe timeouts in a row, after which datagrams become small again.
const BLACK_HOLE: u8 = 3;
const TIMEOUTS: u32 = 3;
/// How long the result of a search is believed.
const RAISE: u64 = 600_000_000_000;
/// How long after datagrams became small again they are believed to have to be.
const COOL_DOWN: u64 = 60_000_000_000;
/// A packet counts as full if so many bytes are missing: error correction leaves some free.
const NEARLY: u16 = 64;
/// Sizes are told apart by the candidates below them.
const CLASSES: usize = CANDIDATES + 2;

/// What became of larger packets lately: whether they get through, where smaller ones do.
#[derive(Clone, Copy, Debug, Default)]
struct Evidence {
    /// The highest number of an acknowledged packet of each class or above, and one more.
    acked: [u64; CLASSES],
    /// Rounds that lost a packet to which no later one of its size has been acknowledged.
    rounds: u8,
    /// The lowest class of these packets.
    class: usize,
    /// When the last of these rounds was noticed; packets sent before belong to it.
    noticed: Option<Instant>,
}

/// The search on one path, and its result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mtu {
    base: u16,
    /// What both sides and the program's buffers allow.
    limit: u16,
    candidates: [u16; CANDIDATES],
    size: u16,
    /// The smallest size that is believed not to get through.
    ceiling: u16,
    /// The number and size of the probe that is under way.
    probe: Option<(u64, u16)>,
    losses: u8,
    /// When to believe in larger sizes again.
    again: Option<Instant>,
    /// There is traffic that larger datagrams would serve.
    wanted: bool,
    paused: bool,
    /// What was sent before says nothing about this path.
    from: u64,
    evidence: Evidence,
    holes: u64,
    sent: u64,
}

impl Mtu {
    /// Datagrams of `base` bytes, and no search before [`search`](Self::search).
    pub(crate) fn new(base: u16) -> Self {
        Self {
            base,
            limit: base,
            candidates: IPV4,
            size: base,
            ceiling: u16::MAX,
            probe: None,
            losses: 0,
            again: None,
            wanted: false,
            paused: false,
            from: 0,
            evidence: Evidence::default(),
            holes: 0,
            sent: 0,
        }
    }

    /// Sets the first size and the largest.
    pub(crate) fn search(&mut self, base: u16, limit: u16, is_ipv6: bool) {
        self.base = base;
        self.limit = limit.max(base);
        self.candidates = if is_ipv6 { IPV6 } else { IPV4 };
        self.size = self.size.clamp(base, self.limit);
    }

    /// The size of datagrams.
    pub(crate) fn size(&self) -> u16 {
        self.size
    }

    /// Probes sent.
    pub(crate) fn probes(&self) -> u64 {
        self.sent
    }

    /// How often datagrams became small again because larger ones did not get through.
    pub(crate) fn black_holes(&self) -> u64 {
        self.holes
    }

    /// Whether to leave the search for later.
    pub(crate) fn pause(&mut self, pause: bool) {
        self.paused = pause;
    }

    /// The program has no buffers for more than `bytes`.
    pub(crate) fn cap(&mut self, bytes: u16) {
        self.limit = self.limit.min(bytes).max(self.base);
    }

    /// Another path, on which packets from number `from` on are sent: everything begins anew.
    pub(crate) fn reset(&mut self, from: u64, is_ipv6: bool) {
        let Self { base, limit, paused, holes, sent, .. } = *self;
        *self = Self { paused, holes, sent, from, ..Self::new(base) };
        self.search(base, limit, is_ipv6);
    }

    /// The size to try now, if there is one and traffic that wants it.
    pub(crate) fn next_probe(&mut self, now: Instant) -> Option<u16> {
        if !self.wanted || self.paused || self.probe.is_some() || self.size >= self.limit {
            return None;
        }
        if self.again.is_some_and(|at| now >= at) {
            self.again = None;
            self.ceiling = u16::MAX;
        }
        let sizes = self.candidates.into_iter().chain([self.limit]);
        sizes.filter(|&size| size > self.size && size <= self.limit && size < self.ceiling).min()
    }

    /// A packet leaves. `is_probe`: it is the one that [`next_probe`](Self::next_probe) asked for.
    pub(super) fn on_sent(&mut self, pn: u64, size: u16, is_probe: bool) {
        if is_probe {
            self.probe = Some((pn, size));
            self.wanted = false;
            self.sent += 1;
        } else if size.saturating_add(NEARLY) >= self.size {
            self.wanted = true;
        }
    }

    /// A probe was acknowledged, or, `late`, one that was called lost.
    pub(super) fn on_probe_acked(&mut self, pn: u64, size: u16) {
        if self.probe.is_some_and(|(probe, _)| probe == pn) {
            self.probe = None;
        }
        if pn >= self.from && size > self.size && size <= self.limit {
            self.size = size;
            self.losses = 0;
            if self.ceiling <= size {
                (self.ceiling, self.again) = (u16::MAX, None);
            }
        }
    }

    pub(super) fn on_probe_lost(&mut self, now: Instant, pn: u64) {
        let Some((_, size)) = self.probe.filter(|(probe, _)| *probe == pn) else { return };
        self.probe = None;
        self.losses += 1;
        if self.losses >= LOSSES {
            self.losses = 0;
            self.ceiling = size;
            self.again = Some(now.plus_nanos(RAISE));
        }
    }

    /// Whether what becomes of a packet of this size says something about black holes.
    fn matters(&self, pn: u64, size: u16) -> bool {
        size > self.base && self.size > self.base && pn >= self.from
    }

    fn class(&self, size: u16) -> usize {
        self.candidates.iter().filter(|&&candidate| candidate < size).count() + 1
    }

    /// A packet that is no probe was acknowledged.
    pub(super) fn on_acked(&mut self, pn: u64, size: u16) {
        if !self.matters(pn, size) {
            return;
        }
        let class = self.class(size);
        let evidence = &mut self.evidence;
        evidence.acked.iter_mut().take(class + 1).for_each(|acked| *acked = (*acked).max(pn + 1));
        if class >= evidence.class {
            evidence.rounds = 0;
        }
    }

    /// A packet that is no probe and was sent at `sent_at` was lost.
    pub(super) fn on_lost(&mut self, now: Instant, pn: u64, size: u16, sent_at: Instant) {
        let class = self.class(size);
        let evidence = &mut self.evidence;
        let proved = evidence.acked.get(class).is_some_and(|&acked| acked > pn);
        let counted = evidence.rounds > 0 && evidence.noticed.is_some_and(|at| sent_at <= at);
        if proved || counted || !self.matters(pn, size) {
            return;
        }
        let evidence = &mut self.evidence;
        evidence.class = if evidence.rounds == 0 { class } else { evidence.class.min(class) };
        evidence.rounds += 1;
        evidence.noticed = Some(now);
        if evidence.rounds >= BLACK_HOLE {
            self.fall_back(now);
        }
    }

    /// The probe timeout has passed, for the `in_row`th time without an answer.
    pub(super) fn on_probe_timeout(&mut self, now: Instant, in_row: u32) {
        if in_row >= TIMEOUTS && self.size > self.base {
            self.fall_back(now);
        }
    }

    fn fall_back(&mut self, now: Instant) {
        self.size = self.base;
        self.holes += 1;
        self.losses = 0;
        self.ceiling = self.base;
        self.again = Some(now.plus_nanos(COOL_DOWN));
        self.probe = None;
        self.evidence = Evidence { acked: self.evidence.acked, ..Evidence::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * SECOND)
    }

    fn searching(limit: u16) -> Mtu {
        let mut mtu = Mtu::new(1200);
        mtu.search(1200, limit, false);
        mtu
    }

    /// Sends full packets and probes over a path that carries `carries` bytes until no probe is wanted. Gives the sizes
    /// that were tried.
    fn run(mtu: &mut Mtu, now: Instant, pn: &mut u64, carries: u16) -> Vec<u16> {
        let mut tried = Vec::new();
        loop {
            mtu.on_sent(*pn, mtu.size(), false);
            let Some(size) = mtu.next_probe(now) else { return tried };
            assert_eq!(mtu.next_probe(now), Some(size));
            mtu.on_sent(*pn + 1, size, true);
            assert_eq!(mtu.next_probe(now), None, "one at a time");
            tried.push(size);
            if size <= carries {
                mtu.on_probe_acked(*pn + 1, size)
            } else {
                mtu.on_probe_lost(now, *pn + 1)
            }
            *pn += 2;
        }
    }

    #[test]
    fn the_search_climbs_to_what_the_path_carries() {
        let mut pn = 0;
        let mut mtu = searching(8972);
        assert_eq!(mtu.next_probe(at(0)), None, "without traffic there is no probe");
        assert_eq!(run(&mut mtu, at(0), &mut pn, 1472), [1280, 1400, 1472, 4000, 4000, 4000]);
        assert_eq!(mtu.size(), 1472);
        assert_eq!(run(&mut mtu, at(599), &mut pn, 9000), [0; 0]);
        assert_eq!(run(&mut mtu, at(600), &mut pn, 9000), [4000, 8972], "the path may have changed");
        assert_eq!((mtu.size(), mtu.probes()), (8972, 8));
        for (limit, result) in [(1200, 1200), (1250, 1250), (1460, 1460), (65_000, 65_000)] {
            let mut mtu = searching(limit);
            assert_eq!(run(&mut mtu, at(0), &mut pn, u16::MAX).last().copied().unwrap_or(1200), result);
        }
    }

    #[test]
    fn small_packets_ask_for_nothing() {
        let mut mtu = searching(8972);
        mtu.on_sent(0, 1135, false);
        assert_eq!(mtu.next_probe(at(0)), None);
        mtu.on_sent(1, 1136, false);
        assert_eq!(mtu.next_probe(at(0)), Some(1280));
        mtu.pause(true);
        assert_eq!(mtu.next_probe(at(0)), None);
    }

    #[test]
    fn a_probe_that_comes_late_or_from_another_path() {
        let mut mtu = searching(8972);
        let mut pn = 0;
        run(&mut mtu, at(0), &mut pn, 1400);
        assert_eq!(mtu.size(), 1400);
        mtu.on_probe_acked(pn - 1, 1472);
        assert_eq!(mtu.size(), 1472, "it was not lost after all");
        assert_eq!(run(&mut mtu, at(0), &mut pn, 1472), [4000; 3]);
        mtu.on_sent(pn, 1472, false);
        mtu.reset(pn + 1, true);
        mtu.on_probe_acked(pn, 4000);
        assert_eq!((mtu.size(), mtu.next_probe(at(0))), (1200, None));
        pn += 1;
        assert_eq!(run(&mut mtu, at(0), &mut pn, 1452), [1280, 1400, 1452, 4000, 4000, 4000]);
        mtu.reset(pn, false);
        mtu.cap(1400);
        assert_eq!(run(&mut mtu, at(0), &mut pn, 9000), [1280, 1400], "no buffer for more");
    }

    /// Three rounds of losses without a large packet that gets through, not three losses.
    #[test]
    fn a_black_hole_is_noticed_in_three_rounds() {
        let mut mtu = searching(1472);
        let mut pn = 0;
        run(&mut mtu, at(0), &mut pn, 9000);
        (pn..pn + 50).for_each(|pn| mtu.on_lost(at(1), pn, 1472, at(0)));
        assert_eq!((mtu.size(), mtu.black_holes()), (1472, 0), "one round");
        mtu.on_lost(at(3), pn + 50, 1472, at(2));
        mtu.on_acked(pn + 51, 1390);
        mtu.on_lost(at(5), pn + 20, 1472, at(1));
        assert_eq!(mtu.size(), 1472, "sent before the last round was noticed");
        let mut other = mtu;
        other.on_acked(pn + 53, 1440);
        other.on_lost(at(6), pn + 52, 1472, at(4));
        assert_eq!(other.size(), 1472, "a later one has arrived");
        mtu.on_lost(at(6), pn + 52, 1472, at(4));
        assert_eq!((mtu.size(), mtu.black_holes()), (1200, 1));
        pn += 100;
        assert_eq!(run(&mut mtu, at(65), &mut pn, 1280), [0; 0]);
        assert_eq!(run(&mut mtu, at(66), &mut pn, 1280), [1280, 1400, 1400, 1400]);
        mtu.on_probe_timeout(at(67), 2);
        assert_eq!(mtu.size(), 1280);
        mtu.on_probe_timeout(at(67), 3);
        assert_eq!((mtu.size(), mtu.black_holes()), (1200, 2));
        mtu.on_probe_timeout(at(67), 4);
        assert_eq!(mtu.black_holes(), 2);
    }

    proptest! {
        /// Whatever path, limit and luck: sizes only grow, never beyond either, and the search ends.
        #[test]
        fn the_search_is_monotone_bounded_and_ends(
            limit in 1200u16..=u16::MAX, carries in 1200u16..=u16::MAX, ipv6: bool, luck: [bool; 32],
        ) {
            let mut mtu = Mtu::new(1200);
            mtu.search(1200, limit, ipv6);
            let mut probes = 0;
            for (pn, lucky) in luck.into_iter().cycle().enumerate().take(64) {
                let pn = 2 * pn as u64;
                let before = mtu.size();
                mtu.on_sent(pn, before, false);
                let Some(size) = mtu.next_probe(at(0)) else { break };
                prop_assert!(size > before && size <= limit);
                probes += 1;
                mtu.on_sent(pn + 1, size, true);
                let arrives = size <= carries && lucky;
                if arrives { mtu.on_probe_acked(pn + 1, size) } else { mtu.on_probe_lost(at(0), pn + 1) }
                prop_assert!(mtu.size() >= before && mtu.size() <= limit.min(carries));
            }
            prop_assert!(probes <= 3 * (CANDIDATES + 1));
            prop_assert_eq!(mtu.next_probe(at(0)), None);
        }
    }
}

//! One rate with one queue in front of it that several links share.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use jsp_proto::{Ecn, Instant};

use super::NodeId;
use super::codel::Codel;
use super::rng::Rng;

const NANOS: u128 = 1_000_000_000;
/// How often a wireless link tries to send a datagram.
const ATTEMPTS: u32 = 7;

/// A queue and the rate at which it empties, for all links that lead [through it](super::Link::via).
///
/// [`Sim::bottleneck`](super::Sim::bottleneck) puts it into a simulation. Sizes are UDP payload bytes. The datagram
/// that is being sent does not count as waiting any more.
#[derive(Clone, Debug)]
pub struct Bottleneck {
    rate: u64,
    limit: Option<u64>,
    codel: bool,
    ecn: bool,
    mark_above: Option<u64>,
    wireless: Option<(f64, Duration)>,
}

impl Bottleneck {
    /// A bottleneck of this rate with an unlimited queue. At rate zero everything waits until the rate
    /// [changes](super::Sim::change_bottleneck).
    pub fn new(bits_per_second: u64) -> Self {
        Self { rate: bits_per_second, limit: None, codel: false, ecn: false, mark_above: None, wireless: None }
    }

    /// Bytes that may wait; what does not fit is dropped. An empty queue takes any datagram.
    #[must_use]
    pub fn drop_tail(mut self, bytes: u64) -> Self {
        self.limit = Some(bytes);
        self
    }

    /// Drops by CoDel (RFC 8289) with a target of 5 ms and an interval of 100 ms.
    #[must_use]
    pub fn codel(mut self) -> Self {
        self.codel = true;
        self
    }

    /// Lets [`codel`](Self::codel) mark ECN-capable datagrams instead of dropping them.
    #[must_use]
    pub fn ecn(mut self) -> Self {
        self.ecn = true;
        self
    }

    /// Marks ECN-capable datagrams that find more than this many bytes waiting.
    #[must_use]
    pub fn mark_above(mut self, queued_bytes: u64) -> Self {
        self.mark_above = Some(queued_bytes);
        self
    }

    /// A wireless link: every attempt to send a datagram fails with this probability. It is repeated, which takes
    /// `attempt`, while those behind it wait; after seven attempts the datagram is lost.
    #[must_use]
    pub fn wireless(mut self, probability: f64, attempt: Duration) -> Self {
        self.wireless = Some((probability, attempt));
        self
    }
}

/// Names a bottleneck of a [`Sim`](super::Sim).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BottleneckId(usize);

impl BottleneckId {
    pub(crate) const fn new(index: usize) -> Self {
        Self(index)
    }

    pub(crate) const fn index(self) -> usize {
        self.0
    }
}

/// Counters of a bottleneck, since it was made or they were last [reset](super::Sim::reset_bottleneck_stats).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BottleneckStats {
    /// Datagrams that went through.
    pub passed: u64,
    /// Their bytes.
    pub passed_bytes: u64,
    /// Dropped because the queue was full.
    pub overflowed: u64,
    /// Dropped by [`Bottleneck::codel`].
    pub aqm_dropped: u64,
    /// Marked "congestion experienced".
    pub marked: u64,
    /// Lost by [`Bottleneck::wireless`].
    pub wireless_lost: u64,
    /// The most bytes that ever waited.
    pub max_queued: u64,
    delays: Delays,
}

impl BottleneckStats {
    /// The time that a datagram waited before its first bit was sent, of all that were sent: the smallest one that is
    /// not below `percent` percent of all, rounded down by less than 1 %. Zero if there were none.
    pub fn queue_delay_percentile(&self, percent: f64) -> Duration {
        self.delays.percentile(percent)
    }
}

/// A histogram of durations: exact to the microsecond at first, then 128 steps for every doubling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Delays {
    counts: Vec<u64>,
    total: u64,
}

impl Delays {
    const STEP_BITS: u32 = 7;
    const STEPS: u64 = 1 << Self::STEP_BITS;

    fn add(&mut self, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        let shift = (micros | Self::STEPS).ilog2() - Self::STEP_BITS;
        let step = (u64::from(shift) * Self::STEPS + (micros >> shift)) as usize;
        if step >= self.counts.len() {
            self.counts.resize(step + 1, 0);
        }
        self.counts[step] += 1;
        self.total += 1;
    }

    fn percentile(&self, percent: f64) -> Duration {
        let rank = ((percent / 100.0 * self.total as f64).ceil() as u64).clamp(1, self.total.max(1));
        let mut below = 0;
        let step = self.counts.iter().position(|count| {
            below += count;
            below >= rank
        });
        let step = step.unwrap_or(0) as u64;
        let shift = (step / Self::STEPS).saturating_sub(1);
        Duration::from_micros((step - shift * Self::STEPS) << shift)
    }
}

/// A datagram in the queue.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) number: u64,
    pub(crate) source: SocketAddr,
    pub(crate) ecn: Ecn,
    pub(crate) marked: bool,
    pub(crate) bytes: Vec<u8>,
}

/// A datagram that is being sent.
#[derive(Debug)]
struct Sending {
    datagram: Queued,
    /// What is left to send, in bits times nanoseconds per second, and since when it is sent.
    left: u128,
    since: Instant,
    /// The end of its repetitions, which the rate does not concern any more.
    lost: Option<bool>,
}

/// What came of the datagram that was being sent.
#[derive(Debug)]
pub(crate) enum Sent {
    /// It goes on to its link, marked or not.
    Passed(Queued),
    /// No attempt was successful.
    Lost(Queued),
}

/// A bottleneck at work.
#[derive(Debug)]
pub(crate) struct BottleneckState {
    config: Bottleneck,
    pub(crate) stats: BottleneckStats,
    rng: Rng,
    codel: Codel,
    waiting: VecDeque<(Instant, Queued)>,
    waiting_bytes: u64,
    sending: Option<Sending>,
    due: Option<Instant>,
}

impl BottleneckState {
    pub(crate) fn new(config: Bottleneck, rng: Rng) -> Self {
        Self {
            config,
            stats: BottleneckStats::default(),
            rng,
            codel: Codel::default(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            sending: None,
            due: None,
        }
    }

    /// When it wants [`finish`](Self::finish) to be called.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(crate) fn reset_stats(&mut self) {
        self.stats = BottleneckStats { max_queued: self.waiting_bytes, ..BottleneckStats::default() };
    }

    /// What is being sent goes on at the new rate.
    pub(crate) fn change(&mut self, now: Instant, config: Bottleneck) {
        if let Some(sending) = self.sending.as_mut().filter(|sending| sending.lost.is_none()) {
            let sent = (now - sending.since).as_nanos() * u128::from(self.config.rate);
            (sending.left, sending.since) = (sending.left.saturating_sub(sent), now);
            self.due = end(sending, config.rate);
        }
        if !config.codel {
            self.codel = Codel::default();
        }
        self.config = config;
    }

    /// Whether nothing is being sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.sending.is_none()
    }

    /// Appends a datagram to the queue. False: the queue is full.
    pub(crate) fn enqueue(&mut self, now: Instant, mut datagram: Queued) -> bool {
        let (queued, len) = (self.waiting_bytes, datagram.bytes.len() as u64);
        if queued > 0 && self.config.limit.is_some_and(|limit| queued + len > limit) {
            self.stats.overflowed += 1;
            return false;
        }
        if self.config.mark_above.is_some_and(|limit| queued > limit) {
            self.mark(&mut datagram);
        }
        self.waiting_bytes += len;
        self.stats.max_queued = self.stats.max_queued.max(self.waiting_bytes);
        self.waiting.push_back((now, datagram));
        true
    }

    /// Marks a datagram if it is ECN-capable.
    fn mark(&mut self, datagram: &mut Queued) -> bool {
        let capable = datagram.ecn != Ecn::NotEct;
        if capable && datagram.ecn != Ecn::Ce {
            (datagram.ecn, datagram.marked) = (Ecn::Ce, true);
            self.stats.marked += 1;
        }
        capable
    }

    /// Starts to send the next datagram. Returns those that were dropped instead.
    pub(crate) fn serve(&mut self, now: Instant) -> Vec<Queued> {
        let mut dropped = Vec::new();
        while self.sending.is_none() {
            let Some((since, mut datagram)) = self.waiting.pop_front() else {
                self.codel.empty();
                break;
            };
            self.waiting_bytes -= datagram.bytes.len() as u64;
            let drops = self.config.codel && self.codel.drops(now, now - since, self.waiting_bytes);
            if drops && !(self.config.ecn && self.mark(&mut datagram)) {
                self.stats.aqm_dropped += 1;
                dropped.push(datagram);
                continue;
            }
            self.stats.delays.add(now - since);
            let left = datagram.bytes.len() as u128 * 8 * NANOS;
            let sending = Sending { datagram, left, since: now, lost: None };
            self.due = end(&sending, self.config.rate);
            self.sending = Some(sending);
        }
        dropped
    }

    /// The datagram whose last bit is sent, unless it is to be repeated; then it is [due](Self::due) again.
    pub(crate) fn finish(&mut self, now: Instant) -> Option<Sent> {
        self.due = None;
        let mut sending = self.sending.take()?;
        if sending.lost.is_none()
            && let Some((probability, attempt)) = self.config.wireless
        {
            let failed = (0..ATTEMPTS).take_while(|_| self.rng.chance(probability)).count() as u32;
            if failed > 0 {
                sending.lost = Some(failed == ATTEMPTS);
                self.due = Some(now + attempt * failed.min(ATTEMPTS - 1));
                self.sending = Some(sending);
                return None;
            }
        }
        if sending.lost == Some(true) {
            self.stats.wireless_lost += 1;
            return Some(Sent::Lost(sending.datagram));
        }
        self.stats.passed += 1;
        self.stats.passed_bytes += sending.datagram.bytes.len() as u64;
        Some(Sent::Passed(sending.datagram))
    }
}

/// When the last bit is sent; never at rate zero.
fn end(sending: &Sending, rate: u64) -> Option<Instant> {
    let nanos = sending.left.checked_add(u128::from(rate).saturating_sub(1))?.checked_div(u128::from(rate))?;
    Some(sending.since + Duration::from_nanos(nanos as u64))
}

#[cfg(test)]
mod tests {
    use jsp_proto::{ClientConfig, Config, Congestion, SecretKey};

    use super::super::apps::{BulkReceiver, BulkSender, Forever, Latencies, Rival, RivalKind};
    use super::super::{App, Happening, Host, Link, Sim};
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A simulation with a bottleneck and so many pairs of hosts whose links lead through it one way.
    fn shared(seed: u64, bottleneck: Bottleneck, pairs: usize) -> (Sim, BottleneckId, Vec<(NodeId, NodeId)>) {
        let mut sim = Sim::new(seed);
        let id = sim.bottleneck(bottleneck);
        let pairs = (0..pairs).map(|_| {
            let (a, b) = (sim.add_host(Host::raw()), sim.add_host(Host::raw()));
            sim.link_one_way(a, b, Link::with_delay(10 * MS).via(id));
            (a, b)
        });
        let pairs = pairs.collect();
        (sim, id, pairs)
    }

    fn send(sim: &mut Sim, (from, to): (NodeId, NodeId), content: u8, len: usize) {
        let to = sim.address(to);
        sim.send_raw(from, to, vec![content; len]);
    }

    /// What arrives within this time: at which microsecond, where, the first byte.
    fn arrivals(sim: &mut Sim, within: Duration) -> Vec<(u64, NodeId, u8)> {
        let mut all = Vec::new();
        sim.run_until(within, |sim, happening| {
            if let Happening::Datagram { node, bytes, .. } = happening {
                all.push((sim.now().as_nanos() / 1_000, *node, bytes[0]));
            }
            false
        });
        all
    }

    #[test]
    fn two_links_share_rate_and_queue() {
        // 1000 bytes take 1 ms. One is sent, three wait, the fifth and the sixth do not fit.
        let (mut sim, id, pairs) = shared(1, Bottleneck::new(8_000_000).drop_tail(3_000), 2);
        for n in 0..6 {
            send(&mut sim, pairs[usize::from(n) % 2], n, 1_000);
        }
        let (b, d) = (pairs[0].1, pairs[1].1);
        let expected = [(11_000, b, 0), (12_000, d, 1), (13_000, b, 2), (14_000, d, 3)];
        assert_eq!(arrivals(&mut sim, 50 * MS), expected);
        let stats = sim.bottleneck_stats(id);
        assert_eq!((stats.passed, stats.passed_bytes, stats.overflowed, stats.max_queued), (4, 4_000, 2, 3_000));
        let micros = |percent| stats.queue_delay_percentile(percent).as_micros();
        assert_eq!([0.0, 50.0, 75.0, 100.0].map(micros), [0, 1_000, 2_000, 2_992]);
        let of_link = |sim: &mut Sim, (a, b)| (sim.link_stats(a, b).delivered, sim.link_stats(a, b).overflowed);
        assert_eq!([of_link(&mut sim, pairs[0]), of_link(&mut sim, pairs[1])], [(2, 1), (2, 1)]);
        sim.reset_bottleneck_stats(id);
        assert_eq!(sim.bottleneck_stats(id), BottleneckStats::default());
    }

    #[test]
    fn a_new_rate_holds_for_what_waits_and_for_what_is_being_sent() {
        let (mut sim, id, pairs) = shared(1, Bottleneck::new(8_000_000), 1);
        (0..5).for_each(|n| send(&mut sim, pairs[0], n, 1_000));
        sim.run_for(Duration::from_micros(1_500));
        // Half of the second is left: 5 ms at a tenth of the rate.
        sim.change_bottleneck(id, Bottleneck::new(800_000));
        sim.run_for(10 * MS);
        // Half of the third is left.
        sim.change_bottleneck(id, Bottleneck::new(0));
        let b = pairs[0].1;
        let mut all = arrivals(&mut sim, 100 * MS);
        sim.change_bottleneck(id, Bottleneck::new(80_000_000));
        all.extend(arrivals(&mut sim, 100 * MS));
        assert_eq!(all, [(16_500, b, 1), (121_550, b, 2), (121_650, b, 3), (121_750, b, 4)]);
    }

    #[test]
    fn only_ecn_capable_datagrams_are_marked() {
        let mut state = BottleneckState::new(Bottleneck::new(8_000_000).mark_above(1_500), Rng::new(1));
        let ecns = [Ecn::Ect0, Ecn::Ect1, Ecn::Ect0, Ecn::NotEct, Ecn::Ect1, Ecn::Ce];
        for ecn in ecns {
            assert!(state.enqueue(Instant::ZERO, queued(ecn)));
        }
        let ecns: Vec<_> = state.waiting.iter().map(|(_, queued)| queued.ecn).collect();
        assert_eq!(ecns, [Ecn::Ect0, Ecn::Ect1, Ecn::Ce, Ecn::NotEct, Ecn::Ce, Ecn::Ce]);
        assert_eq!(state.stats.marked, 2);
    }

    fn queued(ecn: Ecn) -> Queued {
        let (from, to) = (NodeId::new(0), NodeId::new(1));
        Queued { from, to, number: 0, source: "10.0.0.1:1".parse().unwrap(), ecn, marked: false, bytes: vec![0; 1_000] }
    }

    /// Twice as much as fits, for a second: what came of it.
    fn overload(bottleneck: Bottleneck, ecn: Ecn) -> BottleneckStats {
        let mut state = BottleneckState::new(bottleneck, Rng::new(1));
        for half_ms in 0..2_000 {
            let now = Instant::ZERO + MS * half_ms / 2;
            state.enqueue(now, queued(ecn));
            if state.due() == Some(now) {
                state.finish(now);
            }
            if state.is_idle() {
                state.serve(now);
            }
        }
        state.stats
    }

    #[test]
    fn codel_marks_only_if_it_may_and_only_what_is_capable() {
        let codel = Bottleneck::new(8_000_000).codel();
        let dropped = |ecn, bottleneck| {
            let stats = overload(bottleneck, ecn);
            (stats.aqm_dropped > 10, stats.marked > 10)
        };
        assert_eq!(dropped(Ecn::Ect0, codel.clone()), (true, false));
        assert_eq!(dropped(Ecn::NotEct, codel.clone().ecn()), (true, false));
        assert_eq!(dropped(Ecn::Ect0, codel.ecn()), (false, true));
        assert_eq!(dropped(Ecn::Ect0, Bottleneck::new(8_000_000).ecn()), (false, false));
    }

    /// The counters after so many CUBIC flows of 30 s with a round trip of 40 ms.
    fn under_cubic(bottleneck: Bottleneck, flows: usize) -> BottleneckStats {
        let (mut sim, id, pairs) = shared(1, bottleneck, flows);
        let rivals = pairs.into_iter().map(|(a, b)| {
            sim.link_one_way(b, a, Link::with_delay(30 * MS));
            Rival::new(&mut sim, RivalKind::Cubic, a, b)
        });
        let (mut rivals, mut forever): (Vec<_>, _) = (rivals.collect(), Forever);
        let mut apps: Vec<&mut dyn App> = vec![&mut forever];
        apps.extend(rivals.iter_mut().map(|rival| rival as &mut dyn App));
        sim.run(Duration::from_secs(30), &mut apps);
        sim.bottleneck_stats(id)
    }

    #[test]
    fn codel_keeps_the_queue_short_where_drop_tail_does_not() {
        let bloated = Bottleneck::new(10_000_000).drop_tail(500_000);
        let tail = under_cubic(bloated.clone(), 1);
        let [one, four] = [1, 4].map(|flows| under_cubic(bloated.clone().codel(), flows));
        let median = |stats: &BottleneckStats| stats.queue_delay_percentile(50.0).as_micros();
        // One flow alone leaves it empty now and then; four of them keep it near the target of 5 ms.
        assert!(median(&tail) > 200_000 && median(&one) < 5_000, "{} {}", median(&tail), median(&one));
        assert!((3_000..10_000).contains(&median(&four)), "{}", median(&four));
        assert!(one.passed_bytes > 30 * 1_250_000 * 9 / 10, "{}", one.passed_bytes);
        assert!(tail.overflowed > 0 && tail.aqm_dropped == 0 && one.aqm_dropped > 0 && one.marked == 0);
    }

    #[test]
    fn an_endpoint_is_slowed_down_by_marks_alone() {
        let (key, len) = (SecretKey::from_seed([7; 32]), 5_000_000);
        let trusted = ClientConfig::pinned(key.public().clone());
        let mut sim = Sim::new(1);
        let id = sim.bottleneck(Bottleneck::new(10_000_000).codel().ecn());
        let server = sim.add(Config::builder().server_key(key).build().unwrap());
        let client = sim.add(Config::builder().congestion(Congestion::Cubic).build().unwrap());
        sim.link_one_way(client, server, Link::with_delay(20 * MS).via(id));
        sim.link_one_way(server, client, Link::with_delay(20 * MS));
        let conn = sim.connect(client, server, &trusted).unwrap();
        let mut sender = BulkSender::new(client, conn, 1, len);
        let mut receiver = BulkReceiver::new(server, 1, len);
        assert!(sim.run(Duration::from_secs(30), &mut [&mut sender, &mut receiver]));
        let stats = sim.bottleneck_stats(id);
        let of_link = sim.link_stats(client, server);
        assert!(stats.marked > 5 && (stats.aqm_dropped, stats.overflowed) == (0, 0));
        assert_eq!((of_link.marked, of_link.overflowed), (stats.marked, 0));
        assert!(stats.queue_delay_percentile(50.0) < 20 * MS);
    }

    #[test]
    fn a_wireless_link_delays_but_keeps_the_order() {
        let (mut sim, id, pairs) = shared(3, Bottleneck::new(8_000_000).wireless(0.3, 2 * MS), 1);
        let mut all = Vec::new();
        for n in 0..5_000_u32 {
            let to = sim.address(pairs[0].1);
            sim.send_raw(pairs[0].0, to, n.to_le_bytes().into());
            all.extend(arrivals(&mut sim, 3 * MS));
        }
        all.extend(arrivals(&mut sim, 1_000 * MS));
        let stats = sim.bottleneck_stats(id);
        // 0.3^7 of 5000 is one.
        assert!(all.len() > 4_990 && stats.passed == all.len() as u64, "{stats:?}");
        assert_eq!(stats.passed + stats.wireless_lost, 5_000);
        assert!(all.is_sorted_by_key(|(at, ..)| at) && stats.overflowed == 0);
        let order: Vec<_> = all.windows(2).map(|pair| pair[1].2.wrapping_sub(pair[0].2)).collect();
        assert_eq!(order.iter().filter(|step| **step != 1).count() as u64, stats.wireless_lost);
        // 30 % of them wait at all, and so does now and then one that is behind them.
        let mut gaps = Latencies::new();
        all.windows(2).for_each(|pair| gaps.add(Duration::from_micros(pair[1].0 - pair[0].0)));
        assert!(gaps.percentile(99.0) >= 5 * MS, "{gaps}");

        let (mut sim, id, pairs) = shared(3, Bottleneck::new(8_000_000).wireless(1.0, 2 * MS), 1);
        (0..3).for_each(|n| send(&mut sim, pairs[0], n, 1_000));
        // Six repetitions each.
        sim.run_for(38 * MS);
        assert_eq!(sim.bottleneck_stats(id).wireless_lost, 2);
        assert_eq!(sim.link_stats(pairs[0].0, pairs[0].1).lost, 2);
    }

    #[test]
    fn the_same_seed_gives_the_same_trace() {
        let run = |seed| {
            let bottleneck = Bottleneck::new(4_000_000).drop_tail(5_000).codel().wireless(0.2, MS);
            let (mut sim, _, pairs) = shared(seed, bottleneck, 3);
            for n in 0..200 {
                send(&mut sim, pairs[usize::from(n) % 3], n, 700);
                sim.run_for(MS);
            }
            sim.trace()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn delays_are_exact_to_one_percent() {
        for micros in (0..500).chain([1_000, 5_000, 99_999, 123_456_789, u64::from(u32::MAX)]) {
            let mut delays = Delays::default();
            delays.add(Duration::from_micros(micros));
            let found = delays.percentile(50.0).as_micros() as u64;
            assert!(found <= micros && (micros - found) * 128 <= micros, "{micros}: {found}");
        }
        let mut delays = Delays::default();
        assert_eq!(delays.percentile(99.0), Duration::ZERO);
        (1..=100).for_each(|n| delays.add(Duration::from_micros(n)));
        assert_eq!([0.0, 50.0, 99.5, 100.0].map(|p| delays.percentile(p).as_micros()), [1, 50, 100, 100]);
    }
}

//! One direction between two nodes: what it does to datagrams.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use jsp_proto::{Ecn, Instant};

use super::bottleneck::BottleneckId;
use super::rng::Rng;

/// What a link carries if nothing is said: Ethernet with IPv4.
const ETHERNET: usize = 1472;

/// How one direction of a path treats datagrams. Everything is off by default: no delay, no limit of rate, no loss. Only
/// the [MTU](Self::mtu) is that of Ethernet.
///
/// A datagram passes in this order: MTU, scripted drops, the policer, the bottleneck's queue (drop-tail, then ECN
/// marking), the time it takes at the link's rate, random and burst loss, corruption, delay with jitter, reordering,
/// duplication. With [`loss_first`](Self::loss_first) the losses come before the queue. Sizes are UDP payload bytes. A
/// [`Bottleneck`](super::Bottleneck) that several links share takes the place of a
/// link's own queue and rate.
#[derive(Clone, Debug, Default)]
pub struct Link {
    delay: Duration,
    jitter: Duration,
    rate: Option<u64>,
    queue: Option<u64>,
    policer: Option<Policer>,
    overhead: u64,
    loss: f64,
    loss_first: bool,
    burst: Option<Burst>,
    reorder: f64,
    reorder_by: Duration,
    duplicate: f64,
    corrupt: f64,
    mtu: Option<usize>,
    mark_above: Option<u64>,
    via: Option<BottleneckId>,
    script: BTreeSet<u64>,
}

/// A token bucket: bits per second, and how many bytes it holds.
#[derive(Clone, Copy, Debug)]
struct Policer {
    rate: u64,
    burst: u64,
}

/// The two-state model of Gilbert and Elliott: everything is lost in the bad state, nothing in the good one.
#[derive(Clone, Copy, Debug)]
struct Burst {
    enter: f64,
    leave: f64,
}

impl Link {
    /// A perfect link.
    pub fn new() -> Self {
        Self::default()
    }

    /// A perfect link with this one-way delay.
    pub fn with_delay(delay: Duration) -> Self {
        Self::new().delay(delay)
    }

    /// One-way delay.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Up to this much extra delay per datagram, uniformly. Keeps the order; see [`reorder`](Self::reorder).
    #[must_use]
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// The bottleneck's rate in bits per second. Without [`queue`](Self::queue) its queue is unlimited.
    #[must_use]
    pub fn rate(mut self, bits_per_second: u64) -> Self {
        self.rate = (bits_per_second > 0).then_some(bits_per_second);
        self
    }

    /// Bytes that may wait in front of the bottleneck; what does not fit is dropped. Needs [`rate`](Self::rate).
    #[must_use]
    pub fn queue(mut self, bytes: u64) -> Self {
        self.queue = Some(bytes);
        self
    }

    /// A token bucket that holds `burst_bytes` and fills at this rate: drops what exceeds it, and lets nothing wait.
    #[must_use]
    pub fn policer(mut self, bits_per_second: u64, burst_bytes: u64) -> Self {
        self.policer = (bits_per_second > 0).then_some(Policer { rate: bits_per_second, burst: burst_bytes });
        self
    }

    /// Probability that a datagram is lost, independently of all others.
    #[must_use]
    pub fn loss(mut self, probability: f64) -> Self {
        self.loss = probability;
        self
    }

    /// Random and burst loss strike in front of the bottleneck, as with netem: what is lost takes none of its rate.
    /// Default: behind it, as on a radio link.
    #[must_use]
    pub fn loss_first(mut self) -> Self {
        self.loss_first = true;
        self
    }

    /// Bytes of headers that each datagram takes of the link's own rate and queue beside its payload: 28 for IPv4 and
    /// UDP. Default: 0.
    #[must_use]
    pub fn overhead(mut self, bytes: u64) -> Self {
        self.overhead = bytes;
        self
    }

    /// Losses in bursts: `mean_loss` of all datagrams, in bursts of `mean_length` datagrams on average (at least 1).
    #[must_use]
    pub fn burst_loss(mut self, mean_loss: f64, mean_length: f64) -> Self {
        let mean_loss = mean_loss.clamp(0.0, 0.99);
        let leave = 1.0 / mean_length.max(1.0);
        self.burst = Some(Burst { enter: (mean_loss * leave / (1.0 - mean_loss)).min(1.0), leave });
        self
    }

    /// With this probability a datagram is held back by `extra`, so that later ones overtake it.
    #[must_use]
    pub fn reorder(mut self, probability: f64, extra: Duration) -> Self {
        (self.reorder, self.reorder_by) = (probability, extra);
        self
    }

    /// With this probability a datagram arrives twice.
    #[must_use]
    pub fn duplicate(mut self, probability: f64) -> Self {
        self.duplicate = probability;
        self
    }

    /// With this probability one to eight random bits of a datagram are flipped.
    #[must_use]
    pub fn corrupt(mut self, probability: f64) -> Self {
        self.corrupt = probability;
        self
    }

    /// Datagrams longer than this vanish without a word. Default: 1472, as on Ethernet with IPv4.
    #[must_use]
    pub fn mtu(mut self, bytes: usize) -> Self {
        self.mtu = Some(bytes);
        self
    }

    /// ECN-capable datagrams that find more than this many bytes in the queue are marked. Needs [`rate`](Self::rate).
    #[must_use]
    pub fn mark_above(mut self, queued_bytes: u64) -> Self {
        self.mark_above = Some(queued_bytes);
        self
    }

    /// Leads through a bottleneck of the same simulation, instead of the link's own rate, queue and marking. The
    /// datagrams that leave it get what is left of this link: loss, corruption, delay and so on, as they are then.
    #[must_use]
    pub fn via(mut self, bottleneck: BottleneckId) -> Self {
        self.via = Some(bottleneck);
        self
    }

    /// The bottleneck, if it leads through one.
    pub(crate) fn bottleneck(&self) -> Option<BottleneckId> {
        self.via
    }

    /// Drops the datagrams with these numbers; the first one sent in this direction has number 0.
    #[must_use]
    pub fn drop_numbers(mut self, numbers: impl IntoIterator<Item = u64>) -> Self {
        self.script.extend(numbers);
        self
    }

    /// Drops datagram `n` if bit `n` of the mask is set: `0b101` loses the first and the third.
    #[must_use]
    pub fn drop_mask(self, mask: u64) -> Self {
        self.drop_numbers((0..64).filter(|n| mask >> n & 1 == 1))
    }
}

/// Counters of one direction of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Datagrams handed to the link.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Datagrams that arrive, copies included.
    pub delivered: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Lost by [`Link::loss`] or [`Link::burst_loss`], or for good by a wireless bottleneck.
    pub lost: u64,
    /// Dropped because the queue was full, or by the management of a bottleneck's queue.
    pub overflowed: u64,
    /// Dropped by [`Link::policer`].
    pub policed: u64,
    /// Dropped because they were longer than the MTU.
    pub too_long: u64,
    /// Dropped by the script or by the tap.
    pub scripted: u64,
    /// Delivered twice.
    pub duplicated: u64,
    /// Delivered with flipped bits.
    pub corrupted: u64,
    /// Held back so that others overtook them.
    pub reordered: u64,
    /// Marked "congestion experienced".
    pub marked: u64,
    /// The most bytes that ever waited in the link's own queue.
    pub max_queued: u64,
}

/// What became of a datagram, for the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Delivered,
    TooLong,
    Scripted,
    Policed,
    Overflowed,
    /// Waits in a bottleneck; more is known when it leaves it.
    Queued,
    Managed,
    Lost,
}

/// A datagram on its way.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    pub(crate) ecn: Ecn,
    pub(crate) bytes: Vec<u8>,
}

/// A link at work.
#[derive(Debug)]
pub(crate) struct LinkState {
    pub(crate) config: Link,
    pub(crate) stats: LinkStats,
    rng: Rng,
    bad: bool,
    busy_until: Instant,
    /// Until when what waits leaves at an earlier rate, and that rate. The current one holds after the last of them.
    earlier_rates: VecDeque<(Instant, u64)>,
    /// When the policer's bucket is full again.
    bucket_full: Instant,
    last_arrival: Instant,
}

impl LinkState {
    pub(crate) fn new(config: Link, rng: Rng) -> Self {
        Self {
            config,
            stats: LinkStats::default(),
            rng,
            bad: false,
            busy_until: Instant::ZERO,
            earlier_rates: VecDeque::new(),
            bucket_full: Instant::ZERO,
            last_arrival: Instant::ZERO,
        }
    }

    /// Treats what is sent from now on this way. What waits leaves as it would have.
    pub(crate) fn change(&mut self, config: Link) {
        if let Some(rate) = self.config.rate.filter(|_| config.rate != self.config.rate) {
            self.earlier_rates.push_back((self.busy_until, rate));
        }
        self.config = config;
    }

    /// Takes the next number in this direction.
    pub(crate) fn count(&mut self, len: usize) -> u64 {
        let number = self.stats.sent;
        self.stats.sent += 1;
        self.stats.sent_bytes += len as u64;
        number
    }

    /// Sends one datagram; what arrives, and when, goes to `arrive`. [`Fate::Queued`] asks the caller to send it through
    /// the link's bottleneck and to [`leave`](Self::leave) after that.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        number: u64,
        ecn: Ecn,
        bytes: &[u8],
        arrive: &mut dyn FnMut(Arrival),
    ) -> Fate {
        if bytes.len() > self.config.mtu.unwrap_or(ETHERNET) {
            self.stats.too_long += 1;
            return Fate::TooLong;
        }
        if self.config.script.contains(&number) {
            self.stats.scripted += 1;
            return Fate::Scripted;
        }
        if !self.conforms(now, bytes.len()) {
            self.stats.policed += 1;
            return Fate::Policed;
        }
        if self.config.loss_first && self.is_lost() {
            self.stats.lost += 1;
            return Fate::Lost;
        }
        if self.config.via.is_some() {
            return Fate::Queued;
        }
        let Some((departs, ecn)) = self.enqueue(now, ecn, bytes.len() as u64 + self.config.overhead) else {
            self.stats.overflowed += 1;
            return Fate::Overflowed;
        };
        self.leave(departs, ecn, bytes, arrive)
    }

    /// The rest of the way, behind all queues.
    pub(crate) fn leave(&mut self, departs: Instant, ecn: Ecn, bytes: &[u8], arrive: &mut dyn FnMut(Arrival)) -> Fate {
        if !self.config.loss_first && self.is_lost() {
            self.stats.lost += 1;
            return Fate::Lost;
        }
        self.deliver(departs, ecn, bytes, arrive);
        Fate::Delivered
    }

    /// Takes tokens for a datagram, if there are enough.
    fn conforms(&mut self, now: Instant, len: usize) -> bool {
        let Some(Policer { rate, burst }) = self.config.policer else { return true };
        let full = self.bucket_full.max(now) + transmission(len as u64, rate);
        let conforms = full - now <= transmission(burst, rate);
        if conforms {
            self.bucket_full = full;
        }
        conforms
    }

    /// Bytes that wait, the rest of the one that is being sent included.
    fn queued(&mut self, now: Instant, rate: u64) -> u64 {
        while self.earlier_rates.front().is_some_and(|(until, _)| *until <= now) {
            self.earlier_rates.pop_front();
        }
        let periods = self.earlier_rates.iter().copied().chain([(self.busy_until, rate)]);
        let (_, bits) = periods.fold((now, 0), |(from, bits), (until, rate)| {
            (from.max(until), bits + (until - from).as_nanos() * u128::from(rate))
        });
        (bits / (8 * NANOS)) as u64
    }

    /// When the last bit has left the bottleneck, and how it is marked then. `None`: the queue is full.
    fn enqueue(&mut self, now: Instant, ecn: Ecn, len: u64) -> Option<(Instant, Ecn)> {
        let Some(rate) = self.config.rate else { return Some((now, ecn)) };
        let queued = self.queued(now, rate);
        let total = queued + len;
        // A packet in an empty queue always goes, however small the limit.
        if queued > 0 && self.config.queue.is_some_and(|limit| total > limit) {
            return None;
        }
        self.stats.max_queued = self.stats.max_queued.max(total);
        let mark = self.config.mark_above.is_some_and(|limit| queued > limit) && ecn != Ecn::NotEct;
        self.stats.marked += u64::from(mark);
        self.busy_until = self.busy_until.max(now) + transmission(len, rate);
        Some((self.busy_until, if mark { Ecn::Ce } else { ecn }))
    }

    fn is_lost(&mut self) -> bool {
        if let Some(burst) = self.config.burst {
            let change = if self.bad { burst.leave } else { burst.enter };
            self.bad ^= self.rng.chance(change);
        }
        // Drawn in either state, so that the two kinds of loss do not disturb each other's sequence.
        self.rng.chance(self.config.loss) | (self.config.burst.is_some() && self.bad)
    }

    fn deliver(&mut self, departs: Instant, ecn: Ecn, bytes: &[u8], arrive: &mut dyn FnMut(Arrival)) {
        let mut bytes = bytes.to_vec();
        if self.rng.chance(self.config.corrupt) && !bytes.is_empty() {
            self.stats.corrupted += 1;
            for _ in 0..=self.rng.below(8) {
                let bit = self.rng.below(bytes.len() as u64 * 8) as usize;
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
        let copies = if self.rng.chance(self.config.duplicate) { 2 } else { 1 };
        self.stats.duplicated += copies - 1;
        for copy in 0..copies {
            let at = self.arrival_time(departs);
            self.stats.delivered += 1;
            self.stats.delivered_bytes += bytes.len() as u64;
            let bytes = if copy + 1 == copies { core::mem::take(&mut bytes) } else { bytes.clone() };
            arrive(Arrival { at, ecn, bytes });
        }
    }

    fn arrival_time(&mut self, departs: Instant) -> Instant {
        let jitter = self.config.jitter.as_nanos() as u64;
        let jitter = if jitter > 0 { self.rng.below(jitter + 1) } else { 0 };
        let at = departs + self.config.delay + Duration::from_nanos(jitter);
        if self.rng.chance(self.config.reorder) {
            self.stats.reordered += 1;
            return at + self.config.reorder_by;
        }
        // Jitter alone does not reorder: the queue in front of us is first in, first out.
        self.last_arrival = self.last_arrival.max(at);
        self.last_arrival
    }
}

const NANOS: u128 = 1_000_000_000;

/// How long so many bytes take at this rate.
fn transmission(bytes: u64, rate: u64) -> Duration {
    let nanos = u128::from(bytes) * 8 * NANOS / u128::from(rate);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pass(link: Link, count: u64, len: usize, every: Duration) -> (LinkState, Vec<(u64, Arrival)>) {
        let mut state = LinkState::new(link, Rng::new(1));
        let mut arrivals = Vec::new();
        for n in 0..count {
            let now = Instant::ZERO + every * n as u32;
            let number = state.count(len);
            state.send(now, number, Ecn::Ect0, &vec![n as u8; len], &mut |arrival| arrivals.push((n, arrival)));
        }
        (state, arrivals)
    }

    #[test]
    fn rate_queue_and_marking() {
        // 8 Mbit/s = 1 byte per microsecond: 1000 bytes take 1 ms.
        let link = Link::with_delay(10 * MS).rate(8_000_000).queue(3_000).mark_above(1_500);
        let (state, arrivals) = pass(link, 5, 1_000, Duration::ZERO);
        let times: Vec<_> = arrivals.iter().map(|(_, a)| a.at.as_nanos() / 1_000_000).collect();
        assert_eq!(times, [11, 12, 13]);
        assert_eq!(state.stats.overflowed, 2);
        assert_eq!(arrivals.iter().map(|(_, a)| a.ecn).collect::<Vec<_>>(), [Ecn::Ect0, Ecn::Ect0, Ecn::Ce]);
        assert_eq!((state.stats.max_queued, state.stats.marked), (3_000, 1));
    }

    #[test]
    fn losses_before_the_bottleneck_take_none_of_its_rate() {
        let link = || Link::new().rate(8_000_000).overhead(250).loss(0.5);
        let (_, after) = pass(link(), 100, 1_000, Duration::ZERO);
        let (before_state, before) = pass(link().loss_first(), 100, 1_000, Duration::ZERO);
        let last = |arrivals: &[(u64, Arrival)]| arrivals.last().map(|(_, arrival)| arrival.at.as_nanos() / 1_000);
        assert!(last(&after).is_some_and(|at| at > 115_000), "{:?}", last(&after));
        assert_eq!(last(&before), Some(1_250 * before_state.stats.delivered));
    }

    #[test]
    fn what_waits_keeps_the_rate_it_was_queued_at() {
        let link = |rate| Link::new().rate(rate).queue(3_000);
        let mut state = LinkState::new(link(800_000), Rng::new(1));
        let send = |state: &mut LinkState, ms: u32| {
            let mut at = None;
            let now = Instant::ZERO + MS * ms;
            state.send(now, 0, Ecn::NotEct, &[0; 1_000], &mut |arrival| at = Some(arrival.at.as_nanos() / 100_000));
            at
        };
        // 10 ms each, and the queue is full.
        assert_eq!([0; 4].map(|ms| send(&mut state, ms)), [Some(100), Some(200), Some(300), None]);
        // Ten times as fast: what waits takes its time, and the queue is as full as it was.
        state.change(link(8_000_000));
        assert_eq!([5, 10, 10, 20, 20].map(|ms| send(&mut state, ms)), [None, Some(310), None, Some(320), None]);
        // Slower than ever: 2000 bytes wait, and one more datagram fits.
        state.change(link(400_000));
        assert_eq!([30, 30, 40].map(|ms| send(&mut state, ms)), [Some(520), None, Some(720)]);
        assert_eq!(state.stats.max_queued, 3_000);
        state.change(link(800_000));
        assert_eq!([72, 72].map(|ms| send(&mut state, ms)), [Some(820), Some(920)]);
        assert!(state.earlier_rates.is_empty());
    }

    #[test]
    fn a_policer_lets_its_rate_through_after_a_burst() {
        // Twice as much as it lets through, for ten seconds.
        let (state, arrivals) = pass(Link::new().policer(4_000_000, 10_000), 10_000, 1_000, MS);
        // Twice the bucket at first: half of it is filled again meanwhile.
        let first = arrivals.iter().enumerate().take_while(|(index, (n, _))| *index as u64 == *n).count();
        assert!((19..=20).contains(&first), "{first}");
        assert!((4_900..=5_100).contains(&arrivals.len()), "{}", arrivals.len());
        assert_eq!(state.stats.policed, 10_000 - arrivals.len() as u64);
        assert!(arrivals.iter().all(|(n, arrival)| arrival.at == Instant::ZERO + MS * *n as u32));
        let (state, _) = pass(Link::new().policer(8_000_000, 1_000), 100, 1_000, MS);
        assert_eq!(state.stats.policed, 0);
    }

    #[test]
    fn scripts_and_mtu() {
        let (state, arrivals) = pass(Link::new().drop_mask(0b1001), 5, 10, MS);
        assert_eq!(arrivals.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1, 2, 4]);
        assert_eq!(state.stats.scripted, 2);
        let (state, arrivals) = pass(Link::new().mtu(9), 5, 10, MS);
        assert!(arrivals.is_empty());
        assert_eq!(state.stats.too_long, 5);
    }

    #[test]
    fn bursts_have_the_asked_mean_and_length() {
        let (state, arrivals) = pass(Link::new().burst_loss(0.1, 5.0), 100_000, 1, MS);
        let lost = state.stats.lost as f64 / 100_000.0;
        assert!((0.08..0.12).contains(&lost), "{lost}");
        let bursts = arrivals.windows(2).filter(|pair| pair[1].0 != pair[0].0 + 1).count();
        let length = state.stats.lost as f64 / bursts as f64;
        assert!((4.5..5.5).contains(&length), "{length}");
    }

    #[test]
    fn only_reordering_reorders() {
        let in_order = |arrivals: &[(u64, Arrival)]| arrivals.windows(2).all(|p| p[0].1.at <= p[1].1.at);
        let (_, arrivals) = pass(Link::with_delay(5 * MS).jitter(20 * MS), 1_000, 1, MS);
        assert!(in_order(&arrivals));
        let (state, arrivals) = pass(Link::with_delay(5 * MS).reorder(0.1, 3 * MS), 1_000, 1, MS);
        assert!(!in_order(&arrivals) && state.stats.reordered > 50);
    }

    #[test]
    fn corruption_and_duplicates() {
        let (state, arrivals) = pass(Link::new().corrupt(1.0).duplicate(1.0), 100, 50, MS);
        assert_eq!((state.stats.corrupted, state.stats.duplicated, arrivals.len()), (100, 100, 200));
        // An even number of flips may hit one bit twice and cancel out, but hardly ever.
        let changed = arrivals.iter().filter(|(n, a)| a.bytes.iter().any(|b| *b != *n as u8)).count();
        assert!(changed > 190, "{changed}");
    }
}

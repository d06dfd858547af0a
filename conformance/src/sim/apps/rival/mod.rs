//! Flows of other congestion controls, to compete with.

mod bbr1;
mod cubic;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use jsp_proto::Instant;

use self::bbr1::BbrV1;
use self::cubic::Cubic;
use super::super::rng::{Rng, mix};
use super::super::{App, Happening, NodeId, Sim, TimerId};

/// Bytes of a datagram with data.
const SIZE: usize = 1200;
const DATA: u8 = 0;
const ACK: u8 = 1;
/// As many ranges as fit into the options of a TCP header.
const ACK_RANGES: usize = 4;
/// Ranges the receiver remembers to tell a duplicate.
const KNOWN_RANGES: usize = 64;
const ACK_DELAY: Duration = Duration::from_millis(25);
/// A datagram is lost when one that was sent so many later has arrived.
const REORDERING: u64 = 3;
const FIRST_RTO: Duration = Duration::from_secs(1);
const MIN_RTO: Duration = Duration::from_millis(200);
const MAX_RTO: Duration = Duration::from_secs(60);
const INITIAL_WINDOW: f64 = 10.0;

/// The congestion control of a [`Rival`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RivalKind {
    /// CUBIC (RFC 9438) with plain slow start, clocked by its acknowledgements and not paced.
    Cubic,
    /// BBR version 1, as in draft-cardwell-iccrg-bbr-congestion-control-00: paced, and blind to losses.
    BbrV1,
}

/// An endless flow between two raw hosts, as TCP would send it, for one direction of one pair of hosts.
///
/// It sends datagrams of 1200 bytes, gets an acknowledgement for every second one or when one is missing, takes for
/// lost what was sent three before something that arrived, and has a retransmission timeout. What is lost is not sent
/// again: it does not count as delivered, and something new goes in its place. Nothing of this, and nothing of its
/// congestion control, comes from `jsp-proto`.
///
/// It is always done; with [`Forever`](super::Forever) beside it a run lasts until its limit.
#[derive(Debug)]
pub struct Rival {
    from: NodeId,
    to: NodeId,
    source: SocketAddr,
    destination: SocketAddr,
    start: Instant,
    stopped: bool,
    sender: Sender,
    receiver: Receiver,
    wake: Alarm,
    ack: Alarm,
}

impl Rival {
    /// A flow of this kind from one [raw](super::super::Host::raw) host to another.
    pub fn new(sim: &mut Sim, kind: RivalKind, from: NodeId, to: NodeId) -> Self {
        let control: Box<dyn Control> = match kind {
            RivalKind::Cubic => Box::new(Cubic::new()),
            RivalKind::BbrV1 => {
                let pair = (from.index() as u64) << 32 | to.index() as u64;
                Box::new(BbrV1::new(Rng::new(sim.seed() ^ mix(mix(pair)))))
            }
        };
        Self {
            from,
            to,
            source: sim.address(from),
            destination: sim.address(to),
            start: sim.now(),
            stopped: false,
            sender: Sender::new(control),
            receiver: Receiver::default(),
            wake: Alarm::default(),
            ack: Alarm::default(),
        }
    }

    /// Sends nothing before this time. Default: the time it was made.
    #[must_use]
    pub fn start_at(mut self, start: Instant) -> Self {
        self.start = start;
        self
    }

    /// Sends nothing new from now on.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Bytes that the receiver got.
    pub fn delivered(&self) -> u64 {
        self.receiver.received * SIZE as u64
    }

    /// Sends what may be sent, and sets the alarm for what comes next.
    fn send(&mut self, sim: &mut Sim) {
        let now = sim.now();
        if self.stopped {
            return;
        }
        if now < self.start {
            return self.wake.set(sim, self.start);
        }
        self.sender.check_timeout(now);
        while let Some(number) = self.sender.send(now) {
            let mut bytes = vec![0; SIZE];
            bytes[0] = DATA;
            bytes[1..9].copy_from_slice(&number.to_le_bytes());
            sim.send_raw(self.from, self.destination, bytes);
        }
        if let Some(at) = self.sender.wake_at(now) {
            self.wake.set(sim, at);
        }
    }

    fn acknowledge(&mut self, sim: &mut Sim) {
        let mut bytes = vec![ACK];
        for (first, last) in self.receiver.acknowledge() {
            bytes.extend_from_slice(&first.to_le_bytes());
            bytes.extend_from_slice(&last.to_le_bytes());
        }
        sim.send_raw(self.to, self.source, bytes);
    }

    fn got_data(&mut self, sim: &mut Sim, bytes: &[u8]) {
        let number = bytes.get(1..9).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        match number.map(|number| self.receiver.take(number)) {
            Some(true) => self.acknowledge(sim),
            Some(false) => {
                let at = sim.now() + ACK_DELAY;
                self.ack.set(sim, at);
            }
            None => {}
        }
    }

    fn got_ack(&mut self, sim: &mut Sim, bytes: &[u8]) {
        let words = bytes[1..].chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")));
        let words: Vec<_> = words.collect();
        let ranges: Vec<_> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        self.sender.acked(sim.now(), &ranges);
        self.send(sim);
    }
}

impl App for Rival {
    fn start(&mut self, sim: &mut Sim) {
        self.send(sim);
    }

    fn on(&mut self, sim: &mut Sim, happening: &Happening) {
        match happening {
            Happening::Timer(id) if self.wake.rings(*id) => self.send(sim),
            Happening::Timer(id) if self.ack.rings(*id) && self.receiver.owes > 0 => self.acknowledge(sim),
            Happening::Datagram { node, from, bytes, .. } => match bytes.first() {
                Some(&DATA) if (*node, *from) == (self.to, self.source) => self.got_data(sim, bytes),
                Some(&ACK) if (*node, *from) == (self.from, self.destination) => self.got_ack(sim, bytes),
                _ => {}
            },
            _ => {}
        }
    }
}

/// One timer. It rings at the earliest time that was asked for; who wants it later asks again then.
#[derive(Debug, Default)]
struct Alarm(Option<(TimerId, Instant)>);

impl Alarm {
    fn set(&mut self, sim: &mut Sim, at: Instant) {
        if self.0.is_none_or(|(_, earlier)| at < earlier) {
            self.0 = Some((sim.timer(at), at));
        }
    }

    fn rings(&mut self, timer: TimerId) -> bool {
        self.0.take_if(|(id, _)| *id == timer).is_some()
    }
}

/// The receiver's side.
#[derive(Debug, Default)]
struct Receiver {
    received: u64,
    /// What has arrived, first and last number of each, in order.
    ranges: VecDeque<(u64, u64)>,
    /// Datagrams that have not been acknowledged.
    owes: u64,
}

impl Receiver {
    /// Takes a datagram and says whether to acknowledge at once.
    fn take(&mut self, number: u64) -> bool {
        let next = self.ranges.back().map_or(0, |(_, last)| last + 1);
        self.owes += 1;
        self.received += u64::from(self.insert(number));
        number != next || self.owes >= 2
    }

    /// Whether it is new.
    fn insert(&mut self, number: u64) -> bool {
        let at = self.ranges.partition_point(|(_, last)| *last < number);
        let is_known = self.ranges.get(at).is_some_and(|(first, _)| *first <= number);
        let is_forgotten = at == 0 && self.ranges.len() == KNOWN_RANGES;
        if is_known || is_forgotten {
            return false;
        }
        let follows = at > 0 && self.ranges[at - 1].1 + 1 == number;
        let leads = self.ranges.get(at).is_some_and(|(first, _)| *first == number + 1);
        match (follows, leads) {
            (true, true) => {
                self.ranges[at - 1].1 = self.ranges[at].1;
                self.ranges.remove(at);
            }
            (true, false) => self.ranges[at - 1].1 = number,
            (false, true) => self.ranges[at].0 = number,
            (false, false) => self.ranges.insert(at, (number, number)),
        }
        if self.ranges.len() > KNOWN_RANGES {
            self.ranges.pop_front();
        }
        true
    }

    /// What an acknowledgement says now, the latest first.
    fn acknowledge(&mut self) -> impl Iterator<Item = (u64, u64)> {
        self.owes = 0;
        self.ranges.iter().rev().take(ACK_RANGES).copied()
    }
}

/// What a congestion control learns from an acknowledgement. Sizes are in datagrams.
#[derive(Debug)]
struct Acked {
    now: Instant,
    /// How many it acknowledges for the first time.
    newly: u64,
    /// The newest of them was sent before the last reaction to a loss.
    recovering: bool,
    /// Some were found lost.
    losses: bool,
    /// Time from the newest of them to now.
    rtt: Duration,
    smoothed_rtt: Duration,
    in_flight: u64,
    in_flight_before: u64,
    /// How many have been delivered in all, now and when the newest of them was sent.
    delivered: u64,
    delivered_when_sent: u64,
    /// Datagrams per second delivered between these two points in time.
    rate: Option<f64>,
}

/// A congestion control. Sizes are in datagrams.
trait Control: fmt::Debug {
    fn acked(&mut self, ack: &Acked);
    /// Something was lost; called once per round trip, before [`acked`](Self::acked).
    fn lost(&mut self);
    /// Nothing came back for a long time, and all that was under way counts as lost.
    fn timeout(&mut self);
    fn window(&self) -> f64;
    /// Datagrams per second, if it is paced.
    fn rate(&self) -> Option<f64>;
}

/// A datagram under way.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    sent: Instant,
    /// The state of the rate estimate when it was sent, as in draft-cheng-iccrg-delivery-rate-estimation.
    delivered: u64,
    delivered_at: Instant,
    first_sent: Instant,
}

/// The sender's side, without its congestion control.
#[derive(Debug)]
struct Sender {
    control: Box<dyn Control>,
    /// From number `base` on; what is settled is `None`.
    flight: VecDeque<Option<InFlight>>,
    base: u64,
    in_flight: u64,
    largest_acked: Option<u64>,
    /// Losses below this number belong to a reaction that has taken place.
    recovery: u64,
    rtt: Option<(Duration, Duration)>,
    min_rtt: Duration,
    /// The timeout counts from here, and has passed so many times without an answer.
    quiet_since: Instant,
    timeouts: u32,
    next_send: Instant,
    delivered: u64,
    delivered_at: Instant,
    first_sent: Instant,
}

impl Sender {
    fn new(control: Box<dyn Control>) -> Self {
        Self {
            control,
            flight: VecDeque::new(),
            base: 0,
            in_flight: 0,
            largest_acked: None,
            recovery: 0,
            rtt: None,
            min_rtt: Duration::MAX,
            quiet_since: Instant::ZERO,
            timeouts: 0,
            next_send: Instant::ZERO,
            delivered: 0,
            delivered_at: Instant::ZERO,
            first_sent: Instant::ZERO,
        }
    }

    fn has_window(&self) -> bool {
        ((self.in_flight + 1) as f64) <= self.control.window().max(1.0)
    }

    /// The number of a datagram to send now, if there may be one.
    fn send(&mut self, now: Instant) -> Option<u64> {
        if !self.has_window() {
            return None;
        }
        if let Some(rate) = self.control.rate() {
            if now < self.next_send {
                return None;
            }
            self.next_send = now + Duration::from_secs_f64(1.0 / rate);
        }
        if self.in_flight == 0 {
            (self.first_sent, self.delivered_at, self.quiet_since) = (now, now, now);
        }
        self.flight.push_back(Some(InFlight {
            sent: now,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent: self.first_sent,
        }));
        self.in_flight += 1;
        Some(self.next_number() - 1)
    }

    fn next_number(&self) -> u64 {
        self.base + self.flight.len() as u64
    }

    /// When there is something to do if nothing arrives.
    fn wake_at(&self, now: Instant) -> Option<Instant> {
        let paced = (self.control.rate().is_some() && self.has_window()).then_some(self.next_send);
        let timeout = (self.in_flight > 0).then(|| self.timeout_at());
        paced.into_iter().chain(timeout).min().filter(|at| *at > now)
    }

    fn timeout_at(&self) -> Instant {
        let rto = self.rtt.map_or(FIRST_RTO, |(smoothed, deviation)| MIN_RTO.max(smoothed + 4 * deviation));
        self.quiet_since + MAX_RTO.min(rto * 2_u32.saturating_pow(self.timeouts.min(16)))
    }

    fn check_timeout(&mut self, now: Instant) {
        if self.in_flight > 0 && now >= self.timeout_at() {
            self.base = self.next_number();
            self.flight.clear();
            (self.in_flight, self.recovery) = (0, self.base);
            self.timeouts += 1;
            self.control.timeout();
        }
    }

    fn acked(&mut self, now: Instant, ranges: &[(u64, u64)]) {
        let in_flight_before = self.in_flight;
        let mut newest = None;
        let mut newly = 0;
        for &(first, last) in ranges {
            for number in first.max(self.base)..=last {
                let slot = self.flight.get_mut((number - self.base) as usize);
                if let Some(datagram) = slot.and_then(Option::take) {
                    newly += 1;
                    if newest.is_none_or(|(other, _)| number > other) {
                        newest = Some((number, datagram));
                    }
                }
            }
        }
        let Some((number, datagram)) = newest else { return };
        self.in_flight -= newly;
        self.delivered += newly;
        (self.delivered_at, self.first_sent) = (now, datagram.sent);
        (self.quiet_since, self.timeouts) = (now, 0);
        self.largest_acked = self.largest_acked.max(Some(number));
        let rtt = now - datagram.sent;
        let smoothed_rtt = self.measured(rtt);
        let recovering = number < self.recovery;
        let losses = self.find_lost();
        let interval = (datagram.sent - datagram.first_sent).max(now - datagram.delivered_at);
        let rate = (self.delivered - datagram.delivered) as f64 / interval.as_secs_f64();
        self.control.acked(&Acked {
            now,
            newly,
            recovering,
            losses,
            rtt,
            smoothed_rtt,
            in_flight: self.in_flight,
            in_flight_before,
            delivered: self.delivered,
            delivered_when_sent: datagram.delivered,
            rate: (interval >= self.min_rtt).then_some(rate),
        });
    }

    /// RFC 6298.
    fn measured(&mut self, rtt: Duration) -> Duration {
        self.min_rtt = self.min_rtt.min(rtt);
        let (smoothed, deviation) = match self.rtt {
            Some((smoothed, deviation)) => ((smoothed * 7 + rtt) / 8, (deviation * 3 + smoothed.abs_diff(rtt)) / 4),
            None => (rtt, rtt / 2),
        };
        self.rtt = Some((smoothed, deviation));
        smoothed
    }

    /// Settles what is lost, tells the congestion control once per round trip, and says whether there was any.
    fn find_lost(&mut self) -> bool {
        let mut losses = false;
        while let Some(front) = self.flight.front() {
            if front.is_some() {
                if self.largest_acked.is_none_or(|largest| self.base + REORDERING > largest) {
                    break;
                }
                losses = true;
                self.in_flight -= 1;
                if self.base >= self.recovery {
                    self.recovery = self.next_number();
                    self.control.lost();
                }
            }
            self.flight.pop_front();
            self.base += 1;
        }
        losses
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Bottleneck, BottleneckId, Host, Link};
    use super::super::Forever;
    use super::*;

    const RATE: u64 = 10_000_000;
    const RTT: Duration = Duration::from_millis(40);
    /// The product of these two in bytes.
    const BDP: u64 = RATE / 8 / 25;

    /// Flows of these kinds through one bottleneck.
    fn flows(seed: u64, bottleneck: Bottleneck, loss: f64, kinds: &[RivalKind]) -> (Sim, BottleneckId, Vec<Rival>) {
        let mut sim = Sim::new(seed);
        let id = sim.bottleneck(bottleneck);
        let rivals = kinds.iter().map(|kind| {
            let (a, b) = (sim.add_host(Host::raw()), sim.add_host(Host::raw()));
            sim.link_one_way(a, b, Link::with_delay(RTT / 2).loss(loss).via(id));
            sim.link_one_way(b, a, Link::with_delay(RTT / 2));
            Rival::new(&mut sim, *kind, a, b)
        });
        let rivals = rivals.collect();
        (sim, id, rivals)
    }

    fn run(sim: &mut Sim, rivals: &mut [Rival], seconds: u64) {
        let mut forever = Forever;
        let mut apps: Vec<&mut dyn App> = vec![&mut forever];
        apps.extend(rivals.iter_mut().map(|rival| rival as &mut dyn App));
        assert!(!sim.run(Duration::from_secs(seconds), &mut apps));
    }

    /// Which part of the rate each of these flows delivers within a time.
    fn shares(seed: u64, queue: u64, loss: f64, kinds: &[RivalKind], seconds: u64) -> Vec<f64> {
        let (mut sim, _, mut rivals) = flows(seed, Bottleneck::new(RATE).drop_tail(queue), loss, kinds);
        run(&mut sim, &mut rivals, seconds);
        rivals.iter().map(|rival| (rival.delivered() * 8) as f64 / (seconds * RATE) as f64).collect()
    }

    #[test]
    fn each_fills_a_bottleneck_alone() {
        for kind in [RivalKind::Cubic, RivalKind::BbrV1] {
            let share = shares(1, BDP, 0.0, &[kind], 30)[0];
            assert!((0.9..1.0).contains(&share), "{kind:?}: {share}");
        }
    }

    #[test]
    fn only_bbr_does_not_mind_random_losses() {
        let share = |kind| shares(1, BDP, 0.05, &[kind], 30)[0];
        assert!(share(RivalKind::BbrV1) >= 0.9);
        // RFC 9438, section 5.1: 5.5 datagrams in flight on average, which is 13 % of what the path holds.
        let cubic = share(RivalKind::Cubic);
        assert!((0.1..0.14).contains(&cubic), "{cubic}");
    }

    #[test]
    fn two_cubics_share() {
        let shares = shares(1, BDP, 0.0, &[RivalKind::Cubic; 2], 60);
        let (sum, squares) = (shares.iter().sum::<f64>(), shares.iter().map(|share| share * share).sum::<f64>());
        assert!(sum * sum / (2.0 * squares) >= 0.9 && sum >= 0.9, "{shares:?}");
    }

    #[test]
    fn bbr_wins_over_cubic_at_a_short_queue_and_loses_at_a_long_one() {
        let both = |queue| shares(1, queue, 0.0, &[RivalKind::Cubic, RivalKind::BbrV1], 40);
        let (short, long) = (both(BDP), both(4 * BDP));
        assert!(short[1] > 5.0 * short[0], "{short:?}");
        assert!(long[0] > 1.5 * long[1] && long[1] > 0.2, "{long:?}");
    }

    #[test]
    fn each_comes_back_after_an_outage() {
        for kind in [RivalKind::Cubic, RivalKind::BbrV1] {
            let (mut sim, _, mut rivals) = flows(1, Bottleneck::new(RATE).drop_tail(BDP), 0.0, &[kind]);
            run(&mut sim, &mut rivals, 3);
            let (from, to) = (rivals[0].from, rivals[0].to);
            let back = Link::with_delay(RTT / 2);
            sim.link_one_way(to, from, back.clone().loss(1.0));
            let mut resume = |sim: &mut Sim, seconds| {
                let before = rivals[0].delivered();
                sim.resume(Duration::from_secs(seconds), &mut [&mut rivals[0], &mut Forever]);
                rivals[0].delivered() - before
            };
            let meanwhile = resume(&mut sim, 2);
            assert!(meanwhile < 4 * BDP, "{kind:?}: {meanwhile}");
            sim.link_one_way(to, from, back);
            // Doubled timeouts make it wait once more for as long as the outage was.
            resume(&mut sim, 4);
            let after = resume(&mut sim, 4);
            assert!(after > RATE / 8 * 4 * 9 / 10, "{kind:?}: {after}");
        }
    }

    #[test]
    fn bbr_alone_keeps_a_long_queue_nearly_empty() {
        let (mut sim, id, mut rivals) = flows(1, Bottleneck::new(RATE), 0.0, &[RivalKind::BbrV1]);
        run(&mut sim, &mut rivals, 1);
        sim.reset_bottleneck_stats(id);
        sim.resume(Duration::from_secs(8), &mut [&mut rivals[0], &mut Forever]);
        let stats = sim.bottleneck_stats(id);
        let [median, most] = [50.0, 100.0].map(|percent| stats.queue_delay_percentile(percent));
        assert!(median < RTT / 3 && most < RTT * 2 / 3, "{median:?}, {most:?}");
        assert!(stats.passed_bytes > RATE / 8 * 8 * 95 / 100);
    }

    #[test]
    fn the_same_seed_gives_the_same_trace() {
        let trace = |seed| {
            let wireless = Bottleneck::new(RATE).codel().wireless(0.1, Duration::from_millis(1));
            let (mut sim, _, mut rivals) = flows(seed, wireless, 0.01, &[RivalKind::Cubic, RivalKind::BbrV1]);
            run(&mut sim, &mut rivals, 5);
            sim.trace()
        };
        assert_eq!(trace(1), trace(1));
        assert_ne!(trace(1), trace(2));
    }

    #[test]
    fn starts_and_stops_when_asked() {
        let (mut sim, _, rivals) = flows(1, Bottleneck::new(RATE).drop_tail(BDP), 0.0, &[RivalKind::Cubic]);
        let start = Instant::ZERO + Duration::from_secs(2);
        let mut rivals: Vec<_> = rivals.into_iter().map(|rival| rival.start_at(start)).collect();
        run(&mut sim, &mut rivals, 2);
        assert_eq!(rivals[0].delivered(), 0);
        let second = Duration::from_secs(1);
        sim.resume(second, &mut [&mut rivals[0], &mut Forever]);
        let after_one = rivals[0].delivered();
        assert!(after_one > RATE / 8 / 2);
        rivals[0].stop();
        sim.resume(second, &mut [&mut rivals[0], &mut Forever]);
        // What was under way: at most twice what the path holds, and a bit.
        let more = rivals[0].delivered() - after_one;
        assert!((1..3 * BDP).contains(&more), "{more}");
        sim.resume(second, &mut [&mut rivals[0], &mut Forever]);
        assert_eq!(rivals[0].delivered(), after_one + more);
    }

    #[test]
    fn the_receiver_knows_what_it_has() {
        let mut receiver = Receiver::default();
        assert_eq!([0, 1, 2].map(|number| receiver.take(number)), [false, true, true]);
        assert_eq!(receiver.acknowledge().collect::<Vec<_>>(), [(0, 2)]);
        assert_eq!([5, 5, 4, 8, 3].map(|number| receiver.take(number)), [true; 5]);
        assert_eq!((receiver.received, receiver.acknowledge().collect::<Vec<_>>()), (7, vec![(8, 8), (0, 5)]));
        (10..300).step_by(2).for_each(|number| _ = receiver.take(number));
        assert!(!receiver.insert(1) && !receiver.insert(9) && receiver.insert(297));
        assert_eq!(receiver.acknowledge().collect::<Vec<_>>()[..2], [(296, 298), (294, 294)]);
    }
}

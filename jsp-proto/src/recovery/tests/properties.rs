//! What holds for every controller, whatever the path, the application and the peer do.

use super::*;

const SECOND: u64 = 1_000 * MS;
const SIZES: [u16; 5] = [1200, 600, 1472, 9000, u16::MAX];
/// Times for which nothing happens, from a nanosecond to a day.
const PAUSES: [u64; 9] = [1, 1_000, MS, 7 * MS, 50 * MS, SECOND, 61 * SECOND, 3_600 * SECOND, 86_400 * SECOND];
/// The rates of [`Fixed`], in bytes per second.
const RATES: [u64; 4] = [1, 10_000, 5_000_000, u64::MAX];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bbr,
    Cubic,
    Fixed(u64),
}

impl Kind {
    fn build(self, size: u16) -> Box<dyn Controller> {
        match self {
            Self::Bbr => Box::new(Bbr::new(size, 7)),
            Self::Cubic => Box::new(Cubic::new(size)),
            Self::Fixed(rate) => Box::new(Fixed::new(size, rate, 100 * MS)),
        }
    }

    /// Datagrams in its smallest window.
    fn least(self) -> u64 {
        if self == Self::Bbr { 4 } else { 2 }
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => Just(Kind::Bbr),
        2 => Just(Kind::Cubic),
        1 => prop::sample::select(&RATES[..]).prop_map(Kind::Fixed),
    ]
}

/// Which packets an ACK names, honest or not.
#[derive(Clone, Debug)]
enum Named {
    /// The newest ones where the bit is set.
    Bits(u64),
    Newest,
    All,
    /// The oldest that are not acknowledged, each `n`-th of them.
    Oldest(usize),
    /// What the last ACK named.
    Again,
}

#[derive(Clone, Debug)]
enum Op {
    /// Up to so many packets; with `patient` the sender waits for the pacer.
    Send {
        count: u8,
        patient: bool,
        retransmission: bool,
    },
    AckOnly,
    Ack {
        named: Named,
        delay: u64,
        ce: u64,
    },
    /// An honest path and an application that always has something to send, for so many packets.
    Path {
        packets: u8,
        delay: u64,
        jitter: u64,
        loss: u8,
    },
    Wait(u64),
    Deadline,
    AppLimited,
    Size(u16),
    Controller(Kind),
}

fn op() -> impl Strategy<Value = Op> {
    let named = prop_oneof![
        4 => any::<u64>().prop_map(Named::Bits),
        3 => Just(Named::Newest),
        2 => Just(Named::All),
        2 => (1usize..5).prop_map(Named::Oldest),
        1 => Just(Named::Again),
    ];
    let lie = prop_oneof![4 => Just(0u64), 1 => 0u64..10_000, 1 => Just((1 << 62) - 1)];
    let marks = prop_oneof![4 => Just(0u64), 1 => 1u64..20, 1 => Just(1u64 << 40)];
    let path = (1u8..200, 0u64..400_000_000, 0u64..30_000_000, 0u8..128);
    prop_oneof![
        6 => (1u8..60, any::<bool>(), any::<bool>())
            .prop_map(|(count, patient, retransmission)| Op::Send { count, patient, retransmission }),
        1 => Just(Op::AckOnly),
        6 => (named, lie, marks).prop_map(|(named, delay, ce)| Op::Ack { named, delay, ce }),
        3 => path.prop_map(|(packets, delay, jitter, loss)| Op::Path { packets, delay, jitter, loss }),
        4 => prop::sample::select(&PAUSES[..]).prop_map(Op::Wait),
        3 => Just(Op::Deadline),
        2 => Just(Op::AppLimited),
        1 => prop::sample::select(&SIZES[..]).prop_map(Op::Size),
        1 => kind().prop_map(Op::Controller),
    ]
}

/// Drives a [`Recovery`] and checks it after every step.
struct World {
    recovery: Recovery<u64>,
    kind: Kind,
    size: u16,
    now: u64,
    random: Drbg,
    /// All packet numbers sent, and those not acknowledged yet.
    sent: Vec<u64>,
    open: Vec<u64>,
    last_ack: Vec<u64>,
    /// ECT(0) marks sent, CE marks reported.
    ect: u64,
    ce: u64,
    /// Packets sent past the window since the last probe timeout.
    past_window: u8,
    /// What the window may have grown to: where it began, and what was acknowledged and, for the model-based
    /// controller, lost since.
    most: u64,
}

impl World {
    fn new(kind: Kind, size: u16) -> Self {
        let random = Drbg::new(&Entropy::new([5; 32]));
        let recovery = Recovery::new(
            Instant::from_nanos(SECOND),
            Settings::new(size, kind.build(size)),
            Drbg::new(&Entropy::new([3; 32])),
        );
        let (sent, open, last_ack) = (Vec::new(), Vec::new(), Vec::new());
        let most = recovery.cwnd();
        let now = SECOND;
        Self { recovery, kind, size, now, random, sent, open, last_ack, ect: 0, ce: 0, past_window: 0, most }
    }

    fn instant(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    fn bytes(&self) -> u64 {
        u64::from(self.size)
    }

    /// A blocked sender waits for one datagram at the pacing rate, or a millisecond; for the controllers that set
    /// their rate by the path that is never more than about half a smoothed round trip.
    fn check_wait(&self, until: Instant) {
        assert!(until > self.instant(), "a wait of nothing");
        let wait = until.nanos_since(self.instant());
        let rate = self.recovery.pacing_rate();
        let datagram = u128::from(self.bytes()) * u128::from(SECOND) / u128::from(rate);
        assert!(u128::from(wait) <= datagram.max(u128::from(MS)) + 1, "{wait} at {rate}");
        let srtt = nanos(self.recovery.srtt());
        if !matches!(self.kind, Kind::Fixed(_)) && rate > 100 {
            assert!(wait <= (srtt / 2).max(MS), "{wait} with a round trip of {srtt}");
        }
    }

    /// Sends one datagram if it may leave, waiting for the pacer if `patient`. Whether it left.
    fn send(&mut self, patient: bool, retransmission: bool) -> bool {
        let bytes = self.bytes();
        match self.recovery.permit(self.instant(), bytes) {
            Permit::Now => {}
            Permit::Paced(until) => {
                self.check_wait(until);
                if !patient {
                    return false;
                }
                self.now = until.as_nanos();
                assert_eq!(self.recovery.permit(until, bytes), Permit::Now, "not at the promised time");
            }
            Permit::Congested => {
                let in_flight = self.recovery.bytes_in_flight();
                assert!(in_flight > 0 && in_flight + bytes > self.recovery.cwnd());
                assert!(self.recovery.deadline().is_some(), "nothing will end this");
                return false;
            }
            Permit::RingFull => return false,
        }
        let probe = self.recovery.probes_pending() > 0;
        let pn = self.recovery.begin();
        self.recovery.record(pn);
        let ecn = self.recovery.ecn();
        self.recovery.commit(self.instant(), self.size, Flags { retransmission, ..Flags::DATA }, ecn);
        self.ect += u64::from(ecn == Ecn::Ect0);
        if probe {
            self.past_window += 1;
            assert!(self.past_window <= PROBES);
        } else {
            assert!(self.recovery.bytes_in_flight() <= self.recovery.cwnd());
        }
        self.sent.push(pn);
        self.open.push(pn);
        true
    }

    fn ack(&mut self, mut pns: Vec<u64>, delay: u64, ce: u64) {
        pns.sort_unstable();
        let mut set = RangeSet::new();
        pns.iter().rev().take(500).for_each(|&pn| _ = set.insert_one(pn));
        if set.is_empty() {
            return;
        }
        self.ce = self.ce.saturating_add(ce).min((1 << 62) - 1);
        let counts = EcnCounts { ect0: self.ect.saturating_sub(self.ce), ect1: 0, ce: self.ce };
        let mut buffer = [0; 1200];
        let mut w = Writer::new(&mut buffer);
        let ranges = set.iter().rev().map(|range| (range.start, range.end - 1));
        write_ack(&mut w, delay, ranges, Some(counts)).unwrap();
        let written = w.written().to_vec();
        let Ok(Frame::Ack(ack)) = Frame::decode(&mut Reader::new(&written)) else { panic!("no ACK") };
        let mut settled = Vec::new();
        let mut sink = |fate: Fate, pn: &u64| settled.push((fate, *pn));
        let summary = self.recovery.on_ack(self.instant(), &ack, true, &mut sink).unwrap();
        self.open.retain(|pn| !settled.iter().any(|(fate, settled)| settled == pn && *fate != Fate::Lost));
        let lost = if self.kind == Kind::Bbr { summary.lost_bytes } else { 0 };
        self.most = self.most.saturating_add(summary.acked_bytes).saturating_add(lost);
        self.last_ack = pns;
    }

    fn named(&self, named: &Named) -> Vec<u64> {
        match named {
            Named::Bits(bits) => {
                let newest = self.sent.iter().rev().take(64).enumerate();
                newest.filter(|(i, _)| bits >> i & 1 == 1).map(|(_, &pn)| pn).collect()
            }
            Named::Newest => self.sent.last().copied().into_iter().collect(),
            Named::All => self.open.clone(),
            Named::Oldest(n) => self.open.iter().copied().step_by(*n).take(50).collect(),
            Named::Again => self.last_ack.clone(),
        }
    }

    /// Sends `packets` into a path that loses `loss` of 256 packets; those that arrive are acknowledged.
    fn path(&mut self, packets: u8, delay: u64, jitter: u64, loss: u8) {
        let mut on_the_way: Vec<(u64, u64)> = Vec::new();
        let mut left = packets;
        for _ in 0..2_000 {
            while left > 0 && self.send(false, false) {
                left -= 1;
                if self.random.below(256) >= u64::from(loss) {
                    let at = self.now + delay + self.random.below(jitter + 1);
                    on_the_way.push((at, *self.sent.last().unwrap()));
                }
            }
            let paced = match self.recovery.permit(self.instant(), self.bytes()) {
                Permit::Paced(until) if left > 0 => Some(until.as_nanos()),
                _ => None,
            };
            let arrival = on_the_way.iter().map(|&(at, _)| at).min();
            let deadline = self.recovery.deadline().map(Instant::as_nanos);
            let Some(next) = [paced, arrival, deadline].into_iter().flatten().min() else { break };
            self.now = self.now.max(next);
            let arrived: Vec<u64> = on_the_way.iter().filter(|(at, _)| *at <= self.now).map(|&(_, pn)| pn).collect();
            on_the_way.retain(|&(at, _)| at > self.now);
            self.ack(arrived, 0, 0);
            if self.recovery.deadline().is_some_and(|at| at <= self.instant()) {
                self.fire();
                left += self.recovery.probes_pending().min(1);
            }
            self.check();
        }
    }

    fn fire(&mut self) {
        let Some(deadline) = self.recovery.deadline() else { return };
        self.now = self.now.max(deadline.as_nanos());
        let lost_before = self.recovery.lost_packets();
        if self.recovery.on_timeout(self.instant(), &mut |_, _| ()) == Timeout::Probe {
            self.past_window = 0;
            assert_eq!(self.recovery.permit(self.instant(), self.bytes()), Permit::Now, "a probe passes everything");
        }
        let lost = (self.recovery.lost_packets() - lost_before) * u64::from(u16::MAX);
        self.most = self.most.saturating_add(if self.kind == Kind::Bbr { lost } else { 0 });
        assert!(self.recovery.deadline().is_none_or(|next| next > self.instant()), "would spin");
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Send { count, patient, retransmission } => {
                let _ = (0..count).take_while(|_| self.send(patient, retransmission)).count();
            }
            Op::AckOnly => {
                if self.recovery.permit(self.instant(), 0) == Permit::Now {
                    let pn = self.recovery.begin();
                    self.recovery.commit(self.instant(), 50, Flags::ACK_ONLY, Ecn::NotEct);
                    self.sent.push(pn);
                }
            }
            Op::Ack { ref named, delay, ce } => self.ack(self.named(named), delay, ce),
            Op::Path { packets, delay, jitter, loss } => self.path(packets, delay, jitter, loss),
            Op::Wait(nanos) => self.now += nanos,
            Op::Deadline => self.fire(),
            Op::AppLimited => self.recovery.set_app_limited(&mut |_, _| ()),
            Op::Size(size) => {
                self.size = size;
                self.recovery.on_datagram_size(size);
                self.most = self.most.max(self.kind.least() * self.bytes());
            }
            Op::Controller(kind) => {
                let in_flight = self.recovery.bytes_in_flight();
                self.kind = kind;
                self.recovery.set_controller(kind.build(self.size));
                assert_eq!(self.recovery.bytes_in_flight(), in_flight);
                self.most = self.recovery.cwnd();
            }
        }
        self.check();
    }

    fn check(&self) {
        let window = self.recovery.cwnd();
        assert!(window >= self.kind.least() * self.bytes(), "a window of {window}");
        if !matches!(self.kind, Kind::Fixed(_)) {
            assert!(window <= self.most, "a window of {window} out of {}", self.most);
        }
        assert!(self.recovery.pacing_rate() > 0);
        if self.recovery.bytes_in_flight() > 0 {
            assert!(self.recovery.deadline().is_some(), "something is in flight and nothing is due");
        }
        let background = self.recovery.controller.background_loss();
        assert!((0.0..=0.5).contains(&background));
        assert!(self.recovery.pto() <= self.recovery.pto_base() * 2 || nanos(self.recovery.pto()) <= MAX_PTO);
    }

    /// Whatever was done to it, a connection whose packets are settled can send.
    fn finish(&mut self) {
        // As many at once as ranges fit into one ACK.
        for some in self.open.clone().chunks(30) {
            self.ack(some.to_vec(), 0, 0);
            self.check();
        }
        assert_eq!(self.recovery.bytes_in_flight(), 0);
        assert_eq!(self.recovery.deadline(), None);
        assert!(self.send(true, false), "nothing is in flight and nothing may be sent");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    /// A permitted packet never passes the window, but for two per probe timeout; the window stays between the
    /// controller's minimum and what acknowledgements have paid for; pacing always ends, within half a round trip or
    /// the time of a datagram; something is always due while something is in flight; nothing overflows.
    #[test]
    fn any_schedule(kind in kind(), size in prop::sample::select(&SIZES[..]), ops in prop::collection::vec(op(), 1..70)) {
        let mut world = World::new(kind, size);
        world.check();
        ops.iter().for_each(|op| world.step(op));
        world.finish();
    }
}

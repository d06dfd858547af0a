//! Loss recovery, congestion control and acknowledgement (RFC 9002, specification section 6).
//!
//! [`Recovery`] owns the sending side of one connection: packet numbers, what each packet carried, round-trip times,
//! loss detection, probe timeouts, the congestion window, pacing and ECN validation. [`Acks`] owns the receiving
//! side: what to acknowledge and when. Neither knows frames beyond ACK: what a packet carried is a list of records of
//! the connection's own type, handed back with the packet's [`Fate`].
//!
//! [`Mtu`] looks for the largest datagram that the path carries. Not here: packet protection, streams, path validation.

mod acks;
pub(crate) mod cc;
mod ecn;
mod feedback;
mod journal;
mod loss;
mod meter;
mod mtu;
mod pacer;
mod path;
mod rate;
mod rtt;
mod sent;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use core::time::Duration;

pub(crate) use acks::{AckRecord, Acks};
pub(crate) use cc::{Bbr, Controller, Cubic, Fixed};
pub(crate) use feedback::FalseRepair;
pub(crate) use journal::Verdict;
pub(crate) use meter::PathLoss;
pub(crate) use mtu::Mtu;
pub(crate) use path::PathModel;
use rate::{RateSampler, SendMark, rate_of};
pub(crate) use sent::Flags;

use crate::ecn::Ecn;
use crate::entropy::{Drbg, Seldom};
use crate::log::Log;
use crate::ranges::RangeSet;
use crate::time::{Instant, nanos};
use crate::wire::header::packet_number_len;
use loss::{Events, Thresholds};
use meter::Meter;
use pacer::Pacer;
use rtt::Rtt;
use sent::{Sent, SentPackets};

/// The most packets remembered at once (specification section 7, row 22).
const MAX_RING: usize = 65_536;
/// Skipped packet numbers that are remembered (specification section 7, row 20).
const MAX_SKIPPED: usize = 64;
/// The backoff of the probe timeout stops doubling here.
const MAX_BACKOFF: u32 = 16;
/// And it waits no longer than this, or twice the timeout itself where that is longer. Two small packets every few
/// seconds harm no network, and a path that comes back is found within seconds instead of minutes.
const MAX_PTO: u64 = 3_000_000_000;
/// Silence after which memory is given back.
const REST: u64 = 1_000_000_000;
/// Where at least this share of packets is lost whatever is sent, retransmissions leave twice if there is room: one
/// that is lost costs the receiver another round trip.
const INSURED_LOSS: f64 = 0.02;
/// Probes per timeout (RFC 9002 section 6.2.4).
const PROBES: u8 = 2;

/// What happened to a packet, told once per record.
///
/// Every record of a committed packet gets exactly one of `Acked`, `Lost` and `Repaired`, unless the connection ends
/// first. `Lost` may be followed by one `Repaired`, and both by one `Late`. `Held` comes before `Lost` or `Repaired`, or
/// `Late` instead of them, for packets that may be repaired. `Probe` may come any number of times before the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The peer has it.
    Acked,
    /// Presumed lost: what is still wanted has to be sent again.
    Lost,
    /// Presumed lost, but the peer may be able to repair it: nothing is sent again until that is decided.
    Held,
    /// It was lost, and the peer repaired it: frames that act in a repaired packet have acted.
    Repaired,
    /// It was called lost, but the peer has it after all. What was not sent again yet need not be.
    Late,
    /// No verdict, but send it again now so that the probe is useful.
    Probe,
}

/// Whether a packet may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    /// Yes.
    Now,
    /// Not before this instant.
    Paced(Instant),
    /// Not before something is acknowledged or lost: the congestion window is full.
    Congested,
    /// Not before the oldest packets are settled: no room to remember another one.
    RingFull,
}

/// What a call of [`Recovery::on_timeout`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// It was too early.
    Nothing,
    /// Packets were declared lost.
    Lost,
    /// The probe timeout passed: packets that the peer must acknowledge are to be sent, and may pass the window.
    Probe,
}

/// An ACK that no honest peer sends; nothing was changed. The connection closes with PROTOCOL_VIOLATION
/// (specification section 7, rows 19 and 20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AckViolation {
    /// A packet number that has not been used yet.
    Unsent,
    /// A packet number that was left out on purpose.
    Skipped,
}

/// What an ACK told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AckSummary {
    /// Packets acknowledged for the first time.
    pub(crate) newly_acked: u32,
    /// Those of them that the peer had to acknowledge.
    pub(crate) newly_acked_eliciting: u32,
    /// Bytes in flight that were acknowledged for the first time.
    pub(crate) acked_bytes: u64,
    pub(crate) largest_newly_acked: Option<u64>,
    /// Packets declared lost because of this ACK.
    pub(crate) lost_packets: u32,
    pub(crate) lost_bytes: u64,
    /// Packets that had been called lost and were not.
    pub(crate) late_packets: u32,
    /// Congestion persisted over several probe timeouts.
    pub(crate) persistent: bool,
    /// New congestion marks.
    pub(crate) ce: u64,
}

/// How a [`Recovery`] starts.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Round-trip time assumed before the first sample.
    pub(crate) initial_rtt: Duration,
    /// Size of the largest datagram in bytes.
    pub(crate) max_datagram: u16,
    /// The peer's max_ack_delay until its parameters arrive.
    pub(crate) max_ack_delay: Duration,
    /// Packets remembered at once, at most 65536.
    pub(crate) ring: usize,
    /// Whether to try ECN.
    pub(crate) ecn: bool,
    pub(crate) controller: Box<dyn Controller>,
}

impl Settings {
    /// The defaults: 333 ms (RFC 9002 section 6.2.2), 25 ms, the largest ring, ECN on.
    pub(crate) fn new(max_datagram: u16, controller: Box<dyn Controller>) -> Self {
        Self {
            initial_rtt: Duration::from_millis(333),
            max_datagram,
            max_ack_delay: Duration::from_millis(25),
            ring: MAX_RING,
            ecn: true,
            controller,
        }
    }
}

/// The sending side of recovery; `R` is what the connection remembers per frame.
///
/// A packet is sent by [`permit`](Self::permit), [`begin`](Self::begin), any number of [`record`](Self::record), and
/// [`commit`](Self::commit) or [`cancel`](Self::cancel). Instants must not decrease.
#[derive(Debug)]
pub(crate) struct Recovery<R> {
    sent: SentPackets<R>,
    rtt: Rtt,
    thresholds: Thresholds,
    events: Events,
    meter: Meter,
    mtu: Mtu,
    pacer: Pacer,
    sampler: RateSampler,
    ecn: ecn::EcnValidator,
    controller: Box<dyn Controller>,
    rng: Rng,
    ring_limit: usize,
    max_datagram: u16,
    peer_max_ack_delay: u64,
    largest_acked: Option<u64>,
    /// Numbers left out on purpose, the latest [`MAX_SKIPPED`].
    skipped: RangeSet,
    /// The next number to leave out.
    skip_at: u64,
    /// When a packet is lost if nothing comes in.
    loss_at: Option<Instant>,
    last_eliciting: Instant,
    /// When a timer last fired: the probe timeout counts from here at the earliest.
    timer_from: Instant,
    /// Since when packets go over the path in use: what was sent before measures another one.
    path_since: Instant,
    pto_count: u32,
    probes: u8,
    /// The first packet with a retransmission that no copy was sent of yet.
    insured: Option<u64>,
    /// What is being retransmitted are copies.
    copying: bool,
    /// Nothing was sent since [`rest`](Self::rest).
    rested: bool,
    sent_packets: u64,
    lost_packets: u64,
    late_packets: u64,
    journal: Log<Verdict>,
}

/// Keeps the generator's state out of debug output.
struct Rng(Seldom);

impl core::fmt::Debug for Rng {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Rng")
    }
}

impl<R: Copy> Recovery<R> {
    pub(crate) fn new(now: Instant, settings: Settings, rng: Drbg) -> Self {
        let mut recovery = Self {
            sent: SentPackets::new(),
            rtt: Rtt::new(nanos(settings.initial_rtt)),
            thresholds: Thresholds::new(),
            events: Events::default(),
            meter: Meter::default(),
            mtu: Mtu::new(settings.max_datagram.max(1)),
            pacer: Pacer::new(now, settings.max_datagram),
            sampler: RateSampler::default(),
            ecn: ecn::EcnValidator::new(settings.ecn),
            controller: settings.controller,
            rng: Rng(Seldom::new(rng)),
            ring_limit: settings.ring.clamp(16, MAX_RING),
            max_datagram: settings.max_datagram.max(1),
            peer_max_ack_delay: nanos(settings.max_ack_delay),
            largest_acked: None,
            skipped: RangeSet::new(),
            skip_at: 0,
            loss_at: None,
            last_eliciting: now,
            timer_from: now,
            path_since: now,
            pto_count: 0,
            probes: 0,
            insured: None,
            copying: false,
            rested: true,
            sent_packets: 0,
            lost_packets: 0,
            late_packets: 0,
            journal: Log::default(),
        };
        recovery.plan_skip();
        recovery
    }

    /// Whether a packet of `bytes` may be sent now. Zero bytes ask for a packet that does not count in flight.
    pub(crate) fn permit(&mut self, now: Instant, bytes: u64) -> Permit {
        // One slot more than the packet needs, for a skipped number.
        if !self.sent.make_room(self.ring_limit - 1) {
            return Permit::RingFull;
        }
        if bytes == 0 {
            return Permit::Now;
        }
        if self.probes > 0 {
            // A probe waits for nothing, but what follows it waits for the probe, too.
            let rate = self.pacing_rate();
            self.pacer.pass(now, rate);
            return Permit::Now;
        }
        if self.sent.in_flight().saturating_add(bytes) > self.controller.cwnd() {
            self.pacer.forget_promise();
            return Permit::Congested;
        }
        let rate = self.pacing_rate();
        match self.pacer.permit(now, bytes, rate) {
            Ok(()) => Permit::Now,
            Err(at) => Permit::Paced(at),
        }
    }

    /// The size of a probe to send now, in search of the largest datagram: [`Flags::MTU_PROBE`]. It takes its share of the
    /// window, and waits for the pacer as any other packet would.
    pub(crate) fn mtu_probe(&mut self, now: Instant) -> Option<u16> {
        let size = self.mtu.next_probe(now).filter(|_| self.pto_count == 0)?;
        let fits = self.sent.in_flight().saturating_add(size.into()) <= self.controller.cwnd();
        (fits && self.permit(now, self.max_datagram.into()) == Permit::Now).then_some(size)
    }

    /// The search for the largest datagram.
    pub(crate) fn mtu(&self) -> &Mtu {
        &self.mtu
    }

    pub(crate) fn mtu_mut(&mut self) -> &mut Mtu {
        &mut self.mtu
    }

    /// The path is another one; its largest datagram is yet to be found.
    pub(crate) fn reset_mtu(&mut self, is_ipv6: bool) {
        self.mtu.reset(self.sent.next_pn(), is_ipv6);
    }

    /// Whether a packet can be remembered. Without room nothing can be sent, so nothing is due either; only what the
    /// peer sends, or the passing of a timeout, makes room again.
    pub(crate) fn has_room(&self) -> bool {
        self.sent.has_room(self.ring_limit - 1)
    }

    /// Probe packets that may and should be sent past the window, each one ack-eliciting.
    #[cfg(test)]
    fn probes_pending(&self) -> u8 {
        self.probes
    }

    /// When to call [`rest`](Self::rest): a second after the last packet, if a burst has left memory behind.
    pub(crate) fn rest_at(&self) -> Option<Instant> {
        let rests = !self.rested && self.sent.eliciting() == 0 && self.sent.is_large();
        rests.then(|| self.last_eliciting.plus_nanos(REST))
    }

    /// The sender has fallen silent: the memory of a burst goes back. Not sooner, because a sender in full flow has
    /// nothing in flight many times a second, too.
    pub(crate) fn rest(&mut self) {
        self.rested = true;
        self.sent.shrink();
    }

    /// Starts a packet and returns its number. Now and then a number is left out: a peer that acknowledges packets
    /// it never saw gives itself away (specification section 7, row 20).
    pub(crate) fn begin(&mut self) -> u64 {
        self.sent.cancel();
        if self.sent.next_pn() == self.skip_at {
            self.skipped.reserve(MAX_SKIPPED + 1);
            self.skipped.insert_one(self.skip_at);
            if self.skipped.len() > MAX_SKIPPED {
                self.skipped.pop_first();
            }
            self.sent.push_skipped();
            self.plan_skip();
        }
        self.sent.next_pn()
    }

    /// Bytes that the number of the packet being built needs on the wire (RFC 9000 section 17.1).
    pub(crate) fn next_pn_len(&self) -> usize {
        packet_number_len(self.sent.next_pn(), self.largest_acked)
    }

    /// Adds what the packet being built carries.
    pub(crate) fn record(&mut self, record: R) {
        self.sent.record(record);
    }

    /// The packet being built will not be sent; its number stays free.
    pub(crate) fn cancel(&mut self) {
        self.sent.cancel();
    }

    /// The packet being built leaves as a datagram of `size` bytes with `ecn` in its IP header.
    pub(crate) fn commit(&mut self, now: Instant, size: u16, flags: Flags, ecn: Ecn) {
        let pn = self.sent.next_pn();
        let bytes = u64::from(size);
        let mut mark = SendMark::default();
        let mut searching = false;
        if flags.in_flight {
            let in_flight = self.sent.in_flight() + bytes;
            mark = self.sampler.on_sent(now, bytes, in_flight);
            searching = self.controller.in_slow_start() && !mark.app_limited;
            self.controller.on_sent();
            self.pacer.on_sent(bytes);
        }
        if flags.retransmission && !self.copying {
            self.insured = Some(self.insured.unwrap_or(pn));
        }
        if flags.ack_eliciting {
            self.last_eliciting = now;
            self.probes = self.probes.saturating_sub(1);
        }
        self.rested = false;
        if flags.in_flight {
            self.mtu.on_sent(pn, size, flags.mtu_probe);
        }
        self.ecn.on_sent(ecn);
        self.sent.push(Sent { now, size, flags, ect: ecn == Ecn::Ect0, searching, mark });
        self.sent_packets += 1;
    }

    /// Picks the next number to leave out, on average one window of packets ahead.
    fn plan_skip(&mut self) {
        let window = (self.controller.cwnd() / u64::from(self.max_datagram)).max(10);
        let ahead = (window / 2 + 1).saturating_add(self.rng.0.below(window));
        self.skip_at = self.sent.next_pn().saturating_add(ahead);
    }

    /// When to call [`on_timeout`](Self::on_timeout); after such a call always later than its `now`.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.loss_at.or_else(|| self.pto_at())
    }

    fn pto_at(&self) -> Option<Instant> {
        let from = self.last_eliciting.max(self.timer_from);
        (self.sent.eliciting() > 0).then(|| from.plus_nanos(nanos(self.pto())))
    }

    /// The connection has nothing more to send. Ignored if that is not what limits it. On a path that is known to lose
    /// packets, what was retransmitted since the last call is shown as [`Fate::Probe`], to be sent a second time.
    pub(crate) fn set_app_limited(&mut self, sink: &mut dyn FnMut(Fate, &R)) {
        let in_flight = self.sent.in_flight();
        if in_flight.saturating_add(u64::from(self.max_datagram)) > self.controller.cwnd() {
            return;
        }
        self.copying = false;
        if let Some(from) = self.insured.take()
            && self.controller.background_loss() >= INSURED_LOSS
        {
            for (_, packet) in self.sent.outstanding_from(from).filter(|(_, packet)| packet.flags.retransmission) {
                self.copying = true;
                self.sent.for_each_record(packet, |record| sink(Fate::Probe, record));
            }
            if self.copying {
                return;
            }
        }
        self.sampler.set_app_limited(in_flight);
        self.controller.set_app_limited();
    }

    /// Goes on with another controller, which starts from nothing. What is in flight stays in flight.
    pub(crate) fn set_controller(&mut self, controller: Box<dyn Controller>) {
        self.controller = controller;
        // The losses of before are not the new controller's to undo, and their event keeps its number: packets of an
        // event that proves wrong later must not speak for one of the new controller.
        self.events.forget();
    }

    /// The peer's max_ack_delay.
    pub(crate) fn set_peer_max_ack_delay(&mut self, delay: Duration) {
        self.peer_max_ack_delay = nanos(delay);
    }

    /// The largest datagram of the path changed.
    pub(crate) fn on_datagram_size(&mut self, max_datagram: u16) {
        self.max_datagram = max_datagram.max(1);
        self.controller.on_mtu(self.max_datagram);
        self.pacer.on_mtu(self.max_datagram);
    }

    /// The largest datagram of the path in use.
    pub(crate) fn max_datagram(&self) -> u16 {
        self.max_datagram
    }

    /// The probe timeout with backoff.
    pub(crate) fn pto(&self) -> Duration {
        let factor = 1u64 << self.pto_count.min(MAX_BACKOFF);
        let base = self.rtt.pto(self.peer_max_ack_delay);
        Duration::from_nanos(base.saturating_mul(factor).min(MAX_PTO.max(base.saturating_mul(2))))
    }

    /// The probe timeout without backoff.
    pub(crate) fn pto_base(&self) -> Duration {
        Duration::from_nanos(self.rtt.pto(self.peer_max_ack_delay))
    }

    /// Probe timeouts since the last acknowledgement.
    pub(crate) fn pto_count(&self) -> u32 {
        self.pto_count
    }

    /// The smoothed round-trip time.
    pub(crate) fn srtt(&self) -> Duration {
        Duration::from_nanos(self.rtt.smoothed())
    }

    /// The last round-trip sample.
    pub(crate) fn latest_rtt(&self) -> Duration {
        Duration::from_nanos(self.rtt.latest())
    }

    /// The smallest round-trip time of the last minutes.
    pub(crate) fn min_rtt(&self) -> Duration {
        Duration::from_nanos(self.rtt.minimum())
    }

    /// How much the round-trip time varies.
    pub(crate) fn rtt_var(&self) -> Duration {
        Duration::from_nanos(self.rtt.variation())
    }

    /// Whether the round-trip time has been measured.
    pub(crate) fn has_rtt(&self) -> bool {
        self.rtt.first_sample().is_some()
    }

    /// The congestion window in bytes.
    pub(crate) fn cwnd(&self) -> u64 {
        self.controller.cwnd()
    }

    /// Bytes in flight.
    pub(crate) fn bytes_in_flight(&self) -> u64 {
        self.sent.in_flight()
    }

    /// The pacing rate in bytes per second: the controller's own, or 1.25 windows per round trip, 2 in slow start.
    pub(crate) fn pacing_rate(&self) -> u64 {
        let rate = self.controller.pacing_rate().unwrap_or_else(|| {
            let gain = if self.controller.in_slow_start() { 200 } else { 125 };
            rate_of(self.controller.cwnd().saturating_mul(gain), self.rtt.smoothed()) / 100
        });
        // A round trip of hours is no reason to wait for ever.
        rate.max(1)
    }

    /// What to put into the IP header of the next packet.
    pub(crate) fn ecn(&self) -> Ecn {
        self.ecn.codepoint()
    }

    /// Whether the path has proved to carry ECN marks.
    pub(crate) fn is_ecn_capable(&self) -> bool {
        self.ecn.is_capable()
    }

    /// Packets sent, all kinds.
    pub(crate) fn sent_packets(&self) -> u64 {
        self.sent_packets
    }

    /// What the path loses.
    pub(crate) fn path_loss(&self) -> PathLoss {
        self.meter.loss()
    }

    /// Packets in flight that were declared lost, those that were not included.
    pub(crate) fn lost_packets(&self) -> u64 {
        self.lost_packets
    }

    /// Packets declared lost that arrived after all.
    pub(crate) fn late_packets(&self) -> u64 {
        self.late_packets
    }
}

//! One connection, several paths: what recovery knows of each is kept apart (RFC 9000 section 9.4, specification
//! section 6.5). Packet numbers and what packets carried belong to the connection and stay.

use alloc::boxed::Box;
use core::time::Duration;

use super::cc::Controller;
use super::loss::{Events, Thresholds};
use super::meter::Meter;
use super::pacer::Pacer;
use super::rate::RateSampler;
use super::rtt::Rtt;
use super::{Fate, PROBES, Recovery};
use crate::time::{Instant, nanos};

/// What recovery knows of a path that is not in use: its round-trip times, its losses, its congestion controller.
#[derive(Debug)]
pub(crate) struct PathModel {
    rtt: Rtt,
    thresholds: Thresholds,
    events: Events,
    meter: Meter,
    pacer: Pacer,
    sampler: RateSampler,
    controller: Box<dyn Controller>,
    max_datagram: u16,
}

impl PathModel {
    /// A path of which nothing is known.
    pub(crate) fn new(now: Instant, initial_rtt: Duration, max_datagram: u16, controller: Box<dyn Controller>) -> Self {
        Self {
            rtt: Rtt::new(nanos(initial_rtt)),
            thresholds: Thresholds::new(),
            events: Events::default(),
            meter: Meter::default(),
            pacer: Pacer::new(now, max_datagram),
            sampler: RateSampler::default(),
            controller,
            max_datagram: max_datagram.max(1),
        }
    }
}

impl<R: Copy> Recovery<R> {
    /// Goes on over another path and gives back what is known of the one so far.
    ///
    /// What is under way was sent over the old path: it counts towards no window, and its round-trip times and losses
    /// say nothing about the new path. It is still acknowledged or lost, as far as its content is concerned.
    pub(crate) fn switch_path(&mut self, now: Instant, path: PathModel) -> PathModel {
        let PathModel { rtt, thresholds, events, meter, pacer, sampler, controller, max_datagram } = path;
        self.sent.ground();
        self.path_since = now;
        self.ecn.restart();
        self.restart_timers(now);
        PathModel {
            rtt: core::mem::replace(&mut self.rtt, rtt),
            thresholds: core::mem::replace(&mut self.thresholds, thresholds),
            events: core::mem::replace(&mut self.events, events),
            meter: core::mem::replace(&mut self.meter, meter),
            pacer: core::mem::replace(&mut self.pacer, pacer),
            sampler: core::mem::replace(&mut self.sampler, sampler),
            controller: core::mem::replace(&mut self.controller, controller),
            max_datagram: core::mem::replace(&mut self.max_datagram, max_datagram),
        }
    }

    /// The peer is elsewhere now: what was sent last is most likely lost. Probes go out at once; the records of the two oldest packets that the peer has to
    /// acknowledge are shown as [`Fate::Probe`].
    pub(crate) fn on_rebound(&mut self, now: Instant, sink: &mut dyn FnMut(Fate, &R)) {
        self.restart_timers(now);
        if self.sent.eliciting() > 0 {
            self.show_probes(sink);
        }
    }

    fn restart_timers(&mut self, now: Instant) {
        self.timer_from = now;
        self.pto_count = 0;
        self.probes = 0;
        self.insured = None;
        self.copying = false;
    }

    /// Lets the next packets pass the window, with what the oldest outstanding ones carried.
    pub(super) fn show_probes(&mut self, sink: &mut dyn FnMut(Fate, &R)) {
        self.probes = PROBES;
        self.sent
            .outstanding_from(self.sent.low())
            .filter(|(_, packet)| packet.flags.ack_eliciting)
            .take(usize::from(PROBES))
            .for_each(|(_, packet)| self.sent.for_each_record(packet, |record| sink(Fate::Probe, record)));
    }
}

//! What exists once the handshake has given keys: packet protection in both directions, and the memory of what was
//! sent and received under them.

use alloc::boxed::Box;
use core::time::Duration;

use super::keys::Keys;
use super::{Connection, Record};
use crate::config::{Congestion, bounds};
use crate::crypto::{Prk, ReplayWindow, Secrets};
use crate::fec;
use crate::recovery::{Acks, Bbr, Controller, Cubic, Fixed, Recovery, Settings};
use crate::time::{Instant, nanos};
use crate::wire::Side;
use crate::wire::cursor::Writer;

/// Packet protection and recovery of one connection.
pub(super) struct Secure {
    pub(super) keys: Keys,
    pub(super) replay: ReplayWindow,
    pub(super) acks: Acks,
    pub(super) recovery: Recovery<Record>,
    pub(super) exporter: Prk,
    pub(super) failures: Failures,
    /// Parity for what this side sends, since it first had something to protect.
    pub(super) fec_tx: Option<Box<fec::Sender>>,
    /// Repairs of what the peer sent, since it first protected something.
    pub(super) fec_rx: Option<Box<fec::Receiver>>,
}

impl Secure {
    /// Writes what is to be acknowledged, if that is news, and with it what was repaired.
    pub(super) fn write_acks(&mut self, now: Instant, w: &mut Writer<'_>) {
        if self.acks.has_new()
            && let Some(record) = self.acks.write(now, w)
        {
            self.recovery.record(Record::Ack(record));
            self.keys.on_ack_sent(record.largest);
            if let Some(fec) = &mut self.fec_rx {
                fec.write_reports(w);
            }
        }
    }
}

impl Connection {
    pub(super) fn controller(&mut self, max_datagram: u16, congestion: Congestion) -> Box<dyn Controller> {
        match congestion {
            Congestion::Bbr => Box::new(Bbr::new(max_datagram, self.rng.u64())),
            Congestion::Cubic => Box::new(Cubic::new(max_datagram)),
            Congestion::FixedRateWithoutCongestionControl { bytes_per_second } => {
                let rtt = nanos(self.config.transport.initial_rtt);
                Box::new(Fixed::new(max_datagram, bytes_per_second, rtt))
            }
        }
    }

    /// Goes on with this controller.
    pub(crate) fn set_congestion(&mut self, congestion: Congestion) {
        self.congestion = congestion;
        let controller = self.controller(self.stats.datagram_size, congestion);
        if let Some(secure) = &mut self.secure {
            secure.recovery.set_controller(controller);
        }
    }

    pub(super) fn secure_from(&mut self, now: Instant, secrets: &Secrets, rtt: Option<Duration>) -> Box<Secure> {
        self.trace.keep_secrets(secrets);
        let (tx, rx) = match self.side {
            Side::Client => (&secrets.client, &secrets.server),
            Side::Server => (&secrets.server, &secrets.client),
        };
        let max_datagram = self.stats.datagram_size;
        let controller = self.controller(max_datagram, self.congestion);
        let transport = &self.config.transport;
        let initial_rtt = rtt.unwrap_or(transport.initial_rtt);
        let settings = Settings { initial_rtt, ..Settings::new(max_datagram, controller) };
        Box::new(Secure {
            keys: Keys::new(now, tx, rx, transport.keys),
            replay: ReplayWindow::new(),
            acks: Acks::new(transport.max_ack_delay),
            recovery: Recovery::new(now, settings, self.rng.fork()),
            exporter: Prk::new(*secrets.exporter.as_bytes()),
            failures: Failures::default(),
            fec_tx: None,
            fec_rx: None,
        })
    }
}

/// Counts packets that fail authentication (specification section 3.5).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    total: u64,
    in_second: u64,
    second_began: Instant,
    blocked_until: Option<Instant>,
}

/// What a failure leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    GoOn,
    /// The integrity limit of the cipher is reached.
    Close,
}

const SECOND: Duration = Duration::from_secs(1);

impl Failures {
    /// Whether packets from elsewhere are dropped unopened for now.
    pub(super) fn blocked(&self, now: Instant) -> bool {
        self.blocked_until.is_some_and(|until| now < until)
    }

    pub(super) fn on_failure(&mut self, now: Instant) -> Verdict {
        if now - self.second_began >= SECOND {
            self.second_began = now;
            self.in_second = 0;
        }
        self.total += 1;
        self.in_second += 1;
        if self.in_second > bounds::AEAD_FAILURES_PER_SECOND {
            self.blocked_until = Some(now + SECOND);
        }
        if self.total >= bounds::AEAD_FAILURES { Verdict::Close } else { Verdict::GoOn }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_failures_blocks_for_a_second() {
        let mut failures = Failures::default();
        let now = Instant::from_nanos(5_000_000_000);
        for _ in 0..bounds::AEAD_FAILURES_PER_SECOND {
            assert_eq!(failures.on_failure(now), Verdict::GoOn);
        }
        assert!(!failures.blocked(now));
        failures.on_failure(now);
        assert!(failures.blocked(now));
        assert!(!failures.blocked(now + SECOND));
    }

    #[test]
    fn the_integrity_limit_closes() {
        let mut failures = Failures { total: bounds::AEAD_FAILURES - 1, ..Failures::default() };
        assert_eq!(failures.on_failure(Instant::ZERO), Verdict::Close);
    }
}

//! The keys of a connection and their phases (specification sections 3.6 and 13, item 23; RFC 9001 section 6).
//!
//! Both directions are in the same phase, except for as long as the first packets of a new one take to cross. Packet
//! numbers go on through all phases, so that a number never meets a key twice. What was needed for an earlier phase is
//! wiped when the next one begins; only the keys to open with outlive it, for late packets, and not for long.

use alloc::boxed::Box;
use core::time::Duration;

use super::Connection;
use crate::config::{KeyUpdates, bounds};
use crate::crypto::PacketKeys;
use crate::crypto::packet::{HeaderKey, Secret};
use crate::time::Instant;

/// Why a key update cannot be started now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyUpdateError {
    /// The connection is over or ending.
    Closed,
    /// The handshake is not confirmed yet.
    NotConfirmed,
    /// The update before is not complete: the peer has not acknowledged anything sent under its keys yet, or did so
    /// less than three probe timeouts or 3 s ago.
    Pending,
}

impl core::fmt::Display for KeyUpdateError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Closed => "the connection is closed",
            Self::NotConfirmed => "the handshake is not confirmed yet",
            Self::Pending => "the key update before is not complete",
        })
    }
}

impl core::error::Error for KeyUpdateError {}

/// Why a packet did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unopened {
    /// It failed under the key of the current phase.
    Forged,
    /// It says that it belongs to another phase, and failed under the key for that.
    Phase,
    /// It is authentic, and begins a phase though nothing of the current one was acknowledged yet: no honest peer sends
    /// it.
    Unasked,
}

/// Where a packet is opened: `payload_at` is the end of its packet number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) pn: u64,
    pub(super) payload_at: usize,
    /// The packet's key phase bit.
    pub(super) key_phase: bool,
}

/// The keys of the phase before, for packets that are late.
struct Old {
    keys: Box<PacketKeys>,
    /// When they are dropped; `None` until the peer has shown that it is in the current phase.
    until: Option<Instant>,
}

/// No packet of the current phase has been opened.
const NONE: u64 = u64::MAX;

/// The keys of one connection in both directions. One of `old` and `next` is always there.
pub(super) struct Keys {
    policy: KeyUpdates,
    /// The phase that packets are opened in, counted from 0; its lowest bit is in each packet.
    phase: u64,
    tx: PacketKeys,
    /// The secret that follows the one of `tx`.
    tx_secret: Secret,
    rx: Box<PacketKeys>,
    old: Option<Old>,
    /// Derived ahead, so that a packet that claims to begin the next phase costs one attempt to open it and nothing
    /// else: neither its sender nor anybody who changed its bits learns anything from the time that takes.
    next: Option<Box<PacketKeys>>,
    /// The secret of `next`; while there is none, that of `rx`.
    rx_secret: Secret,
    /// The smallest packet number opened in the current phase.
    lowest: u64,
    /// An acknowledgement of a packet of the current phase was sent in this phase: the peer may begin the next.
    answered: bool,
    /// The peer has begun the phase, and nothing was sent in it yet.
    behind: bool,
    /// The first packet number sent in the current phase.
    first: u64,
    /// When the next update may be started; `None` until the peer has acknowledged a packet of the current phase.
    allowed_at: Option<Instant>,
    /// The packet number and the time that call for the next update.
    due_pn: u64,
    due_at: Instant,
}

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Keys").field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl Keys {
    /// Takes the secrets of phase 0.
    pub(super) fn new(now: Instant, tx: &Secret, rx: &Secret, policy: KeyUpdates) -> Self {
        let (rx_keys, rx_secret) = (Box::new(PacketKeys::from_secret(rx)), rx.next());
        Self {
            policy,
            phase: 0,
            tx: PacketKeys::from_secret(tx),
            tx_secret: tx.next(),
            old: None,
            next: Some(Box::new(rx_keys.updated(&rx_secret))),
            rx: rx_keys,
            rx_secret,
            lowest: 0,
            answered: true,
            behind: false,
            first: 0,
            allowed_at: None,
            due_pn: policy.packets,
            due_at: now + policy.age,
        }
    }

    /// The key of the headers to come in, the same in all phases.
    pub(super) fn header(&self) -> &HeaderKey {
        self.rx.header()
    }

    /// The phase that packets are opened in, and sent in from the next packet on.
    pub(super) fn phase(&self) -> u64 {
        self.phase
    }

    /// Updates after which the peer, too, has sent something: those of both sides.
    pub(super) fn updates(&self) -> u64 {
        self.phase - u64::from(self.lowest == NONE)
    }

    // ---- receiving

    /// Opens a packet whose header is bare, and gives the length of its plaintext. A packet of the next phase that
    /// opens begins that phase; `pto` is asked for the probe timeout only then.
    pub(super) fn open(
        &mut self,
        now: Instant,
        packet: &mut [u8],
        place: Place,
        pto: impl FnOnce() -> Duration,
    ) -> Result<usize, Unopened> {
        let Place { pn, payload_at, key_phase } = place;
        if key_phase == self.bit() {
            let len = self.rx.open(packet, payload_at, pn).map_err(|_| Unopened::Forged)?;
            if pn < self.lowest {
                self.lower(now, pn, pto);
            }
            return Ok(len);
        }
        let late = pn < self.lowest;
        let old = self.old.as_ref().map(|old| &old.keys);
        // Without the keys of the next phase those of the one before fail in the same time.
        let (keys, is_old) = match (old, &self.next) {
            (Some(old), None) => (old, true),
            (Some(old), Some(_)) if late => (old, true),
            (_, Some(next)) => (next, false),
            (None, None) => return Err(Unopened::Phase),
        };
        let len = keys.open(packet, payload_at, pn).map_err(|_| Unopened::Phase)?;
        match (is_old, late) {
            (true, true) => Ok(len),
            // A packet of the phase before with a number above those of this one: no honest peer sends it.
            (true, false) => Err(Unopened::Phase),
            (false, _) if !self.answered => Err(Unopened::Unasked),
            (false, _) => {
                self.follow(now, pn, pto);
                Ok(len)
            }
        }
    }

    fn bit(&self) -> bool {
        self.phase & 1 == 1
    }

    /// The smallest number of the current phase so far. The first one says that the peer is in this phase.
    fn lower(&mut self, now: Instant, pn: u64, pto: impl FnOnce() -> Duration) {
        if self.lowest == NONE
            && let Some(old) = &mut self.old
        {
            old.until = Some(until(now, pto()));
        }
        self.lowest = pn;
    }

    /// The peer has begun the next phase with packet `pn`.
    fn follow(&mut self, now: Instant, pn: u64, pto: impl FnOnce() -> Duration) {
        let Some(next) = self.next.take() else { return };
        self.enter(next, Some(until(now, pto())));
        self.lowest = pn;
        self.behind = true;
    }

    /// The current phase is over: packets are opened with `next` from now on.
    fn enter(&mut self, next: Box<PacketKeys>, until: Option<Instant>) {
        let keys = core::mem::replace(&mut self.rx, next);
        self.old = Some(Old { keys, until });
        self.phase += 1;
        self.lowest = NONE;
        self.answered = false;
        self.allowed_at = None;
    }

    /// Derives the keys of the phase to come. Never called because a packet came in: the time that takes would show.
    fn derive_next(&mut self) {
        if self.next.is_none() {
            self.rx_secret = self.rx_secret.next();
            self.next = Some(Box::new(self.rx.updated(&self.rx_secret)));
        }
    }

    // ---- sending

    /// The keys and the phase bit for packet `pn`, which must be sealed and sent. An update that is due begins with it.
    pub(super) fn sealing(&mut self, now: Instant, pn: u64) -> (&PacketKeys, bool) {
        if self.behind || pn >= self.due_pn || now >= self.due_at {
            self.turn(now, pn);
        }
        (&self.tx, self.bit())
    }

    fn turn(&mut self, now: Instant, pn: u64) {
        if !self.behind && self.allowed_at.is_some_and(|at| now >= at) {
            // Since `behind` ends with `next`, there is one.
            let Some(next) = self.next.take() else { return };
            self.enter(next, None);
            self.behind = true;
        }
        if self.behind {
            self.tx = self.tx.updated(&self.tx_secret);
            self.tx_secret = self.tx_secret.next();
            self.behind = false;
            self.first = pn;
            self.due_pn = pn.saturating_add(self.policy.packets);
            self.due_at = now + self.policy.age;
            self.derive_next();
        }
    }

    /// The next packet is to begin an update.
    pub(super) fn request(&mut self, now: Instant) -> Result<(), KeyUpdateError> {
        match self.allowed_at {
            Some(at) if now >= at && self.due_pn > 0 => {
                self.due_pn = 0;
                Ok(())
            }
            None if self.phase == 0 => Err(KeyUpdateError::NotConfirmed),
            _ => Err(KeyUpdateError::Pending),
        }
    }

    // ---- acknowledgements

    /// The packet to be sealed next acknowledges packets up to `largest`.
    pub(super) fn on_ack_sent(&mut self, largest: u64) {
        self.answered |= largest >= self.lowest;
    }

    /// The peer has acknowledged packet `largest`, and maybe others below.
    pub(super) fn on_acked(&mut self, now: Instant, largest: u64, pto: impl FnOnce() -> Duration) {
        // A peer that acknowledges a phase and stays in the one before would be left behind by two.
        let followed = self.lowest != NONE && !self.behind;
        if self.allowed_at.is_none() && followed && largest >= self.first {
            let wait = match self.phase {
                0 => Duration::ZERO,
                _ => pto().saturating_mul(3).max(bounds::KEY_UPDATE_WAIT),
            };
            self.allowed_at = Some(now + wait);
        }
    }

    // ---- time

    /// When the keys of the phase before are to be dropped.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.old.as_ref().and_then(|old| old.until)
    }

    /// Does what is due at the [`deadline`](Self::deadline).
    pub(super) fn on_timeout(&mut self, now: Instant) {
        if self.deadline().is_some_and(|at| now >= at) {
            self.derive_next();
            self.old = None;
        }
    }
}

/// How long the keys of the phase before are kept once the peer is in the next one.
fn until(now: Instant, pto: Duration) -> Instant {
    now + pto.saturating_mul(3).min(bounds::OLD_KEYS_LIFETIME)
}

impl Connection {
    /// Changes the keys with the next packet, and sees to it that there is one.
    pub(crate) fn update_keys(&mut self, now: Instant) -> Result<(), KeyUpdateError> {
        if !self.life.is_live() {
            return Err(KeyUpdateError::Closed);
        }
        let secure = self.secure.as_mut().filter(|_| self.confirmed).ok_or(KeyUpdateError::NotConfirmed)?;
        secure.keys.request(now)?;
        self.control.send_ping();
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests/keys.rs"]
mod tests;

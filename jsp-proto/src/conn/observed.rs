//! The address at which the peer sees this side, and the other way round (OBSERVED_ADDR, specification sections 4 and
//! 6.6). Told to peers that asked for it; the latest word counts, and an older one is never repeated.

use core::net::SocketAddr;
use core::time::Duration;

use crate::bucket::Bucket;
use crate::config::bounds;
use crate::time::Instant;
use crate::wire::cursor::Writer;
use crate::wire::frame::Frame;

/// A PING after so much silence asks whether the address is still the same.
const SILENCE: Duration = Duration::from_secs(20);

/// What was told and what was heard.
#[derive(Debug)]
pub(crate) struct Observed {
    /// The peer wants to be told.
    wanted: bool,
    /// The peer's address, as it is seen here.
    theirs: SocketAddr,
    pending: bool,
    next_seq: u64,
    /// This side's address, as the peer sees it, and the number of that word.
    ours: Option<(u64, SocketAddr)>,
    heard: Bucket,
    /// When the latest packet of the peer came in, and how long it had been silent before.
    packet_at: Instant,
    silence: Duration,
}

/// What a word of the peer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Older than what is known.
    Nothing,
    /// Too many of them.
    Flood,
    /// The address it is seen at for the first time.
    First,
    /// The same as before.
    Same,
    /// Another one than before.
    Changed,
}

impl Observed {
    pub(crate) fn new(now: Instant, theirs: SocketAddr) -> Self {
        let heard = Bucket::new(now, bounds::ADDRESS_REPORTS_PER_SECOND, bounds::ADDRESS_REPORT_BURST);
        Self {
            wanted: false,
            theirs,
            pending: false,
            next_seq: 0,
            ours: None,
            heard,
            packet_at: now,
            silence: Duration::ZERO,
        }
    }

    /// The peer wants to be told at which address it is seen: now, and whenever that is news.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
        self.tell();
    }

    fn tell(&mut self) {
        self.pending = self.wanted;
    }

    /// The peer is seen at this address now.
    pub(crate) fn set(&mut self, theirs: SocketAddr) {
        if theirs != self.theirs {
            self.theirs = theirs;
            self.tell();
        }
    }

    /// A packet of the peer came in.
    pub(crate) fn on_packet(&mut self, now: Instant) {
        self.silence = now - self.packet_at;
        self.packet_at = now;
    }

    /// There is a PING in it.
    pub(crate) fn on_ping(&mut self) {
        if self.silence >= SILENCE {
            self.tell();
        }
    }

    pub(crate) fn wants_to_send(&self) -> bool {
        self.pending
    }

    /// Writes what is pending, if it fits.
    pub(crate) fn write(&mut self, w: &mut Writer<'_>) {
        if self.pending && (Frame::ObservedAddr { seq: self.next_seq, addr: self.theirs }).encode(w).is_ok() {
            self.pending = false;
            self.next_seq += 1;
        }
    }

    /// The peer says where it sees this side.
    pub(crate) fn on_frame(&mut self, now: Instant, seq: u64, address: SocketAddr) -> Heard {
        if self.ours.is_some_and(|(known, _)| seq <= known) {
            return Heard::Nothing;
        }
        if !self.heard.take(now) {
            return Heard::Flood;
        }
        match self.ours.replace((seq, address)) {
            None => Heard::First,
            Some((_, before)) if before == address => Heard::Same,
            Some(_) => Heard::Changed,
        }
    }

    /// Where the peer sees this side.
    pub(crate) fn ours(&self) -> Option<SocketAddr> {
        self.ours.map(|(_, address)| address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], 9))
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn written(observed: &mut Observed) -> Option<(u64, SocketAddr)> {
        let mut buffer = [0; 50];
        let mut w = Writer::new(&mut buffer);
        observed.write(&mut w);
        let len = w.position();
        match Frame::decode(&mut crate::wire::Reader::new(&buffer[..len])) {
            Ok(Frame::ObservedAddr { seq, addr }) => Some((seq, addr)),
            _ => None,
        }
    }

    fn ping(observed: &mut Observed, seconds: u64) {
        observed.on_packet(at(seconds));
        observed.on_ping();
    }

    #[test]
    fn a_peer_that_asked_is_told_of_its_address_and_of_each_change() {
        let mut observed = Observed::new(at(0), address(1));
        observed.set(address(2));
        ping(&mut observed, 100);
        assert_eq!(written(&mut observed), None, "it did not ask");
        observed.want();
        assert!(observed.wants_to_send());
        observed.write(&mut Writer::new(&mut [0; 5]));
        assert_eq!(written(&mut observed), Some((0, address(2))));
        observed.set(address(2));
        ping(&mut observed, 119);
        assert_eq!(written(&mut observed), None, "nothing new");
        ping(&mut observed, 139);
        assert_eq!(written(&mut observed), Some((1, address(2))));
        observed.set(address(3));
        observed.set(address(4));
        assert_eq!(written(&mut observed), Some((2, address(4))), "only the latest");
    }

    #[test]
    fn the_latest_word_counts_and_a_flood_is_ignored() {
        let mut observed = Observed::new(at(0), address(1));
        assert_eq!(observed.on_frame(at(0), 5, address(1)), Heard::First);
        assert_eq!(observed.on_frame(at(0), 4, address(9)), Heard::Nothing);
        assert_eq!(observed.on_frame(at(0), 6, address(1)), Heard::Same);
        assert_eq!(observed.on_frame(at(0), 8, address(2)), Heard::Changed);
        assert_eq!(observed.ours(), Some(address(2)));
        let taken = (9..1000).filter(|&seq| observed.on_frame(at(0), seq, address(3)) != Heard::Flood).count();
        assert_eq!(taken as u32, bounds::ADDRESS_REPORT_BURST - 3);
        assert_eq!(observed.on_frame(at(1), 1000, address(4)), Heard::Changed);
    }
}

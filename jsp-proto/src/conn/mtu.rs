//! The size of the connection's datagrams (specification section 6.4): probes that look for larger ones, and who is to
//! know of a new size. What to try and what to make of the answers is the [search's](crate::recovery::Mtu) to say.

use super::correct::conditions;
use super::seal::begin;
use super::tx::Sent;
use super::{Connection, Path};
use crate::Ecn;
use crate::recovery::Flags;
use crate::time::Instant;
use crate::wire::frame::Frame;

impl Path {
    /// Whether its datagrams have the headers of IPv6.
    fn is_ipv6(&self) -> bool {
        self.remote.ip().to_canonical().is_ipv6()
    }
}

impl Connection {
    /// The peer accepts datagrams of `theirs` bytes: the search may begin.
    pub(super) fn search_mtu(&mut self, now: Instant, theirs: u64) {
        let (base, limit) = self.config.transport.sizes.towards(theirs);
        let is_ipv6 = self.path().is_ipv6();
        if let Some(secure) = &mut self.secure {
            secure.recovery.mtu_mut().search(base, limit, is_ipv6);
        }
        self.follow_mtu(now);
    }

    /// The path is another one, whose datagrams may have to be smaller.
    pub(super) fn reset_mtu(&mut self, now: Instant) {
        let is_ipv6 = self.path().is_ipv6();
        if let Some(secure) = &mut self.secure {
            secure.recovery.reset_mtu(is_ipv6);
        }
        self.follow_mtu(now);
    }

    /// Makes everybody use the size of datagrams that the search has come to.
    pub(super) fn follow_mtu(&mut self, now: Instant) {
        let Some(secure) = &mut self.secure else { return };
        let size = secure.recovery.mtu().size();
        if size != self.stats.datagram_size {
            self.stats.datagram_size = size;
            secure.recovery.on_datagram_size(size);
            if let Some(fec) = &mut secure.fec_tx {
                fec.close_all(&conditions(now, &secure.recovery));
            }
        }
    }

    /// Sends a probe, as a datagram of its own, if one is due.
    pub(super) fn transmit_mtu_probe(&mut self, now: Instant, out: &mut [u8]) -> Sent {
        self.build_mtu_probe(now, out).unwrap_or(Sent::Nothing)
    }

    fn build_mtu_probe(&mut self, now: Instant, out: &mut [u8]) -> Option<Sent> {
        let cid = self.remote_cid();
        let secure = self.secure.as_deref_mut().filter(|_| self.confirmed)?;
        let size = secure.recovery.mtu_probe(now)?;
        if !self.paths.in_use().allows(size.into()) {
            return None;
        }
        let room = out.len();
        let Some(slot) = out.get_mut(..size.into()) else {
            secure.recovery.mtu_mut().cap(u16::try_from(room).unwrap_or(u16::MAX));
            return None;
        };
        let (layout, mut w) = begin(&mut secure.recovery, &cid, slot)?;
        Frame::Ping.encode(&mut w).and_then(|()| w.zeros(w.remaining())).ok()?;
        // Without a mark: what becomes of it must not count for or against the path's treatment of marks.
        self.seal(now, layout, slot, Flags::MTU_PROBE, Ecn::NotEct)?;
        let len = usize::from(size);
        Some(self.sent_over_path_in_use(len, len, Ecn::NotEct))
    }
}

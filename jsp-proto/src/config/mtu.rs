//! How large datagrams may be (specification section 6.4).

use super::{ConfigBuilder, ConfigError, check};

/// Sizes of datagrams, in bytes of UDP payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// The largest to send or accept.
    pub(crate) max: u16,
    /// What connections begin with.
    pub(crate) initial: u16,
    /// Whether larger ones are tried.
    pub(crate) discovery: bool,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { max: 8972, initial: 1200, discovery: true }
    }
}

impl Sizes {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check(self.max >= 1200, "max_udp_payload is at least 1200 bytes")?;
        check(self.max <= 65_527, "max_udp_payload is at most 65,527 bytes")?;
        check(self.initial >= 1200, "initial_mtu is at least 1200 bytes")
    }

    /// What connections begin with.
    pub(crate) fn first(&self) -> u16 {
        self.initial.min(self.max)
    }

    /// The smallest and the largest datagram to send to a peer that accepts `theirs` bytes.
    pub(crate) fn towards(&self, theirs: u64) -> (u16, u16) {
        let theirs = u16::try_from(theirs).unwrap_or(u16::MAX);
        let first = self.first().min(theirs);
        (first, if self.discovery { self.max.min(theirs) } else { first })
    }
}

impl ConfigBuilder {
    /// The largest datagram to send or accept, in bytes of UDP payload, 1200 to 65527. Default: 8972, which fits jumbo
    /// frames of 9000 bytes with IPv4. Datagrams above [`initial_mtu`](Self::initial_mtu) are sent only where
    /// [`mtu_discovery`](Self::mtu_discovery) has found that they get through.
    pub fn max_udp_payload(mut self, bytes: u16) -> Self {
        self.config.transport.sizes.max = bytes;
        self
    }

    /// The size of the datagrams that connections begin with, in bytes of UDP payload, 1200 up to what
    /// [`max_udp_payload`](Self::max_udp_payload) and the peer allow. Default: 1200, which every path carries. The
    /// program vouches for a larger value: smaller datagrams are never tried, and too large ones are lost without a
    /// word.
    pub fn initial_mtu(mut self, bytes: u16) -> Self {
        self.config.transport.sizes.initial = bytes;
        self
    }

    /// Whether to look for the largest datagram that a path carries: while data fills datagrams, a larger one of padding
    /// is sent now and then, and its size is used if it arrives. Up to [`max_udp_payload`](Self::max_udp_payload) of
    /// both sides, and never beyond the buffers given to [`Endpoint::poll`](crate::Endpoint::poll). Datagrams become
    /// small again when large ones cease to arrive. Needs a socket that does not let the system fragment datagrams.
    /// Default: yes.
    pub fn mtu_discovery(mut self, on: bool) -> Self {
        self.config.transport.sizes.discovery = on;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_limit_the_search() {
        let sizes = Sizes::default();
        assert_eq!(sizes.towards(1472), (1200, 1472));
        assert_eq!(sizes.towards(65_527), (1200, 8972));
        assert_eq!(Sizes { discovery: false, ..sizes }.towards(9000), (1200, 1200));
        assert_eq!(Sizes { initial: 4000, ..sizes }.towards(1472), (1472, 1472));
        assert_eq!(Sizes { initial: 1400, max: 1300, discovery: true }.towards(9000), (1300, 1300));
    }
}

//! Where peers may be: what keeps somebody who can forge addresses from aiming this endpoint at others (specification
//! section 6.5).

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::ConfigBuilder;

/// Ports of services that answer whoever asks, with more than they were asked: DNS, NTP, SNMP, SSDP and memcached.
const REFLECTORS: [u16; 5] = [53, 123, 161, 1900, 11_211];

/// Which addresses a client may move its connection to.
///
/// Always denied are port 0 and addresses that name nobody or many: unspecified, broadcast and multicast. A client at a
/// public address can furthermore not move to a private, link-local or loopback one, where its packets could not come
/// from, nor to a port of the services by which attacks are reflected (53, 123, 161, 1900, 11211).
#[derive(Clone)]
pub struct AddressFilter {
    denied_ports: Box<[u16]>,
    rule: Option<Arc<dyn Fn(SocketAddr, SocketAddr) -> bool + Send + Sync>>,
}

impl Default for AddressFilter {
    fn default() -> Self {
        Self { denied_ports: Box::from(REFLECTORS), rule: None }
    }
}

impl fmt::Debug for AddressFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddressFilter")
            .field("denied_ports", &self.denied_ports)
            .field("rule", &self.rule.is_some())
            .finish()
    }
}

impl AddressFilter {
    /// Denies these ports instead of the usual ones.
    #[must_use]
    pub fn deny_ports(mut self, ports: &[u16]) -> Self {
        self.denied_ports = Box::from(ports);
        self
    }

    /// Denies also what `rule` says no to. It is asked with the address so far and the new one, for each datagram from
    /// an unknown address that a client has proved to have made, and must answer the same at all times.
    #[must_use]
    pub fn also(mut self, rule: impl Fn(SocketAddr, SocketAddr) -> bool + Send + Sync + 'static) -> Self {
        self.rule = Some(Arc::new(rule));
        self
    }

    /// Whether a connection may move.
    pub(crate) fn allows_move(&self, from: SocketAddr, to: SocketAddr) -> bool {
        names_one(to)
            && !self.denied_ports.contains(&to.port())
            && (is_public(to.ip()) || !is_public(from.ip()))
            && self.rule.as_ref().is_none_or(|rule| rule(from, to))
    }
}

/// Whether an address can be that of one host: nothing is ever sent to another.
pub(crate) fn names_one(address: SocketAddr) -> bool {
    let one = match address.ip().to_canonical() {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_broadcast() && !ip.is_multicast(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
    };
    one && address.port() != 0
}

fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || is_shared(ip)),
        IpAddr::V6(ip) => !(ip.is_loopback() || is_unique_local(ip) || is_link_local(ip)),
    }
}

/// 100.64.0.0/10, behind the NATs of providers (RFC 6598).
fn is_shared(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    a == 100 && b & 0xc0 == 64
}

fn is_unique_local(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xfe00 == 0xfc00
}

fn is_link_local(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xffc0 == 0xfe80
}

impl ConfigBuilder {
    /// Server: which addresses clients may move their connections to. Default: see [`AddressFilter`].
    pub fn address_filter(mut self, filter: AddressFilter) -> Self {
        self.config.address_filter = filter;
        self
    }

    /// Server: whether clients may move their connections to another network. Without, clients are told, and only a new
    /// port of the same host is followed, as a NAT gives it. Default: yes.
    pub fn allow_migration(mut self, allow: bool) -> Self {
        self.config.allow_migration = allow;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn nobody_is_aimed_at_what_they_cannot_be() {
        let filter = AddressFilter::default();
        let allows = |from: &str, to: &str| filter.allows_move(address(from), address(to));
        for to in ["203.0.113.9:0", "224.0.0.1:5", "255.255.255.255:5", "0.0.0.0:5", "[::]:5", "[ff02::1]:5"] {
            assert!(!allows("198.51.100.7:1000", to) && !allows("10.0.0.7:1000", to), "{to}");
        }
        for to in ["127.0.0.1:5", "10.1.2.3:5", "192.168.0.1:5", "169.254.1.1:5", "100.64.0.1:5", "[::1]:5"] {
            assert!(!allows("198.51.100.7:1000", to), "{to}");
            assert!(allows("10.0.0.7:1000", to) && allows("[fd00::1]:1000", to), "{to}");
        }
        for to in ["[fe80::1]:5", "[fd00::1]:5", "[::ffff:127.0.0.1]:5"] {
            assert!(!allows("[2001:db8::7]:1000", to), "{to}");
        }
        assert!(allows("10.0.0.7:1000", "198.51.100.7:1000") && allows("198.51.100.7:1", "203.0.113.9:100"));
        for port in REFLECTORS {
            assert!(!filter.allows_move(address("10.0.0.7:9"), SocketAddr::from(([10, 0, 0, 7], port))));
        }
    }

    #[test]
    fn a_program_may_deny_more() {
        let filter = AddressFilter::default().deny_ports(&[7]).also(|from, to| from.port() == to.port());
        let from = address("10.0.0.7:9");
        assert!(filter.allows_move(from, address("10.0.0.8:9")));
        assert!(!filter.allows_move(from, address("10.0.0.8:10")));
        assert!(!filter.allows_move(address("10.0.0.7:7"), address("10.0.0.8:7")));
        assert!(filter.allows_move(address("10.0.0.7:53"), address("10.0.0.8:53")));
    }
}

//! Addresses with a pin: `HOST:PORT#jsp1-...`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use jsp_proto::KeyId;

use crate::status::{JSP_ERROR_ADDRESS, JSP_ERROR_INVALID_KEY_ID, JspError};

/// Where to connect: what the host's name stands for, and the pinned key's id, if there is one.
pub(super) fn resolve(text: &str) -> Result<(Vec<SocketAddr>, Option<KeyId>), JspError> {
    let (host, pin) = match text.split_once('#') {
        Some((host, pin)) => (host, Some(pin.parse().map_err(|_| JSP_ERROR_INVALID_KEY_ID)?)),
        None => (text, None),
    };
    let addresses: Vec<SocketAddr> = host.to_socket_addrs().map_err(|_| JSP_ERROR_ADDRESS)?.collect();
    if addresses.is_empty() { Err(JSP_ERROR_ADDRESS) } else { Ok((addresses, pin)) }
}

/// Where to bind in order to reach an address.
pub(super) fn any_address(remote: SocketAddr) -> SocketAddr {
    match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_carry_a_pin() {
        let id = "jsp1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        let address = "127.0.0.1:8080".parse().expect("an address");
        assert_eq!(resolve("127.0.0.1:8080"), Ok((vec![address], None)));
        assert_eq!(resolve(&format!("127.0.0.1:8080#{id}")), Ok((vec![address], Some(KeyId::ZERO))));
        assert_eq!(resolve("127.0.0.1:8080#jsp1-short"), Err(JSP_ERROR_INVALID_KEY_ID));
        assert_eq!(resolve("127.0.0.1"), Err(JSP_ERROR_ADDRESS));
        assert_eq!(resolve("127.0.0.1:99999"), Err(JSP_ERROR_ADDRESS));
    }
}

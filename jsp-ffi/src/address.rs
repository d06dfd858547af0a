//! Addresses, free of any platform's `sockaddr`.

use std::ffi::c_char;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::guard::catch;
use crate::memory::{put, put_text, read_only, text};
use crate::status::{JSP_ERROR_ADDRESS, JSP_ERROR_INVALID_ARGUMENT, JspError};

/// No address.
pub const JSP_FAMILY_NONE: u8 = 0;
/// IPv4.
pub const JSP_FAMILY_IPV4: u8 = 4;
/// IPv6.
pub const JSP_FAMILY_IPV6: u8 = 6;

/// An IP address and a UDP port. `jsp_socket.h` converts from and to `struct sockaddr`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JspAddress {
    /// `JSP_FAMILY_IPV4`, `JSP_FAMILY_IPV6`, or `JSP_FAMILY_NONE` where the address is not known.
    pub family: u8,
    /// Zero.
    pub reserved: u8,
    /// The port, in the machine's byte order.
    pub port: u16,
    /// The interface of a link-local IPv6 address; otherwise 0.
    pub scope_id: u32,
    /// The address in network byte order: 4 bytes of it for IPv4, 16 for IPv6.
    pub ip: [u8; 16],
}

impl From<SocketAddr> for JspAddress {
    fn from(address: SocketAddr) -> Self {
        let mut ip = [0; 16];
        let (family, scope_id) = match address {
            SocketAddr::V4(v4) => {
                ip[..4].copy_from_slice(&v4.ip().octets());
                (JSP_FAMILY_IPV4, 0)
            }
            SocketAddr::V6(v6) => {
                ip = v6.ip().octets();
                (JSP_FAMILY_IPV6, v6.scope_id())
            }
        };
        Self { family, reserved: 0, port: address.port(), scope_id, ip }
    }
}

impl From<Option<SocketAddr>> for JspAddress {
    fn from(address: Option<SocketAddr>) -> Self {
        address.map_or_else(Self::default, Self::from)
    }
}

impl JspAddress {
    /// The address, if there is one.
    pub(crate) fn get(&self) -> Result<Option<SocketAddr>, JspError> {
        let [a, b, c, d, ..] = self.ip;
        match self.family {
            JSP_FAMILY_NONE => Ok(None),
            JSP_FAMILY_IPV4 => Ok(Some(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), self.port).into())),
            JSP_FAMILY_IPV6 => {
                let v6 = SocketAddrV6::new(Ipv6Addr::from(self.ip), self.port, 0, self.scope_id);
                // A socket of IPv6 speaks of IPv4 in mapped addresses; the protocol knows each address by one name.
                Ok(Some(match v6.ip().to_canonical() {
                    IpAddr::V4(v4) => SocketAddrV4::new(v4, self.port).into(),
                    IpAddr::V6(_) => v6.into(),
                }))
            }
            _ => Err(JSP_ERROR_INVALID_ARGUMENT),
        }
    }

    /// The address, which must be there.
    pub(crate) fn required(&self) -> Result<SocketAddr, JspError> {
        self.get()?.ok_or(JSP_ERROR_INVALID_ARGUMENT)
    }
}

/// Reads an address such as `127.0.0.1:4433` or `[::1]:4433`. Looks nothing up.
///
/// Errors: `JSP_ERROR_ADDRESS` if it is none.
///
/// # Safety
/// `address` ends with a zero byte; `out` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_address_parse(address: *const c_char, out: *mut JspAddress) -> JspError {
    catch(|| {
        // SAFETY: the caller's promise.
        let address: SocketAddr = unsafe { text(address) }?.parse().map_err(|_| JSP_ERROR_ADDRESS)?;
        // SAFETY: the caller's promise.
        unsafe { put(out, address.into()) }
    })
}

/// Bytes that hold any address as text, with the zero byte at its end.
pub const JSP_ADDRESS_TEXT: usize = 64;

/// Writes an address as text into `out`, which has `JSP_ADDRESS_TEXT` bytes, with a zero byte at its end.
///
/// Errors: `JSP_ERROR_INVALID_ARGUMENT` if there is no address in it.
///
/// # Safety
/// `address` may be read and `out` written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_address_format(address: *const JspAddress, out: *mut c_char) -> JspError {
    catch(|| {
        // SAFETY: the caller's promise.
        let address = unsafe { read_only(address) }?;
        let text = address.required()?.to_string();
        // SAFETY: the caller's promise.
        unsafe { put_text(&text, out, JSP_ADDRESS_TEXT) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_both_ways() {
        for text in ["127.0.0.1:4433", "[::1]:1", "[fe80::1%7]:65535", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(JspAddress::from(address).get(), Ok(Some(address)));
        }
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:9".parse().expect("an address");
        assert_eq!(JspAddress::from(mapped).get(), Ok("10.0.0.1:9".parse().ok()));
        assert_eq!(JspAddress::default().get(), Ok(None));
        assert!(JspAddress { family: 5, ..JspAddress::default() }.get().is_err());
    }
}

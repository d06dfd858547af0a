//! Address tokens, the key offer and stateless reset tokens (specification sections 2.9 and 3.8).

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::kdf::{Prk, expand};
use super::kem::{InvalidKey, PUBLIC_KEY_LEN, PublicKey};
pub use super::new_token::{NewToken, NewTokenKey};
use super::transcript::lp8;

/// Longest token that a server hands out (specification section 13, item 10).
pub const MAX_TOKEN: usize = 64;
/// Seconds that a retry token is accepted for.
pub const RETRY_LIFETIME: u32 = 10;
/// Seconds that the clock of another server of the same cluster may be ahead.
pub const CLOCK_SKEW: u32 = 2;
/// Longest endorsement in a key offer.
pub const MAX_ENDORSEMENT: usize = 1024;

const RETRY: u8 = 1;
const NEW: u8 = 2;

secrets! {
    /// Makes and checks address tokens (K_tok). Servers behind one address share it.
    TokenKey;
    /// Gives each period its [`TokenKey`]. Whoever shares it has the same keys at the same time.
    TokenSecret;
    /// Makes stateless reset tokens (K_reset).
    ResetKey;
}

/// HMAC-SHA-256, cut to the 16 bytes that all uses here have.
fn mac16(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    };
    for part in parts {
        mac.update(part);
    }
    let full: [u8; 32] = mac.finalize().into_bytes().into();
    let mut out = [0; 16];
    out.copy_from_slice(&full[..16]);
    out
}

/// An IP address as 16 bytes; IPv4 is mapped.
pub fn ip16(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// An address as tokens bind it: 16 bytes of IP and the port.
pub fn address18(address: SocketAddr) -> [u8; 18] {
    let mut out = [0; 18];
    let (ip, port) = out.split_at_mut(16);
    ip.copy_from_slice(&ip16(address.ip()));
    port.copy_from_slice(&address.port().to_be_bytes());
    out
}

/// Whether `issued` lies in the last `lifetime` seconds, or slightly ahead.
pub(super) fn in_time(issued: u32, now: u32, lifetime: u32) -> bool {
    (now.saturating_sub(lifetime)..=now.saturating_add(CLOCK_SKEW)).contains(&issued)
}

/// A retry token with the space it needs, kept off the heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryToken {
    bytes: [u8; Self::MAX],
    len: usize,
}

impl RetryToken {
    const MAX: usize = 1 + 4 + 1 + 16 + 16;

    /// The token as it crosses the wire.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl TokenKey {
    /// The 16 bytes from which the connection id of a RETRY or KEYINFO is made. `issued` is in seconds.
    pub fn retry_cid(&self, issued: u32, odcid: &[u8], address: SocketAddr) -> [u8; 16] {
        let issued = issued.to_be_bytes();
        mac16(self.as_bytes(), &[b"jsp1 retry cid", &issued, &lp8(odcid), odcid, &address18(address)])
    }

    fn retry_mac(&self, issued: u32, odcid: &[u8], rscid: &[u8], address: SocketAddr) -> [u8; 16] {
        let parts: [&[u8]; 8] = [
            b"jsp1 retry token",
            &[RETRY],
            &issued.to_be_bytes(),
            &lp8(odcid),
            odcid,
            &lp8(rscid),
            rscid,
            &address18(address),
        ];
        mac16(self.as_bytes(), &parts)
    }

    /// Makes the token that a client at `address`, whose packet went to `odcid`, brings back to `rscid`.
    /// `None` if `odcid` is longer than a connection id may be.
    pub fn retry_token(&self, issued: u32, odcid: &[u8], rscid: &[u8], address: SocketAddr) -> Option<RetryToken> {
        if odcid.len() > 16 {
            return None;
        }
        let mac = self.retry_mac(issued, odcid, rscid, address);
        let mut token = RetryToken { bytes: [0; RetryToken::MAX], len: 0 };
        let fields: [&[u8]; 5] = [&[RETRY], &issued.to_be_bytes(), &lp8(odcid), odcid, &mac];
        for (slot, byte) in token.bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *slot = *byte;
            token.len += 1;
        }
        Some(token)
    }

    /// Checks a token of type 01 in a packet to `dcid` from `address` at second `now`; gives the odcid it proves.
    pub fn verify_retry<'a>(&self, token: &'a [u8], dcid: &[u8], address: SocketAddr, now: u32) -> Option<&'a [u8]> {
        let (&[ty, i0, i1, i2, i3, len], rest) = token.split_first_chunk()?;
        let (odcid, mac) = rest.split_at_checked(usize::from(len))?;
        if ty != RETRY || odcid.len() > 16 {
            return None;
        }
        let issued = u32::from_be_bytes([i0, i1, i2, i3]);
        // Cheaper than the check of the key, and no secret.
        if !in_time(issued, now, RETRY_LIFETIME) {
            return None;
        }
        let expected = self.retry_mac(issued, odcid, dcid, address);
        let genuine: bool = expected.ct_eq(mac).into();
        genuine.then_some(odcid)
    }
}

/// Whether `token` says that it is of type 01: if it then does not verify, the hello is not worth a decapsulation
/// (specification section 13, item 2).
pub fn is_retry_token(token: &[u8]) -> bool {
    token.first() == Some(&RETRY)
}

/// Whether `token` says that it is of type 02.
pub fn is_new_token(token: &[u8]) -> bool {
    token.first() == Some(&NEW)
}

impl TokenSecret {
    /// The key of period `number`. It tells nothing of the keys of other periods.
    pub fn key(&self, number: u64) -> TokenKey {
        let mut key = TokenKey::new([0; 32]);
        expand(&Prk::new(*self.as_bytes()), "token key", &number.to_be_bytes(), &mut key.0);
        key
    }
}

impl ResetKey {
    /// The stateless reset token of a connection id.
    pub fn reset_token(&self, cid: &[u8]) -> [u8; 16] {
        mac16(self.as_bytes(), &[b"jsp1 reset", cid])
    }
}

/// A server's answer to a key request: a token and its public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo<'a> {
    /// An address token for the hello that follows.
    pub token: &'a [u8],
    /// The server's key. Whether to trust it is for the client's policy to say.
    pub key: PublicKey,
    /// What a policy may verify about the key; opaque to the protocol.
    pub endorsement: Option<&'a [u8]>,
}

unit_errors! {
    /// The token is longer than 64 bytes or the endorsement longer than 1024.
    KeyInfoTooLong = "token or endorsement too long";
}

impl<'a> KeyInfo<'a> {
    /// The message, before it is cut into fragments.
    pub fn encode(&self) -> Result<Vec<u8>, KeyInfoTooLong> {
        let endorsement_len = self.endorsement.map_or(0, <[u8]>::len);
        if self.token.len() > MAX_TOKEN || endorsement_len > MAX_ENDORSEMENT {
            return Err(KeyInfoTooLong);
        }
        let mut out = Vec::with_capacity(2 + self.token.len() + PUBLIC_KEY_LEN + 2 + endorsement_len);
        out.push(u8::from(self.endorsement.is_some()));
        out.extend_from_slice(&lp8(self.token));
        out.extend_from_slice(self.token);
        out.extend_from_slice(self.key.as_bytes());
        if let Some(endorsement) = self.endorsement {
            out.extend_from_slice(&(endorsement.len() as u16).to_be_bytes());
            out.extend_from_slice(endorsement);
        }
        Ok(out)
    }

    /// Reads the message; its length must be exact.
    pub fn decode(message: &'a [u8]) -> Result<Self, InvalidKey> {
        let (&[flags, token_len], rest) = message.split_first_chunk().ok_or(InvalidKey)?;
        let (token, rest) = rest.split_at_checked(usize::from(token_len)).ok_or(InvalidKey)?;
        let (key, rest) = rest.split_at_checked(PUBLIC_KEY_LEN).ok_or(InvalidKey)?;
        if token.len() > MAX_TOKEN {
            return Err(InvalidKey);
        }
        let endorsement = match (flags, rest.split_first_chunk()) {
            (0, None) if rest.is_empty() => None,
            (1, Some((len, rest)))
                if usize::from(u16::from_be_bytes(*len)) == rest.len() && rest.len() <= MAX_ENDORSEMENT =>
            {
                Some(rest)
            }
            _ => return Err(InvalidKey),
        };
        Ok(Self { token, key: PublicKey::from_bytes(key)?, endorsement })
    }
}

#[cfg(test)]
#[path = "tests/token.rs"]
mod tests;

//! Address tokens for later connections, type 02 (specification section 2.9).

use core::net::IpAddr;

use subtle::ConstantTimeEq;

use super::aead::{Aead, Portable, TAG_LEN};
use super::kdf::{Prk, expand_key, extract};
use super::token::{TokenKey, in_time, ip16};

/// Length of a token for a later connection.
const LEN: usize = 1 + 12 + 20 + TAG_LEN;
const TYPE: u8 = 2;
const LABEL: &[u8] = b"jsp1 new token";

/// K_nt, which seals tokens for later connections. Derived once for each [`TokenKey`].
#[derive(Debug)]
pub struct NewTokenKey(Prk);

/// What a token of type 02 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// The random number by which the server sees to it that the token is used only once.
    pub nonce: [u8; 12],
    /// When it was made, in seconds.
    pub issued: u32,
}

impl TokenKey {
    /// The key of tokens for later connections.
    pub fn new_token_key(&self) -> NewTokenKey {
        NewTokenKey(expand_key(&extract(LABEL, self.as_bytes()), "nt", b""))
    }
}

impl NewTokenKey {
    /// The bytes; copies of them are the caller's to wipe.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Makes a token of type 02 for a later connection from `ip`, from 12 random bytes.
    pub fn seal(&self, nonce: [u8; 12], issued: u32, ip: IpAddr) -> [u8; LEN] {
        let mut token = [TYPE; LEN];
        let (_, rest) = token.split_at_mut(1);
        let (nonce_slot, rest) = rest.split_at_mut(12);
        let (plain, tag) = rest.split_at_mut(20);
        nonce_slot.copy_from_slice(&nonce);
        let (issued_slot, ip_slot) = plain.split_at_mut(4);
        issued_slot.copy_from_slice(&issued.to_be_bytes());
        ip_slot.copy_from_slice(&ip16(ip));
        let aead = Portable::new(self.as_bytes());
        tag.copy_from_slice(&aead.seal(&nonce, LABEL, plain));
        token
    }

    /// Checks a token of type 02 of a client at `ip` at second `now`.
    pub fn open(&self, token: &[u8], ip: IpAddr, now: u32, lifetime: u32) -> Option<NewToken> {
        let token: &[u8; LEN] = token.try_into().ok()?;
        let (&[ty], rest) = token.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk::<12>()?;
        let (sealed, rest) = rest.split_first_chunk::<20>()?;
        let tag: &[u8; TAG_LEN] = rest.try_into().ok()?;
        if ty != TYPE {
            return None;
        }
        let mut plain = *sealed;
        Portable::new(self.as_bytes()).open(nonce, LABEL, &mut plain, tag).ok()?;
        let (issued, bound) = plain.split_first_chunk::<4>()?;
        let issued = u32::from_be_bytes(*issued);
        let same: bool = ip16(ip).ct_eq(bound).into();
        (same && in_time(issued, now, lifetime)).then_some(NewToken { nonce: *nonce, issued })
    }
}

//! Protection of short-header packets (specification sections 3.1 to 3.3 and 3.6): bit for bit the ChaCha20
//! construction of RFC 9001. Nothing here allocates.

use chacha20::variants::Ietf;
use chacha20::{ChaChaCore, R20};
use zeroize::Zeroizing;

use super::aead::{Aead, PacketAead, Rejected, TAG_LEN};
use super::kdf::{Prk, expand, expand_key};
use crate::wire::header::{PACKET_NUMBER_LEN_BITS, PROTECTED_BITS};

/// The packet number is treated as four bytes long when the sample is taken.
const SAMPLE_AT: usize = 4;
const SAMPLE_LEN: usize = 16;
unit_errors! {
    /// A packet too short for a header protection sample.
    TooShort = "packet too short";
}

/// The secret that protects one direction in one key phase.
#[derive(Debug)]
pub struct Secret(Prk);

impl Secret {
    /// Takes the 32 bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(Prk::new(bytes))
    }

    /// The bytes; copies of them are the caller's to wipe.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The secret of the next key phase. This one is to be dropped soon: that is the forward secrecy.
    pub fn next(&self) -> Self {
        Self(expand_key(&self.0, "ku", b""))
    }

    /// The AEAD key that follows from the secret.
    pub fn key(&self) -> Prk {
        expand_key(&self.0, "key", b"")
    }

    /// The AEAD iv that follows from the secret.
    pub fn iv(&self) -> [u8; 12] {
        let mut iv = [0; 12];
        expand(&self.0, "iv", b"", &mut iv);
        iv
    }

    /// The header protection key that follows from the secret.
    pub fn hp(&self) -> Prk {
        expand_key(&self.0, "hp", b"")
    }
}

/// The keys of one direction in one key phase.
///
/// Not `Clone`, and never to be stored: a second copy would use packet numbers, and so nonces, twice.
pub struct PacketKeys {
    aead: PacketAead,
    iv: [u8; 12],
    header: HeaderKey,
}

impl core::fmt::Debug for PacketKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PacketKeys(..)")
    }
}

impl Drop for PacketKeys {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.iv);
    }
}

impl PacketKeys {
    /// The keys of key phase 0.
    pub fn from_secret(secret: &Secret) -> Self {
        Self::from_parts(secret.key().as_bytes(), secret.iv(), secret.hp().as_bytes())
    }

    /// The keys of a later key phase, whose secret is `next`. The header key stays as it is.
    pub fn updated(&self, next: &Secret) -> Self {
        Self::from_parts(next.key().as_bytes(), next.iv(), &self.header.key)
    }

    /// Keys that are already derived.
    pub fn from_parts(key: &[u8; 32], iv: [u8; 12], hp: &[u8; 32]) -> Self {
        Self { aead: PacketAead::new(key), iv, header: HeaderKey::new(hp) }
    }

    /// The header key, the same in all key phases.
    pub const fn header(&self) -> &HeaderKey {
        &self.header
    }

    fn nonce(&self, pn: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, pn) in nonce.iter_mut().skip(4).zip(pn.to_be_bytes()) {
            *byte ^= pn;
        }
        nonce
    }

    /// Seals a packet in place: `packet` is header, plaintext and 16 spare bytes for the tag.
    ///
    /// Writes the low `pn_len` bytes of `pn` at `pn_at`; the first byte must already say `pn_len`.
    ///
    /// # Panics
    /// If `pn_len` is not 1 to 4, or packet number and plaintext have less than four bytes together.
    pub fn seal(&self, packet: &mut [u8], pn_at: usize, pn_len: usize, pn: u64) {
        assert!((1..=4).contains(&pn_len) && packet.len() >= pn_at + SAMPLE_AT + SAMPLE_LEN);
        debug_assert_eq!(packet_number_len(packet[0]), pn_len);
        let pn_bytes = pn.to_be_bytes();
        packet[pn_at..pn_at + pn_len].copy_from_slice(&pn_bytes[8 - pn_len..]);
        let (header, rest) = packet.split_at_mut(pn_at + pn_len);
        let (plain, tag) = rest.split_at_mut(rest.len() - TAG_LEN);
        tag.copy_from_slice(&self.aead.seal(&self.nonce(pn), header, plain));
        let protected = self.header.apply(packet, pn_at, |_| pn_len);
        debug_assert!(protected.is_ok());
    }

    /// Opens a packet in place after [`unprotect`]: `payload_at` is the end of the packet number, `pn` the decoded
    /// number. Returns the length of the plaintext, which begins at `payload_at`.
    ///
    /// After a failure only the header and the last 16 bytes of `packet` still hold what was received.
    pub fn open(&self, packet: &mut [u8], payload_at: usize, pn: u64) -> Result<usize, Rejected> {
        let (header, rest) = packet.split_at_mut_checked(payload_at).ok_or(Rejected)?;
        let (payload, tag) = rest.split_last_chunk_mut::<TAG_LEN>().ok_or(Rejected)?;
        self.aead.open(&self.nonce(pn), header, payload, tag)?;
        Ok(payload.len())
    }
}

/// The key that hides flags and packet numbers (RFC 9001 section 5.4.4).
pub struct HeaderKey {
    key: Zeroizing<[u8; 32]>,
}

impl core::fmt::Debug for HeaderKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HeaderKey(..)")
    }
}

impl HeaderKey {
    /// Takes the 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        Self { key: Zeroizing::new(*key) }
    }

    /// The five mask bytes for a sample of the ciphertext.
    pub fn mask(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        use chacha20::cipher::{KeyIvInit, StreamCipherCore};
        let [c0, c1, c2, c3, nonce @ ..] = *sample;
        // The core, not the stream cipher around it: that one panics at the last block of the key stream, and which
        // block it is stands in the peer's packet.
        let mut core = ChaChaCore::<R20, Ietf>::new((&*self.key).into(), &nonce.into());
        core.set_block_pos(u32::from_le_bytes([c0, c1, c2, c3]));
        let mut block = Default::default();
        core.write_keystream_block(&mut block);
        let [m0, m1, m2, m3, m4, ..] = block.0;
        [m0, m1, m2, m3, m4]
    }

    /// Masks the first byte and as many packet number bytes as `pn_len` says of the first byte after masking, without
    /// a branch on any of them.
    fn apply(&self, packet: &mut [u8], pn_at: usize, pn_len: impl FnOnce(u8) -> usize) -> Result<u8, TooShort> {
        let (first, _) = packet.split_first_mut().ok_or(TooShort)?;
        let first_before = *first;
        let (_, from_pn) = packet.split_at_mut_checked(pn_at).ok_or(TooShort)?;
        let (pn, sample) = from_pn.split_at_mut_checked(SAMPLE_AT).ok_or(TooShort)?;
        let sample = sample.first_chunk::<SAMPLE_LEN>().ok_or(TooShort)?;
        let [first_mask, pn_mask @ ..] = self.mask(sample);
        let first = first_before ^ first_mask & PROTECTED_BITS;
        let pn_len = pn_len(first);
        for (i, (byte, mask)) in pn.iter_mut().zip(pn_mask).enumerate() {
            *byte ^= mask & u8::from(i < pn_len).wrapping_neg();
        }
        if let Some(byte) = packet.first_mut() {
            *byte = first;
        }
        Ok(first)
    }
}

fn packet_number_len(first: u8) -> usize {
    usize::from(first & PACKET_NUMBER_LEN_BITS) + 1
}

/// What header protection hid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unprotected {
    /// The first byte. Nothing in it but the key phase and the length may be used before the packet is opened.
    pub first: u8,
    /// Length of the packet number, 1 to 4.
    pub pn_len: usize,
    /// The low bytes of the packet number.
    pub truncated_pn: u64,
}

/// Removes header protection in place. The last 16 bytes of the packet are never touched.
pub fn unprotect(key: &HeaderKey, packet: &mut [u8], pn_at: usize) -> Result<Unprotected, TooShort> {
    let first = key.apply(packet, pn_at, packet_number_len)?;
    let pn_len = packet_number_len(first);
    let pn = packet.get(pn_at..).and_then(|rest| rest.first_chunk::<4>()).ok_or(TooShort)?;
    let truncated_pn = u64::from(u32::from_be_bytes(*pn)) >> (8 * (4 - pn_len));
    Ok(Unprotected { first, pn_len, truncated_pn })
}

#[cfg(test)]
#[path = "tests/packet.rs"]
mod tests;

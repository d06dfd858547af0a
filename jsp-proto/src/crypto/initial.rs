//! Sealing of long-header packets and the cutting of messages into datagrams (specification section 2.4).
//!
//! These keys hide and protect the handshake from everybody who does not know the server's key id. They are not secret
//! from those who do. Several key ids may be tried on one datagram, so the portable backend is used always: its failed
//! opening leaves the datagram as it was.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::aead::{Aead, Portable, Rejected, TAG_LEN};
use super::kdf::{Prk, expand, extract_parts};
use super::key_id::KeyId;
use crate::wire::header::{Fragment, MAX_CID, MAX_FRAGMENTS, MAX_MESSAGE, MAX_TOKEN};
use crate::wire::{Full, LongHeader, LongType, Writer};

/// SHA-256("JetStreamProto v1 initial salt").
pub const INITIAL_SALT: [u8; 32] = [
    0x22, 0x2e, 0x70, 0xd4, 0x98, 0x7d, 0x07, 0x41, 0x25, 0xfa, 0xc4, 0x7a, 0x70, 0xb3, 0xef, 0x22, //
    0x86, 0x3f, 0xfd, 0x3c, 0xa5, 0x8c, 0xa4, 0x83, 0x81, 0x6a, 0xc8, 0x69, 0xac, 0x7f, 0x9b, 0x1f,
];

/// Size of every datagram of a handshake flight but the last of a hello and those of a key offer.
pub const FULL_DATAGRAM: usize = 1200;
/// Smallest last datagram of a hello.
pub const MIN_LAST_DATAGRAM: usize = 64;

/// The keys that follow from a server key id and the destination connection id of a client's packet.
#[derive(Debug)]
pub struct InitialKeys(Prk);

impl InitialKeys {
    /// `dcid` is the destination of the client's packet, also for the answer to it.
    pub fn new(key_id: &KeyId, dcid: &[u8]) -> Self {
        Self(extract_parts(&INITIAL_SALT, &[key_id.as_bytes(), &super::transcript::lp8(dcid), dcid]))
    }

    /// The initial secret, for checks against known answers.
    #[cfg(any(test, feature = "internals"))]
    pub const fn secret(&self) -> &Prk {
        &self.0
    }

    /// The key for packets of type `ty` that the client sends.
    pub fn client(&self, ty: LongType) -> SealKey {
        SealKey::new(&self.key_iv("ci", ty, b""))
    }

    /// The key for the packets of type `ty` that the server sends from `scid`.
    pub fn server(&self, ty: LongType, scid: &[u8]) -> SealKey {
        SealKey::new(&self.key_iv("si", ty, scid))
    }

    /// Key and iv behind [`client`](Self::client) (label "ci", no scid) and [`server`](Self::server) (label "si").
    pub fn key_iv(&self, label: &str, ty: LongType, scid: &[u8]) -> [u8; 44] {
        debug_assert!(scid.len() <= MAX_CID);
        let mut ctx = [0; 1 + MAX_CID];
        for (slot, byte) in ctx.iter_mut().zip([ty as u8].iter().chain(scid)) {
            *slot = *byte;
        }
        let (ctx, _) = ctx.split_at(1 + scid.len().min(MAX_CID));
        let mut out = [0; 44];
        expand(&self.0, label, ctx, &mut out);
        out
    }
}

/// Seals and opens the packets of one type, direction and attempt; the nonce is the fragment index.
#[derive(Debug)]
pub struct SealKey {
    aead: Portable,
    iv: [u8; 12],
}

impl SealKey {
    fn new(key_iv: &[u8; 44]) -> Self {
        let (mut key, mut iv) = ([0; 32], [0; 12]);
        key.copy_from_slice(&key_iv[..32]);
        iv.copy_from_slice(&key_iv[32..]);
        Self { aead: Portable::new(&key), iv }
    }

    fn nonce(&self, index: u8) -> [u8; 12] {
        let mut nonce = self.iv;
        nonce[11] ^= index;
        nonce
    }

    /// Encrypts `buf`; `header` is everything before it. One index seals one immutable byte string.
    pub fn seal(&self, index: u8, header: &[u8], buf: &mut [u8]) -> [u8; TAG_LEN] {
        self.aead.seal(&self.nonce(index), header, buf)
    }

    /// Decrypts `buf`; a failure leaves it as it was.
    pub fn open(&self, index: u8, header: &[u8], buf: &mut [u8], tag: &[u8; TAG_LEN]) -> Result<(), Rejected> {
        self.aead.open(&self.nonce(index), header, buf, tag)
    }

    /// Seals a whole datagram in place: header up to `payload_at`, plaintext, 16 spare bytes for the tag.
    pub fn seal_datagram(&self, index: u8, datagram: &mut [u8], payload_at: usize) -> Result<(), Full> {
        let (rest, tag) = datagram.split_last_chunk_mut::<TAG_LEN>().ok_or(Full)?;
        let (header, payload) = rest.split_at_mut_checked(payload_at).ok_or(Full)?;
        *tag = self.seal(index, header, payload);
        Ok(())
    }

    /// Opens the payload of a whole datagram in place; a failure leaves the datagram as it was.
    pub fn open_datagram<'a>(
        &self,
        index: u8,
        datagram: &'a mut [u8],
        payload_at: usize,
    ) -> Result<&'a mut [u8], Rejected> {
        let (rest, tag) = datagram.split_last_chunk_mut::<TAG_LEN>().ok_or(Rejected)?;
        let (header, payload) = rest.split_at_mut_checked(payload_at).ok_or(Rejected)?;
        self.open(index, header, payload, tag)?;
        Ok(payload)
    }
}

/// How a message is cut in datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Full datagrams, the last as short as its data allows but at least 64 bytes: a hello.
    Hello,
    /// Full datagrams, the last padded to full size: an answer; with an empty message, a key request.
    Padded,
    /// As few datagrams as possible, all of (nearly) one size: a key offer.
    Even,
}

/// Why a message cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlightError {
    /// A token above 128 bytes.
    Token,
    /// A message above 4600 bytes, or one that needs more than four datagrams.
    TooLong,
}

impl fmt::Display for FlightError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "address token too long",
            Self::TooLong => "handshake message too long",
        })
    }
}

impl core::error::Error for FlightError {}

impl From<Full> for FlightError {
    fn from(Full: Full) -> Self {
        Self::TooLong
    }
}

/// Cuts `message` into fragments and seals each into a datagram (specification section 2.4, and 13 item 10).
///
/// `template` is the header of all of them; its `count`, `index` and `payload_at` are not looked at.
pub fn build_flight(
    template: &LongHeader<'_>,
    key: &SealKey,
    message: &[u8],
    layout: Layout,
) -> Result<Vec<Vec<u8>>, FlightError> {
    if template.token.len() > MAX_TOKEN {
        return Err(FlightError::Token);
    }
    // The longest header, 2 + 4 + 17 + 17 + 130 bytes, leaves ample room.
    let capacity = FULL_DATAGRAM - template.encoded_len() - Fragment::HEADER_LEN - TAG_LEN;
    let count = message.len().div_ceil(capacity).max(1);
    if message.len() > MAX_MESSAGE || count > MAX_FRAGMENTS {
        return Err(FlightError::TooLong);
    }
    let share = match layout {
        Layout::Even => message.len().div_ceil(count).max(1),
        Layout::Hello | Layout::Padded => capacity,
    };
    let mut flight = Vec::with_capacity(count);
    for index in 0..count {
        let offset = (index * share).min(message.len());
        let (_, rest) = message.split_at(offset);
        let (data, _) = rest.split_at(rest.len().min(share));
        let header = LongHeader { count: count as u8, index: index as u8, ..*template };
        let fragment = Fragment { total: message.len() as u16, offset: offset as u16, data };
        flight.push(seal_fragment(&header, key, &fragment, layout)?);
    }
    Ok(flight)
}

fn seal_fragment(
    header: &LongHeader<'_>,
    key: &SealKey,
    fragment: &Fragment<'_>,
    layout: Layout,
) -> Result<Vec<u8>, FlightError> {
    let mut datagram = vec![0; FULL_DATAGRAM];
    let mut w = Writer::new(&mut datagram);
    header.encode(&mut w)?;
    let payload_at = w.position();
    fragment.encode(&mut w)?;
    let len = w.position() + TAG_LEN;
    datagram.truncate(match layout {
        Layout::Padded => FULL_DATAGRAM,
        Layout::Hello => len.max(MIN_LAST_DATAGRAM),
        Layout::Even => len,
    });
    key.seal_datagram(header.index, &mut datagram, payload_at)?;
    Ok(datagram)
}

/// Makes a RETRY datagram: `token` is its whole payload (specification section 2.9).
pub fn build_retry(template: &LongHeader<'_>, key: &SealKey, token: &[u8]) -> Result<Vec<u8>, FlightError> {
    if token.len() > MAX_TOKEN {
        return Err(FlightError::Token);
    }
    let header = LongHeader { count: 1, index: 0, ..*template };
    let payload_at = header.encoded_len();
    let mut datagram = vec![0; payload_at + token.len() + TAG_LEN];
    let mut w = Writer::new(&mut datagram);
    header.encode(&mut w)?;
    w.bytes(token)?;
    key.seal_datagram(0, &mut datagram, payload_at)?;
    Ok(datagram)
}

#[cfg(test)]
#[path = "tests/initial.rs"]
mod tests;

//! What holds for every version (RFC 8999), and version negotiation (specification sections 3.8 and 3.9).

use super::short::{FIXED_BIT, LONG_BIT};
use crate::wire::cursor::{Full, Reader, Writer};

/// The version of this protocol: "JSP" and 01.
pub const VERSION: u32 = 0x4a53_5001;

/// The part of a long header that every version shares (RFC 8999 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invariants<'a> {
    /// The version; 0 marks a version negotiation packet.
    pub version: u32,
    /// Destination connection id, up to 255 bytes.
    pub dcid: &'a [u8],
    /// Source connection id, up to 255 bytes.
    pub scid: &'a [u8],
    /// Everything after the ids.
    pub rest: &'a [u8],
}

/// Reads the part of a long header that every version shares; `None` if it is no long header or cut off.
pub fn decode_invariants(datagram: &[u8]) -> Option<Invariants<'_>> {
    let mut r = Reader::new(datagram);
    if r.u8().ok()? & LONG_BIT == 0 {
        return None;
    }
    let version = r.u32().ok()?;
    let dcid = short_bytes(&mut r)?;
    let scid = short_bytes(&mut r)?;
    Some(Invariants { version, dcid, scid, rest: r.rest() })
}

fn short_bytes<'a>(r: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = r.u8().ok()?;
    r.bytes(usize::from(len)).ok()
}

/// Writes a version negotiation packet: this version and one reserved version `0x?a?a?a?a` made from `grease`.
///
/// `dcid` is the source id of the packet that is answered, `scid` its destination id.
pub fn encode_version_negotiation(dcid: &[u8], scid: &[u8], grease: u32, w: &mut Writer<'_>) -> Result<(), Full> {
    let dcid_len = u8::try_from(dcid.len()).map_err(|_| Full)?;
    let scid_len = u8::try_from(scid.len()).map_err(|_| Full)?;
    if w.remaining() < 1 + 4 + 1 + dcid.len() + 1 + scid.len() + 8 {
        return Err(Full);
    }
    w.u8(LONG_BIT | FIXED_BIT)?;
    w.u32(0)?;
    w.u8(dcid_len)?;
    w.bytes(dcid)?;
    w.u8(scid_len)?;
    w.bytes(scid)?;
    w.u32(VERSION)?;
    w.u32((grease & 0xf0f0_f0f0) | 0x0a0a_0a0a)
}

/// A version negotiation packet. It is not authenticated (specification section 3.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionNegotiation<'a> {
    /// Destination connection id: the source id of the packet that is answered.
    pub dcid: &'a [u8],
    /// Source connection id: the destination id of the packet that is answered.
    pub scid: &'a [u8],
    list: &'a [u8],
}

impl<'a> VersionNegotiation<'a> {
    /// The versions that the sender speaks, reserved ones included.
    pub fn versions(&self) -> impl Iterator<Item = u32> + use<'a> {
        let (versions, _) = self.list.as_chunks::<4>();
        versions.iter().map(|version| u32::from_be_bytes(*version))
    }
}

/// Reads a version negotiation packet; `None` if the datagram is none, or if its list is empty or cut off.
pub fn decode_version_negotiation(datagram: &[u8]) -> Option<VersionNegotiation<'_>> {
    let Invariants { version, dcid, scid, rest: list } = decode_invariants(datagram)?;
    let sound = version == 0 && !list.is_empty() && list.len().is_multiple_of(4);
    sound.then_some(VersionNegotiation { dcid, scid, list })
}

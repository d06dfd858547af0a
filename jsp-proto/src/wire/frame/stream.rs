//! Frames that carry or end streams (specification sections 4.3 and 4.4).

use super::error::Fault;
use super::{decode_sid, types};
use crate::wire::cursor::{Full, Reader, Writer};
use crate::wire::stream_id::StreamId;
use crate::wire::varint;

/// A STREAM frame: bytes of a byte stream (specification section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream<'a> {
    /// The stream.
    pub sid: StreamId,
    /// Where in the stream the bytes start; with their length at most 2^62-1.
    pub offset: u64,
    /// Whether the stream ends after them.
    pub fin: bool,
    /// The bytes; empty only with `fin`.
    pub data: &'a [u8],
}

impl<'a> Stream<'a> {
    pub(super) fn decode(ty: u64, r: &mut Reader<'a>) -> Result<Self, Fault> {
        let sid = decode_sid(r)?;
        let offset = if ty & types::STREAM_OFF != 0 { r.varint()? } else { 0 };
        let data = decode_data(offset, ty & types::STREAM_LEN != 0, r)?;
        let fin = ty & types::STREAM_FIN != 0;
        if data.is_empty() && !fin {
            return Err(Fault::Empty);
        }
        Ok(Self { sid, offset, fin, data })
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        write_stream(w, self.sid, self.offset, self.data.len(), self.fin)?.copy_from_slice(self.data);
        Ok(())
    }

    pub(super) const fn type_code(&self) -> u64 {
        stream_type(self.offset, self.fin)
    }
}

/// A MSG frame: bytes of a message stream (specification section 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msg<'a> {
    /// The stream.
    pub sid: StreamId,
    /// Where in the stream the bytes start; with their length at most 2^62-1.
    pub offset: u64,
    /// Whether a message begins with the first byte.
    pub bom: bool,
    /// Whether the message ends with the last byte.
    pub eom: bool,
    /// Whether the message that begins here is compressed. Means nothing without `bom`.
    pub compressed: bool,
    /// The bytes, never empty.
    pub data: &'a [u8],
}

impl<'a> Msg<'a> {
    pub(super) fn decode(ty: u64, r: &mut Reader<'a>) -> Result<Self, Fault> {
        let sid = decode_sid(r)?;
        let offset = r.varint()?;
        let data = decode_data(offset, ty & types::MSG_LEN != 0, r)?;
        if data.is_empty() {
            return Err(Fault::Empty);
        }
        Ok(Self {
            sid,
            offset,
            bom: ty & types::MSG_BOM != 0,
            eom: ty & types::MSG_EOM != 0,
            compressed: ty & types::MSG_Z != 0,
            data,
        })
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        write_msg(w, self.sid, self.offset, self.data.len(), self.bom, self.eom, self.compressed)?
            .copy_from_slice(self.data);
        Ok(())
    }

    pub(super) const fn type_code(&self) -> u64 {
        msg_type(self.bom, self.eom, self.compressed)
    }
}

fn decode_data<'a>(offset: u64, with_len: bool, r: &mut Reader<'a>) -> Result<&'a [u8], Fault> {
    let data = if with_len { r.length_prefixed()? } else { r.rest() };
    match offset.checked_add(data.len() as u64) {
        Some(end) if end <= varint::MAX => Ok(data),
        _ => Err(Fault::Invalid("stream offset above 2^62-1")),
    }
}

/// A RESET_STREAM frame (specification sections 4.3 and 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetStream {
    /// The stream.
    pub sid: StreamId,
    /// The application's reason.
    pub code: u64,
    /// Bytes of the stream altogether.
    pub final_size: u64,
    /// Bytes from the start that are still delivered, at most `final_size`.
    pub reliable_size: u64,
}

impl ResetStream {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, Fault> {
        let reset =
            Self { sid: decode_sid(r)?, code: r.varint()?, final_size: r.varint()?, reliable_size: r.varint()? };
        if reset.reliable_size > reset.final_size {
            return Err(Fault::Invalid("reliable size above final size"));
        }
        Ok(reset)
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.varint(self.sid.as_u64())?;
        w.varint(self.code)?;
        w.varint(self.final_size)?;
        w.varint(self.reliable_size)
    }
}

const fn stream_type(offset: u64, fin: bool) -> u64 {
    let mut ty = types::STREAM | types::STREAM_LEN;
    if offset != 0 {
        ty |= types::STREAM_OFF;
    }
    if fin {
        ty |= types::STREAM_FIN;
    }
    ty
}

const fn msg_type(bom: bool, eom: bool, compressed: bool) -> u64 {
    let mut ty = types::MSG | types::MSG_LEN;
    if bom {
        ty |= types::MSG_BOM;
    }
    if eom {
        ty |= types::MSG_EOM;
    }
    if compressed {
        ty |= types::MSG_Z;
    }
    ty
}

/// Bytes in front of the data of a STREAM frame that gives its length.
pub const fn stream_header_len(sid: StreamId, offset: u64, data_len: usize) -> usize {
    let offset_len = if offset == 0 { 0 } else { varint::len(offset) };
    1 + varint::len(sid.as_u64()) + offset_len + varint::len(data_len as u64)
}

/// Writes a STREAM frame up to its data and returns the room for the data, so that it is copied only once.
pub fn write_stream<'w>(
    w: &'w mut Writer<'_>,
    sid: StreamId,
    offset: u64,
    len: usize,
    fin: bool,
) -> Result<&'w mut [u8], Full> {
    if w.remaining() < stream_header_len(sid, offset, len).saturating_add(len) {
        return Err(Full);
    }
    w.varint(stream_type(offset, fin))?;
    w.varint(sid.as_u64())?;
    if offset != 0 {
        w.varint(offset)?;
    }
    w.varint(len as u64)?;
    w.slot(len)
}

/// Bytes in front of the data of a MSG frame that gives its length.
pub const fn msg_header_len(sid: StreamId, offset: u64, data_len: usize) -> usize {
    1 + varint::len(sid.as_u64()) + varint::len(offset) + varint::len(data_len as u64)
}

/// Writes a MSG frame up to its data and returns the room for the data, so that it is copied only once.
pub fn write_msg<'w>(
    w: &'w mut Writer<'_>,
    sid: StreamId,
    offset: u64,
    len: usize,
    bom: bool,
    eom: bool,
    compressed: bool,
) -> Result<&'w mut [u8], Full> {
    if w.remaining() < msg_header_len(sid, offset, len).saturating_add(len) {
        return Err(Full);
    }
    w.varint(msg_type(bom, eom, compressed))?;
    w.varint(sid.as_u64())?;
    w.varint(offset)?;
    w.varint(len as u64)?;
    w.slot(len)
}

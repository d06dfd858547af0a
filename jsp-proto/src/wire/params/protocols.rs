//! The list of application protocols (specification section 4.10, parameter 10): `{u8 length, name}*`.

use core::fmt;

use crate::wire::cursor::{Full, Reader, Writer};

/// The application protocol of a connection whose parameters name none.
pub const DEFAULT_PROTOCOL: &[u8] = b"jsp";

/// A list of at least one application protocol, each 1 to 255 bytes, in order of preference.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Protocols<'a> {
    encoded: &'a [u8],
}

impl<'a> Protocols<'a> {
    /// Checks an encoded list; `None` if it is empty, cut off, or has an empty name.
    pub fn from_encoded(encoded: &'a [u8]) -> Option<Self> {
        let mut r = Reader::new(encoded);
        if r.is_empty() {
            return None;
        }
        while !r.is_empty() {
            let name = next_name(&mut r)?;
            if name.is_empty() {
                return None;
            }
        }
        Some(Self { encoded })
    }

    /// The list as it stands on the wire.
    pub const fn as_encoded(&self) -> &'a [u8] {
        self.encoded
    }

    /// The names in order of preference.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut r = Reader::new(self.encoded);
        core::iter::from_fn(move || next_name(&mut r))
    }
}

impl fmt::Debug for Protocols<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(<[u8]>::escape_ascii)).finish()
    }
}

fn next_name<'a>(r: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = r.u8().ok()?;
    r.bytes(usize::from(len)).ok()
}

/// Writes a list that [`Protocols::from_encoded`] reads. Names of 0 or more than 255 bytes do not fit.
pub fn encode_protocols<'n>(names: impl IntoIterator<Item = &'n [u8]>, w: &mut Writer<'_>) -> Result<(), Full> {
    for name in names {
        let len = u8::try_from(name.len()).ok().filter(|len| *len > 0).ok_or(Full)?;
        w.u8(len)?;
        w.bytes(name)?;
    }
    Ok(())
}

//! Connection ids (specification sections 3.7 and 13.8).

use core::fmt;

/// The longest connection id of this version, in bytes.
pub const MAX_CID: usize = 16;

/// The shortest destination connection id that a client may choose for its first packet, in bytes.
pub const MIN_CLIENT_CID: usize = 8;

/// A connection id: 0 to 16 bytes. The default is the empty one.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Cid {
    len: u8,
    // Zero after `len`, so that the derived comparison and hash are right.
    bytes: [u8; MAX_CID],
}

impl Cid {
    /// Takes the bytes of an id, if there are at most [`MAX_CID`] of them.
    pub fn new(id: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_CID];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self { len: id.len() as u8, bytes })
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len()).unwrap_or_default()
    }

    /// The number of bytes.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether this is the empty id.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl AsRef<[u8]> for Cid {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cid(")?;
        for byte in self.as_slice() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

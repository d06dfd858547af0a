//! ChaCha20-Poly1305 behind a small trait (specification section 3.2, RFC 8439).
//!
//! Two backends give the same bytes: [`Portable`] runs everywhere, `Ring` is several times faster and needs a C
//! compiler. They differ in one thing: `Portable` checks the tag before it touches the buffer, `Ring` decrypts while it
//! checks. So whatever may be opened under more than one key uses `Portable`, and nobody reads a buffer whose opening
//! failed.

use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};

/// Length of the authentication tag that follows every ciphertext.
pub const TAG_LEN: usize = 16;

unit_errors! {
    /// A ciphertext, its tag or its associated data is not what the peer sealed. The buffer must not be read.
    Rejected = "authentication failed";
}

/// ChaCha20-Poly1305 with a detached tag, in place.
pub trait Aead: Sized {
    /// Takes a 32-byte key.
    fn new(key: &[u8; 32]) -> Self;

    /// Encrypts `buf` and returns the tag over it and `aad`. One nonce seals one message, ever.
    fn seal(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8]) -> [u8; TAG_LEN];

    /// Checks the tag and decrypts `buf`. After a failure the content of `buf` is unspecified.
    fn open(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8], tag: &[u8; TAG_LEN]) -> Result<(), Rejected>;
}

/// The backend in plain Rust. A failed [`Aead::open`] leaves the buffer as it was.
pub struct Portable(ChaCha20Poly1305);

impl Aead for Portable {
    fn new(key: &[u8; 32]) -> Self {
        Self(ChaCha20Poly1305::new(key.into()))
    }

    fn seal(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8]) -> [u8; TAG_LEN] {
        match self.0.encrypt_inout_detached(nonce.into(), aad, buf.into()) {
            Ok(tag) => tag.into(),
            Err(_) => unreachable!("a buffer of more than 256 GiB"),
        }
    }

    fn open(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8], tag: &[u8; TAG_LEN]) -> Result<(), Rejected> {
        self.0.decrypt_inout_detached(nonce.into(), aad, buf.into(), tag.into()).map_err(|_| Rejected)
    }
}

impl core::fmt::Debug for Portable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Portable(..)")
    }
}

/// The backend for the packets of a connection.
#[cfg(feature = "ring")]
pub type PacketAead = Ring;
/// The backend for the packets of a connection.
#[cfg(not(feature = "ring"))]
pub type PacketAead = Portable;

#[cfg(feature = "ring")]
pub use with_ring::Ring;

#[cfg(feature = "ring")]
mod with_ring {
    use super::{Aead, Rejected, TAG_LEN};
    use ring::aead::{self, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
    use zeroize::Zeroizing;

    /// The `ring` backend. A failed [`Aead::open`] destroys the buffer.
    ///
    /// Holds the bytes of the key alone. `ring`'s own form of it has room for the round keys of AES, 544 bytes in each of
    /// three keys of every connection, and is not wiped; to make it takes a few nanoseconds.
    pub struct Ring(Zeroizing<[u8; 32]>);

    impl Ring {
        fn key(&self) -> LessSafeKey {
            match UnboundKey::new(&CHACHA20_POLY1305, &*self.0) {
                Ok(key) => LessSafeKey::new(key),
                Err(_) => unreachable!("the key has the algorithm's length"),
            }
        }
    }

    impl Aead for Ring {
        fn new(key: &[u8; 32]) -> Self {
            Self(Zeroizing::new(*key))
        }

        fn seal(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8]) -> [u8; TAG_LEN] {
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let mut out = [0; TAG_LEN];
            match self.key().seal_in_place_separate_tag(nonce, aead::Aad::from(aad), buf) {
                Ok(tag) => out.copy_from_slice(tag.as_ref()),
                Err(_) => unreachable!("a buffer of more than 256 GiB"),
            }
            out
        }

        fn open(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8], tag: &[u8; TAG_LEN]) -> Result<(), Rejected> {
            let nonce = Nonce::assume_unique_for_key(*nonce);
            self.key()
                .open_in_place_separate_tag(nonce, aead::Aad::from(aad), (*tag).into(), buf, 0..)
                .map(drop)
                .map_err(|_| Rejected)
        }
    }

    impl core::fmt::Debug for Ring {
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            f.write_str("Ring(..)")
        }
    }
}

#[cfg(test)]
#[path = "tests/aead.rs"]
mod tests;

//! The cryptographic layer: one hybrid KEM, one key schedule, one packet construction (specification sections 2 and 3).
//!
//! Functions here take and return byte slices and know nothing of connections, timers or sockets. Every secret lives in
//! a type that wipes itself when dropped, is not `Clone`, and prints nothing of its content. No error tells more than
//! that something failed: why a peer's message does not open is never a fact a caller can leak.
#![allow(unreachable_pub, reason = "`internals` shows these items to the conformance checks")]

/// Declares zero-sized error types.
macro_rules! unit_errors {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str($text)
            }
        }

        impl core::error::Error for $name {}
    )*};
}

/// Declares 32-byte secrets that wipe themselves, compare in constant time only, and print nothing.
macro_rules! secrets {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes the 32 bytes.
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes; copies of them are the caller's to wipe.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

pub mod aead;
pub mod initial;
pub mod kdf;
pub mod kem;
pub mod key_id;
mod new_token;
pub mod packet;
pub mod replay;
pub mod schedule;
pub mod token;
pub mod transcript;

pub use aead::TAG_LEN;
pub use initial::InitialKeys;
pub use kdf::{Prk, hash};
pub use kem::{InvalidKey, PublicKey, SecretKey};
pub use key_id::{KeyId, KeyIdError};
pub use packet::PacketKeys;
pub use replay::{Freshness, ReplayWindow};
pub use schedule::{ClientHelloState, ClientKem, Established, Offered, ServerOpened, server_open};
pub use transcript::Secrets;

#[cfg(test)]
pub(crate) mod tests;

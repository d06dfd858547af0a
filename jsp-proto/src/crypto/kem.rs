//! X-Wing: X25519 and ML-KEM-768 as one KEM (specification section 2.2, draft-connolly-cfrg-xwing-kem).
//!
//! The secret key keeps its expanded ML-KEM form, which makes a decapsulation about 40 % cheaper than one from the
//! seed. An X25519 result of all zeros is rejected, as TLS does; the draft leaves that open.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use ml_kem::ml_kem_768;
use ml_kem::{Decapsulate, KeyExport, Seed};
use sha3::{Digest, Sha3_256};
use shake::{ExtendableOutput, Shake256, Update, XofReader};
use zeroize::{Zeroize, Zeroizing};

use super::kdf::hash;
use super::key_id::KeyId;
use super::transcript::SUITE;

/// Length of a public key.
pub const PUBLIC_KEY_LEN: usize = 1216;
/// Length of a ciphertext.
pub const CIPHERTEXT_LEN: usize = 1120;
const ML_KEM_PUBLIC: usize = 1184;
const ML_KEM_CIPHERTEXT: usize = 1088;
const LABEL: &[u8; 6] = br"\.//^\";

/// What an encapsulation sends: an ML-KEM-768 ciphertext and an ephemeral X25519 public key.
pub type Ciphertext = [u8; CIPHERTEXT_LEN];

secrets! {
    /// The result of an encapsulation and of its decapsulation.
    SharedSecret;
}

unit_errors! {
    /// A public key of the wrong length or with a coefficient out of range (FIPS 203 section 7.2).
    InvalidKey = "not an X-Wing public key";
    /// The X25519 half gave the all-zero result: one side's share has a small order.
    NonContributory = "the X25519 share has a small order";
}

/// A checked public key. Cheap to clone and to move.
#[derive(Clone)]
pub struct PublicKey(Arc<PublicParts>);

struct PublicParts {
    bytes: [u8; PUBLIC_KEY_LEN],
    ml_kem: ml_kem_768::EncapsulationKey,
    x25519: x25519_dalek::PublicKey,
    id: KeyId,
}

impl PublicKey {
    /// Checks and takes the 1216 bytes of a public key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidKey> {
        let bytes: &[u8; PUBLIC_KEY_LEN] = bytes.try_into().map_err(|_| InvalidKey)?;
        let (ml_kem, x25519) = bytes.split_first_chunk::<ML_KEM_PUBLIC>().ok_or(InvalidKey)?;
        let ml_kem = ml_kem_768::EncapsulationKey::new(ml_kem.into()).map_err(|_| InvalidKey)?;
        let x25519: [u8; 32] = x25519.try_into().map_err(|_| InvalidKey)?;
        Ok(Self::from_parts(*bytes, ml_kem, x25519.into()))
    }

    fn from_parts(
        bytes: [u8; PUBLIC_KEY_LEN],
        ml_kem: ml_kem_768::EncapsulationKey,
        x25519: x25519_dalek::PublicKey,
    ) -> Self {
        let id = KeyId::new(hash(&[b"JSP1 static key", &SUITE.to_be_bytes(), &bytes]));
        Self(Arc::new(PublicParts { bytes, ml_kem, x25519, id }))
    }

    /// The key as it crosses the wire.
    pub fn as_bytes(&self) -> &[u8; PUBLIC_KEY_LEN] {
        &self.0.bytes
    }

    /// The fingerprint of the key (specification section 2.4).
    pub fn key_id(&self) -> KeyId {
        self.0.id
    }

    /// Makes a shared secret for the holder of the secret key from 64 uniformly random bytes.
    pub fn encapsulate(&self, eseed: &[u8; 64]) -> Result<(Ciphertext, SharedSecret), NonContributory> {
        let (m, ephemeral) = eseed.split_at(32);
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(ephemeral);
        let secret = x25519_dalek::StaticSecret::from(*secret);
        let share = x25519_dalek::PublicKey::from(&secret);
        let x25519 = secret.diffie_hellman(&self.0.x25519);

        let mut coins = ml_kem::B32::default();
        coins.copy_from_slice(m);
        let (ml_kem_ct, mut ml_kem) = self.0.ml_kem.encapsulate_deterministic(&coins);
        coins.as_mut_slice().zeroize();

        let mut ciphertext = [0; CIPHERTEXT_LEN];
        let (head, tail) = ciphertext.split_at_mut(ML_KEM_CIPHERTEXT);
        head.copy_from_slice(&ml_kem_ct);
        tail.copy_from_slice(share.as_bytes());
        let shared = combine(&ml_kem, &x25519, share.as_bytes(), self.0.x25519.as_bytes());
        ml_kem.as_mut_slice().zeroize();
        if x25519.was_contributory() { Ok((ciphertext, shared)) } else { Err(NonContributory) }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes == other.0.bytes
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.0.id)
    }
}

/// A secret key: 32 bytes and everything that follows from them. Wiped when dropped.
pub struct SecretKey {
    parts: Box<SecretParts>,
    public: PublicKey,
}

struct SecretParts {
    seed: Zeroizing<[u8; 32]>,
    ml_kem: ml_kem_768::DecapsulationKey,
    x25519: x25519_dalek::StaticSecret,
}

impl SecretKey {
    /// Expands 32 uniformly random bytes to a key pair.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        let mut expanded = Zeroizing::new([0; 96]);
        let mut shake = Shake256::default();
        shake.update(&*seed);
        shake.finalize_xof().read(&mut *expanded);

        let (d_z, scalar) = expanded.split_at(64);
        let mut ml_kem_seed = Seed::default();
        ml_kem_seed.copy_from_slice(d_z);
        let ml_kem = ml_kem_768::DecapsulationKey::from_seed(ml_kem_seed);
        ml_kem_seed.as_mut_slice().zeroize();
        let mut x25519 = Zeroizing::new([0; 32]);
        x25519.copy_from_slice(scalar);
        let x25519 = x25519_dalek::StaticSecret::from(*x25519);

        let share = x25519_dalek::PublicKey::from(&x25519);
        let mut bytes = [0; PUBLIC_KEY_LEN];
        let (head, tail) = bytes.split_at_mut(ML_KEM_PUBLIC);
        head.copy_from_slice(&ml_kem.encapsulation_key().to_bytes());
        tail.copy_from_slice(share.as_bytes());
        let public = PublicKey::from_parts(bytes, ml_kem.encapsulation_key().clone(), share);
        Self { parts: Box::new(SecretParts { seed, ml_kem, x25519 }), public }
    }

    /// The public half.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The seed, for storing the key; copies of it are the caller's to wipe.
    pub fn seed(&self) -> &[u8; 32] {
        &self.parts.seed
    }

    /// Recovers the shared secret. A ciphertext made for another key gives an unrelated secret, not an error.
    pub fn decapsulate(&self, ciphertext: &Ciphertext) -> Result<SharedSecret, NonContributory> {
        let (ml_kem_ct, share) = ciphertext.split_at(ML_KEM_CIPHERTEXT);
        let mut share_bytes = [0; 32];
        share_bytes.copy_from_slice(share);
        let share = x25519_dalek::PublicKey::from(share_bytes);
        let mut boxed = ml_kem_768::Ciphertext::default();
        boxed.copy_from_slice(ml_kem_ct);

        let mut ml_kem = self.parts.ml_kem.decapsulate(&boxed);
        let x25519 = self.parts.x25519.diffie_hellman(&share);
        let shared = combine(&ml_kem, &x25519, share.as_bytes(), self.public.0.x25519.as_bytes());
        ml_kem.as_mut_slice().zeroize();
        // Whether a share is contributory is a property of the public share alone, and the test runs in constant time.
        if x25519.was_contributory() { Ok(shared) } else { Err(NonContributory) }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public.key_id())
    }
}

fn combine(
    ml_kem: &ml_kem::SharedKey,
    x25519: &x25519_dalek::SharedSecret,
    share: &[u8; 32],
    public: &[u8; 32],
) -> SharedSecret {
    let mut hasher = Sha3_256::new();
    Digest::update(&mut hasher, ml_kem);
    Digest::update(&mut hasher, x25519.as_bytes());
    Digest::update(&mut hasher, share);
    Digest::update(&mut hasher, public);
    Digest::update(&mut hasher, LABEL);
    let mut out = hasher.finalize();
    let shared = SharedSecret::new(out.into());
    out.as_mut_slice().zeroize();
    shared
}

#[cfg(test)]
#[path = "tests/kem.rs"]
mod tests;

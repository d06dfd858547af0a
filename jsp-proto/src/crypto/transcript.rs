//! The transcript hashes and keys of the handshake, one small function each (specification section 2.7).
//!
//! [`schedule`](super::schedule) composes them to the steps of the handshake; the conformance checks compute every
//! intermediate value with them.

use alloc::vec::Vec;

use super::aead::{Aead, Portable, Rejected, TAG_LEN};
use super::kdf::{Prk, expand, expand_key, extract, hash};
use super::kem::{CIPHERTEXT_LEN, PUBLIC_KEY_LEN, SharedSecret};
use super::packet::Secret;

/// The only suite: X-Wing, ChaCha20-Poly1305, SHA-256.
pub const SUITE: u16 = 1;
const VERSION: u32 = 0x4a53_5001;
const NO_SECRET: [u8; 32] = [0; 32];

/// A transcript hash.
pub type Hash = [u8; 32];

/// h0: protocol, version, suite and the server's static key.
pub fn h0(pk_s: &[u8; PUBLIC_KEY_LEN]) -> Hash {
    hash(&[b"JSP1 X-Wing handshake", &VERSION.to_be_bytes(), &SUITE.to_be_bytes(), pk_s])
}

/// The connection ids that h1 binds, each at most 16 bytes long.
#[derive(Clone, Copy, Debug)]
pub struct Ids<'a> {
    /// The destination of the client's first packet of this attempt, as far as a token proves it (section 13, item 2).
    pub odcid: &'a [u8],
    /// The destination of this hello.
    pub dcid: &'a [u8],
    /// The client's own.
    pub scid: &'a [u8],
}

/// The one-byte length that precedes a connection id in hashes and MACs.
pub(super) fn lp8(bytes: &[u8]) -> [u8; 1] {
    debug_assert!(bytes.len() <= 255);
    [bytes.len() as u8]
}

/// h1: the connection ids, the client's ephemeral key and the ciphertext for the server's static key.
pub fn h1(h0: &Hash, ids: Ids<'_>, e_pk: &[u8; PUBLIC_KEY_LEN], ct_s: &[u8; CIPHERTEXT_LEN]) -> Hash {
    let Ids { odcid, dcid, scid } = ids;
    hash(&[h0, &lp8(odcid), odcid, &lp8(dcid), dcid, &lp8(scid), scid, e_pk, ct_s])
}

/// PRK1, from the secret encapsulated to the server's static key.
pub fn prk1(h0: &Hash, ss_s: &SharedSecret) -> Prk {
    extract(h0, ss_s.as_bytes())
}

/// k1 seals the client's parameters.
pub fn k1(prk1: &Prk, h1: &Hash) -> Prk {
    expand_key(prk1, "k1", h1)
}

/// h2: the sealed parameters of the client.
pub fn h2(h1: &Hash, sealed1: &[u8]) -> Hash {
    hash(&[h1, sealed1])
}

/// PRK2, with the secret encapsulated to the client's ephemeral key.
pub fn prk2(prk1: &Prk, h2: &Hash, ss_e: &SharedSecret) -> Prk {
    extract(expand_key(prk1, "d1", h2).as_bytes(), ss_e.as_bytes())
}

/// PRK3, with the secret encapsulated to the client's static key if it has one.
pub fn prk3(prk2: &Prk, ss_c: Option<&SharedSecret>) -> Prk {
    extract(expand_key(prk2, "d2", b"").as_bytes(), ss_c.map_or(&NO_SECRET, |ss| ss.as_bytes()))
}

/// PRK4, with the pre-shared key if there is one.
pub fn prk4(prk3: &Prk, psk: Option<&[u8; 32]>) -> Prk {
    extract(expand_key(prk3, "d3", b"").as_bytes(), psk.unwrap_or(&NO_SECRET))
}

/// h3: mode, the server's connection id and its ciphertexts. `ct_c` is empty without a client key.
pub fn h3(h2: &Hash, flags: u8, scid_s: &[u8], ct_e: &[u8], ct_c: &[u8]) -> Hash {
    hash(&[h2, &[flags], &lp8(scid_s), scid_s, ct_e, ct_c])
}

/// k2 seals the server's answer and so proves the server.
pub fn k2(prk4: &Prk, h3: &Hash) -> Prk {
    expand_key(prk4, "k2", h3)
}

/// h4: the whole handshake.
pub fn h4(h3: &Hash, sealed2: &[u8]) -> Hash {
    hash(&[h3, sealed2])
}

/// Seals P1 under k1 with h1, or P2 under k2 with h3. Each key seals one message, hence the constant nonce.
pub fn seal_params(key: &Prk, transcript: &Hash, plain: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(plain.len() + TAG_LEN);
    sealed.extend_from_slice(plain);
    let tag = Portable::new(key.as_bytes()).seal(&[0; 12], transcript, &mut sealed);
    sealed.extend_from_slice(&tag);
    sealed
}

/// Opens what [`seal_params`] sealed.
pub fn open_params(key: &Prk, transcript: &Hash, sealed: &[u8]) -> Result<Vec<u8>, Rejected> {
    let (sealed, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(Rejected)?;
    let mut plain = sealed.to_vec();
    Portable::new(key.as_bytes()).open(&[0; 12], transcript, &mut plain, tag)?;
    Ok(plain)
}

/// What a handshake leaves behind: three secrets.
#[derive(Debug)]
pub struct Secrets {
    /// Protects what the client sends, phase 0.
    pub client: Secret,
    /// Protects what the server sends, phase 0.
    pub server: Secret,
    /// The root of [`exporter`](super::kdf::exporter).
    pub exporter: Prk,
}

impl Secrets {
    /// The secrets that follow from PRK4 and h4.
    pub fn derive(prk4: &Prk, h4: Hash) -> Self {
        let secret = |label| {
            let mut out = zeroize::Zeroizing::new([0; 32]);
            expand(prk4, label, &h4, &mut *out);
            Secret::new(*out)
        };
        Self { client: secret("c ap"), server: secret("s ap"), exporter: expand_key(prk4, "exp", &h4) }
    }
}

//! The three steps of the handshake over whole messages (specification sections 2.5 to 2.8, and section 13, item 1).
//!
//! ```text
//! client: ClientKem::new, hello   -- M1 -->   server: server_open, then after the application's decision, seal
//! client: finish                  <-- M2 --
//! ```
//! All steps are pure functions of their arguments: the random seeds come from the caller, and a job may run anywhere.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use super::aead::TAG_LEN;
use super::kdf::Prk;
use super::kem::{CIPHERTEXT_LEN, Ciphertext, NonContributory, PUBLIC_KEY_LEN, PublicKey, SecretKey, SharedSecret};
use super::transcript::{
    Hash, Ids, Secrets, h0, h1, h2, h3, h4, k1, k2, open_params, prk1, prk2, prk3, prk4, seal_params,
};
use crate::wire::{Reader, Writer, varint};

/// The longest P1 that still fits four datagrams with the longest connection ids and token (section 13, item 10).
pub const MAX_P1: usize = 1940;

const FLAG_CLIENT_KEY: u8 = 0x01;
const FLAG_PSK: u8 = 0x02;
const FLAG_REFUSED: u8 = 0x04;

const CLIENT_KEY_ID: u64 = 0x20;
const CLIENT_KEY: u64 = 0x21;
const PSK_ID: u64 = 0x22;
const REFUSE: u64 = 0x30;

unit_errors! {
    /// The server's answer does not verify. It must not end the attempt: anyone can send such an answer.
    InnerFailure = "the server's answer does not verify";
    /// The client's hello does not verify. It is dropped without an answer.
    OpenFailure = "the client's hello does not verify";
}

/// Why an answer cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// The client's ephemeral key or static key has a small order.
    NonContributory,
    /// The client asked for another authentication than the caller wants to use; a weaker one would be a downgrade.
    Mode,
    /// The extra parameters are malformed, or carry a refusal of their own.
    Params,
}

impl From<NonContributory> for SealError {
    fn from(NonContributory: NonContributory) -> Self {
        Self::NonContributory
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NonContributory => "the client's key has a small order",
            Self::Mode => "not the authentication that the client asked for",
            Self::Params => "malformed parameters",
        })
    }
}

impl core::error::Error for SealError {}

/// How the client asks to be authenticated: the part of P1 that the flags of the answer must repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mode {
    client_key: bool,
    psk: bool,
}

impl Mode {
    /// Reads P1. `None` if it is malformed or offers two client keys.
    fn of_p1(p1: &[u8]) -> Option<Self> {
        let (mut id, mut inline, mut psk) = (false, false, false);
        for_each_param(p1, |ty, _| match ty {
            CLIENT_KEY_ID => id = true,
            CLIENT_KEY => inline = true,
            PSK_ID => psk = true,
            _ => {}
        })?;
        (!(id && inline)).then_some(Self { client_key: id || inline, psk })
    }

    fn flags(self) -> u8 {
        let client_key = if self.client_key { FLAG_CLIENT_KEY } else { 0 };
        let psk = if self.psk { FLAG_PSK } else { 0 };
        client_key | psk
    }
}

/// Walks over parameters with ascending unique ids (specification section 2.5).
fn for_each_param(params: &[u8], mut visit: impl FnMut(u64, &[u8])) -> Option<()> {
    let mut reader = Reader::new(params);
    let mut last = None;
    while !reader.is_empty() {
        let ty = reader.varint().ok()?;
        if last >= Some(ty) {
            return None;
        }
        last = Some(ty);
        visit(ty, reader.length_prefixed().ok()?);
    }
    Some(())
}

/// The code of the refusal in P2, if there is one. The outer `None` means malformed.
fn refusal(p2: &[u8]) -> Option<Option<u64>> {
    let mut code = Some(None);
    for_each_param(p2, |ty, value| {
        if ty == REFUSE {
            let mut reader = Reader::new(value);
            code = reader.varint().ok().filter(|_| reader.is_empty()).map(Some);
        }
    })?;
    code
}

fn refusal_p2(code: u64) -> Vec<u8> {
    let code = code.min(varint::MAX);
    let mut buf = [0; 10];
    let mut w = Writer::new(&mut buf);
    let fits = w.varint(REFUSE).and_then(|()| w.varint(varint::len(code) as u64)).and_then(|()| w.varint(code));
    debug_assert!(fits.is_ok());
    w.written().to_vec()
}

/// The key material of one connection attempt: an ephemeral key pair and a secret for the server's static key.
///
/// It outlives a retry: the same material goes into every hello of the attempt.
pub struct ClientKem {
    e: SecretKey,
    pk_s: PublicKey,
    ct_s: Box<Ciphertext>,
    ss_s: SharedSecret,
}

impl fmt::Debug for ClientKem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKem").field("pk_s", &self.pk_s).finish_non_exhaustive()
    }
}

/// What the client offers for its authentication, beside what P1 says about it.
#[derive(Clone, Copy, Default)]
pub struct Offered<'a> {
    /// The key that P1 names.
    pub client_key: Option<&'a SecretKey>,
    /// The pre-shared key that P1 names.
    pub psk: Option<&'a [u8; 32]>,
}

impl fmt::Debug for Offered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offered").field("client_key", &self.client_key).field("psk", &self.psk.map(|_| ..)).finish()
    }
}

/// A verified answer of the server.
#[derive(Debug)]
pub struct Established {
    /// The secrets of the connection.
    pub secrets: Secrets,
    /// The code, if the server refuses. There is no connection then.
    pub refused: Option<u64>,
}

impl ClientKem {
    /// Makes an ephemeral key pair from `e_seed` and encapsulates to the server's key with `eseed_s`.
    pub fn new(pk_s: &PublicKey, e_seed: [u8; 32], eseed_s: [u8; 64]) -> Result<Self, NonContributory> {
        let eseed_s = zeroize::Zeroizing::new(eseed_s);
        let (ct_s, ss_s) = pk_s.encapsulate(&eseed_s)?;
        Ok(Self { e: SecretKey::from_seed(e_seed), pk_s: pk_s.clone(), ct_s: Box::new(ct_s), ss_s })
    }

    /// The server's key.
    pub const fn server_key(&self) -> &PublicKey {
        &self.pk_s
    }

    /// Makes the message M1 of a hello. `p1` is at most [`MAX_P1`] bytes long.
    pub fn hello(&self, odcid: &[u8], dcid: &[u8], scid: &[u8], p1: &[u8]) -> (Vec<u8>, ClientHelloState) {
        let e_pk = self.e.public().as_bytes();
        let h0 = h0(self.pk_s.as_bytes());
        let h1 = h1(&h0, Ids { odcid, dcid, scid }, e_pk, &self.ct_s);
        let prk1 = prk1(&h0, &self.ss_s);
        let sealed1 = seal_params(&k1(&prk1, &h1), &h1, p1);
        let mut m1 = Vec::with_capacity(PUBLIC_KEY_LEN + CIPHERTEXT_LEN + sealed1.len());
        m1.extend_from_slice(e_pk);
        m1.extend_from_slice(&*self.ct_s);
        m1.extend_from_slice(&sealed1);
        (m1, ClientHelloState { h2: h2(&h1, &sealed1), prk1, mode: Mode::of_p1(p1) })
    }
}

/// What a client keeps of one hello until it is answered.
#[derive(Debug)]
pub struct ClientHelloState {
    h2: Hash,
    prk1: Prk,
    /// `None` if P1 was malformed: no server answers such a hello.
    mode: Option<Mode>,
}

/// M2 cut in its parts.
struct Answer<'a> {
    flags: u8,
    ct_e: &'a Ciphertext,
    ct_c: Option<&'a Ciphertext>,
    sealed2: &'a [u8],
}

impl<'a> Answer<'a> {
    fn parse(m2: &'a [u8]) -> Option<Self> {
        let (&flags, rest) = m2.split_first()?;
        let (ct_e, rest) = rest.split_first_chunk()?;
        let (ct_c, sealed2) = if flags & FLAG_CLIENT_KEY != 0 {
            let (ct_c, rest) = rest.split_first_chunk()?;
            (Some(ct_c), rest)
        } else {
            (None, rest)
        };
        Some(Self { flags, ct_e, ct_c, sealed2 })
    }
}

impl ClientHelloState {
    /// Verifies the message M2 of an answer.
    ///
    /// The flags must repeat what P1 asked for, or be a pure refusal; nobody on the path can talk the client into a
    /// weaker mode. Every failure looks the same.
    pub fn finish(
        &self,
        kem: &ClientKem,
        scid_s: &[u8],
        m2: &[u8],
        offered: Offered<'_>,
    ) -> Result<Established, InnerFailure> {
        let answer = Answer::parse(m2).ok_or(InnerFailure)?;
        let mode = self.mode.ok_or(InnerFailure)?;
        let refused = answer.flags == FLAG_REFUSED;
        if !refused && answer.flags != mode.flags() {
            return Err(InnerFailure);
        }
        let ss_e = kem.e.decapsulate(answer.ct_e).map_err(|_| InnerFailure)?;
        let ss_c = match answer.ct_c {
            Some(ct_c) => {
                let key = offered.client_key.ok_or(InnerFailure)?;
                Some(key.decapsulate(ct_c).map_err(|_| InnerFailure)?)
            }
            None => None,
        };
        let psk = match answer.flags & FLAG_PSK {
            0 => None,
            _ => Some(offered.psk.ok_or(InnerFailure)?),
        };
        let ct_c = answer.ct_c.map_or(&[][..], |ct| ct);
        let h3 = h3(&self.h2, answer.flags, scid_s, answer.ct_e, ct_c);
        let prk4 = mix(&self.prk1, &self.h2, &ss_e, ss_c.as_ref(), psk);
        let p2 = open_params(&k2(&prk4, &h3), &h3, answer.sealed2).map_err(|_| InnerFailure)?;
        let code = refusal(&p2).ok_or(InnerFailure)?;
        if code.is_some() != refused {
            return Err(InnerFailure);
        }
        Ok(Established { secrets: Secrets::derive(&prk4, h4(&h3, answer.sealed2)), refused: code })
    }
}

fn mix(prk1: &Prk, h2: &Hash, ss_e: &SharedSecret, ss_c: Option<&SharedSecret>, psk: Option<&[u8; 32]>) -> Prk {
    prk4(&prk3(&prk2(prk1, h2, ss_e), ss_c), psk)
}

/// A hello that the server has opened and not yet answered.
pub struct ServerOpened {
    /// The client's parameters; well-formed, with ascending ids.
    pub p1: Vec<u8>,
    e_pk: PublicKey,
    prk1: Prk,
    h2: Hash,
    mode: Mode,
}

/// Leaves out P1: it may hold a token of the application.
impl fmt::Debug for ServerOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOpened").field("e_pk", &self.e_pk).field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// Opens the message M1 of a hello: one decapsulation with the server's static key.
pub fn server_open(
    sk: &SecretKey,
    odcid: &[u8],
    dcid: &[u8],
    scid_c: &[u8],
    m1: &[u8],
) -> Result<ServerOpened, OpenFailure> {
    let (e_pk, rest) = m1.split_first_chunk::<PUBLIC_KEY_LEN>().ok_or(OpenFailure)?;
    let (ct_s, sealed1) = rest.split_first_chunk::<CIPHERTEXT_LEN>().ok_or(OpenFailure)?;
    if !(TAG_LEN..=TAG_LEN + MAX_P1).contains(&sealed1.len()) {
        return Err(OpenFailure);
    }
    let h0 = h0(sk.public().as_bytes());
    let h1 = h1(&h0, Ids { odcid, dcid, scid: scid_c }, e_pk, ct_s);
    let e_pk = PublicKey::from_bytes(e_pk).map_err(|_| OpenFailure)?;
    let ss_s = sk.decapsulate(ct_s).map_err(|_| OpenFailure)?;
    let prk1 = prk1(&h0, &ss_s);
    let p1 = open_params(&k1(&prk1, &h1), &h1, sealed1).map_err(|_| OpenFailure)?;
    let mode = Mode::of_p1(&p1).ok_or(OpenFailure)?;
    Ok(ServerOpened { p1, e_pk, prk1, h2: h2(&h1, sealed1), mode })
}

impl ServerOpened {
    /// Whether P1 names a client key, so that [`seal`](Self::seal) needs one.
    pub const fn wants_client_key(&self) -> bool {
        self.mode.client_key
    }

    /// Whether P1 names a pre-shared key, so that [`seal`](Self::seal) needs one.
    pub const fn wants_psk(&self) -> bool {
        self.mode.psk
    }

    /// Makes the message M2 of the answer: one encapsulation to the client's ephemeral key, and one to its static key
    /// if `client` gives it with 64 random bytes.
    ///
    /// `client` and `psk` must be what P1 asked for, neither more nor less. With `refuse` both are left out of the
    /// answer, whatever they are, and the returned secrets are of no use. `p2_extra` are more parameters for P2 with
    /// ids below 0x30; a refusal carries none.
    pub fn seal(
        self,
        scid_s: &[u8],
        eseed_e: &[u8; 64],
        client: Option<(&PublicKey, &[u8; 64])>,
        psk: Option<&[u8; 32]>,
        refuse: Option<u64>,
        p2_extra: &[u8],
    ) -> Result<(Vec<u8>, Secrets), SealError> {
        let offered = Mode { client_key: client.is_some(), psk: psk.is_some() };
        let (flags, p2, client, psk) = match refuse {
            Some(code) => (FLAG_REFUSED, refusal_p2(code), None, None),
            None if offered != self.mode => return Err(SealError::Mode),
            None if refusal(p2_extra) != Some(None) => return Err(SealError::Params),
            None => (self.mode.flags(), p2_extra.to_vec(), client, psk),
        };
        let (ct_e, ss_e) = self.e_pk.encapsulate(eseed_e)?;
        let client = client.map(|(key, eseed)| key.encapsulate(eseed)).transpose()?;
        let ct_c = client.as_ref().map_or(&[][..], |(ct, _)| ct);
        let ss_c = client.as_ref().map(|(_, ss)| ss);

        let h3 = h3(&self.h2, flags, scid_s, &ct_e, ct_c);
        let prk4 = mix(&self.prk1, &self.h2, &ss_e, ss_c, psk);
        let sealed2 = seal_params(&k2(&prk4, &h3), &h3, &p2);
        let mut m2 = Vec::with_capacity(1 + ct_e.len() + ct_c.len() + sealed2.len());
        m2.push(flags);
        m2.extend_from_slice(&ct_e);
        m2.extend_from_slice(ct_c);
        m2.extend_from_slice(&sealed2);
        Ok((m2, Secrets::derive(&prk4, h4(&h3, &sealed2))))
    }
}

#[cfg(test)]
#[path = "tests/schedule.rs"]
mod tests;

//! The client's half of the handshake: fetching the key if need be, the hello, retries, and the verdict
//! (specification sections 2.3 to 2.10). Sends datagrams of its own; knows nothing of 1-RTT packets.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use zeroize::Zeroizing;

use super::assembly::Assembly;
use super::flight::{Flight, Flights, Request};
use super::hello;
use super::versions::Versions;
use crate::config::{ClientConfig, ClientConfigError, Config, Trust, bounds};
use crate::crypto::initial::{Layout, build_flight};
use crate::crypto::token::KeyInfo;
use crate::crypto::{ClientKem, Established, InitialKeys, KeyId, Offered, PublicKey, SecretKey};
use crate::entropy::Drbg;
use crate::event::ConnectionError;
use crate::stats::DropReason;
use crate::time::Instant;
use crate::wire::header::{Fragment, LongHeader, LongType, VersionNegotiation};
use crate::wire::{Cid, Side};

/// Retries and key fetches an attempt may go through.
const MAX_REDIRECTS: u8 = 3;
/// Answers being put together at once: whoever knows the key id can start one.
const MAX_ASSEMBLIES: usize = 4;
/// Waiting longer does not help: a server keeps the pieces of a hello for five seconds, and only pieces of repetitions
/// that come closer together complete each other.
const MAX_PTO: Duration = Duration::from_secs(3);
/// Whoever contradicts the pinned key may be nearer than the server: the server gets at least three of these, doubling.
const MIN_PTO: Duration = Duration::from_millis(150);
/// Probe timeouts after which a contradicted key counts as the wrong one.
const MISMATCH_PTOS: u32 = 3;

/// Why [`Endpoint::connect`](crate::Endpoint::connect) did not even begin.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// No server key is trusted and the address is not loopback.
    TrustRequired {
        /// Where the connection was to go.
        remote: SocketAddr,
    },
    /// The settings are out of their bounds.
    Config(ClientConfigError),
    /// Identity key, token and protocols together do not fit the first message.
    TooLarge,
    /// The pinned key is degenerate: nobody can hold its secret.
    InvalidKey,
    /// The endpoint has as many connections as its bound allows.
    TooManyConnections,
    /// The endpoint is shutting down.
    ShuttingDown,
}

impl core::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TrustRequired { remote } => write!(
                f,
                "no trusted key for {remote}: pin the server's key with ClientConfig::pinned, its id (jsp1-...) with \
                 ClientConfig::fingerprints, or decide when it is shown with ClientConfig::ask; only loopback \
                 addresses may be reached without"
            ),
            Self::Config(error) => error.fmt(f),
            Self::TooLarge => f.write_str("identity key, application token and protocols do not fit the first message"),
            Self::InvalidKey => f.write_str("the pinned key is not a usable key"),
            Self::TooManyConnections => f.write_str("the endpoint has as many connections as its bound allows"),
            Self::ShuttingDown => f.write_str("the endpoint is shutting down"),
        }
    }
}

impl core::error::Error for ConnectError {}

/// What an incoming datagram did to the handshake.
#[derive(Debug)]
pub(crate) enum Step {
    Dropped(DropReason),
    /// Taken in; there may be datagrams to send.
    Progress,
    /// The server showed its key and the program must decide.
    Offer,
    /// Somebody claims that the server has another key.
    Suspect,
    /// The server proved its key.
    Established(Established),
    /// The attempt is over.
    Failed(ConnectionError),
}

struct Offer {
    key: PublicKey,
    token: Vec<u8>,
    odcid: Cid,
    dcid: Cid,
}

/// One answer being put together: which flight it answers, under which key id, from which server id.
struct Answer {
    flight: usize,
    under: KeyId,
    scid: Cid,
    assembly: Assembly,
}

/// A client's attempt to connect.
pub(crate) struct ClientHandshake {
    scid: Cid,
    trust: Trust,
    identity: Option<Arc<SecretKey>>,
    psk: Option<Zeroizing<[u8; 32]>>,
    p1: Vec<u8>,
    kem: Option<ClientKem>,
    flights: Flights,
    answers: Vec<Answer>,
    offer: Option<Offer>,
    suspect: Option<KeyId>,
    versions: Versions,
    /// 1-RTT datagrams that overtook the server's answer.
    early: Vec<Box<[u8]>>,
    /// RETRY and KEYINFO taken, in all and since the last probe timeout.
    redirects: [u8; 2],
    redirected: [bool; 2],
    forged: u32,
    started: Instant,
    /// When the flight that an answer measures was first sent; `None` once it was sent again.
    sent_at: Option<Instant>,
    resend_at: Instant,
    first_pto: Duration,
    pto: Duration,
    ptos: u32,
    deadline: Instant,
    timeout: Duration,
}

impl ClientHandshake {
    pub(crate) fn new(
        now: Instant,
        config: &Config,
        client: &ClientConfig,
        remote: SocketAddr,
        rng: &mut Drbg,
    ) -> Result<Self, ConnectError> {
        client.check().map_err(ConnectError::Config)?;
        if matches!(client.trust, Trust::LoopbackOnly) && !remote.ip().to_canonical().is_loopback() {
            return Err(ConnectError::TrustRequired { remote });
        }
        let dcid = random_cid(rng);
        let timeout = client.handshake_timeout.unwrap_or(config.transport.handshake_timeout);
        let pto = config.transport.initial_rtt.saturating_mul(3);
        let mut this = Self {
            scid: config.new_cid(rng),
            trust: client.trust.clone(),
            identity: client.identity.clone(),
            psk: client.psk.as_ref().map(|(_, key)| key.clone()),
            p1: hello::client_params(config, client, rng).map_err(|_| ConnectError::TooLarge)?,
            kem: None,
            flights: Flights::default(),
            answers: Vec::new(),
            offer: None,
            suspect: None,
            versions: Versions::default(),
            early: Vec::new(),
            redirects: [0; 2],
            redirected: [false; 2],
            forged: 0,
            started: now,
            sent_at: Some(now),
            resend_at: now + pto,
            first_pto: pto,
            pto,
            ptos: 0,
            deadline: now + timeout,
            timeout,
        };
        this.start(dcid, &client.token, rng)?;
        Ok(this)
    }

    fn start(&mut self, dcid: Cid, token: &[u8], rng: &mut Drbg) -> Result<(), ConnectError> {
        match self.trust.clone() {
            Trust::Pinned(key) => {
                self.kem = Some(self.encapsulate(&key, rng).ok_or(ConnectError::InvalidKey)?);
                self.say_hello(dcid, dcid, token).ok_or(ConnectError::TooLarge)
            }
            Trust::Fingerprint(ids) => {
                let mut dcid = dcid;
                for id in ids {
                    self.ask_key(id, dcid).ok_or(ConnectError::TooLarge)?;
                    dcid = random_cid(rng);
                }
                Ok(())
            }
            Trust::LoopbackOnly | Trust::Ask | Trust::DangerAcceptAny => {
                self.ask_key(KeyId::ZERO, dcid).ok_or(ConnectError::TooLarge)
            }
        }
    }

    fn encapsulate(&self, key: &PublicKey, rng: &mut Drbg) -> Option<ClientKem> {
        let e_seed = rng.array();
        ClientKem::new(key, e_seed, rng.array()).ok()
    }

    fn ask_key(&mut self, key_id: KeyId, dcid: Cid) -> Option<()> {
        let header = request(LongType::Key, dcid, self.scid, &[]);
        let seal = InitialKeys::new(&key_id, dcid.as_slice()).client(LongType::Key);
        let datagrams = build_flight(&header, &seal, &[], Layout::Padded).ok()?;
        self.flights.push(Flight { dcid, key_id, request: Request::Key, datagrams });
        Some(())
    }

    fn say_hello(&mut self, odcid: Cid, dcid: Cid, token: &[u8]) -> Option<()> {
        let kem = self.kem.as_ref()?;
        let (m1, state) = kem.hello(odcid.as_slice(), dcid.as_slice(), self.scid.as_slice(), &self.p1);
        let key_id = kem.server_key().key_id();
        let header = request(LongType::ClientInit, dcid, self.scid, token);
        let seal = InitialKeys::new(&key_id, dcid.as_slice()).client(LongType::ClientInit);
        let datagrams = build_flight(&header, &seal, &m1, Layout::Hello).ok()?;
        self.flights.supersede(Flight { dcid, key_id, request: Request::Connection(state), datagrams });
        Some(())
    }

    /// This side's connection id.
    pub(crate) fn scid(&self) -> Cid {
        self.scid
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// A round-trip sample, if the answer at `now` cannot belong to an earlier copy.
    pub(crate) fn rtt_sample(&self, now: Instant) -> Option<Duration> {
        self.sent_at.map(|sent| now - sent)
    }

    pub(crate) fn offered_key(&self) -> Option<&PublicKey> {
        self.offer.as_ref().map(|offer| &offer.key)
    }

    /// The key the server is held to, once there is one.
    pub(crate) fn server_key_id(&self) -> Option<KeyId> {
        self.kem.as_ref().map(|kem| kem.server_key().key_id())
    }

    /// The program trusts the offered key.
    pub(crate) fn trust_offer(&mut self, now: Instant, rng: &mut Drbg) {
        if let Some(offer) = self.offer.take() {
            self.deadline = now + self.timeout;
            self.use_key(now, &offer, rng);
        }
    }

    fn use_key(&mut self, now: Instant, offer: &Offer, rng: &mut Drbg) {
        self.kem = self.encapsulate(&offer.key, rng);
        // A degenerate key or an oversize message leaves nothing to send; the attempt then ends at its deadline.
        let _ = self.say_hello(offer.odcid, offer.dcid, &offer.token);
        self.restart_timer(now);
    }

    fn restart_timer(&mut self, now: Instant) {
        self.sent_at = Some(now);
        // The server answered: what made the waits long is over. There are few such answers, so nobody can abuse it.
        self.pto = self.first_pto;
        self.resend_at = now + self.pto;
    }

    // ---- sending

    pub(crate) fn next_datagram(&self) -> Option<&[u8]> {
        self.flights.next()
    }

    pub(crate) fn datagram_sent(&mut self) {
        self.flights.sent();
    }

    // ---- time

    pub(crate) fn wake(&self) -> Option<Instant> {
        // While the program thinks about a key, nothing runs out: a person may be asked.
        self.offer.is_none().then_some(self.deadline.min(self.resend_at))
    }

    /// Keeps a 1-RTT datagram for when there are keys.
    pub(crate) fn keep_early(&mut self, datagram: &[u8]) -> Result<(), DropReason> {
        if self.early.len() >= bounds::EARLY_DATAGRAMS {
            return Err(DropReason::TooEarly);
        }
        self.early.push(Box::from(datagram));
        Ok(())
    }

    /// The datagrams that were kept.
    pub(crate) fn take_early(&mut self) -> Vec<Box<[u8]>> {
        core::mem::take(&mut self.early)
    }

    /// When the attempt ends without success, and how long it has lasted then.
    pub(crate) fn patience(&self) -> (Instant, Duration) {
        (self.deadline, self.timeout)
    }

    pub(crate) fn on_timeout(&mut self, now: Instant, rng: &mut Drbg) -> Option<ConnectionError> {
        if self.offer.is_some() {
            return None;
        }
        if now >= self.resend_at {
            self.ptos += 1;
            if self.ptos >= MISMATCH_PTOS
                && let Some(mismatch) = self.mismatch()
            {
                return Some(mismatch);
            }
            self.pto = self.pto.max(self.pto.saturating_mul(2).min(MAX_PTO));
            self.resend_at = now + self.pto;
            self.sent_at = None;
            self.redirected = [false; 2];
            // Answers that fail inside are those to somebody else's hello under this connection id: the server takes this
            // client's for copies of that one until it has forgotten it. Another id is another attempt.
            let taken = core::mem::take(&mut self.forged) > 0;
            let dcid = random_cid(rng);
            if !(taken && self.say_hello(dcid, dcid, &[]).is_some()) {
                self.flights.resend();
            }
        }
        (now >= self.deadline).then(|| match self.mismatch() {
            Some(mismatch) => mismatch,
            None if self.versions.are_strange() => ConnectionError::VersionMismatch,
            None => ConnectionError::NoAnswer { after: self.timeout },
        })
    }

    fn mismatch(&self) -> Option<ConnectionError> {
        let got = self.suspect?;
        let expected = match &self.trust {
            Trust::Pinned(key) => key.key_id(),
            Trust::Fingerprint(ids) => *ids.first()?,
            _ => return None,
        };
        Some(ConnectionError::PeerKeyMismatch { expected, got })
    }

    // ---- receiving

    /// Takes a long-header datagram of the server.
    pub(crate) fn on_datagram(
        &mut self,
        now: Instant,
        header: &LongHeader<'_>,
        packet: &mut [u8],
        rng: &mut Drbg,
    ) -> Step {
        match header.ty {
            LongType::ServerInit => self.on_answer(header, packet),
            LongType::Retry => self.on_retry(now, header, packet),
            LongType::Key => self.on_key_info(now, header, packet, rng),
            LongType::ClientInit => Step::Dropped(DropReason::Unexpected),
        }
    }

    /// Takes a version negotiation packet, which must name the id of a packet that was sent.
    pub(crate) fn on_version_negotiation(&mut self, packet: &VersionNegotiation<'_>) -> Result<(), DropReason> {
        if self.flights.iter().all(|(_, flight)| flight.dcid.as_slice() != packet.scid) {
            return Err(DropReason::Unexpected);
        }
        self.versions.on_negotiation(packet)
    }

    fn on_answer(&mut self, header: &LongHeader<'_>, packet: &mut [u8]) -> Step {
        if self.forged >= bounds::FORGED_INNER {
            return Step::Dropped(DropReason::InnerSeal);
        }
        let opened =
            self.flights.hellos().find_map(|(at, flight)| flight.open(&flight.key_id, header, packet).map(|_| at));
        let Some(at) = opened else { return Step::Dropped(DropReason::Seal) };
        self.versions.on_opened();
        let Some(under) = self.flights.get(at).map(|flight| flight.key_id) else {
            return Step::Dropped(DropReason::Seal);
        };
        let message = match self.assemble(at, under, header, packet) {
            Ok(Some(message)) => message,
            Ok(None) => return Step::Progress,
            Err(reason) => return Step::Dropped(reason),
        };
        let (Some(kem), Some(Flight { request: Request::Connection(state), .. })) = (&self.kem, self.flights.get(at))
        else {
            return Step::Dropped(DropReason::Unexpected);
        };
        let offered = Offered { client_key: self.identity.as_deref(), psk: self.psk.as_deref() };
        match state.finish(kem, header.scid.as_slice(), &message, offered) {
            Err(_) => {
                self.forged += 1;
                Step::Dropped(DropReason::InnerSeal)
            }
            Ok(Established { refused: Some(code), .. }) => {
                Step::Failed(ConnectionError::Refused { code: crate::AppCode::new(code) })
            }
            Ok(established) => {
                self.flights.stop_sending();
                Step::Established(established)
            }
        }
    }

    /// Adds a fragment to its answer and gives the message when it is complete.
    fn assemble(
        &mut self,
        flight: usize,
        under: KeyId,
        header: &LongHeader<'_>,
        packet: &[u8],
    ) -> Result<Option<Vec<u8>>, DropReason> {
        let sealed_end = packet.len().saturating_sub(crate::crypto::TAG_LEN);
        let plain = packet.get(header.payload_at..sealed_end).ok_or(DropReason::Malformed)?;
        let fragment = Fragment::decode(plain).map_err(|_| DropReason::Malformed)?;
        let at = self
            .answers
            .iter()
            .position(|answer| answer.flight == flight && answer.under == under && answer.scid == header.scid);
        let at = match at {
            Some(at) => {
                let answer = self.answers.get_mut(at).ok_or(DropReason::Fragment)?;
                let inserted = answer.assembly.insert(header.index, header.count, &fragment);
                inserted.map_err(|_| DropReason::Fragment)?;
                at
            }
            None => {
                let assembly = Assembly::start(header.index, header.count, &fragment);
                let assembly = assembly.map_err(|_| DropReason::Fragment)?;
                if self.answers.len() == MAX_ASSEMBLIES {
                    self.answers.remove(0);
                }
                self.answers.push(Answer { flight, under, scid: header.scid, assembly });
                self.answers.len() - 1
            }
        };
        let complete = self.answers.get(at).is_some_and(|answer| answer.assembly.message().is_some());
        Ok(complete.then(|| self.answers.remove(at).assembly.into_message()))
    }

    /// Whether a redirection of this kind (0 RETRY, 1 KEYINFO) may be followed now.
    fn may_redirect(&self, kind: usize) -> bool {
        self.redirects.get(kind).is_some_and(|&taken| taken < MAX_REDIRECTS)
            && self.redirected.get(kind) == Some(&false)
    }

    fn redirect(&mut self, kind: usize) {
        if let (Some(taken), Some(recent)) = (self.redirects.get_mut(kind), self.redirected.get_mut(kind)) {
            *taken += 1;
            *recent = true;
        }
    }

    fn on_retry(&mut self, now: Instant, header: &LongHeader<'_>, packet: &mut [u8]) -> Step {
        if !self.may_redirect(0) || header.scid.len() < crate::wire::header::MIN_CLIENT_CID {
            return Step::Dropped(DropReason::Unexpected);
        }
        let opened = self.flights.hellos().find_map(|(_, flight)| {
            flight.open(&flight.key_id, header, packet).map(|token| (flight.dcid, token.to_vec()))
        });
        let Some((odcid, token)) = opened else { return Step::Dropped(DropReason::Seal) };
        self.versions.on_opened();
        if token.len() > crate::wire::header::MAX_TOKEN || self.say_hello(odcid, header.scid, &token).is_none() {
            return Step::Dropped(DropReason::Token);
        }
        self.redirect(0);
        self.restart_timer(now);
        Step::Progress
    }

    fn on_key_info(&mut self, now: Instant, header: &LongHeader<'_>, packet: &mut [u8], rng: &mut Drbg) -> Step {
        if header.scid.len() < crate::wire::header::MIN_CLIENT_CID {
            return Step::Dropped(DropReason::Malformed);
        }
        // A server that cannot open what it got answers under the zero id.
        let opened = self
            .flights
            .iter()
            .flat_map(|(at, flight)| [(at, flight, flight.key_id), (at, flight, KeyId::ZERO)])
            .find_map(|(at, flight, under)| flight.open(&under, header, packet).map(|_| (at, under)));
        let Some((at, under)) = opened else { return Step::Dropped(DropReason::Seal) };
        self.versions.on_opened();
        let message = match self.assemble(at, under, header, packet) {
            Ok(Some(message)) => message,
            Ok(None) => return Step::Progress,
            Err(reason) => return Step::Dropped(reason),
        };
        let Ok(info) = KeyInfo::decode(&message) else { return Step::Dropped(DropReason::Malformed) };
        let Some(flight) = self.flights.get(at) else { return Step::Dropped(DropReason::Unexpected) };
        let (asked, odcid) = (flight.key_id, flight.dcid);
        let wanted = matches!(flight.request, Request::Key);
        let got = info.key.key_id();
        if asked != KeyId::ZERO && got != asked {
            // Of several trusted keys the server has one at most; that it lacks the others is no news.
            let news = under == KeyId::ZERO && !self.trusts(&got);
            return if news { self.suspect(now, got) } else { Step::Dropped(DropReason::InnerSeal) };
        }
        if !wanted || self.kem.is_some() || self.offer.is_some() || !self.may_redirect(1) {
            return Step::Dropped(DropReason::Unexpected);
        }
        self.redirect(1);
        let offer = Offer { token: info.token.to_vec(), odcid, dcid: header.scid, key: info.key };
        if matches!(self.trust, Trust::Ask) {
            self.offer = Some(offer);
            self.flights.stop_sending();
            return Step::Offer;
        }
        self.use_key(now, &offer, rng);
        Step::Progress
    }

    /// Whether the key with this id was named as the server's before the attempt began.
    fn trusts(&self, id: &KeyId) -> bool {
        match &self.trust {
            Trust::Pinned(key) => key.key_id() == *id,
            Trust::Fingerprint(ids) => ids.contains(id),
            Trust::LoopbackOnly | Trust::Ask | Trust::DangerAcceptAny => false,
        }
    }

    /// An unauthenticated hint; it names the failure if the attempt fails, and nothing more.
    fn suspect(&mut self, now: Instant, got: KeyId) -> Step {
        if self.suspect.replace(got).is_some() {
            return Step::Progress;
        }
        // Somebody answers, so the round trip is known: the honest server gets its three probe timeouts, of that length.
        if let Some(rtt) = self.rtt_sample(now) {
            self.pto = rtt.saturating_mul(3).max(MIN_PTO).min(self.pto);
            self.ptos = 0;
            self.resend_at = now + self.pto;
        }
        Step::Suspect
    }
}

/// The header of a client's flight; fragment numbers are filled in when it is cut.
fn request(ty: LongType, dcid: Cid, scid: Cid, token: &[u8]) -> LongHeader<'_> {
    LongHeader { from: Side::Client, ty, count: 1, index: 0, dcid, scid, token, payload_at: 0 }
}

fn random_cid(rng: &mut Drbg) -> Cid {
    Cid::new(&rng.array::<{ crate::wire::header::MIN_CLIENT_CID }>()).unwrap_or_default()
}

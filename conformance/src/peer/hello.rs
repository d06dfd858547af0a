//! Both halves of the handshake, as plain functions of datagrams.

use jsp_proto::Side;
use jsp_proto::internals::crypto::initial::{Layout, build_flight};
use jsp_proto::internals::crypto::{
    ClientHelloState, ClientKem, InitialKeys, KeyId, Offered, PublicKey, SecretKey, server_open,
};
use jsp_proto::internals::wire::header::{Cid, Fragment, LongHeader, LongType, decode_long};
use jsp_proto::internals::wire::params::{Extras, Params, ParamsContext};

use super::{Session, params};

/// The first flight of a client.
pub struct Hello {
    /// Where it goes: an id that this side has made up for the server.
    pub dcid: Cid,
    /// The id by which this side is to be answered.
    pub scid: Cid,
    /// What to send.
    pub datagrams: Vec<Vec<u8>>,
    server: KeyId,
    kem: ClientKem,
    state: ClientHelloState,
}

impl Hello {
    /// A hello for the holder of `key`, different for every `number`, with the usual parameters.
    pub fn new(key: &PublicKey, number: u64) -> Self {
        Self::with_p1(key, number, &params(&Params::default(), &Extras::default(), ParamsContext::P1))
    }

    /// [`new`](Self::new) with these encoded parameters.
    pub fn with_p1(key: &PublicKey, number: u64, p1: &[u8]) -> Self {
        let mut seed = [0x5a; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let mut coins = [0xa5; 64];
        coins[..8].copy_from_slice(&number.to_be_bytes());
        let kem = ClientKem::new(key, seed, coins).expect("a sound key");
        let dcid = Cid::new(&(number | 1 << 63).to_be_bytes()).expect("eight bytes");
        let scid = Cid::new(&(number | 1 << 62).to_be_bytes()).expect("eight bytes");
        Self::cut(kem, dcid, dcid, scid, &[], p1)
    }

    /// The same key material in a hello that follows a RETRY from `scid` with this token.
    pub fn again(self, odcid: Cid, dcid: Cid, token: &[u8]) -> Self {
        let p1 = params(&Params::default(), &Extras::default(), ParamsContext::P1);
        Self::cut(self.kem, odcid, dcid, self.scid, token, &p1)
    }

    fn cut(kem: ClientKem, odcid: Cid, dcid: Cid, scid: Cid, token: &[u8], p1: &[u8]) -> Self {
        let (message, state) = kem.hello(odcid.as_slice(), dcid.as_slice(), scid.as_slice(), p1);
        let server = kem.server_key().key_id();
        let ty = LongType::ClientInit;
        let seal = InitialKeys::new(&server, dcid.as_slice()).client(ty);
        let header = LongHeader { from: Side::Client, ty, count: 1, index: 0, dcid, scid, token, payload_at: 0 };
        let datagrams = build_flight(&header, &seal, &message, Layout::Hello).expect("it fits");
        Self { dcid, scid, datagrams, server, kem, state }
    }

    /// The datagrams of this flight without its token: the same ids and the same message.
    pub fn without_token(&self) -> Vec<Vec<u8>> {
        self.flight_of(self.server, &self.message())
    }

    /// The message that the flight carries.
    pub fn message(&self) -> Vec<u8> {
        let seal = InitialKeys::new(&self.server, self.dcid.as_slice()).client(LongType::ClientInit);
        let mut message = Vec::new();
        for datagram in &self.datagrams {
            let mut datagram = datagram.clone();
            let header = decode_long(&datagram, Side::Client).expect("its own");
            let (index, at) = (header.index, header.payload_at);
            let plain = seal.open_datagram(index, &mut datagram, at).expect("its own");
            message.extend_from_slice(Fragment::decode(plain).expect("its own").data);
        }
        message
    }

    /// Another message under the ids of this flight, sealed for the server with key `server`.
    pub fn flight_of(&self, server: KeyId, message: &[u8]) -> Vec<Vec<u8>> {
        let ty = LongType::ClientInit;
        let seal = InitialKeys::new(&server, self.dcid.as_slice()).client(ty);
        let (dcid, scid) = (self.dcid, self.scid);
        let header = LongHeader { from: Side::Client, ty, count: 1, index: 0, dcid, scid, token: &[], payload_at: 0 };
        build_flight(&header, &seal, message, Layout::Hello).expect("it fits")
    }

    /// Opens an answer of the server: header and plain payload.
    pub fn open<'d>(&self, datagram: &'d mut [u8]) -> Option<(LongType, Cid, &'d [u8])> {
        open_answer(&self.server, &self.dcid, datagram)
    }
}

/// Waits for a server's answer to a hello.
#[derive(Debug, Default)]
pub struct Answer {
    fragments: Vec<(u16, u16, Vec<u8>)>,
    early: Vec<Vec<u8>>,
}

impl Answer {
    /// A datagram of the server. Gives the connection when the answer is complete; packets that overtook it are read.
    ///
    /// # Errors
    ///
    /// If the answer is not that of the key's holder, or refuses the client.
    pub fn on_datagram(&mut self, hello: &Hello, mut bytes: Vec<u8>) -> Result<Option<Session>, String> {
        let Some((LongType::ServerInit, scid, plain)) = hello.open(&mut bytes) else {
            self.early.push(bytes);
            return Ok(None);
        };
        let fragment = Fragment::decode(plain).map_err(|error| format!("a fragment: {error:?}"))?;
        self.fragments.push((fragment.total, fragment.offset, fragment.data.to_vec()));
        let Some(message) = assemble(&self.fragments) else { return Ok(None) };
        let established = hello.state.finish(&hello.kem, scid.as_slice(), &message, Offered::default());
        let established = established.map_err(|error| format!("the server's answer: {error:?}"))?;
        if let Some(refused) = established.refused {
            return Err(format!("refused: {refused:?}"));
        }
        let mut session = Session::new(Side::Client, (hello.dcid, hello.scid, scid), &established.secrets);
        self.early.drain(..).for_each(|bytes| session.on_datagram(bytes));
        Ok(Some(session))
    }
}

/// A server's half of a handshake: the connection, and the datagrams that tell the client of it.
pub type Welcomed = (Session, Vec<Vec<u8>>);

/// Waits, as a server, for the hello of a client.
#[derive(Debug)]
pub struct Welcome<'k> {
    key: &'k SecretKey,
    fragments: Vec<(u16, u16, Vec<u8>)>,
}

impl<'k> Welcome<'k> {
    /// For clients that know this key.
    pub const fn new(key: &'k SecretKey) -> Self {
        Self { key, fragments: Vec::new() }
    }

    /// A datagram of the client. When its hello is complete: the connection, and the datagrams that answer it.
    ///
    /// # Errors
    ///
    /// If it is no hello for this key.
    pub fn on_datagram(&mut self, mut bytes: Vec<u8>) -> Result<Option<Welcomed>, String> {
        let header = decode_long(&bytes, Side::Client).map_err(|error| format!("a header: {error:?}"))?;
        let (dcid, client, index, payload_at) = (header.dcid, header.scid, header.index, header.payload_at);
        let key_id = self.key.public().key_id();
        let seal = InitialKeys::new(&key_id, dcid.as_slice()).client(LongType::ClientInit);
        let plain =
            seal.open_datagram(index, &mut bytes, payload_at).map_err(|error| format!("the seal: {error:?}"))?;
        let fragment = Fragment::decode(plain).map_err(|error| format!("a fragment: {error:?}"))?;
        self.fragments.push((fragment.total, fragment.offset, fragment.data.to_vec()));
        let Some(message) = assemble(&self.fragments) else { return Ok(None) };
        let opened = server_open(self.key, dcid.as_slice(), dcid.as_slice(), client.as_slice(), &message);
        let opened = opened.map_err(|error| format!("the hello: {error:?}"))?;
        let local = Cid::new(&[0x77; 8]).unwrap_or_default();
        let sealed = opened.seal(local.as_slice(), &[3; 64], None, None, None, &[]);
        let (answer, secrets) = sealed.map_err(|error| format!("the answer: {error:?}"))?;
        let flight = answer_flight(&key_id, dcid, client, local, &answer);
        Ok(Some((Session::new(Side::Server, (dcid, local, client), &secrets), flight)))
    }
}

fn open_answer<'d>(server: &KeyId, dcid: &Cid, datagram: &'d mut [u8]) -> Option<(LongType, Cid, &'d [u8])> {
    let header = decode_long(datagram, Side::Server).ok()?;
    let (ty, scid, index, at) = (header.ty, header.scid, header.index, header.payload_at);
    let seal = InitialKeys::new(server, dcid.as_slice()).server(ty, scid.as_slice());
    let plain = seal.open_datagram(index, datagram, at).ok()?;
    Some((ty, scid, plain))
}

/// Puts fragments in the order of their offsets together; `None` while some are missing.
fn assemble(fragments: &[(u16, u16, Vec<u8>)]) -> Option<Vec<u8>> {
    let total = usize::from(fragments.first()?.0);
    let mut message = vec![None; total];
    for (_, offset, data) in fragments {
        for (slot, byte) in message.iter_mut().skip(usize::from(*offset)).zip(data) {
            *slot = Some(*byte);
        }
    }
    message.into_iter().collect()
}

/// A server's answer in datagrams; `message` may be anything.
pub fn answer_flight(server: &KeyId, dcid: Cid, client: Cid, scid: Cid, message: &[u8]) -> Vec<Vec<u8>> {
    let ty = LongType::ServerInit;
    let seal = InitialKeys::new(server, dcid.as_slice()).server(ty, scid.as_slice());
    let header =
        LongHeader { from: Side::Server, ty, count: 1, index: 0, dcid: client, scid, token: &[], payload_at: 0 };
    build_flight(&header, &seal, message, Layout::Padded).expect("it fits")
}

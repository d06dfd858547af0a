//! The handshakes: every intermediate value, every datagram, and both sides run against each other (specification
//! sections 2.4 to 2.9).

use jsp_proto::internals::crypto::initial::{InitialKeys, Layout, build_flight, build_retry};
use jsp_proto::internals::crypto::kem::{PublicKey, SecretKey};
use jsp_proto::internals::crypto::key_id::KeyId;
use jsp_proto::internals::crypto::schedule::{ClientKem, Offered, server_open};
use jsp_proto::internals::crypto::token::{KeyInfo, TokenKey};
use jsp_proto::internals::crypto::transcript::Secrets;
use jsp_proto::wire::{Cid, LongHeader, LongType, Side};
use serde_json::{Value, json};

use super::keys::Schedule;
use super::report::difference;
use super::value::{Computed, Inputs, hex, hex_list, written};

const FLAG_CLIENT_KEY: u8 = 1;
const FLAG_PSK: u8 = 2;
const FLAG_REFUSED: u8 = 4;

/// The header of the packets of a flight.
fn header<'a>(from: Side, ty: LongType, dcid: &[u8], scid: &[u8], token: &'a [u8]) -> LongHeader<'a> {
    let [dcid, scid] = [dcid, scid].map(|id| Cid::new(id).unwrap_or_default());
    LongHeader { from, ty, count: 1, index: 0, dcid, scid, token, payload_at: 0 }
}

/// What both sides know, and what they draw.
struct Parties {
    server: SecretKey,
    /// With the coins for it, unless the server refuses.
    client: Option<(SecretKey, Option<[u8; 64]>)>,
    psk: Option<[u8; 32]>,
    ephemeral_seed: [u8; 32],
    eseed_s: [u8; 64],
    eseed_e: [u8; 64],
    refuse: Option<u64>,
}

impl Parties {
    /// The client's static key and the coins for it.
    fn coins(&self) -> Option<(&PublicKey, &[u8; 64])> {
        self.client.as_ref().and_then(|(key, eseed)| Some((key.public(), eseed.as_ref()?)))
    }
}

/// The ids and the token of the hello that is answered.
struct Hello {
    odcid: Vec<u8>,
    dcid: Vec<u8>,
    scid_c: Vec<u8>,
    scid_s: Vec<u8>,
    token: Vec<u8>,
    p1: Vec<u8>,
}

/// A whole handshake. With `token_key`, `issued` and `client_ip16_port` the first hello was answered by RETRY; with
/// `refuse` the server refuses.
pub(super) fn handshake(inputs: &Inputs<'_>) -> Computed {
    let parties = parties(inputs)?;
    let mut expected = json!({});
    let hello = hello(inputs, &parties, &mut expected)?;
    let schedule = schedule(&parties, &hello, &mut expected)?;
    let (steps, [m1, m2], secrets) = schedule.run();
    merge(&mut expected, steps);
    expected["m1"] = json!(hex(&m1));
    expected["m2"] = json!(hex(&m2));
    flights(&parties, &hello, [&m1, &m2], &mut expected)?;
    both_sides(&parties, &hello, [&m1, &m2], &secrets)?;
    Ok(expected)
}

fn merge(expected: &mut Value, more: Value) {
    if let (Some(expected), Value::Object(more)) = (expected.as_object_mut(), more) {
        expected.extend(more);
    }
}

fn parties(inputs: &Inputs<'_>) -> Result<Parties, String> {
    let client_seed = inputs.optional("client_static_seed", Inputs::array)?;
    let eseed_c = inputs.optional("eseed_c", Inputs::array)?;
    let refuse = inputs.optional("refuse", Inputs::number)?;
    if eseed_c.is_some() != (client_seed.is_some() && refuse.is_none()) {
        return Err("inputs.eseed_c: goes with client_static_seed, and not with refuse".into());
    }
    if refuse.is_some() && inputs.has("psk") {
        return Err("inputs.psk: goes not with refuse".into());
    }
    Ok(Parties {
        server: SecretKey::from_seed(inputs.array("server_static_seed")?),
        client: client_seed.map(|seed| (SecretKey::from_seed(seed), eseed_c)),
        psk: inputs.optional("psk", Inputs::array)?,
        ephemeral_seed: inputs.array("client_ephemeral_seed")?,
        eseed_s: inputs.array("eseed_s")?,
        eseed_e: inputs.array("eseed_e")?,
        refuse,
    })
}

/// After a RETRY the destination and the token are the server's.
fn hello(inputs: &Inputs<'_>, parties: &Parties, expected: &mut Value) -> Result<Hello, String> {
    let (odcid, scid_c, scid_s) = (inputs.cid("odcid")?, inputs.cid("scid_c")?, inputs.cid("scid_s")?);
    let p1 = inputs.bytes("p1")?;
    if !inputs.has("token_key") {
        let (dcid, token) = (inputs.cid("dcid")?, inputs.bytes("token")?);
        return Ok(Hello { odcid, dcid, scid_c, scid_s, token, p1 });
    }
    let (dcid, token) = minted(inputs, &odcid, scid_s.len())?;
    let keys = InitialKeys::new(&parties.server.public().key_id(), &odcid);
    let retry = header(Side::Server, LongType::Retry, &scid_c, &dcid, b"");
    let retry = build_retry(&retry, &keys.server(LongType::Retry, &dcid), &token).map_err(|error| error.to_string())?;
    *expected = json!({
        "retry_scid": hex(&dcid), "dcid": hex(&dcid), "token": hex(&token), "retry_datagram": hex(&retry),
    });
    Ok(Hello { odcid, dcid, scid_c, scid_s, token, p1 })
}

/// The connection id and the token that a server without state answers with. Its ids are `cid_len` bytes long.
pub(super) fn minted(inputs: &Inputs<'_>, odcid: &[u8], cid_len: usize) -> Result<(Vec<u8>, Vec<u8>), String> {
    let key = TokenKey::new(inputs.array("token_key")?);
    let issued = u32::from_be_bytes(inputs.array("issued")?);
    let address = inputs.address("client_ip16_port")?;
    let scid = key.retry_cid(issued, odcid, address);
    let scid = scid.get(..cid_len).ok_or("a connection id above 16 bytes")?.to_vec();
    let token = key.retry_token(issued, odcid, &scid, address).ok_or("no token for this id")?.as_bytes().to_vec();
    Ok((scid, token))
}

fn schedule(parties: &Parties, hello: &Hello, expected: &mut Value) -> Result<Schedule, String> {
    let e = SecretKey::from_seed(parties.ephemeral_seed);
    let encapsulate = |key: &PublicKey, eseed| key.encapsulate(eseed).map_err(|error| error.to_string());
    let (ct_s, ss_s) = encapsulate(parties.server.public(), &parties.eseed_s)?;
    let (ct_e, ss_e) = encapsulate(e.public(), &parties.eseed_e)?;
    let client = parties.coins().map(|(key, eseed)| encapsulate(key, eseed)).transpose()?;
    let (ct_c, ss_c) = client.map_or((Vec::new(), None), |(ct, ss)| (ct.to_vec(), Some(ss)));
    let psk = parties.psk;
    let (flags, p2) = match parties.refuse {
        Some(code) => (FLAG_REFUSED, refusal(code)?),
        None => {
            (if ss_c.is_some() { FLAG_CLIENT_KEY } else { 0 } | if psk.is_some() { FLAG_PSK } else { 0 }, Vec::new())
        }
    };
    let server = parties.server.public();
    let mixed = |secret: Option<&[u8; 32]>| hex(secret.unwrap_or(&[0; 32]));
    let values = json!({
        "pk_s": hex(server.as_bytes()), "key_id_s": hex(server.key_id().as_bytes()), "e_pk": hex(e.public().as_bytes()),
        "ct_s": hex(&ct_s), "ct_e": hex(&ct_e), "ct_c": hex(&ct_c),
        "ss_s": hex(ss_s.as_bytes()), "ss_e": hex(ss_e.as_bytes()),
        "ss_c": mixed(ss_c.as_ref().map(|ss| ss.as_bytes())), "psk": mixed(psk.as_ref()),
        "flags": hex(&[flags]),
    });
    merge(expected, values);
    if let Some((key, _)) = &parties.client {
        expected["pk_c"] = json!(hex(key.public().as_bytes()));
        expected["key_id_c"] = json!(hex(key.public().key_id().as_bytes()));
    }
    if parties.refuse.is_some() {
        expected["p2"] = json!(hex(&p2));
    }
    let Hello { odcid, dcid, scid_c, scid_s, p1, .. } = hello;
    Ok(Schedule {
        pk_s: *server.as_bytes(),
        odcid: odcid.clone(),
        dcid: dcid.clone(),
        scid_c: scid_c.clone(),
        scid_s: scid_s.clone(),
        e_pk: *e.public().as_bytes(),
        ct_s,
        ct_e,
        ct_c,
        ss_s,
        ss_e,
        ss_c,
        psk,
        flags,
        p1: p1.clone(),
        p2,
    })
}

/// P2 of a refusal.
fn refusal(code: u64) -> Result<Vec<u8>, String> {
    use jsp_proto::wire::params::{Extras, Params, ParamsContext, encode_params};
    let extras = Extras { refuse: Some(code), ..Extras::default() };
    written(|w| encode_params(&Params::default(), &extras, ParamsContext::P2, w))
}

/// The messages sealed into datagrams.
fn flights(parties: &Parties, hello: &Hello, [m1, m2]: [&[u8]; 2], expected: &mut Value) -> Result<(), String> {
    let Hello { dcid, scid_c, scid_s, token, .. } = hello;
    let keys = InitialKeys::new(&parties.server.public().key_id(), dcid);
    let ci = header(Side::Client, LongType::ClientInit, dcid, scid_c, token);
    let ci = build_flight(&ci, &keys.client(LongType::ClientInit), m1, Layout::Hello);
    let si = header(Side::Server, LongType::ServerInit, scid_c, scid_s, b"");
    let si = build_flight(&si, &keys.server(LongType::ServerInit, scid_s), m2, Layout::Padded);
    let values = json!({
        "init_secret": hex(keys.secret().as_bytes()),
        "init_c_ci_key_iv": hex(&keys.key_iv("ci", LongType::ClientInit, b"")),
        "init_s_si_key_iv": hex(&keys.key_iv("si", LongType::ServerInit, scid_s)),
        "ci_datagrams": hex_list(&ci.map_err(|error| error.to_string())?),
        "si_datagrams": hex_list(&si.map_err(|error| error.to_string())?),
    });
    merge(expected, values);
    Ok(())
}

/// The same handshake by the functions that a connection uses: client and server must come to one end, and to the
/// same messages as the single steps.
fn both_sides(parties: &Parties, hello: &Hello, [m1, m2]: [&[u8]; 2], secrets: &Secrets) -> Result<(), String> {
    let Hello { odcid, dcid, scid_c, scid_s, p1, .. } = hello;
    let kem = ClientKem::new(parties.server.public(), parties.ephemeral_seed, parties.eseed_s)
        .map_err(|error| error.to_string())?;
    let (sent, state) = kem.hello(odcid, dcid, scid_c, p1);
    same("m1 of the client", &sent, m1)?;
    let opened = server_open(&parties.server, odcid, dcid, scid_c, m1).map_err(|error| error.to_string())?;
    same("P1 at the server", &opened.p1, p1)?;
    let (client, psk) = (parties.coins(), parties.psk.as_ref());
    let (answer, server) =
        opened.seal(scid_s, &parties.eseed_e, client, psk, parties.refuse, b"").map_err(|error| error.to_string())?;
    same("m2 of the server", &answer, m2)?;
    let offered = Offered { client_key: parties.client.as_ref().map(|(key, _)| key), psk };
    let end = state.finish(&kem, scid_s, m2, offered).map_err(|error| error.to_string())?;
    if end.refused != parties.refuse {
        return Err(format!("the client reads the refusal {:?}", end.refused));
    }
    for of in [&server, &end.secrets] {
        same("the client's secret", of.client.as_bytes(), secrets.client.as_bytes())?;
        same("the server's secret", of.server.as_bytes(), secrets.server.as_bytes())?;
        same("the exporter", of.exporter.as_bytes(), secrets.exporter.as_bytes())?;
    }
    Ok(())
}

fn same(what: &str, run: &[u8], computed: &[u8]) -> Result<(), String> {
    if run == computed { Ok(()) } else { Err(format!("{what}: {}", difference(run, computed))) }
}

/// A key request and its answer, both sealed under `key_id`, or under the zero id without one. `cid_length` is that of
/// the server's ids.
pub(super) fn key_fetch(inputs: &Inputs<'_>) -> Computed {
    let server = SecretKey::from_seed(inputs.array("server_static_seed")?);
    let sealed_under = inputs.optional("key_id", Inputs::array)?.map_or(KeyId::ZERO, KeyId::new);
    let (dcid, scid_c) = (inputs.cid("dcid")?, inputs.cid("scid_c")?);
    let endorsement = inputs.optional("endorsement", Inputs::bytes)?;
    let (scid, token) = minted(inputs, &dcid, inputs.small("cid_length")?)?;
    let keys = InitialKeys::new(&sealed_under, &dcid);
    let request = header(Side::Client, LongType::Key, &dcid, &scid_c, b"");
    let request = build_flight(&request, &keys.client(LongType::Key), b"", Layout::Padded);
    let info = KeyInfo { token: &token, key: server.public().clone(), endorsement: endorsement.as_deref() };
    let message = info.encode().map_err(|error| error.to_string())?;
    let answer = header(Side::Server, LongType::Key, &scid_c, &scid, b"");
    let answer = build_flight(&answer, &keys.server(LongType::Key, &scid), &message, Layout::Even);
    Ok(json!({
        "keyreq_datagram": hex(&request.map_err(|error| error.to_string())?.concat()),
        "retry_scid": hex(&scid),
        "message": hex(&message),
        "keyinfo_datagrams": hex_list(&answer.map_err(|error| error.to_string())?),
    }))
}

/// The message of a KEYINFO as a client reads it.
pub(super) fn key_info(inputs: &Inputs<'_>) -> Computed {
    let message = inputs.bytes("message")?;
    let Ok(info) = KeyInfo::decode(&message) else { return Ok(json!({ "error": "malformed" })) };
    let mut expected = json!({ "token": hex(info.token), "key_id": hex(info.key.key_id().as_bytes()) });
    if let Some(endorsement) = info.endorsement {
        expected["endorsement"] = json!(hex(endorsement));
    }
    Ok(expected)
}

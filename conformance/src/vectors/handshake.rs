//! The handshakes: every intermediate value, every datagram, and both sides run against each other.

use jsp_proto::internals::crypto::initial::{InitialKeys, Layout, build_flight, build_retry};
use jsp_proto::internals::crypto::kem::SecretKey;
use jsp_proto::internals::crypto::schedule::{ClientKem, Offered, server_open};
use jsp_proto::internals::crypto::transcript::{
    Ids, Secrets, h0, h1, h2, h3, h4, k1, k2, prk1, prk2, prk3, prk4, seal_params,
};
use jsp_proto::wire::LongType;
use serde_json::{Map, Value};

use super::keyfetch::Address;
use super::report::{Report, Section, Stop, Verdict, difference};
use super::{Inputs, from_client, from_server};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Nk,
    IkPsk,
    NkRetry,
}

const COMMON: &[&str] = &[
    "odcid",
    "dcid",
    "scid_c",
    "scid_s",
    "token",
    "e_pk",
    "ct_s",
    "ss_s",
    "p1",
    "h0",
    "h1",
    "prk1",
    "k1",
    "sealed1",
    "h2",
    "flags",
    "ct_e",
    "ss_e",
    "ct_c",
    "ss_c",
    "psk",
    "prk2",
    "prk3",
    "prk4",
    "h3",
    "k2",
    "sealed2",
    "h4",
    "c_ap0",
    "s_ap0",
    "exporter",
    "init_secret",
    "init_c_ci_key_iv",
    "init_s_si_key_iv",
    "m1",
    "m2",
    "ci_datagrams",
    "si_datagrams",
];
const RETRY: &[&str] = &["issued", "client_ip16_port", "retry_scid", "retry_datagram"];

/// Who talks to whom, and what the client says.
struct Hello {
    odcid: Vec<u8>,
    dcid: Vec<u8>,
    scid_c: Vec<u8>,
    scid_s: Vec<u8>,
    token: Vec<u8>,
    p1: Vec<u8>,
}

/// What the whole schedule comes to.
struct Outcome {
    m1: Vec<u8>,
    m2: Vec<u8>,
    secrets: Secrets,
}

pub(super) fn check(name: &str, mode: Mode, file: &Map<String, Value>, inputs: Option<&Inputs>, report: &mut Report) {
    let mut section = Section::new(name, file, report);
    if let Some(inputs) = inputs {
        // Stop means that the report already names what is missing.
        let _ = check_section(&mut section, mode, inputs);
    }
    let mut expected = COMMON.to_vec();
    if mode == Mode::NkRetry {
        expected.extend(RETRY);
    }
    section.finish(&expected);
}

fn check_section(section: &mut Section<'_>, mode: Mode, inputs: &Inputs) -> Result<(), Stop> {
    let hello = if mode == Mode::NkRetry { after_retry(section, inputs)? } else { direct(section)? };
    let outcome = schedule(section, &hello, mode, inputs)?;
    check_flights(section, &hello, &outcome, inputs);
    let verdict = match both_sides(&hello, &outcome, mode, inputs) {
        Ok(()) => Verdict::Right,
        Err(why) => Verdict::Wrong(why),
    };
    section.verdict("(client and server run)", verdict);
    Ok(())
}

fn direct(section: &mut Section<'_>) -> Result<Hello, Stop> {
    Ok(Hello {
        odcid: section.given_cid("odcid")?,
        dcid: section.given_cid("dcid")?,
        scid_c: section.given_cid("scid_c")?,
        scid_s: section.given_cid("scid_s")?,
        token: section.given("token")?,
        p1: section.given("p1")?,
    })
}

/// After a RETRY the destination and the token are the server's, computed from its token key.
fn after_retry(section: &mut Section<'_>, inputs: &Inputs) -> Result<Hello, Stop> {
    let odcid = section.given_cid("odcid")?;
    let issued = u32::from_be_bytes(section.given_array("issued")?);
    let address = Address::given(section)?;
    let scid_c = section.given_cid("scid_c")?;
    let scid_s = section.given_cid("scid_s")?;
    let p1 = section.given("p1")?;
    let (retry_scid, token) = address.token(inputs, issued, &odcid, scid_s.len());
    section.compare("retry_scid", &retry_scid);
    section.compare("dcid", &retry_scid);
    section.compare("token", &token);
    let keys = InitialKeys::new(&inputs.server.public().key_id(), &odcid);
    let header = from_server(LongType::Retry, &scid_c, &retry_scid);
    match build_retry(&header, &keys.server(LongType::Retry, &retry_scid), &token) {
        Ok(datagram) => section.compare("retry_datagram", &datagram),
        Err(error) => section.wrong("retry_datagram", error.to_string()),
    }
    Ok(Hello { odcid, dcid: retry_scid, scid_c, scid_s, token, p1 })
}

/// The key schedule, one value after the other.
fn schedule(section: &mut Section<'_>, hello: &Hello, mode: Mode, inputs: &Inputs) -> Result<Outcome, Stop> {
    let e = SecretKey::from_seed(inputs.ephemeral_seed);
    let e_pk = e.public().as_bytes();
    section.compare("e_pk", e_pk);
    let Ok((ct_s, ss_s)) = inputs.server.public().encapsulate(&inputs.eseed_s) else {
        section.wrong("ct_s", "the server's key has a small order");
        return Err(Stop);
    };
    section.compare("ct_s", &ct_s);
    section.compare("ss_s", ss_s.as_bytes());

    let h0 = h0(inputs.server.public().as_bytes());
    section.compare("h0", &h0);
    let ids = Ids { odcid: &hello.odcid, dcid: &hello.dcid, scid: &hello.scid_c };
    let h1 = h1(&h0, ids, e_pk, &ct_s);
    section.compare("h1", &h1);
    let prk1 = prk1(&h0, &ss_s);
    section.compare("prk1", prk1.as_bytes());
    let k1 = k1(&prk1, &h1);
    section.compare("k1", k1.as_bytes());
    let sealed1 = seal_params(&k1, &h1, &hello.p1);
    section.compare("sealed1", &sealed1);
    let h2 = h2(&h1, &sealed1);
    section.compare("h2", &h2);

    let Ok((ct_e, ss_e)) = e.public().encapsulate(&inputs.eseed_e) else {
        section.wrong("ct_e", "the ephemeral key has a small order");
        return Err(Stop);
    };
    section.compare("ct_e", &ct_e);
    section.compare("ss_e", ss_e.as_bytes());
    let client = match mode {
        Mode::IkPsk => inputs.client.public().encapsulate(&inputs.eseed_c).ok(),
        Mode::Nk | Mode::NkRetry => None,
    };
    let (ct_c, ss_c) = client.map_or((Vec::new(), None), |(ct, ss)| (ct.to_vec(), Some(ss)));
    section.compare("ct_c", &ct_c);
    section.compare("ss_c", ss_c.as_ref().map_or(&[0; 32], |ss| ss.as_bytes()));
    let psk = (mode == Mode::IkPsk).then_some(&inputs.psk);
    section.compare("psk", psk.unwrap_or(&[0; 32]));
    let flags = if mode == Mode::IkPsk { 0b11 } else { 0 };
    section.compare("flags", &[flags]);

    let prk2 = prk2(&prk1, &h2, &ss_e);
    section.compare("prk2", prk2.as_bytes());
    let prk3 = prk3(&prk2, ss_c.as_ref());
    section.compare("prk3", prk3.as_bytes());
    let prk4 = prk4(&prk3, psk);
    section.compare("prk4", prk4.as_bytes());
    let h3 = h3(&h2, flags, &hello.scid_s, &ct_e, &ct_c);
    section.compare("h3", &h3);
    let k2 = k2(&prk4, &h3);
    section.compare("k2", k2.as_bytes());
    let sealed2 = seal_params(&k2, &h3, b"");
    section.compare("sealed2", &sealed2);
    let h4 = h4(&h3, &sealed2);
    section.compare("h4", &h4);
    let secrets = Secrets::derive(&prk4, h4);
    section.compare("c_ap0", secrets.client.as_bytes());
    section.compare("s_ap0", secrets.server.as_bytes());
    section.compare("exporter", secrets.exporter.as_bytes());

    let m1 = [&e_pk[..], &ct_s, &sealed1].concat();
    let m2 = [&[flags][..], &ct_e, &ct_c, &sealed2].concat();
    section.compare("m1", &m1);
    section.compare("m2", &m2);
    Ok(Outcome { m1, m2, secrets })
}

/// The messages sealed into datagrams.
fn check_flights(section: &mut Section<'_>, hello: &Hello, outcome: &Outcome, inputs: &Inputs) {
    let Hello { dcid, scid_c, scid_s, token, .. } = hello;
    let keys = InitialKeys::new(&inputs.server.public().key_id(), dcid);
    section.compare("init_secret", keys.secret().as_bytes());
    section.compare("init_c_ci_key_iv", &keys.key_iv("ci", LongType::ClientInit, b""));
    section.compare("init_s_si_key_iv", &keys.key_iv("si", LongType::ServerInit, scid_s));

    let header = from_client(LongType::ClientInit, dcid, scid_c, token);
    match build_flight(&header, &keys.client(LongType::ClientInit), &outcome.m1, Layout::Hello) {
        Ok(flight) => section.compare_list("ci_datagrams", &flight),
        Err(error) => section.wrong("ci_datagrams", error.to_string()),
    }
    let header = from_server(LongType::ServerInit, scid_c, scid_s);
    let key = keys.server(LongType::ServerInit, scid_s);
    match build_flight(&header, &key, &outcome.m2, Layout::Padded) {
        Ok(flight) => section.compare_list("si_datagrams", &flight),
        Err(error) => section.wrong("si_datagrams", error.to_string()),
    }
}

/// The same handshake by the functions that a connection uses: client and server must come to one end, and to the
/// same messages as the single steps.
fn both_sides(hello: &Hello, outcome: &Outcome, mode: Mode, inputs: &Inputs) -> Result<(), String> {
    let Hello { odcid, dcid, scid_c, scid_s, p1, .. } = hello;
    let kem = ClientKem::new(inputs.server.public(), inputs.ephemeral_seed, inputs.eseed_s)
        .map_err(|error| error.to_string())?;
    let (m1, state) = kem.hello(odcid, dcid, scid_c, p1);
    differ("m1 of the client", &m1, &outcome.m1)?;
    let opened = server_open(&inputs.server, odcid, dcid, scid_c, &m1).map_err(|error| error.to_string())?;
    differ("P1 at the server", &opened.p1, p1)?;
    let (client_key, psk) = match mode {
        Mode::IkPsk => (Some((inputs.client.public(), &inputs.eseed_c)), Some(&inputs.psk)),
        Mode::Nk | Mode::NkRetry => (None, None),
    };
    let (m2, server) =
        opened.seal(scid_s, &inputs.eseed_e, client_key, psk, None, b"").map_err(|error| error.to_string())?;
    differ("m2 of the server", &m2, &outcome.m2)?;
    let offered = Offered { client_key: client_key.map(|_| &inputs.client), psk };
    let client = state.finish(&kem, scid_s, &m2, offered).map_err(|error| error.to_string())?.secrets;
    for secrets in [&server, &client] {
        differ("the client's secret", secrets.client.as_bytes(), outcome.secrets.client.as_bytes())?;
        differ("the server's secret", secrets.server.as_bytes(), outcome.secrets.server.as_bytes())?;
        differ("the exporter", secrets.exporter.as_bytes(), outcome.secrets.exporter.as_bytes())?;
    }
    Ok(())
}

fn differ(what: &str, run: &[u8], computed: &[u8]) -> Result<(), String> {
    difference(run, computed).map_or(Ok(()), |why| Err(format!("{what}: {why}")))
}

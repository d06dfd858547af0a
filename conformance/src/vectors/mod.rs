//! Known answers: reads a file of the shape of `conformance/vectors/vectors.json`, computes every value from the
//! inputs in the same file, and compares. The specification's appendix A says which values are inputs.

mod frames;
mod handshake;
mod keyfetch;
mod packets;
mod report;

use jsp_proto::internals::crypto::initial::INITIAL_SALT;
use jsp_proto::internals::crypto::kem::SecretKey;
use jsp_proto::internals::crypto::token::{ResetKey, TokenKey};
use jsp_proto::wire::{Cid, LongHeader, LongType, Side};
use serde_json::{Map, Value};

pub use report::{Line, Report, Verdict};
use report::{Section, Stop};

/// The vectors of this project.
pub const SHIPPED: &str = include_str!("../../vectors/vectors.json");

/// What every computation starts from.
struct Inputs {
    server: SecretKey,
    client: SecretKey,
    ephemeral_seed: [u8; 32],
    eseed_s: [u8; 64],
    eseed_e: [u8; 64],
    eseed_c: [u8; 64],
    token_key: TokenKey,
    reset_key: ResetKey,
    new_token_nonce: [u8; 12],
    psk: [u8; 32],
}

const INPUTS: &[&str] = &[
    "server_static_seed",
    "client_ephemeral_seed",
    "client_static_seed",
    "eseed_s",
    "eseed_e",
    "eseed_c",
    "token_key",
    "reset_key",
    "new_token_nonce",
    "psk",
];

const SECTIONS: &[&str] = &["inputs", "nk", "ik_psk", "nk_retry", "keyfetch", "one_rtt", "new_token", "frames"];
const STATIC: &[&str] = &["comment", "initial_salt", "pk_s", "key_id_s", "pk_c", "key_id_c"];

/// Checks the text of a whole file.
///
/// # Errors
///
/// If the text is not a JSON object. Everything else that is wrong stands in the report.
pub fn check(text: &str) -> Result<Report, String> {
    let file: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let file = file.as_object().ok_or("not a JSON object")?;
    let mut report = Report::default();
    let inputs = read_inputs(file, &mut report).ok();
    check_static(file, inputs.as_ref(), &mut report);
    for (name, mode) in
        [("nk", handshake::Mode::Nk), ("ik_psk", handshake::Mode::IkPsk), ("nk_retry", handshake::Mode::NkRetry)]
    {
        handshake::check(name, mode, file, inputs.as_ref(), &mut report);
    }
    keyfetch::check(file, inputs.as_ref(), &mut report);
    packets::check(file, inputs.as_ref(), &mut report);
    packets::check_new_token(file, inputs.as_ref(), &mut report);
    frames::check(file, &mut report);
    Ok(report)
}

fn read_inputs(file: &Map<String, Value>, report: &mut Report) -> Result<Inputs, Stop> {
    let mut section = Section::new("inputs", file, report);
    let mut read = || {
        Ok(Inputs {
            server: SecretKey::from_seed(section.given_array("server_static_seed")?),
            client: SecretKey::from_seed(section.given_array("client_static_seed")?),
            ephemeral_seed: section.given_array("client_ephemeral_seed")?,
            eseed_s: section.given_array("eseed_s")?,
            eseed_e: section.given_array("eseed_e")?,
            eseed_c: section.given_array("eseed_c")?,
            token_key: TokenKey::new(section.given_array("token_key")?),
            reset_key: ResetKey::new(section.given_array("reset_key")?),
            new_token_nonce: section.given_array("new_token_nonce")?,
            psk: section.given_array("psk")?,
        })
    };
    let inputs = read();
    section.finish(INPUTS);
    inputs
}

/// The values that stand directly in the file: salt, static keys and their ids.
fn check_static(file: &Map<String, Value>, inputs: Option<&Inputs>, report: &mut Report) {
    let mut section = Section::new("", file, report);
    // Free text; it may be missing.
    section.verdict("comment", Verdict::Given);
    section.compare("initial_salt", &INITIAL_SALT);
    if let Some(inputs) = inputs {
        for (key, id, secret) in [("pk_s", "key_id_s", &inputs.server), ("pk_c", "key_id_c", &inputs.client)] {
            section.compare(key, secret.public().as_bytes());
            section.compare(id, secret.public().key_id().as_bytes());
        }
    }
    for key in section.keys() {
        if !SECTIONS.contains(&key) && !STATIC.contains(&key) {
            section.wrong(key, "unknown name");
        }
    }
    if inputs.is_none() {
        for key in ["pk_s", "key_id_s", "pk_c", "key_id_c"] {
            section.wrong(key, "not checked: an input is missing or wrong");
        }
    }
}

/// The header of the packets of a flight. Connection ids were checked when they were read.
fn from_client<'a>(ty: LongType, dcid: &[u8], scid: &[u8], token: &'a [u8]) -> LongHeader<'a> {
    let [dcid, scid] = [dcid, scid].map(|id| Cid::new(id).unwrap_or_default());
    LongHeader { from: Side::Client, ty, count: 1, index: 0, dcid, scid, token, payload_at: 0 }
}

/// The same for a server, whose packets have no token.
fn from_server(ty: LongType, dcid: &[u8], scid: &[u8]) -> LongHeader<'static> {
    LongHeader { from: Side::Server, ..from_client(ty, dcid, scid, b"") }
}

//! Known answers: reads files of the format that `conformance/vectors/README.md` describes, computes every expected
//! value of every case from its inputs with the protocol's own code, and compares.
//!
//! Each kind of case is one function from inputs to expected values. The checker compares what it gives with what
//! stands in the file; [`make`] puts it there. So a value is never compared with itself, and what the program can make it
//! can check.

mod datagrams;
mod fec;
mod frames;
mod handshake;
mod identity;
mod keys;
mod lz4;
pub mod make;
mod params;
mod protection;
mod report;
mod tokens;
mod value;
mod wire;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use report::differences;
pub use report::{Line, Report, Verdict};
use value::{Computed, Inputs, hex};

/// The first value of every file.
pub const FORMAT: &str = "jsp-vectors/1";

/// The files of this project: topic and text.
pub const SHIPPED: [(&str, &str); 9] = [
    ("wire", include_str!("../../vectors/wire.json")),
    ("keys", include_str!("../../vectors/keys.json")),
    ("handshake", include_str!("../../vectors/handshake.json")),
    ("protection", include_str!("../../vectors/protection.json")),
    ("tokens", include_str!("../../vectors/tokens.json")),
    ("fec", include_str!("../../vectors/fec.json")),
    ("lz4", include_str!("../../vectors/lz4.json")),
    ("identity", include_str!("../../vectors/identity.json")),
    ("negative", include_str!("../../vectors/negative.json")),
];

/// Of a case whose values were not computed by this project's code.
const INDEPENDENT: &str = "independent";

/// One kind of case.
struct Kind {
    name: &'static str,
    topic: &'static str,
    /// Whether cases of it may stand in the topic `negative` if they are refused.
    negative: bool,
    /// The expected values do not follow every change of the inputs, so a digest of the inputs stands beside them.
    digest: bool,
    compute: fn(&Inputs<'_>) -> Computed,
}

const fn kind(topic: &'static str, name: &'static str, compute: fn(&Inputs<'_>) -> Computed) -> Kind {
    Kind { name, topic, negative: false, digest: false, compute }
}

impl Kind {
    /// What reads a peer's bytes, and so refuses some.
    const fn reads(self) -> Self {
        Self { negative: true, ..self }
    }

    const fn with_digest(self) -> Self {
        Self { digest: true, ..self }
    }
}

const KINDS: [Kind; 38] = [
    kind("wire", "varint", wire::varint).reads(),
    kind("wire", "stream_id", wire::stream_id),
    kind("wire", "long_header", wire::long_header).reads(),
    kind("wire", "fragment", wire::fragment).reads(),
    kind("wire", "version_negotiation", wire::version_negotiation),
    kind("wire", "short_header", wire::short_header),
    kind("wire", "packet_number_encoding", wire::packet_number_encoding).with_digest(),
    kind("wire", "packet_number_decoding", wire::packet_number_decoding).with_digest(),
    kind("wire", "frame", frames::frame).reads(),
    kind("wire", "params", params::params).reads(),
    kind("keys", "initial_keys", keys::initial_keys),
    kind("keys", "encapsulation", keys::encapsulation),
    kind("keys", "decapsulation", keys::decapsulation).reads(),
    kind("keys", "key_schedule", keys::key_schedule),
    kind("keys", "packet_keys", keys::packet_keys),
    kind("keys", "export", keys::export),
    kind("handshake", "handshake", handshake::handshake),
    kind("handshake", "key_fetch", handshake::key_fetch),
    kind("handshake", "key_info", handshake::key_info).reads(),
    kind("protection", "sealed_packet", protection::sealed_packet),
    kind("protection", "packet_steps", protection::packet_steps),
    kind("protection", "opened_packet", protection::opened_packet).reads().with_digest(),
    kind("protection", "long_packet", protection::long_packet),
    kind("tokens", "retry_token", tokens::retry_token),
    kind("tokens", "retry_token_check", tokens::retry_token_check).reads().with_digest(),
    kind("tokens", "new_token", tokens::new_token),
    kind("tokens", "new_token_check", tokens::new_token_check).reads().with_digest(),
    kind("tokens", "token_keys", tokens::token_keys),
    kind("tokens", "reset", tokens::reset),
    kind("fec", "parity", fec::parity),
    kind("fec", "parity_pattern", fec::parity_pattern),
    kind("fec", "repair", fec::repair).reads(),
    kind("lz4", "message", lz4::message).reads().with_digest(),
    kind("lz4", "blocks", lz4::blocks).reads().with_digest(),
    kind("identity", "static_key", identity::static_key),
    kind("identity", "public_key", identity::public_key).reads(),
    kind("identity", "key_id_text", identity::key_id_text).reads().with_digest(),
    kind("negative", "datagrams", datagrams::datagrams).with_digest(),
];

/// Checks the text of a whole file.
///
/// # Errors
///
/// If the text is not a JSON object. Everything else that is wrong stands in the report.
pub fn check(text: &str) -> Result<Report, String> {
    let file: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let file = file.as_object().ok_or("not a JSON object")?;
    let mut report = Report::default();
    let topic = file.get("topic").and_then(Value::as_str).unwrap_or_default();
    for problem in file_problems(file, topic) {
        report.add("(file)".into(), Verdict::Wrong(problem));
    }
    let mut names = BTreeSet::new();
    for (index, case) in file.get("cases").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let name = case.get("name").and_then(Value::as_str).unwrap_or_default();
        let line = if name.is_empty() { format!("{topic}[{index}]") } else { format!("{topic}.{name}") };
        let problem = match check_case(topic, case) {
            _ if name.is_empty() => Some("it has no name".into()),
            _ if !names.insert(name) => Some("a second case of this name".into()),
            checked => checked.err(),
        };
        report.add(line, problem.map_or(Verdict::Right, Verdict::Wrong));
    }
    Ok(report)
}

/// What is wrong with the file around the cases.
fn file_problems(file: &Map<String, Value>, topic: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if file.get("format").and_then(Value::as_str) != Some(FORMAT) {
        problems.push(format!("its format is not {FORMAT}"));
    }
    if !SHIPPED.iter().any(|(known, _)| *known == topic) {
        problems.push("unknown topic".into());
    }
    if file.get("cases").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        problems.push("it has no cases".into());
    }
    let known = ["format", "topic", "comment", "cases"];
    problems.extend(file.keys().filter(|key| !known.contains(&key.as_str())).map(|key| format!("unknown name {key}")));
    problems
}

/// Checks one case; an error says what is wrong with it.
fn check_case(topic: &str, case: &Value) -> Result<(), String> {
    let case = case.as_object().ok_or("not an object")?;
    let known = ["name", "kind", "origin", "comment", "inputs", "expected"];
    if let Some(key) = case.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("unknown name {key}"));
    }
    if case.get("origin").is_some_and(|origin| origin.as_str() != Some(INDEPENDENT)) {
        return Err(format!("its origin is not {INDEPENDENT}"));
    }
    let kind = case.get("kind").and_then(Value::as_str).ok_or("it has no kind")?;
    let inputs = case.get("inputs").and_then(Value::as_object).ok_or("it has no inputs")?;
    let expected = case.get("expected").ok_or("it has no expected values")?;
    let computed = compute(topic, kind, inputs)?;
    let found = differences(expected, &computed);
    match found.split_first() {
        None => Ok(()),
        Some((first, [])) => Err(first.clone()),
        Some((first, more)) => Err(format!("{first}; and {} more", more.len())),
    }
}

/// The expected values of a case.
fn compute(topic: &str, name: &str, inputs: &Map<String, Value>) -> Computed {
    let kind = KINDS.iter().find(|kind| kind.name == name).ok_or_else(|| format!("unknown kind {name}"))?;
    let is_negative = topic == "negative";
    if kind.topic != topic && !(is_negative && kind.negative) {
        return Err(format!("no case of the kind {name} belongs to this topic"));
    }
    let values = Inputs::new(inputs);
    let mut computed = (kind.compute)(&values)?;
    values.all_used()?;
    let object = computed.as_object_mut().ok_or("nothing was computed")?;
    let is_refused = object.contains_key("error") || kind.topic == "negative";
    if is_refused != is_negative {
        return Err(if is_negative { "it is not refused".into() } else { format!("refused: {computed}") });
    }
    // An error follows from many inputs, and a canonical form from all that it is the form of.
    if kind.digest || is_refused || object.contains_key("canonical") {
        object.insert("inputs_sha256".into(), json!(digest(inputs)));
    }
    Ok(computed)
}

/// The SHA-256 of inputs: of their JSON text with sorted keys and without spaces.
fn digest(inputs: &Map<String, Value>) -> String {
    hex(&Sha256::digest(value::compact(&Value::Object(inputs.clone())).as_bytes()))
}

/// The SHA-256 of the cases of a file that are not of this project's making, as `digest` makes it; for a test that
/// holds on to them.
///
/// # Errors
///
/// If the text is not JSON.
pub fn independent_digest(text: &str) -> Result<(usize, String), String> {
    let file: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let cases = make::independent(&file);
    Ok((cases.len(), hex(&Sha256::digest(value::compact(&Value::Array(cases)).as_bytes()))))
}

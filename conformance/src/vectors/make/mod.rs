//! Makes the files of known answers: the same text every time.
//!
//! Cases that are not of this project's making stay as they stand in the shipped files. All others have their inputs
//! here and their expected values from the functions that the checker uses.

mod codes;
mod crypto;
mod negative;
mod wire;

use serde_json::{Map, Value, json};

use super::value::hex;
use super::{FORMAT, INDEPENDENT, SHIPPED, compute};

/// One case without what is expected.
struct Case {
    name: String,
    kind: &'static str,
    inputs: Value,
}

fn case(kind: &'static str, name: impl Into<String>, inputs: Value) -> Case {
    Case { name: name.into(), kind, inputs }
}

/// The name and the text of every file.
///
/// # Errors
///
/// If an expected value cannot be computed, which means that this program is wrong.
pub fn files() -> Result<Vec<(String, String)>, String> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for (topic, shipped) in SHIPPED {
        match file(topic, shipped) {
            Ok(text) => files.push((format!("{topic}.json"), text)),
            Err(why) => problems.push(why),
        }
    }
    if problems.is_empty() { Ok(files) } else { Err(problems.join("\n")) }
}

fn file(topic: &str, shipped: &str) -> Result<String, String> {
    let (comment, made) = match topic {
        "wire" => ("Numbers, headers, frames and parameters: bytes and what they say.", wire::wire()),
        "keys" => ("The KEM, the key schedule, and the keys of packets.", crypto::keys()),
        "handshake" => ("Whole handshakes with every intermediate value and every datagram.", crypto::handshakes()),
        "protection" => ("Packets, sealed byte by byte.", crypto::protection()),
        "tokens" => ("Address tokens and stateless resets.", crypto::tokens()),
        "fec" => ("Parity symbols, and payloads repaired with them.", codes::fec()),
        "lz4" => ("What compressed bodies and block-encoded streams stand for.", codes::lz4()),
        "identity" => ("Static keys, their ids, and the texts of these.", crypto::identity()),
        _ => ("What must be refused, and why.", negative::negative()?),
    };
    let shipped = serde_json::from_str(shipped).map_err(|error| format!("{topic}: {error}"))?;
    let mut cases = independent(&shipped);
    let mut problems = Vec::new();
    for case in made {
        let Value::Object(inputs) = &case.inputs else { return Err(format!("{topic}.{}: no inputs", case.name)) };
        match compute(topic, case.kind, inputs) {
            Ok(expected) => cases.push(json!({
                "name": case.name, "kind": case.kind, "inputs": inputs, "expected": expected,
            })),
            Err(why) => problems.push(format!("{topic}.{}: {why}", case.name)),
        }
    }
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }
    let cases: Vec<_> = cases.iter().map(case_text).collect();
    Ok(format!(
        "{{\n \"format\": {},\n \"topic\": {},\n \"comment\": {},\n \"cases\": [\n{}\n ]\n}}\n",
        json!(FORMAT),
        json!(topic),
        json!(comment),
        cases.join(",\n")
    ))
}

/// The cases of a file that are not of this project's making.
pub(super) fn independent(file: &Value) -> Vec<Value> {
    let cases = file.get("cases").and_then(Value::as_array).into_iter().flatten();
    cases.filter(|case| case.get("origin").and_then(Value::as_str) == Some(INDEPENDENT)).cloned().collect()
}

/// A case as it stands in a file: its values in a fixed order, one in each line.
fn case_text(case: &Value) -> String {
    let order = ["name", "kind", "origin", "comment", "inputs", "expected"];
    let entries = order.iter().filter_map(|key| Some((*key, case.get(key)?)));
    let entries: Vec<_> = entries.map(|(key, value)| format!("   {}: {}", json!(key), pretty(value, 3))).collect();
    format!("  {{\n{}\n  }}", entries.join(",\n"))
}

fn pretty(value: &Value, depth: usize) -> String {
    let lines = |open, items: Vec<String>, close| {
        let space = " ".repeat(depth + 1);
        let items: Vec<_> = items.into_iter().map(|item| format!("{space}{item}")).collect();
        format!("{open}\n{}\n{}{close}", items.join(",\n"), " ".repeat(depth))
    };
    let short = super::value::compact(value);
    match value {
        Value::Object(map) if !map.is_empty() => lines(
            '{',
            sorted(map).map(|(key, value)| format!("{}: {}", json!(key), pretty(value, depth + 1))).collect(),
            '}',
        ),
        Value::Array(list) if short.len() > 100 => {
            lines('[', list.iter().map(|item| pretty(item, depth + 1)).collect(), ']')
        }
        _ => short,
    }
}

fn sorted(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    entries.into_iter()
}

/// `N` bytes that begin with `from` and grow by one.
fn counting<const N: usize>(from: u8) -> [u8; N] {
    std::array::from_fn(|at| from.wrapping_add(at as u8))
}

/// The same as hex digits.
fn count_hex<const N: usize>(from: u8) -> String {
    hex(&counting::<N>(from))
}

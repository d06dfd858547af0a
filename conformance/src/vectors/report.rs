//! Comparing what a file says with what was computed, and saying what came out.

use std::fmt;

use serde_json::{Map, Value};

use super::value::unhex;

/// What a check found out about one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All its values are what they should be.
    Right,
    /// Not all are, and this is the first difference or the reason why they cannot be checked.
    Wrong(String),
}

/// One case of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Topic and name: `handshake.nk`.
    pub name: String,
    /// What was found out.
    pub verdict: Verdict,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.verdict {
            Verdict::Right => write!(f, "{name:<52} ok"),
            Verdict::Wrong(why) => write!(f, "{name:<52} WRONG: {why}"),
        }
    }
}

/// The verdicts over a whole file.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// One line per case, in their order.
    pub lines: Vec<Line>,
}

impl Report {
    /// The lines that are wrong.
    pub fn wrong(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| matches!(line.verdict, Verdict::Wrong(_)))
    }

    pub(super) fn add(&mut self, name: String, verdict: Verdict) {
        self.lines.push(Line { name, verdict });
    }
}

/// Every difference between the values of a file and those computed.
pub(super) fn differences(file: &Value, computed: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("expected", file, computed, &mut found);
    found
}

fn compare(place: &str, file: &Value, computed: &Value, found: &mut Vec<String>) {
    match (file, computed) {
        (Value::Object(file), Value::Object(computed)) => compare_objects(place, file, computed, found),
        (Value::Array(file), Value::Array(computed)) => {
            if file.len() != computed.len() {
                found.push(format!("{place}: a list of {}, computed {}", file.len(), computed.len()));
            }
            for (index, (file, computed)) in file.iter().zip(computed).enumerate() {
                compare(&format!("{place}[{index}]"), file, computed, found);
            }
        }
        _ if file == computed => {}
        (Value::String(file), Value::String(computed)) => match (unhex(file), unhex(computed)) {
            (Ok(file), Ok(computed)) => found.push(format!("{place}: {}", difference(&file, &computed))),
            _ => found.push(format!("{place}: is \"{file}\", computed \"{computed}\"")),
        },
        _ => found.push(format!("{place}: is {file}, computed {computed}")),
    }
}

fn compare_objects(place: &str, file: &Map<String, Value>, computed: &Map<String, Value>, found: &mut Vec<String>) {
    for (key, computed) in computed {
        match file.get(key) {
            Some(file) => compare(&format!("{place}.{key}"), file, computed, found),
            None => found.push(format!("{place}.{key}: missing")),
        }
    }
    let unknown = file.keys().filter(|key| !computed.contains_key(*key));
    found.extend(unknown.map(|key| format!("{place}.{key}: unknown name")));
}

/// The first difference between two different byte strings.
pub(super) fn difference(file: &[u8], computed: &[u8]) -> String {
    let same = file.iter().zip(computed).take_while(|(a, b)| a == b).count();
    match (file.get(same), computed.get(same)) {
        (Some(a), Some(b)) => format!("byte {same} is {a:02x}, computed {b:02x}"),
        _ => format!("{} bytes, computed {}; the first {same} are the same", file.len(), computed.len()),
    }
}

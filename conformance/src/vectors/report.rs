//! Reading values of the file, comparing them with what they should be, and saying what came out.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

/// What a check found out about one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is an input: nothing computes it, other values depend on it.
    Given,
    /// It is what it should be.
    Right,
    /// It is not, and this is the first difference or the reason why it cannot be checked.
    Wrong(String),
}

/// One value of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its place: `nk.ci_datagrams[1]`.
    pub name: String,
    /// What was found out.
    pub verdict: Verdict,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.verdict {
            Verdict::Given => write!(f, "{name:<44} ok (input)"),
            Verdict::Right => write!(f, "{name:<44} ok"),
            Verdict::Wrong(why) => write!(f, "{name:<44} WRONG: {why}"),
        }
    }
}

/// The verdicts over a whole file.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// One line per value, section by section.
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

/// A value that others depend on is missing or unreadable. The report already says so.
pub(super) struct Stop;

/// One object of the file.
pub(super) struct Section<'a> {
    name: &'a str,
    values: Option<&'a Map<String, Value>>,
    seen: BTreeSet<String>,
    pub(super) report: &'a mut Report,
}

impl<'a> Section<'a> {
    /// The object with this name, or the file itself for the empty name.
    pub(super) fn new(name: &'a str, file: &'a Map<String, Value>, report: &'a mut Report) -> Self {
        let values = if name.is_empty() { Some(file) } else { file.get(name).and_then(Value::as_object) };
        if values.is_none() {
            let why = if file.contains_key(name) { "not an object" } else { "missing" };
            report.add(name.into(), Verdict::Wrong(why.into()));
        }
        Self { name, values, seen: BTreeSet::new(), report }
    }

    pub(super) fn keys(&self) -> Vec<&'a str> {
        self.values.into_iter().flat_map(|values| values.keys()).map(String::as_str).collect()
    }

    fn full_name(&self, key: &str) -> String {
        if self.name.is_empty() { key.into() } else { format!("{}.{key}", self.name) }
    }

    pub(super) fn verdict(&mut self, key: &str, verdict: Verdict) {
        self.seen.insert(key.into());
        let name = self.full_name(key);
        self.report.add(name, verdict);
    }

    pub(super) fn wrong(&mut self, key: &str, why: impl Into<String>) {
        self.verdict(key, Verdict::Wrong(why.into()));
    }

    /// The bytes of a value, and no verdict but for a value that cannot be read.
    pub(super) fn read(&mut self, key: &str) -> Result<Vec<u8>, Stop> {
        let Some(value) = self.values.and_then(|values| values.get(key)) else {
            self.wrong(key, "missing");
            return Err(Stop);
        };
        hex_value(value).map_err(|why| {
            self.wrong(key, why);
            Stop
        })
    }

    /// An input of any length.
    pub(super) fn given(&mut self, key: &str) -> Result<Vec<u8>, Stop> {
        let bytes = self.read(key)?;
        self.verdict(key, Verdict::Given);
        Ok(bytes)
    }

    /// An input of a fixed length.
    pub(super) fn given_array<const N: usize>(&mut self, key: &str) -> Result<[u8; N], Stop> {
        let bytes = self.read(key)?;
        let Ok(array) = bytes.as_slice().try_into() else {
            self.wrong(key, format!("has {} bytes, must have {N}", bytes.len()));
            return Err(Stop);
        };
        self.verdict(key, Verdict::Given);
        Ok(array)
    }

    /// An input that is a connection id.
    pub(super) fn given_cid(&mut self, key: &str) -> Result<Vec<u8>, Stop> {
        let bytes = self.read(key)?;
        if bytes.len() > 16 {
            self.wrong(key, format!("a connection id of {} bytes; 16 is the most", bytes.len()));
            return Err(Stop);
        }
        self.verdict(key, Verdict::Given);
        Ok(bytes)
    }

    /// A value that must be equal to what was computed.
    pub(super) fn compare(&mut self, key: &str, computed: &[u8]) {
        if let Ok(bytes) = self.read(key) {
            self.verdict(key, compared(&bytes, computed));
        }
    }

    /// A list whose values must be equal to what was computed.
    pub(super) fn compare_list(&mut self, key: &str, computed: &[Vec<u8>]) {
        let Some(list) = self.values.and_then(|values| values.get(key)) else {
            return self.wrong(key, "missing");
        };
        let Some(list) = list.as_array() else { return self.wrong(key, "not a list") };
        self.seen.insert(key.into());
        let name = self.full_name(key);
        for index in 0..list.len().max(computed.len()) {
            let verdict = match (list.get(index).map(hex_value), computed.get(index)) {
                (Some(Ok(bytes)), Some(computed)) => compared(&bytes, computed),
                (Some(Err(why)), _) => Verdict::Wrong(why),
                (None, _) => Verdict::Wrong("missing".into()),
                (Some(Ok(_)), None) => Verdict::Wrong(format!("one too many: there are {}", computed.len())),
            };
            self.report.add(format!("{name}[{index}]"), verdict);
        }
    }

    /// Names every value that nothing looked at.
    pub(super) fn finish(mut self, expected: &[&str]) {
        for key in self.keys() {
            if !self.seen.contains(key) {
                let known = expected.contains(&key);
                self.wrong(key, if known { "not checked: an input is missing or wrong" } else { "unknown name" });
            }
        }
        for key in expected {
            if self.values.is_some() && !self.seen.contains(*key) {
                self.wrong(key, "missing");
            }
        }
    }
}

fn compared(file: &[u8], computed: &[u8]) -> Verdict {
    match difference(file, computed) {
        None => Verdict::Right,
        Some(why) => Verdict::Wrong(why),
    }
}

/// The first difference between two byte strings.
pub(super) fn difference(file: &[u8], computed: &[u8]) -> Option<String> {
    let same = file.iter().zip(computed).take_while(|(a, b)| a == b).count();
    match (file.get(same), computed.get(same)) {
        (Some(a), Some(b)) => Some(format!("byte {same} is {a:02x}, computed {b:02x}")),
        (None, None) => None,
        _ => Some(format!("{} bytes, computed {}; the first {same} are the same", file.len(), computed.len())),
    }
}

fn hex_value(value: &Value) -> Result<Vec<u8>, String> {
    let text = value.as_str().ok_or("not a string of hex digits")?;
    let digit = |at: usize| {
        let byte = text.as_bytes().get(at).copied().unwrap_or_default();
        char::from(byte).to_digit(16).map(|d| d as u8).ok_or_else(|| format!("character {at} is not a hex digit"))
    };
    let bytes = (0..text.len() / 2).map(|at| Ok(digit(2 * at)? << 4 | digit(2 * at + 1)?));
    let bytes = bytes.collect::<Result<_, String>>()?;
    if text.len() % 2 == 1 {
        return Err(format!("an odd number of hex digits: {}", text.len()));
    }
    Ok(bytes)
}

//! Reading the inputs of a case and writing values.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::{Ipv6Addr, SocketAddr};

use jsp_proto::wire::{Full, Side, Writer};
use serde_json::{Map, Value, json};

/// What a kind of case computes: an object, or why it cannot.
pub(super) type Computed = Result<Value, String>;

/// Numbers above it do not survive every reader of JSON, so they are written as strings.
const LARGEST_NUMBER: u64 = 1 << 53;

/// The inputs of a case. Every one must be asked for.
pub(super) struct Inputs<'a> {
    values: &'a Map<String, Value>,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Inputs<'a> {
    pub(super) fn new(values: &'a Map<String, Value>) -> Self {
        Self { values, used: RefCell::default() }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    fn get<T>(&self, key: &str, read: impl FnOnce(&'a Value) -> Result<T, String>) -> Result<T, String> {
        self.used.borrow_mut().insert(key.into());
        let value = self.values.get(key).ok_or_else(|| format!("inputs.{key}: missing"))?;
        read(value).map_err(|why| format!("inputs.{key}: {why}"))
    }

    /// What `read` makes of the input, if it is there.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Self, &str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        if self.has(key) { read(self, key).map(Some) } else { Ok(None) }
    }

    pub(super) fn bytes(&self, key: &str) -> Result<Vec<u8>, String> {
        self.get(key, bytes_of)
    }

    pub(super) fn array<const N: usize>(&self, key: &str) -> Result<[u8; N], String> {
        self.get(key, |value| {
            let bytes = bytes_of(value)?;
            bytes.as_slice().try_into().map_err(|_| format!("has {} bytes, must have {N}", bytes.len()))
        })
    }

    /// A connection id.
    pub(super) fn cid(&self, key: &str) -> Result<Vec<u8>, String> {
        let most_16 = |bytes: Vec<u8>| match bytes.len() {
            0..=16 => Ok(bytes),
            len => Err(format!("a connection id of {len} bytes; 16 is the most")),
        };
        self.get(key, |value| bytes_of(value).and_then(most_16))
    }

    pub(super) fn list(&self, key: &str) -> Result<Vec<Vec<u8>>, String> {
        self.get(key, |value| value.as_array().ok_or("not a list")?.iter().map(bytes_of).collect())
    }

    /// A list of `{index, <name>}`.
    pub(super) fn indexed(&self, key: &str, name: &str) -> Result<Vec<(u8, Vec<u8>)>, String> {
        let item = |value: &Value| {
            let object =
                value.as_object().filter(|object| object.len() == 2).ok_or("not a list of places and bytes")?;
            let index = object.get("index").and_then(Value::as_u64).and_then(|index| u8::try_from(index).ok());
            let bytes = bytes_of(object.get(name).unwrap_or(&Value::Null))?;
            Ok((index.ok_or("an index that is no small number")?, bytes))
        };
        self.get(key, |value| value.as_array().ok_or("not a list")?.iter().map(item).collect())
    }

    pub(super) fn number(&self, key: &str) -> Result<u64, String> {
        self.get(key, |value| {
            match value {
                Value::Number(number) => number.as_u64().filter(|number| *number <= LARGEST_NUMBER),
                Value::String(text) => text.parse().ok().filter(|number| *number > LARGEST_NUMBER),
                _ => None,
            }
            .ok_or_else(|| String::from("not a whole number, or above 2^53 and not in a string"))
        })
    }

    /// A number that fits a smaller type.
    pub(super) fn small<T: TryFrom<u64>>(&self, key: &str) -> Result<T, String> {
        T::try_from(self.number(key)?).map_err(|_| format!("inputs.{key}: too large"))
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool, String> {
        self.get(key, |value| value.as_bool().ok_or_else(|| String::from("neither true nor false")))
    }

    pub(super) fn text(&self, key: &str) -> Result<&'a str, String> {
        self.get(key, |value| value.as_str().ok_or_else(|| String::from("not a text")))
    }

    pub(super) fn side(&self, key: &str) -> Result<Side, String> {
        match self.text(key)? {
            "client" => Ok(Side::Client),
            "server" => Ok(Side::Server),
            _ => Err(format!("inputs.{key}: neither client nor server")),
        }
    }

    /// A client's address as tokens bind it: 16 bytes of IP, where an IPv4 address stands as a mapped one, and the port.
    pub(super) fn address(&self, key: &str) -> Result<SocketAddr, String> {
        let bytes: [u8; 18] = self.array(key)?;
        let mut ip = [0; 16];
        ip.copy_from_slice(&bytes[..16]);
        Ok(SocketAddr::new(Ipv6Addr::from(ip).to_canonical(), u16::from_be_bytes([bytes[16], bytes[17]])))
    }

    /// Fails if an input was not asked for.
    pub(super) fn all_used(&self) -> Result<(), String> {
        let used = self.used.borrow();
        match self.values.keys().find(|key| !used.contains(*key)) {
            Some(key) => Err(format!("inputs.{key}: unknown name")),
            None => Ok(()),
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn hex_list<B: AsRef<[u8]>>(list: &[B]) -> Vec<String> {
    list.iter().map(|bytes| hex(bytes.as_ref())).collect()
}

/// Reads lower-case hex digits.
pub(super) fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let digit = |(at, byte): (usize, u8)| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(format!("character {at} is not a hex digit")),
    };
    let digits = text.bytes().enumerate().map(digit).collect::<Result<Vec<_>, _>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(format!("an odd number of hex digits: {}", digits.len()));
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

fn bytes_of(value: &Value) -> Result<Vec<u8>, String> {
    unhex(value.as_str().ok_or("not a string of hex digits")?)
}

/// A number as it stands in a file.
pub(super) fn number(value: u64) -> Value {
    if value <= LARGEST_NUMBER { json!(value) } else { json!(value.to_string()) }
}

pub(super) fn side_name(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

/// What `write` writes.
pub(super) fn written(write: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; 8192];
    let mut w = Writer::new(&mut bytes);
    write(&mut w).map_err(|error| error.to_string())?;
    Ok(w.written().to_vec())
}

/// JSON text without spaces and with sorted keys.
pub(super) fn compact(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries: Vec<_> =
                entries.iter().map(|(key, value)| format!("{}:{}", json!(key), compact(value))).collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(compact).collect::<Vec<_>>().join(",")),
        leaf => leaf.to_string(),
    }
}

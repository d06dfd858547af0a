//! The programs that run the dissector.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn dissector() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("dissector")
}

fn run(command: &mut Command) -> Option<Output> {
    command.output().ok().filter(|output| output.status.success())
}

/// The Lua interpreters that are there and can do bits.
pub(crate) fn interpreters() -> Vec<String> {
    let able = |lua: &&&str| {
        let check = "assert((loadstring or load)('return 1 ~ 2') or bit or bit32)";
        run(Command::new(lua).args(["-e", check])).is_some()
    };
    ["lua5.4", "lua5.3", "lua5.2", "luajit", "lua"].iter().filter(able).map(|lua| (*lua).to_owned()).collect()
}

/// Runs one of the dissector's programs.
fn lua(lua: &str, program: &str, args: &[&Path]) -> String {
    let output = Command::new(lua).arg(dissector().join(program)).args(args).output().expect("it is there");
    assert!(output.status.success(), "{lua}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Known answers of its cryptography.
pub(crate) fn check(interpreter: &str) {
    assert_eq!(lua(interpreter, "check.lua", &[]), "");
}

/// What `dump.lua` says of a recording.
pub(crate) fn dump(interpreter: &str, capture: &Path, keys: Option<&Path>) -> Vec<Value> {
    let args: Vec<&Path> = [Some(capture), keys].into_iter().flatten().collect();
    parsed(&lua(interpreter, "dump.lua", &args))
}

/// What it says of plaintexts.
pub(crate) fn frames(interpreter: &str, file: &Path) -> Vec<Value> {
    parsed(&lua(interpreter, "dump.lua", &[Path::new("--frames"), file]))
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The version of tshark, if it is there and has Lua.
pub(crate) fn tshark() -> Option<String> {
    let output = run(Command::new("tshark").arg("--version"))?;
    let text = String::from_utf8(output.stdout).ok()?;
    (text.contains("with Lua")).then(|| text.lines().next().unwrap_or("tshark").to_owned())
}

/// What tshark shows of each frame of a recording.
pub(crate) fn dissect(capture: &Path, keys: &Path) -> Vec<Value> {
    let mut command = Command::new("tshark");
    // Settings and plugins of the person who runs the tests stay out of it.
    command.env("HOME", capture.parent().expect("a folder")).env_remove("XDG_CONFIG_HOME");
    command.arg("-X").arg(format!("lua_script:{}", dissector().join("jsp.lua").display()));
    command.arg("-o").arg(format!("jsp.keylog:{}", keys.display()));
    command.arg("-r").arg(capture).args(["-T", "ek", "-J", "jsp"]);
    let output = command.output().expect("it is there");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !errors.contains("Lua"), "{errors}");
    let text = String::from_utf8(output.stdout).expect("text");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("{\"index\""));
    lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON")["layers"]["jsp"].clone()).collect()
}

/// All values of a field of one datagram, as text.
fn values(seen: &Value, field: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match &seen[format!("jsp_jsp_{}", field.replace('.', "_"))] {
        Value::Null => Vec::new(),
        Value::Array(all) => all.iter().map(text).collect(),
        one => vec![text(one)],
    }
}

fn plain(text: &str) -> String {
    match text {
        "true" => "1".to_owned(),
        "false" => "0".to_owned(),
        text => text.replace(':', "").to_lowercase(),
    }
}

/// The fields of a datagram have the values that its sender gave them, those of frames in the order of the frames.
pub(crate) fn assert_fields(what: &str, seen: &Value, packet: &Value) {
    let check = |field: &str, expected: Vec<String>| {
        let seen: Vec<String> = values(seen, field).iter().map(|value| plain(value)).collect();
        assert_eq!(seen, expected, "{what}: {field}");
    };
    let text = |value: &Value| plain(value.as_str().unwrap_or(&value.to_string()));
    for field in ["dcid", "scid", "count", "index", "number", "phase", "fec", "retry_token"] {
        check(field, packet[field].is_null().then(Vec::new).unwrap_or_else(|| vec![text(&packet[field])]));
    }
    let label = packet["type"].as_str().expect("a name");
    assert_eq!(values(seen, "type"), [label], "{what}");
    assert_eq!(values(seen, "sender"), [packet["sender"].as_str().expect("a name")], "{what}");
    if let Value::Object(fragment) = &packet["fragment"] {
        for (name, value) in fragment {
            check(&format!("fragment.{name}"), vec![text(value)].into_iter().filter(|v| !v.is_empty()).collect());
        }
    }
    let frames = packet["frames"].as_array().cloned().unwrap_or_default();
    let types: Vec<&str> = frames.iter().filter_map(|frame| frame["type"].as_str()).collect();
    assert_eq!(values(seen, "frame"), types, "{what}");
    let mut names: Vec<(String, String)> = Vec::new();
    for frame in &frames {
        let kind = frame["type"].as_str().expect("a name").to_lowercase();
        let fields = frame.as_object().expect("fields").iter().filter(|(name, _)| *name != "type" && *name != "ranges");
        names.extend(fields.map(|(name, value)| (format!("{kind}.{name}"), text(value))));
    }
    for (field, _) in &names {
        let expected = names.iter().filter(|(name, _)| name == field).map(|(_, value)| value.clone()).collect();
        check(field, expected);
    }
}

//! The checks of known answers accept the shipped files, and notice every change to them.
#![cfg(feature = "vectors")]

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use jsp_conformance::vectors::{SHIPPED, check, independent_digest, make};
use serde_json::{Value, json};

fn wrong(file: &Value) -> Vec<String> {
    let report = check(&file.to_string()).expect("a JSON object");
    report.wrong().map(ToString::to_string).collect()
}

fn shipped() -> Vec<Value> {
    SHIPPED.iter().map(|(_, text)| serde_json::from_str(text).expect("the shipped files are JSON")).collect()
}

fn case_of(file: &Value, name: &str) -> Value {
    let cases = file["cases"].as_array().expect("a list");
    let case = cases.iter().find(|case| case["name"] == name).expect("the case").clone();
    json!({ "format": file["format"], "topic": file["topic"], "cases": [case] })
}

fn handshake(name: &str) -> Value {
    case_of(&shipped()[2], name)
}

#[test]
fn the_shipped_files_are_right() {
    for ((topic, text), file) in SHIPPED.iter().zip(shipped()) {
        assert_eq!(wrong(&file), Vec::<String>::new(), "{topic}");
        assert_eq!(file["topic"], *topic);
        assert!(check(text).expect("JSON").lines.len() >= 9, "{topic}");
    }
}

#[test]
fn the_shipped_files_are_those_that_are_made() {
    let made = make::files().expect("everything can be computed");
    assert_eq!(made.len(), SHIPPED.len());
    for ((name, made), (topic, shipped)) in made.iter().zip(SHIPPED) {
        assert_eq!(*name, format!("{topic}.json"));
        let differs = made.lines().zip(shipped.lines()).find(|(made, shipped)| made != shipped);
        assert_eq!(differs, None, "{topic}: run make-vectors");
        assert_eq!(made.len(), shipped.len(), "{topic}: run make-vectors");
    }
}

/// They come from other programs and from the specifications of others: nobody may make them anew.
#[test]
fn independent_cases_stay_as_they_are() {
    let found: Vec<_> = SHIPPED.iter().map(|(_, text)| independent_digest(text).expect("JSON")).collect();
    let found: Vec<_> = found.iter().map(|(count, digest)| (*count, digest.as_str())).collect();
    assert_eq!(found, INDEPENDENT);
}

/// How many, and the SHA-256 of all of them, file by file.
const INDEPENDENT: [(usize, &str); 9] = [
    (32, "3748f9bd5f40ad765bb928146cee937f523b877613b28927efd9759316c4eed2"),
    (12, "1ff2ce5ed82e6eba2e2117ad8efca6e23d789bc2f3686c96b246817b8fbace85"),
    (4, "b863fb7b0a202d173015ccff4d7e8709424e038336bc16d1acb82b2296682713"),
    (5, "8de72b31081355c7e7fe9405fcfac3b4bfa981657c93d6918bd0275c306b7049"),
    (3, "baf9ad839b3e3b7099347647a1f7d2d9b052f343c9f3ee1a46b33da38ec176f0"),
    (0, "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"),
    (0, "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"),
    (4, "b37edc88ecb329cc3bfd1d29dbb4f0cf1ea56a1cb0c1e04f9352023deffa800f"),
    (0, "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"),
];

/// The places of all values of a case that mean something.
fn places(value: &Value, path: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| places(value, &format!("{path}/{key}"), out)),
        Value::Array(list) => list.iter().enumerate().for_each(|(n, value)| places(value, &format!("{path}/{n}"), out)),
        _ if path == "/cases/0/name" => {}
        _ => out.push(path.into()),
    }
}

fn remove(file: &mut Value, place: &str) {
    let (parent, key) = place.rsplit_once('/').expect("places begin with a slash");
    match file.pointer_mut(parent) {
        Some(Value::Object(map)) => _ = map.remove(key),
        Some(Value::Array(list)) => _ = list.remove(key.parse().expect("an index")),
        other => panic!("{other:?}"),
    }
}

/// Other values for a place, a little different: one bit, one number, one letter; too short or too long.
fn altered(place: &str, value: &Value, turn: usize) -> Vec<Value> {
    match value {
        Value::Bool(flag) => vec![json!(!flag)],
        Value::Number(number) => {
            let number = number.as_u64().expect("no negative numbers, no fractions");
            vec![json!(number + 1), if number > 0 { json!(number - 1) } else { json!("") }]
        }
        Value::String(text) if text.is_empty() => vec![json!("00")],
        Value::String(text) => {
            let mut at = (text.len() - 1) * (turn % 7) / 6;
            // X25519 does not look at three bits of this digit.
            at += usize::from(place.contains("/eseed") && at == 65);
            let mut values = vec![json!(flipped(text, at))];
            values.push(match turn % 3 {
                0 => json!(format!("{text}00")),
                1 => json!(text[..text.len() - 1]),
                _ => json!(7),
            });
            values
        }
        other => panic!("{other}"),
    }
}

/// Changes the lowest bit of a character.
fn flipped(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = match bytes[at] {
        b'9' => b'8',
        b'a'..=b'f' => b'a' + ((bytes[at] - b'a') ^ 1),
        other => other ^ 1,
    };
    String::from_utf8(bytes).expect("ASCII")
}

/// Alters every value of every case, inputs included, and takes it away. A case alone is a file, so that this takes
/// seconds.
#[test]
fn every_altered_value_is_reported() {
    let (tried, turn) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let cases: Vec<_> = shipped()
        .into_iter()
        .flat_map(|file| {
            let cases = file["cases"].as_array().expect("a list").clone();
            let alone = move |case| json!({ "format": file["format"], "topic": file["topic"], "cases": [case] });
            cases.into_iter().map(alone).collect::<Vec<_>>()
        })
        .collect();
    let check_case = |file: &Value| {
        let mut all = Vec::new();
        places(file, "", &mut all);
        let name = &file["cases"][0]["name"];
        assert!(all.iter().any(|place| place.starts_with("/cases/0/inputs/")), "{name} has no inputs");
        for place in &all {
            let value = file.pointer(place).expect("a value");
            let mut file = file.clone();
            for other in altered(place, value, turn.fetch_add(1, Ordering::Relaxed)) {
                *file.pointer_mut(place).expect("the same place") = other.clone();
                assert!(!wrong(&file).is_empty(), "{name}: {place} altered to {other} goes unnoticed");
                tried.fetch_add(1, Ordering::Relaxed);
            }
            remove(&mut file, place);
            // Only a word about where a case is from may be missing.
            let is_noticed = !wrong(&file).is_empty();
            assert_eq!(is_noticed, !place.ends_with("/origin"), "{name}: {place} is missing");
        }
    };
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            check_case(case)
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..workers).for_each(|_| _ = scope.spawn(work)));
    assert!(tried.into_inner() > 5000);
}

#[test]
fn errors_name_the_place_and_the_reason() {
    let alter = |place: &str, value: Value| {
        let mut file = handshake("nk");
        *file.pointer_mut(place).expect("a place") = value;
        wrong(&file).join("\n")
    };
    let has = |text: String, why: &str| assert!(text.contains(why), "{text}");
    has(alter("/cases/0/expected/h1", json!("00".repeat(32))), "expected.h1: byte 0 is 00, computed c0");
    has(alter("/cases/0/expected/h1", json!("00")), "expected.h1: byte 0 is 00");
    has(alter("/cases/0/inputs/scid_c", json!("a1a2x3")), "inputs.scid_c: character 4 is not a hex digit");
    has(alter("/cases/0/inputs/scid_c", json!("a1a2A3")), "inputs.scid_c: character 4 is not a hex digit");
    has(alter("/cases/0/kind", json!("nothing")), "unknown kind nothing");
    has(alter("/cases/0/kind", json!("frame")), "no case of the kind frame belongs to this topic");
    has(alter("/topic", json!("more")), "unknown topic");
    has(alter("/format", json!("jsp-vectors/2")), "its format is not jsp-vectors/1");
    has(alter("/cases", json!([])), "it has no cases");
    let mut file = handshake("nk");
    file["cases"][0]["inputs"]["extra"] = json!("00");
    has(wrong(&file).join("\n"), "inputs.extra: unknown name");
    let mut file = handshake("nk");
    file["cases"][0]["expected"]["extra"] = json!("00");
    has(wrong(&file).join("\n"), "expected.extra: unknown name");
    let mut file = handshake("nk");
    let again = file["cases"][0].clone();
    file["cases"].as_array_mut().expect("a list").push(again);
    has(wrong(&file).join("\n"), "a second case of this name");
    assert!(check("[1]").is_err() && check("{").is_err());
    assert!(!wrong(&json!({})).is_empty());
}

#[test]
fn cases_of_others_may_come() {
    let case = |topic: &str, kind: &str, inputs: Value, expected: Value| {
        let case = json!({ "name": "theirs", "kind": kind, "inputs": inputs, "expected": expected });
        wrong(&json!({ "format": "jsp-vectors/1", "topic": topic, "cases": [case] })).join("\n")
    };
    assert_eq!(case("wire", "varint", json!({ "bytes": "05" }), json!({ "value": 5 })), "");
    let large = json!({ "value": "4611686018427387903" });
    assert_eq!(case("wire", "varint", json!({ "bytes": "ffffffffffffffff" }), large), "");
    // What is refused belongs in `negative`, and what is not does not.
    let refused = case("wire", "frame", json!({ "bytes": "3f" }), json!({ "error": "unknown_type" }));
    assert!(refused.contains("refused"), "{refused}");
    let taken = case("negative", "frame", json!({ "bytes": "01" }), json!({ "error": "unknown_type" }));
    assert!(taken.contains("it is not refused"), "{taken}");
}

#[test]
fn the_program_says_what_it_found() {
    let run = |arguments: &[&str]| {
        let program = env!("CARGO_BIN_EXE_jsp-conformance");
        let output = Command::new(program).arg("vectors").args(arguments).output().expect("the program runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), output.stderr)
    };
    let file = |name: &str| format!("{}/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let (wire, keys) = (file("wire"), file("keys"));
    let (code, text, _) = run(&[&wire, &keys]);
    assert!(
        code == Some(0) && text.contains("wire.rfc_9000_a1_7bbd ") && text.contains("keys.x_wing_draft_1 "),
        "{text}"
    );
    assert!(
        text.lines().last().is_some_and(|last| last.starts_with("2 files, ") && last.ends_with(" 0 wrong")),
        "{text}"
    );
    let (code, quiet, _) = run(&["--quiet", &wire]);
    assert!(code == Some(0) && quiet.lines().count() == 1, "{quiet}");

    let altered = std::env::temp_dir().join(format!("jsp-vectors-{}.json", std::process::id()));
    let mut file = handshake("nk");
    file["cases"][0]["expected"]["h1"] = json!("00".repeat(32));
    std::fs::write(&altered, file.to_string()).expect("a temporary file");
    let altered_name = altered.to_string_lossy().into_owned();
    let (code, text, _) = run(&["-q", &wire, &altered_name]);
    assert_eq!(code, Some(1));
    assert!(text.contains("WRONG: expected.h1: byte 0 is 00, computed c0") && text.contains(" 1 wrong"), "{text}");

    let (code, _, errors) = run(&[&altered_name, "/nowhere/vectors.json"]);
    std::fs::remove_file(&altered).expect("it was there");
    assert_eq!(code, Some(2));
    assert!(String::from_utf8_lossy(&errors).contains("/nowhere/vectors.json"));
    assert_eq!(run(&[]).0, Some(2), "no file");
}

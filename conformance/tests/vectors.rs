//! The checks of known answers accept the shipped file, and notice every change to it.
#![cfg(feature = "vectors")]

use std::process::Command;

use jsp_conformance::vectors::{SHIPPED, check};
use serde_json::{Value, json};

fn wrong(file: &Value) -> Vec<String> {
    let report = check(&file.to_string()).expect("a JSON object");
    report.wrong().map(|line| line.name.clone()).collect()
}

fn shipped() -> Value {
    serde_json::from_str(SHIPPED).expect("the shipped file is JSON")
}

/// The places of all strings but the comment.
fn places(value: &Value, path: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| places(value, &format!("{path}/{key}"), out)),
        Value::Array(list) => list.iter().enumerate().for_each(|(n, value)| places(value, &format!("{path}/{n}"), out)),
        _ if path == "/comment" => {}
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

#[test]
fn the_shipped_file_is_right() {
    assert_eq!(wrong(&shipped()), Vec::<String>::new());
    assert!(check(SHIPPED).expect("JSON").lines.len() >= 200);
}

/// Flips one bit of every value, early, in the middle or at the end; then shortens it or makes it longer, spoils a digit,
/// takes it away, and gives it another type.
#[test]
fn every_altered_value_is_reported() {
    let original = shipped();
    let mut all = Vec::new();
    places(&original, "", &mut all);
    assert!(all.len() > 190, "{}", all.len());
    // Spread over threads: every copy costs a dozen key exchanges.
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let work = |worker: usize| {
        for (index, place) in all.iter().enumerate().filter(|(index, _)| index % workers == worker) {
            let text = original.pointer(place).and_then(Value::as_str).expect("a string");
            let mut altered = vec![json!(format!("{text}00")), json!(7)];
            if let Some(shorter) = text.len().checked_sub(2) {
                altered.push(json!(flipped(text, text.len() * (index % 7) / 6)));
                altered.push(match index % 3 {
                    0 => json!(text[..shorter]),
                    1 => json!(format!("{text}0")),
                    _ => json!(format!("zz{}", &text[2..])),
                });
            }
            for value in altered {
                let mut file = original.clone();
                *file.pointer_mut(place).expect("the same place") = value.clone();
                assert!(!wrong(&file).is_empty(), "{place} altered to {value} goes unnoticed");
            }
            let mut file = original.clone();
            remove(&mut file, place);
            assert!(!wrong(&file).is_empty(), "{place} may be missing");
        }
    };
    std::thread::scope(|scope| (0..workers).for_each(|worker| _ = scope.spawn(move || work(worker))));
}

/// Changes one hex digit.
fn flipped(text: &str, at: usize) -> String {
    let at = at.min(text.len() - 1);
    let mut text = text.as_bytes().to_vec();
    let digit = char::from(text[at]).to_digit(16).expect("a hex digit") ^ 1;
    text[at] = char::from_digit(digit, 16).expect("below 16") as u8;
    String::from_utf8(text).expect("ASCII")
}

#[test]
fn errors_name_the_place_and_the_reason() {
    let mut file = shipped();
    file["nk"]["h1"] = json!("00");
    file["nk"]["scid_c"] = json!("a1a2x3");
    file["frames"]["extra"] = json!("0101");
    file["more"] = json!({});
    let report = check(&file.to_string()).expect("JSON");
    let all: Vec<_> = report.wrong().map(ToString::to_string).collect();
    let has = |name: &str, why: &str| all.iter().any(|line| line.starts_with(name) && line.contains(why));
    assert!(has("nk.scid_c ", "character 5 is not a hex digit") || has("nk.scid_c ", "character 4"), "{all:#?}");
    assert!(has("nk.h1 ", "not checked: an input is missing or wrong"), "{all:#?}");
    assert!(has("frames.extra ", "1 bytes follow the frame"), "{all:#?}");
    assert!(has("more ", "unknown name"), "{all:#?}");
    assert!(check("[1]").is_err() && check("{").is_err());
    assert!(wrong(&json!({})).len() > 10);
}

#[test]
fn new_frames_may_be_added() {
    let mut file = shipped();
    file["frames"]["another_ping"] = json!("01");
    assert_eq!(wrong(&file), Vec::<String>::new());
    file["frames"]["another_ping"] = json!("4001");
    assert_eq!(wrong(&file), ["frames.another_ping"]);
}

#[test]
fn the_program_says_what_it_found() {
    let run = |file: &str| {
        let program = env!("CARGO_BIN_EXE_jsp-conformance");
        Command::new(program).args(["vectors", file]).output().expect("the program runs")
    };
    let good = run(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/vectors.json"));
    let text = String::from_utf8_lossy(&good.stdout);
    assert!(good.status.success() && text.contains("nk.ci_datagrams[2]") && text.contains(" 0 wrong"), "{text}");

    let altered = std::env::temp_dir().join(format!("jsp-vectors-{}.json", std::process::id()));
    let mut file = shipped();
    file["nk"]["h1"] = json!("00".repeat(32));
    std::fs::write(&altered, file.to_string()).expect("a temporary file");
    let bad = run(&altered.to_string_lossy());
    std::fs::remove_file(&altered).expect("it was there");
    let text = String::from_utf8_lossy(&bad.stdout);
    assert_eq!(bad.status.code(), Some(1));
    assert!(text.contains("WRONG: byte 0 is 00, computed c0") && text.contains(" 1 wrong"), "{text}");

    let missing = run("/nowhere/vectors.json");
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/nowhere/vectors.json"));
}

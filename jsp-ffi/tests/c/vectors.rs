//! The known-answer vectors in C, which has no reader of JSON: a header is made of them.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::tools::{Compiler, crate_dir, empty_dir, run};

fn cases(topic: &str) -> Vec<Value> {
    let path = crate_dir().join("../conformance/vectors").join(topic).with_extension("json");
    let file: Value = serde_json::from_str(&fs::read_to_string(path).expect("the vectors")).expect("JSON");
    file["cases"].as_array().expect("a list").clone()
}

fn text<'a>(case: &'a Value, place: &str) -> &'a str {
    case.pointer(place).and_then(Value::as_str).expect("a text")
}

/// The bytes of hex digits as C initialises an array.
fn bytes(digits: &str) -> String {
    let pairs: Vec<_> = (0..digits.len() / 2).map(|at| format!("0x{}", &digits[2 * at..2 * at + 2])).collect();
    // An array in C has at least one element.
    format!("{{{}}}", if pairs.is_empty() { "0".into() } else { pairs.join(", ") })
}

/// The public keys and texts, and the datagrams that are dropped; and how many there are.
fn header() -> (String, String) {
    let mut out = String::new();
    let of_kind =
        |topic: &str, kind: &str| cases(topic).into_iter().filter(|case| text(case, "/kind") == kind).collect();
    let keys: Vec<Value> = of_kind("identity", "static_key");
    out.push_str("static const KeyVector KEYS[] = {\n");
    for case in &keys {
        let (seed, key) = (bytes(text(case, "/inputs/seed")), bytes(text(case, "/expected/public_key")));
        let _ = writeln!(out, "{{{seed}, {key}, \"{}\"}},", text(case, "/expected/text"));
    }
    out.push_str("};\nstatic const TextVector TEXTS[] = {\n");
    let mut texts_len = 0;
    for (topic, is_key_id) in [("identity", 1), ("negative", 0)] {
        let texts: Vec<Value> = of_kind(topic, "key_id_text");
        texts_len += texts.len();
        for case in &texts {
            let _ = writeln!(out, "{{\"{}\", {is_key_id}}},", text(case, "/inputs/text"));
        }
    }
    out.push_str("};\n");
    let (mut table, dropped): (String, Vec<Value>) = (String::new(), of_kind("negative", "datagrams"));
    for (number, case) in dropped.iter().enumerate() {
        let datagrams = case["inputs"]["datagrams"].as_array().expect("a list");
        let mut list = String::new();
        for (index, datagram) in datagrams.iter().enumerate() {
            let digits = datagram.as_str().expect("hex digits");
            let _ = writeln!(out, "static const uint8_t D{number}_{index}[] = {};", bytes(digits));
            let _ = write!(list, "{{D{number}_{index}, {}}}, ", digits.len() / 2);
        }
        let reasons = case["expected"]["dropped"].as_object().expect("an object");
        assert_eq!(reasons.len(), 1, "the test in C knows one reason for each case");
        let (reason, count) = reasons.iter().next().expect("one");
        let (name, seed) = (text(case, "/name"), bytes(text(case, "/inputs/server_static_seed")));
        let _ = writeln!(table, "{{\"{name}\", {seed}, {{{list}}}, {}, \"{reason}\", {count}}},", datagrams.len());
    }
    let _ = write!(out, "static const DropVector DROPS[] = {{\n{table}}};\n");
    (out, format!("{} keys, {texts_len} texts, {} drops", keys.len(), dropped.len()))
}

#[test]
fn the_vectors_hold_in_c() {
    let Some(compiler) = Compiler::find() else { return };
    let (dir, (header, summary)) = (empty_dir("vectors"), header());
    fs::write(dir.join("vectors.h"), header).expect("the directory can be written");
    let sources = ["vectors_test.c", "world.c"].map(|name| crate_dir().join("c/tests").join(name));
    let program = dir.join("vectors_test");
    compiler.build(&sources, &[&format!("-I{}", dir.display())], &program);
    assert_eq!(run(&mut Command::new(program)).trim(), summary);
}

//! Recordings with a key log, opened by the dissector: in Wireshark's tshark and under plain Lua interpreters, whichever
//! are installed. What they say is what the senders say. And the recording for other implementations,
//! `conformance/vectors/trace`, is what the generator makes.

mod meaning;
mod pcap;
mod session;
mod tools;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jsp_proto::internals::wire::FrameError;
use serde_json::Value;

use session::{Session, Start, record};

const FIXTURE_SEED: u64 = 42;

fn conformance() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A session in files, in a folder that goes away with it.
struct Files {
    dir: PathBuf,
    session: Session,
}

impl Files {
    fn new(name: &str, seed: u64, start: Start) -> Self {
        let dir = std::env::temp_dir().join(format!("jsp-dissector-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a folder");
        let session = record(seed, start);
        fs::write(dir.join("session.pcap"), pcap::write(&session.datagrams)).expect("written");
        fs::write(dir.join("keys.log"), &session.key_log).expect("written");
        Self { dir, session }
    }

    fn capture(&self) -> PathBuf {
        self.dir.join("session.pcap")
    }

    fn keys(&self) -> PathBuf {
        self.dir.join("keys.log")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// What a tool can know: it does not see what got lost.
fn visible(meaning: &[Value]) -> Vec<Value> {
    let mut lines = meaning.to_vec();
    lines.iter_mut().filter_map(Value::as_object_mut).for_each(|line| drop(line.remove("lost")));
    lines
}

fn assert_same(what: &str, seen: &[Value], expected: &[Value]) {
    for (n, (seen, expected)) in seen.iter().zip(expected).enumerate() {
        assert_eq!(seen, expected, "{what}, datagram {n}");
    }
    assert_eq!(seen.len(), expected.len(), "{what}");
}

#[test]
fn a_session_has_what_it_is_recorded_for() {
    let session = record(FIXTURE_SEED, Start::Retry);
    let packets = || session.meaning.iter().map(|line| &line["packet"]);
    let types: BTreeSet<&str> = packets().filter_map(|packet| packet["type"].as_str()).collect();
    assert_eq!(types, BTreeSet::from(["CI", "SI", "RETRY", "1-RTT"]));
    let all = packets().flat_map(|packet| packet["frames"].as_array().into_iter().flatten());
    let frames: BTreeSet<&str> = all.clone().filter_map(|frame| frame["type"].as_str()).collect();
    for frame in [
        "PADDING",
        "PING",
        "ACK_ECN",
        "PARAMS",
        "HANDSHAKE_DONE",
        "NEW_TOKEN",
        "CLOSE_APP",
        "NEW_CID",
        "STREAM",
        "MSG",
        "RESET_STREAM",
        "SKIP",
        "STREAM_PRIORITY",
        "PARITY",
        "RECOVERED",
    ] {
        assert!(frames.contains(frame), "no {frame} in {frames:?}");
    }
    assert!(all.clone().any(|frame| frame["compressed"] == true), "compressed");
    assert!(packets().any(|packet| packet["fec"] == true), "protected");
    for sender in ["client", "server"] {
        let phases: BTreeSet<_> = packets()
            .filter(|packet| packet["sender"] == sender)
            .filter_map(|packet| packet["phase"].as_u64())
            .collect();
        assert_eq!(phases, BTreeSet::from([0, 1, 2]), "{sender}");
    }
    assert_eq!(session.meaning.iter().filter(|line| line["lost"] == true).count(), 2);
}

#[test]
fn every_lua_that_is_installed_reads_what_was_sent() {
    let interpreters = tools::interpreters();
    if interpreters.is_empty() {
        println!("skipped: no lua5.4, lua5.3, lua5.2, luajit or lua with a library for bits is installed");
    }
    for start in [Start::Retry, Start::KeyFetch] {
        let files = Files::new(&format!("lua-{start:?}"), 5, start);
        for lua in &interpreters {
            let seen = tools::dump(lua, &files.capture(), Some(&files.keys()));
            assert_same(&format!("{lua}, {start:?}"), &seen, &visible(&files.session.meaning));
        }
    }
}

/// Every known frame, and every beginning of one, which says that it is cut off or is one of another length.
#[test]
fn frames_are_read_as_the_core_reads_them() {
    let vectors = fs::read(conformance().join("vectors/wire.json")).expect("there");
    let vectors: Value = serde_json::from_slice(&vectors).expect("JSON");
    let cases = vectors["cases"].as_array().expect("a list").iter().filter(|case| case["kind"] == "frame");
    // Lua before 5.3 counts in doubles: what is computed from the largest numbers is wrong in the last digits.
    let cases =
        cases.filter(|case| !case["inputs"]["bytes"].as_str().is_some_and(|bytes| bytes.starts_with("02ffffffff")));
    let known = cases.filter_map(|case| case["inputs"]["bytes"].as_str()).map(meaning::unhex);
    let mut plain: Vec<Vec<u8>> = known.collect();
    plain
        .extend(["1bffffffffffffffff", "1bc020000000000000", "1bc01fffffffffffff", "800000010000"].map(meaning::unhex));
    let dir = std::env::temp_dir().join(format!("jsp-frames-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a folder");
    let file = dir.join("frames");
    let cut: Vec<&[u8]> = plain.iter().flat_map(|frame| (1..=frame.len()).map(|len| &frame[..len])).collect();
    let text: Vec<String> = cut.iter().map(|bytes| meaning::hex(bytes)).collect();
    fs::write(&file, text.join("\n")).expect("written");
    for lua in tools::interpreters() {
        tools::check(&lua);
        let seen = tools::frames(&lua, &file);
        assert_eq!(seen.len(), cut.len(), "{lua}");
        for (seen, bytes) in seen.iter().zip(&cut) {
            let seen = seen.as_array().expect("a list");
            match meaning::of_plaintext(bytes) {
                Ok(expected) => assert_same(&format!("{lua}: {}", meaning::hex(bytes)), seen, &expected),
                Err(FrameError::Truncated(_)) => {
                    assert!(seen.last().is_some_and(|frame| frame["malformed"].is_string()), "{lua}: {seen:?}");
                }
                // It shows what is there, though nobody may send it.
                Err(_) => {}
            }
        }
    }
    fs::remove_dir_all(dir).expect("there");
}

/// Without the key log, and with that of somebody else, nothing opens and nothing breaks.
#[test]
fn without_the_right_keys_nothing_opens() {
    let files = Files::new("closed", 6, Start::Retry);
    let others = Files::new("others", 7, Start::Retry);
    if let Some(lua) = tools::interpreters().first() {
        for keys in [None, Some(others.keys())] {
            let seen = tools::dump(lua, &files.capture(), keys.as_deref());
            assert_eq!(seen.len(), files.session.datagrams.len());
            for line in &seen {
                let packet = &line["packet"];
                assert!(packet["frames"].is_null() && packet["fragment"].is_null(), "{packet}");
                assert!(packet["sender"].is_string() && packet["dcid"].is_string(), "headers are in clear: {packet}");
            }
        }
    }
}

/// A recording that begins in the middle of a connection: the key log names the client's id, and ids that the server
/// has issued are found by trying.
#[test]
fn a_late_recording_is_read_from_where_it_begins() {
    let mut files = Files::new("late", 8, Start::Retry);
    let first = files.session.meaning.iter().position(|line| line["packet"]["type"] == "1-RTT").expect("data");
    let late = first + 4;
    files.session.datagrams.drain(..late);
    fs::write(files.capture(), pcap::write(&files.session.datagrams)).expect("written");
    let expected = visible(&files.session.meaning[late..]);
    if let Some(lua) = tools::interpreters().first() {
        let seen = tools::dump(lua, &files.capture(), Some(&files.keys()));
        // What the client sends to an id that nobody has used yet is read once the server has said something.
        let from = expected.iter().position(|line| line["packet"]["sender"] == "server").expect("an answer");
        assert_same("late", &seen[from..], &expected[from..]);
    }
}

#[test]
fn tshark_reads_what_was_sent() {
    let Some(version) = tools::tshark() else {
        println!("skipped: tshark with Lua is not installed");
        return;
    };
    for start in [Start::Retry, Start::KeyFetch] {
        let files = Files::new(&format!("tshark-{start:?}"), 9, start);
        let seen = tools::dissect(&files.capture(), &files.keys());
        let expected = visible(&files.session.meaning);
        assert_eq!(seen.len(), expected.len(), "{version}");
        for (n, (seen, line)) in seen.iter().zip(&expected).enumerate() {
            tools::assert_fields(&format!("{version}, datagram {n}"), seen, &line["packet"]);
        }
    }
}

/// `JSP_WRITE_TRACE=1 cargo test -p jsp-conformance --test dissector` writes it anew.
#[test]
fn the_committed_trace_is_what_the_generator_makes() {
    let dir = conformance().join("vectors/trace");
    let session = record(FIXTURE_SEED, Start::Retry);
    let mut decoded = String::from("[\n");
    for (n, line) in session.meaning.iter().enumerate() {
        let comma = if n + 1 < session.meaning.len() { "," } else { "" };
        decoded.push_str(&format!("{line}{comma}\n"));
    }
    decoded.push_str("]\n");
    let files: [(&str, Vec<u8>); 3] = [
        ("session.pcap", pcap::write(&session.datagrams)),
        ("keys.log", session.key_log.into_bytes()),
        ("decoded.json", decoded.into_bytes()),
    ];
    let total: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(total < 200_000, "{total} bytes");
    for (name, bytes) in files {
        compare(&dir.join(name), &bytes);
    }
}

fn compare(path: &Path, bytes: &[u8]) {
    if std::env::var_os("JSP_WRITE_TRACE").is_some_and(|value| value == "1") {
        fs::write(path, bytes).expect("written");
    }
    let committed = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(
        committed == bytes,
        "{} differs. If what connections send has changed on purpose, JSP_WRITE_TRACE=1 with this test writes it anew",
        path.display()
    );
}

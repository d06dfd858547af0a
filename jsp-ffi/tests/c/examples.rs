//! The examples in C, as processes that talk to each other on the loopback address.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use jsp_mio::StreamOptions;

use crate::greedy;
use crate::tools::{Compiler, crate_dir, empty_dir};

/// Builds an example.
pub(crate) fn example(compiler: &Compiler, name: &str, dir: &Path) -> PathBuf {
    let program = dir.join(name);
    let sources = crate_dir().join("c/examples");
    let mut needed = vec![sources.join(name).with_extension("c")];
    if name.starts_with("poll_") {
        needed.push(sources.join("poll_udp.c"));
    }
    compiler.build(&needed, &[], &program);
    program
}

/// The programs.
struct Examples {
    server: PathBuf,
    client: PathBuf,
}

/// Builds the examples once; none without a compiler.
fn examples() -> Option<&'static Examples> {
    static BUILT: OnceLock<Option<Examples>> = OnceLock::new();
    let build = || {
        let (compiler, dir) = (Compiler::find()?, empty_dir("examples"));
        let program = |name: &str| example(&compiler, name, &dir);
        Some(Examples { server: program("poll_echo_server"), client: program("poll_echo_client") })
    };
    BUILT.get_or_init(build).as_ref()
}

/// A server, which ends with the test.
pub(crate) struct Server {
    process: Child,
    /// Kept open: writing to a closed pipe would end the server.
    _stdout: BufReader<ChildStdout>,
    pub(crate) address: String,
    pub(crate) key_id: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a server that says where it listens and with which key.
pub(crate) fn server(program: &Path, address: &str) -> Server {
    let mut process = Command::new(program)
        .arg(address)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server starts");
    let mut line = String::new();
    let mut stdout = BufReader::new(process.stdout.take().expect("a pipe"));
    stdout.read_line(&mut line).expect("the server prints a line");
    let told = line.trim().strip_prefix("listening on ").and_then(|rest| rest.split_once(", key "));
    let (address, key_id) = told.unwrap_or_else(|| panic!("{line}"));
    Server { address: address.to_owned(), key_id: key_id.to_owned(), _stdout: stdout, process }
}

/// What a client made of its input: whether it succeeded, what it printed, and what it complained of.
pub(crate) struct Report {
    pub(crate) is_success: bool,
    pub(crate) printed: String,
    pub(crate) complaint: String,
}

/// Runs a client that nobody listens to for a while, so that everything on the way fills up.
pub(crate) fn client(program: &Path, arguments: &[&str], input: String, deaf: Duration) -> Report {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("the client starts");
    let mut stdin = process.stdin.take().expect("a pipe");
    let writer = thread::spawn(move || {
        // A client that fails does not read to the end.
        let _ = stdin.write_all(input.as_bytes());
    });
    thread::sleep(deaf);
    let mut report = Report { is_success: false, printed: String::new(), complaint: String::new() };
    let (mut stdout, mut stderr) = (process.stdout.take().expect("a pipe"), process.stderr.take().expect("a pipe"));
    stdout.read_to_string(&mut report.printed).expect("text");
    stderr.read_to_string(&mut report.complaint).expect("text");
    writer.join().expect("the input was written");
    report.is_success = process.wait().expect("the client ends").success();
    report
}

#[test]
fn the_examples_talk_to_each_other() {
    let Some(examples) = examples() else { return };
    let (serving, asking) = (&examples.server, &examples.client);
    let now = Duration::ZERO;
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let server = server(serving, address);
        let reached = [server.address.as_str(), server.key_id.as_str()];
        for arguments in [&reached[..1], &reached] {
            let report = client(asking, arguments, "hello\nworld\n\nthe end".to_owned(), now);
            assert!(report.is_success, "{}", report.complaint);
            assert_eq!((report.printed.as_str(), report.complaint.as_str()), ("hello\nworld\nthe end\n", ""));
        }
        let nothing = client(asking, &reached, String::new(), now);
        assert!(nothing.is_success && nothing.printed.is_empty(), "{}", nothing.complaint);
    }
}

#[test]
fn the_examples_lose_nothing_when_nobody_reads() {
    let Some(examples) = examples() else { return };
    let server = server(&examples.server, "127.0.0.1:0");
    let line = |number: usize| format!("{number} {}\n", "x".repeat(number % 4000));
    let input: String = (0..2000).map(line).collect();
    let arguments = [server.address.as_str(), server.key_id.as_str()];
    let report = client(&examples.client, &arguments, input.clone(), Duration::from_millis(500));
    assert!(report.is_success, "{}", report.complaint);
    assert!(report.printed == input, "{} of {} bytes came back, or others", report.printed.len(), input.len());
}

#[test]
fn the_server_holds_back_what_its_client_does_not_read() {
    let Some(examples) = examples() else { return };
    let server = server(&examples.server, "127.0.0.1:0");
    let address = server.address.parse().expect("an address");
    greedy::outlast(address, StreamOptions::bytes());
    greedy::outlast(address, StreamOptions::ordered_messages());
}

#[test]
fn a_client_that_fails_says_why() {
    let Some(examples) = examples() else { return };
    let (serving, asking) = (&examples.server, &examples.client);
    let (first, second) = (server(serving, "127.0.0.1:0"), server(serving, "127.0.0.1:0"));
    for (arguments, expected) in [
        (vec!["nonsense"], "that is no address"),
        (vec!["127.0.0.1:1", "jsp1-nonsense"], "that is no key id"),
        (vec!["192.0.2.1:1"], "no trusted key"),
        (vec![&first.address, &second.key_id], "the server's key is not the expected one"),
    ] {
        let report = client(asking, &arguments, "hello\n".to_owned(), Duration::ZERO);
        assert!(!report.is_success && report.printed.is_empty(), "{arguments:?}: {}", report.printed);
        assert!(report.complaint.contains(expected), "{arguments:?}: {}", report.complaint);
    }
    let long = client(asking, &[&first.address], "x".repeat(70_000), Duration::ZERO);
    assert!(!long.is_success && long.complaint.contains("too long"), "{}", long.complaint);
}

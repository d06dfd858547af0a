//! Runs the program as a person would: exit codes, output, files.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// Longer than anything here takes, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

fn jsp(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jsp"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs to the end: exit code, standard output, standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    run_command(jsp(arguments))
}

fn run_command(mut command: Command) -> (i32, String, String) {
    let child = command.spawn().expect("started");
    let Output { status, stdout, stderr } = ended(child);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("not killed"), text(stdout), text(stderr))
}

/// Waits, but not for ever.
fn ended(mut child: Child) -> Output {
    let begun = Instant::now();
    while child.try_wait().expect("waitable").is_none() {
        if begun.elapsed() > LIMIT {
            child.kill().expect("killed");
            panic!("still running after {LIMIT:?}: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().expect("waited")
}

/// A server that runs beside the test. Killed at the end.
struct Server {
    child: Child,
    lines: Receiver<String>,
    address: String,
    id: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut child = jsp(arguments).stderr(Stdio::null()).spawn().expect("started");
        let (to, lines) = channel();
        let out = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        let mut server = Self { child, lines, address: String::new(), id: String::new() };
        server.address = server.line("listening on ");
        server.id = server.line("key ");
        server
    }

    /// Waits for a line with `part`; gives what follows it.
    fn line(&self, part: &str) -> String {
        let begun = Instant::now();
        while let Ok(line) = self.lines.recv_timeout(LIMIT.saturating_sub(begun.elapsed())) {
            if let Some((_, rest)) = line.split_once(part) {
                return rest.to_owned();
            }
        }
        panic!("the server did not print {part:?}");
    }

    #[cfg(unix)]
    fn interrupt(mut self) -> i32 {
        interrupt(&self.child);
        let begun = Instant::now();
        loop {
            match self.child.try_wait().expect("waitable") {
                Some(status) => return status.code().expect("ended by itself"),
                None if begun.elapsed() > LIMIT => panic!("still running"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(status.success());
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn hash(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

/// Bytes that repeat only after a long while.
fn content(len: u32) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[test]
fn keygen_writes_a_private_file_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("server.key");
    let (code, out, _) = run(&["keygen", "--out", text(&key)]);
    assert_eq!(code, 0);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("jsp1-") && lines[1].starts_with("jsp1pk-"), "{out}");
    assert!(fs::read_to_string(&key).expect("written").contains(lines[0]));
    assert!(fs::read_to_string(key.with_extension("key.pub")).expect("written").contains(lines[1]));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&key).expect("written").permissions().mode() & 0o777, 0o600);
    }
    let before = fs::read(&key).expect("written");
    let (code, _, error) = run(&["keygen", "--out", text(&key)]);
    assert_eq!(code, 1);
    assert!(error.contains("exists already"), "{error}");
    assert_eq!(fs::read(&key).expect("still there"), before);

    let server = Server::start(&["serve", "--listen", "127.0.0.1:0", "--key", text(&key)]);
    assert_eq!(server.id, lines[0]);
    let public = key.with_extension("key.pub");
    let (code, _, error) = run(&["ping", "-c1", &server.address, "--server-key", text(&public)]);
    assert_eq!(code, 0, "{error}");
}

#[test]
fn files_arrive_whole_and_overwrite_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let inbox = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.bin");
    let sent = content(3_000_001);
    fs::write(&file, &sent).expect("written");
    let server = Server::start(&["recv", "--listen", "127.0.0.1:0", "--out", text(inbox.path())]);
    let target = format!("{}#{}", server.address, server.id);
    for name in ["report.bin", "report (1).bin"] {
        let (code, out, error) = run(&["send", text(&file), &target]);
        assert_eq!(code, 0, "{error}");
        assert!(out.contains(&hash(&sent)) && out.contains(&format!("saved there as {name}")), "{out}");
        assert!(server.line("sha256 ").contains(&hash(&sent)));
        assert!(fs::read(inbox.path().join(name)).expect("arrived") == sent, "other content");
    }
    let empty = folder.path().join("empty");
    fs::write(&empty, b"").expect("written");
    assert_eq!(run(&["send", text(&empty), &target]).0, 0);
    assert_eq!(fs::read(inbox.path().join("empty")).expect("arrived"), b"");
    assert_eq!(fs::read_dir(inbox.path()).expect("readable").count(), 3);

    let (code, _, error) = run(&["send", text(folder.path()), &target]);
    assert_eq!(code, 1);
    assert!(error.contains("no ordinary file") && error.contains("tar"), "{error}");
}

#[test]
fn recv_once_ends_after_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a");
    fs::write(&file, b"content").expect("written");
    let inbox = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(&["recv", "--once", "--listen", "127.0.0.1:0", "--out", text(inbox.path())]);
    let (code, _, error) = run(&["send", text(&file), &server.address]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(server.child.wait().expect("ended").code(), Some(0));
}

#[cfg(unix)]
#[test]
fn an_interrupted_file_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let inbox = tempfile::tempdir().expect("a folder");
    // Large, and without a byte on disk: more than crosses before the interruption.
    let file = folder.path().join("large");
    fs::File::create(&file).expect("made").set_len(1 << 40).expect("sparse");
    let server = Server::start(&["recv", "--listen", "127.0.0.1:0", "--out", text(inbox.path())]);
    let sender = jsp(&["send", text(&file), &server.address]).spawn().expect("started");
    let part = inbox.path().join("large.part");
    let begun = Instant::now();
    while !part.exists() {
        assert!(begun.elapsed() < LIMIT, "nothing arrives");
        std::thread::sleep(Duration::from_millis(1));
    }
    interrupt(&sender);
    assert_eq!(ended(sender).status.code(), Some(1));
    assert!(server.line("file failed: ").contains("removed"));
    assert_eq!(fs::read_dir(inbox.path()).expect("readable").count(), 0);
    assert_eq!(server.interrupt(), 0);
}

#[test]
fn another_key_than_the_pinned_one_is_refused() {
    let server = Server::start(&["serve", "--listen", "127.0.0.1:0"]);
    let other = "jsp1-p5fkieszs3ftppbea34e42qjtyfoky26lw3xajuqwjzgeyzi5qwq";
    let (code, _, error) = run(&["ping", &format!("{}#{other}", server.address)]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains(&format!("expected {other}, got {}", server.id)), "{error}");
    let (code, out, error) = run(&["ping", "-c2", "-i0.01", &server.address, "--pin", other, "--pin", &server.id]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("2 sent, 2 received, 0 % lost") && out.contains("rtt min/avg/max/mdev"), "{out}");
}

#[test]
fn strangers_elsewhere_are_not_trusted() {
    // An address for documentation; nothing is sent to it.
    let (code, _, error) = run(&["ping", "192.0.2.1:4433"]);
    assert_eq!(code, 3);
    assert!(["--pin", "--tofu", "--server-key", "#jsp1-"].iter().all(|way| error.contains(way)), "{error}");
}

#[cfg(unix)]
#[test]
fn trust_on_first_use_remembers() {
    let config = tempfile::tempdir().expect("a folder");
    let ping = |address: &str| {
        let mut command = jsp(&["ping", "--tofu", "-c1", address]);
        command.env("XDG_CONFIG_HOME", config.path());
        run_command(command)
    };
    let first = Server::start(&["serve", "--listen", "127.0.0.1:0"]);
    let (code, _, error) = ping(&first.address);
    assert_eq!(code, 0, "{error}");
    assert!(error.contains("first time") && error.contains(&first.id), "{error}");
    let (code, _, error) = ping(&first.address);
    assert_eq!(code, 0, "{error}");
    assert!(!error.contains("first time"), "{error}");
    let address = first.address.clone();
    assert_eq!(first.interrupt(), 0);
    let second = Server::start(&["serve", "--listen", &address]);
    let (code, _, error) = ping(&second.address);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("known_servers") && error.contains(&second.id), "{error}");
}

#[test]
fn a_server_of_another_kind_says_so() {
    let server = Server::start(&["recv", "--listen", "127.0.0.1:0"]);
    let (code, _, error) = run(&["ping", &server.address]);
    assert_eq!(code, 4, "{error}");
    assert!(error.contains("jsp serve"), "{error}");
}

/// The two hashes of a demo's report.
fn hashes(out: &str) -> Vec<&str> {
    out.lines().filter(|line| line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit())).collect()
}

#[test]
fn the_demo_crosses_a_bad_network() {
    let (code, out, error) = run(&["demo", "--size", "256KiB", "--loss", "1", "--delay", "5", "--seed", "3"]);
    assert_eq!(code, 0, "{out}{error}");
    let found = hashes(&out);
    assert!(found.len() == 2 && found[0] == found[1], "{out}");
    assert_eq!(out.lines().last(), Some("ok"));
    for part in ["X-Wing (X25519 + ML-KEM-768)", "handshake", "lost (", "reliable", "best effort", "p99", "256.0 KiB"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(!out.contains('\x1b'), "colours in a pipe");
}

#[test]
fn the_demo_corrects_and_compresses() {
    // Enough that something is repaired in every run. Where three are lost in a row, a burst swallows in one of some
    // thousand runs all that is repeated in the ten seconds a close is given.
    let common = ["demo", "--size", "4MiB", "--loss", "4", "--burst", "2", "--rtt", "10"];
    let (code, out, error) = run(&[&common[..], &["--compress", "--fec", "10+2"]].concat());
    assert_eq!(code, 0, "{out}{error}");
    for part in [
        "generated words",
        "loses 4 % each way, 2 in a row on average, and delays by 5 ms each way",
        "settings     2 parity packets for 10 packets, compressed",
        "\ncompression  4.0 MiB",
        "\ncorrection   ",
        " packets repaired by the other side",
        "\ntime saved   ",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let found = hashes(&out);
    assert!(found.len() == 2 && found[0] == found[1], "{out}");
    for profile in ["mobile", "low-latency", "bulk"] {
        let (code, out, error) = run(&["demo", "--size", "64KiB", "--loss", "0", "--rtt", "2", "--profile", profile]);
        assert_eq!(code, 0, "{out}{error}");
        assert!(out.contains(&format!("settings     as for {profile}")), "{out}");
        assert_eq!(out.lines().last(), Some("ok"));
    }
    for wrong in [["--fec", "10"], ["--burst", "0"], ["--profile", "slow"]] {
        assert_eq!(run(&[&["demo"], &wrong[..]].concat()).0, 2, "{wrong:?}");
    }
}

#[test]
fn files_are_compressed_if_both_sides_want_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let inbox = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("notes.txt");
    let sent = "the same line again and again\n".repeat(20_000);
    fs::write(&file, &sent).expect("written");
    for (takes, gives) in [(true, true), (true, false), (false, true)] {
        let recv = ["recv", "--listen", "127.0.0.1:0", "--out", text(inbox.path())];
        let flag: &[&str] = if takes { &["--compress"] } else { &[] };
        let server = Server::start(&[&recv[..], flag].concat());
        let flag: &[&str] = if gives { &["--compress"] } else { &[] };
        let (code, out, error) = run(&[&["send", text(&file), &server.address], flag].concat());
        assert_eq!(code, 0, "{error}");
        assert_eq!(out.contains("compression: "), takes && gives, "{out}");
        assert!(out.contains(&hash(sent.as_bytes())), "{out}");
    }
}

#[test]
fn the_demo_sends_a_file_of_yours() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("photo.jpg");
    let sent = content(100_000);
    fs::write(&file, &sent).expect("written");
    let (code, out, error) = run(&["demo", text(&file), "--loss", "0", "--delay", "0"]);
    assert_eq!(code, 0, "{out}{error}");
    assert_eq!(hashes(&out), [hash(&sent), hash(&sent)]);
    let (code, _, error) = run(&["demo", "/nothing/here"]);
    assert_eq!(code, 1);
    assert!(error.contains("/nothing/here"), "{error}");
}

#[test]
fn perf_measures_release_builds_only() {
    let server = Server::start(&["perf", "server", "--listen", "127.0.0.1:0", "--allow-debug"]);
    let small = ["perf", "client", &server.address, "--size", "1MiB", "--messages", "20"];
    let (code, out, error) = run(&small);
    if cfg!(debug_assertions) {
        assert_eq!((code, out.as_str()), (1, ""), "{error}");
        assert!(error.contains("debug build") && error.contains("--release"), "{error}");
    }
    let (code, out, error) = run(&[&small[..], &["--allow-debug"]].concat());
    assert_eq!(code, 0, "{error}");
    assert_eq!(out.contains("DEBUG BUILD"), cfg!(debug_assertions));
    assert!(["handshake", "latency", "upload", "download"].iter().all(|part| out.contains(part)), "{out}");
    let bad = ["--allow-debug", "--loss", "5", "--rtt", "10", "--fec", "10+2"];
    let (code, out, error) = run(&[&small[..], &bad].concat());
    assert_eq!(code, 0, "{error}");
    let parts =
        ["a proxy loses 5 % each way and delays by 5 ms each way", "packets repaired by the other side", "time saved"];
    assert!(parts.iter().all(|part| out.contains(part)), "{out}");
    assert_eq!(run(&["perf", "client", "192.0.2.1:1", "--allow-debug", "--loss", "5"]).0, 2, "only on this machine");
}

#[test]
fn what_connections_do_is_shown_on_request() {
    let dir = tempfile::tempdir().expect("a folder");
    let traces = dir.path().join("traces");
    let demo = ["demo", "--size", "64KiB", "--loss", "0", "--rtt", "2"];
    let (code, _, error) = run(&[&demo[..], &["--qlog", text(&traces), "-v"]].concat());
    assert_eq!(code, 0, "{error}");
    let shown = |what: &str| error.lines().filter(|line| line.contains(what)).count();
    assert_eq!((shown("connected"), shown("closed by"), shown("TRACE")), (2, 2, 0), "{error}");
    let files: Vec<_> = fs::read_dir(&traces).expect("made").map(|file| file.expect("a file").path()).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files {
        let trace = fs::read_to_string(file).expect("text");
        let has = |name: &str| trace.contains(&format!("\"name\":\"{name}\""));
        assert!(has("transport:packet_sent") && has("connectivity:connection_closed") && trace.ends_with("}\n"));
    }

    let mut command = jsp(&demo);
    let (code, _, error) = run_command({
        command.env("RUST_LOG", "jsp=info");
        command
    });
    assert!(code == 0 && error.contains(" INFO jsp: connected") && !error.contains("DEBUG"), "{error}");
    let (code, _, error) = run(&demo);
    assert!(code == 0 && !error.contains("jsp: "), "silent without being asked: {error}");
}

#[test]
fn secrets_are_written_only_by_the_option() {
    let dir = tempfile::tempdir().expect("a folder");
    let (file, traces) = (dir.path().join("keys"), dir.path().join("traces"));
    let demo = ["demo", "--size", "64KiB", "--loss", "0", "--rtt", "2"];
    let mut command = jsp(&demo);
    let (code, _, error) = run_command({
        command.env("SSLKEYLOGFILE", &file);
        command
    });
    assert!(code == 0 && !file.exists() && !error.contains("secrets"), "{error}");

    let (code, _, error) = run(&[&demo[..], &["--key-log", text(&file), "--qlog", text(&traces)]].concat());
    assert!(code == 0 && error.contains("secrets"), "said so: {error}");
    let log = fs::read_to_string(&file).expect("written");
    for label in ["JSP_SERVER_KEY_ID ", "JSP_CLIENT_SECRET_0 ", "JSP_SERVER_SECRET_0 "] {
        let lines: Vec<_> = log.lines().filter(|line| line.starts_with(label)).collect();
        assert!(lines.len() == 2 && lines[0] == lines[1], "one of each end: {log}");
    }
    let secrets: Vec<&str> = log.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    for trace in fs::read_dir(&traces).expect("made") {
        let trace = fs::read_to_string(trace.expect("a file").path()).expect("text");
        assert!(trace.contains("packet_sent") && secrets.iter().all(|secret| !trace.contains(secret)));
    }
}

#[test]
fn help_has_examples() {
    for command in ["keygen", "serve", "recv", "send", "chat", "ping", "demo"] {
        let (code, out, _) = run(&[command, "--help"]);
        assert!(code == 0 && out.contains("Example"), "{command}: {out}");
    }
    let (code, out, _) = run(&["--help"]);
    assert!(code == 0 && out.contains("jsp demo") && out.contains("Exit codes"), "{out}");
    assert_eq!(run(&["send"]).0, 2);
}

//! C and Go as clients and servers: of tokio, and of each other, in every pair.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jsp_tokio::{AppCode, ClientConfig, Config, Endpoint, KeyFetch, KeyId, SecretKey, Stream};
use tokio::runtime::Runtime;

use crate::examples::{Server, client, example, server};
use crate::tools::{Compiler, crate_dir, empty_dir, go, run, say_missing, try_run};

/// What clients send: several messages, one of them larger than a datagram.
fn lines() -> Vec<String> {
    let long = "long ".repeat(2000).trim().to_owned();
    ["hello", "across", "languages", &long, "the end"].map(str::to_owned).to_vec()
}

/// A server that echoes messages on tokio, until the runtime ends.
fn on_tokio(runtime: &Runtime) -> (SocketAddr, KeyId) {
    runtime.block_on(async {
        let key = SecretKey::from_seed(jsp_tokio::random_seed().expect("randomness"));
        let id = key.public().key_id();
        let config = Config::builder().server_key(key).key_fetch(KeyFetch::Open).build().expect("valid");
        let endpoint = Endpoint::bind("127.0.0.1:0", config).await.expect("a free port");
        let address = endpoint.local_address();
        tokio::spawn(async move {
            while let Some(connection) = endpoint.accept().await {
                tokio::spawn(async move {
                    while let Ok(Some(stream)) = connection.accept_stream().await {
                        let Stream::Messages(mut stream) = stream else { continue };
                        tokio::spawn(async move {
                            while let Ok(Some(message)) = stream.recv().await {
                                if stream.send(&message).await.is_err() {
                                    break;
                                }
                            }
                        });
                    }
                });
            }
        });
        (address, id)
    })
}

/// A client on tokio sends the lines and gets them back.
async fn from_tokio(address: &str, key_id: &str) -> Vec<String> {
    let trust = ClientConfig::fingerprints([key_id.parse().expect("a key id")]);
    let endpoint = Endpoint::bind("127.0.0.1:0", Config::default()).await.expect("a free port");
    let connection = endpoint.connect(address, &trust).await.expect("the server is there");
    let mut stream = connection.open_messages().await.expect("allowed");
    let mut echoes = Vec::new();
    for line in lines() {
        stream.send(line.as_bytes()).await.expect("the server listens");
        let echo = stream.recv().await.expect("an echo").expect("not the end");
        echoes.push(String::from_utf8(echo).expect("text"));
    }
    connection.close(AppCode::ZERO, b"").await.expect("delivered");
    echoes
}

/// A program of the Go package's examples; `None` without Go.
fn go_example(name: &str, dir: &Path) -> Option<PathBuf> {
    if try_run(Command::new("go").arg("version")).is_none() {
        assert!(std::env::var_os("CI").is_none(), "no Go");
        say_missing("Go", "C and tokio were tested without it");
        return None;
    }
    let program = dir.join(format!("go_{name}"));
    run(go("build").arg("-o").arg(&program).arg(format!("./examples/{name}")));
    Some(program)
}

#[test]
fn every_language_talks_to_every_other() {
    let Some(compiler) = Compiler::find() else { return };
    let dir = empty_dir("interop");
    let mut servers =
        vec![example(&compiler, "poll_echo_server", &dir), example(&compiler, "blocking_echo_server", &dir)];
    servers.extend(go_example("echo_server", &dir));
    let mut clients =
        vec![example(&compiler, "poll_echo_client", &dir), example(&compiler, "blocking_echo_client", &dir)];
    clients.extend(go_example("echo_client", &dir));

    let runtime = Runtime::new().expect("a runtime");
    let (address, key_id) = on_tokio(&runtime);
    let running: Vec<Server> = servers.iter().map(|program| server(program, "127.0.0.1:0")).collect();
    let mut reached = vec![("tokio", address.to_string(), key_id.to_string())];
    for (program, server) in servers.iter().zip(&running) {
        let name = program.file_name().and_then(OsStr::to_str).expect("a name");
        reached.push((name, server.address.clone(), server.key_id.clone()));
    }
    let expected = lines();
    for (name, address, key_id) in &reached {
        assert_eq!(runtime.block_on(from_tokio(address, key_id)), expected, "tokio to {name}");
        for program in &clients {
            let pinned = format!("{address}#{key_id}");
            // The polling example takes the key id as an argument of its own.
            let is_polling = program.ends_with("poll_echo_client");
            let arguments = if is_polling { vec![address.as_str(), key_id.as_str()] } else { vec![pinned.as_str()] };
            let report = client(program, &arguments, expected.join("\n") + "\n", Duration::ZERO);
            assert!(report.is_success, "{} to {name}: {}", program.display(), report.complaint);
            assert!(report.printed.lines().eq(&expected), "{} to {name}: {}", program.display(), report.printed);
        }
    }
}

/// The short program that everybody begins with, as it stands there but for the port.
#[test]
fn hello_says_hello() {
    let Some(compiler) = Compiler::find() else { return };
    let dir = empty_dir("hello");
    let server = server(&example(&compiler, "blocking_echo_server", &dir), "127.0.0.1:0");
    let text = fs::read_to_string(crate_dir().join("c/examples/hello.c")).expect("the example");
    assert!(text.contains("\"127.0.0.1:8080\""));
    let source = dir.join("hello.c");
    fs::write(&source, text.replace("127.0.0.1:8080", &server.address)).expect("a source file can be written");
    compiler.build(&[&source], &[], &dir.join("hello"));
    assert_eq!(run(&mut Command::new(dir.join("hello"))), "");
    let nobody = text.replace("127.0.0.1:8080", "192.0.2.1:1");
    fs::write(&source, nobody).expect("a source file can be written");
    compiler.build(&[&source], &[], &dir.join("nobody"));
    let failed = try_run(&mut Command::new(dir.join("nobody"))).expect("it starts");
    assert_eq!(
        String::from_utf8_lossy(&failed.stderr),
        format!("Handshake failed: {}\n", jsp::JSP_ERROR_TRUST_REQUIRED)
    );
    assert_eq!(failed.status.code(), Some(1));
}

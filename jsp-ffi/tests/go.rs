//! The Go package: its own tests, run with the Go that is installed.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("go")
}

/// The first line that a program prints, if there is such a program and it succeeds.
fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(package()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
    output.status.success().then_some(text)
}

/// What is missing to run the tests.
fn missing() -> Option<&'static str> {
    let Some(version) = ask("go", &["env", "GOVERSION"]) else { return Some("go") };
    let minor = version.strip_prefix("go1.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    if minor.is_some_and(|minor| minor < 21) {
        return Some("go 1.21 or later");
    }
    let compiler = ask("go", &["env", "CC"]).unwrap_or_default();
    let mut words = compiler.split_whitespace();
    match words.next().and_then(|program| ask(program, &["--version"])) {
        Some(_) => None,
        None => Some("a C compiler"),
    }
}

/// The directory with the static library that was built together with this test.
fn library_dir() -> PathBuf {
    let test = env::current_exe().expect("a program knows its path");
    let deps = test.parent().expect("it lies in a directory").to_owned();
    if !deps.join("libjsp.a").is_file() {
        build_library(&deps);
    }
    deps
}

/// Builds the library with the profile and the target directory that the path `.../target/PROFILE/deps` names.
fn build_library(deps: &Path) {
    let of_profile = deps.parent().expect("the profile's directory");
    let profile = match of_profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["rustc", "-p", "jsp-ffi", "--lib", "--crate-type", "staticlib", "--profile", profile])
        .arg("--target-dir")
        .arg(of_profile.parent().expect("the target directory"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(status.success() && deps.join("libjsp.a").is_file(), "the static library cannot be built");
}

fn go(library: &Path, arguments: &[&str]) {
    let changed = library.join("libjsp.a").metadata().and_then(|data| data.modified()).expect("the library");
    // The go command does not notice that a library has changed; a flag that does nothing makes it link again.
    let stamp = format!("-ldflags=-X=main.library={:?}", changed.duration_since(UNIX_EPOCH).unwrap_or_default());
    let (command, rest) = arguments.split_first().expect("a command");
    let status = Command::new("go")
        .arg(command)
        .arg(stamp)
        .args(rest)
        .current_dir(package())
        .env("CGO_ENABLED", "1")
        .env("CGO_LDFLAGS", format!("-L{}", library.display()))
        .env("GOTOOLCHAIN", "local")
        .env("GOPROXY", "off")
        .status()
        .expect("go runs");
    assert!(status.success(), "go {} failed", arguments.join(" "));
}

#[test]
fn the_go_package_passes_its_tests() {
    if let Some(missing) = missing() {
        assert!(env::var_os("CI").is_none(), "{missing} is missing");
        // Past the harness, which would swallow it.
        let _ = writeln!(std::io::stderr(), "missing: {missing}: the Go package was not tested");
        return;
    }
    let library = library_dir();
    go(&library, &["vet", "./..."]);
    go(&library, &["build", "./..."]);
    // The race detector does not exist for every machine.
    match ask("go", &["list", "-race", "runtime/race"]) {
        Some(_) => go(&library, &["test", "-race", "-count=1", "./..."]),
        None => go(&library, &["test", "-count=1", "./..."]),
    }
}

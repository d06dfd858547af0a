//! The Go package: its own tests, run with the Go that is installed.

use std::env;
use std::process::Command;

#[allow(dead_code, reason = "the tests of the C side use more of it")]
#[path = "c/tools.rs"]
mod tools;

/// The first line that a program prints, if there is such a program and it succeeds.
fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(tools::go_package()).output().ok()?;
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

fn go(arguments: &[&str]) {
    let (command, rest) = arguments.split_first().expect("a command");
    let status = tools::go(command).args(rest).status().expect("go runs");
    assert!(status.success(), "go {} failed", arguments.join(" "));
}

#[test]
fn the_go_package_passes_its_tests() {
    if let Some(missing) = missing() {
        assert!(env::var_os("CI").is_none(), "{missing} is missing");
        return tools::say_missing(missing, "the Go package was not tested");
    }
    go(&["vet", "./..."]);
    go(&["build", "./..."]);
    // The race detector does not exist for every machine.
    match ask("go", &["list", "-race", "runtime/race"]) {
        Some(_) => go(&["test", "-race", "-count=1", "./..."]),
        None => go(&["test", "-count=1", "./..."]),
    }
}

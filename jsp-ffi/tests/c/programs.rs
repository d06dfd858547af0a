//! The headers compile, and the tests in C pass: plain, with sanitizers and with valgrind.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools::{Compiler, crate_dir, empty_dir, run, say_missing, try_run};

const SANITIZERS: [&str; 2] = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

#[test]
fn each_header_compiles_alone() {
    let Some(compiler) = Compiler::find() else { return };
    let has_cpp = compiler.can("can-cpp", "c++", &[]);
    if !has_cpp {
        say_missing("a C++ compiler", "the headers were compiled as C only");
    }
    for header in ["jsp.h", "jsp_socket.h", "jetstream_proto.h"] {
        let header = crate_dir().join("include").join(header);
        compiler.check("c", "-std=c99", &header);
        if has_cpp {
            compiler.check("c++", "-std=c++11", &header);
        }
    }
}

/// The test programs in C with the arguments for a long and for a short run.
fn tests(
    compiler: &Compiler,
    flags: &[&str],
    dir: &Path,
) -> [(PathBuf, &'static [&'static str], &'static [&'static str]); 3] {
    let sources = crate_dir().join("c/tests");
    let build = |name: &str| {
        let program = dir.join(name);
        let source = sources.join(name).with_extension("c");
        compiler.build(&[source, sources.join("world.c")], flags, &program);
        program
    };
    let random = build("abuse_test");
    [(build("poll_test"), &[], &[]), (random, &["30000", "1"], &["1500", "2"]), (build("blocking_test"), &[], &[])]
}

#[test]
fn the_tests_in_c_pass() {
    let Some(compiler) = Compiler::find() else { return };
    for (test, arguments, _) in tests(&compiler, &[], &empty_dir("plain")) {
        run(Command::new(test).args(arguments));
    }
}

#[test]
fn the_tests_in_c_pass_with_sanitizers() {
    let Some(compiler) = Compiler::find() else { return };
    if !compiler.can("can-sanitize", "c", &SANITIZERS) {
        return say_missing("the sanitizers' runtime of the C compiler", "the tests in C ran without them");
    }
    for (test, arguments, _) in tests(&compiler, &SANITIZERS, &empty_dir("sanitized")) {
        run(Command::new(test).args(arguments));
    }
}

#[test]
fn the_tests_in_c_pass_with_valgrind() {
    let Some(compiler) = Compiler::find() else { return };
    if try_run(Command::new("valgrind").arg("--version")).is_none() {
        return say_missing("valgrind", "the tests in C ran without it");
    }
    for (test, _, arguments) in tests(&compiler, &[], &empty_dir("valgrind")) {
        let mut valgrind = Command::new("valgrind");
        // A thread that still takes leave at the end of the program has memory that is lost only possibly.
        valgrind.args(["-q", "--error-exitcode=1", "--leak-check=full", "--errors-for-leak-kinds=definite"]);
        run(valgrind.arg(test).args(arguments));
    }
}

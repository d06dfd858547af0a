//! The compiler, the libraries that cargo built, and programs that run.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::UNIX_EPOCH;

/// Every C file must compile with these.
const STRICT: [&str; 6] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-O1"];

/// What a program needs besides `libjsp.a`.
#[cfg(target_os = "macos")]
const SYSTEM_LIBRARIES: [&str; 3] = ["-lpthread", "-lm", "-liconv"];
#[cfg(not(target_os = "macos"))]
const SYSTEM_LIBRARIES: [&str; 3] = ["-lpthread", "-ldl", "-lm"];

/// Says which tool a test goes without. Past the harness, which would swallow it.
pub(crate) fn say_missing(what: &str, consequence: &str) {
    let _ = writeln!(std::io::stderr(), "missing: {what}: {consequence}");
}

/// The directory of the crate.
pub(crate) fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where cargo puts the libraries of the profile that is tested: beside the test's own program.
pub(crate) fn library_dir() -> PathBuf {
    let test = env::current_exe().expect("the test is a file");
    let mut dirs = test.ancestors().skip(1).take(2);
    let dir = dirs.find(|dir| dir.join("libjsp.a").is_file());
    dir.expect("cargo builds libjsp.a beside the tests of its crate").to_owned()
}

/// The Go package.
pub(crate) fn go_package() -> PathBuf {
    crate_dir().join("go")
}

/// A command of `go` in the package, such as `test`, with the library that was built together with this test.
pub(crate) fn go(command: &str) -> Command {
    let library = library_dir();
    let changed = library.join("libjsp.a").metadata().and_then(|data| data.modified()).expect("the library");
    let mut go = Command::new("go");
    go.current_dir(go_package()).arg(command);
    // The go command does not notice that a library has changed; a flag that does nothing makes it link again.
    go.arg(format!("-ldflags=-X=main.library={:?}", changed.duration_since(UNIX_EPOCH).unwrap_or_default()));
    go.env("CGO_ENABLED", "1").env("CGO_LDFLAGS", format!("-L{}", library.display()));
    go.env("GOTOOLCHAIN", "local").env("GOPROXY", "off");
    go
}

/// An empty directory for one test.
pub(crate) fn empty_dir(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c").join(name);
    if dir.exists() {
        fs::remove_dir_all(&dir).expect("the last run's files can be removed");
    }
    fs::create_dir_all(&dir).expect("the directory for temporary files can be written");
    dir
}

/// Runs a program that must succeed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = try_run(command).unwrap_or_else(|| panic!("{command:?} cannot be started"));
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out
}

/// Runs a program; `None` if there is none.
pub(crate) fn try_run(command: &mut Command) -> Option<Output> {
    command.output().ok()
}

/// A compiler for C and perhaps for C++.
pub(crate) struct Compiler {
    program: String,
    arguments: Vec<String>,
}

impl Compiler {
    /// The compiler that `CC` names, or `cc`. Without one the caller has nothing to do.
    pub(crate) fn find() -> Option<Self> {
        let named = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let mut words = named.split_whitespace().map(str::to_owned);
        let compiler = Self { program: words.next().unwrap_or_default(), arguments: words.collect() };
        if try_run(compiler.command().arg("--version")).is_some_and(|output| output.status.success()) {
            return Some(compiler);
        }
        assert!(env::var_os("CI").is_none(), "no C compiler: {named} (set CC)");
        say_missing(&format!("a C compiler ({named}; set CC)"), "nothing in C was tested");
        None
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command
    }

    /// Whether a program that does nothing can be built with these flags, and runs.
    pub(crate) fn can(&self, name: &str, language: &str, flags: &[&str]) -> bool {
        let dir = empty_dir(name);
        let (source, program) = (dir.join("nothing.c"), dir.join("nothing"));
        fs::write(&source, "int main(void) { return 0; }\n").expect("a source file can be written");
        let mut command = self.command();
        command.args(["-x", language]).args(flags).arg(&source).arg("-o").arg(&program);
        try_run(&mut command).is_some_and(|output| output.status.success())
            && try_run(&mut Command::new(&program)).is_some_and(|output| output.status.success())
    }

    /// Checks one file alone, as a whole program of that language would include it.
    pub(crate) fn check(&self, language: &str, standard: &str, file: &Path) {
        run(self.command().args(STRICT).args([standard, "-fsyntax-only", "-x", language]).arg(include()).arg(file));
    }

    /// Builds a program with the static library.
    pub(crate) fn build<S: AsRef<OsStr>>(&self, sources: &[S], flags: &[&str], program: &Path) {
        let mut command = self.command();
        command.args(STRICT).arg("-std=c99").args(flags).arg(include()).args(sources);
        command.arg(library_dir().join("libjsp.a")).args(SYSTEM_LIBRARIES).arg("-o").arg(program);
        run(&mut command);
    }

    /// Builds a program with a shared library that is installed.
    pub(crate) fn build_installed(&self, source: &Path, prefix: &Path, library: &str, program: &Path) {
        let mut command = self.command();
        command.args(STRICT).arg("-std=c99").arg("-I").arg(prefix.join("include")).arg(source);
        command.arg("-L").arg(prefix.join("lib")).arg(library).arg("-o").arg(program);
        run(&mut command);
    }
}

fn include() -> String {
    format!("-I{}", crate_dir().join("include").display())
}

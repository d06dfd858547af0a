//! What `make install` puts where, and that programs can be built with it.

use std::fs;
use std::process::Command;

use crate::tools::{Compiler, crate_dir, empty_dir, library_dir, run, say_missing, try_run};

const PROGRAM: &str = "#include <jsp.h>
#include <jsp_socket.h>
#include <stdio.h>

int main(void)
{
    puts(jsp_version());
    return jsp_abi_check(JSP_ABI_VERSION);
}
";

#[test]
fn programs_can_be_built_with_what_was_installed() {
    let Some(compiler) = Compiler::find() else { return };
    if !try_run(Command::new("make").arg("--version")).is_some_and(|output| output.stdout.starts_with(b"GNU")) {
        return say_missing("GNU make", "the installation was not tested");
    }
    let dir = empty_dir("install");
    let mut make = Command::new("make");
    // The libraries are those that this test was built with; cargo would build others for release.
    make.arg("-C").arg(crate_dir().join("c")).args(["install", "CARGO=true", "PREFIX=/usr"]);
    make.arg(format!("LIBRARY={}", library_dir().display())).arg(concat!("VERSION=", env!("CARGO_PKG_VERSION")));
    make.arg(format!("DESTDIR={}", dir.display())).env_remove("MAKEFLAGS").env_remove("MFLAGS");
    run(&mut make);

    let prefix = dir.join("usr");
    let source = dir.join("program.c");
    fs::write(&source, PROGRAM).expect("a source file can be written");
    for library in ["-ljsp", "-ljsp_c"] {
        let program = dir.join("program");
        compiler.build_installed(&source, &prefix, library, &program);
        let lib = prefix.join("lib");
        let printed = run(Command::new(program).env("LD_LIBRARY_PATH", &lib).env("DYLD_LIBRARY_PATH", &lib));
        assert_eq!(printed.trim(), env!("CARGO_PKG_VERSION"));
    }
    for library in ["lib/libjsp_c.a".to_owned(), format!("lib/libjsp_c{}", std::env::consts::DLL_SUFFIX)] {
        assert!(prefix.join(&library).is_file(), "{library}");
    }

    if try_run(Command::new("pkg-config").arg("--version")).is_none() {
        return say_missing("pkg-config", "jsp.pc was not tested");
    }
    let ask = |what: &str| {
        let mut command = Command::new("pkg-config");
        run(command.args([what, "jsp"]).env("PKG_CONFIG_LIBDIR", prefix.join("lib/pkgconfig"))).trim().to_owned()
    };
    assert_eq!(ask("--modversion"), env!("CARGO_PKG_VERSION"));
    assert!(ask("--libs").contains("-ljsp"));
}

//! The committed header says what the library has: it is what cbindgen makes of the sources.
//!
//! After a change of the interface: `JSP_UPDATE_HEADER=1 cargo test -p jsp-ffi --test header`.

use std::fmt::Write;
use std::fs;
use std::path::Path;

/// What stands above the declarations: the rules, from the head of the crate.
fn preamble(sources: &str) -> String {
    let mut text = String::from("// Generated from the sources of jsp-ffi by its test `header`. Do not edit.\n//\n");
    for line in sources.lines().map_while(|line| line.strip_prefix("//!")) {
        // Links to Rust items are names in C.
        let line = line.replace("[`", "`").replace("`]", "`");
        writeln!(text, "//{line}").expect("a string takes everything");
    }
    text
}

fn generated(root: &Path) -> String {
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("a valid cbindgen.toml");
    let bindings = cbindgen::generate_with_config(root, config).expect("cbindgen reads the sources");
    let mut header = Vec::new();
    bindings.write(&mut header);
    let header = String::from_utf8(header).expect("text");
    let sources = fs::read_to_string(root.join("src/lib.rs")).expect("the crate");
    // What Rust calls safety is in C what is expected of pointers.
    format!("{}\n{}", preamble(&sources), header.replace("// # Safety\n", "// Pointers:\n"))
}

#[test]
fn the_committed_header_is_what_the_sources_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (path, header) = (root.join("include/jsp.h"), generated(root));
    if std::env::var_os("JSP_UPDATE_HEADER").is_some() {
        fs::write(&path, header).expect("the header can be written");
        return;
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    for (number, (found, expected)) in committed.lines().zip(header.lines()).enumerate() {
        assert_eq!(found, expected, "include/jsp.h:{}: see the head of this test", number + 1);
    }
    assert_eq!(committed.lines().count(), header.lines().count(), "include/jsp.h: see the head of this test");
}

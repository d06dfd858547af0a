//! The header and the shared library have the same functions, and nothing else is exported.

use std::collections::BTreeSet;
use std::fs;

use crate::tools::crate_dir;

/// The functions that the header declares.
pub(crate) fn declared() -> BTreeSet<String> {
    let header = fs::read_to_string(crate_dir().join("include/jsp.h")).expect("the header");
    let code: String = header.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    code.match_indices('(')
        .filter_map(|(at, _)| code.get(..at)?.rsplit(|c| !is_of_name(c)).next())
        .filter(|name| name.starts_with("jsp_"))
        .map(str::to_owned)
        .collect()
}

#[cfg(target_os = "linux")]
#[test]
fn the_shared_library_exports_what_the_header_declares() {
    use std::process::Command;

    use crate::tools::{library_dir, run, say_missing, try_run};

    if try_run(Command::new("nm").arg("--version")).is_none() {
        return say_missing("nm", "the exported symbols were not compared");
    }
    let symbols = run(Command::new("nm").args(["-D", "--defined-only"]).arg(library_dir().join("libjsp.so")));
    let exported: BTreeSet<String> =
        symbols.lines().filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect();
    assert!(exported.len() > 40, "{exported:?}");
    assert_eq!(exported, declared());
}

/// Programs ask for the library by this name when they start; it changes with the binary interface.
#[cfg(target_os = "linux")]
#[test]
fn the_shared_library_is_named_by_its_interface() {
    use std::process::Command;

    use crate::tools::{library_dir, run, say_missing, try_run};

    if try_run(Command::new("readelf").arg("--version")).is_none() {
        return say_missing("readelf", "the name in the shared library was not compared");
    }
    let dynamic = run(Command::new("readelf").arg("-d").arg(library_dir().join("libjsp.so")));
    let expected = format!("[libjsp.so.{}]", jsp::JSP_ABI_VERSION);
    assert!(dynamic.lines().any(|line| line.contains("SONAME") && line.ends_with(&expected)), "{dynamic}");
}

//! Finding the numbers of requirements in the sources.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Id;

/// Which side of a requirement a place in the sources is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It implements it.
    Code,
    /// It holds the code, or any peer, to it.
    Test,
}

/// A place that cites a requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Citation {
    /// What it does there.
    pub kind: Kind,
    /// The file, from the project's root.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

/// Where sources are, from the project's root.
const FOLDERS: &[&str] = &["jsp-proto", "jsp-tokio", "jsp-smol", "jsp-mio", "jsp-ffi", "conformance", "fuzz"];
/// How the names of files with sources end.
const ENDINGS: &[&str] = &["rs", "py", "go", "c", "h", "lua"];
/// What is not the project's own text.
const SKIPPED: &[&str] = &["target", "corpus", "__pycache__"];
/// All of this checks: it is a test wherever it stands.
const CHECKS: &[&str] = &["conformance", "fuzz"];

/// All citations in the sources below `root`, in the order of files and lines.
pub(super) fn sources(root: &Path) -> io::Result<Vec<(Id, Citation)>> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        collect(&root.join(folder), &mut files)?;
    }
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(&file);
        // The tests of this search are about numbers of their own.
        if !name.starts_with("conformance/src/spec") {
            text(name, &fs::read_to_string(&file)?, &mut found);
        }
    }
    Ok(found)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !SKIPPED.contains(&name.as_str()) && !name.starts_with('.') {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| *known == ending)) {
            files.push(path);
        }
    }
    Ok(())
}

/// The citations of one file. In a source file of Rust, what follows `#[cfg(test)]` with a module in braces is a test.
pub(super) fn text(file: &Path, text: &str, found: &mut Vec<(Id, Citation)>) {
    let mut kind = kind_of(file);
    let mut after_test_mark = false;
    for (line, content) in text.lines().enumerate() {
        if after_test_mark && content.starts_with("mod ") && content.ends_with('{') {
            kind = Kind::Test;
        }
        after_test_mark = content.trim() == "#[cfg(test)]" || after_test_mark && content.starts_with("#[");
        found.extend(ids(content).map(|id| (id, Citation { kind, file: file.into(), line: line + 1 })));
    }
}

fn kind_of(file: &Path) -> Kind {
    let checks = CHECKS.iter().any(|folder| file.starts_with(folder));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let is_test = file.components().any(|part| part.as_os_str() == "tests")
        || name == "tests.rs"
        || name.ends_with("_tests.rs")
        || name.ends_with("_test.go");
    if checks || is_test { Kind::Test } else { Kind::Code }
}

/// The numbers in a line.
fn ids(line: &str) -> impl Iterator<Item = Id> {
    line.match_indices("JSP-").filter_map(|(at, _)| {
        let rest = line.get(at..)?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
        Id::parse(rest.get(..end)?.trim_end_matches('-'))
    })
}

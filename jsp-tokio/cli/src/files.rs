//! Received files on disk: harmless names, nothing overwritten, nothing half left behind.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::failure::{Context, Failure, Result};
use crate::transfer::{Header, Place};

/// How many names are tried for one file.
const NAMES: u32 = 10_000;

/// A folder that takes one file.
#[derive(Debug)]
pub(crate) struct Folder {
    folder: PathBuf,
    name: String,
    part: Option<Part>,
}

/// A file on its way. Removed when it is dropped before it was kept.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl Folder {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), name: String::new(), part: None }
    }

    /// Where the file is or was on its way, if it had begun.
    pub(crate) fn part(&self) -> Option<&Path> {
        self.part.as_ref().map(|part| part.path.as_path())
    }
}

impl Place for Folder {
    async fn begin(&mut self, header: &Header) -> Result<()> {
        self.name = harmless(&header.name);
        let (path, file) = create_new(&self.folder, &self.name, ".part")
            .context(|| format!("cannot write to {}", self.folder.display()))?;
        self.part = Some(Part { path, file: File::from_std(file), kept: false });
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let part = self.part.as_mut().ok_or_else(|| Failure::new("no file is open"))?;
        part.file.write_all(bytes).await.context(|| format!("cannot write {}", part.path.display()))
    }

    async fn keep(&mut self) -> Result<String> {
        let part = self.part.as_mut().ok_or_else(|| Failure::new("no file is open"))?;
        part.file.flush().await?;
        part.file.sync_all().await?;
        // The final name is taken first, so that no other file can slip under it; then the part replaces it.
        let (path, _) = create_new(&self.folder, &self.name, "")?;
        if let Err(error) = fs::rename(&part.path, &path) {
            let _ = fs::remove_file(&path);
            return Err(error.into());
        }
        part.kept = true;
        let name = path.file_name().unwrap_or_default();
        Ok(name.to_string_lossy().into_owned())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a file that did not exist: `name`, or `name (1)` and so on, with `ending`.
fn create_new(folder: &Path, name: &str, ending: &str) -> std::io::Result<(PathBuf, fs::File)> {
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    };
    for number in 0..NAMES {
        let name = match number {
            0 => format!("{name}{ending}"),
            number => format!("{stem} ({number}){extension}{ending}"),
        };
        let path = folder.join(name);
        match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(std::io::Error::new(ErrorKind::AlreadyExists, format!("too many files are named {name}")))
}

/// A name that stays in its folder, is visible, and means nothing special to any system.
fn harmless(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let printable = crate::term::printable(last);
    let plain = |c: char| if matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '\u{fffd}') { '_' } else { c };
    let mut name: String = printable.chars().map(plain).collect();
    name = name.trim_start_matches(['.', ' ', '~', '-']).trim_end_matches(['.', ' ']).to_owned();
    while name.len() > 200 {
        name.pop();
    }
    let stem = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || matches!(stem.as_bytes(), [b'C', b'O', b'M', b'0'..=b'9'] | [b'L', b'P', b'T', b'0'..=b'9']);
    match name.as_str() {
        "" => "file".into(),
        _ if device => format!("_{name}"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_strangers() {
        for (given, taken) in [
            ("report.pdf", "report.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Windows\\system.ini", "system.ini"),
            (".bashrc", "bashrc"),
            ("-rf", "rf"),
            ("..", "file"),
            ("", "file"),
            ("a/", "file"),
            ("nul.txt", "_nul.txt"),
            ("a\x1b[31m:b", "a_[31m_b"),
            ("Übersicht 2026.ods", "Übersicht 2026.ods"),
        ] {
            assert_eq!(harmless(given), taken);
        }
        assert!(harmless(&"ä".repeat(300)).len() <= 200);
    }

    #[tokio::test]
    async fn nothing_is_overwritten_and_parts_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let header = Header { name: "a.txt".into(), size: 1 };
        for expected in ["a.txt", "a (1).txt"] {
            let mut place = Folder::new(folder.path());
            place.begin(&header).await.expect("begun");
            place.write(b"x").await.expect("written");
            assert_eq!(place.keep().await.expect("kept"), expected);
        }
        let mut place = Folder::new(folder.path());
        place.begin(&header).await.expect("begun");
        assert!(place.part().expect("begun").ends_with("a.txt.part"));
        drop(place);
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 2);
    }
}

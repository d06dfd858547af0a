//! Reading the text: requirements, and whether they stand as the specification's first section says.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Id;

/// A numbered requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Its number.
    pub id: Id,
    /// What it says, in one line.
    pub text: String,
    /// The file that it stands in.
    pub file: PathBuf,
    /// The line that it begins in, from 1.
    pub line: usize,
}

/// Something that is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// Reads all files of the specification.
pub(super) fn folder(folder: &Path) -> io::Result<(Vec<Requirement>, Vec<Problem>)> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    let (mut requirements, mut problems) = (Vec::new(), Vec::new());
    for file in files {
        // It says what the words mean, and requires nothing.
        if file.ends_with("README.md") {
            continue;
        }
        text(&file, &fs::read_to_string(&file)?, &mut requirements, &mut problems);
    }
    check_numbers(&requirements, &mut problems);
    Ok((requirements, problems))
}

/// Reads one file. A requirement is a list item that begins with its number; it goes on in the lines that are indented.
pub(super) fn text(file: &Path, text: &str, requirements: &mut Vec<Requirement>, problems: &mut Vec<Problem>) {
    let mut problem = |line: usize, what: String| problems.push(Problem { file: file.into(), line, what });
    let mut open: Option<Requirement> = None;
    let mut is_code = false;
    for (line, content) in text.lines().enumerate().map(|(index, content)| (index + 1, content)) {
        is_code ^= content.trim_start().starts_with("```");
        let item = content.strip_prefix("- **").or_else(|| content.strip_prefix("* **")).filter(|_| !is_code);
        let numbered = item.and_then(|rest| rest.split_once("**")).filter(|(name, _)| name.starts_with("JSP-"));
        let goes_on = open.is_some() && content.starts_with("  ") && !is_code;
        if !goes_on {
            requirements.extend(finished(open.take(), &mut problem));
        }
        match (numbered, &mut open) {
            (Some((name, rest)), _) => match Id::parse(name) {
                Some(id) => open = Some(Requirement { id, text: rest.trim().into(), file: file.into(), line }),
                None => problem(line, format!("{name} is no number of a requirement")),
            },
            (None, Some(requirement)) => {
                requirement.text.push(' ');
                requirement.text.push_str(content.trim());
            }
            (None, None) if !is_code && words(content).any(|word| word == "MUST") => {
                problem(line, "a MUST outside of a numbered requirement".into());
            }
            (None, None) => {}
        }
    }
    requirements.extend(finished(open, &mut problem));
}

fn finished(requirement: Option<Requirement>, problem: &mut impl FnMut(usize, String)) -> Option<Requirement> {
    let requirement = requirement?;
    if !words(&requirement.text).any(|word| word == "MUST") {
        problem(requirement.line, format!("{} has no MUST", requirement.id));
    }
    Some(requirement)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
}

/// Every number once, from 1 without a hole.
fn check_numbers(requirements: &[Requirement], problems: &mut Vec<Problem>) {
    let mut last: BTreeMap<&str, (u32, &Path)> = BTreeMap::new();
    for Requirement { id, file, line, .. } in requirements {
        let (before, home) = last.get(id.area.as_str()).copied().unwrap_or((0, file));
        let mut problem = |what| problems.push(Problem { file: file.clone(), line: *line, what });
        if id.number != before + 1 {
            problem(format!("{id} follows {before} of its area"));
        }
        if home != file {
            problem(format!("{id} is not in {}, as its area is", home.display()));
        }
        last.insert(&id.area, (id.number, home));
    }
}

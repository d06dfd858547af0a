//! The specification and who keeps it: finds the numbered requirements in `conformance/spec`, and where the sources cite
//! them.

mod cite;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

pub use cite::{Citation, Kind};
pub use read::{Problem, Requirement};

/// The number of a requirement: `JSP-HS-07`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// The area: `HS`.
    pub area: String,
    /// The place in the area, from 1.
    pub number: u32,
}

impl Id {
    /// Reads a number; `None` if `text` is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (area, number) = text.strip_prefix("JSP-")?.split_once('-')?;
        let is_area = (2..=6).contains(&area.len()) && area.bytes().all(|byte| byte.is_ascii_uppercase());
        let is_number = number.len() >= 2 && number.bytes().all(|byte| byte.is_ascii_digit());
        (is_area && is_number).then_some(())?;
        Some(Self { area: area.into(), number: number.parse().ok()? })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JSP-{}-{:02}", self.area, self.number)
    }
}

/// All requirements, and where they are cited.
#[derive(Debug)]
pub struct Specification {
    /// The requirements, in the order of the files' names and then of the text.
    pub requirements: Vec<Requirement>,
    /// What is wrong with the text or with a citation.
    pub problems: Vec<Problem>,
    citations: BTreeMap<Id, Vec<Citation>>,
}

impl Specification {
    /// Reads the specification and the sources of the project that is in the folder `root`.
    ///
    /// # Errors
    ///
    /// If files cannot be read.
    pub fn load(root: &Path) -> io::Result<Self> {
        let (requirements, mut problems) = read::folder(&root.join("conformance/spec"))?;
        let mut citations: BTreeMap<Id, Vec<Citation>> = BTreeMap::new();
        for (id, citation) in cite::sources(root)? {
            if requirements.iter().any(|requirement| requirement.id == id) {
                citations.entry(id).or_default().push(citation);
            } else {
                let what = format!("{id} is no requirement of the specification");
                problems.push(Problem { file: citation.file, line: citation.line, what });
            }
        }
        Ok(Self { requirements, problems, citations })
    }

    /// Where a requirement is cited.
    pub fn citations(&self, id: &Id) -> &[Citation] {
        self.citations.get(id).map_or(&[], Vec::as_slice)
    }

    /// Whether there is a citation of this kind.
    pub fn is_cited(&self, id: &Id, kind: Kind) -> bool {
        self.citations(id).iter().any(|citation| citation.kind == kind)
    }

    /// The requirements that no code cites or no test.
    pub fn uncited(&self) -> impl Iterator<Item = &Requirement> {
        let cited = |id| self.is_cited(id, Kind::Code) && self.is_cited(id, Kind::Test);
        self.requirements.iter().filter(move |requirement| !cited(&requirement.id))
    }
}

impl fmt::Display for Specification {
    /// A table of the areas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut areas: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
        for Requirement { id, .. } in &self.requirements {
            let (code, test) = (self.is_cited(id, Kind::Code), self.is_cited(id, Kind::Test));
            let counts = areas.entry(&id.area).or_default();
            for (count, holds) in counts.iter_mut().zip([true, code, test, code && test]) {
                *count += usize::from(holds);
            }
        }
        writeln!(f, "| area | requirements | in code | in tests | both |")?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: |")?;
        let mut total = [0; 4];
        for (area, counts) in &areas {
            let [all, code, test, both] = counts;
            writeln!(f, "| {area} | {all} | {code} | {test} | {both} |")?;
            total.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
        }
        let [all, code, test, both] = total;
        writeln!(f, "| all | {all} | {code} | {test} | {both} |")
    }
}

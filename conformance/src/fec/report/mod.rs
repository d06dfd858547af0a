//! The tables: which runs, in which order, and what is printed.

mod clean;
mod deadline;
mod delivery;
mod fixed;
mod sparse;

use std::fmt::Write as _;
use std::io::{self, Write};

use super::{Flow, Measured, Mode};
use crate::cc::runner;

/// One part of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A steady flow over many paths.
    Delivery,
    /// Messages that must arrive in time.
    Deadline,
    /// Few messages on lossy paths.
    Sparse,
    /// A path without loss.
    Clean,
    /// Fixed codes against the exact values.
    Fixed,
}

impl Part {
    /// Every part, in the order of the report.
    pub const ALL: [Self; 5] = [Self::Delivery, Self::Deadline, Self::Sparse, Self::Clean, Self::Fixed];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Deadline => "deadline",
            Self::Sparse => "sparse",
            Self::Clean => "clean",
            Self::Fixed => "fixed",
        }
    }
}

/// What to measure.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The parts; none means all.
    pub parts: Vec<Part>,
    /// The modes; none means those of each part.
    pub modes: Vec<Mode>,
    /// Seeds of each cell; without it each part has its own number.
    pub seeds: Option<u64>,
    /// A small grid and few seeds.
    pub quick: bool,
    /// Loss rates in percent; none means the grid of each part.
    pub loss: Vec<f64>,
    /// Mean lengths of bursts of losses in the delivery part, 1 for none; none means the grid.
    pub burst: Vec<f64>,
}

impl Options {
    fn axis<T: Clone>(&self, asked: &[T], full: &[T], quick: &[T]) -> Vec<T> {
        let grid = if self.quick { quick } else { full };
        if asked.is_empty() { grid.to_vec() } else { asked.to_vec() }
    }

    /// These modes, or of them those that are asked for.
    fn modes(&self, all: &[Mode]) -> Vec<Mode> {
        all.iter().copied().filter(|mode| self.modes.is_empty() || self.modes.contains(mode)).collect()
    }

    fn seeds(&self, full: u64, quick: u64) -> u64 {
        self.seeds.unwrap_or(if self.quick { quick } else { full }).max(1)
    }

    /// Messages of each run.
    fn count(&self, full: u64, quick: u64) -> u64 {
        if self.quick { quick } else { full }
    }
}

/// Measures and prints Markdown.
///
/// # Errors
///
/// If `out` cannot be written.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<()> {
    for part in Part::ALL.into_iter().filter(|part| options.parts.is_empty() || options.parts.contains(part)) {
        let text = match part {
            Part::Delivery => delivery::report(options),
            Part::Deadline => deadline::report(options),
            Part::Sparse => sparse::report(options),
            Part::Clean => clean::report(options),
            Part::Fixed => fixed::report(options),
        };
        writeln!(out, "{text}")?;
        out.flush()?;
    }
    Ok(())
}

/// Runs every flow with the seeds from 0 on. The results go by flow, then by seed.
fn measure(name: &str, seeds: u64, flows: &[Flow]) -> Vec<Vec<Measured>> {
    let jobs: Vec<_> = flows.iter().flat_map(|flow| (0..seeds).map(move |seed| (flow, seed))).collect();
    let mut results = runner::map(name, &jobs, |(flow, seed)| flow.run(*seed)).into_iter();
    flows.iter().map(|_| results.by_ref().take(seeds as usize).collect()).collect()
}

/// Lines behind the tables of a part: connections that broke, and which targets are met.
#[derive(Default)]
struct Notes {
    broken: String,
    targets: String,
}

impl Notes {
    /// Notes connections of a cell that broke, and repairs that were refused in it.
    fn cell(&mut self, cell: &str, measured: &Measured) {
        if let (broken @ 1.., Some(reason)) = &measured.broken {
            _ = writeln!(self.broken, "- {cell}: {broken} connections broke: {reason}");
        }
        if measured.refused > 0 {
            _ = writeln!(self.broken, "- {cell}: no room for {} messages", measured.refused);
        }
        if measured.refused_repairs > 0 {
            _ = writeln!(self.broken, "- {cell}: {} repairs refused", measured.refused_repairs);
        }
    }

    /// Says whether a target is met.
    fn target(&mut self, holds: bool, what: &str) {
        let word = if holds { "ok" } else { "MISSED" };
        _ = writeln!(self.targets, "- {word}: {what}");
    }

    fn append_to(self, text: &mut String) {
        for (title, lines) in [("What went wrong:", self.broken), ("Targets:", self.targets)] {
            if !lines.is_empty() {
                _ = writeln!(text, "{title}\n\n{lines}");
            }
        }
    }
}

/// A share as a percentage with as many digits as it needs.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        0.0 => "0 %".into(),
        ..0.00005 => "< 0.0001 %".into(),
        ..0.0995 => format!("{percent:.4} %"),
        ..0.995 => format!("{percent:.3} %"),
        ..99.0 => format!("{percent:.2} %"),
        _ => format!("{percent:.3} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn percentages_have_the_digits_they_need() {
        let shares = [0.0, 1e-9, 0.000_012, 0.0051, 0.1357, 0.99613, 1.0].map(percent);
        assert_eq!(shares, ["0 %", "< 0.0001 %", "0.0012 %", "0.510 %", "13.57 %", "99.613 %", "100.000 %"]);
    }
}

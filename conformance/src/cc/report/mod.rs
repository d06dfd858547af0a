//! The tables: which runs, in which order, and what is printed.

mod change;
mod fairness;
mod goodput;
mod messages;
mod queue;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use super::{Controller, controllers, runner};

/// One part of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// One bulk transfer over many paths.
    Goodput,
    /// Latency of messages at a steady pace.
    Messages,
    /// Flows that share a bottleneck.
    Fairness,
    /// The queue that one flow builds.
    Queue,
    /// Sudden change, and odd paths and senders.
    Change,
}

impl Part {
    /// Every part, in the order of the report.
    pub const ALL: [Self; 5] = [Self::Goodput, Self::Messages, Self::Fairness, Self::Queue, Self::Change];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Goodput => "goodput",
            Self::Messages => "messages",
            Self::Fairness => "fairness",
            Self::Queue => "queue",
            Self::Change => "change",
        }
    }
}

/// What to measure.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The parts; none means all.
    pub parts: Vec<Part>,
    /// Names of controllers; none means all.
    pub controllers: Vec<String>,
    /// Seeds of each cell; without it each part has its own number.
    pub seeds: Option<u64>,
    /// A small grid and few seeds.
    pub quick: bool,
    /// Loss rates of the goodput and messages parts, in percent; none means the grid.
    pub loss: Vec<f64>,
    /// Round-trip times of the goodput part, in milliseconds; none means the grid.
    pub rtt: Vec<u64>,
    /// Rates of the goodput part, in Mbit/s; none means the grid.
    pub rate: Vec<u64>,
}

impl Options {
    /// The controllers; for a shared or changing path only those that yield, if none is asked for.
    fn chosen(&self, shared: bool) -> Vec<Controller> {
        let wanted = |controller: &&Controller| match &*self.controllers {
            [] => controller.yields || !shared,
            names => names.iter().any(|name| name == controller.name),
        };
        controllers().iter().filter(wanted).copied().collect()
    }

    fn axis<T: Clone>(&self, asked: &[T], full: &[T], quick: &[T]) -> Vec<T> {
        let grid = if self.quick { quick } else { full };
        if asked.is_empty() { grid.to_vec() } else { asked.to_vec() }
    }

    /// The plan of one part, which takes so many seeds in full and with `quick`.
    fn plan(&self, name: &'static str, full: u64, quick: u64) -> Plan {
        let seeds = self.seeds.unwrap_or(if self.quick { quick } else { full }).max(1);
        Plan { name, chosen: self.chosen(true), seeds }
    }

    /// The same for a part that has the path to itself.
    fn plan_alone(&self, name: &'static str, full: u64, quick: u64) -> Plan {
        Plan { chosen: self.chosen(false), ..self.plan(name, full, quick) }
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
            Part::Goodput => goodput::report(options),
            Part::Messages => messages::report(options),
            Part::Fairness => fairness::report(options),
            Part::Queue => queue::report(options),
            Part::Change => change::report(options),
        };
        writeln!(out, "{text}")?;
        out.flush()?;
    }
    Ok(())
}

/// What is run for each cell of a table.
struct Plan {
    name: &'static str,
    chosen: Vec<Controller>,
    seeds: u64,
}

impl Plan {
    /// Runs every cell with every controller and every seed. The results go by cell, then by controller, then by seed.
    fn measure<C: Sync, R: Send>(
        &self,
        cells: &[C],
        run: impl Fn(&C, &Controller, u64) -> R + Sync,
    ) -> Vec<Vec<(Controller, Vec<R>)>> {
        let per_cell = self.chosen.iter().flat_map(|controller| (0..self.seeds).map(move |seed| (controller, seed)));
        let jobs =
            cells.iter().flat_map(|cell| per_cell.clone().map(move |(controller, seed)| (cell, controller, seed)));
        let jobs: Vec<_> = jobs.collect();
        let mut results =
            runner::map(self.name, &jobs, |(cell, controller, seed)| run(cell, controller, *seed)).into_iter();
        let mut of_controller =
            |controller: &Controller| (*controller, results.by_ref().take(self.seeds as usize).collect::<Vec<_>>());
        cells.iter().map(|_| self.chosen.iter().map(&mut of_controller).collect()).collect()
    }
}

/// Lines behind a table: connections that broke, and which targets are met.
#[derive(Default)]
struct Notes {
    broken: String,
    targets: String,
}

impl Notes {
    /// Notes why connections broke in the runs of one cell, if any did. Says how to mark the cell.
    fn broken<'a>(
        &mut self,
        cell: &str,
        controller: &Controller,
        reasons: impl Iterator<Item = Option<&'a String>>,
    ) -> &'static str {
        let (mut broken, mut runs, mut first) = (0, 0, None);
        for reason in reasons {
            runs += 1;
            broken += u32::from(reason.is_some());
            first = first.or(reason);
        }
        let Some(first) = first else { return "" };
        _ = writeln!(self.broken, "- {}: {cell}, {broken} of {runs} runs: {first}", controller.name);
        " !"
    }

    /// Says whether the default controller meets a target.
    fn target(&mut self, controller: &Controller, holds: bool, what: &str) {
        if controller.is_default() {
            let word = if holds { "ok" } else { "MISSED" };
            _ = writeln!(self.targets, "- {word}: {what}");
        }
    }

    fn append_to(self, text: &mut String) {
        for (title, lines) in
            [("Connections that broke (`!`):", self.broken), ("Targets of the default controller:", self.targets)]
        {
            if !lines.is_empty() {
                _ = writeln!(text, "{title}\n\n{lines}");
            }
        }
    }
}

/// "1.23 s", or that it did not happen.
fn seconds(time: Option<f64>) -> String {
    time.filter(|time| time.is_finite()).map_or("never".into(), |time| format!("{time:.2} s"))
}

/// A time for [`median`](super::median), where never is later than anything.
fn or_never(time: Option<Duration>) -> f64 {
    time.map_or(f64::INFINITY, |time| time.as_secs_f64())
}

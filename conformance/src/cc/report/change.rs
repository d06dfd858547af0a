//! Sudden change, and odd paths and senders.

use std::fmt::Write as _;

use super::super::change::{self, FAST, NARROW};
use super::super::table::Table;
use super::super::{Controller, median, millis, percentile};
use super::{Notes, Options, or_never, seconds};

/// From a drop of the rate until the queue is short again, in seconds.
const DRAINED: f64 = 1.0;
/// From a rise of the rate until it is used, in seconds.
const RISEN: f64 = 3.0;

/// What is measured, and the headings of its figures.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    measure: fn(&Controller, u64) -> Vec<f64>,
    figures: &'static [Figure],
}

/// One figure of a case: what it is, how it is written, and the target if it has one.
struct Figure {
    what: &'static str,
    unit: Unit,
    at_most: Option<f64>,
}

#[derive(Clone, Copy)]
enum Unit {
    Seconds,
    Millis,
    Percent,
}

const fn figure(what: &'static str, unit: Unit) -> Figure {
    Figure { what, unit, at_most: None }
}

impl Unit {
    fn text(self, value: f64) -> String {
        match self {
            Self::Seconds => seconds(Some(value)),
            Self::Millis => format!("{value:.1} ms"),
            Self::Percent => format!("{:.2} %", 100.0 * value),
        }
    }
}

const ODD: &[Figure] =
    &[figure("goodput of what the path passes", Unit::Percent), figure("datagrams lost", Unit::Percent)];
const LATENCY: &[Figure] = &[figure("latency p50", Unit::Millis), figure("longest", Unit::Millis)];

const CASES: [Case; 9] = [
    Case {
        name: "rate 100, 10, 100 Mbit/s",
        measure: |controller, seed| {
            let change = change::rate(seed, (controller.make)(FAST));
            vec![or_never(change.drained), change.slow, or_never(change.risen)]
        },
        figures: &[
            Figure { what: "queue below 0.25 RTT after", unit: Unit::Seconds, at_most: Some(DRAINED) },
            figure("goodput at 10 Mbit/s", Unit::Percent),
            Figure { what: "90 % of 100 Mbit/s after", unit: Unit::Seconds, at_most: Some(RISEN) },
        ],
    },
    Case {
        name: "RTT 40, 120, 40 ms",
        measure: |controller, seed| {
            let change = change::delay(seed, (controller.make)(FAST));
            vec![change.before, change.longer, change.shorter]
        },
        figures: &[
            figure("goodput 5 s before", Unit::Percent),
            figure("5 s after longer", Unit::Percent),
            figure("5 s after shorter", Unit::Percent),
        ],
    },
    Case {
        name: "policer 20 Mbit/s, burst 50 kB",
        measure: |controller, seed| odd(change::policer(seed, (controller.make)(NARROW), 50_000)),
        figures: ODD,
    },
    Case {
        name: "policer 20 Mbit/s, burst 250 kB",
        measure: |controller, seed| odd(change::policer(seed, (controller.make)(NARROW), 250_000)),
        figures: ODD,
    },
    Case {
        name: "wireless, a fifth repeated",
        measure: |controller, seed| odd(change::wireless(seed, (controller.make)(NARROW))),
        figures: ODD,
    },
    Case {
        name: "a fifth of the ACKs lost",
        measure: |controller, seed| odd(change::lost_acks(seed, (controller.make)(FAST))),
        figures: ODD,
    },
    Case {
        name: "10 kB/s for 10 s, then bulk",
        measure: |controller, seed| vec![or_never(change::wake(seed, (controller.make)(FAST)))],
        figures: &[figure("90 % of 100 Mbit/s after", Unit::Seconds)],
    },
    Case {
        name: "a message per second",
        measure: |controller, seed| latencies(&change::trickle(seed, (controller.make)(FAST), 0.0)),
        figures: LATENCY,
    },
    Case {
        name: "a message per second, 5 % loss",
        measure: |controller, seed| latencies(&change::trickle(seed, (controller.make)(FAST), 0.05)),
        figures: LATENCY,
    },
];

fn odd(odd: change::Odd) -> Vec<f64> {
    vec![odd.goodput, odd.lost]
}

fn latencies(latencies: &crate::sim::apps::Latencies) -> Vec<f64> {
    [50.0, 100.0].map(|percent| millis(latencies.percentile(percent))).to_vec()
}

pub(super) fn report(options: &Options) -> String {
    let plan = options.plan("change", 3, 1);
    let results = plan.measure(&CASES, |case, controller, seed| (case.measure)(controller, seed));

    let mut text = String::from("## Change\n\n");
    _ = writeln!(
        text,
        "One flow at 100 Mbit/s and 40 ms with a drop-tail queue of 1 BDP (500 kB), unless the case says otherwise (the \
         wireless link has 20 Mbit/s). Changes after 10 s and 20 s; odd paths from the fifth second to the thirtieth. \
         Medians of {} seeds, and in brackets the worst.\n",
        plan.seeds
    );
    let mut notes = Notes::default();
    let mut table = Table::new(["case", "figure"].into_iter().chain(plan.chosen.iter().map(|c| c.name)));
    for (case, results) in CASES.iter().zip(results) {
        for (index, figure) in case.figures.iter().enumerate() {
            let mut row = vec![case.name.to_string(), figure.what.into()];
            for (controller, runs) in &results {
                let values = || runs.iter().filter_map(|figures| figures.get(index).copied());
                let value = median(values());
                // Less is better for times, more is better for goodput.
                let more_is_better = figure.what.contains("goodput") || figure.what.starts_with("5 s");
                let worst = percentile(values(), if more_is_better { 0.0 } else { 100.0 });
                row.push(format!("{} ({})", figure.unit.text(value), figure.unit.text(worst)));
                if let Some(most) = figure.at_most {
                    let (name, what, limit) = (case.name, figure.what, figure.unit.text(most));
                    let text = format!("{name}: {what} {} (at most {limit})", figure.unit.text(value));
                    notes.target(controller, value <= most, &text);
                }
            }
            table.row(row);
        }
    }
    _ = writeln!(text, "{table}");
    notes.append_to(&mut text);
    text
}

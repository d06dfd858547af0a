//! Shares of a bottleneck.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::fairness::{self, Contest, JAIN, RATE, ROUNDS, Shares, WINDOWS};
use super::super::median;
use super::super::table::Table;
use super::{Notes, Options, or_never, seconds};
use crate::sim::apps::RivalKind;

/// Between the starts of flows of one kind.
const APART: Duration = Duration::from_secs(5);
/// When a flow starts that comes late.
const LATE: Duration = Duration::from_secs(10);
/// Least and most that a flow may get over what each would get if all got the same.
const SHARES: (f64, f64) = (0.5, 2.0);

/// Queues in bandwidth-delay products.
fn buffers(options: &Options) -> Vec<f64> {
    options.axis(&[], &[0.5, 1.0, 4.0], &[1.0])
}

pub(super) fn report(options: &Options) -> String {
    let mut text = String::from("## Fairness\n\n");
    _ = writeln!(
        text,
        "A drop-tail bottleneck of {} Mbit/s, paths of {} ms, queues in BDP (100 kB), {} s.\n",
        RATE / 1_000_000,
        fairness::RTT.as_millis(),
        fairness::TIME.as_secs()
    );
    contests(options, &mut text);
    convergences(options, &mut text);
    text
}

fn contests(options: &Options, text: &mut String) {
    let plan = options.plan("fairness against others", 3, 1);
    let others = [(RivalKind::Cubic, 1), (RivalKind::Cubic, 4), (RivalKind::BbrV1, 1)];
    let mut cells = Vec::new();
    for (kind, rivals) in others {
        for start in [Duration::ZERO, LATE] {
            cells.extend(buffers(options).into_iter().map(|buffer| Contest { kind, rivals, buffer, start }));
        }
    }
    let results = plan.measure(&cells, |cell, controller, seed| {
        fairness::contest(seed, (controller.make)(RATE / (cell.rivals as u64 + 1)), cell)
    });

    _ = writeln!(
        text,
        "### One flow against others\n\nOthers start at once, the flow too or {} s later. What it and whoever got least got \
         over what each would get if all got the same, from the last start to the end; the use of the rate and the drops \
         of the queue, in percent. Medians of {} seeds, and the lowest and highest share.\n",
        LATE.as_secs(),
        plan.seeds
    );
    let mut notes = Notes::default();
    let mut table =
        Table::new(["others", "start", "queue", "controller", "share", "min..max", "least of all", "used", "dropped"]);
    for (cell, results) in cells.iter().zip(results) {
        for (controller, runs) in results {
            let kind = match cell.kind {
                RivalKind::Cubic => "CUBIC",
                RivalKind::BbrV1 => "BBRv1",
            };
            let (others, start) = (format!("{} {kind}", cell.rivals), format!("{} s", cell.start.as_secs()));
            let name = format!("against {others}, start at {start}, {} BDP", cell.buffer);
            let mark = notes.broken(&name, &controller, runs.iter().map(|run| run.closed.as_ref()));
            let of = |field: fn(&Shares) -> f64| runs.iter().map(field);
            let share = median(of(|run| run.own));
            table.row([
                others,
                start,
                format!("{} BDP", cell.buffer),
                controller.name.into(),
                format!("{share:.2}{mark}"),
                format!(
                    "{:.2}..{:.2}",
                    of(|run| run.own).fold(f64::MAX, f64::min),
                    of(|run| run.own).fold(0.0, f64::max)
                ),
                format!("{:.2}", median(of(|run| run.smallest))),
                format!("{:.1} %", 100.0 * median(of(|run| run.used))),
                format!("{:.2} %", 100.0 * median(of(|run| run.dropped))),
            ]);
            let (least, most) = SHARES;
            let what = format!("{name}: share {share:.2} ({least} to {most})");
            if cell.kind == RivalKind::Cubic && cell.start.is_zero() && cell.buffer >= 1.0 {
                notes.target(&controller, (least..=most).contains(&share), &what);
            }
        }
    }
    _ = writeln!(text, "{table}");
    notes.append_to(text);
}

fn convergences(options: &Options, text: &mut String) {
    let plan = options.plan("fairness among themselves", 3, 1);
    let buffers = buffers(options);
    let cells: Vec<_> = [2, 4].iter().flat_map(|&flows| buffers.iter().map(move |&buffer| (flows, buffer))).collect();
    let results = plan.measure(&cells, |&(flows, buffer), controller, seed| {
        fairness::convergence(seed, (controller.make)(RATE / u64::from(flows)), flows, APART, buffer)
    });

    _ = writeln!(
        text,
        "### Flows with one controller\n\nOne after the other, {} s apart. Jain's index over {ROUNDS} round-trip times, \
         averaged over {WINDOWS} such windows: at the end, and when it first reached {JAIN} after the last start. Medians \
         of {} seeds, and the lowest.\n",
        APART.as_secs(),
        plan.seeds
    );
    let mut notes = Notes::default();
    let mut table = Table::new(["flows", "queue", "controller", "index at the end", "lowest", "reached after"]);
    for (&(flows, buffer), results) in cells.iter().zip(results) {
        for (controller, runs) in results {
            let name = format!("{flows} flows, {buffer} BDP");
            let mark = notes.broken(&name, &controller, runs.iter().map(|run| run.closed.as_ref()));
            let index = median(runs.iter().map(fairness::Convergence::last));
            let lowest = runs.iter().map(fairness::Convergence::last).fold(1.0, f64::min);
            let reached = median(runs.iter().map(|run| or_never(run.reached())));
            table.row([
                flows.to_string(),
                format!("{buffer} BDP"),
                controller.name.into(),
                format!("{index:.3}{mark}"),
                format!("{lowest:.3}"),
                seconds(Some(reached)),
            ]);
            let what = format!("{name}: Jain's index {index:.3} (at least {JAIN})");
            if flows == 2 && buffer >= 1.0 {
                notes.target(&controller, index >= JAIN, &what);
            }
        }
    }
    _ = writeln!(text, "{table}");
    notes.append_to(text);
}

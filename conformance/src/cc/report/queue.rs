//! The queue in front of a bottleneck.

use std::fmt::Write as _;

use super::super::median;
use super::super::queue::{RATE, RTT, SETTLED, Steady, TIME, bdps, steady};
use super::super::table::Table;
use super::{Notes, Options};
use crate::sim::Bottleneck;

/// What a queue must not exceed.
#[derive(Clone, Copy)]
enum Target {
    Delay(f64),
    Dropped(f64),
}

struct Kind {
    name: &'static str,
    bottleneck: fn() -> Bottleneck,
    target: Option<Target>,
}

fn drop_tail(bdp: f64) -> Bottleneck {
    Bottleneck::new(RATE).drop_tail(bdps(bdp))
}

const KINDS: [Kind; 7] = [
    Kind { name: "drop-tail 0.5 BDP", bottleneck: || drop_tail(0.5), target: None },
    Kind { name: "drop-tail 1 BDP", bottleneck: || drop_tail(1.0), target: Some(Target::Dropped(0.01)) },
    Kind { name: "drop-tail 4 BDP", bottleneck: || drop_tail(4.0), target: Some(Target::Delay(0.5)) },
    Kind { name: "drop-tail 20 BDP", bottleneck: || drop_tail(20.0), target: None },
    Kind { name: "CoDel", bottleneck: || drop_tail(20.0).codel(), target: None },
    Kind { name: "CoDel with ECN", bottleneck: || drop_tail(20.0).codel().ecn(), target: None },
    Kind { name: "ECN above 0.25 BDP", bottleneck: || drop_tail(4.0).mark_above(bdps(0.25)), target: None },
];

pub(super) fn report(options: &Options) -> String {
    let plan = options.plan("queue", 3, 1);
    let losses = options.axis(&[], &[0.0, 2.0], &[0.0]);
    let cells: Vec<_> = losses.iter().flat_map(|loss| KINDS.iter().map(move |kind| (*loss, kind))).collect();
    let results = plan.measure(&cells, |(loss, kind), controller, seed| {
        steady(seed, (controller.make)(RATE), (kind.bottleneck)(), loss / 100.0)
    });

    let mut text = String::from("## Queue\n\n");
    _ = writeln!(
        text,
        "One endless flow alone at {} Mbit/s and {} ms, from the second {} to {}, medians of {} seeds. Random loss in each \
         direction, behind the queue. Goodput in percent of the rate; queue delay in round-trip times of the empty path; \
         datagrams dropped and marked by the queue, in percent.\n",
        RATE / 1_000_000,
        RTT.as_millis(),
        SETTLED.as_secs(),
        TIME.as_secs(),
        plan.seeds
    );
    let mut notes = Notes::default();
    let mut table =
        Table::new(["loss", "queue", "controller", "goodput", "delay p50", "delay p95", "dropped", "marked"]);
    for (&(loss, kind), results) in cells.iter().zip(results) {
        for (controller, runs) in results {
            let name = format!("{}, {loss} % loss", kind.name);
            let mark = notes.broken(&name, &controller, runs.iter().map(|run| run.closed.as_ref()));
            let of = |field: fn(&Steady) -> f64| median(runs.iter().map(field));
            let (delay, dropped) = (of(|run| run.median_delay), of(|run| run.dropped));
            table.row([
                format!("{loss} %"),
                kind.name.into(),
                controller.name.into(),
                format!("{:.1} %{mark}", 100.0 * of(|run| run.goodput)),
                format!("{delay:.3}"),
                format!("{:.3}", of(|run| run.high_delay)),
                format!("{:.3} %", 100.0 * dropped),
                format!("{:.2} %", 100.0 * of(|run| run.marked)),
            ]);
            let (holds, what) = match kind.target.filter(|_| loss == 0.0) {
                None => continue,
                Some(Target::Delay(most)) => {
                    (delay <= most, format!("{name}: median queue delay {delay:.3} RTT (at most {most})"))
                }
                Some(Target::Dropped(most)) => (
                    dropped < most,
                    format!("{name}: {:.3} % lost to the queue (less than {} %)", 100.0 * dropped, 100.0 * most),
                ),
            };
            notes.target(&controller, holds, &what);
        }
    }
    _ = writeln!(text, "{table}");
    notes.append_to(&mut text);
    text
}

//! Latency of messages by loss.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::messages::{COUNT, INTERVAL, Messages, SIZE, messages};
use super::super::table::Table;
use super::super::{Path, median, millis};
use super::{Notes, Options};

const RATE: u64 = 100_000_000;
/// Percent lost, highest median of the 99th percentiles in ms.
const TARGETS: [(f64, f64); 3] = [(5.0, 66.0), (10.0, 76.0), (20.0, 125.0)];

pub(super) fn report(options: &Options) -> String {
    let plan = options.plan_alone("messages", 21, 7);
    let losses = options.axis(&options.loss, &[0.0, 5.0, 10.0, 20.0], &[0.0, 5.0, 10.0, 20.0]);
    let results = plan.measure(&losses, |loss, controller, seed| {
        let path = Path::new(RATE, Duration::from_millis(40), loss / 100.0);
        messages(seed, (controller.make)(RATE), &path)
    });

    let mut text = String::from("## Messages\n\n");
    _ = writeln!(
        text,
        "{COUNT} messages of {SIZE} B, one each {} ms, reliable and unordered, over a connection established before; 100 \
         Mbit/s, 40 ms, loss in each direction. Milliseconds from sending to receipt: median over {} seeds of each run's \
         percentile, for p99 with the lowest and highest. `*`: not everything arrived.\n",
        INTERVAL.as_millis(),
        plan.seeds
    );
    let mut notes = Notes::default();
    let mut table = Table::new(["loss", "controller", "p50", "p99", "p99 min..max", "sent per byte"]);
    for (&loss, results) in losses.iter().zip(results) {
        for (controller, runs) in results {
            let at = |percent| runs.iter().map(move |run| millis(run.latencies.percentile(percent)));
            let (p99, low) = (median(at(99.0)), at(99.0).fold(f64::MAX, f64::min));
            let high = at(99.0).fold(0.0, f64::max);
            let complete = if runs.iter().all(Messages::complete) { "" } else { " *" };
            table.row([
                format!("{loss} %"),
                controller.name.into(),
                format!("{:.1}", median(at(50.0))),
                format!("{p99:.1}{complete}"),
                format!("{low:.1}..{high:.1}"),
                format!("{:.3}", median(runs.iter().map(|run| run.cost))),
            ]);
            if let Some((_, most)) = TARGETS.iter().find(|target| target.0 == loss) {
                let what = format!("{loss} % loss: p99 {p99:.1} ms (at most {most})");
                notes.target(&controller, p99 <= *most && complete.is_empty(), &what);
            }
        }
    }
    _ = writeln!(text, "{table}");
    notes.append_to(&mut text);
    text
}

//! Few messages: 200 per second, with which other transports were measured.

use std::fmt::Write as _;

use super::super::cases::{RTT, SMALL, WARM_UP, sparse_best_effort, sparse_reliable};
use super::super::{Flow, Measured, Mode};
use super::{Notes, Options, measure, percent};
use crate::cc::table::Table;

/// Percent lost, highest p99 in ms, most bytes sent per byte delivered.
const RELIABLE: [(f64, f64, f64); 3] = [(5.0, 42.0, 2.2), (10.0, 50.0, 2.4), (20.0, 80.0, 3.3)];
/// Percent lost, least share delivered, most packets sent per message.
const BEST_EFFORT: [(f64, f64, f64); 3] = [(5.0, 0.994, 1.25), (10.0, 0.985, 1.35), (20.0, 0.985, 1.65)];

/// One of the two tables.
struct Kind {
    title: &'static str,
    reliable: bool,
    flow: fn(f64, Mode) -> Flow,
    modes: [Mode; 2],
}

const KINDS: [Kind; 2] = [
    Kind {
        title: "Reliable: `Config::low_latency()`, with `Fec::Off` (`arq`) or `Fec::Auto`",
        reliable: true,
        flow: sparse_reliable,
        modes: [Mode::Arq, Mode::Auto],
    },
    Kind {
        title: "Best effort: `fec_target(1.5e-2)`, `fec_max_delay` 50 ms, `fec_max_overhead(100)`, with `Fec::Off` \
                (`none`) or `Fec::Auto`",
        reliable: false,
        flow: sparse_best_effort,
        modes: [Mode::None, Mode::Auto],
    },
];

pub(super) fn report(options: &Options) -> String {
    let (seeds, count) = (options.seeds(21, 5), options.count(2000, 1000));
    let mut text = String::from("## Sparse\n\n");
    _ = writeln!(
        text,
        "200 unordered messages of {SMALL} B per second, one packet each; 100 Mbit/s, {} ms, loss in each direction. \
         The first {} s do not count. Bytes sent with headers, for each byte delivered, the sender's and the \
         receiver's; datagrams of the sender for each message; milliseconds from the call that accepted a message \
         until it could be read. {} messages with {seeds} seeds together; p99 also of the seeds for themselves, the \
         lowest and the highest.\n",
        RTT.as_millis(),
        WARM_UP.as_secs(),
        count * seeds,
    );
    let mut notes = Notes::default();
    let losses = options.axis(&options.loss, &[5.0, 10.0, 20.0], &[5.0, 10.0, 20.0]);
    for kind in KINDS {
        let modes = options.modes(&kind.modes);
        let cells: Vec<_> = losses.iter().flat_map(|&loss| modes.iter().map(move |&mode| (loss, mode))).collect();
        let flow = |&(loss, mode): &(f64, Mode)| (kind.flow)(loss / 100.0, mode).count(WARM_UP, count);
        let flows: Vec<_> = cells.iter().map(flow).collect();
        let mut table = Table::new([
            "loss",
            "mode",
            "delivered",
            "bytes",
            "bytes back",
            "datagrams",
            "p50",
            "p99",
            "p99 min..max",
            "p99.9",
        ]);
        for (&(loss, mode), runs) in cells.iter().zip(measure("sparse", seeds, &flows)) {
            let measured = Measured::all(&runs);
            notes.cell(&format!("{loss} % loss, {mode}"), &measured);
            let (low, high) = bounds(runs.iter().map(|run| run.millis(99.0)));
            table.row([
                format!("{loss} %"),
                mode.to_string(),
                percent(measured.delivered()),
                format!("{:.3}", measured.cost()),
                format!("{:.3}", measured.bytes_back as f64 / measured.delivered_bytes.max(1) as f64),
                format!("{:.3}", measured.packets_per_message()),
                format!("{:.1}", measured.millis(50.0)),
                format!("{:.1}", measured.millis(99.0)),
                format!("{low:.1}..{high:.1}"),
                format!("{:.1}", measured.millis(99.9)),
            ]);
            if mode == Mode::Auto {
                check(&mut notes, &kind, loss, &measured);
            }
        }
        _ = writeln!(text, "{}:\n\n{table}", kind.title);
    }
    notes.append_to(&mut text);
    text
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, 0.0), |(low, high), value| (value.min(low), value.max(high)))
}

fn check(notes: &mut Notes, kind: &Kind, loss: f64, measured: &Measured) {
    let targets = if kind.reliable { RELIABLE } else { BEST_EFFORT };
    let Some(&(_, first, second)) = targets.iter().find(|target| target.0 == loss) else { return };
    let (p99, cost) = (measured.millis(99.0), measured.cost());
    let (delivered, packets) = (measured.delivered(), measured.packets_per_message());
    if kind.reliable {
        let what = format!(
            "reliable, {loss} % loss: p99 {p99:.1} ms (at most {first}), {cost:.3} bytes per byte (at most {second})"
        );
        notes.target(p99 <= first && cost <= second && delivered == 1.0, &what);
    } else {
        let what = format!(
            "best effort, {loss} % loss: {} delivered (at least {}), {packets:.3} datagrams (at most {second})",
            percent(delivered),
            percent(first),
        );
        notes.target(delivered >= first && packets <= second, &what);
    }
}

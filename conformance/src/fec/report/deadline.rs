//! Messages that are worth nothing after a while.

use std::fmt::Write as _;

use super::super::cases::{DEADLINE, DEADLINE_RTT, SMALL, WARM_UP, deadline};
use super::super::{Measured, Mode};
use super::{Notes, Options, measure, percent};
use crate::cc::table::Table;

/// Percent lost, least share in time.
const TARGET: (f64, f64) = (5.0, 0.995);

pub(super) fn report(options: &Options) -> String {
    let (seeds, count) = (options.seeds(21, 5), options.count(2000, 1000));
    let modes = options.modes(&[Mode::Arq, Mode::Auto]);
    let losses = options.axis(&options.loss, &[5.0], &[5.0]);
    let cells: Vec<_> = losses.iter().flat_map(|&loss| modes.iter().map(move |&mode| (loss, mode))).collect();
    let flow = |&(loss, mode): &(f64, Mode)| deadline(loss / 100.0, mode).count(WARM_UP, count);
    let flows: Vec<_> = cells.iter().map(flow).collect();

    let mut text = String::from("## Deadline\n\n");
    _ = writeln!(
        text,
        "50 unordered messages of {SMALL} B per second with a time to live of {} ms; 100 Mbit/s, {} ms; \
         `Config::low_latency()`, with `Fec::Off` (`arq`) or `Fec::Auto`. The first {} s do not count. Bytes sent \
         with headers, for each byte accepted; milliseconds from the call that accepted a message until it could be \
         read. {} messages with {seeds} seeds.\n",
        DEADLINE.as_millis(),
        DEADLINE_RTT.as_millis(),
        WARM_UP.as_secs(),
        count * seeds,
    );
    let mut notes = Notes::default();
    let mut table = Table::new(["loss", "mode", "in time", "delivered", "bytes sent", "parity", "p50", "p99", "p99.9"]);
    for ((loss, mode), runs) in cells.iter().zip(measure("deadline", seeds, &flows)) {
        let measured = Measured::all(&runs);
        notes.cell(&format!("{loss} % loss, {mode}"), &measured);
        let in_time = measured.within(DEADLINE);
        table.row([
            format!("{loss} %"),
            mode.to_string(),
            percent(in_time),
            percent(measured.delivered()),
            format!("{:.3}", measured.overhead()),
            format!("{:.3}", measured.parity_share()),
            format!("{:.1}", measured.millis(50.0)),
            format!("{:.1}", measured.millis(99.0)),
            format!("{:.1}", measured.millis(99.9)),
        ]);
        if *mode == Mode::Auto && *loss == TARGET.0 {
            let what = format!("{loss} % loss: {} in time (at least {})", percent(in_time), percent(TARGET.1));
            notes.target(in_time >= TARGET.1, &what);
        }
    }
    _ = writeln!(text, "{table}");
    notes.append_to(&mut text);
    text
}

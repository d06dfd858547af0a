//! What automatic correction costs where nothing is lost.

use std::fmt::Write as _;

use jsp_proto::Delivery;

use super::super::cases::{LARGE, SMALL, clean};
use super::super::{Measured, Mode};
use super::{Notes, Options, measure, percent};
use crate::cc::table::Table;

/// What is sent: its name, bytes of a message, messages per second, delivery.
const KINDS: [(&str, usize, u32, Delivery); 4] = [
    ("best effort", SMALL, 1000, Delivery::BestEffort),
    ("reliable", SMALL, 1000, Delivery::Reliable),
    ("best effort", LARGE, 60, Delivery::BestEffort),
    ("reliable", SMALL, 20, Delivery::Reliable),
];
const SECONDS: (u64, u64) = (60, 20);
/// Most bytes sent more than without correction.
const TARGET: f64 = 0.001;

pub(super) fn report(options: &Options) -> String {
    let (seeds, time) = (options.seeds(3, 1), options.count(SECONDS.0, SECONDS.1));
    let mut text = String::from("## Clean\n\n");
    if options.modes(&[Mode::Auto]).is_empty() {
        return text;
    }
    let flows: Vec<_> = KINDS
        .iter()
        .flat_map(|kind| {
            let &(_, size, per_second, delivery) = kind;
            [Mode::None, Mode::Auto].map(|mode| clean(delivery, mode, size, per_second, time))
        })
        .collect();
    let results: Vec<_> = measure("clean", seeds, &flows).iter().map(Measured::all).collect();
    _ = writeln!(
        text,
        "Unordered messages for {time} s, all counted, with `Fec::Off` and `Fec::Auto`; 100 Mbit/s, 40 ms, no loss. \
         Bytes sent with headers, {seeds} {} together.\n",
        if seeds == 1 { "seed" } else { "seeds" },
    );
    let mut notes = Notes::default();
    let mut table = Table::new(["messages", "bytes without", "bytes with", "more", "parity packets", "delivered"]);
    for ((name, size, per_second, _), pair) in KINDS.iter().zip(results.chunks(2)) {
        let [without, with] = pair else { break };
        let name = format!("{name}, {size} B, {per_second} per second");
        notes.cell(&name, with);
        let more = with.bytes as f64 / without.bytes.max(1) as f64 - 1.0;
        table.row([
            name.clone(),
            without.bytes.to_string(),
            with.bytes.to_string(),
            format!("{:.4} %", 100.0 * more),
            with.parity.to_string(),
            percent(with.delivered()),
        ]);
        let what = format!("{name}: {:.4} % more bytes (less than {})", 100.0 * more, percent(TARGET));
        notes.target(more < TARGET && with.delivered() == 1.0, &what);
    }
    _ = writeln!(text, "{table}");
    notes.append_to(&mut text);
    text
}

//! Fixed codes against the exact values.

use std::fmt::Write as _;

use super::super::cases::SMALL;
use super::super::fixed::{Comparison, WARM_UP, flow};
use super::super::{Measured, Mode};
use super::{Notes, Options, measure, percent};
use crate::cc::table::Table;

const CODES: [Mode; 8] = [
    Mode::Fixed(10, 1),
    Mode::Fixed(10, 2),
    Mode::Fixed(10, 3),
    Mode::Fixed(10, 4),
    Mode::Fixed(20, 8),
    Mode::Fixed(4, 1),
    Mode::Fixed(4, 2),
    Mode::Fixed(1, 1),
];
const QUICK: [Mode; 3] = [Mode::Fixed(10, 2), Mode::Fixed(4, 1), Mode::Fixed(20, 8)];
/// Standard errors between measurement and theory, at most.
const TARGET: f64 = 4.0;

pub(super) fn report(options: &Options) -> String {
    let (seeds, count) = (options.seeds(10, 1), options.count(20_000, 10_000));
    let codes = options.axis(&options.modes, &CODES, &QUICK).into_iter().filter_map(|mode| match mode {
        Mode::Fixed(sources, parity) => Some((sources, parity)),
        _ => None,
    });
    let codes: Vec<_> = codes.collect();
    let losses = options.axis(&options.loss, &[1.0, 5.0, 10.0, 20.0], &[5.0, 20.0]);
    let cells: Vec<_> = codes.iter().flat_map(|&code| losses.iter().map(move |&loss| (code, loss))).collect();
    let flows: Vec<_> =
        cells.iter().map(|&((sources, parity), loss)| flow(sources, parity, loss / 100.0, count)).collect();
    let mut results = measure("fixed", seeds, &flows).into_iter().map(|runs| Measured::all(&runs));

    let mut text = String::from("## Fixed\n\n");
    _ = writeln!(
        text,
        "A best-effort message of {SMALL} B in every packet, at a steady pace and a fixed rate, with `Fec::On`; \
         independent loss. The share of the packets that neither arrived nor were repaired; in brackets the exact \
         value, packets in full blocks of which any `sources` suffice, and by how many standard errors of the sample \
         the two differ. The first {} s do not count; {} packets with {seeds} {}.\n",
        WARM_UP.as_secs(),
        count * seeds,
        if seeds == 1 { "seed" } else { "seeds" },
    );
    let mut notes = Notes::default();
    let head = ["code".to_string()].into_iter().chain(losses.iter().map(|loss| format!("{loss} %")));
    let mut table = Table::new(head.chain(["parity per packet".to_string()]));
    let mut farthest: (f64, String) = (0.0, String::new());
    for &(sources, parity) in &codes {
        let name = format!("{sources}+{parity}");
        let mut row = vec![name.clone()];
        let mut all = Vec::new();
        for (loss, measured) in losses.iter().zip(results.by_ref()) {
            let comparison = Comparison::new(sources, parity, loss / 100.0, &measured);
            let cell = format!("{name}, {loss} % loss");
            notes.cell(&cell, &measured);
            let distance = comparison.distance();
            if distance.abs() > farthest.0 {
                farthest = (distance.abs(), cell);
            }
            let (measured_share, exact) = (percent(comparison.measured), percent(comparison.exact));
            row.push(format!("{measured_share} ({exact}, {distance:+.1})"));
            all.push(measured);
        }
        let all = Measured::all(&all);
        row.push(format!("{:.3}", all.parity as f64 / all.sources.max(1) as f64));
        table.row(row);
    }
    if !cells.is_empty() {
        let (distance, cell) = farthest;
        notes.target(distance <= TARGET, &format!("at most {distance:.1} standard errors ({cell}; at most {TARGET})"));
    }
    _ = writeln!(text, "{table}");
    notes.append_to(&mut text);
    text
}

//! A steady flow of best-effort messages over many paths.

use std::fmt::Write as _;

use super::super::cases::{LARGE, SMALL, WARM_UP, steady};
use super::super::exact::{Loss, block};
use super::super::{Measured, Mode};
use super::{Notes, Options, measure, percent};
use crate::cc::table::Table;

const MODES: [Mode; 4] = [Mode::Arq, Mode::None, Mode::Fixed(10, 2), Mode::Auto];
/// Bytes of a message, messages per second, how many count in a run of the full and of the quick table.
const KINDS: [(usize, u32, u64, u64); 2] = [(SMALL, 1000, 10_000, 4000), (LARGE, 60, 1200, 240)];

/// Loss in percent and the mean length of a burst.
fn losses(options: &Options) -> Vec<(f64, f64)> {
    let random = options.axis(&options.loss, &[0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0], &[0.0, 1.0, 5.0, 10.0, 20.0]);
    let in_bursts = options.axis(&options.loss, &[1.0, 5.0, 10.0, 20.0], &[5.0, 20.0]);
    let bursts = options.axis(&options.burst, &[1.0, 2.0, 3.0, 5.0], &[1.0, 3.0]);
    let rows = bursts.iter().flat_map(|&burst| {
        let losses = if burst > 1.0 { &in_bursts } else { &random };
        losses.iter().filter(move |&&loss| burst <= 1.0 || loss > 0.0).map(move |&loss| (loss, burst.max(1.0)))
    });
    rows.collect()
}

pub(super) fn report(options: &Options) -> String {
    let seeds = options.seeds(5, 1);
    let modes = if options.modes.is_empty() { MODES.to_vec() } else { options.modes.clone() };
    let losses = losses(options);
    let rows = || losses.iter().flat_map(|&(loss, burst)| modes.iter().map(move |&mode| (loss, burst, mode)));
    let kinds = KINDS.iter().map(|&(size, per_second, full, quick)| (size, per_second, options.count(full, quick)));
    let flows = kinds.clone().flat_map(|(size, per_second, count)| {
        rows().map(move |(loss, burst, mode)| steady(loss / 100.0, burst, mode, size, per_second).count(WARM_UP, count))
    });
    let flows: Vec<_> = flows.collect();
    let mut results = measure("delivery", seeds, &flows).into_iter().map(|runs| Measured::all(&runs));

    let mut text = String::from("## Delivery\n\n");
    _ = writeln!(
        text,
        "Unordered messages at a steady pace over a connection established before; 100 Mbit/s, 40 ms; loss in each \
         direction, independent or in bursts. `arq`: reliable, no parity. `none`: best effort, no parity. `10+2`: \
         best effort, `Fec::On`. `auto`: best effort, `Fec::Auto` with at most 100 % of parity. The first {} s do not \
         count; messages that have not arrived {} s after the last one count as lost. Packets lost: neither arrived \
         nor repaired, of the protected packets or, without parity, of all (with `arq` their content is sent again). \
         Bytes sent with the headers of IP and UDP, for each byte of a message that was accepted. Parity packets for \
         each other packet. Milliseconds from the call that accepted a message until it could be read, of those that \
         arrived. {seeds} {} together.\n",
        WARM_UP.as_secs(),
        super::super::flow::PATIENCE.as_secs(),
        if seeds == 1 { "seed" } else { "seeds" },
    );
    let (mut notes, mut tables, mut plain) = (Notes::default(), String::new(), String::new());
    for (size, per_second, count) in kinds {
        _ = writeln!(tables, "### {size} B, {per_second} per second, {} messages\n", count * seeds);
        let head = ["loss", "mode", "delivered", "packets lost", "bytes sent", "parity", "p50", "p99", "p99.9"];
        let mut table = Table::new(head);
        for (loss, burst, mode) in rows() {
            let Some(measured) = results.next() else { break };
            let path = if burst > 1.0 { format!("{loss} % in bursts of {burst}") } else { format!("{loss} %") };
            notes.cell(&format!("{size} B, {path}, {mode}"), &measured);
            if let (Mode::Fixed(sources, parity), SMALL) = (mode, size) {
                let left = percent(measured.residual());
                let exact = percent(block(sources, parity, Loss::bursts(loss / 100.0, burst)).residual);
                _ = writeln!(plain, "- {mode} at a loss of {path} leaves {left} of the packets lost ({exact}).");
            }
            if (loss, burst, mode, size) == (20.0, 1.0, Mode::Auto, SMALL) {
                let (delivered, parity) = (measured.delivered(), measured.parity_share());
                let what = format!(
                    "{size} B, {path} loss, {mode}: {} delivered without sending anything again (at least 99.900 %), \
                     {parity:.3} parity packets for each other one (at most 1)",
                    percent(delivered),
                );
                notes.target(delivered >= 0.999 && parity <= 1.0, &what);
            }
            table.row([
                path,
                mode.to_string(),
                percent(measured.delivered()),
                percent(measured.residual()),
                format!("{:.3}", measured.overhead()),
                format!("{:.3}", measured.parity_share()),
                format!("{:.1}", measured.millis(50.0)),
                format!("{:.1}", measured.millis(99.0)),
                format!("{:.1}", measured.millis(99.9)),
            ]);
        }
        _ = writeln!(tables, "{table}");
    }
    if !plain.is_empty() {
        _ = writeln!(
            text,
            "What a fixed code leaves, measured with {SMALL} B; in brackets the exact value of full blocks, without \
             interleaving, whose parity follows at once:\n\n{plain}"
        );
    }
    text += &tables;
    notes.append_to(&mut text);
    text
}

//! Goodput over a grid of paths.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::goodput::{Bulk, bulk, transfer_size};
use super::super::table::Table;
use super::super::{Path, median};
use super::{Notes, Options};

/// Targets of a transfer at 100 Mbit/s and 40 ms: percent lost, least MB/s, most bytes sent per byte delivered.
const TARGETS: [(f64, f64, f64); 3] = [(5.0, 10.0, 1.15), (10.0, 9.5, 1.25), (20.0, 8.5, 1.4)];
/// Virtual time after which a transfer is given up.
const LIMIT: Duration = Duration::from_secs(120);

pub(super) fn report(options: &Options) -> String {
    let plan = options.plan_alone("goodput", 5, 3);
    let losses = options.axis(&options.loss, &[0.0, 1.0, 2.0, 5.0, 10.0, 20.0], &[0.0, 5.0, 10.0, 20.0]);
    let rtts = options.axis(&options.rtt, &[10, 40, 100, 300], &[40]);
    let rates = options.axis(&options.rate, &[1, 10, 100, 1000], &[10, 100]);
    let paths = losses.iter().flat_map(|&loss| rtts.iter().map(move |&rtt| (loss, rtt)));
    let cells: Vec<_> =
        rates.iter().flat_map(|&rate| paths.clone().map(move |(loss, rtt)| (rate, loss, rtt))).collect();
    let results = plan.measure(&cells, |&(mbit, loss, rtt), controller, seed| {
        let rate = mbit * 1_000_000;
        let path = Path::new(rate, Duration::from_millis(rtt), loss / 100.0);
        bulk(seed, (controller.make)(rate), &path, transfer_size(rate), LIMIT)
    });

    let mut text = String::from("## Goodput\n\n");
    _ = writeln!(
        text,
        "One byte stream from client to server, alone. MB/s from the first byte offered, on an established connection, \
         to the last byte read, or what came within {} s; in brackets bytes sent per byte delivered, both ends' handshake \
         and all headers included; then the percentage of \
         datagrams lost to the queue, and the median of the round-trip times over that of the empty path. Loss in each \
         direction, in front of the bottleneck; rate, delay and queue (drop-tail, 1 BDP, at least {} B) in each direction; \
         28 bytes of each datagram are headers of IP and UDP. Medians of {} seeds. \
         `*`: not complete within the limit in some run, `!`: the connection broke in some run.\n",
        LIMIT.as_secs(),
        Path::SMALLEST_QUEUE,
        plan.seeds
    );
    let mut notes = Notes::default();
    let mut rows = cells.iter().zip(results).peekable();
    for &rate in &rates {
        let size = transfer_size(rate * 1_000_000) as f64 / 1e6;
        _ = writeln!(text, "### {rate} Mbit/s, {size} MB\n");
        let mut table = Table::new(["loss", "RTT"].into_iter().chain(plan.chosen.iter().map(|c| c.name)));
        while let Some((&(_, loss, rtt), results)) = rows.next_if(|(cell, _)| cell.0 == rate) {
            let mut row = vec![format!("{loss} %"), format!("{rtt} ms")];
            for (controller, runs) in results {
                let (goodput, cost) = (median(runs.iter().map(Bulk::goodput)), median(runs.iter().map(Bulk::cost)));
                let name = format!("{rate} Mbit/s, {rtt} ms, {loss} % loss");
                let mut mark = notes.broken(&name, &controller, runs.iter().map(|run| run.closed.as_ref()));
                if mark.is_empty() && runs.iter().any(|bulk| !bulk.finished) {
                    mark = " *";
                }
                let overflowed = median(runs.iter().map(Bulk::overflow_share));
                let inflation = median(runs.iter().map(|run| run.rtt_inflation));
                row.push(format!("{goodput:.3} ({cost:.3}) {:.1} % {inflation:.2}{mark}", 100.0 * overflowed));
                let target = TARGETS.iter().find(|target| (target.0, 100, 40) == (loss, rate, rtt));
                if let Some((_, least, most)) = target {
                    let what = format!(
                        "{name}: {goodput:.2} MB/s (at least {least}), {cost:.3} sent per byte (at most {most})"
                    );
                    notes.target(&controller, goodput >= *least && cost <= *most, &what);
                }
            }
            table.row(row);
        }
        _ = writeln!(text, "{table}");
    }
    notes.append_to(&mut text);
    text
}

//! What error correction and compression did, in words.

use jsp_tokio::{ConnStats, FecStats};

use crate::term::{bytes, duration};

/// What was repaired, and for what. `peer` is what the other side counted, if that is known. Nothing if nothing
/// happened.
pub(crate) fn correction(stats: &ConnStats, peer: Option<&FecStats>) -> Option<String> {
    let own = &stats.fec;
    if own.parity_sent + own.parity_received == 0 {
        return None;
    }
    let mut said = Vec::new();
    if own.parity_sent > 0 {
        let share = own.parity_sent as f64 * 100.0 / own.sources_sent.max(1) as f64;
        let unused = peer.map_or_else(String::new, |peer| format!(", {} of them unused", peer.parity_unused));
        said.push(format!(
            "{} packets repaired by the other side, {} lost all the same; {} parity packets sent ({}, {share:.1} % more \
             packets){unused}",
            own.repaired_by_peer,
            own.unrepaired,
            own.parity_sent,
            bytes(own.parity_bytes_sent),
        ));
    }
    if own.parity_received > 0 {
        let FecStats { repaired, parity_received, parity_unused, .. } = own;
        said.push(format!(
            "{repaired} packets repaired here; {parity_received} parity packets received, {parity_unused} unused"
        ));
    }
    Some(said.join("; "))
}

/// What the repairs spared: each would have cost a round trip at least, counted as it was in the end. Nothing without
/// repairs.
pub(crate) fn time_saved(stats: &ConnStats) -> Option<String> {
    let repaired = u32::try_from(stats.fec.repaired_by_peer).unwrap_or(u32::MAX);
    (repaired > 0).then(|| {
        let each = stats.rtt;
        format!(
            "{} of waiting, summed up: {repaired} packets that sending again would have delayed by a round trip, {}, \
             each",
            duration(each.saturating_mul(repaired)),
            duration(each),
        )
    })
}

/// What became smaller, and by how much. Nothing if nothing was tried.
pub(crate) fn compression(stats: &ConnStats) -> Option<String> {
    let ConnStats { compressions_tried: tried, messages_compressed: packed, .. } = *stats;
    let (before, after) = (stats.bytes_before_compression, stats.bytes_after_compression);
    (tried > 0).then(|| match packed {
        0 => format!("tried {tried} times, and nothing became smaller"),
        _ => {
            let ratio = after as f64 * 100.0 / before.max(1) as f64;
            format!("{} became {} ({ratio:.1} %), in {packed} of {tried} tries", bytes(before), bytes(after))
        }
    })
}

/// The lines of all of it, each with its name.
pub(crate) fn lines(stats: &ConnStats, peer: Option<&FecStats>) -> Vec<(&'static str, String)> {
    let all = [
        ("correction", correction(stats, peer)),
        ("time saved", time_saved(stats)),
        ("compression", compression(stats)),
    ];
    all.into_iter().filter_map(|(name, line)| Some((name, line?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_did_not_happen_is_not_told() {
        assert!(lines(&ConnStats::default(), Some(&FecStats::default())).is_empty());
    }

    #[test]
    fn figures_are_those_of_the_connection() {
        let mut stats = ConnStats::default();
        stats.rtt = Duration::from_millis(40);
        stats.fec.sources_sent = 1000;
        stats.fec.parity_sent = 100;
        stats.fec.parity_bytes_sent = 120_000;
        stats.fec.repaired_by_peer = 12;
        stats.fec.unrepaired = 3;
        let mut peer = FecStats::default();
        peer.parity_unused = 88;
        (stats.compressions_tried, stats.messages_compressed) = (10, 9);
        (stats.bytes_before_compression, stats.bytes_after_compression) = (4096, 1024);
        let lines = lines(&stats, Some(&peer));
        assert_eq!(lines.len(), 3);
        for part in ["12 packets repaired", "3 lost all", "100 parity", "117.2 KiB", "10.0 %", "88 of them unused"] {
            assert!(lines[0].1.contains(part), "{part}: {}", lines[0].1);
        }
        assert!(lines[1].1.starts_with("480 ms of waiting") && lines[1].1.contains("40 ms, each"), "{}", lines[1].1);
        assert_eq!(lines[2].1, "4.0 KiB became 1.0 KiB (25.0 %), in 9 of 10 tries");
        stats.messages_compressed = 0;
        assert!(compression(&stats).is_some_and(|line| line.contains("nothing became smaller")));
    }
}

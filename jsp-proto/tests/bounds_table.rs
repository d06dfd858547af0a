//! The table in `config::bounds` is whole and true: it has every row of specification section 7, its numbers and names
//! are those of the code, and each row names what exists. For each of its rows there is a test that reaches the bound.

#[path = "bounds_table/check.rs"]
mod check;
#[path = "bounds_table/proofs.rs"]
mod proofs;

use check::{TABLE, faults};
use proofs::PROOFS;

#[test]
fn every_row_of_the_table_is_true_and_tested() {
    let faults = faults(TABLE, PROOFS);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The check itself: whatever is changed in the table is found.
#[test]
fn a_table_that_is_wrong_is_found_out() {
    for (what, from, to, found) in [
        ("a number", "| 4096 | validated", "| 4095 | validated", "reassembly_entries"),
        ("a number with a comma", "50,000, 5000", "50,001, 5000", "seal_openings_per_second"),
        ("the second of two numbers", "50,000, 5000", "50,000, 5001", "seal_opening_burst"),
        ("a power", "2^36", "2^35", "AEAD_FAILURES"),
        ("a size", "1 GiB", "1 MiB", "receive_memory"),
        ("a time", "100 ms", "100 s", "BEST_EFFORT_QUEUE_AGE"),
        ("a time without a unit", "| 5 s | entry", "| 5 | entry", "REASSEMBLY_LIFETIME"),
        ("a number less", "| 1000, 200 |", "| 1000 |", "kem_burst"),
        ("a name of a constant", "[`FORGED_INNER`]", "[`FORGED_INNERS`]", "FORGED_INNERS"),
        ("a name of a field", "[`Bounds::half_open`]", "[`Bounds::half_opened`]", "half_opened"),
        ("a name in another column", "of [`Bounds::receive_memory`]", "of [`Bounds::memory`]", "Bounds::memory"),
        ("a counter", "`ConnStats::key_updates`", "`ConnStats::updates`", "ConnStats::updates"),
        ("a reason", "`DropReason::Tombstone`", "`DropReason::Grave`", "DropReason::Grave"),
        ("a method", "super::ConfigBuilder::idle_timeout", "super::ConfigBuilder::idle", "ConfigBuilder::idle"),
        ("a row of the specification", "| 34 | ", "| - | ", "row 34 of the specification"),
        ("no such row", "| 34 | ", "| 56 | ", "56"),
        ("a bound without a test", "| replay window |", "| window of replays |", "window of replays"),
        ("a test without a bound", "| replay window |", "| window of replays |", "\"replay window\""),
        ("a cell too few", "| 2048 packet numbers | older", "| 2048 packet numbers, older", "cells"),
        (
            "a constant that is nowhere",
            "pub const REASON_LEN",
            "pub const LONGEST: u8 = 1;\npub const REASON_LEN",
            "LONGEST",
        ),
        (
            "a field that is nowhere",
            "    pub undecided: usize,",
            "    pub decided: usize,\n    pub undecided: usize,",
            "decided",
        ),
    ] {
        assert!(TABLE.contains(from), "{what}: {from} is not in the table");
        let faults = faults(&TABLE.replace(from, to), PROOFS);
        assert!(faults.iter().any(|fault| fault.contains(found)), "{what} is not found: {faults:?}");
    }
    let missing = [("replay window", &[("tests/key_update.rs", "no_such_test")][..])];
    let faults = faults(TABLE, &missing);
    assert!(faults.iter().any(|fault| fault.contains("no_such_test")), "a test that is not there: {faults:?}");
}

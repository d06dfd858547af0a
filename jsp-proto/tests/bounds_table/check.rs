//! Reads the table and compares it with the code.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use jsp_proto::config::bounds;

/// The source of the table.
pub(crate) const TABLE: &str = include_str!("../../src/config/bounds.rs");
const STATS: &str = include_str!("../../src/stats.rs");
/// The last row of specification section 7.
const ROWS: u32 = 55;

/// A bound by its name in the table, and the tests that reach it: source file and function.
pub(crate) type Proof<'a> = (&'a str, &'a [(&'a str, &'a str)]);

/// What a number in the table, or a constant, is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    Count(u128),
    Time(Duration),
}

impl From<Duration> for Worth {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

macro_rules! counts {
    ($($ty:ty),*) => {
        $(impl From<$ty> for Worth {
            fn from(count: $ty) -> Self {
                Self::Count(u128::try_from(count).expect("not negative"))
            }
        })*
    };
}
counts!(u8, u32, u64, usize);

macro_rules! values {
    ($($name:ident)*; $($field:ident)*) => {
        /// Every constant and every field by the name that the table uses.
        fn values() -> Vec<(String, Worth)> {
            let defaults = bounds::Bounds::default();
            vec![
                $((stringify!($name).to_owned(), bounds::$name.into()),)*
                $((format!("Bounds::{}", stringify!($field)), defaults.$field.into()),)*
            ]
        }
    };
}
values! {
    ACTIVE_CIDS ADDRESS_REPORTS_PER_SECOND ADDRESS_REPORT_BURST AEAD_FAILURES AEAD_FAILURES_PER_SECOND AMPLIFICATION
    BEST_EFFORT_QUEUE_AGE CID_GAPS EARLY_DATAGRAMS EMPTY_PACKETS_PER_SECOND FEC_BLOCKS FEC_BLOCK_LIFETIME
    FEC_DECODES_PER_SECOND FEC_DECODE_BURST FEC_MALFORMED FEC_REST FLOOR_MAX_DATA FLOOR_MAX_STREAMS
    FLOOR_MAX_STREAM_DATA FORGED_INNER HALF_OPEN_LIFETIME KEY_IDS_TRIED KEY_UPDATE_WAIT MAX_RECEIVE_WINDOW
    MAX_STREAM_RECEIVE_WINDOW NETWORKS_REMEMBERED NEW_CIDS_PER_SECOND NEW_CID_BURST OLD_KEYS_LIFETIME PATHS
    PATH_CHALLENGES PATH_RESPONSES_PER_SECOND PATH_SWITCHES_PER_SECOND PATH_SWITCH_BURST PENDING_RETIRED_CIDS
    REASON_LEN REASSEMBLY_LIFETIME SEND_BUFFER SPARE_CIDS STREAMS_PER_TYPE STREAM_SEND_BUFFER TOKENS_KEPT
    TOMBSTONE_LIFETIME UNCONFIRMED_DATAGRAMS;
    connections connections_per_prefix decode_burst decodes_per_second half_open half_open_per_prefix kem_burst
    kem_jobs_per_second kem_queue key_infos_per_prefix key_infos_per_second path_switches_per_second
    reassembly_entries reassembly_per_prefix receive_memory resets_per_prefix resets_per_second retries_per_second
    seal_opening_burst seal_openings_per_second stateless_queue tokenless_burst tokenless_handshakes
    tokenless_per_second tombstones undecided version_negotiations_per_second
}

/// The quantities in a text, in order: `4096`, `20,000`, `2^36`, `64 KiB`, `1 GiB`, `5 s`, `100 ms`.
fn quantities(text: &str) -> Vec<Worth> {
    let words: Vec<&str> = text.split_whitespace().map(|word| word.trim_matches([',', ';', ':', '(', ')'])).collect();
    let number = |word: &str| -> Option<u128> {
        if let Some((base, exponent)) = word.split_once('^') {
            return base.parse::<u128>().ok()?.checked_pow(exponent.parse().ok()?);
        }
        word.replace(',', "").parse().ok()
    };
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let Some(number) = number(word) else { continue };
        let millis = |unit: u64| Worth::Time(Duration::from_millis(unit * number as u64));
        found.push(match words.get(at + 1).copied() {
            Some("KiB") => Worth::Count(number << 10),
            Some("MiB") => Worth::Count(number << 20),
            Some("GiB") => Worth::Count(number << 30),
            Some("s") => millis(1000),
            Some("ms") => millis(1),
            _ => Worth::Count(number),
        });
    }
    found
}

/// The names in a text that are links without a target: constants and fields of `Bounds`.
fn names(text: &str) -> Vec<&str> {
    let links = text.split("[`").skip(1).filter_map(|rest| rest.split_once("`]"));
    links.filter(|(_, after)| !after.starts_with('(')).map(|(name, _)| name).collect()
}

/// The targets of links that have one.
fn targets(text: &str) -> Vec<&str> {
    text.split("`](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target).collect()
}

/// The code without links in a text.
fn code(text: &str) -> Vec<&str> {
    let spans = text.split('`').enumerate().filter(|(at, _)| at % 2 == 1);
    spans.map(|(_, span)| span).collect()
}

/// The cells of the table, row by row, without its head.
fn rows(source: &str) -> Vec<Vec<&str>> {
    let lines = source.lines().filter_map(|line| line.strip_prefix("//! | ")?.strip_suffix(" |"));
    lines.skip(2).map(|line| line.split(" | ").collect()).collect()
}

/// Public constants and fields that the source of the table defines, by the names that the table uses.
fn defined(source: &str) -> BTreeSet<String> {
    let constants = source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split_once(':'));
    let floors = source.lines().filter(|line| line.starts_with("pub use ")).flat_map(|line| {
        line.split(['{', '}', ',', ' ']).filter(|word| word.starts_with("FLOOR_")).collect::<Vec<_>>()
    });
    let fields = source.lines().filter_map(|line| line.strip_prefix("    pub ")?.split_once(':'));
    let mut defined: BTreeSet<String> = fields.map(|(name, _)| format!("Bounds::{name}")).collect();
    defined.extend(constants.map(|(name, _)| name.to_owned()).chain(floors.map(str::to_owned)));
    defined
}

/// Whether a counter or a method that the table names is there.
fn is_known(name: &str) -> bool {
    let in_block = |head: &str, line: &str| {
        let block = STATS.split(head).nth(1).and_then(|rest| rest.split("\n}").next());
        block.is_some_and(|block| block.lines().any(|found| found.trim_start().starts_with(line)))
    };
    match name.split_once("::") {
        Some(("DropReason", reason)) => in_block("drop_reasons! {", &format!("{reason} = ")),
        Some((owner @ ("EndpointStats" | "ConnStats" | "FecStats"), field)) => {
            in_block(&format!("pub struct {owner} {{"), &format!("pub {field}: "))
        }
        Some(("driver", method)) => {
            let method = method.rsplit("::").next().unwrap_or_default();
            sources("src/driver").iter().any(|source| source.contains(&format!("pub fn {method}(")))
        }
        _ => false,
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files right in a folder.
fn sources(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(folder)).expect("a folder of the package");
    let files = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
    files.map(|path| std::fs::read_to_string(path).expect("a source")).collect()
}

fn is_target_known(target: &str) -> bool {
    match target.strip_prefix("super::ConfigBuilder::") {
        Some(method) => sources("src/config").iter().any(|source| source.contains(&format!("pub fn {method}("))),
        None => target == "super::RetryPolicy::Adaptive",
    }
}

/// Whether there is a test of this name in this file.
fn is_test(file: &str, name: &str) -> bool {
    let source = std::fs::read_to_string(root().join(file)).unwrap_or_default();
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let head = format!("fn {name}(");
    let mut found = lines.iter().enumerate().filter(|(_, line)| line.starts_with(&head));
    found.any(|(at, _)| {
        let above = lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        above.into_iter().any(|line| *line == "#[test]")
    })
}

/// What is wrong with a table and the list of the tests that belong to it.
pub(crate) fn faults(source: &str, proofs: &[Proof<'_>]) -> Vec<String> {
    let (rows, values) = (rows(source), values());
    let mut faults = Vec::new();
    let (mut numbers, mut bounds, mut named) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for cells in &rows {
        let [row, bound, default, outcome, counted] = cells[..] else {
            faults.push(format!("{} cells instead of 5: {cells:?}", cells.len()));
            continue;
        };
        for number in row.split(", ").filter(|number| *number != "-") {
            match number.parse() {
                Ok(number @ 1..=ROWS) => _ = numbers.insert(number),
                _ => faults.push(format!("{bound}: there is no row {number}")),
            }
        }
        let key: String = bound.chars().filter(|c| !['[', ']', '`'].contains(c)).collect();
        if !bounds.insert(key.clone()) {
            faults.push(format!("{key} is there twice"));
        }
        faults.extend(wrong_numbers(bound, default, &values));
        for name in [bound, default, outcome].into_iter().flat_map(names) {
            named.insert(name.to_owned());
            if !values.iter().any(|(known, _)| known == name) {
                faults.push(format!("{key}: there is no {name}"));
            }
        }
        let targets = cells.iter().flat_map(|cell| targets(cell)).filter(|target| !is_target_known(target));
        faults.extend(targets.map(|target| format!("{key}: there is no {target}")));
        let counters = code(counted).into_iter().filter(|name| !is_known(name));
        faults.extend(counters.map(|name| format!("{key}: nothing is counted by {name}")));
    }
    let missing = (1..=ROWS).filter(|number| !numbers.contains(number));
    faults.extend(missing.map(|number| format!("row {number} of the specification is missing")));
    let defined = defined(source);
    faults.extend(defined.difference(&named).map(|name| format!("{name} is not in the table")));
    let known: BTreeSet<String> = values.into_iter().map(|(name, _)| name).collect();
    faults.extend(known.symmetric_difference(&defined).map(|name| format!("{name} is not compared")));
    faults.extend(unproven(&bounds, proofs));
    faults
}

/// The first quantities of a row belong to the names of the bound, in order.
fn wrong_numbers(bound: &str, default: &str, values: &[(String, Worth)]) -> Vec<String> {
    let mut quantities = quantities(default).into_iter();
    let pairs = names(bound).into_iter().map(|name| (name, quantities.next()));
    let compared = pairs.filter_map(|(name, told)| {
        let (_, worth) = values.iter().find(|(known, _)| known == name)?;
        (told != Some(*worth)).then(|| format!("{name} is {worth:?} and not {told:?}"))
    });
    compared.collect()
}

/// Rows without a test, tests without a row, and tests that are not there.
fn unproven(bounds: &BTreeSet<String>, proofs: &[Proof<'_>]) -> Vec<String> {
    let proven: BTreeSet<String> = proofs.iter().map(|(bound, _)| (*bound).to_owned()).collect();
    let mut faults: Vec<String> = bounds.difference(&proven).map(|bound| format!("no test for {bound:?}")).collect();
    faults.extend(proven.difference(bounds).map(|bound| format!("no row for {bound:?}")));
    for (bound, tests) in proofs {
        if tests.is_empty() {
            faults.push(format!("no test is named for {bound:?}"));
        }
        let absent = tests.iter().filter(|(file, name)| !is_test(file, name));
        faults.extend(absent.map(|(file, name)| format!("{bound:?}: there is no test {name} in {file}")));
    }
    faults
}

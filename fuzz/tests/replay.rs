//! Every input that is checked in, and mutations of them with a fixed seed, without a fuzzing engine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jsp_conformance::sim::Rng;
use jsp_fuzz::{TARGETS, Target, harvest};

/// The most inputs of a target that are checked in, findings not counted.
const MOST_FILES: usize = 40;
/// The longest input that is made here.
const LONGEST: usize = 2000;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn names(of: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(of).unwrap_or_else(|error| panic!("{}: {error}", of.display()));
    entries.map(|entry| entry.expect("readable").file_name().into_string().expect("a plain name")).collect()
}

/// Says which input it was if the target panics.
struct Witness<'a>(&'a str, &'a [u8]);

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let digits: String = self.1.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("target {}, input {digits}", self.0);
        }
    }
}

/// Another input made of one or two that are there.
fn mutate(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let pick = |rng: &mut Rng| corpus.get(rng.below(corpus.len() as u64) as usize).cloned().unwrap_or_default();
    let mut input = pick(rng);
    for _ in 0..=rng.below(6) {
        let at = rng.below(input.len() as u64 + 1) as usize;
        match rng.below(6) {
            0 => input.insert(at, rng.u64() as u8),
            1 => input.truncate(at),
            2 => {
                let other = pick(rng);
                let from = rng.below(other.len() as u64 + 1) as usize;
                input.splice(at.., other[from..].iter().copied());
            }
            3 => {
                let bytes: [u8; 16] = rng.array();
                let len = rng.below(17) as usize;
                input.splice(at..at, bytes[..len].iter().copied());
            }
            kind => {
                let Some(byte) = input.get_mut(at) else { continue };
                *byte = if kind == 4 { *byte ^ 1 << rng.below(8) } else { rng.u64() as u8 };
            }
        }
    }
    input.truncate(LONGEST);
    input
}

fn replay(name: &str, rounds: u64) {
    let (_, target): &(&str, Target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
    let folder = folder("corpus").join(name);
    let files: Vec<String> = names(&folder).into_iter().collect();
    let seeds = files.iter().filter(|file| !file.starts_with("finding-")).count();
    assert!((1..=MOST_FILES).contains(&seeds), "{seeds} files for {name}");
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(folder.join(file)).expect("readable")).collect();
    for (file, input) in files.iter().zip(&corpus) {
        let _witness = Witness(file, input);
        target(input);
    }
    target(&[]);
    // `JSP_SEED` starts elsewhere, `JSP_ROUNDS` makes more of them.
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let mut rng = Rng::new(number("JSP_SEED").unwrap_or(1));
    for _ in 0..number("JSP_ROUNDS").unwrap_or(rounds) {
        let input = mutate(&corpus, &mut rng);
        let _witness = Witness(name, &input);
        target(&input);
    }
}

#[test]
fn what_can_be_harvested_is_checked_in() {
    for (target, inputs) in harvest::harvest() {
        let known = names(&folder("corpus").join(target));
        for input in &inputs {
            let name = harvest::name(input);
            assert!(known.contains(&name), "{target} lacks {name}: cargo run -p jsp-fuzz --example harvest");
        }
    }
}

macro_rules! replays {
    ($($name:ident: $rounds:literal,)*) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name), $rounds);
            }
        )*

        #[test]
        fn every_target_has_a_program_a_corpus_and_a_test() {
            let manifest = fs::read_to_string(folder("Cargo.toml")).expect("readable");
            let tested = [$(stringify!($name)),*];
            for (name, _) in TARGETS {
                assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
                let program = fs::read_to_string(folder("fuzz_targets").join(format!("{name}.rs"))).expect("a program");
                assert!(program.contains(&format!("jsp_fuzz::{name}::run(data)")), "{name}");
            }
            let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| String::from(*name)).collect();
            assert_eq!(targets, tested.map(String::from).into_iter().collect());
            assert_eq!(targets, names(&folder("corpus")));
            assert_eq!(targets.len(), names(&folder("fuzz_targets")).len());
        }
    };
}

replays! {
    long_header: 2000,
    short_header: 1000,
    version_negotiation: 2000,
    varint: 2000,
    frames: 2000,
    params: 2000,
    tokens: 1000,
    key_id: 2000,
    packets: 300,
    frame_sequence: 400,
    acks: 300,
    reassembly: 300,
    fec: 300,
    lz4: 300,
    handshake_fragments: 200,
    endpoint_datagrams: 200,
    c_api: 100,
    operations: 100,
}

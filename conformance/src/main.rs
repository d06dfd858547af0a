//! The program of the conformance package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use jsp_conformance::spec::{Kind, Specification};
use jsp_conformance::{cc, fec, vectors, wasm};

/// Checks of JetStreamProto against its specification.
#[derive(Parser)]
#[command(name = "jsp-conformance", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compute every known answer of files from the inputs in them, and compare.
    ///
    /// Prints each case's name with "ok" or its first difference. Exit status: 0 if everything is right, 1 if a value
    /// is wrong or missing, 2 if a file cannot be read.
    #[command(after_help = "Example:\n  cargo run -p jsp-conformance -- vectors conformance/vectors/*.json")]
    Vectors {
        /// JSON files as conformance/vectors/README.md describes them
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Print only what is wrong, and the totals
        #[arg(short, long)]
        quiet: bool,
    },
    /// List the requirements of the specification by area, and those that no code or no test cites.
    ///
    /// Exit status: 0 if all is well, 1 if the text breaks its own rules, if something cites a requirement that does not
    /// exist or, with --strict, if one is not cited by code and by a test; 2 if files cannot be read.
    #[command(after_help = "Example:\n  cargo run -p jsp-conformance -- spec --missing")]
    Spec {
        /// The folder with the project's sources
        #[arg(long, default_value = ".")]
        root: PathBuf,
        /// Name the requirements that are not cited by code and by a test
        #[arg(long)]
        missing: bool,
        /// Fail if there are such
        #[arg(long)]
        strict: bool,
    },
    /// Write the files of known answers that the command `vectors` checks.
    ///
    /// The same text every time. Cases that were not computed by this project stay as they are.
    MakeVectors {
        /// Where to write them; it must be there
        directory: PathBuf,
    },
    /// List what a WebAssembly module imports from its host.
    ///
    /// Exit status: 0 if it imports nothing, 1 if it imports something, 2 if it cannot be read.
    WasmImports {
        /// A binary module
        file: PathBuf,
    },
    /// Measure the congestion controllers in the simulator and print Markdown tables.
    ///
    /// Everything runs in virtual time and follows from seeds: two runs print the same. Progress goes to standard
    /// error. Compile with --release, or it takes an hour; with --features ring it takes half the time.
    #[command(after_help = "Examples:\n  cargo run --release -p jsp-conformance -- cc-table --quick\n  \
        cargo run --release -p jsp-conformance -- cc-table --part goodput --loss 5 --rtt 40 --rate 100 --seeds 21")]
    CcTable(CcTable),
    /// Measure forward error correction in the simulator and print Markdown tables.
    ///
    /// Everything runs in virtual time and follows from seeds: two runs print the same. Progress goes to standard
    /// error. Compile with --release, or it takes an hour; with --features ring it takes half the time.
    #[command(after_help = "Examples:\n  cargo run --release -p jsp-conformance -- fec-table --quick\n  \
        cargo run --release -p jsp-conformance -- fec-table --part delivery --loss 5 --mode 20+8 --mode auto")]
    FecTable(FecTable),
}

#[derive(Args)]
struct CcTable {
    /// Measure only this part: goodput, messages, fairness, queue, change or all; may repeat
    #[arg(long, value_name = "PART", value_parser = part)]
    part: Vec<Chosen<cc::Part>>,
    /// Measure only this controller; may repeat
    #[arg(long, value_name = "NAME", value_parser = controller)]
    controller: Vec<String>,
    /// Runs of each cell, with the seeds 0 to N - 1; without it each part has its own number
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// A small grid and few seeds
    #[arg(long)]
    quick: bool,
    /// Loss in each direction, in percent, for goodput and messages, instead of the grid; may repeat
    #[arg(long, value_name = "PERCENT")]
    loss: Vec<f64>,
    /// Round-trip time in milliseconds, for goodput, instead of the grid; may repeat
    #[arg(long, value_name = "MS")]
    rtt: Vec<u64>,
    /// Rate in Mbit/s, for goodput, instead of the grid; may repeat
    #[arg(long, value_name = "MBIT")]
    rate: Vec<u64>,
}

#[derive(Args)]
struct FecTable {
    /// Measure only this part: delivery, deadline, sparse, clean, fixed or all; may repeat
    #[arg(long, value_name = "PART", value_parser = fec_part)]
    part: Vec<Chosen<fec::Part>>,
    /// Measure only this mode: arq, none, auto, or a code such as 10+2; may repeat
    #[arg(long, value_name = "MODE")]
    mode: Vec<fec::Mode>,
    /// Runs of each cell, with the seeds 0 to N - 1; without it each part has its own number
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// A small grid and few seeds
    #[arg(long)]
    quick: bool,
    /// Loss in each direction, in percent, instead of the grid; may repeat
    #[arg(long, value_name = "PERCENT")]
    loss: Vec<f64>,
    /// Mean length of a burst of losses, 1 for independent ones, for delivery, instead of the grid; may repeat
    #[arg(long, value_name = "PACKETS")]
    burst: Vec<f64>,
}

/// What one `--part` stands for: one part or all.
type Chosen<P> = Option<P>;

fn part(name: &str) -> Result<Chosen<cc::Part>, String> {
    choose(name, &cc::Part::ALL, |part| part.name())
}

fn fec_part(name: &str) -> Result<Chosen<fec::Part>, String> {
    choose(name, &fec::Part::ALL, |part| part.name())
}

fn choose<P: Copy>(name: &str, all: &[P], name_of: fn(P) -> &'static str) -> Result<Chosen<P>, String> {
    let found = all.iter().copied().find(|part| name_of(*part) == name);
    if found.is_none() && name != "all" {
        let names: Vec<_> = all.iter().map(|part| name_of(*part)).collect();
        return Err(format!("the parts are {} and all", names.join(", ")));
    }
    Ok(found)
}

/// The parts to measure; none means all.
fn chosen<P>(parts: Vec<Chosen<P>>) -> Vec<P> {
    parts.into_iter().collect::<Option<_>>().unwrap_or_default()
}

fn controller(name: &str) -> Result<String, String> {
    if cc::controllers().iter().any(|controller| controller.name == name) {
        return Ok(name.into());
    }
    let names: Vec<_> = cc::controllers().iter().map(|controller| controller.name).collect();
    Err(format!("the controllers are {}", names.join(", ")))
}

impl CcTable {
    fn options(self) -> cc::Options {
        cc::Options {
            parts: chosen(self.part),
            controllers: self.controller,
            seeds: self.seeds,
            quick: self.quick,
            loss: self.loss,
            rtt: self.rtt,
            rate: self.rate,
        }
    }
}

impl FecTable {
    fn options(self) -> fec::Options {
        fec::Options {
            parts: chosen(self.part),
            modes: self.mode,
            seeds: self.seeds,
            quick: self.quick,
            loss: self.loss,
            burst: self.burst,
        }
    }
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Vectors { files, quiet } => check_vectors(&files, quiet),
        Command::MakeVectors { directory } => finish(make_vectors(&directory)),
        Command::Spec { root, missing, strict } => show_specification(&root, missing, strict),
        Command::WasmImports { file } => {
            let found = fs::read(&file).map_err(|error| error.to_string());
            match found.and_then(|module| wasm::imports(&module).map_err(|error| error.to_string())) {
                Ok(imports) => {
                    for import in &imports {
                        println!("{import}");
                    }
                    println!("{} imports", imports.len());
                    if imports.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
                }
                Err(error) => {
                    eprintln!("error: {}: {error}", file.display());
                    ExitCode::from(2)
                }
            }
        }
        Command::CcTable(table) => finish(cc::run(&table.options(), &mut std::io::stdout().lock())),
        Command::FecTable(table) => finish(fec::run(&table.options(), &mut std::io::stdout().lock())),
    }
}

fn show_specification(root: &Path, missing: bool, strict: bool) -> ExitCode {
    let specification = match Specification::load(root) {
        Ok(specification) => specification,
        Err(error) => {
            eprintln!("error: {}: {error}; run it in the project's folder or give --root", root.display());
            return ExitCode::from(2);
        }
    };
    print!("{specification}");
    for requirement in specification.uncited().filter(|_| missing) {
        let lacks = |kind, name| if specification.is_cited(&requirement.id, kind) { "" } else { name };
        let (code, test) = (lacks(Kind::Code, " code"), lacks(Kind::Test, " test"));
        println!("{}: no{code}{test}: {}", requirement.id, requirement.text);
    }
    for problem in &specification.problems {
        eprintln!("{}:{}: {}", problem.file.display(), problem.line, problem.what);
    }
    let is_complete = !strict || specification.uncited().next().is_none();
    if specification.problems.is_empty() && is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn finish(result: std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Checks every file, and gives the worst outcome of all.
fn check_vectors(files: &[PathBuf], quiet: bool) -> ExitCode {
    let (mut cases, mut wrong, mut unread) = (0, 0, 0);
    for file in files {
        let text = fs::read_to_string(file).map_err(|error| error.to_string());
        match text.and_then(|text| vectors::check(&text)) {
            Ok(report) => {
                let shown = report.lines.iter().filter(|line| !quiet || line.verdict != vectors::Verdict::Right);
                shown.for_each(|line| println!("{line}"));
                cases += report.lines.len();
                wrong += report.wrong().count();
            }
            Err(error) => {
                eprintln!("error: {}: {error}", file.display());
                unread += 1;
            }
        }
    }
    println!("{} files, {cases} cases, {wrong} wrong", files.len());
    match (unread, wrong) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::FAILURE,
        _ => ExitCode::from(2),
    }
}

fn make_vectors(directory: &Path) -> std::io::Result<()> {
    for (name, text) in vectors::make::files().map_err(std::io::Error::other)? {
        fs::write(directory.join(name), text)?;
    }
    Ok(())
}

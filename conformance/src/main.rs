//! The program of the conformance package.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jsp_conformance::{vectors, wasm};

/// Checks of JetStreamProto against its specification.
#[derive(Parser)]
#[command(name = "jsp-conformance", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compute every known answer of a file from the inputs in it, and compare.
    ///
    /// Prints each value's name with "ok" or its first difference. Exit status: 0 if everything is right, 1 if a value
    /// is wrong or missing, 2 if the file cannot be read.
    #[command(after_help = "Example:\n  cargo run -p jsp-conformance -- vectors conformance/vectors/vectors.json")]
    Vectors {
        /// A JSON file of the shape of conformance/vectors/vectors.json
        file: PathBuf,
        /// Print only what is wrong, and the totals
        #[arg(short, long)]
        quiet: bool,
    },
    /// List what a WebAssembly module imports from its host.
    ///
    /// Exit status: 0 if it imports nothing, 1 if it imports something, 2 if it cannot be read.
    WasmImports {
        /// A binary module
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Vectors { file, quiet } => {
            let report = fs::read_to_string(&file).map_err(|error| error.to_string());
            match report.and_then(|text| vectors::check(&text)) {
                Ok(report) => print(&report, quiet),
                Err(error) => {
                    eprintln!("error: {}: {error}", file.display());
                    ExitCode::from(2)
                }
            }
        }
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
    }
}

fn print(report: &vectors::Report, quiet: bool) -> ExitCode {
    let wrong = report.wrong().count();
    for line in &report.lines {
        if !quiet || matches!(line.verdict, vectors::Verdict::Wrong(_)) {
            println!("{line}");
        }
    }
    println!("{} values, {wrong} wrong", report.lines.len());
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

//! Runs one target on the files that are named: `cargo run -p jsp-fuzz --example one -- TARGET FILE...`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let Some((_, target)) = jsp_fuzz::TARGETS.iter().find(|(known, _)| *known == name) else {
        eprintln!("there is no target «{name}»");
        return ExitCode::FAILURE;
    };
    for file in arguments {
        match std::fs::read(&file) {
            Ok(input) => {
                println!("{file}: {} bytes", input.len());
                target(&input);
            }
            Err(error) => {
                eprintln!("{file}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

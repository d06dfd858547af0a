//! Processes of a bench: it starts itself again in another role, and asks by lines.
#![allow(dead_code, reason = "each program uses a part of it")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A process of this program in a role; it ends with its input.
pub(crate) struct Child {
    process: Process,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// Starts this program with `--role role` and more words.
    pub(crate) fn start(role: &str, words: &[String]) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--role", role]).args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let output = BufReader::new(process.stdout.take().ok_or("no output")?);
        Ok(Self { input: process.stdin.take(), output, process })
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("a process of the bench has ended".into());
        }
        Ok(line.trim().to_owned())
    }

    /// Tells it something and waits for its answer.
    pub(crate) fn ask(&mut self, question: &str) -> Result<String, Failure> {
        let input = self.input.as_mut().ok_or("no input")?;
        writeln!(input, "{question}")?;
        self.line()
    }

    /// Asks for numbers.
    pub(crate) fn numbers(&mut self, question: &str) -> Result<Vec<f64>, Failure> {
        let answer = self.ask(question)?;
        Ok(answer.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.process.wait();
    }
}

/// The word after `name` among the program's arguments.
pub(crate) fn word(name: &str) -> Option<String> {
    let mut words = std::env::args().skip_while(|word| word != name);
    words.nth(1)
}

/// The number after `name`, or this one.
pub(crate) fn number(name: &str, otherwise: usize) -> usize {
    word(name).and_then(|word| word.parse().ok()).unwrap_or(otherwise)
}

/// Whether `name` is among the program's arguments.
pub(crate) fn flag(name: &str) -> bool {
    std::env::args().any(|word| word == name)
}

/// Bytes of memory that this process has, and CPU seconds it has used; not a number where the system does not tell
/// (Linux does, in pages of 4096 bytes and 100 ticks per second).
pub(crate) fn resources() -> (f64, f64) {
    let field = |file: &str, skip: &str, index: usize| -> f64 {
        let text = fs::read_to_string(file).unwrap_or_default();
        let rest = if skip.is_empty() { text.as_str() } else { text.rsplit(skip).next().unwrap_or_default() };
        rest.split_whitespace().nth(index).and_then(|word| word.parse().ok()).unwrap_or(f64::NAN)
    };
    // The name of the program, which may hold spaces, ends with a parenthesis.
    let ticks = |index| field("/proc/self/stat", ")", index);
    (field("/proc/self/statm", "", 1) * 4096.0, (ticks(11) + ticks(12)) / 100.0)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Result<Vec<u8>, Failure> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)).collect()
}

/// What the figures were measured on, for the last lines of the output.
pub(crate) fn print_machine() {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(std::env::consts::ARCH);
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("CPU: {cores} x {}; load now: {}", model.trim_start_matches([' ', '\t', ':']), load.trim());
}

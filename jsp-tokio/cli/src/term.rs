//! The terminal: lines, progress, and numbers for people.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub(crate) const RED: &str = "\x1b[1;31m";
pub(crate) const GREEN: &str = "\x1b[1;32m";
pub(crate) const BOLD: &str = "\x1b[1m";
pub(crate) const RESET: &str = "\x1b[0m";

/// Prints a line of results to the standard output; colours only on a terminal. A closed pipe is no reason to panic.
macro_rules! say {
    ($($arg:tt)*) => {{
        use std::io::Write as _;
        let mut out = anstream::stdout().lock();
        let _ = writeln!(out, $($arg)*).and_then(|()| out.flush());
    }};
}

/// Prints a line about what goes on to the standard error.
macro_rules! tell {
    ($($arg:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(anstream::stderr().lock(), $($arg)*);
    }};
}

pub(crate) use {say, tell};

/// How often progress is told where nothing can be drawn.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// A bar on a terminal, plain lines elsewhere; on the standard error.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    total: u64,
    begun: Instant,
    next_line: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{prefix} {wide_bar} {percent:>3} %  {msg}");
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            bar.set_prefix(what);
            bar
        });
        let begun = Instant::now();
        Self { what, total, begun, next_line: begun + LINE_EVERY, bar }
    }

    /// `done` bytes of the total are done.
    pub(crate) fn set(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            // The message first: only the position draws at once.
            bar.set_message(format!("{} of {}, {}", bytes(done), bytes(self.total), self.pace(done)));
            bar.set_position(done);
            // Drawn from now on: lines that were printed before stand above it.
            if bar.is_hidden() {
                bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            }
        } else if Instant::now() >= self.next_line {
            self.next_line = Instant::now() + LINE_EVERY;
            let percent = done.saturating_mul(100) / self.total.max(1);
            let (what, pace) = (self.what, self.pace(done));
            tell!("{what}: {percent} %, {} of {}, {pace}", bytes(done), bytes(self.total));
        }
    }

    fn pace(&self, done: u64) -> String {
        format!("{}, {} left", rate(self.per_second(done)), duration(self.left(done)))
    }

    fn per_second(&self, done: u64) -> f64 {
        done as f64 / self.begun.elapsed().as_secs_f64().max(1e-6)
    }

    fn left(&self, done: u64) -> Duration {
        let left = self.total.saturating_sub(done) as f64 / self.per_second(done).max(1.0);
        Duration::from_secs_f64(left.min(1e9))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `64.0 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// Decimal, as networks are rated: `317 kB/s`.
pub(crate) fn rate(bytes_per_second: f64) -> String {
    match bytes_per_second {
        rate if rate >= 10e6 => format!("{:.0} MB/s", rate / 1e6),
        rate if rate >= 1e6 => format!("{:.1} MB/s", rate / 1e6),
        rate => format!("{:.0} kB/s", rate / 1e3),
    }
}

/// `0.35 ms`, `21 ms`, `7.2 s`, `3 min 20 s`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s < 0.01 => format!("{:.2} ms", s * 1e3),
        s if s < 0.1 => format!("{} ms", (s * 1e4).round() / 10.0),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 100.0 => format!("{s:.1} s"),
        s => format!("{} min {} s", s as u64 / 60, s as u64 % 60),
    }
}

/// An IPv4 address as such, also where it comes from a socket for both families.
pub(crate) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// What a stranger wrote, without the characters that steer terminals or hide text.
pub(crate) fn printable(text: &str) -> String {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().map(|c| if hides(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(bytes(64 << 20), "64.0 MiB");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(3 << 40), "3.0 TiB");
        assert_eq!(rate(317_400.0), "317 kB/s");
        assert_eq!(rate(1.25e8), "125 MB/s");
        assert_eq!(duration(Duration::from_micros(350)), "0.35 ms");
        assert_eq!(duration(Duration::from_secs(200)), "3 min 20 s");
    }

    #[test]
    fn strangers_do_not_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}c");
    }
}

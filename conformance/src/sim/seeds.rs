//! Runs one check over many seeds and tells how to replay the one that fails.

use std::any::Any;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Runs `check` for every seed of the range, on all processor cores.
///
/// If it panics for a seed, the lowest such seed is printed together with the command that replays it, and this
/// function panics. `name` is the name of the test function, for that command.
///
/// Two environment variables change what runs: `JSP_SEED=7` runs seed 7 alone, `JSP_SEEDS=10000` runs that many
/// seeds from the start of the range.
///
/// # Panics
///
/// If the check panics for any seed, or if one of the variables is not a number.
pub fn seeds(name: &str, range: Range<u64>, check: impl Fn(u64) + Sync) {
    let range = match (number("JSP_SEED"), number("JSP_SEEDS")) {
        (Some(seed), _) => seed..seed.saturating_add(1),
        (None, Some(count)) => range.start..range.start.saturating_add(count),
        (None, None) => range,
    };
    if let Some((seed, message)) = first_failure(range, &check) {
        let package = std::env::var("CARGO_PKG_NAME").unwrap_or_else(|_| "PACKAGE".into());
        panic!(
            "seed {seed} failed: {message}\nreplay with JSP_SEED={seed} cargo test -p {package} {name}\n\
             and see every datagram with JSP_SIM_LOG=- added"
        );
    }
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty())?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {value:?}")))
}

fn first_failure(range: Range<u64>, check: &(impl Fn(u64) + Sync)) -> Option<(u64, String)> {
    let next = AtomicU64::new(range.start);
    // Seeds are handed out in order, so everything below the lowest failure has been run.
    let failure: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= range.end {
                break;
            }
            if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| check(seed))) {
                next.store(range.end, Ordering::Relaxed);
                let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                if failure.as_ref().is_none_or(|(lowest, _)| seed < *lowest) {
                    *failure = Some((seed, text(&*payload)));
                }
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    if workers.min(range.end.saturating_sub(range.start)) <= 1 {
        work();
    } else {
        thread::scope(|scope| (0..workers).for_each(|_| _ = scope.spawn(work)));
    }
    failure.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("panicked").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_lowest_failing_seed() {
        let (seed, message) = first_failure(0..1_000, &|seed| assert!(seed % 100 != 37, "no {seed}")).unwrap();
        assert_eq!((seed, message.as_str()), (37, "no 37"));
        assert!(first_failure(0..50, &|_| {}).is_none());
    }
}

//! Spreads runs over the processor cores.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// Applies `work` to every job on all cores. The results have the order of the jobs, whoever was ready first.
pub(crate) fn map<J: Sync, R: Send>(name: &str, jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let started = Instant::now();
    let (next, ready) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Mutex<Vec<Option<R>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let loops = || {
        while let Some((index, job)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, jobs.get(n)?)))
        {
            let result = work(job);
            results.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(result);
            progress(name, ready.fetch_add(1, Ordering::Relaxed) + 1, jobs.len());
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
    thread::scope(|scope| (0..workers).for_each(|_| _ = scope.spawn(loops)));
    let clear = if std::io::stderr().is_terminal() { "\r" } else { "" };
    eprintln!("{clear}{name}: {} runs in {:.1} s", jobs.len(), started.elapsed().as_secs_f64());
    results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()
}

fn progress(name: &str, ready: usize, all: usize) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{name}: {ready} of {all}");
    } else if ready < all && ready * 10 / all > (ready - 1) * 10 / all {
        eprintln!("{name}: {ready} of {all}");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        let jobs: Vec<u64> = (0..100).collect();
        let doubled = super::map("doubling", &jobs, |job| job * 2);
        assert!(doubled.iter().enumerate().all(|(index, value)| *value == index as u64 * 2));
    }
}

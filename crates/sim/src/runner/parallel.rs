//! Many runs on many threads, their results in order.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

/// Calls `run` for the numbers 0, 1 and so on below `count`, on `jobs` threads, and `merge` with what it gave, on this
/// thread and in the order of the numbers, until `merge` says to break. So the number of threads is not to be seen in
/// what is merged; some runs beyond the last may have been begun for nothing.
///
/// # Panics
///
/// If `run` or `merge` does.
pub(crate) fn run_in_order<T: Send>(
    count: u64,
    jobs: usize,
    run: impl Fn(u64) -> T + Sync,
    mut merge: impl FnMut(u64, T) -> ControlFlow<()>,
) {
    let run = |number| on_own_thread(|| run(number));
    if jobs < 2 {
        for number in 0..count {
            if merge(number, run(number)).is_break() {
                return;
            }
        }
        return;
    }
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs {
            let sender = sender.clone();
            let (next, is_over, run) = (&next, &is_over, &run);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count || sender.send((number, run(number))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let _stops = StopsAll(&is_over);
        let mut early = BTreeMap::new();
        let mut wanted = 0;
        for (number, result) in results {
            early.insert(number, result);
            while let Some(result) = early.remove(&wanted) {
                if merge(wanted, result).is_break() {
                    return;
                }
                wanted += 1;
            }
        }
    });
}

/// With feature `intercept` the keys of a thread's hash maps are those of the seed that made the first map there, so
/// each run has a thread of its own.
fn on_own_thread<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    if !cfg!(feature = "intercept") {
        return run();
    }
    thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// How many threads this machine runs at once.
#[expect(clippy::disallowed_methods, reason = "the number of threads is not to be seen in what they give")]
pub(crate) fn jobs_of_machine() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Tells the threads to end, also when `merge` panics.
struct StopsAll<'a>(&'a AtomicBool);

impl Drop for StopsAll<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::run_in_order;

    /// Runs of quite different lengths, so that they end out of order.
    fn work(number: u64) -> u64 {
        (0..(number * 7919 % 13) * 1000).fold(number, |sum, step| sum.wrapping_mul(31).wrapping_add(step))
    }

    #[test]
    fn results_come_in_order_and_alike_on_any_number_of_threads() {
        let merged = |jobs, stop| {
            let mut merged = Vec::new();
            run_in_order(200, jobs, work, |number, result| {
                merged.push((number, result));
                if number == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            merged
        };
        let all: Vec<_> = (0..200).map(|number| (number, work(number))).collect();
        for jobs in [1, 2, 7] {
            assert_eq!(merged(jobs, 1000), all);
            assert_eq!(merged(jobs, 50), all[..=50]);
        }
        run_in_order(0, 4, work, |_, _| panic!("there is nothing to merge"));
    }
}

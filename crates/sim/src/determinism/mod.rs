//! Checks that a seed is a run: runs it twice, the second time on another thread and a heap of another shape, and
//! compares all that both recorded.
//!
//! A thread has hash keys of its own, its values lie in other places, and the time on the wall is another. What
//! depends on one of these makes the two runs differ, as soon as it changes anything that is recorded: what is
//! sent, slept, drawn, started, stored or noted, and in which order.

mod divergence;
mod heap;

use std::cell::Cell;
use std::thread;

use crate::determinism::heap::Shuffled;
use crate::runner::RunReport;

pub use divergence::Divergence;

/// What is kept of a run that is made for comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// What the first run kept.
    AsBefore,
    /// Its events too.
    Events,
}

/// Makes a run once more by `run`, and compares it with `first`.
///
/// # Errors
///
/// [`Divergence`] if they differ.
pub(crate) fn compare(
    first: &RunReport,
    run: &(dyn Fn(Keeps) -> RunReport + Sync),
) -> Result<(), Box<Divergence>> {
    let second = elsewhere(first.seed, 0, || run(Keeps::AsBefore));
    if is_same(first, &second) {
        return Ok(());
    }
    // What differs by chance differs again, though it may be elsewhere.
    for attempt in 1..=ATTEMPTS {
        let left = run(Keeps::Events);
        let right = elsewhere(first.seed, attempt, || run(Keeps::Events));
        if !is_same(&left, &right) {
            return Err(Box::new(Divergence::between(&left, &right)));
        }
    }
    Err(Box::new(Divergence::between(first, &second)))
}

/// Calls `run` on a thread of its own, with a heap that is full of holes.
fn elsewhere(seed: u64, attempt: u64, run: impl FnOnce() -> RunReport + Send) -> RunReport {
    thread::scope(|scope| {
        let run = scope.spawn(move || {
            let _holes = Shuffled::new(seed ^ attempt);
            SALT.set(attempt + 1);
            run()
        });
        run.join().expect("a run contains the panics of its test")
    })
}

/// Shifts what no program should know, such as the keys of hash maps where those are intercepted: on the threads of
/// runs that are compared with a first one it is another number.
#[cfg(all(feature = "intercept", target_os = "linux"))]
pub(crate) fn salt() -> u64 {
    SALT.get()
}

fn is_same(left: &RunReport, right: &RunReport) -> bool {
    let outcome = |report: &RunReport| {
        let kinds: Vec<String> = report.failures.iter().map(|failure| failure.kind().to_owned()).collect();
        (report.hash, report.events, report.polls, report.ended_at, kinds)
    };
    outcome(left) == outcome(right) && left.tape == right.tape
}

thread_local! {
    static SALT: Cell<u64> = const { Cell::new(0) };
}

/// How often two runs are made that keep their events, to find where they differ.
const ATTEMPTS: u64 = 5;

#[cfg(test)]
mod tests;

//! Suites that every implementation of the traits must pass.
//!
//! An implementation gives a [`Harness`] and calls [`check`] with the cases of each suite:
//!
//! ```text
//! #[test]
//! fn storage_keeps_the_contract() {
//!     contract::check(&MyHarness, &contract::storage::cases());
//! }
//! ```
//!
//! A case is a plain async function over [`Providers`]; each starts in a fresh world. Cases that need what a
//! harness does not have, such as a power cut, are skipped, and the skips are counted and printed.

pub mod network;
pub mod random;
pub mod storage;
pub mod task;
pub mod time;

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use crate::{JoinError, Providers, TaskProvider, TimeProvider};

/// Runs test bodies on one implementation of the traits.
pub trait Harness {
    /// The implementation.
    type Providers: Providers;

    /// Runs `test` to its end in a fresh, empty world. Panics if it panics.
    fn run<Fut: Future<Output = ()> + 'static>(&self, test: impl FnOnce(Self::Providers) -> Fut);

    /// Runs `before` in a fresh world, cuts the power, and runs `after` on what is left of its storage.
    /// Everything that was not synced should be lost, as far as the harness can. By default there is no power
    /// cut to be had, and nothing is run.
    fn run_across_power_cut<Before, After>(
        &self,
        before: impl FnOnce(Self::Providers) -> Before,
        after: impl FnOnce(Self::Providers) -> After,
    ) -> Outcome
    where
        Before: Future<Output = ()> + 'static,
        After: Future<Output = ()> + 'static,
    {
        let _ = (before, after);
        Outcome::Skipped("no power cut to be had")
    }
}

/// One fact that must hold.
pub struct Case<H> {
    /// The fact, as the name of the function that checks it.
    pub name: &'static str,
    run: fn(&H) -> Outcome,
}

impl<H> fmt::Debug for Case<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How a case ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The fact holds.
    Held,
    /// The harness lacks what the case needs.
    Skipped(&'static str),
}

/// A case that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The fact that does not hold.
    pub case: &'static str,
    /// What was seen instead.
    pub message: String,
}

/// Runs `cases`.
///
/// # Panics
///
/// If any fails, after all were run, with the names and messages of those.
#[track_caller]
pub fn check<H: Harness>(harness: &H, cases: &[Case<H>]) {
    let failures = failures(harness, cases);
    let list: Vec<String> = failures.iter().map(|f| format!("{}: {}", f.case, f.message)).collect();
    assert!(failures.is_empty(), "{} of {} cases failed:\n{}", list.len(), cases.len(), list.join("\n"));
}

/// Runs `cases` and tells which failed. Skips are printed. For tests of the suite itself; see [`check`].
pub fn failures<H: Harness>(harness: &H, cases: &[Case<H>]) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut skipped = 0;
    for case in cases {
        match catch_unwind(AssertUnwindSafe(|| (case.run)(harness))) {
            Ok(Outcome::Held) => {}
            Ok(Outcome::Skipped(reason)) => {
                skipped += 1;
                println!("skipped {}: {reason}", case.name);
            }
            Err(payload) => {
                let message = match JoinError::from_panic(&*payload) {
                    JoinError::Panicked { message } => message,
                    JoinError::Cancelled => unreachable!("a panic is no cancellation"),
                };
                failures.push(Failure { case: case.name, message });
            }
        }
    }
    println!("{} cases, {skipped} skipped, {} failed", cases.len(), failures.len());
    failures
}

/// Polls `future` once and tells whether it is over.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// Gives everything that is under way the time to end: in real time that of a slow disk or socket.
async fn settle<P: Providers>(world: &P) {
    for _ in 0..8 {
        world.task().yield_now().await;
    }
    world.time().sleep(SETTLE).await;
}

/// Long enough for a byte over loopback or a write to a file on a busy machine; a suite waits this long some
/// dozens of times.
const SETTLE: Duration = Duration::from_millis(3);

/// No operation of the suites takes this long; a call that hangs fails its case instead of the whole run.
const PATIENCE: Duration = Duration::from_secs(20);

/// Gives `future` the suites' patience.
async fn soon<P: Providers, F: Future>(world: &P, what: &str, future: F) -> F::Output {
    match world.time().timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(elapsed) => panic!("{what}: {elapsed}"),
    }
}

/// The case called as its function, which runs in a fresh world.
macro_rules! case {
    ($function:ident) => {
        Case {
            name: stringify!($function),
            run: |harness: &H| {
                harness.run($function::<H::Providers>);
                Outcome::Held
            },
        }
    };
}
use case;

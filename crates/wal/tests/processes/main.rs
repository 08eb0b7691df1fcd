//! The log in processes of its own: the command, deaths, and failures of real files.
//!
//! A binary of its own, in which one test runs at a time: a process that is just being started holds the locks of
//! all logs that are open in the one which starts it, for a moment, and another test would find its log in use.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Mutex, MutexGuard, PoisonError};

#[cfg(feature = "cli")]
mod cli;
mod deaths;
#[path = "../it/model.rs"]
#[expect(dead_code, reason = "the tests in memory use more of it")]
mod model;
mod real_faults;

/// What the model takes its options from.
mod public {
    use samestep_wal::{LogId, Options};

    pub(crate) fn small() -> Options {
        let mut options = Options::create(LogId::new(*b"samestep-wal-tst"));
        options.segment_bytes = 8192;
        options
    }
}

/// Keeps the other tests of this binary waiting.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

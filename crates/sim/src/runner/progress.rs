//! A line now and then while a campaign is long, on standard error.

use std::time::Duration;

use crate::runner::clock::WallTimer;

/// Tells how far a campaign is.
pub(crate) struct Progress<'a> {
    name: &'a str,
    timer: WallTimer,
    next: Duration,
}

impl<'a> Progress<'a> {
    pub(crate) fn start(name: &'a str) -> Self {
        Self { name, timer: WallTimer::start(), next: FIRST_AFTER }
    }

    /// `runs` of `count` are made, of which `failed` failed.
    pub(crate) fn tell(&mut self, runs: u64, count: u64, failed: usize) {
        let elapsed = self.timer.elapsed();
        if elapsed < self.next {
            return;
        }
        self.next = elapsed + EVERY;
        let (name, seconds) = (self.name, elapsed.as_secs());
        let of = if count == u64::MAX { String::new() } else { format!(" of {count}") };
        eprintln!("{name}: {runs}{of} seeds in {seconds} s, {failed} failed");
    }
}

const FIRST_AFTER: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_secs(10);

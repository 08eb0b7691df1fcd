//! Time, as drivers measure it. The cores are told.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the blocking face measures barriers and keeps the interval of its policy; bytes never depend on it"
)]

use std::time::{Duration, Instant};

/// Time since the log was opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Duration {
        #[cfg(test)]
        if let Some(now) = crate::sync::scheduled::now() {
            return now;
        }
        self.start.elapsed()
    }
}

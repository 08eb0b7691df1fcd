//! Time on the wall, for limits and reports of campaigns. Nothing of it enters a run.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "how long a campaign takes is not a run's affair"
)]

use std::time::{Duration, Instant};

/// Measures time since it was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallTimer(Instant);

impl WallTimer {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

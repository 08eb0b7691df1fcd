//! The clock that never goes back.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time since some start, the same for all threads.
pub(crate) fn monotonic() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).expect("the clock counts from boot")
}

//! A task's state, as far as its wakers and its thread must agree on it.

use super::sync::{AtomicU32, Ordering};

/// Flags of one task. It is scheduled by whoever sets the flag first, and the flag is cleared only by the task's
/// thread, before it polls: so a wake that finds it set is followed by a poll that sees what was written before.
#[derive(Debug)]
pub(super) struct Flags(AtomicU32);

impl Flags {
    /// Of a task that is about to be scheduled.
    pub(super) fn scheduled() -> Self {
        Self(AtomicU32::new(SCHEDULED))
    }

    /// Whether a wake would change nothing. On the task's thread only: elsewhere what this says may be over.
    pub(super) fn is_wake_vain(&self) -> bool {
        self.0.load(Ordering::Relaxed) & (SCHEDULED | DONE) != 0
    }

    /// Notes a wake. Tells whether the task is to be put into its queue.
    pub(super) fn wake(&self) -> bool {
        self.0.fetch_or(SCHEDULED, Ordering::AcqRel) & (SCHEDULED | DONE) == 0
    }

    /// Notes that the task was taken from its queue to be polled.
    pub(super) fn begin_run(&self) -> Run {
        let flags = self.0.fetch_and(!SCHEDULED, Ordering::AcqRel);
        if flags & DONE != 0 {
            Run::Over
        } else if flags & ABORTED != 0 {
            Run::Abort
        } else {
            Run::Poll
        }
    }

    /// Notes that the future is gone. Tells whether anybody may ask for the output.
    pub(super) fn finish(&self) -> bool {
        self.0.fetch_or(DONE, Ordering::AcqRel) & DETACHED == 0
    }

    /// Notes that nobody will ask for the output. Tells whether it is there.
    pub(super) fn detach(&self) -> bool {
        self.0.fetch_or(DETACHED, Ordering::AcqRel) & DONE != 0
    }

    /// Has the future dropped at the task's next turn.
    pub(super) fn abort(&self) {
        self.0.fetch_or(ABORTED, Ordering::AcqRel);
    }

    pub(super) fn is_done(&self) -> bool {
        self.0.load(Ordering::Acquire) & DONE != 0
    }

    pub(super) fn is_scheduled(&self) -> bool {
        self.0.load(Ordering::Relaxed) & SCHEDULED != 0
    }
}

/// What is to be done with a task whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    Poll,
    /// Its future is to be dropped.
    Abort,
    /// Its future is gone.
    Over,
}

/// It is in a queue, or about to be.
const SCHEDULED: u32 = 1;
/// Its future is gone, and its output is there, or was.
const DONE: u32 = 2;
/// Its future is to be dropped.
const ABORTED: u32 = 4;
/// Nobody will ask for its output.
const DETACHED: u32 = 8;

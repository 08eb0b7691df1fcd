//! What a running task is to be interrupted for, in one byte: between two tasks the loop looks at nothing else.

use std::cell::Cell;

/// Reasons to look closer.
#[derive(Debug, Default)]
pub(crate) struct Attention(Cell<u8>);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A queue whose latency matters has got something to run.
    UrgentNews = 1,
    /// The running task is asked to yield. Stays so until the loop has looked around.
    Preempted = 2,
    /// Something may be under way on the latency ring.
    UrgentUnderWay = 4,
}

impl Attention {
    pub(crate) fn set(&self, reason: Reason) {
        self.0.set(self.0.get() | reason as u8);
    }

    pub(crate) fn clear(&self, reason: Reason) {
        self.0.set(self.0.get() & !(reason as u8));
    }

    pub(crate) fn has(&self, reason: Reason) -> bool {
        self.0.get() & reason as u8 != 0
    }

    /// Whether there is no reason at all.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.0.get() == 0
    }

    /// Whether there was this reason. There is not from here on.
    pub(crate) fn take(&self, reason: Reason) -> bool {
        let had = self.has(reason);
        self.clear(reason);
        had
    }
}

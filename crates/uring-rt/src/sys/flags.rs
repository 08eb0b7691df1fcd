//! What a task's thread and all others must agree on to wake it.

use super::sync::{AtomicBool, Ordering};

/// Flags of one task. Whoever is first to [summon](Self::summon) it puts it into the stack of its shard; the shard
/// takes it out, [answers](Self::answer), and only then polls: so a summons that finds the task summoned is followed by
/// a poll that sees what was written before.
///
/// On its own thread a task is woken without these.
#[derive(Debug)]
pub(super) struct Flags {
    is_summoned: AtomicBool,
    is_over: AtomicBool,
}

impl Flags {
    pub(super) fn new() -> Self {
        Self { is_summoned: AtomicBool::new(false), is_over: AtomicBool::new(false) }
    }

    /// Notes a wake from elsewhere. Tells whether the task is to be put into the stack: not if it is there, or known to
    /// be over, which saves its shard being woken for nothing.
    pub(super) fn summon(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed) && !self.is_summoned.swap(true, Ordering::AcqRel)
    }

    /// Notes that the task was taken from the stack. What was written before a summons is seen from here on.
    pub(super) fn answer(&self) {
        self.is_summoned.swap(false, Ordering::AcqRel);
    }

    /// Notes that the future is gone.
    pub(super) fn finish(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_summoned(&self) -> bool {
        self.is_summoned.load(Ordering::Relaxed)
    }
}

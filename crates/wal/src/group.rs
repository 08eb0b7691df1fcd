//! Groups: records that become durable, or fail, together, and those who wait for that.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::task::Waker;

use crate::error::Failure;
use crate::sync::{Mutex, OnceLock};

/// Becomes settled once, for all who wait. Threads sleep on the outcome itself: where the platform has a futex,
/// settling wakes all of them by one call of the system, and by none if nobody waits.
#[derive(Debug, Default)]
pub(crate) struct Group {
    outcome: OnceLock<Result<(), Failure>>,
    /// Of futures, each in the place that it was given at its first poll.
    wakers: Mutex<Vec<Waker>>,
}

impl Group {
    pub(crate) fn outcome(&self) -> Option<&Result<(), Failure>> {
        self.outcome.get()
    }

    /// Sleeps until the group is settled. Somebody else must be about to see to that.
    pub(crate) fn wait(&self) -> &Result<(), Failure> {
        self.outcome.wait()
    }

    /// Settles the group and wakes all who wait. A second outcome changes nothing.
    pub(crate) fn settle(&self, outcome: Result<(), Failure>) {
        let _earlier = self.outcome.set(outcome);
        // Whoever registers later finds the outcome: it looks again under this lock.
        let wakers = std::mem::take(&mut *self.wakers.lock().unwrap_or_else(PoisonError::into_inner));
        for waker in wakers {
            // One that panics, against its contract, must not keep the others asleep.
            let _panic = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }

    /// Wakes `waker` when the group is settled; `place` is where this future's last one is kept. `false`: it is
    /// settled already, and nobody will be woken.
    pub(crate) fn register(&self, place: &mut Option<usize>, waker: &Waker) -> bool {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        if self.outcome.get().is_some() {
            return false;
        }
        if let Some(known) = place.and_then(|at| wakers.get_mut(at)) {
            known.clone_from(waker);
        } else {
            *place = Some(wakers.len());
            wakers.push(waker.clone());
        }
        true
    }

    /// Makes a settled group as new, to be used again.
    pub(crate) fn reset(&mut self) {
        self.outcome.take();
        self.wakers.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

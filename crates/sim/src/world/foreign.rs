//! Wakes from other threads: when they come depends on the machine, so a run that has any is none of its seed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::world::registry::WorldId;
use crate::world::waker::TaskRef;

/// Wakes of one world's tasks from threads that are not the world's.
#[derive(Debug, Default)]
pub(crate) struct ForeignWakes {
    is_any: AtomicBool,
    list: Mutex<Vec<ForeignWake>>,
}

/// One wake from another thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ForeignWake {
    pub(crate) task: TaskRef,
}

impl ForeignWakes {
    /// Whether there are any since they were last taken.
    pub(super) fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Acquire)
    }

    /// The wakes since they were last taken.
    pub(crate) fn take(&self) -> Vec<ForeignWake> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_any.store(false, Ordering::Release);
        std::mem::take(&mut list)
    }
}

/// Begins to listen for wakes of the tasks of `world`.
pub(super) fn listen(world: WorldId) -> Arc<ForeignWakes> {
    let wakes = Arc::<ForeignWakes>::default();
    LIVE.lock().unwrap_or_else(PoisonError::into_inner).insert(world, Arc::clone(&wakes));
    wakes
}

/// Ends it: a waker that outlives its world wakes nobody, from wherever.
pub(super) fn ignore(world: WorldId) {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner).remove(&world);
}

/// Tells a world that is not of this thread that one of its tasks was woken. The task is not: see the module.
#[cold]
pub(super) fn woken(task: TaskRef) {
    let live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(wakes) = live.get(&task.world) {
        wakes.list.lock().unwrap_or_else(PoisonError::into_inner).push(ForeignWake { task });
        wakes.is_any.store(true, Ordering::Release);
    }
}

/// The worlds of all threads.
static LIVE: Mutex<BTreeMap<WorldId, Arc<ForeignWakes>>> = Mutex::new(BTreeMap::new());

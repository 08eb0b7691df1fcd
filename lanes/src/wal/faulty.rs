//! A disk that fails at a chosen operation, over an image or over real files.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use samestep_wal::{Disk, Op};

/// Which operations are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// Barriers: of files and of folders.
    Syncs,
    /// What needs room: writes, zeros, new files.
    Writes,
    /// All that changes the disk.
    Changes,
}

/// What the chosen operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It fails, once, and does nothing.
    Fails(io::ErrorKind),
    /// It and every later one do nothing: for the files, the process is dead.
    Dies,
}

/// A disk of which the operation number `at`, counted from 0, has a fault.
#[derive(Debug)]
pub(super) struct Faulty<D> {
    inner: D,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug)]
struct Plan {
    counted: Counted,
    fault: Fault,
    left: u64,
    has_struck: bool,
}

impl<D: Disk> Faulty<D> {
    pub(super) fn new(inner: D, counted: Counted, at: u64, fault: Fault) -> Self {
        Self { inner, plan: Arc::new(Mutex::new(Plan { counted, fault, left: at, has_struck: false })) }
    }

    /// Tells later whether the fault has struck.
    pub(super) fn watch(&self) -> impl Fn() -> bool + use<D> {
        let plan = Arc::clone(&self.plan);
        move || lock(&plan).has_struck
    }
}

impl<D: Disk> Disk for Faulty<D> {
    fn perform(&mut self, op: &mut Op) -> io::Result<u64> {
        match lock(&self.plan).strike(op) {
            Some(kind) => Err(kind.into()),
            None => self.inner.perform(op),
        }
    }

    fn reader(&self) -> Self {
        Self { inner: self.inner.reader(), plan: Arc::clone(&self.plan) }
    }
}

impl Plan {
    /// The error that `op` ends with instead of being done.
    fn strike(&mut self, op: &Op) -> Option<io::ErrorKind> {
        if self.has_struck {
            return (self.fault == Fault::Dies).then_some(io::ErrorKind::BrokenPipe);
        }
        if !self.counts(op) {
            return None;
        }
        let Some(left) = self.left.checked_sub(1) else {
            self.has_struck = true;
            return Some(match self.fault {
                Fault::Fails(kind) => kind,
                Fault::Dies => io::ErrorKind::BrokenPipe,
            });
        };
        self.left = left;
        None
    }

    fn counts(&self, op: &Op) -> bool {
        let is_sync = matches!(op, Op::SyncData { .. } | Op::SyncDir | Op::SyncParent);
        let is_write = matches!(op, Op::WriteAt { .. } | Op::WriteZeros { .. } | Op::Create { .. });
        match self.counted {
            Counted::Syncs => is_sync,
            Counted::Writes => is_write,
            Counted::Changes => {
                is_sync || is_write || matches!(op, Op::SetLen { .. } | Op::Remove { .. } | Op::CreateDir)
            }
        }
    }
}

fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

//! All, or nobody yet.

use std::cell::Cell;

use crate::waiters::Waiters;
use crate::waits::WaitsOn;

/// Lets tasks go on in groups of a given size: each waits for the others of its group.
#[derive(Debug)]
pub struct Barrier {
    size: usize,
    arrived: Cell<usize>,
    /// Groups that were complete.
    groups: Cell<u64>,
    changed: Waiters,
}

impl Barrier {
    /// For groups of `size`; nobody waits if that is 0 or 1.
    pub fn new(size: usize) -> Self {
        Self {
            size: size.max(1),
            arrived: Cell::new(0),
            groups: Cell::new(0),
            changed: Waiters::on(WaitsOn::Barrier),
        }
    }

    /// Waits until the group is complete. Tells one of each group, the last to come, that it is the one.
    ///
    /// Who is dropped while waiting has not come.
    pub async fn wait(&self) -> bool {
        if self.arrived.get() + 1 == self.size {
            self.arrived.set(0);
            self.groups.set(self.groups.get() + 1);
            self.changed.notify();
            return true;
        }
        self.arrived.set(self.arrived.get() + 1);
        let group = self.groups.get();
        let _arrival = Arrival { barrier: self, group };
        self.changed.until_true(|| self.groups.get() != group).await;
        false
    }
}

/// One who waits for its group.
struct Arrival<'a> {
    barrier: &'a Barrier,
    group: u64,
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        if self.barrier.groups.get() == self.group {
            self.barrier.arrived.set(self.barrier.arrived.get() - 1);
        }
    }
}

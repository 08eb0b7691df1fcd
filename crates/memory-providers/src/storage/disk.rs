//! The disk: a tree of files behind one handle, room that can run out, and operations that can be made to fail.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::rc::Rc;

use samestep_provider_traits::Space;

use super::tree::{NodeId, Tree};

/// A disk in memory. Clones are handles to the same disk.
///
/// # Fault model
///
/// An operation that changes the disk (a write, an allocation, a length, a name, a sync) can be made to fail:
/// one that fails does nothing, but that a write on a disk that is full stores what fits. A failed sync leaves
/// what was not durable so, and the open file never syncs again. A power cut drops all that was not synced.
#[derive(Clone)]
pub struct MemoryDisk {
    state: Rc<RefCell<State>>,
}

struct State {
    tree: Tree,
    /// What the next operations that change the disk do, in order; those behind succeed.
    plan: Option<Fault>,
    change_count: u64,
}

/// A failure to come.
struct Fault {
    /// How many operations succeed before.
    after: u64,
    kind: io::ErrorKind,
}

impl MemoryDisk {
    /// An empty disk without limit.
    pub fn new() -> Self {
        Self::from_tree(Tree::new())
    }

    fn from_tree(tree: Tree) -> Self {
        Self { state: Rc::new(RefCell::new(State { tree, plan: None, change_count: 0 })) }
    }

    /// Gives the disk room for `bytes` of file contents, in place of what it had; what is stored stays, even if it
    /// is more.
    pub fn set_capacity(&self, bytes: u64) {
        self.state.borrow_mut().tree.set_capacity(bytes);
    }

    /// Lets `count` operations that change the disk succeed, and the next one fail with `kind`; all behind
    /// succeed again. Replaces an earlier plan.
    pub fn fail_after(&self, count: u64, kind: io::ErrorKind) {
        self.state.borrow_mut().plan = Some(Fault { after: count, kind });
    }

    /// How many operations that change the disk were tried so far.
    pub fn change_count(&self) -> u64 {
        self.state.borrow().change_count
    }

    /// A disk with what of this one would be left if the power failed now: the least that the traits allow. This
    /// one stays as it is.
    pub fn after_power_cut(&self) -> Self {
        Self::from_tree(self.state.borrow().tree.durable())
    }

    pub(super) fn space(&self) -> Space {
        self.state.borrow().tree.space()
    }

    /// Does `operate`, which changes nothing that a power cut could lose.
    pub(super) fn look<T>(&self, operate: impl FnOnce(&mut Tree) -> io::Result<T>) -> io::Result<T> {
        operate(&mut self.state.borrow_mut().tree)
    }

    /// Does `operate`, unless it is to fail.
    pub(super) fn change<T>(&self, operate: impl FnOnce(&mut Tree) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.borrow_mut();
        state.change_count += 1;
        match &mut state.plan {
            Some(Fault { after: 0, kind }) => {
                let kind = *kind;
                state.plan = None;
                return Err(io::Error::new(kind, "this failure was asked for"));
            }
            Some(fault) => fault.after -= 1,
            None => {}
        }
        operate(&mut state.tree)
    }

    pub(super) fn unlock(&self, node: NodeId) {
        self.state.borrow_mut().tree.unlock(node);
    }

    pub(super) fn close(&self, node: NodeId) {
        self.state.borrow_mut().tree.close(node);
    }
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.borrow();
        f.debug_struct("MemoryDisk")
            .field("space", &state.tree.space())
            .field("change_count", &state.change_count)
            .finish_non_exhaustive()
    }
}

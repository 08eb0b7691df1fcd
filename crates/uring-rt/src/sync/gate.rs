//! Who is inside, and waiting for all to leave.

use std::cell::Cell;
use std::rc::Rc;

use crate::waiters::Waiters;
use crate::waits::WaitsOn;

/// Counts who is inside, and can be closed: then nobody comes in any more, and whoever closes it can wait until all
/// have left. What is used inside can be taken down after that. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Rc<State>);

#[derive(Debug)]
struct State {
    inside: Cell<usize>,
    is_closed: Cell<bool>,
    changed: Waiters,
}

impl Default for State {
    fn default() -> Self {
        let (inside, is_closed) = (Cell::default(), Cell::default());
        Self { inside, is_closed, changed: Waiters::on(WaitsOn::Gate) }
    }
}

/// Somebody is inside while this is there.
#[derive(Debug)]
#[must_use = "who drops this has left"]
pub struct Pass(Rc<State>);

/// The gate was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gate was closed")]
pub struct GateClosed;

impl Gate {
    /// A gate that is open, with nobody inside.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes in.
    ///
    /// # Errors
    ///
    /// [`GateClosed`] once [`Self::close`] was called.
    pub fn enter(&self) -> Result<Pass, GateClosed> {
        if self.0.is_closed.get() {
            return Err(GateClosed);
        }
        self.0.inside.set(self.0.inside.get() + 1);
        Ok(Pass(Rc::clone(&self.0)))
    }

    /// Closes the gate at once, for good, and waits until all have left. May be called again, by others too: each waits.
    /// It was closed even if this is not waited for.
    pub fn close(&self) -> impl Future<Output = ()> + use<> {
        self.0.is_closed.set(true);
        let state = Rc::clone(&self.0);
        async move { state.changed.until_true(|| state.inside.get() == 0).await }
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed.get()
    }

    /// How many are inside.
    pub fn inside(&self) -> usize {
        self.0.inside.get()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let left = self.0.inside.get() - 1;
        self.0.inside.set(left);
        if left == 0 {
            self.0.changed.notify();
        }
    }
}

//! Waiting for something on one thread to change, and knowing whether a future is still there.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Tasks that wait for a change.
#[derive(Debug, Default)]
pub(crate) struct Waiters(RefCell<Vec<Waker>>);

impl Waiters {
    /// Tells all who wait that something changed.
    pub(crate) fn notify(&self) {
        let wakers = self.0.take();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Ends when `condition` holds; it is looked at again after each [`Self::notify`].
    pub(crate) fn until(&self, mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
        poll_fn(move |cx| {
            if condition() {
                return Poll::Ready(());
            }
            self.0.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
    }
}

/// Tells an operation whether its future is still there.
#[derive(Clone, Default)]
pub(crate) struct Presence(Rc<Cell<bool>>);

impl Presence {
    /// Held by the future; the operation keeps a clone of the presence.
    pub(crate) fn guard(&self) -> PresenceGuard {
        self.0.set(true);
        PresenceGuard(self.clone())
    }

    pub(crate) fn is_there(&self) -> bool {
        self.0.get()
    }
}

pub(crate) struct PresenceGuard(Presence);

impl Drop for PresenceGuard {
    fn drop(&mut self) {
        self.0.0.set(false);
    }
}

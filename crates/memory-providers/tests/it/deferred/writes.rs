//! What a sync must wait for.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;

use super::wait::Waiters;

/// Writes that are under way on one open file.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    next: Cell<u64>,
    under_way: RefCell<BTreeSet<u64>>,
    /// Of a write whose future was gone when it failed; the next sync reports it.
    orphan_error: RefCell<Option<io::Error>>,
    waiters: Waiters,
}

impl Writes {
    pub(crate) fn begin(&self) -> u64 {
        let number = self.next.get();
        self.next.set(number + 1);
        self.under_way.borrow_mut().insert(number);
        number
    }

    pub(crate) fn end(&self, number: u64) {
        self.under_way.borrow_mut().remove(&number);
        self.waiters.notify();
    }

    /// Keeps the error of a write whose future is gone.
    pub(crate) fn keep_error(&self, error: &io::Error) {
        self.orphan_error.replace(Some(error.kind().into()));
    }

    /// Waits for the writes that have begun by now.
    pub(crate) async fn settle(&self) {
        let begun = self.next.get();
        self.waiters.until(|| self.under_way.borrow().first().is_none_or(|oldest| *oldest >= begun)).await;
    }

    /// The error that [`Self::keep_error`] kept, once.
    pub(crate) fn take_orphan_error(&self) -> io::Result<()> {
        self.orphan_error.take().map_or(Ok(()), Err)
    }
}

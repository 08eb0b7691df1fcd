//! The newest value.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;

use crate::waiters::Waiters;
use crate::waits::WaitsOn;

/// A value that one side changes and others look at: of many changes they may see the last only.
pub fn watch<T>(value: T) -> (WatchSender<T>, WatchReceiver<T>) {
    let shared = Rc::new(Shared {
        value: RefCell::new(value),
        version: Cell::new(0),
        is_over: Cell::new(false),
        changed: Waiters::on(WaitsOn::Watch),
    });
    (WatchSender(Rc::clone(&shared)), WatchReceiver { shared, seen: 0 })
}

/// Changes the value. When it is dropped the last value stays.
#[derive(Debug)]
pub struct WatchSender<T>(Rc<Shared<T>>);

/// Looks at the value. A clone has seen what this has.
#[derive(Debug)]
pub struct WatchReceiver<T> {
    shared: Rc<Shared<T>>,
    seen: u64,
}

#[derive(Debug)]
struct Shared<T> {
    value: RefCell<T>,
    version: Cell<u64>,
    is_over: Cell<bool>,
    changed: Waiters,
}

/// The value changes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sender is gone: the value changes no more")]
pub struct SenderGone;

impl<T> WatchSender<T> {
    /// Puts another value there, and gives the one before.
    ///
    /// # Panics
    ///
    /// If it is being looked at.
    pub fn send(&self, value: T) -> T {
        let before = self.0.value.replace(value);
        self.tell();
        before
    }

    /// Changes the value in place.
    ///
    /// # Panics
    ///
    /// If it is being looked at.
    pub fn modify(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.0.value.borrow_mut());
        self.tell();
    }

    /// The value now. It cannot be changed while it is looked at, so this is not kept over an await.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.0.value.borrow()
    }

    /// Another receiver, which has seen the value as it is now.
    pub fn subscribe(&self) -> WatchReceiver<T> {
        WatchReceiver { shared: Rc::clone(&self.0), seen: self.0.version.get() }
    }

    fn tell(&self) {
        self.0.version.set(self.0.version.get() + 1);
        self.0.changed.notify();
    }
}

impl<T> WatchReceiver<T> {
    /// The value now. It cannot be changed while it is looked at, so this is not kept over an await.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.value.borrow()
    }

    /// Waits until the value is another one than this receiver was told of last; at first, than when it was made.
    /// Dropped early, it was told nothing.
    ///
    /// # Errors
    ///
    /// [`SenderGone`] if it is not, and never will be.
    pub async fn changed(&mut self) -> Result<(), SenderGone> {
        let (shared, seen) = (&self.shared, self.seen);
        let look = || {
            let version = shared.version.get();
            if version != seen {
                return Some(Ok(version));
            }
            shared.is_over.get().then_some(Err(SenderGone))
        };
        self.seen = shared.changed.until(look).await?;
        Ok(())
    }

    /// Waits until `condition` holds for the value; it may hold at once.
    ///
    /// # Errors
    ///
    /// [`SenderGone`] if it does not, and never will.
    pub async fn wait_for(&mut self, mut condition: impl FnMut(&T) -> bool) -> Result<(), SenderGone> {
        loop {
            if condition(&self.borrow()) {
                return Ok(());
            }
            self.changed().await?;
        }
    }
}

impl<T> Clone for WatchReceiver<T> {
    fn clone(&self) -> Self {
        Self { shared: Rc::clone(&self.shared), seen: self.seen }
    }
}

impl<T> Drop for WatchSender<T> {
    fn drop(&mut self) {
        self.0.is_over.set(true);
        self.0.changed.notify();
    }
}

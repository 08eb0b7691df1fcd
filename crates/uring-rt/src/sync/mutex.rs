//! One at a time.

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::ops::{Deref, DerefMut};

use super::line::Line;
use crate::waits::WaitsOn;

/// A value that one task has at a time, over awaits too. Without awaits in between a [`RefCell`] will do.
///
/// A panic while it is held frees it as any other end does; what the value is then is for its users to know.
pub struct Mutex<T> {
    line: Line,
    value: RefCell<T>,
}

/// The value, while nobody else has it.
#[must_use = "the mutex is free when this is dropped"]
pub struct MutexGuard<'a, T> {
    // Given up before the permit is.
    value: RefMut<'a, T>,
    _turn: Turn<'a>,
}

/// A permit of a line, or all of them.
pub(super) struct Turn<'a> {
    pub(super) line: &'a Line,
    pub(super) count: usize,
}

impl<T> Mutex<T> {
    /// A mutex around `value`.
    pub fn new(value: T) -> Self {
        Self { line: Line::new(1, WaitsOn::Mutex), value: RefCell::new(value) }
    }

    /// Waits for the value, behind everybody who waits already.
    pub async fn lock(&self) -> MutexGuard<'_, T> {
        self.line.acquire(1).await.expect("the line of a mutex is never closed");
        self.guard()
    }

    /// The value, if nobody has it or waits for it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.line.try_acquire(1).expect("the line of a mutex is never closed").then(|| self.guard())
    }

    /// The value, which nobody else can have now.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// The value alone.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }

    fn guard(&self) -> MutexGuard<'_, T> {
        MutexGuard { value: self.value.borrow_mut(), _turn: Turn { line: &self.line, count: 1 } }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.line.release(self.count);
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mutex").field(&self.value).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MutexGuard").field(&*self.value).finish()
    }
}

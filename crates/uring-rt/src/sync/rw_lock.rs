//! Many who read, or one who writes.

use std::cell::{Ref, RefCell, RefMut};
use std::fmt;
use std::ops::{Deref, DerefMut};

use super::line::Line;
use super::mutex::Turn;
use crate::waits::WaitsOn;

/// A value that many tasks read at a time or one writes, over awaits too.
///
/// In the order in which they ask: a reader that comes after a waiting writer waits behind it. So a task that holds a
/// guard and asks for another one may wait for ever.
pub struct RwLock<T> {
    line: Line,
    value: RefCell<T>,
}

/// The value, while nobody writes it.
#[must_use = "the lock is free when this is dropped"]
pub struct ReadGuard<'a, T> {
    // Given up before the permit is.
    value: Ref<'a, T>,
    _turn: Turn<'a>,
}

/// The value, while nobody else has it.
#[must_use = "the lock is free when this is dropped"]
pub struct WriteGuard<'a, T> {
    // Given up before the permits are.
    value: RefMut<'a, T>,
    _turn: Turn<'a>,
}

impl<T> RwLock<T> {
    /// A lock around `value`.
    pub fn new(value: T) -> Self {
        Self { line: Line::new(ALL, WaitsOn::RwLock), value: RefCell::new(value) }
    }

    /// Waits until the value can be read, behind everybody who waits already.
    pub async fn read(&self) -> ReadGuard<'_, T> {
        self.line.acquire(1).await.expect(NEVER_CLOSED);
        self.read_guard()
    }

    /// Waits until the value can be written, behind everybody who waits already.
    pub async fn write(&self) -> WriteGuard<'_, T> {
        self.line.acquire(ALL).await.expect(NEVER_CLOSED);
        self.write_guard()
    }

    /// The value to read, if nobody writes it, and nobody waits.
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        self.line.try_acquire(1).expect(NEVER_CLOSED).then(|| self.read_guard())
    }

    /// The value to write, if nobody has it, and nobody waits.
    pub fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        self.line.try_acquire(ALL).expect(NEVER_CLOSED).then(|| self.write_guard())
    }

    /// The value, which nobody else can have now.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// The value alone.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }

    fn read_guard(&self) -> ReadGuard<'_, T> {
        ReadGuard { value: self.value.borrow(), _turn: Turn { line: &self.line, count: 1 } }
    }

    fn write_guard(&self) -> WriteGuard<'_, T> {
        WriteGuard { value: self.value.borrow_mut(), _turn: Turn { line: &self.line, count: ALL } }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Deref for WriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RwLock").field(&self.value).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for ReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadGuard").field(&*self.value).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for WriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteGuard").field(&*self.value).finish()
    }
}

/// More readers than there are; a writer takes all.
const ALL: usize = u32::MAX as usize;
const NEVER_CLOSED: &str = "the line of a lock is never closed";

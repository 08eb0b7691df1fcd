//! A number of permits.

use std::rc::Rc;

use super::line::{Closed, Line};
use crate::waits::WaitsOn;

/// A number of permits, handed out in the order in which they are asked for. Clones are the same semaphore.
///
/// ```
/// use samestep_uring_rt::sync::Semaphore;
///
/// let reads = Semaphore::new(2);
/// let permit = reads.try_acquire(2)?;
/// assert!(reads.try_acquire(1).is_err());
/// drop(permit);
/// assert_eq!(reads.available(), 2);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore(Rc<Line>);

/// Some permits, which go back when this is dropped.
#[derive(Debug)]
#[must_use = "permits go back when this is dropped"]
pub struct Permit {
    line: Rc<Line>,
    count: usize,
}

/// Why there will be no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the semaphore was closed")]
pub struct AcquireError;

/// Why there is no permit now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// Others have them, or wait for them.
    #[error("not so many permits are free: wait for them")]
    NoPermits,
    /// There will be none.
    #[error("the semaphore was closed")]
    Closed,
}

impl Semaphore {
    /// A semaphore with so many permits.
    pub fn new(permits: usize) -> Self {
        Self(Rc::new(Line::new(permits, WaitsOn::Semaphore)))
    }

    /// Waits for `count` permits, all at once, behind everybody who waits already.
    ///
    /// # Errors
    ///
    /// [`AcquireError`] if the semaphore was closed. Waits for ever if there are never so many.
    pub async fn acquire(&self, count: usize) -> Result<Permit, AcquireError> {
        let line = Rc::clone(&self.0);
        match line.acquire(count).await {
            Ok(()) => Ok(Permit { line, count }),
            Err(Closed) => Err(AcquireError),
        }
    }

    /// Takes `count` permits if they are there and nobody waits.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] tells whether it is worth waiting.
    pub fn try_acquire(&self, count: usize) -> Result<Permit, TryAcquireError> {
        match self.0.try_acquire(count) {
            Ok(true) => Ok(Permit { line: Rc::clone(&self.0), count }),
            Ok(false) => Err(TryAcquireError::NoPermits),
            Err(Closed) => Err(TryAcquireError::Closed),
        }
    }

    /// Adds permits.
    ///
    /// # Panics
    ///
    /// If there are then more than a `usize` counts.
    pub fn add(&self, permits: usize) {
        self.0.release(permits);
    }

    /// Tells all who wait, and all who come, that there will be no more. Permits that are out stay good.
    pub fn close(&self) {
        self.0.close();
    }

    /// Permits that nobody has. Some may be spoken for by those who wait.
    pub fn available(&self) -> usize {
        self.0.available()
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl Permit {
    /// How many they are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes some out of this, to be given back by themselves.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub fn split(&mut self, count: usize) -> Self {
        self.count = self.count.checked_sub(count).expect("a permit is split into parts of itself");
        Self { line: Rc::clone(&self.line), count }
    }

    /// Keeps the permits from ever going back.
    pub fn forget(mut self) {
        self.count = 0;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.count > 0 {
            self.line.release(self.count);
        }
    }
}

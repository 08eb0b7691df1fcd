//! A value that is made once.

use std::convert::Infallible;

use super::line::Line;
use super::mutex::Turn;
use crate::waits::WaitsOn;

/// A value that is made by the first who wants it, while the others wait.
///
/// Who makes it and is dropped, or fails, leaves it to the next.
#[derive(Debug)]
pub struct OnceCell<T> {
    value: std::cell::OnceCell<T>,
    line: Line,
}

impl<T> OnceCell<T> {
    /// Without a value.
    pub fn new() -> Self {
        Self { value: std::cell::OnceCell::new(), line: Line::new(1, WaitsOn::OnceCell) }
    }

    /// The value, if it was made.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// The value; `make` makes it if nobody has.
    pub async fn get_or_init<Fut: Future<Output = T>>(&self, make: impl FnOnce() -> Fut) -> &T {
        let Ok(value) = self.get_or_try_init(|| async { Ok::<T, Infallible>(make().await) }).await;
        value
    }

    /// As [`Self::get_or_init`], where making it may fail.
    ///
    /// # Errors
    ///
    /// Those of `make`. Then it was not made, and the next who wants it tries.
    pub async fn get_or_try_init<E, Fut: Future<Output = Result<T, E>>>(
        &self,
        make: impl FnOnce() -> Fut,
    ) -> Result<&T, E> {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        self.line.acquire(1).await.expect("the line of a cell is never closed");
        let _turn = Turn { line: &self.line, count: 1 };
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let value = make().await?;
        // `set` may have been called meanwhile: the first value stays.
        Ok(self.value.get_or_init(|| value))
    }

    /// Puts a value in.
    ///
    /// # Errors
    ///
    /// Gives it back if there is one.
    pub fn set(&self, value: T) -> Result<(), T> {
        self.value.set(value)
    }

    /// The value alone, if it was made.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

//! Tasks.

use std::fmt;
use std::future::Future;

/// Starts tasks on the thread of the caller.
pub trait TaskProvider: Clone + 'static {
    /// Handle to a task that ends with a `T`.
    type JoinHandle<T: 'static>: JoinHandle<T>;

    /// Starts `future` as a task of its own and returns at once: its first poll comes after this call.
    ///
    /// `name` is for people: dumps, traces and panics show it; it need not be unique.
    fn spawn<F>(&self, name: &str, future: F) -> Self::JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static;

    /// Lets other tasks that are ready run first.
    fn yield_now(&self) -> impl Future<Output = ()> + use<Self>;
}

/// Handle to a task. Awaiting it gives the task's output. Dropping it detaches the task, which goes on.
///
/// Polling it again after it gave its output panics or stays pending, as with any future.
pub trait JoinHandle<T>: Future<Output = Result<T, JoinError>> + Unpin + 'static {
    /// Cancels the task: its future is dropped at the next chance, and joining gives [`JoinError::Cancelled`]
    /// once it is dropped. Has no effect on a task that has ended, whose output stays to be joined.
    fn abort(&self);

    /// Whether the task has ended, in whatever way.
    fn is_finished(&self) -> bool;
}

/// Why a task gave no output. Complete by definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinError {
    /// It was aborted, or its runtime ended before it did.
    Cancelled,
    /// It panicked. The panic went no further: other tasks go on.
    Panicked {
        /// The panic's message, or a note that it was no text.
        message: String,
    },
}

impl JoinError {
    /// The error for a task that panicked with `payload`.
    pub fn from_panic(payload: &(dyn std::any::Any + Send)) -> Self {
        let message = if let Some(text) = payload.downcast_ref::<&str>() {
            (*text).to_owned()
        } else if let Some(text) = payload.downcast_ref::<String>() {
            text.clone()
        } else {
            "a panic whose payload is no text".to_owned()
        };
        Self::Panicked { message }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("task was cancelled"),
            Self::Panicked { message } => write!(f, "task panicked: {message}"),
        }
    }
}

impl std::error::Error for JoinError {}

//! The runtime that the providers need.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

/// A tokio runtime on the calling thread, with timers, sockets, and tasks that need not be `Send`.
///
/// What it builds is `Builder::new_current_thread().enable_io().enable_time()` and a `LocalSet`; a program that
/// has both already may use the providers there.
#[derive(Debug)]
pub struct TokioRuntime {
    // Before the runtime, so that tasks are dropped while it still is there to take back what they hold.
    tasks: LocalSet,
    runtime: Runtime,
}

impl TokioRuntime {
    /// A runtime without tasks.
    ///
    /// # Errors
    ///
    /// If the operating system gives it no file descriptors.
    pub fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        Ok(Self { tasks: LocalSet::new(), runtime })
    }

    /// Runs `future` to its end on this thread, and the tasks that are spawned while it does.
    ///
    /// Tasks that have not ended by then stay where they are, and go on in the next call. They are dropped with
    /// the runtime, which then waits for file operations that have begun.
    ///
    /// # Panics
    ///
    /// If `future` panics, or if this thread runs a runtime already.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.tasks.block_on(&self.runtime, future)
    }
}

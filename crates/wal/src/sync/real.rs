//! The standard library's primitives, and its threads.

use std::io;
use std::thread::{self, JoinHandle};

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, OnceLock};

/// A thread of our own.
#[derive(Debug)]
pub(crate) struct Thread(JoinHandle<()>);

impl Thread {
    #[expect(clippy::disallowed_methods, reason = "the blocking face is a driver, and this its one thread")]
    pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        thread::Builder::new().name(name.to_owned()).spawn(run).map(Self)
    }

    /// Waits until the thread is over. What it panicked with is lost.
    pub(crate) fn join(self) {
        let _panicked = self.0.join();
    }

    /// Whether this is the thread that asks.
    #[expect(
        clippy::disallowed_methods,
        reason = "only to know oneself: nothing depends on which thread it is"
    )]
    pub(crate) fn is_current(&self) -> bool {
        self.0.thread().id() == thread::current().id()
    }
}

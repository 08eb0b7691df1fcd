//! Tasks on the thread of the runtime.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use samestep_provider_traits::{JoinError, JoinHandle, TaskProvider};

/// Starts tasks on the current `LocalSet`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioTaskProvider {
    _private: (),
}

impl TokioTaskProvider {
    /// A handle to the tasks of whatever `LocalSet` it is used on.
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

impl TaskProvider for TokioTaskProvider {
    type JoinHandle<T: 'static> = TokioJoinHandle<T>;

    /// As the trait says. A task that panics is named on standard error, behind the panic's own message.
    ///
    /// # Panics
    ///
    /// If no `LocalSet` runs on this thread, as one does inside [`TokioRuntime`](crate::TokioRuntime).
    fn spawn<F>(&self, name: &str, future: F) -> TokioJoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let name = name.to_owned();
        let named = async move {
            let mut future = pin!(future);
            poll_fn(|cx| {
                let _names_the_panic = NamesThePanic { task: &name };
                future.as_mut().poll(cx)
            })
            .await
        };
        TokioJoinHandle { task: tokio::task::spawn_local(named) }
    }

    fn yield_now(&self) -> impl Future<Output = ()> + use<> {
        tokio::task::yield_now()
    }
}

/// Handle to a task.
pub struct TokioJoinHandle<T> {
    task: tokio::task::JoinHandle<T>,
}

impl<T: 'static> JoinHandle<T> for TokioJoinHandle<T> {
    fn abort(&self) {
        self.task.abort();
    }

    fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

impl<T> Future for TokioJoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task).poll(cx).map_err(|error| match error.try_into_panic() {
            Ok(payload) => JoinError::from_panic(&*payload),
            Err(_) => JoinError::Cancelled,
        })
    }
}

impl<T> fmt::Debug for TokioJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioJoinHandle").field("task", &self.task.id()).finish_non_exhaustive()
    }
}

/// Tells people which task it was. Tokio keeps the panic in the task's handle, where it may be dropped unseen.
struct NamesThePanic<'a> {
    task: &'a str,
}

impl Drop for NamesThePanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("that was task {:?}", self.task);
        }
    }
}

//! Threads for what no ring does without waiting: names, folders, locks.

use std::any::Any;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::waits::WaitsOn;

/// A shard's blocking threads: made when needed, gone when idle for a while.
#[derive(Debug, Default)]
pub(crate) struct BlockingPool(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    has_jobs: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    is_closed: bool,
}

type Job = Box<dyn FnOnce() + Send>;

/// Where a job leaves its output.
struct Desk<T> {
    output: Option<Result<T, Box<dyn Any + Send>>>,
    waker: Option<Waker>,
}

impl BlockingPool {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Runs `job` on a thread of its own and gives its output; panics if it panics. Begun when first polled; what was
    /// begun ends, whether or not anybody waits.
    ///
    /// # Errors
    ///
    /// If there is no thread, and none can be made.
    pub(crate) fn run<T: Send + 'static, J: FnOnce() -> T + Send + 'static>(
        &self,
        job: J,
    ) -> impl Future<Output = io::Result<T>> + use<T, J> {
        let shared = Arc::clone(&self.0);
        let desk = Arc::new(Mutex::new(Desk { output: None, waker: None }));
        let mut job: Option<Job> = Some(Box::new({
            let desk = Arc::clone(&desk);
            move || {
                let output = catch_unwind(AssertUnwindSafe(job));
                let waker = {
                    let mut desk = lock(&desk);
                    desk.output = Some(output);
                    desk.waker.take()
                };
                waker.into_iter().for_each(Waker::wake);
            }
        }));
        poll_fn(move |cx| {
            lock(&desk).waker = Some(cx.waker().clone());
            if let Some(job) = job.take() {
                shared.submit(job)?;
            }
            let output = lock(&desk).output.take();
            match output {
                None => {
                    WaitsOn::BlockingPool.note(cx.waker());
                    Poll::Pending
                }
                Some(Ok(output)) => Poll::Ready(Ok(output)),
                Some(Err(payload)) => resume_unwind(payload),
            }
        })
    }

    /// Takes no more jobs, and drops those that no thread has begun.
    pub(crate) fn close(&self) {
        let jobs = {
            let mut state = lock(&self.0.state);
            state.is_closed = true;
            std::mem::take(&mut state.jobs)
        };
        self.0.has_jobs.notify_all();
        drop(jobs);
    }
}

impl Drop for BlockingPool {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn submit(self: &Arc<Self>, job: Job) -> io::Result<()> {
        let mut state = lock(&self.state);
        if state.is_closed {
            return Err(io::Error::other("the runtime was shut down"));
        }
        state.jobs.push_back(job);
        if state.idle >= state.jobs.len() || state.threads == THREADS_MAX {
            drop(state);
            self.has_jobs.notify_one();
            return Ok(());
        }
        state.threads += 1;
        drop(state);
        let shared = Arc::clone(self);
        let thread = thread::Builder::new().name("uring-rt blocking".into());
        #[expect(clippy::disallowed_methods, reason = "what would block needs a thread that may")]
        let spawned = thread.spawn(move || shared.work());
        let Err(error) = spawned else { return Ok(()) };
        let mut state = lock(&self.state);
        state.threads -= 1;
        // Others may get to the job; without any it would wait for ever.
        if state.threads > 0 {
            Ok(())
        } else {
            state.jobs.clear();
            Err(error)
        }
    }

    fn work(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = lock(&self.state);
                continue;
            }
            if state.is_closed {
                break;
            }
            state.idle += 1;
            let waited = self.has_jobs.wait_timeout(state, IDLE_MAX);
            let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.idle -= 1;
            if timeout.timed_out() && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const THREADS_MAX: usize = 16;
const IDLE_MAX: Duration = Duration::from_secs(10);

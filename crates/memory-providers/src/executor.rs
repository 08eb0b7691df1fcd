//! The executor: a queue of woken tasks, and a clock that jumps when the queue is empty.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use samestep_provider_traits::{JoinError, JoinHandle, TaskProvider};

/// Runs tasks. Owns them: they are dropped with it.
pub(crate) struct Executor {
    core: Rc<Core>,
}

impl Executor {
    pub(crate) fn new() -> Self {
        Self { core: Rc::new(Core::default()) }
    }

    pub(crate) fn core(&self) -> Rc<Core> {
        Rc::clone(&self.core)
    }

    pub(crate) fn block_on<F: Future>(&self, program: F) -> F::Output {
        let mut program = pin!(program);
        let signal =
            Arc::new(Signal { task: PROGRAM, ready: Arc::clone(&self.core.ready), queued: true.into() });
        let waker = Waker::from(Arc::clone(&signal));
        self.core.ready.push(signal);
        loop {
            let Some(signal) = self.core.ready.pop() else {
                assert!(
                    self.core.jump(),
                    "nothing can happen any more, and these wait: {}",
                    self.core.waiting()
                );
                continue;
            };
            signal.queued.store(false, Ordering::Relaxed);
            if signal.task != PROGRAM {
                self.core.poll_task(signal.task);
            } else if let Poll::Ready(output) = program.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // Tasks hold providers and those hold the core, so the tasks go first; dropping one may spawn another.
        while let Some((_, task)) = self.core.pop_oldest_task() {
            drop(task);
        }
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("now", &self.core.now())
            .field("waiting", &self.core.waiting())
            .finish()
    }
}

/// What an executor and the providers of time and tasks share.
#[derive(Default)]
pub(crate) struct Core {
    now: Cell<Duration>,
    /// By deadline, then by age.
    timers: RefCell<BTreeMap<TimerKey, Waker>>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    next_key: Cell<u64>,
    ready: Arc<Ready>,
}

/// Deadline and age of a timer.
pub(crate) type TimerKey = (Duration, u64);

impl Core {
    pub(crate) fn now(&self) -> Duration {
        self.now.get()
    }

    /// Wakes `waker` at `deadline`, unless the timer is removed before.
    pub(crate) fn add_timer(&self, deadline: Duration, waker: Waker) -> TimerKey {
        let key = (deadline, self.next_key());
        self.timers.borrow_mut().insert(key, waker);
        key
    }

    /// Lets the timer wake `waker` from now on; no effect on one that has fired.
    pub(crate) fn set_timer_waker(&self, key: TimerKey, waker: &Waker) {
        if let Some(old) = self.timers.borrow_mut().get_mut(&key) {
            old.clone_from(waker);
        }
    }

    pub(crate) fn remove_timer(&self, key: TimerKey) {
        self.timers.borrow_mut().remove(&key);
    }

    /// Moves the clock to the next deadline and wakes all timers that have it. Tells whether there was one.
    fn jump(&self) -> bool {
        let Some(&(deadline, _)) = self.timers.borrow().keys().next() else {
            return false;
        };
        self.now.set(self.now.get().max(deadline));
        let later = self.timers.borrow_mut().split_off(&(deadline, u64::MAX));
        let due = self.timers.replace(later);
        due.into_values().for_each(Waker::wake);
        true
    }

    fn next_key(&self) -> u64 {
        let key = self.next_key.get();
        self.next_key.set(key + 1);
        key
    }

    fn add_task(&self, name: &str, future: TaskFuture) -> Arc<Signal> {
        let id = self.next_key();
        let signal = Arc::new(Signal { task: id, ready: Arc::clone(&self.ready), queued: true.into() });
        let waker = Waker::from(Arc::clone(&signal));
        self.tasks.borrow_mut().insert(id, Task { name: name.to_owned(), future: Some(future), waker });
        self.ready.push(Arc::clone(&signal));
        signal
    }

    fn poll_task(&self, id: u64) {
        // The future is taken out so that no user code runs under a borrow of the table.
        let Some((mut future, waker)) = self.tasks.borrow_mut().get_mut(&id).and_then(Task::take) else {
            return;
        };
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            let task = self.tasks.borrow_mut().remove(&id);
            drop(task);
        } else if let Some(task) = self.tasks.borrow_mut().get_mut(&id) {
            task.future = Some(future);
        }
    }

    fn pop_oldest_task(&self) -> Option<(u64, Task)> {
        self.tasks.borrow_mut().pop_first()
    }

    fn waiting(&self) -> String {
        let names: Vec<String> = self.tasks.borrow().values().map(|task| task.name.clone()).collect();
        if names.is_empty() {
            "the program, alone".to_owned()
        } else {
            format!("the program, {}", names.join(", "))
        }
    }
}

type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

struct Task {
    name: String,
    /// Absent while it is polled.
    future: Option<TaskFuture>,
    waker: Waker,
}

impl Task {
    fn take(&mut self) -> Option<(TaskFuture, Waker)> {
        let future = self.future.take()?;
        Some((future, self.waker.clone()))
    }
}

/// The waker of one task.
struct Signal {
    task: u64,
    ready: Arc<Ready>,
    queued: AtomicBool,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            let ready = Arc::clone(&self.ready);
            ready.push(self);
        }
    }
}

/// Woken tasks, oldest wake first. Behind a lock because a waker must be `Sync`.
#[derive(Default)]
struct Ready(Mutex<VecDeque<Arc<Signal>>>);

impl Ready {
    fn push(&self, signal: Arc<Signal>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(signal);
    }

    fn pop(&self) -> Option<Arc<Signal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Starts tasks in a [`MemoryWorld`](crate::MemoryWorld).
#[derive(Clone)]
pub struct MemoryTaskProvider {
    core: Rc<Core>,
}

impl MemoryTaskProvider {
    pub(crate) fn new(core: Rc<Core>) -> Self {
        Self { core }
    }
}

impl fmt::Debug for MemoryTaskProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTaskProvider").finish_non_exhaustive()
    }
}

impl TaskProvider for MemoryTaskProvider {
    type JoinHandle<T: 'static> = MemoryJoinHandle<T>;

    fn spawn<F>(&self, name: &str, future: F) -> MemoryJoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let join = Rc::new(Join {
            outcome: RefCell::new(None),
            joiner: RefCell::new(None),
            is_finished: Cell::new(false),
            is_aborted: Cell::new(false),
        });
        let task = {
            let join = Rc::clone(&join);
            async move {
                // On the heap, so that it can be dropped before its outcome is told.
                let mut future = Box::pin(future);
                let outcome = poll_fn(|cx| {
                    if join.is_aborted.get() {
                        return Poll::Ready(Err(JoinError::Cancelled));
                    }
                    match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                        Ok(poll) => poll.map(Ok),
                        Err(payload) => Poll::Ready(Err(JoinError::from_panic(&*payload))),
                    }
                })
                .await;
                drop(future);
                join.finish(outcome);
            }
        };
        MemoryJoinHandle { signal: self.core.add_task(name, Box::pin(task)), join }
    }

    fn yield_now(&self) -> impl Future<Output = ()> + use<> {
        let mut has_yielded = false;
        poll_fn(move |cx| {
            if has_yielded {
                return Poll::Ready(());
            }
            has_yielded = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }
}

/// Handle to a task of a [`MemoryWorld`](crate::MemoryWorld). Polling it after it gave its output stays pending.
pub struct MemoryJoinHandle<T> {
    signal: Arc<Signal>,
    join: Rc<Join<T>>,
}

/// What a task and its handle share.
struct Join<T> {
    outcome: RefCell<Option<Result<T, JoinError>>>,
    joiner: RefCell<Option<Waker>>,
    is_finished: Cell<bool>,
    is_aborted: Cell<bool>,
}

impl<T> Join<T> {
    fn finish(&self, outcome: Result<T, JoinError>) {
        self.outcome.replace(Some(outcome));
        self.is_finished.set(true);
        let joiner = self.joiner.take();
        joiner.into_iter().for_each(Waker::wake);
    }
}

impl<T> Future for MemoryJoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.join.outcome.take() {
            return Poll::Ready(outcome);
        }
        self.join.joiner.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl<T: 'static> JoinHandle<T> for MemoryJoinHandle<T> {
    fn abort(&self) {
        self.join.is_aborted.set(true);
        Arc::clone(&self.signal).wake();
    }

    fn is_finished(&self) -> bool {
        self.join.is_finished.get()
    }
}

impl<T> fmt::Debug for MemoryJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryJoinHandle")
            .field("is_finished", &self.join.is_finished.get())
            .finish_non_exhaustive()
    }
}

/// Stands for the program in the queue; tasks count from 0 and never get there.
const PROGRAM: u64 = u64::MAX;

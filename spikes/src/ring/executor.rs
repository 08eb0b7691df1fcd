//! The executor: woken tasks, real timers, and the ring between them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use samestep_provider_traits::{JoinError, JoinHandle, TaskProvider, TimeProvider};

use super::sys::Ring;

/// What all handles of one ring world share.
pub(super) struct Core {
    pub(super) ring: RefCell<Ring>,
    start: Duration,
    timers: RefCell<BTreeMap<(Duration, u64), Waker>>,
    tasks: RefCell<BTreeMap<u64, Option<TaskFuture>>>,
    next_key: Cell<u64>,
    ready: Arc<Ready>,
}

type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

#[derive(Default)]
struct Ready(Mutex<VecDeque<u64>>);

struct Signal {
    task: u64,
    ready: Arc<Ready>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.ready.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.task);
    }
}

impl Core {
    pub(super) fn new() -> std::io::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            ring: RefCell::new(Ring::new()?),
            start: monotonic(),
            timers: RefCell::default(),
            tasks: RefCell::default(),
            next_key: Cell::new(0),
            ready: Arc::default(),
        }))
    }

    pub(super) fn block_on<F: Future>(self: &Rc<Self>, program: F) -> F::Output {
        let mut program = pin!(program);
        let waker = self.waker(PROGRAM);
        waker.wake_by_ref();
        loop {
            while let Some(task) = self.pop_ready() {
                if task == PROGRAM {
                    if let Poll::Ready(output) = program.as_mut().poll(&mut Context::from_waker(&waker)) {
                        return output;
                    }
                } else {
                    self.poll_task(task);
                }
            }
            self.wait();
        }
    }

    /// Drops all tasks; they hold handles, and those hold this.
    pub(super) fn drop_tasks(&self) {
        while let Some(task) = self.pop_task() {
            drop(task);
        }
    }

    fn pop_task(&self) -> Option<(u64, Option<TaskFuture>)> {
        self.tasks.borrow_mut().pop_first()
    }

    fn wait(&self) {
        let next =
            self.timers.borrow().keys().next().map(|(deadline, _)| deadline.saturating_sub(self.now()));
        self.ring.borrow_mut().enter(next).expect("the ring can be entered");
        let to_do = self.ring.borrow_mut().reap();
        for work in to_do {
            work();
        }
        let later = self.timers.borrow_mut().split_off(&(self.now(), u64::MAX));
        let due = self.timers.replace(later);
        due.into_values().for_each(Waker::wake);
    }

    fn poll_task(&self, id: u64) {
        let Some(mut future) = self.tasks.borrow_mut().get_mut(&id).and_then(Option::take) else { return };
        if future.as_mut().poll(&mut Context::from_waker(&self.waker(id))).is_ready() {
            self.tasks.borrow_mut().remove(&id);
        } else if let Some(slot) = self.tasks.borrow_mut().get_mut(&id) {
            *slot = Some(future);
        }
    }

    fn pop_ready(&self) -> Option<u64> {
        self.ready.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn waker(&self, task: u64) -> Waker {
        Arc::new(Signal { task, ready: Arc::clone(&self.ready) }).into()
    }

    fn now(&self) -> Duration {
        monotonic() - self.start
    }

    fn key(&self) -> u64 {
        self.next_key.replace(self.next_key.get() + 1)
    }
}

fn monotonic() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).expect("the clock counts from boot")
}

/// The monotonic clock, and the wall clock.
#[derive(Clone)]
pub struct RingTime(pub(super) Rc<Core>);

impl TimeProvider for RingTime {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn wall_clock(&self) -> SystemTime {
        let now = Duration::try_from(clock_gettime(ClockId::Realtime)).expect("it is past 1970");
        SystemTime::UNIX_EPOCH + now
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + use<> {
        let time = self.clone();
        async move { time.sleep_until(time.now() + duration).await }
    }

    fn sleep_until(&self, deadline: Duration) -> impl Future<Output = ()> + use<> {
        let timer = Timer { core: Rc::clone(&self.0), key: (deadline, self.0.key()) };
        poll_fn(move |cx| {
            if timer.core.now() >= deadline {
                return Poll::Ready(());
            }
            timer.core.timers.borrow_mut().insert(timer.key, cx.waker().clone());
            Poll::Pending
        })
    }
}

struct Timer {
    core: Rc<Core>,
    key: (Duration, u64),
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.core.timers.borrow_mut().remove(&self.key);
    }
}

/// Tasks on the ring's thread.
#[derive(Clone)]
pub struct RingTasks(pub(super) Rc<Core>);

impl TaskProvider for RingTasks {
    type JoinHandle<T: 'static> = RingJoinHandle<T>;

    fn spawn<F>(&self, _name: &str, future: F) -> RingJoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let id = self.0.key();
        let waker = self.0.waker(id);
        let join =
            Rc::new(Join { outcome: RefCell::new(None), joiner: RefCell::default(), state: Cell::default() });
        let task = {
            let join = Rc::clone(&join);
            async move {
                let mut future = Box::pin(future);
                let outcome = poll_fn(|cx| {
                    if join.state.get() == State::Aborted {
                        return Poll::Ready(Err(JoinError::Cancelled));
                    }
                    match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                        Ok(poll) => poll.map(Ok),
                        Err(payload) => Poll::Ready(Err(JoinError::from_panic(&*payload))),
                    }
                })
                .await;
                drop(future);
                join.outcome.replace(Some(outcome));
                join.state.set(State::Finished);
                let joiner = join.joiner.take();
                joiner.into_iter().for_each(Waker::wake);
            }
        };
        self.0.tasks.borrow_mut().insert(id, Some(Box::pin(task)));
        waker.wake_by_ref();
        RingJoinHandle { join, waker }
    }

    fn yield_now(&self) -> impl Future<Output = ()> + use<> {
        let mut has_yielded = false;
        poll_fn(move |cx| {
            if std::mem::replace(&mut has_yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }
}

/// Handle to a task on the ring's thread.
pub struct RingJoinHandle<T> {
    join: Rc<Join<T>>,
    waker: Waker,
}

struct Join<T> {
    outcome: RefCell<Option<Result<T, JoinError>>>,
    joiner: RefCell<Option<Waker>>,
    state: Cell<State>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    Running,
    Aborted,
    Finished,
}

impl<T> Future for RingJoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.join.outcome.take() {
            return Poll::Ready(outcome);
        }
        self.join.joiner.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl<T: 'static> JoinHandle<T> for RingJoinHandle<T> {
    fn abort(&self) {
        if self.join.state.get() == State::Running {
            self.join.state.set(State::Aborted);
            self.waker.wake_by_ref();
        }
    }

    fn is_finished(&self) -> bool {
        self.join.state.get() == State::Finished
    }
}

const PROGRAM: u64 = u64::MAX;

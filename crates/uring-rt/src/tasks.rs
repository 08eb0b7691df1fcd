//! Tasks, and the queues they are in.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use samestep_provider_traits::{JoinError, JoinHandle, TaskProvider};

use crate::core::Core;
use crate::queues::{DEFAULT_SHARES, ROOT_GROUP};
use crate::shares::SharesController;
use crate::sys::JoinRef;

/// Tasks of one shard.
///
/// A task is spawned into the queue of the task that spawns it, unless another is named: see
/// [`spawn_into`](Self::spawn_into).
#[derive(Clone)]
pub struct UringTasks(pub(crate) Rc<Core>);

/// A queue of tasks with a share of the shard's time. Queues last as long as the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TaskQueue(u32);

/// Queues that have one share of time together. Groups last as long as the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TaskGroup(u32);

/// How much time a queue or group gets, in proportion to its siblings that have something to run. At least 1; the
/// queue that is there from the start has 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shares(u32);

/// Whether a queue is to get its turns soon. Complete by definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Latency {
    /// When it has something to run, a task of another queue is [asked to yield](UringTasks::needs_preempt) within
    /// this time; and at once when something comes that a task of this queue waits for.
    Matters(Duration),
    /// It gets its turns by its shares alone.
    NotImportant,
}

impl Shares {
    /// Zero is taken as one.
    pub fn new(shares: u32) -> Self {
        Self(shares.max(1))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for Shares {
    fn default() -> Self {
        Self(DEFAULT_SHARES)
    }
}

impl TaskQueue {
    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

impl TaskGroup {
    /// The group in which all others are.
    pub const ROOT: Self = Self(ROOT_GROUP);
}

impl UringTasks {
    /// Makes a queue in `group`.
    pub fn create_queue(&self, name: &str, group: TaskGroup, shares: Shares, latency: Latency) -> TaskQueue {
        let latency = match latency {
            Latency::Matters(within) => Some(within),
            Latency::NotImportant => None,
        };
        TaskQueue(self.0.add_queue(name, group.0, shares.0, latency))
    }

    /// Makes a group in `parent`.
    pub fn create_group(&self, name: &str, parent: TaskGroup, shares: Shares) -> TaskGroup {
        TaskGroup(self.0.add_queue(name, parent.0, shares.0, None))
    }

    /// Changes the shares of a queue. Who [controlled](Self::control_shares) them does no more.
    pub fn set_shares(&self, queue: TaskQueue, shares: Shares) {
        self.0.controllers.remove(queue.0);
        self.0.queues.set_shares(queue.0, shares.0);
    }

    /// Has `controller` say what shares a queue has, first when the loop turns next, and then by its period, at least
    /// 100 us; who did so before does no more. The loop asks when it turns anyway: a shard that sleeps goes on sleeping,
    /// as where nobody runs shares say nothing. A panic of the controller is one of the loop.
    pub fn control_shares(&self, queue: TaskQueue, controller: impl SharesController + 'static) {
        self.0.controllers.add(queue.0, Box::new(controller));
    }

    /// As [`spawn`](TaskProvider::spawn), into `queue`.
    pub fn spawn_into<F>(&self, queue: TaskQueue, name: &str, future: F) -> UringJoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        UringJoinHandle(self.0.spawn(name, queue.0, future))
    }

    /// The queue of the running task.
    pub fn current_queue(&self) -> TaskQueue {
        TaskQueue(self.0.queue_now())
    }

    /// Whether the running task should yield: something came that a queue waits for whose [`Latency`] matters, or such
    /// a queue has waited long enough. A few loads, and no system call; a task that computes for long asks now and then.
    pub fn needs_preempt(&self) -> bool {
        self.0.needs_preempt()
    }

    /// Yields if [`Self::needs_preempt`].
    pub async fn yield_if_needed(&self) {
        if self.needs_preempt() {
            self.yield_now().await;
        }
    }
}

impl TaskProvider for UringTasks {
    type JoinHandle<T: 'static> = UringJoinHandle<T>;

    /// As the trait says. Of the name the first 23 bytes are kept.
    fn spawn<F>(&self, name: &str, future: F) -> UringJoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        UringJoinHandle(self.0.spawn_here(name, future))
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

impl fmt::Debug for UringTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UringTasks").finish_non_exhaustive()
    }
}

/// Handle to a task.
pub struct UringJoinHandle<T>(JoinRef<T>);

impl<T> Future for UringJoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

// The output is in the task, not in the handle.
impl<T> Unpin for UringJoinHandle<T> {}

impl<T: 'static> JoinHandle<T> for UringJoinHandle<T> {
    fn abort(&self) {
        self.0.abort();
    }

    fn is_finished(&self) -> bool {
        self.0.is_over()
    }
}

impl<T> fmt::Debug for UringJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UringJoinHandle").field("is_finished", &self.0.is_over()).finish_non_exhaustive()
    }
}

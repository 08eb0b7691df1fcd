//! What is dropped, and when: without a ring, and without a loop.

use std::cell::Cell;
use std::future::{Future, pending, ready};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use samestep_provider_traits::JoinError;

use super::{Home, JoinRef, Run, TaskRef, new_task};
use crate::attention::Attention;
use crate::queues::{DEFAULT_QUEUE, RunQueues};
use crate::sys::remote::Remote;

/// Counts how often it is dropped.
struct Dropped(Rc<Cell<u32>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// A task in no queue, and how often what it is given was dropped.
fn task<F>(of: impl FnOnce(Dropped) -> F) -> (TaskRef, JoinRef<F::Output>, Rc<Cell<u32>>)
where
    F: Future + 'static,
    F::Output: 'static,
{
    let remote = Arc::new(Remote::new().unwrap());
    let queues = RunQueues::new(&Home::new(&remote), Rc::new(Attention::default()));
    let drops = Rc::new(Cell::new(0));
    let (task, join) = new_task(of(Dropped(Rc::clone(&drops))), "one", &queues.queue(DEFAULT_QUEUE));
    (task, join, drops)
}

async fn waits(kept: Dropped) {
    pending::<()>().await;
    drop(kept);
}

/// A task that nobody of its thread knows of any more can never go on: its future is dropped, polled or not.
#[test]
fn the_last_reference_ends_a_task() {
    for polls in 0..2 {
        let (task, join, drops) = task(waits);
        for _ in 0..polls {
            assert_eq!(task.run(), Run::Waits);
        }
        drop(join);
        assert_eq!(drops.get(), 0, "it has a reference");
        drop(task);
        assert_eq!(drops.get(), 1, "after {polls} polls");
    }
}

/// A waker elsewhere keeps the memory, and nothing of the future.
#[test]
fn a_waker_keeps_no_future() {
    let (task, join, drops) = task(waits);
    let waker = task.waker();
    drop((task, join));
    assert_eq!(drops.get(), 1);
    waker.wake();
}

/// The output of a task without a handle is dropped at once, whether the handle went before the end or after it.
#[test]
fn an_output_that_nobody_wants_is_dropped() {
    let (before, join, drops) = task(ready);
    drop(join);
    assert_eq!(before.run(), Run::Ended);
    assert_eq!(drops.get(), 1, "it was detached");

    let (after, join, drops) = task(ready);
    assert_eq!(after.run(), Run::Ended);
    assert_eq!(drops.get(), 0, "the handle may ask for it");
    drop(join);
    assert_eq!(drops.get(), 1, "the handle was the last to ask");

    let (taken, mut join, drops) = task(ready);
    assert_eq!(taken.run(), Run::Ended);
    let Poll::Ready(output) = join.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the task is over")
    };
    drop((taken, join));
    assert_eq!(drops.get(), 0, "it was taken");
    drop(output);
    assert_eq!(drops.get(), 1);
}

/// Ended from outside, a task tells its handle so.
#[test]
fn a_task_that_is_ended_says_so() {
    let (task, mut join, drops) = task(waits);
    task.end(JoinError::Cancelled);
    assert_eq!(drops.get(), 1);
    let polled = join.poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Err(JoinError::Cancelled))), "{polled:?}");
    assert_eq!(task.run(), Run::WasOver);
}

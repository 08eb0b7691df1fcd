//! Tasks without a runtime: a queue, and what can be left out of one.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::draws::Draws;
use crate::figures::{Clock, Figures};
use crate::tasks::TIMERS;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Each task is polled in turn, without being woken.
pub(super) fn yields(tasks: u64, each: u64) -> Figures {
    let done = Rc::new(Cell::new(0));
    let clock = Clock::start();
    let yielding = || {
        let done = Rc::clone(&done);
        let task: Task = Box::pin(async move {
            for _ in 0..each {
                let mut has_yielded = false;
                poll_fn(|_| {
                    if std::mem::replace(&mut has_yielded, true) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                done.set(done.get() + 1);
            }
        });
        task
    };
    run((0..tasks).map(|_| yielding()).collect());
    assert_eq!(done.get(), tasks * each, "each yields as often as it was told to");
    clock.stop(tasks * each)
}

pub(super) fn spawns(batch: u64, count: u64) -> Figures {
    let (mut sum, mut queue) = (0, VecDeque::new());
    let mut cells = Vec::new();
    let clock = Clock::start();
    for first in (0..count).step_by(usize::try_from(batch).expect("a batch is small")) {
        for number in first..first + batch {
            let cell = Rc::new(Cell::new(None));
            cells.push(Rc::clone(&cell));
            let task: Task = Box::pin(async move { cell.set(Some(number)) });
            queue.push_back(task);
        }
        queue = run(queue);
        sum += cells.drain(..).map(|cell| cell.take().expect("it was polled")).sum::<u64>();
    }
    assert_eq!(sum, count * (count - 1) / 2, "each gives its number");
    clock.stop(count)
}

pub(super) fn timers_fired(each: u64) -> Figures {
    let clock = Clock::start();
    let mut heap = BinaryHeap::new();
    let draws = RefCell::new((0..TIMERS).map(Draws::new).collect::<Vec<_>>());
    let due = |task: u64, now: u64| {
        let task_index = usize::try_from(task).expect("there are few tasks");
        now + 1000 + draws.borrow_mut()[task_index].below(3000)
    };
    heap.extend((0..TIMERS).map(|task| Reverse((due(task, 0), task, 1))));
    let mut fired = 0;
    while let Some(Reverse((now, task, count))) = heap.pop() {
        fired += 1;
        if count < each {
            heap.push(Reverse((due(task, now), task, count + 1)));
        }
    }
    assert_eq!(fired, TIMERS * each, "each fires");
    clock.stop(fired)
}

/// As a heap cannot take out what is in its middle, the earliest goes.
pub(super) fn timers_cancelled(count: u64) -> Figures {
    let (mut heap, mut draws) = (BinaryHeap::new(), Draws::new(1));
    let clock = Clock::start();
    for number in 0..count {
        heap.push(Reverse((10_000_000 + draws.below(1_000_000), number)));
        if heap.len() as u64 > TIMERS {
            black_box(heap.pop());
        }
    }
    assert_eq!(heap.len() as u64, count.min(TIMERS), "none fires");
    clock.stop(count)
}

pub(super) fn idle(milliseconds: u64) -> Figures {
    let clock = Clock::start();
    std::thread::sleep(Duration::from_millis(milliseconds));
    clock.stop(milliseconds)
}

fn run(mut queue: VecDeque<Task>) -> VecDeque<Task> {
    let mut context = Context::from_waker(Waker::noop());
    while let Some(mut task) = queue.pop_front() {
        if task.as_mut().poll(&mut context).is_pending() {
            queue.push_back(task);
        }
    }
    queue
}

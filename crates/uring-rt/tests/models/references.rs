//! A task's memory: who is last to let go frees it, once, after all others.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::explore;
use crate::refs::Refs;

/// A task, of which loom sees when its memory is used.
struct Task {
    refs: Refs,
    memory: UnsafeCell<usize>,
    freed: AtomicUsize,
    /// What the first waker has done, once for the life of the task.
    kept: AtomicUsize,
}

impl Task {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            refs: Refs::new(),
            memory: UnsafeCell::new(0),
            freed: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
        })
    }

    /// A waker is cloned from a reference.
    fn retain(&self) {
        self.look();
        if self.refs.retain() {
            self.kept.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A waker is dropped.
    fn release(&self) {
        self.look();
        if self.refs.release() {
            self.free();
        }
    }

    /// The task's thread has no reference left.
    fn let_go(&self) {
        self.look();
        if self.refs.is_last() || self.refs.release() {
            self.free();
        }
    }

    fn look(&self) {
        self.memory.with(|memory| {
            // SAFETY: loom fails if it is written at the same time.
            assert_eq!(unsafe { *memory }, 0, "used after it was freed");
        });
    }

    fn free(&self) {
        self.memory.with_mut(|memory| {
            // SAFETY: loom fails if anybody looks at the same time.
            unsafe { *memory = 1 };
        });
        self.freed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Two wakers on other threads, one of which makes a third, while the task's thread lets go.
#[test]
fn the_last_one_frees() {
    explore(|| {
        let task = Task::new();
        task.retain();
        task.retain();
        let wakers: Vec<_> = (0..2)
            .map(|number| {
                let task = Arc::clone(&task);
                thread::spawn(move || {
                    if number == 1 {
                        task.retain();
                        task.release();
                    }
                    task.release();
                })
            })
            .collect();
        task.let_go();
        for waker in wakers {
            waker.join().unwrap();
        }
        assert_eq!((task.freed.load(Ordering::Relaxed), task.kept.load(Ordering::Relaxed)), (1, 1));
        assert!(task.refs.had_wakers());
    });
}

/// During a poll two threads clone the waker that was lent to it: one of them is told that it is the first.
#[test]
fn one_of_the_first_wakers_is_the_first() {
    explore(|| {
        let task = Task::new();
        let wakers: Vec<_> = (0..2)
            .map(|_| {
                let task = Arc::clone(&task);
                thread::spawn(move || {
                    task.retain();
                    task.release();
                })
            })
            .collect();
        for waker in wakers {
            waker.join().unwrap();
        }
        task.let_go();
        assert_eq!((task.freed.load(Ordering::Relaxed), task.kept.load(Ordering::Relaxed)), (1, 1));
    });
}

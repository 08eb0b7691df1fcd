//! Tasks that are woken from elsewhere: their flags, the stack, and the sleeping thread together.

use std::ptr::NonNull;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use loom::thread;

use crate::flags::Flags;
use crate::sleeper::Sleeper;
use crate::stack::{Node, Stack};
use crate::{Bell, explore};

/// A task, as far as those who wake it know it.
struct Task {
    flags: Flags,
    link: AtomicPtr<Task>,
    /// What wakers leave for it.
    news: AtomicUsize,
    /// References that a stack has let go.
    released: AtomicUsize,
}

// SAFETY: the link is a field that nothing else uses.
unsafe impl Node for Task {
    fn link(&self) -> &AtomicPtr<Self> {
        &self.link
    }
}

struct Shard {
    woken: Stack<Task>,
    sleeper: Sleeper,
    bell: Bell,
    task: Task,
}

impl Shard {
    fn new() -> Arc<Self> {
        let task = Task {
            flags: Flags::new(),
            link: AtomicPtr::new(std::ptr::null_mut()),
            news: AtomicUsize::new(0),
            released: AtomicUsize::new(0),
        };
        Arc::new(Self { woken: Stack::new(), sleeper: Sleeper::new(), bell: Bell::new(), task })
    }

    /// What `Waker::wake` does on another thread.
    fn wake(&self) {
        if !self.task.flags.summon() {
            return;
        }
        // SAFETY: the task lives as long as the shard, and is in no stack: the flag that was just set is cleared after
        // it was taken out.
        match unsafe { self.woken.push(NonNull::from(&self.task)) } {
            Ok(()) => {
                if self.sleeper.claim() {
                    self.bell.ring();
                }
            }
            Err(task) => {
                assert_eq!(task, NonNull::from(&self.task));
                self.task.released.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Whatever two wakers leave for a task is seen by a poll, and the thread that sleeps meanwhile is woken.
#[test]
fn no_wake_is_lost() {
    explore(|| {
        let shard = Shard::new();
        let wakers: Vec<_> = (0..2)
            .map(|_| {
                let shard = Arc::clone(&shard);
                thread::spawn(move || {
                    shard.task.news.fetch_add(1, Ordering::Relaxed);
                    shard.wake();
                })
            })
            .collect();
        let mut seen = 0;
        while seen < 2 {
            let mut is_polled = false;
            shard.woken.take(|_| {
                shard.task.flags.answer();
                is_polled = true;
            });
            if is_polled {
                seen = shard.task.news.load(Ordering::Relaxed);
                continue;
            }
            shard.sleeper.fall_asleep();
            if shard.woken.is_empty() {
                // Without a wake this waits for ever, which loom tells.
                shard.bell.wait();
            }
            shard.sleeper.awake();
        }
        for waker in wakers {
            waker.join().unwrap();
        }
    });
}

/// A shard that ends while others wake its task: the one reference is let go once, by the shard or by the waker.
#[test]
fn a_wake_of_an_ending_shard_leaks_nothing() {
    explore(|| {
        let shard = Shard::new();
        let waker = {
            let shard = Arc::clone(&shard);
            thread::spawn(move || shard.wake())
        };
        let mut taken = 0;
        shard.woken.close(|_| taken += 1);
        waker.join().unwrap();
        // A second close, as a second take, finds nothing.
        shard.woken.close(|_| taken += 1);
        assert_eq!(taken + shard.task.released.load(Ordering::Relaxed), 1);
    });
}

/// A task that ends while it is woken: the one reference in the stack, if it came there, is found there. Who knows that
/// it has ended does not wake the shard for it.
#[test]
fn a_task_that_is_over_is_woken_in_vain() {
    explore(|| {
        let shard = Shard::new();
        let waker = {
            let shard = Arc::clone(&shard);
            thread::spawn(move || shard.wake())
        };
        shard.task.flags.finish();
        let mut taken = 0;
        let take = |taken: &mut i32| {
            shard.woken.take(|_| {
                shard.task.flags.answer();
                *taken += 1;
            });
        };
        take(&mut taken);
        waker.join().unwrap();
        take(&mut taken);
        assert!(taken <= 1 && !shard.task.flags.is_summoned());
        // What joined has seen the end.
        shard.wake();
        assert!(shard.woken.is_empty());
    });
}

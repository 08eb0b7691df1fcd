//! Every interleaving of the few steps by which threads wake each other, weak memory order included, by loom.
//!
//! The very sources of the crate are compiled here against loom's atomics, so that what is tried is what runs.
#![cfg(target_os = "linux")]

#[path = "../../src/sys/budget.rs"]
mod budget;
mod channel;
#[path = "../../src/sys/door_bell.rs"]
mod door_bell;
#[path = "../../src/sys/flags.rs"]
mod flags;
mod references;
#[path = "../../src/sys/refs.rs"]
mod refs;
mod shares;
#[path = "../../src/sys/sleeper.rs"]
mod sleeper;
#[path = "../../src/sys/spsc.rs"]
mod spsc;
#[path = "../../src/sys/stack.rs"]
mod stack;
mod woken;

/// Loom's, by the names of the crate's own.
mod sync {
    pub(super) use loom::cell::UnsafeCell;
    pub(super) use loom::sync::Mutex;
    use loom::sync::MutexGuard;
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }
}

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use sleeper::Sleeper;

/// Tries every interleaving of `model` with at most three preemptions: more find nothing in algorithms of this size,
/// and take for ever (M. Musuvathi and S. Qadeer, 2007).
fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// An event counter, as far as a shard uses it: rung at any time, and waited for by one.
struct Bell {
    has_rung: Mutex<bool>,
    rung: Condvar,
}

impl Bell {
    fn new() -> Self {
        Self { has_rung: Mutex::new(false), rung: Condvar::new() }
    }

    fn ring(&self) {
        *self.has_rung.lock().unwrap() = true;
        self.rung.notify_one();
    }

    fn wait(&self) {
        let mut has_rung = self.has_rung.lock().unwrap();
        while !*has_rung {
            has_rung = self.rung.wait(has_rung).unwrap();
        }
        *has_rung = false;
    }
}

/// A queue between two threads keeps order, loses nothing, and gives back what does not fit.
#[test]
fn a_queue_between_threads_is_a_queue() {
    explore(|| {
        let (mut producer, mut consumer) = spsc::queue(1);
        let putting = thread::spawn(move || {
            producer.push(Box::new(0)).unwrap();
            let mut next = Box::new(1);
            // Full until the first was taken.
            while let Err(back) = producer.push(next) {
                next = back;
                thread::yield_now();
            }
        });
        for number in 0..2 {
            let value = loop {
                match consumer.pop() {
                    Some(value) => break value,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(*value, number);
        }
        putting.join().unwrap();
        assert!(consumer.pop().is_none());
    });
}

/// What is in a queue when both ends are gone is dropped, once.
#[test]
fn a_queue_drops_what_is_left() {
    explore(|| {
        let (mut producer, mut consumer) = spsc::queue(2);
        let values = std::sync::Arc::new(());
        for _ in 0..2 {
            producer.push(std::sync::Arc::clone(&values)).unwrap();
        }
        let taking = thread::spawn(move || drop(consumer.pop()));
        drop(producer);
        taking.join().unwrap();
        assert_eq!(std::sync::Arc::strong_count(&values), 1);
    });
}

/// A thread that sleeps after it found its queue empty is woken by whoever puts something in.
#[test]
fn who_sleeps_on_a_queue_is_woken() {
    explore(|| {
        let (mut producer, mut consumer) = spsc::queue(2);
        let (sleeper, bell) = (Arc::new(Sleeper::new()), Arc::new(Bell::new()));
        let putting = {
            let (sleeper, bell) = (Arc::clone(&sleeper), Arc::clone(&bell));
            thread::spawn(move || {
                for number in 0..2 {
                    producer.push(number).unwrap();
                    if sleeper.claim() {
                        bell.ring();
                    }
                }
            })
        };
        let mut taken = 0;
        while taken < 2 {
            if let Some(number) = consumer.pop() {
                assert_eq!(number, taken);
                taken += 1;
                continue;
            }
            sleeper.fall_asleep();
            if consumer.is_empty() {
                // Without a wake this waits for ever, which loom tells.
                bell.wait();
            }
            sleeper.awake();
        }
        putting.join().unwrap();
    });
}

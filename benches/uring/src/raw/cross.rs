//! Two threads and what they share: a word on which both spin, or by which each wakes the other.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::cross::Waiting;
use crate::figures::{Clock, Figures};
use crate::machine;

/// One thread makes the word odd, the other makes it even.
pub(super) fn ping_pong(waiting: Waiting, count: u64) -> Figures {
    machine::pin(0);
    let word = Arc::new(Word(AtomicU64::new(0)));
    let asking = thread::current();
    let answering = {
        let word = Arc::clone(&word);
        thread::spawn(move || {
            machine::pin(1);
            for value in 0..count {
                word.wait_for(2 * value + 1, waiting);
                word.0.store(2 * value + 2, Ordering::Release);
                if waiting == Waiting::Asleep {
                    asking.unpark();
                }
            }
        })
    };
    let clock = Clock::start();
    for value in 0..count {
        word.0.store(2 * value + 1, Ordering::Release);
        if waiting == Waiting::Asleep {
            answering.thread().unpark();
        }
        word.wait_for(2 * value + 2, waiting);
    }
    let figures = clock.stop(count);
    answering.join().expect("it does not panic");
    assert_eq!(word.0.load(Ordering::Acquire), 2 * count, "each was answered");
    figures
}

/// Alone on its line of the cache.
#[repr(align(128))]
struct Word(AtomicU64);

impl Word {
    fn wait_for(&self, value: u64, waiting: Waiting) {
        while self.0.load(Ordering::Acquire) != value {
            match waiting {
                Waiting::Awake => spin_loop(),
                Waiting::Asleep => thread::park(),
            }
        }
    }
}

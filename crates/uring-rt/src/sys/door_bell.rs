//! Who waits at one end of a queue is woken by the other end, which pays two loads if nobody does.

use std::task::Waker;

use super::sync::{AtomicBool, Mutex, Ordering, fence, lock};

/// Wakes who waits. Who waits: [`await_ring`](Self::await_ring), look once more, and only then wait. The others:
/// publish, [`ring`](Self::ring).
#[derive(Debug)]
pub(crate) struct DoorBell {
    is_awaited: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl DoorBell {
    pub(crate) fn new() -> Self {
        Self { is_awaited: AtomicBool::new(false), waker: Mutex::new(None) }
    }

    /// Announces that somebody waits.
    pub(crate) fn await_ring(&self, waker: &Waker) {
        let before = lock(&self.waker).replace(waker.clone());
        drop(before);
        self.is_awaited.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
    }

    /// Wakes who waits, after something was published.
    pub(crate) fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.is_awaited.load(Ordering::Relaxed) && self.is_awaited.swap(false, Ordering::Relaxed) {
            // Outside of the lock: waking takes a path of its own.
            let waker = lock(&self.waker).take();
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

//! How other threads reach a shard: a queue of tasks to wake, and a bell.
//!
//! The queue is a stack of tasks linked through themselves (R. K. Treiber, 1986), which the shard takes whole, so
//! that neither side ever waits for the other. A bell is rung only for a shard that sleeps or is about to.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering, fence};

use rustix::event::{EventfdFlags, eventfd};

use super::task::{Header, TaskRef, release};

/// The part of a shard that all threads share.
#[derive(Debug)]
pub(crate) struct Remote {
    woken: AtomicPtr<Header>,
    is_asleep: AtomicBool,
    bell: OwnedFd,
    rings: AtomicU64,
}

// SAFETY: the pointer is a stack of counted references to tasks; other threads only put them there, and count.
unsafe impl Send for Remote {}
// SAFETY: as above; all else is atomic or never changes.
unsafe impl Sync for Remote {}

impl Remote {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            woken: AtomicPtr::new(ptr::null_mut()),
            is_asleep: AtomicBool::new(false),
            bell: eventfd(0, EventfdFlags::CLOEXEC)?,
            rings: AtomicU64::new(0),
        })
    }

    /// Wakes a task, of which the reference is the queue's from here on, and the shard if it sleeps.
    pub(super) fn push(&self, task: NonNull<Header>) {
        let mut first = self.woken.load(Ordering::Relaxed);
        loop {
            if first == closed() {
                // SAFETY: the reference was to be the queue's, and nobody else's.
                unsafe { release(task) };
                return;
            }
            // SAFETY: the reference is counted; while the task is in no queue the link is the pusher's.
            unsafe { task.as_ref() }.next_remote.store(first, Ordering::Relaxed);
            match self.woken.compare_exchange_weak(first, task.as_ptr(), Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => break,
                Err(now) => first = now,
            }
        }
        self.notify();
    }

    /// Wakes the shard if it sleeps. To be called after what it is to see was published.
    pub(crate) fn notify(&self) {
        // Pairs with the fence in `fall_asleep`: either the shard sees what was published before, or this sees that
        // it sleeps.
        fence(Ordering::SeqCst);
        if self.is_asleep.load(Ordering::Relaxed) && self.is_asleep.swap(false, Ordering::Relaxed) {
            self.rings.fetch_add(1, Ordering::Relaxed);
            // It counts to 2^64 - 2, so this neither blocks nor fails.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    /// Announces that the shard is about to sleep. It must look at all its queues once more before it does.
    pub(crate) fn fall_asleep(&self) {
        self.is_asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn awake(&self) {
        self.is_asleep.store(false, Ordering::Relaxed);
    }

    /// Whether tasks were woken from elsewhere.
    pub(crate) fn has_woken(&self) -> bool {
        !self.woken.load(Ordering::Relaxed).is_null()
    }

    /// Takes the tasks that were woken from elsewhere, in the order of their wakes.
    pub(crate) fn take_woken(&self, mut each: impl FnMut(TaskRef)) {
        if self.has_woken() {
            unstack(self.woken.swap(ptr::null_mut(), Ordering::Acquire), &mut each);
        }
    }

    /// Takes what was woken, and lets wakes do nothing from here on.
    pub(crate) fn close(&self) {
        unstack(self.woken.swap(closed(), Ordering::Acquire), &mut |task| drop(task));
    }

    /// How often the bell was rung.
    pub(crate) fn rings(&self) -> u64 {
        self.rings.load(Ordering::Relaxed)
    }
}

impl AsRawFd for Remote {
    fn as_raw_fd(&self) -> RawFd {
        self.bell.as_raw_fd()
    }
}

fn unstack(first: *mut Header, each: &mut impl FnMut(TaskRef)) {
    if first == closed() {
        return;
    }
    // The last that was put there comes first: turned around, the links point the other way.
    let mut turned: *mut Header = ptr::null_mut();
    let mut next = NonNull::new(first);
    while let Some(task) = next {
        // SAFETY: the stack holds counted references, and was taken whole, so the links are this thread's.
        let link = unsafe { &task.as_ref().next_remote };
        next = NonNull::new(link.load(Ordering::Relaxed));
        link.store(turned, Ordering::Relaxed);
        turned = task.as_ptr();
    }
    let mut next = NonNull::new(turned);
    while let Some(task) = next {
        // SAFETY: as above.
        next = NonNull::new(unsafe { task.as_ref() }.next_remote.load(Ordering::Relaxed));
        // SAFETY: the reference was the stack's, from `schedule`, and this is the shard's thread.
        each(unsafe { TaskRef::from_raw(task) });
    }
}

/// What the stack is when the shard is no more: no task has this address.
fn closed() -> *mut Header {
    ptr::without_provenance_mut(align_of::<Header>())
}

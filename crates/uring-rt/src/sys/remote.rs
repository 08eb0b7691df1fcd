//! How other threads reach a shard: a stack of tasks to wake, and a bell for when it sleeps.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::event::{EventfdFlags, eventfd};

use super::message::send_message;
use super::sleeper::Sleeper;
use super::stack::Stack;
use super::sync::lock;
use super::task::{Header, TaskRef, release};

/// The part of a shard that all threads share.
#[derive(Debug)]
pub(crate) struct Remote {
    woken: Stack<Header>,
    sleeper: Sleeper,
    bell: OwnedFd,
    /// The ring that the shard sleeps on, if it takes messages; `None` before it is closed.
    ring: Mutex<Option<RawFd>>,
    rings: AtomicU64,
    messages: AtomicU64,
}

// SAFETY: the stack is of counted references to tasks; other threads only put them there, and count.
unsafe impl Send for Remote {}
// SAFETY: as above; all else is atomic or never changes.
unsafe impl Sync for Remote {}

impl Remote {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            woken: Stack::new(),
            sleeper: Sleeper::new(),
            bell: eventfd(0, EventfdFlags::CLOEXEC)?,
            ring: Mutex::new(None),
            rings: AtomicU64::new(0),
            messages: AtomicU64::new(0),
        })
    }

    /// Wakes a task, and the shard if it sleeps.
    ///
    /// # Safety
    ///
    /// The reference is counted and the stack's from here on; the task is in no stack.
    pub(super) unsafe fn push(&self, task: NonNull<Header>) {
        // SAFETY: the caller's promise; the reference keeps it alive.
        match unsafe { self.woken.push(task) } {
            Ok(()) => self.notify(),
            // SAFETY: the reference was to be the stack's, and is nobody else's.
            Err(task) => unsafe { release(task) },
        }
    }

    /// Wakes the shard if it sleeps. To be called after what it is to see was published.
    pub(crate) fn notify(&self) {
        if self.sleeper.claim() {
            self.rings.fetch_add(1, Ordering::Relaxed);
            // One thread at a time is here, but for the one that closes the ring and must not do so meanwhile.
            let ring = lock(&self.ring);
            if ring.is_some_and(|ring| send_message(ring).is_ok()) {
                self.messages.fetch_add(1, Ordering::Relaxed);
                return;
            }
            drop(ring);
            // It counts to 2^64 - 2, so this neither blocks nor fails.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    /// From here on a message to this ring wakes the shard; or none, before the ring is closed.
    pub(super) fn set_ring(&self, ring: Option<RawFd>) {
        *lock(&self.ring) = ring;
    }

    /// Announces that the shard is about to sleep. It must look at all its queues once more before it does.
    pub(crate) fn fall_asleep(&self) {
        self.sleeper.fall_asleep();
    }

    pub(crate) fn awake(&self) {
        self.sleeper.awake();
    }

    /// Whether tasks were woken from elsewhere.
    pub(crate) fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// Takes the tasks that were woken from elsewhere, in the order of their wakes.
    pub(crate) fn take_woken(&self, mut each: impl FnMut(TaskRef)) {
        if self.has_woken() {
            // SAFETY: they were in the stack, and this is called by the shard's thread: `Core` is not `Send`.
            self.woken.take(|task| unsafe { TaskRef::from_remote(task) }.into_iter().for_each(&mut each));
        }
    }

    /// Takes what was woken, and lets wakes do nothing from here on.
    pub(crate) fn close(&self) {
        // SAFETY: as above.
        self.woken.close(|task| drop(unsafe { TaskRef::from_remote(task) }));
    }

    /// How often the shard was woken by a message to its ring.
    pub(crate) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// How often the shard was woken, in either way.
    pub(crate) fn rings(&self) -> u64 {
        self.rings.load(Ordering::Relaxed)
    }
}

impl AsRawFd for Remote {
    fn as_raw_fd(&self) -> RawFd {
        self.bell.as_raw_fd()
    }
}

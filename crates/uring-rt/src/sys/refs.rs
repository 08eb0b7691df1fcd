//! Who counts on a task's memory, of all threads.

use super::sync::{AtomicBool, AtomicUsize, Ordering};

/// References that any thread may have. All those of the task's own thread together are one, which is there at first.
#[derive(Debug)]
pub(super) struct Refs {
    count: AtomicUsize,
    has_wakers: AtomicBool,
}

impl Refs {
    /// One reference.
    pub(super) fn new() -> Self {
        Self { count: AtomicUsize::new(1), has_wakers: AtomicBool::new(false) }
    }

    /// Counts one more, made of one that is counted. Tells, once, that it is the first: from here on there may be some
    /// when the task's thread has let go.
    ///
    /// # Panics
    ///
    /// The process aborts, as with `Arc`, if references were forgotten until the count runs over: going on would free
    /// too early.
    pub(super) fn retain(&self) -> bool {
        if self.count.fetch_add(1, Ordering::Relaxed) > isize::MAX.cast_unsigned() {
            std::process::abort();
        }
        !self.has_wakers.load(Ordering::Relaxed) && !self.has_wakers.swap(true, Ordering::Relaxed)
    }

    /// Whether [`Self::retain`] has told that.
    pub(super) fn has_wakers(&self) -> bool {
        self.has_wakers.load(Ordering::Relaxed)
    }

    /// Counts one less. Tells whether it was the last, and the memory is the caller's.
    #[must_use = "nobody else frees it"]
    pub(super) fn release(&self) -> bool {
        if self.count.fetch_sub(1, Ordering::Release) > 1 {
            return false;
        }
        // What others did before they let go is seen from here on. Not a fence, which ThreadSanitizer does not know.
        self.count.load(Ordering::Acquire);
        true
    }

    /// Whether the caller's reference is the only one. If so nobody else can come by one, and it is as good as
    /// [released](Self::release), without a read-modify-write.
    pub(super) fn is_last(&self) -> bool {
        self.count.load(Ordering::Acquire) == 1
    }
}

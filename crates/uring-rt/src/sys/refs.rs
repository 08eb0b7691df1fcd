//! Who counts on a task's memory, of all threads.

use super::sync::{AtomicUsize, Ordering};

/// References that any thread may have. All those of the task's own thread together are one, which is there at first.
#[derive(Debug)]
pub(super) struct Refs(AtomicUsize);

impl Refs {
    /// One reference.
    pub(super) fn new() -> Self {
        Self(AtomicUsize::new(1))
    }

    /// Counts one more, made of one that is counted. Tells, once, that it is the first: from here on there may be some
    /// when the task's thread has let go.
    ///
    /// The process aborts, as with `Arc`, if references were forgotten until the count runs over: going on would free
    /// too early.
    pub(super) fn retain(&self) -> bool {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        if before & !HAD_WAKERS > COUNT_MAX {
            std::process::abort();
        }
        before & HAD_WAKERS == 0 && self.0.fetch_or(HAD_WAKERS, Ordering::Relaxed) & HAD_WAKERS == 0
    }

    /// Whether [`Self::retain`] has told that.
    pub(super) fn had_wakers(&self) -> bool {
        self.0.load(Ordering::Relaxed) & HAD_WAKERS != 0
    }

    /// Counts one less. Tells whether it was the last, and the memory is the caller's.
    #[must_use = "nobody else frees it"]
    pub(super) fn release(&self) -> bool {
        if self.0.fetch_sub(1, Ordering::Release) & !HAD_WAKERS > 1 {
            return false;
        }
        // What others did before they let go is seen from here on. Not a fence, which ThreadSanitizer does not know.
        self.0.load(Ordering::Acquire);
        true
    }

    /// Whether the caller's reference is the only one. If so nobody else can come by one, and it is as good as
    /// [released](Self::release), without a read-modify-write.
    pub(super) fn is_last(&self) -> bool {
        self.0.load(Ordering::Acquire) & !HAD_WAKERS == 1
    }
}

const HAD_WAKERS: usize = 1 << (usize::BITS - 1);
const COUNT_MAX: usize = HAD_WAKERS / 2;

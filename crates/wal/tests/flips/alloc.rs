//! The largest allocation, as this process asks for them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, with an eye on the sizes.
struct Watching;

#[global_allocator]
static ALLOCATOR: Watching = Watching;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// What this thread allocates now is not looked at.
    static IS_PAUSED: Cell<bool> = const { Cell::new(false) };
}

/// Bytes of the largest allocation since the last call, those of other threads included.
pub(crate) fn take_largest() -> usize {
    LARGEST.swap(0, Ordering::Relaxed)
}

/// Runs `run`, whose allocations on this thread are not looked at.
pub(crate) fn paused<T>(run: impl FnOnce() -> T) -> T {
    let was_paused = IS_PAUSED.replace(true);
    let out = run();
    IS_PAUSED.set(was_paused);
    out
}

fn look_at(bytes: usize) {
    // A thread that ends may allocate when its own variables are gone.
    if !IS_PAUSED.try_with(Cell::get).unwrap_or(true) {
        LARGEST.fetch_max(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came; looking at its size allocates nothing, as the
// thread's variable has a constant beginning and nothing to drop.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        look_at(layout.size());
        // SAFETY: the caller's promise about `layout` is the one that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        look_at(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        look_at(bytes);
        // SAFETY: `block` came from this allocator, that is from the system's.
        unsafe { System.realloc(block, layout, bytes) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from this allocator, that is from the system's.
        unsafe { System.dealloc(block, layout) }
    }
}

//! Counts what this process holds on the heap.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with the bytes of each thread that are in use, and the most that ever were.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` gives, and by how many bytes the heap of this thread grew at most while it ran.
pub(crate) fn peak_bytes<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let outcome = work();
    (outcome, usize::try_from(PEAK.get() - before).unwrap())
}

fn count(bytes: isize) {
    // The thread may be at its end, where nobody measures any more.
    let held = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        held.get()
    });
    if let Ok(held) = held {
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held)));
    }
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's promise about `layout` is the one that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // While it moves, both are held.
        count(bytes.cast_signed());
        count(-layout.size().cast_signed());
        // SAFETY: `block` came from this allocator, that is from the system's.
        unsafe { System.realloc(block, layout, bytes) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: `block` came from this allocator, that is from the system's.
        unsafe { System.dealloc(block, layout) }
    }
}

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

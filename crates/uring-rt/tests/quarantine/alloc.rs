//! An allocator that shows who writes to memory that was freed: large blocks are filled with a pattern on free, and
//! never used again. A kernel's writes are seen by nothing else: not by sanitizers, not by Miri.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

struct Quarantine;

// SAFETY: every call goes to the system's allocator; some blocks are never given back to it, which is a leak.
unsafe impl GlobalAlloc for Quarantine {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() == BLOCK_BYTES && IS_ON.load(Ordering::SeqCst) {
            // SAFETY: the block is the caller's to give, and as long as that.
            unsafe { block.write_bytes(PATTERN, BLOCK_BYTES) };
            let mut freed = FREED.lock().unwrap();
            let place = freed.1;
            freed.0[place] = block.expose_provenance();
            freed.1 += 1;
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Quarantine = Quarantine;

/// Blocks that were freed, and how many; of fixed length, so that noting one allocates nothing.
static FREED: Mutex<([usize; BLOCKS_MAX], usize)> = Mutex::new(([0; BLOCKS_MAX], 0));
static IS_ON: AtomicBool = AtomicBool::new(false);

/// Begins to keep blocks of [`BLOCK_BYTES`].
pub(crate) fn start() {
    FREED.lock().unwrap().1 = 0;
    IS_ON.store(true, Ordering::SeqCst);
}

/// Ends it, and tells how many blocks were freed, and how many of those were written to afterwards.
pub(crate) fn stop() -> (usize, usize) {
    IS_ON.store(false, Ordering::SeqCst);
    let freed = FREED.lock().unwrap();
    let is_changed = |block: &&usize| {
        let start: *const u8 = std::ptr::with_exposed_provenance(**block);
        // Volatile, as nobody here writes there.
        // SAFETY: the block was freed to the quarantine, which never gives it back, and each index is within it.
        (0..BLOCK_BYTES).step_by(512).any(|at| unsafe { start.wrapping_add(at).read_volatile() } != PATTERN)
    };
    (freed.1, freed.0[..freed.1].iter().filter(is_changed).count())
}

/// Of no other use, so that only I/O buffers have this size.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;
const PATTERN: u8 = 0xAA;
const BLOCKS_MAX: usize = 1024;

//! Memory of tasks that are over, for the next ones.
//!
//! Blocks of a few sizes, each from the global allocator and given back there one by one: so whoever frees a task, on
//! whatever thread, may do so with or without this.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// Free blocks by size, of one thread.
#[derive(Debug)]
pub(super) struct Blocks {
    /// First of each size; the others hang on it.
    free: [Cell<*mut Free>; SIZES],
    bytes: Cell<usize>,
}

/// A free block.
#[derive(Debug)]
struct Free {
    next: *mut Free,
}

impl Blocks {
    pub(super) fn new() -> Self {
        Self { free: [const { Cell::new(ptr::null_mut()) }; SIZES], bytes: Cell::new(0) }
    }

    /// A block for `layout`, which becomes the caller's.
    pub(super) fn take(&self, layout: Layout) -> NonNull<u8> {
        if let Some(size) = size_of_block(layout) {
            let free = &self.free[size];
            if let Some(block) = NonNull::new(free.get()) {
                // SAFETY: what is in the list is a free block, whose link was written when it came there.
                free.set(unsafe { block.as_ref() }.next);
                self.bytes.set(self.bytes.get() - size * STEP_BYTES);
                return block.cast();
            }
        }
        allocate(layout)
    }

    /// Takes a block back, or gives it to the allocator if there are enough.
    ///
    /// # Safety
    ///
    /// The block came from [`Self::take`] of any thread with this layout, and is not used again.
    pub(super) unsafe fn put(&self, block: NonNull<u8>, layout: Layout) {
        match size_of_block(layout) {
            Some(size) if self.bytes.get() < KEPT_BYTES_MAX => {
                let (free, block) = (&self.free[size], block.cast::<Free>());
                // SAFETY: the block is this list's now, at least as large as a link, and aligned for one.
                unsafe { block.write(Free { next: free.get() }) };
                free.set(block.as_ptr());
                self.bytes.set(self.bytes.get() + size * STEP_BYTES);
            }
            // SAFETY: the caller's promise.
            _ => unsafe { free(block, layout) },
        }
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        for (size, free) in self.free.iter().enumerate() {
            let mut next = NonNull::new(free.get());
            while let Some(block) = next {
                // SAFETY: what is in the list is a free block, whose link was written when it came there.
                next = NonNull::new(unsafe { block.as_ref() }.next);
                // SAFETY: it was allocated with this layout, and nothing refers to it any more.
                unsafe { dealloc(block.as_ptr().cast(), layout_of_block(size)) };
            }
        }
    }
}

fn allocate(layout: Layout) -> NonNull<u8> {
    let layout = size_of_block(layout).map_or(layout, layout_of_block);
    // SAFETY: a task's size is not zero, and neither is that of a block for it.
    let block = unsafe { alloc(layout) };
    NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Gives a block to the allocator, on any thread.
///
/// # Safety
///
/// The block came from [`Blocks::take`] with this layout, and is not used again.
pub(super) unsafe fn free(block: NonNull<u8>, layout: Layout) {
    let layout = size_of_block(layout).map_or(layout, layout_of_block);
    // SAFETY: the caller's promise; `allocate` computed the same layout.
    unsafe { dealloc(block.as_ptr(), layout) };
}

/// The size, in steps, of the blocks that this goes into, if it does.
const fn size_of_block(layout: Layout) -> Option<usize> {
    let size = layout.size().div_ceil(STEP_BYTES);
    if size > 0 && size < SIZES && layout.align() <= ALIGN_BYTES { Some(size) } else { None }
}

const fn layout_of_block(size: usize) -> Layout {
    match Layout::from_size_align(size * STEP_BYTES, ALIGN_BYTES) {
        Ok(layout) => layout,
        Err(_) => unreachable!(),
    }
}

/// Sizes go in steps of so many bytes, a cache line, up to a KiB.
const STEP_BYTES: usize = 64;
const SIZES: usize = 17;
const ALIGN_BYTES: usize = 16;
/// So much is kept for tasks to come.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

const _: () = assert!(align_of::<Free>() <= ALIGN_BYTES && size_of::<Free>() <= STEP_BYTES);

#[cfg(test)]
mod tests {
    use std::alloc::Layout;

    use super::{Blocks, KEPT_BYTES_MAX, free};

    #[test]
    fn a_block_is_used_again_by_what_is_of_its_size() {
        let blocks = Blocks::new();
        let layout = |bytes, align| Layout::from_size_align(bytes, align).unwrap();
        let one = blocks.take(layout(100, 8));
        // SAFETY: taken above with the same layout.
        unsafe { blocks.put(one, layout(100, 8)) };
        assert_eq!(blocks.bytes.get(), 128);
        let (small, wide) = (blocks.take(layout(64, 8)), blocks.take(layout(100, 128)));
        assert!(small != one && wide != one);
        assert_eq!(blocks.take(layout(128, 16)), one);
        assert_eq!(blocks.bytes.get(), 0);
        for (block, layout) in [(small, layout(64, 8)), (wide, layout(100, 128)), (one, layout(128, 16))] {
            // SAFETY: taken above with the same layout.
            unsafe { free(block, layout) };
        }
    }

    #[test]
    fn only_so_much_is_kept() {
        let (blocks, layout) = (Blocks::new(), Layout::from_size_align(1000, 8).unwrap());
        let taken: Vec<_> = (0..2 * KEPT_BYTES_MAX / 1024).map(|_| blocks.take(layout)).collect();
        for block in taken {
            // SAFETY: taken above with the same layout.
            unsafe { blocks.put(block, layout) };
        }
        assert_eq!(blocks.bytes.get(), KEPT_BYTES_MAX);
    }
}

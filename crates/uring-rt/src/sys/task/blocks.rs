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
    count: Cell<usize>,
}

/// A free block.
#[derive(Debug)]
struct Free {
    next: *mut Free,
}

impl Blocks {
    pub(super) fn new() -> Self {
        Self { free: [const { Cell::new(ptr::null_mut()) }; SIZES], count: Cell::new(0) }
    }

    /// A block for `layout`, which becomes the caller's.
    #[inline]
    pub(super) fn take(&self, layout: Layout) -> NonNull<u8> {
        if let Some(size) = size_of_block(layout) {
            let free = &self.free[size];
            if let Some(block) = NonNull::new(free.get()) {
                // SAFETY: what is in the list is a free block, whose link was written when it came there.
                free.set(unsafe { block.as_ref() }.next);
                // Each was counted when it came.
                self.count.set(self.count.get().wrapping_sub(1));
                return block.cast();
            }
        }
        allocate(layout)
    }

    /// Takes a block back, or gives it to the allocator if there are enough.
    ///
    /// # Safety
    ///
    /// The block came from [`Self::take`] of any thread with the layout that this is the size of, and is not used again.
    #[inline]
    pub(super) unsafe fn put(&self, block: NonNull<u8>, size: &Size) {
        match self.free.get(size.steps) {
            Some(free) if self.count.get() < COUNT_MAX => {
                let block = block.cast::<Free>();
                // SAFETY: the block is this list's now, at least as large as a link, and aligned for one.
                unsafe { block.write(Free { next: free.get() }) };
                free.set(block.as_ptr());
                self.count.set(self.count.get().wrapping_add(1));
            }
            // SAFETY: the caller's promise.
            _ => unsafe { free(block, size) },
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

#[cold]
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
/// The block came from [`Blocks::take`] with the layout that this is the size of, and is not used again.
#[cold]
pub(super) unsafe fn free(block: NonNull<u8>, size: &Size) {
    // SAFETY: the caller's promise; `allocate` computed the same layout.
    unsafe { dealloc(block.as_ptr(), size.layout) };
}

/// What there is to know of a block to give it back.
pub(super) struct Size {
    /// [`SIZES`] if such blocks are not kept.
    steps: usize,
    layout: Layout,
}

impl Size {
    pub(super) const fn of(layout: Layout) -> Self {
        match size_of_block(layout) {
            Some(steps) => Self { steps, layout: layout_of_block(steps) },
            None => Self { steps: SIZES, layout },
        }
    }
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
/// So many are kept for tasks to come.
const COUNT_MAX: usize = 4096;

const _: () = assert!(align_of::<Free>() <= ALIGN_BYTES && size_of::<Free>() <= STEP_BYTES);

#[cfg(test)]
mod tests {
    use std::alloc::Layout;

    use super::{Blocks, COUNT_MAX, Size, free};

    #[test]
    fn a_block_is_used_again_by_what_is_of_its_size() {
        let blocks = Blocks::new();
        let layout = |bytes, align| Layout::from_size_align(bytes, align).unwrap();
        let one = blocks.take(layout(100, 8));
        // SAFETY: taken above with the same layout.
        unsafe { blocks.put(one, &Size::of(layout(100, 8))) };
        assert_eq!(blocks.count.get(), 1);
        let (small, wide) = (blocks.take(layout(64, 8)), blocks.take(layout(100, 128)));
        assert!(small != one && wide != one);
        assert_eq!(blocks.take(layout(128, 16)), one);
        assert_eq!(blocks.count.get(), 0);
        for (block, layout) in [(small, layout(64, 8)), (wide, layout(100, 128)), (one, layout(128, 16))] {
            // SAFETY: taken above with the same layout.
            unsafe { free(block, &Size::of(layout)) };
        }
    }

    #[test]
    fn only_so_much_is_kept() {
        let (blocks, layout) = (Blocks::new(), Layout::from_size_align(1000, 8).unwrap());
        let taken: Vec<_> = (0..COUNT_MAX + 10).map(|_| blocks.take(layout)).collect();
        for block in taken {
            // SAFETY: taken above with the same layout.
            unsafe { blocks.put(block, &Size::of(layout)) };
        }
        assert_eq!(blocks.count.get(), COUNT_MAX);
    }
}

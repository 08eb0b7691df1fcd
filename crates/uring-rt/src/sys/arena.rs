//! Buffers of a ring: one block of memory cut into equal parts, from which receives pick.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use samestep_provider_traits::IoBufMut;

/// A block of equal buffers. Which of them are the ring's and which are the driver's is the driver's to know.
#[derive(Debug)]
pub(crate) struct Arena {
    start: NonNull<u8>,
    buffer_bytes: usize,
    count: u16,
}

impl Arena {
    /// # Panics
    ///
    /// If either number is zero, or the product is more than memory can be.
    pub(crate) fn new(buffer_bytes: usize, count: u16) -> Self {
        let layout = Self::layout(buffer_bytes, count);
        assert!(layout.size() > 0, "an arena has buffers");
        // SAFETY: the size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Self { start, buffer_bytes, count }
    }

    pub(crate) fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    pub(crate) fn count(&self) -> u16 {
        self.count
    }

    /// Address of a buffer.
    pub(super) fn address(&self, buffer: u16) -> *mut u8 {
        assert!(buffer < self.count, "buffer {buffer} of {}", self.count);
        self.start.as_ptr().wrapping_add(usize::from(buffer) * self.buffer_bytes)
    }

    /// Copies bytes of a buffer from `start` to `end` into the front of `buf`, as many as fit, and tells how many.
    ///
    /// # Safety
    ///
    /// The buffer is not the ring's.
    pub(super) unsafe fn copy_out<B: IoBufMut>(
        &self,
        buffer: u16,
        start: usize,
        end: usize,
        buf: &mut B,
    ) -> usize {
        assert!(start <= end && end <= self.buffer_bytes, "{start}..{end} of {}", self.buffer_bytes);
        let from = self.address(buffer).wrapping_add(start);
        // SAFETY: the part is within the block, all of which is initialised; nobody writes to it by the caller's
        // promise.
        let bytes = unsafe { std::slice::from_raw_parts(from, end - start) };
        buf.fill_from(bytes)
    }

    fn layout(buffer_bytes: usize, count: u16) -> Layout {
        let bytes = buffer_bytes.checked_mul(usize::from(count)).expect("an arena fits the address space");
        Layout::from_size_align(bytes, PAGE_BYTES).expect("an arena fits the address space")
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with the same layout.
        unsafe { dealloc(self.start.as_ptr(), Self::layout(self.buffer_bytes, self.count)) };
    }
}

const PAGE_BYTES: usize = 4096;

//! Buffers of a ring: one block of memory cut into equal parts, from which receives pick.

use std::alloc::{Layout, handle_alloc_error};

use samestep_provider_traits::IoBufMut;

use super::pages::{PageSize, Pages};

/// A block of equal buffers. Which of them are the ring's and which are the driver's is the driver's to know. Those that
/// nothing was received into yet take no memory.
#[derive(Debug)]
pub(crate) struct Arena {
    pages: Pages,
    buffer_bytes: usize,
    count: u16,
}

impl Arena {
    /// # Panics
    ///
    /// If either number is zero, or the product is more than memory can be.
    pub(crate) fn new(buffer_bytes: usize, count: u16) -> Self {
        let bytes = buffer_bytes.checked_mul(usize::from(count)).expect("an arena fits the address space");
        let layout = Layout::from_size_align(bytes, 1).expect("an arena fits the address space");
        assert!(layout.size() > 0, "an arena has buffers");
        let pages = Pages::new(bytes, PageSize::Usual).unwrap_or_else(|_| handle_alloc_error(layout));
        Self { pages, buffer_bytes, count }
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
        self.pages.start().as_ptr().wrapping_add(usize::from(buffer) * self.buffer_bytes)
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
}

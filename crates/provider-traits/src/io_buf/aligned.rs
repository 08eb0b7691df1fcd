//! A buffer at an aligned address, for direct I/O.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::{IoBuf, IoBufMut};

/// A block of zeroed memory of fixed length, at an address that is a multiple of the alignment asked for.
///
/// Direct I/O needs it, see [`File::alignment`](crate::File::alignment).
pub struct AlignedBuf {
    start: NonNull<u8>,
    /// Of a size above zero; what `start` was allocated with.
    layout: Layout,
    len: usize,
}

impl AlignedBuf {
    /// `len` zero bytes at a multiple of `alignment_bytes`.
    ///
    /// # Panics
    ///
    /// If the alignment is no power of two, or `len` rounded up to it exceeds `isize::MAX`.
    pub fn zeroed(len: usize, alignment_bytes: usize) -> Self {
        let layout = Layout::from_size_align(len.max(1), alignment_bytes)
            .unwrap_or_else(|_| panic!("no block has {len} bytes at a multiple of {alignment_bytes}"));
        // SAFETY: the layout's size is at least 1.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout));
        Self { start, layout, len }
    }

    /// What the address is a multiple of, in bytes.
    pub fn alignment_bytes(&self) -> usize {
        self.layout.align()
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the block has `len` bytes, all of them initialised since they were zeroed, and is borrowed
        // with `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        // SAFETY: `start` was allocated with this layout and is freed only here.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlignedBuf")
            .field("len", &self.len)
            .field("alignment_bytes", &self.alignment_bytes())
            .finish_non_exhaustive()
    }
}

// SAFETY: the block belongs to the value alone, like that of a `Box<[u8]>`.
unsafe impl Send for AlignedBuf {}
// SAFETY: a shared reference gives shared access to bytes only.
unsafe impl Sync for AlignedBuf {}

// SAFETY: the block stays where it was allocated; all `len` bytes are initialised.
unsafe impl IoBuf for AlignedBuf {
    fn stable_ptr(&self) -> *const u8 {
        self.start.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.len
    }
}

// SAFETY: the value owns its block.
unsafe impl IoBufMut for AlignedBuf {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }

    fn bytes_total(&self) -> usize {
        self.len
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

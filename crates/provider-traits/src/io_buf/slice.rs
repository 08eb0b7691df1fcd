//! A part of a buffer, as a buffer.

use std::ops::Range;

use super::{IoBuf, IoBufMut};

/// A part of a buffer that owns the whole: from [`IoBuf::slice`] for writes, [`IoBufMut::slice_mut`] for reads.
#[derive(Clone, Debug)]
pub struct Slice<B> {
    buf: B,
    /// At most `end`, and never behind the initialised bytes of `buf`.
    start: usize,
    /// Never behind the room of `buf`.
    end: usize,
}

impl<B> Slice<B> {
    /// The whole buffer.
    pub fn into_inner(self) -> B {
        self.buf
    }

    /// The whole buffer.
    pub fn inner(&self) -> &B {
        &self.buf
    }
}

impl<B: IoBuf> Slice<B> {
    pub(super) fn new(buf: B, range: Range<usize>) -> Self {
        assert!(range.start <= range.end, "{range:?} ends before it starts");
        Self { buf, start: range.start, end: range.end }
    }

    /// The same part without its first `count` bytes.
    ///
    /// # Panics
    ///
    /// If fewer than `count` of its bytes are initialised.
    pub fn advance(self, count: usize) -> Self {
        assert!(count <= self.bytes_init(), "{count} of {} bytes", self.bytes_init());
        Self { start: self.start + count, ..self }
    }
}

// SAFETY: `start` is within the buffer, whose address is stable, and the bytes told are those of the buffer that
// are initialised and within the part.
unsafe impl<B: IoBuf> IoBuf for Slice<B> {
    fn stable_ptr(&self) -> *const u8 {
        self.buf.stable_ptr().wrapping_add(self.start)
    }

    fn bytes_init(&self) -> usize {
        self.buf.bytes_init().min(self.end).saturating_sub(self.start)
    }
}

// SAFETY: the part is within the room of the buffer.
unsafe impl<B: IoBufMut> IoBufMut for Slice<B> {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.buf.stable_mut_ptr().wrapping_add(self.start)
    }

    fn bytes_total(&self) -> usize {
        self.end.min(self.buf.bytes_total()) - self.start
    }

    unsafe fn set_init(&mut self, count: usize) {
        // SAFETY: what is before `start` is initialised, see the field, and the caller guarantees it for the
        // `count` bytes behind and that they are within the part, so within the buffer.
        unsafe { self.buf.set_init(self.start + count) };
    }
}

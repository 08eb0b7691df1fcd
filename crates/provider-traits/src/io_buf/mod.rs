//! Buffers that an operation owns while it is under way.

// The contract between buffers and those who hand their addresses to a kernel is what `unsafe` is for here; all
// of it stays in this module.

mod aligned;
#[cfg(feature = "contract")]
mod guarded;
mod slice;
#[cfg(test)]
mod tests;

use std::io;
use std::ops::Range;
use std::sync::Arc;

pub use aligned::AlignedBuf;
#[cfg(feature = "contract")]
pub use guarded::GuardedBuf;
pub use slice::Slice;

/// A buffer whose bytes may be read by address while it is owned by an operation.
///
/// Completion I/O reads a buffer after the call that named it has returned, perhaps after its future is gone. So
/// the buffer is given away: the operation keeps it, wherever it stores it, until the kernel is done with it.
///
/// # Safety
///
/// While a value exists and is not mutated, [`Self::stable_ptr`] gives the same address however the value is
/// moved, and the [`Self::bytes_init`] bytes from there are initialised, valid for reads from any thread, and
/// changed by nobody.
pub unsafe trait IoBuf: 'static {
    /// Address of the first byte.
    fn stable_ptr(&self) -> *const u8;

    /// How many bytes from there are initialised: what a write sends.
    fn bytes_init(&self) -> usize;

    /// The initialised bytes.
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: the implementor guarantees that these bytes are initialised, valid and unchanged while the
        // value is borrowed.
        unsafe { std::slice::from_raw_parts(self.stable_ptr(), self.bytes_init()) }
    }

    /// The part `range` of the initialised bytes, as a buffer that owns this one.
    ///
    /// # Panics
    ///
    /// If `range` is not within the initialised bytes.
    fn slice(self, range: Range<usize>) -> Slice<Self>
    where
        Self: Sized,
    {
        assert!(range.end <= self.bytes_init(), "{range:?} of {} bytes", self.bytes_init());
        Slice::new(self, range)
    }
}

/// A buffer that may be written by address while it is owned by an operation.
///
/// Reads fill a buffer from its front and then set how many bytes are initialised: a `Vec` is as long as what
/// was read into it, a buffer of fixed length keeps its length.
///
/// # Safety
///
/// As for [`IoBuf`]; and the [`Self::bytes_total`] bytes from [`Self::stable_mut_ptr`], which is the same
/// address, are valid for writes from any thread while the value is not borrowed, and belong to nobody else.
pub unsafe trait IoBufMut: IoBuf {
    /// Address of the first byte.
    fn stable_mut_ptr(&mut self) -> *mut u8;

    /// How many bytes fit. At least [`bytes_init`](IoBuf::bytes_init).
    fn bytes_total(&self) -> usize;

    /// Tells that the first `count` bytes are what the buffer holds now. Buffers of fixed length ignore it.
    ///
    /// # Safety
    ///
    /// The first `count` bytes are initialised, and `count` is at most [`Self::bytes_total`].
    unsafe fn set_init(&mut self, count: usize);

    /// Fills the buffer by `fill`, which gets all of its bytes and tells how many from the front it wrote. Bytes
    /// that were not initialised are zeroed first. This is how an implementation without `unsafe` reads.
    ///
    /// # Errors
    ///
    /// Those of `fill`; how many bytes are initialised is then unchanged.
    ///
    /// # Panics
    ///
    /// If `fill` tells more than there are.
    fn fill_with(&mut self, fill: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize>
    where
        Self: Sized,
    {
        let (init, total) = (self.bytes_init(), self.bytes_total());
        let start = self.stable_mut_ptr();
        // SAFETY: `init` is at most `total`, and that many bytes are valid for writes.
        let uninit = unsafe { start.add(init) };
        // SAFETY: the bytes from `init` to `total` are valid for writes and borrowed by nobody.
        unsafe { uninit.write_bytes(0, total - init) };
        // SAFETY: all bytes are initialised now, and `self` is borrowed exclusively until the slice is gone.
        let bytes = unsafe { std::slice::from_raw_parts_mut(start, total) };
        let count = fill(bytes)?;
        assert!(count <= total, "{count} bytes were said to be written into {total}");
        // SAFETY: all bytes up to `total` are initialised, and `count` is at most that.
        unsafe { self.set_init(count) };
        Ok(count)
    }

    /// Copies as much of `bytes` as fits to the front of the buffer, and tells how much that was.
    fn fill_from(&mut self, bytes: &[u8]) -> usize
    where
        Self: Sized,
    {
        let count = bytes.len().min(self.bytes_total());
        // SAFETY: `count` bytes are valid for writes and belong to `self`, which is borrowed exclusively, so
        // they cannot overlap `bytes`.
        unsafe { self.stable_mut_ptr().copy_from_nonoverlapping(bytes.as_ptr(), count) };
        // SAFETY: the first `count` bytes were just written, and `count` is at most `bytes_total`.
        unsafe { self.set_init(count) };
        count
    }

    /// The part `range` of the buffer's room, as a buffer that owns this one. What was initialised before it
    /// stays so.
    ///
    /// # Panics
    ///
    /// If `range` starts behind the initialised bytes, or ends behind the room.
    fn slice_mut(self, range: Range<usize>) -> Slice<Self>
    where
        Self: Sized,
    {
        assert!(range.start <= self.bytes_init(), "{range:?} leaves a gap behind {}", self.bytes_init());
        assert!(range.end <= self.bytes_total(), "{range:?} of {} bytes", self.bytes_total());
        Slice::new(self, range)
    }
}

// SAFETY: a vector's bytes are on the heap and stay there while it is moved; `len` of them are initialised.
unsafe impl IoBuf for Vec<u8> {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.len()
    }
}

// SAFETY: a vector owns `capacity` bytes from its start.
unsafe impl IoBufMut for Vec<u8> {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn bytes_total(&self) -> usize {
        self.capacity()
    }

    unsafe fn set_init(&mut self, count: usize) {
        // SAFETY: the caller guarantees that `count` bytes are initialised and within the capacity.
        unsafe { self.set_len(count) };
    }
}

// SAFETY: a boxed slice is on the heap and stays there while the box is moved; all of it is initialised.
unsafe impl IoBuf for Box<[u8]> {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.len()
    }
}

// SAFETY: a box owns its slice.
unsafe impl IoBufMut for Box<[u8]> {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn bytes_total(&self) -> usize {
        self.len()
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

// SAFETY: a boxed array is on the heap and stays there while the box is moved; all of it is initialised.
unsafe impl<const N: usize> IoBuf for Box<[u8; N]> {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        N
    }
}

// SAFETY: a box owns its array.
unsafe impl<const N: usize> IoBufMut for Box<[u8; N]> {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn bytes_total(&self) -> usize {
        N
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

// SAFETY: what is `'static` and shared never moves and is never changed.
unsafe impl IoBuf for &'static [u8] {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.len()
    }
}

// SAFETY: what is `'static` and shared never moves and is never changed.
unsafe impl<const N: usize> IoBuf for &'static [u8; N] {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        N
    }
}

// SAFETY: what is `'static` and shared never moves and is never changed.
unsafe impl IoBuf for &'static str {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.len()
    }
}

// SAFETY: the bytes are on the heap and stay there while handles to them are moved; a slice inside an `Arc` that
// is owned by an operation cannot be changed, as `get_mut` would need the handle.
unsafe impl IoBuf for Arc<[u8]> {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.len()
    }
}

#[cfg(feature = "bytes")]
// SAFETY: `Bytes` points at memory that its handles keep alive, unmoved and unchanged.
unsafe impl IoBuf for bytes::Bytes {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.len()
    }
}

#[cfg(feature = "bytes")]
// SAFETY: `BytesMut` points at memory that it alone may change and that does not move with it.
unsafe impl IoBuf for bytes::BytesMut {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.len()
    }
}

#[cfg(feature = "bytes")]
// SAFETY: `capacity` bytes from the start of a `BytesMut` are its own.
unsafe impl IoBufMut for bytes::BytesMut {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn bytes_total(&self) -> usize {
        self.capacity()
    }

    unsafe fn set_init(&mut self, count: usize) {
        // SAFETY: the caller guarantees that `count` bytes are initialised and within the capacity.
        unsafe { self.set_len(count) };
    }
}

//! A buffer that tells when it was freed too early.

use std::cell::Cell;
use std::rc::Rc;

use super::{IoBuf, IoBufMut};

/// A buffer of fixed length for the contract suites: on drop it fills itself with [`Self::POISON`] and counts
/// itself as freed. An implementation that frees it while an operation still reads it sends or stores poison.
#[derive(Debug)]
pub struct GuardedBuf {
    bytes: Box<[u8]>,
    freed_count: Rc<Cell<usize>>,
}

impl GuardedBuf {
    /// What the bytes are once the buffer is freed.
    pub const POISON: u8 = 0xDD;

    /// `len` bytes of value `fill`. `freed_count` grows by one when the buffer is freed.
    ///
    /// # Panics
    ///
    /// If `fill` is the poison.
    pub fn new(len: usize, fill: u8, freed_count: &Rc<Cell<usize>>) -> Self {
        assert_ne!(fill, Self::POISON, "a buffer full of poison would prove nothing");
        Self { bytes: vec![fill; len].into(), freed_count: Rc::clone(freed_count) }
    }
}

impl Drop for GuardedBuf {
    fn drop(&mut self) {
        for byte in &mut self.bytes {
            // SAFETY: the reference is valid; the write is volatile so that it is not optimised away although
            // the memory is freed next.
            unsafe { std::ptr::from_mut(byte).write_volatile(Self::POISON) };
        }
        self.freed_count.set(self.freed_count.get() + 1);
    }
}

// SAFETY: as for the boxed slice inside.
unsafe impl IoBuf for GuardedBuf {
    fn stable_ptr(&self) -> *const u8 {
        self.bytes.stable_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.bytes.bytes_init()
    }
}

// SAFETY: as for the boxed slice inside.
unsafe impl IoBufMut for GuardedBuf {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.stable_mut_ptr()
    }

    fn bytes_total(&self) -> usize {
        self.bytes.bytes_total()
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

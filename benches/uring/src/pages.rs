//! A buffer for direct I/O that every peer takes.

use samestep_provider_traits::AlignedBuf;

use crate::files::BLOCK_BYTES;

/// Bytes at a multiple of the block size.
pub(crate) struct Pages(AlignedBuf);

impl Pages {
    pub(crate) fn new(len: usize) -> Self {
        Self(AlignedBuf::zeroed(len, BLOCK_BYTES))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

#[cfg(feature = "peers")]
mod foreign {
    use std::mem::MaybeUninit;

    use super::Pages;

    // SAFETY: the bytes do not move with the buffer, and are initialised from the start.
    unsafe impl monoio::buf::IoBuf for Pages {
        fn read_ptr(&self) -> *const u8 {
            self.0.as_ptr()
        }

        fn bytes_init(&self) -> usize {
            self.0.len()
        }
    }

    // SAFETY: as above.
    unsafe impl monoio::buf::IoBufMut for Pages {
        fn write_ptr(&mut self) -> *mut u8 {
            self.0.as_mut_ptr()
        }

        fn bytes_total(&mut self) -> usize {
            self.0.len()
        }

        unsafe fn set_init(&mut self, _: usize) {}
    }

    // SAFETY: as above.
    unsafe impl tokio_uring::buf::IoBuf for Pages {
        fn stable_ptr(&self) -> *const u8 {
            self.0.as_ptr()
        }

        fn bytes_init(&self) -> usize {
            self.0.len()
        }

        fn bytes_total(&self) -> usize {
            self.0.len()
        }
    }

    // SAFETY: as above.
    unsafe impl tokio_uring::buf::IoBufMut for Pages {
        fn stable_mut_ptr(&mut self) -> *mut u8 {
            self.0.as_mut_ptr()
        }

        unsafe fn set_init(&mut self, _: usize) {}
    }

    impl compio::buf::IoBuf for Pages {
        fn as_init(&self) -> &[u8] {
            &self.0
        }
    }

    impl compio::buf::SetLen for Pages {
        unsafe fn set_len(&mut self, _: usize) {}
    }

    impl compio::buf::IoBufMut for Pages {
        fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
            let bytes: &mut [u8] = &mut self.0;
            // SAFETY: initialised bytes are a valid view as possibly uninitialised ones, and compio writes only bytes
            // that are.
            unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len()) }
        }
    }
}

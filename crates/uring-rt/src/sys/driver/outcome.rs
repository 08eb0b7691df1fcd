//! What an operation brought, and what it owned, once the kernel is done with it.

use std::io;
use std::rc::Rc;

use samestep_provider_traits::{IoBuf, IoBufMut};

use super::Owner;
use crate::sys::erased::Erased;

/// What an operation brought, and what it owned.
pub(crate) struct Outcome {
    pub(super) result: i32,
    pub(super) owned: Owned,
    /// Let go outside of any borrow of the driver, as it may start operations when it is dropped.
    pub(super) _owner: Option<Rc<dyn Owner>>,
}

/// What an operation owned, once the kernel is done with it.
pub(crate) struct Owned {
    pub(super) value: Erased,
    /// How many bytes from its front the kernel wrote to the buffer.
    pub(super) filled: Option<usize>,
}

impl Owned {
    #[inline]
    pub(super) fn new(value: Erased, fills: Option<u32>, result: i32) -> Self {
        let filled = fills.map(|len| {
            let count = u32::try_from(result).unwrap_or(0);
            assert!(count <= len, "the kernel wrote {count} bytes into {len}");
            count as usize
        });
        Self { value, filled }
    }

    /// What was given, if it is no buffer that was to be filled.
    pub(crate) fn take<T: 'static>(self) -> T {
        self.value.take()
    }

    /// The buffer of a read or receive, filled.
    pub(crate) fn into_filled<B: IoBufMut>(self) -> B {
        let filled = self.filled;
        let mut buf: B = self.value.take();
        set_filled(&mut buf, filled);
        buf
    }

    /// As [`Self::into_filled`] for a buffer beside something else.
    pub(crate) fn into_filled_with<B: IoBufMut, T: 'static>(self) -> (B, T) {
        let filled = self.filled;
        let (mut buf, beside): (B, T) = self.value.take();
        set_filled(&mut buf, filled);
        (buf, beside)
    }
}

impl Outcome {
    /// Not negative, or the error.
    pub(crate) fn result(&self) -> io::Result<u32> {
        outcome(self.result)
    }

    /// What the operation owned.
    pub(crate) fn take<T: 'static>(self) -> (io::Result<u32>, T) {
        (outcome(self.result), self.owned.take())
    }

    /// The buffer of a write or send, and how many bytes of it were taken.
    pub(crate) fn into_sent<B: IoBuf>(self) -> (io::Result<usize>, B) {
        (outcome(self.result).map(|count| count as usize), self.owned.take())
    }

    /// The buffer of a read or receive, filled, and how many bytes that were.
    pub(crate) fn into_filled<B: IoBufMut>(self) -> (io::Result<usize>, B) {
        let filled = self.owned.filled;
        let mut buf: B = self.owned.take();
        let count = outcome(self.result).map(|_| set_filled(&mut buf, filled));
        (count, buf)
    }
}

fn set_filled<B: IoBufMut>(buf: &mut B, filled: Option<usize>) -> usize {
    let count = filled.expect("the operation was one that fills its buffer");
    // SAFETY: the kernel wrote that many bytes from the front, and was asked for no more than fit, see
    // `Owned::new`.
    unsafe { buf.set_init(count) };
    count
}

/// The driver was shut down: the operation was not started, and this is what it owned.
pub(crate) struct Closed(pub(crate) Outcome);

impl std::fmt::Debug for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Closed")
    }
}

pub(crate) fn outcome(result: i32) -> io::Result<u32> {
    u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

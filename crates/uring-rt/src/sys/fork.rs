//! Whether this process was forked off: a ring is its parent's, and is not even mapped here.

use std::io;

use super::pages::Pages;

/// A mark that a forked process finds wiped.
#[derive(Debug)]
pub(crate) struct ForkMark(Pages);

impl ForkMark {
    /// # Errors
    ///
    /// Those of `mmap` and `madvise`.
    pub(crate) fn new() -> io::Result<Self> {
        let page = Pages::wiped_on_fork()?;
        // SAFETY: the page is mapped and this value's alone.
        unsafe { page.start().as_ptr().write_volatile(MARK) };
        Ok(Self(page))
    }

    /// Whether this process is not the one that made the mark. A load.
    pub(crate) fn is_forked(&self) -> bool {
        // SAFETY: the page is mapped, here and in a process that was forked off, and nobody writes to it.
        unsafe { self.0.start().as_ptr().read_volatile() != MARK }
    }
}

const MARK: u8 = 1;
